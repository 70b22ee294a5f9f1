// A real Prometheus scrapes a real server under a little load. Every query of the dashboard gets data, every alert is
// valid and asks about metrics that there are, with native histograms and without.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { io } from "socket.io-client";
import { ask, event, Program, within } from "../harness.mjs";

const deploy = fileURLToPath(new URL("../../deploy/", import.meta.url));
const run = promisify(execFile);
const promtool = process.env.PROMTOOL ?? "/usr/bin/promtool";
const prometheus = process.env.PROMETHEUS ?? "/usr/bin/prometheus";

const freePort = () => new Promise((resolve, reject) => {
  const server = net.createServer().once("error", reject).listen(0, "127.0.0.1", () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

/** until asks again and again until check of the answer is true. */
async function until(what, f, check) {
  const give = Date.now() + 30_000;
  for (;;) {
    const answer = await f().catch((err) => err);
    if (!(answer instanceof Error) && check(answer)) return answer;
    if (Date.now() > give) throw new Error(`30 s passed, still waiting for ${what}; last: ${answer instanceof Error ? answer : JSON.stringify(answer).slice(0, 500)}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

test("promtool accepts the alerts and their tests", async () => {
  await run(promtool, ["check", "rules", "alerts.yml"], { cwd: `${deploy}prometheus` });
  await run(promtool, ["check", "config", "--syntax-only", "prometheus.yml"], { cwd: `${deploy}prometheus` });
  await run(promtool, ["test", "rules", "alerts_test.yml"], { cwd: `${deploy}prometheus` });
});

for (const native of [false, true]) {
  describe(native ? "native histograms" : "classic histograms", () => {
    let folder, server, child, url;
    const clients = [];
    let load;

    before(async () => {
      folder = await mkdtemp(path.join(tmpdir(), "tutti-prometheus-"));
      server = new Program([process.env.TUTTI_BIN, "serve", "--admin", "127.0.0.1:0", "--data", path.join(folder, "data"), "--durable", "*", "--open", "*", "--ping-interval", "300ms"]);
      await server.start();
      const target = await until("the operators' address", async () => /Operators: http:\/\/(\S+)/.exec(server.output), Boolean);
      const port = await freePort();
      await writeFile(path.join(folder, "prometheus.yml"), JSON.stringify({
        global: { scrape_interval: "1s", evaluation_interval: "1s" },
        rule_files: [`${deploy}prometheus/alerts.yml`],
        scrape_configs: [{ job_name: "tutti", static_configs: [{ targets: [target[1]] }] }],
      }));
      child = spawn(prometheus, [`--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/tsdb`, `--web.listen-address=127.0.0.1:${port}`, ...(native ? ["--enable-feature=native-histograms"] : [])], { stdio: "ignore" });
      url = `http://127.0.0.1:${port}`;
      for (let i = 0; i < 6; i++) {
        const client = io(server.url, { transports: i % 2 ? ["websocket"] : ["polling"], forceNew: true, reconnection: false });
        clients.push(client);
        await event(client, "connect");
        await ask(client, "join", { room: "tea" });
      }
      let n = 0;
      load = setInterval(() => clients[n++ % 4].emit("publish", { room: "tea", event: "said", data: n }, () => {}), 20);
      await until("Prometheus to have scraped", () => query("count(count_over_time(tutti_sessions[1m]) >= 6)"), (r) => r.length === 1);
      clients[5].disconnect();
    });

    after(async () => {
      clearInterval(load);
      for (const client of clients) client.close();
      if (child) {
        const exited = new Promise((resolve) => child.once("exit", resolve));
        child.kill("SIGTERM");
        await within(exited, "Prometheus to end");
      }
      await server?.stop("SIGTERM");
      await rm(folder, { recursive: true, force: true });
    });

    async function get(path) {
      const response = await fetch(url + path);
      const answer = await response.json();
      if (answer.status !== "success") throw new Error(`${path}: ${answer.error}`);
      return answer.data;
    }
    const query = async (expr) => (await get(`/api/v1/query?query=${encodeURIComponent(expr)}`)).result;

    test("the server is scraped", async () => {
      const { activeTargets } = await get("/api/v1/targets");
      assert.deepEqual(activeTargets.map((t) => [t.health, t.lastError]), [["up", ""]]);
      const classic = await query("tutti_publish_seconds_bucket");
      assert.equal(classic.length > 0, !native, "which kind of histogram was scraped");
      const [p99] = await query(native ? "histogram_quantile(0.99, sum(rate(tutti_publish_seconds[1m])))" : "histogram_quantile(0.99, sum by (le) (rate(tutti_publish_seconds_bucket[1m])))");
      assert.ok(Number(p99.value[1]) > 0 && Number(p99.value[1]) < 10, `publishing took ${p99.value[1]} s`);
    });

    test("every query of the dashboard gets data", async () => {
      const dashboard = JSON.parse(await readFile(`${deploy}grafana/tutti.json`, "utf8"));
      const asked = [];
      for (const panel of dashboard.panels) {
        for (const { expr } of panel.targets ?? []) {
          asked.push(expr);
          const filled = expr.replaceAll("$job", "tutti").replaceAll("$instance", ".*").replaceAll("$__rate_interval", "1m");
          assert.ok(!filled.includes("$"), `a variable that nobody fills in: ${filled}`);
          const result = await query(filled).catch((err) => assert.fail(`${panel.title}: ${err.message}`));
          assert.ok(result.length > 0, `${panel.title}: no data for ${filled}`);
        }
      }
      assert.ok(asked.length > 40, `${asked.length} queries`);
      const moving = await query("sum(rate(tutti_deliveries_total[1m]))");
      assert.ok(Number(moving[0].value[1]) > 10, "the load is to be seen");
    });

    test("every alert is evaluated, and none of them fires", async () => {
      const { groups } = await until("the rules to be evaluated", () => get("/api/v1/rules"), (r) => r.groups[0]?.rules.every((rule) => rule.health !== "unknown"));
      const names = new Set(await get("/api/v1/label/__name__/values"));
      // One that was scraped as a native histogram has no buckets, and one that was not has no series of its own.
      const known = (name) => names.has(name) || names.has(`${name}_bucket`) || names.has(name.replace(/_bucket$/, ""));
      for (const rule of groups[0].rules) {
        assert.equal(rule.health, "ok", `${rule.name}: ${rule.lastError}`);
        if (rule.name !== "TuttiPublishSlow" && rule.name !== "TuttiCommitSlow") assert.equal(rule.state, "inactive", rule.name); // on a machine that is busy they may well be
        for (const [name] of rule.query.matchAll(/\b(tutti|process|go)_[a-z_]+/g)) assert.ok(known(name), `${rule.name} asks about ${name}, which there is not`);
        for (const [, name, labels] of rule.query.matchAll(/\b(tutti_[a-z_]+)\{([^}]*)\}/g)) {
          for (const [, label, values] of labels.matchAll(/(\w+)=~?"([^"]*)"/g)) {
            if (label === "job") continue;
            for (const value of values.split("|")) {
              const series = await query(`count(${name}{${label}="${value}"})`);
              assert.equal(series.length, 1, `${rule.name} asks for ${name} with ${label}="${value}", which there is not`);
            }
          }
        }
      }
      assert.ok(groups[0].rules.length >= 13);
    });
  });
}
