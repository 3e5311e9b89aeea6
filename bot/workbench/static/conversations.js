/* A chat's conversations: those that were left can be read, taken up again, saved and deleted. */

import { $, closable, confirmed, el, toast } from "./dom.js";
import { call } from "./api.js";
import { render } from "./markdown.js";

const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export class Conversations {
  constructor() {
    this.chat = null;
    closable($("past"));
    $("open-past").addEventListener("click", () => ($("menu").hidePopover(), this.open()));
    $("past-back").addEventListener("click", () => this.list());
  }

  show(chat) {
    if (chat !== this.chat && $("past").open) $("past").close();
    this.chat = chat;
  }

  async open() {
    if (await this.list()) $("past").showModal();
  }

  /** A call whose failure is a line on the page; null then. */
  async ask(method, path, body) {
    try {
      return await call(method, `chats/${this.chat}/${path}`, body);
    } catch (error) {
      toast(error.message);
      return null;
    }
  }

  async list() {
    const found = await this.ask("GET", "conversations");
    if (!found) return false;
    this.head("Conversations of this chat", true);
    const lines = found.conversations.map((one) => this.line(one));
    $("past-body").replaceChildren(lines.length
      ? el("ul", { className: "past-list" }, ...lines)
      : el("p", { className: "lead", textContent: "Nothing has been said here yet." }));
    return true;
  }

  head(title, isList) {
    $("past-title").textContent = title;
    $("past-back").hidden = isList;
    $("past").scrollTop = 0;
  }

  line(one) {
    const messages = one.turns === 1 ? "1 message" : `${one.turns} messages`;
    const when = `${DAY.format(new Date(one.at))}, ${messages}${one.is_current ? ", the present one" : ""}`;
    return el("li", {}, el("button", { type: "button", on: { click: () => (one.is_current ? $("past").close() : this.read(one)) } },
      el("strong", { textContent: one.snippet || "(no words)" }), el("small", { textContent: when })));
  }

  async read(one) {
    const window = await this.ask("GET", `conversations/${one.id}`);
    if (!window) return;
    this.head(DAY.format(new Date(one.at)), false);
    const turns = el("ol", { className: "past-turns" }, ...window.turns.map(drawn));
    $("past-body").replaceChildren(this.buttons(one), turns);
    let first = window.turns[0]?.id;
    if (!window.skipped) return;
    const earlier = el("button", { type: "button", textContent: "Show earlier messages", on: { click: async () => {
      const more = await this.ask("GET", `turns/${first}/earlier`);
      if (!more) return;
      first = more.turns[0]?.id ?? first;
      turns.prepend(...more.turns.map(drawn));
      if (!more.skipped) earlier.remove();
    } } });
    turns.before(earlier);
  }

  buttons(one) {
    const file = `/api/chats/${this.chat}/conversations/${one.id}/export`;
    const save = (label, href) => el("a", { className: "button", textContent: label, href, attrs: { download: "" } });
    return el("div", { className: "past-actions" },
      el("button", { type: "button", className: "primary", textContent: "Go on with it", on: { click: () => this.restore(one) } }),
      save("Save as text", `${file}?format=text`),
      save("Save as JSON", file),
      el("button", { type: "button", textContent: "Delete", on: { click: () => this.remove(one) } }));
  }

  async restore(one) {
    if (!(await this.ask("POST", "restore", { conversation_id: one.id }))) return;
    $("past").close();
    $("message").focus();
  }

  async remove(one) {
    const count = one.turns === 1 ? "its message" : `its ${one.turns} messages`;
    if (!(await confirmed(`Delete this conversation with ${count}? It cannot be brought back.`, "Delete"))) return;
    if (await this.ask("DELETE", `conversations/${one.id}`)) await this.list();
  }
}

function drawn(turn) {
  return el("li", {}, el("strong", { textContent: turn.name }), el("div", { className: "text" }, render(turn.text)));
}
