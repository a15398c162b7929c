/** Where the session is stored. */
import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
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

  test("gives the key to another tab, but not the cursor of this one", () => {
    tab().save({ key: KEY, cursor: CURSOR });
    assert.deepEqual(tab().load(), { key: KEY, cursor: null });
  });

  test("ignores the cursor of another key", () => {
    const storage = tab();
    storage.save({ key: KEY, cursor: CURSOR });
    tab().save({ key: OTHER_KEY, cursor: null });
    assert.deepEqual(storage.load(), { key: OTHER_KEY, cursor: null });
  });

  test("a cursor that is written late does not bring back a session that another tab ended", () => {
    const [one, other] = [tab(), tab()];
    one.save({ key: KEY, cursor: 1 });
    other.load();
    other.clear();
    one.save({ key: KEY, cursor: 2 });
    assert.equal(tab().load(), null);
  });

  test("clearing does not remove a session that another tab created", () => {
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

  test("memory where there is none, or where reading the property throws", () => {
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
