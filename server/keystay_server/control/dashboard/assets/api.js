// Asks the server that the page came from. The cookie says who asks; the token, that it is this page.

const token = document.querySelector('meta[name="keystay-csrf"]')?.content ?? "";

/** An answer that is none of success. `message` is for people. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

let skewMs = 0;

/** The server's clock, to within a second, in Unix milliseconds. */
export const serverNow = () => Date.now() + skewMs;

/** Send a request; return the answer, with its body still to be read. Throws `Refused`. */
export async function request(method, path, { body, headers, signal } = {}) {
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers: { "X-Keystay-Csrf": token, ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      redirect: "error",
      signal,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refused(0, "The server cannot be reached.");
  }
  if (answer.status === 401) location.reload(); // The 12 hours are over, or the key is.
  if (!answer.ok) throw new Refused(answer.status, await wordsOf(answer));
  noteClock(answer.headers.get("date"));
  return answer;
}

/** Send a request; return the document that is the answer, null if there is none. */
export async function ask(method, path, options = {}) {
  const answer = await request(method, path, {
    ...options,
    signal: options.signal
      ? AbortSignal.any([options.signal, AbortSignal.timeout(10_000)])
      : AbortSignal.timeout(10_000),
  });
  return answer.status === 200 || answer.status === 201 ? await answer.json() : null;
}

/**
 * The path of something that belongs to an actor. The id is in the query: proxies decode a path,
 * and remove dot segments and slashes.
 */
export const ofActor = (actorId, what, query = {}) => `v1/${what}?${new URLSearchParams({ actorId, ...query })}`;

/** The path of a session, or of something that belongs to it. Throws `Refused` if it is no id. */
export function ofSession(id, what = "") {
  // Any other text could become another path on its way through a proxy.
  if (!/^[\w-]+\.[\w-]+$/.test(id)) throw new Refused(404, "No live session has this id.");
  return `v1/sessions/${id}${what}`;
}

async function wordsOf(answer) {
  try {
    const problem = await answer.json();
    return problem.detail ?? problem.title;
  } catch {
    return `The server answered ${answer.status}.`;
  }
}

function noteClock(date) {
  const at = Date.parse(date ?? "");
  // The header has whole seconds: on average half of one has passed since.
  if (!Number.isNaN(at) && Math.abs(at + 500 - serverNow()) > 1500) skewMs = at + 500 - Date.now();
}
