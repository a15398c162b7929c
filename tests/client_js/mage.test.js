/** The client with MAGE's interface, and the unchanged example of MAGE's session module. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, before, describe, test } from "node:test";
import { runInNewContext } from "node:vm";
import { connect as connectMage, EventManager } from "../../client_js/dist/mage.js";
import { KEY, done, refused } from "./golden.js";
import { blocks } from "./pages.js";
import { WebSocket } from "./peers.js";
import { codeOf, settled } from "./programs.js";
import { relayTo, script, serve } from "./server.js";

const [EXAMPLE] = blocks("docs/guides/mage.md", "javascript");
const [MAGE_FILE, VITE_CONFIG] = blocks("docs/guides/mage.md", "js");
const [ESBUILD] = blocks("docs/guides/mage.md", "sh");
const CLIENT = fileURLToPath(new URL("../../client_js/", import.meta.url));

/** What the example uses of a browser; `changes` lists what it did there. */
class LocalStorage {
  changes = [];
  #items;
  constructor(items) {
    this.#items = new Map(Object.entries(items));
  }
  getItem = (name) => this.#items.get(name) ?? null;
  setItem(name, value) {
    this.#items.set(name, value);
    this.changes.push(["stored", value]);
  }
  removeItem(name) {
    this.#items.delete(name);
    this.changes.push(["removed"]);
  }
}

/** What the methods of the console were called with. */
const consoleOf = (t) =>
  ["debug", "info", "warn", "error"].map((method) => {
    const { mock } = t.mock.method(console, method, () => {});
    return () => mock.calls.map((call) => call.arguments);
  });

