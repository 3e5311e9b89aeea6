/* A small, safe part of Markdown, drawn as DOM nodes. What is not understood stays as it was written. */

import { el } from "./dom.js";

const DEPTH = 8; // emphasis within emphasis; more is text
const TOKENS = /`+|\*{1,3}|_{1,3}|~~|[^`*_~]+|~/g;
const TAGS = { "*": ["em"], _: ["em"], "**": ["strong"], __: ["strong"], "***": ["strong", "em"], ___: ["strong", "em"], "~~": ["s"] };
const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`]*)$/;
const HEADING = /^#{1,6}\s+(.+)$/;
const BULLET = /^\s{0,3}[-*+]\s+(.*)$/;
const NUMBER = /^\s{0,3}(\d{1,6})[.)]\s+(.*)$/;
const QUOTE = /^>\s?(.*)$/;

/** Markdown to a fragment. A fence that has not been closed yet is code already. */
export function render(text) {
  const fragment = document.createDocumentFragment();
  const lines = text.split("\n");
  let at = 0;
  while (at < lines.length) {
    if (!lines[at].trim()) {
      at += 1;
      continue;
    }
    const [node, next] = block(lines, at);
    fragment.append(node);
    at = next;
  }
  return fragment;
}

function block(lines, at) {
  const fence = FENCE.exec(lines[at]);
  if (fence) return code(lines, at, fence[1]);
  const heading = HEADING.exec(lines[at]);
  if (heading) return [inline(heading[1], el("p", { className: "heading" })), at + 1];
  if (QUOTE.test(lines[at])) return quote(lines, at);
  if (BULLET.test(lines[at])) return list(lines, at, BULLET, el("ul"), 1);
  const number = NUMBER.exec(lines[at]);
  if (number) return list(lines, at, NUMBER, el("ol", { start: Number(number[1]) }), 2);
  return paragraph(lines, at);
}

function code(lines, at, mark) {
  const inside = [];
  let next = at + 1;
  while (next < lines.length && !(lines[next].trim().startsWith(mark) && !lines[next].trim().replaceAll(mark[0], ""))) {
    inside.push(lines[next]);
    next += 1;
  }
  const attrs = { tabindex: "0", "aria-label": "Code" };
  return [el("pre", { attrs }, el("code", { textContent: inside.join("\n") })), next + 1];
}

function quote(lines, at) {
  const inside = [];
  for (; at < lines.length && QUOTE.test(lines[at]); at += 1) inside.push(QUOTE.exec(lines[at])[1]);
  return [inline(inside.join("\n"), el("blockquote")), at];
}

function list(lines, at, pattern, node, group) {
  for (; at < lines.length && pattern.test(lines[at]); at += 1) {
    node.append(inline(pattern.exec(lines[at])[group], el("li")));
  }
  return [node, at];
}

function paragraph(lines, at) {
  const inside = [lines[at]];
  const begins = [FENCE, HEADING, QUOTE, BULLET, NUMBER];
  for (at += 1; at < lines.length && lines[at].trim() && !begins.some((p) => p.test(lines[at])); at += 1) {
    inside.push(lines[at]);
  }
  return [inline(inside.join("\n"), el("p")), at];
}

/** Emphasis and code within a line, in one pass: delimiters that find no partner stay text. */
function inline(text, root) {
  const frames = [{ mark: "", parts: [] }];
  const tokens = [...text.matchAll(TOKENS)];
  for (let i = 0; i < tokens.length; i += 1) {
    const [token] = tokens[i];
    const top = frames.at(-1);
    if (token[0] === "`") {
      const close = tokens.findIndex((other, j) => j > i && j <= i + 40 && other[0] === token);
      if (close > 0) {
        const start = tokens[i].index + token.length;
        top.parts.push(el("code", { textContent: text.slice(start, tokens[close].index) }));
        i = close;
        continue;
      }
    } else if (TAGS[token]) {
      const before = text[tokens[i].index - 1] ?? " ";
      const after = text[tokens[i].index + token.length] ?? " ";
      const inWord = token[0] === "_" && /\w/.test(before) && /\w/.test(after);
      const open = frames.findLastIndex((frame) => frame.mark === token);
      if (open > 0 && !inWord && /\S/.test(before)) {
        while (frames.length - 1 > open) unwrap(frames);
        const { parts } = frames.pop();
        frames.at(-1).parts.push(TAGS[token].reduceRight((inner, tag) => [el(tag, {}, ...inner)], parts)[0]);
        continue;
      }
      if (!inWord && /\S/.test(after) && frames.length <= DEPTH) {
        frames.push({ mark: token, parts: [] });
        continue;
      }
    }
    top.parts.push(token);
  }
  while (frames.length > 1) unwrap(frames);
  root.append(...frames[0].parts);
  return root;
}

function unwrap(frames) {
  const { mark, parts } = frames.pop();
  frames.at(-1).parts.push(mark);
  for (const part of parts) frames.at(-1).parts.push(part);
}
