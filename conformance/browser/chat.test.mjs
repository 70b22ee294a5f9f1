// The chat demo as people use it: found by roles, labels and words, as a screen reader finds it.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { eventually, open, page, tutti } from "../chromium.mjs";

const chromium = open();

/** enter opens the chat as somebody. */
async function enter(t, server, name, { hash = "", ...options } = {}) {
  const p = await page(t, chromium, options);
  await p.goto(`${server.url}/chat/${hash}`);
  await p.getByLabel("Your name").first().fill(name);
  await p.getByRole("button", { name: "Enter" }).click();
  await p.getByRole("log").waitFor();
  await p.getByText("Online", { exact: true }).waitFor({ state: "attached" });
  return p;
}

const box = (p) => p.getByRole("textbox", { name: /^Message to/ });

async function say(p, text) {
  await box(p).fill(text);
  await p.getByRole("button", { name: "Send", exact: true }).click();
}

/** message is an article of the log that holds the text. */
const message = (p, text) => p.getByRole("log").getByRole("article").filter({ hasText: text });

const people = (p) => p.getByRole("complementary", { name: "People" }).getByRole("listitem");
const room = (p, name) => p.getByRole("navigation", { name: "Rooms" }).getByRole("button", { name: new RegExp(`\\b${name}\\b`) });

async function newRoom(p, name) {
  await p.getByRole("button", { name: "New room" }).click();
  await p.getByLabel("Name of the room").fill(name);
  await p.getByRole("button", { name: "Open the room" }).click();
  await p.getByRole("heading", { level: 1, name }).waitFor();
}

