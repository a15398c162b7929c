/** Servers that are silent, slow, wrong or shutting down, by script. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, test } from "node:test";
import { KEY, OTHER_KEY, bound, done, event, refused } from "./golden.js";
import { pack, ws } from "./peers.js";
import { BrowserStorage, browser as sharing, codeOf, connect, entered, listen, settled, signal } from "./programs.js";
import { script } from "./server.js";

/** Answer as a healthy server does. */
const well = (socket, { id, method }) => {
  if (method === "session.restore" || method === "session.login") socket.send(bound(id));
  else if (method !== "open") socket.send(done(id, method === "time.now" ? 1 : null));
};
/** The same, but on the first connection do this in the place of answering `method`. */
const first = (method, act) => (socket, command, number) =>
  number === 1 && command.method === method ? act(socket, command) : well(socket, command);

describe("a close code", { timeout: 30000 }, () => {
  test("that forbids to reconnect closes the client: all commands get the reason", async (t) => {
    for (const code of [1002, 1003, 1009, 4500, 4502, 4999]) {
      const server = await script(t, first("time.now", (socket) => socket.close(code, "go away")));
      const client = connect(t, server.url);
      const states = [];
      client.onState((state, error) => states.push([state, error?.code]));
      const error = await client.now().catch((error) => error);
      assert.deepEqual([error.code, error.cause], ["clientClosed", client.error]);
      const { closeCode, reason } = client.error;
      assert.deepEqual([client.error.code, closeCode, reason], ["closedByServer", code, "go away"]);
      assert.deepEqual(states, [["open", undefined], ["closed", "closedByServer"]]);
      assert.equal(await codeOf(client.opened()), "closedByServer");
      assert.equal(server.connections(), 1);
    }
  });

  test("of any other kind leads to a new connection", async (t) => {
    for (const code of [1000, 1001, 1011, 1012, 1013, 4001, 4499]) {
      const server = await script(t, first("time.now", (socket) => socket.close(code)));
      assert.equal(await connect(t, server.url).now(), 1);
      assert.equal(server.connections(), 2);
    }
  });

  test("4000 leads to a new connection when one is needed", async (t) => {
    const server = await script(t, first("open", (socket) => socket.close(4000)));
    const client = connect(t, server.url);
    await entered(client, "idle");
    client.session.setSessionKey(KEY);
    await client.opened();
    assert.deepEqual([server.connections(), client.session.getActorId()], [2, "player:7"]);
  });

  test("4000 is no failure: `opened()` connects, and so does a command that must not wait", async (t) => {
    for (const connects of ["opened", "now"]) {
      const server = await script(t, first("open", (socket) => socket.close(4000)));
      const client = connect(t, server.url);
      await entered(client, "idle");
      await client[connects]({ whenOffline: "fail" });
      assert.deepEqual([server.connections(), client.state], [2, "open"]);
    }
  });

  test("4000 leads to one connection, however many commands need it, also from a state handler", async (t) => {
    const server = await script(t, first("open", (socket) => socket.close(4000)));
    const client = connect(t, server.url);
    const opened = [];
    await new Promise((resolve) => {
      client.onState((state) => state === "idle" && resolve(opened.push(client.opened(), client.opened())));
    });
    await Promise.all([...opened, client.opened(), client.now({ whenOffline: "fail" })]);
    assert.equal(server.connections(), 2);
  });

  test("4000 and then no server: a command that must not wait is rejected", async (t) => {
    const server = await script(t, (socket, command, number) => {
      if (number === 1 && command.method === "open") socket.close(4000);
      else socket.terminate();
    });
    const client = connect(t, server.url, { backoffBaseMs: 1, backoffCapMs: 1e6 });
    await entered(client, "idle");
    const late = codeOf(client.now());
    await entered(client, "open");
    await entered(client, "reconnecting");
    assert.equal(await codeOf(client.now({ whenOffline: "fail" })), "notConnected");
    await client.close();
    assert.equal(await late, "clientClosed");
  });

  test("that closes the client leaves the outcome of a login alone unknown", async (t) => {
    const server = await script(t, first("session.isValid", (socket) => socket.close(4500)));
    const client = connect(t, server.url);
    const [sent, login] = [client.session.isValid(KEY), client.session.login("none")].map(codeOf);
    assert.deepEqual([await sent, await login], ["clientClosed", "connectionLost"]);
    assert.equal(await codeOf(client.session.isValid(KEY)), "clientClosed");
  });
});

