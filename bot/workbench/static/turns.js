/* The conversation as it is drawn: turns, the running reply, who listens. */

import { $, avatar, el, iconButton } from "./dom.js";
import { tooLong } from "./composer.js";
import { draft, keepDraft } from "./drafts.js";
import { render } from "./markdown.js";

const NEAR_END_PIXELS = 90;
const REST = 3; // times what a drawing took, until the next one
const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });

export class Transcript {
  /** `actions`: regenerate, continueReply, swipe, edit, fork, remove, why; each takes a turn. `rescue` takes a text. */
  constructor(actions) {
    this.actions = actions;
    this.chat = null;
    this.turns = new Map();
    this.speeds = new Map();
    this.items = new Map();
    this.busy = false;
    this.dirty = null;
    this.cost = 0;
    $("scroll").addEventListener("scroll", () => this.watchEnd(), { passive: true });
    $("to-end").addEventListener("click", () => this.toEnd());
    new ResizeObserver(() => this.sticks && this.toEnd()).observe($("scroll"));
    this.sticks = true;
  }

  draw(turns) {
    this.turns = new Map(turns.map((turn) => [turn.id, turn]));
    const { activeElement: typing } = document;
    const edited = Number(typing?.closest(".turn.editing")?.dataset.id);
    const at = edited ? typing.selectionStart : 0;
    this.items.clear();
    $("turns").replaceChildren();
    for (const turn of turns) this.place(turn);
    this.reopen(turns);
    this.toEnd();
    const field = this.items.get(edited)?.querySelector(".edit textarea");
    field?.focus();
    field?.setSelectionRange(at, at);
  }

  /** Edits that were begun and neither saved nor given up stand there again. */
  reopen(turns) {
    for (const turn of turns) if (draft(this.editKey(turn.id))) this.edit(turn.id, false);
  }

  editKey(id) {
    return `${this.chat}/${id}`;
  }

  prepend(turns) {
    const scroll = $("scroll");
    const below = scroll.scrollHeight - scroll.scrollTop;
    for (const turn of turns) this.turns.set(turn.id, turn);
    for (const turn of turns) this.place(turn);
    this.reopen(turns);
    scroll.scrollTop = scroll.scrollHeight - below;
  }

  show(turn) {
    this.turns.set(turn.id, turn);
    this.place(turn);
    this.refreshLast();
    this.follow();
  }

  append(id, text) {
    const turn = this.turns.get(id);
    if (!turn) return;
    turn.text += text;
    if (this.dirty === null) this.dirty = setTimeout(() => requestAnimationFrame(() => this.grown()), this.cost * REST);
  }

  /** Draw what runs. A long text is drawn anew less often, so that the page stays free for the person. */
  grown() {
    const before = performance.now();
    this.dirty = null;
    for (const one of this.turns.values()) if (one.state === "running") this.fill(one);
    this.follow();
    this.cost = performance.now() - before;
  }

  remove(id) {
    const item = this.items.get(id);
    const hadFocus = item?.contains(document.activeElement);
    const edited = draft(this.editKey(id));
    keepDraft(this.editKey(id), "");
    if (edited) this.actions.rescue(edited);
    item?.remove();
    this.items.delete(id);
    this.turns.delete(id);
    this.refreshLast();
    if (hadFocus) $("message").focus();
  }

  setBusy(busy) {
    this.busy = busy;
    for (const button of document.querySelectorAll("#turns [data-when=idle]")) button.disabled = busy;
  }

  setSpeed(id, speed) {
    if (!speed) return;
    this.speeds.set(id, speed);
    if (this.turns.has(id)) this.place(this.turns.get(id));
  }

  first() {
    return this.turns.size ? Math.min(...this.turns.keys()) : null;
  }

  last() {
    return this.turns.get(Math.max(...this.turns.keys()));
  }

  lastOfPerson() {
    return [...this.turns.values()].filter((turn) => turn.role === "user").sort((a, b) => b.id - a.id)[0];
  }

  /** Put a turn where its number says, keeping the focus if it was on one of its buttons. */
  place(turn) {
    const old = this.items.get(turn.id);
    if (old?.classList.contains("editing")) return;
    const focused = old?.contains(document.activeElement) ? document.activeElement.dataset.action : null;
    const item = this.item(turn);
    this.items.set(turn.id, item);
    if (old) old.replaceWith(item);
    else $("turns").insertBefore(item, this.nextItem(turn.id));
    this.fill(turn);
    if (focused) (item.querySelector(`[data-action="${focused}"]:not(:disabled)`) ?? $("message")).focus();
  }

  nextItem(id) {
    let next = null;
    for (const [other, item] of this.items) {
      if (other > id && item.isConnected && (next === null || other < next[0])) next = [other, item];
    }
    return next?.[1] ?? null;
  }

  item(turn) {
    const who = `who-${turn.id}`;
    const head = el("div", { className: "head" },
      el("span", { className: "who", id: who, textContent: turn.name }),
      el("time", { dateTime: turn.at, textContent: clock.format(new Date(turn.at)) }));
    const body = el("div", { className: "body" }, head, el("div", { className: "text" }));
    const mark = this.cutMark(turn);
    if (mark) body.append(el("p", { className: "cut-mark", textContent: mark }));
    if (turn.state !== "running") body.append(this.buttons(turn));
    const article = el("article", { attrs: { "aria-labelledby": who } }, body);
    if (turn.role === "bot") article.prepend(avatar(turn.name));
    return el("li", { className: `turn ${turn.role} ${turn.state}`, attrs: { "data-id": turn.id } }, article);
  }

