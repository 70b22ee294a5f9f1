// What every generation of the stock client can do, over every transport.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { clients, connect, dial, refused, ways } from "../clients.mjs";
import { ask, event, events, plain, serve } from "../harness.mjs";

const server = serve("--eio3");

const text = ["héllo wörld", "日本語", "😀 𝒳 👩‍👩‍👧", "a\u2028b\u2029c", '\\"\n\t\u0000', "<script>&amp;</script>", ""];
const values = [1, -2.5, 1e21, true, null, [], {}, { a: { b: [1, { "clé 🔑": "x" }] } }];
const bytes = (...list) => Buffer.from(list);

for (const client of clients) {
  for (const way of ways) {
    describe(`socket.io-client ${client.version} over ${way.name}`, () => suite(client, way));
  }
}

function suite(client, way) {
  const open = (t, options) => connect(t, { client, way, url: server.url, ...options });

  // Clients before 3 have no auth payload: the query of the namespace's address takes its place.
  const guarded = (token) =>
    client.protocol === 4
      ? { url: `${server.url}/guarded`, auth: { token } }
      : { url: `${server.url}/guarded?token=${encodeURIComponent(token)}` };

  // Over polling, clients of the first generation encode text as UTF-8 twice and expect the same: what they sent comes
  // back to them whole, but they cannot read text beyond ASCII that a server wrote. Node's server has the same limit.
  const beyondASCII = (text) => (client.version.startsWith("1.") && way.name !== "websocket" ? "ASCII" : text);

  test("connects and says by which transport", async (t) => {
    const socket = await open(t);
    assert.equal(socket.connected, true);
    assert.equal(socket.io.engine.transport.name, way.name === "polling" ? "polling" : "websocket");
    assert.equal(typeof socket.id, "string");
  });

  test("text of every plane comes back as it went", async (t) => {
    const socket = await open(t);
    const back = event(socket, "message-back");
    socket.emit("message", ...text);
    assert.deepEqual(await back, text);
  });

  test("JSON values come back as they went", async (t) => {
    const socket = await open(t);
    const back = event(socket, "message-back");
    socket.emit("message", ...values);
    assert.deepEqual(await back, values);
  });

  test("binary comes back, at the top and nested", async (t) => {
    const socket = await open(t);
    const sent = [bytes(0, 1, 254, 255), { deep: [{ x: bytes(7) }, "text", bytes()] }, bytes(...Array(1000).fill(3))];
    const back = event(socket, "message-back");
    socket.emit("message", ...sent);
    assert.deepEqual(plain(await back), plain(sent));
  });

  test("binary that the server made arrives", async (t) => {
    const socket = await open(t);
    const made = event(socket, "binary-made");
    socket.emit("make-binary", 300);
    const want = Buffer.from(Array.from({ length: 300 }, (_, i) => i % 256));
    assert.deepEqual(plain(await made), plain([want, { deep: [{ bytes: want }, "text"] }]));
  });

  test("the server acknowledges, with text, binary and nothing", async (t) => {
    const socket = await open(t);
    assert.deepEqual(await ask(socket, "message-with-ack", "é😀", 2), ["é😀", 2]);
    assert.deepEqual(plain(await ask(socket, "message-with-ack", { b: bytes(1, 2) })), plain([{ b: bytes(1, 2) }]));
    assert.deepEqual(await ask(socket, "message-with-ack"), []);
  });

  test("the client acknowledges, with text, binary and nothing", async (t) => {
    const socket = await open(t);
    const replies = [["é😀", 2], [{ b: bytes(1, 2) }], []];
    socket.on("question", (n, ack) => ack(...replies[n]));
    for (const [n, reply] of replies.entries()) {
      const [told] = await ask(socket, "ask", { ms: 8000 }, n);
      assert.deepEqual(plain(told), { timedOut: false, reply: plain(reply) });
    }
  });

  test("a client that does not acknowledge in time is noticed", async (t) => {
    const socket = await open(t);
    const [told] = await ask(socket, "ask", { ms: 50 }, "anyone there?");
    assert.deepEqual(told, { timedOut: true, reply: [] });
  });

  test("acks do not get mixed up", async (t) => {
    const socket = await open(t);
    const asked = Array.from({ length: 50 }, (_, i) => i);
    const told = await Promise.all(asked.map((i) => ask(socket, "message-with-ack", i)));
    assert.deepEqual(told.flat(), asked);
  });

  test("a thousand messages keep their order", async (t) => {
    const socket = await open(t);
    const ticks = events(socket, "tick", 1000);
    for (let i = 0; i < 1000; i++) socket.emit("count", i);
    assert.deepEqual((await ticks).flat(), Array.from({ length: 1000 }, (_, i) => i));
  });

  test("rooms: joined, left, spoken to, and left out", async (t) => {
    const [a, b, c] = await Promise.all([open(t), open(t), open(t)]);
    const heard = [a, b, c].map((socket) => listen(socket, "news"));
    assert.deepEqual(await ask(a, "join", "red"), [["red"]]);
    assert.deepEqual(await ask(a, "join", "blue"), [["blue", "red"]]);
    await ask(b, "join", "blue");

    await ask(c, "publish", { rooms: ["red"] }, "news", "to red");
    await ask(c, "publish", { rooms: ["red", "blue"] }, "news", "to both, once each");
    await ask(c, "publish", { rooms: ["blue"], except: ["red"] }, "news", "to blue but not red");
    await ask(a, "publish", { rooms: ["blue"], others: true }, "news", "to the others in blue");
    await ask(c, "publish", { rooms: [a.id] }, "news", "to the room that is a's own");
    assert.deepEqual(await ask(a, "leave", "red"), [["blue"]]);
    await ask(c, "publish", { rooms: ["red"] }, "news", "to nobody");
    await ask(c, "publish", { rooms: ["blue", "red", c.id] }, "news", "end", bytes(1));

    assert.deepEqual(plain(await heard[0]("end")), plain([["to red"], ["to both, once each"], ["to the room that is a's own"], ["end", bytes(1)]]));
    assert.deepEqual(plain(await heard[1]("end")), plain([["to both, once each"], ["to blue but not red"], ["to the others in blue"], ["end", bytes(1)]]));
    assert.deepEqual(plain(await heard[2]("end")), plain([["end", bytes(1)]]));
  });

  test("a broadcast reaches everyone, and with others all but the sender", async (t) => {
    const sockets = await Promise.all([open(t), open(t), open(t)]);
    const name = `all-${sockets[0].id}`;
    const heard = sockets.map((socket) => listen(socket, name));
    await ask(sockets[0], "publish", { others: true }, name, "others 😀");
    await ask(sockets[0], "publish", {}, name, "end", { b: bytes(9) });
    const end = plain(["end", { b: bytes(9) }]);
    assert.deepEqual(plain(await heard[0]("end")), [end]);
    assert.deepEqual(plain(await heard[1]("end")), [["others 😀"], end]);
    assert.deepEqual(plain(await heard[2]("end")), [["others 😀"], end]);
  });

  test("a room's answers are collected, and who is silent is noticed", async (t) => {
    const room = `jury-${client.version}-${way.name}`;
    const sockets = await Promise.all([open(t), open(t), open(t)]);
    await Promise.all(sockets.map((socket) => ask(socket, "join", room)));
    sockets.forEach((socket, i) => socket.on("question", (n, ack) => (n === "all" || i > 0) && ack(i)));

    const [all] = await ask(sockets[0], "ask-all", { ms: 8000, rooms: [room] }, "all");
    assert.deepEqual({ ...all, replies: all.replies.sort() }, { timedOut: false, replies: [0, 1, 2] });
    const [some] = await ask(sockets[0], "ask-all", { ms: 300, rooms: [room] }, "some");
    assert.deepEqual({ ...some, replies: some.replies.sort() }, { timedOut: true, replies: [1, 2] });
    const [none] = await ask(sockets[0], "ask-all", { ms: 8000, rooms: ["nobody's"] }, "all");
    assert.deepEqual(none, { timedOut: false, replies: [] });
  });

  test("a volatile message never overtakes, and what is not volatile always arrives", async (t) => {
    const socket = await open(t);
    const heard = [];
    socket.on("maybe", () => heard.push("maybe"));
    const surely = event(socket, "surely");
    socket.emit("volatile");
    assert.deepEqual(await surely, ["not volatile"]);
    assert.ok(heard.length <= 1);
  });

  test("a namespace has its own handlers and its own rooms", async (t) => {
    const main = await open(t);
    const custom = await open(t, { url: `${server.url}/custom` });
    const name = `only-custom-${custom.id}`;
    main.on(name, () => assert.fail("a message crossed namespaces"));
    const heard = event(custom, name);
    await ask(custom, "publish", {}, name, "😀");
    assert.deepEqual(await heard, ["😀"]);
    assert.deepEqual(plain(await ask(custom, "message-with-ack", bytes(4))), plain([bytes(4)]));
    assert.deepEqual(await ask(main, "message-with-ack", "still here"), ["still here"]);
  });

  test("several namespaces share one connection, and leaving one keeps the others", async (t) => {
    const main = await open(t);
    const custom = main.io.socket("/custom");
    t.after(() => custom.close());
    await event(custom, "connect");
    assert.deepEqual(await ask(custom, "message-with-ack", 1), [1]);
    const left = event(custom, "disconnect");
    custom.close();
    await left;
    assert.deepEqual(await ask(main, "message-with-ack", 2), [2]);
  });

  test("a namespace that is made when asked for", async (t) => {
    const [a, b, other] = await Promise.all(["/dynamic-1", "/dynamic-1", "/dynamic-2"].map((nsp) => open(t, { url: server.url + nsp })));
    const name = `dynamic-${a.id}`;
    other.on(name, () => assert.fail("a message crossed namespaces"));
    const heard = event(b, name);
    await ask(a, "publish", { others: true }, name, "x");
    assert.deepEqual(await heard, ["x"]);
    assert.deepEqual(await ask(other, "message-with-ack", "y"), ["y"]);
  });

  test("an unknown namespace is refused in words, and the connection is not harmed", async (t) => {
    const main = await open(t);
    const unknown = main.io.socket("/unknown");
    t.after(() => unknown.close());
    const told = refused(unknown, client.protocol);
    assert.equal((await told).message, "Invalid namespace");
    assert.deepEqual(await ask(main, "message-with-ack", "fine"), ["fine"]);
  });

  test("a guard refuses with a message and data", async (t) => {
    const token = beyondASCII("clé 🔑");
    const socket = dial(t, { client, way, ...guarded(token) });
    const told = await refused(socket, client.protocol);
    assert.deepEqual(told.data, { code: 401, token });
    if (client.protocol === 4) assert.equal(told.message, "who are you?");
    assert.equal(socket.connected, false);
  });

  test("a guard lets in who has the token", async (t) => {
    const socket = await open(t, guarded("secret"));
    const [{ auth }] = await ask(socket, "handshake");
    assert.deepEqual(auth, { token: "secret" });
  });

  test("the server sees the handshake's query and headers", async (t) => {
    const who = beyondASCII("é 😀&=");
    const socket = await open(t, { query: { who }, extraHeaders: { "X-Conformance": "yes" } });
    const [handshake] = await ask(socket, "handshake");
    assert.equal(handshake.query, who);
    assert.equal(handshake.header, "yes");
    assert.equal(handshake.secure, false);
    assert.match(handshake.address, /127\.0\.0\.1/);
    assert.match(handshake.url, /^\/socket\.io\/\?.*EIO=/);
  });

  test("a client that says goodbye", async (t) => {
    const observer = await open(t);
    await ask(observer, "join", "observers");
    const socket = await open(t);
    const id = socket.id;
    const left = event(socket, "disconnect");
    const gone = goneOf(observer, id);
    socket.disconnect();
    assert.equal((await left)[0], "io client disconnect");
    assert.equal(await gone, "client namespace disconnect");
  });

  test("a client whose connection ends", async (t) => {
    const observer = await open(t);
    await ask(observer, "join", "observers");
    const socket = await open(t);
    const id = socket.id;
    const gone = goneOf(observer, id);
    socket.io.engine.close();
    assert.equal(await gone, "transport close");
  });

  for (const close of [false, true]) {
    test(`a client that is ${close ? "disconnected altogether" : "sent out of the namespace"}`, async (t) => {
      const observer = await open(t);
      await ask(observer, "join", "observers");
      const socket = await open(t);
      const id = socket.id;
      const left = event(socket, "disconnect");
      const gone = goneOf(observer, id);
      const ended = event(socket.io.engine, "close");
      socket.emit("leave-me", close);
      assert.equal((await left)[0], "io server disconnect");
      assert.equal(await gone, "server namespace disconnect");
      if (close) await ended;
      else ended.catch(() => {}); // the client closes a connection without namespaces itself, or keeps it
    });
  }

  test("a megabyte less a little, both ways", async (t) => {
    const socket = await open(t);
    const big = "x".repeat(990_000);
    assert.deepEqual(await ask(socket, "size", big), [big.length]);
    assert.deepEqual(plain(await ask(socket, "message-with-ack", big)), plain([big]));
    const buffer = Buffer.alloc(700_000, 7);
    assert.deepEqual(plain(await ask(socket, "message-with-ack", buffer)), plain([buffer]));
  });

  test("more than the limit ends the connection, and only that one", async (t) => {
    const [socket, other] = await Promise.all([open(t), open(t)]);
    const left = event(socket, "disconnect");
    socket.emit("size", "x".repeat(1_100_000));
    assert.match((await left)[0], /^transport (close|error)$/);
    assert.deepEqual(await ask(other, "message-with-ack", "fine"), ["fine"]);
  });

  test("names that mean something to programs mean nothing to the server", async (t) => {
    const socket = await open(t);
    for (const name of ["toString", "__proto__", "constructor", "hasOwnProperty", "error2", ""]) socket.emit(name, "x");
    assert.deepEqual(await ask(socket, "message-with-ack", "fine"), ["fine"]);
  });

  test("a handler for every event hears what has no handler of its own", async (t) => {
    const socket = await open(t);
    const back = event(socket, "any-back");
    socket.emit("any:thing", 1, { b: bytes(5) });
    assert.deepEqual(plain(await back), plain(["any:thing", 1, { b: bytes(5) }]));
  });

  if (client.version.startsWith("4")) modern(open);
}

