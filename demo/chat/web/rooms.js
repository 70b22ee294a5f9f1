// The rooms beside the conversation, and its head.
import { byID, el, keyed, setText, icon } from "./dom.js";
import { plural } from "./text.js";

export class Rooms {
  // open(name) shows a room, joining it first if need be.
  constructor(store, open) {
    this.store = store;
    const build = (item) => this.#build(item, open);
    this.#mine = keyed(byID("room-mine"), build, update);
    this.#others = keyed(byID("room-others"), build, update);
  }

  #mine;
  #others;

  render() {
    const { active } = this.store;
    this.#mine(this.store.mine.map((room) => ({ key: room.name, room, active: room.name === active, preview: preview(room, this.store) })));
    const others = this.store.others;
    this.#others(others.map((room) => ({ key: room.name, room, active: false, preview: room.count === 0 ? "Nobody inside" : plural(room.count, "person", "people") })));
    byID("room-others-box").hidden = others.length === 0;
    this.#head();
  }

  #head() {
    const room = this.store.current;
    if (!room) return;
    setText(byID("room-title"), room.name);
    setText(byID("room-sub"), room.known ? plural(room.members.size, "person here", "people here") : "Opening…");
    const button = byID("open-people");
    setText(button.querySelector("span") ?? button.appendChild(el("span")), room.members.size.toLocaleString());
    button.setAttribute("aria-label", `People in ${room.name}: ${room.members.size}`);
    setText(byID("leave-room"), `Leave ${room.name}`);
    byID("leave-room").disabled = this.store.mine.length < 2;
    const unread = this.store.unread - room.unread;
    byID("open-rooms").classList.toggle("news", unread > 0);
    byID("open-rooms").setAttribute("aria-label", unread > 0 ? `Rooms, ${unread} unread` : "Rooms");
  }

  #build(item, open) {
    const button = el("button", { type: "button", class: "room", onclick: () => open(item.key) },
      el("span", { class: "room-sign", "aria-hidden": "true" }, "#"),
      el("span", { class: "room-text" }, el("bdi", { class: "room-label" }, item.key), el("bdi", { class: "room-preview" })),
      el("span", { class: "badge", hidden: true }, el("span"), el("span", { class: "hidden" }, " unread")));
    return el("li", {}, button);
  }
}

function update(node, { room, active, preview }) {
  const button = node.firstChild;
  button.classList.toggle("unread", room.unread > 0);
  if (active) button.setAttribute("aria-current", "true");
  else button.removeAttribute("aria-current");
  setText(button.querySelector(".room-preview"), preview);
  const badge = button.querySelector(".badge");
  badge.hidden = room.unread === 0;
  setText(badge.firstChild, room.unread > 99 ? "99+" : String(room.unread));
}

function preview(room, store) {
  const typing = [...room.typing.values()];
  if (typing.length > 0) return `${typing[0].name} is typing…`;
  const last = room.last;
  if (!last) return room.known ? "No messages yet" : "…";
  const text = last.text.replace(/\s+/gu, " ").slice(0, 80);
  return `${store.isMine(last) ? "You" : last.from.name}: ${text}`;
}

export const drawings = () => {
  byID("open-rooms").append(icon("menu"));
  byID("open-people").prepend(icon("people"));
  byID("new-room").append(icon("plus"));
  byID("open-settings").append(icon("gear"));
  byID("send").append(icon("send"));
  for (const button of document.querySelectorAll("button.icon:empty")) button.append(icon("close"));
};
