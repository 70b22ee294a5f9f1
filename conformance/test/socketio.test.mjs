// The rules of the Socket.IO protocol, packet by packet, over a raw connection: version 5 (clients 3 and 4), and
// version 4 as far as older clients can tell.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { reference, serve } from "../harness.mjs";
import { polling, wire } from "../raw.mjs";

const server = serve();
const old = serve("--eio3");
const hasty = serve("--ping-interval", "300", "--ping-timeout", "2000", "--connect-timeout", "300");

/** bare opens an Engine.IO connection. */
async function bare(t, on = server, protocol = 4) {
  const w = wire(t, `${on.url}/socket.io/?EIO=${protocol}&transport=websocket`);
  w.sid = JSON.parse((await w.next()).slice(1)).sid;
  return w;
}

/** connected opens a connection to the main namespace, greetings already read. */
async function connected(t, on = server) {
  const w = await bare(t, on);
  w.send("40");
  assert.match(await w.next(), /^40\{/);
  assert.equal(await w.next(), '42["auth",{}]');
  return w;
}

/** lives asserts that the connection to the main namespace still does its work, and nothing else is waiting on it. */
async function lives(w) {
  w.send('42["message","still here"]');
  assert.equal(await w.next(), '42["message-back","still here"]');
}

const binary = (...bytes) => ({ bytes: Buffer.from(bytes).toString("hex") });

describe("connect", () => {
  for (const [what, packet, reply, auth] of [
    ["to the main namespace", "40", "40", '42["auth",{}]'],
    ["with a payload", '40{"token":"123"}', "40", '42["auth",{"token":"123"}]'],
    ["to the main namespace, written out", "40/,", "40", '42["auth",{}]'],
    ["to another namespace", "40/custom,", "40/custom,", '42/custom,["auth",{}]'],
    ["to another namespace, without the comma", "40/custom", "40/custom,", '42/custom,["auth",{}]'],
    ["to another namespace with a payload", '40/custom,{"token":"é😀"}', "40/custom,", '42/custom,["auth",{"token":"é😀"}]'],
    ["to a namespace that is made when asked for", "40/dynamic-7,", "40/dynamic-7,", '42/dynamic-7,["auth",{}]'],
  ]) {
    test(what, async (t) => {
      const w = await bare(t);
      w.send(packet);
      const answer = await w.next();
      assert.equal(answer.slice(0, reply.length), reply);
      const handshake = JSON.parse(answer.slice(reply.length));
      assert.deepEqual(Object.keys(handshake), ["sid"]);
      assert.notEqual(handshake.sid, w.sid, "the socket's id is public, the session's is not");
      assert.equal(await w.next(), auth);
    });
  }

  for (const [what, packet, answer] of [
    ["a namespace that does not exist", "40/random", '44/random,{"message":"Invalid namespace"}'],
    ["a dynamic namespace whose name does not match", "40/dynamic-1234,", '44/dynamic-1234,{"message":"Invalid namespace"}'],
  ]) {
    test(`is refused by ${what}, and the connection stays`, async (t) => {
      const w = await bare(t);
      w.send(packet);
      assert.equal(await w.next(), answer);
      w.send("40/custom,");
      assert.match(await w.next(), /^40\/custom,/);
    });
  }

  test("a guard's no has its data", async (t) => {
    const w = await bare(t);
    w.send('40/guarded,{"token":"x"}');
    const [, packet, payload] = /^(44\/guarded,)(.*)$/.exec(await w.next());
    assert.equal(packet, "44/guarded,");
    assert.deepEqual(JSON.parse(payload), { message: "who are you?", data: { code: 401, token: "x" } });
  });

  test("a thousand unknown namespaces are refused one by one, and leave nothing behind", async (t) => {
    const w = await bare(t);
    for (let i = 0; i < 1000; i++) {
      w.send(`40/no-${i},`);
      assert.equal(await w.next(), `44/no-${i},{"message":"Invalid namespace"}`);
    }
    w.send("40");
    assert.match(await w.next(), /^40\{/);
  });

  test("who does not connect in time is closed", async (t) => {
    const w = await bare(t, hasty);
    await w.closed();
  });

  for (const packet of ["4abc", '42["message","too early"]', '40"text"', "40[1]", "41", "43[]", '44{"message":"x"}', '40{"a":}', "40{} x"]) {
    test(`a first packet ${packet} ends the connection`, async (t) => {
      const w = await bare(t);
      w.send(packet);
      if (packet === "41" || packet === "43[]") {
        // Not everyone minds these. What matters is that nobody got in.
        w.send('42["message","in?"]');
      }
      await w.closed();
    });
  }
});

describe("disconnect", () => {
  test("from the main namespace keeps the connection and its heartbeat", async (t) => {
    const w = await connected(t, hasty);
    w.send("41");
    for (let i = 0; i < 2; i++) {
      assert.equal(await w.next(), "2");
      w.send("3");
    }
  });

  test("from another namespace keeps the main one", async (t) => {
    const w = await connected(t);
    w.send("40/custom");
    assert.match(await w.next(), /^40\/custom,\{/);
    assert.equal(await w.next(), '42/custom,["auth",{}]');
    w.send("41/custom,");
    await lives(w);
  });

  test("and connect again", async (t) => {
    const w = await connected(t);
    w.send("41", "40/unknown"); // whose answer says that the server has seen the disconnect
    assert.match(await w.next(), /^44/);
    w.send("40");
    assert.match(await w.next(), /^40\{/);
    assert.equal(await w.next(), '42["auth",{}]');
    await lives(w);
  });

  test("by the server is announced, and with close ends the connection after that", async (t) => {
    const w = await connected(t);
    w.send('42["leave-me",true]');
    assert.equal(await w.next(), "41");
    await w.closed();
  });

  test("by the server over polling is announced before the end of the session, in a poll of its own", async () => {
    // A client that finds both in one payload hears the end of the session first, takes it for an accident, and comes back.
    const session = await polling(server);
    await session.push("40");
    await session.packets(2);
    await session.push('42["leave-me",true]');
    assert.deepEqual((await session.poll()).text, "41");
    const { status, text } = await session.poll();
    if (status === 200) assert.match(text, /^(6\x1e)?1$/);
    else assert.equal(status, 400);
  });
});

describe("events and acks", () => {
  for (const [what, sent, back] of [
    ["values", '42["message",1,"2",{"3":[true]}]', '42["message-back",1,"2",{"3":[true]}]'],
    ["no values", '42["message"]', '42["message-back"]'],
    ["text of every plane", '42["message","é€😀𝒳"]', '42["message-back","é€😀𝒳"]'],
    ["an ack", '42456["message-with-ack",1,"2",{"3":[false]}]', '43456[1,"2",{"3":[false]}]'],
    ["ack number 0", '420["message-with-ack"]', "430[]"],
    ["a namespace written out", '42/,["message",1]', '42["message-back",1]'],
  ]) {
    test(what, async (t) => {
      const w = await connected(t);
      w.send(sent);
      assert.equal(await w.next(), back);
    });
  }

  test("lone surrogates survive as the escapes they came as", async (t) => {
    const w = await connected(t);
    w.send('42["message","\\ud800","\\udc00x"]');
    assert.deepEqual(JSON.parse((await w.next()).slice(2)), ["message-back", "\ud800", "\udc00x"]);
  });

  for (const [what, sent, back] of [
    [
      "binary",
      ['452-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', Buffer.from([1, 2, 3]), Buffer.from([4, 5, 6])],
      ['452-["message-back",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', binary(1, 2, 3), binary(4, 5, 6)],
    ],
    [
      "binary with an ack",
      ['452-789["message-with-ack",{"_placeholder":true,"num":0},{"a":[{"_placeholder":true,"num":1}]}]', Buffer.from([1]), Buffer.alloc(0)],
      ['462-789[{"_placeholder":true,"num":0},{"a":[{"_placeholder":true,"num":1}]}]', binary(1), binary()],
    ],
    [
      "binary in the other order",
      ['452-["message",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]', Buffer.from([1]), Buffer.from([2])],
      ['452-["message-back",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', binary(2), binary(1)],
    ],
    [
      "ten attachments, which is the most",
      [`4510-["message",${list(10)}]`, ...Array.from({ length: 10 }, (_, i) => Buffer.from([i]))],
      [`4510-["message-back",${list(10)}]`, ...Array.from({ length: 10 }, (_, i) => binary(i))],
    ],
  ]) {
    test(what, async (t) => {
      const w = await connected(t);
      w.send(...sent);
      for (const want of back) assert.deepEqual(await w.next(), want);
      await lives(w);
    });
  }

  test("binary over polling, its parts in requests of their own", async () => {
    const session = await polling(server);
    await session.push("40");
    await session.packets(2);
    await session.push('451-["message",{"_placeholder":true,"num":0}]');
    await session.push("bAQID\x1e42[\"message\",\"next\"]");
    assert.deepEqual(await session.packets(3), ['451-["message-back",{"_placeholder":true,"num":0}]', "bAQID", '42["message-back","next"]']);
  });

  test("volatile messages are dropped when nobody polls, others wait", async (t) => {
    const session = await polling(server);
    await session.push("40");
    const [reply] = await session.packets(2);
    const to = { rooms: [JSON.parse(reply.slice(2)).sid] };
    const other = await connected(t); // who publishes, and knows when that is done
    for (const volatile of [true, false]) {
      other.send(`421${JSON.stringify(["publish", { ...to, volatile }, "said", volatile])}`);
      assert.match(await other.next(), /^431\[/);
    }
    assert.deepEqual(await session.packets(1), ['42["said",false]']);
  });

  test("volatile messages arrive where the way is free", async (t) => {
    const w = await connected(t);
    w.send('42["volatile"]');
    assert.deepEqual([await w.next(), await w.next()], ['42["maybe","volatile"]', '42["surely","not volatile"]']);
  });

  for (const packet of ['439999["nobody asked"]', '42["no such event",1]', '42[5,"a number is a name"]', '42["error","x"]', '42["__proto__"]',
    '42[""]', '427["no such event"]', `42["message-not",${"[".repeat(200)}${"]".repeat(200)}]`]) {
    test(`${packet.slice(0, 40)} does no harm`, async (t) => {
      const w = await connected(t);
      w.send(packet);
      await lives(w);
    });
  }
});

function list(n) {
  return Array.from({ length: n }, (_, num) => `{"_placeholder":true,"num":${num}}`).join(",");
}

// Two that bring Node's server down when it sends them back: it looks for binary by recursion.
const beyondNode = [
  ["a hundred thousand brackets", `42["message",${"[".repeat(100_000)}${"]".repeat(100_000)}]`],
  ["a hundred thousand braces", `42["message",${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}]`],
];

describe("packets that end the connection", () => {
  const one = '{"_placeholder":true,"num":0}';
  for (const [what, ...packets] of [
    ["an unknown type", "4abc"],
    ["type 7", "47"],
    ["type 9", "49[]"],
    ["no type", "4"],
    ["an event whose payload is an object", "42{}"],
    ["an event whose payload is empty", "42[]"],
    ["an event whose payload is cut off", '42["message"'],
    ["an event with something behind it", '42["message"]x'],
    ["an event named by an object", "42[{}]"],
    ["an event named by null", "42[null]"],
    ["an ack id that is no number", '42abc["message-with-ack",1]'],
    ["a negative ack id", '42-1["message-with-ack",1]'],
    ["an event named connect", '42["connect"]'],
    ["an event named connect_error", '42["connect_error",{}]'],
    ["an event named disconnect", '42["disconnect","x"]'],
    ["an event named disconnecting", '42["disconnecting"]'],
    ["an event named newListener", '42["newListener"]'],
    ["an event named removeListener", '42["removeListener"]'],
    ["an ack whose payload is an object", "430{}"],
    ["a disconnect with a payload", '41{"a":1}'],
    ["a second connect", "40"],
    ["an event for a namespace that was not joined", '42/custom,["message"]'],
    ["an event for a namespace that does not exist", '42/nowhere,["message"]'],
    ["a connect error from a client", '44{"message":"x"}'],
    ["binary that nobody announced", Buffer.from([1])],
    ["no number of attachments", `45-["message",${one}]`],
    ["a number of attachments that is none", `45x-["message",${one}]`],
    ["no attachments", '450-["message"]'],
    ["too many attachments", `4511-["message",${list(11)}]`],
    ["very many attachments", '4599999999-["message"]'],
    ["a number of attachments of a hundred digits", `45${"9".repeat(100)}-["message"]`],
    ["text where an attachment is due", `451-["message",${one}]`, '42["message"]'],
    ["a placeholder below zero", '451-["message",{"_placeholder":true,"num":-1}]', Buffer.from([1])],
    ["a placeholder beyond the attachments", '451-["message",{"_placeholder":true,"num":1}]', Buffer.from([1])],
    ["a placeholder named like a method", '451-["message",{"_placeholder":true,"num":"push"}]', Buffer.from([1])],
    ["a placeholder without a number", '451-["message",{"_placeholder":true}]', Buffer.from([1])],
  ]) {
    test(what, async (t) => {
      const w = await connected(t);
      w.send(...packets);
      await w.closed();
    });
  }

  test("over polling too", async () => {
    const session = await polling(server);
    await session.push("40");
    await session.packets(2);
    await session.push("42{}");
    const { status, text } = await session.poll();
    if (status === 200) {
      assert.match(text, /^(6\x1e)?1$/); // a close that was kept for the next poll
      assert.equal((await session.poll()).status, 400);
    } else {
      assert.equal(status, 400);
    }
  });

  // What a server may take or not, as long as it stays up.
  for (const [what, ...packets] of [
    ["ten thousand namespaces asked for at once", ...Array.from({ length: 10_000 }, (_, i) => `40/no-${i},`)],
    ["an event without a payload", "42"],
    ["a number of attachments in another notation", '451e1-["message"]'],
    ["a number beyond all numbers", '42["message",1e400]'],
    ["an ack id of four hundred digits", `42${"9".repeat(400)}["message-with-ack"]`],
    ["a namespace of sixty thousand letters", `40/${"x".repeat(60_000)},`],
    ["an event name of half a megabyte", `42["${"x".repeat(500_000)}"]`],
    ["a key that names the prototype", '42["message",{"__proto__":{"polluted":true},"constructor":{"prototype":{}}}]'],
    ["a NUL", '42["message","\\u0000"]\u0000'],
    ...(reference ? [] : beyondNode),
  ]) {
    test(`${what}: the connection may end, the server does not`, async (t) => {
      const w = await connected(t);
      w.send(...packets);
      w.ws.close();
      await w.closed();
      await lives(await connected(t));
    });
  }
});

describe("sockets of one room", () => {
  test("a broadcast is the same bytes for everyone, binary too", async (t) => {
    const [a, b] = [await connected(t), await connected(t)];
    for (const w of [a, b]) {
      w.send('421["join","frames"]');
      assert.equal(await w.next(), '431[["frames"]]');
    }
    a.send('452-2["publish",{"rooms":["frames"]},"news",{"_placeholder":true,"num":0},{"x":{"_placeholder":true,"num":1}}]', Buffer.from([1]), Buffer.from([2]));
    for (const w of [b, a]) {
      assert.equal(await w.next(), '452-["news",{"_placeholder":true,"num":0},{"x":{"_placeholder":true,"num":1}}]');
      assert.deepEqual([await w.next(), await w.next()], [binary(1), binary(2)]);
    }
    assert.equal(await a.next(), "432[null]");
  });
});

describe("protocol 4, of the clients before 3", () => {
  test("the main namespace is connected unasked", async (t) => {
    const w = await bare(t, old, 3);
    assert.equal(await w.next(), "40");
    assert.equal(await w.next(), '42["auth",{}]');
    await lives(w);
  });

  test("another namespace is connected without a payload, and may carry a query", async (t) => {
    const w = await bare(t, old, 3);
    await w.next();
    await w.next();
    w.send("40/custom?token=x%20y,");
    assert.match(await w.next(), /^40\/custom,?$/);
    assert.equal(await w.next(), '42/custom,["auth",{"token":"x y"}]');
    w.send('42/custom,["message",1]');
    assert.equal(await w.next(), '42/custom,["message-back",1]');
  });

  test("a guard's data is the whole error", async (t) => {
    const w = await bare(t, old, 3);
    await w.next();
    await w.next();
    w.send("40/guarded?token=x");
    assert.equal(await w.next(), '44/guarded,{"code":401,"token":"x"}');
    w.send("40/unknown");
    assert.match(await w.next(), /^44\/unknown,.*Invalid namespace/);
    await lives(w);
  });

  test("binary frames begin with their type", async (t) => {
    const w = await bare(t, old, 3);
    await w.next();
    await w.next();
    w.send('451-["message",{"_placeholder":true,"num":0}]', Buffer.from([4, 1, 2]));
    assert.equal(await w.next(), '451-["message-back",{"_placeholder":true,"num":0}]');
    assert.deepEqual(await w.next(), binary(4, 1, 2));
  });

  test("is not spoken unless the server was told to", async (t) => {
    const w = wire(t, `${server.url}/socket.io/?EIO=3&transport=websocket`);
    await w.closed(); // refused, or opened and closed at once
  });
});

if (!reference) {
  describe("what Node's server does not promise", () => {
    test("a placeholder between two numbers ends the connection", async (t) => {
      const w = await connected(t);
      w.send('452-["message",{"_placeholder":true,"num":0.5}]', Buffer.from([1]), Buffer.from([2]));
      await w.closed();
    });

    test("a JSON client and a MessagePack client share a room", async (t) => {
      const { default: msgpack } = await import("socket.io-msgpack-parser");
      const { connect } = await import("../clients.mjs");
      const { ask, event } = await import("../harness.mjs");
      const json = await connect(t, { url: server.url });
      const packed = await connect(t, { url: server.url, parser: msgpack });
      for (const socket of [json, packed]) await ask(socket, "join", "mixed");
      for (const from of [json, packed]) {
        const heard = [event(json, "news"), event(packed, "news")];
        await ask(from, "publish", { rooms: ["mixed"] }, "news", "é😀", { b: Buffer.from([1, 2]) });
        for (const [text, { b }] of await Promise.all(heard)) assert.deepEqual([text, [...b]], ["é😀", [1, 2]]);
      }
    });
  });
}