describe("keystay/mage", { timeout: 60000 }, () => {
  let server;
  let stop;
  before(async () => {
    server = await serve({ after: (end) => (stop = end) });
  });
  after(() => stop());
  const open = (actorId) => server.ask("POST", "/v1/sessions", { actorId });

  const connect = (t, options, url = server.url) => {
    const mage = connectMage(url, { WebSocket, ...options });
    t.after(() => mage.client.close());
    return mage;
  };

  test("keeps a key while the server is out of reach: no callback before it has judged the key", async (t) => {
    const relay = await relayTo(t, server);
    const { session } = connect(t, { timeoutMs: 30, backoffCapMs: 20 }, relay.url);
    const { key } = await open("player:9");
    relay.cut();
    const answers = [];
    const answered = new Promise((resolve) => {
      session.isValid(key, (error) => answers.push(error));
      session.restore(key, (error, restored) => resolve(answers.push(error, restored.actorId)));
    });
    // Longer than a command may take.
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.deepEqual(answers, []);
    relay.mend();
    await answered;
    await settled(() => answers.length === 3);
    assert.deepEqual(answers.toSorted(), [null, "player:9", null].toSorted());
    assert.equal(session.getActorId(), "player:9");
  });

  /** Answer what is not about keys. */
  const answer = (socket, { id, method }) => {
    if (method !== "open") socket.send(done(id, method === "time.now" ? 1 : [""]));
  };

  test("asks again whenever the server says when, also with a code of a later version", async (t) => {
    let count = 0;
    const { url } = await script(t, (socket, { id, method }) => {
      if (method !== "session.isValid") return answer(socket, { id, method });
      socket.send(++count < 3 ? refused(id, "tooEarly", { retryAfter: 0.01 }) : done(id));
    });
    const { session } = connect(t, {}, url);
    assert.equal(await new Promise((resolve) => session.isValid(KEY, resolve)), null);
    assert.equal(count, 3);
  });

  test("waits at most as long as a timer can, and never asks without a pause", async (t) => {
    for (const retryAfter of [0, 1e9]) {
      let count = 0;
      const { url } = await script(t, (socket, { id, method }) => {
        if (method !== "session.isValid") return answer(socket, { id, method });
        count++;
        socket.send(refused(id, "unavailable", { retryAfter }));
      });
      const { session, client } = connect(t, {}, url);
      session.isValid(KEY, () => {});
      for (let n = 0; n < 20; n++) await client.now();
      assert.equal(count, 1);
    }
  });

  test("answers what the server has judged, and a promise when the client is closed", async (t) => {
    const { session, client } = connect(t);
    const code = await new Promise((resolve) => session.isValid(KEY, resolve));
    assert.equal(code, "noSession");
    await client.close();
    let calls = 0;
    session.isValid(KEY, () => calls++);
    assert.equal(await codeOf(session.isValid(KEY)), "clientClosed");
    assert.equal(calls, 0);
  });

  /** Run the example until its key was judged, in an application with these names. */
  const runExample = async (t, sessionKey, names = { SESSION_KEY: "sessionKey" }) => {
    const mage = connect(t);
    const localStorage = new LocalStorage(sessionKey ? { sessionKey } : {});
    const require = (name) => (name === "mage" ? mage : assert.fail(name));
    runInNewContext(EXAMPLE, { require, localStorage, ...names });
    // Its answer comes after the one that the example waits for, and after the session it restores.
    await mage.session.isValid(KEY).catch(() => {});
    await mage.client.now();
    return { mage, changes: localStorage.changes };
  };

  test("the example takes up the session of a stored key that is valid", async (t) => {
    const [debug] = consoleOf(t);
    const { key } = await open("player:7");
    const { mage, changes } = await runExample(t, key);
    assert.equal(mage.session.getActorId(), "player:7");
    assert.equal(mage.session.getKey(), key);
    assert.deepEqual(changes, [["stored", key]]);
    assert.deepEqual(debug(), [
      ["[debug]", "Stored session key is valid", "player:7:kst_…"],
      ["[debug]", "Saving session key locally", "player:7:kst_…"],
    ]);
  });

  test("the example removes a stored key that is not", async (t) => {
    const [debug] = consoleOf(t);
    const { mage, changes } = await runExample(t, KEY);
    assert.equal(mage.session.getKey(), null);
    assert.deepEqual(changes, [["removed"]]);
    assert.deepEqual(debug(), [["[debug]", "Stored session key is invalid", "player:7:kst_…"]]);
  });

  test("the example stores nothing if nothing was stored, and stores the next session", async (t) => {
    const [debug] = consoleOf(t);
    const { mage, changes } = await runExample(t, null);
    assert.deepEqual(debug(), [["[debug]", "Stored session key is invalid", "null"]]);
    const { key } = await mage.session.login("anonymous");
    assert.deepEqual(changes, [["removed"], ["stored", key]]);
  });

  test("the example without SESSION_KEY: reported, and the session is there", async (t) => {
    const [, , , error] = consoleOf(t);
    const { key, actorId } = await open("player:8");
    const { mage, changes } = await runExample(t, key, {});
    const received = [];
    mage.eventManager.on("session.set", (path, session) => received.push(session.actorId));
    await mage.session.restore();
    assert.deepEqual([mage.session.getActorId(), received, changes], [actorId, [actorId], []]);
    const reported = error().map(([thrown]) => `${thrown}`);
    assert.deepEqual(new Set(reported), new Set(["ReferenceError: SESSION_KEY is not defined"]));
  });

  test("commands call back with null, or with the error code", async (t) => {
    const { session } = connect(t);
    const called = (give) => new Promise((resolve) => give((err) => resolve(err)));
    const { key } = await open("player:9");
    assert.equal(await called((done) => session.isValid(key, done)), null);
    assert.equal(await called((done) => session.restore(key, done)), null);
    assert.equal(session.getActorId(), "player:9");
    assert.equal(await called((done) => session.logout(done)), null);
    assert.equal(await called((done) => session.isValid(key, done)), "loggedOut");
    assert.equal(await called((done) => session.restore(key, done)), "loggedOut");
    assert.equal(await called((done) => session.isValid(null, done)), "invalidSessionKey");
  });

  test("all events of the actor are emitted, and the end of the session with its reason", async (t) => {
    const { key, id } = await open("player:10");
    const { session, eventManager } = connect(t);
    const received = [];
    eventManager.on("shop", (...event) => received.push(event));
    const ended = new Promise((resolve) => {
      eventManager.once("session.unset", (...event) => resolve(event));
    });
    await session.restore(key);
    await server.ask("POST", "/v1/actors/player%3A10/events", { name: "shop.bought", data: 3 });
    await server.ask("DELETE", `/v1/sessions/${id}?reason=banned`);
    assert.deepEqual(await ended, ["session.unset", "banned", { reason: "banned", id }]);
    assert.deepEqual(received, [["shop.bought", 3]]);
  });

  test("the key is left to the program, unless it chooses a storage", async (t) => {
    const { key } = await open("player:11");
    const shared = new LocalStorage({ [`keystay ${server.url}/`]: key });
    for (const name of ["localStorage", "sessionStorage"]) {
      const before = Object.getOwnPropertyDescriptor(globalThis, name);
      Object.defineProperty(globalThis, name, { value: shared, configurable: true });
      t.after(() => {
        delete globalThis[name];
        if (before) Object.defineProperty(globalThis, name, before);
      });
    }
    assert.equal(connect(t).session.getKey(), null);
    assert.equal(connect(t, { storage: "local" }).session.getKey(), key);
  });
});

