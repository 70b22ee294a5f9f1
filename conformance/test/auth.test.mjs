// Who comes in, with the stock clients, fetch and plain WebSockets against the program itself. Tokens are made by "tutti
// token"; the keys that they are checked with are published, and rotated, by a server of this test, which also answers
// for cookies.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { WebSocket } from "ws";
import { clients, connect, dial, refused, ways } from "../clients.mjs";
import { ask, event, Program, reference, within } from "../harness.mjs";

const dir = mkdtempSync(join(tmpdir(), "tutti-auth-"));
after(() => rmSync(dir, { recursive: true }));

const tutti = (...args) => execFileSync(process.env.TUTTI_BIN, args, { encoding: "utf8" }).trim();

/** newKey makes a key pair and returns the file of the private half and the public half. */
function newKey(name, alg) {
  const file = join(dir, `${name}.json`);
  const set = JSON.parse(tutti("token", "keypair", "--alg", alg, "--kid", name, "--out", file));
  return { file, public: set.keys[0] };
}

const issuer = "https://login.example.test";
const minted = [];

/** mint makes a token of the issuer's, and remembers it: none may ever be logged. */
function mint(key, sub, ...flags) {
  const token = tutti("token", "mint", "--key-file", key.file, "--iss", issuer, "--aud", "tutti", "--sub", sub, ...flags);
  minted.push(token);
  return token;
}

// The issuer and the web application.
const published = { keys: [], fetched: 0 };
const application = http.createServer((req, res) => {
  if (req.url === "/jwks") {
    published.fetched++;
    res.end(JSON.stringify({ keys: published.keys }));
  } else if (req.headers.cookie === "session=carol") {
    res.end(JSON.stringify({ user: "carol", claims: { org: "acme" } }));
  } else {
    res.writeHead(401).end();
  }
});

const acme = "chat:acme:tea";

/** code is how a request is answered: "ok", or the code of the refusal. */
async function code(response) {
  if (response.ok) {
    await response.body?.cancel();
    return "ok";
  }
  return (await response.json()).error.code;
}

