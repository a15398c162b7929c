/**
 * Writes the session to the storage.
 *
 * Invariant: a key is written, or removed, at once; a cursor a little later, once for all changes
 * meanwhile; nothing is written that is stored already; exceptions of the storage end here.
 */
import { isCursor } from "./codec.js";
import { MemoryStorage, type SessionStorage } from "./storage.js";
import type { StoredLogout, StoredSession } from "./storage.js";

const CURSOR_DELAY_MS = 250;

export class SessionSaver {
  /** What is stored, or is about to be. */
  private _current: StoredSession | null = null;
  /** Whether `_current` is not written yet. */
  private _isDue = false;
  private _timer: ReturnType<typeof setTimeout> | undefined;
  private _logouts = "[]";
  /** A storage that has failed: it may still hold a key. */
  private _failed: SessionStorage | null = null;

  constructor(private _storage: SessionStorage) {}

  /** Return what is stored now, by this tab or another; null if it is unusable. */
  load(): StoredSession | null {
    this.flush();
    const stored = this._try(() => this._storage.load());
    if (typeof stored?.key !== "string") return null;
    return { key: stored.key, cursor: isCursor(stored.cursor) ? stored.cursor : null };
  }

  /** Write this state. Returns whether it is another session. */
  update(current: StoredSession | null): boolean {
    const last = this._current;
    const isOther = current?.key !== last?.key;
    this._current = current;
    this._isDue ||= isOther || current?.cursor !== last?.cursor;
    if (isOther) this.flush();
    else if (this._isDue) this._timer ??= setTimeout(() => this.flush(), CURSOR_DELAY_MS);
    return isOther && current !== null;
  }

  /** Return the logouts that the server had not answered in the run before; unusable ones are left out. */
  loadLogouts(): StoredLogout[] {
    try {
      return (this._storage.loadLogouts?.() ?? []).filter(({ key }) => typeof key === "string");
    } catch {
      return [];
    }
  }

  /** Write the logouts that the server has not answered, if they are others than before. */
  updateLogouts(logouts: StoredLogout[]): void {
    const text = JSON.stringify(logouts);
    if (text === this._logouts) return;
    this._logouts = text;
    try {
      this._storage.saveLogouts?.(logouts);
    } catch {
      // Then they are lost with this run: the sessions live until they expire.
    }
  }

  /** Take this as stored, without writing it. */
  assume(stored: StoredSession | null): void {
    this._current = stored;
    this._isDue = false;
  }

  /** Write now what is not written yet. */
  flush(): void {
    clearTimeout(this._timer);
    this._timer = undefined;
    if (!this._isDue) return;
    this._isDue = false;
    const current = this._current;
    if (!current) this._clearFailed();
    this._try(() => (current ? this._storage.save(current) : this._storage.clear()));
  }

  /** No key may stay behind: what cannot be written to can often be removed from. */
  private _clearFailed(): void {
    try {
      this._failed?.clear();
    } catch {
      // It was reported when it failed first.
    }
  }

  private _try<T>(work: () => T): T | StoredSession | null {
    try {
      return work();
    } catch (error) {
      // The name alone: the text of a foreign error may quote what it could not store.
      console.warn(
        `keystay: the session storage failed (${(error as Error)?.name}); the session is kept in memory`,
      );
      this._failed ??= this._storage;
      this._storage = new MemoryStorage();
      if (!this._current) this._clearFailed();
      if (this._current) this._storage.save(this._current);
      return this._current;
    }
  }
}
