// A server that goes away and comes back, and clients that come back to it by themselves.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { clients, connect, ways } from "../clients.mjs";
import { ask, event, serve } from "../harness.mjs";

for (const [what, signal] of [["is killed", "SIGKILL"], ["is told to stop", "SIGTERM"]]) {
  describe(`a server that ${what} and started again`, () => {
    const server = serve("--eio3");

    test("every client comes back by itself, and works", async (t) => {
      const again = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 200, timeout: 5000 };
      const open = clients.flatMap((client) => ways.map((way) => ({ client, way })));
      const sockets = await Promise.all(open.map(({ client, way }) => connect(t, { client, way, url: server.url, ...again })));
      const left = sockets.map((socket) => event(socket, "disconnect"));

      await server.stop(signal);
      for (const [i, [reason]] of (await Promise.all(left)).entries()) {
        // After "io server disconnect" a client does not try again.
        assert.match(reason, /^transport (close|error)$/, `${open[i].client.version} over ${open[i].way.name}`);
      }

      const back = sockets.map((socket) => event(socket, "connect", 20_000));
      await server.start();
      await Promise.all(back);
      for (const [i, socket] of sockets.entries()) {
        assert.deepEqual(await ask(socket, "message-with-ack", i, "é"), [i, "é"]);
      }
    });

    test("what a client sent in between arrives", async (t) => {
      const socket = await connect(t, { url: server.url, reconnection: true, reconnectionDelay: 50 });
      const left = event(socket, "disconnect");
      await server.stop(signal);
      await left;
      const answers = Promise.all([ask(socket, "message-with-ack", 1), ask(socket, "message-with-ack", 2)]);
      await server.start();
      assert.deepEqual(await answers, [[1], [2]]);
    });
  });
}
