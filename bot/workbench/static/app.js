/* Puts the parts of the page together. The server tells what happens; the page draws it. */

import { $, announce, confirmed, el, tell, toast } from "./dom.js";
import { LOST, call, listen } from "./api.js";
import { Composer } from "./composer.js";
import { Conversations } from "./conversations.js";
import { Personas } from "./personas.js";
import { Facts } from "./facts.js";
import { Scene } from "./scene.js";
import { Settings } from "./settings.js";
import { Sidebar } from "./sidebar.js";
import { Transcript, listening } from "./turns.js";
import { Workshop } from "./workshop.js";
import { explain } from "./why.js";

const PREPARING = new Set(["starting", "restarting"]);
const LONG_WAIT_SECONDS = 10;
const REFRESH_MILLISECONDS = 250;

let chat = null;
let hush = () => {}; // ends the stream of the chat that is shown
let state = { busy: false, live: null, persona: null, engine: null, skipped: 0, connected: true };
let refreshing = null;

/** A call to the server for a chat, whose failure is a line on the page. True when it went well. */
async function act(method, path, body, where = chat) {
  try {
    await call(method, `chats/${where}/${path}`, body);
    return true;
  } catch (error) {
    toast(error.message);
    return false;
  }
}

const transcript = new Transcript({
  regenerate: (turn) => act("POST", `turns/${turn.id}/regenerate`),
  continueReply: (turn) => act("POST", `turns/${turn.id}/continue`),
  swipe: (turn, step) => act("POST", `turns/${turn.id}/swipe`, { step }),
  edit: (turn, text) => act("PUT", `turns/${turn.id}`, { text }),
  why: (turn) => explain(chat, turn),
  fork: async (turn) => {
    try {
      const { id } = await call("POST", `chats/${chat}/turns/${turn.id}/fork`);
      sidebar.pick(id);
      toast("This chat goes on from there. The other one stays as it is.");
    } catch (error) {
      toast(error.message);
    }
  },
  rescue: (text) => {
    composer.giveBack(text);
    toast("The message that you were editing is gone. Your text stands in the message field.");
  },
  remove: async (turn) => {
    const whose = turn.role === "bot" ? `this reply of ${turn.name}` : "this message";
    const swipes = turn.swipes > 1 ? ` with its ${turn.swipes} versions` : "";
    if (await confirmed(`Delete ${whose}${swipes}? It cannot be brought back.`, "Delete")) await act("DELETE", `turns/${turn.id}`);
  },
});
const composer = new Composer((where, text) => {
  transcript.toEnd();
  return act("POST", "messages", { text, name: sidebar.name }, where);
});
const conversations = new Conversations();
const sidebar = new Sidebar((id) => (location.hash = id), () => show(chat));
const personas = new Personas(sidebar);
const settings = new Settings(new Facts());
const scene = new Scene(sidebar);
const workshop = new Workshop((persona) => personas.choose(persona));

/* ---- what the server tells ---- */

const handlers = {
  snapshot(snapshot) {
    Object.assign(state, { busy: snapshot.busy, live: snapshot.live, persona: snapshot.persona, skipped: snapshot.skipped });
    personas.show(chat, snapshot.persona);
    scene.tell(snapshot.scene);
    transcript.setBusy(snapshot.busy);
    transcript.draw(snapshot.turns);
    note(snapshot.note);
    handlers.engine(snapshot.engine);
    refreshSoon();
  },
  turn(turn) {
    transcript.show(turn);
    update();
    refreshSoon();
  },
  began(turn) {
    state.live = turn.id;
    note(null);
    transcript.show(turn);
    announce(`${turn.name} is writing.`);
    update();
  },
  text({ turn, text }) {
    transcript.append(turn, text);
  },
  gone({ turn }) {
    transcript.remove(turn);
    update();
    refreshSoon();
  },
  ended(ended) {
    state.live = null;
    transcript.setSpeed(ended.turn, ended.speed);
    const how = ended.stopped ? " Stopped." : ended.at_limit ? " Cut at the length limit." : "";
    if (ended.text) announce(`${ended.name}: ${ended.text}${how}`);
    update();
  },
  busy({ busy }) {
    state.busy = busy;
    if (!busy) state.live = null;
    transcript.setBusy(busy);
    update();
  },
  note(given) {
    note(given.text ? given : null);
  },
  scene({ scene: told }) {
    scene.tell(told);
  },
  settings({ settings: all }) {
    if ($("settings").open) settings.draw(all);
  },
  engine(engine) {
    state.engine = engine;
    sidebar.engine(engine);
    update();
  },
};

function refreshSoon() {
  clearTimeout(refreshing);
  refreshing = setTimeout(() => sidebar.refresh(chat).catch((error) => toast(error.message)), REFRESH_MILLISECONDS);
}

/* ---- what follows from the state ---- */

function update() {
  const { busy, live, persona, engine, connected } = state;
  $("stop").hidden = !busy;
  $("earlier").hidden = !state.skipped;
  const opening = transcript.turns.get(transcript.first());
  if (persona) listening(persona, !state.skipped && opening?.role !== "bot");
  banner(engine, connected);
  const waits = busy && live === null && engine;
  $("waiting").hidden = !waits;
  if (waits) $("waiting").textContent = waitingLine(engine, persona);
  offerAnswer();
  transcript.follow();
}

function waitingLine(engine, persona) {
  if (PREPARING.has(engine.state)) return `${persona.name} answers as soon as the model is ready.`;
  if (engine.wait >= LONG_WAIT_SECONDS) return `The model is busy: about ${engine.wait} seconds to go.`;
  return "Waiting for the model …";
}

