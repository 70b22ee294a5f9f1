// The operators' page in a real browser, and the official Socket.IO admin UI connected to the same server.
// SCREENSHOTS=1 also takes the pictures in docs/screenshots.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { io } from "socket.io-client";
import { eventually, open, page, tutti } from "../chromium.mjs";
import { engines } from "../cluster/engines.mjs";
import { ask, event, events, Program, within } from "../harness.mjs";
import { wire } from "../raw.mjs";

const folder = fileURLToPath(new URL("../../docs/screenshots/", import.meta.url));
const pictures = process.env.SCREENSHOTS === "1";
const wide = { viewport: { width: 1440, height: 900 }, deviceScaleFactor: 2 };

const hash = (key) => `sha256:${createHash("sha256").update(key).digest("hex")}`;
const operate = "a key for who acts, made for this test", view = "a key for who looks, made for this test";
const flags = ["serve", "--admin", "127.0.0.1:0", "--open", "*", "--ping-interval", "1s"];
const withKeys = [...flags, "--admin-payloads", "--admin-keys", `captain operate ${hash(operate)}`, "--admin-keys", `watcher view ${hash(view)}`];

// The address that a server prints for its operators, once it has.
async function operators(server) {
  const address = () => /Operators: (\S+)/.exec(server.output)?.[1];
  await within((async () => { while (!address()) await new Promise((resolve) => setTimeout(resolve, 20)); })(), "the operators' address");
  return address();
}

/** crowd connects clients that are in rooms, and returns them. */
async function crowd(t, server, n, rooms) {
  const clients = [];
  t.after(() => clients.forEach((c) => c.close()));
  for (let i = 0; i < n; i++) {
    const client = io(server.url, { transports: i % 5 ? ["websocket"] : ["polling"], forceNew: true, reconnection: false });
    clients.push(client);
    await event(client, "connect");
    for (const room of rooms(i)) await ask(client, "join", { room });
  }
  return clients;
}

async function login(p, url, key) {
  await p.goto(url);
  await p.getByLabel("Your key").fill(key);
  await p.getByRole("button", { name: "Log in" }).click();
  await p.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
}

const row = (p, name) => p.getByRole("row").filter({ hasText: name });

