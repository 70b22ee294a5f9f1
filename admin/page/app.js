// The frame of the page: who looks, which view, the numbers that all views share, and the keys.
import { follow, get, post, whenLoggedOut } from "./api.js";
import { confirmDrain, helpDialog, reloadSettings } from "./dialogs.js";
import { button, el, icon, replace, toast } from "./dom.js";
import { openDrawer, closeDrawer, drawerKey } from "./drawer.js";
import { count, span } from "./format.js";
import { limitsView } from "./limits.js";
import { auditView, nodesView, roomsView, socketsView, usersView } from "./lists.js";
import { overviewView } from "./overview.js";

const $ = (id) => document.getElementById(id);

// Each view is a function that fills the main part and returns {stats, key, end}, all of them optional.
const VIEWS = [
  { name: "overview", title: "Overview", make: overviewView },
  { name: "sockets", title: "Sockets", make: socketsView, count: (s) => count(s.sockets) },
  { name: "rooms", title: "Rooms", make: roomsView, count: (s) => count(Math.max(0, s.rooms - s.sockets)) },
  { name: "users", title: "Users", make: usersView, count: (s) => count(s.users) },
  { name: "limits", title: "Limits", make: limitsView, count: (s) => s.slow.filter((x) => !x.closed).length || "", warn: (s) => s.slow.some((x) => !x.closed) },
  { name: "audit", title: "Audit", make: auditView },
  { name: "nodes", title: "Nodes", make: nodesView },
];

const MOST = 600; // seconds of the past that are kept

// state is what all parts of the page look at.
export const state = { me: null, stats: null, past: { times: [], columns: {} }, view: null, live: false };

export const may = () => state.me?.role === "operate";

/* Where we are: #/rooms?q=chat */

export function place() {
  const [path, search] = location.hash.replace(/^#\/?/, "").split("?");
  return { view: VIEWS.some((v) => v.name === path) ? path : "overview", parameters: new URLSearchParams(search) };
}

// go changes the place; what is undefined or "" is left out of it.
export function go(view, parameters = {}, { quiet = false } = {}) {
  const q = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value) q.set(name, value);
  const hash = `#/${view}${q.size ? `?${q}` : ""}`;
  if (hash === location.hash) return;
  if (quiet) history.replaceState(null, "", hash);
  else location.hash = hash;
}

// change changes some parameters of the place and leaves the others.
export function change(parameters, options) {
  const at = place();
  go(at.view, { ...Object.fromEntries(at.parameters), ...parameters }, options);
}

let current = ""; // what identifies the view that is shown

function route() {
  const at = place();
  if (current !== at.view) {
    state.view?.end?.();
    current = at.view;
    const view = VIEWS.find((v) => v.name === at.view);
    document.title = `${view.title} · Tutti`;
    const main = $("main");
    replace(main);
    state.view = view.make(main, at.parameters) ?? {};
    if (state.stats) state.view.stats?.(state.stats, state.past);
    for (const a of $("nav").querySelectorAll("a")) {
      if (a.dataset.view === at.view) a.setAttribute("aria-current", "page");
      else a.removeAttribute("aria-current");
    }
  } else {
    state.view.moved?.(at.parameters);
  }
  const open = at.parameters.get("open");
  if (open) openDrawer(open);
  else closeDrawer();
}

/* The numbers */

// COLUMNS are the lines of charts, as the live numbers have them.
const COLUMNS = {
  connections: (s) => s.connections, sockets: (s) => s.sockets, streams: (s) => s.streams,
  connects: (s) => s.rates.connects, disconnects: (s) => s.rates.disconnects,
  events: (s) => s.rates.events, published: (s) => s.rates.published, deliveries: (s) => s.rates.deliveries,
  sentBytes: (s) => s.rates.sentBytes, receivedBytes: (s) => s.rates.receivedBytes, cpu: (s) => s.rates.cpu,
  heap: (s) => s.memory.heap, resident: (s) => s.memory.resident, goroutines: (s) => s.memory.goroutines,
  publishP50: (s) => s.latency.publish.p50, publishP99: (s) => s.latency.publish.p99, handlerP99: (s) => s.latency.handler.p99,
  heartbeatP50: (s) => s.latency.heartbeat.p50, commitP99: (s) => s.latency.commit.p99,
};

function remember(stats) {
  const { times, columns } = state.past;
  const at = Date.parse(stats.time);
  if (times.length && at <= times[times.length - 1]) return;
  times.push(at);
  for (const [name, of] of Object.entries(COLUMNS)) (columns[name] ??= []).push(of(stats));
  if (times.length > MOST) {
    times.shift();
    for (const column of Object.values(columns)) column.shift();
  }
}

function receive(stats) {
  state.stats = stats;
  remember(stats);
  if (document.hidden) return;
  state.view?.stats?.(stats, state.past);
  showNode();
  for (const v of VIEWS) {
    const node = $("nav").querySelector(`[data-view="${v.name}"] .count`);
    if (!node) continue;
    node.textContent = v.count(stats);
    node.classList.toggle("warn", Boolean(v.warn?.(stats)));
  }
}

