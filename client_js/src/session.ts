/**
 * The session as the program sees it (SPEC section 4).
 */
import { malformed } from "./errors.js";

export const SESSION_SET = "session.set";
export const SESSION_UNSET = "session.unset";
/** The event that a program gets from the client itself when a session was resumed. */
export const SESSION_RECOVERED = "session.recovered";

/** One actor being logged in. Times are Unix milliseconds by the server's clock. */
export interface Session {
  /**
   * The secret; null in a list. Not enumerable: it is in no log, no JSON and no copy of the session, unless
   * it is read by name.
   */
  readonly key: string | null;
  readonly actorId: string;
  /** Public variables that the backend gave the session. */
  readonly meta: Record<string, any>;
  /** Names the session in lists and logs; not a secret. */
  readonly id: string;
  /** BCP 47. */
  readonly language: string;
  /** The version of the application that created it. */
  readonly version: string | null;
  readonly createdAt: number;
  /** It expires then, unless it is extended before. */
  readonly expiresAt: number;
  /** It ends then, however often it is extended. */
  readonly endsAt: number | null;
  /** Whether it is the session of this client: in a list, one is. */
  readonly current: boolean;
}

/** The data of `session.unset`; `scope` is that of a logout without a connection. */
export interface Unset {
  reason: string;
  id?: string | null;
  scope?: string;
}

const isNull = (value: unknown) => value === null;
const is = (type: string) => (value: unknown) => typeof value === type;
const isNumber = is("number");
const isString = is("string");
const isStringOrNull = (value: unknown) => isNull(value) || isString(value);
export const isMap = (value: unknown) =>
  is("object")(value) && !isNull(value) && !Array.isArray(value);

const FIELDS: Record<string, (value: unknown) => boolean> = {
  key: (value) => isStringOrNull(value ?? null),
  actorId: isString,
  meta: isMap,
  id: isString,
  language: isString,
  version: isStringOrNull,
  createdAt: isNumber,
  expiresAt: isNumber,
  endsAt: (value) => isNull(value) || isNumber(value),
};

/**
 * Read the map of SPEC section 4. Fields of a later version are ignored.
 *
 * @param isOwn Whether the connection is bound to it.
 * @throws ClientError `malformedFrame`
 */
export function readSession(wire: any, isOwn = false): Session {
  const session: Record<string, unknown> = { current: isOwn || wire?.current === true };
  for (const field in FIELDS) {
    if (!FIELDS[field]!((session[field] = wire?.[field]))) {
      throw malformed("a session lacks a field or has a wrong one");
    }
  }
  return withKey(session as unknown as Session, wire.key ?? null);
}

/** Return what `readSession` reads, with the key enumerable: for another tab. */
export function writeSession(session: Session): object {
  return { ...session, key: session.key };
}

/** Copy the session, with this key. */
export function withKey(session: Session, key: string | null): Session {
  return Object.defineProperty({ ...session }, "key", { value: key, enumerable: false });
}
