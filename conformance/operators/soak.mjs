// A long run under all kinds of load at about half of what a core takes: memory, goroutines and descriptors must stay
// flat, and go back to where they were when everybody has left. Writes docs/soak.svg and soak.json beside it.
//
//   make soak          two hours
//   make soak T=10m LOAD=4
//
// TUTTI_BIN is the program; SOAK_SVG and SOAK_JSON say where to write.
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { io } from "socket.io-client";
import { WebSocket } from "ws";
import { Program, within } from "../harness.mjs";

const seconds = (text) => {
  const [, n, unit] = /^(\d+)(s|m|h)$/.exec(text) ?? [];
  if (!n) throw new Error(`how long? ${text} is not like 90s, 10m or 2h`);
  return Number(n) * { s: 1, m: 60, h: 3600 }[unit];
};
const length = seconds(process.argv[2] ?? "2h");
const svg = process.env.SOAK_SVG ?? fileURLToPath(new URL("../../docs/soak.svg", import.meta.url));
const json = process.env.SOAK_JSON ?? path.join(tmpdir(), "soak.json");
const every = Math.max(1, Math.round(length / 720)); // seconds between two looks: some 700 points in all

const STEADY = 200, STREAMS = 20, CHURN = 4, SLOW = 2; // clients that stay, streams, comings and goings a second, slow readers at a time
const LOAD = Number(process.env.LOAD ?? 1); // times 80 messages a second, to some 12 members each
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const pick = (list) => list[Math.floor(Math.random() * list.length)];

const folder = await mkdtemp(path.join(tmpdir(), "tutti-soak-"));
const server = new Program([process.env.TUTTI_BIN, "serve", "--admin", "127.0.0.1:0", "--data", path.join(folder, "data"), "--window", "30s",
  "--durable", "kept:* count=500", "--open", "*", "--namespace", "/plain", "--memory", "/", "--limit-queue", "1MB", "--ping-interval", "5s", "--ping-timeout", "4s"]);
await server.start();
const operators = await within((async () => { for (;;) { const m = /Operators: (\S+)/.exec(server.output); if (m) return m[1]; await sleep(50); } })(), "the operators' address");
const stats = async () => (await fetch(`${operators}/api/stats`)).json();
await sleep(1500);
const before = await stats();

let over = false;
const counts = { published: 0, received: 0, refused: 0, churned: 0, recovered: 0, slow: 0, errors: 0 };
const rooms = Array.from({ length: 30 }, (_, i) => (i % 3 ? `kept:${i}` : `room:${i}`));
const connect = (options = {}, namespace = "") => io(server.url + namespace, { forceNew: true, reconnectionDelay: 200, ...options });
const join = (socket) => { for (const room of [pick(rooms), pick(rooms)]) socket.emit("join", { room }, () => {}); };

/* Who stays, and publishes */

const steady = [];
for (let i = 0; i < STEADY; i++) {
  const socket = connect({ transports: i % 8 ? ["websocket"] : ["polling"] }, i % 4 === 3 ? "/plain" : "");
  socket.on("connect", () => join(socket));
  socket.onAny(() => counts.received++);
  steady.push(socket);
}

async function publish() {
  for (let n = 0; !over; n++) {
    const data = n % 50 ? { n, text: "From the top." } : { n, bytes: randomBytes(8000).toString("base64") };
    pick(steady).emit("publish", { room: pick(rooms), event: "said", data }, (answer) => { answer?.error ? counts.refused++ : counts.published++; });
    await sleep(12);
  }
}

/* Event streams, which end and begin again */

async function stream() {
  while (!over) {
    const control = new AbortController();
    setTimeout(() => control.abort(), 5000 + Math.random() * 20_000);
    try {
      const response = await fetch(`${server.url}/events?room=${encodeURIComponent(pick(rooms))}`, { signal: control.signal });
      for await (const chunk of response.body) counts.received += chunk.length > 0;
    } catch { /* it was aborted, or refused: once more */ }
    await sleep(100);
  }
}