function banner(engine, connected) {
  const preparing = engine && PREPARING.has(engine.state);
  const stopped = engine?.state === "stopped";
  $("banner").hidden = connected && !preparing && !stopped && !engine?.problem;
  const progress = connected && preparing ? engine.progress : null;
  $("banner-progress").hidden = !(connected && preparing);
  if (progress === null || progress === undefined) $("banner-progress").removeAttribute("value");
  else $("banner-progress").value = progress;
  setText($("banner-text"), bannerText(engine, connected));
}

function bannerText(engine, connected) {
  if (!connected) return LOST;
  const cause = engine?.error ? ` ${engine.error}` : "";
  if (engine?.state === "stopped") return `The model has stopped.${cause} Start Caduceus again.`;
  if (engine?.problem && !PREPARING.has(engine.state)) return engine.problem;
  if (engine?.state === "restarting") return `The model broke off and is being started again.${cause}`;
  const percent = typeof engine?.progress === "number" ? ` (${Math.round(engine.progress * 100)} %)` : "";
  const minutes = Math.floor((engine?.starting ?? 0) / 60);  // a live region: not every second
  const since = minutes ? `, for ${minutes} min so far` : "";
  return `The model is being prepared${engine?.activity ? `: ${engine.activity}` : ""}${percent}${since}. You can write already.`;
}

/** Change a live region only when it says something else. */
function setText(node, text) {
  if (node.told !== text) tell(node, (node.told = text));
}

let shownNote = null;

function note(given) {
  shownNote = given;
  if (!given) $("note").replaceChildren();
  else $("note").replaceChildren(tell(el("span"), given.text));
  offerAnswer();
  transcript.follow();
}

/** A message that nobody answered can be answered still; one that is too long has to be edited first. */
function offerAnswer() {
  const old = $("note").querySelector("button");
  const unanswered = !state.busy && transcript.turns.size > 0 && transcript.last().role === "user";
  if (unanswered === Boolean(old)) return;
  const { id } = unanswered ? transcript.last() : {};
  if (!unanswered) {
    old.remove();
    if (!shownNote) $("note").replaceChildren();
    return;
  }
  if (!shownNote) $("note").replaceChildren(el("span", { textContent: "This message has no answer." }));
  if (shownNote?.is_too_long) {
    $("note").append(el("button", { type: "button", textContent: "Edit it", on: { click: () => transcript.edit(id) } }));
    return;
  }
  $("note").append(el("button", { type: "button", textContent: shownNote ? "Try again" : "Answer it",
    on: { click: () => ($("message").focus(), act("POST", "answer")) } }));
}

/* ---- what the person does ---- */

async function stop() {
  if (await act("POST", "stop")) $("message").focus();
}

function show(id) {
  hush();
  chat = id;
  Object.assign(state, { busy: false, live: null, persona: null });
  sidebar.current = id;
  transcript.chat = id;
  composer.show(id);
  conversations.show(id);
  $("export-text").href = `/api/chats/${id}/export?format=text`;
  $("export-json").href = `/api/chats/${id}/export`;
  settings.show(id);
  scene.show(id);
  hush = listen(id, sidebar.name, handlers, (connected) => {
    state.connected = connected;
    update();
  });
}

async function open() {
  const wanted = location.hash.slice(1);
  if (wanted && wanted === chat) return;
  try {
    const { chats } = await call("GET", "chats");
    const found = chats.find((one) => one.id === wanted) ?? chats.sort((a, b) => (b.at ?? "").localeCompare(a.at ?? ""))[0];
    if (found.id !== wanted) history.replaceState(null, "", `#${found.id}`);
    if (found.id !== chat) show(found.id);
  } catch (error) {
    toast(error.message);
    setTimeout(open, 2000);
  }
}

$("message").addEventListener("keydown", (event) => {
  const mine = event.key === "ArrowUp" && !event.target.value && transcript.lastOfPerson();
  if (mine) (event.preventDefault(), transcript.edit(mine.id));
});
$("stop").addEventListener("click", stop);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && state.busy && !event.defaultPrevented && !document.querySelector("dialog:modal, :popover-open")) stop();
});

$("new-chat").addEventListener("click", async () => {
  try {
    const created = await call("POST", "chats");
    sidebar.pick(created.id);
    $("message").focus();
  } catch (error) {
    toast(error.message);
  }
});

$("reset").addEventListener("click", async () => {
  $("menu").hidePopover();
  const here = chat;
  try {
    const { conversation_id: old } = await call("POST", `chats/${here}/reset`);
    toast("A new conversation begins. The old one is kept under «Earlier conversations».", ["Undo", () => call("POST", `chats/${here}/restore`, { conversation_id: old }).catch((error) => toast(error.message))]);
    $("message").focus();
  } catch (error) {
    toast(error.message);
  }
});
for (const id of ["export-text", "export-json"]) $(id).addEventListener("click", () => $("menu").hidePopover());

$("earlier").addEventListener("click", async () => {
  try {
    const { turns, skipped } = await call("GET", `chats/${chat}/turns/${transcript.first()}/earlier`);
    state.skipped = skipped;
    transcript.prepend(turns);
    update();
  } catch (error) {
    toast(error.message);
  }
});

addEventListener("hashchange", open);
open();
workshop.offer();
if (matchMedia("(hover: hover)").matches) $("message").focus();
