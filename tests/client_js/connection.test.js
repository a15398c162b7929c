/** Connections that break, at a real server. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { codeOf, connect, entered, listen, settled } from "./programs.js";
import { relayTo, serve } from "./server.js";

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

describe("a connection that breaks", { timeout: 60000 }, () => {
  test("lets the user log out: here at once, at the server when it can be reached", async (t) => {
    const server = await serve(t);
    const relay = await relayTo(t, server);
    const storage = keptStorage();
    const client = connect(t, relay.url, { storage });
    const { id } = await client.session.login("anonymous");
    relay.cut();
    await entered(client, "reconnecting");
    const news = listen(client);
    const loggedOut = client.session.logout();
    assert.deepEqual(news.received, [["session.unset", { reason: "loggedOut", id }]]);
    assert.deepEqual([storage.kept, client.session.getKey()], [null, null]);
    assert.equal((await server.ask("GET", `/v1/sessions/${id}`)).id, id);
    relay.mend();
    await loggedOut;
    await assert.rejects(server.ask("GET", `/v1/sessions/${id}`), /404|410/);
    await client.now();
    assert.equal(news.received.length, 1);
  });
});

describe("a program that runs again", { timeout: 60000 }, () => {
  test("uses the session of another tab that logged in, and none after it logged out", async (t) => {
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
    await settled(() => storage.kept.cursor !== null); // The cursor of the reply is stored, too.
    relay.cut();
    await entered(client, "reconnecting");
    storage.clear();
    relay.mend();
    const [, data] = await news.until("session.unset");
    assert.deepEqual(data, { reason: "loggedOut", id: other });
    await client.opened();
    assert.equal(await codeOf(client.session.list()), "noSession");
  });

  test("works with an unusable key in the storage", async (t) => {
    const server = await serve(t);
    const storage = keptStorage();
    storage.save({ key: "\ud800", cursor: -1 });
    const client = connect(t, server.url, { storage });
    assert.ok((await client.now()) > 0);
    assert.equal(storage.kept, null);
  });
});
