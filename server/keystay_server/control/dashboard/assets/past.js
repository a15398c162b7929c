// What had happened to an actor before the page was opened, as far as its history reaches.

import { ask, ofActor } from "./api.js";
import { whyEnded } from "./log.js";

/** Add it to the log. */
export async function showPast(log, actorId, signal) {
  let answer;
  try {
    answer = await ask("GET", ofActor(actorId, "events"), { signal });
  } catch {
    return; // What reads the sessions shows what is wrong.
  }
  for (const { at, name, sessionId, data } of answer.events) {
    if (name === "session.set") log.add(name, at, { sessionId });
    else if (name === "session.unset") log.add(name, at, { sessionId, more: whyEnded(data.reason) });
    else log.add("sent", at, { sessionId, more: name });
  }
}
