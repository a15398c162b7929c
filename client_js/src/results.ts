/**
 * What commands result in (SPEC section 3).
 */
import { IS_VALID, LIST, LOGIN, LOGOUT, NOW, RESTORE, SUBSCRIBE, UNSUBSCRIBE } from "./calls.js";
import { isCursor } from "./codec.js";
import { malformed } from "./errors.js";
import { readSession, type Session } from "./session.js";

/** What a restore or a login results in. */
export interface Taken {
  session: Session;
  cursor: number | null;
}

/**
 * Read the result of a command: a `Taken`, sessions, paths, a number or nothing.
 *
 * @throws ClientError `malformedFrame`
 */
export function readResult(method: string, result: any): unknown {
  switch (method) {
    case RESTORE:
    case LOGIN: {
      const session = readSession(result?.session);
      const cursor = result.cursor ?? null;
      if (cursor === null || isCursor(cursor)) return { session, cursor } satisfies Taken;
      break;
    }
    case LOGOUT:
    case IS_VALID:
      return undefined;
    case LIST:
      if (Array.isArray(result)) return result.map(readSession);
      break;
    case SUBSCRIBE:
    case UNSUBSCRIBE:
      if (Array.isArray(result) && result.every((path) => typeof path === "string")) return result;
      break;
    case NOW:
      if (Number.isInteger(result)) return result;
  }
  throw malformed(`a result that ${method} does not have`);
}
