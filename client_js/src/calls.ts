/**
 * The commands without a reply, in the order in which they were submitted.
 */
import { endsOwnSession, isScopeAll, LOGIN, LOGOUT, RESTORE } from "./commands.js";
import { encode, MAX_ID } from "./codec.js";
import { ClientError } from "./errors.js";
import type { StoredLogout } from "./storage.js";

/** Called once: with the error, or with null, the result, and the result as it was received. */
export type Done = (error: Error | null, result?: unknown, wire?: unknown) => void;

/** One command and its state. */
export interface Call {
  id: number;
  method: string;
  params: unknown[];
  message: Uint8Array;
  done: Done;
  /** Submitted by the conversation itself; belongs to one transport. */
  isInternal: boolean;
  /** The key of the session that this call, or the logout it prepares, is to end. */
  endsKey: string | null;
  /** Sent on this transport or an earlier one: it may have been executed. */
  isSent: boolean;
  /** No caller waits for the reply, but its result is still applied. */
  isAbandoned: boolean;
  /** Of another tab, which submits it again if the transport is lost, and has a limit of its own. */
  isRelayed: boolean;
}

/** Executed twice, a login and a logout of other sessions do not have the effect of once. */
const isSafeToRepeat = ({ method, params }: Call) =>
  method !== LOGIN && (method !== LOGOUT || endsOwnSession(params));

const isOfThisTab = ({ isRelayed }: Call) => !isRelayed;

const isOfProgram = (call: Call) => isOfThisTab(call) && !call.isInternal;

/** Whether this is a logout of the present session, which the program has not left yet. */
export const isOwnLogout = ({ method, params, endsKey }: Call) =>
  method === LOGOUT && endsOwnSession(params) && endsKey === null;

/** The table of calls: first waiting to be sent, then waiting for their reply. */
export class Calls {
  /** Logouts of sessions that the program has left, until they are executed. */
  logouts: Call[] = [];
  waiting: Call[] = [];
  private _lastId = 0;
  private _internalUnanswered = 0;
  private _internal: Call[] = [];
  private _sent = new Map<number, Call>();

  constructor(private readonly _capacity: number) {}

  /** Whether an internal call has no reply yet. */
  get hasInternal(): boolean {
    return this._internalUnanswered > 0;
  }

  /** Whether a caller waits for the reply to a call that was sent. */
  get inFlight(): boolean {
    return [...this._sent.values()].some((call) => !call.isAbandoned);
  }

  /** The logout without a reply that ends the present session. */
  get ownLogout(): Call | undefined {
    const calls = [...this._sent.values(), ...this.waiting].filter(isOfProgram);
    // After a login or a restore it is a logout of that session.
    const isOfNext = calls.some(({ method }) => [LOGIN, RESTORE].includes(method));
    return isOfNext ? undefined : calls.find(isOwnLogout);
  }

  /**
   * Append a command of the program to the queue.
   *
   * @throws ClientError `queueFull`, if `capacity` commands of this tab have no reply.
   * @throws CommandError `invalidParams`, if the parameters cannot be encoded, or are too large.
   */
  submit(method: string, params: unknown[], done: Done, isRelayed: boolean): Call {
    const unanswered = [...this.waiting, ...this._sent.values(), ...this.logouts];
    if (!isRelayed && unanswered.filter(isOfThisTab).length >= this._capacity) {
      throw new ClientError("queueFull");
    }
    const call = this.create(method, params, done, isRelayed);
    this.waiting.push(call);
    return call;
  }

  /** Append a command of the conversation itself. */
  submitInternal(method: string, params: unknown[], endsKey: string | null = null): void {
    const call = this.create(method, params, () => {});
    call.endsKey = endsKey;
    this.enqueueFirst(call);
  }

  /** Send this before all calls of the program. */
  enqueueFirst(call: Call): void {
    call.isInternal = true;
    this._internalUnanswered++;
    this._internal.push(call);
  }

  /** Take the next call to send; only internal ones while one of them has no reply. */
  nextToSend(): Call | undefined {
    const call = this._internal.shift() ?? (this.hasInternal ? undefined : this.waiting.shift());
    if (call) {
      call.isSent = true;
      this._sent.set(call.id, call);
    }
    return call;
  }

  /** Return the sent call with this id. */
  find(id: number): Call | undefined {
    return this._sent.get(id);
  }

  /** Remove a sent call from the table. */
  answered(call: Call): void {
    this._sent.delete(call.id);
    if (call.isInternal) this._internalUnanswered--;
  }

  /** The logouts of this tab that have no reply, for its next run; one may be of the session with this key. */
  storedLogouts(key: string | null): StoredLogout[] {
    const own = key === null ? undefined : this.ownLogout;
    return [...this.logouts.filter(isOfThisTab), ...(own ? [own] : [])].map((call) => ({
      key: call.endsKey ?? key!,
      isOfAll: isScopeAll(call.params),
    }));
  }

  /** The caller stopped waiting: do not send the call, if it was not sent yet. */
  abandon(call: Call): void {
    call.isAbandoned = true;
    this.waiting = without(this.waiting, call);
  }

  /** Keep a logout until the session of this key can be ended with it. */
  addLogout(call: Call, key: string): void {
    this.waiting = without(this.waiting, call);
    this.logouts.push(call);
    call.endsKey = key;
  }

  /** Whether there is a logout of the session of this key. */
  hasLogout(key: string | null): boolean {
    return this.logouts.some(({ endsKey }) => endsKey === key);
  }

  /** The session of this key has ended. Returns the logouts of it that a caller waits for. */
  removeLogouts(key: string | null): Call[] {
    const ended = this.logouts.filter(({ endsKey }) => endsKey === key);
    this.logouts = this.logouts.filter(({ endsKey }) => endsKey !== key);
    return ended.filter(({ isAbandoned }) => !isAbandoned);
  }

  /**
   * Queue the idempotent calls again, before those that were never sent. Drop those of other tabs.
   *
   * Returns the calls that must fail, because it is unknown whether they were executed.
   */
  transportLost(): Call[] {
    const unanswered = [...this._sent.values()].filter(
      (call) => !call.isInternal && !call.isAbandoned && !call.isRelayed,
    );
    this.waiting = this.waiting.filter(isOfThisTab);
    this.logouts = this.logouts.filter(isOfThisTab);
    this._sent.clear();
    this._internal = [];
    this._internalUnanswered = 0;
    const again = unanswered.filter(isSafeToRepeat);
    this.waiting.unshift(...again);
    return unanswered.filter((call) => !isSafeToRepeat(call));
  }

  /** Remove the calls that wait to be sent, and return them. */
  clear(): Call[] {
    const left = [...this.logouts, ...this.waiting];
    this.logouts = [];
    this.waiting = [];
    return left;
  }

  /** Create a call that is in no queue yet. */
  create(method: string, params: unknown[], done: Done, isRelayed = false): Call {
    do this._lastId = (this._lastId % MAX_ID) + 1;
    while (this._sent.has(this._lastId));
    return {
      id: this._lastId,
      method,
      params,
      message: encode(this._lastId, method, params),
      done,
      isInternal: false,
      endsKey: null,
      isSent: false,
      isAbandoned: false,
      isRelayed,
    };
  }
}

const without = (calls: Call[], call: Call) => calls.filter((other) => other !== call);
