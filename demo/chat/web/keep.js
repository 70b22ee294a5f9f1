// What the browser remembers: localStorage for good, sessionStorage for this tab. Both may be switched off; then nothing is kept.

const PREFIX = "tutti.chat.";

function read(area, key) {
  try {
    return JSON.parse(window[area].getItem(PREFIX + key));
  } catch {
    return null;
  }
}

function write(area, key, value) {
  try {
    if (value === null) window[area].removeItem(PREFIX + key);
    else window[area].setItem(PREFIX + key, JSON.stringify(value));
  } catch {
    // Full or forbidden: the chat works without.
  }
}

export const lasting = { read: (key) => read("localStorage", key), write: (key, value) => write("localStorage", key, value) };
export const tab = { read: (key) => read("sessionStorage", key), write: (key, value) => write("sessionStorage", key, value) };

// The theme is read before anything else by theme.js, as plain text.
export const theme = {
  read() {
    try {
      return localStorage.getItem(PREFIX + "theme") ?? "system";
    } catch {
      return "system";
    }
  },
  write(choice) {
    if (choice === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = choice;
    try {
      if (choice === "system") localStorage.removeItem(PREFIX + "theme");
      else localStorage.setItem(PREFIX + "theme", choice);
    } catch {
      // It holds until the page is closed.
    }
  },
};

const MOST_KEYS = 20;

// keyFor gives the secret behind a name in this browser, making one when needed. The server derives from it who somebody
// is, so that a person stays the same person through reloads, reconnections and several tabs, and under a new name.
export function keyFor(name) {
  const keys = lasting.read("keys") ?? {};
  const own = name.toLowerCase();
  const key = typeof keys[own] === "string" ? keys[own] : randomKey();
  delete keys[own];
  const kept = Object.entries(keys).slice(-(MOST_KEYS - 1));
  lasting.write("keys", { ...Object.fromEntries(kept), [own]: key });
  return key;
}

export function moveKey(from, to, key) {
  const keys = lasting.read("keys") ?? {};
  delete keys[from.toLowerCase()];
  lasting.write("keys", { ...keys, [to.toLowerCase()]: key });
}

// randomKey works outside secure contexts too (http:// on a local network), where crypto.randomUUID does not exist.
export function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
