/**
 * The golden vectors of the protocol, and messages like those in them.
 */
import { readFileSync } from "node:fs";
import { pack } from "./peers.js";

export const KEY = "player:7:kst_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
export const OTHER_KEY = "player:7:kst_BBECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
export const CURSOR = 1802240000000000;

export const vectors = (file) =>
  JSON.parse(readFileSync(new URL(`../../protocol/vectors/${file}.json`, import.meta.url))).vectors;

export const bytesOf = ({ hex }) =>
  Uint8Array.from(
    Buffer.from(
      []
        .concat(hex)
        .map((piece) => (Array.isArray(piece) ? piece[0].repeat(piece[1]) : piece))
        .join(""),
      "hex",
    ),
  );

export const valueOf = (json) => {
  if (Array.isArray(json)) return json.map(valueOf);
  if (json === null || typeof json !== "object") return json;
  if ("$bytes" in json) return Uint8Array.from(Buffer.from(json.$bytes, "hex"));
  if ("$integer" in json) return Number(json.$integer);
  if ("$float" in json) return Number(json.$float);
  if ("$timestamp" in json) return new Date(json.$timestamp[0] * 1000 + json.$timestamp[1] / 1e6);
  if ("$repeat" in json) {
    const [value, times] = json.$repeat;
    return typeof value === "string" ? value.repeat(times) : Array(times).fill(valueOf(value)).flat();
  }
  return Object.fromEntries(Object.entries(json).map(([key, value]) => [key, valueOf(value)]));
};

/** The session of the vectors, as it is on the wire. */
export const wireSession = (changes = {}) => ({
  key: KEY,
  actorId: "player:7",
  meta: {},
  id: "cGxheWVyOjc.Vt0mQ1yXc2nP8aLk",
  language: "en",
  version: null,
  createdAt: 1760000000000,
  expiresAt: 1760001800000,
  endsAt: null,
  ...changes,
});

export const event = (name, data, cursor = null) => pack([2, name, [data, cursor]]);
export const sessionSet = (cursor = CURSOR, changes = {}) =>
  event("session.set", wireSession(changes), cursor);
export const sessionUnset = (reason, cursor, changes = {}) =>
  event("session.unset", { reason, id: wireSession(changes).id }, cursor);
export const done = (id, result = null) => pack([1, id, null, result]);
export const refused = (id, code, details = null) => pack([1, id, code, details]);
export const bound = (id, cursor = CURSOR, { recovered = false, ...changes } = {}) =>
  done(id, { session: wireSession(changes), cursor, recovered });
/** What a restore sends: the session, without a cursor, and the reply. */
export const restored = (id, cursor = CURSOR, { recovered = false, ...changes } = {}) => [
  sessionSet(null, changes),
  bound(id, cursor, { recovered, ...changes }),
];
