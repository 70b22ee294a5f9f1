// Line charts of the last minutes, drawn on a canvas once a second.
import { el } from "./dom.js";
import { clock } from "./format.js";

const PAD = { right: 6, top: 8, bottom: 20 };
const SHORTEST = 60; // seconds: a server that has just begun is not shown as a line at the edge

// A Chart shows some columns of the past over time.
export class Chart {
  #canvas = el("canvas", { "aria-hidden": "true" });
  #tip = el("div", { class: "tip", hidden: true });
  #plot = el("div", { class: "plot" }, this.#canvas, this.#tip);
  #values = [];
  #past = null;
  #seconds = 300;
  #pointer = null;
  #size = { width: 0, height: 0 };
  #observer = new ResizeObserver(() => this.#measure());

  constructor({ title, unit, lines, floor = 1, base = 10 }) {
    Object.assign(this, { title, unit, lines, floor, base });
    const legend = el("div", { class: "legend" });
    lines.forEach(([, name], i) => {
      const mark = el("i");
      mark.style.setProperty("--own", `var(--line-${i + 1})`);
      const value = el("b", {}, "–");
      this.#values.push(value);
      legend.append(el("span", {}, mark, name, " ", value));
    });
    this.node = el("figure", { class: "chart" }, el("figcaption", {}, el("h2", {}, title), legend), this.#plot);
    this.#plot.addEventListener("pointermove", (event) => this.#point(event.offsetX));
    this.#plot.addEventListener("pointerleave", () => this.#point(null));
    this.#observer.observe(this.#plot);
  }

  end() {
    this.#observer.disconnect();
  }

  // draw shows the last seconds of the past.
  draw(past, seconds) {
    this.#past = past;
    this.#seconds = seconds;
    this.lines.forEach(([column], i) => {
      const all = past.columns[column] ?? [];
      this.#values[i].textContent = all.length ? this.unit(all[all.length - 1]) : "–";
    });
    this.#paint();
  }

  #measure() {
    const { width, height } = this.#plot.getBoundingClientRect();
    const scale = window.devicePixelRatio || 1;
    this.#size = { width, height };
    this.#canvas.width = Math.round(width * scale);
    this.#canvas.height = Math.round(height * scale);
    this.#canvas.getContext("2d").setTransform(scale, 0, 0, scale, 0, 0);
    this.#paint();
  }

