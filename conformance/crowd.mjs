// A crowd: node crowd.mjs URL SESSIONS NAMESPACES [SECRET]. Each session is a real WebSocket, in so many namespaces
// besides "/", with a user for every two sessions if there is a secret to sign tokens with, and each of its sockets in a room
// of about a hundred. It prints "there N" once all of N sockets are, and stays until it is ended.
import { createHmac } from "node:crypto";
import net from "node:net";

const [url, sessions, namespaces, secret] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4]), process.argv[5]];
const { hostname, port } = new URL(url);
const names = ["", ...Array.from({ length: namespaces - 1 }, (_, i) => `/n${i + 1},`)];
const rooms = Math.max(1, Math.round(sessions / 100));

const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
function token(user) {
  const text = `${encode({ alg: "HS256" })}.${encode({ sub: user, exp: Math.floor(Date.now() / 1000) + 86400 })}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

/** frame is a text message of a client, which is masked with zeroes. */
function frame(text) {
  const payload = Buffer.from(text);
  const head = payload.length < 126 ? [0x81, 0x80 | payload.length] : [0x81, 0x80 | 126, payload.length >> 8, payload.length & 255];
  return Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), payload]);
}

/** session opens one, and resolves when all its sockets are in their rooms. */
const session = (i) => new Promise((resolve, reject) => {
  const socket = net.connect({ host: hostname, port });
  let text = Buffer.alloc(0), open = false, there = 0;
  socket.setNoDelay(true);
  socket.on("error", reject);
  socket.on("close", () => reject(new Error(`session ${i} was closed`)));
  socket.write(`GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: ${hostname}:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`);
  const said = (message) => {
    if (message === "2") socket.write(frame("3"));
    else if (message[0] === "0") {
      const auth = secret ? JSON.stringify({ token: token(`user-${String(i >> 1).padStart(6, "0")}`) }) : "";
      socket.write(Buffer.concat(names.map((n) => frame(`40${n}${auth}`))));
    } else if (message.startsWith("40")) {
      const n = message[2] === "/" ? message.slice(2, message.indexOf(",") + 1) : "";
      socket.write(frame(`42${n}1["join",{"room":"room-${i % rooms}"}]`));
    } else if (message.startsWith("43") && ++there === names.length) resolve(socket);
    else if (message.startsWith("44")) reject(new Error(message));
  };
  socket.on("data", (chunk) => {
    text = text.length ? Buffer.concat([text, chunk]) : chunk;
    if (!open) {
      const end = text.indexOf("\r\n\r\n");
      if (end < 0) return;
      if (!text.subarray(0, 12).toString().endsWith("101")) return reject(new Error(text.toString()));
      open = true;
      text = text.subarray(end + 4);
    }
    for (;;) {
      if (text.length < 2) return;
      const long = (text[1] & 127) === 126, at = long ? 4 : 2;
      if (text.length < at) return;
      const n = long ? text.readUInt16BE(2) : text[1] & 127;
      if (text.length < at + n) return;
      const message = text.subarray(at, at + n).toString();
      text = text.subarray(at + n);
      said(message);
    }
  });
});

const all = [];
let next = 0;
await Promise.all(Array.from({ length: 64 }, async () => { while (next < sessions) all.push(await session(next++)); }));
console.log(`there ${sessions * namespaces}`);
