// The sessions of the peers in Node: only a key and its end are kept.
import { randomBytes } from "node:crypto";

const TTL_MS = 1_800_000;
const expiresAt = new Map();

export function logIn() {
  const now = Date.now();
  const actorId = `anonymous-${randomBytes(8).toString("hex")}`;
  const key = `${actorId}:kst_${randomBytes(32).toString("base64url")}`;
  expiresAt.set(key, now + TTL_MS);
  const id = randomBytes(12).toString("base64url");
  const times = { createdAt: now, expiresAt: now + TTL_MS, endsAt: null };
  return { key, actorId, meta: {}, id, language: "en", version: null, ...times };
}

export function isLive(key) {
  return expiresAt.get(key) > Date.now();
}