function showNode() {
  const s = state.stats;
  const kind = !state.live ? "off" : !s || s.ready ? "" : s.draining ? "warn" : "off";
  const word = !state.live ? "no connection" : !s || s.ready ? "ready" : s.reasons.map((r) => r.code.replace("_", " ")).join(", ");
  replace($("node"),
    el("b", {}, el("i", { class: `dot ${kind}` }), el("span", { title: state.me.node }, state.me.node)),
    el("p", {}, s ? `${word} · up ${span(s.uptime)}` : word),
    el("p", { class: "mono", title: state.me.version }, state.me.version),
    state.me.login ? el("p", {}, `${state.me.name} · ${state.me.role}`) : null);
}

/* Who looks */

let stop = null;

async function begin() {
  try {
    state.me = await get("/api/me");
  } catch (err) {
    if (err.status === 401) return askForKey();
    toast(err.message, true);
    setTimeout(begin, 3000);
    return;
  }
  $("login").hidden = true;
  $("shell").hidden = false;
  $("logout").hidden = !state.me.login;
  showNode();
  try {
    state.past = await get("/api/stats/history");
  } catch { /* the charts begin empty */ }
  stop?.();
  stop = follow("/api/stats/live", {}, {
    stats: receive,
    state: (live) => { state.live = live; showNode(); },
  });
  current = "";
  route();
}

function askForKey(message = "") {
  stop?.();
  state.view?.end?.();
  state.view = null;
  current = "";
  $("shell").hidden = true;
  $("login").hidden = false;
  const key = el("input", { type: "password", id: "key", autocomplete: "current-password", required: true, spellcheck: "false" });
  const error = el("p", { class: "error", role: "alert" }, message);
  const send = el("button", { class: "button primary", type: "submit" }, "Log in");
  replace($("login"), el("form", {
    onsubmit: async (event) => {
      event.preventDefault();
      send.disabled = true;
      try {
        await post("/api/login", { key: key.value });
        await begin();
      } catch (err) {
        error.textContent = err.status === 401 ? "No key is like that." : err.message;
        key.select();
      } finally {
        send.disabled = false;
      }
    },
  },
  el("p", { class: "brand" }, el("span", { class: "wordmark" }, "tutti"), el("span", { class: "brand-sub" }, "operators")),
  el("div", { class: "field" }, el("label", { for: "key" }, "Your key"), key), error, send));
  key.focus();
}

whenLoggedOut(() => { if (state.me) { state.me = null; askForKey("Log in again."); } });

/* Light and dark */

const THEMES = ["auto", "light", "dark"];

function theme() {
  let chosen = localStorage.getItem("tutti.admin.theme");
  if (!THEMES.includes(chosen)) chosen = "auto";
  if (chosen === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
  replace($("theme"), icon({ auto: "auto", light: "sun", dark: "moon" }[chosen]));
  $("theme").setAttribute("aria-label", `Colours: ${chosen}`);
  $("theme").title = `Colours: ${chosen} (t)`;
  return chosen;
}

function nextTheme() {
  localStorage.setItem("tutti.admin.theme", THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length]);
  theme();
  if (state.stats) state.view?.stats?.(state.stats, state.past);
}

/* Keys */

const typing = (node) => node.closest("input, textarea, select, [contenteditable]") !== null;

function press(event) {
  if (!state.me || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const key = event.key;
  if (key === "Escape") {
    if (typing(event.target)) event.target.blur();
    else if (place().parameters.get("open")) change({ open: "" });
    return;
  }
  if (typing(event.target)) {
    if ((key === "ArrowDown" || key === "Enter") && event.target.type === "search" && state.view?.key?.("ArrowDown")) event.preventDefault();
    return;
  }
  const digit = Number(key);
  if (key === "/") {
    const search = $("main").querySelector("input[type=search]");
    if (search) search.focus();
    else go("sockets");
  } else if (key === "?") helpDialog();
  else if (key === "t") nextTheme();
  else if (digit >= 1 && digit <= VIEWS.length) go(VIEWS[digit - 1].name);
  else if (!state.view?.key?.(key, event) && !drawerKey(key)) return;
  event.preventDefault();
}

/* Begin */

for (const [i, v] of VIEWS.entries()) {
  $("nav").append(el("li", {}, el("a", { href: `#/${v.name}`, "data-view": v.name, title: `${v.title} (${i + 1})` },
    icon(v.name), v.title, v.count ? el("span", { class: "count" }) : null)));
}
$("theme").addEventListener("click", nextTheme);
$("help").append(icon("keys"));
$("help").addEventListener("click", helpDialog);
$("logout").append(icon("leave"));
$("logout").addEventListener("click", async () => {
  await post("/api/logout").catch(() => {});
  state.me = null;
  askForKey();
});
document.addEventListener("keydown", press);
window.addEventListener("hashchange", () => state.me && route());
document.addEventListener("visibilitychange", () => { if (!document.hidden && state.stats) receive(state.stats); });
theme();
begin();

// serverActions are the buttons for the process itself.
export function serverActions() {
  if (!may()) return [];
  return [
    state.me.reload ? button("Reload", "reload", reloadSettings, { title: "Read the configuration again" }) : null,
    state.me.drain ? button("Drain…", "drain", () => confirmDrain(), { class: "danger", title: "End this server, its clients first" }) : null,
  ];
}
