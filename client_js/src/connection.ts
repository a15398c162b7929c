/**
 * The connection to the server, which reconnects until it is closed: the I/O of a `Conversation`.
 *
 * Invariant: there is at most one transport, and it has one deadline. While there is none, there is one
 * timer until the next attempt, or nothing to connect for.
 */
import { Backoff, reconnectAfterMs, SERVER_DRAINING } from "./backoff.js";
import { isOwnLogout } from "./calls.js";
import type { Event, Reply } from "./codec.js";
import { RESTORE, SUBSCRIBE, UNSUBSCRIBE } from "./commands.js";
import { Conversation } from "./conversation.js";
import { ClientError, clientClosed, CommandError, KeystayError } from "./errors.js";
import { report } from "./handlers.js";
import type { CallOptions, Settings } from "./options.js";
import { watchPage } from "./page.js";
import { SESSION_SET, type Session, writeSession } from "./session.js";
import { EMPTY_MS, SessionSync } from "./session_sync.js";
import { SharedConnection } from "./shared_connection.js";
import type { Tabs } from "./tabs.js";
import { cancel, later, type Timer } from "./timer.js";
import { type Disconnected, disconnectedBy, NO_SESSION_IN_TIME } from "./transport.js";
import { type Transport, type TransportListener, WebSocketTransport } from "./transport.js";

/** For the commands on a transport to be answered before it is closed. */
const DRAIN_TIMEOUT_MS = 2000;
/** For a server to answer after the page slept, or the network changed. */
const WAKE_TIMEOUT_MS = 3000;

/** The state of the connection. */
export type State =
  /** Not yet connected for the first time. */
  | "connecting"
  | "open"
  /** The connection was lost, and is opened again; commands wait. */
  | "reconnecting"
  /** The server closed it because it had no session (4000): the next command opens it, or `opened()`. */
  | "idle"
  /** Final: the program closed the client, or it failed (`error`). */
  | "closed";

/** Is notified when the connection is already in the new state. */
export interface ConnectionListener {
  /** An event, in order; `data` is a `Session` for `session.set`. */
  event(name: string, data: unknown, cursor: number | null): void;
  /** `state` has changed. */
  state(): void;
}

export class Connection {
  state: State = "connecting";
  /** Why it is closed, if the program did not close it. */
  error: KeystayError | null = null;
  private readonly _conversation: Conversation;
  private readonly _sync: SessionSync;
  private readonly _backoff: Backoff;
  private readonly _unwatch: () => void;
  private readonly _shared: SharedConnection | null = null;
  private _transport: Transport | null = null;
  /** The deadline of the transport. */
  private _deadline: Timer | undefined;
  /** Until the next attempt. */
  private _retry: Timer | undefined;
  /** The server wants no attempt before this time. */
  private _earliest = 0;
  private _openedAt: number | null = null;
  /** When to reconnect, because the server is shutting down. */
  private _reconnectAt: number | null = null;
  private _isDraining = false;
  /** Whether the server closed the last transport because it had no session. */
  private _isUnused = false;

  /** @throws CommandError `invalidSessionKey`, for `settings.key`. */
  constructor(
    private readonly _url: string,
    private readonly _settings: Settings,
    private readonly _listener: ConnectionListener,
  ) {
    const conversation = new Conversation((...event) => this._emit(...event), _settings);
    this._conversation = conversation;
    this._backoff = new Backoff(_settings.backoffBaseMs, _settings.backoffCapMs, Math.random);
    this._sync = new SessionSync(
      conversation,
      _settings,
      () => this._advance(),
      (message) => this._shared?.receive(message),
    );
    if (_settings.key !== undefined) conversation.useKey(_settings.key);
    const { tabs } = this._sync;
    this._unwatch = watchPage({
      wake: (isNetwork) => this._wake(isNetwork),
      hide: () => this._sync.flush(),
      stored: () => tabs && this._sync.read(),
    });
    const canShare = tabs && _settings.sharedConnection && globalThis.navigator?.locks;
    if (canShare) this._shared = this._share(tabs);
    this._retry = later(0, () => this._attempt());
  }

  /** The session as the server sent it last. */
  get session(): Session | null {
    return this._conversation.session;
  }

  /** The key of the session, or the one that is about to be restored. */
  get key(): string | null {
    return this._conversation.key;
  }

  /** Whether all missed events were replayed when the session was last resumed. */
  get recovered(): boolean | null {
    return this._conversation.recovered;
  }

