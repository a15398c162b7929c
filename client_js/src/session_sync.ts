/**
 * Keeps the session of this tab, the storage, and the other tabs of the browser in agreement.
 *
 * Invariant: the storage holds the session that there is; what ends a session here is sent to the other
 * tabs, unless it is about this page alone.
 */
import type { Conversation } from "./conversation.js";
import type { Settings } from "./options.js";
import { SESSION_UNSET, type Unset } from "./session.js";
import { SessionSaver } from "./session_saver.js";
import { openStorage } from "./storage.js";
import { type TabMessage, Tabs } from "./tabs.js";
import { later } from "./timer.js";

/** How long the message about a logout may take to come after the storage was emptied. */
export const EMPTY_MS = 100;

export class SessionSync {
  /** Other tabs with the same storage, if there may be any. */
  readonly tabs: Tabs | null = null;
  private readonly _saver: SessionSaver;
  private _isClosed = false;

  /**
   * Resume the stored session.
   *
   * @param _changed Called after the session changed here because of the storage or another tab.
   * @param received Called with the messages of other tabs that are not about the session.
   */
  constructor(
    private readonly _conversation: Conversation,
    settings: Settings,
    private readonly _changed: () => void,
    received: (message: TabMessage) => void,
  ) {
    const storage = openStorage(settings);
    this._saver = new SessionSaver(storage);
    this._resume();
    if (settings.tabs !== false && storage.isShared && globalThis.BroadcastChannel) {
      this.tabs = new Tabs(settings.storageName, (message) => {
        const [kind, unset] = message;
        if (kind === "set") this.read();
        else if (kind === "unset") this._receiveUnset(unset);
        else received(message);
      });
    }
  }

  /**
   * Take over what the storage holds.
   *
   * @param unset Why it may be empty, according to another tab.
   * @returns False if it is empty, and the reason may still come.
   */
  read(unset?: Unset): boolean {
    if (this._isClosed) return true;
    const stored = this._saver.load();
    const key = stored?.key ?? null;
    if (this._conversation.knows(key)) return true;
    if (key === null && this.tabs && !unset) {
      // The tab that emptied it sends the reason, but that may take a moment longer.
      later(EMPTY_MS, () => this.read({ reason: "loggedOut" }));
      return false;
    }
    try {
      if (key === null) this._conversation.forget(unset);
      else this._conversation.useKey(key);
    } catch {
      this._saver.assume(stored); // It is unusable: the session that there is replaces it.
    }
    this._changed();
    return true;
  }

  /** Store the session as it is now. */
  save(): void {
    // Those that closing gives up are executed in the next run.
    if (!this._isClosed) this._saver.updateLogouts(this._conversation.storedLogouts);
    if (this._saver.update(this._conversation.storedSession)) this.tabs?.send("set");
  }

  /** Store the session before this event is emitted, and send its end to other tabs. */
  beforeEvent(name: string, data: any): void {
    const isUnset = name === SESSION_UNSET;
    // The session is unusable for this page alone; a page of another version can restore it.
    const isOfThisPage = isUnset && data.reason === "badVersion";
    if (isOfThisPage) this._saver.assume(this._conversation.storedSession);
    else if (isUnset) this._putBack();
    this.save();
    // A refused key whose session is unknown concerns no other tab.
    if (isUnset && !isOfThisPage && data.id !== null) this.tabs?.send("unset", data);
  }

  /** Write now what is not written yet. */
  flush(): void {
    this._saver.flush();
  }

  /** Receive nothing more. */
  stop(): void {
    this._isClosed = true;
    this.tabs?.close();
  }

  private _resume(): void {
    const stored = this._saver.load();
    this._saver.assume(stored);
    let isUsable = true;
    for (const { key, isOfAll } of this._saver.loadLogouts()) {
      try {
        this._conversation.endSession(key, () => {}, false, isOfAll ? [{ scope: "all" }] : []);
      } catch {
        // No session has this key.
      }
      // The page was left before the server answered.
      isUsable &&= key !== stored?.key;
    }
    try {
      if (stored && isUsable) this._conversation.resume(stored);
    } catch {
      isUsable = false;
    }
    if (!isUsable) this._saver.update(null);
  }

  private _receiveUnset(unset: any): void {
    // Other programs may use a channel of the same name.
    if (typeof unset?.reason !== "string" || typeof unset.id !== "string") return;
    if (unset.id !== this._conversation.session?.id) return void this.read(unset);
    this._conversation.forget(unset);
    this._changed();
  }

  /** Have the present session stored again, if the storage holds a key that was refused. */
  private _putBack(): void {
    const stored = this._conversation.storedSession && this._saver.load();
    if (stored && this._conversation.hasRefused(stored.key)) this._saver.assume(stored);
  }
}
