/* One persona's fields, with what each costs in tokens while they are written. */

import { $, el, icon, iconButton, portrait, tell, toast } from "./dom.js";
import { call, download, send } from "./api.js";
import { MOST_BYTES, pictureLine } from "./picture.js";
import { LABELS, counted, meter, number, swatch } from "./meter.js";

const COUNT_MILLISECONDS = 350;
const LONGEST = 100_000;
const GROUPS = [
  { title: "Who it is", open: true, fields: [
    { key: "name", label: "Name", kind: "line", most: 80 },
    { key: "nickname", label: "Nickname", kind: "line", most: 80, help: "What {{char}} becomes, where it is not the name." },
    { key: "summary", label: "In one line", kind: "line", most: 200, help: "For lists; never in a prompt." },
    { key: "description", kind: "text" }, { key: "personality", kind: "text" }, { key: "scenario", kind: "text" },
  ] },
  { title: "How it speaks", open: true, fields: [
    { key: "greeting", kind: "text", help: "Said first when a conversation begins." },
    { key: "alternate_greetings", label: "Other greetings", kind: "texts", one: "greeting" },
    { key: "group_greetings", label: "Greetings for groups", kind: "texts", one: "greeting" },
    { key: "example_dialogue", kind: "text", help: "Blocks that begin with <START>; the first to go where room is short." },
  ] },
  { title: "Instructions", fields: [
    { key: "system_text", kind: "text", help: "Takes the place of the bot's own; {{original}} is that one." },
    { key: "closing_reminder", kind: "text", help: "Stands last in the prompt." },
    { key: "depth_prompt", kind: "depth" },
    { key: "stop_words", label: "Stop words", kind: "lines", help: "One a line: the reply ends before any of them." },
    { key: "talkativeness", label: "Talkativeness", kind: "number", help: "0 to 1: how readily it speaks up among others." },
  ] },
  { title: "About the card", fields: [
    { key: "creator_notes", label: "Creator's notes", kind: "text", help: "For people; never in a prompt." },
    { key: "creator", label: "Creator", kind: "line", most: 1_000 },
    { key: "character_version", label: "Version", kind: "line", most: 1_000 },
    { key: "tags", label: "Tags", kind: "commas", help: "With commas between; «nsfw» keeps it to age-restricted channels." },
  ] },
];
const EMPTY = { fields: { name: "" }, lore: { count: 0, entries: [] }, warnings: [], formats: [], file: "", version: "",
  cost: { tokens: {}, context: 0, model: "", exact: true } };
const LISTED = { lines: ["\n", /\n/], commas: [", ", /,/] };

export class Editor {
  /** `tell` has what to call: saved, talk, test, remove (with a persona) and back (with nothing). */
  constructor(place, tell) {
    this.place = place;
    this.tell = tell;
    this.clear();
    place.addEventListener("input", () => this.changed());
    place.addEventListener("keydown", (event) => {
      if (event.key.toLowerCase() === "s" && (event.ctrlKey || event.metaKey)) (event.preventDefault(), this.save());
    });
  }

  get name() {
    return this.controls.get("name")?.read() || "the new persona";
  }

  get isDirty() {
    return this.persona !== null && Object.keys(this.changes()).length > 0;
  }

  clear() {
    this.id = null;
    this.persona = null;
    this.controls = new Map();
    this.place.replaceChildren(el("p", { className: "nobody", textContent: "Choose a persona, make a new one, or drop a card here." }));
  }

  discard() {
    if (this.persona) this.controls = new Map();
    this.persona = null;
  }

  begin() {
    this.id = null;
    this.draw(EMPTY);
    this.count();
    $("field-name").focus();
  }

  async load(id) {
    this.id = id;
    try {
      const persona = await call("GET", `library/${encodeURIComponent(id)}`);
      if (this.id === id) this.draw(persona);
    } catch (error) {
      this.clear();
      this.place.replaceChildren(el("p", { className: "callout", textContent: error.message }));
    }
  }