describe("the operators' page", () => {
  const browser = open();
  const server = tutti(...withKeys);

  test("asks for a key, and gets in with a right one", async (t) => {
    const url = await operators(server);
    const p = await page(t, browser, { offline: true }); // the browser reports each 401
    await p.goto(url);
    await p.getByLabel("Your key").fill("a wrong one");
    await p.getByRole("button", { name: "Log in" }).click();
    await p.getByRole("alert").getByText("No key is like that.").waitFor();
    await login(p, url, view);
    assert.equal(await p.getByRole("button", { name: "Drain…" }).count(), 0, "who looks is offered no actions");
    assert.deepEqual(await p.evaluate(() => document.cookie), "", "scripts can't read the cookie");
    await p.getByRole("button", { name: "Log out" }).click();
    await p.getByLabel("Your key").waitFor();
    await p.reload();
    await p.getByLabel("Your key").waitFor();
  });

  test("needs nothing from elsewhere", async (t) => {
    const url = await operators(server);
    const p = await page(t, browser, { offline: true });
    const elsewhere = [];
    p.on("request", (r) => { if (!r.url().startsWith(url) && !r.url().startsWith("data:")) elsewhere.push(r.url()); });
    await login(p, url, operate);
    for (const view of ["sockets", "rooms", "users", "limits", "audit", "nodes"]) {
      await p.goto(`${url}/#/${view}`);
      await p.getByRole("heading", { level: 1 }).waitFor();
    }
    assert.deepEqual(elsewhere, []);
  });

  test("shows numbers as they change", async (t) => {
    const p = await page(t, browser, { offline: true });
    await login(p, await operators(server), operate);
    const tile = p.locator(".tile").filter({ has: p.getByRole("heading", { name: "Connections" }) }).locator(".big");
    const clients = await crowd(t, server, 7, () => ["tea"]);
    await eventually(p, () => [...document.querySelectorAll(".tile")].some((n) => n.textContent.startsWith("Connections7")));
    clients.forEach((c) => c.close());
    await eventually(p, () => [...document.querySelectorAll(".tile")].some((n) => n.textContent.startsWith("Connections0")));
    assert.equal(await tile.textContent(), "0");
  });

  test("is used by keys alone: search, look, send, move, disconnect", async (t) => {
    const p = await page(t, browser, { offline: true });
    const clients = await crowd(t, server, 70, (i) => [i < 5 ? "small" : "big"]);
    const target = clients[3], { id } = target;
    await login(p, await operators(server), operate);
    await p.keyboard.press("2");
    await p.getByRole("heading", { level: 1, name: "Sockets" }).waitFor();
    await p.getByText("1–50 of 70 sockets").waitFor();
    assert.equal(await p.locator("tbody tr").count(), 50, "never more than a page is drawn");
    await p.keyboard.press("ArrowRight");
    await p.getByText("51–70 of 70 sockets").waitFor();
    await p.keyboard.press("/");
    await p.keyboard.type(id.slice(2, 14));
    await p.getByText("1–1 of 1 socket").waitFor();
    await p.keyboard.press("ArrowDown");
    await p.keyboard.press("Enter");
    const drawer = p.getByRole("complementary", { name: "Details" });
    await drawer.getByRole("heading", { name: id }).waitFor();
    await drawer.getByRole("button", { name: "small" }).waitFor();

    const heard = event(target, "notice");
    await p.keyboard.press("s");
    await p.keyboard.type("notice");
    await p.getByRole("dialog").getByLabel(/^Data/).fill('{"text":"hello"}');
    await p.keyboard.press("Control+Enter");
    assert.deepEqual(await heard, [{ text: "hello" }]);
    await p.getByText("Sent to 1 member.").waitFor();

    await p.keyboard.press("m");
    await p.keyboard.type("elsewhere");
    await p.keyboard.press("Enter");
    await p.getByText("Moved 1 socket.").waitFor();
    await drawer.getByRole("button", { name: "elsewhere" }).waitFor();

    const left = event(target, "disconnect");
    await p.keyboard.press("d");
    await p.getByRole("dialog").getByRole("heading", { name: `Disconnect socket ${id}?` }).waitFor();
    assert.ok(target.connected, "it is asked before it is done");
    await p.keyboard.type("spam");
    await p.keyboard.press("Enter");
    await left;
    await p.getByText("Disconnected 1 socket.").waitFor();
    await drawer.waitFor({ state: "hidden" });

    await p.keyboard.press("Escape");
    await p.keyboard.press("?");
    await p.getByRole("dialog").getByRole("heading", { name: "Keys" }).waitFor();
    await p.keyboard.press("Escape");
    await p.keyboard.press("6");
    await p.getByRole("heading", { level: 1, name: "Audit" }).waitFor();
    const entry = row(p, "disconnect").first();
    await entry.getByText("captain").waitFor();
    await entry.getByText(`socket ${id}`).waitFor();
    await entry.getByText(/reason: spam/).waitFor();
  });

  test("names who runs into limits", async (t) => {
    const p = await page(t, browser, { offline: true, ...wide });
    const [loud] = await crowd(t, server, 1, () => ["hall"]);
    await Promise.all(Array.from({ length: 600 }, () => ask(loud, "publish", { room: "hall", event: "said", data: 1 })));
    await login(p, await operators(server), operate);
    await p.keyboard.press("5");
    await p.getByRole("heading", { level: 2, name: "Who ran into limits" }).waitFor();
    await row(p, "127.0.0.1").getByText("quota: connection publishes").waitFor();
  });

  test("shows names as they are, whatever they want to look like", async (t) => {
    const p = await page(t, browser, { offline: true });
    await crowd(t, server, 1, () => ["invoice\u202efdp.exe"]);
    await login(p, await operators(server), operate);
    await p.keyboard.press("3");
    await row(p, "invoice\\u202efdp.exe").click();
    await p.getByRole("complementary", { name: "Details" }).getByRole("heading", { name: "invoice\\u202efdp.exe" }).waitFor();
    assert.equal(await p.evaluate(() => document.body.innerText.includes("\u202e")), false);
  });

  test("follows a room live, with what is said in it", async (t) => {
    const p = await page(t, browser, { offline: true });
    const [ada] = await crowd(t, server, 3, () => ["hall"]);
    const url = await operators(server);
    await login(p, url, operate);
    await p.keyboard.press("3");
    await row(p, "hall").click();
    const drawer = p.getByRole("complementary", { name: "Details" });
    await drawer.getByText("3 members").waitFor();
    await drawer.getByRole("button", { name: "Live" }).click();
    await drawer.getByText("Waiting for something to happen…").waitFor();
    await eventually(p, () => performance.getEntriesByType("resource").length > 0);
    const log = drawer.getByRole("log");
    for (let i = 0; i < 5; i++) await ask(ada, "publish", { room: "hall", event: "said", data: { line: `number ${i}` } });
    await log.getByText('{ "line": "number 4" }').waitFor();
    await log.getByText("to 3").first().waitFor();
    await p.keyboard.press("p");
    await ask(ada, "publish", { room: "hall", event: "said", data: { line: "while paused" } });
    await drawer.getByRole("button", { name: "Go on" }).waitFor();
    assert.equal(await log.getByText("while paused").count(), 0);
    await p.keyboard.press("p");
    await log.getByText("while paused").waitFor();
    await drawer.getByRole("button", { name: "Presence" }).click();
    await drawer.getByText("3 present").waitFor();
  });

  test("has names for all controls, and enough contrast", async (t) => {
    const url = await operators(server);
    for (const colorScheme of ["light", "dark"]) {
      const p = await page(t, browser, { offline: true, colorScheme });
      await crowd(t, server, 1, () => ["hall"]);
      await login(p, url, operate);
      for (const view of ["overview", "sockets", "rooms", "audit", "nodes"]) {
        await p.goto(`${url}/#/${view}`);
        await p.getByRole("heading", { level: 1 }).waitFor();
        await p.waitForTimeout(100);
        assert.deepEqual(await p.evaluate(unnamed), [], `${view}: controls without a name`);
        assert.deepEqual(await p.evaluate(faint), [], `${view}, ${colorScheme}: text with too little contrast`);
      }
    }
  });

  if (pictures) test("pictures", async (t) => {
    const rooms = ["chat:general", "chat:scores", "chat:tour-2027", "cursor:board-1", "feed:news", "doc:handbook", "game:42"];
    const clients = await crowd(t, server, 240, (i) => [rooms[i % 3], rooms[3 + (i % 4)]]);
    const lines = ["From the top.", "Bar 112 again, slowly.", "The cellos are always right.", "Clean copies this time, no coffee rings."];
    let n = 0;
    const load = setInterval(() => {
      for (let k = 0; k < 2 + 3 * Math.abs(Math.sin(n / 90)); k++) clients[(n * 7) % 240].emit("publish", { room: rooms[n++ % rooms.length], event: "message", data: { from: ["Ada", "Ben", "Clara"][n % 3], text: lines[n % 4] } }, () => {});
    }, 60);
    t.after(() => clearInterval(load));
    const url = await operators(server);
    await new Promise((resolve) => setTimeout(resolve, 70_000)); // so that the charts have something to show
    for (const colorScheme of ["light", "dark"]) {
      const p = await page(t, browser, { offline: true, ...wide, colorScheme });
      await login(p, url, operate);
      await p.waitForTimeout(2500);
      await p.screenshot({ path: `${folder}admin-overview-${colorScheme}.png` });
      if (colorScheme === "light") {
        await p.goto(`${url}/#/sockets`);
        await p.keyboard.press("ArrowDown");
        await p.keyboard.press("ArrowDown");
        await p.keyboard.press("Enter");
        await p.waitForTimeout(1500);
        await p.screenshot({ path: `${folder}admin-socket.png` });
      } else {
        await p.goto(`${url}/#/rooms?open=${encodeURIComponent("room / chat:general")}`);
        await p.getByRole("button", { name: "Live" }).click();
        await p.waitForTimeout(4000);
        await p.screenshot({ path: `${folder}admin-room.png` });
      }
    }
  });
});

