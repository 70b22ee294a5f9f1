// WebSocket frames byte by byte, as no client library writes them: the rules of RFC 6455 that keep a server in order.
import assert from "node:assert/strict";
import http from "node:http";
import { describe, test } from "node:test";
import { serve, within } from "../harness.mjs";
import { wire } from "../raw.mjs";

const server = serve();

/** Frames is a WebSocket connection to the echo of /engine.io/, whose frames are written by hand and read one by one. */
class Frames {
  #bytes = Buffer.alloc(0);
  #ended = false;
  #wake = () => {};

  constructor(socket, head) {
    this.socket = socket;
    const take = (chunk) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      this.#wake();
    };
    take(head);
    socket.on("data", take);
    socket.on("error", () => {}); // a reset is an end
    socket.on("close", () => {
      this.#ended = true;
      this.#wake();
    });
  }

  write(...frames) {
    this.socket.write(Buffer.concat(frames));
  }

  /** next resolves with {opcode, payload}, or null when the connection has ended. */
  async next() {
    for (;;) {
      const frame = this.#cut();
      if (frame || this.#ended) return frame;
      await within(new Promise((resolve) => (this.#wake = resolve)), "a frame");
    }
  }

  #cut() {
    const b = this.#bytes;
    if (b.length < 2) return null;
    let [at, length] = [2, b[1]];
    if (length === 126) [at, length] = [4, b.length >= 4 ? b.readUInt16BE(2) : Infinity];
    if (length === 127) [at, length] = [10, b.length >= 10 ? Number(b.readBigUInt64BE(2)) : Infinity];
    if (b.length < at + length) return null;
    this.#bytes = b.subarray(at + length);
    return { fin: b[0] >> 7, opcode: b[0] & 15, payload: b.subarray(at, at + length) };
  }

  /** closed resolves with the code of the server's close frame, or null if the connection just ended. */
  async closed() {
    for (let frame; (frame = await this.next()); ) {
      if (frame.opcode === 8) return frame.payload.length >= 2 ? frame.payload.readUInt16BE(0) : 1005;
    }
    return null;
  }
}

/** dial opens a connection and reads the handshake of Engine.IO. */
async function dial(t) {
  const opened = new Promise((resolve, reject) => {
    const request = http.request(`${server.url}/engine.io/?EIO=4&transport=websocket`, {
      headers: { Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==" },
    });
    request.on("upgrade", (response, socket, head) => {
      assert.equal(response.headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="); // the example of section 1.3
      resolve(new Frames(socket, head));
    });
    request.on("response", (response) => reject(new Error(`status ${response.statusCode}`)));
    request.on("error", reject);
    request.end();
  });
  const frames = await within(opened, "the WebSocket to open");
  t.after(() => frames.socket.destroy());
  const { opcode, payload } = await frames.next();
  assert.deepEqual([opcode, payload[0]], [1, "0".charCodeAt(0)]);
  return frames;
}

const [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG] = [0, 1, 2, 8, 9, 10];

/** frame is one frame, masked as a client must. length overrides what the header says. */
function frame(opcode, payload = "", { fin = true, rsv = 0, masked = true, length } = {}) {
  const body = Buffer.from(payload);
  const said = BigInt(length ?? body.length);
  const first = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  const mask = masked ? 0x80 : 0;
  let header;
  if (said < 126n) header = Buffer.from([first, mask | Number(said)]);
  else if (said < 65536n) header = Buffer.from([first, mask | 126, Number(said >> 8n), Number(said & 255n)]);
  else {
    header = Buffer.alloc(10, first);
    header[1] = mask | 127;
    header.writeBigUInt64BE(BigInt.asUintN(64, said), 2);
  }
  if (!masked) return Buffer.concat([header, body]);
  const key = Buffer.from([1, 2, 3, 4]);
  return Buffer.concat([header, key, body.map((byte, i) => byte ^ key[i % 4])]);
}

const code = (n, reason = "") => Buffer.concat([Buffer.from([n >> 8, n & 255]), Buffer.from(reason)]);

describe("frames that are right", () => {
  for (const [what, frames, back] of [
    ["a message in one frame", [frame(TEXT, "4hello")], "4hello"],
    ["a message in fragments", [frame(TEXT, "4h", { fin: false }), frame(CONTINUATION, "", { fin: false }), frame(CONTINUATION, "ello")], "4hello"],
    ["a character in two fragments", [frame(TEXT, Buffer.from([0x34, 0xc3]), { fin: false }), frame(CONTINUATION, Buffer.from([0xa9]))], "4é"],
    ["a message of 125 bytes", [frame(TEXT, "4".padEnd(125, "x"))], "4".padEnd(125, "x")],
    ["a message of 126 bytes", [frame(TEXT, "4".padEnd(126, "x"))], "4".padEnd(126, "x")],
    ["a message of 65,535 bytes", [frame(TEXT, "4".padEnd(65_535, "x"))], "4".padEnd(65_535, "x")],
    ["a message of 65,536 bytes", [frame(TEXT, "4".padEnd(65_536, "x"))], "4".padEnd(65_536, "x")],
    ["a pong that nobody asked for", [frame(PONG, "x"), frame(TEXT, "4after")], "4after"],
  ]) {
    test(what, async (t) => {
      const f = await dial(t);
      f.write(...frames);
      const { fin, opcode, payload } = await f.next();
      assert.deepEqual([fin, opcode, payload.length], [1, TEXT, Buffer.byteLength(back)]);
      assert.ok(payload.equals(Buffer.from(back)));
    });
  }

  test("one byte at a time", async (t) => {
    const f = await dial(t);
    f.socket.setNoDelay(true);
    for (const byte of frame(TEXT, "4hello")) f.socket.write(Buffer.from([byte]));
    assert.equal((await f.next()).payload.toString(), "4hello");
  });

  test("a ping is answered with its own bytes, also between fragments", async (t) => {
    const f = await dial(t);
    f.write(frame(TEXT, "4a", { fin: false }), frame(PING, Buffer.from([0, 255, 1])), frame(CONTINUATION, "b"));
    const pong = await f.next();
    assert.deepEqual([pong.opcode, [...pong.payload]], [PONG, [0, 255, 1]]);
    assert.equal((await f.next()).payload.toString(), "4ab");
  });

  test("a close is answered, and the connection ended", async (t) => {
    const f = await dial(t);
    f.write(frame(CLOSE, code(1000, "bye")));
    assert.equal(await f.closed(), 1000);
    assert.equal(await f.next(), null);
  });
});

describe("frames that are wrong", () => {
  for (const [what, frames, want] of [
    ["an unmasked frame", [frame(TEXT, "4x", { masked: false })], [1002]],
    ["the first reserved bit", [frame(TEXT, "4x", { rsv: 4 })], [1002]],
    ["the second reserved bit", [frame(TEXT, "4x", { rsv: 2 })], [1002]],
    ["the third reserved bit", [frame(TEXT, "4x", { rsv: 1 })], [1002]],
    ["a reserved opcode", [frame(3, "x")], [1002]],
    ["a reserved control opcode", [frame(11, "x")], [1002]],
    ["a ping of 126 bytes", [frame(PING, "x".repeat(126))], [1002]],
    ["a fragmented ping", [frame(PING, "x", { fin: false })], [1002]],
    ["a continuation of nothing", [frame(CONTINUATION, "x")], [1002]],
    ["a new message inside another", [frame(TEXT, "4x", { fin: false }), frame(TEXT, "4y")], [1002]],
    ["text that is no UTF-8", [frame(TEXT, Buffer.from([0x34, 0xff]))], [1007]],
    ["text that encodes a surrogate", [frame(TEXT, Buffer.from([0x34, 0xed, 0xa0, 0x80]))], [1007]],
    ["text that ends within a character", [frame(TEXT, Buffer.from([0x34, 0xc3]))], [1007]],
    ["a length with its highest bit set", [frame(TEXT, "4x", { length: 2n ** 63n })], [1002, 1009]],
    ["a length of 2^62", [frame(TEXT, "4x", { length: 2n ** 62n })], [1002, 1009]],
    ["a length just over the limit", [frame(TEXT, "4x", { length: 1_000_001n })], [1009]],
    ["fragments that are over the limit together", [frame(TEXT, "4".padEnd(600_000, "x"), { fin: false }), frame(CONTINUATION, "x".repeat(600_000))], [1009]],
    ["a close of one byte", [frame(CLOSE, "x")], [1002]],
    ["a close with a code that must not be sent", [frame(CLOSE, code(1005))], [1002]],
    ["a close with a code that does not exist", [frame(CLOSE, code(999))], [1002]],
    ["a close whose reason is no UTF-8", [frame(CLOSE, Buffer.concat([code(1000), Buffer.from([0xff])]))], [1007]],
  ]) {
    test(`${what} ends the connection, and only that one`, async (t) => {
      const f = await dial(t);
      f.write(...frames);
      const got = await f.closed();
      assert.ok(want.includes(got), `closed with ${got}, want ${want.join(" or ")}`);
      assert.match(await wire(t, `${server.url}/engine.io/?EIO=4&transport=websocket`).next(), /^0/);
    });
  }

  test("a hundred thousand empty fragments use up nothing", async (t) => {
    const f = await dial(t);
    f.write(frame(BINARY, "", { fin: false }));
    const empty = Buffer.concat(Array.from({ length: 100_000 }, () => frame(CONTINUATION, "", { fin: false })));
    f.write(empty, frame(CONTINUATION, "x"));
    await f.next(); // its echo, or a close
    assert.match(await wire(t, `${server.url}/engine.io/?EIO=4&transport=websocket`).next(), /^0/);
  });

  for (const [what, headers, status] of [
    ["without a key", { "Sec-WebSocket-Version": "13" }, [400]],
    ["with a key that is too short", { "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "c2hvcnQ=" }, [400]],
    ["with another version", { "Sec-WebSocket-Version": "12", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==" }, [400, 426]],
    ["with an extension named like a property of every object", {
      "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Extensions": "constructor",
    }, [101]],
  ]) {
    test(`a handshake ${what} is answered ${status.join(" or ")}`, async () => {
      const answer = new Promise((resolve, reject) => {
        const request = http.request(`${server.url}/engine.io/?EIO=4&transport=websocket`, { headers: { Connection: "Upgrade", Upgrade: "websocket", ...headers } });
        request.on("upgrade", (response, socket) => resolve(socket.destroy() && response.statusCode));
        request.on("response", (response) => resolve(response.resume().statusCode));
        request.on("error", reject);
        request.end();
      });
      const got = await within(answer, "an answer");
      assert.ok(status.includes(got), `answered ${got}`);
    });
  }
});
