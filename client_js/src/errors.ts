/**
 * Everything that can go wrong, in one tree.
 *
 *     KeystayError
 *     +-- CommandError    the server refused a command (SPEC section 6), or did not answer in time
 *     +-- ClientError     what happened on the client's side
 *
 * `code` names the error; callbacks get it. No message contains a key or a token.
 */

/** The root of every error that Keystay throws on purpose. */
export class KeystayError extends Error {
  override name = "KeystayError";

  constructor(
    readonly code: string,
    message?: string,
  ) {
    super(message || code);
  }
}

/**
 * A command was refused. `code` is that of the reply: `noSession`, `expired`, a backend's own reason; or
 * `timeout`, after which it is unknown whether the command was executed.
 */
export class CommandError extends KeystayError {
  override name = "CommandError";
  /** How long to wait before trying again, where that helps. */
  readonly retryAfterMs: number | undefined;

  constructor(code: string, message?: string, retryAfterMs?: number) {
    super(code, message);
    this.retryAfterMs = retryAfterMs;
  }
}

export type ClientErrorCode =
  /** Connecting is not possible, and trying again will not change that. */
  | "connectFailed"
  /** The connection broke before the reply: it is unknown whether the command was executed. */
  | "connectionLost"
  /** The server closed the connection with a code that forbids to reconnect. */
  | "closedByServer"
  /**
   * The client is closed; `cause` says why if it failed. A login did not run; any other command may have,
   * if it was sent.
   */
  | "clientClosed"
  /** As many commands wait as `maxPending` allows. This one was not sent. */
  | "queueFull"
  /** There is no connection now, and the command was not to wait for one. */
  | "notConnected"
  /** The server broke the protocol: client or server has a defect. */
  | "malformedFrame";

/** Something that happened on the client's side. */
export class ClientError extends KeystayError {
  override name = "ClientError";
  declare readonly code: ClientErrorCode;
  /** With `closedByServer`: the code of SPEC section 7. */
  readonly closeCode: number | undefined;
  /** With `closedByServer`: the reason that the server sent, for people. */
  readonly reason: string | undefined;

  constructor(code: ClientErrorCode, message?: string, closeCode?: number, reason?: string) {
    super(code, message);
    this.closeCode = closeCode;
    this.reason = reason;
  }
}

/** Return the error for bytes or values that break the protocol. The text quotes none of them. */
export function malformed(why: string): ClientError {
  return new ClientError("malformedFrame", why);
}

/** Return the error for a command that a closed client does not send. */
export function clientClosed(cause: KeystayError | null): ClientError {
  const closed = new ClientError("clientClosed");
  if (cause) closed.cause = cause;
  return closed;
}

/** Return the error of a reply. */
export function errorFromReply(code: string, details: unknown): CommandError {
  const { message, retryAfter } = (details ?? {}) as Record<string, unknown>;
  const isWait = typeof retryAfter === "number" && retryAfter >= 0 && retryAfter < Infinity;
  return new CommandError(
    code,
    typeof message === "string" ? message : "",
    isWait ? retryAfter * 1000 : undefined,
  );
}

const KEEP_THE_KEY =
  "sessionLimit loginFailed loginDisabled invalidParams unknownCommand rateLimited unavailable timeout internal";

/**
 * Return whether the session is over if a restore is refused with this. After other errors it may still
 * be live; after codes of a later version, if they say when to try again (SPEC sections 8 and 9).
 */
export function endsSession({ code, retryAfterMs }: CommandError): boolean {
  return retryAfterMs === undefined && !KEEP_THE_KEY.split(" ").includes(code);
}
