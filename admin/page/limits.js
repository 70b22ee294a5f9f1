// Limits that peers ran into, and readers that are slow.
import { change } from "./app.js";
import { el, replace } from "./dom.js";
import { bytes, count, rate, since } from "./format.js";

// What a limit means, for who has not set it.
const MEANING = {
  "engine: MaxQueue": "read too slowly and were closed",
  "engine: WriteTimeout": "took no bytes for too long",
  "engine: MaxPayload": "sent a message that is too large",
  "engine: MaxPackets": "sent too many packets at once",
  "engine: MaxSessions": "came when the server was full",
  "engine: ConfirmTimeout": "joined no namespace in time",
  "engine: UpgradeTimeout": "did not finish their upgrade",
  "server: inbox": "sent faster than handlers work",
  "server: namespaces": "joined too many namespaces",
  "server: auth": "said too much about themselves",
  "server: pending calls": "owe too many answers",
  "server: attachment timeout": "announced binaries and did not send them",
  "hub: rooms": "joined too many rooms",
  "hub: room name": "named a room too long",
  "door: queue": "read a stream too slowly",
  "door: rate": "published too fast",
  "door: streams": "came when all streams were taken",
};

export function limitsPanel(most) {
  const node = el("section", { class: "panel" });
  return {
    node,
    stats(s) {
      const hits = s.limits.slice(0, most);
      replace(node, el("h2", {}, "Limits hit", el("small", {}, "per second in the last minute, and since the start")),
        hits.length === 0 ? el("p", { class: "empty" }, "None. Nobody ran into a limit yet.")
          : el("table", {}, el("tbody", {}, hits.map((h) => el("tr", {},
            el("td", { title: h.name }, h.name, MEANING[h.name] ? el("span", { class: "quiet" }, ` ${MEANING[h.name]}`) : null),
            el("td", { class: "number" }, h.rate > 0 ? el("span", { class: "tag warn" }, `${rate(h.rate)}/s`) : null),
            el("td", { class: "number" }, count(h.count)))))));
    },
  };
}

export function limitedPanel(most) {
  const node = el("section", { class: "panel" });
  return {
    node,
    stats(s) {
      const peers = s.limited.slice(0, most);
      replace(node, el("h2", {}, "Who ran into limits", el("small", {}, "in the last minutes, of rates and caps")),
        peers.length === 0 ? el("p", { class: "empty" }, "Nobody. Rates and caps are not reached.")
          : el("table", {}, el("tbody", {}, peers.map((p) => el("tr", {},
            el("td", {}, el("a", { href: `#/sockets?q=${encodeURIComponent(p.user || p.address || "")}` }, p.user || p.address || "somebody")),
            el("td", {}, p.user ? p.address ?? "" : ""),
            el("td", { title: p.limit }, p.limit),
            el("td", { class: "number" }, count(p.count)))))));
    },
  };
}

export function slowPanel(most) {
  const node = el("section", { class: "panel" });
  return {
    node,
    stats(s) {
      const slow = s.slow.slice(0, most);
      replace(node, el("h2", {}, "Slow readers", el("small", {}, "64 KiB and more waiting, or closed for that")),
        slow.length === 0 ? el("p", { class: "empty" }, "None. Everybody reads what is sent.")
          : el("table", {}, el("tbody", {}, slow.map((r) => el("tr", {},
            el("td", {}, r.closed ? el("span", { class: "mono" }, r.id)
              : el("a", { href: "#", class: "mono", onclick: (event) => { event.preventDefault(); change({ open: `socket ${r.id}` }); } }, r.id)),
            el("td", {}, r.user || r.address),
            el("td", { class: "number" }, r.closed ? el("span", { class: "tag bad" }, `closed ${since(r.since)} ago`) : el("span", { class: "tag warn" }, bytes(r.queued))))))));
    },
  };
}

// limitsView has all of both, and the limits that are in force.
export function limitsView(main) {
  const limits = limitsPanel(Infinity), limited = limitedPanel(Infinity), slow = slowPanel(Infinity);
  main.append(el("header", {}, el("h1", {}, "Limits")),
    el("div", { class: "body" }, el("div", { class: "overview" }, el("div", { class: "panels" }, limits.node, limited.node, slow.node))));
  return { stats(s) { limits.stats(s); limited.stats(s); slow.stats(s); } };
}
