/** How the session is written to the storage. */
import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { SessionSaver } from "../../client_js/dist/session_saver.js";
import { WebStorage } from "../../client_js/dist/storage.js";
import { KEY, OTHER_KEY } from "./golden.js";
import { BrowserStorage } from "./programs.js";

let shared;
beforeEach(() => (shared = new BrowserStorage()));

describe("the session saver", () => {
  test("writes a key at once, and of many cursors the last, a little later", (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const own = new BrowserStorage();
    const saver = new SessionSaver(new WebStorage(shared, own, "name"));
    saver.update({ key: KEY, cursor: 1 });
    assert.equal(shared.getItem("name"), KEY);
    for (let cursor = 2; cursor < 100; cursor++) saver.update({ key: KEY, cursor });
    assert.equal(own.writes, 1);
    t.mock.timers.tick(250);
    assert.equal(own.getItem("name cursor"), `99 ${KEY}`);
    assert.deepEqual([own.writes, shared.writes], [2, 1]);
    saver.update({ key: KEY, cursor: 100 });
    saver.update(null);
    assert.equal(shared.items.size + own.items.size, 0);
  });

  test("ignores what is not a session", () => {
    for (const stored of [{ key: 7, cursor: 1 }, {}, "x", undefined]) {
      assert.equal(new SessionSaver({ load: () => stored }).load(), null);
    }
    for (const cursor of [-1, 1.5, NaN, "1", 2 ** 53, undefined]) {
      assert.deepEqual(new SessionSaver({ load: () => ({ key: KEY, cursor }) }).load(), {
        key: KEY,
        cursor: null,
      });
    }
  });

  test("continues in memory when the storage fails, and reports it once, without the key", (t) => {
    const warn = t.mock.method(console, "warn", () => {});
    const fail = () => {
      throw new DOMException(`no room for ${KEY}`, "QuotaExceededError");
    };
    const saver = new SessionSaver({ load: () => null, save: fail, clear: fail });
    saver.update({ key: KEY, cursor: 1 });
    saver.update({ key: OTHER_KEY, cursor: 2 });
    assert.deepEqual(saver.load(), { key: OTHER_KEY, cursor: 2 });
    saver.update(null);
    assert.equal(saver.load(), null);
    assert.equal(warn.mock.callCount(), 1);
    assert.match(warn.mock.calls[0].arguments.join(), /QuotaExceededError/);
    assert.ok(!warn.mock.calls[0].arguments.join().includes(KEY));
  });

  test("leaves no key behind in a storage that is full", (t) => {
    t.mock.method(console, "warn", () => {});
    const own = new BrowserStorage();
    const saver = new SessionSaver(new WebStorage(shared, own, "name"));
    own.setItem = () => {
      throw new DOMException("no room", "QuotaExceededError");
    };
    saver.update({ key: KEY, cursor: 1 });
    assert.equal(shared.getItem("name"), KEY);
    saver.update(null);
    assert.equal(shared.items.size + own.items.size, 0);
  });

  test("keeps logouts for the next run in the tab, and nothing that is none", () => {
    const own = new BrowserStorage();
    const storage = new WebStorage(shared, own, "name");
    const logouts = [{ key: KEY, isOfAll: true }];
    new SessionSaver(storage).updateLogouts(logouts);
    assert.deepEqual(new SessionSaver(storage).loadLogouts(), logouts);
    for (const text of ["{}", "7", "[7, null]", "no JSON"]) {
      own.setItem("name logouts", text);
      assert.deepEqual(new SessionSaver(storage).loadLogouts(), []);
    }
    const saver = new SessionSaver(storage);
    saver.updateLogouts(logouts);
    saver.updateLogouts([]);
    assert.equal(own.items.size, 0);
    assert.deepEqual(new SessionSaver({ load: () => null }).loadLogouts(), []);
  });
});
