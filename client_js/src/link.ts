/**
 * The conversation with a server, without I/O.
 *
 * Messages come in through `receive`, messages to send come out of `nextMessage`; a `Link` outlives
 * the lines it speaks over. The law of this module: whatever a line does, each command gets exactly
 * one answer, nothing of the program's goes out on a new line before the session and the
 * subscriptions are as they were, and `session` is what the server said last.
 *
 * News are told when everything here is already as they say, and last of all: whoever hears them may
 * give commands or close.
 */
import { type Call, Calls, checkRestore, type Done, isLogout, ofAll } from "./calls.js";
import { LEAVE, LOGIN, LOGOUT, NOW, RESTORE, SUBSCRIBE, UNSUBSCRIBE } from "./calls.js";
import { decode, type Event, type Reply } from "./codec.js";
import { ClientError, CommandError, endsSession, errorFromReply, malformed } from "./errors.js";
import type { Settings } from "./options.js";
import { readResult, type Taken } from "./results.js";
import { readSession, type Session, type Unset, withKey } from "./session.js";
import { SESSION_RECOVERED, SESSION_SET, SESSION_UNSET } from "./session.js";
import type { StoredSession } from "./storage.js";

/** What a connection is subscribed to before it says anything. */
const DEFAULT_PATHS = ["session"];

/** What one client knows and waits for. */
export class Link {
  session: Session | null = null;
  paths: string[];
  /** The greatest that came with an event or a result, in the stream of `_actorId`. */
  cursor: number | null = null;
  /** Whether all was replayed that was missed before the session was last taken up. */
  recovered: boolean | null = null;
  private readonly _version: string | undefined;
  private readonly _calls: Calls;
  private _actorId: string | null = null;
  /** Position of the newest event about the session. */
  private _sessionCursor = -1;
  /** The session of a `session.set` without a cursor, until the reply of its restore. */
  private _announcedId: string | null = null;
  private _key: string | null = null;
  /** A key the program gave, until the server has judged it. */
  private _adopted: string | null = null;
  /** The key of a session that was left, until it is taken up again or given up. */
  private _left: string | null = null;
  /** The session that was over here before the server said so. */
  private _endedId = "";
  private _refusedKey: string | null = null;
  /** Whether sessions that the program left are being ended on this line. */
  private _isDeparting = false;
  private _isUp = false;
  /** Whether the line leads to another tab, which holds the connection for this one too. */
  private _isShared = false;
  private _isHeld = false;
  private _isBound = false;

  /** @param _tell Hears of events, and, without a cursor, of what the client itself has to say. */
  constructor(
    private readonly _tell: (name: string, data: unknown, cursor?: number | null) => void,
    { paths, version, maxPending }: Pick<Settings, "paths" | "version" | "maxPending">,
  ) {
    this.paths = paths;
    this._version = version;
    this._calls = new Calls(maxPending);
  }

  /** The key that is restored on the next line. */
  get key(): string | null {
    return this._adopted ?? this._key;
  }

  /** What takes the session up in another run of the program; null without a session. */
  get toStore(): StoredSession | null {
    return this._key === null ? null : { key: this._key, cursor: this.cursor };
  }

  /** Whether there is a line, and everything on it is as it was on the one before. */
  get isOpen(): boolean {
    return this._isUp && !this._calls.hasOwn;
  }

  /** Whether there is a reason to have a line: a session to restore or to end, or a command. */
  get hasBusiness(): boolean {
    return this.key !== null || this._calls.waiting.length + this._calls.farewells.length > 0;
  }

  /** Whether a command is on the line that somebody waits for. */
  get inFlight(): boolean {
    return this._calls.inFlight;
  }

  /**
   * Give a command. It goes out as soon as the link is open.
   *
   * @param isHosted Whether it is another tab's. If the line is lost it is not answered: that tab asks
   *     again.
   * @throws ClientError `queueFull`
   * @throws CommandError `invalidParams`
   */
  command(method: string, params: unknown[], done: Done, isHosted = false): Call {
    const call = this._calls.give(method, params, done, isHosted);
    if (!this._isUp) this._depart();
    return call;
  }

