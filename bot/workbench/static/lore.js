/* The lorebook tester: what of which book a chat wakes, by which key, and why the rest stays silent. */

import { counted, number } from "./meter.js";
import { el, icon, iconButton } from "./dom.js";
import { call } from "./api.js";

const TEST_MILLISECONDS = 450;
const EXAMPLE = "Ines: Is the lantern lit tonight?\nMira: It has been since dusk.";

export class LoreTester {
  /** `ask` lets the person choose a file. */
  constructor(place, ask) {
    this.books = [];
    this.persona = el("select", { id: "lore-persona", on: { change: () => this.soon(0) } });
    this.depth = el("input", { id: "lore-depth", type: "number", min: 0, max: 1000, value: 2, on: { input: () => this.soon() } });
    this.chat = el("textarea", { id: "lore-chat", placeholder: EXAMPLE, maxLength: 200_000, spellcheck: false, on: { input: () => this.soon() } });
    this.list = el("ul", { className: "books" });
    this.results = el("div", { className: "results", attrs: { "aria-live": "polite", tabindex: "0", "aria-label": "What fires" } });
    const control = (id, label, node, help) => el("div", { className: "field" }, el("label", { htmlFor: id, textContent: label }), node, help ? el("p", { className: "help", textContent: help }) : "");
    place.append(
      el("div", { className: "lore-side" },
        control("lore-chat", "The chat", this.chat, "Paste it as «Name: text», one message after the other; the last one is the newest."),
        el("div", { className: "pair" }, control("lore-persona", "The lorebook of", this.persona),
          control("lore-depth", "Scan depth", this.depth)),
        el("div", { className: "field" }, el("span", { className: "label", textContent: "Other books" }), this.list,
          el("button", { type: "button", on: { click: ask } }, icon("import"), "Add a lorebook"))),
      this.results);
    this.offer([]);
    this.say("Paste a chat and choose a book.");
  }

  offer(personas) {
    const chosen = this.persona.value;
    this.persona.replaceChildren(el("option", { value: "", textContent: "nobody" }),
      ...personas.map(({ id, name }) => el("option", { value: id, textContent: name })));
    this.persona.value = personas.some(({ id }) => id === chosen) ? chosen : "";
  }

  use(id) {
    this.persona.value = id;
    this.soon(0);
  }

  add(upload) {
    this.books.push(upload);
    this.drawBooks();
    this.soon(0);
  }

  drawBooks() {
    this.list.replaceChildren(...this.books.map((upload) => el("li", {},
      el("span", { className: "lines" }, el("strong", { textContent: upload.book.name }),
        el("small", { textContent: `${counted(upload.book.entries, "entry", "entries")}, ${upload.book.kind}` })),
      iconButton("close", `Take «${upload.book.name}» away`, () => {
        this.books = this.books.filter((one) => one !== upload);
        call("DELETE", `uploads/${encodeURIComponent(upload.id)}`).catch(() => {});
        this.drawBooks();
        this.soon(0);
      }))));
  }

  soon(milliseconds = TEST_MILLISECONDS) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.test(), milliseconds);
  }

  say(text) {
    this.results.replaceChildren(el("p", { className: "nobody", textContent: text }));
  }

  async test() {
    const asked = (this.asked = {});
    if (!this.persona.value && !this.books.length) return this.say("Choose whose lorebook it is, or add one.");
    try {
      const told = await call("POST", "lore/test", { chat: this.chat.value, persona: this.persona.value,
        books: this.books.map(({ id }) => id), scan_depth: Math.min(Math.max(Math.trunc(Number(this.depth.value)) || 0, 0), 1000) });
      if (this.asked === asked) this.draw(told);
    } catch (error) {
      if (this.asked === asked) this.results.replaceChildren(el("p", { className: "callout", textContent: error.message }));
    }
  }

  draw(told) {
    if (!told.fired_count && !told.silent_count) return this.say("There is no entry in it.");
    const budget = told.budget ? ` of ${number(told.budget)}` : "";
    const parts = [el("h3", { textContent: `${counted(told.fired_count, "entry fires", "entries fire")}` }),
      el("p", { className: "lead", textContent: `${counted(told.tokens, "token", "tokens")}${budget} for lore. ${counted(told.messages.length, "message", "messages")} read; chance is left out.` })];
    if (told.cut_short) parts.push(el("p", { className: "callout", textContent: "A bound ended the recursion: more might have fired." }));
    for (const { title, key, why } of told.given_up) {
      parts.push(el("p", { className: "callout", textContent: `«${key}» of «${title}» was given up: ${why}` }));
    }
    parts.push(el("ul", { className: "entries" }, ...told.fired.map((one) => this.entry(one))));
    if (told.silent_count) {
      parts.push(el("h3", { textContent: `${number(told.silent_count)} ${told.silent_count === 1 ? "stays" : "stay"} silent` }),
        el("ul", { className: "entries" }, ...told.silent.map((one) => this.entry(one))));
    }
    const hidden = told.fired_count - told.fired.length + told.silent_count - told.silent.length;
    if (hidden) parts.push(el("p", { className: "help", textContent: `${number(hidden)} more are not shown.` }));
    this.results.replaceChildren(...parts);
  }

  entry({ title, book, fires, why, where, tokens, keys, text }) {
    const hits = keys.map(({ key, where: found }) => el("span", { className: "hit" }, el("b", { textContent: key }), ` in ${found}`));
    const reason = fires && keys.length ? [] : [el("span", { className: "why", textContent: why })];
    return el("li", { className: fires ? "fires" : "silent" }, el("details", {},
      el("summary", {}, el("span", { className: "mark", attrs: { "aria-hidden": "true" } }, fires ? icon("check") : ""),
        el("span", { className: "grow" }, el("strong", { textContent: title }), el("span", { className: "hits" }, ...hits, ...reason)),
        el("small", { textContent: [book, fires ? counted(tokens, "token", "tokens") : ""].filter(Boolean).join(" · ") })),
      el("p", { className: "lead", textContent: [fires ? where : why, keys.length && fires ? why : ""].filter(Boolean).join(" · ") }),
      el("div", { className: "prose", textContent: text || "(empty)" })));
  }
}
