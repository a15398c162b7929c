// What happens to the sessions of all actors, on the first page.

import { serverNow } from "./api.js";
import { writeEvent } from "./dialogs.js";
import { announce, say } from "./element.js";
import { follow } from "./feed.js";
import { EventLog, whyEnded } from "./log.js";

/** Follows the feed of all actors while the first page is shown. */
export class Activity {
  constructor() {
    this.log = new EventLog();
    this.state = document.getElementById("activity-state");
    document.getElementById("activity").append(this.log.root);
    document.getElementById("broadcast").addEventListener("click", () => this.#broadcast());
  }

  /** Follow until `close`. */
  open() {
    if (this.leaving) return;
    this.leaving = new AbortController();
    this.#follow(this.leaving.signal);
  }

  close() {
    this.leaving?.abort();
    this.leaving = null;
  }

  async #follow(signal) {
    const hasFeed = await follow(null, {
      signal,
      onState: (state) => this.#show(state, state === "live" ? "live" : "trying again"),
      onEvent: (name, data) => this.#happened(name, data),
    });
    if (!hasFeed) this.#show("waiting", "this server keeps no feed");
  }

  #show(state, word) {
    this.state.dataset.state = state;
    say(this.state, word);
  }

  #happened(name, data) {
    if (name === "session.set") {
      const { actorId, id, revision } = data.session;
      const more = revision === 1 ? "created" : "changed";
      this.log.add(name, data.at, { actorId, sessionId: id, more });
    } else if (name === "session.unset")
      this.log.add(name, data.at, { actorId: data.actorId, sessionId: data.id, more: whyEnded(data.reason) });
    else if (name === "feed.lost")
      this.log.add(name, serverNow(), { more: "some events may be missing here" });
  }

  async #broadcast() {
    const name = await writeEvent();
    if (name === null) return;
    this.log.add("sent", serverNow(), { more: `${name}, to everybody` });
    announce(`Event ${name} was sent`);
  }
}
