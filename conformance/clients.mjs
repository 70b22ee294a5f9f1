// The stock clients, each by the version that its users have installed.
import { createRequire } from "node:module";
import { event } from "./harness.mjs";

const require = createRequire(import.meta.url);

/** Every generation of socket.io-client; protocol is the Engine.IO protocol it speaks. */
export const clients = [
  { version: "4.8.4", protocol: 4, io: require("socket.io-client") },
  { version: "3.1.3", protocol: 4, io: require("socket.io-client-3") },
  { version: "2.5.0", protocol: 3, io: require("socket.io-client-2.5") },
  { version: "2.0.4", protocol: 3, io: require("socket.io-client-2.0") },
  { version: "1.7.4", protocol: 3, io: require("socket.io-client-1") },
];

/** The ways a connection may go. */
export const ways = [
  { name: "polling", transports: ["polling"] },
  { name: "websocket", transports: ["websocket"] },
  { name: "polling, upgraded to websocket", transports: ["polling", "websocket"], upgrades: true },
];

/** dial makes a socket without waiting for anything, and disconnects it after the test t. */
export function dial(t, { client = clients[0], way = ways[1], url, ...options }) {
  const socket = client.io(url, { forceNew: true, reconnection: false, transports: way.transports, ...options });
  t.after(() => socket.close());
  return socket;
}

/** connect makes a socket and waits until it is connected, and upgraded if its way says so. */
export async function connect(t, options) {
  const socket = dial(t, options);
  const upgraded = options.way?.upgrades && upgrade(socket);
  await event(socket, "connect");
  await upgraded;
  return socket;
}

/** upgrade resolves when the connection under the socket has gone over to WebSocket. */
export function upgrade(socket) {
  // The engine is there as soon as the manager opens; older managers open at once, newer ones in the same tick too.
  const engine = socket.io.engine;
  if (engine.transport?.name === "websocket") return Promise.resolve();
  return event(engine, "upgrade");
}

/** refused resolves with what a client whose connection was refused is told: {message, data}. */
export async function refused(socket, protocol) {
  if (protocol === 3) {
    const [told] = await event(socket, "error");
    return typeof told === "string" ? { message: told } : { message: told.message, data: told };
  }
  const [err] = await event(socket, "connect_error");
  return { message: err.message, data: err.data };
}
