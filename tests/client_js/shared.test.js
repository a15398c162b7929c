/** Several tabs, one connection: at a real server, where the runtime has Web Locks. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { KEY, OTHER_KEY, bound, done, event } from "./golden.js";
import { BrowserStorage, browser, codeOf, entered, listen, signal } from "./programs.js";
import { relayTo, script, serve } from "./server.js";

const SHARED = { sharedConnection: true, paths: ["session", "n"] };
const ALONE = { sharedConnection: true };
const skip = globalThis.navigator?.locks ? false : "there are no Web Locks here";
const numbers = ({ heard }) => heard.filter(([name]) => name === "n").map(([, n]) => n);

describe("tabs that share a connection", { timeout: 60000, skip }, () => {
  let server;
  let stop;
  before(async () => {
    server = await serve({ after: (end) => (stop = end) });
  });
  after(() => stop());
  const say = ({ id }, n) =>
    server.ask("POST", `/v1/sessions/${id}/events`, { name: "n", data: n });
  const connections = async (session) =>
    (await server.ask("GET", `/v1/actors/${session.actorId}/connections`)).connections.length;

  /** Tabs that are open, with one session, and what they hear from then on; the first one leads. */
  const group = async (t, { url = server.url, size = 3 } = {}) => {
    const { tab, ...rest } = browser(t);
    const tabs = [tab(url, SHARED)];
    const session = await tabs[0].session.login("anonymous");
    while (tabs.length < size) tabs.push(tab(url, SHARED));
    await Promise.all(tabs.map((client) => client.opened()));
    return { ...rest, tab: (own) => tab(url, SHARED, own), tabs, session, news: tabs.map((client) => listen(client)) };
  };

  test("have one between them, and all hear everything, once and in order", async (t) => {
    const { tabs, news, session } = await group(t);
    assert.deepEqual(tabs.map((client) => client.session.current.id), Array(3).fill(session.id));
    for (let n = 1; n <= 5; n++) await say(session, n);
    await Promise.all(news.map((each) => each.until(5)));
    assert.equal(await connections(session), 1);
    for (const each of news) assert.deepEqual(numbers(each), [1, 2, 3, 4, 5]);
  });

  test("give commands as if each had its own", async (t) => {
    const { tabs, news, session } = await group(t);
    const other = tabs[1];
    assert.equal((await other.session.list())[0].id, session.id);
    assert.ok((await other.now()) > 0);
    assert.equal(await codeOf(other.session.login("none")), "loginDisabled");
    assert.equal(await codeOf(other.session.isValid(OTHER_KEY)), "noSession");
    const next = await other.session.login("anonymous", { actorId: "next" });
    assert.equal(next.key, other.session.getKey());
    await Promise.all(news.map((each) => each.until("session.set")));
    assert.deepEqual(tabs.map((client) => client.session.getKey()), Array(3).fill(next.key));
    await tabs[2].session.logout();
    await Promise.all(news.map((each) => each.until("session.unset")));
    await Promise.all(tabs.map((client) => client.now()));
    for (const each of news) {
      const ends = each.heard.filter(([name]) => name === "session.unset");
      assert.deepEqual(ends, [["session.unset", { reason: "loggedOut", id: next.id }]]);
    }
  });

  test("hear what any of them is subscribed to, also when it was that one that went", async (t) => {
    const { tabs, news, session } = await group(t);
    assert.ok((await tabs[1].subscribe("more")).includes("more"));
    assert.ok((await tabs[2].unsubscribe("n", "more")).includes("n"));
    await tabs[0].close();
    await tabs[2].now();
    await server.ask("POST", `/v1/sessions/${session.id}/events`, { name: "more", data: 1 });
    await say(session, 2);
    await Promise.all(news.slice(1).map((each) => each.until("n")));
    for (const each of news.slice(1)) assert.deepEqual(await each.until("more"), ["more", 1]);
  });

  test("lose nothing when the one that is connected goes: another is within a second", async (t) => {
    const { tabs, news, session } = await group(t);
    await say(session, 0);
    for (let at = 0; at < 2; at++) {
      const from = performance.now();
      const gone = tabs[at].close();
      const rest = tabs.slice(at + 1);
      for (let n = 1; n <= 3; n++) say(session, 3 * at + n);
      await Promise.all([gone, ...rest.map((client) => client.now())]);
      assert.ok(performance.now() - from < 1000);
      await Promise.all(rest.map((client) => entered(client, "open")));
      await Promise.all(
        news.slice(at + 1).map((each) => until(each, () => numbers(each).length === 3 * at + 4)),
      );
    }
    assert.deepEqual(numbers(news[2]).toSorted(), [0, 1, 2, 3, 4, 5, 6]);
    assert.deepEqual(numbers(news[1]), numbers(news[2]).slice(0, 4));
    assert.equal(tabs[2].recovered, true);
    assert.equal(await connections(session), 1);
  });

  test("come back together when the line breaks, and have missed nothing", async (t) => {
    const relay = await relayTo(t, server);
    const { tabs, news, session } = await group(t, { url: relay.url });
    relay.cut();
    await Promise.all(tabs.map((client) => entered(client, "reconnecting")));
    for (let n = 1; n <= 4; n++) await say(session, n);
    assert.equal(await codeOf(tabs[1].now({ whenOffline: "fail" })), "notConnected");
    const waiting = tabs[2].session.list();
    relay.mend();
    assert.equal((await waiting).length, 1);
    for (const [at, each] of news.entries()) {
      assert.deepEqual((await each.until("session.recovered"))[1], { recovered: true });
      assert.deepEqual(numbers(each), [1, 2, 3, 4]);
      assert.equal(tabs[at].state, "open");
    }
  });

  test("are logged out by any of them at once, line or no line, and the server is told", async (t) => {
    const relay = await relayTo(t, server);
    const { tabs, news, session, key } = await group(t, { url: relay.url });
    relay.cut();
    await Promise.all(tabs.map((client) => entered(client, "reconnecting")));
    const loggedOut = tabs[1].session.logout();
    for (const each of news) await each.until("session.unset");
    assert.equal(key(), null);
    const next = tabs[0].session.login("anonymous", { actorId: "next" });
    relay.mend();
    await loggedOut;
    await assert.rejects(server.ask("GET", `/v1/sessions/${session.id}`), /404|410/);
    const { id } = await next;
    for (const each of news) await each.until("session.set");
    await Promise.all(tabs.map((client) => client.now()));
    for (const [at, each] of news.entries()) {
      assert.equal(tabs[at].session.current?.id, id);
      const ends = each.heard.filter(([name]) => name === "session.unset");
      assert.deepEqual(ends, [["session.unset", { reason: "loggedOut", id: session.id }]]);
    }
  });

  test("come to the one that is connected now, whatever is still heard of another", async (t) => {
    const { tabs, channel } = await group(t);
    const states = [];
    tabs[1].onState((state) => states.push(state));
    channel().postMessage(["open", ["session"], 7]);
    await entered(tabs[1], "reconnecting");
    await Promise.all(tabs.map((client) => client.now()));
    assert.deepEqual(states, ["reconnecting", "open"]);
  });

  test("tell one that is loaded again whether it missed anything", async (t) => {
    const { tab, tabs, session } = await group(t);
    for (const isMissed of [false, true]) {
      const own = new BrowserStorage();
      const before = tab(own);
      await before.opened();
      await before.close();
      const news = listen(tabs[0]);
      if (isMissed) {
        await say(session, 1);
        await news.until("n");
      }
      const after = listen(tab(own));
      assert.deepEqual((await after.until("session.recovered"))[1], { recovered: !isMissed });
    }
  });
});

