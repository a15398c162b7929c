// One actor: its sessions, who holds them, what happens to them, and what can be done about it.

import { ask, ofActor, ofSession, Refused, serverNow } from "./api.js";
import { changeMeta, confirmEnd, writeEvent } from "./dialogs.js";
import { announce, el, say } from "./element.js";
import { follow } from "./feed.js";
import { shortId } from "./format.js";
import { EventLog, whyEnded } from "./log.js";
import { showPast } from "./past.js";
import { SessionCard } from "./sessions.js";
import { pause } from "./waiting.js";

const SESSIONS_EVERY_MS = 2000;
const WITHOUT_FEED_MS = 1000;
const CONNECTIONS_EVERY_MS = 2000;
const SETTLE_MS = 60;
const PAGE = 100;
const MAX_SINGLES = 20;

/** The view of an actor; it is live from `open` to `close`. */
export class ActorView {
  constructor(actorId, sessionId = "") {
    this.actorId = actorId;
    this.pages = 1;
    // Sessions that are shown although they are on none of the pages shown, newest last.
    this.singles = new Set();
    this.leaving = new AbortController();
    this.cards = new Map();
    this.known = null;
    this.log = new EventLog();
    this.followed = false;
    this.title = el("h1", { tabindex: "-1" }, el("code", {}, actorId));
    this.summary = el("p", { class: "soft", role: "status" }, "Looking…");
    this.notice = el("p", { class: "notice", hidden: true, role: "alert" });
    this.list = el("ul", { class: "sessions", "aria-label": "Live sessions" });
    this.empty = el("div", { class: "panel empty", hidden: true });
    this.feedState = el("span", { class: "state", "data-state": "waiting" }, "connecting");
    this.endAll = el(
      "button",
      { type: "button", class: "danger-quiet", disabled: true, onclick: () => this.#endAll() },
      "End all…",
    );
    this.more = el(
      "button",
      { type: "button", hidden: true, onclick: () => this.#showMore() },
      `Show ${PAGE} more`,
    );
    this.root = this.#layout();
    this.find(sessionId);
  }

  #layout() {
    return el(
      "div",
      {},
      el(
        "p",
        { class: "crumb" },
        el("a", { href: "#/" }, "Overview"),
        el("span", { "aria-hidden": "true" }, " / "),
        "Actor",
      ),
      el(
        "div",
        { class: "section-head" },
        el("div", { class: "actor-title" }, this.title, this.summary),
        el(
          "div",
          { class: "actions" },
          el(
            "button",
            { type: "button", onclick: () => this.#emit({ actorId: this.actorId }) },
            "Send event…",
          ),
          this.endAll,
        ),
      ),
      this.notice,
      el(
        "div",
        { class: "columns" },
        el(
          "section",
          { "aria-labelledby": "sessions-title" },
          el("div", { class: "section-head" }, el("h2", { id: "sessions-title" }, "Sessions")),
          this.empty,
          this.list,
          this.more,
        ),
        el(
          "section",
          { class: "side", "aria-labelledby": "log-title" },
          el(
            "div",
            { class: "section-head" },
            el("h2", { id: "log-title" }, "Events"),
            this.feedState,
          ),
          el(
            "div",
            {
              class: "panel log-box",
              tabindex: "0",
              role: "region",
              "aria-labelledby": "log-title",
            },
            this.log.root,
          ),
        ),
      ),
    );
  }

  /** Begin to show what is, and what happens from now on. */
  open() {
    showPast(this.log, this.actorId, this.leaving.signal).then(() => this.#follow());
    this.#keepUp();
    this.#keepConnections();
    this.ticking = setInterval(() => this.cards.forEach((card) => card.tick()), 1000);
  }

  close() {
    this.leaving.abort();
    clearInterval(this.ticking);
  }

  /** Show one session first, wherever it is among hundreds. */
  find(sessionId) {
    this.found = sessionId;
    if (!sessionId) return;
    this.#single(sessionId);
    if (this.known) this.#refresh();
  }

  // What is.

  async #keepUp() {
    const { signal } = this.leaving;
    while (!signal.aborted) {
      if (!document.hidden) await this.#refresh();
      await pause(
        this.followed && this.notice.hidden ? SESSIONS_EVERY_MS : WITHOUT_FEED_MS,
        signal,
      );
    }
  }

  async #keepConnections() {
    const { signal } = this.leaving;
    while (!signal.aborted) {
      if (!document.hidden && this.cards.size) await this.#refreshConnections();
      await pause(this.cards.size ? CONNECTIONS_EVERY_MS : 200, signal);
    }
  }

  async #refresh() {
    const { signal } = this.leaving;
    try {
      const { sessions, next } = await this.#readPages(signal);
      const listed = new Set(sessions.map(({ id }) => id));
      const singles = await this.#readSingles(listed, signal);
      if (signal.aborted) return;
      this.notice.hidden = true;
      this.hasMore = Boolean(next);
      this.more.hidden = !this.hasMore;
      this.#show([...sessions, ...singles]);
    } catch (error) {
      if (!signal.aborted) this.#complain(error);
    }
  }

