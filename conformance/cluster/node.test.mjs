// Servers on Node.js and Tutti's in one cluster, on one Redis, by each of the adapters that Node's have: what the clients and
// the applications of one do reaches those of the other, whoever does it.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Emitter } from "@socket.io/redis-emitter";
import { createClient } from "redis";
import { connect } from "../clients.mjs";
import { ask, event, events, plain, Program, within } from "../harness.mjs";
import { engines } from "./engines.mjs";

const dir = mkdtempSync(join(tmpdir(), "tutti-node-"));
after(() => rmSync(dir, { recursive: true }));

/** redisIn starts a Redis for the tests of a scope and resolves with it, and a client of it. */
function redisIn(name) {
  const redis = new engines.redis(join(dir, name));
  redis.at = () => redis.url(redis.address);
  before(async () => {
    mkdirSync(redis.data);
    await redis.start();
    redis.client = await createClient({ url: redis.at() }).on("error", () => {}).connect();
  });
  after(async () => {
    redis.client.destroy();
    await redis.stop("SIGTERM");
  });
  return redis;
}

const nodeServer = fileURLToPath(new URL("../reference/server.mjs", import.meta.url));

/** start starts a server of a kind in the cluster. */
function start(kind, redis, adapter, ...flags) {
  const command = kind === "node" ? [process.execPath, nodeServer] : [process.env.TUTTI_SERVER];
  return new Program([...command, "--node-cluster", redis.at(), "--node-adapter", adapter, ...flags]).start();
}

/** eventually repeats what it is given until it holds. */
async function eventually(what, holds) {
  await within((async () => {
    while (!(await holds())) await sleep(10);
  })(), what, 20_000);
}

const values = [1, -2.5, "é\u2028\u{1f600}\"\\", null, true, { a: [1, { b: {} }], c: "" }, []];