  /** Why a text ends before its end, "" where it does not. */
  cutMark(turn) {
    if (turn.state === "cut") return "stopped here";
    if (turn.state === "running" || !turn.at_limit) return "";
    return `cut at the length limit${this.isNewest(turn) ? ": «Let it go on» writes the rest" : ""}`;
  }

  isNewest(turn) {
    return turn.id === Math.max(...this.turns.keys());
  }

  buttons(turn) {
    const bar = el("div", { className: "actions", attrs: { role: "group", "aria-label": `For the message of ${turn.name}` } });
    const idle = (button) => {
      button.dataset.when = "idle";
      button.disabled = this.busy;
      return button;
    };
    if (turn.role === "bot" && turn.swipes > 1) bar.append(this.swipes(turn, idle));
    if (turn.role === "bot" && this.isNewest(turn)) {
      bar.append(
        idle(iconButton("redo", "Write another reply", () => this.actions.regenerate(turn), "regenerate")),
        idle(iconButton("continue", "Let it go on", () => this.actions.continueReply(turn), "continue")));
    }
    bar.append(
      iconButton("edit", "Edit", () => this.edit(turn.id)),
      iconButton("fork", "Go on from here in another chat", () => this.actions.fork(turn)),
      iconButton("delete", "Delete", () => this.actions.remove(turn)));
    if (turn.role === "bot") bar.append(iconButton("why", "Why this reply?", () => this.actions.why(turn)));
    const speed = turn.role === "bot" && this.speeds.get(turn.id);
    if (speed) {
      const text = `${speed.tokens_per_second} tokens/s, first after ${speed.first_token_seconds} s`;
      bar.append(el("span", { className: "speed", textContent: text }));
    }
    return bar;
  }

  swipes(turn, idle) {
    const count = el("span", { textContent: `${turn.swipe + 1}/${turn.swipes}` });
    count.setAttribute("aria-label", `Reply ${turn.swipe + 1} of ${turn.swipes}`);
    count.setAttribute("role", "img");
    return el("span", { className: "swipes" },
      idle(iconButton("back", "Previous reply", () => this.actions.swipe(turn, -1))),
      count,
      idle(iconButton("forth", "Next reply", () => this.actions.swipe(turn, 1))));
  }

  fill(turn) {
    const item = this.items.get(turn.id);
    if (!item || item.classList.contains("editing")) return;
    const text = item.querySelector(".text");
    if (turn.state === "running" && !turn.text.trim()) {
      const label = el("span", { className: "visually-hidden", textContent: `${turn.name} is writing` });
      text.replaceChildren(el("span", { className: "typing" }, label, el("i"), el("i"), el("i")));
    } else {
      text.replaceChildren(render(turn.text));
    }
  }

  /** Regenerate stands with the newest turn only, so the one before it is drawn anew. */
  refreshLast() {
    const newest = [...this.turns.keys()].sort((a, b) => b - a).slice(0, 2);
    for (const id of newest) this.place(this.turns.get(id));
  }

  edit(id, focus = true) {
    const turn = this.turns.get(id);
    const item = this.items.get(id);
    if (!turn || item.classList.contains("editing")) return;
    const key = this.editKey(id);
    const field = el("textarea", { value: draft(key) || turn.text, attrs: { "aria-label": `Text of the message of ${turn.name}` } });
    const close = (focus = true) => {
      keepDraft(key, "");
      item.classList.remove("editing");
      this.place(this.turns.get(id) ?? turn);
      if (focus) this.items.get(id)?.querySelector("[data-action=edit]")?.focus();
    };
    const error = el("p", { className: "error", hidden: true, attrs: { role: "alert" } });
    const check = () => {
      error.textContent = tooLong(field.value);
      error.hidden = !error.textContent;
      return error.hidden;
    };
    const save = async () => {
      if (!check()) return;
      if (field.value.trim() === turn.text || (await this.actions.edit(turn, field.value))) close();
    };
    const form = el("form", { className: "edit", on: { submit: (event) => (event.preventDefault(), save()) } },
      field,
      error,
      el("div", {}, el("button", { type: "button", textContent: "Cancel", on: { click: () => close() } }),
        el("button", { type: "submit", className: "primary", textContent: "Save" })));
    form.addEventListener("keydown", (event) => {
      if (event.key === "Escape") (event.stopPropagation(), close());
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) (event.preventDefault(), save());
    });
    field.addEventListener("input", () => (keepDraft(key, field.value === turn.text ? "" : field.value), check()));
    item.classList.add("editing");
    item.querySelector(".text").replaceChildren(form);
    item.querySelector(".actions")?.remove();
    check();
    if (!focus) return;
    field.focus();
    field.setSelectionRange(field.value.length, field.value.length);
  }

  toEnd() {
    const scroll = $("scroll");
    scroll.scrollTop = scroll.scrollHeight;
    this.sticks = true;
    $("to-end").hidden = true;
  }

  follow() {
    if (this.sticks) this.toEnd();
  }

  watchEnd() {
    const scroll = $("scroll");
    this.sticks = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < NEAR_END_PIXELS;
    $("to-end").hidden = this.sticks;
  }
}

/** What stands above a conversation that no greeting begins. */
export function listening(persona, isShown) {
  const place = $("greeting");
  place.hidden = !isShown;
  if (place.hidden) return;
  const text = el("div", { className: "text" }, render(`${persona.name} is listening.`));
  const head = el("div", { className: "head" }, el("span", { className: "who", textContent: persona.name }));
  place.className = "turn bot";
  place.replaceChildren(el("article", {}, avatar(persona.name), el("div", { className: "body" }, head, text)));
}
