// The connection: Socket.IO's own client, calls as promises, and one word for the state it is in.

const ANSWER_WITHIN = 10_000; // milliseconds

// Refused is an answer that says no, in words meant for the person. wait is in milliseconds: try again after that.
export class Refused extends Error {
  constructor(message, wait = 0) {
    super(message);
    this.wait = wait;
  }
}

// Wire tells what happens by events: "state" (it changed), "up" (a new connection: enter now), and the server's own
// events as "event" with detail {name, data}. States: idle, connecting, up, down (coming back by itself), offline (no network).
export class Wire extends EventTarget {
  state = "idle";
  attempt = 0;
  #socket = null;
  #wasUp = false;

  get up() {
    return this.state === "up";
  }

  // recovered: everything that was missed while the connection was away comes by itself.
  get recovered() {
    return this.#socket?.recovered === true;
  }

  open() {
    if (this.#socket) {
      this.#to("connecting", 0);
      return this.#socket.connect();
    }
    if (typeof window.io !== "function") throw new Error("The Socket.IO client could not be loaded from this server.");
    const namespace = document.querySelector('meta[name="tutti-namespace"]')?.content || "/";
    const socket = window.io(namespace, { autoConnect: false, reconnectionDelay: 500, reconnectionDelayMax: 5000, timeout: 10_000 });
    this.#socket = socket;
    socket.on("connect", () => this.#up());
    socket.on("disconnect", (reason) => this.#down(reason));
    socket.on("connect_error", (error) => this.#failed(error));
    socket.io.on("reconnect_attempt", (attempt) => this.#to(this.state, attempt));
    for (const name of ["message", "typing", "joined", "left", "rooms"]) {
      // Where the server keeps what was said, a message's place follows it.
      socket.on(name, (data, offset) => this.#tell("event", { name, data, offset }));
    }
    window.addEventListener("offline", () => {
      if (this.#wasUp && this.state !== "idle") this.#to("offline");
    });
    window.addEventListener("online", () => this.#online());
    this.#to("connecting");
    socket.connect();
  }

  close() {
    this.#wasUp = false;
    this.#to("idle");
    this.#socket?.disconnect();
  }

  // retry does not wait for the next attempt. Socket.IO sleeps between attempts, so that its manager is closed and opened anew.
  retry() {
    const socket = this.#socket;
    if (!socket || socket.connected) return;
    socket.disconnect();
    socket.connect();
  }

  // call asks and gives the answer, or throws Refused, or another error if no answer came (then it may or may not have arrived).
  async call(name, payload) {
    if (!this.#socket?.connected) throw new Error("not connected");
    const answer = await this.#socket.timeout(ANSWER_WITHIN).emitWithAck(name, payload);
    if (answer && answer.error !== undefined && answer.error !== null) {
      const error = answer.error;
      const words = typeof error === "string" ? error : error.message;
      throw new Refused(words || "The server did not accept that.", Number(answer.data?.wait ?? 0));
    }
    return answer;
  }

  // tell sends what may get lost.
  tell(name, payload) {
    if (this.#socket?.connected) this.#socket.volatile.emit(name, payload);
  }

  #up() {
    this.#wasUp = true;
    this.#to("up", 0);
    this.#tell("up");
  }

  // #online: the network is back. The connection may have lived through it, or not know yet that it did not; introducing
  // ourselves again finds out.
  #online() {
    if (this.state !== "offline") return;
    if (this.#socket.connected) return this.#up();
    this.#to("down", 0);
    this.retry();
  }

  #down(reason) {
    if (this.state === "idle") return;
    this.#to(navigator.onLine === false ? "offline" : "down", 0);
    // Socket.IO does not come back by itself when the server said goodbye; a chat does.
    if (reason === "io server disconnect") setTimeout(() => this.state !== "idle" && this.#socket.connect(), 1000);
  }

  #failed(error) {
    if (this.state === "idle") return;
    if (this.#socket.active) return this.#to(this.state === "offline" ? "offline" : this.#wasUp ? "down" : "connecting", this.attempt);
    this.close(); // the namespace refused us: no further attempt would change that
    this.#tell("refused", error);
  }

  #to(state, attempt = this.attempt) {
    this.state = state;
    this.attempt = attempt;
    this.#tell("state");
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
