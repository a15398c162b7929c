/**
 * The options of a client.
 */
import type { SessionStorage } from "./storage.js";

/**
 * What a client uses of a WebSocket. Browsers, Node 22 and later, and the package `ws` have it; each names
 * the types of its events differently.
 */
export interface WebSocketLike {
  binaryType: string;
  readonly protocol: string;
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  send(data: any): void;
  close(code?: number): void;
}

/** The constructor of a WebSocket. */
export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike;

export interface Options {
  /** A session key to restore first, before the one in the storage. */
  key?: string;
  /** Where the session is kept: by default in localStorage where there is one, else in memory. */
  storage?: "local" | "session" | "memory" | SessionStorage;
  /** Its name there; by default `keystay` and the URL without its query. */
  storageName?: string;
  /** Subscribed before the first restore, which replays missed events of these paths. */
  paths?: string[];
  /** The application's version, sent with every restore, for servers that require one. */
  version?: string;
  /** How long a command may take, waiting for a connection included. */
  timeoutMs?: number;
  /** For one attempt to connect, the restored session included. */
  openTimeoutMs?: number;
  /** Upper bound of the first wait before reconnecting; each further one is twice as long. */
  backoffBaseMs?: number;
  /** Upper bound of every wait. A connection that held this long starts over at the base. */
  backoffCapMs?: number;
  /** After so long without a message the client probes the server. */
  silenceMs?: number;
  /** How long the server may take to answer the probe. */
  probeTimeoutMs?: number;
  /**
   * Whether a login or a logout in one tab is at once one in all that share the storage. The default is
   * true.
   */
  tabs?: boolean;
  /** Whether such tabs share one connection too, where the browser has Web Locks. */
  sharedConnection?: boolean;
  /** How many commands may be without a reply; one more is rejected with `queueFull`. */
  maxPending?: number;
  /** The largest message accepted from the server (SPEC section 2.3). */
  maxMessageBytes?: number;
  /** The constructor to connect with: by default that of the browser, or of Node 22 and later. */
  WebSocket?: WebSocketConstructor;
}

export interface CallOptions {
  /** How long this command may take. */
  timeoutMs?: number;
  /**
   * `fail`: reject with `notConnected` at once if the client is not open, unless the server closed the
   * connection because it had no session (4000); `queue`: wait.
   */
  whenOffline?: "queue" | "fail";
}

const DEFAULTS = {
  paths: ["session"],
  timeoutMs: 10_000,
  openTimeoutMs: 10_000,
  backoffBaseMs: 500,
  backoffCapMs: 30_000,
  silenceMs: 20_000,
  probeTimeoutMs: 10_000,
  maxPending: 1024,
  maxMessageBytes: 1024 * 1024,
};

/** The options, with defaults. */
export type Settings = typeof DEFAULTS &
  Pick<Options, "key" | "storage" | "version" | "tabs" | "sharedConnection"> & {
    storageName: string;
    WebSocket: WebSocketConstructor;
  };

/**
 * Fill in the defaults.
 *
 * @throws TypeError If the URL or the storage is invalid, or if there is no WebSocket. None of them is
 *     quoted.
 */
export function settle(url: string, options: Options): Settings {
  let parsed: URL | undefined;
  try {
    parsed = new URL(url);
  } catch {
    // Reported below, without the URL: it may contain a password.
  }
  if (!parsed || !/^wss?:$/.test(parsed.protocol) || parsed.hash) {
    throw new TypeError("the URL must look like ws://host:port or wss://host");
  }
  const settings: Settings = {
    ...DEFAULTS,
    storageName: `keystay ${parsed.protocol}//${parsed.host}${parsed.pathname}`,
    WebSocket: globalThis.WebSocket,
  };
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined) Object.assign(settings, { [name]: value });
  }
  const { storage = "local" }: any = settings;
  if (!/^(local|session|memory)$/.test(storage) && !storage?.load) {
    throw new TypeError('the option storage is "local", "session", "memory" or an object');
  }
  if (!settings.WebSocket) {
    throw new TypeError("there is no WebSocket here: pass one as the option WebSocket");
  }
  return settings;
}
