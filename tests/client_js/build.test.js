/** What is shipped works as it is written down. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { KEY } from "./golden.js";
import { WebSocket } from "./peers.js";
import { serve } from "./server.js";

const CLIENT = new URL("../../client_js/", import.meta.url);

test("the one file for a page without a bundler is the same client", { timeout: 30000 }, async (t) => {
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

test("the one file in MAGE's words is the same client too", { timeout: 30000 }, async (t) => {
  const server = await serve(t);
  const { connect } = await import(new URL("dist/mage.min.js", CLIENT));
  const { session, eventManager, client } = connect(server.url, { WebSocket });
  t.after(() => client.close());
  const heard = [];
  eventManager.on("session", (path) => heard.push(path)).once("session", (path) => heard.push(path));
  await session.login("anonymous");
  await session.logout();
  assert.deepEqual(heard, ["session.set", "session.set", "session.unset"]);
});

test("nothing that is shipped or locked names a registry", () => {
  const lock = readFileSync(new URL("package-lock.json", CLIENT), "utf8");
  assert.ok(!/resolved|registry/.test(lock));
});

test("the demo has the client as it is built now: `make client-js` puts it there", () => {
  const demo = new URL("../../server/keystay_server/control/demo/assets/keystay.min.js", import.meta.url);
  assert.ok(readFileSync(demo).equals(readFileSync(new URL("dist/keystay.min.js", CLIENT))));
});
