/** When a client comes back, and whether it does. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff, mayReturn, slotMs } from "../../client_js/dist/backoff.js";

test("each wait is a random part of a bound that doubles up to the cap", () => {
  const backoff = new Backoff(500, 30000, () => 0.5);
  const waits = Array.from({ length: 8 }, () => backoff.nextMs());
  assert.deepEqual(waits, [250, 500, 1000, 2000, 4000, 8000, 15000, 15000]);
});

test("however long the server is gone, the wait is a number below the cap", () => {
  const backoff = new Backoff(500, 30000, () => 0.5);
  for (let i = 0; i < 2000; i++) assert.ok(backoff.nextMs() <= 15000);
});

test("a connection that held as long as the longest wait starts over, a shorter one does not", () => {
  const backoff = new Backoff(500, 30000, () => 0.5);
  backoff.nextMs();
  backoff.held(29999);
  assert.equal(backoff.nextMs(), 500);
  backoff.held(30000);
  assert.equal(backoff.nextMs(), 250);
});

test("a close code says whether to come back: one that is unknown by its range", () => {
  const codes = [1000, 1001, 1005, 1006, 1011, 1012, 1013, 4000, 4003, 4499, 4600, 5000];
  assert.deepEqual(codes.filter(mayReturn), codes.filter((code) => code !== 4600));
  assert.ok(![1002, 1003, 1007, 1009, 4500, 4501, 4502, 4999].some(mayReturn));
});

test("the slot of a server that goes away is read where it is a number", () => {
  assert.equal(slotMs({ reconnectAfter: 1840 }), 1840);
  assert.equal(slotMs({ reconnectAfter: -5 }), 0);
  for (const data of [null, 7, {}, { reconnectAfter: "1" }, { reconnectAfter: NaN }]) {
    assert.equal(slotMs(data), null);
  }
});
