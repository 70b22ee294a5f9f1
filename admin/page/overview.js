// The overview: what is going on, at a glance.
import { serverActions } from "./app.js";
import { Chart } from "./chart.js";
import { el, icon, replace, segments } from "./dom.js";
import { bytes, count, exact, millis, plural, rate } from "./format.js";
import { limitsPanel, slowPanel } from "./limits.js";

const perSecond = (n) => `${rate(n)}/s`;

const CHARTS = [
  { title: "Connections", unit: count, floor: 4, lines: [["connections", "sessions"], ["sockets", "sockets"], ["streams", "streams"]] },
  { title: "Messages", unit: perSecond, floor: 4, lines: [["deliveries", "delivered"], ["published", "published"], ["events", "events in"]] },
  { title: "Latency", unit: millis, floor: 0.4, lines: [["publishP99", "publish p99"], ["publishP50", "p50"], ["handlerP99", "handlers p99"], ["heartbeatP50", "round trip"]] },
  { title: "Traffic", unit: (n) => `${bytes(n)}/s`, floor: 1024, base: 1024, lines: [["sentBytes", "sent"], ["receivedBytes", "received"]] },
  { title: "Memory", unit: bytes, floor: 2 ** 20, base: 1024, lines: [["resident", "resident"], ["heap", "heap"]] },
  { title: "Coming and going", unit: perSecond, floor: 4, lines: [["connects", "connect"], ["disconnects", "disconnect"]] },
];

function tile(title) {
  const value = el("div", { class: "big" });
  const note = el("p");
  return {
    node: el("section", { class: "tile" }, el("h2", {}, title), value, note),
    set(text, unit, more) {
      replace(value, text, unit ? el("small", {}, unit) : null);
      note.textContent = more;
      note.title = more;
    },
  };
}

export function overviewView(main) {
  let seconds = Number(sessionStorage.getItem("tutti.admin.range")) || 300;
  const charts = CHARTS.map((c) => new Chart(c));
  const banner = el("div", { class: "banner", role: "alert", hidden: true });
  const tiles = ["Connections", "Delivered", "Publish p99", "Memory", "Processor"].map(tile);
  const limits = limitsPanel(6), slow = slowPanel(6), spaces = el("section", { class: "panel" });
  let last = null;
  main.append(
    el("header", {}, el("h1", {}, "Overview"), el("div", { class: "spring" }),
      segments("Time shown", [[60, "1 min"], [300, "5 min"], [600, "10 min"]], seconds, (chosen) => {
        seconds = chosen;
        sessionStorage.setItem("tutti.admin.range", chosen);
        if (last) for (const c of charts) c.draw(last, seconds);
      }), ...serverActions()),
    el("div", { class: "body" }, el("div", { class: "overview" }, banner,
      el("div", { class: "tiles" }, tiles.map((t) => t.node)),
      el("div", { class: "charts" }, charts.map((c) => c.node)),
      el("div", { class: "panels" }, spaces, limits.node, slow.node))));

  function stats(s, past) {
    last = past;
    banner.hidden = s.ready;
    banner.className = s.draining ? "banner" : "banner off";
    if (!s.ready) replace(banner, icon("warning"), s.reasons.map((r) => r.detail || r.code).join(" · "));
    const [connections, delivered, publish, memory, processor] = tiles;
    connections.set(count(s.connections), "", `${plural(s.sockets, "socket")} · ${plural(s.users, "user")}`);
    delivered.set(rate(s.rates.deliveries), "/s", `${rate(s.rates.published)} published · ${rate(s.rates.events)} events in`);
    publish.set(millis(s.latency.publish.p99), "", s.latency.publish.count ? `p50 ${millis(s.latency.publish.p50)} · of ${count(s.latency.publish.count)} in 10 s` : "nothing published in 10 s");
    memory.set(bytes(s.memory.resident), "", `heap ${bytes(s.memory.heap)}${s.memory.limit ? ` · limit ${bytes(s.memory.limit)}` : ""} · ${exact(s.memory.goroutines)} goroutines`);
    processor.set(`${Math.round((s.rates.cpu / s.cpus) * 100)}`, "%", `of ${plural(s.cpus, "core")} · ${exact(s.memory.descriptors)} files open`);
    for (const c of charts) c.draw(past, seconds);
    limits.stats(s);
    slow.stats(s);
    replace(spaces, el("h2", {}, "Namespaces"), el("table", {}, el("tbody", {}, s.namespaces.map((n) =>
      el("tr", {}, el("td", {}, el("a", { href: `#/sockets?namespace=${encodeURIComponent(n.name)}` }, n.name)),
        el("td", {}, n.memory ? el("span", { class: "tag good" }, "memory") : null),
        el("td", { class: "number" }, plural(n.members, "member")))))));
  }
  return { stats, end: () => charts.forEach((c) => c.end()) };
}
