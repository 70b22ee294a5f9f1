// The checker, on ledgers written by hand: each mistake is counted once, and under its own name.
import assert from "node:assert/strict";
import { test } from "node:test";
import { bars, check, failures } from "./checker.mjs";
import { Ledger } from "./ledger.mjs";

/** A story is a ledger with one publisher and two subscribers of one room, told step by step. */
class Story {
  ledger = new Ledger("story");
  #known = new Map();

  constructor() {
    this.p = { name: "p", made: 0, reconnects: 0, unrecovered: [] };
    this.a = this.#subscriber("a");
    this.b = this.#subscriber("b");
    this.ledger.publishers.push(this.p);
  }

  #subscriber(name) {
    const s = { name, rooms: ["room"], got: [], gaps: [], reconnects: 0, unrecovered: [], connected: true, reason: "" };
    this.ledger.subscribers.push(s);
    return s;
  }

  /** send makes the next message and sends it; again sends it once more. */
  send(options, room = "room") {
    const message = this.ledger.message(this.p, room, options);
    this.ledger.sent(message.id);
    return message;
  }

  again(message) {
    this.ledger.sent(message.id);
  }

  ack(message, offset = message.id) {
    this.ledger.acked(message, offset);
  }

  /** get delivers messages to subscribers, each with its own id for an offset. */
  get(subscribers, ...messages) {
    for (const s of subscribers) for (const m of messages) this.ledger.delivered(s, [this.ledger.content(m), m.id]);
  }

  /** all is a message as it should be. */
  all(options) {
    const message = this.send(options);
    this.ack(message);
    this.get([this.a, this.b], message);
    return message;
  }

  /** back is a reconnect that was not recovered; during happens between it and the join. */
  back(subscriber, left, during = () => {}) {
    const gap = { left, back: this.ledger.tick(), rejoined: Infinity };
    subscriber.gaps.push(gap);
    during();
    gap.rejoined = this.ledger.tick();
  }

  counts(want) {
    const got = check(this.ledger);
    assert.deepEqual(Object.fromEntries(failures(got).map((bar) => [bar, got[bar]])), want);
    return got;
  }
}

test("a good run", () => {
  const s = new Story();
  for (let i = 0; i < 25; i++) s.all(); // with Buffers among them
  s.all({ end: true });
  const got = s.counts({});
  assert.equal(got.acked, 26);
  assert.equal(got.owed, 52);
  for (const bar of Object.keys(bars)) assert.equal(got[bar], 0, bar);
});

test("a message that was sent again and acknowledged once is no mistake, delivered before or after its ack or never acknowledged", () => {
  const s = new Story();
  const message = s.send();
  s.again(message);
  s.get([s.a, s.b], message);
  s.ack(message);
  s.ack(message);
  s.counts({});
});

test("silent loss", () => {
  const s = new Story();
  s.all();
  const lost = s.send();
  s.ack(lost);
  s.get([s.a], lost);
  s.all();
  const got = s.counts({ silent: 1 });
  assert.match(got.samples.silent[0], /^b in room: p-1 /);
  assert.equal(got.lostMessages, 1);
});

test("loss for all", () => {
  const s = new Story();
  s.ack(s.send());
  s.counts({ silent: 2, forAll: 1 });
});

test("what nobody acknowledged is owed to nobody, but counted in the end", () => {
  const s = new Story();
  s.get([s.a], s.send());
  s.counts({ unacked: 1 });
});

test("signalled loss is what lies in the gap", () => {
  const s = new Story();
  s.all();
  const left = s.ledger.tick();
  const missed = s.send();
  s.get([s.a], missed);
  s.ack(missed);
  s.back(s.b, left);
  s.all();
  s.counts({ signalled: 1 });
});

test("a gap does not excuse what lies before it, after its first message, or was sent when it was over", () => {
  const s = new Story();
  const before = s.send();
  s.ack(before);
  s.get([s.a], before);
  s.all();
  const left = s.ledger.tick();
  s.back(s.b, left, () => {
    s.all();
    const within = s.send();
    s.ack(within);
    s.get([s.a], within);
  });
  const after = s.send();
  s.ack(after);
  s.get([s.a], after);
  s.counts({ silent: 3 });
});

