// The server under test, written on Node's own socket.io. It exists to check the tests: what passes here and fails on
// Tutti is a difference between the servers. conformance/server/main.go is the same application on package tutti; the
// two take the same flags and print the same line.
//
//   TUTTI_REFERENCE=1 ./run.sh
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { Server as Engine } from "engine.io";
import { Server } from "socket.io";
import msgpack from "socket.io-msgpack-parser";

const { values: flags } = parseArgs({
  options: {
    listen: { type: "string", default: "127.0.0.1:0" },
    "ping-interval": { type: "string", default: "25000" },
    "ping-timeout": { type: "string", default: "20000" },
    "connect-timeout": { type: "string", default: "45000" },
    "max-payload": { type: "string", default: "1000000" },
    origin: { type: "string" }, // another origin that may connect, with credentials
    cookie: { type: "string" }, // the name of the session cookie
    parser: { type: "string", default: "json" }, // "msgpack": Node speaks one parser at a time
    compress: { type: "boolean", default: false }, // permessage-deflate
    eio3: { type: "boolean", default: false }, // Socket.IO 1 and 2 clients
    "node-cluster": { type: "string" }, // the redis:// by which several servers are one
    "node-adapter": { type: "string", default: "classic" },
    "node-prefix": { type: "string", default: "socket.io" },
  },
});
const [host, port] = flags.listen.split(":");
const heartbeat = {
  pingInterval: Number(flags["ping-interval"]),
  pingTimeout: Number(flags["ping-timeout"]),
  maxHttpBufferSize: Number(flags["max-payload"]),
};

const http = createServer((request, response) => {
  response.writeHead(404).end();
});

/** adapter makes the adapter of the flags. */
async function adapter() {
  const { createClient } = await import("redis");
  const client = async () => {
    const c = createClient({ url: flags["node-cluster"] }).on("error", (err) => console.error(err.message));
    await c.connect();
    return c;
  };
  const prefix = flags["node-prefix"];
  const { createAdapter, createShardedAdapter } = await import("@socket.io/redis-adapter");
  const { createAdapter: createStreams } = await import("@socket.io/redis-streams-adapter");
  switch (flags["node-adapter"]) {
    case "classic": return createAdapter(await client(), await client(), { key: prefix });
    case "sharded": return createShardedAdapter(await client(), await client(), { channelPrefix: prefix });
    case "sharded-static": return createShardedAdapter(await client(), await client(), { channelPrefix: prefix, subscriptionMode: "static" });
    case "sharded-private": return createShardedAdapter(await client(), await client(), { channelPrefix: prefix, subscriptionMode: "dynamic-private" });
    case "streams": return createStreams(await client(), { streamName: prefix, channelPrefix: prefix });
  }
  throw new Error(`no adapter ${flags["node-adapter"]}`);
}

const io = new Server(http, {
  adapter: flags["node-cluster"] && (await adapter()),
  ...heartbeat,
  connectTimeout: Number(flags["connect-timeout"]),
  allowEIO3: flags.eio3,
  perMessageDeflate: flags.compress ? { threshold: 1024 } : false,
  cookie: flags.cookie,
  cors: flags.origin && { origin: [flags.origin], credentials: true },
  parser: flags.parser === "msgpack" ? msgpack : undefined,
});

for (const [path, allowEIO3] of [["/engine.io", false], ["/engine.io-3", true]]) {
  const engine = new Engine({ ...heartbeat, allowEIO3 });
  engine.on("connection", (session) => {
    session.on("message", (data) => session.send(data));
  });
  engine.attach(http, { path });
}

for (const nsp of [io.of("/"), io.of("/custom"), io.of(/^\/dynamic-\d{1,3}$/), guarded()]) {
  nsp.on("connection", (socket) => application(io.of(socket.nsp.name), socket));
}

function guarded() {
  return io.of("/guarded").use((socket, next) => {
    const token = socket.handshake.auth.token ?? null;
    if (token === "secret") return next();
    next(Object.assign(new Error("who are you?"), { data: { code: 401, token } }));
  });
}

// What the applications of several servers say to each other.
for (const nsp of [io.of("/"), io.of("/custom")]) {
  nsp.on("server-note", (...args) => nsp.local.emit("noted", ...args));
  nsp.on("server-sum", (a, b, ack) => ack?.({ sum: a + b, by: "node" }));
  nsp.on("server-silent", () => {});
}

