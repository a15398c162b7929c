// The server's clock. Times of sessions are the store's: none is compared with this machine's.

const PATIENCE_MS = 5_000;

let skewMs = 0;

/** The server's time, in Unix milliseconds. */
export const serverNow = () => Date.now() + skewMs;

/** Ask the server for its time, and take it from the middle of the question. */
export async function setClock(client) {
  const asked = Date.now();
  const now = await client.now({ timeoutMs: PATIENCE_MS, whenOffline: "fail" });
  skewMs = now - (asked + Date.now()) / 2;
}