/** What only the newest client can do. */
function modern(open) {
  test("emitWithAck resolves, and a timeout of the client's rejects", async (t) => {
    const socket = await open(t);
    assert.equal(await socket.timeout(8000).emitWithAck("message-with-ack", "é"), "é");
    await assert.rejects(socket.timeout(50).emitWithAck("silent"), /operation has timed out/);
    assert.equal(await socket.emitWithAck("message-with-ack", "still here"), "still here");
  });

  test("a client that retries gets each message through", async (t) => {
    const socket = await open(t, { retries: 3, ackTimeout: 8000 });
    assert.deepEqual(await ask(socket, "message-with-ack", "once"), [null, "once"]);
  });

  test("catch-all listeners of the client hear events and their arguments", async (t) => {
    const socket = await open(t);
    const heard = [];
    socket.onAny((...args) => heard.push(args));
    const back = event(socket, "message-back");
    socket.emit("message", 1, "é");
    await back;
    assert.deepEqual(heard.filter(([name]) => name !== "auth"), [["message-back", 1, "é"]]);
  });

  test("auth may be a function, and an empty one is an empty object", async (t) => {
    const asked = await open(t, { auth: (cb) => cb({ n: 1 }) });
    assert.deepEqual((await ask(asked, "handshake"))[0].auth, { n: 1 });
    const exotic = await open(t, { auth: { "clé": ["😀", { deep: null }] } });
    assert.deepEqual((await ask(exotic, "handshake"))[0].auth, { "clé": ["😀", { deep: null }] });
    const without = await open(t);
    assert.deepEqual((await ask(without, "handshake"))[0].auth, {});
  });

  test("what the client sends as volatile arrives on an open connection", async (t) => {
    const socket = await open(t);
    const back = event(socket, "message-back");
    const resend = setInterval(() => socket.volatile.emit("message", "v"), 20); // it may be dropped, but not for ever
    t.after(() => clearInterval(resend));
    assert.deepEqual(await back, ["v"]);
  });

  test("other sockets are found, moved between rooms and disconnected", async (t) => {
    const [a, b, boss] = await Promise.all([open(t), open(t), open(t)]);
    const [from, to] = [`from-${a.id}`, `to-${a.id}`];
    await ask(a, "join", from);
    await ask(b, "join", from);
    assert.deepEqual(await ask(boss, "members", [from]), [[a.id, b.id].sort()]);
    await ask(boss, "sockets-join", from, to);
    await ask(boss, "sockets-leave", from, from);
    assert.deepEqual(await ask(boss, "members", [from]), [[]]);
    assert.deepEqual(await ask(boss, "members", [to]), [[a.id, b.id].sort()]);
    const left = [event(a, "disconnect"), event(b, "disconnect")];
    await ask(boss, "sockets-disconnect", to, false);
    assert.deepEqual((await Promise.all(left)).map(([reason]) => reason), ["io server disconnect", "io server disconnect"]);
    assert.deepEqual(await ask(boss, "members", [to]), [[]]);
  });
}

/** listen collects the arguments of every event of a name; the returned function waits for the one that starts with last. */
function listen(socket, name) {
  const heard = [];
  const waiting = [];
  socket.on(name, (...args) => {
    heard.push(args);
    for (const check of waiting) check();
  });
  return (last) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`"${name}" ${last} did not come, having ${JSON.stringify(heard)}`)), 10_000);
      const check = () => heard.some(([first]) => first === last) && (clearTimeout(timer), resolve(heard));
      waiting.push(check);
      check();
    });
}

/** goneOf resolves with the reason the server gives for the leaving of the socket with that id. */
function goneOf(observer, id) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`nobody noticed that ${id} left`)), 10_000);
    observer.on("gone", (who, reason) => {
      if (who !== id) return;
      clearTimeout(timer);
      resolve(reason);
    });
  });
}
