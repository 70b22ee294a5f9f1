// What happened in a run: one entry for each message and each delivery, with a place in one order of time.
import { createHash } from "node:crypto";
import { plain } from "../harness.mjs";

/**
 * Ledger writes down what publishers and subscribers see. All of them live in this process, so a plain counter tells
 * what came before what; the clock is only for latency.
 */
export class Ledger {
  #tick = 0;
  #salt;
  messages = new Map(); // by id
  subscribers = [];
  publishers = [];
  began = Date.now();
  exits = []; // of the server that nobody asked for
  refusals = new Map(); // the errors that publishes were answered with, and how often

  constructor(seed) {
    this.#salt = String(seed);
  }

  tick() {
    return ++this.#tick;
  }

  /** message makes the next message of a publisher. It is nobody's duty until it is acknowledged. */
  message(publisher, room, { end = false } = {}) {
    const s = publisher.made++;
    const id = `${publisher.name}-${s}`;
    const message = {
      id, room, end, s,
      publisher: publisher.name,
      sent: 0, // tick of the first try
      tries: 0,
      acked: 0, // tick
      ackedAt: 0, // clock
      offsets: new Set(), // that the publisher was told
      refused: false, // some try was answered with an error, so its place among the publisher's messages is open
    };
    this.messages.set(id, message);
    return message;
  }

  /** content is the data of a message, which follows from its id: with a Buffer inside for every tenth. */
  content({ id, publisher, s, room, end }) {
    const digest = createHash("sha256").update(`${this.#salt} ${id}`).digest();
    const data = { id, publisher, s, room, text: `é€😀 ${digest.toString("base64").repeat(1 + (digest[0] % 5))}` };
    if (end) data.end = true;
    if (s % 10 === 9) data.inside = { bytes: digest.subarray(0, 1 + (digest[1] % 32)) };
    return data;
  }

  sent(id) {
    const message = this.messages.get(id);
    message.tries++;
    message.sent ||= this.tick();
  }

  acked(message, offset) {
    if (!message.acked) {
      message.acked = this.tick();
      message.ackedAt = Date.now();
    }
    if (offset !== undefined) message.offsets.add(offset);
  }

  refused(message, error) {
    message.refused = true;
    const text = typeof error === "string" ? error : JSON.stringify(error);
    this.refusals.set(text, (this.refusals.get(text) ?? 0) + 1);
  }

  /** delivered writes down the arguments of an event that a subscriber heard. */
  delivered(subscriber, args) {
    const [data, offset] = args;
    const message = this.messages.get(data?.id);
    subscriber.got.push({ id: data?.id, room: message?.room, tick: this.tick(), at: Date.now(), offset, wrong: this.#wrong(message, args) });
  }

  #wrong(message, args) {
    if (!message || !message.sent) return `nobody sent ${JSON.stringify(plain(args)).slice(0, 300)}`;
    if (args.length > 2 || (args.length === 2 && typeof args[1] !== "string")) return `arguments ${JSON.stringify(plain(args.slice(1)))}`;
    const want = JSON.stringify(plain(this.content(message)));
    const got = JSON.stringify(plain(args[0]));
    return got === want ? "" : `got ${got}, want ${want}`;
  }
}
