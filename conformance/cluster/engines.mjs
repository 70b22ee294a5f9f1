// The servers around a cluster, real ones on free ports: the engines that nodes share, and the balancers before them.
import { spawn } from "node:child_process";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { mine, within } from "../harness.mjs";

/** A server that is up when its port takes connections. Its command line is command(port). */
export class Server {
  output = "";
  #child;
  #exited;
  #port;

  constructor(data) {
    this.data = data;
  }

  get address() {
    return `http://127.0.0.1:${this.#port}`;
  }

  get port() {
    return this.#port;
  }

  get pid() {
    return this.#child.pid;
  }

  async start() {
    this.#port ??= await freePort();
    const [file, ...args] = this.command(this.#port);
    this.#child = mine(spawn(file, args, { stdio: ["ignore", "pipe", "pipe"] }));
    this.#exited = new Promise((resolve, reject) => {
      this.#child.once("error", reject);
      this.#child.once("exit", (code, signal) => resolve(signal ?? code));
    });
    this.#exited.catch(() => {}); // told below, or by stop
    for (const pipe of [this.#child.stdout, this.#child.stderr]) pipe.on("data", (chunk) => (this.output += chunk));
    await within(Promise.race([this.#listening(), this.#exited.then((how) => {
      throw new Error(`${file} ended (${how}) before it listened:\n${this.output}`);
    })]), `${file} to listen`);
  }

  async #listening() {
    while (!(await connects(this.#port))) await sleep(20);
  }

  /** stop ends it and resolves with how it ended. */
  async stop(signal) {
    if (!this.#child.kill(signal)) throw new Error(`it had ended (${await this.#exited}):\n${this.output}`);
    return within(this.#exited, `a server to end after ${signal}`);
  }
}

/** Redis writes to its file before it answers, and has the disk confirm it. */
class Redis extends Server {
  appendfsync = "always";

  command(port) {
    return ["redis-server", "--port", String(port), "--bind", "127.0.0.1", "--dir", this.data, "--save", "", "--appendonly", "yes", "--appendfsync", this.appendfsync];
  }

  url(link) {
    return link.replace("http:", "redis:");
  }
}

/** The disk confirms what it has once a second. */
class RedisEverysec extends Redis {
  appendfsync = "everysec";
}

class NATS extends Server {
  command(port) {
    return [process.env.NATS_SERVER ?? "nats-server", "--addr", "127.0.0.1", "--port", String(port), "--jetstream", "--store_dir", this.data];
  }

  url(link) {
    return link.replace("http:", "nats:");
  }

  /** Server 2.9 ends with 1 after a clean shutdown, too. */
  async stop(signal) {
    const how = await super.stop(signal);
    return signal === "SIGTERM" && how === 1 && this.output.includes("Server Exiting") ? 0 : how;
  }
}

export const engines = { redis: Redis, "redis-everysec": RedisEverysec, nats: NATS };

/** freePort resolves with a port that nobody listens on. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

function connects(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1", () => socket.end(() => resolve(true)));
    socket.once("error", () => resolve(false));
  });
}
