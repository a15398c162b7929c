// What happens to the sessions of an actor, newest first.

import { el } from "./element.js";
import { dateAndTime, shortId, timeOfDay } from "./format.js";
import { addressOf } from "./search.js";

const MAX_ENTRIES = 200;

const WORDS = {
  "session.set": "set",
  "session.unset": "ended",
  "feed.lost": "gap",
  sent: "sent",
};

// Who ended a session, by the reasons of the protocol; every other one is a word of a backend.
const ENDED_BY = {
  expired: "by its deadline",
  loggedOut: "by its user",
  replaced: "by another login",
  reassigned: "by a backend",
  badVersion: "by its version",
};

/** Why a session has ended, and who ended it. */
export const whyEnded = (reason) => `${reason}, ${ENDED_BY[reason] ?? "by a backend"}`;

const HINT =
  "Nothing is known to have happened. Every session that is created, changed or ended appears here at once.";

/** The list of what happened. Only its newest entries are kept. */
export class EventLog {
  constructor() {
    this.list = el("ol", { class: "log", "aria-label": "Events, newest first" });
    this.empty = el(
      "p",
      { class: "empty" },
      HINT,
    );
    this.root = el("div", {}, this.empty, this.list);
  }

  /** Add an entry: a kind, when, whose and which session, and a word more. */
  add(kind, at, { actorId = null, sessionId = null, more = "" }) {
    this.empty.hidden = true;
    this.list.prepend(
      el(
        "li",
        { "data-kind": kind },
        el("time", { title: dateAndTime(at) }, timeOfDay(at)),
        el("span", { class: "tag" }, WORDS[kind] ?? kind),
        el(
          "span",
          { class: "log-what" },
          actorId && el("a", { href: addressOf(actorId, sessionId) }, actorId),
          sessionId && el("code", { title: sessionId }, shortId(sessionId)),
          more && el("span", {}, more),
        ),
      ),
    );
    while (this.list.children.length > MAX_ENTRIES) this.list.lastElementChild.remove();
  }
}
