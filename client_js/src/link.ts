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
import { type Call, Calls, type Done } from "./calls.js";
import { IS_VALID, LIST, LOGIN, LOGOUT, NOW, RESTORE, SUBSCRIBE, UNSUBSCRIBE } from "./calls.js";
import { decode, encode, isCursor } from "./codec.js";
import { ClientError, CommandError, endsSession, errorFromReply, malformed } from "./errors.js";
import { readSession, type Session, withKey } from "./session.js";
import type { StoredSession } from "./storage.js";

export const SESSION_SET = "session.set";
export const SESSION_UNSET = "session.unset";
/** What a program is told, by the client itself, when a session was taken up again. */
export const SESSION_RECOVERED = "session.recovered";
export const SERVER_DRAINING = "server.draining";

/** What a connection is subscribed to before it says anything. */
const DEFAULT_PATHS = ["session"];

export interface LinkOptions {
  /** What is subscribed to with the first line. */
  paths: string[];
  /** The application's version, told with every restore. */
  version?: string;
  /** How many commands may be unanswered. */
  maxPending: number;
}

const isLogout = ({ method, params }: Call) =>
  method === LOGOUT && (params[0] as any)?.scope !== "others";

/** What one client knows and waits for. */
export class Link {
  session: Session | null = null;
  paths: string[];
  /** Position of the newest event heard, in the stream of `_actorId`. */
  cursor: number | null = null;
  /** Whether all was replayed that was missed before the session was last taken up. */
  recovered: boolean | null = null;
  private readonly _version: string | undefined;
  private readonly _calls: Calls;
  private _actorId: string | null = null;
  /** Position of the newest word about the session. */
  private _sessionCursor = -1;
  private _key: string | null = null;
  /** A key the program gave, until the server has judged it. */
  private _adopted: string | null = null;
  /** The key of a session that was left, until it is taken up again or given up. */
  private _left: string | null = null;
  /** How many sessions that the program left are still to be ended on this line. */
  private _departing = 0;
  private _isUp = false;
  private _isHeld = false;
  private _isBound = false;

