/**
 * The commands of a client, and their results (SPEC section 3).
 */
import { encode, isCursor } from "./codec.js";
import { CommandError, malformed } from "./errors.js";
import { readSession, type Session } from "./session.js";

export const IS_VALID = "session.isValid";
export const RESTORE = "session.restore";
export const LOGIN = "session.login";
export const LOGOUT = "session.logout";
export const LIST = "session.list";
export const SUBSCRIBE = "events.subscribe";
export const UNSUBSCRIBE = "events.unsubscribe";
export const NOW = "time.now";
/** Sent to the tab that has the connection: end the session of this key. */
export const END_SESSION = "endSession";

/** The result of a restore or a login. */
export interface BoundResult {
  session: Session;
  cursor: number | null;
}

/** Whether a logout with these parameters ends all sessions of the actor. */
export const isScopeAll = ([options]: unknown[]) => (options as any)?.scope === "all";

/** Whether a logout with these parameters ends the session that the connection is bound to. */
export const endsOwnSession = (params: unknown[]) => !params.length || isScopeAll(params);

/**
 * Check parameters that begin with a key: a storage may return anything, and the next transport must
 * not fail on it.
 *
 * @throws CommandError `invalidSessionKey`, if the key cannot be sent.
 */
export function checkRestore(params: unknown[]): void {
  try {
    if (typeof params[0] === "string") return void encode(0, RESTORE, params);
  } catch {
    // Cut: the program gets the same error.
  }
  throw new CommandError("invalidSessionKey", "the key cannot be sent");
}

/**
 * Read the result of a command: a `BoundResult`, sessions, paths, a number or nothing.
 *
 * @throws ClientError `malformedFrame`
 */
export function readResult(method: string, result: any): unknown {
  switch (method) {
    case RESTORE:
    case LOGIN: {
      const session = readSession(result?.session, true);
      const cursor = result.cursor ?? null;
      if (cursor === null || isCursor(cursor)) return { session, cursor } satisfies BoundResult;
      break;
    }
    case LOGOUT:
    case IS_VALID:
      return undefined;
    case LIST:
      if (Array.isArray(result)) return result.map((wire) => readSession(wire));
      break;
    case SUBSCRIBE:
    case UNSUBSCRIBE:
      if (Array.isArray(result) && result.every((path) => typeof path === "string")) return result;
      break;
    case NOW:
      if (Number.isInteger(result)) return result;
  }
  throw malformed(`not a result of ${method}`);
}
