/**
 * Timers that take any delay.
 */

export type Timer = ReturnType<typeof setTimeout>;

/** Call it after this time; a delay that is too long for a timer is cut to the longest one. */
export function later(ms: number, then: () => void): Timer {
  return setTimeout(then, Math.min(ms, 2 ** 31 - 1));
}
