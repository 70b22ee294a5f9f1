// The Python client that Debian packages, python-socketio.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, test } from "node:test";
import { serve } from "../harness.mjs";

const python = process.env.PYTHON ?? "/usr/bin/python3";
const script = fileURLToPath(new URL("../python/client.py", import.meta.url));
const checks = ["connect", "text", "binary", "acks", "rooms", "namespaces", "many", "disconnect"];

describe("python-socketio", () => {
  const server = serve();

  for (const transports of ["polling", "websocket", "polling,websocket"]) {
    test(`over ${transports}`, async () => {
      // A missing interpreter or module makes this fail, on purpose.
      const { stdout } = await promisify(execFile)(python, [script, server.url, transports], { timeout: 60_000 });
      assert.deepEqual(stdout.trim().split("\n"), checks.map((name) => `ok ${name}`));
    });
  }
});