test("a key found in the storage while reconnecting is restored on one connection", { timeout: 30000 }, async (t) => {
  const storage = { load: () => ({ key: OTHER_KEY, cursor: null }), save() {}, clear() {} };
  const server = await script(t, (socket, { id, method }, number) => {
    if (method === "time.now" && number === 1) return socket.close(1012);
    // It takes longer than any client here waits between two attempts.
    const slow = method === "session.restore" && number > 1 ? 100 : 0;
    setTimeout(() => well(socket, { id, method }), slow);
  });
  const client = connect(t, server.url, { key: KEY, storage });
  assert.equal(await client.now(), 1);
  assert.equal(server.connections(), 2);
});

describe("a server that is wrong", { timeout: 30000 }, () => {
  const cases = {
    "sends no frame": (socket) => socket.send(Uint8Array.of(0xc1)),
    "sends text": (socket) => socket.send("text"),
    "sends too much": (socket) => socket.send(new Uint8Array(2 ** 20 + 1)),
    "answers what nobody asked": (socket) => socket.send(done(99)),
  };
  for (const [name, act] of Object.entries(cases)) {
    test(`and ${name} is disconnected with 4500, reported, and tried again`, async (t) => {
      const reported = t.mock.method(console, "error", () => {});
      let closed;
      const server = await script(t, first("time.now", (socket) => {
        closed = once(socket, "close");
        act(socket);
      }));
      const client = connect(t, server.url);
      assert.equal(await client.now(), 1);
      assert.deepEqual([client.state, client.error], ["open", null]);
      assert.equal((await closed)[0], 4500);
      assert.deepEqual(reported.mock.calls.map(({ arguments: [{ code }] }) => code), ["malformedFrame"]);
    });
  }

  test("and chooses no protocol closes the client, if the WebSocket opens all the same", async (t) => {
    const server = await script(t, well, {});
    class Lenient extends ws.WebSocket {
      constructor(url) {
        super(url);
      }
    }
    const client = connect(t, server.url, { WebSocket: Lenient });
    assert.equal(await codeOf(client.now()), "clientClosed");
    assert.equal(client.error.code, "connectFailed");
  });

  test("and chooses no protocol is otherwise a failed handshake, and tried again", async (t) => {
    for (const WebSocket of [ws.WebSocket, globalThis.WebSocket].filter(Boolean)) {
      let attempts = 0;
      const chosen = [false, false, "keystay.v1"];
      const server = await script(t, well, { handleProtocols: () => chosen[attempts++] });
      assert.equal(await connect(t, server.url, { WebSocket }).now(), 1);
      assert.equal(attempts, 3);
    }
  });

  test("and sends a session whose key is no string is disconnected, too", async (t) => {
    t.mock.method(console, "error", () => {});
    const server = await script(t, first("session.restore", (socket, { id }) =>
      socket.send(bound(id, 5, { key: 7 }))));
    const client = connect(t, server.url, { key: KEY });
    await client.opened();
    assert.deepEqual([server.connections(), client.session.getKey()], [2, KEY]);
  });

  test("and cannot restore now is tried again, after the time that it names", async (t) => {
    const server = await script(t, first("session.restore", (socket, { id }) =>
      socket.send(refused(id, "unavailable", { retryAfter: 0.1 }))));
    const begin = performance.now();
    await connect(t, server.url, { key: KEY }).opened();
    assert.ok(performance.now() - begin >= 100);
    assert.equal(server.connections(), 2);
  });
});

