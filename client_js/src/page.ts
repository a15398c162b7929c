/**
 * The events of a browser about the page and the network. In other environments there are none.
 */

export interface PageListener {
  /** The page may be visible again (false), or the network is back (true). */
  wake(isNetwork: boolean): void;
  /** The page may never run again. */
  hide(): void;
  /** Another page changed localStorage. */
  stored(): void;
}

/** Listen until the function that is returned is called. */
export function watchPage(listener: PageListener): () => void {
  const watch = new AbortController();
  const handle = ({ type }: { type: string }) => {
    if (type === "storage") listener.stored();
    else if (type === "pagehide" || (type[0] === "v" && document.hidden)) listener.hide();
    else listener.wake(type === "online");
  };
  const types = ["online", "pageshow", "pagehide", "visibilitychange", "storage"];
  for (const type of types) {
    globalThis.addEventListener?.(type, handle, { signal: watch.signal });
  }
  return () => watch.abort();
}
