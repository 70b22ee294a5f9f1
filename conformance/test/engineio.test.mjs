// The rules of the Engine.IO protocol, version 4, request by request and frame by frame. The server sends every
// message back.
import assert from "node:assert/strict";
import http from "node:http";
import { describe, test } from "node:test";
import { event, plain, reference, serve, within } from "../harness.mjs";
import { Polling, polling, request, wire } from "../raw.mjs";

const path = "/engine.io/";
const server = serve();
const hasty = serve("--ping-interval", "300", "--ping-timeout", "200"); // only for heartbeats: a busy machine may miss one

const open = (t, query = "EIO=4&transport=websocket", on = server) => wire(t, `${on.url}${path}?${query}`);
const refusal = (code) => ({ status: 400, body: { code, message: messages[code] } });
const messages = ["Transport unknown", "Session ID unknown", "Bad handshake method", "Bad request", "Forbidden", "Unsupported protocol version"];

/** asks makes a request and resolves with {status, body} as refusals are written. */
async function asks(query, options) {
  const { status, body } = await request(`${server.url}${path}${query}`, options);
  return { status, body: JSON.parse(body) };
}

/** isOver asserts that the session is unknown to the server. */
async function isOver(session) {
  const { status, text } = await session.poll();
  assert.deepEqual({ status, body: JSON.parse(text) }, refusal(1));
}

describe("handshake over polling", () => {
  test("announces the session and the limits, in this order", async () => {
    const { status, headers, body } = await request(`${server.url}${path}?EIO=4&transport=polling`);
    assert.equal(status, 200);
    assert.equal(headers["content-type"], "text/plain; charset=UTF-8");
    assert.equal(headers["cache-control"], "no-store");
    assert.equal(headers["set-cookie"], undefined);
    assert.equal(headers["access-control-allow-origin"], undefined);
    assert.match(
      body.toString(),
      /^0\{"sid":"[\w-]{20}","upgrades":\["websocket"\],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000\}$/,
    );
  });

  test("gives every session an id of its own", async () => {
    const sids = await Promise.all(Array.from({ length: 20 }, async () => (await polling(server, path)).sid));
    assert.equal(new Set(sids).size, 20);
  });

  for (const [what, query, options, code] of [
    ["without a version", "?transport=polling", {}, 5],
    ["with a version that does not exist", "?EIO=abc&transport=polling", {}, 5],
    ["with the version before, which is not allowed here", "?EIO=3&transport=polling", {}, 5],
    ["without a transport", "?EIO=4", {}, 0],
    ["with an unknown transport", "?EIO=4&transport=abc", {}, 0],
    ["with a transport named like a property of every object", "?EIO=4&transport=constructor", {}, 0],
    ["by POST", "?EIO=4&transport=polling", { method: "POST" }, 2],
    ["by PUT", "?EIO=4&transport=polling", { method: "PUT" }, 2],
    ["by DELETE", "?EIO=4&transport=polling", { method: "DELETE" }, 2],
    ["for WebSocket without an upgrade", "?EIO=4&transport=websocket", {}, 3],
    ["with an unknown session", "?EIO=4&transport=polling&sid=abcdefghijabcdefghij", {}, 1],
    ["with a session named like a property of every object", "?EIO=4&transport=polling&sid=__proto__", {}, 1],
    ["with a session of no possible form", "?EIO=4&transport=polling&sid=%00%2F..%FF", {}, 1],
    ["with a session of ten thousand letters", `?EIO=4&transport=polling&sid=${"x".repeat(10_000)}`, {}, 1],
  ]) {
    test(`is refused ${what}`, async () => {
      assert.deepEqual(await asks(query, options), refusal(code));
    });
  }
});

