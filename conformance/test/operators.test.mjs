// What operators do to a server while stock clients are connected: settings and certificates change under them, a
// certificate comes by ACME, and a shell completes the commands.
import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import tls from "node:tls";
import { connect, dial, ways } from "../clients.mjs";
import { ask, event, Program, reference, within } from "../harness.mjs";

const bin = process.env.TUTTI_BIN;

/** folder makes one that is gone after the test. */
function folder(t) {
  const dir = mkdtempSync(join(tmpdir(), "tutti-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** run starts `tutti serve` for one test. */
async function run(t, ...flags) {
  const program = await new Program([bin, "serve", ...flags]).start();
  t.after(() => program.stop().catch(() => {})); // it may have been ended by the test
  return program;
}

/** certify writes a self-signed certificate of that serial number, in the place of what is there. */
function certify(dir, serial) {
  execFileSync("openssl", [
    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-set_serial", String(serial),
    "-keyout", join(dir, "key.new"), "-out", join(dir, "cert.new"),
  ], { stdio: "pipe" });
  renameSync(join(dir, "key.new"), join(dir, "key.pem"));
  renameSync(join(dir, "cert.new"), join(dir, "cert.pem"));
}

/** shown is the certificate that a server shows now. */
function shown(url, servername) {
  const { hostname: host, port } = new URL(url);
  const socket = tls.connect({ host, port, servername, rejectUnauthorized: false });
  return within(
    new Promise((resolve, reject) => {
      socket.once("secureConnect", () => resolve(socket.getPeerX509Certificate()));
      socket.once("error", reject);
    }).finally(() => socket.destroy()),
    "a handshake",
    60_000,
  );
}

/** until asks again and again, until what it gets is right. */
async function until(what, ask, right) {
  for (const end = Date.now() + 30_000; Date.now() < end; ) {
    const got = await ask();
    if (right(got)) return got;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`30 s passed, still waiting for ${what}`);
}

if (!reference) {
  describe("TLS", () => {
    for (const way of ways) {
      test(`the stock client comes by ${way.name}, and stays when the certificate changes`, async (t) => {
        const dir = folder(t);
        certify(dir, 11);
        const server = await run(t, "--tls-cert", join(dir, "cert.pem"), "--tls-key", join(dir, "key.pem"), "--open", "*");
        assert.match(server.url, /^https:/);
        const socket = await connect(t, { way, url: server.url, rejectUnauthorized: false });
        assert.equal((await ask(socket, "join", { room: "tea" }))[0].error, undefined);
        assert.equal((await shown(server.url)).serialNumber, "0B");

        let lost = null;
        socket.on("disconnect", (reason) => (lost = reason));
        certify(dir, 12);
        server.signal("SIGHUP");
        await until("the new certificate", () => shown(server.url), (c) => c.serialNumber === "0C");
        const [receipt] = await ask(socket, "publish", { room: "tea", event: "still", data: 1 });
        assert.equal(receipt.error, undefined);
        assert.equal(lost, null);
        const second = await connect(t, { way, url: server.url, rejectUnauthorized: false });
        assert.notEqual(second.id, socket.id);
        assert.equal(await server.stop("SIGTERM"), 0);
      });
    }
  });

  describe("settings that change", () => {
    test("under a stock client that stays connected", async (t) => {
      const dir = folder(t);
      const file = join(dir, "tutti.yaml");
      const message = { type: "object", required: ["text"], properties: { text: { type: "string", maxLength: 5 } } };
      writeFileSync(join(dir, "message.json"), JSON.stringify(message));
      writeFileSync(file, "allow: ['tea join=anyone']\n");
      const server = await run(t, "--config", file);
      const socket = await connect(t, { way: ways[1], url: server.url });
      await ask(socket, "join", { room: "tea" });
      let lost = null;
      socket.on("disconnect", (reason) => (lost = reason));
      const say = (text) => ask(socket, "publish", { room: "tea", event: "message", data: { text } }).then(([answer]) => answer);

      writeFileSync(file, "allow: ['tea join=anyone publish=members']\nschema: ['message file=message.json']\n");
      server.signal("SIGHUP");
      // Before the verb is served nobody answers it.
      await until("the rule", () => Promise.race([say("hi"), new Promise((r) => setTimeout(r, 200))]), (a) => a && !a.error);
      assert.deepEqual(await say("too long"), { error: "the data is wrong at /text: maxLength: got 8, want 5", code: "bad_data", at: "/text" });

      writeFileSync(file, "allow: ['tea join=anyone publish=members']\nschema: ['message file=gone.json']\norigin: nonsense\n");
      server.signal("SIGHUP");
      await until("the mistakes", async () => server.output, (text) => text.includes("origin is") && text.includes("gone.json"));
      assert.equal((await say("too long")).code, "bad_data");

      writeFileSync(file, "allow: ['tea join=anyone']\n");
      server.signal("SIGHUP");
      assert.equal((await until("the end of the rule", () => say("hi"), (a) => a.error)).code, "forbidden");
      assert.equal(lost, null);

      // Who comes now meets another setting, too: pages of another origin.
      const page = { way: ways[1], url: server.url, extraHeaders: { Origin: "https://app.example" } };
      await event(dial(t, page), "connect_error");
      writeFileSync(file, "origin: https://app.example\n");
      server.signal("SIGHUP");
      await until("the origin", () => fetch(`${server.url}/socket.io/?EIO=4&transport=polling`, { headers: { Origin: "https://app.example" } }), (r) => r.ok);
      await connect(t, page);
      assert.equal(lost, null);
    });
  });

  describe("payloads", () => {
    test("a stock client's own event that does not fit reaches nobody", async (t) => {
      const server = await run(t, "--relay", "note", "--schema", 'note schema={"type":"string"}');
      const [one, two] = [await connect(t, { url: server.url }), await connect(t, { url: server.url })];
      const heard = [];
      two.on("note", (data) => heard.push(data));
      assert.deepEqual(await ask(one, "note", 7), [{ error: "the data is wrong: got number, want string", code: "bad_data", at: "" }]);
      one.emit("note", { no: "answer" });
      const right = event(two, "note");
      one.emit("note", "hello");
      await right;
      assert.deepEqual(heard, ["hello"]);
    });
  });

  describe("ACME", () => {
    // PEBBLE and CHALLTESTSRV are the ACME server of Let's Encrypt for tests, and its name server; run.sh builds them.
    test("a certificate comes from an authority that asks back, and is kept", async (t) => {
      const dir = folder(t);
      const [api, manage, dns] = [await free(), await free(), await free()];
      certify(dir, 1);
      const tlsPort = await free();
      const settings = { pebble: {
        listenAddress: `127.0.0.1:${api}`, managementListenAddress: `127.0.0.1:${manage}`, certificate: join(dir, "cert.pem"), privateKey: join(dir, "key.pem"),
        httpPort: await free(), tlsPort, ocspResponderURL: "", externalAccountBindingRequired: false,
      } };
      writeFileSync(join(dir, "pebble.json"), JSON.stringify(settings));
      const names = start(t, process.env.CHALLTESTSRV, ["-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dnsserver", `127.0.0.1:${dns}`, "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "", "-management", `127.0.0.1:${await free()}`]);
      const pebble = start(t, process.env.PEBBLE, ["-config", join(dir, "pebble.json"), "-dnsserver", `127.0.0.1:${dns}`], { PEBBLE_VA_NOSLEEP: "1", PEBBLE_WFE_NONCEREJECT: "5" });
      await until("Pebble to listen", async () => pebble.text() + names.text(), (text) => /ACME directory available/.test(text));

      const flags = ["--tls-domain", "app.tutti.test", "--data", join(dir, "data"), "--tls-directory", `https://127.0.0.1:${api}/dir`, "--tls-roots", join(dir, "cert.pem"), "--hosts", "*", "--admin", "127.0.0.1:0"];
      const server = new Program([bin, "serve", ...flags]);
      server.url = `https://127.0.0.1:${tlsPort}`; // where Pebble asks back
      await server.start();
      t.after(() => server.stop().catch(() => {}));
      await assert.rejects(shown(server.url, "other.tutti.test"), "a certificate for a name that is not ours");
      const cert = await shown(server.url, "app.tutti.test");
      assert.match(cert.issuer, /Pebble Intermediate CA/);
      assert.equal(cert.checkHost("app.tutti.test"), "app.tutti.test");
      const metrics = await (await fetch(`${/Operators: (\S+)/.exec(server.output)[1]}/metrics`)).text();
      assert.equal(Number(/^tutti_tls_certificate_expiry_timestamp_seconds (\S+)/m.exec(metrics)[1]), Date.parse(cert.validTo) / 1000);
      await connect(t, { way: ways[1], url: server.url, rejectUnauthorized: false, servername: "app.tutti.test", extraHeaders: { Host: "app.tutti.test" } });
      // After a new start it is there, without asking anybody.
      pebble.child.kill();
      await server.restart("SIGTERM");
      assert.equal((await shown(server.url, "app.tutti.test")).serialNumber, cert.serialNumber);
    });
  });

  describe("completion", () => {
    const script = (shell) => execFileSync(bin, ["completion", shell], { encoding: "utf8" });
    const lines = (text) => text.split("\n").filter(Boolean).map((line) => line.split(/[\t:]/)[0]);
    const cases = [
      [["pub"], ["publish"]],
      [["publish", "--na"], ["--namespace"]],
      [["config", ""], ["check", "print"]],
      [["serve", "--log-level", ""], ["debug", "error", "info", "warn"]],
      [["serve", "--tls-c"], ["--tls-cert"]],
    ];
    const shells = {
      bash: (words) => ["bash", ["--norc", "-c", `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tutti; printf '%s\\n' "\${COMPREPLY[@]}"`, "-", "SCRIPT", bin, ...words]],
      zsh: (words) => ["zsh", ["-f", "-c", `autoload -Uz compinit; compinit -u -D; source "$1"; shift; _describe() { print -l -- "\${(@P)2}" }; words=("$@"); CURRENT=$#words; _tutti`, "-", "SCRIPT", bin, ...words]],
      fish: (words) => ["fish", ["--no-config", "-c", `source $argv[1]; complete -C (string join -- ' ' tutti $argv[3..-1])`, "SCRIPT", bin, ...words]],
    };
    for (const [shell, command] of Object.entries(shells)) {
      test(`in ${shell}`, (t) => {
        const dir = folder(t);
        writeFileSync(join(dir, "script"), script(shell));
        execFileSync("ln", ["-s", bin, join(dir, "tutti")]);
        for (const [words, want] of cases) {
          const [file, args] = command(words);
          const { stdout, stderr, error } = spawnSync(file, args.map((a) => (a === "SCRIPT" ? join(dir, "script") : a)), {
            encoding: "utf8", env: { ...process.env, PATH: `${dir}:${process.env.PATH}` },
          });
          assert.deepEqual(lines(stdout ?? "").sort(), want, `${words.join(" ")}: ${error ?? stderr}`);
        }
      });
    }
  });
}

/** free is a port that nobody has at the moment. */
function free() {
  const listener = createServer();
  return new Promise((resolve) => listener.listen(0, "127.0.0.1", () => {
    const { port } = listener.address();
    listener.close(() => resolve(port));
  }));
}

/** start runs a program during a test, and keeps what it prints. */
function start(t, file, args, env = {}) {
  if (!file) throw new Error("no Pebble: start the tests with ./run.sh");
  const child = spawn(file, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (text += chunk));
  t.after(() => child.kill());
  return { child, text: () => text };
}

