// Counts what a server owed, what it gave, and in what order. Knows nothing of sockets: ledger in, figures out.

/** What must be zero, with what each figure counts. */
export const bars = {
  silent: "deliveries owed and never made, although the subscriber was never told that it missed something",
  signalled: "deliveries owed and never made around a reconnect that said recovered === false",
  forAll: "acknowledged messages that no subscriber of the room received",
  serverDuplicates: "deliveries beyond the first of a message that was sent once, or of the same offset",
  retryDuplicates: "deliveries beyond the first of a message that its publisher had to send again",
  publisherOrder: "messages received before an earlier one of the same publisher",
  totalOrder: "neighbours that another subscriber received the other way round",
  realTimeOrder: "messages received before one that was acknowledged before they were sent",
  wrong: "deliveries of what nobody sent, to who is not in the room, or with other contents or arguments",
  offsets: "messages for which two offsets were told: to retries, or to subscribers",
  unacked: "messages that were never acknowledged, though everything works again",
  exits: "unexpected exits of the server, and ends after SIGTERM that were late or not clean",
  deaf: "subscribers that are not connected at the end, or lack an end marker",
  unrecovered: "reconnects, of subscribers and publishers, that were not recovered",
};

const samplesKept = 5;

/** check counts a ledger. The result has a number for each bar and figure, and samples: a few cases of each in words. */
export function check(ledger) {
  const counts = Object.fromEntries(Object.keys(bars).map((bar) => [bar, 0]));
  const samples = {};
  const found = (bar, words) => {
    counts[bar]++;
    samples[bar] ??= [];
    if (samples[bar].length < samplesKept) samples[bar].push(words);
  };

  const views = ledger.subscribers.map((subscriber) => view(ledger, subscriber, found));
  const acked = [...ledger.messages.values()].filter((message) => message.acked);
  checkLoss(views, acked, found, counts);
  checkOffsets(ledger, views, found);
  for (const v of views) {
    checkPublisherOrder(v, found);
    checkRealTime(v, found);
  }
  checkTotalOrder(views, found);

  for (const message of ledger.messages.values()) {
    if (message.sent && !message.acked) found("unacked", `${message.id}, sent ${message.tries} times`);
  }
  for (const exit of ledger.exits) found("exits", exit);
  checkEnds(ledger, views, acked, found);
  return { ...counts, ...figures(ledger, views, acked), samples };
}

/** A view is what one subscriber got: first has its correct deliveries, each message once, in order. */
function view(ledger, subscriber, found) {
  const first = [];
  const at = new Map(); // id → index in first
  for (const delivery of subscriber.got) {
    const where = `${subscriber.name} in ${delivery.room}`;
    if (delivery.wrong) {
      found("wrong", `${where}: ${delivery.wrong}`);
      continue;
    }
    const message = ledger.messages.get(delivery.id);
    if (!subscriber.rooms.includes(message.room)) {
      found("wrong", `${where}: ${message.id}, of a room that it never joined`);
      continue;
    }
    const before = at.has(message.id) && first[at.get(message.id)];
    if (!before) {
      at.set(message.id, first.length);
      first.push({ ...delivery, message });
      continue;
    }
    const stored = delivery.offset === undefined || delivery.offset !== before.offset; // twice, then
    const kind = message.tries > 1 && stored ? "retryDuplicates" : "serverDuplicates";
    found(kind, `${where}: ${message.id} (sent ${message.tries} times) with ${before.offset}, then ${delivery.offset}`);
  }
  return { subscriber, first, at };
}

function checkLoss(views, acked, found, counts) {
  const rank = ranks(views);
  const byRoom = groupBy(acked, (m) => m.room);
  const lost = new Set();
  counts.owed = 0;
  for (const v of views) {
    const gaps = v.subscriber.gaps;
    for (const room of v.subscriber.rooms) {
      const inRoom = v.first.filter((d) => d.message.room === room);
      for (const message of byRoom.get(room) ?? []) {
        counts.owed++;
        if (v.at.has(message.id)) continue;
        lost.add(message.id);
        const told = gaps.some((gap) => covers(gap, message, inRoom, rank));
        found(told ? "signalled" : "silent", `${v.subscriber.name} in ${room}: ${describe(message)}`);
      }
    }
  }
  counts.lostMessages = lost.size;
  for (const message of acked) {
    const members = views.filter((v) => v.subscriber.rooms.includes(message.room));
    if (members.length > 0 && members.every((v) => !v.at.has(message.id))) found("forAll", describe(message));
  }
}

/** ranks gives each message a place in time: its first delivery to anyone, else its acknowledgement. */
function ranks(views) {
  const first = new Map();
  for (const v of views) {
    for (const d of v.first) {
      const known = first.get(d.message.id);
      if (known === undefined || d.tick < known) first.set(d.message.id, d.tick);
    }
  }
  return (message) => first.get(message.id) ?? message.acked;
}

/**
 * A gap is a reconnect that said recovered === false: it excuses what lies between the last message that the
 * subscriber received of the room before, and the first one after, unless that was sent after it was back in its rooms.
 * The bounds are messages sent once: a server that forgets retries may have those in two places.
 */
