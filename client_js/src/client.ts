/**
 * The interface of a program: commands, events and the session.
 */
import { checkRestore, IS_VALID, LIST, LOGIN, LOGOUT, NOW } from "./commands.js";
import { RESTORE, SUBSCRIBE, UNSUBSCRIBE } from "./commands.js";
import { Connection, type State } from "./connection.js";
import { ClientError, CommandError, KeystayError } from "./errors.js";
import { call, callEach, type Handler, Handlers } from "./handlers.js";
import { type CallOptions, type Options, settle } from "./options.js";
import { isMap, type Session, type Unset } from "./session.js";

/** Called with null and the result, or with the code of the error: `callback("expired")`. */
export type Callback<T = void> = (error: string | null, result?: T) => void;

/** The sessions that a logout ends: this one, the actor's other ones, or all of the actor's. */
export interface LogoutOptions extends CallOptions {
  scope?: "this" | "others" | "all";
}

/** Paths, and perhaps options as the last argument. */
export type Paths = string[] | [...paths: string[], options: CallOptions];

/** Called with the session: it was created, restored or changed. */
export type SetHandler = (path: string, session: Session, cursor: number | null) => unknown;

/** Called when the session has ended. */
export type UnsetHandler = (path: string, unset: Unset, cursor: number | null) => unknown;

/** Called on each change of the client's state; `error` is why it is closed. */
export type StateHandler = (state: State, error: KeystayError | null) => void;

/**
 * Make a client for the server at `url`, `ws://host:port` or `wss://host`.
 *
 * It returns at once. Commands may be submitted at once; they wait for the connection. Handlers that are
 * added before the program yields get all events.
 *
 * @throws TypeError If the URL or the storage is invalid, or there is no WebSocket here.
 * @throws CommandError `invalidSessionKey`, if `options.key` cannot be sent.
 */
export function connect(url: string, options: Options = {}): Client {
  return new Client(url, options);
}

/**
 * A connection to a server and the session it is bound to. `connect` makes one.
 *
 * A command rejects with the `CommandError` of the server, with `timeout`, or with a `ClientError`. When the
 * connection breaks, the client reconnects, subscribes and restores the session before it sends other
 * commands. Commands submitted meanwhile wait. Those without a reply are sent again, except `login` and a
 * `logout` of others: they reject with `connectionLost`, because it is unknown whether they ran. No key is
 * in its JSON, its errors or on the console.
 */
export class Client {
  /** The commands of the session, and its state. */
  readonly session: SessionCommands;
  readonly #connection: Connection;
  readonly #handlers = new Handlers();
  readonly #stateHandlers = new Set<() => void>();

  /** @internal */
  constructor(url: string, options: Options) {
    this.#connection = new Connection(url, settle(url, options), {
      event: (...event) => this.#handlers.run(...event),
      state: () => callEach(this.#stateHandlers, (run) => run()),
    });
    this.session = new SessionCommands(this.#connection);
  }

  /** The state of the connection. */
  get state(): State {
    return this.#connection.state;
  }

  /** Why the client is closed, if the program did not close it. */
  get error(): KeystayError | null {
    return this.#connection.error;
  }

  /**
   * Whether the session was last taken up without a gap, all that was missed being replayed; null
   * until it was taken up: after a reconnect, or from the storage. False means that events are
   * missing: load anew what the program remembers beside the session.
   */
  get recovered(): boolean | null {
    return this.#connection.recovered;
  }

  /**
   * Call `handler(path, data, cursor)` for events of this path and below it: `session` gets `session.set`
   * and `session.unset`, the empty path all events. Returns a function that removes the handler.
   *
   * Handlers are called in the order of the events, and before the reply to a command that caused the
   * event. The client itself emits `session.unset` `{reason, id}` when a session cannot be restored, and
   * `session.recovered` `{recovered}` when it was resumed.
   */
  on(path: "session.set", handler: SetHandler): () => void;
  on(path: "session.unset", handler: UnsetHandler): () => void;
  on(path: string, handler: Handler): () => void;
  on(path: string, handler: Handler): () => void {
    return this.#handlers.on(path, handler);
  }

  /** Remove the handler of `path`. */
  off(path: string, handler: Handler): void {
    this.#handlers.off(path, handler);
  }

  /**
   * Have the server send the events of these paths and below them. Resolves to all subscribed paths. A
   * client starts with `session`; the empty path means all events. Options may follow the paths.
   */
  subscribe(...paths: Paths): Promise<string[]> {
    return this.#submitPaths(SUBSCRIBE, paths);
  }

  /** Undo `subscribe` for these paths. Resolves to those that remain. */
  unsubscribe(...paths: Paths): Promise<string[]> {
    return this.#submitPaths(UNSUBSCRIBE, paths);
  }

