// The sessions of an actor as cards, each with the connections that hold it.

import { serverNow } from "./api.js";
import { el, say } from "./element.js";
import { ago, dateAndTime, duration, shortId } from "./format.js";

const SOON_MS = 60_000;

/** One session. The card stays the same element while the session lives: focus and folds are kept. */
export class SessionCard {
  /** `onEnd`, `onEmit` and `onMeta` are called with the session. */
  constructor(session, { onEnd, onEmit, onMeta }) {
    const name = shortId(session.id);
    this.fields = Object.fromEntries(
      ["Created", "Expires", "Ends at the latest", "Language", "Version", "Revision"].map(
        (label) => [label, el("dd")],
      ),
    );
    this.expires = this.fields.Expires;
    this.meta = el("dl", {
      class: "meta",
      tabindex: "0",
      role: "group",
      "aria-label": `Meta of session ${name}`,
    });
    this.noMeta = el("p", { class: "soft small" }, "No meta.");
    this.connections = el("ul", {
      class: "connections",
      "aria-label": `Connections of session ${name}`,
    });
    this.summary = el("span", { class: "state" });
    const copy = el(
      "button",
      { type: "button", class: "quiet copy", "aria-label": `Copy the id of session ${name}` },
      "Copy id",
    );
    copy.addEventListener("click", () => copyId(copy, session.id));
    this.title = el("h3", { title: session.id, tabindex: "-1" }, el("code", {}, name));
    this.root = el(
      "li",
      { class: "panel session" },
      el(
        "div",
        { class: "session-head" },
        this.title,
        this.summary,
        copy,
      ),
      el(
        "dl",
        { class: "facts" },
        ...Object.entries(this.fields).map(([label, dd]) => el("div", {}, el("dt", {}, label), dd)),
      ),
      this.meta,
      this.noMeta,
      this.connections,
      el(
        "div",
        { class: "actions" },
        el(
          "button",
          {
            type: "button",
            onclick: () => onEmit(this.session),
            "aria-label": `Send an event to session ${name}`,
          },
          "Send event…",
        ),
        el(
          "button",
          {
            type: "button",
            onclick: () => onMeta(this.session),
            "aria-label": `Change the meta of session ${name}`,
          },
          "Change meta…",
        ),
        el(
          "button",
          {
            type: "button",
            class: "danger-quiet",
            onclick: () => onEnd(this.session),
            "aria-label": `End session ${name}`,
          },
          "End session…",
        ),
      ),
    );
    this.update(session);
    this.updateConnections(null);
  }

  update(session) {
    this.session = session;
    const has = Object.keys(session.meta).length > 0;
    this.meta.hidden = !has;
    this.noMeta.hidden = has;
    this.#showMeta(session.meta);
    this.fields.Created.title = dateAndTime(session.createdAt);
    this.expires.title = dateAndTime(session.expiresAt);
    say(
      this.fields["Ends at the latest"],
      session.endsAt === null ? "no bound" : dateAndTime(session.endsAt),
    );
    say(this.fields.Language, session.language);
    say(this.fields.Version, session.version ?? "none");
    say(this.fields.Revision, String(session.revision ?? "–"));
    this.tick();
  }

  #showMeta(meta) {
    const state = JSON.stringify(meta);
    if (state === this.shownMeta) return;
    this.shownMeta = state;
    const words = (value) => (typeof value === "string" ? value : JSON.stringify(value));
    this.meta.replaceChildren(
      ...Object.entries(meta).map(([name, value]) =>
        el("div", {}, el("dt", {}, name), el("dd", {}, words(value))),
      ),
    );
  }

  /** What depends on the time alone. */
  tick() {
    const left = this.session.expiresAt - serverNow();
    say(this.fields.Created, ago(serverNow() - this.session.createdAt));
    say(this.expires, left > 0 ? `in ${duration(left)}` : "now");
    this.expires.classList.toggle("soon", left < SOON_MS);
    for (const since of this.connections.querySelectorAll("[data-since]"))
      say(since, `for ${duration(serverNow() - Number(since.dataset.since))}`);
  }

  /** Those of `GET .../connections` that are this session's; null if that is not known (yet). */
  updateConnections(all) {
    const own = (all ?? []).filter((connection) => connection.sessionId === this.session.id);
    this.summary.dataset.state = own.length ? "live" : "waiting";
    say(
      this.summary,
      all === null
        ? "looking for connections"
        : own.length === 1
          ? "1 connection"
          : own.length
            ? `${own.length} connections`
            : "not connected",
    );
    const state = JSON.stringify(own);
    if (state === this.shown) return;
    this.shown = state;
    this.connections.replaceChildren(
      ...own.map(({ node, address, since }) =>
        el(
          "li",
          {},
          el("code", {}, address || "unknown address"),
          el("span", {}, "on node ", el("code", {}, node)),
          el(
            "span",
            { class: "soft", "data-since": since, title: dateAndTime(since) },
            `for ${duration(serverNow() - since)}`,
          ),
        ),
      ),
    );
  }
}

async function copyId(button, id) {
  try {
    await navigator.clipboard.writeText(id);
    say(button, "Copied");
  } catch {
    say(button, "Not allowed here"); // The clipboard is for pages over TLS or on loopback.
  }
  setTimeout(() => say(button, "Copy id"), 1500);
}
