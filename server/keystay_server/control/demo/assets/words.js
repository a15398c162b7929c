// What happened, in words. No page and no clock: both are the caller's.

import { nameOf } from "./person.js";

/** What an event says, given the session as it was before: a sentence, and a kind for its colour. */
export function wordsFor(name, data, before) {
  if (name === "session.set") return { kind: "set", text: changeOf(before, data) };
  if (name === "session.unset") return { kind: "unset", text: endOf(data).title };
  if (name === "chat.said") return { kind: "said", text: `The backend says: “${data?.text}”` };
  if (name === "inventory.granted")
    return { kind: "said", text: `The backend grants you: ${data?.item}` };
  return { kind: "said", text: `The backend sends: ${JSON.stringify(data)}` };
}

function changeOf(before, now) {
  if (before?.id !== now.id) return "Logged in. This window holds a session";
  if (nameOf(before) !== nameOf(now)) return `Your name is now ${nameOf(now)}`;
  if (JSON.stringify(before.meta) !== JSON.stringify(now.meta)) return "Its meta has changed";
  if (now.expiresAt > before.expiresAt) return "The session was used. Its life begins anew";
  return "The session is good. It is extended when it is used after a third of its time";
}

/**
 * How a session ended: a title, and what it means.
 *
 * `by` is who logged out: `here`, `offline` (here, and the server does not know yet) or
 * `elsewhere`.
 */
export function endOf({ reason }, by = "elsewhere") {
  if (reason === "loggedOut") return { title: "Logged out", text: LOGGED_OUT[by] };
  if (Object.hasOwn(ENDS, reason)) return ENDS[reason];
  return {
    title: reason === "banned" ? "Kicked: banned" : `Ended: ${reason}`,
    text: "The backend ended the session with this word for why, and the key opens nothing any more.",
  };
}

const LOGGED_OUT = {
  here: "By this window. Every other window of the session got that in the same moment.",
  offline:
    "By this window, at once. The server, and every other window, gets it when the line is back.",
  elsewhere: "By another window. This one did not ask: the server sent it.",
};

// By the reasons of the protocol. Any other one is a word of the backend's own.
const ENDS = {
  noSession: {
    title: "Not known to the server",
    text: "The server does not know this session any more: it started anew with a store that keeps nothing, or the session ended more than a day ago.",
  },
  invalidSessionKey: {
    title: "Not a key",
    text: "What this window kept has not the form of a key, so it opens no session.",
  },
  expired: {
    title: "Expired",
    text: "Nobody extended it before its time was over, so Keystay ended it and sent that to every window at once.",
  },
  replaced: {
    title: "Replaced",
    text: "The player opened another session, and may not have that many, so the oldest ended.",
  },
  revoked: {
    title: "Revoked",
    text: "The backend ended the session without a word of its own, or the store has lost it.",
  },
  reassigned: {
    title: "Given to another player",
    text: "The backend gave the session to another player, under a new key that this window does not have.",
  },
  badVersion: {
    title: "Of another version",
    text: "The session, or this page, is of another version of the application than the server takes.",
  },
};

/** 1:07 */
export function countdown(ms) {
  const s = Math.max(0, Math.ceil(ms / 1000));
  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
}

/** How long ago, as short as can be. */
export function since(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 2) return "now";
  if (s < 60) return `${s} s ago`;
  return s < 3600 ? `${Math.floor(s / 60)} min ago` : `${Math.floor(s / 3600)} h ago`;
}

/** A number of 32 bits that is made of a text, by FNV-1a: the same in every window. */
export function numberOf(text) {
  let number = 0x811c9dc5;
  for (const c of text) number = Math.imul(number ^ c.codePointAt(0), 0x01000193) >>> 0;
  return number;
}
