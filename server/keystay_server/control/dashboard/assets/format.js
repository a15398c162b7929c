// Numbers and times in words, the same everywhere on the page.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat("en", { timeStyle: "medium", hour12: false });
const moment = new Intl.DateTimeFormat("en", {
  dateStyle: "medium",
  timeStyle: "medium",
  hour12: false,
});

/** 1,204; for what is not known, a dash. */
export const count = (n) => (n === null ? "–" : n < 100_000 ? whole.format(n) : compact.format(n));

/** How often in a second. */
export const rate = (n) => (n === null ? "–" : n < 10 ? tenths.format(n) : count(n));

/** Milliseconds, with as many digits as mean something. */
export function latency(ms) {
  if (ms === null) return "–";
  if (ms < 10) return `${ms.toFixed(ms < 1 ? 2 : 1)} ms`;
  return ms < 10_000 ? `${whole.format(ms)} ms` : `${tenths.format(ms / 1000)} s`;
}

/** A length of time in its two greatest units. */
export function duration(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}

/** The same in its greatest unit: for what is long over. */
export function ago(ms) {
  const words = duration(ms).split(" ");
  return ms < 2000 ? "just now" : `${words[0]} ${words[1]} ago`;
}

export const timeOfDay = (at) => clock.format(at);
export const dateAndTime = (at) => moment.format(at);

/** The part of a session's id that is not its actor: enough to tell sessions apart. */
export const shortId = (id) => id.slice(id.lastIndexOf(".") + 1);
