// Follows docs/operations.md, from install to alert: with the files of deploy that it quotes, behind a real nginx, with a
// real logrotate, Prometheus and Alertmanager, and a mail server that is asked whether the mail came. Only what can't be
// the same here is another: addresses, paths, and how long is waited.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { io } from "socket.io-client";
import { freePort, Server } from "../cluster/engines.mjs";
import { ask, event, Program } from "../harness.mjs";

const run = promisify(execFile);
const deploy = (name) => readFileSync(new URL(`../../deploy/${name}`, import.meta.url), "utf8");
const page = readFileSync(new URL("../../docs/operations.md", import.meta.url), "utf8");
const tools = {
  prometheus: process.env.PROMETHEUS ?? "/usr/bin/prometheus", promtool: process.env.PROMTOOL ?? "/usr/bin/promtool",
  alertmanager: process.env.ALERTMANAGER ?? "/usr/bin/prometheus-alertmanager", amtool: process.env.AMTOOL ?? "/usr/bin/amtool",
};
const tutti = process.env.TUTTI_BIN;
const dir = mkdtempSync(path.join(tmpdir(), "tutti-guide-"));
const at = (name) => path.join(dir, name);
const hash = (key) => `sha256:${createHash("sha256").update(key).digest("hex")}`;
const keys = { alice: "the key of alice in the guide", prometheus: "the key of Prometheus in the guide" };
const ports = {};

/** swap replaces what a test must have otherwise than the shipped file: each must be there. */
function swap(text, changes) {
  for (const [from, to] of changes) {
    assert.ok(text.includes(from), `the shipped file has no ${JSON.stringify(from)}`);
    text = text.replaceAll(from, to);
  }
  return text;
}

/** until asks again and again until check of the answer is true. */
async function until(what, f, check = Boolean) {
  const give = Date.now() + 60_000;
  for (;;) {
    const answer = await Promise.resolve().then(f).catch((err) => err);
    if (!(answer instanceof Error) && check(answer)) return answer;
    if (Date.now() > give) throw new Error(`a minute passed, still waiting for ${what}; last: ${answer instanceof Error ? answer : JSON.stringify(answer)?.slice(0, 500)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** command is a line of the page as it stands there, with this test's ports. */
function command(beginning) {
  const line = page.split("\n").find((l) => l.startsWith(beginning));
  assert.ok(line, `the page has no command ${beginning}`);
  return line.replaceAll("127.0.0.1:9090", `127.0.0.1:${ports.prometheus}`).replaceAll("127.0.0.1:9093", `127.0.0.1:${ports.alertmanager}`)
    .replaceAll("127.0.0.1:9091", `127.0.0.1:${ports.admin}`).replace(/^amtool/, tools.amtool);
}
const shell = async (beginning, env = {}) => (await run("bash", ["-c", command(beginning)], { env: { ...process.env, ...env } })).stdout;

/** issuer signs tokens as auth.token of the guide wants them. */
const issuer = (() => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return {
    keys: JSON.stringify({ keys: [{ ...publicKey.export({ format: "jwk" }), kid: "one", alg: "EdDSA", use: "sig" }] }),
    token(claims) {
      const now = Math.floor(Date.now() / 1000);
      const text = `${encode({ alg: "EdDSA", kid: "one" })}.${encode({ iss: "https://login.example.com", aud: "tutti", iat: now, exp: now + 3600, ...claims })}`;
      return `${text}.${sign(null, Buffer.from(text), privateKey).toString("base64url")}`;
    },
  };
})();

class Nginx extends Server {
  command(port) {
    mkdirSync(at("nginx"), { recursive: true });
    const site = swap(deploy("nginx.site"), [
      ["listen 80;", `listen 127.0.0.1:${ports.plain};`], ["listen 443 ssl http2;", `listen 127.0.0.1:${port} ssl http2;`],
      ["/etc/letsencrypt/live/rt.example.com/fullchain.pem", at("cert.pem")], ["/etc/letsencrypt/live/rt.example.com/privkey.pem", at("key.pem")],
      ["/etc/nginx/", `${dir}/`], ["http://127.0.0.1:3000", server.url],
    ]);
    const temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${dir}/nginx/${name};`).join(" ");
    writeFileSync(at("nginx.conf"), `daemon off; pid ${dir}/nginx.pid; error_log stderr; events { worker_connections 512; }\nhttp { access_log off; ${temp}\n${site}}\n`);
    return ["nginx", "-p", dir, "-c", at("nginx.conf")];
  }
}

