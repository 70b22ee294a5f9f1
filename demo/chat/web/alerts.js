// What reaches a person who looks elsewhere: the title, the icon of the tab, a sound, a notification. Sound and
// notifications are off until a click asks for them.
import { lasting } from "./keep.js";

export class Alerts {
  #audio = null;
  #rang = 0;
  sound = lasting.read("sound") === true;
  notify = lasting.read("notify") === true && "Notification" in window && Notification.permission === "granted";

  // show(room) is called when a notification is clicked.
  constructor(show) {
    this.show = show;
    // A browser lets a page sound only after a gesture. If sound was chosen on an earlier visit, the first one will do.
    if (this.sound) window.addEventListener("pointerdown", () => this.#wake(), { once: true });
    if (this.sound) window.addEventListener("keydown", () => this.#wake(), { once: true });
  }

  setSound(on) {
    this.sound = on;
    lasting.write("sound", on);
    if (on) this.#wake().then(() => this.#ring());
  }

  // setNotify asks the browser for permission if it has to. It gives what the person should know, or "".
  async setNotify(on) {
    if (on && !("Notification" in window)) return "This browser has no notifications";
    if (on && Notification.permission !== "granted") {
      const answer = await Notification.requestPermission();
      if (answer !== "granted") return answer === "denied" ? "Blocked in the browser's settings for this page" : "Not allowed yet";
    }
    this.notify = on;
    lasting.write("notify", on);
    return "";
  }

  // message is told of every message from somebody else. away: the person does not see it arrive.
  message(message, away) {
    if (!away) return;
    if (this.sound) this.#ring();
    if (this.notify && document.visibilityState === "hidden") this.#notification(message);
  }

  #notification(message) {
    try {
      const note = new Notification(`${message.from.name} in ${message.room}`, { body: message.text.slice(0, 200), tag: `tutti-chat-${message.room}`, icon: "favicon.svg" });
      note.addEventListener("click", () => {
        window.focus();
        this.show(message.room);
        note.close();
      });
    } catch {
      this.notify = false; // some phones have the constructor and refuse it
    }
  }

  async #wake() {
    const Context = window.AudioContext;
    if (!Context) return;
    this.#audio ??= new Context();
    await this.#audio.resume().catch(() => {});
  }

  // #ring plays two soft notes, a fourth apart, at most once in two seconds.
  #ring() {
    const audio = this.#audio;
    if (!audio || audio.state !== "running" || Date.now() - this.#rang < 2000) return;
    this.#rang = Date.now();
    for (const [start, pitch] of [[0, 587.33], [0.11, 783.99]]) {
      const at = audio.currentTime + start;
      const tone = new OscillatorNode(audio, { type: "sine", frequency: pitch });
      const volume = new GainNode(audio, { gain: 0 });
      volume.gain.setValueAtTime(0, at);
      volume.gain.linearRampToValueAtTime(0.08, at + 0.015);
      volume.gain.exponentialRampToValueAtTime(0.0001, at + 0.5);
      tone.connect(volume).connect(audio.destination);
      tone.start(at);
      tone.stop(at + 0.55);
    }
  }
}

// title shows the unread count where a tab shows it.
export function title(room, unread) {
  const words = `${unread > 0 ? `(${unread > 99 ? "99+" : unread}) ` : ""}${room ? `${room} · ` : ""}Tutti chat`;
  if (document.title !== words) document.title = words;
  const icon = document.querySelector('link[rel="icon"]');
  const file = unread > 0 ? "favicon-unread.svg" : "favicon.svg";
  if (icon.getAttribute("href") !== file) icon.setAttribute("href", file);
}
