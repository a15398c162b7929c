/**
 * The client of Keystay for browsers and Node: a session over one connection, and its events.
 *
 *     const client = connect("wss://example.com");
 *     const session = await client.session.login("anonymous");
 *
 * `client.ts` is the interface of a program, `conversation.ts` the protocol without I/O.
 */
export { type Callback, Client, connect } from "./client.js";
export type { LogoutOptions, Paths, SessionCommands, StateHandler } from "./client.js";
export type { SetHandler, UnsetHandler } from "./client.js";
export type { State } from "./connection.js";
export { ClientError, type ClientErrorCode, CommandError, KeystayError } from "./errors.js";
export type { Handler } from "./handlers.js";
export type { CallOptions, Options, WebSocketConstructor, WebSocketLike } from "./options.js";
export type { Session, Unset } from "./session.js";
export type { SessionStorage, StoredLogout, StoredSession } from "./storage.js";
