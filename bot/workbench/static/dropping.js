/* Files dropped on the page: a card is shown before it is taken, a lorebook goes to the tester. */

import { $, avatar, closable, el, tell, toast } from "./dom.js";
import { call, send } from "./api.js";
import { costs, counted, meter } from "./meter.js";

const MOST_BYTES = 8 * 1024 * 1024;
const MOST_FILES = 20; // at once

export class Dropping {
  /**
   * `imported` is called with a persona that was taken, `book` with a lorebook that is held,
   * `picture` with a file that was dropped on the head of a persona.
   */
  constructor({ imported, book, picture }) {
    this.imported = imported;
    this.book = book;
    this.isOn = false;
    this.waiting = [];
    this.isBusy = false;
    closable($("card"));
    const hasFiles = (event) => this.isOn && [...(event.dataTransfer?.types ?? [])].includes("Files");
    addEventListener("dragover", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "copy";
      this.mark(headBelow(event));
    });
    addEventListener("dragleave", (event) => {
      if (event.relatedTarget === null) this.hide();
    });
    addEventListener("drop", (event) => {
      this.hide();
      if (!hasFiles(event)) return;
      event.preventDefault();
      const [file] = event.dataTransfer.files;
      if (headBelow(event) && file) picture(file);
      else this.add([...event.dataTransfer.files]);
    });
    $("file").addEventListener("change", () => {
      this.add([...$("file").files]);
      $("file").value = "";
    });
  }

  /** Show where a file would go: to the head of a persona, or else to the page. */
  mark(head) {
    for (const node of document.querySelectorAll(".takes-picture")) node.classList.toggle("over", node === head);
    if ($("drop").matches(":popover-open") === Boolean(head)) $("drop").togglePopover();
  }

  hide() {
    for (const node of document.querySelectorAll(".takes-picture.over")) node.classList.remove("over");
    if ($("drop").matches(":popover-open")) $("drop").hidePopover();
  }

  /** Let the person choose files. */
  ask() {
    $("file").click();
  }

  async add(files) {
    if (files.length > MOST_FILES) toast(`The first ${MOST_FILES} files are looked at; drop the others after them.`);
    this.waiting.push(...files.slice(0, MOST_FILES));
    if (this.isBusy) return;
    this.isBusy = true;
    while (this.waiting.length) await this.look(this.waiting.shift());
    this.isBusy = false;
  }

  async look(file) {
    if (file.size > MOST_BYTES) return toast(`${file.name} is larger than 8 MiB. Take a smaller picture.`);
    let upload;
    try {
      upload = await send(`uploads?name=${encodeURIComponent(file.name.slice(0, 200))}`, file);
    } catch (error) {
      return toast(error.message, undefined, 12);
    }
    if (upload.is === "lorebook") return this.book(upload);
    return this.preview(upload);
  }

  /** Show a card; resolves when it was taken or put away. */
  preview(upload) {
    const { card, taken, free_name: freeName } = upload;
    const path = `uploads/${encodeURIComponent(upload.id)}`;
    const name = el("input", { id: "card-name", maxLength: 80, value: taken ? freeName : card.name, spellcheck: false });
    const fault = el("p", { className: "error", attrs: { role: "alert" } });
    const takes = el("button", { type: "submit", className: "primary", textContent: "Import" });
    const replaces = taken ? radio("place", "replace", `Put it in the place of «${taken.name}»`, taken.file ? `${taken.file} goes` : "it is built in") : null;
    const beside = taken ? radio("place", "beside", "Take it under another name") : null;
    if (beside) beside.querySelector("input").checked = true;
    const choice = el("fieldset", { className: "choice" },
      el("legend", { textContent: taken ? `There is a «${taken.name}» already` : "Name" }), beside,
      el("label", { className: "visually-hidden", htmlFor: "card-name", textContent: "Name" }), name, replaces);
    const isReplacing = () => Boolean(replaces?.querySelector("input").checked);
    choice.addEventListener("change", () => (name.disabled = isReplacing()));
    const form = el("form", { className: "card-take", on: { submit: async (event) => {
      event.preventDefault();
      takes.disabled = true;
      try {
        const body = isReplacing() ? { replace: true } : { name: name.value.trim() };
        const persona = await call("POST", `${path}/take`, body);
        isTaken = true;
        $("card").close();
        this.imported(persona);
      } catch (error) {
        tell(fault, error.message);
        takes.disabled = false;
      }
    } } }, choice, fault, el("div", { className: "choices" },
      el("button", { type: "button", textContent: "Leave it", on: { click: () => $("card").close() } }), takes));
    let isTaken = false;
    $("card-body").replaceChildren(...shown(card, path), form);
    $("card").showModal();
    $("card").scrollTop = 0;
    takes.focus({ preventScroll: true });
    return new Promise((resolve) => {
      $("card").addEventListener("close", () => {
        if (!isTaken) call("DELETE", path).catch(() => {});
        $("card-body").replaceChildren();
        resolve();
      }, { once: true });
    });
  }
}

/** The head of the persona in the editor, if something is dragged over it. */
function headBelow(event) {
  return event.target.closest?.(".takes-picture") ?? null;
}

function radio(group, value, text, small = "") {
  return el("label", { className: "radio" }, el("input", { type: "radio", name: group, value }),
    el("span", {}, text, small ? el("small", { textContent: small }) : null));
}

/** What there is to know of a card. All of it is a stranger's: it goes in as text. */
function shown(card, path) {
  const picture = card.has_picture
    ? el("img", { className: "card-picture", src: `/api/${path}/picture`, alt: `Picture of ${card.name}` })
    : avatar(card.name);
  const facts = [counted(card.greetings, "greeting", "greetings"),
    card.group_greetings ? `${card.group_greetings} for groups` : "",
    counted(card.lore_entries, "lore entry", "lore entries")].filter(Boolean);
  const head = el("div", { className: "card-head" }, picture, el("div", { className: "card-facts" },
    el("h3", { textContent: card.name }),
    el("p", { className: "lead", textContent: [card.nickname ? `called «${card.nickname}»` : "", card.creator ? `by ${card.creator}` : "", card.kind].filter(Boolean).join(" · ") }),
    el("p", { textContent: facts.join(" · ") }),
    el("ul", { className: "tags" }, ...card.tags.map((tag) => el("li", { textContent: tag })))));
  const warnings = card.warnings.length
    ? el("ul", { className: "callout warnings" }, ...card.warnings.map((text) => el("li", { textContent: text }))) : null;
  return [head, warnings, meter(card.cost), costs(card.cost),
    fold("Creator's notes", card.notes, true), fold("Description", card.description),
    ...card.greeting_texts.map((text, index) => fold(index ? `Greeting ${index + 1}` : "Greeting", text))].filter(Boolean);
}

function fold(title, text, open = false) {
  if (!text) return null;
  return el("details", { className: "fold", open }, el("summary", { textContent: title }), el("div", { className: "prose", textContent: text, attrs: { tabindex: "0" } }));
}
