// One run: a server or several, clients behind their proxies, faults by plan, then peace, end markers, and the count.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { within } from "../harness.mjs";
import { check, failures } from "./checker.mjs";
import { publisher, Subscriber } from "./clients.mjs";
import { Ledger } from "./ledger.mjs";
import { plan, tell } from "./plan.mjs";
import { Proxy } from "./proxy.mjs";
import { Random } from "./random.mjs";
import { Cluster, Move, One } from "./site.mjs";

/** The heartbeat that servers under test are started with: short, so that half-open connections end within a run. */
export const heartbeat = { interval: 1500, timeout: 1500 };

/** What a run is made of, unless told otherwise: section 5.1 of the definition. Times in milliseconds. */
export const defaults = { publishers: 6, rate: 30, rooms: 3, subscribers: 12, every: 4000, duration: 20_000 };

/**
 * run does one and resolves with what check found, and with failed: the names of the bars not cleared, and "nothing"
 * if the run showed nothing. command makes the server's command line from its data directory; with engine it makes that
 * of each node of a cluster, from the engine's URL. With node, too, command makes that of a server alone, and node that
 * of the node that follows it.
 */
export async function run({ command, engine, node, kind, seed, say = () => {}, ...sizes }) {
  const data = await mkdtemp(join(tmpdir(), "tutti-chaos-"));
  const site = node ? new Move({ command, node, engine, data, say }) : engine ? new Cluster({ command, engine, data, say }) : new One({ command: command(data), say });
  const stage = new Stage({ ...defaults, ...sizes, kind, seed, say, site });
  try {
    await stage.open();
    await stage.play();
    await stage.settle();
    await stage.end();
  } finally {
    await stage.close();
  }
  const result = check(stage.ledger);
  const failed = failures(result);
  say(`the latest: ${result.worst.words}`);
  if (result.owed === 0 || stage.faults.length !== stage.done || (stage.faults.length === 0) !== (kind === "none")) failed.push("nothing");
  if (failed.length === 0) await rm(data, { recursive: true });
  return { kind, ...result, failed, faults: stage.done, down: stage.down, refused: stage.ledger.refusals, data, output: stage.output() };
}

class Stage {
  done = 0; // faults
  down = 0; // the longest that anything was away by our doing
  #proxies = [];
  #began = Date.now();

  constructor(options) {
    Object.assign(this, options);
    const random = new Random(`${this.seed} ${this.kind}`);
    this.random = random;
    this.ledger = new Ledger(this.seed);
    this.ledger.moved = this.site.moves;
    this.faults = plan({
      random: random.fork("plan"), kind: this.kind, duration: this.duration, every: this.every,
      clients: this.publishers + this.subscribers, mix: this.site.mix,
    });
  }

  async open() {
    await this.site.open();
    const rooms = Array.from({ length: this.rooms }, (_, i) => `chat:${i}`);
    for (let i = 0; i < this.subscribers; i++) {
      // Each in two thirds of the rooms.
      const mine = rooms.filter((_, r) => (i + r) % 3 !== 2 || rooms.length < 3);
      this.ledger.subscribers.push(new Subscriber(await this.#client(`s${i}`, i), { rooms: mine }));
    }
    for (let i = 0; i < this.publishers; i++) {
      const duty = { random: this.random.fork(`p${i}`), rooms, rate: this.rate };
      this.ledger.publishers.push(publisher(await this.#client(`p${i}`, i), duty));
    }
    await within(Promise.all(this.ledger.subscribers.map((s) => s.seated)), "every subscriber to be in its rooms", 20_000);
    await this.#until(() => this.#all().every((c) => c.socket.connected), 20_000);
  }

  async #client(name, index) {
    const proxy = await new Proxy(() => this.site.target()).listen();
    this.#proxies.push(proxy);
    return { name, index, ledger: this.ledger, url: proxy.url };
  }

  #all() {
    return [...this.ledger.subscribers, ...this.ledger.publishers];
  }

  /** play publishes and breaks things. Faults of the network that last may overlap with the next fault. */
  async play() {
    for (const p of this.ledger.publishers) p.start();
    this.#began = this.ledger.began = Date.now();
    const lasting = [];
    for (const fault of this.faults) {
      await sleep(Math.max(0, fault.at - (Date.now() - this.#began)));
      this.say(tell(fault));
      const over = fault.hit ? this.#network(fault) : this.#break(fault);
      if (fault.hit) lasting.push(over);
      else await over;
      this.done++;
    }
    await sleep(Math.max(0, this.duration - (Date.now() - this.#began)));
    await Promise.all(lasting);
    for (const proxy of this.#proxies) proxy.cutAmid(Infinity);
  }

  async #network({ kind, hit, told, lasts, again, amid }) {
    this.down = Math.max(this.down, kind === "half" ? heartbeat.interval + heartbeat.timeout : (lasts ?? again));
    const proxies = hit.map((i) => this.#proxies[i]);
    if (kind === "half") {
      for (const i of hit) this.#proxies[i].forget(told.includes(i));
      return;
    }
    const [begin, over] = { cut: ["cut", "cut"], hole: ["hold", "release"], offline: ["offline", "online"] }[kind];
    for (const proxy of proxies) proxy[begin]();
    if (amid) for (const proxy of proxies) proxy.cutAmid(amid);
    if (kind === "cut" && !again) return;
    await sleep(kind === "cut" ? again : lasts);
    for (const proxy of proxies) proxy[over]();
  }

  async #break(fault) {
    this.down = Math.max(this.down, await this.site.break(fault)); // some clients do not make it back in between
  }

  /** settle lets the clients come back and the server find the dead connections, while messages go on. */
  async settle() {
    await this.#until(() => this.#all().every((c) => c.socket.connected), 20_000);
    const ghosts = this.faults.some((f) => ["half", "hole", "pause"].includes(f.kind));
    await sleep(ghosts ? heartbeat.interval + heartbeat.timeout + 1500 : 1000);
    for (const p of this.ledger.publishers) p.stop();
    await this.#acknowledged();
  }

  /** end sends a marker from everyone to every room, and waits until all is delivered or nothing comes any more. */
  async end() {
    for (const p of this.ledger.publishers) for (const room of p.rooms) p.publish(room, { end: true });
    await this.#acknowledged();
    const got = () => this.ledger.subscribers.reduce((n, s) => n + s.got.length, 0);
    const deadline = Date.now() + 60_000;
    let [last, since] = [got(), Date.now()];
    // What is complete may still be followed by duplicates.
    while (Date.now() < deadline && Date.now() - since < (this.#complete() ? 1000 : 8000)) {
      await sleep(100);
      if (got() !== last) [last, since] = [got(), Date.now()];
    }
    for (const s of this.ledger.subscribers) s.connected = s.socket.connected;
  }

  #acknowledged() {
    return this.#until(() => this.ledger.publishers.every((p) => p.pending.length === 0), 20_000);
  }

  #complete() {
    const acked = [...this.ledger.messages.values()].filter((m) => m.acked);
    return this.ledger.subscribers.every((s) => acked.filter((m) => s.rooms.includes(m.room)).length <= s.got.length);
  }

  /** #until waits for a condition that may never hold: the count will tell. */
  async #until(holds, ms) {
    const deadline = Date.now() + ms;
    while (!holds() && Date.now() < deadline) await sleep(50);
  }

  async close() {
    for (const p of this.ledger.publishers) p.stop();
    for (const client of this.#all()) client.socket.close();
    for (const proxy of this.#proxies) proxy.close();
    await this.site.close();
    this.ledger.exits.push(...this.site.exits);
  }

  output() {
    return this.site.output();
  }
}
