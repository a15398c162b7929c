/** What is shipped works as it is written down. */
import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { KEY } from "./golden.js";
import { WebSocket } from "./peers.js";
import { serve } from "./server.js";

const CLIENT = new URL("../../client_js/", import.meta.url);

test("the example of the README does what it says", { timeout: 30000 }, async (t) => {
  const server = await serve(t);
  const [, example] = /```js\n(.*?)```/s.exec(readFileSync(new URL("README.md", CLIENT), "utf8"));
  // Inside of the package, so that `keystay` is the package itself.
  const file = fileURLToPath(new URL(`dist/example-${process.pid}.mjs`, CLIENT));
  writeFileSync(file, example.replace("ws://127.0.0.1:8330", server.url));
  t.after(() => rmSync(file));
  const said = t.mock.method(console, "log", () => {});
  globalThis.WebSocket ??= WebSocket;
  await import(file);
  const [[, actor], ended] = said.mock.calls.map((call) => call.arguments);
  assert.ok(actor);
  assert.deepEqual(ended, ["it ended:", "loggedOut"]);
});

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

test("nothing that is shipped or locked names a registry", () => {
  const lock = readFileSync(new URL("package-lock.json", CLIENT), "utf8");
  assert.ok(!/resolved|registry/.test(lock));
});
