// The publishers and subscribers: stock clients, used as an application would use them.
import { createRequire } from "node:module";
import { ways } from "../clients.mjs";

const { io } = createRequire(import.meta.url)("socket.io-client");

const ackTimeout = 2000; // then a publish is sent again, a join is asked for again
const window = 4; // how many messages of a publisher may wait for their acks

/** The event of all messages. */
export const event = "note";

/** Client is one socket with what both kinds have in common: it counts how it came back. */
class Client {
  reconnects = 0;
  unrecovered = []; // reconnects that were not recovered, in words
  reason = ""; // of the last disconnect
  #connects = 0;

  constructor({ name, index, ledger, url, options }) {
    this.name = name;
    this.ledger = ledger;
    this.way = ways[index % ways.length];
    this.socket = io(url, {
      forceNew: true,
      transports: this.way.transports,
      reconnectionDelay: 100,
      reconnectionDelayMax: 500,
      timeout: 5000,
      ...options,
    });
    this.socket.on("disconnect", (reason, details) => {
      this.reason = reason;
      this.left(reason, details);
    });
    this.socket.on("connect", () => {
      const back = this.#connects++ > 0;
      if (back) {
        this.reconnects++;
        if (!this.socket.recovered) this.unrecovered.push(`over ${this.way.name}, after "${this.reason}", at ${ledger.tick()}`);
      }
      this.connected(back);
    });
  }

  left() {}
}

/** Publisher sends messages at a rate, to rooms that its seed picks, each until it is acknowledged. */
class Publisher extends Client {
  made = 0; // the ledger counts with it
  pending = []; // not acknowledged yet, in order

  constructor(options, { random, rooms, rate }) {
    super(options);
    this.random = random;
    this.rooms = rooms;
    this.rate = rate;
    this.socket.onAnyOutgoing((name, body) => {
      if (name === "publish") this.ledger.sent(body.id);
    });
  }

  start() {
    this.timer = setInterval(() => {
      if (this.pending.length < window) this.publish(this.random.pick(this.rooms));
    }, 1000 / this.rate);
  }

  stop() {
    clearInterval(this.timer);
  }

  publish(room, options) {
    const message = this.ledger.message(this, room, options);
    message.body = { room, event, data: this.ledger.content(message), id: message.id };
    this.pending.push(message);
    this.send(message);
  }

  connected() {}

  /** The answer to a publish: {offset} or {error}. */
  answered(message, answer) {
    if (answer?.error !== undefined || !answer) {
      this.ledger.refused(message, answer?.error ?? "an ack without an answer");
      setTimeout(() => this.pending.includes(message) && this.refused(message), 200);
      return;
    }
    this.ledger.acked(message, answer.offset);
    const i = this.pending.indexOf(message);
    if (i >= 0) this.pending.splice(i, 1);
    delete message.body;
  }
}

/** ByHand keeps several messages in flight, and sends all that was not acknowledged again, in order, before new ones. */
class ByHand extends Publisher {
  connected() {
    this.again();
  }

  left() {
    // What the client has kept of its own accord would go out ahead of older messages.
    this.socket.sendBuffer = [];
  }

  again() {
    for (const message of [...this.pending]) this.send(message);
  }

  refused() {
    this.again();
  }

  send(message) {
    if (!this.socket.connected) return;
    this.socket.timeout(ackTimeout).emit("publish", message.body, (err, answer) => {
      if (!err) return this.answered(message, answer);
      // Those behind it are late too: one round for all.
      if (this.socket.connected && message === this.pending[0]) this.again();
    });
  }
}

/** ByRetries leaves it all to the client's own options `retries` and `ackTimeout`. */
class ByRetries extends Publisher {
  static options = { retries: 1e9, ackTimeout };

  send(message) {
    this.socket.emit("publish", message.body, (err, answer) => {
      if (err) throw err; // there is no end to its retries
      this.answered(message, answer);
    });
  }

  refused(message) {
    this.send(message);
  }
}

/** publisher makes one of each kind in turn, and each kind with every transport. */
export function publisher(options, duty) {
  const Kind = Math.floor(options.index / ways.length) % 2 ? ByRetries : ByHand;
  return new Kind({ ...options, options: Kind.options }, duty);
}

/** Subscriber is in its rooms and joins them again only when it is told that its session is gone. */
export class Subscriber extends Client {
  got = [];
  gaps = []; // reconnects that were not recovered: {left, back, rejoined}, in ticks
  #joined = new Set();
  #left = 0;

  constructor(options, { rooms }) {
    super(options);
    this.rooms = rooms;
    this.seated = new Promise((resolve) => (this.sit = resolve));
    this.socket.on(event, (...args) => this.ledger.delivered(this, args));
  }

  left() {
    this.#left = this.ledger.tick();
  }

  connected(back) {
    if (back && !this.socket.recovered) {
      this.#joined.clear();
      this.gaps.push({ left: this.#left, back: this.ledger.tick(), rejoined: Infinity });
    }
    for (const room of this.rooms) if (!this.#joined.has(room)) this.#join(room);
  }

  #join(room) {
    this.socket.timeout(ackTimeout).emit("join", { room }, (err, answer) => {
      if (this.#joined.has(room)) return;
      if (err || answer?.error !== undefined) {
        if (answer?.error !== undefined) this.ledger.refusals.set(`join: ${JSON.stringify(answer.error)}`, 1);
        if (this.socket.connected) setTimeout(() => this.socket.connected && !this.#joined.has(room) && this.#join(room), err ? 0 : 200);
        return;
      }
      this.#joined.add(room);
      if (this.#joined.size < this.rooms.length) return;
      for (const gap of this.gaps) if (gap.rejoined === Infinity) gap.rejoined = this.ledger.tick();
      this.sit();
    });
  }
}
