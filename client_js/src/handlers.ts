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
  private _handlers: [path: string, handler: Handler][] = [];

  /** Call the handler for `path` and everything below it, after those that came before. */
  on(path: string, handler: Handler): void {
    this._handlers.push([path, handler]);
  }

  /** Stop calling the handler for `path`, once. Does nothing if it is not called. */
  off(path: string, handler: Handler): void {
    const at = this._handlers.findIndex((entry) => entry[0] === path && entry[1] === handler);
    if (at >= 0) this._handlers.splice(at, 1);
  }

  /** Call everyone who hears the event (SPEC section 5.1). */
  tell(name: string, data: unknown, cursor: number | null): void {
    for (const [path, handler] of [...this._handlers]) {
      if (!path || name === path || name.startsWith(path + ".")) call(handler, name, data, cursor);
    }
  }
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
