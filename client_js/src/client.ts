/**
 * What a program holds: commands, events and the session.
 */
import { checkRestore, IS_VALID, LIST, LOGIN, LOGOUT, NOW } from "./calls.js";
import { RESTORE, SUBSCRIBE, UNSUBSCRIBE } from "./calls.js";
import { Connection } from "./connection.js";
import type { Engine, State } from "./engine.js";
import { ClientError, CommandError, KeystayError } from "./errors.js";
import { call, callAll, type Handler, Handlers } from "./handlers.js";
import { type CallOptions, type Options, settle } from "./options.js";
import { isMap, type Session } from "./session.js";

/** Called with null and the result, or with the code of the error: `callback("expired")`. */
export type Callback<T = void> = (error: string | null, result?: T) => void;

/** The sessions that a logout ends: this one, the actor's other ones, or all of the actor's. */
export interface LogoutOptions extends CallOptions {
  scope?: "this" | "others" | "all";
}

/** Paths, and how they are to be asked for. */
export type Paths = string[] | [...paths: string[], options: CallOptions];

/** Hears of each change of the client's state; `error` is why it is closed for good. */
export type StateHandler = (state: State, error: KeystayError | null) => void;

/**
 * Make a client for the server at `url`, `ws://host:port` or `wss://host`.
 *
 * It returns at once; commands may be given at once, and wait for the connection. Handlers that are
 * registered before the program yields hear everything from the first event on.
 *
 * @throws TypeError If the URL or the storage is none, or there is no WebSocket here.
 * @throws CommandError `invalidSessionKey`, if `options.key` is nothing that can be sent.
 */
export function connect(url: string, options: Options = {}): Client {
  return new Client(url, options);
}

/**
 * A connection to a server and the session it is bound to. `connect` makes one.
 *
 * Every command rejects with the `CommandError` it is refused with, `timeout` included, or with a
 * `ClientError`. When the line breaks, the client reconnects, subscribes and restores the session
 * by itself, before any other command goes out. Commands given meanwhile wait. Those that were on
 * their way are sent again, except `login` and `logout`: they reject with `connectionLost`, for it
 * is unknown whether they ran. A key never shows in its JSON, its errors or on the console.
 */
export class Client {
  /** The commands of the session, and what is known of it. */
  readonly session: SessionCommands;
  readonly #engine: Engine;
  readonly #handlers = new Handlers();
  readonly #stateHandlers = new Set<() => void>();

  /** @internal */
  constructor(url: string, options: Options) {
    this.#engine = new Connection(url, settle(url, options), {
      event: (...news) => this.#handlers.tell(...news),
      state: () => callAll(this.#stateHandlers, (tell) => tell()),
    });
    this.session = new SessionCommands(this.#engine);
  }

  /** How things stand with the connection. */
  get state(): State {
    return this.#engine.state;
  }

  /** Why the client is closed, if it was not the program that closed it. */
  get error(): KeystayError | null {
    return this.#engine.error;
  }

  /**
   * Whether the session was last taken up without a gap, all that was missed being replayed; null
   * until it was taken up: after a reconnect, or from the storage. False means that events are
   * missing: load anew what the program remembers beside the session.
   */
  get recovered(): boolean | null {
    return this.#engine.recovered;
  }

  /**
   * Call `handler(path, data, cursor)` for each event of this path and everything below it: `session` hears
   * `session.set` and `session.unset`, the empty path hears all. Returns what undoes it.
   *
   * Handlers are called in the order of the events, and before the reply to a command that caused
   * the event. The client itself tells `session.unset` `{reason, id}` when a session cannot be
   * restored, and `session.recovered` `{recovered}` when it was taken up again.
   */
  on(path: string, handler: Handler): () => void {
    return this.#handlers.on(path, handler);
  }

  /** Undo `on`. */
  off(path: string, handler: Handler): void {
    this.#handlers.off(path, handler);
  }

  /**
   * Have the server send the events of these paths, and of everything below them. Resolves to all
   * subscribed paths. A client starts with `session`; the empty path is everything. Options may
   * come after the paths.
   */
  subscribe(...paths: Paths): Promise<string[]> {
    return this.#askPaths(SUBSCRIBE, paths);
  }

  /** Undo `subscribe` for these paths. Resolves to all that remain. */
  unsubscribe(...paths: Paths): Promise<string[]> {
    return this.#askPaths(UNSUBSCRIBE, paths);
  }

  /** Ask for the server's time, in Unix milliseconds. */
  async now(options?: CallOptions): Promise<number> {
    return (await this.#engine.command(NOW, [], options)) as number;
  }

  /** Call the handler on each change of `state`. Returns what undoes it. */
  onState(handler: StateHandler): () => void {
    const tell = () => call(handler, this.state, this.error);
    this.#stateHandlers.add(tell);
    return () => void this.#stateHandlers.delete(tell);
  }

  /**
   * Resolves when the client is open: the line, the session and the subscriptions as they were. If
   * the server closed the line as of no use, this connects again.
   */
  opened(): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (this.state === "open") resolve();
        else if (this.state === "closed") reject(this.error ?? new ClientError("clientClosed"));
        else return;
        undo();
      };
      const undo = this.onState(look);
      look();
      this.#engine.connect();
    });
  }

  /** End the connection for good. The session lives on: see `session.logout`. */
  async close(): Promise<void> {
    this.#engine.close();
  }

  /** What may be shown of a client. */
  toJSON(): object {
    return { state: this.state };
  }

  #askPaths(method: string, paths: unknown[]): Promise<any> {
    const options = isMap(paths.at(-1)) ? (paths.pop() as CallOptions) : undefined;
    return this.#engine.command(method, [paths], options);
  }
}

