// Prints what failed and why, a line for each file, and the totals.
import { basename } from "node:path";
import { inspect } from "node:util";

/** The failures of a suite are those of its tests, unless it could not end what it had begun. */
const isSuite = (data) => data.details?.type === "suite" && data.details.error?.failureType !== "hookFailed";

export default async function* report(source) {
  const totals = new Map();
  const path = [];
  for await (const { type, data } of source) {
    switch (type) {
      case "test:start":
        path.length = data.nesting;
        path.push(data.name);
        break;
      case "test:pass":
      case "test:fail": {
        path.length = data.nesting;
        if (isSuite(data)) break;
        const file = totals.get(data.file) ?? { pass: 0, fail: 0 };
        totals.set(data.file, file);
        if (data.skip !== undefined || data.todo !== undefined) {
          file.skip = (file.skip ?? 0) + 1;
          break;
        }
        file[type === "test:pass" ? "pass" : "fail"]++;
        if (type === "test:fail") yield failure([...path, data.name], data);
        break;
      }
      case "test:stderr":
      case "test:stdout":
        yield data.message;
        break;
    }
  }
  yield "\n";
  const all = { pass: 0, fail: 0, skip: 0 };
  for (const [file, n] of totals) {
    yield `${(basename(file ?? "?")).padEnd(28)} ${String(n.pass).padStart(4)} passed${n.fail ? `, ${n.fail} failed` : ""}${n.skip ? `, ${n.skip} skipped` : ""}\n`;
    for (const key of Object.keys(all)) all[key] += n[key] ?? 0;
  }
  yield `${"in all".padEnd(28)} ${String(all.pass).padStart(4)} passed, ${all.fail} failed, ${all.skip} skipped\n`;
}

function failure(path, data) {
  const err = data.details.error?.cause ?? data.details.error;
  const why = typeof err === "string" ? err : (err?.stack ?? inspect(err));
  return `\nFAILED ${basename(data.file ?? "")}: ${path.join(" › ")}\n${why.slice(0, 3000).replace(/^/gm, "    ")}\n`;
}
