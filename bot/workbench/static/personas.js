/* Choosing who to talk with. */

import { $, avatar, closable, dress, el, icon, toast } from "./dom.js";
import { call } from "./api.js";

export class Personas {
  constructor(sidebar) {
    this.sidebar = sidebar;
    this.chat = null;
    this.current = null;
    closable($("personas"));
    $("open-personas").addEventListener("click", () => this.open());
  }

  show(chat, persona) {
    this.chat = chat;
    this.current = persona;
    dress($("bar-avatar"), persona.name);
    $("bar-name").textContent = persona.name;
    $("bar-summary").textContent = persona.summary;
    $("bar-summary").hidden = !persona.summary;
    $("message").placeholder = `Write to ${persona.name}`;
    $("message-label").textContent = `Message to ${persona.name}`;
    document.title = `${persona.name} · Caduceus`;
  }

  async open() {
    try {
      const { personas, problems } = await call("GET", `personas?name=${encodeURIComponent(this.sidebar.name)}`);
      $("persona-list").replaceChildren(...personas.map((persona) => this.line(persona)));
      $("persona-problems").replaceChildren(...problems.map((problem) =>
        el("p", {}, el("strong", { textContent: problem.file }), ` cannot be used: ${problem.problem}`)));
    } catch (error) {
      toast(error.message);
      return;
    }
    $("personas").showModal();
    ($("persona-list").querySelector("[aria-pressed=true]") ?? $("persona-list").querySelector("button"))?.focus();
  }

  line(persona) {
    const isCurrent = persona.id === this.current.id;
    const lines = el("span", { className: "lines" }, el("strong", { textContent: persona.name }),
      el("small", { textContent: persona.summary || persona.description.slice(0, 140) }));
    const button = el("button", { type: "button", attrs: { "aria-pressed": String(isCurrent) }, on: { click: () => this.choose(persona) } },
      avatar(persona.name), lines);
    if (isCurrent) button.append(icon("check"));
    return el("li", {}, button);
  }

  async choose(persona) {
    $("personas").close();
    try {
      await call("PUT", `chats/${this.chat}/settings/persona`, { value: persona.id });
      $("message").focus();
    } catch (error) {
      toast(error.message);
    }
  }
}
