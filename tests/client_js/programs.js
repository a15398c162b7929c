/**
 * Clients as programs have them, and what they wait for.
 */
import { connect as connectClient } from "../../client_js/dist/index.js";
import { WebSocket } from "./peers.js";

/** So that nobody waits for the second attempt. */
const SOON = { backoffBaseMs: 20, backoffCapMs: 40 };

/** A client that is closed when the test ends. */
export function connect(t, url, options = {}) {
  const client = connectClient(url, { WebSocket, storage: "memory", ...SOON, ...options });
  t.after(() => client.close());
  return client;
}

/** What a client hears of a path from now on; `until` waits for as many, or for one of a name. */
export function listen(client, path = "") {
  const heard = [];
  let look = () => {};
  client.on(path, (name, data) => {
    heard.push([name, data]);
    look();
  });
  return {
    heard,
    names: () => heard.map(([name]) => name),
    until: (wanted) =>
      new Promise((resolve) => {
        look = () => {
          const found =
            typeof wanted === "number"
              ? heard.length >= wanted
              : heard.find(([name]) => name === wanted);
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

/** The code that a promise is rejected with. */
export const codeOf = (promise) =>
  promise.then(
    () => null,
    (error) => error.code,
  );
