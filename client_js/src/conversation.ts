/**
 * The protocol from the client's side, without I/O.
 *
 * `receive` takes the messages of the server, `nextMessage` returns those to send. A `Conversation`
 * outlives its transports. Invariant: each command gets exactly one answer; on a new transport no command
 * of the program is sent before subscriptions and session are restored.
 *
 * Events are emitted last, when the state here is already as they say: a handler may submit commands or
 * close.
 */
import { type Call, Calls, type Done, isOwnLogout } from "./calls.js";
import { decode, type Event, type Reply } from "./codec.js";
import { type BoundResult, checkRestore, endsOwnSession, isScopeAll, readResult } from "./commands.js";
import { END_SESSION, LOGIN, LOGOUT, NOW, RESTORE, SUBSCRIBE, UNSUBSCRIBE } from "./commands.js";
import { ClientError, CommandError, endsSession, errorFromReply, malformed } from "./errors.js";
import type { Settings } from "./options.js";
import { readSession, type Session, type Unset } from "./session.js";
import { SESSION_RECOVERED, SESSION_SET, SESSION_UNSET } from "./session.js";
import { SessionState } from "./session_state.js";
import type { StoredLogout, StoredSession } from "./storage.js";

/** The subscriptions of a new connection. */
const DEFAULT_PATHS = ["session"];

/** The session, subscriptions and unanswered commands of one client. */
export class Conversation {
  paths: string[];
  /** Whether all missed events were replayed when the session was last resumed. */
  recovered: boolean | null = null;
  private readonly _state = new SessionState();
  private readonly _version: string | undefined;
  private readonly _calls: Calls;
  /** A key set by the program, until the server accepts or refuses it. */
  private _givenKey: string | null = null;
  private _refusedKey: string | null = null;
  /** The session that ended here before the server sent it. */
  private _endedId = "";
  /** Whether sessions that the program left are being ended on this transport. */
  private _isEnding = false;
  private _hasTransport = false;
  /** Whether the transport leads to another tab, which has the connection for this one too. */
  private _isShared = false;
  private _isPaused = false;

  /** @param _emit Gets the events; those of the client itself without a cursor. */
  constructor(
    private readonly _emit: (name: string, data: unknown, cursor?: number | null) => void,
    { paths, version, maxPending }: Pick<Settings, "paths" | "version" | "maxPending">,
  ) {
    this.paths = paths;
    this._version = version;
    this._calls = new Calls(maxPending);
  }

  get session(): Session | null {
    return this._state.session;
  }

  get cursor(): number | null {
    return this._state.cursor;
  }

  set cursor(cursor: number | null) {
    this._state.cursor = cursor;
  }

  /** The key that is restored on the next transport. */
  get key(): string | null {
    return this._givenKey ?? this._state.key;
  }

  /** What resumes the session in another run of the program; null without a session. */
  get storedSession(): StoredSession | null {
    return this._state.stored;
  }

  /** The logouts that the server has not answered. */
  get storedLogouts(): StoredLogout[] {
    return this._calls.storedLogouts(this.key);
  }

  /** Whether there is a transport on which subscriptions and session are restored. */
  get isOpen(): boolean {
    return this._hasTransport && !this._calls.hasInternal;
  }

  /** Whether a transport is needed: for a session to restore or to end, or a command to send. */
  get hasWork(): boolean {
    return this.key !== null || this._calls.waiting.length + this._calls.logouts.length > 0;
  }

  /** Whether a caller waits for the reply to a command that was sent. */
  get inFlight(): boolean {
    return this._calls.inFlight;
  }

  /**
   * Submit a command. It is sent when the conversation is open.
   *
   * @param isRelayed Whether it is of another tab. It is not answered if the transport is lost: that tab
   *     submits it again.
   * @throws ClientError `queueFull`
   * @throws CommandError `invalidParams`
   */
  command(method: string, params: unknown[], done: Done, isRelayed = false): Call {
    const call = this._calls.submit(method, params, done, isRelayed);
    if (!this._hasTransport) this._logOutHere();
    return call;
  }

  /** Return the parameters of a restore by this client. */
  restoreParams(key: string): unknown[] {
    const options: Record<string, unknown> = {};
    if (this._version !== undefined) options.version = this._version;
    // Events of another session were not received before, so none were missed.
    if (this.cursor !== null && key === this._state.key) options.cursor = this.cursor;
    return Object.keys(options).length ? [key, options] : [key];
  }

  /**
   * Drop the call: its caller waits no more. After a logout the session is forgotten here all the same, and
   * ended at the server until that has answered.
   */
  abandon(call: Call): void {
    this._calls.abandon(call);
    if (isOwnLogout(call)) this._leave(call);
  }

  /**
   * Restore this key before the next command.
   *
   * @throws CommandError `invalidSessionKey`, if it cannot be sent.
   */
  useKey(key: string): void {
    checkRestore(this.restoreParams(key));
    this._givenKey = key;
    if (this._hasTransport && !this._isEnding) this._restore(key);
  }

