// One small chart of the last five minutes, drawn by hand.

import { el, say, svg } from "./element.js";
import { duration } from "./format.js";
import { SPAN_MS } from "./stats.js";

const HEIGHT = 140;
const TOP = 18;
const BOTTOM = 18;
const LEAST_SPAN_MS = 60_000;
const GAP_MS = 5000; // Longer without a value: the line is broken.

/** The least round number that is not below the value. */
export function ceiling(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 6, 8, 10]
    .map((step) => step * power)
    .find((step) => step >= value * 0.999);
}

/** A series without what is not known: its unbroken parts. */
function* partsOf(series) {
  let part = [];
  for (const point of series) {
    const isBroken = point.value === null || (part.length && point.at - part.at(-1).at >= GAP_MS);
    if (isBroken && part.length) {
      yield part;
      part = [];
    }
    if (point.value !== null) part.push(point);
  }
  if (part.length) yield part;
}

const corners = (part, x, y) =>
  part.map(({ at, value }) => `${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("L");

/** Where a line runs, as SVG path data. */
export const pathOf = (series, x, y) =>
  [...partsOf(series)].map((part) => `M${corners(part, x, y)}`).join("");

/** What is below the line. */
const areaOf = (series, x, y) =>
  [...partsOf(series)]
    .map(
      (part) =>
        `M${x(part[0].at).toFixed(1)} ${y(0)}L${corners(part, x, y)}L${x(part.at(-1).at).toFixed(1)} ${y(0)}Z`,
    )
    .join("");

/** A card with a title, the newest value, a line below it, and the chart. */
export class Chart {
  constructor({ title, unit, format, onHover }) {
    this.format = format;
    this.title = title;
    this.value = el("span", { class: "chart-value" }, "–");
    this.note = el("p", { class: "chart-note" });
    this.picture = svg("svg", { class: "chart", role: "img", height: HEIGHT });
    this.root = el(
      "article",
      { class: "panel chart-card" },
      el("h2", {}, title),
      el(
        "p",
        { class: "chart-now" },
        this.value,
        unit ? el("span", { class: "unit" }, unit) : null,
      ),
      this.note,
      el("div", { class: "chart-box" }, this.picture),
    );
    this.lines = [];
    this.width = 0;
    this.hovered = null;
    new ResizeObserver(([entry]) => {
      this.width = Math.floor(entry.contentRect.width);
      this.draw();
    }).observe(this.picture.parentElement);
    this.picture.addEventListener("pointermove", (event) => {
      const box = this.picture.getBoundingClientRect();
      onHover(this.now - this.span * (1 - (event.clientX - box.left) / box.width));
    });
    this.picture.addEventListener("pointerleave", () => onHover(null));
  }

  /** Show lines `[{series, kind, name}]`, of which the first is what the card is about. */
  update({ now, lines, value, note }) {
    Object.assign(this, { now, lines });
    this.span = Math.min(SPAN_MS, Math.max(LEAST_SPAN_MS, now - (lines[0].series[0]?.at ?? now)));
    this.words = { value, note };
    this.draw();
  }

  /** Show the values of a time, or (null) of now. */
  hover(at) {
    this.hovered = at;
    this.draw();
  }

  draw() {
    if (!this.width || !this.lines.length) return;
    this.#say();
    const known = this.lines.flatMap(({ series }) => series).filter(({ value }) => value !== null);
    const top = ceiling(Math.max(0, ...known.map(({ value }) => value)));
    const x = (at) => this.width * (1 - (this.now - at) / this.span);
    const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top);
    this.picture.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
    this.picture.setAttribute("width", this.width);
    this.picture.setAttribute("aria-label", this.#inWords(known));
    this.picture.replaceChildren(
      ...this.#grid(top, y),
      ...this.#curves(x, y),
      ...this.#crosshair(x, y),
    );
  }

  #grid(top, y) {
    const line = (value) =>
      svg("line", { class: "grid", x1: 0, x2: this.width, y1: y(value), y2: y(value) });
    const label = (text, x, at, anchor) =>
      svg("text", { class: "axis", x, y: at, "text-anchor": anchor }, text);
    return [
      ...[0, top / 2, top].map(line),
      label(this.format(top), this.width, y(top) - 5, "end"),
      label(
        `${Math.round(this.span / 1000) < 120 ? `${Math.round(this.span / 1000)} s` : `${Math.round(this.span / 60_000)} min`} ago`,
        0,
        HEIGHT - 4,
        "start",
      ),
      label("now", this.width, HEIGHT - 4, "end"),
    ];
  }

  #curves(x, y) {
    return this.lines.toReversed().flatMap(({ series, kind }) => {
      const path = pathOf(series, x, y);
      if (!path) return [];
      const curve = svg("path", { class: `curve ${kind}`, d: path });
      if (kind !== "main") return [curve];
      return [svg("path", { class: "area", d: areaOf(series, x, y) }), curve];
    });
  }

  /** What the pointer is at, line by line; empty if it is nowhere. */
  #pointed() {
    if (this.hovered === null) return [];
    return this.lines
      .map((line) => ({ ...line, point: nearest(line.series, this.hovered) }))
      .filter(({ point }) => point && point.value !== null);
  }

  #say() {
    const [main, ...others] = this.#pointed();
    say(this.value, main ? this.format(main.point.value) : this.words.value);
    const named = others
      .filter(({ name }) => name)
      .map(({ name, point }) => `${name} ${this.format(point.value)}`);
    say(
      this.note,
      main ? [`${duration(this.now - main.point.at)} ago`, ...named].join(" · ") : this.words.note,
    );
  }

  #crosshair(x, y) {
    const pointed = this.#pointed();
    if (!pointed.length) return [];
    const at = x(pointed[0].point.at);
    return [
      svg("line", { class: "crosshair", x1: at, x2: at, y1: TOP, y2: HEIGHT - BOTTOM }),
      ...pointed.map(({ point, kind }) =>
        svg("circle", { class: `spot ${kind}`, cx: at, cy: y(point.value), r: 3 }),
      ),
    ];
  }

  #inWords(known) {
    const values = this.lines[0].series.map(({ value }) => value).filter((value) => value !== null);
    if (!known.length || !values.length) return `${this.title}: nothing is known yet`;
    const [least, most] = [Math.min(...values), Math.max(...values)].map(this.format);
    return `${this.title}, the last five minutes: between ${least} and ${most}`;
  }
}

function nearest(series, at) {
  let best = null;
  for (const point of series)
    if (best === null || Math.abs(point.at - at) < Math.abs(best.at - at)) best = point;
  return best && Math.abs(best.at - at) < GAP_MS ? best : null;
}