/* Who comes, says something and goes: politely, without a word, or to come back */

async function churn() {
  while (!over) {
    const socket = connect({ transports: pick([["websocket"], ["polling"], ["polling", "websocket"]]), reconnection: false, auth: { name: "guest" } });
    const ended = sleep(8000);
    const worked = await Promise.race([new Promise((resolve) => socket.once("connect", () => resolve(true))), ended]);
    if (worked) {
      join(socket);
      await sleep(300 + Math.random() * 500);
      socket.emit("publish", { room: pick(rooms), event: "said", data: "hello" }, () => {});
      counts.churned++;
      if (Math.random() < 0.4) {
        // The connection breaks, and the client comes back to its session.
        socket.io.engine.close();
        await sleep(200);
        socket.connect();
        await Promise.race([new Promise((resolve) => socket.once("connect", resolve)), sleep(3000)]);
        if (socket.recovered) counts.recovered++;
        await sleep(200);
      }
    } else {
      counts.errors++;
    }
    if (Math.random() < 0.5) socket.disconnect();
    else socket.io.engine?.transport?.ws?.terminate?.();
    socket.close();
    await sleep(1000 / CHURN);
  }
}

/* Who joins the loudest rooms, and reads nothing */

async function slow() {
  while (!over) {
    const ws = new WebSocket(`${server.url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`);
    ws.on("error", () => {});
    let opened = false;
    ws.once("message", () => {
      opened = true;
      ws.send("40");
      for (const [i, room] of rooms.entries()) ws.send(`42${i}["join",${JSON.stringify({ room })}]`);
      setTimeout(() => ws.pause?.(), 500);
    });
    await sleep(20_000 + Math.random() * 10_000);
    if (opened) counts.slow++;
    ws.terminate();
  }
}

/* The run */

const began = Date.now();
const work = [...Array.from({ length: LOAD }, publish), ...Array.from({ length: STREAMS }, stream), ...Array.from({ length: CHURN }, churn), ...Array.from({ length: SLOW }, slow)];
const points = [];
while (Date.now() - began < length * 1000) {
  await sleep(every * 1000);
  const s = await stats();
  points.push({
    at: (Date.now() - began) / 1000, resident: s.memory.resident, heap: s.memory.heap, goroutines: s.memory.goroutines, descriptors: s.memory.descriptors,
    connections: s.connections, delivered: s.rates.deliveries, p99: s.latency.publish.p99, cpu: s.rates.cpu, kept: s.kept,
  });
  if (points.length % 30 === 1) console.log(`${Math.round(points.at(-1).at)} s: ${JSON.stringify(points.at(-1))} ${JSON.stringify(counts)}`);
}
over = true;
await Promise.race([Promise.all(work), sleep(35_000)]);
for (const socket of steady) socket.close();
await sleep(45_000); // the window of who may come back is over, and connections that were cut are noticed
const after = await stats();
await server.stop("SIGTERM");
await rm(folder, { recursive: true, force: true });

/* What came of it */