describe("slow readers on the operators' page", () => {
  const browser = open();
  const server = tutti(...withKeys, "--limit-queue", "4MB", "--timeout-write", "60s", "--rate-connection-publishes", "none", "--rate-user-publishes", "none", "--limit-data", "256KiB");

  test("are named while they are there, and when they were closed", async (t) => {
    const p = await page(t, browser, { offline: true, ...wide });
    const [speaker] = await crowd(t, server, 1, () => []);
    const idle = wire(t, `${server.url}/socket.io/?EIO=4&transport=websocket`);
    await idle.opened;
    await idle.next();
    idle.send("40");
    const { sid: id } = JSON.parse((await idle.next()).slice(2));
    idle.send('421["join",{"room":"loud"}]');
    await idle.next();
    await login(p, await operators(server), operate);
    await p.keyboard.press("5");
    const panel = p.locator("section").filter({ has: p.getByRole("heading", { level: 2, name: /^Slow readers/ }) });
    await panel.getByText("None. Everybody reads what is sent.").waitFor();

    idle.ws.pause();
    const data = "x".repeat(200_000);
    const slow = async () => (await (await fetch(`${await operators(server)}/api/stats`, { headers: { Authorization: `Bearer ${view}` } })).json()).slow.find((s) => s.id === id);
    const loud = async (enough) => {
      for (let i = 0; i < 500; i++) {
        assert.equal((await ask(speaker, "publish", { room: "loud", event: "said", data }))[0].error, undefined);
        if (i % 5 === 4 && enough(await slow())) return;
      }
      assert.fail("it was never slow");
    };
    await loud((s) => s?.queued > 0);
    await panel.getByRole("row").filter({ hasText: id }).locator(".tag.warn").getByText(/MiB|KiB/).waitFor();
    await panel.getByRole("link", { name: id }).click();
    await p.getByRole("complementary", { name: "Details" }).getByRole("heading", { name: id }).waitFor();
    await p.keyboard.press("Escape");
    assert.equal(await panel.getByRole("row").filter({ hasText: speaker.id }).count(), 0, "who reads is not named");

    await loud((s) => s?.closed);
    await panel.getByRole("row").filter({ hasText: id }).locator(".tag.bad").getByText(/^closed .* ago$/).waitFor();
    await row(p, "engine: MaxQueue").getByText("read too slowly and were closed").waitFor();
    await p.keyboard.press("1");
    await p.getByRole("heading", { level: 2, name: /^Slow readers/ }).waitFor();
    await row(p, id).waitFor();
  });
});

