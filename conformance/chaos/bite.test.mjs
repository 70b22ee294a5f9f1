// The test of the test: the model clears every bar with every fault, and each mistake in it is seen for what it is.
import assert from "node:assert/strict";
import { test } from "node:test";
import { run } from "./run.mjs";
import { commands } from "./servers.mjs";
import { explain } from "./table.mjs";

const seed = process.env.SEED || "1";
const sizes = { seed, duration: 8000, every: 2500 };

test("a server without mistakes clears every bar", async () => {
  const result = await run({ command: commands.model, kind: "mix", ...sizes, duration: 16_000 });
  assert.ok(result.failed.length === 0, explain(result, seed));
});

for (const { bug, kind, seen } of [
  { bug: "early-ack", kind: "kill", seen: ["silent", "signalled", "forAll", "unrecovered"] },
  { bug: "late-session", kind: "kill", seen: ["signalled", "unrecovered"] },
  { bug: "no-fencing", kind: "half", seen: ["silent", "deaf"] },
  { bug: "no-dedup", kind: "hole", seen: ["retryDuplicates", "offsets"] },
  { bug: "off-by-one", kind: "offline", seen: ["silent"] },
  { bug: "late-live", kind: "cut", seen: ["silent"] },
  { bug: "replay-first", kind: "offline", seen: ["serverDuplicates"] },
  { bug: "unordered", kind: "none", seen: ["totalOrder"] },
]) {
  test(`${bug} is seen`, async () => {
    const result = await run({ command: (data) => commands.model(data, bug), kind, ...sizes });
    assert.ok(seen.some((bar) => result.failed.includes(bar)), `none of ${seen}, but [${result.failed}]`);
  });
}