class Alertmanager extends Server {
  command(port) {
    return [tools.alertmanager, `--config.file=${at("alertmanager.yml")}`, `--storage.path=${at("alerts")}`, `--web.listen-address=127.0.0.1:${port}`, "--cluster.listen-address="];
  }
}

class Prometheus extends Server {
  command(port) {
    return [tools.prometheus, `--config.file=${at("prometheus.yml")}`, `--storage.tsdb.path=${at("tsdb")}`, `--web.listen-address=127.0.0.1:${port}`];
  }
}

/** Mail takes what is sent to it. */
class Mail {
  letters = [];
  #server = net.createServer((socket) => {
    let text = "", letter = null;
    socket.on("error", () => {});
    socket.write("220 here\r\n");
    socket.on("data", (chunk) => {
      text += chunk;
      for (let end; (end = text.indexOf("\r\n")) >= 0;) {
        const line = text.slice(0, end);
        text = text.slice(end + 2);
        if (letter !== null && line !== ".") letter.push(line);
        else if (letter !== null) { this.letters.push(letter.join("\n")); letter = null; socket.write("250 taken\r\n"); }
        else if (line === "DATA") { letter = []; socket.write("354 go on\r\n"); }
        else if (line === "QUIT") socket.end("221 bye\r\n");
        else socket.write("250 fine\r\n");
      }
    });
  });

  listen = () => new Promise((resolve) => this.#server.listen(0, "127.0.0.1", () => resolve(this.#server.address().port)));
  close = () => this.#server.close();
  about = (subject) => this.letters.find((l) => l.split("\n").some((line) => line.startsWith("Subject:") && line.includes(subject)));
}

const login = http.createServer((_, res) => res.setHeader("Content-Type", "application/json").end(issuer.keys));
const mail = new Mail();
let server, nginx, alertmanager, prometheus;

/** settings writes those of the guide. */
function settings(file, ...changes) {
  writeFileSync(at(file), swap(deploy("tutti.yaml"), [
    ["https://login.example.com/.well-known/jwks.json", `http://127.0.0.1:${login.address().port}/`],
    [/alice operate (\S+)/.exec(deploy("tutti.yaml"))[1], hash(keys.alice)], [/prometheus view (\S+)/.exec(deploy("tutti.yaml"))[1], hash(keys.prometheus)],
    ["127.0.0.1:9091", `127.0.0.1:${ports.admin}`], ["/var/lib/tutti", at("lib")], ["/var/log/tutti", at("log")], ...changes,
  ]));
  return at(file);
}

before(async () => {
  chmodSync(dir, 0o750);
  mkdirSync(at("log"), { mode: 0o750 });
  await run("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=rt.example.com",
    "-addext", "subjectAltName=DNS:rt.example.com", "-keyout", at("key.pem"), "-out", at("cert.pem")]);
  await new Promise((resolve) => login.listen(0, "127.0.0.1", resolve));
  for (const name of ["admin", "plain"]) ports[name] = await freePort();
  server = new Program([tutti, "serve", "--config", settings("tutti.yaml")]);
  await server.start();
  nginx = new Nginx(dir);
  await nginx.start();
});
after(async () => {
  for (const child of [prometheus, alertmanager, nginx, server]) await child?.stop("SIGTERM").catch(() => {}); // one may have failed to start
  login.close();
  mail.close();
  rmSync(dir, { recursive: true, force: true });
});

/** connect is a client of another machine, as far as nginx can tell: with an address of its own. */
async function connect(t, localAddress, token) {
  const agent = new https.Agent({ localAddress, rejectUnauthorized: false, lookup: (_, options, done) => (options.all ? done(null, [{ address: "127.0.0.1", family: 4 }]) : done(null, "127.0.0.1", 4)) });
  const client = io(`https://rt.example.com:${nginx.port}`, { agent, rejectUnauthorized: false, transports: ["websocket"], forceNew: true, reconnection: false, auth: { token } });
  t.after(() => { client.close(); agent.destroy(); });
  await Promise.race([event(client, "connect"), event(client, "connect_error").then(([err]) => { throw err; })]);
  return client;
}

test("the settings are right, as they stand there", async () => {
  const { stdout } = await run(tutti, ["config", "check", new URL("../../deploy/tutti.yaml", import.meta.url).pathname]);
  assert.match(stdout, /is right/);
});

