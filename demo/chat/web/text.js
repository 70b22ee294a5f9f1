// What is made of words, names and times before they are shown.
import { el } from "./dom.js";

export const NAME_LIMIT = 32; // runes, as on the server
export const TEXT_LIMIT = 4000;
export const ROOM_PATTERN = /^(?=.{1,32}$)[a-z0-9]+(?:-[a-z0-9]+)*$/;

// runes counts as the server does: in code points, not in UTF-16 halves.
export const runes = (text) => [...text].length;

export const cleanName = (text) => text.replace(/\s+/gu, " ").trim();

// cleanRoom turns what a person types ("Late Rehearsals!") into the name of a room ("late-rehearsals").
export function cleanRoom(text) {
  const plain = text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  return plain.replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 32).replace(/-+$/, "");
}

const segmenter = typeof Intl.Segmenter === "function" ? new Intl.Segmenter() : null;

function firstLetter(word) {
  if (!segmenter) return [...word][0] ?? "";
  for (const { segment } of segmenter.segment(word)) return segment;
  return "";
}

// initials are the first letters of the first and the last word.
export function initials(name) {
  const words = cleanName(name).split(" ").filter(Boolean);
  if (words.length === 0) return "?";
  const letters = words.length === 1 ? [words[0]] : [words[0], words[words.length - 1]];
  return letters.map(firstLetter).join("").toUpperCase();
}

// hue picks one of twelve colours for a person (FNV-1a), the same on every screen.
export function hue(person) {
  let hash = 0x811c9dc5;
  for (const unit of person.id || person.name || "") {
    hash = Math.imul(hash ^ unit.codePointAt(0), 0x01000193) >>> 0;
  }
  return ((hash ^ (hash >>> 15)) >>> 0) % 12;
}

// paint makes node the avatar of a person. Only classes change: the page's policy allows no inline style.
export function paint(node, person) {
  const colour = `hue-${hue(person)}`;
  for (const name of [...node.classList]) if (name.startsWith("hue-") && name !== colour) node.classList.remove(name);
  node.classList.add(colour);
  node.classList.toggle("program", person.id === "");
  const letters = initials(person.name);
  if (node.textContent !== letters) node.textContent = letters;
}

export const avatar = (person, size = "") => {
  const node = el("span", { class: `avatar ${size}`, "aria-hidden": "true" });
  paint(node, person);
  return node;
};

const LINK = /\bhttps?:\/\/[^\s<>"'`]+/giu;

// withLinks gives text as nodes: text nodes, and anchors for what is plainly an http address.
export function withLinks(text) {
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(LINK)) {
    const address = trimAddress(match[0]);
    const url = URL.canParse(address) ? new URL(address) : null;
    if (!url || (url.protocol !== "https:" && url.protocol !== "http:")) continue;
    if (match.index > from) nodes.push(text.slice(from, match.index));
    nodes.push(el("a", { href: url.href, target: "_blank", rel: "noopener noreferrer nofollow ugc" }, address));
    from = match.index + address.length;
  }
  if (from < text.length) nodes.push(text.slice(from));
  return nodes;
}

// trimAddress gives back the punctuation that ends a sentence, and a bracket that was opened before the address.
function trimAddress(address) {
  let text = address.replace(/[.,;:!?…]+$/u, "");
  while (text.endsWith(")") && count(text, ")") > count(text, "(")) text = text.slice(0, -1).replace(/[.,;:!?…]+$/u, "");
  return text;
}

const count = (text, letter) => text.split(letter).length - 1;

// onlyEmoji: one to three emoji and nothing else are shown large.
export const onlyEmoji = (text) => text.length <= 40 && /^(?:\p{Extended_Pictographic}(?:\uFE0F|\p{Emoji_Modifier}|\u200D\p{Extended_Pictographic})*\s*){1,3}$/u.test(text);

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const dated = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long", year: "numeric" });

export const timeOf = (at) => clock.format(at);
export const momentOf = (at) => full.format(at);

export function dayKey(at) {
  const date = new Date(at);
  return `${date.getFullYear()}-${date.getMonth()}-${date.getDate()}`;
}

export function dayName(at, now = Date.now()) {
  if (dayKey(at) === dayKey(now)) return "Today";
  const yesterday = new Date(now);
  yesterday.setDate(yesterday.getDate() - 1);
  if (dayKey(at) === dayKey(yesterday)) return "Yesterday";
  return (new Date(at).getFullYear() === new Date(now).getFullYear() ? weekday : dated).format(at);
}

// together writes a list as a sentence does, and shortens a long one: "Ada, Ben and 3 others".
export function together(names, limit = 3) {
  const unique = [...new Set(names)];
  if (unique.length === 1) return unique[0];
  const shown = unique.length > limit ? unique.slice(0, limit - 1) : unique.slice(0, -1);
  const rest = unique.length - shown.length;
  return `${shown.join(", ")} and ${rest === 1 ? unique[unique.length - 1] : `${rest} others`}`;
}

export const plural = (count, one, many) => `${count.toLocaleString()} ${count === 1 ? one : many}`;
