/**
 * Timers that take any delay.
 *
 * Invariant: what has arrived counts before a timer that is overdue. A page that was frozen, or a process
 * that was suspended, processes the messages that came meanwhile first.
 */

/** One second late is not load, but a pause of the page. */
const OVERDUE_MS = 1000;
/** For the messages that came during a pause to be processed. */
const CATCH_UP_MS = 100;

export interface Timer {
  id: ReturnType<typeof setTimeout>;
}

/** Call it after this time; a delay that is too long for a timer is cut to the longest one. */
export function later(ms: number, then: () => void): Timer {
  const delayMs = Math.max(0, Math.min(ms, 2 ** 31 - 1));
  const due = performance.now() + delayMs;
  const timer: Timer = {
    id: setTimeout(() => {
      if (performance.now() < due + OVERDUE_MS) then();
      else timer.id = setTimeout(then, CATCH_UP_MS);
    }, delayMs),
  };
  return timer;
}

/** Do not call it. */
export function cancel(timer: Timer | undefined): void {
  clearTimeout(timer?.id);
}
