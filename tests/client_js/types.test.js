/** The types of the package, with the compiler at its strictest. */
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, test } from "node:test";
import { blocks } from "./pages.js";
import { ts } from "./peers.js";

const DIST = fileURLToPath(new URL("../../client_js/dist/", import.meta.url));
const README_PROGRAMS = blocks("client_js/README.md", "js").filter((code) =>
  code.includes("import "),
);
const OWN_TYPES = `
import { connect, type SessionStorage, type StoredSession, type WebSocketConstructor } from "keystay";
import { connect as connectMage } from "keystay/mage";

class Kept implements SessionStorage {
  kept: StoredSession | null = null;
  load = () => this.kept;
  save = (session: StoredSession) => void (this.kept = session);
  clear = () => void (this.kept = null);
}
export async function begin(WebSocket: WebSocketConstructor) {
  const client = connect("ws://127.0.0.1:8330", { WebSocket, storage: new Kept() });
  await client.subscribe("shop", "chat", { whenOffline: "fail" });
  await client.unsubscribe("shop");
  client.session.isValid(null, (error: string | null) => error);
  connectMage("ws://127.0.0.1:8330", { WebSocket }).eventManager.on("session", () => {});
}
`;
const IN_A_PAGE = `${OWN_TYPES}
begin(WebSocket);
`;

/** Compile these together; return the errors. A program that is a pair begins with its file's name. */
function compile(t, programs, options) {
  // Inside of the package, so that `keystay` is the package itself.
  const named = programs.map((each, at) => (Array.isArray(each) ? each : [`typed-${process.pid}-${at}.mts`, each]));
  const files = named.map(([name]) => DIST + name);
  files.forEach((file, at) => writeFileSync(file, named[at][1]));
  t.after(() => files.forEach((file) => rmSync(file)));
  const program = ts.createProgram(files, {
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    types: [],
    ...options,
  });
  return ts
    .getPreEmitDiagnostics(program)
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, " "));
}

describe("the types", { timeout: 60000 }, () => {
  const [PAGE, NO_PAGE] = [["lib.es2022.d.ts", "lib.dom.d.ts"], ["lib.es2022.d.ts"]];

  test("need neither those of a browser nor those of Node", (t) => {
    assert.deepEqual(compile(t, [OWN_TYPES], { lib: NO_PAGE }), []);
  });

  test("accept the WebSocket of a browser, and that of the package ws as in the README", (t) => {
    assert.equal(README_PROGRAMS.filter((code) => code.includes('from "ws"')).length, 2);
    // Errors in the types of others are not tested here.
    const options = { lib: PAGE, skipLibCheck: true };
    assert.deepEqual(compile(t, [IN_A_PAGE, ...README_PROGRAMS], options), []);
  });

  test("give events their data", (t) => {
    const right = `
import { connect } from "keystay";
const client = connect("ws://127.0.0.1:8330");
client.on("session.set", (path, session) => session.expiresAt.toFixed());
client.on("session.unset", (path, unset) => unset.reason.length);
client.on("inventory", (path, item) => item.anything);
`;
    assert.deepEqual(compile(t, [right], { lib: PAGE }), []);
  });

  test("say what a scope is", (t) => {
    const wrong = `
import { connect } from "keystay";
connect("ws://127.0.0.1:8330").session.logout({ scope: "other" });
`;
    assert.match(compile(t, [wrong], { lib: PAGE }).join(), /Type '"other"' is not assignable .+ Did you mean '"others"'/);
  });

  test("fit the programs for React, Vue and Svelte", (t) => {
    const [hook, vue, svelte] = blocks("docs/start/react.md", "ts");
    const [page] = blocks("docs/start/react.md", "tsx");
    const programs = [["useKeystay.ts", hook], ["main.tsx", page], ["vue.ts", vue], ["svelte.ts", svelte]];
    // Errors in the types of others are not tested here.
    const options = { lib: PAGE, skipLibCheck: true, jsx: ts.JsxEmit.ReactJSX };
    assert.deepEqual(compile(t, programs, options), []);
  });
});
