// Who talks to whom: two wires between three, and a bead on them for each thing that is said.

import { el, say } from "../../assets/element.js";

const MAX_WAITING = 9;
const APART_MS = 110;

const NOTES = {
  idle: "",
  waiting: "Looking for the server…",
  live: "Then the world goes on without this window.",
  cut: "The backend goes on, an item a second. This window gets nothing.",
  left: "The server does not know yet that this window has logged out.",
};

export class Picture {
  #pile = document.getElementById("pile");
  #wire = document.getElementById("wire");
  #http = document.getElementById("wire-http");
  #waiting = [];

  /** How the line is: idle, waiting, live or cut; and who is at this end of it, if anybody. */
  show(line, name) {
    say(document.getElementById("picture-here"), name);
    document.getElementById("picture").dataset.line = line;
    say(document.getElementById("cut"), line === "cut" ? "Mend the line" : "Cut the line");
    say(document.getElementById("cut-note"), NOTES[line === "cut" && !name ? "left" : line]);
    document.getElementById("cut-place").hidden = line === "idle";
  }

  /** Something is pushed to this window. */
  push(kind) {
    this.#run(this.#wire, kind);
  }

  /** The backend asks for something. */
  ask(kind) {
    this.#run(this.#http, kind);
  }

  /** Something waits, for the line is cut. */
  wait(kind) {
    this.#waiting.push(kind);
    this.#showPile();
  }

  /** The line is there again: what waited comes, one after another. */
  release() {
    for (const [n, kind] of this.#waiting.slice(-MAX_WAITING).entries())
      setTimeout(() => this.push(kind), n * APART_MS);
    this.drop();
  }

  /** What waited will never come: nobody is here for it any more. */
  drop() {
    this.#waiting = [];
    this.#showPile();
  }

  #showPile() {
    const { length } = this.#waiting;
    this.#pile.hidden = length === 0;
    this.#pile.replaceChildren(
      el("span", {}, length ? `${length} waiting` : ""),
      ...this.#waiting.slice(-MAX_WAITING).map((kind) => el("i", { class: `bead ${kind}` })),
    );
  }

  #run(wire, kind) {
    const bead = el("i", { class: `bead running ${kind}`, "aria-hidden": "true" });
    bead.addEventListener("animationend", () => bead.remove());
    wire.append(bead);
    // Where nothing is to move, no animation ends.
    if (getComputedStyle(bead).animationName === "none") bead.remove();
  }
}