  /** @param _tell Hears of events, and of what the client itself has to say. */
  constructor(
    private readonly _tell: (name: string, data: unknown) => void,
    { paths, version, maxPending }: LinkOptions,
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
   * @throws ClientError `queueFull`
   * @throws CommandError `invalidParams`
   */
  command(method: string, params: unknown[], done: Done): Call {
    const call = this._calls.give(method, params, done);
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
    this._check(key);
    this._adopted = key;
    if (this._isUp) this._restore(key);
  }

  /**
   * Hold the session of an earlier run; it is restored with the first line.
   *
   * @throws CommandError `invalidSessionKey`, if the key is nothing that can be sent.
   */
  takeUp({ key, cursor }: StoredSession): void {
    this._check(key);
    this._key = this._left = key;
    this.cursor = cursor;
  }

  /** The user logged out where the server could not tell: forget the session. */
  forget(): void {
    const id = this.session?.id ?? null;
    this._adopted = this._left = null;
    this._forget();
    this._tell(SESSION_UNSET, { reason: "loggedOut", id });
  }

  /** Take the conversation up on a fresh line. */
  lineOpened(): void {
    this._isUp = true;
    this._isHeld = this._isBound = false;
    // Subscribe before restoring: what the restore sends is then heard already.
    const missing = this.paths.filter((path) => !DEFAULT_PATHS.includes(path));
    const surplus = DEFAULT_PATHS.filter((path) => !this.paths.includes(path));
    if (missing.length) this._calls.giveOwn(SUBSCRIBE, [missing]);
    if (surplus.length) this._calls.giveOwn(UNSUBSCRIBE, [surplus]);
    for (const call of this._calls.farewells) {
      this._calls.giveOwn(RESTORE, [call.leaves], call.leaves);
      this._calls.ownUp(call);
      this._departing++;
    }
    if (this.key === null) this.session = null;
    else this._restore(this.key);
  }

  /** Give up the line. Commands that may have run, and may not run twice, are answered. */
  lineLost(): void {
    if (this._isBound) this._left = this._key;
    this._isUp = this._isBound = false;
    this._departing = 0;
    for (const call of this._calls.lineLost()) call.done(new ClientError("connectionLost"));
    this._depart();
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
   * Take a message in: answer what it answers, and tell what it tells.
   *
   * @throws ClientError `malformedFrame`: the server broke the protocol. Hang up.
   * @throws CommandError If the server cannot take the conversation up again now. Hang up, and try
   *     again later.
   */
  receive(message: Uint8Array): void {
    const frame = decode(message);
    if (frame[0] === 1) this._replied(frame[1], frame[2], frame[3]);
    else this._happened(frame[1], ...frame[2]);
  }

  private _replied(id: number, code: string | null, result: any): void {
    const call = this._calls.find(id);
    if (!call) throw malformed("a reply to a command that was not given");
    const error = code === null ? null : errorFromReply(code, result);
    if (call.leaves !== null) return this._departed(call, error);
    const learned = error ? null : this._learn(call, result);
    // Not before it was understood: whatever hangs up must find the call unanswered.
    this._calls.answered(call);
    if (!call.isOwn) {
      if (!call.isAbandoned) call.done(error, learned);
    } else if (error) {
      this._refused(call, error);
    } else if (call.method === RESTORE) {
      this._takenUp(call, result);
    }
  }

  private _happened(name: string, data: any, cursor: number | null): void {
    // The program is done with that session.
    if (this._departing && (cursor !== null || name.startsWith("session."))) return;
    const session = name === SESSION_SET ? readSession(data) : null;
    if (!this._isNews(cursor, session ? session.actorId : this._actorId)) return;
    if (session) data = this._set(session, cursor);
    else if (name === SESSION_UNSET) this._unset(data, cursor);
    this._tell(name, data);
  }

  /** Read a result, and remember what it says about the session and the subscriptions. */
  private _learn(call: Call, result: any): unknown {
    switch (call.method) {
      case RESTORE:
      case LOGIN:
        return this._bound(call, readSession(result?.session), result.cursor ?? null);
      case LOGOUT:
        if (isLogout(call)) this._forget();
        return undefined;
      case IS_VALID:
        return undefined;
      case LIST:
        if (Array.isArray(result)) return result.map(readSession);
        break;
      case SUBSCRIBE:
      case UNSUBSCRIBE:
        if (!Array.isArray(result) || !result.every((path) => typeof path === "string")) break;
        // The answer to the link's own tells of one step towards `paths`, not of them.
        if (!call.isOwn) this.paths = result;
        return [...result];
      case NOW:
        if (Number.isInteger(result)) return result;
    }
    throw malformed(`a result that ${call.method} does not have`);
  }

  private _bound(call: Call, session: Session, cursor: number | null): Session {
    if (cursor !== null && !isCursor(cursor)) throw malformed("a result with no cursor");
    if (call.isOwn && call.params[0] === this._adopted) this._adopted = null;
    // The event came before the reply, unless the program unsubscribed from it;
    // and the session may have changed or ended since.
    const isOld = cursor !== null && cursor <= this._sessionCursor;
    if (session.actorId !== this._actorId || !isOld) {
      this._isNews(cursor, session.actorId);
      this._set(session, cursor);
    }
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

  /** The session was not taken up again. Tell the program as an end of the session. */
  private _refused(call: Call, error: CommandError): void {
    if (call.method === NOW) return; // A sign of life, too.
    if (call.method !== RESTORE || !endsSession(error)) throw error;
    const key = call.params[0];
    if (key === this._adopted) this._adopted = null;
    let id = null;
    if (!this._isBound) {
      this._left = null;
      if (this._key === key) id = this.session?.id ?? null;
      this._forget();
    }
    this._tell(SESSION_UNSET, { reason: error.code, id });
  }

  private _restore(key: string): void {
    this._calls.giveOwn(RESTORE, this.restoreParams(key));
  }

  private _check(key: unknown): void {
    try {
      // A storage may hold anything, and the next line must not stumble over it.
      if (typeof key === "string") return void encode(0, RESTORE, this.restoreParams(key));
    } catch {
      // Cut: it is the same to the program.
    }
    throw new CommandError("invalidSessionKey", "the key cannot be sent");
  }

  /**
   * Leave the session at once if a logout waits for a line: nobody may find it here any more. The
   * key is kept with the logout alone, to end the session at the server when there is a line.
   */
  private _depart(): void {
    const key = this.key;
    const waiting = this._calls.waiting;
    const logout = waiting.find(isLogout);
    // What binds to another session first makes it a logout of that one.
    if (!logout || key === null || waiting.some(({ method }) => [LOGIN, RESTORE].includes(method))) {
      return;
    }
    this._calls.depart(logout, key);
    this.forget();
  }

  /** A step of ending a session that the program left was answered. */
  private _departed(call: Call, error: CommandError | null): void {
    const isEnded = error && call.method === RESTORE && endsSession(error);
    if (error && !isEnded) throw error;
    this._calls.answered(call);
    if (call.method !== LOGOUT) return;
    this._departing--;
    if (!call.isAbandoned) call.done(null);
  }

  private _isNews(cursor: number | null, actorId: string | null): boolean {
    if (actorId !== this._actorId) {
      this._actorId = actorId;
      this.cursor = null;
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

  private _forget(): void {
    this.session = this._key = null;
    this._isBound = false;
  }
}
