// A node at the edge, in a network of its own: its NATS is a leaf of the central one, and the way between them is cut for
// ten seconds. Run by hand, since a network namespace needs root:
//
//   make edge
//
// What has no memory goes on within the edge; what is kept is refused there while the way is cut. Nobody is disconnected, and
// in the end everybody has everything that was acknowledged, once and in one order.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { io } from "socket.io-client";

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const RUN = 30_000, EACH = 100, CUT = [8_000, 18_000];

if (process.argv[2] === "client") {
  await client(...process.argv.slice(3));
  process.exit(0);
}

const space = `tutti${process.pid}`, here = `ve${process.pid}a`.slice(-15), there = `ve${process.pid}b`.slice(-15);
const folder = await mkdtemp(path.join(tmpdir(), "tutti-edge-"));
const ip = (...args) => execFileSync("ip", args.join(" ").split(" "));
const within = ["ip", "netns", "exec", space];
const running = [];
const start = (line, stdout = "ignore") => {
  const child = spawn(line[0], line.slice(1), { stdio: ["ignore", stdout, "ignore"] });
  running.push(child);
  return child;
};

try {
  ip(`netns add ${space}`);
  ip(`link add ${here} type veth peer name ${there} netns ${space}`);
  ip(`addr add 10.77.0.1/24 dev ${here}`);
  ip(`link set ${here} up`);
  for (const line of [`addr add 10.77.0.2/24 dev ${there}`, `link set ${there} up`, "link set lo up"]) ip(`netns exec ${space} ip ${line}`);

  const conf = { center: `listen: "10.77.0.1:14222"\nleafnodes { listen: "10.77.0.1:17422" }\njetstream { domain: center, store_dir: "${folder}/store" }\n`,
    leaf: 'listen: "127.0.0.1:4222"\nleafnodes { reconnect: 1, remotes: [{ url: "nats-leaf://10.77.0.1:17422" }] }\n' };
  for (const [name, text] of Object.entries(conf)) await writeFile(`${folder}/${name}.conf`, `${text}server_name: ${name}\nping_interval: "2s"\n`);
  start(["nats-server", "-c", `${folder}/center.conf`]);
  start([...within, "nats-server", "-c", `${folder}/leaf.conf`]);
  await sleep(2_000);
  const serve = (listen, engine) => [process.env.TUTTI_BIN, "serve", "--listen", listen, "--auth-anonymous=true", "--engine", `${engine}?domain=center`, "--engine-loss",
    "--memory", "/", "--namespace", "/live", "--open", "room:*"];
  start(serve("10.77.0.1:13000", "nats://10.77.0.1:14222"));
  start([...within, ...serve("10.77.0.2:13000", "nats://127.0.0.1:4222")]);
  await sleep(4_000);

  const me = [process.execPath, fileURLToPath(import.meta.url), "client"];
  const reports = [start([...me, "center", "http://10.77.0.1:13000"], "pipe"), start([...within, ...me, "edge", "http://10.77.0.2:13000"], "pipe")].map(async (child) => {
    let text = "";
    for await (const chunk of child.stdout) text += chunk;
    return JSON.parse(text);
  });
  await sleep(CUT[0]);
  ip(`link set ${here} down`);
  await sleep(CUT[1] - CUT[0]);
  ip(`link set ${here} up`);
  judge(...(await Promise.all(reports)));
} finally {
  for (const child of running) child.kill();
  await sleep(1_000);
  try { ip(`netns del ${space}`); } catch { /* it was not made */ }
  await rm(folder, { recursive: true, force: true });
}

/** client publishes to a room with memory and to one without, and says what has come. */
async function client(name, url) {
  const seen = { name, acked: [], refused: 0, kept: [], live: [], disconnects: 0 };
  const sockets = ["/", "/", "/live", "/live"].map((namespace) => io(url + namespace, { forceNew: true, transports: ["websocket"] }));
  const [hears, says, hearsLive, saysLive] = sockets;
  for (const socket of sockets) socket.on("disconnect", () => seen.disconnects++);
  hears.on("n", (id) => seen.kept.push(id));
  hearsLive.on("n", (id) => seen.live.push(id));
  for (const socket of [hears, hearsLive]) socket.on("connect", () => socket.emit("join", { room: "room:x" }));
  await sleep(2_000);
  const asked = [];
  for (let n = 0; n * EACH < RUN; n++) {
    const id = `${name} ${n}`, message = { room: "room:x", event: "n", data: id };
    asked.push(says.timeout(25_000).emitWithAck("publish", { ...message, id }).then((a) => (a?.error ? seen.refused++ : seen.acked.push(id)), () => seen.refused++));
    saysLive.emit("publish", message);
    await sleep(EACH);
  }
  await Promise.all(asked);
  await sleep(8_000);
  console.log(JSON.stringify(seen));
}

function judge(center, edge) {
  const all = RUN / EACH, own = (x) => x.live.filter((id) => id.startsWith(x.name)).length;
  console.log({ acked: [center.acked.length, edge.acked.length], refused: [center.refused, edge.refused], kept: [center.kept.length, edge.kept.length], "live, own": [own(center), own(edge)] });
  assert.deepEqual([center.disconnects, edge.disconnects], [0, 0], "nobody is disconnected");
  assert.deepEqual([own(center), own(edge)], [all, all], "what has no memory goes on");
  assert.ok(edge.refused > 0 && center.refused === 0, "the edge refuses what it cannot promise");
  assert.deepEqual(center.kept, edge.kept, "both hear the same, in one order");
  assert.equal(new Set(edge.kept).size, edge.kept.length, "once");
  const kept = new Set(edge.kept);
  assert.deepEqual([...center.acked, ...edge.acked].filter((id) => !kept.has(id)), [], "what was acknowledged");
}
