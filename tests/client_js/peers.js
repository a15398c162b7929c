/**
 * What the tests need of the packages that client_js is developed with, and of its build.
 */
import { createRequire } from "node:module";

const require = createRequire(new URL("../../client_js/package.json", import.meta.url));

/** The package `ws`: a WebSocket for Node 20, and a server to write scripts for. */
export const ws = require("ws");
/** The compiler. */
export const ts = require("typescript");
const msgpack = require("@msgpack/msgpack");

/** MessagePack as others write and read it. */
export const pack = msgpack.encode;
export const unpack = msgpack.decode;

/** What a client connects with here: the WebSocket of Node 22 and later, else that of `ws`. */
export const WebSocket = globalThis.WebSocket ?? ws.WebSocket;