for (const adapter of ["classic", "sharded", "sharded-static", "sharded-private", "streams"]) {
  describe(`adapter ${adapter}`, () => {
    const redis = redisIn(adapter);
    const servers = {}; // node, tutti, other: another one of Tutti
    before(async () => {
      servers.node = await start("node", redis, adapter);
      servers.tutti = await start("tutti", redis, adapter);
      servers.other = await start("tutti", redis, adapter);
    });
    after(async () => {
      for (const server of Object.values(servers)) await server.stop("SIGTERM");
    });

    /** meet connects a client to each server, and returns when everybody reaches everybody. */
    async function meet(t, options = {}) {
      const people = {};
      for (const [name, server] of Object.entries(servers)) {
        people[name] = await connect(t, { url: server.url, query: { who: name }, extraHeaders: { "X-Conformance": `of ${name}` }, ...options });
        people[name].name = name;
      }
      for (const from of Object.values(people)) {
        await eventually(`${from.name} to see all`, async () => (await ask(from, "members", [])).flat().length >= 3);
      }
      return people;
    }

    /** enter has people join a room, and returns when everybody reaches them there: Node does not wait until it hears. */
    async function enter(people, room, ...names) {
      for (const name of names) await ask(people[name], "join", room);
      for (const from of Object.values(people)) {
        const got = new Set();
        const off = names.map((name) => {
          const note = () => got.add(name);
          people[name].on(`probe ${from.name}`, note);
          return () => people[name].off(`probe ${from.name}`, note);
        });
        await eventually(`${from.name} to reach ${names} in ${room}`, async () => {
          await ask(from, "publish", { rooms: [room] }, `probe ${from.name}`);
          await sleep(10);
          return got.size === names.length;
        });
        off.forEach((f) => f());
      }
    }

    /** hears collects what comes to people until everything that was published before is there. */
    function hearing(people, name) {
      const got = {};
      for (const [who, socket] of Object.entries(people)) {
        got[who] = [];
        socket.on(name, (...args) => got[who].push(plain(args)));
      }
      return async (from) => {
        const ends = Object.values(people).map((s) => event(s, `end ${name}`));
        await ask(from, "publish", {}, `end ${name}`);
        await Promise.all(ends);
        return got;
      };
    }

    for (const who of ["node", "tutti"]) {
      describe(`from ${who}`, () => {
        test("to everyone, in order, with values of all kinds", async (t) => {
          const people = await meet(t);
          const heard = hearing(people, "news");
          for (let i = 0; i < 50; i++) await ask(people[who], "publish", {}, "news", i, ...values);
          for (const [name, list] of Object.entries(await heard(people[who]))) {
            assert.deepEqual(list, Array.from({ length: 50 }, (_, i) => [i, ...values]), name);
          }
        });

        test("binary", async (t) => {
          const people = await meet(t);
          const heard = hearing(people, "bytes");
          const big = Buffer.alloc(70_000, 7);
          await ask(people[who], "publish", {}, "bytes", Buffer.from([0, 1, 255]), { deep: [Buffer.alloc(0), "text"] }, big);
          for (const [name, list] of Object.entries(await heard(people[who]))) {
            assert.deepEqual(list, [plain([Buffer.from([0, 1, 255]), { deep: [Buffer.alloc(0), "text"] }, big])], name);
          }
        });

        test("to rooms, once to each member, but for others; to one socket; here only", async (t) => {
          const people = await meet(t);
          await enter(people, "r1", "node", "tutti");
          await enter(people, "r2", "tutti", "other");
          await enter(people, "r3", "node");
          const heard = hearing(people, "news");
          const from = people[who];
          await ask(from, "publish", { rooms: ["r1"] }, "news", "r1");
          await ask(from, "publish", { rooms: ["r1", "r2"] }, "news", "both");
          await ask(from, "publish", { rooms: ["r1", "r2"], except: ["r3"] }, "news", "but r3");
          await ask(from, "publish", { except: ["r2"] }, "news", "but r2");
          await ask(from, "publish", { others: true }, "news", "others");
          await ask(from, "publish", { local: true }, "news", "local");
          await ask(from, "publish", { rooms: [people.node.id, people.other.id] }, "news", "two");
          await ask(from, "publish", { rooms: [people.other.id] }, "news", "one");
          await ask(from, "publish", { rooms: ["nobody"] }, "news", "nobody");
          await sleep(50); // so that all connections can be written to
          await ask(from, "publish", { volatile: true, plain: true }, "news", "volatile");
          const want = {
            node: ["r1", "both", "but r2", "others", "local", "two", "volatile"],
            tutti: ["r1", "both", "but r3", "others", "local", "volatile"],
            other: ["both", "but r3", "others", "two", "one", "volatile"],
          };
          want[who] = want[who].filter((x) => x !== "others");
          for (const name of ["node", "tutti"]) if (name !== who) want[name] = want[name].filter((x) => x !== "local");
          const got = await heard(from);
          for (const name in want) {
            // A room's own channel is no later than the others', nor earlier.
            assert.deepEqual(got[name].map(([x]) => x).sort(), want[name].sort(), name);
          }
        });

        test("with answers: of all, of rooms, of nobody, and too late", async (t) => {
          const people = await meet(t);
          await enter(people, "asked", "node", "tutti");
          for (const [name, socket] of Object.entries(people)) {
            socket.on("question", (what, ack) => {
              if (what !== "silence" || name !== "other") ack(what === "bytes" ? Buffer.from(name) : { name, what });
            });
          }
          const from = people[who];
          const replies = async (ms, rooms, what) => {
            const [{ timedOut, replies }] = await ask(from, "ask-all", { ms, rooms }, what);
            return { timedOut, replies: replies.map(plain).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)) };
          };
          const all = (what, ...names) => names.map((name) => ({ name, what }));
          assert.deepEqual(await replies(8000, [], "all"), { timedOut: false, replies: all("all", "node", "other", "tutti") });
          assert.deepEqual(await replies(8000, ["asked"], "room"), { timedOut: false, replies: all("room", "node", "tutti") });
          assert.deepEqual(await replies(8000, ["empty"], "none"), { timedOut: false, replies: [] });
          assert.deepEqual(await replies(500, [], "silence"), { timedOut: true, replies: all("silence", "node", "tutti") });
          assert.deepEqual((await replies(8000, [], "bytes")).replies.map((r) => r.bytes).sort(), ["node", "other", "tutti"].map((n) => Buffer.from(n).toString("hex")).sort());
        });

        test("who is there, and what is known of them", async (t) => {
          const people = await meet(t);
          await enter(people, "known", "node", "other");
          await ask(people.node, "set-data", { user: "bob", n: [1] });
          const [list] = await ask(people[who], "describe", ["known"]);
          assert.deepEqual(list.map((s) => s.who).sort(), ["node", "other"]);
          for (const s of list) {
            assert.deepEqual(s.rooms, [people[s.who].id, "known"].sort());
            assert.equal(s.id, people[s.who].id);
            assert.equal(s.header, `of ${s.who}`);
            assert.match(s.address, /^127\.0\.0\.1/);
            assert.match(s.url, /^\/socket\.io\/\?/);
            assert.equal(s.secure, false);
            assert.ok(Math.abs(s.issued - Date.now()) < 60_000);
            if (s.who === "node") assert.deepEqual(s.data, { user: "bob", n: [1] });
            else if (who === "node") assert.deepEqual(s.data, {});
          }
          if (who === "tutti") assert.deepEqual(await ask(people.tutti, "count-all", ["known"]), [2]);
          assert.deepEqual((await ask(people[who], "members", [])).flat().sort(), Object.values(people).map((s) => s.id).sort());
        });

        test("joins, leaves and disconnections of others' sockets", async (t) => {
          const people = await meet(t);
          await enter(people, "a", "node", "other");
          const from = people[who];
          const inRoom = async (room) => (await ask(from, "members", [room])).flat().sort();
          const both = [people.node.id, people.other.id].sort();
          await ask(from, "sockets-join", "a", "b");
          await eventually("the sockets to be in b", async () => (await inRoom("b")).join() === both.join());
          const heard = hearing(people, "to b");
          await enter(people, "b"); // the room's channels are heard
          await eventually("b to be reached", async () => {
            await ask(from, "publish", { rooms: ["b"] }, "to b", 1);
            const got = await heard(from);
            return got.node.length > 0 && got.other.length > 0 && got.tutti.length === 0;
          });
          await ask(from, "sockets-leave", "a", "b");
          await eventually("the sockets to be out of b", async () => (await inRoom("b")).length === 0);
          const gone = [event(people.node, "disconnect"), event(people.other, "disconnect")];
          await ask(from, "sockets-disconnect", "a", false);
          for (const [reason] of await Promise.all(gone)) assert.equal(reason, "io server disconnect");
          await eventually("them to be gone", async () => (await ask(people.tutti, "members", ["a"])).flat().length === 0);
        });

        test("what applications say to each other", async (t) => {
          const people = await meet(t);
          const others = Object.keys(people).filter((name) => name !== who);
          const noted = others.map((name) => event(people[name], "noted"));
          const heard = hearing(people, "noted");
          await ask(people[who], "tell-servers", "server-note", ...values);
          for (const args of await Promise.all(noted)) assert.deepEqual(args, values);
          assert.deepEqual((await heard(people[who]))[who], [], "not to oneself");
          const [{ failed, replies }] = await ask(people[who], "ask-servers", "server-sum", 2, 3);
          assert.equal(failed, false);
          assert.deepEqual(replies.map((r) => [r.sum, r.by]).sort(), (who === "node" ? ["tutti", "tutti"] : ["node", "tutti"]).map((by) => [5, by]));
          // Nobody answers: that is known after five seconds, and no sooner nor later.
          const [silent] = await ask(people[who], "ask-servers", "server-silent");
          assert.equal(silent.failed, true);
          assert.deepEqual(silent.replies, []);
        });
      });
    }

    test("another namespace is another matter", async (t) => {
      const main = await meet(t);
      const custom = {};
      for (const [name, server] of Object.entries(servers)) custom[name] = await connect(t, { url: `${server.url}/custom` });
      await eventually("all to be there", async () => (await ask(custom.tutti, "members", [])).flat().length === 3 && (await ask(custom.node, "members", [])).flat().length === 3);
      const heard = hearing(main, "news");
      const got = Object.values(custom).map((s) => event(s, "news"));
      await ask(custom.tutti, "publish", {}, "news", "custom");
      for (const args of await Promise.all(got)) assert.deepEqual(args, ["custom"]);
      assert.deepEqual(await heard(main.node), { node: [], tutti: [], other: [] });
    });

    if (adapter === "classic") {
      test("all rooms, and requests of old", async (t) => {
        const people = await meet(t);
        await enter(people, "far", "tutti", "other");
        const [rooms] = await ask(people.node, "all-rooms");
        for (const room of ["far", people.node.id, people.tutti.id, people.other.id]) assert.ok(rooms.includes(room), room);
        assert.deepEqual(await ask(people.node, "move-one", "join", people.tutti.id, "old"), ["done"]);
        assert.deepEqual((await ask(people.node, "members", ["old"])).flat(), [people.tutti.id]);
        assert.deepEqual(await ask(people.node, "move-one", "leave", people.tutti.id, "old"), ["done"]);
        assert.deepEqual((await ask(people.node, "members", ["old"])).flat(), []);
        const gone = event(people.tutti, "disconnect");
        assert.deepEqual(await ask(people.node, "move-one", "disconnect", people.tutti.id, null), ["done"]);
        assert.equal((await gone)[0], "io server disconnect");
      });

      test("the emitter", async (t) => {
        const people = await meet(t);
        await enter(people, "r1", "node", "tutti");
        await enter(people, "r2", "tutti", "other");
        const emitter = new Emitter(redis.client);
        const heard = hearing(people, "news");
        emitter.emit("news", ...values, Buffer.from([1, 2]));
        emitter.to("r1").emit("news", "r1");
        emitter.to("r1").to("r2").except("r2").emit("news", "but r2");
        emitter.of("/custom").emit("news", "elsewhere");
        const all = plain([...values, Buffer.from([1, 2])]);
        await eventually("all to have come", async () => (await heard(people.node)).node.length === 3);
        assert.deepEqual(await heard(people.tutti), { node: [all, ["r1"], ["but r2"]], tutti: [all, ["r1"]], other: [all] });
        const noted = Object.values(people).map((s) => event(s, "noted"));
        emitter.serverSideEmit("server-note", "from outside");
        for (const args of await Promise.all(noted)) assert.deepEqual(args, ["from outside"]);
        emitter.in("r2").socketsJoin("r9");
        await eventually("r9", async () => (await ask(people.node, "members", ["r9"])).flat().length === 2);
        emitter.in("r9").socketsLeave("r9");
        await eventually("nobody in r9", async () => (await ask(people.node, "members", ["r9"])).flat().length === 0);
        const gone = [event(people.tutti, "disconnect"), event(people.other, "disconnect")];
        emitter.in("r2").disconnectSockets(true);
        await Promise.all(gone);
        assert.equal(people.node.connected, true);
      });
    }

    test("Redis ends and comes back", async (t) => {
      const people = await meet(t);
      await enter(people, "kept", "node", "tutti", "other");
      await redis.stop("SIGKILL");
      await redis.start();
      await enter(people, "kept", "node", "tutti", "other");
      for (const from of Object.values(people)) {
        await eventually(`${from.name} to see all`, async () => (await ask(from, "members", [])).flat().length === 3);
      }
    });
  });
}

