/**
 * The messages between the tabs of one browser.
 *
 * Each client sends two kinds: `["set"]` when another session is in the storage, and
 * `["unset", {reason, id, by?}]` when one has ended. `shared_connection.ts` has more. Neither of the two
 * contains a key: the receiver of the first reads the storage, that of the second compares the id. So a
 * message that comes twice, late, or as an echo changes nothing.
 */

/** A kind, and what belongs to it. */
export type TabMessage = [kind: string, ...rest: any[]];

export class Tabs {
  private _channel: BroadcastChannel | null;

  /** @param received Called with each message; also with kinds of later versions and of other programs. */
  constructor(name: string, received: (message: TabMessage) => void) {
    this._channel = new BroadcastChannel(name);
    this._channel.onmessage = ({ data }) => Array.isArray(data) && received(data as TabMessage);
  }

  /** Send to all other tabs. */
  send(...message: TabMessage): void {
    this._channel?.postMessage(message);
  }

  /** Send and receive nothing more. */
  close(): void {
    this._channel?.close();
    this._channel = null;
  }
}