function application(nsp, socket) {
  const handshake = socket.handshake;
  socket.emit("auth", handshake.auth);

  socket.on("message", (...args) => socket.emit("message-back", ...args));
  socket.on("message-with-ack", (...args) => {
    const ack = args.pop();
    ack(...args);
  });
  socket.on("silent", () => {}); // takes an ack and never answers
  socket.on("size", (data, ack) => ack(data.length));
  socket.on("make-binary", (n) => {
    const bytes = Buffer.from(Array.from({ length: n }, (_, i) => i % 256));
    socket.emit("binary-made", bytes, { deep: [{ bytes }, "text"] });
  });
  socket.on("count", (i) => socket.emit("tick", i));
  socket.on("burst", (from, n) => {
    for (let i = from; i < from + n; i++) socket.emit("burst", i);
  });
  socket.on("volatile", () => {
    socket.volatile.emit("maybe", "volatile");
    socket.emit("surely", "not volatile");
  });
  socket.onAny((event, ...args) => {
    if (String(event).startsWith("any:")) socket.emit("any-back", event, ...args);
  });

  socket.on("handshake", (ack) => {
    ack({
      query: handshake.query.who ?? null,
      header: handshake.headers["x-conformance"] ?? null,
      auth: handshake.auth,
      address: handshake.address,
      secure: handshake.secure,
      url: handshake.url,
    });
  });

  // {ms}, ...args: asks this client "question" with args and acks {timedOut, reply}.
  socket.on("ask", ({ ms }, ...rest) => {
    const ack = rest.pop();
    socket.timeout(ms).emit("question", ...rest, (err, ...reply) => ack({ timedOut: !!err, reply }));
  });
  // {ms, rooms}, ...args: asks everyone in the rooms and acks {timedOut, replies} with each one's first value.
  socket.on("ask-all", ({ ms, rooms }, ...rest) => {
    const ack = rest.pop();
    nsp.to(rooms).timeout(ms).emit("question", ...rest, (err, replies) => ack({ timedOut: !!err, replies }));
  });

  socket.on("join", async (room, ack) => {
    await socket.join(room);
    ack([...socket.rooms].filter((r) => r !== socket.id).sort());
  });
  socket.on("leave", async (room, ack) => {
    await socket.leave(room);
    ack([...socket.rooms].filter((r) => r !== socket.id).sort());
  });
  // {rooms, except, others, volatile, local, plain}, event, ...args: publishes, and acks when it is done.
  socket.on("publish", ({ rooms = [], except = [], others = false, volatile = false, local = false, plain = false }, event, ...rest) => {
    const ack = rest.pop();
    let audience = others ? socket.broadcast : nsp;
    if (rooms.length > 0) audience = audience.to(rooms);
    if (except.length > 0) audience = audience.except(except);
    if (volatile) audience = audience.volatile;
    if (local) audience = audience.local;
    if (plain) audience = audience.compress(false);
    audience.emit(event, ...rest);
    ack(null);
  });
  // {rooms}: the ids of who is there, or null if another server did not answer: what it says is lost while Redis comes back.
  socket.on("members", async (rooms, ack) => {
    const there = await nsp.in(rooms).fetchSockets().catch(() => null);
    ack(there && there.map((s) => s.id).sort());
  });
  // [rooms]: what is known of who is there, by id.
  socket.on("describe", async (rooms, ack) => {
    const list = (await nsp.in(rooms).fetchSockets()).map(({ id, rooms, data, handshake: h }) => ({
      id, rooms: [...rooms].sort(), data, address: h.address, secure: h.secure, url: h.url, who: h.query.who, header: h.headers["x-conformance"],
      issued: h.issued,
    }));
    ack(list.sort((a, b) => (a.id < b.id ? -1 : 1)));
  });
  socket.on("set-data", (data, ack) => ack((socket.data = data)));
  // event, ...args: says it to the other servers; or asks them and acks {failed, replies}.
  socket.on("tell-servers", (event, ...rest) => {
    const ack = rest.pop();
    nsp.serverSideEmit(event, ...rest);
    ack(null);
  });
  socket.on("ask-servers", (event, ...rest) => {
    const ack = rest.pop();
    nsp.serverSideEmit(event, ...rest, (err, replies) => ack({ failed: !!err, replies }));
  });
  // What only the classic adapter can be asked.
  socket.on("all-rooms", async (ack) => ack([...(await nsp.adapter.allRooms())].sort()));
  socket.on("move-one", (kind, id, room, ack) => {
    const type = { join: 2, leave: 3, disconnect: 4 }[kind]; // as servers of old ask, with the answer that they expect
    const { adapter } = nsp;
    const requestId = Math.random().toString(36).slice(2, 8);
    adapter.requests.set(requestId, { type, resolve: () => ack("done"), timeout: setTimeout(() => ack("nobody"), 3000) });
    adapter.pubClient.publish(adapter.requestChannel, JSON.stringify({ requestId, type, sid: id, room, close: false }));
  });
  // The four verbs for other sockets.
  socket.on("sockets-join", (from, to, ack) => (nsp.in(from).socketsJoin(to), ack(null)));
  socket.on("sockets-leave", (from, room, ack) => (nsp.in(from).socketsLeave(room), ack(null)));
  socket.on("sockets-disconnect", (room, close, ack) => (nsp.in(room).disconnectSockets(close), ack(null)));

  socket.on("leave-me", (close) => socket.disconnect(close));
  socket.on("disconnect", (reason) => nsp.to("observers").emit("gone", socket.id, reason));
}

http.listen(Number(port), host, () => {
  console.log(`listening on http://${host}:${http.address().port}`);
});
process.on("SIGTERM", () => io.close(() => process.exit(0)));
