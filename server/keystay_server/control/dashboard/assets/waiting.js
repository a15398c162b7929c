// Waiting: for time to pass, and for somebody to look.

/** Wait; less long if the signal aborts. */
export function pause(ms, signal) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done);
  });
}

/** Wait until the page is seen, if it is not; less long if the signal aborts. */
export async function seen(signal) {
  while (document.hidden && !signal?.aborted) await changed(signal);
}

/** A signal that aborts when the page is not seen any more, or the other signal does. */
export function whileSeen(signal) {
  const until = new AbortController();
  const look = () => {
    if (document.hidden) until.abort();
  };
  document.addEventListener("visibilitychange", look, { signal: until.signal });
  signal.addEventListener("abort", () => until.abort(), { signal: until.signal });
  return until;
}

function changed(signal) {
  return new Promise((resolve) => {
    const once = { once: true, signal };
    document.addEventListener("visibilitychange", resolve, once);
    signal?.addEventListener("abort", resolve, { once: true });
  });
}