describe("a server that is silent", { timeout: 30000 }, () => {
  test("is probed, and disconnected if it does not answer", async (t) => {
    const asked = [];
    const server = await script(t, (socket, command, number) => {
      asked.push(command.method);
      if (number === 2 || command.method !== "time.now") well(socket, command);
    });
    const client = connect(t, server.url, { silenceMs: 50, probeTimeoutMs: 50 });
    await entered(client, "reconnecting");
    assert.deepEqual(asked, ["open", "time.now"]);
    await client.opened();
  });

  test("but answers the probe stays connected", async (t) => {
    let asked = 0;
    const enough = signal();
    const server = await script(t, (socket, command) => {
      well(socket, command);
      if (command.method === "time.now" && ++asked === 3) enough.give();
    });
    const client = connect(t, server.url, { silenceMs: 20, probeTimeoutMs: 5000 });
    await enough.given;
    assert.deepEqual([server.connections(), client.state], [1, "open"]);
  });

  test("to a restore is disconnected in time", async (t) => {
    const server = await script(t, first("session.restore", () => {}));
    await connect(t, server.url, { key: KEY, openTimeoutMs: 100 }).opened();
    assert.equal(server.connections(), 2);
  });

  test("to a command rejects that command alone, and a late reply is ignored", async (t) => {
    const held = [];
    const server = await script(t, (socket, command) => {
      if (command.method !== "session.list") return well(socket, command);
      held.push(() => socket.send(done(command.id, [])));
    });
    const client = connect(t, server.url);
    await client.opened();
    const error = await client.session.list({ timeoutMs: 30 }).catch((error) => error);
    assert.deepEqual([error.code, error.name], ["timeout", "CommandError"]);
    assert.match(error.message, /may have been executed/);
    held.forEach((answer) => answer());
    assert.equal(await client.now(), 1);
  });
});

test("a command that was sent before the connection broke may have been executed", { timeout: 10000 }, async (t) => {
  const server = await script(t, first("time.now", (socket) => socket.terminate()));
  const client = connect(t, server.url, { backoffBaseMs: 1e6, backoffCapMs: 1e6 });
  await client.opened();
  const error = await client.now({ timeoutMs: 50 }).catch((error) => error);
  assert.match(error.message, /may have been executed/);
});

describe("a server that shuts down", { timeout: 30000 }, () => {
  const draining = event("server.draining", { reconnectAfter: 200 });

  test("answers what it received; later commands go to the next one, at the time that it named", async (t) => {
    const seen = [];
    const server = await script(t, (socket, command, number) => {
      seen.push([number, command.method]);
      if (number === 1 && command.method === "session.list") {
        socket.send(draining);
        socket.send(done(command.id, []));
      } else {
        well(socket, command);
      }
    });
    const client = connect(t, server.url);
    await client.opened();
    await client.session.list();
    const begin = performance.now();
    assert.equal(client.state, "open");
    await client.session.login("none"); // Not lost: it was not sent to the first one.
    assert.ok(performance.now() - begin >= 180);
    assert.deepEqual(seen, [
      [1, "open"],
      [1, "session.list"],
      [2, "open"],
      [2, "session.login"],
    ]);
  });

  test("and closes early is not reconnected to before the time that it named", async (t) => {
    const server = await script(t, first("open", (socket) => {
      socket.send(draining);
      socket.close(1012);
    }));
    const begin = performance.now();
    assert.equal(await connect(t, server.url).now(), 1);
    assert.ok(performance.now() - begin >= 190);
  });
});

describe("without a server", { timeout: 30000 }, () => {
  // Nothing listens there.
  const NOWHERE = "ws://127.0.0.1:9";

  test("commands wait, as many and as long as allowed", async (t) => {
    const client = connect(t, NOWHERE, { maxPending: 2 });
    const error = client.now({ timeoutMs: 30 }).catch((error) => error);
    const late = codeOf(client.now());
    assert.equal(await codeOf(client.now()), "queueFull");
    assert.match((await error).message, /not connected .* not sent/);
    assert.equal(await codeOf(client.now({ whenOffline: "fail" })), "notConnected");
    assert.equal(client.state, "connecting");
    await client.close();
    assert.equal(await late, "clientClosed");
  });

  test("a logout that times out leaves nothing in the storage", async (t) => {
    const storage = { kept: { key: KEY, cursor: 1 }, load: () => storage.kept };
    storage.save = storage.clear = (session) => (storage.kept = session ?? null);
    const client = connect(t, NOWHERE, { storage });
    const { received } = listen(client);
    assert.equal(await codeOf(client.session.logout({ timeoutMs: 30 })), "timeout");
    assert.deepEqual(received, [["session.unset", { reason: "loggedOut", id: null }]]);
    assert.equal(storage.kept, null);
  });
});

