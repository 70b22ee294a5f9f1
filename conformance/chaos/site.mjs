// What the clients are served by, and how it breaks: one server, or the nodes of a cluster with the engine they share.
import { spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Program, within } from "../harness.mjs";
import { engines } from "../cluster/engines.mjs";
import { mixes } from "./plan.mjs";
import { Proxy } from "./proxy.mjs";

/** A site notes ends of its programs that it did not ask for, or that were not clean. */
class Site {
  exits = [];

  constructor({ say }) {
    this.say = say;
  }

  /** stop ends a program, and takes down whatever is wrong with its end. */
  async stop(program, signal) {
    try {
      const how = await program.stop(signal);
      if (how !== (signal === "SIGKILL" ? signal : 0)) this.exits.push(`${signal}: it ended with ${how}`);
    } catch (err) {
      this.exits.push(`${signal}: ${err.message.slice(-1000)}`);
      await program.stop("SIGKILL").catch(() => {}); // it has ended, then
    }
  }
}

/** One is a server alone. */
export class One extends Site {
  mix = mixes.one;

  constructor({ command, say }) {
    super({ say });
    this.server = new Program(command);
  }

  open() {
    return this.server.start();
  }

  target() {
    return this.server.url;
  }

  /** break does what a fault says and resolves with for how long the server was away. */
  async break({ kind, down, again }) {
    const began = Date.now();
    for (const pause of again ? [0, again] : [0]) {
      await sleep(pause);
      const times = [Date.now()];
      await this.stop(this.server, kind === "kill" ? "SIGKILL" : "SIGTERM");
      times.push(Date.now());
      await sleep(down);
      times.push(Date.now());
      await this.server.start();
      times.push(Date.now());
      this.say(`  ended in ${times[1] - times[0]} ms, listened again in ${times[3] - times[2]} ms`);
    }
    return Date.now() - began;
  }

  close() {
    return this.stop(this.server, "SIGTERM");
  }

  output() {
    return tail(this.server, 40);
  }
}

/**
 * Move is a server alone that is moved to an engine by the first fault, and from then on a node there, on the same port.
 */
export class Move extends Site {
  mix = ["migrate"];
  moves = true;
  #node;

  constructor({ command, node, engine, data, say }) {
    super({ say });
    Object.assign(this, { data, node, engine: new engines[engine](join(data, "engine")) });
    this.server = new Program(command(join(data, "data")));
  }

  async open() {
    await mkdir(join(this.data, "engine"), { recursive: true });
    await this.engine.start();
    await this.server.start();
  }

  target() {
    return this.server.url;
  }

  async break({ down }) {
    const began = Date.now();
    if (this.#node) {
      await this.stop(this.#node, "SIGKILL");
      await sleep(down);
      await this.#node.start();
      return Date.now() - began;
    }
    const url = this.engine.url(this.engine.address);
    const [how, said] = await tutti("migrate", "--from", join(this.data, "data"), "--to", url);
    this.say(said.trim());
    if (how !== 0) throw new Error(`tutti migrate ended with ${how}: ${said}`);
    if ((await this.server.ended()) !== 0) this.exits.push(`the server that was moved did not end well:\n${this.output()}`);
    this.#node = new Program(this.node(url));
    this.#node.url = this.server.url;
    await this.#node.start();
    return Date.now() - began;
  }

  async close() {
    await this.stop(this.#node ?? this.server, "SIGTERM");
    await this.stop(this.engine, "SIGTERM");
  }

  output() {
    return [tail(this.server, 20), this.#node && tail(this.#node, 20), tail(this.engine, 10)].filter(Boolean).join("\n");
  }
}

/** tutti runs a command and resolves with its exit code and what it said. */
export function tutti(...args) {
  const child = spawn(process.env.TUTTI_BIN || fileURLToPath(new URL("../../bin/tutti", import.meta.url)), args, { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const pipe of [child.stdout, child.stderr]) pipe.on("data", (chunk) => (said += chunk));
  return within(new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve([signal ?? code, said]));
  }), `tutti ${args[0]} to end`, 60_000);
}

/**
 * Cluster is three nodes that share an engine, which each reaches through a proxy of its own. New connections go to the
 * nodes in turn, so that the polls of one session land anywhere.
 */
export class Cluster extends Site {
  mix = mixes.cluster;
  #nodes = [];
  #turn = 0;
  #exchanged = 0;

