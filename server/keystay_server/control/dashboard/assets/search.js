// What people put into the search field, and which actor they mean by it.

const SECRET = /:kst_[\w-]*$/;
const SESSION_ID = /^([\w-]+)\.[\w-]{16}$/;

const ACTOR = "#/actors/";
const SESSION = "/sessions/";

/** The address of an actor, or of one of its sessions, on this page. */
export function addressOf(actorId, sessionId = null) {
  const session = sessionId ? SESSION + encodeURIComponent(sessionId) : "";
  return ACTOR + encodeURIComponent(actorId) + session;
}

/** What an address shows: `{actorId, sessionId}`, each "" for none. */
export function placeOf(hash) {
  if (!hash.startsWith(ACTOR)) return { actorId: "", sessionId: "" };
  const [actor, session = ""] = hash.slice(ACTOR.length).split(SESSION);
  return { actorId: decoded(actor), sessionId: decoded(session) };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The session that is sought, "" if it is an actor. */
export function soughtSession(text) {
  const match = SESSION_ID.exec(text.trim());
  return match && actorIn(match[1]) ? text.trim() : "";
}

/**
 * The actor that is sought, "" for none: by its id, or by the id of one of its sessions, which names
 * it. Of a key that was pasted, which is a secret, the actor's id alone is left.
 */
export function soughtActor(text) {
  const sought = text.trim().replace(SECRET, "");
  const match = SESSION_ID.exec(sought);
  return (match && actorIn(match[1])) || sought;
}

function actorIn(encoded) {
  try {
    const bytes = Uint8Array.from(atob(encoded.replaceAll("-", "+").replaceAll("_", "/")), (c) =>
      c.charCodeAt(0),
    );
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return null; // It only looked like one.
  }
}