  /** Ask for the server's time, in Unix milliseconds. */
  async now(options?: CallOptions): Promise<number> {
    return (await this.#connection.submit(NOW, [], options)) as number;
  }

  /** Call the handler on each change of `state`. Returns a function that removes it. */
  onState(handler: StateHandler): () => void {
    const run = () => call(handler, this.state, this.error);
    this.#stateHandlers.add(run);
    return () => void this.#stateHandlers.delete(run);
  }

  /**
   * Resolves when the client is open: connected, subscriptions and session restored. If the server closed
   * the connection because it had no session, this connects again.
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
      this.#connection.connect();
    });
  }

  /** Close the connection for good. The session stays live: see `session.logout`. */
  async close(): Promise<void> {
    this.#connection.close();
  }

  /** The JSON of a client: its state alone. */
  toJSON(): object {
    return { state: this.state };
  }

  #submitPaths(method: string, paths: unknown[]): Promise<any> {
    const options = isMap(paths.at(-1)) ? (paths.pop() as CallOptions) : undefined;
    return this.#connection.submit(method, [paths], options);
  }
}

/** `client.session`: every command returns a promise, or takes a callback as its last argument. */
export class SessionCommands {
  readonly #connection: Connection;

  /** @internal */
  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** The session as the server sent it last; while reconnecting, what it was. */
  get current(): Session | null {
    return this.#connection.session;
  }

  /** The key of the session, or the one that is about to be restored. */
  getKey(): string | null {
    return this.#connection.key;
  }

  /** The actor of the session; null as long as the server has sent none. */
  getActorId(): string | null {
    return this.current?.actorId ?? null;
  }

  /**
   * Restore this key before the next command, now or on the next connection. The outcome is an event,
   * `session.set` or `session.unset`; if the key is refused, a session that was bound before stays bound.
   *
   * @throws CommandError `invalidSessionKey`, if it is not a string that can be sent.
   */
  setSessionKey(key: string): void {
    this.#connection.useKey(key);
  }

  /** Check whether the key opens a live session. Changes nothing. */
  isValid(key: string | null, options?: CallOptions): Promise<void>;
  isValid(key: string | null, callback: Callback): void;
  isValid(key: string | null, options: CallOptions, callback: Callback): void;
  isValid(...args: any[]): any {
    return this.#submit<void>(args, ([key, options]) => {
      checkRestore([key]);
      return this.#connection.submit(IS_VALID, [key], options);
    });
  }

  /**
   * Bind the connection to the session of the key; without a key, to that of `getKey()`. The session lasts
   * at least two thirds of its ttl from now; only this connection is sent a `session.set`. If the key is
   * refused, a session that was bound before stays bound.
   */
  restore(key?: string | null, options?: CallOptions): Promise<Session>;
  restore(callback: Callback<Session>): void;
  restore(key: string | null, callback: Callback<Session>): void;
  restore(key: string | null, options: CallOptions, callback: Callback<Session>): void;
  restore(...args: any[]): any {
    return this.#submit<Session>(args, ([key = this.getKey(), options]) => {
      if (key !== null) return this.#connection.submit(RESTORE, [key], options);
      throw new CommandError("noSession", "there is no key to restore");
    });
  }

  /**
   * Create a session with one of the server's login methods, and bind to it.
   *
   * @param method `anonymous`, `jwt`, or another name that the server has.
   * @param credentials What the method requires; plain data.
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
    return this.#submit<Session>(args, ([method, credentials, options]) =>
      this.#connection.submit(LOGIN, credentials == null ? [method] : [method, credentials], options),
    );
  }

  /**
   * End this session, the actor's other ones, or all. Without a session, or if it has just ended,
   * `this` does nothing; `others` and `all` reject with `noSession`, and no session was ended.
   *
   * Without an answer of the server, `this` and `all` end the session here all the same, at once if there is
   * no connection, and remove it from the storage. The promise settles when the server has answered, or with
   * `timeout`; the client still ends the session at the server when it can, also after a reload. `all` rejects with `noSession` if the session was over
   * by then: it is unknown whether the others ended.
   */
  logout(callback: Callback): void;
  logout(options: LogoutOptions, callback: Callback): void;
  // The last, because a compiler explains what is wrong by the last.
  logout(options?: LogoutOptions): Promise<void>;
  logout(...args: any[]): any {
    return this.#submit<void>(args, ([options]) => {
      const { scope = "this" } = options ?? {};
      return this.#connection.submit(LOGOUT, scope === "this" ? [] : [{ scope }], options);
    });
  }

  /** Ask for the actor's live sessions, oldest first, without keys; this one is `current`. */
  list(options?: CallOptions): Promise<Session[]>;
  list(callback: Callback<Session[]>): void;
  list(options: CallOptions, callback: Callback<Session[]>): void;
  list(...args: any[]): any {
    return this.#submit<Session[]>(args, ([options]) => this.#connection.submit(LIST, [], options));
  }

  /** Submit the command now; call the callback, if the last argument is one, or return a promise. */
  #submit<T>(args: any[], submit: (args: any[]) => Promise<unknown>): Promise<T> | undefined {
    const last = args.at(-1);
    const callback = typeof last === "function" ? (last as Callback<T>) : null;
    const answer = new Promise((resolve) => resolve(submit(callback ? args.slice(0, -1) : args)));
    if (!callback) return answer as Promise<T>;
    answer.then(
      (result) => call(callback, null, result as T),
      (error) => call(callback, error instanceof KeystayError ? error.code : "internal"),
    );
    return undefined;
  }
}