  async #readPages(signal) {
    const sessions = [];
    let next = null;
    for (let page = 0; page < this.pages && (page === 0 || next); page++) {
      const query = next ? { limit: PAGE, after: next } : { limit: PAGE };
      const answer = await ask("GET", ofActor(this.actorId, "sessions", query), { signal });
      sessions.push(...answer.sessions);
      next = answer.next;
    }
    return { sessions, next };
  }

  /** Read those that are shown by themselves, unless a page has them; drop those that ended. */
  async #readSingles(listed, signal) {
    const sessions = [];
    for (const id of [...this.singles].filter((each) => !listed.has(each))) {
      try {
        sessions.push(await ask("GET", ofSession(id), { signal }));
      } catch (error) {
        if (!(error instanceof Refused) || error.status !== 404) throw error;
        this.singles.delete(id);
      }
    }
    return sessions;
  }

  #single(id) {
    this.singles.delete(id);
    this.singles.add(id);
    if (this.singles.size > MAX_SINGLES) this.singles.delete(this.singles.values().next().value);
  }

  async #showMore() {
    this.pages += 1;
    this.more.disabled = true;
    await this.#refresh();
    this.more.disabled = false;
  }

  async #refreshConnections() {
    const { signal } = this.leaving;
    try {
      const { connections } = await ask("GET", ofActor(this.actorId, "connections"), { signal });
      this.connections = connections;
    } catch {
      this.connections = null; // The sessions' own refresh says what is wrong.
    }
    this.cards.forEach((card) => card.updateConnections(this.connections));
    this.#summarize();
  }

  #show(sessions) {
    const before = this.known;
    this.known = new Map(sessions.map((session) => [session.id, session]));
    for (const [id, card] of this.cards) if (!this.known.has(id)) this.#remove(id, card);
    for (const session of sessions) {
      const card = this.cards.get(session.id);
      if (card) card.update(session);
      else this.#addCard(session);
    }
    if (before && !this.followed) this.#logDifference(before);
    this.#showFound();
    this.endAll.disabled = sessions.length === 0;
    this.empty.hidden = sessions.length > 0;
    this.empty.replaceChildren(
      el("p", { class: "empty-title" }, "No live sessions"),
      el(
        "p",
        { class: "soft" },
        "Nobody is logged in as this actor. Ids are matched exactly, capital letters included. A session that is opened now appears here by itself.",
      ),
    );
    this.#summarize();
  }

  #showFound() {
    const card = this.cards.get(this.found);
    if (!card) return;
    this.found = "";
    this.cards.forEach((each) => each.root.classList.toggle("found", each === card));
    this.list.prepend(card.root);
    card.title.focus();
  }

  #addCard(session) {
    const card = new SessionCard(session, {
      onEnd: (which) => this.#end(which),
      onEmit: (which) => this.#emit({ session: which }),
      onMeta: (which) => this.#changeMeta(which),
    });
    if (this.connections) card.updateConnections(this.connections);
    this.cards.set(session.id, card);
    // New ones first, where one looks; what was there when the page opened is in its order.
    if (this.summarized) this.list.prepend(card.root);
    else this.list.append(card.root);
  }

  #remove(id, card) {
    // Whoever was in there must not fall out of the page.
    if (card.root.contains(document.activeElement)) this.title.focus();
    card.root.remove();
    this.cards.delete(id);
  }

  #summarize() {
    if (!this.known) return;
    const sessions = this.known.size;
    const connections = (this.connections ?? []).filter(({ sessionId }) =>
      this.known.has(sessionId),
    ).length;
    this.summarized = true;
    const words = [
      sessions === 1 ? "1 session" : sessions ? `${sessions} sessions` : "Not logged in",
      ...(this.hasMore ? ["and more"] : []),
    ];
    if (sessions && this.connections)
      words.push(connections === 1 ? "1 connection" : `${connections} connections`);
    say(this.summary, words.join(", "));
  }

  #complain(error) {
    this.notice.hidden = false;
    say(this.notice, error.message);
    if (!this.known) say(this.summary, "Not known");
  }

  // What happens.

  async #follow() {
    const { signal } = this.leaving;
    const hasFeed = await follow(this.actorId, {
      signal,
      onState: (state) => {
        this.followed = state === "live";
        this.#feedIs(state, state === "live" ? "live" : "trying again");
      },
      onEvent: (name, data) => this.#happened(name, data),
    });
    if (!hasFeed) this.#feedIs("live", "looking every second");
  }

  #feedIs(state, word) {
    this.feedState.dataset.state = state;
    say(this.feedState, word);
  }

  #happened(name, data) {
    if (name === "session.set") {
      const isNew = !this.known?.has(data.session.id);
      this.log.add(name, data.at, {
        sessionId: data.session.id,
        more: isNew ? "created" : "changed",
      });
      if (isNew) this.#single(data.session.id);
    } else if (name === "session.unset") this.#hasEnded(data.at, data.id, data.reason, whyEnded(data.reason));
    else if (name === "feed.lost")
      this.log.add(name, serverNow(), { more: "some events may be missing here" });
    this.#lookSoon();
  }

  #hasEnded(at, id, reason, more = reason) {
    this.log.add("session.unset", at, { sessionId: id, more });
    announce(`Session ${shortId(id)} has ended: ${reason}`);
    this.known?.delete(id);
    const card = this.cards.get(id);
    if (card) this.#remove(id, card);
  }

  /** Events come in bunches: look once for all of them. */
  async #lookSoon() {
    if (this.isLooking) return;
    this.isLooking = true;
    await pause(SETTLE_MS, this.leaving.signal);
    this.isLooking = false;
    await this.#refresh();
    await this.#refreshConnections();
  }

  #logDifference(before) {
    for (const [id] of before) {
      if (!this.known.has(id))
        this.#hasEnded(serverNow(), id, this.endedFor?.get(id) ?? "ended or expired");
    }
    for (const [id, session] of this.known) {
      const old = before.get(id);
      if (!old) this.log.add("session.set", session.createdAt, { sessionId: id, more: "created" });
      else if (old.revision !== session.revision)
        this.log.add("session.set", serverNow(), { sessionId: id, more: "changed" });
    }
  }

  // What can be done.

  async #end(session) {
    await this.#endThese([session.id], { session });
  }

  async #endAll() {
    const ids = [...this.known.keys()];
    await this.#endThese(ids, { count: this.hasMore ? Infinity : ids.length });
  }

  async #endThese(ids, what) {
    const onReason = (reason) => {
      this.endedFor = new Map(ids.map((id) => [id, reason]));
    };
    const reason = await confirmEnd({ actorId: this.actorId, ...what, onReason });
    if (reason !== null) await this.#refresh();
  }

  async #changeMeta(session) {
    if (await changeMeta(session)) await this.#refresh();
  }

  async #emit(target) {
    const name = await writeEvent({ actorId: this.actorId, ...target });
    if (name === null) return;
    this.log.add("sent", serverNow(), { sessionId: target.session?.id, more: name });
    announce(`Event ${name} was sent`);
  }
}
