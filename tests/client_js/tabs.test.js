/** Several tabs, one session, at a real server. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { KEY, OTHER_KEY, bound, done, refused, wireSession } from "./golden.js";
import { browser, codeOf, connect, entered, listen, settled } from "./programs.js";
import { relayTo, script, serve } from "./server.js";

describe("tabs of one browser", { timeout: 60000 }, () => {
  let server;
  let stop;
  before(async () => {
    server = await serve({ after: (end) => (stop = end) });
  });
  after(() => stop());
  const isLive = ({ id }) => server.ask("GET", `/v1/sessions/${id}`).then(() => true, () => false);

  /** Two tabs with one session; the connection of the second can be cut. */
  const pair = async (t) => {
    const { tab, ...rest } = browser(t);
    const relay = await relayTo(t, server);
    const one = tab(server.url);
    const session = await one.session.login("anonymous");
    const other = tab(relay.url);
    await other.opened();
    assert.equal(other.session.current.id, session.id);
    return { ...rest, tab, one, other, relay, session };
  };

  test("are logged in by one of them, whichever is first", async (t) => {
    const { tab, key } = browser(t);
    const [one, other] = [tab(server.url), tab(server.url)];
    const news = listen(other, "session");
    await other.opened();
    const session = await one.session.login("anonymous");
    assert.equal((await news.until("session.set"))[1].id, session.id);
    assert.deepEqual([other.session.getKey(), key()], [session.key, session.key]);
    const third = tab(server.url);
    await third.opened();
    assert.equal(third.session.current.id, session.id);
  });

  test("are logged out by one of them, and each gets one event", async (t) => {
    const { one, other, session, key } = await pair(t);
    const [here, there] = [listen(one), listen(other)];
    await one.session.logout();
    await there.until("session.unset");
    await Promise.all([one.now(), other.now()]);
    const expected = [["session.unset", { reason: "loggedOut", id: session.id }]];
    assert.deepEqual([here.received, there.received, key()], [expected, expected, null]);
    assert.equal(await codeOf(other.session.list()), "noSession");
  });

  test("are logged out by one of them also without a connection", async (t) => {
    const { one, other, relay, session } = await pair(t);
    const there = listen(other, "session");
    relay.cut();
    await entered(other, "reconnecting");
    await server.ask("DELETE", `/v1/sessions/${session.id}?reason=banned`);
    const [, data] = await there.until("session.unset");
    assert.deepEqual([data, other.state], [{ reason: "banned", id: session.id }, "reconnecting"]);
    assert.equal(other.session.getKey(), null);
    relay.mend();
    await other.opened();
    assert.deepEqual([one.session.current, other.session.current], [null, null]);
    assert.equal(there.received.length, 1);
  });

  test("are logged out by one without a connection: the others end the session at the server", async (t) => {
    const { one, other, relay, session } = await pair(t);
    const here = listen(one, "session");
    relay.cut();
    await entered(other, "reconnecting");
    const loggedOut = other.session.logout();
    await here.until("session.unset");
    assert.equal(one.session.getKey(), null);
    await one.now(); // It is sent after the commands that end that session.
    assert.equal(await isLive(session), false);
    assert.equal((await one.session.login("anonymous", { actorId: "next" })).actorId, "next");
    relay.mend();
    await loggedOut;
    await other.now();
    assert.deepEqual([one, other].map(({ session }) => session.getActorId()), ["next", "next"]);
    assert.equal(here.names().filter((name) => name === "session.unset").length, 1);
  });

  test("change to another session together; the first one stays live", async (t) => {
    const { one, other, session, key } = await pair(t);
    const there = listen(other, "session");
    const next = await one.session.login("anonymous", { actorId: "another" });
    await there.until("session.set");
    assert.deepEqual([other.session.current.id, key()], [next.id, next.key]);
    assert.deepEqual([there.names(), await isLive(session)], [["session.set"], true]);
  });

  test("agree on one session, if they log in at the same time", async (t) => {
    const { tab, key } = browser(t);
    const tabs = Array.from({ length: 4 }, () => tab(server.url));
    await Promise.all(tabs.map((client) => client.session.login("anonymous")));
    await settled(() => tabs.every(({ session }) => session.getKey() === key()));
  });

  test("end the session at the server when they can, also if the one that logged out is closed", async (t) => {
    const { tab } = browser(t);
    const relay = await relayTo(t, server);
    const [one, other] = [tab(relay.url), tab(relay.url)];
    const session = await one.session.login("anonymous");
    await settled(() => other.session.current?.id === session.id);
    const here = listen(one);
    relay.cut();
    await Promise.all([one, other].map((client) => entered(client, "reconnecting")));
    const loggedOut = codeOf(other.session.logout());
    await here.until("session.unset");
    await other.close();
    assert.equal(await loggedOut, "clientClosed");
    relay.mend();
    await one.now(); // It is sent after the commands that end that session.
    assert.equal(await isLive(session), false);
    assert.equal(here.names().filter((name) => name === "session.unset").length, 1);
  });

  test("keep the session when another key is refused, connected or not", async (t) => {
    const { tab, one, session, key } = await pair(t);
    const here = listen(one);
    const third = tab(server.url, { key: OTHER_KEY });
    const there = listen(third);
    await third.opened();
    const refusal = ["session.unset", { reason: "noSession", id: null }];
    assert.deepEqual(there.received[0], refusal);
    assert.equal(third.session.current.id, session.id);
    const relay = await relayTo(t, server);
    relay.cut();
    const fourth = tab(relay.url);
    fourth.session.setSessionKey("no key");
    relay.mend();
    await fourth.opened();
    assert.deepEqual([fourth.session.getKey(), key()], [session.key, session.key]);
    await one.now();
    assert.ok(!here.names().includes("session.unset"));
    assert.ok(await isLive(session));
  });

  test("store their session again in the place of a key that is refused", async (t) => {
    const { one, other, session, store, key, channel } = await pair(t);
    for (const wrong of [OTHER_KEY, "x".repeat(70000)]) {
      store(wrong);
      channel().postMessage(["set"]);
      await settled(() => key() === session.key);
      for (const client of [one, other]) assert.equal(client.session.current.id, session.id);
    }
  });

  test("keep their session when another has ended, however late the message", async (t) => {
    const { other, session, channel } = await pair(t);
    const there = listen(other);
    const channelOfAThird = channel();
    channelOfAThird.postMessage(["unset", { reason: "loggedOut", id: "another" }]);
    channelOfAThird.postMessage(["set"]);
    channelOfAThird.postMessage(["a kind of a later version", 1]);
    await server.ask("PATCH", `/v1/sessions/${session.id}`, { meta: { n: 1 } });
    await there.until("session.set");
    assert.deepEqual([there.names(), other.session.current.id], [["session.set"], session.id]);
  });

  test("send each other no key, and few messages", async (t) => {
    const { one, other, channel } = await pair(t);
    const there = listen(other);
    const received = [];
    const observer = channel();
    observer.onmessage = ({ data }) => received.push(data);
    const session = await one.session.login("anonymous");
    await there.until("session.set");
    await one.session.logout();
    await there.until("session.unset");
    await Promise.all([one.now(), other.now()]);
    assert.ok(!JSON.stringify(received).includes("kst_"));
    assert.deepEqual(new Set(received.map(([kind]) => kind)), new Set(["set", "unset"]));
    assert.deepEqual(received.at(-1), ["unset", { reason: "loggedOut", id: session.id }]);
    assert.ok(received.length <= 4, JSON.stringify(received));
  });

  test("exchange messages only if they share the storage, and `tabs` is not false", async (t) => {
    const { tab, channel } = browser(t);
    const one = tab(server.url);
    const { key, id } = await one.session.login("anonymous");
    const others = [tab(server.url, { tabs: false }), connect(t, server.url, { key })];
    await Promise.all(others.map((client) => client.opened()));
    const news = listen(one);
    channel().postMessage(["unset", { reason: "banned", id }]);
    await news.until("session.unset");
    await Promise.all(others.map((client) => client.now()));
    assert.ok(others.every((client) => client.session.getKey() === key));
  });
});

test("a tab whose version the server refuses logs no other tab out", async (t) => {
  const server = await script(t, (socket, { id, method }, number) => {
    if (method === "session.restore") socket.send(number > 1 ? refused(id, "badVersion") : bound(id));
    else if (method !== "open") socket.send(done(id, 1));
  });
  const { tab, key } = browser(t);
  const one = tab(server.url, { key: KEY });
  await one.opened();
  const old = tab(server.url);
  const news = listen(old);
  await old.opened();
  assert.deepEqual(news.received, [["session.unset", { reason: "badVersion", id: null }]]);
  await old.close();
  await one.now();
  assert.deepEqual([key(), one.session.current.id], [KEY, wireSession().id]);
});
