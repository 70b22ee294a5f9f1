// Takes the pictures in docs/screenshots: SCREENSHOTS=1 ./run.sh browser/*.mjs
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, test } from "node:test";
import { open, page, tutti } from "../chromium.mjs";

const folder = fileURLToPath(new URL("../../docs/screenshots/", import.meta.url));
const wide = { viewport: { width: 1280, height: 760 }, deviceScaleFactor: 2 };
const narrow = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };

const lines = [
  ["Clara Wieck", "Good morning, all. Is the hall warm yet?"],
  ["Ada", "It is. I opened the windows at eight and shut them at nine."],
  ["Ada", "The piano has been tuned, too 🎹"],
  ["Ben Okafor", "Wonderful. I am ten minutes away, with coffee for six."],
  ["Clara Wieck", "You are the best section leader this orchestra ever had."],
  ["Mirela", "Where do we begin, second movement or the top?"],
  ["Clara Wieck", "From the top. Then bar 112 again, slowly, until the horns and the cellos agree about the dotted quavers."],
  ["Ben Okafor", "The cellos are always right. It is a law of nature."],
  ["Ada", "Tutti at ten, then. Who brings the parts?"],
  ["Mirela", "I have them. Clean copies this time, no coffee rings."],
];

// The key behind a name decides the colour: these are far apart.
const keys = { ada: "picture 33", "ben okafor": "picture 10", "clara wieck": "picture 3", mirela: "picture 12", noor: "picture 15" };

async function enter(t, chromium, server, name, options) {
  const p = await page(t, chromium, options);
  await p.addInitScript((own) => localStorage.setItem("tutti.chat.keys", own), JSON.stringify(keys));
  await p.goto(`${server.url}/chat/`);
  await p.getByLabel("Your name").first().fill(name);
  await p.getByRole("button", { name: "Enter" }).click();
  await p.getByRole("log").waitFor();
  return p;
}

async function say(p, text) {
  await p.getByRole("textbox", { name: /^Message to/ }).fill(text);
  await p.getByRole("button", { name: "Send", exact: true }).click();
  await p.getByRole("log").getByRole("article").filter({ hasText: text }).getByText("Delivered").waitFor({ state: "attached" });
}

async function newRoom(p, name) {
  await p.getByRole("button", { name: "New room" }).click();
  await p.getByLabel("Name of the room").fill(name);
  await p.getByRole("button", { name: "Open the room" }).click();
  await p.getByRole("heading", { level: 1, name }).waitFor();
}

const rooms = (p) => p.getByRole("navigation", { name: "Rooms" });

if (process.env.SCREENSHOTS === "1") {
  describe("screenshots", () => {
    const chromium = open();
    const server = tutti("serve", "--demo", "chat");

    test("of the chat", async (t) => {
      mkdirSync(folder, { recursive: true });
      const looks = { light: [wide, "Ada"], dark: [wide, "Mirela"], phone: [narrow, "Ben Okafor"] };
      const pages = {};
      for (const [look, [size, name]] of Object.entries(looks)) {
        pages[name] = await enter(t, chromium, server, name, { ...size, colorScheme: look === "dark" ? "dark" : "light" });
      }
      pages["Clara Wieck"] = await enter(t, chromium, server, "Clara Wieck", wide);
      await enter(t, chromium, server, "Noor", wide);

      // Three rooms, so that there is something to switch to, with something unread in them.
      await newRoom(pages["Clara Wieck"], "scores");
      await newRoom(pages["Clara Wieck"], "tour-2027");
      for (const name of ["Ada", "Mirela"]) {
        await rooms(pages[name]).getByRole("button", { name: /\bscores\b/ }).click();
        await pages[name].getByRole("heading", { level: 1, name: "scores" }).waitFor();
        await rooms(pages[name]).getByRole("button", { name: /\bgeneral\b/ }).click();
        await pages[name].getByRole("heading", { level: 1, name: "general" }).waitFor();
      }
      await rooms(pages["Clara Wieck"]).getByRole("button", { name: /\bgeneral\b/ }).click();
      for (const [name, text] of lines) await say(pages[name], text);
      await rooms(pages["Clara Wieck"]).getByRole("button", { name: /\bscores\b/ }).click();
      await say(pages["Clara Wieck"], "The new edition is on the shelf.");
      await say(pages["Clara Wieck"], "Pencil only, please!");

      for (const [look, [, name]] of Object.entries(looks)) {
        const p = pages[name];
        await p.getByRole("log").getByText(lines.at(-1)[1]).waitFor();
        if (look !== "phone") await rooms(p).getByRole("button", { name: /\bscores\b/ }).getByText("2 unread").waitFor({ state: "attached" });
        const other = look === "light" ? pages["Ben Okafor"] : pages.Ada;
        await other.getByRole("textbox", { name: /^Message to/ }).pressSequentially("One more");
        await p.getByText(/ is typing$/).waitFor();
        await p.screenshot({ path: `${folder}chat-${look}.png`, animations: "disabled", caret: "hide" });
        await other.getByRole("textbox", { name: /^Message to/ }).fill("");
        await p.getByText(/ is typing$/).waitFor({ state: "hidden" });
      }
    });
  });
}
