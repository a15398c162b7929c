/**
 * Frames to bytes and back (SPEC section 2). The only module that imports @msgpack/msgpack.
 *
 * Invariant: whatever bytes come in, `decode` returns a frame that a server may send,
 * or throws `malformedFrame`.
 */
import { Encoder } from "@msgpack/msgpack";
import { CommandError, malformed } from "./errors.js";
import { unpack } from "./unpack.js";

export type Reply = [type: 1, id: number, error: string | null, result: unknown];
export type Event = [type: 2, name: string, [data: unknown, cursor: number | null]];

export const MAX_ID = 2 ** 32 - 1;

/** The largest message that a server accepts, in bytes (SPEC section 2.3). */
const MAX_SIZE = 65536;

const LONE_SURROGATE = /(?:^|[^\\])(?:\\\\)*\\ud[89a-f]/;

// A scalar counts as a level here, so the limit is a little below the server's.
const encoder = new Encoder({ maxDepth: 17, ignoreUndefined: true });

/**
 * Write a command.
 *
 * @throws CommandError `invalidParams`, if the server could not read it and would disconnect.
 */
export function encode(id: number, method: string, params: unknown[]): Uint8Array {
  let message: Uint8Array | undefined;
  try {
    // JSON escapes what is not valid UTF-8; the encoder writes it as it is.
    if (!LONE_SURROGATE.test(JSON.stringify(params))) {
      message = encoder.encode([0, id, method, params]);
    }
  } catch {
    // Cut, not chained: the cause may quote what it could not encode.
  }
  if (!message || message.length > MAX_SIZE) {
    throw new CommandError(
      "invalidParams",
      message
        ? `a command is at most ${MAX_SIZE} bytes`
        : "the parameters cannot be encoded as MessagePack",
    );
  }
  return message;
}

/**
 * Read what a server sent.
 *
 * @throws ClientError `malformedFrame`
 */
export function decode(bytes: Uint8Array): Reply | Event {
  const frame = unpack(bytes);
  if (isFrame(frame)) return frame;
  throw malformed("neither a reply nor an event");
}

/** Tell whether a server may send this. */
export function isFrame(frame: unknown): frame is Reply | Event {
  return Array.isArray(frame) && (isReply(frame) || isEvent(frame));
}

/** Tell whether this may be a cursor (SPEC section 2.1). */
export function isCursor(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isReply(frame: unknown[]): frame is Reply {
  const [type, id, error] = frame;
  return (
    type === 1 &&
    frame.length === 4 &&
    isCursor(id) &&
    id <= MAX_ID &&
    (error === null || typeof error === "string")
  );
}

function isEvent(frame: unknown[]): frame is Event {
  const [type, name, body] = frame;
  return (
    type === 2 &&
    frame.length === 3 &&
    typeof name === "string" &&
    Array.isArray(body) &&
    body.length === 2 &&
    (body[1] === null || isCursor(body[1]))
  );
}
