// The drawer: one socket, room or user, with all that there is to see and do.
import { change, may, state } from "./app.js";
import { follow, get } from "./api.js";
import { confirmDisconnect, moveDialog, sendDialog } from "./dialogs.js";
import { button, el, icon, replace, segments } from "./dom.js";
import { bytes, clock, day, exact, plural, since } from "./format.js";
import { transportTag } from "./lists.js";

const drawer = document.getElementById("drawer");
const shell = document.getElementById("shell");

let shown = ""; // what is open: "socket ID", "room NAMESPACE NAME" or "user ID"
let end = () => {}; // ends what follows something
let back = null; // what had the focus
let keys = {};
let tab = {}; // the tab last looked at, of each kind

export function closeDrawer() {
  if (!shown) return;
  shown = "";
  end();
  keys = {};
  drawer.hidden = true;
  shell.classList.remove("with-drawer");
  replace(drawer);
  if (back?.isConnected) back.focus();
  else document.querySelector(".list tbody tr[tabindex='0']")?.focus();
  back = null;
}

export function openDrawer(what) {
  if (what === shown) return;
  end();
  end = () => {};
  if (!shown) back = document.activeElement === document.body ? null : document.activeElement;
  shown = what;
  drawer.hidden = false;
  shell.classList.add("with-drawer");
  const [kind, first, ...rest] = what.split(" ");
  if (kind === "room") roomDrawer(first, rest.join(" "));
  else if (kind === "user") userDrawer([first, ...rest].join(" "));
  else if (kind === "socket") socketDrawer(first);
  else change({ open: "" });
}

// drawerKey does what a key stands for, if the drawer has something for it.
export function drawerKey(key) {
  if (!shown || !keys[key]) return false;
  keys[key]();
  return true;
}

function frame(kind, name, actions, tabs, show) {
  const content = el("div", { class: "content", tabindex: "0", "aria-label": name });
  let chosen = tabs.some(([t]) => t === tab[kind]) ? tab[kind] : tabs[0]?.[0];
  const open = (t) => {
    tab[kind] = chosen = t;
    end();
    end = show(t, content) ?? (() => {});
  };
  keys = {};
  if (may()) for (const a of actions) keys[a.key] = a.act;
  replace(drawer, el("header", {},
    el("div", { class: "title" }, el("div", {}, el("p", { class: "kind" }, kind), el("h2", {}, name)),
      el("button", { class: "icon", type: "button", "aria-label": "Close", title: "Close (Esc)", onclick: () => change({ open: "" }) }, icon("close"))),
    may() ? el("div", { class: "actions" }, actions.map((a) => button(a.word, a.icon, a.act, { class: a.danger ? "danger" : "", title: `${a.word} (${a.key})` }))) : null,
    tabs.length > 1 ? segments("What to see", tabs, chosen, open) : null), content);
  open(chosen);
}

function problem(content, err) {
  replace(content, el("p", { class: "empty" }, el("b", {}, err.status === 404 ? "Not here any more" : "That did not work"), err.message));
}

/* A socket */

function socketDrawer(id) {
  const actions = [
    { word: "Send…", icon: "send", key: "s", act: () => sendDialog({ namespace: known?.namespace ?? "/", room: id, what: `socket ${id}` }) },
    { word: "Move…", icon: "move", key: "m", act: () => moveDialog({ namespace: known?.namespace ?? "/", sockets: [id], what: `socket ${id}` }) },
    { word: "Disconnect…", icon: "cut", key: "d", danger: true, act: () => confirmDisconnect({ socket: id }, `Disconnect socket ${id}?`, "Its whole session ends. A stock client connects again by itself, unless it is told not to.") },
  ];
  let known = null;
  frame("Socket", id, actions, [["about", "About"], ["live", "Live"]], (t, content) => {
    if (t === "live") return live(content, "/api/follow/socket", { id });
    let over = false, timer = 0;
    const load = async () => {
      try {
        known = await get(`/api/sockets/${encodeURIComponent(id)}`);
        if (!over) about(content, known);
      } catch (err) {
        if (!over) problem(content, err);
        return;
      }
      if (!over) timer = setTimeout(load, 3000);
    };
    load();
    return () => { over = true; clearTimeout(timer); };
  });
}

function facts(...pairs) {
  return el("dl", { class: "facts" }, pairs.filter((p) => p && p[1] !== "" && p[1] !== undefined).flatMap(([k, v]) => [el("dt", {}, k), el("dd", {}, v)]));
}

