// Clients that use socket.io-msgpack-parser: one binary frame per packet.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import msgpack from "socket.io-msgpack-parser";
import { clients, connect, dial, refused, ways } from "../clients.mjs";
import { ask, event, plain, serve } from "../harness.mjs";

const server = serve("--parser", "msgpack"); // Tutti needs no telling: it hears which parser a client speaks

for (const client of clients.filter((c) => c.protocol === 4)) {
  for (const way of ways) {
    describe(`socket.io-client ${client.version} over ${way.name}`, () => suite(client, way));
  }
}

function suite(client, way) {
  const open = (t, options) => connect(t, { client, way, url: server.url, parser: msgpack, ...options });
  const sent = ["é😀𝒳", "x".repeat(300), 1, -1, 127, 128, -129, 65536, 2 ** 40, -(2 ** 40), 1.5, true, null, [], {}, { a: [{ b: "c" }] }];

  test("every kind of value comes back as it went", async (t) => {
    const socket = await open(t);
    const back = event(socket, "message-back");
    socket.emit("message", ...sent);
    assert.deepEqual(await back, sent);
  });

  test("binary comes back, without placeholders", async (t) => {
    const socket = await open(t);
    const values = [Buffer.from([1, 2]), { deep: [Buffer.alloc(300, 7), "x"] }, Buffer.alloc(70_000, 1)];
    const back = event(socket, "message-back");
    socket.emit("message", ...values);
    assert.deepEqual(plain(await back), plain(values));
  });

  test("more binary values than the JSON parser would take", async (t) => {
    const socket = await open(t);
    const values = Array.from({ length: 20 }, (_, i) => Buffer.from([i]));
    assert.deepEqual(plain(await ask(socket, "message-with-ack", values)), plain([values]));
  });

  test("acks, both ways", async (t) => {
    const socket = await open(t);
    assert.deepEqual(await ask(socket, "message-with-ack", "é", { n: 1 }), ["é", { n: 1 }]);
    socket.on("question", (n, ack) => ack(n + 1, Buffer.from([n])));
    const [told] = await ask(socket, "ask", { ms: 8000 }, 41);
    assert.deepEqual(plain(told), plain({ timedOut: false, reply: [42, Buffer.from([41])] }));
  });

  test("binary that the server made", async (t) => {
    const socket = await open(t);
    const made = event(socket, "binary-made");
    socket.emit("make-binary", 3);
    const want = Buffer.from([0, 1, 2]);
    assert.deepEqual(plain(await made), plain([want, { deep: [{ bytes: want }, "text"] }]));
  });

  test("rooms", async (t) => {
    const [a, b] = [await open(t), await open(t)];
    await ask(a, "join", "packed");
    await ask(b, "join", "packed");
    const heard = event(b, "news");
    await ask(a, "publish", { rooms: ["packed"], others: true }, "news", { text: "é" }, Buffer.from([9]));
    assert.deepEqual(plain(await heard), plain([{ text: "é" }, Buffer.from([9])]));
  });

  test("namespaces, auth and refusals", async (t) => {
    const inside = await open(t, { url: `${server.url}/guarded`, auth: { token: "secret" } });
    assert.deepEqual(await ask(inside, "message-with-ack", 1), [1]);
    const outside = dial(t, { client, way, url: `${server.url}/guarded`, parser: msgpack, auth: { token: "é" } });
    assert.deepEqual(await refused(outside, 4), { message: "who are you?", data: { code: 401, token: "é" } });
    const nowhere = dial(t, { client, way, url: `${server.url}/unknown`, parser: msgpack });
    assert.equal((await refused(nowhere, 4)).message, "Invalid namespace");
  });

  test("disconnect by the server", async (t) => {
    const socket = await open(t);
    const left = event(socket, "disconnect");
    socket.emit("leave-me", true);
    assert.equal((await left)[0], "io server disconnect");
  });
}
