// The rules of the Engine.IO protocol, version 3, which the clients of Socket.IO 1 and 2 speak. The server sends every
// message back.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { serve } from "../harness.mjs";
import { Polling, request, wire } from "../raw.mjs";

const path = "/engine.io-3/";
const server = serve("--eio3");
const hasty = serve("--eio3", "--ping-interval", "300", "--ping-timeout", "200");

const socket = (t, query = "EIO=3&transport=websocket", on = server) => wire(t, `${on.url}${path}?${query}`);

/** session opens a long-polling session of a client that cannot read binary payloads, or of one that can. */
async function session({ binary = false, on = server } = {}) {
  const s = new Polling(on, path, 3);
  await s.open(binary ? "" : "&b64=1");
  if (!binary) s.url += "&b64=1";
  return s;
}

async function isOver(s) {
  const { status, text } = await s.poll();
  assert.deepEqual([status, JSON.parse(text)], [400, { code: 1, message: "Session ID unknown" }]);
}

describe("handshake", () => {
  test("over polling carries its length", async () => {
    const { status, body } = await request(`${server.url}${path}?EIO=3&transport=polling&b64=1`);
    const [, length, packet] = /^(\d+):(.*)$/s.exec(body);
    assert.deepEqual([status, Number(length)], [200, packet.length]);
    assert.match(
      packet,
      /^0\{"sid":"[\w-]{20}","upgrades":\["websocket"\],"pingInterval":25000,"pingTimeout":20000(,"maxPayload":1000000)?\}$/,
    );
  });

  test("over WebSocket does not", async (t) => {
    assert.match(await socket(t).next(), /^0\{"sid":"[\w-]{20}","upgrades":\[\],"pingInterval":25000,"pingTimeout":20000(,"maxPayload":1000000)?\}$/);
  });

  test("without a version is one of this version", async () => {
    const { status, body } = await request(`${server.url}${path}?transport=polling&b64=1`);
    assert.equal(status, 200);
    assert.match(body.toString(), /^\d+:0\{/);
  });

  for (const [what, query, options, code] of [
    ["without a transport", "?EIO=3", {}, 0],
    ["with an unknown transport", "?EIO=3&transport=abc", {}, 0],
    ["by POST", "?EIO=3&transport=polling", { method: "POST" }, 2],
    ["with an unknown session", "?EIO=3&transport=polling&sid=abcdefghijabcdefghij", {}, 1],
  ]) {
    test(`is refused ${what}`, async () => {
      const { status, body } = await request(`${server.url}${path}${query}`, options);
      assert.deepEqual([status, JSON.parse(body).code], [400, code]);
    });
  }
});

describe("messages over polling", () => {
  for (const [what, body] of [
    ["one text", "6:4hello"],
    ["three texts", "6:4test16:4test26:4test3"],
    ["text and binary", "6:4hello10:b4AQIDBA=="],
    ["text whose length is counted in UTF-16", "4:4é😀2:4x"],
  ]) {
    test(`${what} comes back`, async () => {
      const s = await session();
      const pushed = await s.push(body, { headers: { "Content-Type": "text/plain;charset=UTF-8" } });
      assert.deepEqual([pushed.status, pushed.text], [200, "ok"]);
      assert.equal((await s.poll()).text, body);
    });
  }

  test("to a client that can read bytes, binary comes as bytes", async () => {
    const s = await session({ binary: true });
    await s.push("6:4hello10:b4AQIDBA==");
    const answer = await fetch(s.url);
    assert.equal(answer.headers.get("content-type"), "application/octet-stream");
    const text = [0, 6, 255, ...Buffer.from("4hello")]; // 0 = text, its length digit by digit, 255 ends the length
    const bytes = [1, 5, 255, 4, 1, 2, 3, 4]; // 1 = binary, 4 = a message
    assert.deepEqual([...new Uint8Array(await answer.arrayBuffer())], [...text, ...bytes]);
  });

  test("a client may push bytes", async () => {
    const s = await session();
    const hello = Buffer.from("4hello wörld"); // 13 bytes of UTF-8, 12 units of UTF-16
    const body = Buffer.from([0, 1, 3, 255, ...hello, 1, 5, 255, 4, 1, 2, 3, 4]);
    const { status } = await s.push(body, { headers: { "Content-Type": "application/octet-stream" } });
    assert.equal(status, 200);
    assert.equal((await s.poll()).text, "12:4hello wörld10:b4AQIDBA==");
  });

  for (const body of ["abc", "6:4hell", "99999999999999999999:4x", "-1:4x", "1:9", ":4x"]) {
    test(`a payload of ${JSON.stringify(body)} ends the session`, async () => {
      const s = await session();
      await s.push(body);
      await isOver(s);
    });
  }
});

describe("messages over WebSocket", () => {
  test("text and binary come back; binary begins with its type", async (t) => {
    const w = socket(t);
    await w.next();
    w.send("4hello", Buffer.from([4, 1, 2, 3, 4]), "4é😀");
    assert.deepEqual([await w.next(), await w.next(), await w.next()], ["4hello", { bytes: "0401020304" }, "4é😀"]);
  });

  test("an invalid packet ends the session", async (t) => {
    const w = socket(t);
    await w.next();
    w.send("abc");
    await w.closed();
  });
});

describe("heartbeat", () => {
  test("the client asks, the server answers, over polling", async () => {
    const s = await session({ on: hasty });
    for (let i = 0; i < 3; i++) {
      assert.equal((await s.push("1:2")).status, 200);
      assert.equal((await s.poll()).text, "1:3");
    }
  });

  test("the client asks, the server answers, over WebSocket", async (t) => {
    const w = socket(t);
    await w.next();
    w.send("2", "2");
    assert.deepEqual([await w.next(), await w.next()], ["3", "3"]);
  });

  test("a client that does not ask is given up", async (t) => {
    const [s, w] = [await session({ on: hasty }), socket(t, undefined, hasty)];
    await w.closed();
    await isOver(s);
  });
});

describe("close", () => {
  test("over polling the poll that waits is answered", async () => {
    const s = await session();
    const [{ status, text }] = await Promise.all([s.poll(), s.push("1:1")]);
    if (status === 200) assert.equal(text, "1:6"); // the POST may overtake the poll, which then finds no session
    await isOver(s);
  });
});

describe("upgrade", () => {
  test("a waiting poll gets a noop, and the session goes on over WebSocket", async (t) => {
    const s = await session();
    const w = wire(t, s.webSocket);
    await w.opened;
    w.send("2probe");
    assert.equal(await w.next(), "3probe");
    assert.equal((await s.poll()).text, "1:6");
    w.send("5", "4hello");
    assert.equal(await w.next(), "4hello");
    assert.equal((await s.poll()).status, 400);
  });
});
