/**
 * The connection to the server, kept up until it is closed: the I/O around a `Link`.
 *
 * The law of this module: there is one line at most, and it has one deadline; while there is none,
 * there is one timer until the next attempt, or nothing to connect for.
 */
import { Backoff, SERVER_DRAINING, slotMs } from "./backoff.js";
import { RESTORE, SUBSCRIBE, UNSUBSCRIBE } from "./calls.js";
import type { Event, Reply } from "./codec.js";
import type { Engine, Listener, State } from "./engine.js";
import { ClientError, clientClosed, CommandError, KeystayError } from "./errors.js";
import { report } from "./handlers.js";
import { Keeper } from "./keeper.js";
import { type Hangup, hangupOn, Line, type LineListener } from "./line.js";
import { NO_SESSION_IN_TIME, type Wire } from "./line.js";
import { Link } from "./link.js";
import type { CallOptions, Settings } from "./options.js";
import { isOffline, watchPage } from "./page.js";
import { SESSION_SET, SESSION_UNSET, type Session, type Unset, writeSession } from "./session.js";
import { Shared } from "./shared.js";
import { openStorage } from "./storage.js";
import { type News, Tabs } from "./tabs.js";

type Timer = ReturnType<typeof setTimeout>;

/** For news of a logout in another tab to come after it was seen in the storage. */
const EMPTY_MS = 100;
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
  private readonly _tabs: Tabs | null = null;
  private readonly _shared: Shared | null = null;
  private _line: Wire | null = null;
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
  /** Whether the last line was closed as of no use: nothing speaks against another. */
  private _isIdle = false;

  /** @throws CommandError `invalidSessionKey`, for `settings.key`. */
  constructor(
    private readonly _url: string,
    private readonly _settings: Settings,
    private readonly _listener: Listener,
  ) {
    this._link = new Link((...news) => this._tell(...news), _settings);
    const storage = openStorage(_settings);
    this._keeper = new Keeper(storage);
    this._backoff = new Backoff(_settings.backoffBaseMs, _settings.backoffCapMs, Math.random);
    this._takeUpStored();
    if (_settings.key !== undefined) this._link.adopt(_settings.key);
    this._unwatch = watchPage({
      wake: (isNetwork) => this._wake(isNetwork),
      sleep: () => this._retry && this._schedule(0),
      hide: () => this._keeper.flush(),
      stored: () => this._tabs && this._reread(),
    });
    const { tabs, sharedConnection, storageName } = _settings;
    if (tabs !== false && storage.isShared && globalThis.BroadcastChannel) {
      this._tabs = new Tabs(storageName, (news) => this._told(news));
      if (sharedConnection && globalThis.navigator?.locks) this._shared = this._join(this._tabs);
    }
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
      if (this.state === "closed") throw clientClosed(this.error);
      const isOnline = this.state === "open" || (this._isIdle && !isOffline());
      if (whenOffline === "fail" && !isOnline) throw new ClientError("notConnected");
      if (method === RESTORE) params = this._link.restoreParams(params[0] as string);
      // What this tab hears no longer another may want to hear: only look at what is subscribed.
      if (method === UNSUBSCRIBE && this._shared) [method, params] = [SUBSCRIBE, [[]]];
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

  connect(): void {
    if (this._line || this._retry || this.state !== "reconnecting") return;
    this._schedule(this._backoff.nextMs());
  }

  close(): void {
    this._finish(null);
  }

  /**
   * Hear what the storage says.
   *
   * @param unset Why it may be empty, as another tab says.
   * @returns Whether that is to be believed already.
   */
  private _reread(unset?: Unset): boolean {
    if (this.state === "closed") return true;
    const stored = this._keeper.load();
    const key = stored?.key ?? null;
    if (this._link.knows(key)) return true;
    if (key === null && this._tabs && !unset) {
      // Who emptied it tells why, but that may take a moment longer.
      later(EMPTY_MS, () => this._reread({ reason: "loggedOut" }));
      return false;
    }
    try {
      if (key === null) this._link.forget(unset);
      else this._link.adopt(key);
    } catch {
      this._keeper.know(stored); // It is of no use to anybody: what is here takes its place.
    }
    this._advance();
    return true;
  }

  /** Hear what another tab told. */
  private _told(news: News): void {
    const [kind, unset] = news;
    if (kind === "set") {
      this._reread();
    } else if (kind !== "unset") {
      this._shared?.heard(news);
    } else if (typeof unset?.reason !== "string" || typeof unset.id !== "string") {
      return; // None of ours said that.
    } else if (!this.session || unset.id !== this.session.id) {
      this._reread(unset);
    } else {
      this._link.forget(unset);
      this._advance();
    }
  }

  /** Share the connection with other tabs. */
  private _join(tabs: Tabs): Shared {
    return new Shared(this._settings.storageName, (...news) => tabs.tell(...news), this._link, {
      lead: () => {
        const error = new ClientError("connectionLost", "the connected tab lost it");
        if (this._line) this._hangUp({ error });
        if (this._retry) this._attempt();
      },
      isServing: () => this.state === "open" && this._slotAt === null,
      wanted: () => this._line || this._retry || this._attempt(),
      advance: () => this._advance(),
      wake: () => this._retry && this._attempt(),
      heard: (frame) => this._heard(this._line, frame),
    });
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
    if (!this._reread()) return this._schedule(EMPTY_MS);
    if (this.state === "closed") return; // A handler heard that another tab logged out.
    // Not before: what is read may be a reason for another attempt.
    clearTimeout(this._retry);
    this._retry = undefined;
    this._isLeaving = false;
    try {
      const isShared = this._shared !== null && !this._shared.isLeader;
      const listener: LineListener = {
        opened: () => {
          this._reread(); // It took a while to get here.
          if (this._line !== line) return; // A handler closed the client.
          this._link.lineOpened(isShared);
          this._advance();
        },
        heard: (message) => this._heard(line, message),
        ended: (hangup) => this._hangUp(hangup),
      };
      const line: Wire = isShared
        ? this._shared.open(listener)
        : new Line(this._url, this._settings, listener);
      this._line = line;
    } catch {
      // Cut: what the browser says against a URL quotes it.
      return this._finish(new ClientError("connectFailed", "the URL cannot be connected to"));
    }
    this._limitTo(this._settings.openTimeoutMs, () =>
      this._hangUp({ error: new ClientError("connectFailed", "not open in time") }),
    );
  }

  private _heard(line: Wire | null, message: Uint8Array | Reply | Event): void {
    try {
      this._link.receive(message);
    } catch (error) {
      if (this._line !== line) return;
      if (error instanceof KeystayError) return this._hangUp(hangupOn(error));
      report(error);
      return this._finish(new ClientError("connectFailed", "a bug in the client"));
    }
    if (this._line !== line) return; // A handler closed the client.
    this._shared?.reach();
    if (this._isLeaving && !this._link.inFlight) return this._leave();
    if (this.state === "open") this._listenOn();
    this._advance();
  }

  /** Send what can be sent, and note how things stand. */
  private _advance(): void {
    this._note();
    if (!this._line) return void (this._link.hasBusiness && this.connect());
    let message;
    while ((message = this._link.nextMessage())) this._line.send(message);
    if (this._link.isOpen && this.state !== "open") {
      this._openedAt = performance.now();
      this._listenOn();
      // Whoever heard but what this tab heard has missed something, too.
      this._shared?.opened(this._link.recovered === false ? Infinity : undefined);
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

  /** Keep what is to be kept. */
  private _note(): void {
    if (this._keeper.note(this._link.toStore)) this._tabs?.tell("set");
  }

  private _tell(name: string, data: any, cursor?: number | null): void {
    const isUnset = name === SESSION_UNSET;
    // It is of no use to this page; in one of another version it is as good as ever.
    const isOfThisPage = isUnset && data.reason === "badVersion";
    if (isOfThisPage) this._keeper.know(this._link.toStore);
    else if (isUnset) this._putBack();
    this._note();
    if (cursor !== undefined) {
      const told = name === SESSION_SET ? writeSession(data) : data;
      this._shared?.event([2, name, [told, cursor]]);
    }
    // A key that was refused, and opened no session that is known, is nobody else's concern.
    if (isUnset && !isOfThisPage && data.id !== null) this._tabs?.tell("unset", data);
    const wait = name === SERVER_DRAINING ? slotMs(data) : null;
    if (wait !== null) {
      this._slotAt = performance.now() + wait;
      this._link.hold(); // The server reads no more: what is given now is for the next line.
      this._limitTo(wait, () => this._leave());
    }
    this._listener.event(name, data, cursor ?? null);
  }

  /** Have the session that there is stored again, if the storage holds a key that was refused. */
  private _putBack(): void {
    const stored = this._link.toStore && this._keeper.load();
    if (stored && this._link.hasRefused(stored.key)) this._keeper.know(stored);
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
    const wantsSession = (error as ClientError).closeCode === NO_SESSION_IN_TIME;
    const isIdle = (this._isIdle = wantsSession && !this._link.hasBusiness);
    this._shared?.lost(isIdle);
    if (this.state === "open") this._enter("reconnecting");
    const isClosed = () => this.state === "closed"; // By a handler.
    if (isClosed()) return;
    const waitMs = this._waitMs(hangup);
    if (isIdle) this._enter("reconnecting"); // As soon as there is something to connect for.
    else this._schedule(waitMs);
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
    this._reread();
    if (this._retry) {
      const jitterMs = isNetwork ? Math.random() * this._settings.backoffBaseMs : 0;
      this._schedule(Math.max(jitterMs, this._earliest - performance.now()));
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

  private _finish(error: KeystayError | null): void {
    if (this.state === "closed") return;
    this.error = error;
    this._enter("closed");
    this._unwatch();
    clearTimeout(this._retry);
    this._dropLine();
    this._tabs?.close();
    this._shared?.close();
    this._link.close(clientClosed(error));
    this._keeper.note(this._link.toStore);
    this._keeper.flush();
  }
}

/** Call it then; a wait beyond what a timer can hold is cut to that. */
function later(ms: number, then: () => void): Timer {
  return setTimeout(then, Math.min(ms, 2 ** 31 - 1));
}
