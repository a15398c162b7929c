/**
 * The connection to the server, kept up until it is closed: the I/O around a `Link`.
 *
 * The law of this module: there is one line at most, and it has one deadline; while there is none,
 * there is one timer until the next attempt, or nothing to connect for.
 */
import { Backoff, slotMs } from "./backoff.js";
import { RESTORE } from "./calls.js";
import type { Engine, Listener, State } from "./engine.js";
import { ClientError, CommandError, KeystayError } from "./errors.js";
import { report } from "./handlers.js";
import { Keeper } from "./keeper.js";
import { type Hangup, hangupOn, Line } from "./line.js";
import { Link, SERVER_DRAINING } from "./link.js";
import type { CallOptions, Settings } from "./options.js";
import { isOffline, watchPage } from "./page.js";
import type { Session } from "./session.js";
import { openStorage } from "./storage.js";

type Timer = ReturnType<typeof setTimeout>;

const NO_SESSION_IN_TIME = 4000;
/** For the commands on a line to be answered before it is left. */
const LEAVE_TIMEOUT_MS = 2000;
/** For a server to show that the line outlived the sleep of the page, or a change of the network. */
const WAKE_TIMEOUT_MS = 3000;

export class Connection implements Engine {
  state: State = "connecting";
  error: KeystayError | null = null;
  private readonly _link: Link;
  private readonly _keeper: Keeper;
  private readonly _backoff: Backoff;
  private readonly _unwatch: () => void;
  private _line: Line | null = null;
  /** The deadline of the line. */
  private _limit: Timer | undefined;
  /** Until the next attempt. */
  private _retry: Timer | undefined;
  /** Before that time the server wants no attempt. */
  private _earliest = 0;
  private _openedAt: number | null = null;
  /** When to leave the line of a server that is going away. */
  private _slotAt: number | null = null;
  private _isLeaving = false;

  /** @throws CommandError `invalidSessionKey`, for `settings.key`. */
  constructor(
    private readonly _url: string,
    private readonly _settings: Settings,
    private readonly _listener: Listener,
  ) {
    this._link = new Link((name, data) => this._tell(name, data), _settings);
    this._keeper = new Keeper(openStorage(_settings));
    this._backoff = new Backoff(_settings.backoffBaseMs, _settings.backoffCapMs, Math.random);
    this._takeUpStored();
    if (_settings.key !== undefined) this._link.adopt(_settings.key);
    this._unwatch = watchPage({
      wake: (isNetwork) => this._wake(isNetwork),
      sleep: () => this._retry && this._schedule(0),
      hide: () => this._keeper.flush(),
    });
    this._retry = setTimeout(() => this._attempt());
  }

  get session(): Session | null {
    return this._link.session;
  }

  get key(): string | null {
    return this._link.key;
  }

  get recovered(): boolean | null {
    return this._link.recovered;
  }

  command(method: string, params: unknown[], options: CallOptions = {}): Promise<unknown> {
    const { timeoutMs = this._settings.timeoutMs, whenOffline } = options;
    return new Promise((resolve, reject) => {
      if (this.state === "closed") throw this._closedError();
      if (whenOffline === "fail" && this.state !== "open") throw new ClientError("notConnected");
      if (method === RESTORE) params = this._link.restoreParams(params[0] as string);
      let timer: Timer | undefined;
      const call = this._link.command(method, params, (error, result) => {
        clearTimeout(timer);
        error ? reject(error) : resolve(result);
      });
      timer = later(timeoutMs, () => {
        this._link.abandon(call);
        const what = call.isSent ? "not answered, perhaps carried out" : "not connected, not sent";
        reject(new CommandError("timeout", `${what} in ${timeoutMs} ms`));
      });
      this._advance();
    });
  }

  adopt(key: string): void {
    this._link.adopt(key);
    this._advance();
  }

  reread(): void {
    const stored = this._keeper.load();
    const known = this._link.toStore;
    if (stored?.key === known?.key) return;
    if (stored) {
      try {
        this._link.adopt(stored.key);
      } catch {
        return; // It is of no use to anybody.
      }
    } else {
      this._link.forget();
      // The server would go on telling of that session.
      if (this._line) this._hangUp({ error: new ClientError("connectionLost", "logged out") });
    }
    this._advance();
  }

  close(): void {
    this._finish(null);
  }

  private _takeUpStored(): void {
    const stored = this._keeper.load();
    this._keeper.know(stored);
    try {
      if (stored) this._link.takeUp(stored);
    } catch {
      this._keeper.note(null); // It is of no use to anybody.
    }
  }

  /** Open a line. */
  private _attempt(): void {
    this._retry = undefined;
    this.reread();
    if (this.state === "closed") return; // A handler heard that another tab logged out.
    this._isLeaving = false;
    try {
      const line: Line = new Line(this._url, this._settings, {
        opened: () => {
          this._link.lineOpened();
          this._advance();
        },
        heard: (message) => this._heard(line, message),
        ended: (hangup) => this._hangUp(hangup),
      });
      this._line = line;
    } catch {
      // Cut: what the browser says against a URL quotes it.
      return this._finish(new ClientError("connectFailed", "the URL cannot be connected to"));
    }
    this._limitTo(this._settings.openTimeoutMs, () =>
      this._hangUp({ error: new ClientError("connectFailed", "not open in time") }),
    );
  }

