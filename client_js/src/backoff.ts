/**
 * Whether to reconnect after a connection ended, and when (SPEC sections 7 and 8).
 *
 * Has no clock and no randomness of its own: delays are returned, `random` is passed in.
 */

/** Return whether to reconnect after this close code; 1006 is a connection that broke. */
export function mayReconnect(closeCode: number): boolean {
  return ![1002, 1003, 1007, 1009].includes(closeCode) && !(closeCode >= 4500 && closeCode < 5000);
}

export const SERVER_DRAINING = "server.draining";

/** Return the delay in the data of `server.draining`, in milliseconds; null without one. */
export function reconnectAfterMs(draining: any): number | null {
  const wait = draining?.reconnectAfter;
  return Number.isFinite(wait) ? Math.max(0, wait) : null;
}

/**
 * Exponential backoff with full jitter: each delay is a random part of a bound that doubles, so that
 * clients that lost the same server at the same moment do not reconnect at the same moment.
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

  /** Return the next delay. */
  nextMs(): number {
    return Math.min(this._capMs, this._baseMs * 2 ** this._attempt++) * this._random();
  }

  /** Reset if a connection lasted at least as long as the longest delay. */
  lasted(ms: number): void {
    if (ms >= this._capMs) this._attempt = 0;
  }
}
