// The dialogs: what is sent, moved, ended, and the keys.
import { change, state } from "./app.js";
import { post } from "./api.js";
import { el, toast } from "./dom.js";
import { plural } from "./format.js";

// dialog asks for something. act returns what to say when it is done; its errors are shown and the dialog stays.
function dialog(title, fields, { word, danger = false, act }) {
  const error = el("p", { class: "error", role: "alert" });
  const send = el("button", { class: `button primary${danger ? " danger" : ""}`, type: "submit" }, word);
  const node = el("dialog", { "aria-labelledby": "dialog-title", onclose: () => node.remove() }, el("form", {
    method: "dialog",
    onsubmit: async (event) => {
      event.preventDefault();
      send.disabled = true;
      error.textContent = "";
      try {
        const said = await act();
        node.close();
        toast(said);
      } catch (err) {
        error.textContent = err.message;
      } finally {
        send.disabled = false;
      }
    },
  }, el("h2", { id: "dialog-title" }, title), ...fields, error,
  el("div", { class: "ends" }, el("button", { class: "button", type: "button", onclick: () => node.close() }, "Cancel"), send)));
  document.body.append(node);
  node.showModal();
  return node;
}

const field = (word, input, note) => el("label", { class: "field" }, el("span", {}, word), input, note ? el("small", {}, note) : null);
const words = (text) => text.split(/[\s,]+/).filter(Boolean);

export function sendDialog({ namespace, room, what }) {
  const event = el("input", { type: "text", value: "message", required: true, spellcheck: "false", autocomplete: "off" });
  const data = el("textarea", { rows: "5", spellcheck: "false" }, "{}");
  const node = dialog(`Send to ${what}`, [
    field("Event", event),
    field("Data", data, "One JSON value. Leave it empty to send the event alone."),
  ], {
    word: "Send",
    async act() {
      const body = { namespace, rooms: [room], event: event.value };
      if (data.value.trim()) {
        try {
          body.data = JSON.parse(data.value);
        } catch (err) {
          throw new Error(`The data is no JSON: ${err.message}`);
        }
      }
      const { members } = await post("/api/publish", body);
      return `Sent to ${plural(members, "member")}.`;
    },
  });
  event.select();
  node.addEventListener("keydown", (e) => { if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) node.querySelector("form").requestSubmit(); });
}

export function moveDialog({ what, ...whom }) {
  const join = el("input", { type: "text", spellcheck: "false", autocomplete: "off" });
  const leave = el("input", { type: "text", spellcheck: "false", autocomplete: "off", value: whom.room ?? "" });
  dialog(`Move ${what}`, [
    field("Into rooms", join, "Several with spaces between."),
    field("Out of rooms", leave),
  ], {
    word: "Move",
    async act() {
      const { sockets } = await post("/api/move", { ...whom, join: words(join.value), leave: words(leave.value) });
      return `Moved ${plural(sockets, "socket")}.`;
    },
  });
  join.focus();
}

export function confirmDisconnect(whom, title, means) {
  const reason = el("input", { type: "text", autocomplete: "off", placeholder: "for the audit log" });
  const revoke = el("input", { type: "checkbox", id: "revoke" });
  dialog(title, [el("p", { class: "quiet" }, means), field("Why", reason),
    whom.user ? el("div", { class: "check" }, revoke, el("label", { for: "revoke" }, "Revoke what was issued to this user up to now")) : null], {
    word: "Disconnect", danger: true,
    async act() {
      const { sockets, silent } = await post("/api/disconnect", { ...whom, reason: reason.value, revoke: revoke.checked });
      if (whom.socket) change({ open: "" });
      if (silent) toast(`No answer from ${plural(silent.length, "node")}: try again.`, true);
      return `Disconnected ${plural(sockets, "socket")}.`;
    },
  });
  reason.focus();
}

// confirmDrain wants the name of the server typed: it is the one thing here that cannot be taken back. Nodes on one machine have
// one name: of another node it is the address.
export function confirmDrain({ id = "", self = true, address = "", sessions = state.stats?.connections ?? 0 } = {}) {
  const called = self ? state.me.node : address;
  const name = el("input", { type: "text", autocomplete: "off", spellcheck: "false", required: true });
  dialog(self ? "Drain and end this server?" : `Drain and end ${address}?`, [
    el("p", { class: "quiet" }, `It takes no new clients, tells ${plural(sessions, "session")} to go elsewhere, and ends.`),
    field(`To be sure, type its ${self ? "name" : "address"}: ${called}`, name),
  ], {
    word: "Drain", danger: true,
    async act() {
      if (name.value !== called) throw new Error(`That is not its ${self ? "name" : "address"}.`);
      await post("/api/drain", self ? {} : { node: id });
      return "It drains.";
    },
  });
  name.focus();
}

export async function reloadSettings() {
  try {
    const { applied, restart } = await post("/api/reload");
    toast([...applied.map((a) => `Applied ${a}.`), ...restart.map((r) => `Needs a new start: ${r}.`)].join(" ") || "Nothing has changed.");
  } catch (err) {
    toast(err.message, true);
  }
}

const KEYS = [
  ["/", "search"], ["1 – 7", "the views"], ["↓ ↑", "the rows of a list"], ["Enter", "look into the row"], ["→ ←", "the next page, the one before"],
  ["Esc", "close what is open"], ["s m d", "send, move, disconnect what is open"], ["p", "pause what is followed live"], ["t", "light, dark, or as the system"], ["?", "this"],
];

export function helpDialog() {
  const node = el("dialog", { "aria-labelledby": "dialog-title", onclose: () => node.remove() }, el("form", { method: "dialog" },
    el("h2", { id: "dialog-title" }, "Keys"),
    el("dl", { class: "keys" }, KEYS.flatMap(([keys, does]) => [
      el("dt", {}, keys.split(" ").flatMap((k, i) => [i ? " " : "", k === "–" ? "–" : el("kbd", {}, k)])), el("dd", {}, does)])),
    el("div", { class: "ends" }, el("button", { class: "button", type: "submit", autofocus: true }, "Close"))));
  document.body.append(node);
  node.showModal();
}
