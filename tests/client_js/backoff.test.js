/** Whether a client reconnects, and when. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff, mayReconnect, reconnectAfterMs } from "../../client_js/dist/backoff.js";

test("each delay is a random part of a bound that doubles up to the cap", () => {
  const backoff = new Backoff(500, 30000, () => 0.5);
  const waits = Array.from({ length: 8 }, () => backoff.nextMs());
  assert.deepEqual(waits, [250, 500, 1000, 2000, 4000, 8000, 15000, 15000]);
});

test("the delay is a number below the cap, however long the server is away", () => {
  const backoff = new Backoff(500, 30000, () => 0.5);
  for (let i = 0; i < 2000; i++) assert.ok(backoff.nextMs() <= 15000);
});

test("a connection that lasted as long as the longest delay resets the backoff, a shorter one does not", () => {
  const backoff = new Backoff(500, 30000, () => 0.5);
  backoff.nextMs();
  backoff.lasted(29999);
  assert.equal(backoff.nextMs(), 500);
  backoff.lasted(30000);
  assert.equal(backoff.nextMs(), 250);
});

test("a close code says whether to reconnect: an unknown one by its range", () => {
  const codes = [1000, 1001, 1005, 1006, 1011, 1012, 1013, 4000, 4003, 4499, 4600, 5000];
  assert.deepEqual(codes.filter(mayReconnect), codes.filter((code) => code !== 4600));
  assert.ok(![1002, 1003, 1007, 1009, 4500, 4501, 4502, 4999].some(mayReconnect));
});

test("the delay of a server that is draining is read if it is a number", () => {
  assert.equal(reconnectAfterMs({ reconnectAfter: 1840 }), 1840);
  assert.equal(reconnectAfterMs({ reconnectAfter: -5 }), 0);
  for (const data of [null, 7, {}, { reconnectAfter: "1" }, { reconnectAfter: NaN }]) {
    assert.equal(reconnectAfterMs(data), null);
  }
});
