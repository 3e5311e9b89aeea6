/* The controls of a chat's settings, made from their definitions. */

import { $, announce, closable, el, tell } from "./dom.js";
import { call } from "./api.js";

const WIDE = matchMedia("(min-width: 80rem)");

// Steps beyond which a slider hits no number that is meant: a slip would set days after which all is erased.
const FINEST_SLIDER = 2048;

const label = (key) => {
  const words = key.replaceAll("_", " ").replace(/\bp\b/, "P").replace(/\bk\b/, "K").replace(/\b(dry|xtc)\b/, (name) => name.toUpperCase());
  return words[0].toUpperCase() + words.slice(1);
};

export class Settings {
  constructor(facts) {
    this.chat = null;
    this.facts = facts;
    this.controls = new Map();
    this.dialog = $("settings");
    closable(this.dialog);
    $("open-settings").addEventListener("click", () => (this.dialog.open ? this.dialog.close() : this.open()));
    this.dialog.addEventListener("close", () => this.closed());
    this.dialog.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !this.dialog.matches(":modal")) (event.stopPropagation(), this.dialog.close());
    });
    $("controls").addEventListener("submit", (event) => event.preventDefault());
    WIDE.addEventListener("change", () => this.dialog.open && (this.dialog.close(), this.open()));
  }

  async open() {
    if (WIDE.matches) this.dialog.show();
    else this.dialog.showModal();
    $("app").classList.toggle("with-settings", WIDE.matches);
    $("open-settings").setAttribute("aria-expanded", "true");
    await this.load();
  }

  closed() {
    $("app").classList.remove("with-settings");
    $("open-settings").setAttribute("aria-expanded", "false");
    $("open-settings").focus();
  }

  async show(chat) {
    this.chat = chat;
    if (this.dialog.open) await this.load();
  }

  async load() {
    this.facts.load(this.chat);
    try {
      const { settings } = await call("GET", `chats/${this.chat}/settings`);
      this.draw(settings);
    } catch (error) {
      this.controls.clear();
      $("controls").replaceChildren(el("p", { className: "callout", textContent: error.message }));
    }
  }

  /** Make the controls, or bring them up to date: a field that is being typed in keeps its text. */
  draw(settings) {
    const keys = [...this.controls.keys()].join();
    if (keys !== settings.map((setting) => setting.key).join()) {
      this.controls = new Map(settings.map((setting) => [setting.key, new Control(setting, (value) => this.save(setting.key, value))]));
      $("controls").replaceChildren(...[...this.controls.values()].map((control) => control.box));
    }
    for (const setting of settings) this.controls.get(setting.key).update(setting);
  }

  async save(key, value) {
    const chat = this.chat;
    const control = this.controls.get(key);
    try {
      const { settings } = await call("PUT", `chats/${chat}/settings/${key}`, { value: String(value) });
      if (chat !== this.chat) return;
      control.settle();
      this.draw(settings);
      announce(`${label(key)} saved.`);
    } catch (error) {
      control.refuse(error.message);
    }
  }
}

/** One setting: its label, its fields, its help, and where its value comes from. */
class Control {
  constructor(setting, save) {
    this.setting = setting;
    this.save = save;
    this.id = `set-${setting.key}`;
    this.fields = this.makeFields(setting);
    this.origin = el("span");
    this.reset = el("button", { type: "button", textContent: "Reset", on: { click: () => this.takeBack() } });
    this.reset.setAttribute("aria-label", `Reset ${label(setting.key)} to its default`);
    this.error = el("p", { className: "error", hidden: true, attrs: { role: "alert" } });
    this.box = this.makeBox(setting);
  }

  makeBox(setting) {
    const help = `help-${setting.key}`;
    const top = el("div", { className: "top" }, el("label", { htmlFor: this.id, textContent: label(setting.key) }));
    const box = el("div", { className: "control", attrs: { "data-key": setting.key } }, top);
    for (const field of this.fields) {
      field.setAttribute("aria-describedby", help);
      (field.classList.contains("number") ? top : box).append(field);
    }
    this.line = el("div", { className: "origin" }, this.origin, this.reset);
    box.append(el("p", { className: "help", id: help, textContent: setting.help }), this.line, this.error);
    return box;
  }

  makeFields(setting) {
    if (setting.kind === "integer" || setting.kind === "number") return this.makeNumbers(setting);
    const tag = { choice: "select", text: "textarea" }[setting.kind] ?? "input";
    const field = el(tag, { id: this.id });
    if (tag === "select") field.append(...setting.choices.map((value) => el("option", { value, textContent: value })));
    else field.placeholder = setting.range;
    field.addEventListener("change", () => this.changed(field.value));
    return [field];
  }

  makeNumbers(setting) {
    const step = setting.kind === "integer" ? 1 : 0.05;
    const number = el("input", { id: this.id, type: "number", className: "number", min: setting.minimum,
      max: setting.maximum, step: setting.kind === "integer" ? 1 : "any" });
    number.addEventListener("change", () => this.changed(number.value));
    if (setting.maximum > FINEST_SLIDER) return [number];
    const range = el("input", { id: `${this.id}-range`, type: "range", max: setting.maximum, step,
      min: setting.above_minimum ? setting.minimum + step : setting.minimum });
    range.setAttribute("aria-label", `${label(setting.key)}, slider`);
    range.addEventListener("input", () => (number.value = range.value));
    range.addEventListener("change", () => this.changed(range.value));
    number.addEventListener("input", () => (range.value = number.value));
    return [number, range];
  }

  changed(value) {
    if (value === "" && !this.setting.is_set) this.update(this.setting);
    else this.save(value);
  }

  takeBack() {
    this.fields[0].focus(); // the button goes away
    this.save("");
  }

  /** What was typed has been taken: the next update may replace it. */
  settle() {
    this.typed = this.fields[0].value;
  }

  update(setting) {
    this.setting = setting;
    const value = setting.value === "(none)" ? "" : String(setting.value);
    for (const field of this.fields) {
      const isTyped = field === document.activeElement && field.type !== "range" && field.value !== this.typed;
      if (!isTyped && field.value !== value) field.value = value;
    }
    this.typed = value;
    this.origin.textContent = setting.origin;
    this.reset.hidden = !setting.is_set;
    this.line.hidden = !setting.origin;
    this.error.hidden = true;
    this.fields[0].removeAttribute("aria-invalid");
  }

  refuse(message) {
    this.error.hidden = false;
    tell(this.error, message);
    this.fields[0].setAttribute("aria-invalid", "true");
  }
}
