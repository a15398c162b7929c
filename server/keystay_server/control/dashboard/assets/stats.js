// From counters to what is worth drawing. No page and no clock: both are the caller's.

export const SPAN_MS = 5 * 60_000;

/** One point in time: what each node did, by id, and all of them together. */
function pointOf(at, nodes) {
  return { at, nodes, total: totalOf([...nodes.values()]) };
}

/** The last five minutes, made of the answers of `GET /v1/stats`. */
export class History {
  constructor() {
    this.points = [];
    this.counted = new Map();
  }

  /** Take an answer that came at this time; return the newest point. */
  add(answer, at) {
    const nodes = new Map(answer.nodes.map((node) => [node.id, this.#measure(node)]));
    for (const id of this.counted.keys()) if (!nodes.has(id)) this.counted.delete(id);
    this.points.push(pointOf(at, nodes));
    while (this.points[0].at < at - SPAN_MS) this.points.shift();
    return this.points.at(-1);
  }

  /** The values of one kind over time, of a node or (null) of all: `[{at, value}]`. */
  series(kind, id = null) {
    return this.points.map(({ at, nodes, total }) => {
      const of = id === null ? total : nodes.get(id);
      return { at, value: of?.[kind] ?? null };
    });
  }

  #measure(node) {
    const before = this.counted.get(node.id);
    const rates = ratesOf(before, node);
    this.counted.set(node.id, { node, rates });
    return {
      connections: node.connections,
      bound: node.bound,
      p50: node.p50Ms,
      p99: node.p99Ms,
      ...rates,
    };
  }
}

/** How often a second, between what a node said before and what it says now. */
export function ratesOf(before, now) {
  const none = { commands: null, failed: null, events: null };
  // Counters begin anew with the process.
  if (!before || before.node.startedAt !== now.startedAt) return none;
  const s = (now.seenAt - before.node.seenAt) / 1000;
  if (s <= 0) return before.rates; // It has said nothing new since.
  const per = (name) => Math.max(0, now[name] - before.node[name]) / s;
  return { commands: per("commands"), failed: per("commandsFailed"), events: per("events") };
}

/**
 * All nodes together. The p99 of the whole cannot be had from those of its parts, so it is that of
 * the slowest node; the p50 is their mean, weighted by how much each has to do.
 */
export function totalOf(nodes) {
  const known = (name) =>
    nodes.map((node) => node[name]).filter((value) => value !== null && value !== undefined);
  const sum = (name) => (known(name).length ? known(name).reduce((a, b) => a + b, 0) : null);
  return {
    connections: sum("connections"),
    bound: sum("bound"),
    commands: sum("commands"),
    failed: sum("failed"),
    events: sum("events"),
    p50: weightedP50(nodes),
    p99: known("p99").length ? Math.max(...known("p99")) : null,
  };
}

function weightedP50(nodes) {
  const timed = nodes.filter((node) => node.p50 !== null && node.p50 !== undefined);
  if (!timed.length) return null;
  const weight = (node) => Math.max(node.commands ?? 0, 1e-6);
  const all = timed.reduce((sum, node) => sum + weight(node), 0);
  return timed.reduce((sum, node) => sum + node.p50 * weight(node), 0) / all;
}