test("what is to be lowered under attack is what it is called, and takes effect by a reload", async () => {
  const rows = page.split("## 7. Under attack")[1].split("\n## ")[0].split("\n").filter((line) => line.startsWith("|") && / to `/.test(line));
  const settings = readFileSync(new URL("../../docs/configuration.md", import.meta.url), "utf8").split("\n");
  const flags = [];
  for (const row of rows) {
    const [, name, standard, lower] = /`([a-z]+\.[a-z-]+)` \(([^)]*)\) to `([^`]+)`/.exec(row);
    const cells = settings.find((line) => line.startsWith(`| \`${name}\``)).split(" | ");
    assert.deepEqual([cells[3].trim(), cells[4].trim()], [`\`${standard}\``, "live"], name);
    flags.push(`--${name.replace(".", "-")}=${lower}`);
  }
  assert.ok(flags.length >= 3, String(flags));
  await run(tutti, ["config", "check", new URL("../../deploy/tutti.yaml", import.meta.url).pathname, ...flags]);
});

test("the unit is one that systemd takes", async () => {
  writeFileSync(at("tutti.service"), swap(deploy("tutti.service"), [["/usr/local/bin/tutti", tutti]]));
  const { stdout, stderr } = await run("systemd-analyze", ["verify", at("tutti.service")], { env: { ...process.env, SYSTEMD_LOG_LEVEL: "warning" } });
  const ours = `${stdout}${stderr}`.split("\n").filter((line) => line.includes("tutti.service"));
  assert.deepEqual(ours, []);
});

test("a client gets in through nginx, with its own address, and may what its token says", async (t) => {
  await assert.rejects(connect(t, "127.0.0.2", ""), /unauthorized|shows|token/i);
  const ann = await connect(t, "127.0.0.2", issuer.token({ sub: "ann", org: "acme" }));
  assert.equal((await ask(ann, "join", { room: "chat:acme:tea" }))[0].error, undefined);
  assert.equal((await ask(ann, "publish", { room: "chat:acme:tea", event: "said", data: 1 }))[0].error, undefined);
  assert.equal((await ask(ann, "join", { room: "chat:other:tea" }))[0].code, "forbidden");
  const { sockets } = JSON.parse(await shell("curl -fsS -H \"Authorization: Bearer $KEY\" 'http://127.0.0.1:9091/api/sockets", { KEY: keys.alice }));
  assert.deepEqual(sockets.map((s) => [s.address, s.user]), [["127.0.0.2", "ann"]]);
  assert.ok(!server.output.includes("trusted-proxies"), server.output);
  assert.equal((await fetch(`http://127.0.0.1:${ports.plain}/`, { redirect: "manual" })).status, 308);
});

test("without trusted-proxies the log says so", async (t) => {
  const before = ports.admin;
  ports.admin = await freePort();
  const careless = new Program([tutti, "serve", "--config", settings("careless.yaml", ["trusted-proxies: [127.0.0.1]", ""], [at("lib"), at("lib2")])]);
  ports.admin = before;
  await careless.start();
  t.after(() => careless.stop("SIGTERM"));
  await fetch(`${careless.url}/socket.io/?EIO=4&transport=polling`, { headers: { "X-Forwarded-For": "198.51.100.7" } });
  await until("the warning", () => careless.output.includes("a proxy on this machine is not in trusted-proxies"));
});

test("a network is refused by nginx, and what it has here ends", async (t) => {
  const eve = await connect(t, "127.0.0.3", issuer.token({ sub: "eve", org: "acme" }));
  const ann = await connect(t, "127.0.0.2", issuer.token({ sub: "ann", org: "acme" }));
  writeFileSync(at("tutti-blocked.conf"), "deny 127.0.0.3/32;\n");
  await run("nginx", ["-t", "-p", dir, "-c", at("nginx.conf")]);
  process.kill(nginx.pid, "SIGHUP");
  t.after(() => { rmSync(at("tutti-blocked.conf")); process.kill(nginx.pid, "SIGHUP"); });
  await until("nginx to refuse", () => connect(t, "127.0.0.3", issuer.token({ sub: "eve", org: "acme" })).then(() => false, () => true));
  assert.ok(eve.connected, "a reload leaves what is open to the old workers: the page says to disconnect it");
  const left = event(eve, "disconnect");
  await run(tutti, ["disconnect", "--data", at("lib"), "--address", "127.0.0.3/32", "--reason", "attack"]);
  await left;
  assert.equal((await ask(ann, "join", { room: "chat:acme:tea" }))[0].error, undefined, "who is not of that network stays");
});

test("logrotate moves the audit log away, and what comes next goes to a new one", async () => {
  const audit = at("log/audit.jsonl");
  assert.match(readFileSync(audit, "utf8"), /"action":"disconnect","target":"address 127.0.0.3\/32"/);
  writeFileSync(at("logrotate"), swap(deploy("tutti.logrotate"), [["/var/log/tutti", at("log")], ["systemctl reload tutti", `kill -HUP ${server.pid}`]]), { mode: 0o644 });
  await run("/usr/sbin/logrotate", ["--force", "--state", at("logrotate.state"), at("logrotate")]);
  await until("the new file", () => existsSync(audit) && readFileSync(audit, "utf8"), (text) => text.includes('"from":"SIGHUP","action":"reload"'));
  assert.ok(!readFileSync(audit, "utf8").includes('"action":"disconnect"'), "it begins anew");
  assert.match(readFileSync(`${audit}.1`, "utf8"), /"action":"disconnect"/);
});

test("an alert reaches somebody", async () => {
  const smtp = await mail.listen();
  writeFileSync(at("alertmanager.yml"), swap(deploy("prometheus/alertmanager.yml"), [["127.0.0.1:25", `127.0.0.1:${smtp}`], ["group_wait: 30s", "group_wait: 1s"], ["group_interval: 5m", "group_interval: 1s"]]));
  await run(tools.amtool, ["check-config", at("alertmanager.yml")]);
  alertmanager = new Alertmanager(dir);
  await alertmanager.start();
  ports.alertmanager = alertmanager.port;

  writeFileSync(at("tutti.key"), `${keys.prometheus}\n`); // as "cat >" leaves it
  writeFileSync(at("alerts.yml"), deploy("prometheus/alerts.yml").replace(/(alert: TuttiDown\n.*\n +for:) 1m/, "$1 2s"));
  assert.match(readFileSync(at("alerts.yml"), "utf8"), /for: 2s/);
  writeFileSync(at("prometheus.yml"), swap(deploy("prometheus/prometheus.yml"), [
    ["15s", "1s"], ["127.0.0.1:9091", `127.0.0.1:${ports.admin}`], ["127.0.0.1:9093", `127.0.0.1:${ports.alertmanager}`], ["/etc/prometheus/tutti.key", at("tutti.key")],
  ]));
  await run(tools.promtool, ["check", "config", at("prometheus.yml")]);
  prometheus = new Prometheus(dir);
  await prometheus.start();
  ports.prometheus = prometheus.port;

  await until("the server to be scraped, with its key", async () => JSON.parse(await shell("curl -fsS 'http://127.0.0.1:9090/api/v1/query?")).data.result[0]?.value[1], (v) => v === "1");
  await until("Prometheus to know the Alertmanager", async () => JSON.parse(await shell("curl -fsS http://127.0.0.1:9090/api/v1/alertmanagers")).data.activeAlertmanagers, (list) => list.length === 1);

  await shell("amtool --alertmanager.url=http://127.0.0.1:9093 alert add TuttiTry");
  await until("the mail of the try", () => mail.about("TuttiTry"));

  await server.stop("SIGKILL");
  const letter = await until("the mail that it is down", () => mail.about("[FIRING:1] TuttiDown"));
  assert.match(letter, /^To: ops@example.com$/m);
  assert.match(letter.replaceAll("=\n", ""), new RegExp(`127.0.0.1:${ports.admin} does not answer`));
  await server.start();
  await until("the mail that it is up", () => mail.about("[RESOLVED] TuttiDown"));
});

test("every file of deploy that the page names is there", () => {
  const named = page.match(/deploy\/[\w./{},-]+/g).map((name) => name.replace(/[.,]$/, ""));
  assert.ok(named.length > 8);
  for (const name of named) {
    const [, inner] = /\{(.*)\}/.exec(name) ?? [];
    for (const one of inner?.split(",") ?? [""]) {
      const file = inner ? name.replace(/\{.*\}/, one) : name;
      assert.ok(existsSync(new URL(`../../${file}`, import.meta.url)), `the page names ${file}, which there is not`);
    }
  }
});