  /**
   * Submit a command of SPEC section 3; they are executed in order. A restore is given the key alone: the
   * cursor and the version are added here. Sessions are returned as `Session`.
   *
   * @throws KeystayError (the promise)
   */
  submit(method: string, params: unknown[], options: CallOptions = {}): Promise<unknown> {
    const { timeoutMs = this._settings.timeoutMs, whenOffline } = options;
    return new Promise((resolve, reject) => {
      if (this.state === "closed") throw clientClosed(this.error);
      const isOnline = this.state === "open" || this._isUnused;
      if (whenOffline === "fail" && !isOnline) throw new ClientError("notConnected");
      if (method === RESTORE) params = this._conversation.restoreParams(params[0] as string);
      // Another tab may need the events of these paths: only ask what is subscribed.
      if (method === UNSUBSCRIBE && this._shared) [method, params] = [SUBSCRIBE, [[]]];
      let timer: Timer | undefined;
      const call = this._conversation.command(method, params, (error, result) => {
        cancel(timer);
        error ? reject(error) : resolve(result);
      });
      timer = later(timeoutMs, () => {
        this._conversation.abandon(call);
        const what = call.isSent
          ? `no reply within ${timeoutMs} ms: it may have been executed`
          : `not connected within ${timeoutMs} ms: not sent`;
        reject(new CommandError("timeout", what));
      });
      this._advance();
      // A connection that is dead and does not know it must not keep the user logged in.
      const isAwaited = call.isSent && isOwnLogout(call);
      if (isAwaited && this._reconnectAt === null) this._probe(WAKE_TIMEOUT_MS);
    });
  }

  /**
   * Restore this key before the next command.
   *
   * @throws CommandError `invalidSessionKey`
   */
  useKey(key: string): void {
    this._conversation.useKey(key);
    this._advance();
  }

  /** Connect, if the server closed the connection as unused and nothing has needed one since. */
  connect(): void {
    if (this._transport || this._retry || this.state !== "idle") return;
    this._schedule(this._backoff.nextMs());
    this._enter("reconnecting");
  }

  /** Close for good. Waiting commands fail with `clientClosed`, or `connectionLost`. */
  close(): void {
    this._finish(null);
  }

  private _share(tabs: Tabs): SharedConnection {
    const send: Tabs["send"] = (...message) => tabs.send(...message);
    const change = () => {
      const error = new ClientError("connectionLost", "the tab with the connection lost it");
      if (this._transport) this._disconnect({ error });
      if (this._retry) this._attempt();
    };
    return new SharedConnection(this._settings.storageName, send, this._conversation, {
      lead: change,
      follow: change,
      isServing: () => this.state === "open" && this._reconnectAt === null,
      wanted: () => this._transport || this._retry || this._attempt(),
      advance: () => this._advance(),
      wake: () => this._retry && this._attempt(),
      received: (frame) => this._received(this._transport, frame),
    });
  }

  /** Open a transport. */
  private _attempt(): void {
    if (!this._sync.read()) return this._schedule(EMPTY_MS);
    if (this.state === "closed") return; // By a handler of what was read.
    // After reading, which may have scheduled another attempt.
    cancel(this._retry);
    this._retry = undefined;
    this._isDraining = false;
    try {
      const isShared = this._shared !== null && !this._shared.isLeader;
      const listener: TransportListener = {
        opened: () => {
          this._sync.read(); // The storage may have changed since.
          if (this._transport !== transport) return; // A handler closed the client.
          this._conversation.transportOpened(isShared);
          this._advance();
        },
        received: (message) => this._received(transport, message),
        ended: (disconnected) => this._disconnect(disconnected),
      };
      const transport: Transport = isShared
        ? this._shared.open(listener)
        : new WebSocketTransport(this._url, this._settings, listener);
      this._transport = transport;
    } catch {
      // Cut: the browser quotes the URL.
      return this._finish(new ClientError("connectFailed", "the URL cannot be connected to"));
    }
    this._setDeadline(this._settings.openTimeoutMs, () =>
      this._disconnect({ error: new ClientError("connectFailed", "not open in time") }),
    );
  }

  private _received(transport: Transport | null, message: Uint8Array | Reply | Event): void {
    try {
      this._conversation.receive(message);
    } catch (error) {
      if (this._transport !== transport) return;
      if (error instanceof KeystayError) return this._disconnect(disconnectedBy(error));
      report(error);
      return this._finish(new ClientError("connectFailed", "a bug in the client"));
    }
    if (this._transport !== transport) return; // A handler closed the client.
    this._shared?.sendCursor();
    if (this._isDraining && !this._conversation.inFlight) return this._drain();
    if (this.state === "open") this._awaitMessage();
    this._advance();
  }

