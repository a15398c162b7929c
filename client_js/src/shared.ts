/**
 * One connection for all tabs: the tab that holds the lock has it, the others speak through that tab.
 *
 * The law of this module: to a client, the way through another tab is a line like any other. It is
 * open while the other tab is, it is lost when that tab loses its own or goes, and the next tab to get
 * the lock connects with what it has heard so far.
 *
 * News from those who ask: `["ask"]` for the line, `["command", line, bytes]`. From the one that has
 * it: `["open", paths, leader]`, `["lost", isIdle]`, `["event", frame]`, `["reply", line, frame]`.
 */
import { LEAVE, RESTORE, SUBSCRIBE } from "./calls.js";
import type { Event } from "./codec.js";
import { ClientError } from "./errors.js";
import { closed, type LineListener, NO_SESSION_IN_TIME, type Wire } from "./line.js";
import type { Link } from "./link.js";
import { writeSession } from "./session.js";
import type { News } from "./tabs.js";
import { unpack } from "./unpack.js";

/** The way through the tab that leads. */
interface Way {
  id: number;
  listener: LineListener;
  /** Which tab it is; null while it is not open. */
  leader: number | null;
}

/** The client of this tab. */
export interface Member {
  /** It is for this tab to connect now. */
  lead(): void;
  /** As the one to connect: whether commands go to the server at once. */
  isServing(): boolean;
  /** As the one to connect: others want a line. */
  wanted(): void;
  /** As the one to connect: there may be something to send. */
  advance(): void;
  /** As another: there is a line to be had. */
  wake(): void;
  /** As another: this came to the tab that is connected. */
  heard(frame: Event): void;
}

export class Shared {
  /** Whether this tab is the one to connect. */
  isLeader = false;
  private readonly _id = Math.random();
  private readonly _waiting = new AbortController();
  private _release = () => {};
  private _way: Way | null = null;
  /** Whether this tab has heard all events since it was connected last. */
  private _isInTouch = false;

  /**
   * @param name Of the lock; one for all tabs that share.
   * @param _tell Tells other tabs.
   */
  constructor(
    name: string,
    private readonly _tell: (...news: News) => void,
    private readonly _link: Link,
    private readonly _member: Member,
  ) {
    const lead = () =>
      new Promise<void>((release) => {
        this._release = release;
        this.isLeader = true;
        _tell("lost");
        _member.lead();
      });
    // It is rejected if it is closed before.
    navigator.locks.request(name, { signal: this._waiting.signal }, lead).catch(() => {});
  }

  /** Open the line through the other tab. */
  open(listener: LineListener): Wire {
    const id = Math.random();
    this._way = { id, listener, leader: null };
    this._tell("ask");
    return {
      send: (message) => this._tell("command", id, message),
      close: () => (this._way = null),
    };
  }

  /** What this tab is connected with is open, with these paths. */
  opened(): void {
    if (this.isLeader) this._tell("open", this._link.paths, this._id);
  }

  /** It is gone; if it is idle, until somebody asks. */
  lost(isIdle: boolean): void {
    if (this.isLeader) this._tell("lost", isIdle);
  }

  /** This tab has heard an event. */
  event(frame: Event): void {
    if (this.isLeader) this._tell("event", frame);
  }

  /** Other tabs told this. */
  heard([kind, ...rest]: News): void {
    const [first, second] = rest;
    if (!this.isLeader) this._follow(kind, first, second);
    else if (kind === "ask") this._member.isServing() ? this.opened() : this._member.wanted();
    else if (kind === "command" && this._member.isServing()) this._host(first, second);
  }

  /** Let another tab lead. */
  close(): void {
    this._waiting.abort();
    this._release();
  }

  /** Carry out a command that came over this line. */
  private _host(line: number, message: Uint8Array): void {
    const link = this._link;
    const [, id, method, params] = unpack(message) as [0, number, string, any[]];
    const [key, options] = params;
    const done = (error: any, _?: unknown, result?: unknown) => {
      const details = error && { message: error.message, retryAfter: error.retryAfterMs / 1000 };
      this._tell("reply", line, [1, id, error && error.code, error ? details : result]);
      if (Array.isArray(result)) this.opened(); // These may be paths, and new.
    };
    if (method === LEAVE) {
      link.leave(key, done);
    } else if (method === SUBSCRIBE && key.every((path: string) => link.paths.includes(path))) {
      done(null, null, link.paths);
    } else if (method === RESTORE && link.isBoundTo(key)) {
      const { session, cursor } = link;
      const recovered = link.recovered !== false && options?.cursor === cursor;
      done(null, null, { session: writeSession(session!), cursor, recovered });
    } else {
      try {
        link.command(method, params, done);
      } catch (error) {
        done(error);
      }
    }
    this._member.advance();
  }

  private _follow(kind: string, first: any, second: any): void {
    if (kind === "event") {
      if (this._isInTouch) this._member.heard(first);
    } else if (kind === "reply") {
      if (this._way?.id === first) this._way!.listener.heard(second);
    } else if (kind === "lost") {
      this._lose(first);
    } else if (kind === "open") {
      // For whoever connects next is to miss nothing of what any tab wants to hear.
      this._link.paths = [...new Set([...this._link.paths, ...first])];
      if (this._way && this._way.leader !== second) this._lose();
      const way = this._way;
      if (!way) return this._member.wake();
      if (way.leader !== null) return;
      way.leader = second;
      this._isInTouch = true;
      way.listener.opened();
    }
  }

  /** The way is no more, if it was open. */
  private _lose(isIdle?: boolean): void {
    const way = this._way;
    if (!way || way.leader === null) return;
    this._way = null;
    const error = new ClientError("connectionLost", "by the tab that is connected");
    way.listener.ended(isIdle ? closed(NO_SESSION_IN_TIME, "") : { error });
  }
}
