// The standard verbs with the stock clients, against the program itself: no line of server code.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { clients, connect, ways } from "../clients.mjs";
import { ask, event, events, plain, Program, reference } from "../harness.mjs";

const dir = mkdtempSync(join(tmpdir(), "tutti-verbs-"));
after(() => rmSync(dir, { recursive: true }));

/** verb asks and returns the one value of the answer, which must not be a refusal. */
async function verb(socket, name, request) {
  const [answer] = await ask(socket, name, request);
  assert.equal(answer.error, undefined, `${name} ${JSON.stringify(request)}`);
  return answer;
}

const room = () => `chat:${randomUUID()}`;

// Node's server has no verbs.
if (!reference) {
  const server = new Program([process.env.TUTTI_BIN, "serve", "--data", dir, "--durable", "chat:*", "--open", "chat:*", "--allow-eio3"]);
  before(() => server.start());
  after(() => server.stop());

  for (const way of ways) {
    describe(`verbs over ${way.name}`, () => {
      for (const client of clients.slice(0, 3)) {
        test(`join, publish and hear with client ${client.version}`, async (t) => {
          const [a, b] = await Promise.all([1, 2].map(() => connect(t, { client, way, url: server.url })));
          const tea = room();
          await verb(a, "join", { room: tea });
          const heard = event(a, "msg");
          const blob = Buffer.from([1, 2, 3]);
          const { offset } = await verb(b, "publish", { room: tea, event: "msg", data: { text: "é", blob } });
          const [data, last] = await heard;
          assert.deepEqual(plain(data), plain({ text: "é", blob }));
          assert.equal(last, client.protocol === 4 ? offset : undefined, "only who can come back gets offsets");
          assert.deepEqual(await verb(a, "leave", { room: tea }), {});
        });
      }

      test("a page with more binary data than a packet may have", async (t) => {
        const a = await connect(t, { way, url: server.url });
        const tea = room();
        await verb(a, "join", { room: tea });
        const all = events(a, "msg", 25);
        for (let i = 0; i < 25; i++) await verb(a, "publish", { room: tea, event: "msg", data: [i, Buffer.from([i])] });
        const heard = await all;
        const read = [];
        for (let before, more = true; more; ) {
          const page = await verb(a, "history", { room: tea, before, limit: 200 });
          read.unshift(...page.messages);
          before = page.messages[0].offset;
          more = page.more;
        }
        assert.deepEqual(plain(read.map((m) => [m.data, m.offset])), plain(heard));
      });

      test("a publish that is sent again", async (t) => {
        const [a, b] = await Promise.all([1, 2].map(() => connect(t, { way, url: server.url })));
        const tea = room();
        await verb(a, "join", { room: tea });
        const both = events(a, "msg", 2);
        const once = { room: tea, event: "msg", data: "once", id: randomUUID() };
        const { offset } = await verb(b, "publish", once);
        assert.deepEqual(await verb(b, "publish", once), { offset, repeated: true });
        b.close();
        const c = await connect(t, { way, url: server.url });
        assert.deepEqual(await verb(c, "publish", once), { offset, repeated: true }, "by another connection");
        const response = await fetch(`${server.url}/api/publish`, {
          method: "POST",
          headers: { "Content-Type": "application/json", "Idempotency-Key": once.id },
          body: JSON.stringify({ room: tea, event: "msg", data: "once" }),
        });
        assert.deepEqual(await response.json(), { offset, members: 0, repeated: true }, "by another door");
        await verb(c, "publish", { ...once, data: "twice" });
        assert.deepEqual((await both).map(([data]) => data), ["once", "twice"]);
      });

      test("presence, followed by its differences", async (t) => {
        const a = await connect(t, { way, url: server.url });
        const tea = room();
        await verb(a, "join", { room: tea });
        const first = await verb(a, "presence", { room: tea });
        assert.deepEqual(first, { version: first.version, count: 1, members: [{ id: a.id }], you: a.id });
        const came = event(a, "presence");
        const b = await connect(t, { way, url: server.url });
        await verb(b, "join", { room: tea });
        assert.deepEqual(await came, [{ room: tea, version: first.version + 1, count: 2, joined: [{ id: b.id }] }]);
        const said = event(a, "presence");
        await verb(b, "state", { room: tea, state: { typing: true } });
        assert.deepEqual(await said, [{ room: tea, version: first.version + 2, count: 2, changed: [{ id: b.id, state: { typing: true } }] }]);
        const left = event(a, "presence");
        const { id } = b; // which it has no more when it has left
        b.disconnect();
        assert.deepEqual(await left, [{ room: tea, version: first.version + 3, count: 1, left: [id] }]);
      });
    });
  }

  test("a client that is away for a moment has never been away", async (t) => {
    const a = await connect(t, { url: server.url });
    const b = await connect(t, { url: server.url, reconnection: true, reconnectionDelay: 50 });
    const tea = room();
    for (const s of [a, b]) await verb(s, "join", { room: tea });
    await verb(a, "presence", { room: tea });
    const differences = [];
    a.on("presence", (d) => differences.push(d));
    const back = event(b, "connect");
    b.io.engine.close();
    const missed = event(b, "msg");
    await verb(a, "publish", { room: tea, event: "msg", data: "missed" });
    await back;
    assert.equal(b.recovered, true);
    assert.equal((await missed)[0], "missed");
    await sleep(300); // more than a tick: nothing is told
    assert.deepEqual(differences, []);
    assert.equal((await verb(a, "presence", { room: tea })).count, 2);
  });

  test("refusals", async (t) => {
    const a = await connect(t, { url: server.url });
    for (const [name, request, code] of [
      ["join", { room: "secret" }, "forbidden"],
      ["publish", { room: "chat:tea", event: "connect" }, "bad_event"],
      ["publish", { room: "chat:tea", event: "presence" }, "bad_event"],
      ["history", { room: "chat:tea", before: "nonsense" }, "bad_offset"],
      ["state", { room: "chat:tea", state: {} }, "not_member"],
      ["join", "chat:tea", "bad_request"],
    ]) {
      const [answer] = await ask(a, name, request);
      assert.equal(answer.code, code, `${name} ${JSON.stringify(request)}: ${JSON.stringify(answer)}`);
      assert.equal(typeof answer.error, "string");
    }
  });
}