  private _heard(line: Line, message: Uint8Array): void {
    try {
      this._link.receive(message);
    } catch (error) {
      if (this._line !== line) return;
      if (error instanceof KeystayError) return this._hangUp(hangupOn(error));
      report(error);
      return this._finish(new ClientError("connectFailed", "a bug in the client"));
    }
    if (this._line !== line) return; // A handler closed the client.
    if (this._isLeaving && !this._link.inFlight) return this._leave();
    if (this.state === "open") this._listenOn();
    this._advance();
  }

  /** Send what can be sent, and note how things stand. */
  private _advance(): void {
    this._keeper.note(this._link.toStore);
    if (!this._line) {
      if (!this._retry && this.state === "reconnecting" && this._link.hasBusiness) {
        this._schedule(this._backoff.nextMs());
      }
      return;
    }
    let message;
    while ((message = this._link.nextMessage())) this._line.send(message);
    if (this._link.isOpen && this.state !== "open") {
      this._openedAt = performance.now();
      this._listenOn();
      this._enter("open");
    }
  }

  /** Wait for the next message; if there is none for long, ask for one. */
  private _listenOn(): void {
    if (this._slotAt === null) this._limitTo(this._settings.silenceMs, () => this._probe());
  }

  private _probe(timeoutMs = this._settings.probeTimeoutMs): void {
    this._link.probe();
    this._limitTo(timeoutMs, () =>
      this._hangUp({ error: new ClientError("connectionLost", "the server is silent") }),
    );
    this._advance();
  }

  private _tell(name: string, data: any): void {
    this._keeper.note(this._link.toStore);
    const wait = name === SERVER_DRAINING ? slotMs(data) : null;
    if (wait !== null) {
      this._slotAt = performance.now() + wait;
      this._link.hold(); // The server reads no more: what is given now is for the next line.
      this._limitTo(wait, () => this._leave());
    }
    this._listener.event(name, data);
  }

  /** Leave a server that is going away, but let the commands on the line be answered. */
  private _leave(): void {
    const goodbye = () =>
      this._hangUp({ error: new ClientError("connectionLost", "the server is going away") });
    if (!this._link.inFlight) return goodbye();
    this._isLeaving = true;
    this._limitTo(LEAVE_TIMEOUT_MS, goodbye);
  }

  private _hangUp(hangup: Hangup): void {
    const { error, isFinal } = hangup;
    this._dropLine(hangup.code);
    if (isFinal) return this._finish(error);
    this._link.lineLost();
    if (this.state === "open") this._enter("reconnecting");
    const isClosed = () => this.state === "closed"; // By a handler.
    if (isClosed()) return;
    const waitMs = this._waitMs(hangup);
    const wantsSession = (error as ClientError).closeCode === NO_SESSION_IN_TIME;
    if (!wantsSession || this._link.hasBusiness) this._schedule(waitMs);
    else this._enter("reconnecting"); // As soon as there is something to connect for.
  }

  private _waitMs({ retryAfterMs = 0 }: Hangup): number {
    const now = performance.now();
    const slotAt = this._slotAt;
    this._slotAt = null;
    this._earliest = slotAt ?? now + retryAfterMs;
    // The server spread its clients over time already: no dice.
    if (slotAt !== null && slotAt <= now) return 0;
    if (this._openedAt !== null) this._backoff.held(now - this._openedAt);
    this._openedAt = null;
    return this._earliest - now + this._backoff.nextMs();
  }

  private _schedule(ms: number): void {
    clearTimeout(this._retry);
    // A server on this very machine is there without a network.
    const waitMs = isOffline() ? Math.max(ms, this._settings.backoffCapMs) : ms;
    this._retry = later(waitMs, () => this._attempt());
  }

  /** Whoever looks at the page now shall not wait for the end of a long pause. */
  private _wake(isNetwork: boolean): void {
    if (this._retry) {
      const jitterMs = isNetwork ? Math.random() * this._settings.backoffBaseMs : 0;
      this._schedule(Math.max(jitterMs, this._earliest - performance.now()));
    } else if (!this._line) {
      this.reread();
    } else if (this.state === "open" && this._slotAt === null && this._link.isOpen) {
      this._probe(WAKE_TIMEOUT_MS);
    }
  }

  private _limitTo(ms: number, then: () => void): void {
    clearTimeout(this._limit);
    this._limit = later(ms, then);
  }

  private _dropLine(code?: number): void {
    clearTimeout(this._limit);
    this._line?.close(code);
    this._line = null;
  }

  private _enter(state: State): void {
    if (state === this.state) return;
    this.state = state;
    this._listener.state();
  }

  private _closedError(): ClientError {
    const closed = new ClientError("clientClosed");
    if (this.error) closed.cause = this.error;
    return closed;
  }

  private _finish(error: KeystayError | null): void {
    if (this.state === "closed") return;
    this.error = error;
    this._enter("closed");
    this._unwatch();
    clearTimeout(this._retry);
    this._dropLine();
    this._link.close(this._closedError());
    this._keeper.note(this._link.toStore);
    this._keeper.flush();
  }
}

/** Call it then; a wait beyond what a timer can hold is cut to that. */
function later(ms: number, then: () => void): Timer {
  return setTimeout(then, Math.min(ms, 2 ** 31 - 1));
}
