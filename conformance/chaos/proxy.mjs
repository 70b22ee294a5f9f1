// A network for one client: a TCP proxy whose connections can be cut, forgotten, held up and refused.
import net from "node:net";

/** Proxy listens on a port of its own and passes everything on to servers that may come and go. */
export class Proxy {
  #target;
  #links = new Set();
  #server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => this.#accept(socket));
  #held = ""; // a black hole: nothing passes, "both" ways or only "up" or "down"
  #offline = false;
  #allowance = Infinity; // bytes that the client still receives before its connections are cut
  url = "";

  /** target returns the URL of the server that the next connection goes to. */
  constructor(target) {
    this.#target = target;
  }

  async listen() {
    await new Promise((resolve, reject) => this.#server.once("error", reject).listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${this.#server.address().port}`;
    return this;
  }

  #accept(down) {
    if (this.#offline) return void reset(down);
    const { hostname: host, port } = new URL(this.#target());
    const link = new Link(down, net.connect({ host, port, allowHalfOpen: true }), (chunk) => this.#ration(link, chunk));
    this.#links.add(link);
    link.ended.then(() => this.#links.delete(link));
    link.release();
    if (this.#held) link.hold(this.#held);
  }

  /** cut resets every connection, on both sides. */
  cut() {
    for (const link of this.#links) link.reset();
  }

  /** cutAmid cuts every connection in the middle of what comes, when the client has received as many bytes more. */
  cutAmid(bytes) {
    this.#allowance = bytes;
  }

  /** #ration says whether the client may have all of a chunk. If not, it has a part of it, and then no connection. */
  #ration(link, chunk) {
    this.#allowance -= chunk.length;
    if (this.#allowance > 0) return true;
    link.breakOff(chunk.subarray(0, chunk.length + this.#allowance));
    this.#links.delete(link);
    this.#allowance = Infinity;
    this.cut();
    return false;
  }

  /**
   * forget makes every connection half-open for good: nothing passes any more and no side learns of the other's end.
   * With told, the client's side is reset, so that the client knows and the server does not. New connections work.
   */
  forget(told) {
    for (const link of this.#links) link.forget(told);
  }

  /** hold lets nothing pass that way, on old and new connections, until release: then all of it does. */
  hold(way = "both") {
    this.#held = way;
    for (const link of this.#links) link.hold(way);
  }

  release() {
    this.#held = "";
    for (const link of this.#links) link.release();
  }

  /** offline cuts every connection and refuses new ones until online. */
  offline() {
    this.#offline = true;
    this.cut();
  }

  online() {
    this.#offline = false;
  }

  close() {
    this.cut();
    this.#server.close();
  }
}

/** Link is one connection through the proxy: the client's side is down, the server's is up. */
class Link {
  #down;
  #up;
  #open = false;
  #forgotten = false;

  /** all says whether a chunk may go down to the client. */
  constructor(down, up, all) {
    this.#down = down;
    this.#up = up;
    this.#pass(down, up, () => true);
    this.#pass(up, down, all);
    this.ended = Promise.all([down, up].map((socket) => new Promise((resolve) => socket.once("close", resolve))));
  }

  #pass(from, to, all) {
    from.setNoDelay(true);
    from.pause();
    from.on("data", (chunk) => {
      if (all(chunk) && !to.write(chunk)) from.pause();
    });
    to.on("drain", () => this.#open && from.resume());
    from.on("end", () => to.end());
    from.on("error", () => {}); // close follows
    from.on("close", () => this.#open && this.#spread());
  }

  /** What was reset on one side is reset on the other; an orderly end has been passed on by "end". */
  #spread() {
    for (const [side, other] of [[this.#down, this.#up], [this.#up, this.#down]]) {
      if (side.destroyed && (side.errored || !side.readableEnded)) reset(other);
    }
  }

  hold(way = "both") {
    this.#open = false;
    if (way !== "down") this.#down.pause();
    if (way !== "up") this.#up.pause();
  }

  release() {
    if (this.#forgotten) return;
    this.#open = true;
    this.#down.resume();
    this.#up.resume();
    this.#spread();
  }

  forget(told) {
    this.hold();
    this.#forgotten = true;
    if (told) reset(this.#down);
  }

  /** breakOff lets the client have these last bytes. */
  breakOff(bytes) {
    this.#open = false;
    this.#down.end(bytes, () => this.#down.destroy());
    reset(this.#up);
  }

  reset() {
    reset(this.#down);
    reset(this.#up);
  }
}

/** reset ends a connection at once. After end() it must not be with a reset: Node.js 20 then never frees the handle, and never exits. */
function reset(socket) {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}
