// The session of this window, how long it has, and, when it is over, why.

import { el, say, svg } from "../../assets/element.js";
import { dateAndTime, duration, shortId } from "../../assets/format.js";
import { serverNow } from "./clock.js";
import { copy } from "./copy.js";
import { nameOf } from "./person.js";
import { countdown, endOf, numberOf, since } from "./words.js";

const SOON_MS = 30_000;

const part = (id) => document.getElementById(id);

export class SessionCard {
  #session = null;
  #fullMs = 0;
  #line = "waiting";
  #key = null;
  #isSoon = false;

  /**
   * `isExtended`: whether an open line extends the session by itself. `onSoon` is called when it is
   * about to expire, the others when their buttons are pressed.
   */
  constructor({ isExtended, onUse, onAgain, onLeave, onSoon }) {
    this.isExtended = isExtended;
    this.onSoon = onSoon;
    part("use").hidden = isExtended;
    part("use").addEventListener("click", onUse);
    part("again").addEventListener("click", onAgain);
    part("leave").addEventListener("click", onLeave);
  }

  /** Show this session. Its life may have begun anew. */
  show(session, key) {
    const leftMs = session.expiresAt - serverNow();
    this.#fullMs = session.id === this.#session?.id ? Math.max(leftMs, this.#fullMs) : leftMs;
    this.#session = session;
    say(part("player"), nameOf(session));
    say(part("actor"), session.actorId);
    this.#showId(session.id);
    part("opened").title = dateAndTime(session.createdAt);
    part("alive").hidden = false;
    part("ended").hidden = true;
    this.#showDigest(key);
    this.tick();
  }

  /** How the line is: without one, a session cannot be used. */
  showLine(line) {
    this.#line = line;
    part("use").disabled = line !== "live";
    part("again").disabled = part("leave").disabled = line === "cut";
  }

  /** It has ended: why, and the way back in, as `name`. */
  end(data, { by, name }) {
    const { title, text } = endOf(data, by);
    this.#session = null;
    say(part("end-title"), title);
    say(part("end-text"), text);
    say(part("end-reason"), data.reason);
    say(part("again"), `Log in again as ${name}`);
    part("alive").hidden = true;
    part("ended").hidden = false;
    part("end-title").focus();
  }

  /** What depends on the time alone. */
  tick() {
    if (!this.#session) return;
    const leftMs = this.#session.expiresAt - serverNow();
    const spent = 1 - Math.min(1, Math.max(0, leftMs / this.#fullMs));
    const round = 2 * Math.PI * part("ring").r.baseVal.value;
    part("ring").setAttribute("stroke-dasharray", round);
    part("ring").setAttribute("stroke-dashoffset", round * spent);
    say(part("left"), countdown(leftMs));
    say(part("life"), this.#lifeOf(leftMs));
    say(part("opened"), since(serverNow() - this.#session.createdAt));
    this.#warn(leftMs < SOON_MS);
  }

  #warn(isSoon) {
    part("dial").classList.toggle("soon", isSoon);
    if (isSoon && !this.#isSoon && !this.isExtended) this.onSoon();
    this.#isSoon = isSoon;
  }

  #lifeOf(leftMs) {
    if (this.#line === "cut" && leftMs <= 0)
      return "It has expired by now. This window gets that when the line is mended.";
    if (this.#line === "cut") return "Nobody extends it while the line is cut.";
    if (this.isExtended)
      return `The open line extends it by itself. Without one it has ${duration(this.#fullMs)}.`;
    return "Unused, it ends at 0:00, and this window gets that at once.";
  }

  #showId(id) {
    if (part("session-id").dataset.id === id) return;
    part("session-id").dataset.id = id;
    const button = el(
      "button",
      {
        type: "button",
        class: "quiet copy",
        "aria-label": `Copy: ${id}`,
        onclick: () => copy(button, id),
      },
      "Copy",
    );
    // Its actor, which comes first, is shown already; the rest tells it from others.
    const short = `${id.slice(0, 3)}…${shortId(id)}`;
    part("session-id").replaceChildren(markOf(id), el("code", { title: id }, short), button);
  }

  async #showDigest(key) {
    if (key === null || key === this.#key) return;
    this.#key = key;
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(key));
    const first = [...new Uint8Array(digest, 0, 8)];
    const hex = first.map((byte) => byte.toString(16).padStart(2, "0"));
    say(part("digest"), `${hex.join(" ")} …`);
  }
}

/** The mark of a session, five by five and symmetric: two windows of one have the same. */
export function markOf(id) {
  const number = numberOf(id);
  let path = "";
  for (let n = 0; n < 15; n++) {
    const x = n % 3;
    const y = Math.floor(n / 3);
    if ((number >> n) & 1) path += `M${x} ${y}h1v1h-1zM${4 - x} ${y}h1v1h-1z`;
  }
  const mark = svg(
    "svg",
    { class: "mark", viewBox: "-1 -1 7 7", "aria-hidden": "true" },
    svg("path", { d: path }),
  );
  mark.style.setProperty("--hue", (number >>> 15) % 360);
  return mark;
}
