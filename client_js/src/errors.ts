/**
 * Everything that can go wrong, in one tree.
 *
 *     KeystayError
 *     +-- CommandError    the server refused a command (SPEC section 6), or did not answer in time
 *     +-- ClientError     what happened on this side of the line
 *
 * `code` says what; it is also what a callback is given. No text holds a key or a token.
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
 * A command was refused. `code` is what the wire carries: `noSession`, `expired`, a backend's own
 * word; or `timeout`, after which it is unknown whether the command was carried out.
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
  /** There is no connection to be had, and trying again will not change that. */
  | "connectFailed"
  /** The line broke while the command was on its way: it is unknown whether it was carried out. */
  | "connectionLost"
  /** The server closed the connection with a code that says: do not come back as you are. */
  | "closedByServer"
  /**
   * The client is closed; `cause` says why if it failed. A login did not run; any other command
   * perhaps did, if it was on its way.
   */
  | "clientClosed"
  /** As many commands wait as `maxPending` allows. This one was not sent. */
  | "queueFull"
  /** There is no line now, and the command was not to wait for one. */
  | "notConnected"
  /** The server broke the protocol: one of the two has a defect. */
  | "malformedFrame";

/** Something that happened on this side of the line. */
export class ClientError extends KeystayError {
  override name = "ClientError";
  declare readonly code: ClientErrorCode;
  /** With `closedByServer`: the code of SPEC section 7. */
  readonly closeCode: number | undefined;
  /** With `closedByServer`: the server's words, for people. */
  readonly reason: string | undefined;

  constructor(code: ClientErrorCode, message?: string, closeCode?: number, reason?: string) {
    super(code, message);
    this.closeCode = closeCode;
    this.reason = reason;
  }
}

/** Make the error for bytes or values that break the protocol. The text quotes none of them. */
export function malformed(why: string): ClientError {
  return new ClientError("malformedFrame", why);
}

/** Make the error for a command that a closed client does not carry out. */
export function clientClosed(cause: KeystayError | null): ClientError {
  const closed = new ClientError("clientClosed");
  if (cause) closed.cause = cause;
  return closed;
}

/** Build the error that a reply carries. */
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
 * Tell whether a restore that is refused with this says that the session is over. After any other
 * refusal it may well live: of codes of a later version, after those that say when to try again
 * (SPEC sections 8 and 9).
 */
export function endsSession({ code, retryAfterMs }: CommandError): boolean {
  return retryAfterMs === undefined && !KEEP_THE_KEY.split(" ").includes(code);
}