  #paint() {
    const { width, height } = this.#size;
    if (!this.#past || width < 80) return;
    const context = this.#canvas.getContext("2d");
    const style = getComputedStyle(this.#plot);
    const color = (name) => style.getPropertyValue(name);
    // light-dark() is resolved where a colour is used, not in a variable.
    const resolve = (name) => resolved(this.#plot, name, color(name));
    const now = this.#past.times[this.#past.times.length - 1] ?? Date.now();
    const seconds = Math.min(this.#seconds, Math.max(SHORTEST, (now - (this.#past.times[0] ?? now)) / 1000));
    const begin = now - seconds * 1000;
    const from = Math.max(0, this.#past.times.findIndex((t) => t >= begin));
    const top = this.#top(from);
    context.font = `11px ${style.fontFamily}`;
    const left = Math.max(34, ...[top / 2, top].map((v) => context.measureText(this.unit(v)).width + 10));
    const x = (t) => left + ((t - begin) / (seconds * 1000)) * (width - left - PAD.right);
    const y = (v) => height - PAD.bottom - (v / top) * (height - PAD.top - PAD.bottom);

    context.clearRect(0, 0, width, height);
    context.textBaseline = "middle";
    context.lineWidth = 1;
    for (const share of [0, 0.5, 1]) {
      const at = Math.round(y(top * share)) + 0.5;
      context.strokeStyle = resolve("--line");
      context.beginPath();
      context.moveTo(left, at);
      context.lineTo(width - PAD.right, at);
      context.stroke();
      context.fillStyle = resolve("--ink-3");
      context.textAlign = "right";
      context.fillText(share === 0 ? "0" : this.unit(top * share), left - 8, at);
    }
    context.textAlign = "center";
    const step = seconds <= 120 ? 15 : seconds <= 330 ? 60 : 120;
    for (let t = Math.ceil(begin / (step * 1000)) * step * 1000; t <= now; t += step * 1000) {
      if (x(t) < left + 18 || x(t) > width - 24) continue;
      context.fillText(clock(t).slice(0, step < 60 ? 8 : 5), x(t), height - 8);
    }
    this.lines.forEach(([column], i) => this.#line(context, { column, i, from, x, y, height, color: resolve(`--line-${i + 1}`) }));
    this.#mark(context, { from, x, y, height, resolve });
  }

  // top is what the axis goes up to: a round number not much above the highest value.
  #top(from) {
    let most = this.floor;
    for (const [column] of this.lines) for (const v of (this.#past.columns[column] ?? []).slice(from)) if (v > most) most = v;
    const unit = this.base === 10 ? 1 : this.base ** Math.floor(Math.log(most) / Math.log(this.base));
    const power = unit * 10 ** Math.floor(Math.log10(most / unit));
    return [1, 2, 3, 4, 5, 6, 8, 10, 12].map((f) => f * power).find((v) => v >= most * 1.02) ?? most * 1.1;
  }

  #line(context, { column, i, from, x, y, height, color }) {
    const values = this.#past.columns[column] ?? [];
    if (values.length <= from) return;
    context.beginPath();
    for (let k = from; k < values.length; k++) context.lineTo(x(this.#past.times[k]), y(values[k]));
    context.strokeStyle = color;
    context.lineWidth = 1.75;
    context.lineJoin = "round";
    context.stroke();
    if (i > 0) return;
    context.lineTo(x(this.#past.times[values.length - 1]), height - PAD.bottom);
    context.lineTo(x(this.#past.times[from]), height - PAD.bottom);
    context.closePath();
    context.globalAlpha = 0.1;
    context.fillStyle = color;
    context.fill();
    context.globalAlpha = 1;
  }

  #point(at) {
    this.#pointer = at;
    if (at === null) this.#tip.hidden = true;
    this.#paint();
  }

  // mark shows the values under the pointer.
  #mark(context, { from, x, y, height, resolve }) {
    if (this.#pointer === null) return;
    const times = this.#past.times;
    let nearest = -1;
    for (let k = from; k < times.length; k++) if (nearest < 0 || Math.abs(x(times[k]) - this.#pointer) < Math.abs(x(times[nearest]) - this.#pointer)) nearest = k;
    if (nearest < 0) return;
    const at = Math.round(x(times[nearest])) + 0.5;
    context.strokeStyle = resolve("--ink-3");
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(at, PAD.top);
    context.lineTo(at, height - PAD.bottom);
    context.stroke();
    const rows = [el("div", {}, clock(times[nearest]))];
    this.lines.forEach(([column, name], i) => {
      const v = this.#past.columns[column]?.[nearest] ?? 0;
      context.fillStyle = resolve(`--line-${i + 1}`);
      context.beginPath();
      context.arc(at, y(v), 3, 0, 7);
      context.fill();
      rows.push(el("div", {}, `${name} `, el("b", {}, this.unit(v))));
    });
    this.#tip.replaceChildren(...rows);
    this.#tip.hidden = false;
    const right = at > this.#size.width / 2;
    this.#tip.style.left = right ? "" : `${at + 10}px`;
    this.#tip.style.right = right ? `${this.#size.width - at + 10}px` : "";
  }
}

const probe = el("span", { hidden: true });
const known = new Map();

// resolved is the colour that a variable stands for in the present scheme.
function resolved(near, name, text) {
  const scheme = `${document.documentElement.dataset.theme ?? ""}${matchMedia("(prefers-color-scheme: dark)").matches} ${name}`;
  if (!known.has(scheme)) {
    near.append(probe);
    probe.style.color = text;
    known.set(scheme, getComputedStyle(probe).color);
    probe.remove();
  }
  return known.get(scheme);
}