  /** Send what can be sent, and update the state. */
  private _advance(): void {
    this._sync.save();
    if (!this._transport) return void (this._conversation.hasWork && this.connect());
    let message;
    while ((message = this._conversation.nextMessage())) this._transport.send(message);
    if (this._conversation.isOpen && this.state !== "open") {
      this._openedAt = performance.now();
      this._awaitMessage();
      // If this tab missed events, so did those that receive their events from it.
      this._shared?.opened(this._conversation.recovered === false ? Infinity : undefined);
      this._enter("open");
    }
  }

  /** Wait for the next message; if none comes for long, probe. */
  private _awaitMessage(): void {
    if (this._reconnectAt === null) this._setDeadline(this._settings.silenceMs, () => this._probe());
  }

  private _probe(timeoutMs = this._settings.probeTimeoutMs): void {
    this._conversation.probe();
    this._setDeadline(timeoutMs, () =>
      this._disconnect({ error: new ClientError("connectionLost", "the server is silent") }),
    );
    this._advance();
  }

  private _emit(name: string, data: any, cursor?: number | null): void {
    this._sync.beforeEvent(name, data);
    if (cursor !== undefined) {
      const wire = name === SESSION_SET ? writeSession(data) : data;
      this._shared?.sendEvent([2, name, [wire, cursor]]);
    }
    const waitMs = name === SERVER_DRAINING ? reconnectAfterMs(data) : null;
    if (waitMs !== null) {
      this._reconnectAt = performance.now() + waitMs;
      // The server reads no more commands: later ones wait for the next transport.
      this._conversation.pause();
      this._setDeadline(waitMs, () => this._drain());
    }
    this._listener.event(name, data, cursor ?? null);
  }

  /** Leave a server that is shutting down, after the replies to the commands that were sent. */
  private _drain(): void {
    const leave = () =>
      this._disconnect({ error: new ClientError("connectionLost", "the server is shutting down") });
    if (!this._conversation.inFlight) return leave();
    this._isDraining = true;
    this._setDeadline(DRAIN_TIMEOUT_MS, leave);
  }

  private _disconnect(disconnected: Disconnected): void {
    const { error, isFinal } = disconnected;
    this._dropTransport(disconnected.code);
    if (isFinal) return this._finish(error);
    this._conversation.transportLost();
    const hadNoSession = (error as ClientError).closeCode === NO_SESSION_IN_TIME;
    const isUnused = (this._isUnused = hadNoSession && !this._conversation.hasWork);
    this._shared?.lost(isUnused);
    const delayMs = this._delayMs(disconnected);
    if (isUnused) return this._enter("idle");
    if (this.state === "open") this._enter("reconnecting");
    const isClosed = () => this.state === "closed"; // By a handler.
    if (!isClosed() && !this._retry) this._schedule(delayMs);
  }

  private _delayMs({ retryAfterMs = 0 }: Disconnected): number {
    const now = performance.now();
    const reconnectAt = this._reconnectAt;
    this._reconnectAt = null;
    this._earliest = reconnectAt ?? now + retryAfterMs;
    // The server chose the time, a different one for each client: no jitter.
    if (reconnectAt !== null && reconnectAt <= now) return 0;
    if (this._openedAt !== null) this._backoff.lasted(now - this._openedAt);
    this._openedAt = null;
    return this._earliest - now + this._backoff.nextMs();
  }

  private _schedule(ms: number): void {
    cancel(this._retry);
    this._retry = later(ms, () => this._attempt());
  }

  /** Do not let somebody who looks at the page now wait for the end of a long delay. */
  private _wake(isNetwork: boolean): void {
    this._sync.read();
    if (this._retry) {
      const jitterMs = isNetwork ? Math.random() * this._settings.backoffBaseMs : 0;
      this._schedule(Math.max(jitterMs, this._earliest - performance.now()));
    } else if (this.state === "open" && this._reconnectAt === null && this._conversation.isOpen) {
      this._probe(WAKE_TIMEOUT_MS);
    }
  }

  private _setDeadline(ms: number, then: () => void): void {
    cancel(this._deadline);
    this._deadline = later(ms, then);
  }

  private _dropTransport(code?: number): void {
    cancel(this._deadline);
    this._transport?.close(code);
    this._transport = null;
  }

  private _enter(state: State): void {
    if (state === this.state) return;
    this.state = state;
    this._listener.state();
  }

  private _finish(error: KeystayError | null): void {
    if (this.state === "closed") return;
    this.error = error;
    this._enter("closed");
    this._unwatch();
    cancel(this._retry);
    this._dropTransport();
    this._sync.stop();
    this._shared?.close();
    this._conversation.close(clientClosed(error));
    this._sync.save();
    this._sync.flush();
  }
}
