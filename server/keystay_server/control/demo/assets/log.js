// What this window received, newest first.

import { el, say } from "../../assets/element.js";
import { dateAndTime } from "../../assets/format.js";
import { serverNow } from "./clock.js";
import { since } from "./words.js";

const MAX_ENTRIES = 200;
const FEW = 3;

export class EventLog {
  #list = document.getElementById("received");
  #received = 0;

  /** Add an event. `cursor` is its place among those of its actor, null if it has none. */
  add({ kind, text, name, cursor, wasMissed }) {
    this.#received += 1;
    say(
      document.getElementById("received-count"),
      this.#received === 1 ? "1 event" : `${this.#received} events`,
    );
    this.#prepend(
      el(
        "li",
        { class: `event ${kind}` },
        el(
          "p",
          { class: "event-text" },
          text,
          wasMissed && " ", // For screen readers: the tag has a margin.
          wasMissed && el("span", { class: "tag missed" }, "missed, recovered"),
        ),
        this.#ago(),
        el(
          "p",
          { class: "event-more soft" },
          el("code", {}, name),
          cursor &&
            el(
              "span",
              { title: "The cursor: its place among this player's events" },
              `cursor ${cursor}`,
            ),
        ),
      ),
    );
  }

  /** Add what is no event: what was done here. */
  note(text, mood) {
    this.#prepend(el("li", { class: `note ${mood}` }, el("p", {}, text), this.#ago()));
  }

  tick() {
    for (const time of this.#list.querySelectorAll("time"))
      say(time, since(performance.now() - Number(time.dataset.at)));
  }

  #ago() {
    const title = dateAndTime(serverNow());
    return el("time", { class: "soft", "data-at": performance.now(), title }, "now");
  }

  #prepend(entry) {
    this.#list.prepend(entry);
    document.getElementById("received-next").hidden = this.#list.children.length > FEW;
    while (this.#list.children.length > MAX_ENTRIES) this.#list.lastElementChild.remove();
  }
}