/** `client.session`: every command returns a promise, or takes a callback as its last argument. */
export class SessionCommands {
  readonly #engine: Engine;

  /** @internal */
  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** The session as the server told it last; while reconnecting, what it was. */
  get current(): Session | null {
    return this.#engine.session;
  }

  /** The key of the session, or the one that is about to be restored. */
  getKey(): string | null {
    return this.#engine.key;
  }

  /** Whose session it is; null as long as the server has not told one. */
  getActorId(): string | null {
    return this.current?.actorId ?? null;
  }

  /**
   * Speak for this key from the next command on: it is restored now, or with the next connection.
   * The outcome comes as an event, `session.set` or `session.unset`; if the key is refused, a
   * session that was bound before stays bound.
   *
   * @throws CommandError `invalidSessionKey`, if it is not even a string that can be sent.
   */
  setSessionKey(key: string): void {
    this.#engine.adopt(key);
  }

  /** Check whether the key opens a live session. Changes nothing. */
  isValid(key: string | null, options?: CallOptions): Promise<void>;
  isValid(key: string | null, callback: Callback): void;
  isValid(key: string | null, options: CallOptions, callback: Callback): void;
  isValid(...args: any[]): any {
    return this.#ask<void>(args, ([key, options]) => {
      checkRestore([key]);
      return this.#engine.command(IS_VALID, [key], options);
    });
  }

  /**
   * Bind the connection to the session that the key opens. Without a key, the one of `getKey()`. The
   * session lives on for at least two thirds of its ttl; only this connection is sent a
   * `session.set`. A refusal changes nothing about a session that is bound already.
   */
  restore(key?: string | null, options?: CallOptions): Promise<Session>;
  restore(callback: Callback<Session>): void;
  restore(key: string | null, callback: Callback<Session>): void;
  restore(key: string | null, options: CallOptions, callback: Callback<Session>): void;
  restore(...args: any[]): any {
    return this.#ask<Session>(args, ([key = this.getKey(), options]) => {
      if (key !== null) return this.#engine.command(RESTORE, [key], options);
      throw new CommandError("noSession", "there is no key to restore");
    });
  }

  /**
   * Open a session with one of the server's ways to log in, and bind to it.
   *
   * @param method `anonymous`, `jwt`, or what the server calls it.
   * @param credentials What that way wants; plain data.
   */
  login(method: string, credentials?: unknown, options?: CallOptions): Promise<Session>;
  login(method: string, callback: Callback<Session>): void;
  login(method: string, credentials: unknown, callback: Callback<Session>): void;
  login(
    method: string,
    credentials: unknown,
    options: CallOptions,
    callback: Callback<Session>,
  ): void;
  login(...args: any[]): any {
    return this.#ask<Session>(args, ([method, credentials, options]) =>
      this.#engine.command(LOGIN, credentials == null ? [method] : [method, credentials], options),
    );
  }

  /**
   * End this session, the actor's other ones, or all. Without a session, or if it has just ended,
   * `this` does nothing; `others` and `all` reject with `noSession`, and no session was ended.
   *
   * While the line is down, `this` and `all` log the program out all the same, and nothing of the
   * session is left in the storage; the promise settles when the server has been told, or with
   * `timeout`, after which it still will be, for as long as the client is not closed. `all` rejects
   * with `noSession` if the session was over by then: nobody knows of the others.
   */
  logout(options?: LogoutOptions): Promise<void>;
  logout(callback: Callback): void;
  logout(options: LogoutOptions, callback: Callback): void;
  logout(...args: any[]): any {
    return this.#ask<void>(args, ([options]) => {
      const { scope = "this" } = options ?? {};
      return this.#engine.command(LOGOUT, scope === "this" ? [] : [{ scope }], options);
    });
  }

  /** Ask for the actor's live sessions, oldest first, without keys; this one is `current`. */
  list(options?: CallOptions): Promise<Session[]>;
  list(callback: Callback<Session[]>): void;
  list(options: CallOptions, callback: Callback<Session[]>): void;
  list(...args: any[]): any {
    return this.#ask<Session[]>(args, ([options]) => this.#engine.command(LIST, [], options));
  }

  /** Give the command now; tell the callback, if the last argument is one, or else a promise. */
  #ask<T>(args: any[], give: (args: any[]) => Promise<unknown>): Promise<T> | undefined {
    const last = args.at(-1);
    const callback = typeof last === "function" ? (last as Callback<T>) : null;
    const answer = new Promise((resolve) => resolve(give(callback ? args.slice(0, -1) : args)));
    if (!callback) return answer as Promise<T>;
    answer.then(
      (result) => call(callback, null, result as T),
      (error) => call(callback, error instanceof KeystayError ? error.code : "internal"),
    );
    return undefined;
  }
}