describe("handshake over WebSocket", () => {
  test("announces the session, and no upgrade", async (t) => {
    assert.match(
      await open(t).next(),
      /^0\{"sid":"[\w-]{20}","upgrades":\[\],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000\}$/,
    );
  });

  for (const query of ["transport=websocket", "EIO=abc&transport=websocket", "EIO=3&transport=websocket", "EIO=4", "EIO=4&transport=abc",
    "EIO=4&transport=websocket&sid=abcdefghijabcdefghij", "EIO=4&transport=polling"]) {
    test(`is refused with ${query}`, async (t) => {
      const w = open(t, query);
      const [answer] = await Promise.all([w.opened.then(() => "opened", (err) => err.message), w.closed()]);
      // Either way is in use: an answer that is not 101, or a WebSocket that is closed at once.
      assert.match(answer, /^opened$|response: 400$/);
    });
  }

  test("does not compress unless the server was told to", async (t) => {
    const w = open(t);
    await w.opened;
    assert.equal(w.ws.extensions, "");
  });
});

describe("messages over polling", () => {
  for (const [what, body] of [
    ["one text", "4hello"],
    ["three texts", "4test1\x1e4test2\x1e4test3"],
    ["text and binary", "4hello\x1ebAQIDBA==\x1e4end"],
    ["an empty text and an empty binary", "4\x1eb"],
    ["text of every plane", "4é€😀𝒳\x1e4\u2028"],
    ["binary of every length of padding", "bAQ==\x1ebAQI=\x1ebAQID"],
  ]) {
    test(`${what} comes back`, async () => {
      const session = await polling(server, path);
      const pushed = await session.push(body);
      assert.deepEqual([pushed.status, pushed.text], [200, "ok"]);
      assert.equal(pushed.headers.get("content-type"), "text/html");
      assert.deepEqual(await session.packets(body.split("\x1e").length), body.split("\x1e"));
    });
  }

  test("a message ends the poll that waits for it", async () => {
    const session = await polling(server, path);
    const waiting = session.poll();
    await session.push("4hello");
    const { status, text, headers } = await waiting;
    assert.deepEqual([status, text], [200, "4hello"]);
    assert.equal(headers.get("content-type"), "text/plain; charset=UTF-8");
    assert.equal(headers.get("cache-control"), "no-store");
  });

  test("a thousand messages in one payload keep their order", async () => {
    const session = await polling(server, path);
    const all = Array.from({ length: 1000 }, (_, i) => `4${i}`);
    await session.push(all.join("\x1e"));
    assert.deepEqual(await session.packets(1000), all);
  });

  test("a body that comes byte by byte is put together", async () => {
    const session = await polling(server, path);
    const body = Buffer.from("4é€😀\x1e4end");
    const answer = new Promise((resolve, reject) => {
      const r = http.request(session.url, { method: "POST" }, (response) => resolve(response.statusCode));
      r.on("error", reject);
      r.setNoDelay(true);
      for (let i = 0; i < body.length; i++) r.write(body.subarray(i, i + 1));
      r.end();
    });
    assert.equal(await within(answer, "the answer to the POST"), 200);
    assert.deepEqual(await session.packets(2), ["4é€😀", "4end"]);
  });

  for (const body of ["abc", "7", "x", "\x1e", "4a\x1e", ""]) {
    test(`a payload of ${JSON.stringify(body)} ends the session`, async () => {
      const session = await polling(server, path);
      const { status } = await session.push(body);
      assert.ok(status === 200 || status === 400, `answered ${status}`);
      await isOver(session);
    });
  }

  test("two polls at a time end the session", async () => {
    const session = await polling(server, path);
    const answers = await Promise.all([session.poll(), session.poll()]);
    answers.sort((a, b) => a.status - b.status); // fetch may send either first
    assert.deepEqual([answers[0].status, answers[0].text], [200, "1"]);
    assert.ok([400, 500].includes(answers[1].status), `answered ${answers[1].status}`);
    await isOver(session);
  });

  test("two POSTs at a time end the session", async () => {
    const session = await polling(server, path);
    const unfinished = http.request(session.url, { method: "POST" });
    unfinished.on("error", () => {});
    await new Promise((resolve) => unfinished.write("4hal", resolve));
    // The first request is on its way, not yet at the server: ask until it is there.
    let status;
    for (let i = 0; i < 100 && status !== 400; i++) ({ status } = await session.push("4x"));
    assert.equal(status, 400);
    unfinished.destroy();
    await isOver(session);
  });

  test("a poll that the client gives up ends the session", async () => {
    const session = await polling(server, path);
    const waiting = http.get(session.url, { agent: false });
    waiting.on("error", () => {});
    await event(waiting, "finish");
    await session.push("6"); // the server has answered a request that was sent after the poll
    waiting.destroy();
    // Either the server has noticed already, or this is the second of two polls: neither is right.
    assert.equal((await session.poll()).status, 400);
    await isOver(session);
  });

  test("a POST of bytes is answered, and ends the session", async () => {
    const session = await polling(server, path);
    const { status } = await session.push("4hello", { headers: { "Content-Type": "application/octet-stream" } });
    assert.equal(status, 400);
    await isOver(session);
  });

  for (const method of ["PUT", "DELETE", "PATCH"]) {
    test(`${method} on a session is answered with an error`, async () => {
      const session = await polling(server, path);
      const { status } = await session.poll({ method });
      assert.ok(status >= 400, `answered ${status}`);
    });
  }

  test("a request of the other protocol's version is refused", async () => {
    const session = await polling(server, path);
    assert.deepEqual(await asks(`?EIO=3&transport=polling&sid=${session.sid}`), refusal(3));
    await session.push("4still here");
    assert.deepEqual(await session.packets(1), ["4still here"]);
  });
});

