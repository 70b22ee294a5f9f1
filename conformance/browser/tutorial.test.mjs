// The front ends of the tutorials, written for other servers, as they are: plain pages that tutti serve brings to life.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { open, page, tutti } from "../chromium.mjs";

const chromium = open();

/** site writes a folder of files that is removed after the tests. */
function site(files) {
  const folder = mkdtempSync(join(tmpdir(), "tutti-site-"));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  after(() => rmSync(folder, { recursive: true }));
  return folder;
}

const html = (script) => `<!doctype html>
<html lang="en"><head><title>Chat</title><link rel="icon" href="data:,"></head><body>
  <ul id="messages"></ul>
  <form id="form" action=""><input id="input" aria-label="Message" autocomplete="off"><button>Send</button></form>
  ${script}
</body></html>`;

const list = `
  const form = document.getElementById("form"), input = document.getElementById("input");
  const show = (text) => {
    const item = document.createElement("li");
    item.textContent = text;
    document.getElementById("messages").appendChild(item);
  };`;

async function talk(t, server, path) {
  const [ada, bob] = [await page(t, chromium), await page(t, chromium)];
  for (const p of [ada, bob]) {
    await p.goto(server.url + path);
    await p.waitForFunction(() => window.ready === true);
  }
  for (const [from, text] of [[ada, "hello é 😀"], [bob, "<b>hello</b> yourself"]]) {
    await from.getByLabel("Message").fill(text);
    await from.getByRole("button", { name: "Send" }).click();
    for (const p of [ada, bob]) await p.getByRole("listitem").filter({ hasText: text }).waitFor();
  }
  for (const p of [ada, bob]) assert.deepEqual(await p.getByRole("listitem").allInnerTexts(), ["hello é 😀", "<b>hello</b> yourself"]);
}

describe("a Socket.IO page, with --static and --relay", () => {
  const folder = site({
    "index.html": html(`<script src="/socket.io/socket.io.js"></script><script>${list}
  const socket = io();
  socket.on("connect", () => (window.ready = true));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (input.value) socket.emit("chatMessage", input.value);
    input.value = "";
  });
  socket.on("chatMessage", show);
</script>`),
    "module.html": html(`<script type="module">${list}
  import { io } from "/socket.io/socket.io.esm.min.js";
  const socket = io({ transports: ["websocket"] });
  socket.on("connect", () => (window.ready = true));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    socket.emit("chatMessage", input.value);
  });
  socket.on("chatMessage", show);
</script>`),
    "msgpack.html": html(`<script src="/socket.io/socket.io.msgpack.min.js"></script><script>${list}
  const socket = io({ transports: ["polling"] });
  socket.on("connect", () => (window.ready = true));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    socket.emit("chatMessage", input.value);
  });
  socket.on("chatMessage", show);
</script>`),
  });
  const server = tutti("serve", "--static", folder, "--relay", "chatMessage");

  test("with the script that the server has", (t) => talk(t, server, "/"));
  test("with the module, over WebSocket", (t) => talk(t, server, "/module.html"));
  test("with MessagePack, over polling", (t) => talk(t, server, "/msgpack.html"));

  test("polling is left for WebSocket", async (t) => {
    const p = await page(t, chromium);
    const opened = p.waitForEvent("websocket");
    await p.goto(server.url);
    assert.match((await opened).url(), /transport=websocket&sid=/);
    await p.waitForFunction(() => window.ready === true);
  });
});

describe("a WebSocket page, with --static and --relay-text", () => {
  const script = (address) => html(`<script>${list}
  const socket = new WebSocket(${address});
  socket.onopen = () => (window.ready = true);
  socket.onmessage = ({ data }) => show(data);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    socket.send(input.value);
  });
</script>`);
  const folder = site({
    "index.html": script("location"),
    "old.html": script(`"ws://" + location.host + "/"`),
    "door.html": script(`"ws://" + location.host + "/ws"`),
  });

  for (const [where, path] of [["where the page itself is", "/"], ["at the root", "/old.html"], ["at /ws", "/door.html"]]) {
    describe(where, () => {
      const server = tutti("serve", "--static", folder, "--relay-text");
      test("what one sends, all receive", (t) => talk(t, server, path));
    });
  }
});