  /** Whether this is the key that the server refused last. */
  hasRefused(key: string): boolean {
    return key === this._refusedKey;
  }

  /** Whether nothing follows from finding this key in the storage, or null for none. */
  knows(key: string | null): boolean {
    const keys = [this._givenKey, this._refusedKey];
    return key === this._state.key || (key !== null && keys.includes(key));
  }

  /**
   * Resume the session of an earlier run, on the first transport.
   *
   * @throws CommandError `invalidSessionKey`, if the key cannot be sent.
   */
  resume(stored: StoredSession): void {
    checkRestore(this.restoreParams(stored.key));
    this._state.resume(stored);
  }

  /** Forget a session that ended without the server having sent it, and end it there too. */
  forget(unset: Unset = { reason: "loggedOut" }): void {
    const { session } = this;
    const id = session?.id ?? unset.id ?? null;
    const isThisOne = id === unset.id && session !== null;
    const key = isThisOne ? this._state.key : this.key;
    if (!isThisOne) this._givenKey = null;
    this._state.resumedKey = null;
    this._endedId = id ?? "";
    this._state.forget();
    // Where another tab has the connection, that tab does. Otherwise do, for the tab that logged out may
    // be gone.
    const isMine = unset.reason === "loggedOut" && !(this._hasTransport && this._isShared);
    if (key !== null && isMine && !this._calls.hasLogout(key)) {
      this.endSession(key, () => {}, false, isScopeAll([unset]) ? [{ scope: "all" }] : []);
    }
    this._emit(SESSION_UNSET, { ...unset, id });
  }

  /**
   * Restore subscriptions and session on a new transport.
   *
   * @param isShared Whether it leads to another tab.
   */
  transportOpened(isShared = false): void {
    this._hasTransport = true;
    this._isShared = isShared;
    this._isPaused = false;
    this._state.transportOpened();
    // The subscriptions of another tab's connection are known to that tab alone.
    const there = isShared ? [] : DEFAULT_PATHS;
    // Subscribe first, so that the restore replays events of these paths.
    const missing = this.paths.filter((path) => !there.includes(path));
    const surplus = there.filter((path) => !this.paths.includes(path));
    if (missing.length) this._calls.submitInternal(SUBSCRIBE, [missing]);
    if (surplus.length) this._calls.submitInternal(UNSUBSCRIBE, [surplus]);
    this._endOrRestore();
  }

  /**
   * End a session that the program has left, now or on the next transport.
   *
   * @param params Of the logout.
   * @throws CommandError `invalidSessionKey`, if the key cannot be sent.
   */
  endSession(key: string, done: Done, isRelayed = false, params: unknown[] = []): void {
    checkRestore([key]);
    this._calls.addLogout(this._calls.create(LOGOUT, params, done, isRelayed), key);
    if (this._hasTransport && !this._isEnding) this._endOrRestore();
  }

  /** End the transport. Commands that may have run, and must not run twice, fail. */
  transportLost(): void {
    this._state.unbind();
    this._hasTransport = this._isEnding = false;
    for (const call of this._calls.transportLost()) call.done(new ClientError("connectionLost"));
    this._logOutHere();
  }

  /** All events up to this cursor were received. */
  receivedUpTo(cursor: number): void {
    this._state.isNew(cursor, null);
  }

  /** Send nothing more on this transport. */
  pause(): void {
    this._isPaused = true;
  }

  /** Fail all commands: those that were never sent with this error. */
  close(error: Error): void {
    const left = this._calls.clear();
    this.transportLost();
    for (const call of [...left, ...this._calls.clear()]) call.done(error);
  }

  /** Have the server send something: any message shows that it is there. */
  probe(): void {
    this._calls.submitInternal(NOW, []);
  }

  /** Take the next message to send; undefined while there is none. */
  nextMessage(): Uint8Array | undefined {
    return this._hasTransport && !this._isPaused ? this._calls.nextToSend()?.message : undefined;
  }

  /**
   * Process a message: answer the command of a reply, emit an event.
   *
   * @throws ClientError `malformedFrame`: the server broke the protocol. Disconnect.
   * @throws CommandError If the server cannot restore or end a session now. Disconnect, and try again
   *     later.
   */
  receive(message: Uint8Array | Reply | Event): void {
    const frame = message instanceof Uint8Array ? decode(message) : message;
    if (frame[0] === 1) this._receiveReply(frame[1], frame[2], frame[3]);
    else this._receiveEvent(frame[1], ...frame[2]);
  }

  private _receiveReply(id: number, code: string | null, result: any): void {
    const call = this._calls.find(id);
    if (!call) throw malformed("a reply to a command that was not sent");
    const error = code === null ? null : errorFromReply(code, result);
    if (call.endsKey !== null) return this._ended(call, error);
    const read = error ? null : this._applyResult(call, result);
    // After the result was read: if that failed, the call must count as unanswered.
    this._calls.answered(call);
    if (!call.isInternal) {
      if (!call.isAbandoned) call.done(error, read, result);
    } else if (error) {
      this._refused(call, error);
    } else if (call.method === RESTORE) {
      this._resumed(call, result);
    }
  }

