/* The field where messages are written: drafts, sending, and what cannot be sent. */

import { $, toast } from "./dom.js";
import { draft, keepDraft } from "./drafts.js";

export const MOST_CHARACTERS = 20_000; // as the server counts them
const NUMBERS = new Intl.NumberFormat();
const NO_FILES = "Pictures and files cannot be sent here: the model reads text alone. Say in words what is on it.";

/** A line that says by how much a text is too long to be sent, "" where it is not. */
export function tooLong(text) {
  const length = text.length > MOST_CHARACTERS ? [...text].length : text.length;
  if (length <= MOST_CHARACTERS) return "";
  const over = NUMBERS.format(length - MOST_CHARACTERS);
  return `${NUMBERS.format(length)} characters are ${over} too many for one message. Shorten it, or send it in parts.`;
}

export class Composer {
  /** `send` takes a chat and a text, and resolves to whether the text has been taken. */
  constructor(send) {
    this.send = send;
    this.chat = null;
    this.onItsWay = new Map(); // of each chat what was sent and is not yet known to be taken
    this.field = $("message");
    this.field.addEventListener("input", () => this.changed());
    $("composer").addEventListener("submit", (event) => (event.preventDefault(), this.submit()));
    this.field.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) (event.preventDefault(), this.submit());
    });
    document.addEventListener("paste", (event) => this.refuseFiles(event, event.clipboardData));
    // Without these, the browser would open the file in the page's place.
    document.addEventListener("dragover", (event) => event.dataTransfer?.types.includes("Files") && event.preventDefault());
    document.addEventListener("drop", (event) => this.refuseFiles(event, event.dataTransfer));
  }

  /** Show a chat's draft; that of the chat before is kept. */
  show(chat) {
    this.chat = chat;
    const sent = this.onItsWay.get(chat);
    this.field.value = sent ? draft(chat).slice(sent.length + 1) : draft(chat);
    this.grow();
  }

  /** Put a text before whatever stands in the field by now. */
  giveBack(text) {
    const now = this.field.value;
    this.field.value = now.trim() ? `${text}\n${now}` : text;
    this.changed();
  }

  async submit() {
    const { chat } = this;
    const text = this.field.value;
    if (!text.trim()) return;
    const line = tooLong(text);
    if (line) {
      toast(line);
      return;
    }
    const earlier = this.onItsWay.get(chat);
    this.onItsWay.set(chat, earlier ? `${earlier}\n${text}` : text); // a reload meanwhile finds it
    this.field.value = "";
    this.changed();
    const taken = await this.send(chat, text);
    this.onItsWay.delete(chat);
    if (chat !== this.chat) {
      if (taken) keepDraft(chat, draft(chat).slice(text.length + 1)); // else it stands there still
    } else if (taken) {
      this.changed();
    } else {
      this.giveBack(text);
    }
  }

  changed() {
    if (this.chat) keepDraft(this.chat, [this.onItsWay.get(this.chat), this.field.value].filter(Boolean).join("\n"));
    this.grow();
  }

  grow() {
    if (!CSS.supports("field-sizing", "content")) {
      this.field.style.height = "auto";
      this.field.style.height = `${this.field.scrollHeight}px`;
    }
    const line = tooLong(this.field.value);
    $("too-long").hidden = !line;
    if ($("too-long").textContent !== line) $("too-long").textContent = line;
    $("send").disabled = Boolean(line) || !this.field.value.trim();
  }

  refuseFiles(event, data) {
    // What is copied from a document comes as text and, beside it, as a picture.
    if (!data?.files.length || data.types.includes("text/plain")) return;
    event.preventDefault();
    toast(NO_FILES);
  }
}
