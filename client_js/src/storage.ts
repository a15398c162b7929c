/**
 * What a program keeps of its session when the page goes, and where.
 */
import type { Settings } from "./options.js";

/** What takes a session up where it was left. */
export interface StoredSession {
  /** The secret. */
  key: string;
  /** The greatest that came with an event or a restore; null if there was none. */
  cursor: number | null;
}

/**
 * Keeps one session; whoever can read it is the actor.
 *
 * What it throws is reported once, without the key; the client then keeps the session in memory.
 */
export interface SessionStorage {
  /** Whether other tabs find there what this one saves. Then they share the session. */
  readonly isShared?: boolean;
  /** Return what was saved last; null after `clear`, and if there is nothing of use. */
  load(): StoredSession | null;
  /** Keep this, and only this. */
  save(session: StoredSession): void;
  /** Keep nothing; do nothing if nothing is kept. */
  clear(): void;
}

/** Keeps the session as long as the program runs. */
export class MemoryStorage implements SessionStorage {
  private _session: StoredSession | null = null;

  load(): StoredSession | null {
    return this._session;
  }

  save(session: StoredSession): void {
    this._session = session;
  }

  clear(): void {
    this._session = null;
  }
}

/** What is used of a storage of a browser. */
interface Items {
  getItem(name: string): string | null;
  setItem(name: string, value: string): void;
  removeItem(name: string): void;
}

/**
 * Keeps the session in the storage of a browser: the key in one that tabs may share, the cursor in
 * the tab's own, for it says what this tab has heard. A cursor of another key is void.
 *
 * What another tab wrote meanwhile is never written over with what this one knew before.
 */
export class WebStorage implements SessionStorage {
  private readonly _cursorName: string;
  /** The key that this tab saw in the storage, or put there, last. */
  private _key: string | null = null;

  constructor(
    private readonly _keys: Items,
    private readonly _cursors: Items,
    private readonly _name: string,
  ) {
    this._cursorName = `${_name} cursor`;
  }

  get isShared(): boolean {
    return this._keys !== this._cursors;
  }

  load(): StoredSession | null {
    const key = (this._key = this._keys.getItem(this._name));
    if (key === null) return null;
    const heard = this._cursors.getItem(this._cursorName);
    const cursor = parseInt(heard ?? "");
    return { key, cursor: heard === `${cursor} ${key}` ? cursor : null };
  }

  save({ key, cursor }: StoredSession): void {
    if (key !== this._key) this._keys.setItem(this._name, key);
    this._key = key;
    this._cursors.setItem(this._cursorName, `${cursor} ${key}`);
  }

  clear(): void {
    if (this._keys.getItem(this._name) === this._key) this._keys.removeItem(this._name);
    this._cursors.removeItem(this._cursorName);
    this._key = null;
  }
}

/** Find the storage that the program asked for, or the best there is. */
export function openStorage({ storage, storageName }: Settings): SessionStorage {
  if (typeof storage === "object") return storage;
  try {
    // Where cookies are blocked, looking at these is enough for an error.
    const { localStorage, sessionStorage } = globalThis;
    if (storage === "session") return new WebStorage(sessionStorage, sessionStorage, storageName);
    if (storage !== "memory" && localStorage) {
      return new WebStorage(localStorage, sessionStorage, storageName);
    }
  } catch {
    // Then there is none.
  }
  return new MemoryStorage();
}
