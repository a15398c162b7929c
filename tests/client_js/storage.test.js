/** Where the session is kept, and that nothing about it troubles the program. */
import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { Keeper } from "../../client_js/dist/keeper.js";
import { MemoryStorage, WebStorage, openStorage } from "../../client_js/dist/storage.js";
import { CURSOR, KEY, OTHER_KEY } from "./golden.js";
import { BrowserStorage } from "./programs.js";

let shared;
const tab = () => new WebStorage(shared, new BrowserStorage(), "keystay ws://a/");
beforeEach(() => (shared = new BrowserStorage()));

describe("the storage of a browser", () => {
  test("keeps key and cursor, and after `clear` nothing at all", () => {
    const own = new BrowserStorage();
    const storage = new WebStorage(shared, own, "name");
    assert.equal(storage.load(), null);
    storage.save({ key: KEY, cursor: CURSOR });
    assert.deepEqual(new WebStorage(shared, own, "name").load(), { key: KEY, cursor: CURSOR });
    storage.clear();
    assert.equal(storage.load(), null);
    assert.equal(shared.items.size + own.items.size, 0);
  });

  test("gives the key to another tab, but not what this one has heard", () => {
    tab().save({ key: KEY, cursor: CURSOR });
    assert.deepEqual(tab().load(), { key: KEY, cursor: null });
  });

  test("takes no cursor for that of another key", () => {
    const storage = tab();
    storage.save({ key: KEY, cursor: CURSOR });
    tab().save({ key: OTHER_KEY, cursor: null });
    assert.deepEqual(storage.load(), { key: OTHER_KEY, cursor: null });
  });

  test("a cursor that is written late brings no session back that another tab ended", () => {
    const [one, other] = [tab(), tab()];
    one.save({ key: KEY, cursor: 1 });
    other.load();
    other.clear();
    one.save({ key: KEY, cursor: 2 });
    assert.equal(tab().load(), null);
  });

  test("clearing leaves a session alone that another tab opened", () => {
    const [one, other] = [tab(), tab()];
    one.save({ key: KEY, cursor: 1 });
    other.save({ key: OTHER_KEY, cursor: 1 });
    one.clear();
    assert.equal(tab().load().key, OTHER_KEY);
  });
});

describe("which storage is used", () => {
  const settings = (storage) => ({ storage, storageName: "name" });
  const withBrowser = (storages, run) => {
    const before = Object.getOwnPropertyDescriptors(globalThis);
    try {
      for (const [name, get] of Object.entries(storages)) {
        Object.defineProperty(globalThis, name, { get, configurable: true });
      }
      return run();
    } finally {
      for (const name of Object.keys(storages)) {
        delete globalThis[name];
        if (before[name]) Object.defineProperty(globalThis, name, before[name]);
      }
    }
  };

  test("localStorage where there is one, the cursor being the tab's own", () => {
    const own = new BrowserStorage();
    withBrowser({ localStorage: () => shared, sessionStorage: () => own }, () => {
      openStorage(settings()).save({ key: KEY, cursor: 1 });
      assert.deepEqual([...shared.items], [["name", KEY]]);
      openStorage(settings("session")).save({ key: OTHER_KEY, cursor: 1 });
      assert.equal(own.items.get("name"), OTHER_KEY);
    });
  });

  test("memory where there is none, or where looking for one is an error", () => {
    const refuse = () => {
      throw new Error("SecurityError");
    };
    withBrowser({ localStorage: refuse, sessionStorage: refuse }, () => {
      assert.ok(openStorage(settings()) instanceof MemoryStorage);
      assert.ok(openStorage(settings("session")) instanceof MemoryStorage);
    });
    withBrowser({ localStorage: () => undefined, sessionStorage: () => undefined }, () => {
      assert.ok(openStorage(settings("local")) instanceof MemoryStorage);
    });
    assert.ok(openStorage(settings("memory")) instanceof MemoryStorage);
  });

  test("the program's own, if it has one", () => {
    const own = new MemoryStorage();
    assert.equal(openStorage(settings(own)), own);
  });
});

describe("the keeper of the storage", () => {
  test("writes a key at once, and of many cursors the last, a little later", (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const own = new BrowserStorage();
    const keeper = new Keeper(new WebStorage(shared, own, "name"));
    keeper.note({ key: KEY, cursor: 1 });
    assert.equal(shared.getItem("name"), KEY);
    for (let cursor = 2; cursor < 100; cursor++) keeper.note({ key: KEY, cursor });
    assert.equal(own.writes, 1);
    t.mock.timers.tick(250);
    assert.equal(own.getItem("name cursor"), `99 ${KEY}`);
    assert.deepEqual([own.writes, shared.writes], [2, 1]);
    keeper.note({ key: KEY, cursor: 100 });
    keeper.note(null);
    assert.equal(shared.items.size + own.items.size, 0);
  });

  test("takes nothing that is no session for one", () => {
    for (const stored of [{ key: 7, cursor: 1 }, {}, "x", undefined]) {
      assert.equal(new Keeper({ load: () => stored }).load(), null);
    }
    for (const cursor of [-1, 1.5, NaN, "1", 2 ** 53, undefined]) {
      assert.deepEqual(new Keeper({ load: () => ({ key: KEY, cursor }) }).load(), {
        key: KEY,
        cursor: null,
      });
    }
  });

  test("goes on in memory when the storage fails, and says so once, without the key", (t) => {
    const warn = t.mock.method(console, "warn", () => {});
    const fail = () => {
      throw new DOMException(`no room for ${KEY}`, "QuotaExceededError");
    };
    const keeper = new Keeper({ load: () => null, save: fail, clear: fail });
    keeper.note({ key: KEY, cursor: 1 });
    keeper.note({ key: OTHER_KEY, cursor: 2 });
    assert.deepEqual(keeper.load(), { key: OTHER_KEY, cursor: 2 });
    keeper.note(null);
    assert.equal(keeper.load(), null);
    assert.equal(warn.mock.callCount(), 1);
    assert.match(warn.mock.calls[0].arguments.join(), /QuotaExceededError/);
    assert.ok(!warn.mock.calls[0].arguments.join().includes(KEY));
  });
});
