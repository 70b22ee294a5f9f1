// The operators' page over a server with very many sockets: never more than a page of rows, and answers of a size that does
// not grow with how many there are. CROWD=10000x10 for a hundred thousand; how long things took is noted, and not asserted.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { describe, test, before, after } from "node:test";
import { fileURLToPath } from "node:url";
import { eventually, open, page, tutti } from "../chromium.mjs";
import { within } from "../harness.mjs";

const pictures = process.env.SCREENSHOTS === "1";
const folder = fileURLToPath(new URL("../../docs/screenshots/", import.meta.url));
const [sessions, namespaces] = (process.env.CROWD ?? (pictures ? "10000x10" : "1000x5")).split("x").map(Number);
const sockets = sessions * namespaces, users = Math.ceil(sessions / 2);
const exact = (n) => n.toLocaleString("en-GB");
const secret = randomBytes(32).toString("hex");
const patience = 60_000 + sockets * 3;

describe(`the operators' page over ${exact(sockets)} sockets`, () => {
  const browser = open();
  const server = tutti("serve", "--admin", "127.0.0.1:0", "--auth-token", `* secret=${secret}`, "--open", "*", "--rate-handshakes", "none", "--rate-room-joins", "none",
    ...Array.from({ length: namespaces - 1 }, (_, i) => ["--namespace", `/n${i + 1}`]).flat());
  let crowd, url;
  before(async () => {
    crowd = spawn(process.execPath, [fileURLToPath(new URL("../crowd.mjs", import.meta.url)), server.url, sessions, namespaces, secret], { stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    crowd.stderr.on("data", (chunk) => (said += chunk));
    await within(new Promise((resolve, reject) => {
      crowd.stdout.on("data", (chunk) => { if (String(chunk).includes(`there ${sockets}`)) resolve(); });
      crowd.once("exit", (code) => reject(new Error(`the crowd ended (${code}): ${said}`)));
    }), "the crowd to be there", patience);
    url = /Operators: (\S+)/.exec(server.output)[1];
  });
  after(() => crowd?.kill("SIGKILL"));

  /** answers collects how large the answers of the API are, and how many rows they have. */
  function answers(p) {
    const seen = new Map();
    p.on("response", async (r) => {
      const { pathname } = new URL(r.url());
      if (!pathname.startsWith("/api/") || r.headers()["content-type"] !== "application/json") return;
      const text = await r.text().catch(() => "");
      seen.set(pathname, Math.max(seen.get(pathname) ?? 0, text.length));
    });
    return seen;
  }

  test("shows a page at a time, finds one among all, and stays small", async (t) => {
    const p = await page(t, browser, { offline: true, viewport: { width: 1440, height: 900 }, deviceScaleFactor: 2 });
    p.setDefaultTimeout(patience);
    const sizes = answers(p), took = {};
    const timed = async (what, f) => {
      const from = performance.now();
      await f();
      took[what] = Math.round(performance.now() - from);
    };
    const rows = () => p.locator("tbody tr").count();
    const nodes = () => p.evaluate(() => document.querySelectorAll("*").length);

    await timed("the overview, with its numbers", async () => {
      await p.goto(url);
      await p.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
      await p.locator(".tile").getByText(`${exact(sockets)} sockets · ${exact(users)} users`).waitFor();
    });
    if (pictures) {
      await p.waitForTimeout(20_000); // so that the charts have something to show
      await p.screenshot({ path: `${folder}admin-crowd-overview.png` });
    }
    await timed("all sockets", async () => {
      await p.keyboard.press("2");
      await p.getByText(`1–50 of ${exact(sockets)} sockets`).waitFor();
    });
    assert.equal(await rows(), 50);
    await timed("the next page", async () => {
      await p.keyboard.press("ArrowRight");
      await p.getByText(`51–100 of ${exact(sockets)} sockets`).waitFor();
    });
    for (let i = 2; i < 12; i++) {
      await p.keyboard.press("ArrowRight");
      await p.getByText(`${exact(i * 50 + 1)}–${exact(i * 50 + 50)} of ${exact(sockets)} sockets`).waitFor();
      assert.equal(await rows(), 50);
    }
    await timed("scrolled to the end of a page", async () => {
      await p.keyboard.press("End");
      await eventually(p, () => document.activeElement === document.querySelector("tbody").lastElementChild && document.activeElement.getBoundingClientRect().bottom <= innerHeight);
    });
    await p.keyboard.press("/");
    await p.keyboard.insertText("user-");
    await eventually(p, () => document.querySelector(".body").scrollTop === 0); // another list begins at its beginning
    await p.getByText(`1–50 of ${exact(sockets)} sockets`).waitFor();
    await p.getByLabel("Search sockets").fill("");
    await p.keyboard.press("Escape");
    const wanted = `user-${String(users - 1).padStart(6, "0")}`, theirs = namespaces * (sessions % 2 ? 1 : 2);
    await timed("a search for a user", async () => {
      await p.keyboard.press("/");
      await p.keyboard.insertText(wanted);
      await p.getByText(`1–${theirs} of ${theirs} sockets`).waitFor();
    });
    assert.equal(await rows(), theirs);
    if (pictures) {
      await p.getByLabel("Search sockets").fill("");
      await p.getByText(`1–50 of ${exact(sockets)} sockets`).waitFor();
      await p.waitForTimeout(500);
      await p.screenshot({ path: `${folder}admin-crowd-sockets.png` });
    }
    await timed("most waiting first", async () => {
      await p.goto(`${url}/#/sockets?sort=queued`);
      await p.getByText(`1–50 of ${exact(sockets)} sockets`).waitFor();
    });
    const rooms = Math.max(1, Math.round(sessions / 100)) * namespaces;
    await timed("all rooms", async () => {
      await p.goto(`${url}/#/rooms`);
      await p.getByText(`of ${exact(rooms)} rooms`).waitFor();
    });
    assert.equal(await rows(), Math.min(rooms, 50));
    await timed("a look into a room", async () => {
      await p.getByRole("row").nth(1).click();
      await p.getByRole("complementary", { name: "Details" }).getByText(/\d+ members/).waitFor();
    });
    await timed("all users", async () => {
      await p.goto(`${url}/#/users`);
      await p.getByText(`1–50 of ${exact(users)} users`).waitFor();
    });
    assert.equal(await rows(), 50);
    sizes.set("/api/stats", await p.evaluate(async () => (await (await fetch("/api/stats")).text()).length)); // streamed, once a second
    const drawn = await nodes();
    assert.ok(drawn < 3000, `${drawn} elements`);
    for (const [path, size] of sizes) assert.ok(size < (path === "/api/stats/history" ? 512 : 64) * 1024, `${path} answers ${size} bytes`);
    assert.ok(sizes.has("/api/sockets") && sizes.has("/api/rooms") && sizes.has("/api/users"), [...sizes.keys()].join());
    t.diagnostic(`ms: ${JSON.stringify(took)}; bytes: ${JSON.stringify(Object.fromEntries(sizes))}; elements: ${drawn}`);
    if (process.env.CROWD) console.log(took, Object.fromEntries(sizes), drawn);
  });
});