function about(content, s) {
  const at = content.scrollTop;
  replace(content,
    facts(
      ["User", s.user ? el("a", { href: "#", onclick: (e) => { e.preventDefault(); change({ open: `user ${s.user}` }); } }, s.user) : "nobody said"],
      ["Namespace", s.namespace], ["Also in", s.others.join(", ")],
      ["Address", el("span", { class: "mono" }, s.address)],
      ["Transport", el("span", {}, transportTag(s), s.protocol === 3 ? " Engine.IO 3" : "", s.secure ? " TLS" : "")],
      ["Connected", `${since(s.since)} ago, ${day(s.since)}`],
      ["Recovered", s.recovered ? "yes: it came back to its session" : ""],
      ["Waiting", s.queued >= 65536 ? el("span", { class: "tag warn" }, bytes(s.queued)) : bytes(s.queued)],
      ["Session", el("span", { class: "mono" }, `${s.session}…`)]),
    el("h3", {}, plural(s.rooms, "room")),
    el("div", { class: "chips" }, s.roomNames.filter((r) => r !== s.id).map((r) =>
      el("button", { type: "button", class: "chip", onclick: () => change({ open: `room ${s.namespace} ${r}` }) }, r))),
    el("h3", {}, "Handshake"),
    facts(["Path", el("span", { class: "mono" }, s.path)],
      ...Object.entries(s.query).sort().map(([k, v]) => [`?${k}`, v]),
      ...Object.entries(s.headers).sort().map(([k, v]) => [k, v.join(", ")])));
  content.scrollTop = at;
}

/* A room */

function roomDrawer(namespace, room) {
  const actions = [
    { word: "Send…", icon: "send", key: "s", act: () => sendDialog({ namespace, room, what: `room ${room}` }) },
    { word: "Move all…", icon: "move", key: "m", act: () => moveDialog({ namespace, room, what: `everyone in ${room}` }) },
    { word: "Disconnect all…", icon: "cut", key: "d", danger: true, act: () => confirmDisconnect({ room, namespace: "" }, `Disconnect everyone in ${room}?`, "The sessions of all its sockets end. Stock clients connect again by themselves.") },
  ];
  const path = { namespace, room };
  frame(`Room in ${namespace}`, room, actions, [["members", "Members"], ["presence", "Presence"], ["history", "History"], ["live", "Live"]], (t, content) => {
    if (t === "live") return live(content, "/api/rooms/follow", path);
    if (t === "history") return pages(content, "/api/rooms/history", path, historyPage);
    if (t === "presence") return pages(content, "/api/rooms/presence", path, presencePage);
    return pages(content, "/api/rooms/members", path, membersPage);
  });
}

function userDrawer(user) {
  const actions = [
    { word: "Move…", icon: "move", key: "m", act: () => moveDialog({ namespace: "/", user, what: `user ${user}` }) },
    { word: "Disconnect…", icon: "cut", key: "d", danger: true, act: () => confirmDisconnect({ user }, `Disconnect ${user}?`, "All sessions of this user end. Stock clients connect again, unless they may not any more.") },
  ];
  frame("User", user, actions, [["sockets", "Sockets"]], (_, content) => pages(content, "/api/sockets", { user }, membersPage));
}

// pages shows page after page below each other, as somebody asks for more: 50 at a time.
function pages(content, path, parameters, make) {
  let over = false;
  const rows = el("div");
  const more = el("div", { class: "more", hidden: true });
  replace(content, rows, more);
  async function load(cursor) {
    try {
      const page = await get(path, { ...parameters, ...cursor, limit: 50 });
      if (over) return;
      const { nodes, next, top } = make(page, Boolean(cursor));
      if (top) rows.prepend(...nodes);
      else rows.append(...nodes);
      if (top) content.prepend(more);
      more.hidden = !next;
      replace(more, next ? button("Show more", null, () => load(next)) : null);
      if (!rows.childElementCount) replace(content, el("p", { class: "empty" }, el("b", {}, "Nobody is here")));
      if (top && !cursor) content.scrollTop = content.scrollHeight;
    } catch (err) {
      if (!over) problem(content, err);
    }
  }
  load(null);
  return () => { over = true; };
}

