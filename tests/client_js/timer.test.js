/** Timers, and what happens to those that are overdue. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { cancel, later } from "../../client_js/dist/timer.js";

describe("a timer", { timeout: 10000 }, () => {
  test("that is overdue lets what has arrived be processed first", async () => {
    const order = [];
    const due = new Promise((resolve) => later(1, () => resolve(order.push("timer"))));
    const until = performance.now() + 1200;
    while (performance.now() < until); // As a page that was frozen.
    // A message: it is processed in a turn of its own, after timers that were due before.
    setTimeout(() => order.push("message"), 5);
    await due;
    assert.deepEqual(order, ["message", "timer"]);
  });

  test("can be cancelled, also while it lets others go first", async () => {
    let calls = 0;
    const timer = later(1, () => calls++);
    const until = performance.now() + 1200;
    while (performance.now() < until);
    await new Promise((resolve) => setTimeout(resolve, 20));
    cancel(timer);
    await new Promise((resolve) => setTimeout(resolve, 150));
    cancel(undefined);
    assert.equal(calls, 0);
  });
});
