/* The scene that is played in a chat: begun, cast, directed, told again, ended. */

import { $, closable, confirmed, el, toast } from "./dom.js";
import { call } from "./api.js";

const MODES = [
  ["free", "Free: who is named, else one of them"],
  ["round", "Round: one after another"],
  ["named", "Named: only who is named"],
];

export class Scene {
  constructor(sidebar) {
    this.sidebar = sidebar;
    this.chat = null;
    this.scene = null;
    closable($("scene"));
    $("open-scene").addEventListener("click", () => ($("menu").hidePopover(), this.open()));
    $("on-stage").addEventListener("click", () => this.open());
  }

  show(chat) {
    if (chat !== this.chat && $("scene").open) $("scene").close();
    this.chat = chat;
    this.tell(null);
  }

  /** What the server says is played here, null for nothing. */
  tell(scene) {
    const changed = JSON.stringify(scene) !== JSON.stringify(this.scene);
    this.scene = scene;
    $("on-stage").hidden = !scene;
    if (scene) {
      $("on-stage").querySelector("strong").textContent = scene.title;
      const names = scene.cast.map((one) => one.name).filter(Boolean).join(", ");
      $("message").placeholder = `Write in «${scene.title}»`;
      $("on-stage").querySelector("small").textContent = `${scene.is_paused ? "paused" : scene.mode} · ${names}`;
    }
    if (changed && $("scene").open) this.draw();
  }

  async open() {
    if (!(await this.findPersonas())) return;
    this.draw();
    $("scene").showModal();
  }

  async findPersonas() {
    try {
      ({ personas: this.personas } = await call("GET", `personas?name=${encodeURIComponent(this.sidebar.name)}`));
      return true;
    } catch (error) {
      toast(error.message);
      return false;
    }
  }

  /** A call whose failure is a line on the page; null then. */
  async ask(method, path = "", body = undefined) {
    try {
      const answer = await call(method, `chats/${this.chat}/scene${path}`, body);
      if ("scene" in answer) this.tell(answer.scene);
      return answer;
    } catch (error) {
      toast(error.message);
      return null;
    }
  }

  draw() {
    $("scene-title").textContent = this.scene?.title ?? "Play a scene";
    $("scene-body").replaceChildren(...(this.scene ? this.stage(this.scene) : this.beginning()));
    $("scene").scrollTop = 0;
  }

  /* ---- before it ---- */

  beginning() {
    const title = el("input", { maxLength: 90, required: true });
    const scenario = el("textarea", { rows: 4, maxLength: 4000 });
    const boxes = this.personas.map((persona) => el("input", { type: "checkbox", value: persona.id }));
    const cast = el("fieldset", { className: "cast" }, el("legend", { textContent: "Cast: the first one greets" }),
      ...this.personas.map((persona, at) => el("label", {}, boxes[at], el("span", { textContent: persona.name }))));
    const begin = el("button", { type: "submit", className: "primary", textContent: "Begin" });
    const start = async () => {
      const ids = boxes.filter((box) => box.checked).map((box) => box.value);
      if (!ids.length) return toast("Choose who plays.");
      const body = { title: title.value, cast: ids, scenario: scenario.value, name: this.sidebar.name };
      begin.disabled = true; // pressed twice, it would be refused the second time
      if (await this.ask("POST", "", body)) ($("scene").close(), $("message").focus());
      begin.disabled = false;
    };
    return [
      el("p", { className: "lead", textContent: "A scene begins a new conversation here. Everything you say in it is answered, but ((asides)) and lines that begin with //." }),
      el("form", { className: "fields", on: { submit: (event) => (event.preventDefault(), start()) } },
        labelled("Title", title), cast, labelled("What it is about", scenario),
        el("div", { className: "choices" }, begin)),
    ];
  }

  /* ---- while it is played ---- */

  stage(scene) {
    return [
      scene.scenario ? el("blockquote", { className: "scenario", textContent: scene.scenario }) : null,
      this.turns(scene), this.cast(scene), this.me(scene), this.note(scene), this.ends(scene),
    ].filter(Boolean);
  }

  turns(scene) {
    const choice = el("select", { on: { change: () => this.ask("PUT", "/turns", { mode: choice.value }) } },
      ...MODES.map(([value, textContent]) => el("option", { value, textContent, selected: value === scene.mode })));
    return labelled("Who answers", choice);
  }

