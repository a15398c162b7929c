/** Several tabs, one connection: at a real server, where the runtime has Web Locks. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { CURSOR, KEY, OTHER_KEY, bound, done, event, restored } from "./golden.js";
import { BrowserStorage, browser, codeOf, entered, listen, settled, signal } from "./programs.js";
import { pack } from "./peers.js";
import { relayTo, script, serve } from "./server.js";

const SHARED = { sharedConnection: true, paths: ["session", "n"] };
const ALONE = { sharedConnection: true };
const skip = globalThis.navigator?.locks ? false : "there are no Web Locks here";
/** Answer the commands of a client that opens. */
const opening = (socket, { id, method }) => {
  if (method === "events.subscribe") socket.send(done(id, ["session"]));
  else if (method === "session.restore") socket.send(bound(id));
  else return method === "open";
  return true;
};
const numbers = ({ received }) => received.filter(([name]) => name === "n").map(([, n]) => n);

describe("tabs that share a connection", { timeout: 60000, skip }, () => {
  let server;
  let stop;
  before(async () => {
    server = await serve({ after: (end) => (stop = end) });
  });
  after(() => stop());
  const emit = ({ id }, n) =>
    server.ask("POST", `/v1/sessions/${id}/events`, { name: "n", data: n });
  const connections = async (session) =>
    (await server.ask("GET", `/v1/actors/${session.actorId}/connections`)).connections.length;

  /** Open tabs with one session, and what they receive from then on; the first one leads. */
  const group = async (t, { url = server.url, size = 3 } = {}) => {
    const { tab, ...rest } = browser(t);
    const tabs = [tab(url, SHARED)];
    const session = await tabs[0].session.login("anonymous");
    while (tabs.length < size) tabs.push(tab(url, SHARED));
    await Promise.all(tabs.map((client) => client.opened()));
    return { ...rest, tab: (own, options) => tab(url, { ...SHARED, ...options }, own), tabs, session, news: tabs.map((client) => listen(client)) };
  };

  test("have one connection, and all get every event, once and in order", async (t) => {
    const { tabs, news, session } = await group(t);
    assert.deepEqual(tabs.map((client) => client.session.current.id), Array(3).fill(session.id));
    for (let n = 1; n <= 5; n++) await emit(session, n);
    await Promise.all(news.map((each) => each.until(5)));
    assert.equal(await connections(session), 1);
    for (const each of news) assert.deepEqual(numbers(each), [1, 2, 3, 4, 5]);
  });

  test("submit commands as if each had its own", async (t) => {
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
      const ends = each.received.filter(([name]) => name === "session.unset");
      assert.deepEqual(ends, [["session.unset", { reason: "loggedOut", id: next.id }]]);
    }
  });

  test("get what any of them is subscribed to, also after that one is closed", async (t) => {
    const { tabs, news, session } = await group(t);
    assert.ok((await tabs[1].subscribe("more")).includes("more"));
    assert.ok((await tabs[2].unsubscribe("n", "more")).includes("n"));
    await tabs[0].close();
    await tabs[2].now();
    await server.ask("POST", `/v1/sessions/${session.id}/events`, { name: "more", data: 1 });
    await emit(session, 2);
    await Promise.all(news.slice(1).map((each) => each.until("n")));
    for (const each of news.slice(1)) assert.deepEqual(await each.until("more"), ["more", 1]);
  });

  test("miss nothing when the leader is closed: another one connects within a second", async (t) => {
    const { tabs, news, session } = await group(t);
    await emit(session, 0);
    for (let at = 0; at < 2; at++) {
      const from = performance.now();
      const gone = tabs[at].close();
      const rest = tabs.slice(at + 1);
      for (let n = 1; n <= 3; n++) emit(session, 3 * at + n);
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

  test("connect after one that was opened and closed in one task, as a page that mounts twice does", async (t) => {
    const { tab } = browser(t);
    await tab(server.url, SHARED).close();
    const client = tab(server.url, SHARED);
    await client.opened();
    assert.ok((await client.now()) > 0);
  });

  test("replace a leader that does not answer, and miss nothing", async (t) => {
    // A tab that is frozen: it holds the lock, and its timers and messages stand still.
    const { tab, channel, name } = browser(t);
    let thaw;
    let stolen = false;
    const frozen = new Promise((resolve) => (thaw = resolve));
    navigator.locks.request(name, () => frozen).catch(() => (stolen = true));
    t.after(thaw);
    channel();
    const tabs = [tab(server.url, SHARED), tab(server.url, SHARED)];
    await Promise.all(tabs.map((client) => client.opened()));
    assert.ok(stolen);
    const session = await tabs[0].session.login("anonymous");
    await settled(() => tabs[1].session.current?.id === session.id);
    assert.equal(await connections(session), 1);
  });

  test("reconnect together when the connection breaks, and miss nothing", async (t) => {
    const relay = await relayTo(t, server);
    const { tabs, news, session } = await group(t, { url: relay.url });
    relay.cut();
    await Promise.all(tabs.map((client) => entered(client, "reconnecting")));
    for (let n = 1; n <= 4; n++) await emit(session, n);
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

  test("are logged out by any of them at once, connected or not, and the session is ended at the server", async (t) => {
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
      const ends = each.received.filter(([name]) => name === "session.unset");
      assert.deepEqual(ends, [["session.unset", { reason: "loggedOut", id: session.id }]]);
    }
  });

  test("connect through the present leader, whatever still comes from another", async (t) => {
    const { tabs, channel } = await group(t);
    const states = [];
    tabs[1].onState((state) => states.push(state));
    channel().postMessage(["open", ["session"], 7]);
    await entered(tabs[1], "reconnecting");
    await Promise.all(tabs.map((client) => client.now()));
    assert.deepEqual(states, ["reconnecting", "open"]);
  });

  test("get the session that one of them restores, that one before its reply", async (t) => {
    const { tab, tabs, news, session } = await group(t, { size: 2 });
    const third = listen(tab(), "session");
    const expected = (await third.until("session.set"))[1];
    assert.equal(expected.id, session.id);
    await news[0].until("session.set");
    const from = news[1].names().length;
    const restored = await tabs[1].session.restore();
    assert.deepEqual(news[1].names().slice(from), ["session.set"]);
    assert.equal(restored.expiresAt, expected.expiresAt); // A third of the ttl is not gone yet.
    const [listed] = await tabs[0].session.list();
    assert.equal(listed.expiresAt, restored.expiresAt);
  });

  test("keep their session when one is opened with a key that is refused", async (t) => {
    const { tab, tabs, news, session, key } = await group(t, { size: 2 });
    const stale = tab(undefined, { key: OTHER_KEY });
    const there = listen(stale);
    await stale.opened();
    assert.deepEqual(there.received[0], ["session.unset", { reason: "noSession", id: null }]);
    assert.deepEqual([stale.session.current.id, key()], [session.id, session.key]);
    await Promise.all(tabs.map((client) => client.session.list()));
    for (const each of news) assert.ok(!each.names().includes("session.unset"));
  });

  test("ignore what other programs send on a channel of that name", async (t) => {
    const { tabs, channel, session } = await group(t, { size: 2 });
    const stranger = channel();
    const lost = entered(tabs[1], "reconnecting");
    for (const message of [
      null, 5, {}, [], ["unset"], ["unset", null], ["unset", { id: session.id }], ["open"], ["open", [1]],
      ["event"], ["event", null], ["event", [2, "x"]], ["reply"], ["reply", 1, 1], ["lost"],
      ["command"], ["command", 1, null], ["command", 1, Uint8Array.of(1)], ["command", 1, pack([0, 1, 5, []])],
      ["command", 1, pack([0, 1, "endSession", []])], ["command", 1, pack([0, 1, "session.restore", null])],
    ]) stranger.postMessage(message);
    await lost; // Because of the one that is well-formed.
    for (const client of tabs) assert.equal((await client.session.list()).length, 1);
  });

  test("let one that is reloaded know whether it missed anything", async (t) => {
    const { tab, tabs, session } = await group(t);
    for (const isMissed of [false, true]) {
      const own = new BrowserStorage();
      const before = tab(own);
      await before.opened();
      await before.close();
      const news = listen(tabs[0]);
      if (isMissed) {
        await emit(session, 1);
        await news.until("n");
      }
      const after = listen(tab(own));
      assert.deepEqual((await after.until("session.recovered"))[1], { recovered: !isMissed });
    }
  });
});

test("tabs leave a draining server together, and send it nothing more", { timeout: 30000, skip }, async (t) => {
  const logins = [];
  const server = await script(t, (socket, { id, method }, number) => {
    if (method === "session.login") logins.push(number);
    if (method === "session.isValid") socket.send(event("server.draining", { reconnectAfter: 30 }));
    if (opening(socket, { id, method })) return;
    socket.send(method === "session.login" ? bound(id) : done(id, null));
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

describe("a command of a tab when the leader is closed", { timeout: 30000, skip }, () => {
  test("is sent again, except login and logout", async (t) => {
    const asked = signal();
    const server = await script(t, (socket, { id, method }, number) => {
      if (opening(socket, { id, method })) return;
      if (number > 1) socket.send(done(id, 1));
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

  test("is sent once each time the leader's connection breaks, and fails as with a connection of its own", async (t) => {
    const asked = [];
    const all = signal();
    const sockets = [];
    const server = await script(t, (socket, command, number) => {
      sockets[number - 1] = socket;
      if (opening(socket, command)) return;
      asked.push([command.method, number]);
      if (command.method === "session.login" || number === 3) all.give();
      if (number === 3) socket.send(done(command.id, 1));
      else if (number === 2) socket.terminate();
    });
    const { tab } = browser(t);
    const leader = tab(server.url, { ...ALONE, key: KEY });
    await leader.opened();
    const other = tab(server.url, ALONE);
    await other.opened();
    const now = other.now();
    const login = other.session.login("anonymous").catch((error) => error);
    await all.given;
    sockets[0].terminate();
    assert.equal(await now, 1);
    const error = await login;
    assert.deepEqual([error.name, error.code], ["ClientError", "connectionLost"]);
    await leader.now();
    const nows = asked.filter(([method]) => method === "time.now").map(([, number]) => number);
    assert.deepEqual(nows, [1, 2, 3, 3]);
  });

  test("does not count to the leader's limit, and never logs it out", async (t) => {
    const held = [];
    const server = await script(t, (socket, { id, method }) => {
      if (!opening(socket, { id, method })) held.push(() => socket.send(done(id, 1)));
    });
    const { tab, key } = browser(t);
    const few = { ...ALONE, maxPending: 2 };
    const leader = tab(server.url, { ...few, key: KEY });
    await leader.opened();
    const others = [tab(server.url, few)];
    await others[0].opened();
    const waiting = [leader, leader, others[0], others[0]].map((client) => client.now());
    await settled(() => held.length === 4);
    const last = tab(server.url, few);
    others.push(last);
    await last.opened();
    assert.deepEqual([last.session.getKey(), key()], [KEY, KEY]);
    for (const client of [leader, others[0]]) {
      const error = await client.now().catch((error) => error);
      assert.deepEqual([error.name, error.code], ["ClientError", "queueFull"]);
    }
    for (const answer of held) answer();
    assert.deepEqual(await Promise.all(waiting), [1, 1, 1, 1]);
  });

  test("rejects with timeout when that one hangs", async (t) => {
    const { channel, tab } = browser(t);
    const hung = signal();
    const lock = navigator.locks.request(channel().name, () => hung.given);
    const other = tab("ws://127.0.0.1:1", SHARED);
    assert.equal(await codeOf(other.now({ timeoutMs: 20 })), "timeout");
    hung.give();
    await lock;
  });
});

test("without Web Locks each tab has a connection of its own", { timeout: 30000 }, async (t) => {
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

describe("what tabs missed", { timeout: 30000, skip }, () => {
  for (const isWhole of [true, false]) {
    const what = isWhole ? "was replayed to all" : "is known to be lost by all";
    test(`because their connection broke ${what}`, async (t) => {
      const lines = [];
      let restores = 0;
      const { url } = await script(t, (socket, { id, method, params }, number) => {
        lines[number - 1] = socket;
        if (method !== "session.restore") return opening(socket, { id, method });
        const cursor = CURSOR + ++restores;
        // The third one is of the leader. Nothing is missed after that.
        const recovered = params[1]?.cursor !== undefined && (restores !== 3 || isWhole);
        for (const message of restored(id, cursor, { recovered })) socket.send(message);
      });
      const { tab } = browser(t);
      const tabs = [tab(url, { ...ALONE, key: KEY })];
      await tabs[0].opened();
      tabs.push(tab(url, ALONE));
      await tabs[1].opened();
      const news = tabs.map((client) => listen(client));
      lines[0].terminate();
      for (const each of news) {
        assert.deepEqual((await each.until("session.recovered"))[1], { recovered: isWhole });
      }
    });
  }
});

/** Wait until the condition on what was received holds. */
async function until({ received, until }, isSo) {
  while (!isSo()) await until(received.length + 1);
}
