/**
 * The functions a program wants to be called, and the calling of them.
 *
 * The law of this module: handlers are called at once, in the order of the events; one that fails
 * is reported and takes nothing with it.
 */

/**
 * `path` is the event's own name; `data` a `Session` for `session.set`, else what was sent; `cursor`
 * its place among the events of its actor, null if it has none.
 */
export type Handler = (path: string, data: any, cursor: number | null) => unknown;

/** Who is to be called for which path. */
export class Handlers {
  private readonly _entries = new Set<[path: string, handler: Handler]>();

  /**
   * Call the handler for `path` and everything below it, after those that came before. Returns what
   * undoes this, and no other registration of the same handler.
   */
  on(path: string, handler: Handler): () => void {
    const entry: [string, Handler] = [path, handler];
    this._entries.add(entry);
    return () => void this._entries.delete(entry);
  }

  /** Stop calling the handler for `path`, once. Does nothing if it is not called. */
  off(path: string, handler: Handler): void {
    for (const entry of this._entries) {
      if (entry[0] === path && entry[1] === handler) return void this._entries.delete(entry);
    }
  }

  /** Call everyone who hears the event (SPEC section 5.1). */
  tell(name: string, data: unknown, cursor: number | null): void {
    callAll(this._entries, ([path, handler]) => {
      if (!path || name === path || name.startsWith(path + ".")) call(handler, name, data, cursor);
    });
  }
}

/** Do it for each that is there now, but for none that is gone when its turn comes. */
export function callAll<T>(entries: Set<T>, tell: (entry: T) => void): void {
  for (const entry of [...entries]) if (entries.has(entry)) tell(entry);
}

/** Call a function of the program; report what it throws, or rejects with. */
export function call<A extends unknown[]>(handler: (...args: A) => unknown, ...args: A): void {
  try {
    const result = handler(...args);
    if (result instanceof Promise) result.catch(report);
  } catch (error) {
    report(error);
  }
}

/** Show an error to whoever develops the program. */
export function report(error: unknown): void {
  typeof reportError === "function" ? reportError(error) : console.error(error);
}
