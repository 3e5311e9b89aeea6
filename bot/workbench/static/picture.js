/* The picture of a persona in the editor: chosen, dropped on the head, or taken away. */

import { confirmed, el } from "./dom.js";

export const MOST_BYTES = 8 * 1024 * 1024;
const KINDS = "image/png,image/jpeg,image/webp,image/gif";

/** A line of buttons; `change` is called with a file that was chosen, or with null for none. */
export function pictureLine(name, hasPicture, change) {
  const choose = () => {
    const input = el("input", { type: "file", accept: KINDS, on: { change: () => input.files.length && change(input.files[0]) } });
    input.click();
  };
  const remove = async () => {
    if (await confirmed(`Remove the picture of «${name}»?`, "Remove it")) change(null);
  };
  return el("p", { className: "exports" }, el("span", { textContent: "Picture" }),
    el("button", { type: "button", textContent: hasPicture ? "Change" : "Choose one", attrs: { "aria-label": hasPicture ? "Change the picture" : "Choose a picture" }, on: { click: choose } }),
    hasPicture ? el("button", { type: "button", textContent: "Remove", attrs: { "aria-label": "Remove the picture" }, on: { click: remove } }) : "",
    el("span", { className: "hint", textContent: "or drop one here" }));
}
