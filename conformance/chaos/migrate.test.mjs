// A server is moved to an engine under load, and nothing is lost, doubled or reordered; clients come back by their old
// offsets.
//
//   SEED=7 DURATION=30 ENGINES=nats ./run.sh chaos/migrate.test.mjs
import assert from "node:assert/strict";
import { test } from "node:test";
import { run } from "./run.mjs";
import { clustered, commands } from "./servers.mjs";
import { explain, row } from "./table.mjs";

const seed = process.env.SEED || "1";
const duration = 1000 * Number(process.env.DURATION || 8);

for (const engine of process.env.ENGINES?.split(",") ?? ["redis", "nats"]) {
  test(`a move to ${engine} loses, doubles and reorders nothing, and every client recovers`, async (t) => {
    const said = [];
    const result = await run({
      command: commands.tutti, node: clustered.tutti, engine, kind: "migrate", seed, duration,
      say: (text) => said.push(text),
    });
    t.diagnostic(said.join("\n"));
    t.diagnostic(row(`tutti, moved to ${engine}`, result));
    assert.ok(result.failed.length === 0, explain(result, seed));
  });
}
