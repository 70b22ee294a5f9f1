// Messages on their way: one at a time and in order, kept until the server has acknowledged them. A message carries a nonce;
// sending it again after a lost connection, or a lost answer, cannot make it appear twice.
import { randomKey, tab } from "./keep.js";
import { Refused } from "./wire.js";

const TRIES = 3; // answers waited for in vain on a connection that works, before the person is asked
const LONGEST_WAIT = 30_000; // milliseconds

export class Outbox {
  #queue = [];
  #busy = false;
  #tries = 0;

  // tell is called with a sentence when something needs saying.
  constructor(store, wire, tell) {
    this.store = store;
    this.wire = wire;
    this.tell = tell;
  }

  // restore brings back what a reload of the page interrupted. The rooms they belong to are joined again by the caller.
  restore() {
    for (const { room, text, nonce, at } of tab.read("outbox") ?? []) {
      if (this.#queue.some((message) => message.nonce === nonce)) continue;
      this.#queue.push(this.store.pending(this.store.room(room), text, nonce, at));
    }
  }

  // sign puts another author under what waits, should a person have come back as somebody else.
  sign(me) {
    for (const message of this.#queue) message.from = me;
  }

  get waiting() {
    return this.#queue.length;
  }

  add(room, text) {
    this.#queue.push(this.store.pending(room, text, randomKey()));
    this.#keep();
    this.flush();
  }

  again(message) {
    message.status = "pending";
    message.reason = "";
    this.#queue.push(message);
    this.#keep();
    this.store.changed();
    this.flush();
  }

  discard(message) {
    this.#queue = this.#queue.filter((waiting) => waiting !== message);
    this.#keep();
    this.store.discard(message);
  }

  clear() {
    this.#queue = [];
    this.#keep();
  }

  // flush sends what waits. ready says whether the server knows who we are; it is asked before every message.
  ready = () => false;

  async flush() {
    if (this.#busy) return;
    this.#busy = true;
    try {
      while (this.#queue.length > 0 && this.ready()) {
        if (!(await this.#send(this.#queue[0]))) break;
      }
    } finally {
      this.#busy = false;
    }
  }

  // #send gives false if sending should stop for now.
  async #send(message) {
    if (message.status === "delivered") return this.#done(message); // its own event came before the ack
    try {
      const receipt = await this.wire.call("send", { room: message.room, text: message.text, nonce: message.nonce });
      if (message.status !== "delivered") this.store.delivered(message, receipt ?? {});
      return this.#done(message);
    } catch (error) {
      if (error instanceof Refused) return this.#refused(message, error);
      if (!this.ready()) return false; // the connection went: flush comes again with the next one
      if (++this.#tries < TRIES) return true;
      return this.#failed(message, "No answer from the server");
    }
  }

  async #refused(message, { message: words, wait }) {
    if (!(wait > 0)) return this.#failed(message, words);
    this.tell(words);
    await new Promise((resolve) => setTimeout(resolve, Math.min(wait, LONGEST_WAIT)));
    return true;
  }

  #done(message) {
    this.#remove(message);
    return true;
  }

  #failed(message, reason) {
    message.status = "failed";
    message.reason = reason;
    this.#remove(message);
    return true;
  }

  #remove(message) {
    this.#tries = 0;
    this.#queue = this.#queue.filter((waiting) => waiting !== message);
    this.#keep();
    this.store.changed();
  }

  #keep() {
    const kept = this.#queue.map(({ room, text, nonce, at }) => ({ room, text, nonce, at }));
    tab.write("outbox", kept.length > 0 ? kept : null);
  }
}
