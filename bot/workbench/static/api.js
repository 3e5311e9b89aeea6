/* The calls to the server, and the stream of what happens in a chat. */

/** The one line for a lost connection. */
export const LOST = "The connection to Caduceus is lost. It comes back by itself once the program runs again.";
const RETRY_MILLISECONDS = 2000;

/** What went wrong, in a line for people. */
export class ApiError extends Error {
  constructor(message, fix = "", status = 0) {
    super(fix ? `${message} ${fix}` : message);
    this.status = status;
  }
}

export async function call(method, path, body) {
  const options = { method, headers: { Accept: "application/json" } };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  return answered(`/api/${path}`, options);
}

/** Send a file as it is. */
export async function send(path, file) {
  const headers = { Accept: "application/json", "Content-Type": "application/octet-stream" };
  return answered(`/api/${path}`, { method: "POST", headers, body: file });
}

/** The answer to a request, as JSON. Throws an ApiError. */
async function answered(address, options) {
  const response = await reached(address, options);
  const answer = await response.json().catch(() => null);
  if (response.ok && answer) return answer;
  throw refused(response, answer);
}

/** A file of the server, as [blob, warnings, file name]. Throws an ApiError. */
export async function download(path) {
  const response = await reached(`/api/${path}`);
  if (!response.ok) throw refused(response, await response.json().catch(() => null));
  return [await response.blob(), JSON.parse(response.headers.get("X-Warnings") ?? "[]"), fileName(response)];
}

async function reached(address, options) {
  try {
    return await fetch(address, options);
  } catch {
    throw new ApiError(LOST);
  }
}

function refused(response, answer) {
  return new ApiError(answer?.error ?? "Something broke here.", answer?.fix ?? "The log has it.", response.status);
}

function fileName(response) {
  const named = /filename\*=UTF-8''([^;]+)/.exec(response.headers.get("Content-Disposition") ?? "");
  return named ? decodeURIComponent(named[1]) : "persona";
}

/** Listen to a chat. `handlers` maps event names to functions; returns a function that ends it. */
export function listen(chat, name, handlers, onConnection) {
  let source;
  let retry;
  const connect = () => {
    source = new EventSource(`/api/chats/${chat}/events?name=${encodeURIComponent(name)}`);
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => handle(JSON.parse(event.data)));
    }
    source.onopen = () => onConnection(true);
    source.onerror = () => {
      onConnection(false);
      // After a refusal the browser does not try again by itself.
      if (source.readyState === EventSource.CLOSED) retry = setTimeout(connect, RETRY_MILLISECONDS);
    };
  };
  connect();
  return () => {
    clearTimeout(retry);
    source.close();
  };
}
