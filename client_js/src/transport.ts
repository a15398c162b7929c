/**
 * One WebSocket, from handshake to close.
 *
 * Invariant: each message is processed in a turn of its own. Who awaits the reply in one of them
 * continues before the next is processed, as in a browser; Node reports messages that came together at
 * once.
 */
import { mayReconnect } from "./backoff.js";
import type { Event, Reply } from "./codec.js";
import { ClientError, type KeystayError, malformed } from "./errors.js";
import { report } from "./handlers.js";
import type { Settings, WebSocketLike } from "./options.js";

const SUBPROTOCOL = "keystay.v1";
const BROKEN = 1006;
const MALFORMED_FRAME = 4500;
export const NO_SESSION_IN_TIME = 4000;

/** Why a transport ended, or could not be opened. */
export interface Disconnected {
  /** The error for the program. */
  error: KeystayError;
  /** Whether reconnecting is pointless. */
  isFinal?: boolean;
  /** The delay that the server asked for. */
  retryAfterMs?: number | undefined;
  /** The close code to send, if the server did not close: 1000, or one of 3000 to 4999. */
  code?: number;
}

export interface TransportListener {
  opened(): void;
  received(message: Uint8Array | Reply | Event): void;
  /** Called once at most, and never after `close`. */
  ended(disconnected: Disconnected): void;
}

/** Carries messages to the server, from `opened` on. */
export interface Transport {
  send(message: Uint8Array): void;
  /** Close, and call the listener no more. */
  close(code?: number): void;
}

/** How many steps of promises may lie between a reply and the program that awaits it. */
const STEPS = 10;

export class WebSocketTransport implements Transport {
  private readonly _socket: WebSocketLike;
  private _turns = Promise.resolve();
  private _isClosed = false;

  /** @throws Whatever the WebSocket throws, if it does not accept the URL. */
  constructor(url: string, { WebSocket, maxMessageBytes }: Settings, listener: TransportListener) {
    const socket = (this._socket = new WebSocket(url, [SUBPROTOCOL]));
    let broken: Disconnected = { error: new ClientError("connectFailed", "the handshake failed") };
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      broken = { error: new ClientError("connectionLost", "the connection broke") };
      // A WebSocket that keeps to its standard fails the handshake itself. A page cannot tell that
      // from any other failure (SPEC section 1.1), and tries again. This is for the others.
      if (socket.protocol === SUBPROTOCOL) return listener.opened();
      const error = new ClientError("connectFailed", `the server does not support ${SUBPROTOCOL}`);
      listener.ended({ error, isFinal: true });
    };
    socket.onmessage = ({ data }) =>
      this._inTurn(() => {
        // Here, because in a browser a message cannot be bounded before it is complete.
        if (data.byteLength <= maxMessageBytes) listener.received(new Uint8Array(data));
        else listener.ended(disconnectedBy(malformed("a text message, or one too large")));
      });
    socket.onclose = ({ code, reason }) =>
      this._inTurn(() => listener.ended(code === BROKEN ? broken : closedByServer(code, reason)));
    // `onclose` follows. The package ws throws where there is no handler of errors.
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

  private _inTurn(process: () => void): void {
    this._turns = this._turns.then(async () => {
      if (!this._isClosed) process();
      for (let step = 0; step < STEPS; step++) await null;
    });
  }
}

/** Return how to disconnect after an error in what the server sent. */
export function disconnectedBy(
  error: KeystayError & { retryAfterMs?: number | undefined },
): Disconnected {
  if (error.code !== "malformedFrame") return { error, retryAfterMs: error.retryAfterMs };
  report(error); // Client or server has a defect, and the program continues.
  return { error, code: MALFORMED_FRAME };
}

/** Return what the close code of a server means. */
export function closedByServer(code: number, reason: string): Disconnected {
  const text = `close code ${code}${reason && `: ${reason}`}`;
  return {
    error: new ClientError("closedByServer", text, code, reason),
    isFinal: !mayReconnect(code),
  };
}
