// Starts, stops and restarts the server under test, and waits for things with a deadline.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import net from "node:net";
import { after, before } from "node:test";
import { fileURLToPath } from "node:url";

// True when the tests check themselves against Node's own server instead of Tutti.
export const reference = process.env.TUTTI_REFERENCE === "1";

const DEADLINE = 10_000;

/** within settles as promise does, or fails with what we were waiting for when the deadline passes. */
export function within(promise, waitingFor, ms = DEADLINE) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${ms} ms passed, still waiting for ${waitingFor}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** event resolves with the arguments of the next event of that name. */
export function event(emitter, name, ms = DEADLINE) {
  return within(new Promise((resolve) => emitter.once(name, (...args) => resolve(args))), `the event "${name}"`, ms);
}

/** events resolves with the arguments of the next n events of that name, in the order of their arrival. */
export function events(emitter, name, n, ms = DEADLINE) {
  const got = [];
  const all = new Promise((resolve) => {
    const listener = (...args) => {
      got.push(args);
      if (got.length < n) return;
      emitter.off(name, listener);
      resolve(got);
    };
    emitter.on(name, listener);
  });
  return within(all, `${n} events "${name}"`, ms).catch((cause) => {
    throw new Error(`${cause.message}; ${got.length} came`);
  });
}

/** ask emits an event and resolves with the values of its acknowledgement. */
export function ask(socket, name, ...args) {
  return within(new Promise((resolve) => socket.emit(name, ...args, (...reply) => resolve(reply))), `the ack of "${name}"`);
}

/** plain makes values comparable: every kind of binary becomes {bytes: hex}, and what is long its length and digest. */
export function plain(value) {
  if (typeof value === "string" && value.length > 1000) return { length: value.length, digest: digest(value) };
  if (value instanceof ArrayBuffer) value = new Uint8Array(value);
  if (ArrayBuffer.isView(value)) return { bytes: plain(Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("hex")) };
  if (Array.isArray(value)) return value.map(plain);
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, plain(v)]));
  return value;
}

function digest(text) {
  return createHash("sha256").update(text).digest("hex");
}

/** The command line of the server under test. */
function command() {
  if (reference) return [process.execPath, fileURLToPath(new URL("reference/server.mjs", import.meta.url))];
  if (!process.env.TUTTI_SERVER) throw new Error("TUTTI_SERVER names no binary: start the tests with ./run.sh");
  return [process.env.TUTTI_SERVER];
}

// The processes that this file's tests have started and not ended yet.
const running = new Set();

/** mine notes a child process of the tests. One that they leave behind is an error, and killed: it would keep the file from ever ending. */
export function mine(child) {
  running.add(child);
  for (const gone of ["exit", "error"]) child.once(gone, () => running.delete(child));
  return child;
}

function killLeft() {
  for (const child of running) {
    console.error(`the tests left a process behind: ${child.spawnargs.join(" ")}`);
    child.kill("SIGKILL");
    process.exitCode = 1;
  }
}

// Hooks of the file itself, which come after this one, may yet end what runs.
if (process.env.NODE_TEST_CONTEXT) after(() => setTimeout(killLeft, 3 * DEADLINE).unref());

/** Program is one child process that prints the address it listens on. */
export class Program {
  #command;
  #child;
  #exited;
  output = "";
  url = "";

  constructor(commandLine) {
    this.#command = commandLine;
  }

  /** start runs the program until it has printed its address; again after stop: on the same port. */
  async start() {
    const listen = this.url ? new URL(this.url).host : "127.0.0.1:0";
    const [file, ...args] = this.#command;
    this.#child = mine(spawn(file, [...args, "--listen", listen], { stdio: ["ignore", "pipe", "pipe"] }));
    this.#exited = new Promise((resolve) => this.#child.once("exit", (code, signal) => resolve(signal ?? code)));
    const printed = new Promise((resolve, reject) => {
      const read = (chunk) => {
        this.output += chunk;
        const address = /https?:\/\/[\d.]+:\d+/.exec(this.output.slice(from));
        if (address) resolve(address[0]);
      };
      const from = this.output.length;
      this.#child.stdout.on("data", read);
      this.#child.stderr.on("data", read);
      this.#child.once("error", reject);
      this.#exited.then((how) => reject(new Error(`the server ended (${how}) before it listened:\n${this.output}`)));
    });
    this.url = await within(printed, `the address that ${file} prints`);
    return this;
  }

  /** pid is the number of the process. */
  get pid() {
    return this.#child.pid;
  }

  /** signal sends a signal that does not end the program. */
  signal(name) {
    if (!this.#child.kill(name)) throw new Error(`the server had ended:\n${this.output}`);
  }

  /** ended resolves with how the program ended, by itself. */
  ended() {
    return within(this.#exited, "a server to end by itself");
  }

  /** stop ends the program with a signal and resolves with how it ended. A program that is gone already is an error. */
  async stop(signal = "SIGKILL") {
    if (!this.#child.kill(signal)) throw new Error(`the server had ended (${await this.#exited}):\n${this.output}`);
    return within(this.#exited, `the server to end after ${signal}`);
  }

  /** signal sends a signal that it survives. */
  signal(name) {
    this.#child.kill(name);
  }

  /** restart ends the program and starts it on the same port. */
  async restart(signal) {
    await this.stop(signal);
    return this.start();
  }
}

/** serve runs the server under test with the given flags during the tests of the scope it is called in. */
export function serve(...flags) {
  const server = new Program([...command(), ...flags]);
  before(() => server.start());
  after(() => server.stop());
  return server;
}

/**
 * turnstile is a TCP proxy before the server at url that lets everything through but WebSocket connections: they wait
 * until open() is called. It resolves with {url, open}.
 */
export async function turnstile(t, url) {
  let open;
  const opened = new Promise((resolve) => (open = resolve));
  const sockets = new Set();
  const keep = (socket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("error", () => {}); // the other side is told by the end of its own connection
    socket.on("close", () => sockets.delete(socket));
    return socket;
  };
  const proxy = net.createServer((downstream) => {
    keep(downstream).once("data", async (head) => {
      downstream.pause();
      if (head.toString("latin1").split("\r\n", 1)[0].includes("transport=websocket")) await opened;
      const upstream = keep(net.connect(new URL(url).port, new URL(url).hostname));
      upstream.write(head);
      downstream.pipe(upstream).pipe(downstream);
    });
  });
  t.after(() => {
    proxy.close();
    for (const socket of sockets) socket.destroy();
  });
  await within(new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve)), "the turnstile to listen");
  return { url: `http://127.0.0.1:${proxy.address().port}`, open };
}
