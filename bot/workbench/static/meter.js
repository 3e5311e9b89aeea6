/* What a persona costs in tokens: by field, and against the model's context. */

import { el } from "./dom.js";

const HUES = { description: 168, personality: 205, scenario: 262, greeting: 35, example_dialogue: 12,
  system_text: 320, closing_reminder: 345, depth_prompt: 85, lorebook: 60 };
const ALWAYS = ["description", "personality", "scenario", "system_text", "closing_reminder", "depth_prompt"];
const NUMBERS = new Intl.NumberFormat();

export const LABELS = { description: "Description", personality: "Personality", scenario: "Scenario", greeting: "Greeting",
  example_dialogue: "Example dialogue", system_text: "System text", closing_reminder: "Closing reminder",
  depth_prompt: "Depth prompt", lorebook: "Lorebook" };
export const number = (value) => NUMBERS.format(value);
export const counted = (count, one, many) => `${number(count)} ${count === 1 ? one : many}`;

export function swatch(field) {
  const node = el("span", { className: "swatch part", attrs: { "aria-hidden": "true" } });
  node.style.setProperty("--hue", HUES[field] ?? 170);
  return node;
}

/** The bar and the line above it, for `cost` as the server tells it. */
export function meter({ tokens, context, model, exact }) {
  const fields = Object.keys(HUES).filter((field) => tokens[field]);
  const sum = (keys) => keys.reduce((total, field) => total + (tokens[field] ?? 0), 0);
  const always = sum(ALWAYS);
  const roomy = sum(["greeting", "example_dialogue"]);
  const lore = tokens.lorebook ?? 0;
  const all = always + roomy + lore;
  const bar = el("div", { className: "share", attrs: { "aria-hidden": "true" } });
  for (const field of fields) {
    const part = el("i", { className: "part", title: `${LABELS[field]}: ${number(tokens[field])}` });
    part.style.flexGrow = tokens[field];
    part.style.setProperty("--hue", HUES[field]);
    bar.append(part);
  }
  const rest = el("i", { className: "rest" });
  rest.style.flexGrow = Math.max(context - all, 0);
  bar.append(rest);
  const about = exact ? "" : "about ";
  const of = context ? ` of ${number(context)}` : "";
  const percent = context ? ` (${Math.round((100 * always) / context)} %)` : "";
  const also = [roomy ? `${number(roomy)} while there is room` : "", lore ? `${number(lore)} of lore, what fires of it` : ""].filter(Boolean);
  const line = el("p", {}, el("strong", { textContent: `${about}${counted(always, "token", "tokens")}${of}` }),
    ` always${percent}${also.length ? `, ${also.join(", ")}` : ""}`);
  if (model) line.title = `As ${model} counts`;
  const node = el("div", { className: "meter" }, line, bar);
  if (context && always > context / 2) {
    node.classList.add("heavy");
    node.append(el("p", { className: "heavy-line", textContent: always >= context
      ? "It does not fit into the model's context at all."
      : "More than half of the context is taken before anybody has said a word." }));
  }
  return node;
}

/** The fields with their tokens, as a list. */
export function costs({ tokens }) {
  const lines = Object.keys(LABELS).filter((field) => tokens[field]).map((field) =>
    el("li", {}, swatch(field), el("span", { textContent: LABELS[field] }), el("span", { className: "count", textContent: number(tokens[field]) })));
  return el("ul", { className: "costs" }, ...lines);
}