// Node's server has no tokens.
if (!reference) {
  let server, one, backend;

  before(async () => {
    await new Promise((resolve) => application.listen(0, "127.0.0.1", resolve));
    const home = `http://127.0.0.1:${application.address().port}`;
    one = newKey("one", "ES256");
    published.keys = [one.public];
    const key = tutti("token", "key", "backend");
    backend = key.split("\n")[0];
    server = new Program([
      ...[process.env.TUTTI_BIN, "serve", "--data", join(dir, "data"), "--allow-eio3", "--log-level", "debug"],
      ...["--auth-token", `${issuer} jwks=${home}/jwks aud=tutti`, "--auth-leeway", "0s", "--auth-grace", "3s", "--auth-retry", "1s", "--auth-refresh", "2s"],
      ...["--auth-key", /backend sha256:\w+/.exec(key)[0], "--auth-session-url", `${home}/session`, "--auth-session-cookie", "session"],
      ...["--auth-grant", "chat:{org}:* may=*", "--auth-grant", "user:{sub} may=join", "--auth-grant", "* may=*,admin key=backend"],
      ...["--origin", "https://app.example.test", "--credentials"],
    ]);
    await server.start();
  });
  after(async () => {
    await server.stop();
    application.close();
  });

  /** api posts as the backend. */
  const api = (path, body, token = backend) =>
    fetch(server.url + path, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
      body: JSON.stringify(body),
    });

  for (const way of ways) {
    for (const client of clients.slice(0, 3)) {
      // Socket.IO 2 has no auth: it says who it is in the query.
      const showing = (token) => (client.protocol === 3 ? { query: { token } } : { auth: { token } });

      test(`client ${client.version} over ${way.name} shows a token`, async (t) => {
        const token = mint(one, "ann", "--claim", "org=acme");
        const socket = await connect(t, { client, way, url: server.url, ...showing(token) });
        const [joined] = await ask(socket, "join", { room: acme });
        assert.equal(joined.error, undefined);
        const [own] = await ask(socket, "join", { room: "user:ann" });
        assert.equal(own.error, undefined);
        for (const room of ["chat:other:tea", "user:bob", "chat:acme"]) {
          const [answer] = await ask(socket, "join", { room });
          assert.equal(answer.code, "forbidden", room);
        }
        const heard = event(socket, "msg");
        assert.equal(await code(await api("/api/publish", { room: acme, event: "msg", data: 1 })), "ok");
        assert.equal((await heard)[0], 1);
      });

      test(`client ${client.version} over ${way.name} is refused`, async (t) => {
        const { data } = await refused(dial(t, { client, way, url: server.url }), client.protocol);
        assert.equal(data.code, "unauthorized");
                const token = tutti("token", "mint", "--key-file", one.file, "--iss", issuer, "--aud", "somebody else", "--sub", "ann");
        const wrong = await refused(dial(t, { client, way, url: server.url, ...showing(token) }), client.protocol);
        assert.equal(wrong.data.code, "invalid_token");
      });
    }
  }

  test("one token at every door", async () => {
    const token = mint(one, "ann", "--claim", "org=acme");
    const header = { headers: { Authorization: `Bearer ${token}` } };
    for (const [query, options] of [
      [`&token=${token}`, {}],
      ["", header],
      ["", { headers: { Cookie: "session=carol" } }],
    ]) {
      assert.equal(await code(await fetch(`${server.url}/api/presence?room=${acme}${query}`, options)), "ok");
      assert.equal(await code(await fetch(`${server.url}/events?room=${acme}${query}`, options)), "ok");
      const ws = new WebSocket(`${server.url.replace("http", "ws")}/ws?framing=json&room=${acme}${query}`, options);
      await event(ws, "open");
      ws.close();
    }
    for (const path of ["/api/presence", "/api/history", "/events"]) {
      assert.equal(await code(await fetch(`${server.url}${path}?room=${acme}`)), "unauthorized");
      assert.equal(await code(await fetch(`${server.url}${path}?room=chat:other:tea`, header)), "forbidden");
      assert.equal(await code(await fetch(`${server.url}${path}?room=${acme}&token=a.b.c`)), "invalid_token");
    }
    assert.equal(await code(await api("/api/publish", { room: acme, event: "msg" }, "wrong")), "invalid_token");
  });

  test("keys are rotated", async (t) => {
    const two = newKey("two", "EdDSA");
    const token = mint(two, "ann");
    const before = await refused(dial(t, { url: server.url, auth: { token } }), 4);
    assert.equal(before.data.code, "invalid_token", "a key that is not published");
    published.keys = [one.public, two.public];
    await sleep(1100); // auth.retry
    await connect(t, { url: server.url, auth: { token } });
    await connect(t, { url: server.url, auth: { token: mint(one, "ann") } });
    published.keys = [two.public];
    const old = mint(one, "ann");
    for (let taken = false; !taken; await sleep(500)) {
      const answer = await code(await fetch(`${server.url}/events?room=user:ann&token=${old}`));
      taken = answer === "invalid_token";
    }
    await connect(t, { url: server.url, auth: { token } });
    const fetched = published.fetched;
    await Promise.all(Array.from({ length: 50 }, (_, i) => fetch(`${server.url}/events?room=user:ann&token=${header({ kid: `made up ${i}` })}.e30.eA`)));
    assert.ok(published.fetched - fetched <= 2, `made-up keys had the set fetched ${published.fetched - fetched} times`);
    published.keys = [one.public, two.public];
    await sleep(2500); // auth.refresh
    await connect(t, { url: server.url, auth: { token: mint(one, "ann") } }).catch(() => connect(t, { url: server.url, auth: { token: mint(one, "ann") } }));
  });

  const header = (more) => Buffer.from(JSON.stringify({ alg: "ES256", ...more })).toString("base64url");

  test("a token is renewed on a live connection, or it ends", async (t) => {
    const tokens = ["dora", "dora"].map((sub) => mint(one, sub, "--ttl", "8s"));
    const [renewed, lost] = await Promise.all(tokens.map((token) => connect(t, { url: server.url, auth: { token } })));
    const told = Promise.all([renewed, lost].map((s) => event(s, "auth", 20_000)));
    const gone = event(lost, "disconnect", 20_000);
    for (const [notice] of await told) {
      assert.equal(notice.code, "token_expired");
      assert.equal(notice.grace, 3000);
    }
    const [before] = await ask(lost, "join", { room: "user:dora" });
    assert.equal(before.error, undefined, "until it expires it is good");
    const [others] = await ask(renewed, "auth", { token: mint(one, "eve") });
    assert.equal(others.code, "wrong_user");
    const [answer] = await ask(renewed, "auth", { token: mint(one, "dora", "--ttl", "1h") });
    assert.ok(answer.expires > Date.now() + 3_000_000, JSON.stringify(answer));
    assert.equal((await gone)[0], "io server disconnect");
    const [joined] = await ask(renewed, "join", { room: "user:dora" });
    assert.equal(joined.error, undefined);
    const late = await refused(dial(t, { url: server.url, auth: { token: tokens[0] } }), 4);
    assert.equal(late.data.code, "token_expired");
  });

  test("a logout ends everything that a user has", async (t) => {
    const token = mint(one, "frank", "--jti", "frank-1");
    const sockets = await Promise.all(ways.map((way) => connect(t, { way, url: server.url, auth: { token } })));
    const other = await connect(t, { url: server.url, auth: { token: mint(one, "grace") } });
    const stream = await fetch(`${server.url}/events?room=user:frank&token=${token}`);
    const ws = new WebSocket(`${server.url.replace("http", "ws")}/ws?framing=json&room=user:frank`, { headers: { Authorization: `Bearer ${token}` } });
    await event(ws, "open");
    const ends = Promise.all([...sockets.map((s) => event(s, "disconnect")), event(ws, "close")]);
    const told = event(sockets[0], "auth");
    assert.equal(await code(await api("/api/disconnect", { user: "frank" }, token)), "forbidden");
    const answer = await api("/api/disconnect", { token: "frank-1", expires: Math.ceil(Date.now() / 1000) + 3600 });
    assert.deepEqual(await answer.json(), { connections: ways.length + 2 });
    assert.equal((await told)[0].code, "token_revoked");
    await ends;
    assert.match(await within(stream.text(), "the end of the stream"), /event: auth\ndata: \{"code":"token_revoked"/);
    const again = await refused(dial(t, { url: server.url, auth: { token } }), 4);
    assert.equal(again.data.code, "token_revoked");
    assert.equal(await code(await fetch(`${server.url}/events?room=user:frank&token=${token}`)), "token_revoked");
    await connect(t, { url: server.url, auth: { token: mint(one, "frank") } });
    const [joined] = await ask(other, "join", { room: "user:grace" });
    assert.equal(joined.error, undefined, "others go on");
  });

  test("who comes back has the rights that he has then", async (t) => {
    let token = mint(one, "henry", "--claim", "org=acme");
    const socket = await connect(t, { url: server.url, auth: (cb) => cb({ token }), reconnection: true, reconnectionDelay: 10 });
    await ask(socket, "join", { room: acme });
    await ask(socket, "join", { room: "user:henry" });
    const first = event(socket, "msg");
    await api("/api/publish", { room: "user:henry", event: "msg", data: 1 });
    await first; // from which the client knows where it is
    token = mint(one, "henry"); // who has left the org
    const removed = event(socket, "auth");
    const back = event(socket, "connect");
    socket.io.engine.close();
    await back;
    assert.equal(socket.recovered, true);
    const [notice] = await removed;
    assert.deepEqual([notice.code, notice.rooms], ["rooms_removed", [acme]]);
    const { pid, offset } = { pid: socket._pid, offset: socket._lastOffset };
    const thief = await connect(t, { url: server.url, auth: { token: mint(one, "mallory"), pid, offset } });
    assert.notEqual(thief.id, socket.id, "a session is its user's");
  });

  describe("cookies and pages of other origins", () => {
    const polling = (headers) => fetch(`${server.url}/socket.io/?EIO=4&transport=polling`, { headers });
    const events = (headers) => fetch(`${server.url}/events?room=${acme}`, { headers });
    const publish = (headers) =>
      fetch(`${server.url}/api/publish`, { method: "POST", headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify({ room: acme, event: "msg" }) });
    const upgrade = (path) => (headers) =>
      new Promise((resolve) => {
        const ws = new WebSocket(server.url.replace("http", "ws") + path, { headers });
        ws.once("open", () => (ws.close(), resolve({ status: 101 })));
        ws.once("unexpected-response", (_, res) => (res.destroy(), resolve({ status: res.statusCode })));
        ws.once("error", () => {});
      });
    const doors = {
      polling: [polling, 200, 403],
      "Socket.IO's WebSocket": [upgrade("/socket.io/?EIO=4&transport=websocket"), 101, 400], // as Node's server has it
      "event stream": [events, 200, 403],
      "plain WebSocket": [upgrade(`/ws?framing=json&room=${acme}`), 101, 403],
      publishing: [publish, 200, 403],
    };
    for (const [name, [send, ok, refusal]] of Object.entries(doors)) {
      test(name, async () => {
        const status = async (headers) => {
          const response = await send({ Cookie: "session=carol", ...headers });
          await response.body?.cancel();
          return response.status;
        };
        assert.equal(await status({}), ok, "no page");
        assert.equal(await status({ Origin: "https://app.example.test" }), ok, "a listed page");
        for (const origin of ["https://evil.test", "https://app.example.test.evil.test", "http://app.example.test", "https://app.example.test:8443", "null"]) {
          assert.equal(await status({ Origin: origin }), refusal, origin);
        }
      });
    }
    test("a cookie is an identity for a socket", async (t) => {
      const socket = await connect(t, { url: server.url, extraHeaders: { Cookie: "theme=dark; session=carol" } });
      const [joined] = await ask(socket, "join", { room: acme });
      assert.equal(joined.error, undefined);
      const nobody = await refused(dial(t, { url: server.url, extraHeaders: { Cookie: "session=eve" } }), 4);
      assert.equal(nobody.data.code, "unauthorized");
    });
  });

  test("no token, key or cookie is in the log", () => {
    assert.ok(server.output.length > 1000);
    for (const secret of [...minted, backend, "session=carol", readFileSync(one.file, "utf8").match(/"d": "([^"]+)"/)[1]]) {
      assert.ok(!server.output.includes(secret), `the log has ${secret.slice(0, 20)}…`);
      assert.ok(!server.output.includes(secret.split(".").at(-1)), "the log has a token's signature");
    }
  });
}