  private _receiveEvent(name: string, data: any, cursor: number | null): void {
    // The program has left that session.
    const isOfSession = name.startsWith("session.");
    if (this._isEnding && (cursor !== null || isOfSession)) return;
    if (isOfSession && data?.id === this._endedId) return;
    const session = name === SESSION_SET ? readSession(data, true) : null;
    if (!this._state.isNew(cursor, session)) return;
    if (session) data = this._state.applySet(session, cursor);
    else if (name === SESSION_UNSET) this._state.applyUnset(data, cursor);
    this._emit(name, data, cursor);
  }

  /** Read a result, and apply it to the session and the subscriptions. */
  private _applyResult(call: Call, result: unknown): unknown {
    const read: any = readResult(call.method, result);
    switch (call.method) {
      case RESTORE:
      case LOGIN:
        return this._applyBound(call, read);
      case LOGOUT:
        if (endsOwnSession(call.params)) this._state.forget();
        break;
      case SUBSCRIBE:
      case UNSUBSCRIBE:
        // An internal call is one step towards `paths`, and does not change them.
        if (!call.isInternal) this.paths = [...read];
    }
    return read;
  }

  private _applyBound(call: Call, { session, cursor }: BoundResult): Session {
    if (call.isInternal && call.params[0] === this._givenKey) this._givenKey = null;
    if (!this._calls.hasLogout(session.key) && session.id !== this._endedId) {
      this._state.applyResult(session, cursor);
    }
    return session;
  }

  /** Emit `session.recovered` if this reply resumed the session. */
  private _resumed(call: Call, result: any): void {
    const key = this._state.resumedKey;
    this._state.resumedKey = null;
    if (call.params[0] !== key) return; // It is another session: no event was missed.
    this.recovered = result.recovered === true;
    this._emit(SESSION_RECOVERED, { recovered: this.recovered });
  }

  /** A key was refused. If it is that of the session, the session has ended. */
  private _refused(call: Call, error: CommandError): void {
    if (call.method === NOW) return; // That the server is there is all that was asked.
    if (call.method !== RESTORE || !endsSession(error)) throw error;
    const key = (this._refusedKey = call.params[0] as string);
    if (key === this._givenKey) this._givenKey = null;
    let id = null;
    const state = this._state;
    if (state.key === key && !state.isBound) {
      id = this.session?.id ?? null;
      state.resumedKey = null;
      state.forget();
    } else if (state.key !== null && this._givenKey === null && !state.isBound) {
      this._restore(state.key);
    }
    this._emit(SESSION_UNSET, { reason: error.code, id });
  }

  private _restore(key: string): void {
    this._calls.submitInternal(RESTORE, this.restoreParams(key));
  }

  /**
   * Forget the session at once if a logout waits for a transport. The key is kept with the logout alone,
   * to end the session at the server when there is one.
   */
  private _logOutHere(): void {
    const logout = this._calls.ownLogout;
    if (logout) this._leave(logout);
  }

  /** Forget the session, and keep its key with this logout alone, until the server has answered. */
  private _leave(logout: Call): void {
    const { key } = this;
    if (key === null) return;
    this._calls.addLogout(logout, key);
    // The scope is for other tabs, one of which may be the first to reach the server.
    this.forget({ reason: "loggedOut", ...(logout.params[0] as object) });
  }

  /** End the sessions that the program left, one after the other; then restore the one it has. */
  private _endOrRestore(): void {
    const [logout] = this._calls.logouts;
    this._isEnding = logout !== undefined;
    this._state.unbind();
    if (logout) {
      const { endsKey, params } = logout;
      if (this._isShared) this._calls.submitInternal(END_SESSION, [endsKey, ...params], endsKey);
      else this._calls.submitInternal(RESTORE, [endsKey], endsKey);
    } else if (this.key === null) {
      this._state.session = null;
    } else {
      this._restore(this.key);
    }
  }

  /** A step of ending a session that the program left was answered. */
  private _ended(call: Call, error: CommandError | null): void {
    if (error && !endsSession(error)) throw error;
    this._calls.answered(call);
    const logout = this._calls.logouts.find(({ endsKey }) => endsKey === call.endsKey)!;
    // Only now that it is bound: the logout ends whatever session the connection is bound to.
    if (call.method === RESTORE && !error) return this._calls.enqueueFirst(logout);
    const hasEndedAll = !error && isScopeAll(logout.params);
    for (const { params, done } of this._calls.removeLogouts(logout.endsKey)) {
      // It is unknown whether the actor's other sessions ended with the one that is over.
      done(hasEndedAll || !isScopeAll(params) ? null : new CommandError("noSession"));
    }
    this._endOrRestore();
  }
}
