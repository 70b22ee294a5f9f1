// Writes vectors.json with the reference implementation. Run it where
// socket.io-parser and socket.io-msgpack-parser are installed (conformance/):
//
//   node packet/testdata/generate.mjs DIR_WITH_NODE_MODULES > packet/testdata/vectors.json
import { createRequire } from "node:module";
import { resolve } from "node:path";

const require = createRequire(resolve(process.argv[2], "package.json"));
const parser = require("socket.io-parser");
const msgpack = require("socket.io-msgpack-parser");

const frame = (f) => (typeof f === "string" ? { text: f } : { hex: Buffer.from(f).toString("hex") });
const bytes = (...b) => Buffer.from(b);
const nest = (n) => (n === 0 ? 1 : [nest(n - 1)]);

// A packet each; both encoders write it.
const packets = {
  connect: { type: 0, nsp: "/" },
  "connect with data": { type: 0, nsp: "/", data: { token: "a\"b\\c" } },
  "connect to a namespace": { type: 0, nsp: "/admin" },
  "connect reply": { type: 0, nsp: "/admin", data: { sid: "abc", pid: "def" } },
  disconnect: { type: 1, nsp: "/" },
  "disconnect from a namespace": { type: 1, nsp: "/admin" },
  "connect error": { type: 4, nsp: "/", data: { message: "no", data: { code: 7 } } },
  event: { type: 2, nsp: "/", data: ["hello"] },
  "event with id": { type: 2, nsp: "/", id: 0, data: ["hello", 1] },
  "event in a namespace with id": { type: 2, nsp: "/admin", id: 456, data: ["project:delete", 123] },
  "largest id": { type: 2, nsp: "/", id: 9007199254740991, data: ["x"] },
  ack: { type: 3, nsp: "/", id: 12, data: [] },
  "ack with values": { type: 3, nsp: "/admin", id: 1, data: ["ok", { a: null }] },
  literals: { type: 2, nsp: "/", data: ["e", null, true, false, "", [], {}, [[]], [{}]] },
  integers: { type: 2, nsp: "/", data: ["e", 0, 1, -1, 127, 128, -32, -33, -128, -129, 255, 256, 65535, 65536, 3000000000, -3000000000, 4294967295, 4294967296, 9007199254740991, -9007199254740991] },
  doubles: { type: 2, nsp: "/", data: ["e", 1.5, -0.25, 1e-7, 123456.789, 5e-324, 0.000001] },
  // notepack.io 2.2.0 writes whole numbers from 2^64 on modulo 2^64.
  "huge doubles": { type: 2, nsp: "/", data: ["e", 1e20, 1e21, 1.7976931348623157e308, 1e300] },
  text: { type: 2, nsp: "/", data: ["e", "é€😀", "<&>\u2028\u2029", "\b\f\n\r\t\u0000\u001f\u007f", "\"\\/"] },
  names: { type: 2, nsp: "/", data: ["__proto__", { "a\"b": 1, "": 2, "é": 3, constructor: 4 }] },
  "empty event name": { type: 2, nsp: "/", data: ["", 1] },
  "long strings": { type: 2, nsp: "/", data: ["e", "x".repeat(31), "x".repeat(32), "x".repeat(255), "x".repeat(256)] },
  "wide containers": { type: 2, nsp: "/", data: ["e", Array(15).fill(0), Array(16).fill(0), Object.fromEntries(Array.from({ length: 17 }, (_, i) => ["k" + i, i]))] },
  deep: { type: 2, nsp: "/", data: ["e", nest(100)] },
  date: { type: 2, nsp: "/", data: ["e", new Date(0), new Date(1700000000123), new Date(-1), new Date(253402300800000), new Date(-62198755200000)] },
  binary: { type: 2, nsp: "/", data: ["e", bytes(1, 2, 3)] },
  "binary in depth": { type: 2, nsp: "/admin", id: 7, data: ["e", { a: [bytes(1), { b: bytes() }] }, "x", bytes(2)] },
  "binary ack": { type: 3, nsp: "/", id: 3, data: [bytes(0xff, 0x00)] },
  "typed array": { type: 2, nsp: "/", data: ["e", new Uint8Array([9, 8, 7])] },
  "ten attachments": { type: 2, nsp: "/", data: ["e", ...Array.from({ length: 10 }, (_, i) => bytes(i))] },
  "not a placeholder": { type: 2, nsp: "/", data: ["e", { _placeholder: true, num: 0 }] },
};

