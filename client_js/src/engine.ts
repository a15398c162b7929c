/**
 * The seam between what a program holds and what speaks for it: a connection of this tab's own
 * (`connection.ts`), or anything else that can carry commands and tell news.
 */
import type { KeystayError } from "./errors.js";
import type { CallOptions } from "./options.js";
import type { Session } from "./session.js";

/** How things stand with the connection. */
export type State =
  /** Not yet connected for the first time. */
  | "connecting"
  | "open"
  /**
   * The line was lost, and is opened again; commands wait. Or the server closed it, because nobody
   * had logged in for long (4000): then the next command opens it again, or `opened()`.
   */
  | "reconnecting"
  /** For good: by the program, or because the server cannot be had (`error`). */
  | "closed";

/** Who hears of news. Both are called when the engine is already as they say. */
export interface Listener {
  /** An event, in order; `data` is a `Session` for `session.set`. */
  event(name: string, data: unknown, cursor: number | null): void;
  /** `state` has changed. */
  state(): void;
}

export interface Engine {
  readonly state: State;
  /** Why it is closed, if it was not the program that closed it. */
  readonly error: KeystayError | null;
  /** As the server told it last. */
  readonly session: Session | null;
  /** The key of the session, or the one that is about to be restored. */
  readonly key: string | null;
  /** Whether the session was last taken up without a gap; null until it was. */
  readonly recovered: boolean | null;

  /**
   * Give a command of SPEC section 3; given in order, carried out in order. A restore is given the
   * key alone: cursor and version are the engine's to add. Sessions come out as `Session`.
   *
   * @throws KeystayError (the promise)
   */
  command(method: string, params: unknown[], options?: CallOptions): Promise<unknown>;

  /**
   * Speak for this key from the next command on.
   *
   * @throws CommandError `invalidSessionKey`
   */
  adopt(key: string): void;

  /** Connect, if the server closed the line as of no use and nothing has asked for one since. */
  connect(): void;

  /** End for good. What waits is rejected with `clientClosed`, or `connectionLost`. */
  close(): void;
}
