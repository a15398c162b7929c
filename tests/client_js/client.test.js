/** What a program does with a client, at a real server. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { inspect } from "node:util";
import { connect as connectClient } from "../../client_js/dist/index.js";
import { OTHER_KEY } from "./golden.js";
import { WebSocket, ws } from "./peers.js";
import { codeOf, connect, listen } from "./programs.js";
import { serve } from "./server.js";

describe("a client", { timeout: 60000 }, () => {
  let server;
  let stop;
  before(async () => {
    server = await serve({ after: (end) => (stop = end) });
  });
  after(() => stop());
  const open = (actorId, more) => server.ask("POST", "/v1/sessions", { actorId, ...more });

  test("logs in, gets the event before the reply, and logs out", async (t) => {
    const client = connect(t, server.url);
    const { received, names } = listen(client, "session");
    const session = await client.session.login("anonymous", { actorId: "ada" });
    assert.deepEqual(names(), ["session.set"]);
    assert.equal(client.session.current.id, session.id);
    assert.equal(client.session.getActorId(), "ada");
    assert.equal(client.session.getKey(), session.key);
    assert.deepEqual(await client.session.list(), [{ ...session, current: true }]);
    await client.session.logout();
    assert.deepEqual(received[1], ["session.unset", { reason: "loggedOut", id: session.id }]);
    assert.deepEqual([client.session.current, client.session.getKey()], [null, null]);
    assert.equal(await codeOf(client.session.isValid(session.key)), "loggedOut");
    assert.equal(await codeOf(client.session.list()), "noSession");
  });

  test("is notified at once of what a backend does to its session", async (t) => {
    const { key, id } = await open("push", { meta: { level: 1 } });
    const client = connect(t, server.url, { key, paths: ["session", "shop"] });
    await client.opened();
    const news = listen(client);
    await server.ask("PATCH", `/v1/sessions/${id}`, { meta: { level: 2 } });
    await server.ask("POST", `/v1/sessions/${id}/events`, { name: "shop.bought", data: { n: 1 } });
    await server.ask("DELETE", `/v1/sessions/${id}?reason=banned`);
    await news.until(3);
    assert.deepEqual(news.names(), ["session.set", "shop.bought", "session.unset"]);
    assert.deepEqual(news.received[0][1].meta, { level: 2 });
    assert.deepEqual(news.received[1][1], { n: 1 });
    assert.deepEqual(news.received[2][1], { reason: "banned", id });
  });

  test("passes the cursor of an event to its handlers, if it has one", async (t) => {
    const { key, id } = await open("order of events");
    const client = connect(t, server.url, { key, paths: ["session", "n"] });
    const cursors = [];
    client.on("", (name, data, cursor) => cursors.push(cursor));
    const all = listen(client);
    await client.opened();
    await server.ask("POST", `/v1/sessions/${id}/events`, { name: "n", data: 1 });
    await server.ask("POST", "/v1/broadcast", { name: "n", data: 2 });
    await server.ask("PATCH", `/v1/sessions/${id}`, { meta: {} });
    await all.until(4);
    const [restored, first, toAll, changed] = cursors;
    assert.ok(0 < first && first < changed);
    assert.deepEqual([restored, toAll], [null, null]);
  });

  test("gets only the events it is subscribed to, and a handler only those of its path", async (t) => {
    const { key, id } = await open("paths");
    const client = connect(t, server.url, { key });
    const emit = (name) => server.ask("POST", `/v1/sessions/${id}/events`, { name, data: null });
    const [shop, shops, all] = ["shop", "shops", ""].map((path) => listen(client, path));
    const subscribed = await client.subscribe("shop", "end");
    assert.deepEqual(subscribed.sort(), ["end", "session", "shop"]);
    for (const name of ["shops", "shop", "shop.a", "end"]) await emit(name);
    await all.until("end");
    assert.deepEqual(shop.names(), ["shop", "shop.a"]);
    assert.deepEqual(shops.names(), []);
    assert.deepEqual((await client.unsubscribe("shop")).sort(), ["end", "session"]);
  });

  test("accepts a callback in the place of every promise", async (t) => {
    const client = connect(t, server.url);
    const called = (give) => new Promise((resolve) => {
      assert.equal(give((...result) => resolve(result)), undefined);
    });
    const { session } = client;
    const [, { key, id }] = await called((done) => session.login("anonymous", done));
    assert.deepEqual(await called((done) => session.isValid(key, done)), [null, undefined]);
    assert.deepEqual(await called((done) => session.isValid(key, {}, done)), [null, undefined]);
    assert.deepEqual(await called((done) => session.isValid(null, done)), ["invalidSessionKey"]);
    assert.deepEqual(await called((done) => session.isValid(OTHER_KEY, done)), ["noSession"]);
    assert.equal((await called((done) => session.restore(done)))[1].id, id);
    assert.equal((await called((done) => session.restore(key, done)))[1].id, id);
    assert.equal((await called((done) => session.list(done)))[1].length, 1);
    assert.deepEqual(await called((done) => session.login("none", null, {}, done)), ["loginDisabled"]);
    assert.deepEqual(await called((done) => session.logout({ scope: "others" }, done)), [null, undefined]);
    assert.deepEqual(await called((done) => session.logout(done)), [null, undefined]);
    assert.deepEqual(await called((done) => session.restore(done)), ["noSession"]);
  });

  test("logs out of all sessions, or rejects", async (t) => {
    const [client, other] = [connect(t, server.url), connect(t, server.url)];
    const { actorId } = await client.session.login("anonymous");
    await other.session.login("anonymous", { actorId });
    const { until } = listen(other);
    await client.session.logout({ scope: "all" });
    assert.equal((await until("session.unset"))[1].reason, "loggedOut");
    for (const scope of ["all", "others"]) {
      assert.equal(await codeOf(client.session.logout({ scope })), "noSession");
    }
    await client.session.logout();
  });

  test("accepts options for each command, also after paths", async (t) => {
    const client = connect(t, "ws://127.0.0.1:9");
    const options = { whenOffline: "fail" };
    assert.equal(await codeOf(client.subscribe("shop", options)), "notConnected");
    assert.equal(await codeOf(client.unsubscribe(options)), "notConnected");
    assert.equal(await codeOf(client.now(options)), "notConnected");
    const other = connect(t, server.url);
    assert.deepEqual((await other.subscribe("shop", { timeoutMs: 5000 })).sort(), ["session", "shop"]);
    for (const wrong of [["shop"], null, 5]) {
      assert.equal(await codeOf(other.subscribe(wrong)), "invalidParams");
    }
  });

  test("removes each registration once, and calls no handler that was removed just before", async (t) => {
    const client = connect(t, server.url);
    const called = [];
    const twice = () => called.push("twice");
    const undo = client.on("session", twice);
    client.on("session", twice);
    undo();
    undo();
    const removed = () => called.push("removed");
    client.on("session", () => client.off("session", removed));
    client.on("session", removed);
    let undoState = () => {};
    client.onState(() => undoState());
    undoState = client.onState(() => called.push("removed"));
    await client.session.login("anonymous");
    assert.deepEqual(called, ["twice"]);
  });

  test("refuses an invalid storage, and names the valid ones", () => {
    for (const storage of ["Local", null, {}, true]) {
      assert.throws(
        () => connectClient(server.url, { WebSocket, storage }),
        (error) => error instanceof TypeError && /storage.*"local".*"memory"/.test(error.message),
      );
    }
  });

  test("executes commands in the order of the calls, also before it is connected", async (t) => {
    const client = connect(t, server.url);
    const { key } = await open("order");
    const answers = await Promise.all([
      client.session.restore(key),
      client.session.list(),
      client.session.logout(),
      codeOf(client.session.list()),
      client.now(),
    ]);
    assert.equal(answers[1].length, 1);
    assert.equal(answers[3], "noSession");
    assert.ok(Math.abs(answers[4] - Date.now()) < 60000);
  });

  test("emits `session.unset` for a key that is refused", async (t) => {
    const client = connect(t, server.url, { key: OTHER_KEY });
    const news = listen(client);
    await client.opened();
    assert.deepEqual(news.received, [["session.unset", { reason: "noSession", id: null }]]);
    assert.equal(client.session.getKey(), null);
    const { key, id } = await open("refused");
    client.session.setSessionKey(key);
    assert.equal(client.session.getKey(), key);
    await news.until("session.set");
    assert.equal(client.session.current.id, id);
    assert.throws(() => client.session.setSessionKey(7), { code: "invalidSessionKey" });
  });

  test("continues when a handler throws, and reports it", async (t) => {
    const reported = t.mock.method(console, "error", () => {});
    const client = connect(t, server.url);
    const fail = () => {
      throw new Error("of the program");
    };
    client.on("session", fail);
    client.on("session", async () => fail());
    const undo = client.on("session", assert.fail);
    undo();
    const { until } = listen(client);
    client.session.login("anonymous", fail);
    await until("session.set");
    await client.now();
    assert.equal(reported.mock.callCount(), 3);
  });

  test("may be closed from within a handler", async (t) => {
    const client = connect(t, server.url);
    client.on("session.set", () => client.close());
    assert.equal(await codeOf(client.session.login("anonymous")), "connectionLost");
    assert.equal(await codeOf(client.now()), "clientClosed");
    assert.equal(await codeOf(client.opened()), "clientClosed");
    assert.deepEqual([client.state, client.error], ["closed", null]);
  });

  test("shows its key only where it is read by name", async (t) => {
    const client = connect(t, server.url);
    const session = await client.session.login("anonymous");
    for (const shown of [client, client.session, session, { client, session }]) {
      assert.ok(!(JSON.stringify(shown) + inspect(shown, { depth: 9 })).includes("kst_"));
    }
    const circle = { key: session.key };
    circle.circle = circle;
    const error = await client.session.login("anonymous", circle).catch((error) => error);
    assert.equal(error.code, "invalidParams");
    assert.ok(!inspect(error, { depth: 9 }).includes("kst_"));
  });

  test("refuses an invalid URL, without quoting it", () => {
    for (const url of ["http://user:password@a", "password", "", "ws://password#x", "ws:// password"]) {
      assert.throws(
        () => connectClient(url, { WebSocket }),
        (error) => error instanceof TypeError && !error.message.includes("password"),
      );
    }
  });

  test("connects with `ws`, or with the WebSocket of Node 22 and later", async (t) => {
    for (const WebSocket of [ws.WebSocket, globalThis.WebSocket].filter(Boolean)) {
      const client = connect(t, server.url, { WebSocket });
      assert.equal((await client.session.login("anonymous")).language, "en");
    }
    if (!globalThis.WebSocket) assert.throws(() => connectClient(server.url), /pass one/);
  });

  test("treats an option that is undefined as not given", async (t) => {
    const client = connect(t, server.url, { timeoutMs: undefined, paths: undefined, key: undefined });
    assert.ok((await client.now()) > 0);
  });
});
