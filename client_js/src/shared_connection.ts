/**
 * One connection for all tabs: the tab that holds the lock has it, the others use it through that tab.
 *
 * Invariant: to a client, the way through another tab is a transport like any other. It is open while the
 * other tab's connection is, it is lost when that tab loses its connection or goes, and the next tab to get
 * the lock connects with the cursor that it has reached.
 *
 * Messages of followers: `["ask"]` for a transport, `["command", transport, bytes]`, and `["ping"]`, which
 * the leader answers with `["pong"]`: if it does not, another tab takes the lock. Of the leader:
 * `["open", paths, leader, cursor]`, `["lost", isUnused]`, `["event", frame]`,
 * `["reply", transport, frame]`, and `["cursor", cursor]` for the position that a restore returned, which
 * only its reply contains. All else is ignored: other programs may use a channel of the same name.
 */
import type { Done } from "./calls.js";
import { type Event, isCursor, isFrame } from "./codec.js";
import { END_SESSION, SUBSCRIBE } from "./commands.js";
import type { Conversation } from "./conversation.js";
import { ClientError, CommandError } from "./errors.js";
import type { TabMessage } from "./tabs.js";
import { cancel, later, type Timer } from "./timer.js";
import { closedByServer, NO_SESSION_IN_TIME } from "./transport.js";
import type { Transport, TransportListener } from "./transport.js";
import { unpack } from "./unpack.js";

/** The transport through the leader. */
interface SharedTransport {
  id: number;
  listener: TransportListener;
  /** Which tab it leads to; null while it is not open. */
  leader: number | null;
}

/** The connection of this tab. */
export interface Member {
  /** This tab is the leader now: connect. */
  lead(): void;
  /** This tab is the leader no more: connect through the one that is. */
  follow(): void;
  /** As the leader: whether commands are sent to the server at once. */
  isServing(): boolean;
  /** As the leader: another tab needs a transport. */
  wanted(): void;
  /** There may be something to send, or to store. */
  advance(): void;
  /** As a follower: the leader has a connection. */
  wake(): void;
  /** As a follower: the leader received this. */
  received(frame: Event): void;
}

/** How often a tab looks whether the leader answers. */
const CHECK_MS = 1000;
/** At how many looks in a row the leader may be silent: at the second it is asked. */
const SILENT_CHECKS = 3;

const isString = (value: unknown) => typeof value === "string";

export class SharedConnection {
  /** Whether this tab is the one to connect. */
  isLeader = false;
  private readonly _id = Math.random();
  private _waiting = new AbortController();
  private _release = () => {};
  private _isClosed = false;
  /** The next look whether the leader answers, and at how many it has been silent. */
  private _checking: Timer | undefined;
  private _silent = 0;
  private _transport: SharedTransport | null = null;
  /** Whether this tab has received all events since it was connected last. */
  private _isCurrent = false;
  /** Up to where the other current tabs have received all events. */
  private _cursor: number | null = null;

  /**
   * @param _name Of the lock; one for all tabs that share.
   * @param _send Sends to other tabs.
   */
  constructor(
    private readonly _name: string,
    private readonly _send: (...message: TabMessage) => void,
    private readonly _conversation: Conversation,
    private readonly _member: Member,
  ) {
    this._request();
    this._check();
  }

  /** Open a transport through the leader. */
  open(listener: TransportListener): Transport {
    const id = Math.random();
    this._transport = { id, listener, leader: null };
    this._send("ask");
    return {
      send: (message) => this._send("command", id, message),
      close: () => (this._transport = null),
    };
  }

  /**
   * The connection of this tab is open.
   *
   * @param cursor Up to where a tab that missed nothing has received the events.
   */
  opened(cursor = this._conversation.cursor): void {
    if (this.isLeader) this._send("open", this._conversation.paths, this._id, cursor);
  }

  /** It is lost; if it was unused, until a tab asks. */
  lost(isUnused: boolean): void {
    if (this.isLeader) this._send("lost", isUnused);
  }

  /** This tab has received an event. */
  sendEvent(frame: Event): void {
    if (this.isLeader) this._send("event", frame);
    this._cursor = frame[2][1] ?? this._cursor;
  }

  /** This tab has received all events up to the cursor of the conversation. */
  sendCursor(): void {
    const { cursor } = this._conversation;
    if (this.isLeader && cursor !== this._cursor) this._send("cursor", (this._cursor = cursor));
  }

