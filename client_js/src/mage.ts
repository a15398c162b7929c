/**
 * The client in the words of MAGE's: `mage.session`, `mage.eventManager`, `mage.logger`.
 *
 * The law of this module: it is another form of the same client, made of its public parts alone.
 */
import { type Client, connect as connectClient } from "./client.js";
import { call } from "./handlers.js";
import type { Options } from "./options.js";

/** What `require('mage')` gave a program. */
export interface Mage {
  /** `isValid`, `restore`, `logout` and all else that `client.session` has. */
  readonly session: Client["session"];
  readonly eventManager: EventManager;
  readonly logger: Record<Level, (...args: unknown[]) => void>;
  /** What the others are made of. */
  readonly client: Client;
}

/**
 * Make a client for the server at `url`, and show it as MAGE did.
 *
 * Where `connect` of `keystay` keeps the key in localStorage and hears of the session alone, this one
 * leaves the key to the program and hears all events, unless the options say otherwise.
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
  return { session: client.session, eventManager, logger: makeLogger(), client };
}

/**
 * Called with the path of the event and its data. For `session.unset` the data is the reason, a
 * string, as it was; what Keystay tells beside it, `{reason, id, by?}`, comes after it.
 */
export type MageHandler = (path: string, ...data: any[]) => unknown;

interface Entry {
  path: string;
  handler: MageHandler;
  isOnce: boolean;
}

/**
 * Events by their path, and the functions that hear them.
 *
 * A handler that throws is reported and takes nothing with it.
 */
export class EventManager {
  private _entries: Entry[] = [];

  /** Call the handler for each event of this path and of everything below it. */
  on(path: string, handler: MageHandler): this {
    return this._add(path, handler, false);
  }

  /** The same, for the next such event only. */
  once(path: string, handler: MageHandler): this {
    return this._add(path, handler, true);
  }

  /** Undo `on` or `once`, whichever came last. */
  removeListener(path: string, handler: MageHandler): this {
    const found = this._entries.filter((entry) => entry.path === path && entry.handler === handler);
    this._remove(found.at(-1));
    return this;
  }

  /** The same. */
  off(path: string, handler: MageHandler): this {
    return this.removeListener(path, handler);
  }

  /** Undo all for this path, or for all of them. */
  removeAllListeners(path?: string): this {
    this._entries = this._entries.filter((entry) => path !== undefined && entry.path !== path);
    return this;
  }

  /** Call those for exactly this path, in the order in which they came; tell whether there were any. */
  emit(path: string, ...args: unknown[]): boolean {
    const heard = this._entries.filter((entry) => entry.path === path);
    for (const entry of heard) {
      // A handler before it may have emitted the same event.
      if (entry.isOnce && !this._remove(entry)) continue;
      call(entry.handler as (...args: unknown[]) => unknown, ...args);
    }
    return heard.length > 0;
  }

  /** Tell an event: first to those for its whole path, last to those for its first word. */
  emitEvent(path: string, ...data: unknown[]): void {
    for (const words = path.split("."); words.length; words.pop()) {
      this.emit(words.join("."), path, ...data);
    }
  }

  private _add(path: string, handler: MageHandler, isOnce: boolean): this {
    this._entries.push({ path, handler, isOnce });
    return this;
  }

  /** Tell whether it was there. */
  private _remove(entry: Entry | undefined): boolean {
    const before = this._entries;
    this._entries = before.filter((other) => other !== entry);
    return this._entries.length < before.length;
  }
}

/** MAGE's levels, and which of the console's each is. */
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

/** Make what writes to the console, as text in which no session key can be read. */
function makeLogger(): Mage["logger"] {
  const levels = Object.entries(LEVELS).map(([level, method]) => [
    level,
    (...args: unknown[]) => console[method](`[${level}]`, ...args.map(masked)),
  ]);
  return Object.fromEntries(levels);
}

/** Write the value as text, its secrets left out (SPEC section 4.1). */
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