  draw(persona) {
    this.persona = persona;
    this.controls = new Map();
    this.cost = persona.cost;
    this.gauge = el("div", { className: "gauge" });
    this.state = el("span", { className: "state", attrs: { role: "status" } });
    this.saves = el("button", { type: "submit", className: "primary", textContent: persona.version ? "Save" : "Make it" });
    this.top = this.head(persona);
    const form = el("form", { attrs: { novalidate: "", autocomplete: "off" }, on: { submit: (event) => (event.preventDefault(), this.save()) } },
      this.top, this.gauge,
      persona.warnings.length ? el("ul", { className: "callout warnings" }, ...persona.warnings.map((text) => el("li", { textContent: text }))) : "",
      ...GROUPS.map((group) => this.group(group)), this.lore(persona.lore),
      el("div", { className: "save" }, this.state, this.saves));
    this.place.replaceChildren(form);
    this.place.scrollTop = 0;
    this.showCost();
    this.showState();
  }

  head({ fields, file, kind, version, stamp, has_picture: hasPicture }) {
    const path = `library/${encodeURIComponent(this.id ?? "")}`;
    const back = iconButton("back", "Back to the list", () => this.tell.back());
    back.classList.add("only-narrow");
    if (!version) return el("header", { className: "head" }, back, el("h3", { textContent: "A new persona" }));
    const links = this.persona.formats.map((format) => this.exported(path, format));
    return el("header", { className: file ? "head takes-picture" : "head" }, back,
      portrait(fields.name, `/api/${path}/picture?${stamp}`),
      el("div", { className: "head-names" }, el("h3", { textContent: fields.name }),
        el("p", { className: "lead", textContent: [file, kind].filter(Boolean).join(" · ") }),
        el("p", { className: "exports" }, el("span", { textContent: "Export" }), ...links),
        file ? pictureLine(fields.name, hasPicture, (picture) => this.picture(picture)) : ""),
      file ? iconButton("delete", `Delete ${fields.name}`, () => this.tell.remove({ id: this.id, name: fields.name, file, version })) : "",
      el("button", { type: "button", textContent: "Talk", on: { click: () => this.tell.talk({ id: this.id, name: fields.name }) } }));
  }

  /** Give the persona a picture (a file), or none (null), at once; what was typed stays unsaved. */
  async picture(file) {
    if (file && file.size > MOST_BYTES) return toast(`${file.name} is larger than 8 MiB. Take a smaller picture.`);
    const { id, persona } = this;
    const path = `library/${encodeURIComponent(id)}/picture?version=${encodeURIComponent(persona.version)}`;
    this.showState(file ? "The picture is being saved …" : "");
    try {
      const saved = file ? await send(`${path}&name=${encodeURIComponent(file.name.slice(0, 200))}`, file) : await call("DELETE", path);
      this.tell.saved(saved);
      if (this.id !== id || this.persona !== persona) return; // another one is shown by now
      this.persona = saved;
      const head = this.head(saved);
      this.top.replaceWith(head);
      this.top = head;
      const said = file ? "The picture is saved" : "The picture is removed";
      this.showState(saved.original ? `${said}. The file as it came is kept as ${saved.original}.` : said);
    } catch (error) {
      this.fault(error);
    }
  }

  fault(error) {
    this.showState();
    this.state.classList.add("error");
    tell(this.state, error.message);
  }

  /** A link that saves the persona in a format, by a click or dragged out of the window. */
  exported(path, format) {
    const address = `${path}/export?format=${format}`;
    const link = el("a", { href: `/api/${address}`, download: "", draggable: true, textContent: format.toUpperCase(), attrs: { "aria-label": `Export as ${format.toUpperCase()}` } });
    link.addEventListener("dragstart", (event) => {
      const ending = /^v\d$/.test(format) ? "json" : format;
      const name = `${this.persona.fields.name.replace(/[^\p{L}\p{N} _.-]/gu, "_")}.${ending}`;
      event.dataTransfer.setData("DownloadURL", `application/octet-stream:${name}:${link.href}`);
    });
    link.addEventListener("click", async (event) => {
      event.preventDefault();
      try {
        const [blob, warnings, name] = await download(address);
        const url = URL.createObjectURL(blob);
        el("a", { href: url, download: name }).click();
        setTimeout(() => URL.revokeObjectURL(url), 60_000);
        const said = [...warnings, this.isDirty ? "What you have not saved is not in it." : ""].filter(Boolean);
        if (said.length) toast(said.join(" "));
      } catch (error) {
        toast(error.message);
      }
    });
    return link;
  }

  group({ title, open, fields }) {
    const isUsed = fields.some(({ key }) => filled(this.persona.fields[key]));
    return el("details", { className: "group", open: Boolean(open || (isUsed && title === "Instructions")) },
      el("summary", { textContent: title }), ...this.rows(fields));
  }

