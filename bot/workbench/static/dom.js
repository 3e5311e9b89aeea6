/* Making elements. Text always goes in as text: nothing here parses HTML. */

const SVG = "http://www.w3.org/2000/svg";

export const $ = (id) => document.getElementById(id);

/** An element with properties, attributes (in `attrs`), listeners (in `on`) and children. */
export function el(tag, { attrs = {}, on = {}, ...properties } = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  for (const [name, value] of Object.entries(attrs)) node.setAttribute(name, value);
  for (const [name, listener] of Object.entries(on)) node.addEventListener(name, listener);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** A button that shows only an icon; `label` is what it is called. */
export function iconButton(name, label, onClick, action = name) {
  const attrs = { "aria-label": label, "data-action": action };
  return el("button", { type: "button", className: "icon", title: label, attrs, on: { click: onClick } }, icon(name));
}

/** A steady hue for a name. */
export function hue(name) {
  let sum = 0;
  for (const character of name) sum = (sum * 31 + character.codePointAt(0)) % 360;
  return sum;
}

export function dress(avatar, name) {
  avatar.textContent = [...name.trim()][0]?.toUpperCase() ?? "?";
  avatar.style.setProperty("--hue", hue(name));
}

export function avatar(name) {
  const node = el("span", { className: "avatar", attrs: { "aria-hidden": "true" } });
  dress(node, name);
  return node;
}

/** The same with a picture over it, as soon as one comes; `address` is one of ours. */
export function portrait(name, address) {
  const node = avatar(name);
  const image = el("img", { alt: "", loading: "lazy", on: { error: () => image.remove(), load: () => image.classList.add("shown") } });
  image.src = address;
  node.append(image);
  return node;
}

/** Show a line of ours in a node: what stands in `backticks` is code. */
export function tell(node, text) {
  node.replaceChildren(...text.split(/`([^`]+)`/).map((part, at) => (at % 2 ? el("code", { textContent: part }) : part)));
  return node;
}

/** Say something to screen readers only. */
export function announce(text) {
  $("announcer").textContent = text;
}

/** A line that passes; `action` is [label, function] for a button in it. */
export function toast(text, action, seconds = 8) {
  const line = el("div", { className: "toast" }, tell(el("span"), text));
  const close = () => line.remove();
  if (action) {
    const [label, run] = action;
    line.append(el("button", { type: "button", textContent: label, on: { click: () => (close(), run()) } }));
  }
  $("toasts").replaceChildren(line);
  setTimeout(close, seconds * 1000);
}

/** Ask before something that cannot be taken back. Resolves to true or false. */
export function confirmed(question, yes) {
  const dialog = $("confirm");
  $("confirm-text").textContent = question;
  $("confirm-yes").textContent = yes;
  dialog.returnValue = "";
  $("confirm-yes").onclick = () => dialog.close("yes");
  $("confirm-no").onclick = () => dialog.close();
  dialog.showModal();
  $("confirm-no").focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

/** Close buttons, and a click beside the dialog. */
export function closable(dialog) {
  dialog.querySelector("[data-close]")?.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog && dialog.matches(":modal") && outside(dialog, event)) dialog.close();
  });
}

function outside(dialog, { clientX, clientY }) {
  const box = dialog.getBoundingClientRect();
  return clientX < box.left || clientX > box.right || clientY < box.top || clientY > box.bottom;
}
