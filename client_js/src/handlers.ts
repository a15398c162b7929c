/**
 * The event handlers of a program, and how they are called.
 *
 * Invariant: handlers are called at once, in the order of the events. An exception of a handler is
 * reported, and does not stop the others.
 */

/**
 * `path` is the name of the event; `data` a `Session` for `session.set`, else what was sent; `cursor`
 * its position among the events of its actor, null if it has none.
 */
export type Handler = (path: string, data: any, cursor: number | null) => unknown;

/** The handlers, by path. */
export class Handlers {
  private readonly _entries = new Set<[path: string, handler: Handler]>();

  /**
   * Call the handler for events of `path` and below it, after those added before. Returns a function
   * that removes this registration, and no other of the same handler.
   */
  on(path: string, handler: Handler): () => void {
    const entry: [string, Handler] = [path, handler];
    this._entries.add(entry);
    return () => void this._entries.delete(entry);
  }

  /** Remove the handler of `path` once, if it is there. */
  off(path: string, handler: Handler): void {
    for (const entry of this._entries) {
      if (entry[0] === path && entry[1] === handler) return void this._entries.delete(entry);
    }
  }

  /** Call the handlers whose path matches (SPEC section 5.1). */
  run(name: string, data: unknown, cursor: number | null): void {
    callEach(this._entries, ([path, handler]) => {
      if (!path || name === path || name.startsWith(path + ".")) call(handler, name, data, cursor);
    });
  }
}

/** Call for each entry that is there now, unless it is removed before its turn. */
export function callEach<T>(entries: Set<T>, run: (entry: T) => void): void {
  for (const entry of [...entries]) if (entries.has(entry)) run(entry);
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

/** Show an error to the developer of the program. */
export function report(error: unknown): void {
  typeof reportError === "function" ? reportError(error) : console.error(error);
}
