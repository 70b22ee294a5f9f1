// A Socket.IO client that is as small as one can be, for thousands in a process: WebSocket, one namespace, text only.
import WebSocket from "ws";
import { within } from "../harness.mjs";

/** Raw keeps the first argument of each event "m" in heard, unless it is made with a function that takes them. */
export class Raw {
  heard = [];
  sid = "";
  #pid = "";
  #offset = "";
  #ws;
  #asked = new Map();
  #ids = 0;
  #received;

  constructor(received = (data) => this.heard.push(data)) {
    this.#received = received;
  }

  /** connect comes in, or back to its session if it was in before. Then ended resolves when the connection does. */
  async connect(url) {
    const ws = new WebSocket(`${url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`, { perMessageDeflate: false });
    this.#ws = ws;
    this.ended = new Promise((resolve) => ws.once("close", resolve));
    ws.on("error", () => {}); // "close" comes as well
    await within(new Promise((resolve, reject) => {
      ws.on("message", (raw) => this.#read(String(raw), resolve, reject));
      ws.once("close", () => reject(new Error("the connection ended")));
    }), "a connection", 20_000).catch((err) => {
      ws.terminate();
      throw err;
    });
  }

  #read(text, entered, refused) {
    if (text[0] === "0") return this.#ws.send(this.#pid ? `40${JSON.stringify({ pid: this.#pid, offset: this.#offset })}` : "40");
    if (text[0] === "2") return this.#ws.send("3");
    switch (text.slice(0, 2)) {
      case "40": {
        const { sid, pid } = JSON.parse(text.slice(2));
        this.sid = sid;
        this.#pid = pid;
        return entered();
      }
      case "44":
        return refused(new Error(text));
      case "42": {
        const args = JSON.parse(text.slice(2));
        if (typeof args.at(-1) === "string" && args.length > 1) this.#offset = args.at(-1);
        if (args[0] === "m") this.#received(args[1]);
        return;
      }
      case "43": {
        const at = text.indexOf("[");
        const id = Number(text.slice(2, at));
        this.#asked.get(id)?.(JSON.parse(text.slice(at))[0]);
        this.#asked.delete(id);
      }
    }
  }

  /** ask resolves with the first value of the ack. */
  ask(event, ...args) {
    const id = this.#ids++;
    this.#ws.send(`42${id}${JSON.stringify([event, ...args])}`);
    return within(new Promise((resolve) => this.#asked.set(id, resolve)), `the ack of "${event}"`, 30_000);
  }

  close() {
    this.#ws.close();
  }
}
