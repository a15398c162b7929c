// The demo: a client with its session, and the backend, which is played here too.

import { announce, say } from "../../assets/element.js";
import { Backend } from "./backend.js";
import { SessionCard } from "./card.js";
import { setClock } from "./clock.js";
import { connect } from "./keystay.min.js";
import { Line } from "./line.js";
import { EventLog } from "./log.js";
import { BackendPanel } from "./panel.js";
import { lastSeen, nameIn, nameOf, personCalled, remember } from "./person.js";
import { Picture } from "./picture.js";
import { SessionList } from "./sessions.js";
import { Tour } from "./tour.js";
import { openWindow } from "./windows.js";
import { wordsFor } from "./words.js";

const BACK = "Back, with the same session";
const BLOCKED =
  "The browser blocked the new window. Allow pop-ups here and press again, or duplicate this tab: that is a second window with the same session.";
const TICK_MS = 250;
const TOAST_MS = 4_000;
const LINKS = {
  waiting: ["waiting", "Connecting"],
  live: ["live", "Live"],
  cut: ["lost", "Line cut"],
};
const FIRST_WORDS = document.getElementById("title").textContent;

const { url, activity } = document.documentElement.dataset;

// A window that this page opens begins with a copy of its sessionStorage: with the same session,
// unless it is opened as another device. Then it keeps its session under a name of its own.
const place = new URLSearchParams(location.hash.slice(1));
const device = place.get("device");

class Demo {
  #session = null;
  #held = []; // Events that came before the line was as it was.
  #leaving = "elsewhere"; // Where the logout of the next event happened: here or elsewhere.
  #backText = place.has("same") ? "This window holds the session now, too" : BACK;

  constructor() {
    this.line = new Line();
    this.client = connect(url, {
      storage: "session",
      storageName: device ? `keystay.demo ${device}` : "keystay.demo",
      paths: [""],
      WebSocket: this.line.WebSocket,
      backoffBaseMs: 250,
      backoffCapMs: 2_000,
    });
    this.backend = new Backend(() => this.client.session.getKey());
    this.picture = new Picture();
    this.log = new EventLog();
    this.tour = new Tour();
    this.card = new SessionCard({
      isExtended: activity !== "none",
      onUse: () => this.#attempt(this.client.session.restore()),
      onAgain: () => this.#login(lastSeen()),
      onLeave: () => this.#enter("out"),
      onSoon: () => this.#tell("Your session expires in half a minute."),
    });
    this.list = new SessionList({
      client: this.client,
      backend: this.backend,
      onOwn: (session) => this.#note(session),
      onLogout: (scope) => this.#logout(scope),
      onWindow: (kind) => this.#open(kind),
    });
    this.panel = new BackendPanel({ backend: this.backend, onDone: (kind) => this.#asked(kind) });
  }

  start() {
    this.client.on("", (name, data, cursor) => this.#receive({ name, data, cursor }));
    this.client.onState(() => this.#lineChanged());
    document.getElementById("cut").addEventListener("click", () => this.#cutOrMend());
    document.getElementById("login").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#loginAs(document.getElementById("name").value);
    });
    document.addEventListener("visibilitychange", () => this.list.watch());
    document.body.classList.toggle("second", location.hash !== "");
    setInterval(() => this.#tick(), TICK_MS);
    this.list.watch();
    if (this.client.session.getKey()) this.#enter("starting");
    else if (place.has("login")) this.#login(lastSeen());
    else this.#enter("out");
  }

  /** The state of the page: starting, out, in or ended. */
  #enter(stage) {
    document.body.dataset.stage = stage;
    say(document.getElementById("title"), this.#titleFor(stage));
    this.#look();
    if (stage === "out") document.getElementById("name").select();
  }

  #titleFor(stage) {
    const name = this.#session && nameOf(this.#session);
    document.title = stage === "in" ? `${name} · Keystay demo` : "Keystay demo";
    if (stage === "starting") return "Coming back…";
    if (stage === "out") return FIRST_WORDS;
    if (stage === "ended") return "This window is logged out, and knows why.";
    if (device) return `${name}, on another device: a session of its own.`;
    if (place.has("same")) return `${name}, in a second window: the very same session.`;
    return `${name} is logged in. Four things to try:`;
  }

  #loginAs(typed) {
    try {
      this.#login(personCalled(nameIn(typed)));
    } catch (unseen) {
      say(document.getElementById("login-error"), unseen.message);
    }
  }

  async #login({ actorId, name }) {
    const error = document.getElementById("login-error");
    say(error, "");
    try {
      // As in an application: the browser asks its backend, and the backend opens a session.
      const { key } = await this.backend.open(actorId, { name });
      await this.client.session.restore(key);
      if (device) history.replaceState(null, "", `#device=${device}`);
    } catch (failed) {
      this.#enter("out");
      say(error, failed.message);
    }
  }

  async #logout(scope) {
    if (scope !== "others") this.#leaving = "here";
    const timeoutMs = this.client.state === "open" ? undefined : Infinity;
    const answered = this.#attempt(this.client.session.logout({ scope, timeoutMs }));
    if (this.#session) await answered;
    else await this.#logoutAhead(answered);
    this.#leaving = "elsewhere";
    this.tour.done("end");
    this.list.watch();
  }

  /** Without a line it has ended here already; the server gets the logout later. */
  async #logoutAhead(answered) {
    this.#leaving = "elsewhere";
    this.#showEnd({ reason: "loggedOut" }, "offline");
    this.log.note("Logged out here at once. The server gets it when the line is back.", "bad");
    await answered;
    this.log.note("The server got the logout: the session is over in every window.", "good");
    if (document.body.dataset.stage === "ended") this.#showEnd({ reason: "loggedOut" }, "here");
  }

