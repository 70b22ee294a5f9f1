// What the page knows: who I am, the rooms and what was said in them. No DOM here; views read it and draw.
import { tab, lasting } from "./keep.js";

const KEPT = 500; // messages of a room kept in the page
const RECENT = 100; // messages the server gives on entering
const TYPING_FOR = 6000; // milliseconds a "typing" is believed without being renewed

const collator = new Intl.Collator(undefined, { numeric: true });
const byName = (a, b) => collator.compare(a.name, b.name);

let serial = 0;

// person makes what came over the wire into somebody. An empty id: not a person here but a program behind a door.
function person(value, fallback = "Someone") {
  const from = value && typeof value === "object" ? value : {};
  const name = typeof from.name === "string" && from.name.trim() ? from.name.trim() : fallback;
  return { id: typeof from.id === "string" ? from.id : "", name };
}

// messageFrom accepts whatever was published into a room: the chat's own messages, {text}, or a bare string.
function messageFrom(data, room, offset = data?.offset) {
  const value = data && typeof data === "object" && !Array.isArray(data) ? data : { text: data };
  const text = typeof value.text === "string" ? value.text : JSON.stringify(value.text ?? data ?? "");
  return {
    kind: "message",
    key: value.id ? `m${value.id}` : `x${++serial}`,
    id: value.id ? String(value.id) : "",
    room: typeof value.room === "string" ? value.room : room,
    from: person(value.from ?? { name: value.name }),
    text,
    at: Number.isFinite(Date.parse(value.at)) ? Date.parse(value.at) : Number.isFinite(value.at) ? value.at : Date.now(),
    nonce: typeof value.nonce === "string" ? value.nonce : "",
    offset: typeof offset === "string" ? offset : "", // its place in the server's history, if that is kept
    status: "delivered",
    placed: true, // it stands where it was said; mine stand at the end until I hear them
  };
}

class Room {
  lines = []; // messages and notices, in the order they are shown
  members = new Map(); // id → {id, name}
  typing = new Map(); // id → {name, until}
  joined = false; // I am (or want to be) in it
  known = false; // the server has told what is in it
  more = false; // the server has more, before the first of lines
  loading = false; // and it is on the way
  paged = 0; // messages that were fetched besides the latest
  count = 0; // people in it
  unread = 0;
  newFrom = ""; // key of the first message that was unread when the room was opened
  draft = "";

  constructor(name) {
    this.name = name;
  }

  get last() {
    return this.lines.findLast((line) => line.kind === "message");
  }
}

export class Store extends EventTarget {
  me = null;
  rooms = new Map();
  active = "";
  watching = () => false; // does the person see the end of the active room? The log answers.
  #read = lasting.read("read") ?? {};

  room(name) {
    let room = this.rooms.get(name);
    if (!room) {
      room = new Room(name);
      room.draft = (tab.read("drafts") ?? {})[name] ?? "";
      this.rooms.set(name, room);
    }
    return room;
  }

  get current() {
    return this.rooms.get(this.active);
  }

  // mine and others are sorted by name: a list that moves under the finger is no help.
  get mine() {
    return [...this.rooms.values()].filter((room) => room.joined).sort(byName);
  }

  get others() {
    return [...this.rooms.values()].filter((room) => !room.joined).sort((a, b) => b.count - a.count || byName(a, b));
  }

  get unread() {
    return this.mine.reduce((sum, room) => sum + room.unread, 0);
  }

  isMine(message) {
    return message.from.id !== "" && message.from.id === this.me?.id;
  }

  changed() {
    this.dispatchEvent(new Event("change"));
  }

  // list takes the server's list of rooms. A room it does not name any more is forgotten unless I am in it.
  list(rooms) {
    const named = new Set();
    for (const { name, members } of Array.isArray(rooms) ? rooms : []) {
      if (typeof name !== "string") continue;
      named.add(name);
      this.room(name).count = Number(members) || 0;
    }
    for (const [name, room] of this.rooms) if (!named.has(name) && !room.joined) this.rooms.delete(name);
    this.changed();
  }

  // entered takes what the server told about a room on joining it, the first time or again after a reconnection.
  entered(name, { messages, more = false, members = [] }) {
    const room = this.room(name);
    room.joined = true;
    room.members = new Map(members.map((member) => [member.id, person(member)]));
    room.count = room.members.size;
    if (messages) this.#merge(room, messages.map((data) => messageFrom(data, name)), more);
    if (!room.known) this.#countUnread(room);
    room.known = true;
    this.#keepJoined();
    this.changed();
  }

