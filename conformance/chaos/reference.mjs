// Node's own server with the verbs of the test, to measure what a stock server loses; with --recovery, it has the
// connection state recovery of its adapter in memory.
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { Server } from "socket.io";

const { values: flags } = parseArgs({
  options: {
    listen: { type: "string" },
    recovery: { type: "boolean", default: false },
    "ping-interval": { type: "string" },
    "ping-timeout": { type: "string" },
  },
});
const [host, port] = flags.listen.split(":");

const http = createServer();
const io = new Server(http, {
  pingInterval: parseFloat(flags["ping-interval"]),
  pingTimeout: parseFloat(flags["ping-timeout"]),
  connectionStateRecovery: flags.recovery ? { maxDisconnectionDuration: 120_000 } : undefined,
});

io.on("connection", (socket) => {
  socket.on("join", ({ room }, ack) => {
    socket.join(room);
    ack({});
  });
  socket.on("publish", ({ room, event, data }, ack) => {
    io.to(room).emit(event, data);
    ack({});
  });
});

process.on("SIGTERM", () => {
  io.close(() => process.exit(0));
  http.closeAllConnections();
});

http.listen(port, host, () => console.log(`http://${host}:${http.address().port}`));
