// The panel that plays the backend: a few things it may want, each with its command for a shell.

import { say } from "../../assets/element.js";
import { commands } from "./backend.js";
import { copy } from "./copy.js";
import { nameIn } from "./person.js";

const GRANT_EVERY_MS = 1_000;
const GRANTS_AT_MOST = 30;
const ITEMS = [
  "a lantern",
  "a rope",
  "a map",
  "a compass",
  "a feather",
  "a silver coin",
  "a flute",
];

export class BackendPanel {
  #session = null;
  #granted = 0;
  #timer = 0;
  #text = document.getElementById("say-text");
  #name = document.getElementById("new-name");
  #error = document.getElementById("backend-error");
  // By the id of its form: a kind for its colour, what is done, and the same in a shell.
  #deeds = {
    say: { kind: "said", run: () => this.#say(), command: () => this.#sayCommand() },
    grant: { kind: "said", run: () => this.#grant(), command: () => this.#grantCommand() },
    rename: { kind: "set", run: () => this.#rename(), command: () => this.#renameCommand() },
    kick: { kind: "unset", run: () => this.#kick(), command: () => this.#kickCommand() },
  };

  /** `onDone` is called with a kind for each thing that was done. */
  constructor({ backend, onDone }) {
    this.backend = backend;
    this.onDone = onDone;
    for (const [id, deed] of Object.entries(this.#deeds)) {
      const form = document.getElementById(id);
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        this.#do(deed);
      });
      form.addEventListener("input", () => this.#write());
      const button = form.querySelector(".copy");
      button.addEventListener("click", () => copy(button, deed.command()));
    }
  }

  /** Which session it is about; null: none. */
  show(session) {
    this.#session = session;
    document.getElementById("deeds").disabled = session === null;
    this.#write();
  }

  /** Grant an item every second, for a while or until `stop`. */
  goOn() {
    let left = GRANTS_AT_MOST;
    this.stop();
    this.#timer = setInterval(() => {
      left -= 1;
      if (left === 0) this.stop();
      this.#do(this.#deeds.grant);
    }, GRANT_EVERY_MS);
  }

  stop() {
    clearInterval(this.#timer);
  }

  async #do({ kind, run }) {
    if (!this.#session) return;
    try {
      await run();
      say(this.#error, "");
      this.onDone(kind);
    } catch (error) {
      this.stop();
      say(this.#error, error.message);
    }
    this.#write();
  }

  #write() {
    if (!this.#session) return;
    for (const [id, { command }] of Object.entries(this.#deeds)) {
      const place = document.getElementById(id).querySelector(".command");
      say(place.querySelector("code"), command());
      place.querySelector(".copy").setAttribute("aria-label", `Copy: ${command()}`);
    }
  }

  #say() {
    return this.backend.emit(this.#session.actorId, "chat.said", { text: this.#text.value });
  }

  #sayCommand() {
    return commands.emit(this.#session.actorId, "chat.said", { text: this.#text.value });
  }

  #grant() {
    const item = this.#nextItem();
    this.#granted += 1;
    return this.backend.emit(this.#session.actorId, "inventory.granted", { item });
  }

  #grantCommand() {
    const item = this.#nextItem();
    return commands.emit(this.#session.actorId, "inventory.granted", { item });
  }

  #nextItem() {
    return ITEMS[this.#granted % ITEMS.length];
  }

  async #rename() {
    const { id, meta } = this.#session;
    await this.backend.change(id, { ...meta, name: nameIn(this.#name.value) });
    if (meta.name) this.#name.value = meta.name; // To be changed back.
  }

  #renameCommand() {
    const { id, meta } = this.#session;
    return commands.change(id, { ...meta, name: this.#name.value });
  }

  #kick() {
    return this.backend.end(this.#session.id, "banned");
  }

  #kickCommand() {
    return commands.end(this.#session.id, "banned");
  }
}
