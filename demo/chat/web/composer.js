// The box one writes in.
import { byID, setText } from "./dom.js";
import { runes, TEXT_LIMIT } from "./text.js";

const TELL_EVERY = 2500; // milliseconds between two "is typing"
const STILL_AFTER = 4000; // milliseconds without a key that end it
const WARN_BELOW = 400; // characters left when the counter appears

export class Composer {
  #form = byID("composer");
  #draft = byID("draft");
  #told = 0;
  #still = 0;
  #typingIn = "";
  #shown = "";

  // actions: send(room, text), typing(room, boolean).
  constructor(store, actions) {
    this.store = store;
    this.actions = actions;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    this.#draft.addEventListener("keydown", (event) => this.#key(event));
    this.#draft.addEventListener("input", () => this.#input());
    this.#draft.addEventListener("blur", () => this.#stop());
  }

  focus() {
    this.#draft.focus({ preventScroll: true });
  }

  render() {
    const room = this.store.current;
    if (!room || room.name === this.#shown) return;
    this.#stop();
    this.#shown = room.name;
    this.#draft.value = room.draft;
    this.#draft.placeholder = `Message ${room.name}`;
    setText(byID("draft-label"), `Message to ${room.name}`);
    this.#measure();
  }

  // A key that belongs to an input method (composing a Japanese word, say) is not ours, Enter least of all.
  #key(event) {
    if (event.key !== "Enter" || event.shiftKey || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    this.#send();
  }

  #send() {
    const text = this.#draft.value.trim();
    const room = this.store.current;
    if (!text || !room || runes(text) > TEXT_LIMIT) return;
    this.#draft.value = "";
    this.store.keepDraft(room, "");
    this.#stop();
    this.#measure();
    this.actions.send(room, text);
    this.focus();
  }

  #input() {
    const room = this.store.current;
    if (!room) return;
    this.store.keepDraft(room, this.#draft.value);
    this.#measure();
    if (this.#draft.value.trim() === "") return this.#stop();
    clearTimeout(this.#still);
    this.#still = setTimeout(() => this.#stop(), STILL_AFTER);
    if (Date.now() - this.#told < TELL_EVERY) return;
    this.#told = Date.now();
    this.#typingIn = room.name;
    this.actions.typing(room.name, true);
  }

  #stop() {
    clearTimeout(this.#still);
    this.#told = 0;
    if (this.#typingIn) this.actions.typing(this.#typingIn, false);
    this.#typingIn = "";
  }

  // #measure grows the box with its text (CSS sets the most), and counts when the end is near.
  #measure() {
    const box = this.#draft;
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight}px`;
    const length = runes(box.value.trim());
    const left = TEXT_LIMIT - length;
    byID("send").disabled = length === 0 || left < 0;
    byID("draft-count").classList.toggle("over", left < 0);
    const words = left < 0 ? `${(-left).toLocaleString()} too many` : `${left.toLocaleString()} left`;
    setText(byID("draft-count"), left < WARN_BELOW ? words : "");
  }
}