describe("the operators' page of a cluster", () => {
  const browser = open();

  test("shows the nodes, disconnects on all of them, and drains another", async (t) => {
    const dir = mkdtempSync(path.join(tmpdir(), "tutti-admin-"));
    const redis = new engines.redis(dir);
    await redis.start();
    const nodes = [];
    t.after(async () => {
      for (const node of nodes) await node.stop().catch(() => {}); // one of them has been drained
      await redis.stop("SIGKILL");
      rmSync(dir, { recursive: true });
    });
    for (let i = 0; i < 3; i++) {
      nodes.push(await new Program([process.env.TUTTI_BIN, ...withKeys, "--engine", redis.url(redis.address), "--timeout-pace", "0s"]).start());
    }
    const p = await page(t, browser, { offline: true, ...wide });
    const elsewhere = await crowd(t, nodes[2], 4, () => ["tea"]);
    await login(p, await operators(nodes[0]), operate);
    await p.keyboard.press("7");
    await p.getByRole("heading", { level: 1, name: "Nodes" }).waitFor();
    await p.getByText("1–3 of 3 nodes").waitFor();
    assert.equal(await p.locator("tbody").getByText("ready", { exact: true }).count(), 3);
    await row(p, nodes[0].url).getByText("this one").waitFor();
    assert.deepEqual((await row(p, nodes[2].url).locator("td.number").allTextContents()).slice(1), ["4", "4"], "sessions and sockets");
    await crowd(t, nodes[0], 1, () => ["tea"]);
    await p.goto(`${await operators(nodes[0])}/#/rooms?open=${encodeURIComponent("room / tea")}`);
    const left = Promise.all(elsewhere.map((c) => event(c, "disconnect")));
    await p.getByRole("button", { name: "Disconnect all…" }).click();
    await p.getByRole("dialog").getByRole("button", { name: "Disconnect" }).click();
    await left;
    await p.getByText("Disconnected 5 sockets.").waitFor();

    await p.goto(`${await operators(nodes[0])}/#/nodes`);
    if (pictures) await p.screenshot({ path: `${folder}admin-nodes.png` });
    await row(p, nodes[1].url).getByRole("button", { name: `Drain ${nodes[1].url}` }).click();
    const dialog = p.getByRole("dialog");
    await dialog.getByLabel(/type its address/).fill("something else");
    await p.keyboard.press("Enter");
    await dialog.getByText("That is not its address.").waitFor();
    await dialog.getByLabel(/type its address/).fill(nodes[1].url);
    await p.keyboard.press("Enter");
    await p.getByText("It drains.").waitFor();
    assert.equal(await nodes[1].ended(), 0);
    await p.getByText("1–2 of 2 nodes").waitFor();
    await p.keyboard.press("6");
    await row(p, "drain").first().getByText("captain").waitFor();
    assert.match(nodes[1].output, /msg=audit who=captain .*action=drain/);
  });
});