  constructor({ command, engine, data, say, nodes = 3 }) {
    super({ say });
    Object.assign(this, { command, data, size: nodes, engine: new engines[engine](join(data, "engine")) });
  }

  async open() {
    await mkdir(join(this.data, "engine"), { recursive: true });
    await this.engine.start();
    for (let i = 0; i < this.size; i++) {
      const link = await new Proxy(() => this.engine.address).listen();
      const program = new Program(this.command(this.engine.url(link.url)));
      await program.start();
      this.#nodes.push({ name: `node ${i}`, program, link, up: true });
    }
  }

  /** As a balancer does that has noticed which nodes are down. */
  target() {
    const up = this.#nodes.filter((n) => n.up);
    const from = up.length > 0 ? up : this.#nodes;
    return from[this.#turn++ % from.length].program.url;
  }

  async break({ kind, which, way, down, lasts, killed }) {
    const began = Date.now();
    const node = this.#nodes[(which ?? 0) % this.#nodes.length];
    switch (kind) {
      case "node":
      case "drain":
        await this.#restart(node, kind === "node" ? "SIGKILL" : "SIGTERM", down);
        break;
      case "rolling":
        for (const each of this.#nodes) await this.#restart(each, "SIGTERM", down);
        break;
      case "upgrade":
        await this.#exchange(killed ? "SIGKILL" : "SIGTERM", down);
        break;
      case "pause":
        node.program.signal("SIGSTOP");
        await sleep(lasts);
        node.program.signal("SIGCONT");
        break;
      case "engine":
        await this.stop(this.engine, "SIGKILL");
        await sleep(down);
        await this.engine.start();
        break;
      case "partition":
      case "deafnode":
        node.link.hold(way);
        await sleep(lasts);
        // What was under way is lost with its connections, as when a cable is pulled for long.
        node.link.cut();
        node.link.release();
        break;
      default:
        throw new Error(`a cluster has no fault ${kind}`);
    }
    return Date.now() - began;
  }

  async #restart(node, signal, down, next = node.program) {
    const began = Date.now();
    node.up = signal === "SIGKILL"; // a balancer is told of a drain; of a death it learns by refused connections
    await this.stop(node.program, signal);
    const ended = Date.now();
    node.up = false;
    await sleep(down);
    node.program = next;
    await node.program.start();
    node.up = true;
    this.say(`  ${node.name} ended in ${ended - began} ms`);
  }

  /** exchange ends the next node, in turn, and starts the other program in its place: TUTTI_OTHER, or TUTTI_BIN again. */
  async #exchange(signal, down) {
    const node = this.#nodes[this.#exchanged++ % this.#nodes.length];
    if (!process.env.TUTTI_OTHER) throw new Error("TUTTI_OTHER must name the program of the other version");
    node.other = !node.other;
    const [file, ...args] = this.command(this.engine.url(node.link.url));
    const program = new Program([node.other ? process.env.TUTTI_OTHER : file, ...args]);
    program.url = node.program.url;
    await this.#restart(node, signal, down, program);
    this.say(`  ${this.#nodes.filter((n) => n.other).length} nodes of the other version`);
  }

  async close() {
    for (const { program } of this.#nodes) await this.stop(program, "SIGTERM");
    for (const { link } of this.#nodes) link.close();
    await this.stop(this.engine, "SIGTERM");
  }

  output() {
    return [...this.#nodes.map((n) => `${n.name}:\n${tail(n.program, 20)}`), `engine:\n${tail(this.engine, 10)}`].join("\n");
  }
}

const tail = (program, lines) => program.output.split("\n").slice(-lines).join("\n");
