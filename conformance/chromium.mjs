// Chromium for the tests: pages in it, and a check that none of them had an error.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { chromium } from "playwright-core";
import { Program } from "./harness.mjs";

const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
// Everything but the first two keeps Chromium from calling home.
const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** open starts Chromium for the tests of the scope it is called in. */
export function open() {
  const holder = { browser: null };
  before(async () => {
    holder.browser = await chromium.launch({ executablePath, args });
  });
  after(() => holder.browser?.close());
  return holder;
}

/** tutti runs the binary with the given arguments during the tests of the scope it is called in. */
export function tutti(...argv) {
  if (!process.env.TUTTI_BIN) throw new Error("TUTTI_BIN names no binary: start the tests with ./run.sh");
  const program = new Program([process.env.TUTTI_BIN, ...argv]);
  before(() => program.start());
  after(() => program.stop());
  return program;
}

/**
 * page opens a page in a browser of its own (cookies, storage), and fails the test if the page had an error.
 * What a page says about a server that is away is no error: offline names the tests that take it away.
 */
export async function page(t, { browser }, { offline = false, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: "en-GB", ...options });
  const p = await context.newPage();
  p.setDefaultTimeout(10_000);
  const errors = [];
  p.on("pageerror", (err) => errors.push(String(err)));
  p.on("console", (message) => {
    if (message.type() !== "error" && message.type() !== "warning") return;
    if (offline && /ERR_|WebSocket connection|Failed to load resource/.test(message.text())) return;
    errors.push(`${message.text()} (${message.location().url})`);
  });
  t.after(async () => {
    await context.close();
    assert.deepEqual(errors, [], "the page had errors");
  });
  return p;
}

/** eventually waits until check, run in the page, gives something true. */
export const eventually = (p, check, arg) => p.waitForFunction(check, arg, { timeout: 10_000 });
