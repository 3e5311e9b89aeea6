/* Markdown as chats use it, drawn by markdown-it. What it does not know stays as it was written. */

import MarkdownIt from "./vendor/markdown-it.js";

const MOST_PARTS = 6_000; // a text of more is shown as it was written: browsers take seconds for so many elements
const NESTING = 20; // lists in quotes in lists; more is text
const UNUSED = ["code", "entity", "html_block", "html_inline", "image", "lheading", "reference", "table"];

const markdown = new MarkdownIt({ html: false, breaks: true, maxNesting: NESTING }).disable(UNUSED);
markdown.validateLink = (address) => /^https?:\/\//i.test(address);

const { rules } = markdown.renderer;
rules.heading_open = () => '<p class="heading">';
rules.heading_close = () => "</p>\n";
rules.fence = (tokens, at) => `<pre tabindex="0" aria-label="Code"><code>${markdown.utils.escapeHtml(tokens[at].content)}</code></pre>\n`;
rules.link_open = (tokens, at, options, _env, renderer) => {
  tokens[at].attrSet("target", "_blank");
  tokens[at].attrSet("rel", "noopener noreferrer");
  return renderer.renderToken(tokens, at, options);
};

/** Markdown to a fragment. A fence that has not been closed yet is code already. */
export function render(text) {
  const template = document.createElement("template");
  const environment = {};
  const tokens = markdown.parse(text, environment);
  const parts = tokens.reduce((sum, token) => sum + 1 + (token.children?.length ?? 0), 0);
  if (parts > MOST_PARTS) return plain(text);
  template.innerHTML = markdown.renderer.render(tokens, markdown.options, environment);
  return template.content;
}

function plain(text) {
  const fragment = document.createDocumentFragment();
  fragment.append(Object.assign(document.createElement("p"), { className: "plain", textContent: text }));
  return fragment;
}
