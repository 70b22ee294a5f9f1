// Node's Socket.IO server with the handlers that "tutti bench" asks for, and
// the options that its documentation recommends for speed: ws with the native
// bufferutil beside it, no compression, and the request of the handshake let go.
//
//	node server.mjs [host:port]
import { createServer } from "node:http";
import { Server } from "socket.io";

const [host, port] = (process.argv[2] ?? "127.0.0.1:3000").split(":");
const http = createServer();
const io = new Server(http, {
  serveClient: false,
  perMessageDeflate: false,
  httpCompression: false,
});
io.engine.on("connection", (raw) => {
  raw.request = null;
});
io.on("connection", (socket) => {
  socket.on("echo", (text, ack) => ack(text));
  socket.on("join", (room, ack) => {
    socket.join(room);
    ack();
  });
  socket.on("publish", (room, text, ack) => {
    io.to(room).emit("message", text);
    ack?.();
  });
});
http.listen(Number(port), host, () => {
  console.log(`Node listening on http://${host}:${http.address().port}`);
});
process.on("SIGTERM", () => process.exit(0));
