// All sessions of the player, and the ways out of them.

import { el, say } from "../../assets/element.js";
import { shortId } from "../../assets/format.js";
import { markOf } from "./card.js";
import { serverNow } from "./clock.js";
import { nameOf } from "./person.js";
import { countdown } from "./words.js";

const EVERY_MS = 2_000;
const PATIENCE_MS = 5_000;

export class SessionList {
  #outs = document.querySelectorAll("[data-scope]");
  #rows = document.getElementById("session-rows");
  #shown = [];
  #timer = 0;

  /**
   * `onOwn` is called with the session of this window, as the server has it; `onLogout` with a
   * scope, `onWindow` with `same` or `device`.
   */
  constructor({ client, backend, onOwn, onLogout, onWindow }) {
    this.client = client;
    this.backend = backend;
    this.onOwn = onOwn;
    for (const button of this.#outs)
      button.addEventListener("click", () => onLogout(button.dataset.scope));
    for (const button of document.querySelectorAll("[data-window]"))
      button.addEventListener("click", () => onWindow(button.dataset.window));
  }

  /** Ask now, and then again and again while somebody looks. */
  async watch() {
    clearTimeout(this.#timer);
    if (!document.hidden && this.client.state === "open" && this.client.session.current)
      await this.#ask().catch(() => {}); // It is asked again soon, and says nothing of its own.
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.watch(), EVERY_MS);
  }

  showLine(line) {
    // The client leaves this one without a line, and tells the server later.
    for (const button of this.#outs)
      button.disabled = line !== "live" && button.dataset.scope !== "this";
    const asOf = line === "live" ? "asked for every 2 s" : "as they were";
    say(document.getElementById("sessions-as-of"), asOf);
  }

  /** What depends on the time alone. */
  tick() {
    for (const { expiresAt, left } of this.#shown) say(left, countdown(expiresAt - serverNow()));
  }

  async #ask() {
    const options = { whenOffline: "fail", timeoutMs: PATIENCE_MS };
    const sessions = await this.client.session.list(options);
    const own = sessions.find((session) => session.current);
    if (!own) return;
    const holders = await this.backend.holders(own.actorId).catch(() => new Map());
    this.onOwn(own);
    say(document.getElementById("sessions-title"), `${nameOf(own)}’s sessions`);
    this.#shown = [];
    this.#rows.replaceChildren(
      ...sessions.map((session) => this.#row(session, holders.get(session.id) ?? 0)),
    );
    this.tick();
  }

  #row({ id, expiresAt, current }, windows) {
    const left = el("span", { class: "left-small" });
    this.#shown.push({ expiresAt, left });
    return el(
      "li",
      {},
      markOf(id),
      el("code", { title: id }, shortId(id).slice(0, 6)),
      el(
        "span",
        { class: "soft small" },
        windows === 1 ? "1 window" : `${windows || "no"} windows`,
      ),
      current && el("span", { class: "tag here" }, "this one"),
      left,
    );
  }
}
