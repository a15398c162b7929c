// The nodes, a row each.

import { serverNow } from "./api.js";
import { announce, el, say } from "./element.js";
import { count, dateAndTime, duration, latency, rate } from "./format.js";

const STALE_MS = 4000;
const GONE_SHOWN_MS = 60_000;
const VALUES = ["Up", "Connections", "Commands/s", "Events/s", "p50", "p99", "Version"];
const HEADS = ["Node", "State", ...VALUES];

/** The colour of a node's line: there are six, and then they come again. */
export const colourOf = (n) => `node n${n % 6}`;

/** The table. A row stays the same element while its node is there. */
export class NodeTable {
  constructor(panel) {
    this.panel = panel;
    this.rows = new Map();
  }

  /** Show what `GET /v1/stats` said, and the point that was made of it. */
  update(answer, point, picked) {
    if (!this.body) this.#begin();
    const nodes = answer.nodes.toSorted((a, b) => (a.id < b.id ? -1 : 1));
    const newest = Math.max(...nodes.map((node) => node.seenAt));
    for (const [id, row] of this.rows)
      if (!nodes.some((node) => node.id === id) && !row.isGone(Date.now())) {
        row.root.remove();
        this.rows.delete(id);
      }
    nodes.forEach((node, n) => {
      if (!this.rows.has(node.id)) this.rows.set(node.id, new Row(node.id));
      const row = this.rows.get(node.id);
      row.update(node, point.nodes.get(node.id), {
        isHere: node.id === answer.node,
        isStale: newest - node.seenAt > STALE_MS,
      });
      row.colour.className = `swatch ${colourOf(n)}`;
      const there = this.body.children[n] ?? null;
      if (there !== row.root) this.body.insertBefore(row.root, there);
    });
    this.showColours(picked === null);
  }

  /** No numbers came: nothing is known about any node. */
  lose() {
    for (const row of this.rows.values()) row.show("waiting", "not known");
  }

  /** Show which line of the charts is whose, where there are such lines. */
  showColours(areDrawn) {
    for (const row of this.rows.values()) row.colour.hidden = !areDrawn || this.rows.size < 2;
  }

  #begin() {
    this.body = el("tbody");
    const heads = HEADS.map((head) => el("th", { scope: "col" }, head));
    this.panel.replaceChildren(el("table", {}, el("thead", {}, el("tr", {}, ...heads)), this.body));
  }
}

/** One node, in the table. */
class Row {
  constructor(id) {
    this.id = id;
    this.goneAt = null;
    const cell = (label) => el("td", { "data-label": label });
    this.colour = el("span", { "aria-hidden": "true" });
    this.here = el("span", { class: "tag", hidden: true }, "this one");
    this.listen = el("span", { class: "soft small" });
    this.state = el("span", { class: "state" });
    this.cells = Object.fromEntries(VALUES.map((label) => [label, cell(label)]));
    const stateCell = el("td", { "data-label": "State" }, this.state);
    this.root = el(
      "tr",
      {},
      el(
        "th",
        { scope: "row" },
        el("span", { class: "node-name" }, this.colour, el("code", {}, id), this.here),
        this.listen,
      ),
      stateCell,
      ...Object.values(this.cells),
    );
  }

  show(state, word) {
    this.state.dataset.state = state;
    say(this.state, word);
  }

  /** Show that the node is gone; return whether that is still worth showing. */
  isGone(now) {
    if (this.goneAt === null) announce(`Node ${this.id} is gone`);
    this.goneAt ??= now;
    this.show("lost", "gone");
    return now - this.goneAt < GONE_SHOWN_MS;
  }

  update(node, point, { isHere, isStale }) {
    this.here.hidden = !isHere;
    say(this.listen, node.listen ?? "");
    const [state, word] = isStale
      ? ["lost", "silent"]
      : node.draining
        ? ["waiting", "draining"]
        : ["live", "serving"];
    this.goneAt = null;
    this.show(state, word);
    this.cells.Up.title = `Started ${dateAndTime(node.startedAt)}`;
    const values = {
      Up: duration(serverNow() - node.startedAt),
      Connections: count(node.connections),
      "Commands/s": rate(point?.commands ?? null),
      "Events/s": rate(point?.events ?? null),
      p50: latency(node.p50Ms),
      p99: latency(node.p99Ms),
      Version: node.version,
    };
    for (const [label, text] of Object.entries(values)) say(this.cells[label], text);
  }
}
