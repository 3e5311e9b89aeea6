/* Markdown as chats use it, drawn by markdown-it. What it does not know stays as it was written. */

import MarkdownIt from "./vendor/markdown-it.js";

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
  template.innerHTML = markdown.render(text);
  return template.content;
}