// Frames as a peer may send them; the reference decides whether it takes them.
const B = { hex: "0102" };
const one = (t) => [t, B];
const inputs = [
  "", "7", "8", "9", "a", " ", "-1", "5", "5-", "5x-", "50-[\"x\"]", "511-[\"x\"]", "51", "51[\"x\"]", "5-[\"x\"]", "51e9-", "51.5-[\"x\"]",
  "5-1-[\"x\"]", "0", "0{}", "0/", "0/,", "0/admin", "0/admin,", "0/admin,{}", "0/admin?a=b,{}", "0[]", "01", "0null", "0\"x\"", "0{", "0{}x",
  "1", "1/admin,", "1{}", "1[]", "1\"x\"", "1null", "2[]", "2{}", "2null", "2\"x\"", "2[null]", "2[{}]", "2[[]]", "2[true]", "2[1]", "2[1.5,2]",
  "2[\"x\"]", "2[\"\"]", "2[\"x\",]", "2[,\"x\"]", "2[\"x\"", "2\"x\"]", "2[\"x\"]]", "2[\"x\"] ", "2[ \"x\" , 1 ]", "2[\"x\"]\u0000",
  "2[\"connect\"]", "2[\"connect_error\"]", "2[\"disconnect\"]", "2[\"disconnecting\"]", "2[\"newListener\"]", "2[\"removeListener\"]",
  "2[\"error\"]", "2[\"__proto__\"]", "2[\"toString\"]", "2[\"\\u0063onnect\"]", "2[\"Connect\"]",
  "20[\"x\"]", "2007[\"x\"]", "29007199254740991[\"x\"]", "2-1[\"x\"]", "21.5[\"x\"]", "2/admin[\"x\"]", "2/admin,[\"x\"]", "2/admin,1[\"x\"]", "2/a,b,[\"x\"]",
  "2admin,[\"x\"]", "3[]", "31[]", "31[1]", "31{}", "31\"x\"", "31null", "4", "4{}", "4\"x\"", "4[]", "41", "4null",
  "2[\"x\",01]", "2[\"x\",1e400]", "2[\"x\",-]", "2[\"x\",+1]", "2[\"x\",.5]", "2[\"x\",5.]", "2[\"x\",NaN]", "2[\"x\",\"\\ud800\"]", "2[\"x\",\"\\u12\"]",
  "2[\"x\",\"\\x\"]", "2[\"x\",\"\n\"]", "2[\"x\",'a']", "2[\"x\",{a:1}]", "2[\"x\",{\"a\":1,\"a\":2}]", "2[\"x\",{\"a\"}]", "2[\"x\",{\"a\":1,}]", "2[\"x\",tru]", "2[\"x\",undefined]",
  "\uFEFF2[\"x\"]", "2\uFEFF[\"x\"]", "2[\"x\"]//",
].map((t) => [t]);
inputs.push(
  [B], ["2[\"x\"]", B], one("51-[\"x\"]"), one("51-[\"x\",{\"_placeholder\":true,\"num\":0}]"), one("51-[\"x\",{\"num\":0,\"_placeholder\":true}]"),
  one("51-[\"x\",{\"_placeholder\":true,\"num\":1}]"), one("51-[\"x\",{\"_placeholder\":true,\"num\":-1}]"), one("51-[\"x\",{\"_placeholder\":true,\"num\":0.5}]"),
  one("51-[\"x\",{\"_placeholder\":true,\"num\":\"0\"}]"), one("51-[\"x\",{\"_placeholder\":true,\"num\":\"push\"}]"), one("51-[\"x\",{\"_placeholder\":true,\"num\":1e9}]"),
  one("51-[\"x\",{\"_placeholder\":true,\"num\":0e0}]"), one("51-[\"x\",{\"_placeholder\":true}]"), one("51-[\"x\",{\"_placeholder\":true,\"num\":null}]"), one("51-[\"x\",{\"_placeholder\":false,\"num\":5}]"),
  one("51-[\"x\",{\"_placeholder\":1,\"num\":5}]"), one("51-[\"x\",{\"_placeholder\":false,\"_placeholder\":true,\"num\":0}]"), one("51-[\"x\",{\"\\u005fplaceholder\":true,\"num\":0}]"),
  one("51-[\"x\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":0}]"), one("51-[\"x\",{\"_placeholder\":true,\"num\":0,\"more\":[1]}]"),
  one("51-[{\"_placeholder\":true,\"num\":0}]"), one("51-{\"_placeholder\":true,\"num\":0}"), one("51-/admin,5[\"x\",{\"_placeholder\":true,\"num\":0}]"), one("61-5[{\"_placeholder\":true,\"num\":0}]"),
  one("61-[{\"_placeholder\":true,\"num\":0}]"), one("51-[\"connect\",{\"_placeholder\":true,\"num\":0}]"), one("501-[\"x\",{\"_placeholder\":true,\"num\":0}]"),
  ["51-[\"x\",{\"_placeholder\":true,\"num\":0}]", "2[\"y\"]"], ["51-[\"x\",{\"_placeholder\":true,\"num\":0}]", B, B], ["52-[\"x\",{\"_placeholder\":true,\"num\":1},{\"_placeholder\":true,\"num\":0}]", B, { hex: "03" }],
  ["52-[\"x\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":2}]", B, B], ["510-[\"x\"" + Array.from({ length: 10 }, (_, i) => `,{"_placeholder":true,"num":${i}}`).join("") + "]", ...Array(10).fill(B)],
);

function decode(frames) {
  const d = new parser.Decoder();
  let last = null;
  d.on("decoded", (p) => (last = p));
  try {
    for (const f of frames) d.add(typeof f === "string" ? f : Buffer.from(f.hex, "hex"));
  } catch (e) {
    return { accepted: false };
  }
  return { accepted: true, packet: last && new parser.Encoder().encode(last).map(frame) };
}

const out = { packets: [], verdicts: [] };
for (const [name, p] of Object.entries(packets)) {
  const copy = () => {
    const { type, nsp, data, id } = p; // the order of the keys is that of MessagePack's
    return { type, nsp, ...("data" in p && { data }), ...("id" in p && { id }) };
  };
  out.packets.push({
    name,
    json: new parser.Encoder().encode(copy()).map(frame),
    msgpack: Buffer.from(new msgpack.Encoder().encode(copy())[0]).toString("hex"),
  });
}
for (const frames of inputs) {
  out.verdicts.push({ frames: frames.map((f) => (typeof f === "string" ? { text: f } : f)), ...decode(frames) });
}
const lines = (list) => "[\n" + list.map((v) => JSON.stringify(v)).join(",\n") + "\n]";
console.log(`{"packets":${lines(out.packets)},\n"verdicts":${lines(out.verdicts)}}`);
