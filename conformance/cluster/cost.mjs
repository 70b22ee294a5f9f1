// What a cluster costs: figures for docs/engines.md, and what a node hears. Not a test: it prints, and measures a machine.
//
//   node cluster/cost.mjs publish            publishes per second, and CPU per message of each process, engine by engine
//   node cluster/cost.mjs hears              what a node receives of rooms that nobody on it is in: must be nothing
//   node cluster/cost.mjs return             5,000 clients of a node that is killed, until all are recovered on another
//   ENGINE=redis-everysec CLIENTS=1000 node cluster/cost.mjs return
//
// TUTTI_BIN is the program, else ../bin/tutti. Ends with 1 if something was lost, doubled, swapped or not recovered.
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import net from "node:net";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Program, within } from "../harness.mjs";
import { engines } from "./engines.mjs";
import { Raw } from "./rawclient.mjs";

const bin = process.env.TUTTI_BIN || fileURLToPath(new URL("../../bin/tutti", import.meta.url));
const dir = mkdtempSync(join(tmpdir(), "tutti-cost-"));
const number = (name, otherwise) => Number(process.env[name] || otherwise);

/** What one connection may do is limited for good reasons, which a generator of load is not. */
const unlimited = ["connection-events", "connection-publishes", "connection-joins", "user-events", "user-publishes", "user-joins", "room-publishes"]
  .flatMap((name) => [`--rate-${name}`, "none"]);
const open = ["serve", "--open", "chat:*", ...unlimited];

/** A place is what serves: nodes, and what they share. */
class Place {
  nodes = [];
  links = [];

  static async open(kind, count) {
    const place = new Place();
    const data = mkdtempSync(join(dir, "data-"));
    if (engines[kind]) {
      mkdirSync(join(data, "engine"));
      place.engine = new engines[kind](join(data, "engine"));
      await place.engine.start();
    }
    const args = { "no memory": [], "folder, async": ["--data", data, "--durable", "chat:* durability=async"], "folder, fsync": ["--data", data, "--durable", "chat:*"] }[kind];
    for (let i = 0; i < count; i++) {
      const link = place.engine && (await new Meter(place.engine.port).listen());
      if (link) place.links.push(link);
      place.nodes.push(await new Program([bin, ...open, ...(args ?? ["--engine", place.engine.url(`http://127.0.0.1:${link.port}`), "--durable", "chat:*"])]).start());
    }
    return place;
  }

  processes() {
    return [...this.nodes, ...(this.engine ? [this.engine] : [])];
  }

  async close() {
    for (const node of this.nodes) await node.stop("SIGTERM").catch(() => {}); // it was killed
    for (const link of this.links) link.close();
    await this.engine?.stop("SIGTERM");
  }
}

/** A Meter passes a node's connections on to the engine, and counts what the node receives. */
class Meter {
  bytes = 0;
  marked = 0; // messages that carry the mark
  #server;