  /** The parameters of a restore by this client. */
  restoreParams(key: string): unknown[] {
    const options: Record<string, unknown> = {};
    if (this._version !== undefined) options.version = this._version;
    // Of any other session nothing was heard, so nothing of it was missed.
    if (this.cursor !== null && key === this._key) options.cursor = this.cursor;
    return Object.keys(options).length ? [key, options] : [key];
  }

  /** Stop waiting for an answer; there will be none. */
  abandon(call: Call): void {
    this._calls.abandon(call);
  }

  /**
   * Speak for this key from the next command on; restore it first.
   *
   * @throws CommandError `invalidSessionKey`, if it is nothing that can be sent.
   */
  adopt(key: string): void {
    checkRestore(this.restoreParams(key));
    this._adopted = key;
    if (this._isUp && !this._isDeparting) this._restore(key);
  }

  /** Whether this is the key that the server refused last. */
  hasRefused(key: string): boolean {
    return key === this._refusedKey;
  }

  /** Whether it is no news that the storage holds this key, or null for none. */
  knows(key: string | null): boolean {
    return key === this._key || (key !== null && [this._adopted, this._refusedKey].includes(key));
  }

  /**
   * Hold the session of an earlier run; it is restored with the first line.
   *
   * @throws CommandError `invalidSessionKey`, if the key is nothing that can be sent.
   */
  takeUp({ key, cursor }: StoredSession): void {
    checkRestore(this.restoreParams(key));
    this._key = this._left = key;
    this.cursor = cursor;
  }

  /** The session is over, and the server has not said so: forget it. See that it ends there too. */
  forget(unset: Unset = { reason: "loggedOut" }): void {
    const id = this.session?.id ?? unset.id ?? null;
    const isThisOne = id === unset.id && this.session !== null;
    const key = isThisOne ? this._key : this.key;
    if (!isThisOne) this._adopted = null;
    this._left = null;
    this._endedId = id ?? "";
    this._forget();
    // Over another tab's line that tab does. Else do, for who logged out may be gone by then.
    const isMine = unset.reason === "loggedOut" && !(this._isUp && this._isShared);
    if (key !== null && isMine && !this._calls.isLeft(key)) {
      this.leave(key, () => {}, false, ofAll([unset]) ? [{ scope: "all" }] : []);
    }
    this._tell(SESSION_UNSET, { ...unset, id });
  }

  /**
   * Take the conversation up on a fresh line.
   *
   * @param isShared Whether it leads to another tab.
   */
  lineOpened(isShared = false): void {
    this._isUp = true;
    this._announcedId = null;
    this._isShared = isShared;
    this._isHeld = this._isBound = false;
    // What another tab's connection is subscribed to is for that tab to know.
    const there = isShared ? [] : DEFAULT_PATHS;
    // Subscribe before restoring: what the restore sends is then heard already.
    const missing = this.paths.filter((path) => !there.includes(path));
    const surplus = there.filter((path) => !this.paths.includes(path));
    if (missing.length) this._calls.giveOwn(SUBSCRIBE, [missing]);
    if (surplus.length) this._calls.giveOwn(UNSUBSCRIBE, [surplus]);
    this._resume();
  }

  /**
   * End a session that the program does not have any more, now or on the next line.
   *
   * @param params Of the logout.
   */
  leave(key: string, done: Done, isHosted = false, params: unknown[] = []): void {
    this._calls.depart(this._calls.make(LOGOUT, params, done, isHosted), key);
    if (this._isUp && !this._isDeparting) this._resume();
  }

  /** Give up the line. Commands that may have run, and may not run twice, are answered. */
  lineLost(): void {
    this._unbind();
    this._isUp = this._isDeparting = false;
    for (const call of this._calls.lineLost()) call.done(new ClientError("connectionLost"));
    this._depart();
  }

