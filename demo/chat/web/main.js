// The chat's page: it puts the parts together and owns the course of events (enter, join, leave, come back).
import { Alerts, title } from "./alerts.js";
import { Composer } from "./composer.js";
import { byID, setText } from "./dom.js";
import { keyFor, lasting, moveKey, tab } from "./keep.js";
import { Log } from "./log.js";
import { Outbox } from "./outbox.js";
import { announce, Banner, Drawer, toast } from "./panels.js";
import { People } from "./people.js";
import { drawings, Rooms } from "./rooms.js";
import { nameTrouble, newRoom, settings } from "./settings.js";
import { Store } from "./store.js";
import { cleanName, cleanRoom, paint, plural, ROOM_PATTERN, together } from "./text.js";
import { Refused, Wire } from "./wire.js";

const FIRST_ROOM = "general";

const store = new Store();
const wire = new Wire();
const outbox = new Outbox(store, wire, toast);
const alerts = new Alerts((room) => go(room));
const log = new Log(store, {
  again: (message) => outbox.again(message),
  discard: (message) => outbox.discard(message),
  seen(room) {
    store.markRead(room);
    store.changed();
  },
  earlier,
});
const rooms = new Rooms(store, (name) => go(name));
const people = new People(store);
const composer = new Composer(store, {
  send: (room, text) => outbox.add(room, text),
  typing: (room, typing) => wire.tell("typing", { room, typing }),
});
const banner = new Banner(() => wire.retry());

let identity = tab.read("identity"); // {name, key}: who this tab is
const handy = matchMedia("(pointer: fine)").matches; // on a phone, focus in the box would raise the keyboard over the page
let entered = false; // the server of this very connection knows us
let drawing = false;

store.watching = () => log.watching;
outbox.ready = () => wire.up && entered;

// draw redraws what changed, once for all the changes of one turn.
function draw() {
  if (drawing) return;
  drawing = true;
  setTimeout(() => {
    drawing = false;
    rooms.render();
    people.render();
    composer.render();
    log.render();
    typingLine();
    mine();
    banner.render(wire, outbox.waiting);
    title(store.me && store.active, store.unread);
  });
}

function mine() {
  if (!store.me) return;
  paint(byID("me-avatar"), store.me);
  setText(byID("me-name"), store.me.name);
  const online = wire.up && entered;
  setText(byID("me-state"), online ? "Online" : wire.state === "offline" ? "Offline" : "Connecting…");
  byID("app").classList.toggle("away", !online);
}

function typingLine() {
  const typing = [...(store.current?.typing.values() ?? [])].map(({ name }) => name);
  const words = typing.length === 0 ? "" : typing.length > 3 ? "Several people are typing" : `${together(typing)} ${new Set(typing).size === 1 ? "is" : "are"} typing`;
  setText(byID("typing"), words);
}

// enter introduces us on a connection and joins our rooms. After a reconnection it is the same, and what was missed comes
// with the rooms, unless the connection has recovered it.
async function enter() {
  entered = false;
  try {
    const { you, rooms: listed } = await wire.call("enter", identity);
    store.me = you;
    tab.write("identity", identity);
    lasting.write("name", identity.name);
    store.list(listed);
    if (store.active) outbox.sign(you);
    else start();
    await Promise.all(store.mine.map((room) => join(room.name, wire.recovered && room.known)));
    entered = true;
    welcome(false);
  } catch (error) {
    if (error instanceof Refused) return turnedAway(error.message);
    if (wire.up) setTimeout(() => wire.up && !entered && enter(), 2000);
  }
  draw();
  outbox.flush();
}

// start decides which rooms to be in at first: those of the last visit, and the one in the address.
function start() {
  const remembered = (lasting.read("rooms") ?? []).filter((name) => store.rooms.has(name));
  for (const name of remembered) store.room(name).joined = true;
  outbox.restore();
  const wanted = fromAddress() || tab.read("room") || lasting.read("room") || FIRST_ROOM;
  const first = ROOM_PATTERN.test(wanted) ? wanted : FIRST_ROOM;
  store.room(first).joined = true;
  store.show(first);
  history.replaceState(null, "", `#${first}`);
}