describe("a bundler", { timeout: 60000 }, () => {
  /** The folder of an application that has installed `keystay`. */
  const application = (t, files) => {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), "keystay-")));
    t.after(() => rmSync(folder, { recursive: true }));
    mkdirSync(join(folder, "node_modules"));
    symlinkSync(CLIENT, join(folder, "node_modules/keystay"));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    return folder;
  };

  test("puts the example and what it requires into one file: esbuild", async (t) => {
    const server = await serve(t);
    const folder = application(t, {
      "mage.js": MAGE_FILE.replace("ws://127.0.0.1:8330", server.url),
      "app.js": `${EXAMPLE}\nwindow.mage = mage;\n`,
    });
    const PATH = `${join(CLIENT, "node_modules/.bin")}${delimiter}${process.env.PATH}`;
    execFileSync("sh", ["-c", ESBUILD], { cwd: folder, env: { ...process.env, PATH }, stdio: "pipe" });
    consoleOf(t);
    globalThis.WebSocket ??= WebSocket; // Node 20 has none.
    const [window, localStorage] = [{}, new LocalStorage({ sessionKey: KEY })];
    const bundle = readFileSync(join(folder, "bundle.js"), "utf8");
    new Function("window", "localStorage", bundle)(window, localStorage);
    t.after(() => window.mage.client.close());
    await window.mage.session.isValid(KEY).catch(() => {});
    const { key } = await window.mage.session.login("anonymous");
    assert.deepEqual(localStorage.changes, [["removed"], ["stored", key]]);
  });

  test("gets the file of `mage` from its configuration: Vite", async (t) => {
    const folder = application(t, { "vite.config.mjs": VITE_CONFIG });
    const { default: config } = await import(join(folder, "vite.config.mjs"));
    assert.equal(config.resolve.alias.mage, join(folder, "mage.js"));
    assert.equal(JSON.parse(config.define.SESSION_KEY), "sessionKey");
  });
});