function membersPage(page, further) {
  const table = el("table", {},
    further ? null : el("thead", {}, el("tr", {}, el("th", {}, page.members === undefined ? plural(page.total, "socket") : plural(page.members, "member")), el("th", {}, "User"), el("th", { class: "number" }, "For"))),
    el("tbody", {}, page.sockets.map((s) => el("tr", {},
      el("td", {}, el("a", { href: "#", class: "mono", onclick: (e) => { e.preventDefault(); change({ open: `socket ${s.id}` }); } }, s.id)),
      el("td", {}, s.user || s.address), el("td", { class: "number" }, since(s.since))))));
  return { nodes: page.sockets.length || page.members ? [table] : [], next: page.next && { after: page.next } };
}

function presencePage(page, further) {
  const table = el("table", {},
    further ? null : el("thead", {}, el("tr", {}, el("th", {}, `${exact(page.count)} present`), el("th", {}, "State"))),
    el("tbody", {}, page.members.map((m) => el("tr", {}, el("td", {}, m.id), el("td", { class: "mono" }, m.state ? JSON.stringify(m.state) : "")))));
  return { nodes: page.members.length || further ? [table] : [], next: page.next && { after: page.next } };
}

function historyPage(page) {
  const nodes = page.messages.length ? [el("div", { class: "log" }, page.messages.map(line))] : [];
  return { nodes, top: true, next: page.more && { before: page.messages[0].offset } };
}

/* What happens, as it happens */

const WHAT = { joined: "joined", left: "left", received: "from the client", sent: "to the client" };
const KEPT = 300; // lines

function line(m) {
  const moved = m.kind === "joined" || m.kind === "left";
  const about = m.kind === "message" ? (m.members === undefined ? "" : `to ${exact(m.members)}`) : moved ? "" : WHAT[m.kind];
  return el("div", { class: moved ? "line moved" : "line" },
    el("time", {}, Date.now() - new Date(m.time) > 43_200_000 ? day(m.time) : clock(m.time)),
    el("span", { class: "what" }, moved ? `${m.who} ${WHAT[m.kind]}` : m.event),
    el("span", { class: "quiet" }, about, m.volatile ? " volatile" : "", m.kind === "message" && !m.rooms?.length ? " everyone" : ""),
    el("span", { class: "size" }, moved ? "" : bytes(m.size)),
    m.data ? el("pre", {}, JSON.stringify(m.data.length === 1 ? m.data[0] : m.data, null, 1).replace(/\n\s*/g, " ")) : m.cut ? el("pre", {}, "(too long to be shown)") : null);
}

function live(content, path, parameters) {
  const word = el("span", {}, "Waiting for something to happen…");
  const pulse = el("i", { class: "pulse" });
  let paused = false, waiting = [], seen = 0, lost = 0;
  const pause = button("Pause", null, () => {
    paused = !paused;
    pause.lastChild.textContent = paused ? "Go on" : "Pause";
    pulse.classList.toggle("paused", paused);
    flush();
  });
  keys.p = () => pause.click();
  const log = el("div", { class: "log", role: "log", "aria-label": "What happens" });
  replace(content, el("div", { class: "livebar" }, pulse, word, el("div", { class: "spring" }), pause), log);
  if (!state.me.payloads) log.append(el("p", { class: "empty" }, "What is sent is not shown here: the setting ", el("code", {}, "admin.payloads"), " allows it."));
  // What came since is drawn once per frame: a busy room has more events than a screen has lines.
  let drawn = 0;
  function flush() {
    cancelAnimationFrame(drawn);
    drawn = requestAnimationFrame(() => {
      if (paused || !waiting.length) return;
      log.querySelector(".empty")?.remove();
      log.prepend(...waiting.slice(-KEPT).reverse().map(line));
      waiting = [];
      while (log.childElementCount > KEPT) log.lastChild.remove();
      word.textContent = `${plural(seen, "event")} since you look${lost ? `, and ${exact(lost)} too fast to be shown` : ""}`;
    });
  }
  const stop = follow(path, parameters, {
    message(m) {
      seen++;
      waiting.push(m);
      if (waiting.length > 2 * KEPT) waiting = waiting.slice(-KEPT);
      flush();
    },
    dropped(n) { lost += n; seen += n; },
    state: (ok) => pulse.classList.toggle("paused", !ok || paused),
  });
  return () => { stop(); cancelAnimationFrame(drawn); delete keys.p; };
}