  // #merge unites what was there with what the server remembers. If the two do not touch, something between them is lost
  // to us, and only the server's part is kept: a conversation with a silent hole would be worse.
  #merge(room, told, more) {
    const byID = new Map(room.lines.filter((line) => line.id).map((line) => [line.id, line]));
    const byNonce = new Map(room.lines.filter((line) => line.nonce && line.status !== "delivered").map((line) => [line.nonce, line]));
    const touches = told.some((message) => byID.has(message.id));
    const fresh = [];
    const lines = told.map((message) => {
      const mine = this.isMine(message) ? byNonce.get(message.nonce) : undefined;
      if (mine) return Object.assign(mine, { id: message.id, at: message.at, offset: message.offset, status: "delivered", placed: true, reason: "" });
      const known = byID.get(message.id);
      if (known) known.placed = true;
      else fresh.push(message);
      return known ?? message;
    });
    const there = new Set(lines);
    const before = room.lines.filter((line) => !there.has(line) && (line.kind === "notice" || line.placed));
    const waiting = room.lines.filter((line) => !there.has(line) && line.kind === "message" && !line.placed);
    const apart = told.length >= RECENT && !touches;
    const kept = apart ? [] : before;
    if (room.known) this.#countArrived(room, fresh);
    if (apart || !room.known) Object.assign(room, { more, paged: 0 });
    room.lines = [...kept, ...lines].sort((a, b) => a.at - b.at).concat(waiting);
    this.#trim(room);
  }

  // #trim forgets what is far back. What the server keeps can be fetched again.
  #trim(room) {
    const excess = room.lines.length - KEPT - room.paged;
    if (excess <= 0) return;
    const gone = room.lines.splice(0, excess);
    room.more ||= gone.some((line) => line.offset);
  }

  // first gives the first message whose place in the server's history is known.
  first(room) {
    return room.lines.find((line) => line.offset);
  }

  // earlier puts what was said before in front.
  earlier(room, { messages = [], more = false }) {
    const there = new Set(room.lines.map((line) => line.id));
    const lines = messages.map((data) => messageFrom(data, room.name)).filter((line) => !there.has(line.id));
    room.lines = lines.concat(room.lines);
    room.paged += lines.length;
    room.more = more;
  }

  // reset forgets what the server has told about a room, but not what is on its way there.
  reset(room) {
    room.lines = room.lines.filter((line) => line.kind === "message" && !line.placed);
    Object.assign(room, { known: false, more: false, paged: 0 });
  }

  #countArrived(room, fresh) {
    const news = fresh.filter((message) => !this.isMine(message));
    if (room.name === this.active && this.watching()) return;
    if (room.unread === 0 && news.length > 0) room.newFrom = news[0].key;
    room.unread += news.length;
  }

  #countUnread(room) {
    const since = this.#read[room.name];
    if (since === undefined || room.name === this.active) return this.markRead(room);
    const news = room.lines.filter((line) => line.kind === "message" && line.at > since && !this.isMine(line));
    room.unread = news.length;
    room.newFrom = news[0]?.key ?? "";
  }

  markRead(room) {
    const last = room.last;
    room.unread = 0;
    if (!last || this.#read[room.name] >= last.at) return;
    this.#read[room.name] = last.at;
    lasting.write("read", this.#read);
  }

  // arrived takes a message off the wire. It gives the message if it is news: neither known already nor my own.
  arrived(data, offset) {
    const message = messageFrom(data, this.active, offset);
    const room = this.rooms.get(message.room);
    if (!room?.joined) return null;
    room.typing.delete(message.from.id);
    if (message.id && room.lines.some((line) => line.id === message.id && line.placed)) return null;
    if (this.isMine(message)) {
      const pending = message.nonce && room.lines.find((line) => line.nonce === message.nonce);
      if (pending) this.#place(room, pending, message);
      else this.#add(room, message);
      this.changed();
      return null;
    }
    this.#add(room, message);
    if (!(room.name === this.active && this.watching())) {
      if (room.unread === 0) room.newFrom = message.key;
      room.unread++;
    } else {
      this.markRead(room);
    }
    this.changed();
    return message;
  }

  // #add puts a message where it belongs: at the end, but before what is still on its way.
  #add(room, line) {
    let at = room.lines.length;
    while (at > 0 && room.lines[at - 1].kind === "message" && !room.lines[at - 1].placed) at--;
    room.lines.splice(at, 0, line);
    this.#trim(room);
  }

  pending(room, text, nonce, at = Date.now()) {
    const message = { kind: "message", key: `n${nonce}`, id: "", room: room.name, from: this.me, text, at, nonce, status: "pending", placed: false };
    room.lines.push(message);
    this.changed();
    return message;
  }

  // #place moves a message of mine from the waiting ones to where it was said. Its key stays, and so does its node.
  #place(room, message, told) {
    this.delivered(message, told);
    message.placed = true;
    room.lines.splice(room.lines.indexOf(message), 1);
    this.#add(room, message);
    if (this.active === room.name) this.markRead(room);
  }

  // delivered takes the answer of the server. Where a message of mine was said among those of the others is known when it is
  // heard: mostly before, but after a reconnection what was missed may come first.
  delivered(message, { id, at, offset }) {
    message.id = String(id ?? "");
    message.at = Number.isFinite(Date.parse(at)) ? Date.parse(at) : Number.isFinite(at) ? at : message.at;
    message.offset = typeof offset === "string" ? offset : "";
    message.status = "delivered";
    message.reason = "";
  }

  discard(message) {
    const room = this.rooms.get(message.room);
    if (room) room.lines = room.lines.filter((line) => line !== message);
    this.changed();
  }

  // came and went keep the list of people, and leave a notice in the conversation.
  came({ room: name, member }) {
    const room = this.rooms.get(name);
    const who = person(member);
    if (!room?.joined || !who.id) return;
    const before = room.members.get(who.id);
    room.members.set(who.id, who);
    room.count = room.members.size;
    if (before && before.name !== who.name) this.#notice(room, "renamed", who.name, before.name);
    else if (!before && who.id !== this.me?.id) this.#notice(room, "joined", who.name);
    this.changed();
  }

  went({ room: name, member }) {
    const room = this.rooms.get(name);
    if (!room?.joined) return;
    const who = room.members.get(member?.id);
    if (!who) return;
    room.members.delete(who.id);
    room.typing.delete(who.id);
    room.count = room.members.size;
    if (who.id !== this.me?.id) this.#notice(room, "left", who.name);
    this.changed();
  }

  #notice(room, what, name, before = "") {
    const at = Math.max(Date.now(), room.last?.at ?? 0);
    this.#add(room, { kind: "notice", key: `e${++serial}`, what, names: [name], before, at });
  }

  types({ room: name, from, typing }) {
    const room = this.rooms.get(name);
    const who = person(from);
    if (!room || !who.id || who.id === this.me?.id) return;
    if (typing) room.typing.set(who.id, { name: who.name, until: Date.now() + TYPING_FOR });
    else room.typing.delete(who.id);
    this.changed();
  }

  // expire forgets those who stopped typing without a word. It says whether somebody still types somewhere.
  expire(now = Date.now()) {
    let left = false;
    for (const room of this.rooms.values()) {
      for (const [id, { until }] of room.typing) {
        if (until <= now) room.typing.delete(id);
        else left = true;
      }
    }
    return left;
  }

  // show makes a room the one on screen.
  show(name) {
    const before = this.current;
    if (before && before.name !== name) before.newFrom = "";
    this.active = name;
    tab.write("room", name);
    lasting.write("room", name);
    this.changed();
  }

  forget(name) {
    const room = this.rooms.get(name);
    if (!room) return;
    Object.assign(room, { joined: false, known: false, more: false, paged: 0, lines: [], unread: 0, newFrom: "", draft: "" });
    room.members.clear();
    room.typing.clear();
    if (room.count === 0) this.rooms.delete(name);
    delete this.#read[name];
    lasting.write("read", this.#read);
    this.#keepJoined();
    this.changed();
  }

  keepDraft(room, text) {
    room.draft = text;
    const drafts = tab.read("drafts") ?? {};
    if (text) drafts[room.name] = text;
    else delete drafts[room.name];
    tab.write("drafts", drafts);
  }

  #keepJoined() {
    lasting.write("rooms", this.mine.map((room) => room.name));
  }
}