// unnamed finds controls that a screen reader has nothing to say of. It runs in the page.
function unnamed() {
  return [...document.querySelectorAll("button, a, input, textarea, select")].filter((n) => {
    if (!n.checkVisibility()) return false;
    return !(n.textContent.trim() || n.getAttribute("aria-label") || n.labels?.length || n.title);
  }).map((n) => n.outerHTML.slice(0, 120));
}

// faint finds visible text whose contrast with what is behind it is below 4.5. It runs in the page.
function faint() {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].map((v) => v / 255);
  };
  const light = ([r, g, b]) => [r, g, b].map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    for (let n = node; n; n = n.parentElement) {
      const c = rgba(getComputedStyle(n).backgroundColor);
      if (c[3] > 0.99) return c;
    }
    return rgba(getComputedStyle(document.body).backgroundColor);
  };
  const found = [];
  for (const node of document.querySelectorAll("#shell *")) {
    const own = [...node.childNodes].some((c) => c.nodeType === Node.TEXT_NODE && c.textContent.trim());
    if (!own || !node.checkVisibility() || node.closest("button:disabled")) continue;
    const a = light(rgba(getComputedStyle(node).color)), b = light(behind(node));
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) found.push(`${contrast.toFixed(2)} ${node.textContent.trim().slice(0, 40)}`);
  }
  return found;
}

/* The official admin UI */

// bcrypt's hash of "changeit".
const uiHash = "$2a$04$zwTefvJ4X9SiHMMNebMiu.00e3ungoJODQNXfOChaeo4PxO5dC1nq";

// ui speaks as the admin UI does: a stock client with credentials.
function ui(t, server, auth) {
  const socket = io(`${server.url}/admin`, { forceNew: true, transports: ["websocket"], reconnection: false, auth });
  t.after(() => socket.close());
  return socket;
}

