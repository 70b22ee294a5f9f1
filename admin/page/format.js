// Numbers, times and sizes as people read them.

const whole = new Intl.NumberFormat("en");

const short = (n, digits) => String(Number(n.toFixed(digits)));

// count is 12, 1,234, 12.3k, 100k, 1.2M.
export function count(n) {
  if (n >= 1e6) return `${short(n / 1e6, n >= 1e7 ? 1 : 2)}M`;
  if (n >= 1e4) return `${short(n / 1e3, 1)}k`;
  return whole.format(Math.round(n));
}

// exact is 100,000.
export const exact = (n) => whole.format(n);

// rate is a count that may be small.
export function rate(n) {
  if (n > 0 && n < 10) return n < 0.1 ? "<0.1" : n.toFixed(1).replace(/\.0$/, "");
  return count(n);
}

export function bytes(n) {
  for (const [unit, size] of [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]]) {
    if (n >= size) return `${(n / size).toFixed(n / size >= 100 ? 0 : 1)} ${unit}`;
  }
  return `${Math.round(n)} B`;
}

// millis is a time that was measured in milliseconds.
export function millis(n) {
  if (n === 0) return "–";
  if (n < 1) return `${Math.round(n * 1000)} µs`;
  if (n < 10) return `${n.toFixed(1)} ms`;
  if (n < 1000) return `${Math.round(n)} ms`;
  return `${(n / 1000).toFixed(1)} s`;
}

// ago is how long something has been: 12 s, 4 min, 3 h 20 min, 2 d.
export function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  const m = Math.floor(s / 60);
  if (m < 60) return `${m} min`;
  const h = Math.floor(m / 60);
  if (h < 48) return m % 60 && h < 10 ? `${h} h ${m % 60} min` : `${h} h`;
  return `${Math.floor(h / 24)} d`;
}

export const since = (date) => span((Date.now() - new Date(date)) / 1000);

const clockFormat = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const dayFormat = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });
export const clock = (date) => clockFormat.format(new Date(date));
export const day = (date) => dayFormat.format(new Date(date));
export const plural = (n, thing) => `${exact(n)} ${thing}${n === 1 ? "" : "s"}`;
