/** A process that was suspended: what arrived meanwhile counts, not the time that has passed. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { createInterface } from "node:readline";
import { describe, test } from "node:test";
import { KEY, bound, done } from "./golden.js";
import { signal } from "./programs.js";
import { script } from "./server.js";

const PROGRAMS = fileURLToPath(new URL("programs.js", import.meta.url));
/** Longer than any deadline of these programs by more than a second. */
const SUSPENDED_MS = 1700;

/** Run this program in a process of its own; `result` is what it prints. */
function run(t, code) {
  const source = `import { connect } from ${JSON.stringify(PROGRAMS)}; const t = { after() {} }; ${code}`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", source], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => child.kill("SIGKILL"));
  const result = once(createInterface(child.stdout), "line").then(([line]) => line);
  /** Suspend it; what `meanwhile` sends it finds when it continues. */
  const suspend = async (meanwhile) => {
    child.kill("SIGSTOP");
    meanwhile();
    await new Promise((resolve) => setTimeout(resolve, SUSPENDED_MS));
    child.kill("SIGCONT");
  };
  return { result, suspend };
}

describe("a process that was suspended", { timeout: 30000, concurrency: true }, () => {
  test("gets the reply that came meanwhile: its login succeeds", async (t) => {
    const asked = signal();
    const { url } = await script(t, (socket, { id, method }) => {
      if (method === "session.login") asked.give(() => socket.send(bound(id)));
    });
    const { result, suspend } = run(
      t,
      `const client = connect(t, ${JSON.stringify(url)});
       await client.opened();
       const options = { timeoutMs: 500 };
       const login = client.session.login("anonymous", null, options);
       console.log(await login.then(({ actorId }) => actorId, ({ code }) => code));
       process.exit();`,
    );
    await suspend(await asked.given);
    assert.equal(await result, "player:7");
  });

  test("is open when the restore was answered meanwhile, on the same connection", async (t) => {
    const asked = signal();
    const server = await script(t, (socket, { id, method }) => {
      if (method === "session.restore") asked.give(() => socket.send(bound(id)));
      if (method === "time.now") socket.send(done(id, 1));
    });
    const { result, suspend } = run(
      t,
      `const client = connect(t, ${JSON.stringify(server.url)}, { key: ${JSON.stringify(KEY)}, openTimeoutMs: 500 });
       await client.opened();
       console.log(client.session.getActorId());
       process.exit();`,
    );
    await suspend(await asked.given);
    assert.equal(await result, "player:7");
    assert.equal(server.connections(), 1);
  });
});