describe("what is no message", () => {
  const redis = redisIn("junk");
  // Without a server on Node.js, which junk on these channels ends.
  for (const adapter of ["classic", "sharded", "streams"]) {
    test(adapter, async (t) => {
      const server = await start("tutti", redis, adapter);
      const other = await start("tutti", redis, adapter);
      t.after(() => Promise.all([server.stop("SIGTERM"), other.stop("SIGTERM")]));
      const here = await connect(t, { url: server.url });
      const there = await connect(t, { url: other.url });
      const junk = ["", "{", "{}", "[]", "null", '{"type":9e99}', '{"uid":1,"type":5,"requestId":{},"opts":[]}', '{"type":3,"nsp":"/","uid":"x"}',
        '{"type":3,"nsp":"/","uid":"x","data":{"packet":{"type":2,"data":["connect"]},"opts":{}}}', '{"type":11,"nsp":"/","data":{"clientCount":-1}}',
        Buffer.from([0x93]), Buffer.from([0xdd, 0xff, 0xff, 0xff, 0xff]), Buffer.alloc(5000, 0x91), Buffer.from("\xff\xfe", "latin1"), "[".repeat(100_000)];
      for (const channel of ["socket.io#/#", "socket.io#/#room#", "socket.io-request#/#", "socket.io-response#/#"]) {
        for (const bytes of junk) {
          await redis.client.sendCommand(["PUBLISH", channel, bytes]);
          await redis.client.sendCommand(["SPUBLISH", channel, bytes]);
          await redis.client.sendCommand(["XADD", "socket.io", "*", "nsp", "/", "type", "3", "uid", "x", "data", bytes]);
        }
      }
      await redis.client.sendCommand(["XADD", "socket.io", "*", "a", "b"]);
      const heard = event(there, "news");
      await ask(here, "publish", {}, "news", 1);
      assert.deepEqual(await heard, [1]);
      assert.equal((await ask(here, "members", [])).flat().length, 2);
    });
  }
});
