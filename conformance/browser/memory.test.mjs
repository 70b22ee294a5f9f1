// The chat on a server with memory: a person who reloads, scrolls up, or whose server is killed misses nothing.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { eventually, open, page, tutti } from "../chromium.mjs";

const chromium = open();

async function enter(t, server, name, { hash = "", before = () => {}, ...options } = {}) {
  const p = await page(t, chromium, { offline: true, ...options });
  await before(p);
  await p.goto(`${server.url}/chat/${hash}`);
  await p.getByLabel("Your name").first().fill(name);
  await p.getByRole("button", { name: "Enter" }).click();
  await online(p);
  return p;
}

const online = (p) => p.getByText("Online", { exact: true }).waitFor({ state: "attached" });

async function say(p, text) {
  await p.getByRole("textbox", { name: /^Message to/ }).fill(text);
  await p.getByRole("button", { name: "Send", exact: true }).click();
}

async function publish(server, room, text) {
  const { status } = await fetch(`${server.url}/api/publish`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ room, event: "message", data: text }),
  });
  assert.equal(status, 200);
}

/** texts are all messages of the log, in their order. */
const texts = (p) => p.getByRole("log").getByRole("article").locator(".bubble").allInnerTexts();

/** shows waits until the log has exactly these messages. */
async function shows(p, want) {
  const bubbles = (n) => document.querySelectorAll("#log article .bubble").length >= n;
  await eventually(p, bubbles, want.length);
  assert.deepEqual(await texts(p), want);
}

/** toStart scrolls up until there is nothing earlier. */
async function toStart(p) {
  const earlier = p.getByRole("button", { name: "Earlier messages" });
  while ((await p.locator(".earlier").count()) > 0) {
    const before = (await texts(p)).length;
    await p.getByRole("log").evaluate((log) => (log.scrollTop = 0));
    await earlier.click({ timeout: 500 }).catch(() => {}); // scrolling may have fetched them already
    await eventually(p, (n) => document.querySelectorAll("#log article .bubble").length > n || !document.querySelector(".earlier"), before);
  }
}

/** Tunnel is a way of a page to its server that can be closed. */
class Tunnel {
  #closed = false;
  #resolve;
  #through = new Promise((resolve) => (this.#resolve = resolve)); // the WebSocket that the page has moved to

  async lead(p) {
    await p.route(/\/socket\.io\/\?/, (route) => (this.#closed ? route.abort() : route.fallback()));
    await p.routeWebSocket(/socket\.io/, (socket) => {
      if (this.#closed) return socket.close();
      const server = socket.connectToServer();
      socket.onMessage((message) => {
        server.send(message);
        if (message === "5") this.#resolve(socket); // the upgrade is complete: no poll is open
      });
    });
  }

  async close() {
    const socket = await this.#through;
    this.#closed = true;
    await socket.close();
  }

  open() {
    this.#through = new Promise((resolve) => (this.#resolve = resolve));
    this.#closed = false;
  }
}

describe("the chat with memory", () => {
  const data = mkdtempSync(join(tmpdir(), "tutti-"));
  const server = tutti("serve", "--demo", "chat", "--data", data, "--door-publish-rate", "none");
  after(() => rmSync(data, { recursive: true }));

  test("nothing is missing and nothing is there twice after the server was killed, twice", async (t) => {
    const [ada, bob] = [await enter(t, server, "Ada"), await enter(t, server, "Bob")];
    const said = [];
    const talk = async (words) => {
      for (const [who, name] of [[ada, "Ada"], [bob, "Bob"]]) {
        said.push(`${name}: ${words}`);
        await say(who, said.at(-1));
        await shows(ada, said);
        await shows(bob, said);
      }
    };
    await talk("before");
    for (const time of ["once", "twice"]) {
      await publish(server, "chat:general", `from a door, ${time}`);
      said.push(`from a door, ${time}`);
      await server.stop("SIGKILL");
      await say(ada, `while it was away, ${time}`);
      said.push(`while it was away, ${time}`);
      await server.start();
      await Promise.all([online(ada), online(bob)]);
      await shows(ada, said);
      await shows(bob, said);
      await talk(`after, ${time}`);
    }
    await ada.reload();
    await online(ada);
    await shows(ada, said);
    await shows(await enter(t, server, "Cleo"), said);
  });

  test("a page whose connection is cut recovers what was said meanwhile, and says its own after it", async (t) => {
    const tunnel = new Tunnel();
    const ada = await enter(t, server, "Ada", { hash: "#tunnel", before: (p) => tunnel.lead(p) });
    const bob = await enter(t, server, "Bob", { hash: "#tunnel" });
    await say(bob, "one");
    await shows(ada, ["one"]);
    const said = ["one"];
    for (const time of ["once", "twice"]) {
      await tunnel.close();
      await ada.getByText("Connecting…", { exact: true }).waitFor({ state: "attached" });
      await say(ada, `mine, ${time}`);
      for (let i = 0; i < 5; i++) {
        said.push(`theirs, ${time} ${i}`);
        await say(bob, said.at(-1));
      }
      await shows(bob, said);
      said.push(`mine, ${time}`);
      tunnel.open();
      await online(ada);
      await shows(ada, said);
      await shows(bob, said);
    }
  });

  test("scrolling up leads to the first message", async (t) => {
    const all = Array.from({ length: 330 }, (_, i) => `message ${i}`);
    for (const text of all) await publish(server, "chat:ideas", text);
    const ada = await enter(t, server, "Ada", { hash: "#ideas" });
    await shows(ada, all.slice(-100));
    // What is before the eyes stays there when earlier messages come.
    const log = ada.getByRole("log");
    await log.evaluate((node) => (node.scrollTop = 10));
    const first = ada.locator(".bubble").filter({ hasText: /^message 230$/ });
    const place = () => first.evaluate((node) => Math.round(node.getBoundingClientRect().top));
    await eventually(ada, () => document.querySelectorAll("#log article").length === 200);
    assert.ok(Math.abs(await place()) < 500, `the message moved to ${await place()}`);
    await toStart(ada);
    assert.deepEqual(await texts(ada), all);
    await publish(server, "chat:ideas", "news");
    await shows(ada, [...all, "news"]);
  });

  test("who scrolls up is not taken back to the end by what is drawn before the page is told", async (t) => {
    const bob = await enter(t, server, "Bob", { hash: "#ideas" });
    await eventually(bob, () => document.querySelectorAll("#log article").length === 100);
    const [before, after] = await bob.evaluate(async () => {
      const log = document.querySelector("#log");
      const belowEyes = () => log.scrollHeight - log.scrollTop;
      log.scrollTop = 500;
      const before = belowEyes();
      document.querySelector(".earlier button").click(); // and all is drawn
      for (let i = 0; i < 3; i++) await new Promise((resolve) => setTimeout(resolve));
      return [before, belowEyes()];
    });
    assert.equal(after, before);
  });

  test("rooms are there again after a restart, with what was said", async (t) => {
    const ada = await enter(t, server, "Ada", { hash: "#workshop" });
    await say(ada, "remember me");
    await shows(ada, ["remember me"]);
    await server.restart("SIGTERM");
    const bob = await enter(t, server, "Bob");
    await bob.getByRole("navigation", { name: "Rooms" }).getByRole("button", { name: /\bworkshop\b/ }).click();
    await shows(bob, ["remember me"]);
  });
});