const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];
const part = (from, to, of) => median(points.slice(Math.floor(points.length * from), Math.ceil(points.length * to)).map(of));
const problems = [];
// The first third fills what is filled once: pools, caches, the store's memory.
function flat(name, of, slack) {
  const early = part(1 / 3, 1 / 2, of), late = part(5 / 6, 1, of);
  console.log(`${name}: ${Math.round(early)} early, ${Math.round(late)} late`);
  if (late > early * 1.1 + slack) problems.push(`${name} grew from ${Math.round(early)} to ${Math.round(late)}`);
}
flat("bytes of heap", (p) => p.heap, 4 << 20);
// The store fills a table of 32 MiB in memory before it writes it, over and over, and reads through a cache of 64 MiB.
flat("resident bytes", (p) => p.resident, 48 << 20);
flat("goroutines", (p) => p.goroutines, 10);
flat("descriptors", (p) => p.descriptors, 10);
flat("sessions kept", (p) => p.kept, 20);
for (const name of ["goroutines", "descriptors"]) {
  console.log(`${name}: ${before.memory[name]} before anybody came, ${after.memory[name]} after all have left`);
  if (after.memory[name] > before.memory[name] + 12) problems.push(`${name}: ${before.memory[name]} before, ${after.memory[name]} after all have left`);
}
if (after.connections !== 0) problems.push(`${after.connections} sessions after all have left`);
if (counts.published < length) problems.push(`only ${counts.published} messages were published`);
await writeFile(json, JSON.stringify({ length, before: before.memory, after: after.memory, counts, problems, points }));
await writeFile(svg, draw());
console.log(`${JSON.stringify(counts)}\nwrote ${svg}`);
for (const p of problems) console.error(`soak: ${p}`);
process.exit(problems.length ? 1 : 0);

/* The plot */

function draw() {
  const width = 860, each = 118, left = 74, right = 14;
  const mib = (v) => `${Math.round(v / 2 ** 20)} MiB`, whole = (v) => Math.round(v).toLocaleString("en");
  const panels = [
    ["Memory", mib, [["resident", "resident"], ["heap", "heap"]]],
    ["Goroutines, descriptors, sessions", whole, [["goroutines", "goroutines"], ["descriptors", "descriptors"], ["connections", "sessions"]]],
    ["Delivered per second", whole, [["delivered", "delivered"]]],
    ["Publish p99", (v) => `${v < 10 ? v.toFixed(1) : Math.round(v)} ms`, [["p99", "p99"]]],
  ];
  const colours = ["#2f8f78", "#c8881d", "#5b83c4"];
  const x = (p) => left + (p.at / points.at(-1).at) * (width - left - right);
  const out = [];
  panels.forEach(([title, unit, lines], k) => {
    const top = 26 + k * (each + 34);
    const most = Math.max(1e-9, ...points.flatMap((p) => lines.map(([key]) => p[key]))) * 1.08;
    const y = (v) => top + each - (v / most) * each;
    out.push(`<text x="${left}" y="${top - 9}" class="t">${title}</text>`);
    lines.forEach(([, name], i) => out.push(`<text x="${width - right - (lines.length - 1 - i) * 96}" y="${top - 9}" class="n" fill="${colours[i]}" text-anchor="end">${name}</text>`));
    for (const share of [0, 0.5, 1]) {
      out.push(`<line x1="${left}" x2="${width - right}" y1="${y(most * share)}" y2="${y(most * share)}" class="g"/>`, `<text x="${left - 8}" y="${y(most * share) + 4}" class="a" text-anchor="end">${share ? unit(most * share) : "0"}</text>`);
    }
    lines.forEach(([key], i) => out.push(`<polyline points="${points.map((p) => `${x(p).toFixed(1)},${y(p[key]).toFixed(1)}`).join(" ")}" fill="none" stroke="${colours[i]}" stroke-width="1.4"/>`));
  });
  const bottom = 26 + panels.length * (each + 34) - 16;
  const unit = length >= 7200 ? [1800, 3600, "h"] : length >= 600 ? [Math.round(length / 5 / 60) * 60, 60, "min"] : [Math.max(1, Math.round(length / 5)), 1, "s"];
  for (let t = 0; t <= points.at(-1).at; t += unit[0]) out.push(`<text x="${x({ at: t })}" y="${bottom}" class="a" text-anchor="middle">${t / unit[1]} ${unit[2]}</text>`);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${bottom + 10}" font-family="system-ui, sans-serif" font-size="11">
<style>.t{font-weight:600;font-size:13px;fill:#6f7672}.n{font-weight:600}.a{fill:#808884}.g{stroke:#808884;stroke-opacity:.25}</style>
${out.join("\n")}
</svg>
`;
}
