// A network for one client: a TCP proxy whose connections can be cut, forgotten, held up and refused.
import net from "node:net";

/** Proxy listens on a port of its own and passes everything on to a server that may come and go. */
export class Proxy {
  #target;
  #links = new Set();
  #server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => this.#accept(socket));
  #held = false; // a black hole: nothing passes, in neither direction
  #offline = false;
  url = "";

  /** target is the server's URL. */
  constructor(target) {
    this.#target = new URL(target);
  }

  async listen() {
    await new Promise((resolve, reject) => this.#server.once("error", reject).listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${this.#server.address().port}`;
    return this;
  }

  #accept(down) {
    if (this.#offline) return void down.resetAndDestroy();
    const link = new Link(down, net.connect({ host: this.#target.hostname, port: this.#target.port, allowHalfOpen: true }));
    this.#links.add(link);
    link.ended.then(() => this.#links.delete(link));
    if (!this.#held) link.release();
  }

  /** cut resets every connection, on both sides. */
  cut() {
    for (const link of this.#links) link.reset();
  }

  /**
   * forget makes every connection half-open for good: nothing passes any more and no side learns of the other's end.
   * With told, the client's side is reset, so that the client knows and the server does not. New connections work.
   */
  forget(told) {
    for (const link of this.#links) link.forget(told);
  }

  /** hold lets nothing pass, on old and new connections, until release: then all of it does. */
  hold() {
    this.#held = true;
    for (const link of this.#links) link.hold();
  }

  release() {
    this.#held = false;
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

  constructor(down, up) {
    this.#down = down;
    this.#up = up;
    this.#pass(down, up);
    this.#pass(up, down);
    this.ended = Promise.all([down, up].map((socket) => new Promise((resolve) => socket.once("close", resolve))));
  }

  #pass(from, to) {
    from.setNoDelay(true);
    from.pause();
    from.on("data", (chunk) => {
      if (!to.write(chunk)) from.pause();
    });
    to.on("drain", () => this.#open && from.resume());
    from.on("end", () => to.end());
    from.on("error", () => {}); // close follows
    from.on("close", () => this.#open && this.#spread());
  }

  /** What was reset on one side is reset on the other; an orderly end has been passed on by "end". */
  #spread() {
    for (const [side, other] of [[this.#down, this.#up], [this.#up, this.#down]]) {
      if (side.destroyed && (side.errored || !side.readableEnded)) other.resetAndDestroy();
    }
  }

  hold() {
    this.#open = false;
    this.#down.pause();
    this.#up.pause();
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
    if (told) this.#down.resetAndDestroy();
  }

  reset() {
    this.#down.resetAndDestroy();
    this.#up.resetAndDestroy();
  }
}
