/**
 * One connection for all tabs: the tab that holds the lock has it, the others speak through that tab.
 *
 * The law of this module: to a client, the way through another tab is a line like any other. It is
 * open while the other tab is, it is lost when that tab loses its own or goes, and the next tab to get
 * the lock connects with what it has heard so far.
 *
 * News from those who ask: `["ask"]` for the line, `["command", line, bytes]`. From the one that has
 * it: `["open", paths, leader, cursor]`, `["lost", isIdle]`, `["event", frame]`, `["reply", line, frame]`,
 * `["reach", cursor]`, where a restore brought the connection, which its reply alone says.
 * All else is passed over: other programs of the origin may use a channel of the same name.
 */
import { checkRestore, type Done, LEAVE, SUBSCRIBE } from "./calls.js";
import { type Event, isCursor, isFrame } from "./codec.js";
import { ClientError, CommandError } from "./errors.js";
import { closed, type LineListener, NO_SESSION_IN_TIME, type Wire } from "./line.js";
import type { Link } from "./link.js";
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
  /** There may be something to send, or to store. */
  advance(): void;
  /** As another: there is a line to be had. */
  wake(): void;
  /** As another: this came to the tab that is connected. */
  heard(frame: Event): void;
}

const isString = (value: unknown) => typeof value === "string";

export class Shared {
  /** Whether this tab is the one to connect. */
  isLeader = false;
  private readonly _id = Math.random();
  private readonly _waiting = new AbortController();
  private _release = () => {};
  private _way: Way | null = null;
  /** Whether this tab has heard all events since it was connected last. */
  private _isInTouch = false;
  /** Up to where other tabs in touch have received all events. */
  private _cursor: number | null = null;

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

  /**
   * What this tab is connected with is open.
   *
   * @param cursor Up to where whoever missed nothing has heard.
   */
  opened(cursor = this._link.cursor): void {
    if (this.isLeader) this._tell("open", this._link.paths, this._id, cursor);
  }

  /** It is gone; if it is idle, until somebody asks. */
  lost(isIdle: boolean): void {
    if (this.isLeader) this._tell("lost", isIdle);
  }

  /** This tab has heard an event. */
  event(frame: Event): void {
    if (this.isLeader) this._tell("event", frame);
    this._cursor = frame[2][1] ?? this._cursor;
  }

  /** This tab has received all events up to the cursor of the link. */
  reach(): void {
    const { cursor } = this._link;
    if (this.isLeader && cursor !== this._cursor) this._tell("reach", (this._cursor = cursor));
  }

  /** Other tabs told this. */
  heard([kind, ...rest]: News): void {
    const [first, second] = rest;
    if (!this.isLeader) this._follow(kind, rest);
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
    const command = readCommand(message);
    if (!command) return;
    const [, id, method, params] = command;
    const done: Done = (error, _, result) => {
      // What went wrong on this side says nothing to another tab: it hears of the line.
      if (error && !(error instanceof CommandError)) return;
      this._tell("reply", line, [1, id, error && error.code, result]);
      if (!error && method === SUBSCRIBE) this.opened();
    };
    try {
      if (method === LEAVE) {
        checkRestore(params);
        this._link.leave(params[0] as string, done, true, params.slice(1));
      } else {
        this._link.command(method, params, done, true);
      }
    } catch (error) {
      done(error as Error);
    }
    this._member.advance();
  }

  private _follow(kind: string, [first, second, third]: any[]): void {
    if (kind === "event") {
      if (this._isInTouch && isFrame(first) && first[0] === 2) this._member.heard(first);
    } else if (kind === "reach") {
      if (this._isInTouch && isCursor(first)) {
        this._link.reach(first);
        this._member.advance();
      }
    } else if (kind === "reply") {
      if (this._way?.id === first && isFrame(second)) this._way!.listener.heard(second);
    } else if (kind === "lost") {
      this._lose(first);
    } else if (kind === "open" && Array.isArray(first) && first.every(isString)) {
      this._open(first, second, third);
    }
  }

  private _open(paths: string[], leader: number, cursor: number | null): void {
    const link = this._link;
    // For whoever connects next is to miss nothing of what any tab wants to hear.
    link.paths = [...new Set([...link.paths, ...paths])];
    if (this._way && this._way.leader !== leader) this._lose();
    const way = this._way;
    if (way && way.leader !== null) return;
    if (link.cursor !== null && link.cursor < cursor!) {
      // The server sends to that tab what that tab has not heard. What this one missed is lost, and
      // without a cursor it is told so. Nor may it seem in touch, before it is.
      link.cursor = null;
      this._isInTouch = false;
    }
    if (!way) return this._member.wake();
    way.leader = leader;
    this._isInTouch = true;
    way.listener.opened();
  }

  /** The way is no more, if it was open. */
  private _lose(isIdle?: boolean): void {
    const way = this._way;
    if (!way || way.leader === null) return;
    this._way = null;
    const error = new ClientError("connectionLost", "the connected tab lost it");
    way.listener.ended(isIdle ? closed(NO_SESSION_IN_TIME, "") : { error });
  }
}

/** Read what another tab wants the server to do; null if it is no command. */
function readCommand(message: unknown): [0, number, string, unknown[]] | null {
  try {
    const command: any = unpack(message as Uint8Array);
    return isString(command[2]) && Array.isArray(command[3]) ? command : null;
  } catch {
    return null; // It is not of a client.
  }
}