describe("the chat", () => {
  const server = tutti("serve", "--demo", "chat");

  test("the address of the server leads to it", async (t) => {
    const p = await page(t, chromium);
    await p.goto(server.url);
    await p.getByLabel("Your name").first().waitFor();
  });

  test("two people talk, and see that it is delivered", async (t) => {
    const [ada, bob] = [await enter(t, server, "Ada"), await enter(t, server, "Bob")];
    await say(ada, "hello Bob, é 😀");
    await message(bob, "hello Bob, é 😀").getByText("Ada").first().waitFor();
    await message(ada, "hello Bob").getByText("Delivered").waitFor({ state: "attached" });
    await say(bob, "hello Ada");
    await message(ada, "hello Ada").getByText("Bob").first().waitFor();
    await message(bob, "hello Ada").getByText("Delivered").waitFor({ state: "attached" });
  });

  test("a name is needed", async (t) => {
    const p = await page(t, chromium);
    await p.goto(`${server.url}/chat/`);
    await p.getByLabel("Your name").first().fill("   ");
    await p.getByRole("button", { name: "Enter" }).click();
    await p.getByRole("alert").filter({ hasText: /./ }).waitFor();
    assert.equal(await p.getByRole("log").isVisible(), false);
  });

  test("who types is shown to the others, until it is said", async (t) => {
    const [ada, bob] = [await enter(t, server, "Ada"), await enter(t, server, "Bob")];
    await box(ada).pressSequentially("I am");
    await bob.getByText("Ada is typing", { exact: true }).waitFor();
    await box(ada).press("Enter");
    await message(bob, "I am").last().waitFor();
    await bob.getByText("Ada is typing", { exact: true }).waitFor({ state: "detached" });
  });

  test("who is here comes and goes", async (t) => {
    const ada = await enter(t, server, "Ada", { hash: "#foyer" });
    assert.deepEqual(await people(ada).count(), 1);
    const bob = await enter(t, server, "Bob", { hash: "#foyer" });
    await people(ada).filter({ hasText: "Bob" }).waitFor();
    await people(bob).filter({ hasText: "Ada" }).waitFor();
    await ada.getByText("2 people here").waitFor();
    await bob.close();
    await people(ada).filter({ hasText: "Bob" }).waitFor({ state: "detached" });
  });

  test("unread messages are counted, in the list and in the title, until they are read", async (t) => {
    const [ada, bob] = [await enter(t, server, "Ada"), await enter(t, server, "Bob")];
    await newRoom(ada, "green-room");
    await say(bob, "one");
    await say(bob, "two");
    await room(ada, "general").getByText("2 unread").waitFor({ state: "attached" });
    await eventually(ada, () => document.title.startsWith("(2)"));
    await room(ada, "general").click();
    await message(ada, "two").last().waitFor();
    await eventually(ada, () => !document.title.startsWith("("));
    await room(ada, "general").getByText("unread").waitFor({ state: "hidden" });
  });

  test("rooms are made, found by others, and left", async (t) => {
    const [ada, bob] = [await enter(t, server, "Ada"), await enter(t, server, "Bob")];
    await newRoom(ada, "balcony");
    await say(ada, "up here");
    await room(bob, "balcony").click();
    await message(bob, "up here").waitFor(); // what was said before
    await say(bob, "coming");
    await message(ada, "coming").waitFor();
    await bob.getByRole("button", { name: "Leave balcony" }).click();
    await people(ada).filter({ hasText: "Bob" }).waitFor({ state: "detached" });
    assert.equal(await message(bob, "coming").count(), 0);
  });

  test("markup is shown and never obeyed", async (t) => {
    const evil = `<img src=x onerror="document.title='owned'"><script>alert(1)</script><b>bold</b> javascript:alert(1)`;
    const [mallory, bob] = [await enter(t, server, "<b>Mallory</b>"), await enter(t, server, "Bob")];
    bob.on("dialog", () => assert.fail("a script ran"));
    await say(mallory, evil);
    const shown = message(bob, "<script>alert(1)</script>");
    await shown.getByText("<b>Mallory</b>").first().waitFor();
    assert.ok((await shown.innerText()).includes(evil));
    assert.equal(await shown.locator("img, script, b").count(), 0);
    assert.equal(await bob.getByRole("log").locator("a[href^='javascript']").count(), 0);
    await people(bob).filter({ hasText: "<b>Mallory</b>" }).first().waitFor();
    assert.doesNotMatch(await bob.title(), /owned/);
  });

  test("what a program publishes is shown as a program's", async (t) => {
    const ada = await enter(t, server, "Ada");
    const { status } = await fetch(`${server.url}/api/publish`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ room: "chat:general", event: "message", data: { name: "Stage door", text: "Room 2 is open." } }),
    });
    assert.ok(status < 300, `answered ${status}`);
    await message(ada, "Room 2 is open.").getByText("Stage door").waitFor();
    await message(ada, "Room 2 is open.").getByText("app", { exact: true }).waitFor();
  });

  test("a reload keeps name, room and conversation", async (t) => {
    const ada = await enter(t, server, "Ada", { hash: "#attic" });
    await say(ada, "before the reload");
    await message(ada, "before the reload").getByText("Delivered").waitFor({ state: "attached" });
    await ada.reload();
    await ada.getByRole("heading", { level: 1, name: "attic" }).waitFor();
    await message(ada, "before the reload").getByText("You").first().waitFor();
    assert.equal(await message(ada, "before the reload").count(), 1);
  });

  test("the keyboard is enough", async (t) => {
    const p = await page(t, chromium);
    await p.goto(`${server.url}/chat/#keys`);
    await eventually(p, () => document.activeElement?.id === "name"); // the page gives the focus to its first question
    await p.keyboard.type("Kay");
    await p.keyboard.press("Enter");
    await box(p).waitFor();
    await eventually(p, () => document.activeElement?.tagName === "TEXTAREA");
    await p.keyboard.type("one line");
    await p.keyboard.press("Shift+Enter");
    await p.keyboard.type("and another");
    await p.keyboard.press("Enter");
    await message(p, "one line").filter({ hasText: "and another" }).waitFor();

    await p.getByRole("button", { name: "New room" }).focus();
    await p.keyboard.press("Enter");
    await p.getByRole("dialog", { name: "New room" }).waitFor();
    await p.keyboard.press("Escape");
    await p.getByRole("dialog", { name: "New room" }).waitFor({ state: "hidden" });
    await p.keyboard.press("Enter"); // the focus is back where it was
    await p.keyboard.type("locks");
    await p.keyboard.press("Enter");
    await p.getByRole("heading", { level: 1, name: "locks" }).waitFor();
    await p.keyboard.press("Alt+ArrowUp");
    await p.getByRole("heading", { level: 1, name: "keys" }).waitFor();
    await p.keyboard.press("Alt+ArrowDown");
    await p.getByRole("heading", { level: 1, name: "locks" }).waitFor();

    // Every control that the focus reaches has a name, and shows that it has the focus.
    const seen = new Set();
    for (let i = 0; i < 40; i++) {
      await p.keyboard.press("Tab");
      const focused = await p.evaluate(() => {
        const e = document.activeElement;
        if (!e || e === document.body) return null;
        const { outlineStyle, boxShadow } = getComputedStyle(e);
        const name = e.getAttribute("aria-label") ?? e.labels?.[0]?.textContent ?? e.textContent;
        return { id: e.id || e.outerHTML.slice(0, 80), name: name.trim(), marked: outlineStyle !== "none" || boxShadow !== "none" };
      });
      if (!focused || seen.has(focused.id)) continue;
      seen.add(focused.id);
      assert.ok(focused.name, `${focused.id} has no name`);
      // The box marks its frame, :focus-within.
      if (focused.id !== "draft") assert.ok(focused.marked, `${focused.id} does not show the focus`);
    }
    assert.ok(seen.size >= 6, `the focus reached ${[...seen]}`);
  });

  test("a phone shows it all", async (t) => {
    const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };
    const ada = await enter(t, server, "Ada", phone);
    const fits = () => ada.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth);
    assert.ok(await fits(), "the page scrolls sideways");
    await say(ada, "from my phone https://example.com/" + "a".repeat(120));
    await message(ada, "from my phone").getByText("Delivered").waitFor({ state: "attached" });
    assert.ok(await fits(), "a long word makes the page scroll sideways");
    await ada.getByRole("button", { name: "Rooms", exact: true }).click();
    await room(ada, "general").click();
    await ada.getByRole("button", { name: /^People in general/ }).click();
    await people(ada).filter({ hasText: "Ada" }).first().waitFor();
    await ada.keyboard.press("Escape");
    await box(ada).waitFor();
    for (const name of ["Send", "Rooms"]) {
      const { width, height } = await ada.getByRole("button", { name, exact: true }).boundingBox();
      assert.ok(width >= 24 && height >= 24, `${name} is ${width} by ${height}`); // WCAG 2.2, target size
    }
  });

  test("light and dark follow the system, or the person", async (t) => {
    const brightness = (p) => p.evaluate(() => {
      const canvas = document.createElement("canvas").getContext("2d");
      canvas.fillStyle = getComputedStyle(document.body).backgroundColor;
      canvas.fillRect(0, 0, 1, 1);
      const [r, g, b] = canvas.getImageData(0, 0, 1, 1).data;
      return r + g + b;
    });
    const light = await enter(t, server, "Ada", { colorScheme: "light" });
    const dark = await enter(t, server, "Bob", { colorScheme: "dark" });
    assert.ok((await brightness(light)) > 600, "light is not light");
    assert.ok((await brightness(dark)) < 200, "dark is not dark");
    await light.getByRole("button", { name: "Settings" }).click();
    await light.getByText("Dark", { exact: true }).click();
    assert.ok((await brightness(light)) < 200, "the choice is not followed");
    await light.reload();
    assert.ok((await brightness(light)) < 200, "the choice is forgotten");
  });
});

