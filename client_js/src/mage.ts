/**
 * The client with the interface of MAGE's: `mage.session`, `mage.eventManager`, `mage.logger`.
 *
 * Invariant: it is made of the public parts of the client alone.
 */
import { type Client, connect as connectClient } from "./client.js";
import { call } from "./handlers.js";
import type { Options } from "./options.js";
import { cancel, later } from "./timer.js";

/** What `require('mage')` returned. */
export interface Mage {
  /**
   * `isValid`, `restore`, `logout` and all else that `client.session` has. Programs of MAGE discard a key for
   * any error, so `isValid` and `restore` answer only when the server has judged it: while it is out of reach
   * they ask again.
   */
  readonly session: Client["session"];
  readonly eventManager: EventManager;
  readonly logger: Record<Level, (...args: unknown[]) => void>;
  /** The client that the others use. */
  readonly client: Client;
}

/**
 * Make a client for the server at `url`, with the interface of MAGE's.
 *
 * `connect` of `keystay` keeps the key in localStorage and subscribes to the session alone; this one leaves
 * the key to the program and subscribes to all events, unless the options say otherwise.
 *
 * @throws As `connect` of `keystay` does.
 */
export function connect(url: string, options: Options = {}): Mage {
  const client = connectClient(url, { storage: "memory", paths: [""], ...options });
  const eventManager = new EventManager();
  client.on("", (path, data) => {
    if (path === "session.unset") eventManager.emitEvent(path, data.reason, data);
    else eventManager.emitEvent(path, data);
  });
  return { session: patient(client), eventManager, logger: makeLogger(), client };
}

/** The server has not judged the key: it is out of reach, or cannot answer now. */
const UNJUDGED = ["timeout", "connectionLost", "unavailable", "rateLimited", "internal", "queueFull"];
const RETRY_MS = 1000;

/** Return the session with an `isValid` and a `restore` that ask until the server has judged the key. */
function patient(client: Client): Client["session"] {
  return new Proxy(client.session, {
    get(target: any, name) {
      const value = target[name];
      if (typeof value !== "function") return value;
      const method = value.bind(target);
      return name === "isValid" || name === "restore" ? untilJudged(client, method) : method;
    },
  });
}

function untilJudged(client: Client, method: (...args: any[]) => Promise<unknown>) {
  const ask = async (args: unknown[]): Promise<unknown> => {
    for (;;) {
      try {
        return await method(...args);
      } catch (error: any) {
        const { code, retryAfterMs } = error;
        // A code of a later version says so by naming a time (SPEC section 9).
        if (retryAfterMs === undefined && !UNJUDGED.includes(code)) throw error;
        await pause(client, retryAfterMs || RETRY_MS);
      }
    }
  };
  return (...args: any[]) => {
    const callback = typeof args.at(-1) === "function" ? args.pop() : null;
    const answer = ask(args);
    if (!callback) return answer;
    answer.then(
      (result) => call(callback, null, result),
      // A client that is closed will not be judged.
      ({ code }) => code !== "clientClosed" && call(callback, code),
    );
    return undefined;
  };
}

/** Wait for so long, or until the client is closed. */
function pause(client: Client, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      cancel(timer);
      undo();
      resolve();
    };
    const timer = later(ms, end);
    const undo = client.onState((state) => state === "closed" && end());
  });
}

/**
 * Called with the path of the event and its data. For `session.unset` the data is the reason, a string, as
 * in MAGE; the data of Keystay, `{reason, id, by?}`, is the next argument.
 */
export type MageHandler = (path: string, ...data: any[]) => unknown;

interface Entry {
  path: string;
  handler: MageHandler;
  isOnce: boolean;
}

/**
 * Event handlers, by path.
 *
 * An exception of a handler is reported, and does not stop the others.
 */
export class EventManager {
  private _entries: Entry[] = [];

  /** Call the handler for each event of this path and below it. */
  on(path: string, handler: MageHandler): this {
    return this._add(path, handler, false);
  }

  /** The same, for the next such event alone. */
  once(path: string, handler: MageHandler): this {
    return this._add(path, handler, true);
  }

  /** Remove the handler of `path` that was added last. */
  removeListener(path: string, handler: MageHandler): this {
    const found = this._entries.filter((entry) => entry.path === path && entry.handler === handler);
    this._remove(found.at(-1));
    return this;
  }

  /** The same. */
  off(path: string, handler: MageHandler): this {
    return this.removeListener(path, handler);
  }

  /** Remove all handlers of this path, or of all paths. */
  removeAllListeners(path?: string): this {
    this._entries = this._entries.filter((entry) => path !== undefined && entry.path !== path);
    return this;
  }

  /** Call the handlers of exactly this path, in order; return whether there were any. */
  emit(path: string, ...args: unknown[]): boolean {
    const entries = this._entries.filter((entry) => entry.path === path);
    for (const entry of entries) {
      // A handler before it may have emitted the same event.
      if (entry.isOnce && !this._remove(entry)) continue;
      call(entry.handler as (...args: unknown[]) => unknown, ...args);
    }
    return entries.length > 0;
  }

  /** Call the handlers of the whole path first, those of its first word last. */
  emitEvent(path: string, ...data: unknown[]): void {
    for (const words = path.split("."); words.length; words.pop()) {
      this.emit(words.join("."), path, ...data);
    }
  }

  private _add(path: string, handler: MageHandler, isOnce: boolean): this {
    this._entries.push({ path, handler, isOnce });
    return this;
  }

  /** Return whether it was there. */
  private _remove(entry: Entry | undefined): boolean {
    const before = this._entries;
    this._entries = before.filter((other) => other !== entry);
    return this._entries.length < before.length;
  }
}

/** MAGE's levels, and the console's level of each. */
const LEVELS = {
  verbose: "debug",
  debug: "debug",
  info: "info",
  notice: "warn",
  warning: "warn",
  error: "error",
  critical: "error",
  alert: "error",
  emergency: "error",
} as const;

type Level = keyof typeof LEVELS;

/** Return a logger that writes to the console, with session keys masked. */
function makeLogger(): Mage["logger"] {
  const levels = Object.entries(LEVELS).map(([level, method]) => [
    level,
    (...args: unknown[]) => console[method](`[${level}]`, ...args.map(masked)),
  ]);
  return Object.fromEntries(levels);
}

/** Return the value as text, with session keys masked (SPEC section 4.1). */
function masked(value: unknown): string {
  return textOf(value).replace(/kst_[\w-]+/g, "kst_…");
}

function textOf(value: any): string {
  if (typeof value !== "object" || value === null) return String(value);
  if (typeof value.stack === "string") {
    // Not every browser repeats the message in it.
    return value.stack.includes(value.message) ? value.stack : `${value}\n${value.stack}`;
  }
  try {
    return `${JSON.stringify(value)}`;
  } catch {
    return Object.prototype.toString.call(value);
  }
}
