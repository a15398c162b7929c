// What a Node programmer writes without Keystay, with Socket.IO: its WebSocket transport and its
// msgpack parser, keys in a Map. It answers the same messages, and does nothing else.
import { createServer } from "node:http";
import { Server } from "socket.io";
import parser from "socket.io-msgpack-parser";

import { isLive, logIn } from "./sessions.mjs";

const http = createServer();
const options = { transports: ["websocket"], perMessageDeflate: false, pingInterval: 3_600_000 };
const server = new Server(http, { parser, ...options });

server.on("connection", (client) => {
  client.on("session.isValid", (key, reply) => reply(isLive(key) ? null : "noSession"));
  client.on("session.login", (_method, reply) => {
    const session = logIn();
    client.emit("session.set", session, 1);
    reply(null, { session, cursor: 1, recovered: false });
  });
  client.on("pub", (name, data, reply) => {
    server.emit(name, data, null);
    reply(null);
  });
});

http.listen(0, "127.0.0.1", () => {
  const listen = `ws://127.0.0.1:${http.address().port}`;
  console.log(JSON.stringify({ event: "ready", listen, pid: process.pid }));
});
