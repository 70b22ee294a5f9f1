// Drawers, dialogs, toasts and the banner: what opens, closes and speaks up around the conversation.
import { byID, el, icon, setText } from "./dom.js";

// Drawer is a side panel that lies over the page when there is no room beside it. Closed, it is inert; open, it holds the
// focus until Esc, the scrim or its own button closes it and the focus goes back to where it came from.
export class Drawer {
  static #all = [];

  // narrow: the media query under which the panel is a drawer.
  constructor(panel, opener, narrow) {
    this.panel = panel;
    this.opener = opener;
    this.media = matchMedia(narrow);
    this.isOpen = false;
    opener.addEventListener("click", () => (this.isOpen ? this.close() : this.open()));
    panel.querySelector("[data-close]").addEventListener("click", () => this.close());
    this.media.addEventListener("change", () => this.#apply());
    Drawer.#all.push(this);
    this.#apply();
  }

  open() {
    for (const other of Drawer.#all) other.close(false);
    this.isOpen = true;
    this.#apply();
    (this.panel.querySelector("[aria-current]") ?? this.panel.querySelector("button")).focus();
  }

  close(refocus = true) {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#apply();
    if (refocus) this.opener.focus();
  }

  #apply() {
    const drawer = this.media.matches;
    if (!drawer) this.isOpen = false;
    this.panel.inert = drawer && !this.isOpen;
    this.panel.classList.toggle("open", this.isOpen);
    this.opener.setAttribute("aria-expanded", String(this.isOpen));
    const any = Drawer.#all.some((one) => one.isOpen);
    byID("scrim").hidden = !any;
    byID("conversation").inert = any;
  }

  static closeAll(refocus = true) {
    const open = Drawer.#all.filter((one) => one.isOpen);
    for (const one of open) one.close(refocus);
    return open.length > 0;
  }
}

// sheet prepares a <dialog>: its dismissing buttons, and a click beside it.
export function sheet(dialog) {
  for (const button of dialog.querySelectorAll("[data-dismiss]")) button.addEventListener("click", () => dialog.close());
  dialog.addEventListener("pointerdown", (event) => {
    if (event.target === dialog) dialog.close();
  });
  return dialog;
}

const TOAST_FOR = 7000; // milliseconds

// toast says something that went wrong, for a while. The same words are not stacked.
export function toast(words) {
  const box = byID("toasts");
  for (const old of box.children) if (old.firstChild.textContent === words) old.remove();
  const note = el("div", { class: "toast", role: "alert" }, el("span", {}, words));
  const gone = () => note.remove();
  note.append(el("button", { type: "button", class: "icon small", "aria-label": "Dismiss", onclick: gone }, icon("close")));
  box.append(note);
  while (box.children.length > 3) box.firstChild.remove();
  setTimeout(gone, TOAST_FOR);
}

export const announce = (words) => setText(byID("announcer"), words);

const BACK_FOR = 2500; // milliseconds "Back in step" stays

// Banner tells about the connection above the conversation, in words.
export class Banner {
  #box = byID("banner");
  #away = false;
  #timer = 0;

  constructor(retry) {
    byID("retry-now").addEventListener("click", retry);
  }

  render(wire, waiting) {
    const { state, attempt } = wire;
    if (state === "up") return this.#back();
    if (state === "idle") return this.#hide();
    clearTimeout(this.#timer);
    this.#away = state !== "connecting";
    const queued = waiting > 0 ? ` ${waiting === 1 ? "Your message waits" : `${waiting} messages wait`} here until then.` : "";
    const words = {
      offline: `You are offline. The chat comes back with your network.${queued}`,
      connecting: "Connecting…",
      down: `${attempt > 1 ? `Reconnecting, attempt ${attempt}…` : "Connection lost. Reconnecting…"}${queued}`,
    }[state];
    this.#show(state, words, state !== "connecting");
  }

  #back() {
    if (!this.#away) return this.#box.dataset.state !== "up" && this.#hide();
    this.#away = false;
    this.#show("up", "Back in step", false);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#hide(), BACK_FOR);
  }

  #hide() {
    this.#box.hidden = true;
  }

  #show(state, words, retry) {
    this.#box.dataset.state = state;
    this.#box.hidden = false;
    setText(this.#box.querySelector(".banner-text"), words);
    byID("retry-now").hidden = !retry;
  }
}
