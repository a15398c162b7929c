// Follows the feed of an actor: server-sent events, read by fetch, which can send our header.

import { Refused, request } from "./api.js";
import { pause, seen, whileSeen } from "./waiting.js";

const RETRY_MS = [500, 1000, 2000, 5000];

/**
 * A reader of server-sent events (HTML, 9.2): give it text as it comes; it calls back with
 * `{id, event, data}` for each event that is whole. `onId` is called with each position, also where
 * nothing has happened there.
 */
export function eventReader(onEvent, onId = () => {}) {
  let rest = "";
  let [id, event, data] = ["", "", []];
  const field = (line) => {
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "id") id = value;
    else if (name === "event") event = value;
    else if (name === "data") data.push(value);
  };
  return (text) => {
    // A \r at the end may be half of a line's end.
    const lines = (rest + text).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    for (const line of lines) {
      if (line !== "") field(line);
      else {
        onId(id);
        if (data.length) onEvent({ id, event: event || "message", data: data.join("\n") });
        [event, data] = ["", []];
      }
    }
  };
}

/**
 * Follow what happens to the sessions of an actor (null: of all) until the signal aborts.
 *
 * A page that is not seen lets go, and catches up later: a browser has six connections to a server,
 * for all of its pages.
 *
 * Calls `onState` with "live" or "lost", and `onEvent` with the name and the data of each event.
 * Returns false if the server has no feed.
 */
export async function follow(actorId, { onState, onEvent, signal }) {
  let last = "";
  let failures = 0;
  while (!signal.aborted) {
    await seen(signal);
    const until = whileSeen(signal);
    try {
      await readOnce(actorId, last, until.signal, {
        opened() {
          failures = 0;
          onState("live");
        },
        at(id) {
          last = id;
        },
        event(message) {
          onEvent(message.event, JSON.parse(message.data));
        },
      });
    } catch (error) {
      if (signal.aborted) return true;
      if (error instanceof Refused && [403, 404, 405].includes(error.status)) return false;
    } finally {
      until.abort();
    }
    if (signal.aborted) return true;
    if (document.hidden) continue;
    onState("lost");
    await pause(RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)], signal);
  }
  return true;
}

async function readOnce(actorId, last, signal, { opened, at, event }) {
  const headers = { Accept: "text/event-stream", ...(last && { "Last-Event-ID": last }) };
  const path = "v1/feed" + (actorId === null ? "" : `?actor=${encodeURIComponent(actorId)}`);
  const answer = await request("GET", path, { headers, signal });
  opened();
  const read = eventReader(event, at);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) read(part.value);
}
