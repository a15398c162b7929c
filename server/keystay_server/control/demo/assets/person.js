// A player and their name. Anything may be typed, or come from a shell; what is shown can be seen.

// Control characters, halves of characters, and what turns the direction of the text around it.
const UNSEEN = /[\s\p{Cc}\p{Cs}\p{Bidi_Control}]+/gu;
const SEEN = /[\p{L}\p{N}\p{P}\p{S}]/u;

/**
 * The name that was typed. The fields take 32 characters, which are 96 bytes at most: with
 * `player:` before them, they fit into the 128 that an actor may have.
 *
 * Throws an Error with words for people if there is nothing to be seen of it.
 */
export function nameIn(text) {
  const name = seen(text);
  if (!name) throw new Error("A name has at least one letter, digit or sign.");
  return name;
}

export const personCalled = (name) => ({ actorId: `player:${name.toLowerCase()}`, name });

/** What a session's player is called. */
export const nameOf = ({ actorId, meta }) => seen(String(meta.name ?? "")) || actorId;

function seen(text) {
  const name = text.replace(UNSEEN, " ").trim();
  return SEEN.test(name) ? name : "";
}

const WHO = "keystay.demo.who";
let last = null; // For a browser that keeps nothing.

/** Keep who was logged in last, for this window and those that it opens. */
export function remember(person) {
  last = person;
  try {
    sessionStorage.setItem(WHO, JSON.stringify(person));
  } catch {
    // Storage may be forbidden here. Then it lasts as long as the page.
  }
}

/** Who was logged in last, in this window or in the one that opened it. */
export function lastSeen() {
  try {
    return JSON.parse(sessionStorage.getItem(WHO)) ?? last ?? personCalled("Ada");
  } catch {
    return last ?? personCalled("Ada");
  }
}
