/**
 * The session of a client, and its position among the events.
 *
 * Invariant: `session` is what the server sent last. An event is new once.
 */
import { malformed } from "./errors.js";
import { type Session, withKey } from "./session.js";
import type { StoredSession } from "./storage.js";

export class SessionState {
  session: Session | null = null;
  /** The key of the session. */
  key: string | null = null;
  /** The greatest cursor received in an event or a result, of the actor `_actorId`. */
  cursor: number | null = null;
  /** Whether the present transport is bound to the session. */
  isBound = false;
  /** The key of the session to resume, until the server accepts or refuses it. */
  resumedKey: string | null = null;
  private _actorId: string | null = null;
  /** The cursor of the newest event about the session. */
  private _sessionCursor = -1;
  /** The id in a `session.set` without a cursor, until the reply to its restore. */
  private _announcedId: string | null = null;

  /** What resumes the session in another run of the program; null without a session. */
  get stored(): StoredSession | null {
    return this.key === null ? null : { key: this.key, cursor: this.cursor };
  }

  /** Resume the session of an earlier run. */
  resume({ key, cursor }: StoredSession): void {
    this.key = this.resumedKey = key;
    this.cursor = cursor;
  }

  /** There is a new transport. */
  transportOpened(): void {
    this._announcedId = null;
    this.isBound = false;
  }

  /** Keep the cursor if it is greater; return false if its event was received before. */
  isNew(cursor: number | null, session: Session | null): boolean {
    if (session && session.actorId !== this._actorId) {
      // The cursor of a stored session belongs to the actor of its key.
      if (this._actorId !== null || session.key !== this.key) this.cursor = null;
      this._actorId = session.actorId;
      this._sessionCursor = -1;
    }
    if (cursor === null) return true;
    if (this.cursor !== null && cursor <= this.cursor) return false;
    this.cursor = cursor;
    return true;
  }

  /** Apply a `session.set`; return the session with its key. */
  applySet(session: Session, cursor: number | null): Session {
    this._announcedId = cursor === null ? session.id : null;
    return this._set(session, cursor);
  }

  /** Apply the session in a result, unless what came before is newer. */
  applyResult(session: Session, cursor: number | null): void {
    const isAnnounced = this._announcedId === session.id;
    this._announcedId = null;
    this.isNew(cursor, session);
    // The event precedes the reply, unless the program unsubscribed from it, and the session may have
    // changed or ended in between.
    const isOld = cursor !== null && cursor <= this._sessionCursor;
    if (!isAnnounced && !isOld) this._set(session, cursor);
  }

  /**
   * Apply a `session.unset`.
   *
   * @throws ClientError `malformedFrame`
   */
  applyUnset(data: any, cursor: number | null): void {
    if (typeof data?.reason !== "string") throw malformed("session.unset without a reason");
    if (cursor !== null) this._sessionCursor = cursor;
    if (this.session && [undefined, null, this.session.id].includes(data.id)) this.forget();
  }

  /** The transport is not bound any more: the session is to be resumed. */
  unbind(): void {
    if (this.isBound) this.resumedKey = this.key;
    this.isBound = false;
  }

  /** There is no session any more. */
  forget(): void {
    this.session = this.key = null;
    this.isBound = false;
  }

  private _set(session: Session, cursor: number | null): Session {
    if (session.key === null && session.id === this.session?.id) {
      session = withKey(session, this.session.key);
    }
    this.session = session;
    this.key = session.key;
    this.isBound = true;
    if (cursor !== null) this._sessionCursor = cursor;
    return session;
  }
}
