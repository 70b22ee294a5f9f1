// The stock engine.io-client, which talks Engine.IO without Socket.IO on top.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Socket } from "engine.io-client";
import { event, plain, serve, within } from "../harness.mjs";

const server = serve();

for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
  describe(`engine.io-client over ${transports.join(", then ")}`, () => {
    async function open(t) {
      const socket = new Socket(server.url, { path: "/engine.io/", transports });
      socket.binaryType = "arraybuffer";
      t.after(() => socket.close());
      const upgraded = transports.length > 1 && event(socket, "upgrade");
      await event(socket, "open");
      await upgraded;
      return socket;
    }

    test("text and binary come back in order", async (t) => {
      const socket = await open(t);
      const sent = ["é😀", Buffer.from([1, 2, 3]), "x".repeat(100_000), Buffer.alloc(100_000, 5), "end"];
      const got = [];
      const all = new Promise((resolve) => socket.on("message", (data) => got.push(data) === sent.length && resolve()));
      for (const data of sent) socket.send(data);
      await within(all, "every message");
      assert.deepEqual(plain(got), plain(sent));
    });

    test("close is heard by both", async (t) => {
      const socket = await open(t);
      const closed = event(socket, "close");
      socket.close();
      assert.equal((await closed)[0], "forced close");
    });
  });
}