describe("a logout that the server has not answered", { timeout: 30000 }, () => {
  /** A server on which a logout is not answered on the first `silent` connections. */
  const server = (t, silent) =>
    script(t, (socket, { id, method }, number) => {
      if (method === "session.restore") socket.send(bound(id));
      else if (method === "session.logout" && number <= silent) return;
      else well(socket, { id, method });
    });
  const inTab = async (t, silent) => {
    const { url } = await server(t, silent);
    const own = new BrowserStorage();
    const { tab, key } = sharing(t);
    return { open: (options) => tab(url, options, own), key, own };
  };

  test("leaves nobody logged in: it is sent again on the next connection", async (t) => {
    const { open, key, own } = await inTab(t, 1);
    const client = open({ key: KEY });
    await client.opened();
    const { received } = listen(client);
    assert.equal(await codeOf(client.session.logout({ timeoutMs: 30 })), "timeout");
    assert.deepEqual(received.map(([name]) => name), ["session.unset"]);
    assert.deepEqual([key(), client.session.current], [null, null]);
    assert.match(own.getItem([...own.items.keys()].find((name) => name.endsWith("logouts"))), /kst_/);
  });

  test("is sent by the next run in the tab, after a reload", async (t) => {
    const { open, own } = await inTab(t, 1);
    const client = open({ key: KEY });
    await client.opened();
    assert.equal(await codeOf(client.session.logout({ timeoutMs: 30 })), "timeout");
    await client.close();
    const next = open();
    await settled(() => ![...own.items.keys()].some((name) => name.endsWith("logouts")));
    assert.equal(next.session.getKey(), null);
  });

  test("is sent by the next run too if the page is loaded again at once", async (t) => {
    for (const isOfAll of [false, true]) {
      const { open, key, own } = await inTab(t, 1);
      const client = open({ key: KEY });
      await client.opened();
      client.session.logout(isOfAll ? { scope: "all" } : {}).catch(() => {});
      // The page is gone here, before anything is known of the answer.
      const next = open();
      assert.deepEqual([next.session.getKey(), key()], [null, null]);
      await settled(() => ![...own.items.keys()].some((name) => name.endsWith("logouts")));
      assert.equal(next.session.getKey(), null);
    }
  });

  test("is kept for the next run only until the server has refused it", async (t) => {
    const { url } = await script(t, (socket, { id, method }) => {
      if (method === "session.restore") socket.send(bound(id));
      else if (method === "session.logout") socket.send(refused(id, "unavailable"));
    });
    const { tab, key } = sharing(t);
    const own = new BrowserStorage();
    const client = tab(url, { key: KEY }, own);
    await client.opened();
    assert.equal(await codeOf(client.session.logout()), "unavailable");
    assert.equal(key(), KEY);
    assert.ok(![...own.items.keys()].some((name) => name.endsWith("logouts")));
  });

  test("leaves nobody logged in if it was never sent, because the restore before it had no reply", async (t) => {
    const restoring = signal();
    const { url } = await script(t, first("session.restore", restoring.give));
    const client = connect(t, url, { key: KEY });
    const { received } = listen(client);
    await restoring.given;
    assert.equal(await codeOf(client.session.logout({ timeoutMs: 30 })), "timeout");
    assert.deepEqual([client.session.getKey(), received.map(([name]) => name)], [null, ["session.unset"]]);
  });

  test("with a key that cannot be sent is dropped", async (t) => {
    const { url } = await server(t, 0);
    const { tab, name } = sharing(t);
    const own = new BrowserStorage();
    const keys = ["\ud800", "x".repeat(1 << 20), KEY];
    own.setItem(`${name} logouts`, JSON.stringify(keys.map((key) => ({ key, isOfAll: false }))));
    await tab(url, {}, own).opened();
    await settled(() => !own.items.has(`${name} logouts`));
  });

  test("is settled when the connection breaks, and the next one answers", async (t) => {
    const server = await script(t, (socket, { id, method }, number) => {
      if (method === "session.restore") socket.send(bound(id));
      else if (method === "session.logout" && number === 1) socket.terminate();
      else well(socket, { id, method });
    });
    const client = connect(t, server.url, { key: KEY });
    await client.opened();
    const { received } = listen(client);
    await client.session.logout();
    assert.equal(client.session.getKey(), null);
    assert.equal(received.filter(([name]) => name === "session.unset").length, 1);
    assert.equal(server.connections(), 2);
  });
});

