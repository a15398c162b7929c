/**
 * When to come back after a connection ended, and whether to (SPEC sections 7 and 8).
 *
 * No clock and no randomness of its own: waits are returned, dice are passed in.
 */

/** Tell whether a client may reconnect after this close code; 1006 is a line that broke. */
export function mayReturn(closeCode: number): boolean {
  return ![1002, 1003, 1007, 1009].includes(closeCode) && !(closeCode >= 4500 && closeCode < 5000);
}

export const SERVER_DRAINING = "server.draining";

/** Read how many milliseconds a `server.draining` event asks to wait; null if it does not say. */
export function slotMs(draining: any): number | null {
  const wait = draining?.reconnectAfter;
  return Number.isFinite(wait) ? Math.max(0, wait) : null;
}

/**
 * Exponential backoff with full jitter: each wait is a random part of a bound that doubles, so that
 * clients which lost the same server at the same moment do not return at the same moment.
 */
export class Backoff {
  private _attempt = 0;

  /**
   * @param _baseMs The first bound.
   * @param _capMs The largest bound.
   * @param _random Returns a number in [0, 1).
   */
  constructor(
    private readonly _baseMs: number,
    private readonly _capMs: number,
    private readonly _random: () => number,
  ) {}

  /** Return how long to wait now. */
  nextMs(): number {
    return Math.min(this._capMs, this._baseMs * 2 ** this._attempt++) * this._random();
  }

  /** Start over if a connection held at least as long as the longest wait is. */
  held(ms: number): void {
    if (ms >= this._capMs) this._attempt = 0;
  }
}
