// What the backend of an application asks of Keystay, and the same as a command for a shell.
//
// The paths are the API's own. The server of a backend has an API key; this page has none: below
// /demo, a server for development takes the key of a session in its place.

const TTL_S = 120;
const PATIENCE_MS = 10_000;

/** An answer that is none of success. `message` is for people. */
export class Refused extends Error {}

export class Backend {
  /** `holds` returns the key of the session that the page holds, or null. */
  constructor(holds) {
    this.holds = holds;
  }

  /** Open a session for whoever has shown who they are; here everybody is believed. */
  open(actorId, meta) {
    return this.#ask("POST", "/v1/sessions", { actorId, meta, ttl: TTL_S });
  }

  emit(actorId, name, data) {
    return this.#ask("POST", `/v1/actors/${quoted(actorId)}/events`, { name, data });
  }

  change(id, meta) {
    return this.#ask("PATCH", `/v1/sessions/${quoted(id)}`, { meta });
  }

  end(id, reason) {
    return this.#ask("DELETE", `/v1/sessions/${quoted(id)}?reason=${quoted(reason)}`);
  }

  /** How many connections hold each session of the actor, by its id. */
  async holders(actorId) {
    const { connections } = await this.#ask("GET", `/v1/actors/${quoted(actorId)}/connections`);
    const holders = new Map();
    for (const { sessionId } of connections)
      holders.set(sessionId, (holders.get(sessionId) ?? 0) + 1);
    return holders;
  }

  async #ask(method, path, body) {
    let answer;
    try {
      answer = await fetch(`demo${path}`, {
        method,
        headers: { "X-Keystay-Session": encodeURIComponent(this.holds() ?? "") },
        body: body === undefined ? undefined : JSON.stringify(body),
        cache: "no-store",
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
    } catch {
      throw new Refused("The server cannot be reached. Does it still run?");
    }
    if (answer.ok) return answer.status === 204 ? null : await answer.json();
    throw new Refused(await wordsOf(answer));
  }
}

/** The same in a shell, in the folder where the server was started. */
export const commands = {
  emit: (actorId, name, data) =>
    `keystay emit ${shell(actorId)} ${name} ${shell(JSON.stringify(data))}${elsewhere}`,
  change: (id, meta) =>
    `curl -X PATCH -H "Authorization: Bearer $(cat keystay.key)" -d ${shell(JSON.stringify({ meta }))} ${location.origin}/v1/sessions/${quoted(id)}`,
  end: (id, reason) => `keystay session end ${shell(id)} --reason ${reason}${elsewhere}`,
};

const quoted = encodeURIComponent;
const isUsual = /^http:\/\/(localhost|127\.0\.0\.1):8331$/.test(location.origin);
const elsewhere = isUsual ? "" : ` --control ${location.origin}`;
const shell = (text) => (/^[\w.:@-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

async function wordsOf(answer) {
  try {
    const { code, detail, title } = await answer.json();
    return answer.status === 410 ? `This session has ended: ${code}.` : sentence(detail ?? title);
  } catch {
    return `The server answered ${answer.status}.`;
  }
}

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;
