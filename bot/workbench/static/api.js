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
  let response;
  try {
    response = await fetch(`/api/${path}`, options);
  } catch {
    throw new ApiError(LOST);
  }
  const answer = await response.json().catch(() => null);
  if (response.ok && answer) return answer;
  throw new ApiError(answer?.error ?? "Something broke here.", answer?.fix ?? "The log has it.", response.status);
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