test("tabs leave a server that drains together, and ask it nothing more", { timeout: 30000, skip }, async (t) => {
  const logins = [];
  const server = await script(t, (socket, { id, method }, number) => {
    if (method === "session.login") logins.push(number);
    if (method === "session.isValid") socket.send(event("server.draining", { reconnectAfter: 30 }));
    if (["session.restore", "session.login"].includes(method)) socket.send(bound(id));
    else if (method !== "open") socket.send(done(id, null));
  });
  const { tab } = browser(t);
  const tabs = [tab(server.url, { ...ALONE, key: KEY })];
  await tabs[0].opened();
  tabs.push(tab(server.url, ALONE));
  await tabs[1].opened();
  const news = tabs.map((client) => listen(client));
  tabs[0].session.isValid(OTHER_KEY);
  await news[1].until("server.draining");
  await tabs[1].session.login("anonymous");
  await Promise.all(tabs.map((client) => client.opened()));
  assert.deepEqual([logins, server.connections()], [[2], 2]);
  assert.deepEqual(news[0].names().filter((name) => name === "server.draining").length, 1);
});

describe("what a tab asked when the one that is connected goes", { timeout: 30000, skip }, () => {
  test("is asked again, but for login and logout", async (t) => {
    const asked = signal();
    const server = await script(t, (socket, { id, method }, number) => {
      if (method === "session.restore") socket.send(bound(id));
      else if (number > 1 && method !== "open") socket.send(done(id, 1));
      else if (method === "session.login") asked.give();
    });
    const { tab } = browser(t);
    const leader = tab(server.url, { ...ALONE, key: KEY });
    await leader.opened();
    const other = tab(server.url, ALONE);
    await other.opened();
    const now = other.now();
    const login = other.session.login("anonymous");
    await asked.given;
    await leader.close();
    assert.equal(await codeOf(login), "connectionLost");
    assert.equal(await now, 1);
    assert.equal(server.connections(), 2);
  });

  test("is answered with timeout when that one hangs", async (t) => {
    const { channel, tab } = browser(t);
    const hung = signal();
    const lock = navigator.locks.request(channel().name, () => hung.given);
    const other = tab("ws://127.0.0.1:1", SHARED);
    assert.equal(await codeOf(other.now({ timeoutMs: 20 })), "timeout");
    hung.give();
    await lock;
  });
});

test("where there are no locks, each tab has a connection of its own", { timeout: 30000 }, async (t) => {
  const before = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  Object.defineProperty(globalThis, "navigator", { value: {}, configurable: true });
  t.after(() => before && Object.defineProperty(globalThis, "navigator", before));
  const server = await serve(t);
  const { tab } = browser(t);
  const one = tab(server.url, SHARED);
  const { actorId } = await one.session.login("anonymous");
  await tab(server.url, SHARED).opened();
  const { connections } = await server.ask("GET", `/v1/actors/${actorId}/connections`);
  assert.equal(connections.length, 2);
});

/** Wait until what was heard is so. */
async function until({ heard, until }, isSo) {
  while (!isSo()) await until(heard.length + 1);
}
