// Small tools for making and keeping DOM nodes. Everything a person wrote goes in as text: this page never parses markup.

const SVG = "http://www.w3.org/2000/svg";

// The drawings, on a 24×24 grid, as stroked paths.
const DRAWINGS = {
  check: ["M5 12.5l4.5 4.5L19 7.5"],
  clock: ["M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17z", "M12 8v4.2l2.8 1.8"],
  close: ["M6 6l12 12", "M18 6L6 18"],
  down: ["M12 5v14", "M6 13l6 6 6-6"],
  gear: ["M4 8h9", "M17 8h3", "M4 16h3", "M11 16h9", "M15 6a2 2 0 1 0 0 4 2 2 0 0 0 0-4z", "M9 14a2 2 0 1 0 0 4 2 2 0 0 0 0-4z"],
  menu: ["M4 7h16", "M4 12h16", "M4 17h10"],
  people: ["M9 5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7z", "M2.5 20c.3-3.6 2.9-5.5 6.5-5.5s6.2 1.9 6.5 5.5", "M16 5.3a3.4 3.4 0 0 1 0 6.4", "M18 14.8c2 .8 3.3 2.5 3.5 5.2"],
  plus: ["M12 5v14", "M5 12h14"],
  send: ["M12 19V6", "M6 11.5L12 5.5l6 6"],
  warning: ["M12 4.5l8.5 15h-17z", "M12 10v4.5", "M12 17.2v.1"],
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

// el makes an element. Properties that start with "on" are listeners, "class" is the class, the others are attributes
// (false and null leave an attribute out). Children that are strings become text nodes.
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export const byID = (id) => document.getElementById(id);

// setText writes only if something changed, so that a live region is not told the same twice.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// keyed keeps the children of parent in step with a list of items ({key, …}): nodes are built once, updated in place
// and moved, never rebuilt. Focus survives, and a live region announces only what is new.
export function keyed(parent, build, update) {
  let nodes = new Map();
  return (items) => {
    const next = new Map();
    for (const item of items) {
      const node = nodes.get(item.key) ?? build(item);
      next.set(item.key, node);
      update(node, item);
    }
    for (const [key, node] of nodes) if (next.get(key) !== node) node.remove();
    let cursor = parent.firstChild;
    for (const node of next.values()) {
      if (node === cursor) cursor = cursor.nextSibling;
      else parent.insertBefore(node, cursor);
    }
    nodes = next;
  };
}