async function join(name, known = false) {
  try {
    const answer = await wire.call("join", { room: name, known });
    store.entered(name, answer ?? {});
  } catch (error) {
    if (!(error instanceof Refused)) return; // the connection went: enter comes again
    if (error.wait > 0) {
      await new Promise((resolve) => setTimeout(resolve, error.wait));
      return store.rooms.get(name)?.joined && join(name, known);
    }
    toast(error.message);
    store.forget(name);
    if (store.active === name && store.mine.length > 0) go(store.mine[0].name);
  }
}

// earlier fetches what was said before the first message that the page has.
async function earlier(room) {
  const before = store.first(room)?.offset;
  if (!room.more || room.loading || !before || !wire.up || !entered) return;
  room.loading = true;
  store.changed();
  try {
    store.earlier(room, await wire.call("history", { room: room.name, before }));
  } catch (error) {
    if (error instanceof Refused && !(error.wait > 0)) {
      // The server has another history than we know, as after a backup was brought back.
      toast(error.message);
      store.reset(room);
      await join(room.name);
    } else if (error instanceof Refused) {
      await new Promise((resolve) => setTimeout(resolve, error.wait));
    }
  } finally {
    room.loading = false;
    store.changed();
  }
}

// go shows a room, and joins it if we are not in it.
function go(name) {
  const room = store.room(name);
  const news = !room.joined;
  room.joined = true;
  Drawer.closeAll(false);
  store.show(name);
  if (fromAddress() !== name) history.pushState(null, "", `#${name}`);
  if (news && wire.up && entered) join(name);
  composer.render();
  if (handy) composer.focus();
  else byID("room-title").focus({ preventScroll: true });
  announce(`Room ${name}${room.known ? `, ${plural(room.members.size, "person", "people")}` : ""}`);
}

async function leave() {
  const room = store.current;
  if (!room || store.mine.length < 2) return;
  try {
    await wire.call("leave", { room: room.name });
  } catch (error) {
    return toast(error instanceof Refused ? error.message : "Not now: there is no connection.");
  }
  const mineNow = store.mine;
  const next = mineNow[mineNow.indexOf(room) + 1] ?? mineNow[mineNow.indexOf(room) - 1];
  room.count = Math.max(0, room.count - 1);
  store.forget(room.name);
  go(next.name);
}

// step goes up or down in the list of my rooms.
function step(by) {
  const list = store.mine;
  const at = list.findIndex((room) => room.name === store.active);
  if (list.length > 1) go(list[(at + by + list.length) % list.length].name);
}

const fromAddress = () => {
  try {
    return cleanRoom(decodeURIComponent(location.hash.slice(1)));
  } catch {
    return "";
  }
};

// rename gives what is wrong, or "".
async function rename(name) {
  if (name === store.me?.name) return "";
  const wanted = { name, key: identity.key };
  try {
    const { you } = await wire.call("enter", wanted);
    moveKey(identity.name, name, identity.key);
    identity = wanted;
    store.me = you;
    tab.write("identity", identity);
    lasting.write("name", name);
    draw();
    return "";
  } catch (error) {
    return error instanceof Refused ? error.message : "Not now: there is no connection.";
  }
}

// turnedAway: the server knows a reason why we cannot be who we want to be.
function turnedAway(words) {
  wire.close();
  signOut(false);
  setText(byID("name-error"), words);
}

function signOut(forget = true) {
  wire.close();
  entered = false;
  if (forget) outbox.clear();
  tab.write("identity", null);
  identity = null;
  if (store.me) {
    // A fresh page is the surest way to forget everything.
    if (forget) return location.reload();
    store.me = null;
  }
  welcome(true);
}

