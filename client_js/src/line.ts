/**
 * One WebSocket, from its handshake to its close.
 *
 * The law of this module: each message has a turn of its own. Whoever waits for the reply in one of them
 * goes on before the next is heard, as in a browser; in Node messages that came together are told at once.
 */
import { mayReturn } from "./backoff.js";
import type { Event, Reply } from "./codec.js";
import { ClientError, type KeystayError, malformed } from "./errors.js";
import { report } from "./handlers.js";
import type { Settings, WebSocketLike } from "./options.js";

const SUBPROTOCOL = "keystay.v1";
const BROKE = 1006;
const MALFORMED = 4500;
export const NO_SESSION_IN_TIME = 4000;

/** Why a line ended, or could not be opened. */
export interface Hangup {
  /** What it means to a program that hears of it. */
  error: KeystayError;
  /** Whether another attempt is pointless. */
  isFinal?: boolean;
  /** What the server asked to wait. */
  retryAfterMs?: number | undefined;
  /** What to tell the server, where it has not hung up itself: 1000, or one of 3000 to 4999. */
  code?: number;
}

export interface LineListener {
  opened(): void;
  heard(message: Uint8Array | Reply | Event): void;
  /** Called once at most, and never after `close`. */
  ended(hangup: Hangup): void;
}

/** What carries messages to the server, from when it says `opened` on. */
export interface Wire {
  send(message: Uint8Array): void;
  /** Say goodbye, and listen no more. */
  close(code?: number): void;
}

/** How many steps of promises may lie between a reply and the program that awaits it. */
const STEPS = 10;

export class Line implements Wire {
  private readonly _socket: WebSocketLike;
  private _turns = Promise.resolve();
  private _isClosed = false;

  /** @throws Whatever the WebSocket throws, if it will not have the URL. */
  constructor(url: string, { WebSocket, maxMessageBytes }: Settings, listener: LineListener) {
    const socket = (this._socket = new WebSocket(url, [SUBPROTOCOL]));
    let broke: Hangup = { error: new ClientError("connectFailed", "no answer to the handshake") };
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      broke = { error: new ClientError("connectionLost", "the line broke") };
      // A WebSocket that keeps to its standard fails the handshake itself. A page cannot tell that
      // from any other failure (SPEC section 1.1), and it is tried again. This is for the others.
      if (socket.protocol === SUBPROTOCOL) return listener.opened();
      const error = new ClientError("connectFailed", `the server does not speak ${SUBPROTOCOL}`);
      listener.ended({ error, isFinal: true });
    };
    socket.onmessage = ({ data }) =>
      this._inTurn(() => {
        // As what it is, for a browser lets no one bound a message before it is there.
        if (data.byteLength <= maxMessageBytes) listener.heard(new Uint8Array(data));
        else listener.ended(hangupOn(malformed("a text message, or one too big")));
      });
    socket.onclose = ({ code, reason }) =>
      this._inTurn(() => listener.ended(code === BROKE ? broke : closed(code, reason)));
    // What it means is told with the close. The package ws throws where nobody listens.
    socket.onerror = () => {};
  }

  send(message: Uint8Array): void {
    this._socket.send(message);
  }

  close(code = 1000): void {
    this._isClosed = true;
    this._socket.onopen = this._socket.onmessage = this._socket.onclose = null;
    this._socket.close(code);
  }

  private _inTurn(hear: () => void): void {
    this._turns = this._turns.then(async () => {
      if (!this._isClosed) hear();
      for (let step = 0; step < STEPS; step++) await null;
    });
  }
}

/** What to do about an error in what the server sent. */
export function hangupOn(error: KeystayError & { retryAfterMs?: number | undefined }): Hangup {
  if (error.code !== "malformedFrame") return { error, retryAfterMs: error.retryAfterMs };
  report(error); // One of the two has a defect, and the program goes on.
  return { error, code: MALFORMED };
}

/** What to do about the end of a line that the server closed. */
export function closed(code: number, reason: string): Hangup {
  const text = `close code ${code}${reason && `: ${reason}`}`;
  return {
    error: new ClientError("closedByServer", text, code, reason),
    isFinal: !mayReturn(code),
  };
}
