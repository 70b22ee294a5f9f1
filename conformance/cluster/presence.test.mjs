// Who is present, on three nodes with Redis: the members of a node that dies leave once, and only those who do not come
// back on another; a rolling restart takes nobody away, and its clients are not told all at once.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "../clients.mjs";
import { ask, Program, within } from "../harness.mjs";
import { engines } from "./engines.mjs";

const lease = 10_000; // and that of hub/redishub
const grace = 4_000;
const pace = 3_000;
const dir = mkdtempSync(join(tmpdir(), "tutti-presence-"));
const engine = new engines.redis(dir);
const nodes = [];
const balancer = { sockets: new Set(), next: 0 };

/** The balancer gives each connection to the next node that takes it. */
function balance(downstream) {
  keep(downstream);
  const start = balancer.next++;
  const attempt = (i) => {
    const { hostname, port } = new URL(nodes[(start + i) % nodes.length].url);
    const upstream = keep(net.connect(port, hostname, () => downstream.pipe(upstream).pipe(downstream)));
    upstream.once("error", () => (upstream.connecting || upstream.bytesRead === 0) && i < nodes.length ? attempt(i + 1) : downstream.destroy());
    upstream.once("close", () => upstream.bytesRead > 0 && downstream.destroy());
    downstream.once("close", () => upstream.destroy());
  };
  attempt(0);
}

function keep(socket) {
  balancer.sockets.add(socket);
  socket.setNoDelay(true).on("error", () => {}).on("close", () => balancer.sockets.delete(socket));
  return socket;
}

before(async () => {
  await engine.start();
  for (let i = 0; i < 3; i++) {
    nodes.push(await new Program([process.env.TUTTI_BIN, "serve", "--engine", engine.url(engine.address), "--open", "chat:*", "--durable", "chat:*",
      "--presence-grace", `${grace}ms`, "--timeout-pace", `${pace}ms`]).start());
  }
  balancer.server = net.createServer(balance);
  await new Promise((resolve) => balancer.server.listen(0, "127.0.0.1", resolve));
  balancer.url = `http://127.0.0.1:${balancer.server.address().port}`;
});

after(async () => {
  balancer.server.close();
  for (const socket of balancer.sockets) socket.destroy();
  for (const node of nodes) await node.stop("SIGTERM");
  await engine.stop("SIGTERM");
  rmSync(dir, { recursive: true });
});

async function verb(socket, name, request) {
  const [answer] = await ask(socket, name, request);
  assert.equal(answer.error, undefined, `${name}: ${JSON.stringify(answer)}`);
  return answer;
}

/** member is a client in the room that comes back by itself. */
async function member(t, room, url) {
  const socket = await connect(t, { url, reconnection: true, reconnectionDelay: 100, reconnectionDelayMax: 500 });
  await verb(socket, "join", { room });
  socket.unrecovered = 0;
  socket.on("connect", () => socket.recovered || socket.unrecovered++);
  return socket;
}

/** watch keeps what a watcher makes of its first page and of the differences, and all that it was told. */
async function watch(t, room, url) {
  const socket = await connect(t, { url });
  const seen = { people: new Set(), left: [], joined: [], missed: 0 };
  socket.on("presence", (d) => {
    if (d.missed || d.version !== seen.version + 1) seen.missed++;
    seen.version = d.version;
    for (const p of d.joined ?? []) seen.people.add(p.id), seen.joined.push(p.id);
    for (const id of d.left ?? []) seen.people.delete(id), seen.left.push(id);
  });
  const page = await verb(socket, "presence", { room, limit: 200 });
  assert.equal(page.partial, undefined);
  seen.version = page.version;
  for (const p of page.members) seen.people.add(p.id);
  return seen;
}

const until = (waitingFor, happened, ms) => within((async () => {
  while (!happened()) await sleep(20);
})(), waitingFor, ms);

test("the members of a node that is killed leave within lease and grace, once, and who comes back elsewhere does not", async (t) => {
  const room = "chat:kill";
  const here = [];
  for (let i = 0; i < 12; i++) here.push(await member(t, room, balancer.url)); // a third of them on each node
  const lost = [];
  for (let i = 0; i < 10; i++) lost.push(await member(t, room, nodes[1].url));
  const ids = [...here, ...lost].map((s) => s.id);
  const gone = lost.map((s) => s.id).sort();
  const watchers = [await watch(t, room, nodes[0].url), await watch(t, room, nodes[2].url)];
  for (const w of watchers) assert.deepEqual([...w.people].sort(), ids.toSorted());
  await nodes[1].stop("SIGKILL");
  for (const s of lost) s.io.reconnection(false);
  const began = Date.now();
  for (const w of watchers) await until("them to leave", () => w.left.length >= gone.length, lease + grace + 5000);
  const took = Date.now() - began;
  assert.ok(took > grace, `they left after ${took} ms: nobody waited for them`);
  t.diagnostic(`${gone.length} left ${took} ms after the kill`);
  await nodes[1].start();
  const late = await watch(t, room, nodes[1].url);
  await sleep(2 * grace);
  for (const w of watchers) {
    assert.deepEqual(w.left.toSorted(), gone);
    assert.deepEqual([w.joined, w.missed], [[], 0]);
  }
  for (const w of [late, ...watchers]) assert.deepEqual([...w.people].sort(), here.map((s) => s.id).sort());
  assert.equal(here.reduce((n, s) => n + s.unrecovered, 0), 0);
});

test("a rolling restart takes nobody away, and tells its clients one after another", async (t) => {
  const room = "chat:rolling";
  const members = [];
  for (let i = 0; i < 60; i++) members.push(await member(t, room, balancer.url));
  const ids = members.map((s) => s.id).sort();
  let ended = [];
  for (const s of members) s.on("disconnect", () => ended.push(Date.now()));
  for (let i = 0; i < 3; i++) {
    const seen = await watch(t, room, nodes[(i + 1) % 3].url);
    assert.deepEqual([...seen.people].sort(), ids, `before the restart of node ${i}`);
    ended = [];
    await nodes[i].restart("SIGTERM");
    await until("all to be back", () => members.every((s) => s.connected), 10_000);
    await sleep(grace + 2000);
    assert.deepEqual([seen.left, seen.joined, seen.missed], [[], [], 0]);
    const spread = Math.max(...ended) - Math.min(...ended);
    const slices = new Map();
    for (const at of ended) slices.set(Math.floor(at / 500), (slices.get(Math.floor(at / 500)) ?? 0) + 1);
    t.diagnostic(`node ${i}: ${ended.length} clients moved over ${spread} ms, ${Math.max(...slices.values())} in half a second at most`);
    if (ended.length > 10) assert.ok(spread > pace / 2, `all were told within ${spread} ms`);
  }
  assert.equal(members.reduce((n, s) => n + s.unrecovered, 0), 0, "clients that were not recovered");
  const page = await watch(t, room, nodes[0].url);
  assert.deepEqual([...page.people].sort(), ids);
});
