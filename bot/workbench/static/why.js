/* «Why this reply?»: the prompt by its sections, what was left out, and how fast it went. */

import { $, closable, el, toast } from "./dom.js";
import { call } from "./api.js";

const FIRST_HUE = 168;
const HUE_STEP = 67;
const NUMBERS = new Intl.NumberFormat();
const FINISH = { stop: "the model ended it", length: "it reached the longest length", cancelled: "it was stopped" };

const number = (value) => NUMBERS.format(value);
const counted = (count, one, many) => `${number(count)} ${count === 1 ? one : many}`;
const seconds = (value) => `${value.toFixed(value < 10 ? 2 : 1)} s`;

closable($("why"));

/** Open the dialog for a turn. */
export async function explain(chat, turn) {
  const body = $("why-body");
  body.replaceChildren(el("p", { className: "lead", textContent: "Rebuilding the prompt …" }));
  $("why").showModal();
  try {
    const why = await call("GET", `chats/${chat}/turns/${turn.id}/why`);
    body.replaceChildren(...parts(why));
  } catch (error) {
    body.replaceChildren(el("p", { className: "callout", textContent: error.message }));
  }
}

function parts(why) {
  const found = [];
  const text = whatChanged(why);
  if (text) found.push(el("p", { className: "callout", textContent: text }));
  if (why.missing_engine) {
    const missing = `The engine «${why.missing_engine}» that wrote this is no longer configured: this is the prompt as another would get it.`;
    found.push(el("p", { className: "callout", textContent: missing }));
  }
  if (why.record) found.push(tiles(why.record));
  else found.push(el("p", { className: "callout", textContent: "How this text came to be was not kept." }));
  found.push(sections(why), leftOut(why), ...lore(why), ...memory(why), exact(why));
  if (why.record) found.push(details(why));
  return found;
}

/** What is no longer as it was when the reply was written, "" where nothing is known to be. */
function whatChanged({ changed_since: changed, persona, persona_since: since, kept_version: kept }) {
  if (kept && changed) return `${persona} has been edited since, and the conversation or the settings have changed: this is the prompt as it would be now, for ${persona} as it was.`;
  if (kept) return `${persona} has been edited since: this is the prompt with the version of then.`;
  if (since === "gone") return `The persona is gone: this is the prompt as it would be now, for ${persona}.`;
  if (since === "edited" && changed) return `${persona} has been edited since: this is the prompt as it would be now.`;
  if (since === "edited") return `${persona} has been edited since, but this prompt is the same.`;
  return changed ? "The conversation or the settings have changed since: this is the prompt as it would be now." : "";
}

function tiles({ statistics: s }) {
  const values = [
    ["tokens a second", s.tokens_per_second],
    ["to the first token", seconds(s.first_token_seconds)],
    ["tokens in the prompt", number(s.prompt_tokens)],
    ["tokens in the reply", number(s.reply_tokens)],
    ...(s.thinking_tokens ? [["tokens of thought before it", number(s.thinking_tokens)]] : []),
    // Nobody counts them on a remote server: 0 would be a claim.
    ...(s.cached_prompt_tokens ? [["prompt tokens reused", number(s.cached_prompt_tokens)]] : []),
    ["in all", seconds(s.total_seconds)],
  ];
  return el("dl", { className: "tiles" }, ...values.map(([name, value]) =>
    el("div", {}, el("dt", { textContent: name }), el("dd", { textContent: value }))));
}

function sections(why) {
  const total = why.sections.reduce((sum, section) => sum + section.tokens, 0) || 1;
  const share = el("div", { className: "share", attrs: { "aria-hidden": "true" } });
  const list = why.sections.map((section, index) => {
    const color = String((FIRST_HUE + index * HUE_STEP) % 360);
    const bar = el("i", { className: "part" });
    bar.style.flexGrow = section.tokens / total;
    bar.style.setProperty("--hue", color);
    if (section.tokens) share.append(bar);
    return fold(section.name, counted(section.tokens, "token", "tokens"), section.text, color);
  });
  return el("section", {}, el("h3", { textContent: `What the model saw: ${counted(why.tokens, "token", "tokens")}` }), share, ...list);
}

function fold(name, count, text, color) {
  const summary = el("summary", {}, el("span", { className: "grow", textContent: name }), el("span", { className: "count", textContent: count }));
  if (color) {
    const swatch = el("span", { className: "swatch part", attrs: { "aria-hidden": "true" } });
    swatch.style.setProperty("--hue", color);
    summary.prepend(swatch);
  }
  const attrs = { tabindex: "0", "aria-label": name };
  return el("details", {}, summary, el("pre", { textContent: text || "(empty)", attrs }));
}

function leftOut(why) {
  const lines = why.left_out.map((left) => {
    // Nobody counted what is far back.
    const tokens = left.tokens === null ? "" : `, ${counted(left.tokens, "token", "tokens")}`;
    return el("li", { textContent: `${left.what} (${number(left.turns)}${tokens}): ${left.reason}` });
  });
  if (!lines.length) lines.push(el("li", { textContent: "Nothing: all of it fitted." }));
  return el("section", {}, el("h3", { textContent: "Left out" }), el("ul", { className: "plain-list" }, ...lines));
}

function lore({ lore }) {
  const groups = [
    ["Lore", lore.fired.map(entry)],
    ["Lore left out", lore.left_out.map(entry)],
    ["Trouble with lore", lore.problems],
  ].filter(([, lines]) => lines.length);
  return groups.map(([name, lines]) => listed(name, lines));
}

function memory({ memory: notes }) {
  const lines = notes.map((note) => `${note.kind} ${note.title} (${note.why})`);
  return lines.length ? [listed("Memory", lines)] : [];
}

function listed(name, lines) {
  return el("section", {}, el("h3", { textContent: name }),
    el("ul", { className: "plain-list" }, ...lines.map((line) => el("li", { textContent: line }))));
}

function entry(note) {
  return `${note.title} (${note.book}): ${note.why}`;
}

function exact(why) {
  const copy = el("button", { type: "button", textContent: "Copy", on: { click: async () => {
    try {
      await navigator.clipboard.writeText(why.text);
      toast("The prompt is copied.");
    } catch {
      toast("The browser did not let it be copied. Mark it by hand.");
    }
  } } });
  const box = fold("The exact prompt", `${why.format} format`, why.text);
  box.append(copy);
  return el("section", {}, el("h3", { textContent: "Word for word" }), box);
}

function details({ record, stops }) {
  const rows = [
    ["Model", record.statistics.model],
    ...(record.engine ? [["Engine", record.engine]] : []),
    ["Persona", record.persona + (record.persona_version ? `, version ${record.persona_version}` : "")],
    ["Ended because", FINISH[record.finish] ?? record.finish],
    ...Object.entries(record.sampling).map(([key, value]) => [key.replaceAll("_", " "), String(value)]),
    ["Waited in the queue", seconds(record.statistics.queued_seconds)],
    ["Stop texts", stops.map((stop) => JSON.stringify(stop)).join("  ")],
    ["SHA-256 of the prompt", record.prompt_sha256],
  ];
  return el("section", {}, el("h3", { textContent: "How it was made" }), el("dl", { className: "pairs" },
    ...rows.flatMap(([name, value]) => [el("dt", { textContent: name }), el("dd", { textContent: value })])));
}
