// The settings, and the dialog for a new room.
import { byID, setText } from "./dom.js";
import { theme } from "./keep.js";
import { sheet } from "./panels.js";
import { cleanName, cleanRoom, NAME_LIMIT, ROOM_PATTERN, runes } from "./text.js";

// nameTrouble says what is wrong with a name, or "".
export function nameTrouble(name) {
  if (name === "") return "Please write a name.";
  if (runes(name) > NAME_LIMIT) return `A name has at most ${NAME_LIMIT} characters.`;
  return "";
}

// settings wires up the dialog. actions: rename(name) (a promise; its error is shown), signOut().
export function settings(store, alerts, actions) {
  const dialog = sheet(byID("settings"));
  byID("open-settings").addEventListener("click", () => {
    byID("new-name").value = store.me?.name ?? "";
    setText(byID("rename-error"), "");
    byID("sound").checked = alerts.sound;
    byID("notify").checked = alerts.notify;
    for (const radio of byID("themes").querySelectorAll("input")) radio.checked = radio.value === theme.read();
    dialog.showModal();
  });
  byID("themes").addEventListener("change", (event) => theme.write(event.target.value));
  byID("sound").addEventListener("change", (event) => alerts.setSound(event.target.checked));
  byID("notify").addEventListener("change", async (event) => {
    const trouble = await alerts.setNotify(event.target.checked);
    event.target.checked = alerts.notify;
    setText(byID("notify-note"), trouble || "When this page is in the background");
  });
  byID("rename").addEventListener("submit", async (event) => {
    event.preventDefault();
    const name = cleanName(byID("new-name").value);
    const trouble = nameTrouble(name) || (await actions.rename(name));
    setText(byID("rename-error"), trouble);
    if (!trouble) dialog.close();
  });
  byID("sign-out").addEventListener("click", () => {
    dialog.close();
    actions.signOut();
  });
}

// newRoom wires up the other dialog. open(name) shows the room.
export function newRoom(open) {
  const dialog = sheet(byID("room-dialog"));
  const input = byID("room-name");
  byID("new-room").addEventListener("click", () => {
    input.value = "";
    setText(byID("room-error"), "");
    dialog.showModal();
    input.focus();
  });
  byID("room-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = cleanRoom(input.value);
    if (!ROOM_PATTERN.test(name)) {
      setText(byID("room-error"), "Letters a to z, digits and hyphens, please.");
      return input.focus();
    }
    dialog.close();
    open(name);
  });
}