  cast(scene) {
    const lines = scene.cast.map((one) => el("li", {},
      el("span", { textContent: one.name || "(gone)" }),
      button("Speak now", () => this.speak(one), { disabled: scene.is_paused || !one.name, "aria-label": `Let ${one.name} speak now` }),
      button("Take out", () => this.ask("DELETE", "/cast", { persona: one.id }), { disabled: scene.cast.length === 1 || !one.name, "aria-label": `Take ${one.name} out of the cast` })));
    const playing = new Set(scene.cast.map((one) => one.id));
    const others = this.personas.filter((persona) => !playing.has(persona.id));
    const more = el("select", { attrs: { "aria-label": "One more persona" }, on: { change: () => this.ask("POST", "/cast", { persona: more.value }) } },
      el("option", { value: "", textContent: "Add one more …", selected: true, disabled: true }),
      ...others.map((persona) => el("option", { value: persona.id, textContent: persona.name })));
    return el("section", {}, el("h3", { textContent: "Cast" }), el("ul", { className: "cast-list" }, ...lines), others.length ? more : null);
  }

  async speak(one) {
    if (await this.ask("POST", "/say", { persona: one.id })) $("scene").close();
  }

  me(scene) {
    const name = el("input", { maxLength: 80, value: scene.me?.name ?? "", placeholder: this.sidebar.name });
    const description = el("textarea", { rows: 2, maxLength: 1500, value: scene.me?.description ?? "" });
    const save = () => this.saved("/me", { name: name.value, description: description.value });
    return form("Your character", save, labelled("Name; nothing for yourself", name), labelled("What you are like", description));
  }

  note(scene) {
    const text = el("textarea", { rows: 2, maxLength: 2000, value: scene.note });
    const depth = el("input", { type: "number", min: 0, max: 100, value: scene.note_depth });
    const save = () => this.saved("/note", { text: text.value, depth: depth.valueAsNumber || 0 });
    return form("Author's note", save, labelled("What the personas are to bear in mind", text), labelled("How many messages before the newest one", depth));
  }

  async saved(path, body) {
    if (await this.ask("PUT", path, body)) toast("Saved. It holds from the next reply on.");
  }

  ends(scene) {
    const file = `/api/chats/${this.chat}/scene/transcript?format=`;
    const save = (label, format) => el("a", { className: "button", textContent: label, href: file + format, attrs: { download: "" } });
    return el("div", { className: "stage-actions" },
      button(scene.is_paused ? "Let it go on" : "Pause", () => this.ask("PUT", "/paused", { paused: !scene.is_paused })),
      button("Tell it again", () => this.recap()),
      save("Save as Markdown", "md"), save("Save as JSON", "json"),
      button("End it", () => this.end(scene), { className: "danger" }));
  }

  async recap() {
    toast("The model is asked what has happened so far …");
    const told = await this.ask("POST", "/recap");
    if (!told) return;
    toast("This has happened so far.");
    const text = el("p", { className: "recap", textContent: told.text, attrs: { tabindex: "-1" } });
    $("scene-body").querySelector(".recap")?.remove();
    $("scene-body").prepend(text);
    text.focus();
  }

  async end(scene) {
    if (!(await confirmed(`End «${scene.title}»? It stays under «Earlier conversations».`, "End it"))) return;
    const ended = await this.ask("POST", "/end");
    if (!ended) return;
    this.tell(null);
    $("scene-title").textContent = `${ended.title} has ended`;
    $("scene-body").replaceChildren(
      el("p", { className: "lead", textContent: `${ended.turns} messages were said.` }),
      el("div", { className: "stage-actions" },
        made("Save as Markdown", ended.markdown, "text/markdown", `${ended.title}.md`),
        made("Save as JSON", ended.json, "application/json", `${ended.title}.json`)));
  }
}

/** A link to a text that stands on no server any more. */
function made(label, text, type, name) {
  const href = URL.createObjectURL(new Blob([text], { type }));
  return el("a", { className: "button", textContent: label, href, download: name });
}

function labelled(text, field) {
  return el("label", { className: "field" }, el("span", { textContent: text }), field);
}

function button(textContent, click, { className = "", disabled = false, ...attrs } = {}) {
  return el("button", { type: "button", textContent, className, disabled, attrs, on: { click } });
}

function form(heading, save, ...fields) {
  return el("form", { className: "fields", on: { submit: (event) => (event.preventDefault(), save()) } },
    el("h3", { textContent: heading }), ...fields,
    el("div", { className: "choices" }, el("button", { type: "submit", textContent: "Save" })));
}
