/* The list of chats, the person's name, the colours, the engine's state. */

import { $, avatar, el } from "./dom.js";
import { call } from "./api.js";

// Not «User»: that is a heading of some prompt formats, and would be seen as «User (2)».
const NOBODY = "Guest";
const STATES = { starting: "is being prepared", restarting: "is being started again", stopped: "has stopped" };
// Who made the embedded model, and its licence: they are named with it. It is a toy, which is said too.
const CREDITS = { "SmolLM2-135M-Instruct": "by Hugging Face, Apache-2.0" };

/** A line about an engine that does not answer now. */
function beside({ name, state, model, wait, error }) {
  const words = STATES[state] ?? (wait ? `is ready; the wait is about ${wait} seconds` : "is ready");
  return [`${name} (${model || "no model"}) ${words}.`, error].filter(Boolean).join(" ");
}

/** What is remembered in the browser; without storage it lasts as long as the page. */
const memory = {
  get(key, otherwise) {
    try {
      return localStorage.getItem(`caduceus-${key}`) ?? otherwise;
    } catch {
      return otherwise;
    }
  },
  set(key, value) {
    try {
      localStorage.setItem(`caduceus-${key}`, value);
    } catch {
      // private browsing: it is not remembered
    }
  },
};

export class Sidebar {
  /** `choose` is called with the id of a chat that the person wants to see, `renamed` with nothing. */
  constructor(choose, renamed) {
    this.choose = choose;
    this.current = null;
    $("open-sidebar").addEventListener("click", () => this.toggle(true));
    $("close-sidebar").addEventListener("click", () => this.toggle(false));
    $("scrim").addEventListener("click", () => this.toggle(false));
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.isOpen && !document.querySelector("dialog:modal")) (event.preventDefault(), this.toggle(false));
    });
    $("name").value = memory.get("name", NOBODY);
    $("name").addEventListener("change", () => {
      $("name").value = $("name").value.trim() || NOBODY;
      memory.set("name", $("name").value);
      renamed();
    });
    this.theme();
  }

  get isOpen() {
    return $("sidebar").classList.contains("open");
  }

  get name() {
    return $("name").value.trim() || NOBODY;
  }

  toggle(open) {
    if (open === this.isOpen) return;
    $("sidebar").classList.toggle("open", open);
    $("scrim").hidden = !open;
    document.querySelector("main").inert = open;
    $("open-sidebar").setAttribute("aria-expanded", String(open));
    (open ? $("close-sidebar") : $("open-sidebar")).focus();
  }

  theme() {
    const apply = (theme) => {
      if (theme === "auto") delete document.documentElement.dataset.theme;
      else document.documentElement.dataset.theme = theme;
      for (const input of $("theme").querySelectorAll("input")) input.checked = input.value === theme;
    };
    apply(memory.get("theme", "auto"));
    $("theme").addEventListener("change", (event) => {
      memory.set("theme", event.target.value);
      apply(event.target.value);
    });
  }

  async refresh(current = this.current) {
    this.current = current;
    const { chats } = await call("GET", "chats");
    const newest = (chat) => chat.at ?? "";
    chats.sort((a, b) => newest(b).localeCompare(newest(a)) || Number(b.id) - Number(a.id));
    const focused = document.activeElement?.dataset?.chat;
    $("chats").replaceChildren(...chats.map((chat) => this.line(chat)));
    if (focused) $("chats").querySelector(`[data-chat="${focused}"]`)?.focus();
  }

  line(chat) {
    // Without its marks, but with the underscores that stand within a name.
    const snippet = chat.snippet.replace(/[*`]+|(?<!\w)_+|_+(?!\w)/g, "") || "Nothing said yet";
    const button = el("button", { type: "button", attrs: { "data-chat": chat.id }, on: { click: () => this.pick(chat.id) } },
      avatar(chat.persona), el("strong", { textContent: chat.persona }), el("small", { textContent: snippet }));
    if (chat.id === this.current) button.setAttribute("aria-current", "true");
    return el("li", {}, button);
  }

  pick(chat) {
    this.toggle(false);
    this.choose(chat);
  }

  engine(engine) {
    $("engine").dataset.state = engine.state;
    const parts = STATES[engine.state] ? [`${engine.model || "The model"} ${STATES[engine.state]}`] : [engine.model, CREDITS[engine.model], engine.device];
    if (engine.is_fallback) parts.unshift("Fallback");
    $("engine-text").textContent = parts.filter(Boolean).join(" · ");
    $("toy").hidden = !(engine.model in CREDITS);
    $("toy").querySelector("code").textContent = engine.suggest;
    $("engine").title = [engine.kernel, engine.format && `Written to in this format: ${engine.format}`, ...engine.others.map(beside)].filter(Boolean).join("\n");
  }
}
