// docs/moving-a-cluster.md, step by step: a cluster on Node.js becomes one of Tutti while somebody broadcasts. The
// balancer's configuration is the page's.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Emitter } from "@socket.io/redis-emitter";
import { createClient } from "redis";
import { clients } from "../clients.mjs";
import { event, Program, within } from "../harness.mjs";
import { engines, freePort, Server } from "./engines.mjs";

const page = readFileSync(new URL("../../docs/moving-a-cluster.md", import.meta.url), "utf8");
const shown = (language) => new RegExp("```" + language + "\n([^]*?)```").exec(page)[1];

class HAProxy extends Server {
  command(port) {
    const file = join(this.data, "haproxy.cfg");
    let text = shown("haproxy").replace("bind :80", `bind 127.0.0.1:${port}`);
    this.ports.forEach((p, i) => (text = text.replace(`127.0.0.1:300${i + 1}`, `127.0.0.1:${p}`)));
    for (const p of this.ports) assert.ok(text.includes(`:${p}`), text);
    writeFileSync(file, text);
    return ["haproxy", "-db", "-f", file];
  }
}

const nodeServer = fileURLToPath(new URL("../reference/server.mjs", import.meta.url));

test("a cluster moves, node by node", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "tutti-moving-"));
  t.after(() => rmSync(dir, { recursive: true }));
  mkdirSync(join(dir, "redis"));
  const redis = new engines.redis(join(dir, "redis"));
  await redis.start();
  t.after(() => redis.stop("SIGTERM"));
  const url = redis.url(redis.address);
  const ports = [];
  for (let i = 0; i < 4; i++) ports.push(await freePort());

  // The command of the page, for another Redis and port.
  const command = shown("sh").trim().split(" ");
  assert.equal(command.shift(), "tutti");
  const serve = command.map((word) => word.replace("redis://HOST:PORT", url)).filter((word, i, all) => word !== "--listen" && all[i - 1] !== "--listen");
  const server = async (i, ...line) => {
    const program = new Program(line);
    program.url = `http://127.0.0.1:${ports[i]}`;
    return program.start();
  };
  const node = (i) => server(i, process.execPath, nodeServer, "--node-cluster", url);
  const tutti = (i) => server(i, process.env.TUTTI_BIN, ...serve);

  const running = new Set();
  t.after(() => Promise.all([...running].map((s) => s.stop("SIGTERM"))));
  const up = async (starting) => {
    const s = await starting;
    running.add(s);
    return s;
  };
  const [n1, n2] = [await up(node(0)), await up(node(1))];
  const balancer = new HAProxy(dir);
  balancer.ports = ports;
  await balancer.start();
  t.after(() => balancer.stop("SIGTERM"));

  // Everybody notes what they hear, connection by connection.
  const people = [];
  const person = async (at, options) => {
    const socket = clients[0].io(at, { forceNew: true, transports: ["websocket"], reconnectionDelay: 50, reconnectionDelayMax: 200, ...options });
    t.after(() => socket.close());
    const p = { socket, connections: [] };
    socket.on("connect", () => p.connections.push([]));
    socket.on("n", (n) => p.connections.at(-1).push(n));
    people.push(p);
    await event(socket, "connect");
    return p;
  };
  for (let i = 0; i < 8; i++) await person(balancer.address);

  // Somebody broadcasts all the time.
  const client = await createClient({ url }).on("error", () => {}).connect();
  t.after(() => client.destroy());
  const emitter = new Emitter(client);
  let said = 0, over = false;
  const saying = (async () => {
    while (!over) {
      emitter.emit("n", said++);
      await sleep(2);
    }
  })();
  const all = (what, holds) => within((async () => {
    while (!people.every(holds)) await sleep(20);
  })(), what, 20_000);
  const hearing = async (what) => {
    const from = said;
    await all(what, (p) => p.socket.connected && p.connections.at(-1).at(-1) > from);
  };
  await hearing("all to hear Node's servers");

  // 1, 2: a server of Tutti beside the others, with clients.
  const t1 = await up(tutti(2));
  const stays = await person(t1.url);
  await hearing("all to hear with a server of Tutti");
  // 3: one more.
  await up(tutti(3));
  await sleep(1200); // the balancer looks every 500 ms
  for (let i = 0; i < 4; i++) await person(balancer.address);
  await hearing("all to hear with two");
  // 4: Node's servers stop.
  for (const old of [n1, n2]) {
    running.delete(old);
    await old.stop("SIGTERM");
    await hearing("all to be back");
  }
  over = true;
  await saying;
  await all("the last to be heard", (p) => p.connections.at(-1).at(-1) === said - 1);

  for (const p of people) {
    for (const heard of p.connections) {
      for (let i = 1; i < heard.length; i++) assert.equal(heard[i], heard[i - 1] + 1, "a broadcast was lost, doubled or out of order");
    }
  }
  assert.equal(stays.connections.length, 1, "who is on a server that stays, stays");
  const moved = people.filter((p) => p.connections.length > 1).length;
  assert.ok(moved >= 8, `only ${moved} clients have moved`);
  t.diagnostic(`${said} broadcasts, ${people.length} clients, ${moved} moved, ${people.reduce((n, p) => n + p.connections.flat().length, 0)} heard`);
});
