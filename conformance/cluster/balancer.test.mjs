// Three nodes behind the balancers people have, with the configurations that are shipped in deploy/: no sticky sessions,
// TLS ends at the balancer, stock clients over every transport.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { clients, connect, ways } from "../clients.mjs";
import { ask, events, Program } from "../harness.mjs";
import { engines, freePort, Server } from "./engines.mjs";

const dir = mkdtempSync(join(tmpdir(), "tutti-balancer-"));
const shipped = (name) => readFileSync(new URL(`../../deploy/${name}`, import.meta.url), "utf8");

/** swap replaces what a test must have otherwise than the shipped file: each must be there. */
function swap(text, changes) {
  for (const [from, to] of changes) {
    assert.ok(text.includes(from), `the shipped file has no ${JSON.stringify(from)}`);
    text = text.replaceAll(from, to);
  }
  return text;
}

function certificate() {
  const [key, cert] = [join(dir, "key.pem"), join(dir, "cert.pem")];
  execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", cert], { stdio: "ignore" });
  writeFileSync(join(dir, "both.pem"), readFileSync(cert, "utf8") + readFileSync(key, "utf8"));
  return { key, cert, both: join(dir, "both.pem") };
}

/** Nginx and HAProxy run the shipped file with other ports, and as whoever runs the test. */
class Nginx extends Server {
  command(port) {
    const file = join(dir, "nginx.conf");
    mkdirSync(join(dir, "nginx"), { recursive: true });
    const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${dir}/nginx/${name};`).join(" ");
    writeFileSync(file, swap(shipped("nginx.conf"), [
      ["worker_rlimit_nofile 200000;", `daemon off; pid ${dir}/nginx.pid; error_log stderr;`],
      ["worker_connections 65536;", "worker_connections 1024;"],
      ["access_log off;", `access_log off; ${paths}`],
      ["listen 80;", `listen 127.0.0.1:${this.plain};`],
      ["listen 443 ssl http2;", `listen 127.0.0.1:${port} ssl http2;`],
      ["/etc/ssl/tutti/cert.pem", this.tls.cert],
      ["/etc/ssl/tutti/key.pem", this.tls.key],
      ...this.nodes.map((host, i) => [`server 127.0.0.1:300${i + 1} `, `server ${host} `]),
    ]));
    return ["nginx", "-p", dir, "-c", file];
  }
}

class HAProxy extends Server {
  command(port) {
    const file = join(dir, "haproxy.cfg");
    writeFileSync(file, swap(shipped("haproxy.cfg"), [
      ["maxconn 100000", "maxconn 1000"],
      ["bind :80\n", `bind 127.0.0.1:${this.plain}\n`],
      ["bind :443 ", `bind 127.0.0.1:${port} `],
      ["/etc/ssl/tutti/both.pem", this.tls.both],
      ...this.nodes.map((host, i) => [`127.0.0.1:300${i + 1}`, host]),
    ]));
    return ["haproxy", "-db", "-f", file];
  }
}

const engine = new engines.redis(join(dir, "redis"));
const nodes = [];
const tls = {};

before(async () => {
  mkdirSync(join(dir, "redis"));
  Object.assign(tls, certificate());
  await engine.start();
  for (let i = 0; i < 3; i++) {
    nodes.push(await new Program([process.env.TUTTI_BIN, "serve", "--engine", engine.url(engine.address), "--open", "chat:*", "--durable", "chat:*"]).start());
  }
});
after(async () => {
  for (const node of nodes) await node.stop("SIGTERM");
  await engine.stop("SIGTERM");
  rmSync(dir, { recursive: true });
});

for (const [name, Balancer] of Object.entries({ "nginx, round robin": Nginx, "HAProxy, leastconn": HAProxy })) {
  describe(name, () => {
    const balancer = new Balancer(dir);
    before(async () => {
      Object.assign(balancer, { tls, nodes: nodes.map((n) => new URL(n.url).host), plain: await freePort() });
      await balancer.start();
    });
    after(() => balancer.stop("SIGTERM"));
    const at = () => `https://127.0.0.1:${balancer.port}`;

    for (const way of ways) {
      test(`everyone hears everyone, in one order, over ${way.name}`, async (t) => {
        const room = `chat:${name[0]}${way.name}`;
        const sockets = [];
        for (let i = 0; i < 6; i++) {
          const socket = await connect(t, { client: clients[0], way, url: at(), rejectUnauthorized: false });
          const [joined] = await ask(socket, "join", { room });
          assert.equal(joined.error, undefined);
          sockets.push(socket);
        }
        const heard = sockets.map((s) => events(s, "note", 60, 30_000));
        await Promise.all(sockets.map(async (s, p) => {
          for (let n = 0; n < 10; n++) {
            const [answer] = await ask(s, "publish", { room, event: "note", data: `${p}.${n}` });
            assert.equal(answer.error, undefined);
          }
        }));
        const lists = (await Promise.all(heard)).map((list) => list.map(([data]) => data));
        assert.equal(new Set(lists[0]).size, 60);
        for (const list of lists) assert.deepEqual(list, lists[0]);
      });
    }

    test("what comes in plain is sent to TLS", async () => {
      const answer = await fetch(`http://127.0.0.1:${balancer.plain}/socket.io/?EIO=4&transport=polling`, { redirect: "manual" });
      assert.equal(answer.status, 308);
      assert.match(answer.headers.get("location"), /^https:/);
    });
  });
}
