// What happened, in words. No page and no clock: both are the caller's.

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
  if (before.meta.name !== now.meta.name) return `Your name is now ${now.meta.name}`;
  if (JSON.stringify(before.meta) !== JSON.stringify(now.meta)) return "Its meta has changed";
  if (now.expiresAt > before.expiresAt) return "The session was used. Its life begins anew";
  return "This is how the session is now";
}

/** How a session ended: a title, and what is to know about it. */
export function endOf({ reason }, wasHere = false) {
  const known = {
    loggedOut: {
      title: "Logged out",
      text: wasHere
        ? "By this window. Every other one that held the session was told in the same moment."
        : "By another window. This one did not ask: it was told.",
    },
    expired: {
      title: "Expired",
      text: "It was not used for its time to live. Keystay ended it, and told every window at once.",
    },
    banned: {
      title: "Kicked: banned",
      text: "The backend ended the session, and its word for why came along. The key opens nothing any more.",
    },
  };
  return (
    known[reason] ?? {
      title: `Ended: ${reason}`,
      text: "The backend ended the session. This is its word for why.",
    }
  );
}

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
