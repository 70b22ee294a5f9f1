// Chance that can be repeated: the same seed gives the same numbers on every machine.
import { createHash } from "node:crypto";

/** Random is a small generator (sfc32). A fork has a sequence of its own, which does not depend on how much others drew. */
export class Random {
  #seed;
  #state;

  constructor(seed) {
    this.#seed = String(seed);
    const digest = createHash("sha256").update(this.#seed).digest();
    this.#state = [0, 4, 8, 12].map((at) => digest.readUInt32LE(at));
  }

  fork(name) {
    return new Random(`${this.#seed}/${name}`);
  }

  /** A number in [0, 1). */
  next() {
    let [a, b, c, d] = this.#state;
    const t = (a + b + d) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    this.#state = [a, b, (c + t) | 0, (d + 1) | 0];
    return (t >>> 0) / 2 ** 32;
  }

  /** An integer in [from, to]. */
  between(from, to) {
    return from + Math.floor(this.next() * (to - from + 1));
  }

  chance(probability) {
    return this.next() < probability;
  }

  pick(list) {
    return list[this.between(0, list.length - 1)];
  }

  shuffle(list) {
    const out = [...list];
    for (let i = out.length - 1; i > 0; i--) {
      const j = this.between(0, i);
      [out[i], out[j]] = [out[j], out[i]];
    }
    return out;
  }
}
