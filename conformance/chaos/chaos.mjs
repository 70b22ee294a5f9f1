// The nothing-lost test: stock clients, a server that is killed, and a network that fails, all by a seed.
//
//   node chaos/chaos.mjs                                   Tutti (TUTTI_BIN, else ../bin/tutti), each kind of fault
//   SEED=7 DURATION=60 node chaos/chaos.mjs                the same faults again, for 60 s of each kind
//   node chaos/chaos.mjs --faults kill,mix --verbose       these kinds only, saying each fault as it happens
//   node chaos/chaos.mjs --server csr                      Node's server with connection state recovery, to compare
//   node chaos/chaos.mjs --bug async                       Tutti in another durability mode
//   node chaos/chaos.mjs --server model --bug no-dedup     a model that keeps the promise, with a bug that breaks it
//   node chaos/chaos.mjs --engine redis                    three nodes of Tutti on an engine, with its faults besides
//   TUTTI_OTHER=../bin/old … --engine redis --faults upgrade   each node in turn is made one of another version, and back
//
// Ends with 0 if every bar was cleared, else with 1.
import { parseArgs } from "node:util";
import { kinds, mixes } from "./plan.mjs";
import { defaults, run } from "./run.mjs";
import { clustered, commands } from "./servers.mjs";
import { explain, head, row } from "./table.mjs";

const { values: flags } = parseArgs({
  options: {
    server: { type: "string", default: "tutti" },
    bug: { type: "string" },
    engine: { type: "string" },
    faults: { type: "string" },
    seed: { type: "string", default: process.env.SEED || String(Date.now() % 1_000_000) },
    duration: { type: "string", default: process.env.DURATION || "20" }, // seconds of faults, for each kind
    every: { type: "string", default: String(defaults.every / 1000) }, // seconds between faults
    publishers: { type: "string", default: String(defaults.publishers) },
    rate: { type: "string", default: String(defaults.rate) },
    rooms: { type: "string", default: String(defaults.rooms) },
    subscribers: { type: "string", default: String(defaults.subscribers) },
    verbose: { type: "boolean", default: false },
  },
});

const servers = flags.engine ? clustered : commands;
const command = servers[flags.server];
if (!command) throw new Error(`--server: ${Object.keys(servers).join(", ")}`);
const faults = flags.faults?.split(",") ?? [...(flags.engine ? mixes.cluster : mixes.one), "mix"];
for (const kind of faults) if (!kinds[kind]) throw new Error(`--faults: ${Object.keys(kinds).join(", ")}`);
const [duration, every] = [flags.duration, flags.every].map((s) => 1000 * parseFloat(s));
const sizes = Object.fromEntries(["publishers", "rate", "rooms", "subscribers"].map((name) => [name, Number(flags[name])]));

console.log(`seed ${flags.seed}, ${duration / 1000} s of each kind of fault, one about every ${every / 1000} s\n\n${head}`);
let red = false;
for (const kind of faults) {
  const say = flags.verbose ? (words) => console.log(`    ${kind}: ${words}`) : undefined;
  const result = await run({ command: (where) => command(where, flags.bug), engine: flags.engine, kind, seed: flags.seed, duration, every, say, ...sizes });
  console.log(row([flags.server, flags.engine, flags.bug].filter(Boolean).join(", "), result));
  if (result.failed.length > 0) {
    red = true;
    console.log(explain(result, flags.seed));
  }
}
process.exit(red ? 1 : 0); // stray timers of clients would keep it alive
