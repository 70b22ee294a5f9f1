// Nothing is lost on three nodes: a short run with every kind of fault, on each engine. The long one is chaos.mjs --engine.
//
//   SEED=7 DURATION=30 ENGINES=redis KINDS=mix ./run.sh chaos/cluster.test.mjs
import assert from "node:assert/strict";
import { test } from "node:test";
import { kinds, mixes } from "./plan.mjs";
import { run } from "./run.mjs";
import { clustered } from "./servers.mjs";
import { explain, row } from "./table.mjs";

const seed = process.env.SEED || "1";
const duration = 1000 * Number(process.env.DURATION || 8); // of each kind
const only = (name, all) => process.env[name]?.split(",") ?? all;

const all = [...mixes.cluster.filter((kind) => !mixes.one.includes(kind)), "mix", "upgrade"];
const short = { redis: all, nats: ["node", "engine", "pause", "partition", "deafnode", "mix", "upgrade"] }; // what the hub does is the same on each

for (const engine of only("ENGINES", Object.keys(short))) {
  for (const kind of only("KINDS", short[engine] ?? all)) {
    test(`nothing is lost, doubled or reordered on ${engine} by ${kinds[kind]}`, async (t) => {
      const result = await run({ command: clustered.tutti, engine, kind, seed, duration });
      t.diagnostic(row(`tutti on ${engine}`, result));
      assert.ok(result.failed.length === 0, explain(result, seed));
    });
  }
}
