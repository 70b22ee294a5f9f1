// Nothing is lost: a short run with every kind of fault. The long one is chaos.mjs.
//
//   SEED=7 DURATION=30 ./run.sh chaos/chaos.test.mjs
import assert from "node:assert/strict";
import { test } from "node:test";
import { kinds } from "./plan.mjs";
import { run } from "./run.mjs";
import { commands } from "./servers.mjs";
import { explain, row } from "./table.mjs";

const seed = process.env.SEED || "1";
const duration = 1000 * Number(process.env.DURATION || 10); // of each kind

for (const kind of Object.keys(kinds).filter((kind) => kind !== "none")) {
  test(`nothing is lost, doubled or reordered by ${kinds[kind]}`, async (t) => {
    const result = await run({ command: commands.tutti, kind, seed, duration });
    t.diagnostic(row("tutti", result));
    assert.ok(result.failed.length === 0, explain(result, seed));
  });
}