  /** The fields one below the other, short ones that follow each other in pairs. */
  rows(fields) {
    const rows = [];
    for (const field of fields) {
      const node = this.field(field);
      const isShort = field.kind === "line" && field.most !== 200;
      if (isShort && rows.at(-1)?.childElementCount === 1 && rows.at(-1).className === "pair even") rows.at(-1).append(node);
      else rows.push(isShort ? el("div", { className: "pair even" }, node) : node);
    }
    return rows;
  }

  field(field) {
    const label = field.label ?? LABELS[field.key];
    const count = el("span", { className: "count", attrs: { "data-count": field.key } });
    // A label of the button below a list would press it.
    const heading = field.kind === "texts" ? el("span", { className: "label", textContent: label })
      : el("label", { htmlFor: `field-${field.key}`, textContent: label });
    const made = this.control(field, this.persona.fields[field.key]);
    this.controls.set(field.key, { ...made, before: JSON.stringify(made.read()) });
    const help = field.help ? el("p", { className: "help", id: `help-${field.key}`, textContent: field.help }) : "";
    if (help && made.focus) made.focus.setAttribute("aria-describedby", help.id);
    return el("div", { className: "field" }, el("div", { className: "top" },
      LABELS[field.key] ? swatch(field.key) : "", heading, count), made.node, help);
  }

  control({ key, kind, one, most = LONGEST }, value) {
    const id = `field-${key}`;
    if (kind === "line") {
      const input = el("input", { id, maxLength: most, value: value ?? "" });
      return { node: input, focus: input, read: () => input.value.trim(), texts: () => ({}) };
    }
    if (kind === "text") {
      const area = textarea(id, value);
      return { node: area, focus: area, read: () => area.value.trim(), texts: () => (LABELS[key] ? { [key]: area.value } : {}) };
    }
    if (kind === "number") {
      const input = el("input", { id, type: "number", min: 0, max: 1, step: 0.05, value: value ?? "" });
      return { node: input, focus: input, read: () => (input.value === "" ? null : Number(input.value)), texts: () => ({}) };
    }
    if (kind in LISTED) {
      const [between, cut] = LISTED[kind];
      const area = kind === "lines" ? textarea(id, (value ?? []).join(between)) : el("input", { id, value: (value ?? []).join(between) });
      const before = area.value;
      // What was not touched stays as it was, also where an item holds what stands between them.
      const read = () => (area.value === before ? (value ?? []) : area.value.split(cut).map((item) => item.trim()).filter(Boolean));
      return { node: area, focus: area, read, texts: () => ({}) };
    }
    if (kind === "depth") return depth(id, value);
    return texts(id, key, one, value ?? [], () => this.changed());
  }

  lore({ count, entries, problem }) {
    if (!count) return "";
    const lines = entries.map(({ title, keys, constant, enabled, text }) => el("details", { className: "fold" },
      el("summary", {}, el("span", { className: "grow", textContent: title }),
        el("small", { textContent: enabled ? (constant ? "always" : keys.join(", ")) : "disabled" })),
      el("div", { className: "prose", textContent: text })));
    const more = count > entries.length ? el("p", { className: "help", textContent: `${number(count - entries.length)} more are not shown.` }) : "";
    return el("details", { className: "group" },
      el("summary", {}, "Lorebook ", el("small", { textContent: counted(count, "entry", "entries") })),
      problem ? el("p", { className: "callout", textContent: problem }) : "",
      el("button", { type: "button", textContent: "Try it in the tester", on: { click: () => this.tell.test({ id: this.id }) } }), ...lines, more);
  }

  /** The fields that differ from the file, as the server takes them. */
  changes() {
    return Object.fromEntries([...this.controls].map(([key, { read, before }]) => [key, read(), before])
      .filter(([, value, before]) => JSON.stringify(value) !== before).map(([key, value]) => [key, value]));
  }

  changed() {
    this.showState();
    clearTimeout(this.counting);
    this.counting = setTimeout(() => this.count(), COUNT_MILLISECONDS);
  }

