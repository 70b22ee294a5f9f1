// Who is in the room.
import { byID, el, keyed, setText } from "./dom.js";
import { avatar, paint } from "./text.js";

const collator = new Intl.Collator(undefined, { numeric: true });
const MOST_SHOWN = 200;

export class People {
  constructor(store) {
    this.store = store;
    this.#draw = keyed(byID("people-list"), build, update);
  }

  #draw;

  render() {
    const room = this.store.current;
    if (!room) return;
    const me = this.store.me?.id;
    const everyone = [...room.members.values()].sort((a, b) => (b.id === me) - (a.id === me) || collator.compare(a.name, b.name));
    const items = everyone.slice(0, MOST_SHOWN).map((person) => ({ key: person.id, person, me: person.id === me, typing: room.typing.has(person.id) }));
    if (everyone.length > MOST_SHOWN) items.push({ key: "more", more: everyone.length - MOST_SHOWN });
    this.#draw(items);
    byID("alone").hidden = !room.known || everyone.length > 1;
  }
}

function build(item) {
  if (item.more) return el("li", { class: "quiet more" });
  return el("li", { class: "person" },
    el("span", { class: "here" }, avatar(item.person)),
    el("bdi", { class: "person-name" }),
    el("span", { class: "person-note" }));
}

function update(node, item) {
  if (item.more) return setText(node, `and ${item.more.toLocaleString()} more`);
  paint(node.querySelector(".avatar"), item.person);
  setText(node.querySelector(".person-name"), item.person.name);
  setText(node.querySelector(".person-note"), item.typing ? "typing…" : item.me ? "you" : "");
}