  constructor(to) {
    this.#server = net.createServer((node) => {
      const engine = net.connect({ host: "127.0.0.1", port: to, noDelay: true });
      node.setNoDelay(true);
      engine.on("data", (chunk) => {
        this.bytes += chunk.length;
        if (this.mark) for (let at = -1; (at = chunk.indexOf(this.mark, at + 1)) >= 0; ) this.marked++;
      });
      for (const [from, onto] of [[node, engine], [engine, node]]) from.pipe(onto).on("error", () => {}) && from.on("error", () => onto.destroy());
    });
  }

  async listen() {
    await new Promise((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    this.port = this.#server.address().port;
    return this;
  }

  close() {
    this.#server.close();
  }
}

/** cpu is the time that a process has had, in µs. */
function cpu({ pid }) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

/** crowd connects clients, who join the rooms that rooms(i) names. */
async function crowd(count, url, rooms, received) {
  const clients = Array.from({ length: count }, () => new Raw(received));
  let next = 0;
  await Promise.all(Array.from({ length: Math.min(count, 100) }, async () => {
    for (let i = next++; i < count; i = next++) {
      await clients[i].connect(url);
      for (const room of rooms(i)) await clients[i].ask("join", { room });
    }
  }));
  return clients;
}

const thousand = (from) => (i) => Array.from({ length: 250 }, (_, n) => `chat:${from}${i * 250 + n}`);

/** publish: 64 publishers, each of whom waits for each ack, to 1,000 rooms that somebody on the last node is in. */
async function publish() {
  const seconds = number("DURATION", 8);
  console.log(`64 publishers, 1,000 rooms, 200 bytes, ${seconds} s; the generator shares ${availableParallelism()} cores with all\n`);
  console.log("| engine | nodes | acked/s | delivered | CPU per message, µs: the publishers' node | the members' node | the engine |\n|---|---|---|---|---|---|---|");
  for (const [kind, count] of [["no memory", 1], ["folder, async", 1], ["folder, fsync", 1], ["redis-everysec", 2], ["redis", 2], ["nats", 2]]) {
    const place = await Place.open(kind, count);
    let delivered = 0;
    await crowd(4, place.nodes.at(-1).url, thousand(""), () => delivered++);
    const publishers = await crowd(64, place.nodes[0].url, () => []);
    const before = place.processes().map(cpu);
    const data = "x".repeat(200);
    let acked = 0;
    const end = Date.now() + seconds * 1000;
    await Promise.all(publishers.map(async (p, i) => {
      for (let n = i; Date.now() < end; n += 64) {
        const answer = await p.ask("publish", { room: `chat:${n % 1000}`, event: "m", data });
        if (answer.error) throw new Error(answer.error);
        acked++;
      }
    }));
    await within((async () => { while (delivered < acked) await sleep(20); })(), `${acked} deliveries`);
    const used = place.processes().map((p, i) => ((cpu(p) - before[i]) / acked).toFixed(0));
    if (count === 1) used.splice(1, 0, "–");
    if (!place.engine) used.push("–");
    console.log(`| ${kind} | ${count} | ${Math.round(acked / seconds)} | ${delivered === acked ? "all" : `${delivered} of ${acked}`} | ${used.join(" | ")} |`);
    await place.close();
  }
}

/** hears: two nodes with 1,000 rooms each; what the second receives while the first's are spoken in. */
async function hears() {
  const messages = number("MESSAGES", 10_000);
  const place = await Place.open(process.env.ENGINE || "redis", 2);
  const heard = [0, 0];
  for (const [i, node] of place.nodes.entries()) await crowd(4, node.url, thousand(`${i}-`), () => heard[i]++);
  const publishers = await crowd(16, place.nodes[0].url, () => []);
  for (const link of place.links) link.mark = Buffer.from("-marked-");
  const measure = async (what) => {
    const [before, began] = [place.links.map((l) => l.bytes), Date.now()];
    await what();
    return { bytes: place.links.map((l, i) => l.bytes - before[i]), seconds: (Date.now() - began) / 1000 };
  };
  const idle = await measure(() => sleep(5000));
  const data = "-marked-".padEnd(200, "x");
  const busy = await measure(async () => {
    await Promise.all(publishers.map(async (p, i) => {
      for (let n = i; n < messages; n += 16) await p.ask("publish", { room: `chat:0-${n % 1000}`, event: "m", data });
    }));
    await sleep(500);
  });
  for (const [i, name] of ["the rooms' node", "the other node"].entries()) {
    const [rest, work] = [idle, busy].map(({ bytes, seconds }) => Math.round(bytes[i] / seconds));
    console.log(`${name}: ${place.links[i].marked} of ${messages} messages came from the engine, ${heard[i]} to its members; ${work} B/s, at rest ${rest} B/s`);
  }
  if (place.links[1].marked !== 0 || heard[1] !== 0 || heard[0] !== messages) process.exitCode = 1;
  await place.close();
}

/** comeBack is what a stock client does whose connection has ended: wait for 0.5 to 1.5 s, and try until it is in. */
async function comeBack(client, url, times, killed) {
  for (;;) {
    await sleep(500 + Math.random() * 1000);
    try {
      const before = client.sid;
      await client.connect(url);
      times.push({ after: Date.now() - killed, recovered: client.sid === before });
      return;
    } catch {
      times.failures = (times.failures ?? 0) + 1;
    }
  }
}

/** back: all clients are on the first node, which is killed; somebody on the second goes on publishing. */
async function back() {
  const count = number("CLIENTS", 5000);
  const rooms = Math.ceil(count / 10);
  const place = await Place.open(process.env.ENGINE || "redis", 2);
  const [one, two] = place.nodes;
  const clients = await crowd(count, one.url, (i) => [`chat:${i % rooms}`]);
  const [publisher] = await crowd(1, two.url, () => []);
  const said = Array.from({ length: rooms }, () => []);
  let quiet = false;
  const publishing = (async () => {
    for (let n = 0; !quiet; n++) {
      const answer = await publisher.ask("publish", { room: `chat:${n % rooms}`, event: "m", data: n });
      if (!answer.error) said[n % rooms].push(n);
      await sleep(2);
    }
  })();
  await sleep(1000);
  const [times, used, killed] = [[], [two, place.engine, process].map(cpu), Date.now()];
  const returning = clients.map((c) => c.ended.then(() => comeBack(c, two.url, times, killed)));
  await one.stop("SIGKILL");
  await within(Promise.all(returning), "all to come back", 120_000);
  const spent = [two, place.engine, process].map((p, i) => ((cpu(p) - used[i]) / count).toFixed(0));
  quiet = true;
  await publishing;
  const wrongs = () => clients.filter((c, i) => JSON.stringify(c.heard) !== JSON.stringify(said[i % rooms])).length;
  let whole = Date.now();
  while (wrongs() > 0 && Date.now() - whole < 30_000) await sleep(100); // they may be catching up yet
  whole = Date.now() - killed;
  await sleep(1000); // what is complete may still be followed by duplicates
  const wrong = wrongs();
  const sorted = times.map((t) => t.after).sort((a, b) => a - b);
  const at = (share) => (sorted[Math.ceil(share * sorted.length) - 1] / 1000).toFixed(2);
  const recovered = times.filter((t) => t.recovered).length;
  console.log(`${count} clients, ${rooms} rooms; ${said.flat().length} messages acknowledged, ${said.flat().length * 10} owed`);
  console.log(`recovered ${recovered} of ${count}; attempts that failed: ${times.failures ?? 0}; clients to whom something is missing, doubled or swapped: ${wrong}`);
  console.log(`after the kill: the first in ${(sorted[0] / 1000).toFixed(2)} s, half in ${at(0.5)} s, 99 % in ${at(0.99)} s, the last in ${at(1)} s (each waits for 0.5 to 1.5 s by itself); all had what they missed by ${(whole / 1000).toFixed(2)} s`);
  console.log(`CPU a client, µs: ${spent[0]} of the other node, ${spent[1]} of the engine, ${spent[2]} of this generator`);
  if (recovered !== count || wrong !== 0) process.exitCode = 1;
  for (const c of clients) c.close();
  await place.close();
}

const measurements = { publish, hears, return: back };
const measurement = measurements[process.argv[2]];
if (!measurement) throw new Error(`want one of ${Object.keys(measurements).join(", ")}`);
try {
  await measurement();
} finally {
  rmSync(dir, { recursive: true, force: true });
}
process.exit();