describe("the event manager", () => {
  const recording = () => {
    const events = new EventManager();
    const received = [];
    return { events, received, record: (name) => (...args) => void received.push([name, ...args]) };
  };

  test("calls the handlers of the whole path first, and those of its first word last", () => {
    const { events, received, record } = recording();
    for (const path of ["a", "a.b", "a.b.c", "b", ""]) events.on(path, record(path));
    events.emitEvent("a.b", 1);
    assert.deepEqual(received, [["a.b", "a.b", 1], ["a", "a.b", 1]]);
  });

  test("calls those for exactly one path, with what it is given, in their order", () => {
    const { events, received, record } = recording();
    events.on("a.b", record("first")).on("a.b", record("second")).on("a", record("above"));
    assert.equal(events.emit("a.b", 1, 2), true);
    assert.equal(events.emit("none"), false);
    assert.deepEqual(received, [["first", 1, 2], ["second", 1, 2]]);
  });

  test("calls once what is to be called once, though it emits the same event again", () => {
    const { events, received, record } = recording();
    events.once("a", () => events.emit("a")).once("a", record("once"));
    events.emit("a");
    events.emit("a");
    assert.deepEqual(received, [["once"]]);
  });

  test("removes a handler, the last of the same first, and all of a path or of every path", () => {
    const { events, received, record } = recording();
    const same = record("same");
    events.on("a", same).once("a", same).removeListener("a", same);
    events.emit("a");
    events.emit("a");
    assert.equal(received.length, 2);
    events.off("a", same).off("a", same);
    assert.equal(events.emit("a"), false);
    events.on("a", same).on("b", same).on("c", same).removeAllListeners("a");
    assert.deepEqual([events.emit("a"), events.emit("b")], [false, true]);
    events.removeAllListeners();
    assert.deepEqual([events.emit("b"), events.emit("c")], [false, false]);
  });

  test("reports a handler that throws, and calls the next one", (t) => {
    const [, , , error] = consoleOf(t);
    const { events, received, record } = recording();
    const broken = new Error("broken");
    events.on("a", () => { throw broken; }).on("a", record("next"));
    events.emit("a");
    assert.deepEqual([error(), received], [[[broken]], [["next"]]]);
  });
});

describe("the logger", () => {
  const { logger, client } = connectMage("ws://127.0.0.1:9", { WebSocket });
  client.close();

  test("has the levels of MAGE, each with its place on the console", (t) => {
    const [debug, info, warn, error] = consoleOf(t);
    for (const level of Object.keys(logger)) logger[level]("said");
    const levels = (calls) => calls().map(([level]) => level.slice(1, -1));
    assert.deepEqual(levels(debug), ["verbose", "debug"]);
    assert.deepEqual(levels(info), ["info"]);
    assert.deepEqual(levels(warn), ["notice", "warning"]);
    assert.deepEqual(levels(error), ["error", "critical", "alert", "emergency"]);
  });

  test("shows no key, wherever it is in what is logged", (t) => {
    const [debug] = consoleOf(t);
    const error = new Error(`no ${KEY}`);
    const circle = { toString: () => KEY };
    circle.circle = circle;
    const bare = Object.assign(Object.create(null), { KEY });
    logger.debug(KEY, `two: ${KEY} ${KEY}`, { deep: [{ key: KEY }] }, error, circle, bare);
    const [[, ...texts]] = debug();
    assert.ok(!JSON.stringify(texts).includes(KEY.slice(-43)));
    assert.equal(texts[0], "player:7:kst_…");
    assert.equal(texts[2], '{"deep":[{"key":"player:7:kst_…"}]}');
    assert.ok(texts[3].startsWith("Error: no player:7:kst_…"));
  });

  test("writes any value, and never throws", (t) => {
    const [debug] = consoleOf(t);
    const hostile = { toJSON: () => { throw new Error("no"); } };
    logger.debug(1n, null, undefined, Symbol("s"), [1, "a"], hostile, { toJSON: () => undefined });
    assert.deepEqual(debug(), [
      ["[debug]", "1", "null", "undefined", "Symbol(s)", '[1,"a"]', "[object Object]", "undefined"],
    ]);
  });

  test("writes the message of an error that does not repeat it in its stack", (t) => {
    const [debug] = consoleOf(t);
    logger.debug(Object.assign(new TypeError("what"), { stack: "at here" }));
    assert.deepEqual(debug(), [["[debug]", "TypeError: what\nat here"]]);
  });
});
