/**
 * What the tabs of one browser say to each other.
 *
 * Two kinds of news are there with every client: `["set"]`, for another session is in the storage,
 * and `["unset", {reason, id, by?}]`, for one has ended. `shared.ts` has more, for the tabs that share a
 * connection. No key is in the first two: who hears of a session looks into the storage, and who
 * hears of an end compares the id. So whatever comes twice, late, or back as an echo changes nothing.
 */

/** A kind of news, and what goes with it. */
export type News = [kind: string, ...rest: any[]];

export class Tabs {
  private _channel: BroadcastChannel | null;

  /** @param heard Called with what others tell; kinds of a later version, or of a program that is none of
   *   ours, among it. */
  constructor(name: string, heard: (news: News) => void) {
    this._channel = new BroadcastChannel(name);
    this._channel.onmessage = ({ data }) => Array.isArray(data) && heard(data as News);
  }

  /** Tell all other tabs. */
  tell(...news: News): void {
    this._channel?.postMessage(news);
  }

  /** Hear and tell nothing more. */
  close(): void {
    this._channel?.close();
    this._channel = null;
  }
}