function welcome(show) {
  byID("enter-button").disabled = false;
  setText(byID("enter-button"), "Enter");
  if (byID("welcome").hidden === !show && byID("app").hidden === show) return;
  byID("welcome").hidden = !show;
  byID("app").hidden = show;
  byID("skip").hidden = show;
  if (!show) return handy && composer.focus();
  const name = lasting.read("name") ?? "";
  byID("name").value ||= name;
  setText(byID("welcome-title"), name ? "Welcome back" : "Come on in");
  paint(byID("name-avatar"), { id: byID("name").value || "?", name: cleanName(byID("name").value) });
  byID("name").focus();
  byID("name").select();
  title("", 0);
}

function open() {
  try {
    wire.open();
  } catch (error) {
    signOut(false);
    setText(byID("name-error"), error.message);
  }
}

wire.addEventListener("state", () => {
  if (!wire.up) entered = false;
  if (wire.state === "down" || wire.state === "connecting") enteringLabel();
  draw();
});
wire.addEventListener("up", enter);
wire.addEventListener("refused", ({ detail }) => turnedAway(detail?.message || "The server does not let us in."));
wire.addEventListener("event", ({ detail: { name, data, offset } }) => {
  if (name === "message") {
    const news = store.arrived(data, offset);
    if (news) alerts.message(news, !(news.room === store.active && log.watching));
    return;
  }
  if (!data || typeof data !== "object") return;
  if (name === "typing") store.types(data);
  if (name === "joined") store.came(data);
  if (name === "left") store.went(data);
  if (name === "rooms") store.list(data);
});
store.addEventListener("change", draw);
store.addEventListener("change", expireTyping);

let expiring = 0;

function expireTyping() {
  clearTimeout(expiring);
  if (store.expire()) expiring = setTimeout(() => store.changed(), 1000);
}

function enteringLabel() {
  if (byID("welcome").hidden) return;
  setText(byID("enter-button"), wire.attempt > 0 ? "Still connecting…" : "Entering…");
}

byID("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = cleanName(byID("name").value);
  const trouble = nameTrouble(name);
  setText(byID("name-error"), trouble);
  if (trouble) return byID("name").focus();
  identity = { name, key: keyFor(name) };
  byID("enter-button").disabled = true;
  setText(byID("enter-button"), "Entering…");
  open();
});
byID("name").addEventListener("input", () => {
  setText(byID("name-error"), "");
  paint(byID("name-avatar"), { id: byID("name").value || "?", name: cleanName(byID("name").value) });
});
byID("skip").addEventListener("click", (event) => {
  event.preventDefault();
  composer.focus();
});
byID("leave-room").addEventListener("click", leave);
byID("scrim").addEventListener("click", () => Drawer.closeAll());
window.addEventListener("popstate", () => {
  const name = fromAddress();
  if (store.me && name && name !== store.active) go(name);
});
document.addEventListener("keydown", (event) => {
  if (byID("app").hidden || document.querySelector("dialog[open]")) return;
  if (event.altKey && !event.ctrlKey && !event.metaKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
    event.preventDefault();
    step(event.key === "ArrowUp" ? -1 : 1);
  } else if (event.key === "Escape" && !event.isComposing) {
    if (!Drawer.closeAll()) {
      log.toEnd(true);
      composer.focus();
    }
  }
});

drawings();
settings(store, alerts, { rename, signOut });
newRoom(go);
new Drawer(byID("rooms"), byID("open-rooms"), "(max-width: 760px)");
new Drawer(byID("people"), byID("open-people"), "(max-width: 1080px)");
if (identity?.name && identity?.key) {
  open(); // a reload: straight back in, the welcome page only if the server says no
  byID("app").hidden = wire.state === "idle";
  store.me = { id: "", name: identity.name };
  draw();
} else {
  welcome(true);
}
