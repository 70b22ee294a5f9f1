// The chat over TLS in a browser: the page and polling by HTTP/2, and the WebSocket beside them.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { open, page, tutti } from "../chromium.mjs";

describe("over TLS", () => {
  const dir = mkdtempSync(join(tmpdir(), "tutti-"));
  after(() => rmSync(dir, { recursive: true, force: true }));
  const [cert, key] = [join(dir, "cert.pem"), join(dir, "key.pem")];
  execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
    "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert], { stdio: "pipe" });
  const chromium = open();
  const server = tutti("serve", "--demo", "chat", "--tls-cert", cert, "--tls-key", key);

  test("two people talk; the page comes by HTTP/2, the WebSocket by a connection of its own", async (t) => {
    const people = [];
    for (const name of ["Ada", "Bo"]) {
      const p = await page(t, chromium, { ignoreHTTPSErrors: true });
      const opened = p.waitForEvent("websocket");
      await p.goto(`${server.url}/chat/`);
      const protocol = await p.evaluate(() => performance.getEntriesByType("navigation")[0].nextHopProtocol);
      assert.equal(protocol, "h2");
      await p.getByLabel("Your name").first().fill(name);
      await p.getByRole("button", { name: "Enter" }).click();
      await p.getByText("Online", { exact: true }).waitFor({ state: "attached" });
      assert.match((await opened).url(), /^wss:/);
      people.push(p);
    }
    await people[0].getByRole("textbox", { name: /^Message to/ }).fill("all together");
    await people[0].getByRole("button", { name: "Send", exact: true }).click();
    await people[1].getByRole("log").getByText("all together").waitFor();
  });
});
