// The API of the server: requests, errors, and streams of events.

export class Failure extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

let onunauthorized = () => {};
// whenLoggedOut says what to do when the server does not know us any more.
export const whenLoggedOut = (f) => (onunauthorized = f);

async function request(method, path, body, signal) {
  let response;
  try {
    response = await fetch(path, {
      method, signal, headers: { "X-Tutti-Admin": "1", ...(body !== undefined && { "Content-Type": "application/json" }) },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (err) {
    if (err.name === "AbortError") throw err;
    throw new Failure(0, "offline", "The server does not answer.");
  }
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  const failure = new Failure(response.status, answer.error?.code ?? "", answer.error?.message ?? response.statusText);
  if (response.status === 401 && path !== "/api/login") onunauthorized();
  throw failure;
}

// query makes a path with those parameters that have a value.
export function query(path, parameters) {
  const q = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined && value !== null && value !== "") q.set(name, value);
  return q.size ? `${path}?${q}` : path;
}

export const get = (path, parameters = {}, signal) => request("GET", query(path, parameters), undefined, signal);
export const post = (path, body = {}) => request("POST", path, body);

// follow opens a stream of events, which reconnects by itself. It returns what ends it.
export function follow(path, parameters, listeners) {
  const source = new EventSource(query(path, parameters));
  for (const [name, f] of Object.entries(listeners)) {
    if (name === "state") continue;
    source.addEventListener(name, (event) => f(JSON.parse(event.data)));
  }
  source.onopen = () => listeners.state?.(true);
  source.onerror = () => {
    listeners.state?.(false);
    if (source.readyState === EventSource.CLOSED) get("/api/me").catch(() => {}); // if it is the login, that tells
  };
  return () => source.close();
}
