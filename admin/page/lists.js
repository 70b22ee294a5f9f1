// The lists: sockets, rooms, users, what operators did. Each shows one page at a time, searched and cut by the server.
import { change, may, place } from "./app.js";
import { get } from "./api.js";
import { confirmDrain } from "./dialogs.js";
import { button, el, icon, replace, toast } from "./dom.js";
import { bytes, day, exact, plural, since } from "./format.js";

const PAGE = 50;
const REFRESH = 3000;

// A list keeps a page of rows up to date, and the focus in it.
function list(main, { title, thing, path, columns, rows, open, parameters = [], sorts = [], searchable = true, hint }) {
  const at = place().parameters;
  const search = el("input", { type: "search", placeholder: hint, "aria-label": `Search ${title.toLowerCase()}`, value: at.get("q") ?? "", autocomplete: "off", spellcheck: "false" });
  const total = el("span", { class: "total", role: "status" });
  const filters = el("div", { class: "actions" });
  const head = el("tr"), body = el("tbody");
  const table = el("table", { class: "list", "aria-label": title }, el("thead", {}, head), body);
  const empty = el("div", { class: "empty", hidden: true });
  const where = el("span");
  const back = button("Back", null, () => turn(-1)), forth = button("Next", null, () => turn(1));
  const scroller = el("div", { class: "body" }, table, empty);
  main.append(el("header", {}, el("h1", {}, title), total, el("div", { class: "spring" }), filters,
    searchable ? el("div", { class: "search" }, search, icon("search"), el("kbd", { "aria-hidden": "true" }, "/")) : null), scroller,
  el("footer", { class: "pager" }, where, el("div", { class: "spring" }), back, forth));

  let cursors = [""], shown = [], next = "", asked = 0, abort = null, timer = 0, ended = false;

  const filtered = () => Object.fromEntries(["q", ...parameters].map((p) => [p, place().parameters.get(p) ?? ""]));
  const sort = () => place().parameters.get("sort") || sorts[0] || "";

  async function load({ quiet = false } = {}) {
    clearTimeout(timer);
    abort?.abort();
    abort = new AbortController();
    const mine = ++asked;
    try {
      const page = await get(path, { ...filtered(), sort: sorts.length ? sort() : "", after: cursors[cursors.length - 1], limit: PAGE }, abort.signal);
      if (mine !== asked || ended) return;
      show(page);
    } catch (err) {
      if (err.name === "AbortError" || ended) return;
      if (!quiet) toast(err.message, true);
    }
    // Not while somebody has a page further back before them: it would move under their eyes.
    timer = setTimeout(() => (document.hidden ? (timer = setTimeout(load, REFRESH)) : load({ quiet: true })), REFRESH);
  }

  function show(page) {
    shown = rows(page);
    next = page.next ?? "";
    total.textContent = page.total === undefined ? "" : exact(page.total);
    const focused = document.activeElement?.closest?.("tr")?.dataset.key;
    const selected = place().parameters.get("open");
    replace(body, shown.map((row) => el("tr", {
      tabindex: "-1", "data-key": row.key, "aria-selected": String(selected === row.key), onclick: () => open?.(row),
    }, row.cells.map((cell, i) => el("td", { class: [columns[i].number ? "number" : "", columns[i].less ? "less" : ""].join(" ") }, cell)))));
    if (body.firstElementChild) body.firstElementChild.tabIndex = 0;
    if (focused) [...body.children].find((tr) => tr.dataset.key === focused)?.focus({ preventScroll: true });
    empty.hidden = shown.length > 0;
    table.hidden = shown.length === 0;
    const looking = Object.values(filtered()).some(Boolean);
    replace(empty, el("b", {}, looking ? `No ${thing} is like that` : `No ${thing}s`), looking ? "Search by another part, or show all." : "They appear here by themselves.");
    const first = (cursors.length - 1) * PAGE;
    where.textContent = shown.length ? `${exact(first + 1)}–${exact(first + shown.length)}${page.total === undefined ? "" : ` of ${plural(page.total, thing)}`}` : "";
    back.disabled = cursors.length === 1;
    forth.disabled = !next;
  }

  function turn(by) {
    if (by > 0 && next) cursors.push(String(next));
    else if (by < 0 && cursors.length > 1) cursors.pop();
    else return;
    scroller.scrollTop = 0;
    load().then(() => body.firstElementChild?.focus({ preventScroll: true }));
  }

  function header() {
    replace(head, columns.map((c) => {
      const sorted = c.sort && c.sort === sort();
      return el("th", { scope: "col", class: [c.number ? "number" : "", c.less ? "less" : ""].join(" "), "aria-sort": sorted ? (c.ascending ? "ascending" : "descending") : null },
        c.sort ? el("button", { type: "button", onclick: () => change({ sort: c.sort === sorts[0] ? "" : c.sort }), title: `Sort by ${c.word.toLowerCase()}` }, c.word, sorted ? (c.ascending ? " ↑" : " ↓") : "") : c.word);
    }));
    replace(filters, parameters.filter((p) => place().parameters.get(p)).map((p) =>
      button(`${p}: ${place().parameters.get(p)}`, "close", () => change({ [p]: "" }), { "aria-label": `Show those of every ${p}` })));
  }

  let typed = 0;
  search.addEventListener("input", () => {
    clearTimeout(typed);
    typed = setTimeout(() => change({ q: search.value.trim() }, { quiet: true }) ?? restart(), 120);
  });

  let before = JSON.stringify([filtered(), sort()]);
  function restart() {
    before = JSON.stringify([filtered(), sort()]);
    cursors = [""];
    scroller.scrollTop = 0;
    header();
    load();
  }

  header();
  load();
  return {
    moved() {
      if (JSON.stringify([filtered(), sort()]) !== before) {
        if (document.activeElement !== search) search.value = place().parameters.get("q") ?? "";
        restart();
      }
      const selected = place().parameters.get("open");
      for (const tr of body.children) tr.setAttribute("aria-selected", String(tr.dataset.key === selected));
    },
    key(key) {
      const all = [...body.children];
      const i = all.indexOf(document.activeElement?.closest?.("tr"));
      const to = { ArrowDown: i + 1, j: i + 1, ArrowUp: Math.max(i - 1, 0), k: Math.max(i - 1, 0), Home: 0, End: all.length - 1 }[key];
      if (to !== undefined && all.length) {
        const row = all[Math.min(to, all.length - 1)];
        row.focus();
        row.scrollIntoView({ block: "nearest" });
      } else if (key === "Enter" && i >= 0) open?.(shown[i]);
      else if (key === "ArrowRight" || key === "PageDown") turn(1);
      else if (key === "ArrowLeft" || key === "PageUp") turn(-1);
      else return false;
      return true;
    },
    end() {
      ended = true;
      clearTimeout(timer);
      clearTimeout(typed);
      abort?.abort();
    },
  };
}

