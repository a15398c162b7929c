/** The built files work as documented. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { KEY } from "./golden.js";
import { page } from "./pages.js";
import { WebSocket } from "./peers.js";
import { serve } from "./server.js";

const CLIENT = new URL("../../client_js/", import.meta.url);

test("the file for a page without a bundler is the same client", { timeout: 30000 }, async (t) => {
  const server = await serve(t);
  const { connect } = await import(new URL("dist/keystay.min.js", CLIENT));
  const client = connect(server.url, { WebSocket, storage: "memory", paths: ["session", "chat"] });
  t.after(() => client.close());
  const { key, language } = await client.session.login("anonymous");
  assert.deepEqual([key, language], [client.session.getKey(), "en"]);
  assert.deepEqual((await client.subscribe()).sort(), ["chat", "session"]);
  const error = await client.session.isValid(KEY).catch((error) => error);
  assert.deepEqual([error.name, error.code], ["CommandError", "noSession"]);
  await client.session.logout();
});

test("the file with MAGE's interface is the same client too", { timeout: 30000 }, async (t) => {
  const server = await serve(t);
  const { connect } = await import(new URL("dist/mage.min.js", CLIENT));
  const { session, eventManager, client } = connect(server.url, { WebSocket });
  t.after(() => client.close());
  const received = [];
  eventManager.on("session", (path) => received.push(path)).once("session", (path) => received.push(path));
  await session.login("anonymous");
  await session.logout();
  assert.deepEqual(received, ["session.set", "session.set", "session.unset"]);
});

test("nothing that is shipped or locked names a registry", () => {
  const lock = readFileSync(new URL("package-lock.json", CLIENT), "utf8");
  assert.ok(!/resolved|registry/.test(lock));
});

test("the demo has the present build of the client: `make client-js` copies it", () => {
  const demo = new URL("../../server/keystay_server/control/demo/assets/keystay.min.js", import.meta.url);
  assert.ok(readFileSync(demo).equals(readFileSync(new URL("dist/keystay.min.js", CLIENT))));
});

test("no module imports itself through others", () => {
  const folder = new URL("src/", CLIENT);
  const imports = new Map();
  for (const name of readdirSync(folder)) {
    const found = readFileSync(new URL(name, folder), "utf8").matchAll(/from "\.\/(\w+)\.js"/g);
    imports.set(name, [...found].map(([, module]) => `${module}.ts`));
  }
  const visit = (name, path) => {
    assert.ok(!path.includes(name), [...path, name].join(" > "));
    for (const next of imports.get(name)) visit(next, [...path, name]);
  };
  for (const name of imports.keys()) visit(name, []);
});

test("the files for pages are as small as the README promises", () => {
  const sizeOf = (name) => gzipSync(readFileSync(new URL(`dist/${name}`, CLIENT)), { level: 9 }).length;
  assert.ok(sizeOf("keystay.min.js") <= 13 * 1024);
  assert.match(page("client_js/README.md"), /`keystay\.min\.js` is at most 13 KB \(13,312 bytes\) gzipped/);
});