function covers(gap, message, inRoom, rank) {
  if (message.sent > gap.rejoined) return false;
  const mine = rank(message);
  for (const d of inRoom) {
    if (d.message.tries > 1) continue;
    if (d.tick < gap.left ? rank(d.message) > mine : d.tick > gap.back && rank(d.message) < mine) return false;
  }
  return true;
}

function checkOffsets(ledger, views, found) {
  const told = new Map();
  for (const v of views) {
    for (const { message, offset } of v.first) {
      if (offset === undefined) continue;
      if (!told.has(message.id)) told.set(message.id, new Set(message.offsets));
      told.get(message.id).add(offset);
    }
  }
  for (const message of ledger.messages.values()) {
    const offsets = told.get(message.id) ?? message.offsets;
    // A log that was moved tells another offset from then on, of another epoch: one.
    const epochs = new Set([...offsets].map((o) => (ledger.moved ? o.split("-")[0] : "")));
    if (offsets.size > epochs.size) found("offsets", `${describe(message)}: ${[...offsets].join(", ")}`);
  }
}

/**
 * A publisher sends again in order whatever was not acknowledged, before anything new. A message that was refused
 * and sent again later has lost its place: it may come late, but what came after it may not be out of order for that.
 */
function checkPublisherOrder({ subscriber, first }, found) {
  const latest = new Map(); // publisher → its latest message here
  for (const { message } of first) {
    const last = latest.get(message.publisher);
    if (last && message.s < last.s && !message.refused) found("publisherOrder", `${subscriber.name}: ${last.id}, then ${describe(message)}`);
    if (!last || message.s > last.s) latest.set(message.publisher, message);
  }
}

function checkRealTime({ subscriber, first }, found) {
  let earliest; // of all that were received later, the one acknowledged first
  for (const { message } of first.toReversed()) {
    if (earliest && earliest.acked < message.sent) found("realTimeOrder", `${subscriber.name}: ${describe(message)}, then ${describe(earliest)}`);
    if (message.acked && (!earliest || message.acked < earliest.acked)) earliest = message;
  }
}

/** A namespace has one order, so the messages of all rooms that two subscribers share must agree. */
function checkTotalOrder(views, found) {
  for (const [i, a] of views.entries()) {
    for (const b of views.slice(i + 1)) {
      let last;
      for (const { message } of a.first) {
        if (!b.at.has(message.id)) continue;
        if (last && b.at.get(message.id) < b.at.get(last.id)) {
          found("totalOrder", `${a.subscriber.name} got ${last.id} before ${message.id}, ${b.subscriber.name} the other way round`);
        }
        last = message;
      }
    }
  }
}

function checkEnds(ledger, views, acked, found) {
  const markers = acked.filter((message) => message.end);
  for (const { subscriber, at } of views) {
    const lacks = markers.filter((m) => subscriber.rooms.includes(m.room) && !at.has(m.id));
    if (!subscriber.connected) found("deaf", `${subscriber.name} is not connected; it left by ${subscriber.reason}`);
    else if (lacks.length > 0) found("deaf", `${subscriber.name} is connected and lacks ${lacks.map((m) => m.id).join(", ")}`);
  }
  for (const client of [...ledger.subscribers, ...ledger.publishers]) {
    for (const words of client.unrecovered) found("unrecovered", `${client.name}: ${words}`);
  }
}

function figures(ledger, views, acked) {
  const sum = (list, f) => list.reduce((total, x) => total + f(x), 0);
  let worst = { ms: 0, words: "" };
  for (const { subscriber, first } of views) {
    for (const { message, at } of first) {
      const ms = message.acked ? at - message.ackedAt : 0;
      if (ms <= worst.ms) continue;
      const seconds = ((at - ledger.began) / 1000).toFixed(1);
      worst = { ms, words: `${subscriber.name} (${subscriber.way?.name}) got ${message.id} at ${seconds} s, ${ms} ms after its ack` };
    }
  }
  return {
    acked: acked.length,
    retried: sum([...ledger.messages.values()], (m) => (m.tries > 1 ? 1 : 0)),
    refusals: sum([...ledger.refusals.values()], (n) => n),
    reconnects: sum(ledger.subscribers, (s) => s.reconnects),
    recovered: sum(ledger.subscribers, (s) => s.reconnects - s.unrecovered.length),
    publisherReconnects: sum(ledger.publishers, (p) => p.reconnects),
    publisherRecovered: sum(ledger.publishers, (p) => p.reconnects - p.unrecovered.length),
    worst,
  };
}

function describe(message) {
  const offsets = message.offsets.size > 0 ? `, offset ${[...message.offsets].join(" and ")}` : "";
  const acked = message.acked ? `acked at ${message.acked}` : "not acked";
  return `${message.id} (sent at ${message.sent}, ${message.tries} times, ${acked}${offsets})`;
}

function groupBy(list, key) {
  const groups = new Map();
  for (const item of list) {
    const group = groups.get(key(item));
    if (group) group.push(item);
    else groups.set(key(item), [item]);
  }
  return groups;
}

/** failures lists the bars that a result does not clear. */
export function failures(result) {
  return Object.keys(bars).filter((bar) => result[bar] !== 0);
}