  #open(kind) {
    const hash = kind === "same" ? "#same" : `#device=${crypto.randomUUID().slice(0, 8)}&login`;
    const isOpened = openWindow(hash);
    say(document.getElementById("window-error"), isOpened ? "" : BLOCKED);
    if (isOpened) this.tour.done("second");
  }

  #cutOrMend() {
    if (this.line.isCut) {
      this.panel.stop();
      this.line.mend();
    } else {
      this.line.cut();
      this.log.note("The line was cut. From here on this window gets nothing.", "bad");
      if (this.#session) this.panel.goOn();
    }
    this.#look();
  }

  /** The backend has done something. */
  #asked(kind) {
    this.picture.ask(kind);
    if (this.line.isCut) this.picture.wait(kind);
    else if (kind !== "unset") this.tour.done("backend");
    this.list.watch();
  }

  /** An event came. What comes before the line is as it was, is looked at when it is. */
  #receive(event) {
    if (event.name === "session.recovered") return;
    const isEnd = event.name === "session.unset";
    if (this.client.state !== "open" && !isEnd) {
      this.#held.push(event);
      return;
    }
    if (isEnd) this.#takeHeld(true);
    this.#take(event);
  }

  /** Look at what was held. The last of it is the restoring itself, unless that was refused. */
  #takeHeld(isRefused = false) {
    const held = this.#held;
    this.#held = [];
    const back = isRefused ? undefined : held.pop();
    for (const event of held) this.#take(event, { wasMissed: true });
    this.picture.release();
    if (back) this.#take(back, { text: this.#backText });
    this.#backText = BACK;
    if (back && this.client.recovered === false)
      this.log.note("It was away for too long: more was missed than the server remembers.", "bad");
    else if (held.length) this.#praise(held.length);
  }

  #praise(count) {
    const events = count === 1 ? "1 event was" : `${count} events were`;
    this.log.note(`${events} missed. Nothing is lost: they came in order, each once.`, "good");
    this.#tell(`${events} missed, and recovered.`);
    this.tour.done("cut");
  }

  #take({ name, data, cursor }, { wasMissed = false, text } = {}) {
    const words = wordsFor(name, data, this.#session);
    this.log.add({ ...words, text: text ?? words.text, name, cursor, wasMissed });
    if (!wasMissed) {
      this.picture.push(words.kind);
      this.#tell(text ?? words.text);
    }
    if (name === "session.set") this.#set(data);
    if (name === "session.unset") this.#unset(data);
  }

  #set(session) {
    this.#session = session;
    const { actorId } = session;
    remember({ actorId, name: nameOf(session) });
    this.#note(session);
    this.panel.show(session);
    this.#enter("in");
    this.list.watch();
  }

  #unset(data) {
    this.#session = null;
    this.panel.stop();
    this.panel.show(null);
    this.picture.drop();
    this.#enter("ended");
    this.#showEnd(data, this.#leaving);
    if (data.reason !== "expired") this.tour.done("end");
  }

  #showEnd(data, by) {
    this.card.end(data, { by, name: lastSeen().name });
  }

  /** How the session is: it may live longer than this window knows. */
  #note(session) {
    if (this.#session?.id === session.id) this.card.show(session, this.client.session.getKey());
  }

  #lineChanged() {
    if (this.client.state === "open") {
      this.#takeHeld();
      setClock(this.client).catch(() => {}); // It is set again with the next line.
      this.list.watch();
    }
    this.#look();
  }

  /** How the line is, wherever that is shown. */
  #look() {
    const line = this.line.isCut ? "cut" : this.client.state === "open" ? "live" : "waiting";
    const link = document.getElementById("link");
    const { stage } = document.body.dataset;
    link.hidden = stage === "out" || (stage === "ended" && !this.line.isCut);
    [link.dataset.state] = LINKS[line];
    say(document.getElementById("link-text"), LINKS[line][1]);
    this.picture.show(link.hidden ? "idle" : line, this.#session ? nameOf(this.#session) : "");
    this.card.showLine(line);
    this.list.showLine(line);
  }

  /** Tell those who cannot see what has changed, or have scrolled it away. */
  #tell(text) {
    announce(text);
    clearTimeout(this.toast);
    this.toast = setTimeout(() => announce(""), TOAST_MS);
  }

  /** Something was asked of the server, and may fail; then the log says so. */
  async #attempt(promise) {
    try {
      await promise;
    } catch (error) {
      this.log.note(`That was refused: ${error.code}.`, "bad");
    }
  }

  #tick() {
    this.card.tick();
    this.list.tick();
    this.log.tick();
  }
}


new Demo().start();