for (const mode of ["production", "development"]) {
  describe(`the official admin UI, ${mode}`, () => {
    const server = tutti(...flags, "--admin-ui", mode, "--admin-ui-user", "admin", "--admin-ui-password", uiHash);
    const credentials = { username: "admin", password: "changeit" };

    test("lets in who has the password, or the id that was given for it", async (t) => {
      for (const auth of [undefined, {}, { username: "admin", password: "wrong" }, { sessionId: "0123456789abcdef" }]) {
        const [err] = await event(ui(t, server, auth), "connect_error");
        assert.equal(err.message, "invalid credentials");
      }
      const first = ui(t, server, credentials);
      const [[session]] = await Promise.all([event(first, "session"), event(first, "connect")]);
      assert.match(session, /^[0-9a-f]{16,}$/);
      await event(ui(t, server, { sessionId: session }), "connect");
    });

    test("is told what it can do, and how the server is", async (t) => {
      const socket = ui(t, server, credentials);
      const all = ["EMIT", "JOIN", "LEAVE", "DISCONNECT", "MJOIN", "MLEAVE", "MDISCONNECT", "AGGREGATED_EVENTS"];
      if (mode === "development") all.push("ALL_EVENTS");
      const [[config], reports] = await Promise.all([event(socket, "config"), events(socket, "server_stats", 3)]);
      assert.deepEqual(config, { supportedFeatures: all });
      const last = reports.at(-1)[0];
      assert.deepEqual(Object.keys(last).sort(), ["aggregatedEvents", "clientsCount", "hostname", "namespaces", "pid", "pollingClientsCount", "serverId", "uptime"]);
      assert.deepEqual(last.namespaces.map((n) => n.name), ["/", "/admin"]);
      assert.ok(last.namespaces[1].socketsCount >= 1 && last.clientsCount >= 1);
      for (const e of reports.flatMap(([r]) => r.aggregatedEvents)) {
        assert.ok(["rawConnection", "rawDisconnection", "packetsIn", "packetsOut", "bytesIn", "bytesOut"].includes(e.type), e.type);
        assert.equal(e.timestamp % 1000, 0);
      }
    });

    test("acts", async (t) => {
      const socket = ui(t, server, credentials);
      await event(socket, "connect");
      const [a, b] = await crowd(t, server, 2, () => []);
      const heard = [event(a, "all"), event(b, "all"), event(a, "one")];
      socket.emit("emit", "/", undefined, "all", 1, { two: 2 });
      socket.emit("emit", "/", a.id, "one");
      assert.deepEqual(await Promise.all(heard), [[1, { two: 2 }], [1, { two: 2 }], []]);
      socket.emit("join", "/", "tea", a.id);
      socket.emit("emit", "/", "tea", "in tea");
      await event(a, "in tea");
      socket.emit("leave", "/", "tea", a.id);
      const gone = [event(a, "disconnect"), event(b, "disconnect")];
      socket.emit("_disconnect", "/", false, a.id);
      assert.deepEqual(await gone[0], ["io server disconnect", undefined].slice(0, (await gone[0]).length));
      assert.ok(b.connected);
      socket.emit("_disconnect", "/", true);
      await gone[1];
    });

    if (mode === "development") {
      test("is told of sockets, rooms and events", async (t) => {
        const socket = ui(t, server, credentials);
        const told = [];
        socket.onAny((name, ...args) => told.push([name, ...args]));
        const [[sockets]] = await Promise.all([event(socket, "all_sockets"), event(socket, "connect")]);
        assert.deepEqual(sockets.filter((s) => s.id === socket.id).map((s) => [s.nsp, s.transport, s.handshake.address, s.handshake.secure]), [["/admin", "websocket", "127.0.0.1", false]]);
        const waitFor = (check, what) => within((async () => { while (!told.some(check)) await new Promise((resolve) => setTimeout(resolve, 20)); })(), what);
        const client = io(server.url, { forceNew: true, reconnection: false, query: { secret: "0123456789" }, extraHeaders: { "x-token": "0123456789" } });
        t.after(() => client.close());
        await event(client, "connect");
        const id = client.id;
        await waitFor(([name, s]) => name === "socket_connected" && s.id === id && s.rooms.includes(id), "socket_connected");
        await waitFor(([name, s]) => name === "socket_updated" && s.id === id && s.transport === "websocket", "socket_updated after the upgrade");
        await ask(client, "join", { room: "hall" });
        await waitFor(([name, nsp, room, who]) => name === "room_joined" && nsp === "/" && room === "hall" && who === id, "room_joined");
        await waitFor(([name, nsp, who, args]) => name === "event_received" && who === id && args[0] === "join" && args[1].room === "hall", "event_received");
        client.emit("with binary", new Uint8Array([1, 2, 3]));
        await waitFor(([name, , who, args]) => name === "event_received" && who === id && args[0] === "with binary" && Buffer.from(args[1]).equals(Buffer.from([1, 2, 3])), "binary");
        await ask(client, "publish", { room: "hall", event: "said", data: "hello" });
        await waitFor(([name, , who, args]) => name === "event_sent" && who === id && args[0] === "said" && args[1] === "hello", "event_sent");
        await ask(client, "leave", { room: "hall" });
        await waitFor(([name, , room, who]) => name === "room_left" && room === "hall" && who === id, "room_left");
        client.close();
        await waitFor(([name, nsp, who, reason]) => name === "socket_disconnected" && nsp === "/" && who === id && reason === "client namespace disconnect", "socket_disconnected");
        assert.ok(!JSON.stringify(told).includes("0123456789"), "headers and queries that may be secrets are not told");
      });
    }

    test("the UI itself, from its package", async (t) => {
      const files = await serveFiles(t, fileURLToPath(new URL("../node_modules/@socket.io/admin-ui/ui/dist/", import.meta.url)));
      const child = await withOrigin(t, mode, files);
      const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
      t.after(() => browser.close());
      const p = await (await browser.newContext({ ...wide, deviceScaleFactor: 1 })).newPage();
      p.setDefaultTimeout(15_000);
      await crowd(t, child, 12, (i) => [i % 2 ? "chat:general" : "chat:scores"]);
      await p.goto(files);
      await p.getByLabel("Server URL").fill(child.url); // it adds /admin by itself
      await p.getByLabel("Username").fill("admin");
      await p.getByLabel("Password").fill("changeit");
      await p.getByRole("button", { name: "Connect" }).click();
      await p.getByText(/^\s*connected\s*$/i).first().waitFor();
      if (mode === "development") {
        await p.goto(`${files}/#/rooms`);
        await p.getByText("chat:general").first().waitFor();
        await p.goto(`${files}/#/sockets`);
        await p.getByText("websocket").first().waitFor();
        await p.goto(`${files}/#/`);
      } else {
        await p.goto(`${files}/#/servers`);
        await p.getByText(/^\s*\d+ \/ \d+|production|Hostname/i).first().waitFor();
        await p.goto(`${files}/#/`);
      }
      await p.waitForTimeout(2500);
      if (pictures) await p.screenshot({ path: `${folder}admin-ui-${mode}.png` });
    });
  });
}

