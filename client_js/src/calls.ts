/**
 * The commands that have no answer yet, in the order in which they were given.
 */
import { encode, MAX_ID } from "./codec.js";
import { ClientError, CommandError } from "./errors.js";

export const IS_VALID = "session.isValid";
export const RESTORE = "session.restore";
export const LOGIN = "session.login";
export const LOGOUT = "session.logout";
export const LIST = "session.list";
export const SUBSCRIBE = "events.subscribe";
export const UNSUBSCRIBE = "events.unsubscribe";
export const NOW = "time.now";
/** What a tab asks the one that holds its connection: to end the session that this key opens. */
export const LEAVE = "leave";

/** Called once: with the error, or with null, the result, and the result as it was on the wire. */
export type Done = (error: Error | null, result?: unknown, wire?: unknown) => void;

/** One command on its way. */
export interface Call {
  id: number;
  method: string;
  params: unknown[];
  message: Uint8Array;
  done: Done;
  /** Given by the link itself, to take a conversation up again; belongs to one line. */
  isOwn: boolean;
  /** Of a farewell, and of what it takes: the key of the session that is to end. */
  leaves: string | null;
  /** It was, on this line or one before: perhaps it was carried out. */
  isSent: boolean;
  /** Nobody waits for the answer any more, but what it says still counts. */
  isAbandoned: boolean;
  /** Of another tab, which asks again if the line is lost, and counts what waits itself. */
  isHosted: boolean;
}

/** Carried out twice, every other command leaves everything as carried out once. */
const isSafeToRepeat = ({ method }: Call) => method !== LOGIN && method !== LOGOUT;

const isOfThisTab = ({ isHosted }: Call) => !isHosted;

/** Whether a logout with these parameters ends all sessions of the actor. */
export const ofAll = ([options]: unknown[]) => (options as any)?.scope === "all";

/** Whether it ends the session that the connection is bound to. */
export const isLogout = (call: Call) =>
  call.method === LOGOUT && (!call.params.length || ofAll(call.params));

/**
 * Check parameters that begin with a key: a storage may hold anything, and no line must stumble over it.
 *
 * @throws CommandError `invalidSessionKey`, if the key is nothing that can be sent.
 */
export function checkRestore(params: unknown[]): void {
  try {
    if (typeof params[0] === "string") return void encode(0, RESTORE, params);
  } catch {
    // Cut: it is the same to the program.
  }
  throw new CommandError("invalidSessionKey", "the key cannot be sent");
}

/** The table of calls: waiting to be sent, then waiting for their reply. */
export class Calls {
  /** Logouts of sessions that the program has left already, until they are carried out. */
  farewells: Call[] = [];
  waiting: Call[] = [];
  private _lastId = 0;
  private _ownUnanswered = 0;
  private _own: Call[] = [];
  private _sent = new Map<number, Call>();

  constructor(private readonly _capacity: number) {}

  /** Whether the link itself waits for an answer. */
  get hasOwn(): boolean {
    return this._ownUnanswered > 0;
  }

  /** Whether a reply is due that somebody waits for. */
  get inFlight(): boolean {
    return [...this._sent.values()].some((call) => !call.isAbandoned);
  }

  /** The logout that waits, and would end the session there is now. */
  get waitingLogout(): Call | undefined {
    // What binds to another session first makes it a logout of that one.
    const isOfNext = this.waiting.some(({ method }) => [LOGIN, RESTORE].includes(method));
    return isOfNext ? undefined : this.waiting.find(isLogout);
  }

  /**
   * Put a command of the program in line.
   *
   * @throws ClientError `queueFull`, if as many of this tab's as allowed are unanswered.
   * @throws CommandError `invalidParams`, if the parameters cannot be written, or are too big.
   */
  give(method: string, params: unknown[], done: Done, isHosted: boolean): Call {
    const unanswered = [...this.waiting, ...this._sent.values(), ...this.farewells];
    if (!isHosted && unanswered.filter(isOfThisTab).length >= this._capacity) {
      throw new ClientError("queueFull");
    }
    const call = this.make(method, params, done, isHosted);
    this.waiting.push(call);
    return call;
  }

  /** Put a command of the link itself in line. */
  giveOwn(method: string, params: unknown[], leaves: string | null = null): void {
    const call = this.make(method, params, () => {});
    call.leaves = leaves;
    this.ownUp(call);
  }

  /** Send this, before all else, whatever line it takes. */
  ownUp(call: Call): void {
    call.isOwn = true;
    this._ownUnanswered++;
    this._own.push(call);
  }

  /** Take the next call for the line: while the link has calls of its own, only those. */
  nextToSend(): Call | undefined {
    const call = this._own.shift() ?? (this.hasOwn ? undefined : this.waiting.shift());
    if (call) {
      call.isSent = true;
      this._sent.set(call.id, call);
    }
    return call;
  }

  /** Return the sent call that a reply with this id belongs to. */
  find(id: number): Call | undefined {
    return this._sent.get(id);
  }

  /** Take a sent call out of the table. */
  answered(call: Call): void {
    this._sent.delete(call.id);
    if (call.isOwn) this._ownUnanswered--;
  }

  /** Nobody waits for this call any more: do not send it; if it is sent, so be it. */
  abandon(call: Call): void {
    call.isAbandoned = true;
    this.waiting = without(this.waiting, call);
  }

  /** Keep a logout until the session with this key can be ended with it. */
  depart(call: Call, key: string): void {
    this.waiting = without(this.waiting, call);
    this.farewells.push(call);
    call.leaves = key;
  }

  /** Whether a logout is kept for the session with this key. */
  isLeft(key: string | null): boolean {
    return this.farewells.some(({ leaves }) => leaves === key);
  }

  /** The session with this key is over. Returns the logouts that somebody waits for. */
  departed(key: string | null): Call[] {
    const ended = this.farewells.filter(({ leaves }) => leaves === key);
    this.farewells = this.farewells.filter(({ leaves }) => leaves !== key);
    return ended.filter(({ isAbandoned }) => !isAbandoned);
  }

  /**
   * Put what is safe to repeat in line again, before what was never sent.
   *
   * Those of other tabs are dropped. Returns the calls that must fail, because nobody knows whether they were carried out.
   */
  lineLost(): Call[] {
    const unanswered = [...this._sent.values()].filter(
      (call) => !call.isOwn && !call.isAbandoned && !call.isHosted,
    );
    this.waiting = this.waiting.filter(isOfThisTab);
    this.farewells = this.farewells.filter(isOfThisTab);
    this._sent.clear();
    this._own = [];
    this._ownUnanswered = 0;
    const again = unanswered.filter(isSafeToRepeat);
    this.waiting.unshift(...again);
    return unanswered.filter((call) => !isSafeToRepeat(call));
  }

  /** Empty the table of what is still to be sent, and return it. */
  clear(): Call[] {
    const left = [...this.farewells, ...this.waiting];
    this.farewells = [];
    this.waiting = [];
    return left;
  }

  /** Make a call that is in no line yet. */
  make(method: string, params: unknown[], done: Done, isHosted = false): Call {
    do this._lastId = (this._lastId % MAX_ID) + 1;
    while (this._sent.has(this._lastId));
    return {
      id: this._lastId,
      method,
      params,
      message: encode(this._lastId, method, params),
      done,
      isOwn: false,
      leaves: null,
      isSent: false,
      isAbandoned: false,
      isHosted,
    };
  }
}

const without = (calls: Call[], call: Call) => calls.filter((other) => other !== call);
