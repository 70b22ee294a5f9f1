// Small tools for making DOM nodes. What peers chose goes in as text: this page never parses markup.

const SVG = "http://www.w3.org/2000/svg";

const circle = (x, y, r) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`;

// The drawings, on a 24×24 grid, as stroked paths.
const DRAWINGS = {
  overview: ["M3.5 13.5h4l2.5-7 4 12 2.5-7h4"],
  sockets: ["M9 4v4", "M15 4v4", "M6.5 8h11v3.5a5.5 5.5 0 0 1-11 0z", "M12 17v4"],
  rooms: ["M9.5 4L7.5 20", "M16.5 4l-2 16", "M4.5 9h16", "M3.5 15h16"],
  users: [circle(9, 8.5, 3.5), "M2.5 20c.3-3.6 2.9-5.5 6.5-5.5s6.2 1.9 6.5 5.5", "M16 5.3a3.4 3.4 0 0 1 0 6.4", "M18 14.8c2 .8 3.3 2.5 3.5 5.2"],
  limits: ["M4.5 18a9 9 0 1 1 15 0", "M12 14.5l4-5.5", circle(12, 15, 1)],
  audit: ["M7 3.5h7l4 4v13H7z", "M10 11.5h5", "M10 15.5h5"],
  nodes: [circle(12, 5, 2), circle(5, 18.5, 2), circle(19, 18.5, 2), "M11 7L6.2 16.7", "M13 7l4.8 9.7", "M7 18.5h10"],
  search: [circle(10.5, 10.5, 6), "M15 15l5 5"],
  close: ["M6 6l12 12", "M18 6L6 18"],
  sun: [circle(12, 12, 4), "M12 3v2", "M12 19v2", "M3 12h2", "M19 12h2", "M5.6 5.6L7 7", "M17 17l1.4 1.4", "M5.6 18.4L7 17", "M17 7l1.4-1.4"],
  moon: ["M19.5 14A8 8 0 0 1 10 4.5a8 8 0 1 0 9.5 9.5z"],
  auto: [circle(12, 12, 8), "M12 4v16", "M12 8h5.5", "M12 12h8", "M12 16h5.5"],
  keys: ["M3.5 6.5h17v11h-17z", "M7 10h.1", "M10.4 10h.1", "M13.7 10h.1", "M17 10h.1", "M8 14h8"],
  leave: ["M14 5H6v14h8", "M11 12h9", "M17 8.5l3.5 3.5-3.5 3.5"],
  send: ["M20 4L3.5 10.5l6.5 3 3 6.5z", "M10 13.5l4-4"],
  move: ["M4 8h13", "M13.5 4.5L17 8l-3.5 3.5", "M20 16H7", "M10.5 12.5L7 16l3.5 3.5"],
  cut: ["M12 3.5v8", "M7 6.8a7.5 7.5 0 1 0 10 0"],
  drain: ["M4 5h16l-6.5 8v6l-3 1.5V13z"],
  warning: ["M12 4.5l8.5 15h-17z", "M12 10v4.5", "M12 17.2v.1"],
  reload: ["M19.5 12a7.5 7.5 0 1 1-2.2-5.3", "M19.5 3.5v4h-4"],
};

// icon draws one of DRAWINGS. It says nothing to a screen reader: the control around it carries the label.
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "drawing");
  for (const d of DRAWINGS[name]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

// What would change how text around it reads: control characters but for line ends, and marks that turn its direction.
const UNSEEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

// visible shows them as what they are: what peers chose could pass for something else.
export const visible = (text) => text.replace(UNSEEN, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);

const readable = (child) => (typeof child === "string" ? visible(child) : child);

// el makes an element. Properties that start with "on" are listeners, "class" is the class, the others are attributes
// (false and null leave an attribute out). Children that are strings become text nodes; null and false are left out.
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false).map(readable));
  return node;
}

// button makes a button with a drawing and a word.
export function button(word, drawing, onclick, properties = {}) {
  return el("button", { type: "button", ...properties, class: `button ${properties.class ?? ""}`, onclick }, drawing ? icon(drawing) : null, word);
}

// replace puts nodes into another in the place of what it has.
export function replace(node, ...children) {
  node.replaceChildren(...children.flat().filter((c) => c !== null && c !== undefined && c !== false).map(readable));
}

// toast says something for a moment.
export function toast(text, bad = false) {
  const node = el("div", { class: bad ? "toast bad" : "toast" }, text);
  document.getElementById("toasts").append(node);
  setTimeout(() => node.remove(), bad ? 8000 : 4000);
}

// tabs makes buttons of which one is chosen.
export function segments(label, options, chosen, onchange) {
  const group = el("div", { class: "segments", role: "group", "aria-label": label });
  for (const [value, word] of options) {
    group.append(el("button", {
      type: "button", "aria-pressed": String(value === chosen),
      onclick: (event) => {
        for (const other of group.children) other.setAttribute("aria-pressed", String(other === event.currentTarget));
        onchange(value);
      },
    }, word));
  }
  return group;
}