/** serveFiles serves a folder on a port of its own, and resolves with its address. */
async function serveFiles(t, root) {
  const kinds = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".png": "image/png" };
  const server = http.createServer(async (request, response) => {
    const name = path.join(root, path.normalize(new URL(request.url, "http://x").pathname).replace(/\/$/, "/index.html"));
    const text = await readFile(name).catch(() => null);
    response.writeHead(text ? 200 : 404, { "Content-Type": kinds[path.extname(name)] ?? "text/plain" }).end(text);
  });
  await within(new Promise((resolve) => server.listen(0, "127.0.0.1", resolve)), "the files' server");
  t.after(() => { server.closeAllConnections(); server.close(); });
  return `http://127.0.0.1:${server.address().port}`;
}

/** withOrigin runs a server that the UI at an origin may connect to. */
async function withOrigin(t, mode, origin) {
  const program = new Program([process.env.TUTTI_BIN, ...flags, "--admin-ui", mode, "--admin-ui-user", "admin", "--admin-ui-password", uiHash, "--origin", origin, "--credentials"]);
  await program.start();
  t.after(() => program.stop());
  return program;
}

describe("read-only", () => {
  const server = tutti(...flags, "--admin-ui", "development", "--admin-ui-readonly", "--admin-ui-user", "admin", "--admin-ui-password", uiHash);

  test("the UI can look, and not act", async (t) => {
    const socket = ui(t, server, { username: "admin", password: "changeit" });
    const [config] = await event(socket, "config");
    assert.deepEqual(config, { supportedFeatures: ["AGGREGATED_EVENTS", "ALL_EVENTS"] });
    const [client] = await crowd(t, server, 1, () => []);
    let disturbed = false;
    client.onAny(() => { disturbed = true; });
    client.on("disconnect", () => { disturbed = true; });
    socket.emit("emit", "/", undefined, "all");
    socket.emit("_disconnect", "/", true);
    await events(socket, "server_stats", 2);
    await ask(client, "join", { room: "still there" });
    assert.ok(!disturbed);
  });
});

describe("off, as it is by default", () => {
  const server = tutti(...flags);

  test("there is no such namespace", async (t) => {
    const [err] = await event(ui(t, server, {}), "connect_error");
    assert.equal(err.message, "Invalid namespace");
  });
});
