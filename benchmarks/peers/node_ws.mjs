// What a Node programmer writes without Keystay: `ws` and msgpackr, keys in a Map. It answers
// the same messages, and does nothing else: no store, no digests, no limits, no order.
import { Packr } from "msgpackr";
import { WebSocketServer } from "ws";

import { isLive, logIn } from "./sessions.mjs";

const packr = new Packr({ useRecords: false, variableMapSize: true });
const pack = (message) => packr.pack(message);

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: 0,
  perMessageDeflate: false,
  handleProtocols: () => "keystay.v1",
});

server.on("connection", (client) => {
  client.on("message", (data) => {
    const [, id, method, params] = packr.unpack(data);
    if (method === "session.isValid") {
      client.send(pack([1, id, isLive(params[0]) ? null : "noSession", null]));
    } else if (method === "session.login") {
      const session = logIn();
      client.send(pack([2, "session.set", [session, 1]]));
      client.send(pack([1, id, null, { session, cursor: 1, recovered: false }]));
    } else if (method === "time.now") {
      client.send(pack([1, id, null, Date.now()]));
    } else if (method === "pub") {
      const event = pack([2, params[0], [params[1], null]]);
      for (const each of server.clients) each.send(event);
      client.send(pack([1, id, null, null]));
    }
  });
});

server.on("listening", () => {
  const listen = `ws://127.0.0.1:${server.address().port}`;
  console.log(JSON.stringify({ event: "ready", listen, pid: process.pid }));
});
