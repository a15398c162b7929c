// The first page: how the installation does, and its nodes.

import { ask, Refused } from "./api.js";
import { Chart } from "./chart.js";
import { el, say } from "./element.js";
import { count, latency, rate } from "./format.js";
import { colourOf, NodeTable } from "./nodes.js";
import { History } from "./stats.js";
import { pause, seen } from "./waiting.js";

const EVERY_MS = 1000;

const CHARTS = {
  connections: { title: "Connections", format: count },
  commands: { title: "Commands", unit: "per second", format: rate },
  events: { title: "Events sent", unit: "per second", format: rate },
  latency: { title: "Command latency", unit: "p99", format: latency },
};

/** Polls the numbers as long as the page is there, and shows them. */
export class Overview {
  /** `onLink` is called with "live", "lost" or "silent" (no numbers), a word about it, and more words. */
  constructor(onLink) {
    this.onLink = onLink;
    this.history = new History();
    this.picked = null;
    this.nodes = new NodeTable(document.getElementById("nodes"));
    const onHover = (at) => this.charts.forEach((chart) => chart.hover(at));
    this.charts = new Map(
      Object.entries(CHARTS).map(([kind, what]) => [kind, new Chart({ ...what, onHover })]),
    );
    document
      .getElementById("charts")
      .append(...[...this.charts.values()].map((chart) => chart.root));
    this.select = document.getElementById("pick-node");
    this.select.addEventListener("change", () => {
      this.picked = this.select.value || null;
      this.#draw();
      this.nodes.showColours(this.picked === null);
    });
  }

  async run() {
    for (;;) {
      const begun = Date.now();
      try {
        this.#take(await ask("GET", "v1/stats"));
      } catch (error) {
        if (error instanceof Refused && error.status === 404) return this.#giveUp();
        this.#missed(error);
      }
      await pause(Math.max(200, EVERY_MS - (Date.now() - begun)));
      await seen();
    }
  }

  #take(answer) {
    this.answer = answer;
    this.history.add(answer, Date.now());
    document.getElementById("stats-notice").hidden = true;
    const nodes = answer.nodes.length;
    this.onLink("live", "Live", nodes === 1 ? "· 1 node" : `· ${nodes} nodes`);
    this.#offerNodes(answer.nodes);
    this.#draw();
    this.nodes.update(answer, this.history.points.at(-1), this.picked);
    this.#summarize(answer.nodes);
  }

  #missed(error) {
    this.onLink("lost", "Offline", "· trying again");
    this.nodes.lose();
    const notice = document.getElementById("stats-notice");
    notice.hidden = false;
    say(notice, `${error.message ?? "The numbers did not come."} Trying again every second.`);
  }

  #giveUp() {
    this.onLink("silent", "Live");
    document
      .getElementById("overview")
      .replaceChildren(
        el("div", { class: "section-head" }, el("h1", {}, "Connected")),
        el(
          "p",
          { class: "notice" },
          "This server tells no numbers. Actors can be looked up all the same.",
        ),
      );
  }

  #offerNodes(nodes) {
    const ids = nodes.map((node) => node.id).toSorted();
    if (ids.join() === this.offered) return;
    this.offered = ids.join();
    if (!ids.includes(this.picked)) this.picked = null;
    this.select.replaceChildren(
      el("option", { value: "" }, "all nodes"),
      ...ids.map((id) => el("option", { value: id, selected: id === this.picked }, id)),
    );
    document.getElementById("pick").hidden = ids.length < 2;
  }

  #draw() {
    const newest = this.history.points.at(-1);
    if (!newest) return;
    const one = (this.picked === null ? newest.total : newest.nodes.get(this.picked)) ?? {};
    const show = (kind, lines, value, note) =>
      this.charts.get(kind).update({ now: newest.at, lines, value, note });
    const share = one.commands ? (100 * one.failed) / one.commands : 0;
    show(
      "connections",
      this.#lines("connections"),
      count(one.connections ?? null),
      `${count(one.bound ?? null)} bound to a session`,
    );
    show(
      "commands",
      this.#lines("commands"),
      rate(one.commands ?? null),
      share ? `${share.toFixed(share < 1 ? 2 : 1)} % refused` : "none refused",
    );
    show("events", this.#lines("events"), rate(one.events ?? null), this.#recoveries());
    show(
      "latency",
      [
        { series: this.history.series("p99", this.picked), kind: "main" },
        { series: this.history.series("p50", this.picked), kind: "second", name: "p50" },
      ],
      latency(one.p99 ?? null),
      `p50 ${latency(one.p50 ?? null)}${this.picked === null && newest.nodes.size > 1 ? "; p99 of the slowest node" : ""}`,
    );
  }

  /** The line of what is picked; below it, where that is all, those of the nodes. */
  #lines(kind) {
    const main = { series: this.history.series(kind, this.picked), kind: "main" };
    const nodes = this.history.points.at(-1).nodes;
    if (this.picked !== null || nodes.size < 2) return [main];
    const each = [...nodes.keys()]
      .toSorted()
      .map((id, n) => ({ series: this.history.series(kind, id), kind: colourOf(n) }));
    return [main, ...each];
  }

  #recoveries() {
    const nodes = this.answer.nodes.filter(
      (node) => this.picked === null || node.id === this.picked,
    );
    const sum = (name) => nodes.reduce((all, node) => all + node[name], 0);
    const cut = sum("slowClients");
    return `${count(sum("recovered"))} recoveries${cut ? `, ${count(cut)} too slow` : ""}`;
  }

  #summarize(nodes) {
    const draining = nodes.filter((node) => node.draining).length;
    const words = draining ? `${draining} of ${nodes.length} going away` : "";
    say(document.getElementById("nodes-summary"), words);
  }
}