  async count() {
    const persona = this.persona;
    if (!persona) return;
    const texts = Object.assign({}, ...[...this.controls.values()].map(({ texts }) => texts()));
    const asked = (this.asked = {});
    try {
      const cost = await call("POST", "tokens", { texts, name: this.controls.get("nickname").read() || this.controls.get("name").read() });
      if (this.asked !== asked || this.persona !== persona) return; // there is something newer
      if (persona.cost.tokens.lorebook) cost.tokens.lorebook = persona.cost.tokens.lorebook;
      this.cost = cost;
      this.showCost();
    } catch (error) {
      toast(error.message);
    }
  }

  showCost() {
    this.gauge.replaceChildren(meter(this.cost));
    for (const node of this.place.querySelectorAll("[data-count]")) {
      const tokens = this.cost.tokens[node.dataset.count];
      node.textContent = tokens ? counted(tokens, "token", "tokens") : "";
    }
  }

  showState(said = "") {
    const isDirty = this.isDirty;
    this.saves.disabled = !isDirty;
    this.state.classList.remove("error");
    this.state.textContent = said || (isDirty ? "Not saved yet" : "");
  }

  async save() {
    const changes = this.changes();
    if (!this.persona || !Object.keys(changes).length) return;
    const { version } = this.persona;
    this.saves.disabled = true;
    try {
      const saved = version
        ? await call("PUT", `library/${encodeURIComponent(this.id)}`, { fields: changes, version })
        : await call("POST", "library", { fields: changes });
      if (JSON.stringify(changes) !== JSON.stringify(this.changes())) return this.wroteOn(saved);
      const focused = document.activeElement?.id;
      const top = this.place.scrollTop;
      this.id = saved.id;
      this.draw(saved);
      this.place.scrollTop = top;
      if (focused?.startsWith("field-")) $(focused)?.focus({ preventScroll: true });
      this.showState(saved.original ? `Saved. The file as it came is kept as ${saved.original}.` : "Saved");
      this.tell.saved(saved);
    } catch (error) {
      this.fault(error);
    }
  }

  /** Something was written while it was saved: that stays, and is not saved yet. */
  wroteOn(saved) {
    this.id = saved.id;
    this.persona = saved;
    for (const [key, control] of this.controls) control.before = JSON.stringify(saved.fields[key] ?? null);
    this.showState();
    this.tell.saved(saved);
  }
}

function filled(value) {
  return Array.isArray(value) ? value.length > 0 : Boolean(value);
}

function textarea(id, value, attrs = {}) {
  return el("textarea", { id, value: value ?? "", maxLength: LONGEST, rows: 2, spellcheck: true, attrs });
}

function depth(id, value) {
  const area = textarea(id, value?.text);
  const deep = el("input", { type: "number", min: 0, max: 1000, value: value?.depth ?? 4, attrs: { "aria-label": "Depth: before how many of the newest messages" } });
  const role = el("select", { attrs: { "aria-label": "Said by" } },
    ...["system", "user", "assistant"].map((name) => el("option", { value: name, textContent: name })));
  role.value = value?.role ?? "system";
  const read = () => (area.value.trim() ? { text: area.value.trim(), depth: Number(deep.value), role: role.value } : null);
  return { node: el("div", { className: "depth" }, area, el("span", { className: "help", textContent: "before the newest" }), deep,
    el("span", { className: "help", textContent: "messages, said by" }), role), focus: area, read, texts: () => ({ depth_prompt: area.value }) };
}

function texts(id, key, one, values, changed) {
  const list = el("ol", { className: "texts" });
  const renumber = () => [...list.children].forEach((item, index) => {
    item.querySelector("textarea").setAttribute("aria-label", `${one[0].toUpperCase()}${one.slice(1)} ${index + 2}`);
    item.querySelector(".count").dataset.count = `${key}.${index}`;
  });
  const add = (value) => {
    const item = el("li", {}, textarea("", value), el("div", { className: "text-side" }, el("span", { className: "count" }),
      iconButton("delete", `Take this ${one} out`, () => (item.remove(), renumber(), changed()))));
    list.append(item);
    renumber();
    return item;
  };
  values.forEach(add);
  const more = el("button", { type: "button", id, on: { click: () => (add("").querySelector("textarea").focus(), changed()) } }, icon("plus"), `Add a ${one}`);
  const areas = () => [...list.querySelectorAll("textarea")];
  return { node: el("div", {}, list, more), read: () => areas().map((area) => area.value.trim()).filter(Boolean),
    texts: () => Object.fromEntries(areas().map((area, index) => [`${key}.${index}`, area.value])) };
}