  /** All events up to this cursor were received. */
  reach(cursor: number): void {
    this._isNews(cursor, null);
  }

  /** Send nothing more on this line. */
  hold(): void {
    this._isHeld = true;
  }

  /** Answer everything that waits: what never ran, with this error. */
  close(error: Error): void {
    const left = this._calls.clear();
    this.lineLost();
    for (const call of [...left, ...this._calls.clear()]) call.done(error);
  }

  /** Ask for a sign of life: any message that comes is one. */
  probe(): void {
    this._calls.giveOwn(NOW, []);
  }

  /** Take the next message for the line; undefined while there is nothing to send. */
  nextMessage(): Uint8Array | undefined {
    return this._isUp && !this._isHeld ? this._calls.nextToSend()?.message : undefined;
  }

  /**
   * Take a message in, or what it says: answer what it answers, and tell what it tells.
   *
   * @throws ClientError `malformedFrame`: the server broke the protocol. Hang up.
   * @throws CommandError If the server cannot take the conversation up again now. Hang up, and try
   *     again later.
   */
  receive(message: Uint8Array | Reply | Event): void {
    const frame = message instanceof Uint8Array ? decode(message) : message;
    if (frame[0] === 1) this._replied(frame[1], frame[2], frame[3]);
    else this._happened(frame[1], ...frame[2]);
  }

  private _replied(id: number, code: string | null, result: any): void {
    const call = this._calls.find(id);
    if (!call) throw malformed("a reply to no command");
    const error = code === null ? null : errorFromReply(code, result);
    if (call.leaves !== null) return this._departed(call, error);
    const learned = error ? null : this._learn(call, result);
    // Not before it was understood: whatever hangs up must find the call unanswered.
    this._calls.answered(call);
    if (!call.isOwn) {
      if (!call.isAbandoned) call.done(error, learned, result);
    } else if (error) {
      this._refused(call, error);
    } else if (call.method === RESTORE) {
      this._takenUp(call, result);
    }
  }

  private _happened(name: string, data: any, cursor: number | null): void {
    // The program is done with that session.
    const isOfSession = name.startsWith("session.");
    if (this._isDeparting && (cursor !== null || isOfSession)) return;
    if (isOfSession && data?.id === this._endedId) return;
    const session = name === SESSION_SET ? readSession(data) : null;
    if (!this._isNews(cursor, session)) return;
    if (session) {
      this._announcedId = cursor === null ? session.id : null;
      data = this._set(session, cursor);
    } else if (name === SESSION_UNSET) this._unset(data, cursor);
    this._tell(name, data, cursor);
  }

  /** Read a result, and remember what it says about the session and the subscriptions. */
  private _learn(call: Call, result: unknown): unknown {
    const read: any = readResult(call.method, result);
    switch (call.method) {
      case RESTORE:
      case LOGIN:
        return this._bound(call, read);
      case LOGOUT:
        if (isLogout(call)) this._forget();
        break;
      case SUBSCRIBE:
      case UNSUBSCRIBE:
        // The answer to the link's own tells of one step towards `paths`, not of them.
        if (!call.isOwn) this.paths = [...read];
    }
    return read;
  }

  private _bound(call: Call, { session, cursor }: Taken): Session {
    if (call.isOwn && call.params[0] === this._adopted) this._adopted = null;
    const isAnnounced = this._announcedId === session.id;
    this._announcedId = null;
    if (this._calls.isLeft(session.key) || session.id === this._endedId) return session;
    this._isNews(cursor, session);
    // The event came before the reply, unless the program unsubscribed from it;
    // and the session may have changed or ended since.
    const isOld = cursor !== null && cursor <= this._sessionCursor;
    if (!isAnnounced && !isOld) this._set(session, cursor);
    return session;
  }

  /** Tell what became of what was missed, now that the session is taken up. */
  private _takenUp(call: Call, result: any): void {
    const left = this._left;
    this._left = null;
    if (call.params[0] !== left) return; // Of another session nothing was missed.
    this.recovered = result.recovered === true;
    this._tell(SESSION_RECOVERED, { recovered: this.recovered });
  }

