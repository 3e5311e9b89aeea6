/* What was typed and not sent, for each chat: it outlasts a reload and a closed page. */

const KEY = "caduceus-drafts";
const MOST = 40; // drafts; the oldest ones go first
const MOST_CHARACTERS = 400_000; // of all of them together

let kept = []; // where the browser stores nothing, for as long as the page lives

/** All drafts as [key, text], the newest first. */
function all() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(found) ? found.filter(([key, text]) => typeof key === "string" && typeof text === "string") : [];
  } catch {
    return kept;
  }
}

/** The draft of a key, "" where there is none. */
export function draft(key) {
  return all().find(([one]) => one === key)?.[1] ?? "";
}

/** Keep a draft; an empty text takes it away. */
export function keepDraft(key, text) {
  const others = all().filter(([one]) => one !== key);
  let characters = 0;
  kept = [...(text.trim() ? [[key, text]] : []), ...others]
    .slice(0, MOST)
    .filter(([, one], place) => (characters += one.length) <= MOST_CHARACTERS || place === 0);
  try {
    localStorage.setItem(KEY, JSON.stringify(kept));
  } catch {
    // private browsing, or no room: it lasts as long as the page
  }
}
