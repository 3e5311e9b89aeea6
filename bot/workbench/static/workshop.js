/* The personas of the owner's folder, and the lorebook tester: one dialog with two tabs. */

import { $, closable, confirmed, el, portrait, toast } from "./dom.js";
import { call } from "./api.js";
import { Dropping } from "./dropping.js";
import { Editor } from "./editor.js";
import { LoreTester } from "./lore.js";

const TABS = ["personas", "lore"];

export class Workshop {
  /** `talk` is called with a persona that the person wants to talk with. */
  constructor(talk) {
    this.talk = talk;
    this.personas = [];
    this.dropping = new Dropping({
      imported: (persona) => this.imported(persona),
      book: (upload) => this.tryBook(upload),
      picture: (file) => this.editor.picture(file),
    });
    this.editor = new Editor($("editor"), {
      saved: (persona) => this.refresh(persona.id),
      talk: (persona) => this.leave(() => talk(persona)),
      test: (persona) => (this.tester.use(persona.id), this.tab("lore", true)),
      remove: (persona) => this.remove(persona),
      back: () => this.select(null),
    });
    this.tester = new LoreTester($("pane-lore"), () => this.dropping.ask());
    closable($("workshop"));
    $("open-workshop").addEventListener("click", () => this.open());
    $("edit-personas").addEventListener("click", () => ($("personas").close(), this.open()));
    $("workshop").addEventListener("cancel", (event) => {
      if (event.target === $("workshop") && this.editor.isDirty) (event.preventDefault(), this.leave());
    });
    $("workshop").querySelector("[data-close]").addEventListener("click", (event) => {
      if (this.editor.isDirty) (event.stopImmediatePropagation(), this.leave());
    }, { capture: true });
    $("new-persona").addEventListener("click", () => this.select("new"));
    $("import-card").addEventListener("click", () => this.dropping.ask());
    for (const tab of TABS) $(`tab-${tab}`).addEventListener("click", () => this.tab(tab));
    $("workshop").querySelector(".tabs").addEventListener("keydown", (event) => this.arrows(event));
    addEventListener("beforeunload", (event) => {
      if (this.editor.isDirty) event.preventDefault();
    });
  }

  /** Show the button where this program has a folder of personas. */
  async offer() {
    const { has_library: has } = await call("GET", "status").catch(() => ({}));
    $("open-workshop").hidden = $("edit-personas").hidden = !has;
    this.dropping.isOn = Boolean(has);
  }

  async open() {
    if (!$("workshop").open) $("workshop").showModal();
    await this.refresh();
    if (!this.editor.id && this.personas.length && matchMedia("(min-width: 54rem)").matches) await this.select(this.personas[0].id);
  }

  /** Close, or go on to `after`, once unsaved changes are dealt with. */
  async leave(after = () => {}) {
    if (!(await this.letGo())) return;
    $("workshop").close();
    after();
  }

  async letGo() {
    if (!this.editor.isDirty) return true;
    const gone = await confirmed(`Throw away what you changed of «${this.editor.name}»?`, "Throw it away");
    if (gone) this.editor.discard();
    return gone;
  }

  async refresh(selected = this.editor.id) {
    try {
      const { personas, problems } = await call("GET", "library");
      this.personas = personas;
      $("shelf-problems").replaceChildren(...problems.map(({ file, problem }) =>
        el("p", {}, el("strong", { textContent: file }), ` cannot be used: ${problem}`)));
    } catch (error) {
      toast(error.message);
    }
    this.tester.offer(this.personas);
    $("shelf-list").replaceChildren(...this.personas.map((persona) => this.line(persona, persona.id === selected)));
  }

  line(persona, isCurrent) {
    const button = el("button", { type: "button", on: { click: () => this.select(persona.id) } },
      portrait(persona.name, `/api/library/${encodeURIComponent(persona.id)}/picture?small&${persona.stamp}`),
      el("strong", { textContent: persona.name }), el("small", { textContent: persona.file || "built in" }));
    if (isCurrent) button.setAttribute("aria-current", "true");
    return el("li", { attrs: { "data-persona": persona.id } }, button);
  }

  /** Edit a persona by its id, "new" one, or none (on a phone: back to the list). */
  async select(id) {
    if (!(await this.letGo())) return;
    $("pane-personas").classList.toggle("editing", id !== null);
    for (const item of $("shelf-list").children) {
      const isCurrent = item.dataset.persona === id;
      if (isCurrent) item.firstChild.setAttribute("aria-current", "true");
      else item.firstChild.removeAttribute("aria-current");
    }
    if (id === null) return this.editor.clear();
    if (id === "new") return this.editor.begin();
    await this.editor.load(id);
  }

  async remove({ id, name, file, version }) {
    if (!(await confirmed(`Delete «${name}»? Its file, ${file}, is put aside in the folder.`, "Delete"))) return;
    const path = `library/${encodeURIComponent(id)}`;
    try {
      const aside = await call("POST", `${path}/delete`, { version });
      this.editor.discard();
      this.editor.clear();
      await this.refresh(null);
      // In the dialog: a toast lies below it, where it cannot be clicked.
      $("editor").replaceChildren(el("p", { className: "callout", attrs: { role: "status" } },
        `«${name}» is deleted. Its file is kept as ${aside.file}. `,
        el("button", { type: "button", textContent: "Undo", on: { click: () => this.restore(path) } })));
    } catch (error) {
      toast(error.message);
    }
  }

  async restore(path) {
    try {
      const persona = await call("POST", `${path}/restore`, {});
      await this.refresh();
      await this.select(persona.id);
    } catch (error) {
      toast(error.message);
    }
  }

  async imported(persona) {
    toast(`«${persona.name}» is in the folder now.`, ["Talk", () => this.leave(() => this.talk(persona))]);
    if (!$("workshop").open) return;
    await this.refresh();
    this.tab("personas");
    await this.select(persona.id);
  }

  tryBook(upload) {
    if (!$("workshop").open) this.open();
    this.tester.add(upload);
    this.tab("lore");
  }

  tab(name, focus = false) {
    for (const tab of TABS) {
      const isOn = tab === name;
      $(`tab-${tab}`).setAttribute("aria-selected", String(isOn));
      $(`tab-${tab}`).tabIndex = isOn ? 0 : -1;
      $(`pane-${tab}`).hidden = !isOn;
    }
    if (focus) $(`tab-${name}`).focus();
  }

  arrows(event) {
    if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    const at = TABS.findIndex((tab) => $(`tab-${tab}`).getAttribute("aria-selected") === "true");
    this.tab(TABS[(at + 1) % TABS.length], true);
  }
}