test("duplicates, of the server and of retries", () => {
  const s = new Story();
  const once = s.all();
  s.get([s.a], once); // the same offset
  const twice = s.send();
  s.again(twice);
  s.ack(twice);
  s.get([s.a, s.b], twice);
  s.ledger.delivered(s.b, [s.ledger.content(twice), "another offset"]);
  s.counts({ serverDuplicates: 1, retryDuplicates: 1 });
});

test("a retry that is told another offset", () => {
  const s = new Story();
  const message = s.send();
  s.ack(message, "one");
  s.ack(message, "two");
  for (const subscriber of [s.a, s.b]) s.ledger.delivered(subscriber, [s.ledger.content(message), "one"]);
  s.counts({ offsets: 1 });
});

test("a retry that is told the offset after a move, and one that is told two", () => {
  const s = new Story();
  s.ledger.moved = true;
  const message = s.send();
  for (const offset of ["old-1", "new-7"]) s.ack(message, offset);
  for (const subscriber of [s.a, s.b]) s.ledger.delivered(subscriber, [s.ledger.content(message), "old-1"]);
  s.counts({});
  s.ack(message, "new-8");
  s.counts({ offsets: 1 });
});

test("subscribers that are told different offsets", () => {
  const s = new Story();
  const message = s.send();
  s.ledger.acked(message);
  s.ledger.delivered(s.a, [s.ledger.content(message), "one"]);
  s.ledger.delivered(s.b, [s.ledger.content(message), "two"]);
  s.counts({ offsets: 1 });
});

test("publisher order, for messages in flight together", () => {
  const s = new Story();
  const [one, two] = [s.send(), s.send()];
  s.ack(one);
  s.ack(two);
  s.get([s.a, s.b], two, one);
  s.counts({ publisherOrder: 2 });
});

test("a message that was refused may come late", () => {
  const s = new Story();
  const [one, two] = [s.send(), s.send()];
  s.ledger.refused(one, "busy");
  s.ack(two);
  s.again(one);
  s.ack(one);
  s.get([s.a, s.b], two, one);
  s.counts({});
});

test("total order and real-time order", () => {
  const s = new Story();
  const other = { ...s.p, name: "q", made: 0 };
  const one = s.send();
  s.ack(one);
  const two = s.ledger.message(other, "room");
  s.ledger.sent(two.id);
  s.ack(two);
  s.get([s.a], one, two);
  s.get([s.b], two, one);
  s.counts({ totalOrder: 1, realTimeOrder: 1 });
});

test("messages in flight together may come in any order that is the same for all", () => {
  const s = new Story();
  const other = { ...s.p, name: "q", made: 0 };
  const one = s.send();
  const two = s.ledger.message(other, "room");
  s.ledger.sent(two.id);
  s.ack(one);
  s.ack(two);
  s.get([s.a, s.b], two, one);
  s.counts({});
});

test("what is wrong: unknown, of another room, changed, with more arguments", () => {
  const s = new Story();
  const message = s.all();
  s.ledger.delivered(s.a, ["who sent this?"]);
  s.ledger.delivered(s.a, [{ id: "p-77" }]);
  s.ledger.delivered(s.a, [{ ...s.ledger.content(message), text: "changed" }]);
  s.ledger.delivered(s.a, [s.ledger.content(message), message.id, "more"]);
  const elsewhere = s.send({}, "elsewhere");
  s.ack(elsewhere);
  s.get([s.a], elsewhere);
  s.counts({ wrong: 5 });
});

test("deaf: without a marker, and not connected", () => {
  const s = new Story();
  const end = s.send({ end: true });
  s.ack(end);
  s.get([s.a], end);
  s.a.connected = false;
  s.counts({ silent: 1, deaf: 2 });
});

test("exits, and reconnects that were not recovered", () => {
  const s = new Story();
  s.all();
  s.ledger.exits.push("SIGTERM: it ended with 1");
  s.a.reconnects = 2;
  s.a.unrecovered.push("over polling");
  const got = s.counts({ exits: 1, unrecovered: 1 });
  assert.deepEqual([got.recovered, got.reconnects], [1, 2]);
});