  /** Process a message of another tab. */
  receive([kind, ...rest]: TabMessage): void {
    const [first, second] = rest;
    if (kind !== "ask" && kind !== "command" && kind !== "ping") this._silent = 0;
    if (!this.isLeader) this._follow(kind, rest);
    else if (kind === "ping") this._send("pong");
    else if (kind === "ask") this._member.isServing() ? this.opened() : this._member.wanted();
    else if (kind === "command" && this._member.isServing()) this._relay(first, second);
  }

  /** Let another tab lead. */
  close(): void {
    this._isClosed = true;
    cancel(this._checking);
    this._waiting.abort();
    this._release();
  }

  /** Ask for the lock: when it is free, or at once, from a leader that is silent. */
  private _request(steal = false): void {
    this._waiting.abort();
    const { signal } = (this._waiting = new AbortController());
    let isGranted = false;
    const lead = () =>
      new Promise<void>((release) => {
        // A browser may grant it although it was given up in the same task, and hold it for ever.
        if (signal.aborted) return release();
        this._release = release;
        isGranted = this.isLeader = true;
        this._send("lost");
        this._member.lead();
      });
    navigator.locks.request(this._name, steal ? { steal } : { signal }, lead).catch(() => {
      // It was given up before; or it was taken away from this tab, which was frozen.
      if (!isGranted || this._isClosed) return;
      this.isLeader = false;
      this._request();
      this._member.follow();
    });
  }

  /** Look again and again whether the leader answers: it may be frozen, or hang. */
  private _check(): void {
    const delayMs = CHECK_MS * (1 - Math.random() / 4); // Not all tabs at once.
    this._checking = later(delayMs, () => {
      if (!this.isLeader) {
        if (this._silent === SILENT_CHECKS) this._request(true);
        else if (this._silent > 0) this._send("ping");
        this._silent = (this._silent + 1) % (SILENT_CHECKS + 1);
      }
      this._check();
    });
  }

  /** Execute a command of another tab. */
  private _relay(transport: number, message: Uint8Array): void {
    const command = readCommand(message);
    if (!command) return;
    const [, id, method, params] = command;
    const done: Done = (error, _, result) => {
      // Errors of this side are not the other tab's: it is notified when the connection is lost.
      if (error && !(error instanceof CommandError)) return;
      this._send("reply", transport, [1, id, error && error.code, result]);
      if (!error && method === SUBSCRIBE) this.opened();
    };
    try {
      if (method === END_SESSION) {
        this._conversation.endSession(params[0] as string, done, true, params.slice(1));
      } else {
        this._conversation.command(method, params, done, true);
      }
    } catch (error) {
      done(error as Error);
    }
    this._member.advance();
  }

  private _follow(kind: string, [first, second, third]: any[]): void {
    if (kind === "event") {
      if (this._isCurrent && isFrame(first) && first[0] === 2) this._member.received(first);
    } else if (kind === "cursor") {
      if (this._isCurrent && isCursor(first)) {
        this._conversation.receivedUpTo(first);
        this._member.advance();
      }
    } else if (kind === "reply") {
      if (this._transport?.id === first && isFrame(second)) {
        this._transport!.listener.received(second);
      }
    } else if (kind === "lost") {
      this._lose(first);
    } else if (kind === "open" && Array.isArray(first) && first.every(isString)) {
      this._open(first, second, third);
    }
  }

  private _open(paths: string[], leader: number, cursor: number | null): void {
    const conversation = this._conversation;
    // So that the next leader subscribes to all that any tab needs.
    conversation.paths = [...new Set([...conversation.paths, ...paths])];
    if (this._transport && this._transport.leader !== leader) this._lose();
    const transport = this._transport;
    if (transport && transport.leader !== null) return;
    if (conversation.cursor !== null && conversation.cursor < cursor!) {
      // The server sends to the leader what the leader has not received. What this tab missed is lost, and
      // a restore without a cursor says so. Until then this tab is not current.
      conversation.cursor = null;
      this._isCurrent = false;
    }
    if (!transport) return this._member.wake();
    transport.leader = leader;
    this._isCurrent = true;
    transport.listener.opened();
  }

  /** End the transport, if it was open. */
  private _lose(isUnused?: boolean): void {
    const transport = this._transport;
    if (!transport || transport.leader === null) return;
    this._transport = null;
    const error = new ClientError("connectionLost", "the tab with the connection lost it");
    transport.listener.ended(isUnused ? closedByServer(NO_SESSION_IN_TIME, "") : { error });
  }
}

/** Read a command of another tab; null if it is none. */
function readCommand(message: unknown): [0, number, string, unknown[]] | null {
  try {
    const command: any = unpack(message as Uint8Array);
    return isString(command[2]) && Array.isArray(command[3]) ? command : null;
  } catch {
    return null; // It is not of a client.
  }
}
