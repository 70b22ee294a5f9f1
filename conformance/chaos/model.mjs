// The smallest server that keeps the promise: one log, synced before anything is acknowledged or delivered, and a
// session that is a position in it. It shows that the bars can be cleared with stock clients, and, with --bug, that
// the test sees each mistake. It keeps everything in memory too, and for ever: it is a model, not a server.
import { open, readFile, truncate } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Server as Engine } from "engine.io";

const require = createRequire(import.meta.url);
const { Decoder, Encoder, PacketType } = createRequire(require.resolve("socket.io"))("socket.io-parser");

/** What can be wrong with it. */
const bugs = ["no-fencing", "no-dedup", "off-by-one", "early-ack", "replay-first", "late-live", "late-session", "unordered"];

const { values: flags } = parseArgs({
  options: {
    listen: { type: "string" },
    data: { type: "string" },
    bug: { type: "string", default: "" },
    "ping-interval": { type: "string" },
    "ping-timeout": { type: "string" },
  },
});
if (flags.bug && !bugs.includes(flags.bug)) throw new Error(`--bug: ${bugs.join(", ")}`);
const bug = (name) => flags.bug === name;

// The log: JSON records, one a line. A record's position is its line.

const file = join(flags.data, "log");
const entries = []; // what is on disk, by position
const queue = []; // what is not yet: {record, done}
const sessions = new Map(); // by private id: {pid, start, rooms: room → position of the join, conn}
const published = new Map(); // message id → position, or undefined while it is not on disk
let waiting = []; // retries of messages that are not on disk yet
let writing = false;

const revive = (key, value) => (value?.type === "Buffer" ? Buffer.from(value.data) : value);
const text = await readFile(file, "utf8").catch(() => "");
const whole = text.slice(0, text.lastIndexOf("\n") + 1);
for (const line of whole.split("\n").slice(0, -1)) apply(JSON.parse(line, revive));
const log = await open(file, "a");
await truncate(file, Buffer.byteLength(whole)); // a line that was being written

/** append writes a record down, and calls done with its position when it is on disk and delivered. */
function append(record, done = () => {}) {
  if (bug("early-ack") && record.type === "message") {
    done(apply(record));
    queue.push({ record, early: true });
    return setTimeout(write, 300);
  }
  queue.push({ record, done });
  write();
}

async function write() {
  if (writing || queue.length === 0) return;
  writing = true;
  const batch = queue.splice(0);
  await log.write(batch.map(({ record }) => JSON.stringify(record) + "\n").join(""));
  await log.datasync();
  for (const { record, done, early } of batch) if (!early) done(apply(record));
  waiting = waiting.filter((retry) => !retry());
  writing = false;
  write();
}

/** apply makes true what a record says, and returns its position. */
function apply(record) {
  const position = entries.push(record) - 1;
  if (record.type === "session") sessions.set(record.pid, { pid: record.pid, start: position, rooms: new Map(), conn: null });
  if (record.type === "join") sessions.get(record.pid).rooms.set(record.room, position);
  if (record.type === "message") {
    published.set(record.id, position);
    for (const session of sessions.values()) if (session.conn && session.rooms.has(record.room)) deliver(session, record, position);
  }
  return position;
}

function deliver(session, { event, data }, position) {
  const conn = session.conn;
  const say = () => send(conn, { type: PacketType.EVENT, data: [event, data, String(position)] });
  if (bug("unordered") && position % 50 === 0 && session.start % 2) setTimeout(say, 20);
  else say();
}

// The protocol.

const http = createServer();
const engine = new Engine({ pingInterval: parseFloat(flags["ping-interval"]), pingTimeout: parseFloat(flags["ping-timeout"]) });
engine.attach(http, { path: "/socket.io/" });
const encoder = new Encoder();

function send(conn, packet) {
  for (const part of encoder.encode({ nsp: "/", ...packet })) conn.send(part);
}

engine.on("connection", (conn) => {
  const decoder = new Decoder();
  conn.on("message", (part) => decoder.add(part));
  decoder.on("decoded", (packet) => {
    if (packet.type === PacketType.CONNECT) enter(conn, packet.data ?? {});
    else if (packet.data?.[0] in verbs) {
      verbs[packet.data[0]](conn, packet.data[1], (answer) => send(conn, { type: PacketType.ACK, id: packet.id, data: [answer] }));
    }
  });
  conn.on("close", () => {
    decoder.destroy();
    // A connection that was replaced has no say any more.
    if (conn.session && (conn.session.conn === conn || bug("no-fencing"))) conn.session.conn = null;
    if (conn.session && bug("late-session")) conn.session.saved = true;
  });
});

function enter(conn, { pid, offset }) {
  const session = sessions.get(pid);
  const from = offset === undefined ? session?.start : Number(offset);
  if (!session || !(from < entries.length) || (bug("late-session") && !session.saved)) {
    const fresh = crypto.randomUUID();
    return append({ type: "session", pid: fresh }, () => sit(conn, sessions.get(fresh), entries.length));
  }
  sit(conn, session, from + (bug("off-by-one") ? 2 : 1));
}

/** sit gives a session its connection and all that it missed, in one step: what comes later is live. */
function sit(conn, session, from) {
  const old = session.conn;
  session.conn = conn;
  conn.session = session;
  if (old && !bug("no-fencing")) old.close(true);
  const welcome = () => send(conn, { type: PacketType.CONNECT, data: { sid: session.pid.slice(0, 8), pid: session.pid } });
  // The client keeps what comes before it, over the next disconnect too, and then gets it twice.
  if (!bug("replay-first")) welcome();
  for (let position = from; position < entries.length; position++) {
    const record = entries[position];
    if (record.type === "message" && session.rooms.get(record.room) < position) deliver(session, record, position);
  }
  if (bug("late-live")) {
    session.conn = null;
    setTimeout(() => (session.conn = conn), 20);
  }
  if (bug("replay-first")) setTimeout(welcome, 30);
}

const verbs = {
  join(conn, { room }, ack) {
    if (conn.session.rooms.has(room)) return ack({ offset: String(conn.session.rooms.get(room)) });
    append({ type: "join", pid: conn.session.pid, room }, (position) => ack({ offset: String(position) }));
  },
  publish(conn, { room, event, data, id }, ack) {
    const answer = (position) => ack({ offset: String(position) });
    if (!published.has(id) || bug("no-dedup")) {
      published.set(id, undefined);
      return append({ type: "message", room, event, data, id }, answer);
    }
    const retry = () => published.get(id) !== undefined && (answer(published.get(id)), true);
    if (!retry()) waiting.push(retry);
  },
};

process.on("SIGTERM", () => process.exit(0)); // it may: whatever was acknowledged is on disk

const [host, port] = flags.listen.split(":");
http.listen(port, host, () => console.log(`http://${host}:${http.address().port}`));