  /** A key was refused. If it is that of the session that is held, that is its end. */
  private _refused(call: Call, error: CommandError): void {
    if (call.method === NOW) return; // A sign of life, too.
    if (call.method !== RESTORE || !endsSession(error)) throw error;
    const key = (this._refusedKey = call.params[0] as string);
    if (key === this._adopted) this._adopted = null;
    let id = null;
    if (this._key === key && !this._isBound) {
      id = this.session?.id ?? null;
      this._left = null;
      this._forget();
    } else if (this._key !== null && this._adopted === null && !this._isBound) {
      this._restore(this._key);
    }
    this._tell(SESSION_UNSET, { reason: error.code, id });
  }

  private _restore(key: string): void {
    this._calls.giveOwn(RESTORE, this.restoreParams(key));
  }

  /**
   * Leave the session at once if a logout waits for a line: nobody may find it here any more. The
   * key is kept with the logout alone, to end the session at the server when there is a line.
   */
  private _depart(): void {
    const key = this.key;
    const logout = this._calls.waitingLogout;
    if (!logout || key === null) return;
    this._calls.depart(logout, key);
    // The scope is for other tabs, one of which may be the first to reach the server.
    this.forget({ reason: "loggedOut", ...(logout.params[0] as object) });
  }

  /** End what the program left, one after the other; then take up the session it has. */
  private _resume(): void {
    const [farewell] = this._calls.farewells;
    this._isDeparting = farewell !== undefined;
    this._unbind();
    if (farewell) {
      const { leaves, params } = farewell;
      if (this._isShared) this._calls.giveOwn(LEAVE, [leaves, ...params], leaves);
      else this._calls.giveOwn(RESTORE, [leaves], leaves);
    } else if (this.key === null) {
      this.session = null;
    } else {
      this._restore(this.key);
    }
  }

  /** A step of ending a session that the program left was answered. */
  private _departed(call: Call, error: CommandError | null): void {
    if (error && !endsSession(error)) throw error;
    this._calls.answered(call);
    const [farewell] = this._calls.farewells as [Call];
    // Not before it is bound: whatever else this line were bound to would end.
    if (call.method === RESTORE && !error) return this._calls.ownUp(farewell);
    const hasEndedAll = !error && ofAll(farewell.params);
    for (const { params, done } of this._calls.departed(farewell.leaves)) {
      // Nobody knows whether the actor's other sessions were ended with the one that is over.
      done(hasEndedAll || !ofAll(params) ? null : new CommandError("noSession"));
    }
    this._resume();
  }

  /** Keep the cursor if it is newer. Returns whether its event was not received before. */
  private _isNews(cursor: number | null, session: Session | null): boolean {
    if (session && session.actorId !== this._actorId) {
      // The cursor of a stored session belongs to the actor that its key opens.
      if (this._actorId !== null || session.key !== this._key) this.cursor = null;
      this._actorId = session.actorId;
      this._sessionCursor = -1;
    }
    if (cursor === null) return true;
    if (this.cursor !== null && cursor <= this.cursor) return false;
    this.cursor = cursor;
    return true;
  }

  private _set(session: Session, cursor: number | null): Session {
    if (session.key === null && session.id === this.session?.id) {
      session = withKey(session, this.session.key);
    }
    this.session = session;
    this._key = session.key;
    this._isBound = true;
    if (cursor !== null) this._sessionCursor = cursor;
    return session;
  }

  private _unset(data: any, cursor: number | null): void {
    if (typeof data?.reason !== "string") throw malformed("session.unset without a reason");
    if (cursor !== null) this._sessionCursor = cursor;
    if (this.session && [undefined, null, this.session.id].includes(data.id)) this._forget();
  }

  private _unbind(): void {
    if (this._isBound) this._left = this._key;
    this._isBound = false;
  }

  private _forget(): void {
    this.session = this._key = null;
    this._isBound = false;
  }
}
