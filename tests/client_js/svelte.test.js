/** The stores for Svelte in docs/start/react.md, as components subscribe to them. */
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { blocks } from "./pages.js";
import { ts, WebSocket } from "./peers.js";
import { settled } from "./programs.js";
import { serve } from "./server.js";

const DIST = fileURLToPath(new URL("../../client_js/dist/", import.meta.url));

test("Svelte's stores show the present state to whoever subscribes, however late", async (t) => {
  globalThis.WebSocket ??= WebSocket;
  const server = await serve(t);
  const [, , program] = blocks("docs/start/react.md", "ts");
  const file = `${DIST}svelte-${process.pid}.mjs`;
  const module = ts.ModuleKind.ESNext;
  const { outputText } = ts.transpileModule(program, { compilerOptions: { module, target: "ES2022" } });
  writeFileSync(file, outputText.replace("ws://127.0.0.1:8330", server.url));
  t.after(() => rmSync(file));
  const { client, state, session } = await import(file);
  t.after(() => client.close());

  const shown = () => {
    const seen = {};
    const undo = [state.subscribe((now) => (seen.state = now)), session.subscribe((now) => (seen.session = now))];
    return [seen, () => undo.forEach((end) => end())];
  };
  const [first, leave] = shown();
  assert.deepEqual(first, { state: "connecting", session: null });
  const { id } = await client.session.login("anonymous");
  assert.deepEqual([first.state, first.session.id], ["open", id]);
  leave();
  await client.session.logout();
  const [second, leaveAgain] = shown();
  assert.deepEqual(second, { state: "open", session: null });
  const next = await client.session.login("anonymous");
  await settled(() => second.session?.id === next.id);
  leaveAgain();
  await client.close();
  assert.equal(shown()[0].state, "closed");
});