const show = (row) => change({ open: row.key });

export function transportTag(s) {
  return el("span", { class: s.transport === "websocket" ? "tag good" : "tag" }, s.transport === "websocket" ? "WebSocket" : "polling");
}

export const socketsView = (main) => list(main, {
  title: "Sockets", thing: "socket", path: "/api/sockets", hint: "Id, user, address or session", parameters: ["namespace", "user", "room"], sorts: ["since", "queued"],
  columns: [{ word: "Socket" }, { word: "User" }, { word: "Namespace", less: true }, { word: "Address" }, { word: "Transport", less: true }, { word: "Rooms", number: true, less: true }, { word: "Waiting", number: true, sort: "queued" }, { word: "For", number: true, sort: "since" }],
  rows: (page) => page.sockets.map((s) => ({
    key: `socket ${s.id}`,
    cells: [el("span", { class: "mono" }, s.id), s.user || el("span", { class: "quiet" }, "–"), s.namespace, s.address, transportTag(s), exact(s.rooms),
      s.queued >= 65536 ? el("span", { class: "tag warn" }, bytes(s.queued)) : s.queued ? bytes(s.queued) : el("span", { class: "quiet" }, "0"), since(s.since)],
  })),
  open: show,
});

export const roomsView = (main) => list(main, {
  title: "Rooms", thing: "room", path: "/api/rooms", hint: "A part of the name", parameters: ["namespace"], sorts: ["members", "name"],
  columns: [{ word: "Room", sort: "name", ascending: true }, { word: "Namespace" }, { word: "Members", number: true, sort: "members" }],
  rows: (page) => page.rooms.map((r) => ({ key: `room ${r.namespace} ${r.name}`, cells: [r.name, r.namespace, exact(r.members)] })),
  open: show,
});

export const usersView = (main) => list(main, {
  title: "Users", thing: "user", path: "/api/users", hint: "A part of the id",
  columns: [{ word: "User" }, { word: "Sockets", number: true }],
  rows: (page) => page.users.map((u) => ({ key: `user ${u.id}`, cells: [u.id, exact(u.sockets)] })),
  open: show,
});

const health = (n) => (n.silent ? ["bad", "does not answer"] : n.draining ? ["warn", "draining"] : n.ready ? ["good", "ready"] : ["bad", "not ready"]);

export const nodesView = (main) => list(main, {
  title: "Nodes", thing: "node", path: "/api/nodes", searchable: false,
  columns: [{ word: "Node" }, { word: "Address" }, { word: "State" }, { word: "Version", less: true }, { word: "Up", number: true }, { word: "Sessions", number: true }, { word: "Sockets", number: true }, { word: "" }],
  rows: (page) => page.nodes.map((n) => {
    const [kind, word] = health(n);
    const known = (text) => (n.silent ? el("span", { class: "quiet" }, "–") : text);
    return {
      key: `node ${n.id}`,
      cells: [el("span", { title: n.id }, n.name, n.self ? el("span", { class: "quiet" }, " · this one") : null), n.address ?? "", el("span", { class: `tag ${kind}` }, word),
        known(n.version), known(since(n.started)), known(exact(n.sessions)), known(exact(n.sockets)),
        may() && n.drain && !n.draining ? button("Drain…", "drain", () => confirmDrain(n), { class: "danger small", "aria-label": `Drain ${n.address || n.name}` }) : null],
    };
  }),
});

const detail = (d) => Object.entries(d ?? {}).filter(([, v]) => v !== "" && v !== null && !(Array.isArray(v) && v.length === 0))
  .map(([k, v]) => `${k}: ${Array.isArray(v) ? v.join(", ") : v}`).join(" · ");

export const auditView = (main) => list(main, {
  title: "Audit", thing: "action", path: "/api/audit", searchable: false,
  columns: [{ word: "When" }, { word: "Who" }, { word: "From", less: true }, { word: "Action" }, { word: "On" }, { word: "Details" }, { word: "Result" }],
  rows: (page) => page.entries.map((e) => ({
    key: `entry ${e.number}`,
    cells: [day(e.time), e.who, e.from, e.action, el("span", { title: e.target ?? "" }, e.target ?? ""), el("span", { class: "quiet", title: detail(e.detail) }, detail(e.detail)),
      el("span", { class: e.result === "ok" ? "tag good" : "tag bad", title: e.error ?? "" }, e.result)],
  })),
});
