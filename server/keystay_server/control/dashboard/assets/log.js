// What happens to the sessions of an actor, newest first.

import { el } from "./element.js";
import { dateAndTime, shortId, timeOfDay } from "./format.js";

const MAX_ENTRIES = 200;

const WORDS = {
  "session.set": "set",
  "session.unset": "ended",
  "feed.lost": "gap",
  sent: "sent",
};

/** The list of what happened. Only its newest entries are kept. */
export class EventLog {
  constructor() {
    this.list = el("ol", { class: "log", "aria-label": "Events, newest first" });
    this.empty = el(
      "p",
      { class: "empty" },
      "Nothing has happened since you opened this page. Every session that is opened, restored, changed or ended appears here at once.",
    );
    this.root = el("div", {}, this.empty, this.list);
  }

  /** Add an entry: a kind, when, what about, and a word more. */
  add(kind, at, { sessionId = null, more = "" }) {
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
          sessionId && el("code", { title: sessionId }, shortId(sessionId)),
          more && el("span", {}, more),
        ),
      ),
    );
    while (this.list.children.length > MAX_ENTRIES) this.list.lastElementChild.remove();
  }
}