describe("the chat and its server", () => {
  for (const [what, signal] of [["is killed", "SIGKILL"], ["is told to stop", "SIGTERM"]]) {
    const server = tutti("serve", "--demo", "chat");

    test(`when the server ${what} the page says so, keeps what is written, and comes back`, async (t) => {
      const [ada, bob] = [await enter(t, server, "Ada", { offline: true }), await enter(t, server, "Bob", { offline: true })];
      await say(ada, "before");
      await message(bob, "before").waitFor();

      await server.stop(signal);
      const banner = ada.getByRole("status").filter({ hasText: /Reconnecting/ });
      await banner.waitFor();
      await say(ada, "written meanwhile");
      await message(ada, "written meanwhile").getByText("Sending").waitFor({ state: "attached" });
      await banner.filter({ hasText: "Your message waits" }).waitFor();

      await server.start();
      await message(ada, "written meanwhile").getByText("Delivered").waitFor({ state: "attached" });
      await message(bob, "written meanwhile").waitFor();
      await banner.waitFor({ state: "hidden" });
      await say(bob, "welcome back");
      await message(ada, "welcome back").waitFor();
      assert.equal(await message(bob, "written meanwhile").count(), 1);
      assert.equal(await message(ada, "written meanwhile").count(), 1);
    });
  }
});
