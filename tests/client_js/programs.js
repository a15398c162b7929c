/**
 * Clients as programs use them, and ways to wait.
 */
import { connect as connectClient } from "../../client_js/dist/index.js";
import { WebStorage } from "../../client_js/dist/storage.js";
import { WebSocket } from "./peers.js";

/** So that no test waits for the second attempt. */
const SOON = { backoffBaseMs: 20, backoffCapMs: 40 };

/** A client that is closed when the test ends. */
export function connect(t, url, options = {}) {
  const client = connectClient(url, { WebSocket, storage: "memory", ...SOON, ...options });
  t.after(() => client.close());
  return client;
}

/** The events that a client receives from now on; `until` waits for a number, or for a name. */
export function listen(client, path = "") {
  const received = [];
  let look = () => {};
  client.on(path, (name, data) => {
    received.push([name, data]);
    look();
  });
  return {
    received,
    names: () => received.map(([name]) => name),
    until: (wanted) =>
      new Promise((resolve) => {
        look = () => {
          const found =
            typeof wanted === "number"
              ? received.length >= wanted
              : received.find(([name]) => name === wanted);
          if (found) resolve(found);
        };
        look();
      }),
  };
}

/** Wait until the client is in this state. */
export function entered(client, state) {
  return new Promise((resolve) => {
    const undo = client.onState((now) => {
      if (now !== state) return;
      undo();
      resolve();
    });
    if (client.state === state) {
      undo();
      resolve();
    }
  });
}

/** Something that happens once: `give()`, and `await given`. */
export function signal() {
  let give;
  const given = new Promise((resolve) => (give = resolve));
  return { give, given };
}

/** Wait until the condition holds. */
export async function settled(isSo) {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** The code that a promise is rejected with. */
export const codeOf = (promise) =>
  promise.then(
    () => null,
    (error) => error.code,
  );

/** The storage of a browser: one that all tabs share, or a tab's own. */
export class BrowserStorage {
  items = new Map();
  writes = 0;
  getItem = (name) => this.items.get(name) ?? null;
  removeItem = (name) => void this.items.delete(name);
  setItem(name, value) {
    this.writes++;
    this.items.set(name, String(value));
  }
}

let browsers = 0;

/** A browser: `tab(url, options, own)` is a client in a tab; `own` is the tab's own storage. */
export function browser(t) {
  const shared = new BrowserStorage();
  const storageName = `browser ${++browsers}`;
  const tab = (url, options, own = new BrowserStorage()) => {
    const storage = new WebStorage(shared, own, storageName);
    return connect(t, url, { storage, storageName, ...options });
  };
  const channel = () => {
    const opened = new BroadcastChannel(storageName);
    t.after(() => opened.close());
    return opened;
  };
  const key = () => shared.getItem(storageName);
  return { tab, channel, key, name: storageName, store: (value) => shared.setItem(storageName, value) };
}
