// Messages that are on their way while a connection goes over from polling to WebSocket: none is lost, none is doubled,
// and the order is kept, each way.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises"; // spreads messages over the upgrade; nothing waits for it
import { clients, dial, upgrade, ways } from "../clients.mjs";
import { event, events, serve, turnstile } from "../harness.mjs";

const server = serve("--eio3");
const N = 2000;
const numbers = Array.from({ length: N }, (_, i) => i);

for (const client of clients) {
  describe(`socket.io-client ${client.version}`, () => {
    for (let round = 1; round <= 3; round++) {
      test(`${N} messages each way, round ${round}`, (t) => order(t, client));
    }

    test("binary on the way", (t) => attachments(t, client));
  });
}

/** start connects over polling; the WebSocket comes when open is called, and then upgraded resolves. */
async function start(t, client) {
  const { url, open } = await turnstile(t, server.url);
  const socket = dial(t, { client, way: ways[2], url });
  await event(socket, "connect");
  assert.equal(socket.io.engine.transport.name, "polling");
  return { socket, open, upgraded: upgrade(socket) };
}

/** during calls send for 0 to n-1: a quarter before the upgrade begins, some while it goes on, a quarter when it is over. */
async function during({ open, upgraded }, n, send) {
  for (let i = 0; i < n; i++) {
    if (i === n / 4) open();
    if (i === (n * 3) / 4) await upgraded;
    send(i);
    if (i % 10 === 9) await pause(1);
  }
}

async function order(t, client) {
  const connection = await start(t, client);
  const { socket } = connection;
  const ticks = events(socket, "tick", N, 30_000); // the server's echo of each of ours
  const burst = events(socket, "burst", N, 30_000); // and a hundred at a time of its own
  await during(connection, N, (i) => {
    socket.emit("count", i);
    if (i % 100 === 0) socket.emit("burst", i, 100);
  });
  assert.deepEqual((await ticks).flat(), numbers);
  assert.deepEqual((await burst).flat(), numbers);
  assert.equal(socket.io.engine.transport.name, "websocket");
}

async function attachments(t, client) {
  const connection = await start(t, client);
  const { socket } = connection;
  const back = events(socket, "message-back", 400, 30_000);
  await during(connection, 400, (i) => socket.emit("message", i, Buffer.from([i % 256, 1]), { deep: Buffer.from([i % 256, 2]) }));
  for (const [i, [number, a, { deep }]] of (await back).entries()) {
    assert.deepEqual([number, [...a], [...deep]], [i, [i % 256, 1], [i % 256, 2]]);
  }
}
