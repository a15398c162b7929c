/**
 * Where the session is stored.
 */

/** What resumes a session. */
export interface StoredSession {
  /** The secret. */
  key: string;
  /** The greatest cursor received; null if there was none. */
  cursor: number | null;
}

/** A logout that the server may not have executed yet. */
export interface StoredLogout {
  /** The key of the session to end. */
  key: string;
  /** Whether to end all sessions of its actor. */
  isOfAll: boolean;
}

/**
 * Stores one session. Anyone who can read it can act as the user.
 *
 * Its exceptions are reported once, without the key; the client then keeps the session in memory.
 */
export interface SessionStorage {
  /** Whether other tabs load what this one saves. Then they share the session. */
  readonly isShared?: boolean;
  /** Return what was saved last; null after `clear`, and if there is nothing usable. */
  load(): StoredSession | null;
  /** Store this in the place of what was stored. */
  save(session: StoredSession): void;
  /** Store nothing; do nothing if nothing is stored. */
  clear(): void;
  /** Store the logouts that the server has not answered, for the next run; without it they are lost. */
  saveLogouts?(logouts: StoredLogout[]): void;
  /** Return the logouts that were saved last. */
  loadLogouts?(): StoredLogout[];
}

/** Stores the session as long as the program runs. */
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

/** What a client uses of the storages of a browser. */
interface Items {
  getItem(name: string): string | null;
  setItem(name: string, value: string): void;
  removeItem(name: string): void;
}

/**
 * Stores the session in a browser: the key in a storage that tabs may share, the cursor in the tab's own,
 * because it is the position of this tab. A cursor of another key is void.
 *
 * What another tab wrote is never overwritten with an older state of this one.
 */
export class WebStorage implements SessionStorage {
  private readonly _cursorName: string;
  private readonly _logoutsName: string;
  /** The key that this tab read from the storage, or wrote there, last. */
  private _key: string | null = null;

  constructor(
    private readonly _keys: Items,
    private readonly _cursors: Items,
    private readonly _name: string,
  ) {
    this._cursorName = `${_name} cursor`;
    this._logoutsName = `${_name} logouts`;
  }

  get isShared(): boolean {
    return this._keys !== this._cursors;
  }

  load(): StoredSession | null {
    const key = (this._key = this._keys.getItem(this._name));
    if (key === null) return null;
    const text = this._cursors.getItem(this._cursorName);
    const cursor = parseInt(text ?? "");
    return { key, cursor: text === `${cursor} ${key}` ? cursor : null };
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

  /** In the tab's own storage: it is gone with the tab, and no other tab has the key. */
  saveLogouts(logouts: StoredLogout[]): void {
    if (logouts.length) this._cursors.setItem(this._logoutsName, JSON.stringify(logouts));
    else this._cursors.removeItem(this._logoutsName);
  }

  loadLogouts(): StoredLogout[] {
    return JSON.parse(this._cursors.getItem(this._logoutsName) ?? "[]");
  }
}

/** Which storage a program chose; by default the best there is. */
export interface StorageChoice {
  storage?: "local" | "session" | "memory" | SessionStorage;
  storageName: string;
}

/** Return the storage that the program chose, or the best there is. */
export function openStorage({ storage, storageName }: StorageChoice): SessionStorage {
  if (typeof storage === "object") return storage;
  try {
    // Where cookies are blocked, reading these properties throws.
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
