/** What a client makes of lines that break, at a real server. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { codeOf, connect, entered, listen } from "./programs.js";
import { relayTo, serve } from "./server.js";

const sqlite = (t) => {
  const folder = mkdtempSync(join(tmpdir(), "keystay-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return { "--store": `sqlite:///${folder}/keystay.db` };
};

/** Storage that several runs of a program have in common. */
const keptStorage = () => {
  const storage = {
    kept: null,
    load: () => storage.kept,
    save: (session) => (storage.kept = session),
    clear: () => (storage.kept = null),
  };
  return storage;
};

describe("a line that breaks", { timeout: 60000 }, () => {
  test("costs nothing: what was missed is heard in order and once, commands wait", async (t) => {
    const server = await serve(t);
    const relay = await relayTo(t, server);
    const client = connect(t, relay.url, { paths: ["session", "n"] });
    const { id } = await client.session.login("anonymous");
    const { heard, until } = listen(client);
    const say = (n) => server.ask("POST", `/v1/sessions/${id}/events`, { name: "n", data: n });
    await say(0);
    await until("n");
    relay.cut();
    await entered(client, "reconnecting");
    for (let n = 1; n < 6; n++) await say(n);
    assert.equal(await codeOf(client.now({ whenOffline: "fail" })), "notConnected");
    const waiting = client.session.list();
    relay.mend();
    assert.equal((await waiting).length, 1);
    await say(6);
    await until(9);
    const numbers = heard.filter(([name]) => name === "n").map(([, data]) => data);
    assert.deepEqual(numbers, [0, 1, 2, 3, 4, 5, 6]);
    assert.deepEqual(heard.at(-2), ["session.recovered", { recovered: true }]);
    assert.deepEqual([client.recovered, client.state], [true, "open"]);
  });

  test("and a server that is killed and comes back elsewhere cost nothing either", async (t) => {
    const flags = sqlite(t);
    const first = await serve(t, flags);
    const relay = await relayTo(t, first);
    const client = connect(t, relay.url);
    const { id } = await client.session.login("anonymous");
    await first.end("SIGKILL");
    await entered(client, "reconnecting");
    const second = await serve(t, flags);
    await second.ask("PATCH", `/v1/sessions/${id}`, { meta: { after: "all" } });
    const news = listen(client);
    relay.mend(second);
    await news.until("session.recovered");
    assert.deepEqual(client.session.current.meta, { after: "all" });
    assert.equal(client.recovered, true);
  });

  test("by a server that drains is left for the next one, with nothing lost", async (t) => {
    const flags = sqlite(t);
    const first = await serve(t, flags);
    const relay = await relayTo(t, first);
    const client = connect(t, relay.url);
    await client.session.login("anonymous");
    const news = listen(client);
    const gone = first.end("SIGTERM");
    const [, { reconnectAfter }] = await news.until("server.draining");
    // Login is never sent twice: it is not sent to a server that reads no more.
    const login = client.session.login("anonymous", { actorId: "late" });
    assert.ok(reconnectAfter >= 0);
    await gone;
    relay.mend(await serve(t, flags));
    assert.equal((await login).actorId, "late");
  });

  test("while the session ends tells why on the way back", async (t) => {
    const server = await serve(t);
    const relay = await relayTo(t, server);
    const storage = keptStorage();
    const client = connect(t, relay.url, { storage });
    const { id, key } = await client.session.login("anonymous");
    assert.equal(storage.kept.key, key);
    const news = listen(client);
    relay.cut();
    await entered(client, "reconnecting");
    await server.ask("DELETE", `/v1/sessions/${id}?reason=banned`);
    relay.mend();
    assert.deepEqual((await news.until("session.unset"))[1], { reason: "banned", id });
    assert.deepEqual([storage.kept, client.session.getKey()], [null, null]);
  });

  test("logs the user out all the same: here at once, at the server when it can", async (t) => {
    const server = await serve(t);
    const relay = await relayTo(t, server);
    const storage = keptStorage();
    const client = connect(t, relay.url, { storage });
    const { id } = await client.session.login("anonymous");
    relay.cut();
    await entered(client, "reconnecting");
    const news = listen(client);
    const loggedOut = client.session.logout();
    assert.deepEqual(news.heard, [["session.unset", { reason: "loggedOut", id }]]);
    assert.deepEqual([storage.kept, client.session.getKey()], [null, null]);
    assert.equal((await server.ask("GET", `/v1/sessions/${id}`)).id, id);
    relay.mend();
    await loggedOut;
    await assert.rejects(server.ask("GET", `/v1/sessions/${id}`), /404|410/);
    await client.now();
    assert.equal(news.heard.length, 1);
  });
});

describe("a program that runs again", { timeout: 60000 }, () => {
  test("takes its session up, and hears what it missed", async (t) => {
    const server = await serve(t);
    const storage = keptStorage();
    const options = { storage, paths: ["session", "n"] };
    const before = connect(t, server.url, options);
    const { id, key } = await before.session.login("anonymous");
    await before.close();
    await server.ask("POST", `/v1/sessions/${id}/events`, { name: "n", data: 1 });
    const after = connect(t, server.url, options);
    assert.equal(after.session.getKey(), key);
    const news = listen(after);
    await news.until("session.recovered");
    assert.deepEqual(news.names(), ["n", "session.set", "session.recovered"]);
  });

  test("speaks for whom another tab logged in, and for nobody whom it logged out", async (t) => {
    const server = await serve(t);
    const relay = await relayTo(t, server);
    const storage = keptStorage();
    const client = connect(t, relay.url, { storage });
    const { id } = await client.session.login("anonymous");
    const news = listen(client);
    relay.cut();
    await entered(client, "reconnecting");
    const { key } = await server.ask("POST", "/v1/sessions", { actorId: "other" });
    storage.save({ key, cursor: null });
    relay.mend();
    await news.until("session.set");
    assert.equal(client.session.getActorId(), "other");
    assert.equal(storage.kept.key, key);
    const other = client.session.current.id;
    assert.notEqual(other, id);
    relay.cut();
    await entered(client, "reconnecting");
    storage.clear();
    relay.mend();
    const [, data] = await news.until("session.unset");
    assert.deepEqual(data, { reason: "loggedOut", id: other });
    await client.opened();
    assert.equal(await codeOf(client.session.list()), "noSession");
  });

  test("is not stopped by what it finds in the storage", async (t) => {
    const server = await serve(t);
    const storage = keptStorage();
    storage.save({ key: "\ud800", cursor: -1 });
    const client = connect(t, server.url, { storage });
    assert.ok((await client.now()) > 0);
    assert.equal(storage.kept, null);
  });
});
