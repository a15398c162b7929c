/** The programs and tables of the README. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, before, describe, test } from "node:test";
import * as keystay from "../../client_js/dist/index.js";
import { KEY } from "./golden.js";
import { blocks, named, page } from "./pages.js";
import { WebSocket } from "./peers.js";
import { connect, listen } from "./programs.js";
import { serve } from "./server.js";

const README = "client_js/README.md";
const EXAMPLES = blocks(README, "js");
const PROGRAMS = EXAMPLES.filter((code) => code.includes("import "));
const PARTS = EXAMPLES.filter((code) => !code.includes("import "));
const DIST = fileURLToPath(new URL("../../client_js/dist/", import.meta.url));
const NODE_20 = !globalThis.WebSocket && "Node has a WebSocket from 22 on";
const AsyncFunction = (async () => {}).constructor;

/** The public members of a class. */
const members = (type) =>
  Object.getOwnPropertyNames(type.prototype).filter((name) => !/^(constructor|toJSON)$/.test(name));

describe("the README", { timeout: 60000 }, () => {
  let server;
  let stop;
  before(async () => {
    server = await serve({ after: (end) => (stop = end) });
  });
  after(() => stop());

  /** Run a program as a file of its own, so often; return what it logged each time. */
  const runProgram = async (t, code, times = 1) => {
    // Inside of the package, so that `keystay` is the package itself.
    const file = join(DIST, `example-${process.pid}.mjs`);
    writeFileSync(file, code.replace("ws://127.0.0.1:8330", server.url));
    t.after(() => rmSync(file));
    const { mock } = t.mock.method(console, "log", () => {});
    const logged = [];
    for (let run = 0; run < times; run++) {
      await import(`${file}?${code.length}-${run}`);
      logged.push(mock.calls.map((call) => call.arguments));
      mock.resetCalls();
    }
    return logged;
  };

  /** Run a part of a program that knows these names; return what it logged. */
  const runPart = async (t, code, names) => {
    const { mock } = t.mock.method(console, "log", () => {});
    await new AsyncFunction(...Object.keys(names), code)(...Object.values(names));
    return () => mock.calls.map((call) => call.arguments);
  };

  test("has programs and parts, each of which is run here", () => {
    assert.deepEqual([PROGRAMS.length, PARTS.length], [3, 5]);
  });

  test("the first program logs in, out, and gets both events", { skip: NODE_20 }, async (t) => {
    const [[[, actor], ended]] = await runProgram(t, PROGRAMS[0]);
    assert.ok(actor);
    assert.deepEqual(ended, ["it ended:", "loggedOut"]);
  });

  test("the program for Node 20 connects with the package ws", async (t) => {
    const [[[, time]]] = await runProgram(t, PROGRAMS[1]);
    assert.ok(Math.abs(time.getTime() - Date.now()) < 60_000);
  });

  test("the program that keeps its session in a file finds it when it runs again", async (t) => {
    const [home, away] = [process.cwd(), mkdtempSync(join(tmpdir(), "keystay-"))];
    t.after(() => {
      process.chdir(home);
      rmSync(away, { recursive: true });
    });
    process.chdir(away);
    const [first, second] = await runProgram(t, PROGRAMS[2], 2);
    assert.ok(first[0][0]);
    assert.deepEqual(second, first);
    assert.equal(statSync("session.json").mode & 0o777, 0o600);
  });

  test("the login of a backend leads to a restored session", async (t) => {
    const client = connect(t, server.url);
    const fetch = async (path, { body }) => {
      assert.deepEqual([path, `${body}`], ["/login", "name=ada&password=correct+horse"]);
      return Response.json(await server.ask("POST", "/v1/sessions", { actorId: "ada" }));
    };
    const names = { client, fetch, name: "ada", password: "correct horse" };
    await runPart(t, PARTS[0], names);
    assert.equal(client.session.getActorId(), "ada");
  });

  test("a callback gets the code of the error", async (t) => {
    const client = connect(t, server.url);
    const logged = await runPart(t, PARTS[1], { client, key: KEY });
    await client.session.isValid(KEY).catch(() => {});
    assert.deepEqual(logged(), [["log in, please:", "noSession"]]);
  });

  test("handlers get the events of their path and below it", async (t) => {
    const client = connect(t, server.url);
    const logged = await runPart(t, PARTS[2], { client });
    const session = await client.session.login("anonymous");
    const news = listen(client, "shop");
    await server.ask("POST", `/v1/sessions/${session.id}/events`, { name: "shop.bought", data: 1 });
    await news.until(1);
    assert.deepEqual(logged(), [["session.set", session], ["shop.bought", 1]]);
  });

  test("data is loaded again when events were missed", async (t) => {
    const { key, id } = await server.ask("POST", "/v1/sessions", { actorId: "lin" });
    const { cursor } = await server.ask("POST", `/v1/sessions/${id}/events`, { name: "n", data: 1 });
    let loaded = 0;
    for (const [stored, expected] of [[cursor, 0], [1, 1]]) {
      const kept = { key, cursor: stored };
      const storage = { load: () => kept, save: () => {}, clear: () => {} };
      const client = connect(t, server.url, { storage });
      await runPart(t, PARTS[3], { client, loadAnew: () => loaded++ });
      await client.opened();
      assert.deepEqual([client.recovered, loaded], [!expected, expected]);
    }
  });

  test("an error is recognised by its code", async (t) => {
    const client = connect(t, server.url);
    const logged = await runPart(t, PARTS[4], { client, key: KEY });
    assert.deepEqual(logged(), [["log in, please:", "noSession"]]);
  });
});

describe("the tables of the README", () => {
  test("name every command and property of the client, and no other", () => {
    const client = keystay.connect("ws://127.0.0.1:9", { storage: "memory", WebSocket });
    client.close();
    const commands = members(client.session.constructor).map((name) => `session.${name}`);
    const there = [...members(keystay.Client), ...commands];
    assert.deepEqual(named(README, "Commands").sort(), there.sort());
  });

  test("name every option", () => {
    const interfaceOf = /interface Options \{(.*?)^\}/ms.exec(page("client_js/src/options.ts"))[1];
    const there = [...interfaceOf.matchAll(/^ {2}(\w+)\?:/gm)].map(([, name]) => name);
    assert.ok(there.length > 10);
    for (const name of there) assert.ok(named(README, "Options").includes(name), name);
  });

  test("name every error that the client itself makes", () => {
    const type = /type ClientErrorCode =(.*?)";$/ms.exec(page("client_js/src/errors.ts"))[1];
    const there = [...type.matchAll(/\| "(\w+)/g)].map(([, code]) => code);
    assert.ok(there.length > 5);
    for (const code of there) assert.ok(named(README, "Errors").includes(code), code);
  });
});
