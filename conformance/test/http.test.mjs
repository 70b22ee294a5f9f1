// What pages and caches see: cross-origin requests, cookies, compression, and the client files.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { gunzipSync, inflateSync } from "node:zlib";
import { clients, connect, ways } from "../clients.mjs";
import { ask, plain, reference, serve } from "../harness.mjs";
import { Polling, polling, request, wire } from "../raw.mjs";

const origin = "https://app.example.com";

describe("cross-origin requests", () => {
  const server = serve("--origin", origin);
  const handshake = "/socket.io/?EIO=4&transport=polling";

  /** allowed asserts that a page of the origin may read an answer, with its cookies. */
  function allowed(headers) {
    assert.equal(headers["access-control-allow-origin"], origin);
    assert.equal(headers["access-control-allow-credentials"], "true");
    assert.match(headers.vary, /\bOrigin\b/);
  }

  test("the preflight of an allowed page", async () => {
    const { status, headers, body } = await request(server.url + handshake, {
      method: "OPTIONS",
      headers: { Origin: origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-conformance" },
    });
    assert.deepEqual([status, body.length], [204, 0]);
    allowed(headers);
    assert.match(headers["access-control-allow-methods"], /\bPOST\b/);
    assert.equal(headers["access-control-allow-headers"], "content-type,x-conformance");
    assert.match(headers.vary, /\bAccess-Control-Request-Headers\b/);
  });

  test("handshake, poll, push and refusals can be read by an allowed page", async () => {
    const opened = await request(server.url + handshake, { headers: { Origin: origin } });
    assert.equal(opened.status, 200);
    allowed(opened.headers);
    const session = `${server.url}${handshake}&sid=${JSON.parse(opened.body.toString().slice(1)).sid}`;
    const pushed = await request(session, { method: "POST", headers: { Origin: origin }, body: "40" });
    assert.equal(pushed.status, 200);
    allowed(pushed.headers);
    const polled = await request(session, { headers: { Origin: origin } });
    assert.equal(polled.status, 200);
    allowed(polled.headers);
    const refusal = await request(`${server.url}${handshake}&sid=unknown`, { headers: { Origin: origin } });
    assert.equal(refusal.status, 400);
    allowed(refusal.headers);
  });

  test("a WebSocket of an allowed page", async (t) => {
    const w = wire(t, `${server.url}/socket.io/?EIO=4&transport=websocket`, { origin });
    assert.match(await w.next(), /^0/);
  });

  test("the client files can be loaded by an allowed page", async () => {
    const { status, headers } = await request(`${server.url}/socket.io/socket.io.js`, { headers: { Origin: origin } });
    assert.equal(status, 200);
    allowed(headers);
  });

  for (const other of ["https://evil.example.com", `${origin}.evil.example`, "http://app.example.com", `${origin}:8443`, "null"]) {
    test(`${other} is never named`, async () => {
      for (const method of ["GET", "OPTIONS"]) {
        const { status, headers } = await request(server.url + handshake, {
          method,
          headers: { Origin: other, "Access-Control-Request-Method": "POST" },
        });
        assert.ok(![other, "*"].includes(headers["access-control-allow-origin"]));
        if (!reference && method === "GET") assert.equal(status, 403);
      }
    });

    if (!reference) {
      test(`${other} gets no WebSocket`, async (t) => {
        const w = wire(t, `${server.url}/socket.io/?EIO=4&transport=websocket`, { origin: other });
        await assert.rejects(w.opened, /response: 40[03]$/);
      });
    }
  }
});

describe("a server that allows no other origin", () => {
  const server = serve();

  test("names none", async () => {
    const { headers } = await request(`${server.url}/socket.io/?EIO=4&transport=polling`, { headers: { Origin: origin } });
    assert.equal(headers["access-control-allow-origin"], undefined);
  });
});

describe("cookie", () => {
  const server = serve("--cookie", "io");

  test("is set by the handshake over polling, and holds the session's id", async () => {
    const { headers, body } = await request(`${server.url}/socket.io/?EIO=4&transport=polling`);
    const { sid } = JSON.parse(body.toString().slice(1));
    const [cookie, ...more] = headers["set-cookie"];
    assert.deepEqual(more, []);
    const [value, ...attributes] = cookie.split("; ");
    assert.equal(value, `io=${sid}`);
    for (const attribute of ["Path=/", "HttpOnly", "SameSite=Lax"]) assert.ok(attributes.includes(attribute), cookie);
  });

  test("is not set again by polls, nor by a WebSocket", async (t) => {
    const session = await polling(server);
    assert.equal((await session.push("40")).headers.get("set-cookie"), null);
    assert.equal((await session.poll()).headers.get("set-cookie"), null);
    const w = wire(t, `${server.url}/socket.io/?EIO=4&transport=websocket`);
    let cookie;
    w.ws.once("upgrade", (response) => (cookie = response.headers["set-cookie"]));
    await w.next();
    assert.equal(cookie, undefined);
  });

  test("comes with the requests of a client that keeps cookies", async (t) => {
    const socket = await connect(t, { url: server.url, way: ways[0], withCredentials: true });
    assert.deepEqual(await ask(socket, "message-with-ack", 1), [1]);
  });
});

describe("compression of polls", () => {
  const server = serve();

  async function polled(n, accept) {
    const session = await polling(server, "/engine.io/");
    await session.push("4" + "x".repeat(n - 1));
    return request(session.url, { headers: accept ? { "Accept-Encoding": accept } : {} });
  }

  test("gzip", async () => {
    const { headers, body } = await polled(5000, "gzip, deflate, br");
    assert.equal(headers["content-encoding"], "gzip");
    assert.equal(gunzipSync(body).toString(), "4" + "x".repeat(4999));
  });

  test("deflate", async () => {
    const { headers, body } = await polled(5000, "deflate");
    assert.equal(headers["content-encoding"], "deflate");
    assert.equal(inflateSync(body).toString(), "4" + "x".repeat(4999));
  });

  for (const [what, n, accept] of [
    ["nobody asked", 5000, undefined],
    ["gzip is ruled out", 5000, "gzip;q=0, deflate;q=0"],
    ["there is little to gain", 1000, "gzip"],
  ]) {
    test(`none where ${what}`, async () => {
      const { headers, body } = await polled(n, accept);
      assert.equal(headers["content-encoding"], undefined);
      assert.equal(body.length, n);
    });
  }
});

describe("compression of WebSocket messages", () => {
  const server = serve("--compress", "--eio3");

  test("is agreed, and long and short messages come back", async (t) => {
    const w = wire(t, `${server.url}/socket.io/?EIO=4&transport=websocket`);
    await w.opened;
    assert.match(w.ws.extensions, /permessage-deflate/);
    await w.next();
    w.send("40");
    await w.next();
    await w.next();
    for (const text of ["short", "é😀".repeat(20_000), "x".repeat(900_000), "short again"]) {
      w.send(`42["message","${text}"]`);
      assert.deepEqual(plain(await w.next()), plain(`42["message-back","${text}"]`));
    }
    w.send('451-["message",{"_placeholder":true,"num":0}]', Buffer.alloc(100_000, 1));
    await w.next();
    assert.equal((await w.next()).bytes, "01".repeat(100_000));
  });

  test("is not agreed with who does not offer it", async (t) => {
    const w = wire(t, `${server.url}/socket.io/?EIO=4&transport=websocket`, { perMessageDeflate: false });
    await w.opened;
    assert.equal(w.ws.extensions, "");
    assert.match(await w.next(), /^0/);
  });

  test("a message that grows beyond the limit closes with 1009", async (t) => {
    const w = wire(t, `${server.url}/socket.io/?EIO=4&transport=websocket`);
    await w.next();
    w.send(`42["message","${"x".repeat(5_000_000)}"]`); // five kilobytes on the wire
    assert.equal((await w.closed()).code, 1009);
  });

  for (const client of clients) {
    test(`socket.io-client ${client.version} is understood`, async (t) => {
      const socket = await connect(t, { client, way: ways[1], url: server.url, perMessageDeflate: { threshold: 0 } });
      const text = "é😀".repeat(5000);
      assert.deepEqual(plain(await ask(socket, "message-with-ack", text, 1)), plain([text, 1]));
    });
  }
});

describe("client files", () => {
  const server = serve();
  // socket.io serves what its package holds. Ours must be the same bytes.
  const dist = join(dirname(createRequire(import.meta.url).resolve("socket.io")), "..", "client-dist");
  const javaScript = "application/javascript; charset=utf-8";
  const json = "application/json; charset=utf-8";

  for (const name of ["socket.io.js", "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js"]) {
    for (const [file, type] of [[name, javaScript], [`${name}.map`, json]]) {
      test(file, async () => {
        const want = await readFile(join(dist, file));
        const { status, headers, body } = await request(`${server.url}/socket.io/${file}`);
        assert.equal(status, 200);
        assert.equal(headers["content-type"], type);
        assert.equal(headers["cache-control"], "public, max-age=0");
        assert.equal(headers["content-encoding"], undefined);
        assert.match(headers.etag, /^(W\/)?"[^"]+"$/);
        assert.ok(body.equals(want), "the bytes are not those of the package");

        const squeezed = await request(`${server.url}/socket.io/${file}`, { headers: { "Accept-Encoding": "gzip" } });
        assert.equal(squeezed.headers["content-encoding"], "gzip");
        assert.ok(gunzipSync(squeezed.body).equals(want), "the unpacked bytes are not those of the package");

        const cached = await request(`${server.url}/socket.io/${file}`, { headers: { "If-None-Match": headers.etag } });
        assert.deepEqual([cached.status, cached.body.length], [304, 0]);
        const weakly = await request(`${server.url}/socket.io/${file}`, { headers: { "If-None-Match": `W/${headers.etag.replace(/^W\//, "")}` } });
        assert.equal(weakly.status, 304);
        const outdated = await request(`${server.url}/socket.io/${file}`, { headers: { "If-None-Match": '"another"' } });
        assert.equal(outdated.status, 200);
      });
    }
  }

  test("with a query, as pages add to get round caches", async () => {
    assert.equal((await request(`${server.url}/socket.io/socket.io.js?v=1`)).status, 200);
  });

  for (const file of ["socket.io.esm.js", "package.json", "../go.mod", "..%2f..%2fetc/passwd", "socket.io.js%00"]) {
    test(`${file} is not one of them`, async () => {
      const { status } = await request(`${server.url}/socket.io/${file}`);
      assert.ok([400, 404, 301, 307].includes(status), `answered ${status}`);
    });
  }
});