/** The events of a browser about the page and the network. */
function browser(t) {
  const page = new EventTarget();
  const navigator = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  const says = { onLine: true };
  globalThis.addEventListener = page.addEventListener.bind(page);
  globalThis.document = { hidden: false };
  Object.defineProperty(globalThis, "navigator", { value: says, configurable: true });
  t.after(() => {
    delete globalThis.addEventListener;
    delete globalThis.document;
    delete globalThis.navigator;
    if (navigator) Object.defineProperty(globalThis, "navigator", navigator);
  });
  return {
    emit(type) {
      if (type.endsWith("line")) says.onLine = type === "online";
      page.dispatchEvent(new Event(type));
    },
  };
}

describe("a page", { timeout: 30000 }, () => {
  /** Too long for a test to wait for. */
  const LONG = { backoffBaseMs: 1e7, backoffCapMs: 1e7 };
  const LONG_BUT_NETWORK = { ...LONG, backoffBaseMs: 1 };

  for (const [name, type, options] of [
    ["that somebody looks at again", "visibilitychange", LONG],
    ["that comes back from the cache", "pageshow", LONG],
  ]) {
    test(`${name} reconnects at once`, async (t) => {
      const page = browser(t);
      const server = await script(t, first("time.now", (socket) => socket.terminate()));
      const client = connect(t, server.url, options);
      const now = client.now();
      await entered(client, "reconnecting");
      page.emit(type);
      assert.equal(await now, 1);
    });
  }

  test("without a network tries all the same, for the browser may be wrong, and at once when there is one", async (t) => {
    const page = browser(t);
    page.emit("offline");
    const server = await script(t, first("time.now", (socket) => socket.terminate()));
    const client = connect(t, server.url, LONG_BUT_NETWORK);
    await client.opened();
    const now = client.now();
    await entered(client, "reconnecting");
    page.emit("online");
    assert.equal(await now, 1);
  });

  test("that is shown again probes the server", async (t) => {
    const page = browser(t);
    const asked = signal();
    const server = await script(t, (socket, command) => {
      well(socket, command);
      if (command.method === "time.now") asked.give();
    });
    await connect(t, server.url).opened();
    page.emit("visibilitychange");
    await asked.given;
  });

  test("that is hidden stores its cursor, and does not call a closed client", async (t) => {
    const page = browser(t);
    const kept = [];
    const storage = { load: () => null, save: (session) => kept.push(session.cursor), clear() {} };
    const server = await script(t, (socket, command) => {
      well(socket, command);
      if (command.method === "session.login") socket.send(event("n", 1, 1802240000000007));
    });
    const client = connect(t, server.url, { storage });
    const news = listen(client, "n");
    client.session.login("none");
    await news.until(1);
    assert.deepEqual(kept, [1802240000000000]);
    page.emit("pagehide");
    assert.deepEqual(kept, [1802240000000000, 1802240000000007]);
    await client.close();
    const before = kept.length;
    for (const type of ["pagehide", "online", "visibilitychange"]) page.emit(type);
    assert.equal(kept.length, before);
  });
});

test("code that awaits a reply continues before the next message is processed", { timeout: 10000 }, async (t) => {
  const server = await script(t, (socket, { id, method }) => {
    if (method === "open") return;
    socket._socket.cork();
    socket.send(pack([1, id, null, method === "time.now" ? 1 : null]));
    socket.send(pack([2, "later", [1, null]]));
    socket._socket.uncork();
  });
  const client = connect(t, server.url);
  const news = listen(client);
  const received = () => news.received.length;
  assert.deepEqual([await client.now(), received()], [1, 0]);
  await news.until(1);
  const before = await new Promise((resolve) => client.session.isValid(KEY, () => resolve(received())));
  assert.equal(before, 1);
});
