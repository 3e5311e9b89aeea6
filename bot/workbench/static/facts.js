/* What is always kept in mind in a chat: listed, added, changed and forgotten in the settings. */

import { $, announce, el, iconButton, tell } from "./dom.js";
import { call } from "./api.js";

const LONGEST = 500;

export class Facts {
  constructor() {
    this.chat = null;
    $("new-fact").addEventListener("submit", (event) => {
      event.preventDefault();
      this.add();
    });
  }

  async load(chat) {
    this.chat = chat;
    await this.ask("GET", "facts");
  }

  async add() {
    const text = $("fact-text").value.trim();
    if (text && (await this.ask("POST", "facts", { text }))) {
      $("fact-text").value = "";
      announce("The fact is kept in mind.");
    }
  }

  /** A call that answers with all facts, which are drawn. Whether it went well. */
  async ask(method, path, body) {
    const chat = this.chat;
    try {
      const { facts } = await call(method, `chats/${chat}/${path}`, body);
      if (chat === this.chat) this.draw(facts);
      return true;
    } catch (error) {
      if (chat === this.chat) this.refuse(error.message);
      return false;
    }
  }

  draw(facts) {
    this.refuse("");
    $("fact-list").replaceChildren(...facts.map((fact) => this.line(fact)));
    $("fact-list").hidden = !facts.length;
  }

  line(fact) {
    const field = el("input", { type: "text", value: fact.text, maxLength: LONGEST, attrs: { "aria-label": `Fact ${fact.id}` } });
    field.addEventListener("change", () => this.change(fact, field));
    const forget = iconButton("delete", `Forget fact ${fact.id}`, () => this.forget(fact));
    return el("li", {}, field, forget);
  }

  async change(fact, field) {
    const text = field.value.trim();
    if (!text) field.value = fact.text;
    else if (await this.ask("PUT", `facts/${fact.id}`, { text })) announce(`Fact ${fact.id} is changed.`);
  }

  async forget(fact) {
    if (!(await this.ask("DELETE", `facts/${fact.id}`))) return;
    announce(`Fact ${fact.id} is forgotten.`);
    $("fact-text").focus(); // the button has gone
  }

  refuse(message) {
    tell($("fact-error"), message ?? "");
    $("fact-error").hidden = !message;
  }
}