describe("polling by scripts (JSONP)", () => {
  test("answers call the page's function, and forms carry what is sent", async () => {
    const unwrap = (text) => JSON.parse(/^___eio\[7\]\((".*")\);$/s.exec(text)[1]);
    const session = new Polling(server, path);
    session.url += "&j=7";
    const opened = unwrap((await session.poll()).text);
    assert.match(opened, /^0\{"sid"/);
    session.url += `&sid=${JSON.parse(opened.slice(1)).sid}`;
    const body = new URLSearchParams({ d: "4é😀 \u2028 </script>\x1e4end" });
    assert.equal((await session.push(body)).status, 200);
    const { text } = await session.poll();
    assert.doesNotMatch(text, /\u2028/, "a line separator ends a string of old JavaScript");
    assert.equal(unwrap(text), "4é😀 \u2028 </script>\x1e4end");
  });
});

describe("messages over WebSocket", () => {
  test("text and binary come back, each as what it was", async (t) => {
    const w = open(t);
    await w.next();
    w.send("4hello", Buffer.from([1, 2, 3, 4]), "4é😀", Buffer.alloc(0), "4");
    const got = [];
    for (let i = 0; i < 5; i++) got.push(await w.next());
    assert.deepEqual(got, ["4hello", { bytes: "01020304" }, "4é😀", { bytes: "" }, "4"]);
  });

  for (const message of ["abc", "7", "2", "2probe"]) {
    test(`a packet ${JSON.stringify(message)} ends the session`, async (t) => {
      const w = open(t);
      await w.next();
      w.send(message);
      await w.closed();
    });
  }

  test("an empty frame ends the session or is ignored, and the server lives on", async (t) => {
    const w = open(t);
    await w.next();
    w.send("");
    w.ws.close();
    await w.closed();
    assert.match(await open(t).next(), /^0/);
  });

  test("pongs that nobody asked for and noops do no harm", async (t) => {
    const w = open(t);
    await w.next();
    for (let i = 0; i < 1000; i++) w.send("3", "6");
    w.send("4end");
    assert.equal(await w.next(), "4end");
  });
});

describe("limits", () => {
  test("a POST of exactly the limit is taken", async () => {
    const session = await polling(server, path);
    const body = "4" + "x".repeat(999_999);
    assert.equal((await session.push(body)).status, 200);
    assert.deepEqual(plain(await session.packets(1)), plain([body]));
  });

  test("a POST of one byte more is refused, and the session goes on", async () => {
    const session = await polling(server, path);
    const { status, text } = await session.push("4" + "x".repeat(1_000_000));
    assert.deepEqual([status, text], [413, ""]);
    await session.push("4still here");
    assert.deepEqual(await session.packets(1), ["4still here"]);
  });

  test("a POST of no declared length is cut at the limit", async () => {
    const session = await polling(server, path);
    const status = new Promise((resolve) => {
      const r = http.request(session.url, { method: "POST", agent: false }, (response) => resolve(response.resume().statusCode));
      r.on("error", () => resolve("reset"));
      for (let i = 0; i < 20; i++) r.write("4" + "x".repeat(99_999));
      r.end();
    });
    assert.notEqual(await within(status, "the answer to the POST"), 200);
    assert.match(JSON.stringify(await new Polling(server, path).open()), /sid/);
  });

  test("a WebSocket message of exactly the limit is taken", async (t) => {
    const w = open(t);
    await w.next();
    const message = "4" + "x".repeat(999_999);
    w.send(message);
    assert.deepEqual(plain(await w.next()), plain(message));
  });

  test("a WebSocket message of one byte more closes with 1009", async (t) => {
    const w = open(t);
    await w.next();
    w.send("4" + "x".repeat(1_000_000));
    assert.equal((await w.closed()).code, 1009);
  });
});

describe("heartbeat", () => {
  test("the server asks over polling, and goes on asking who answers", async () => {
    const session = new Polling(hasty, path);
    const handshake = await session.open();
    assert.deepEqual([handshake.pingInterval, handshake.pingTimeout], [300, 200]);
    for (let i = 0; i < 3; i++) {
      const { status, text } = await session.poll();
      assert.deepEqual([status, text], [200, "2"]);
      assert.equal((await session.push("3")).status, 200);
    }
  });

  test("the server asks over WebSocket, and goes on asking who answers", async (t) => {
    const w = open(t, undefined, hasty);
    await w.next();
    for (let i = 0; i < 3; i++) {
      assert.equal(await w.next(), "2");
      w.send("3");
    }
  });

  test("who does not answer over polling is given up", async () => {
    const session = await polling(hasty, path);
    assert.equal((await session.poll()).text, "2");
    for (let last; (last = await session.poll()).status === 200; ) assert.match(last.text, /^[16]?$/);
    await isOver(session);
  });

  test("who does not poll at all is given up", async (t) => {
    const session = await polling(hasty, path);
    // A WebSocket of the same age that answers nothing is closed no earlier than the session is.
    const w = open(t, undefined, hasty);
    await w.closed();
    await isOver(session);
  });

  test("who does not answer over WebSocket is closed", async (t) => {
    const w = open(t, undefined, hasty);
    await w.next();
    assert.equal(await w.next(), "2");
    await w.closed();
  });
});

describe("close", () => {
  test("by the client over polling: the poll that waits is answered", async () => {
    const session = await polling(server, path);
    const [{ status, text }] = await Promise.all([session.poll(), session.push("1")]);
    // The POST may overtake the poll, which then finds no session.
    if (status === 200) assert.equal(text, "6");
    await isOver(session);
  });

  test("by the client over WebSocket, with a close frame", async (t) => {
    const w = open(t);
    await w.next();
    w.ws.close(1000);
    assert.equal((await w.closed()).code, 1000);
  });
});

describe("upgrade", () => {
  /** probe opens a WebSocket for the session and has it probed. */
  async function probe(t, session) {
    const w = wire(t, session.webSocket);
    await w.opened;
    w.send("2probe");
    assert.equal(await w.next(), "3probe");
    return w;
  }

  /** upgraded is a session that has gone over to WebSocket, which the echo of a message proves. */
  async function upgraded(t) {
    const session = await polling(server, path);
    const w = await probe(t, session);
    w.send("5", "4hello");
    assert.equal(await w.next(), "4hello");
    return { session, w };
  }

  test("a poll during the probing is ended by a noop, and the session goes on over WebSocket", async (t) => {
    const session = await polling(server, path);
    const w = await probe(t, session);
    const { status, text } = await session.poll();
    assert.deepEqual([status, text], [200, "6"]);
    w.send("5", "4hello", Buffer.from([5]));
    assert.equal(await w.next(), "4hello");
    assert.deepEqual(await w.next(), { bytes: "05" });
  });

  test("a poll that waits when the probing begins is ended by a noop", async (t) => {
    const session = await polling(server, path);
    const waiting = session.poll();
    const w = await probe(t, session);
    const { status, text } = await waiting;
    assert.deepEqual([status, text], [200, "6"]);
    w.send("5", "4hello");
    assert.equal(await w.next(), "4hello");
  });

  test("messages that wait during the probing are sent afterwards, in order", async (t) => {
    const session = await polling(server, path);
    const w = await probe(t, session);
    await session.push("4one\x1e4two");
    w.send("5", "4three");
    assert.deepEqual([await w.next(), await w.next(), await w.next()], ["4one", "4two", "4three"]);
  });

  test("polling is over when the session has been upgraded", async (t) => {
    const { session, w } = await upgraded(t);
    assert.deepEqual(await asks(`?EIO=4&transport=polling&sid=${session.sid}`), refusal(3));
    assert.deepEqual(await asks(`?EIO=4&transport=polling&sid=${session.sid}`, { method: "POST", body: "4x" }), refusal(3));
    w.send("4still here");
    assert.equal(await w.next(), "4still here");
  });

  test("a second WebSocket for an upgraded session is accepted and closed", async (t) => {
    const { session, w } = await upgraded(t);
    const second = wire(t, session.webSocket);
    await second.opened; // clients have no ear for a refusal here
    await second.closed();
    w.send("4still here");
    assert.equal(await w.next(), "4still here");
  });

  test("a second WebSocket during the probing is closed, and the first goes on", async (t) => {
    const session = await polling(server, path);
    const first = await probe(t, session);
    const second = wire(t, session.webSocket);
    await second.closed();
    first.send("5", "4hello");
    assert.equal(await first.next(), "4hello");
  });

  for (const message of ["2wrong", "4hello", "abc", "3probe"]) {
    test(`a probe of ${JSON.stringify(message)} is closed, and polling goes on`, async (t) => {
      const session = await polling(server, path);
      const w = wire(t, session.webSocket);
      await w.opened;
      w.send(message);
      await w.closed();
      await session.push("4still here");
      assert.deepEqual((await session.packets(1)).filter((p) => p !== "6"), ["4still here"]);
    });
  }

  test("a probe that is given up leaves the session to polling", async (t) => {
    const session = await polling(server, path);
    const w = await probe(t, session);
    w.ws.terminate();
    await w.closed();
    await session.push("4still here");
    let packets = [];
    while (!packets.includes("4still here")) packets = packets.concat(await session.packets(1));
    const again = await probe(t, session);
    again.send("5", "4at last");
    assert.equal(await again.next(), "4at last");
  });

  test("a session that began over WebSocket cannot be polled", async (t) => {
    const w = open(t);
    const { sid } = JSON.parse((await w.next()).slice(1));
    assert.deepEqual(await asks(`?EIO=4&transport=polling&sid=${sid}`), refusal(3));
    w.send("4still here");
    assert.equal(await w.next(), "4still here");
  });
});

if (!reference) {
  describe("close, where Node's server waits for the heartbeat to notice", () => {
  test("by the client over WebSocket, with a packet", async (t) => {
    const w = open(t);
    await w.next();
    w.send("1");
    await w.closed();
  });
  });

  // Node's server takes connections from any page. Ours does not.
  describe("pages of other origins", () => {
    for (const origin of ["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1:1"]) {
      test(`polling from ${origin} is forbidden`, async () => {
        assert.deepEqual(await asks("?EIO=4&transport=polling", { headers: { Origin: origin } }), {
          status: 403,
          body: { code: 4, message: "Forbidden" },
        });
      });

      test(`a WebSocket from ${origin} is refused`, async (t) => {
        const w = wire(t, `${server.url}${path}?EIO=4&transport=websocket`, { origin });
        await assert.rejects(w.opened, /response: 40[03]$/);
      });
    }

    test("a page of the server's own origin is welcome", async (t) => {
      const { status } = await request(`${server.url}${path}?EIO=4&transport=polling`, { headers: { Origin: server.url } });
      assert.equal(status, 200);
      assert.match(await wire(t, `${server.url}${path}?EIO=4&transport=websocket`, { origin: server.url }).next(), /^0/);
    });
  });
}
