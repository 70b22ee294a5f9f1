// What goes wrong, when, and for whom: wholly decided by the seed before anything starts.

/** Every kind of fault, with the words of the table. */
export const kinds = {
  none: "none",
  kill: "kill -9",
  term: "SIGTERM restart",
  cut: "cut",
  half: "half-open",
  hole: "hole",
  offline: "offline",
  // Of several nodes and the engine that they share.
  node: "kill -9 of a node",
  drain: "SIGTERM of a node",
  rolling: "rolling restart",
  pause: "SIGSTOP of a node",
  engine: "kill -9 of the engine",
  partition: "node cut off",
  deafnode: "node cut off, one way",
  upgrade: "a node of another version", // each as often as the others: nodes of both are there all the time
  migrate: "migrate to an engine",
  mix: "mix",
};

const ofClients = ["cut", "half", "hole", "offline"];

/** The kinds of fault that a mix has: of one server, and of a cluster. */
export const mixes = {
  one: ["kill", "term", ...ofClients],
  cluster: ["node", "drain", "rolling", "pause", "engine", "partition", "deafnode", ...ofClients],
};

/**
 * plan lists the faults of a run, by time: {at, kind, …} in milliseconds since the faults began. Those of the network
 * name the clients that they hit.
 */
export function plan({ random, kind, duration, every, clients, mix = mixes.one }) {
  if (kind === "none") return [];
  const faults = [];
  let order = [];
  // The first comes early, so that the shortest run has one, and the last leaves it time to show.
  for (let at = random.between(500, 1500); at < duration; at += Math.round(every * (0.75 + random.next() / 2))) {
    if (order.length === 0) order = kind === "mix" ? random.shuffle(mix) : [kind];
    faults.push({ at, ...fault(random, order.pop(), clients) });
  }
  return faults;
}

function fault(random, kind, clients) {
  if (kind === "upgrade" || (mixes.cluster.includes(kind) && !ofClients.includes(kind))) return nodeFault(random, kind);
  if (kind === "kill" || kind === "term") {
    // Again: soon after the start, while clients come back and catch up.
    return { kind, down: random.between(0, 1000), again: random.chance(0.3) ? random.between(100, 900) : 0 };
  }
  if (kind === "migrate") return { kind, down: random.between(0, 1000) };
  const hit = random.shuffle(Array.from({ length: clients }, (_, i) => i)).slice(0, Math.ceil(clients / 3));
  // Cut again: in the middle of what the server sends to those that come back, or at any time soon.
  const amid = random.chance(0.6) ? random.between(300, 6000) : 0;
  if (kind === "cut") return { kind, hit, amid, again: !amid && random.chance(0.7) ? random.between(20, 400) : 0 };
  // Of a half-open connection, some clients learn at once (a phone changes its network) and come back while the
  // server still takes the old connection for alive. The others find out by the heartbeat.
  if (kind === "half") return { kind, hit, told: hit.filter(() => random.chance(0.5)) };
  if (kind === "hole") return { kind, hit, lasts: random.between(1000, 4000) };
  return { kind, hit, amid, lasts: random.between(500, 3000) };
}

/** Of nodes, which counts modulo how many there are. */
function nodeFault(random, kind) {
  const which = random.between(0, 1000);
  if (kind === "rolling") return { kind, down: random.between(0, 300) };
  if (kind === "engine") return { kind, down: random.between(0, 2000) };
  if (kind === "upgrade") return { kind, down: random.between(0, 500), killed: random.chance(0.3) };
  if (kind === "node" || kind === "drain") return { kind, which, down: random.between(0, 1500) };
  if (kind === "pause") return { kind, which, lasts: random.between(1000, 6000) };
  return { kind, which, way: kind === "partition" ? "both" : random.pick(["up", "down"]), lasts: random.between(500, 5000) };
}

/** tell says a fault in one line. */
export function tell({ at, kind, hit, told, which, way, down, lasts, again, amid, killed }) {
  const words = [`${(at / 1000).toFixed(1)} s`, kinds[kind]];
  if (hit) words.push(`for clients ${hit.join(" ")}`);
  if (told) words.push(`(of them told: ${told.join(" ") || "none"})`);
  if (which !== undefined) words.push(`(node ${which}${way && way !== "both" ? `, ${way}` : ""})`);
  if (down !== undefined) words.push(`down ${down} ms`);
  if (killed) words.push("and killed");
  if (lasts) words.push(`for ${lasts} ms`);
  if (again) words.push(`and again after ${again} ms`);
  if (amid) words.push(`and again amid the ${amid} bytes that follow`);
  return words.join(" ");
}
