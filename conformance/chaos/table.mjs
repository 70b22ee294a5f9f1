// The table of results, in the form of the one that compares systems.
import { bars } from "./checker.mjs";
import { kinds } from "./plan.mjs";

const columns = [
  ["server", (r, name) => name],
  ["fault", (r) => `${kinds[r.kind]} (${r.faults})`],
  ["acked", (r) => r.acked],
  ["owed", (r) => r.owed],
  ["**silent**", (r) => bold(r.silent)],
  ["signalled", (r) => bold(r.signalled)],
  ["(msgs; for all)", (r) => (r.lostMessages ? `${r.lostMessages}; ${r.forAll}` : "–")],
  ["dup server/retry", (r) => `${bold(r.serverDuplicates)}/${bold(r.retryDuplicates)}`],
  ["order pub/total/real time", (r) => [r.publisherOrder, r.totalOrder, r.realTimeOrder].map(bold).join("/")],
  ["wrong", (r) => bold(r.wrong)],
  ["offsets", (r) => bold(r.offsets)],
  ["unacked", (r) => bold(r.unacked)],
  ["exits", (r) => bold(r.exits)],
  ["deaf", (r) => bold(r.deaf)],
  ["recov", (r) => ratio(r.recovered, r.reconnects)],
  ["pub recov", (r) => ratio(r.publisherRecovered, r.publisherReconnects)],
  ["retried", (r) => r.retried],
  ["latency max (down)", (r) => `${(r.worst.ms / 1000).toFixed(1)} s (${(r.down / 1000).toFixed(1)} s)`],
];

const bold = (n) => (n === 0 ? "0" : `**${n}**`);
const ratio = (n, of) => (of === 0 ? "–" : n === of ? `${n}/${of}` : `**${n}/${of}**`);
const line = (cells) => `| ${cells.join(" | ")} |`;

export const head = `${line(columns.map(([title]) => title))}\n${line(columns.map(() => "---"))}`;

export function row(name, result) {
  return line(columns.map(([, cell]) => cell(result, name)));
}

/** explain says in lines what a run did not clear, with cases, what the server refused, and how its log ends. */
export function explain(result, seed) {
  const lines = [`\n  ${kinds[result.kind]}: not cleared with SEED=${seed} (data in ${result.data})`];
  for (const bar of result.failed) {
    lines.push(`  - ${bar === "nothing" ? "nothing: the run showed nothing" : `${bar} ${result[bar]}: ${bars[bar]}`}`);
    for (const words of result.samples[bar] ?? []) lines.push(`      ${words}`);
  }
  for (const [error, times] of result.refused) lines.push(`  refused ${times} times: ${error}`);
  lines.push(`  the end of the server's log:\n${result.output.replace(/^/gm, "      ")}\n`);
  return lines.join("\n");
}
