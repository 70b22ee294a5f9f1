// Engine.IO without a client library: plain HTTP requests and plain WebSockets.
import http from "node:http";
import WebSocket from "ws";
import { within } from "./harness.mjs";

/** Wire is a WebSocket whose messages are read one by one: text as a string, binary as {bytes: hex}. */
export class Wire {
  #waiting = [];
  #messages = [];

  constructor(url, options) {
    this.ws = new WebSocket(url.replace(/^http/, "ws"), options);
    this.ws.on("message", (data, binary) => {
      const message = binary ? { bytes: data.toString("hex") } : data.toString();
      const next = this.#waiting.shift();
      if (next) next(message);
      else this.#messages.push(message);
    });
    this.opened = within(new Promise((resolve, reject) => {
      this.ws.once("open", resolve);
      this.ws.once("error", reject); // a refusal: "Unexpected server response: 400"
    }), "the WebSocket to open");
    this.opened.catch(() => {});
    this.ws.on("error", () => {}); // a refusal or a reset: "closed" tells
    this.ended = new Promise((resolve) => this.ws.once("close", (code, reason) => resolve({ code, reason: reason.toString() })));
  }

  send(...messages) {
    for (const message of messages) this.ws.send(message);
  }

  /** next resolves with the next message. */
  next() {
    if (this.#messages.length > 0) return Promise.resolve(this.#messages.shift());
    return within(new Promise((resolve) => this.#waiting.push(resolve)), "a message on the WebSocket");
  }

  /** closed resolves with {code, reason} when the connection has ended. */
  closed() {
    return within(this.ended, "the WebSocket to be closed");
  }
}

/** wire opens a WebSocket and closes it after the test t. */
export function wire(t, url, options) {
  const w = new Wire(url, options);
  t.after(() => w.ws.terminate());
  return w;
}

/** Polling is one long-polling session. */
export class Polling {
  constructor(server, path = "/socket.io/", protocol = 4) {
    this.url = `${server.url}${path}?EIO=${protocol}&transport=polling`;
  }

  /** open makes the handshake and resolves with what the server announced. */
  async open(query = "") {
    const response = await fetch(this.url + query);
    const text = await response.text();
    if (response.status !== 200) throw new Error(`the handshake was answered ${response.status} ${text}`);
    const handshake = JSON.parse(text.slice(text.indexOf("{"), text.lastIndexOf("}") + 1));
    this.sid = handshake.sid;
    this.url += `&sid=${this.sid}`;
    return handshake;
  }

  get webSocket() {
    return this.url.replace("transport=polling", "transport=websocket");
  }

  /** poll resolves with {status, text} of one GET. */
  async poll(options) {
    const response = await within(fetch(this.url, options), "the answer of a poll");
    return { status: response.status, text: await response.text(), headers: response.headers };
  }

  /** push resolves with {status, text} of one POST. */
  push(body, options) {
    return this.poll({ method: "POST", body, ...options });
  }

  /** packets polls until it has n packets of the 4th protocol and resolves with them. */
  async packets(n) {
    const got = [];
    while (got.length < n) {
      const { status, text } = await this.poll();
      if (status !== 200) throw new Error(`a poll was answered ${status} ${text}, having ${JSON.stringify(got)}`);
      got.push(...text.split("\x1e"));
    }
    return got;
  }
}

/** polling opens a long-polling session. */
export async function polling(...args) {
  const p = new Polling(...args);
  await p.open();
  return p;
}

/** request makes one HTTP request exactly as told (fetch adds and forbids headers) and resolves with {status, headers, body}. */
export function request(url, { method = "GET", headers = {}, body } = {}) {
  const answer = new Promise((resolve, reject) => {
    const r = http.request(url, { method, headers, agent: false }, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) }));
      response.on("error", reject);
    });
    r.on("error", reject);
    r.end(body);
  });
  return within(answer, `the answer to ${method} ${url}`);
}
