/**
 * A real server process, a relay before it, and scripted servers.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { connect as connectTcp, createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { createInterface } from "node:readline";
import { unpack, ws } from "./peers.js";

const VENV = fileURLToPath(new URL("../../.venv/bin/python", import.meta.url));
const PYTHON = process.env.PYTHON ?? (existsSync(VENV) ? VENV : "python3");
const API_KEY = "test-api-key";

/**
 * Run `keystay serve` with these flags until the test ends, by default in memory and on free ports.
 * `t` is the test's context, or anything else with an `after`.
 */
export async function serve(t, flags = {}) {
  const all = {
    "--store": "memory://",
    "--listen": "127.0.0.1:0",
    "--control": "127.0.0.1:0",
    ...flags,
  };
  const child = spawn(
    PYTHON,
    ["-m", "keystay_server.cli", "serve", "--dev", ...Object.entries(all).flat()],
    { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, KEYSTAY_API_KEY: API_KEY } },
  );
  let log = "";
  child.stderr.on("data", (text) => (log += text));
  const exited = once(child, "exit");
  const end = (signal) => {
    child.kill(signal);
    return exited;
  };
  t.after(() => end("SIGKILL"));
  const died = exited.then(() => Promise.reject(new Error(`the server did not start: ${log}`)));
  died.catch(() => {}); // It is to end, later.
  const [line] = await Promise.race([once(createInterface(child.stdout), "line"), died]);
  const { listen, control } = JSON.parse(line);
  return { url: listen, address: listen.slice(5), control, end, ask: asker(control) };
}

/** Send a request of a backend: `ask("POST", "/v1/sessions", {...})`. */
const asker = (control) => async (method, path, body) => {
  const answer = await fetch(control + path, {
    method,
    headers: { Authorization: `Bearer ${API_KEY}`, "Content-Type": "application/json" },
    ...(body && { body: JSON.stringify(body) }),
  });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status}`);
  const text = await answer.text();
  return text ? JSON.parse(text) : null;
};

/** A relay to the server that a test can cut, without a close frame, until it is mended. */
export async function relayTo(t, { url }) {
  const ends = new Set();
  const relay = {
    url: "",
    target: new URL(url),
    isCut: false,
    cut() {
      relay.isCut = true;
      for (const end of ends) end.destroy();
    },
    mend(server) {
      if (server) relay.target = new URL(server.url);
      relay.isCut = false;
    },
  };
  const keep = (socket) => {
    ends.add(socket);
    socket.on("error", () => {}).on("close", () => ends.delete(socket));
    return socket;
  };
  const listener = createServer((near) => {
    keep(near);
    if (relay.isCut) return near.destroy();
    const far = keep(connectTcp(relay.target.port, relay.target.hostname));
    near.pipe(far).pipe(near);
    for (const [one, other] of [[near, far], [far, near]]) one.on("close", () => other.destroy());
  });
  await once(listener.listen(0, "127.0.0.1"), "listening");
  t.after(() => {
    relay.cut();
    listener.close();
  });
  relay.url = `ws://127.0.0.1:${listener.address().port}`;
  return relay;
}

/**
 * Serve clients by a script: it is called for each command, with the connection, the command and
 * the number of the connection, counted from 1; once also with the method `open`.
 */
export async function script(t, answer, options = { handleProtocols: () => "keystay.v1" }) {
  const server = new ws.WebSocketServer({ port: 0, host: "127.0.0.1", ...options });
  let count = 0;
  server.on("connection", (socket) => {
    const number = ++count;
    socket.on("error", () => {});
    answer(socket, { method: "open" }, number);
    socket.on("message", (data) => {
      const [, id, method, params] = unpack(data);
      answer(socket, { id, method, params }, number);
    });
  });
  t.after(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  await once(server, "listening");
  return { url: `ws://127.0.0.1:${server.address().port}`, connections: () => count };
}
