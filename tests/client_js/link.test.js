/** What the conversation does with every message, over golden bytes and without I/O. */
import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { Link } from "../../client_js/dist/link.js";
import {
  CURSOR,
  KEY,
  OTHER_KEY,
  bound,
  done,
  event,
  refused,
  restored,
  sessionSet,
  sessionUnset,
  wireSession,
} from "./golden.js";
import { unpack } from "./peers.js";

const { id: ID } = wireSession();
const AFTER = { cursor: CURSOR };

/** What the link told, in order: events by name, and the answers of commands. */
let told;
beforeEach(() => (told = []));

const linkWith = (options) =>
  new Link((name, data) => told.push([name, data]), { paths: ["session"], maxPending: 4, ...options });
const give = (link, method, ...params) =>
  link.command(method, params, (error, result) => told.push([method, error?.code ?? null, result]));
const sent = (link) => {
  const messages = [];
  for (let message; (message = link.nextMessage()); ) messages.push(unpack(message).slice(1));
  return messages;
};
const hear = (link, ...messages) => messages.forEach((message) => link.receive(message));
const names = () => told.map(([name]) => name);
const openLink = (options) => {
  const link = linkWith(options);
  link.lineOpened();
  return link;
};
/** A link whose command 1 restored the session, as the server tells it. */
const boundLink = () => {
  const link = openLink();
  link.adopt(KEY);
  sent(link);
  hear(link, ...restored(1));
  told.length = 0;
  return link;
};

describe("a new line", () => {
  test("is first subscribed as the last one was, then restored, then given commands", () => {
    const link = linkWith({ paths: ["chat", "inventory"], version: "2.1.0" });
    link.takeUp({ key: KEY, cursor: CURSOR });
    give(link, "time.now");
    link.lineOpened();
    assert.deepEqual(sent(link), [
      [2, "events.subscribe", [["chat", "inventory"]]],
      [3, "events.unsubscribe", [["session"]]],
      [4, "session.restore", [KEY, { version: "2.1.0", cursor: CURSOR }]],
    ]);
    hear(link, done(2, ["session", "chat", "inventory"]), done(3, ["chat", "inventory"]));
    assert.deepEqual([sent(link), link.isOpen], [[], false]);
    hear(link, sessionSet(CURSOR + 1), bound(4, CURSOR + 1, { recovered: true }));
    assert.deepEqual([sent(link), link.isOpen], [[[1, "time.now", []]], true]);
  });

  test("gets again what may be repeated, in order; login and logout are lost", () => {
    const link = boundLink();
    const methods = ["session.list", "session.login", "session.logout", "time.now"];
    for (const method of methods) give(link, method, ...(method === "session.login" ? ["a"] : []));
    assert.equal(sent(link).length, 4);
    link.lineLost();
    assert.deepEqual(told, [
      ["session.login", "connectionLost", undefined],
      ["session.logout", "connectionLost", undefined],
    ]);
    link.lineOpened();
    assert.deepEqual(sent(link), [[6, "session.restore", [KEY, AFTER]]]);
    hear(link, bound(6));
    assert.deepEqual(sent(link), [
      [2, "session.list", []],
      [5, "time.now", []],
    ]);
  });

  test("gets nothing that nobody waits for any more, and a held line nothing at all", () => {
    const link = openLink();
    link.abandon(give(link, "time.now"));
    assert.deepEqual(sent(link), []);
    const call = give(link, "time.now");
    sent(link);
    link.abandon(call);
    hear(link, done(2, 5));
    give(link, "session.isValid", KEY);
    link.hold();
    assert.deepEqual([sent(link), told], [[], []]);
    link.lineLost();
    link.lineOpened();
    assert.deepEqual(sent(link), [[3, "session.isValid", [KEY]]]);
  });
});

describe("events", () => {
  test("are told once, in order, whatever was heard before", () => {
    const link = boundLink();
    hear(link, event("a", 1, CURSOR + 1), event("a", 1, CURSOR + 1), event("b", 2, CURSOR));
    hear(link, event("everybody", 3), event("c", 4, CURSOR + 9));
    assert.deepEqual(told, [["a", 1], ["everybody", 3], ["c", 4]]);
    assert.deepEqual(link.toStore, { key: KEY, cursor: CURSOR + 9 });
  });

  test("of a restore have no cursor: they are told each time, and move none", () => {
    const link = linkWith();
    link.takeUp({ key: KEY, cursor: CURSOR });
    link.lineOpened();
    sent(link);
    hear(link, event("missed", 1, CURSOR + 1), sessionSet(null));
    assert.deepEqual(link.toStore, { key: KEY, cursor: CURSOR + 1 });
    hear(link, bound(1, CURSOR + 9));
    for (const expiresAt of [5, 6]) {
      give(link, "session.restore", ...link.restoreParams(KEY));
      const [[id, , params]] = sent(link);
      assert.deepEqual(params, [KEY, { cursor: CURSOR + 9 }]);
      hear(link, sessionSet(null, { expiresAt }));
      assert.equal(link.session.expiresAt, expiresAt);
      hear(link, bound(id, CURSOR + 8, { expiresAt }));
    }
    assert.equal(names().filter((name) => name === "session.set").length, 3);
    assert.equal(link.cursor, CURSOR + 9);
  });

  test("between a restore and its reply are newer than the reply", () => {
    for (const cursor of [CURSOR + 1, null]) {
      for (const isOver of [false, true]) {
        const link = openLink();
        link.adopt(KEY);
        sent(link);
        const last = isOver ? sessionUnset("revoked", cursor) : sessionSet(cursor, { language: "fr" });
        hear(link, sessionSet(null), last, bound(1));
        assert.equal(link.session?.language, isOver ? undefined : "fr");
      }
    }
  });

  test("of a line that broke say nothing about the reply on the next", () => {
    const link = openLink({ paths: [] });
    link.adopt(KEY);
    hear(link, sessionSet(null));
    link.lineLost();
    link.lineOpened();
    hear(link, bound(sent(link).at(-1)[0], CURSOR, { language: "fr" }));
    assert.equal(link.session.language, "fr");
  });

  test("of another actor begin anew", () => {
    const link = boundLink();
    link.adopt(OTHER_KEY);
    sent(link);
    hear(link, ...restored(2, 7, { key: OTHER_KEY, actorId: "player:8" }));
    assert.deepEqual(names(), ["session.set"]);
    assert.deepEqual(link.toStore, { key: OTHER_KEY, cursor: 7 });
  });

  test("say what the session is, before they are told", () => {
    let seen;
    const link = new Link(() => (seen = link.session), { paths: ["session"], maxPending: 4 });
    link.lineOpened();
    hear(link, sessionSet(CURSOR, { meta: { level: 7 } }));
    assert.deepEqual([seen.meta, seen.key, link.key], [{ level: 7 }, KEY, KEY]);
    hear(link, sessionUnset("revoked", CURSOR + 1));
    assert.deepEqual([seen, link.key, link.toStore], [null, null, null]);
  });

  test("of the end of another session leave this one alone", () => {
    const link = boundLink();
    hear(link, sessionUnset("revoked", CURSOR + 1, { id: "another" }));
    assert.equal(link.key, KEY);
  });

  test("a reply that is older than the last word on the session does not bring it back", () => {
    const link = openLink();
    give(link, "session.restore", KEY);
    sent(link);
    hear(link, sessionSet(), sessionUnset("revoked", CURSOR + 1), bound(1));
    assert.equal(link.session, null);
  });
});

describe("a session that is taken up again", () => {
  const reconnect = (link) => {
    link.lineLost();
    link.lineOpened();
    return sent(link).at(-1)[0];
  };

  test("tells whether all was replayed that was missed, after it", () => {
    const link = boundLink();
    const id = reconnect(link);
    hear(link, event("missed", 1, CURSOR + 1), sessionSet(CURSOR + 2));
    hear(link, bound(id, CURSOR + 2, { recovered: true }));
    assert.deepEqual(names(), ["missed", "session.set", "session.recovered"]);
    assert.deepEqual([told.at(-1)[1], link.recovered], [{ recovered: true }, true]);
    hear(link, bound(reconnect(link), CURSOR + 3));
    assert.equal(link.recovered, false);
  });

  test("or that cannot be is over: the program is told why, and the key is gone", () => {
    for (const code of ["expired", "noSession", "invalidSessionKey", "banned"]) {
      const link = boundLink();
      hear(link, refused(reconnect(link), code));
      assert.deepEqual(told, [["session.unset", { reason: code, id: ID }]]);
      assert.deepEqual([link.key, link.session, link.isOpen], [null, null, true]);
    }
  });

  test("is kept where the trouble passes: the line is to be tried again", () => {
    for (const [code, details] of [["unavailable", { retryAfter: 2 }], ["shy", { retryAfter: 2 }]]) {
      const link = boundLink();
      const id = reconnect(link);
      assert.throws(() => hear(link, refused(id, code, details)), { code, retryAfterMs: 2000 });
      assert.deepEqual([link.key, told], [KEY, []]);
    }
    const link = boundLink();
    const id = reconnect(link);
    assert.throws(() => hear(link, refused(id, "internal")), { code: "internal" });
  });

  test("a key that the program gave and the server refuses leaves the bound session bound", () => {
    const link = boundLink();
    link.adopt(OTHER_KEY);
    assert.equal(link.key, OTHER_KEY);
    sent(link);
    hear(link, refused(2, "revoked"));
    assert.deepEqual(told, [["session.unset", { reason: "revoked", id: null }]]);
    assert.deepEqual([link.key, link.session.id], [KEY, ID]);
  });

  test("a key that the program gave and the server refuses leaves the held session to be taken up", () => {
    for (const adoptsOnTheLine of [false, true]) {
      const link = linkWith();
      link.takeUp({ key: KEY, cursor: CURSOR });
      if (adoptsOnTheLine) link.lineOpened();
      link.adopt(OTHER_KEY);
      if (adoptsOnTheLine) link.lineLost();
      link.lineOpened();
      const [[id, , params]] = sent(link).slice(-1);
      assert.deepEqual(params, [OTHER_KEY]);
      told.length = 0;
      hear(link, refused(id, "loggedOut"));
      assert.deepEqual(told, [["session.unset", { reason: "loggedOut", id: null }]]);
      assert.deepEqual([link.key, link.toStore, link.isOpen], [KEY, { key: KEY, cursor: CURSOR }, false]);
      assert.deepEqual(sent(link), [[id + 1, "session.restore", [KEY, AFTER]]]);
      hear(link, sessionSet(CURSOR + 1), bound(id + 1, CURSOR + 1, { recovered: true }));
      assert.deepEqual(told.slice(1).map(([name]) => name), ["session.set", "session.recovered"]);
      assert.deepEqual([link.session.id, link.isOpen], [ID, true]);
    }
  });

  test("a key that cannot be sent is refused on the spot", () => {
    for (const key of [undefined, 7, "\ud800", "x".repeat(70000)]) {
      assert.throws(() => linkWith().adopt(key), { code: "invalidSessionKey" });
      assert.throws(() => linkWith().takeUp({ key, cursor: null }), { code: "invalidSessionKey" });
    }
  });
});

describe("a logout without a line", () => {
  const departed = () => {
    const link = boundLink();
    link.lineLost();
    give(link, "session.logout");
    return link;
  };

  test("ends the session here at once, and there as soon as there is a line", () => {
    const link = departed();
    assert.deepEqual(told, [["session.unset", { reason: "loggedOut", id: ID }]]);
    assert.deepEqual([link.key, link.session, link.toStore], [null, null, null]);
    assert.ok(link.hasBusiness);
    link.lineOpened();
    assert.deepEqual(sent(link), [[3, "session.restore", [KEY]]]);
    hear(link, ...restored(3, CURSOR + 1));
    assert.deepEqual([sent(link), link.isOpen], [[[2, "session.logout", []]], false]);
    hear(link, sessionUnset("loggedOut", CURSOR + 2));
    assert.equal(link.session, null);
    hear(link, done(2));
    assert.deepEqual(told.slice(1), [["session.logout", null, undefined]]);
    assert.deepEqual([link.hasBusiness, link.isOpen], [false, true]);
  });

  test("is done where the session is over already, and tried again where the server is not well", () => {
    const link = departed();
    link.lineOpened();
    sent(link);
    assert.throws(() => hear(link, refused(3, "unavailable")), { code: "unavailable" });
    link.lineLost();
    link.lineOpened();
    assert.deepEqual(sent(link), [[4, "session.restore", [KEY]]]);
    hear(link, refused(4, "expired"));
    assert.deepEqual(sent(link), []);
    assert.deepEqual(names(), ["session.unset", "session.logout"]);
  });

  test("of all sessions is refused where the session is over already: the others live", () => {
    for (const step of ["session.restore", "session.logout"]) {
      told.length = 0;
      const link = boundLink();
      link.lineLost();
      give(link, "session.logout", { scope: "all" });
      assert.deepEqual(told, [["session.unset", { reason: "loggedOut", id: ID, scope: "all" }]]);
      assert.equal(link.key, null);
      link.lineOpened();
      assert.deepEqual(sent(link), [[3, "session.restore", [KEY]]]);
      if (step === "session.logout") {
        hear(link, ...restored(3));
        assert.deepEqual(sent(link), [[2, step, [{ scope: "all" }]]]);
        hear(link, refused(2, "noSession"));
      } else {
        hear(link, refused(3, "expired"));
      }
      assert.deepEqual(told.slice(1), [["session.logout", "noSession", undefined]]);
      assert.deepEqual([sent(link), link.hasBusiness, link.isOpen], [[], false, true]);
    }
  });

  test("of all sessions is done with its reply, and without that nobody knows", () => {
    for (const isLost of [false, true]) {
      told.length = 0;
      const link = boundLink();
      link.lineLost();
      give(link, "session.logout", { scope: "all" });
      link.lineOpened();
      sent(link);
      hear(link, ...restored(3));
      sent(link);
      if (isLost) {
        link.lineLost();
        link.lineOpened();
        hear(link, refused(sent(link)[0][0], "loggedOut"));
      } else {
        hear(link, done(2));
      }
      assert.deepEqual(told.slice(1), [["session.logout", isLost ? "noSession" : null, undefined]]);
      assert.deepEqual([link.hasBusiness, link.isOpen], [false, true]);
    }
  });

  test("still ends the session when nobody waits for it any more", () => {
    const link = boundLink();
    link.lineLost();
    link.abandon(give(link, "session.logout"));
    link.lineOpened();
    sent(link);
    hear(link, bound(3));
    assert.deepEqual(sent(link), [[2, "session.logout", []]]);
    hear(link, done(2));
    assert.deepEqual([names(), link.hasBusiness], [["session.unset"], false]);
  });

  test("comes before the session that the program took up since", () => {
    const link = departed();
    link.adopt(OTHER_KEY);
    link.lineOpened();
    const restored = () => sent(link).map(([, method, [key]]) => [method, key]);
    assert.deepEqual(restored(), [["session.restore", KEY]]);
    hear(link, bound(3));
    assert.deepEqual(restored(), [["session.logout", undefined]]);
    hear(link, done(2));
    assert.deepEqual(restored(), [["session.restore", OTHER_KEY]]);
    hear(link, sessionSet(null, { key: OTHER_KEY, id: "other" }));
    assert.deepEqual([link.key, link.session.id], [OTHER_KEY, "other"]);
  });

  test("that never went out before the line broke counts as one", () => {
    const link = boundLink();
    link.hold();
    give(link, "session.logout");
    link.lineLost();
    assert.deepEqual([names(), link.key], [["session.unset"], null]);
  });

  test("waits its turn behind a login, and for the sake of others is a command like any other", () => {
    for (const first of [["session.login", "a"], ["session.logout", { scope: "others" }]]) {
      const link = boundLink();
      link.lineLost();
      give(link, ...first);
      if (first[1] === "a") give(link, "session.logout");
      assert.deepEqual([link.key, told], [KEY, []]);
      told.length = 0;
    }
  });

  test("is bounded like everything that waits, and answered at the end", () => {
    const link = departed();
    for (let i = 0; i < 3; i++) give(link, "time.now");
    assert.throws(() => give(link, "time.now"), { code: "queueFull" });
    told.length = 0;
    link.close(Object.assign(new Error(), { code: "clientClosed" }));
    assert.deepEqual(names(), ["session.logout", "time.now", "time.now", "time.now"]);
  });
});

describe("a session that is over before the server says so", () => {
  const OVER = { reason: "loggedOut", id: ID };
  const other = { key: OTHER_KEY, id: "other", actorId: "player:8" };

  test("is forgotten at once, and ended on the line there is", () => {
    const link = boundLink();
    link.forget(OVER);
    assert.deepEqual([told, link.key, link.session], [[["session.unset", OVER]], null, null]);
    assert.deepEqual(sent(link), [[3, "session.restore", [KEY]]]);
    hear(link, event("late", 1, CURSOR + 1), ...restored(3, CURSOR + 2));
    assert.deepEqual(sent(link), [[2, "session.logout", []]]);
    hear(link, sessionUnset("loggedOut", CURSOR + 3), done(2));
    assert.deepEqual([told.length, link.isOpen, link.toStore], [1, true, null]);
  });

  test("is ended with all of the actor, if that was asked in another tab", () => {
    for (const scope of ["all", "another", undefined]) {
      const link = boundLink();
      link.forget({ ...OVER, scope });
      sent(link);
      hear(link, ...restored(3));
      assert.deepEqual(sent(link), [[2, "session.logout", scope === "all" ? [{ scope }] : []]]);
    }
  });

  test("is ended on the next line if there is none, however often it was asked for", () => {
    const link = boundLink();
    link.lineLost();
    link.forget(OVER);
    let isDone = false;
    link.leave(KEY, () => (isDone = true));
    link.lineOpened();
    assert.deepEqual(sent(link), [[4, "session.restore", [KEY]]]);
    hear(link, bound(4, CURSOR + 1));
    assert.deepEqual(sent(link), [[2, "session.logout", []]]);
    hear(link, done(2));
    assert.deepEqual([isDone, link.hasBusiness, link.isOpen], [true, false, true]);
  });

  test("is told once, whatever the server says after that", () => {
    const link = boundLink();
    link.forget({ ...OVER, reason: "banned" });
    assert.deepEqual(sent(link), []);
    hear(link, sessionSet(CURSOR + 1), sessionUnset("banned", CURSOR + 2));
    assert.deepEqual(names(), ["session.unset"]);
  });

  test("does not come back with a restore or a login that was on its way", () => {
    const link = linkWith();
    link.takeUp({ key: KEY, cursor: CURSOR });
    link.lineOpened();
    assert.deepEqual(sent(link), [[1, "session.restore", [KEY, AFTER]]]);
    link.forget();
    hear(link, sessionSet(CURSOR + 1), bound(1, CURSOR + 1));
    assert.deepEqual([told, link.key], [[["session.unset", { reason: "loggedOut", id: null }]], null]);
    assert.deepEqual(sent(link), [[3, "session.restore", [KEY]]]);
    hear(link, refused(3, "loggedOut"));
    assert.deepEqual([names(), link.isOpen], [["session.unset"], true]);
  });

  test("takes no login with it that was on its way", () => {
    const link = boundLink();
    give(link, "session.login", "a");
    sent(link);
    link.forget(OVER);
    assert.deepEqual(sent(link), [[4, "session.restore", [KEY]]]);
    hear(link, sessionSet(5, other), bound(2, 5, other), bound(4, CURSOR + 1));
    assert.deepEqual(sent(link), [[3, "session.logout", []]]);
    hear(link, done(3));
    assert.deepEqual(sent(link), [[5, "session.restore", [OTHER_KEY, { cursor: 5 }]]]);
    hear(link, ...restored(5, 6, other));
    assert.deepEqual([link.session.id, link.isOpen], ["other", true]);
    assert.deepEqual(names(), ["session.unset", "session.login", "session.set", "session.recovered"]);
  });

  test("says nothing of a key that is about to be restored, unless there is none any more", () => {
    for (const [unset, key] of [[OVER, OTHER_KEY], [{ reason: "loggedOut" }, null]]) {
      const link = boundLink();
      link.lineLost();
      link.adopt(OTHER_KEY);
      link.forget(unset);
      assert.equal(link.key, key);
    }
  });

  test("is news as little as a key that is known, or was refused", () => {
    const link = boundLink();
    link.adopt(OTHER_KEY);
    assert.deepEqual([KEY, OTHER_KEY, "x", null].map((key) => link.knows(key)), [true, true, false, false]);
    sent(link);
    hear(link, refused(2, "badVersion"));
    assert.ok(link.knows(OTHER_KEY));
    link.forget();
    assert.deepEqual([KEY, null].map((key) => link.knows(key)), [false, true]);
  });
});

describe("a line that another tab has", () => {
  test("is asked for all subscriptions, and to end what was left", () => {
    const link = boundLink();
    link.lineLost();
    give(link, "session.logout");
    told.length = 0;
    link.lineOpened(true);
    assert.deepEqual(sent(link), [
      [3, "events.subscribe", [["session"]]],
      [4, "leave", [KEY]],
    ]);
    hear(link, [1, 3, null, ["session"]], [1, 4, null, undefined]);
    assert.deepEqual([told, link.isOpen], [[["session.logout", null, undefined]], true]);
  });

  test("is told which sessions to end: all of the actor, if that was asked", () => {
    const link = boundLink();
    link.lineLost();
    give(link, "session.logout", { scope: "all" });
    told.length = 0;
    link.lineOpened(true);
    const [, [id, ...leave]] = sent(link);
    assert.deepEqual(leave, ["leave", [KEY, { scope: "all" }]]);
    hear(link, done(3, ["session"]), refused(id, "noSession"));
    assert.deepEqual([told, link.isOpen], [[["session.logout", "noSession", undefined]], true]);
  });

  test("ends all sessions of the actor for another tab, or tells it that it cannot", () => {
    for (const isOver of [false, true]) {
      told.length = 0;
      const link = boundLink();
      const leave = (params) =>
        link.leave(KEY, (error) => told.push([params.length, error?.code ?? null]), true, params);
      leave([{ scope: "all" }]);
      leave([]);
      sent(link);
      hear(link, ...(isOver ? [refused(3, "expired")] : restored(3)));
      if (!isOver) {
        assert.deepEqual(sent(link), [[2, "session.logout", [{ scope: "all" }]]]);
        hear(link, done(2));
      }
      assert.deepEqual(told.slice(0, 2), [[1, isOver ? "noSession" : null], [0, null]]);
    }
  });

  test("is not used to end a session that another tab says is over", () => {
    const link = linkWith();
    link.takeUp({ key: KEY, cursor: null });
    link.lineOpened(true);
    sent(link);
    hear(link, done(1, ["session"]), bound(2));
    link.forget({ reason: "loggedOut", id: ID });
    assert.deepEqual([sent(link), link.key], [[], null]);
  });

  test("ends a session for another tab, and takes its own up again", () => {
    const link = boundLink();
    let isDone = false;
    link.leave(OTHER_KEY, () => (isDone = true));
    assert.deepEqual(sent(link), [[3, "session.restore", [OTHER_KEY]]]);
    hear(link, bound(3, 7, { key: OTHER_KEY, id: "other" }));
    assert.deepEqual([sent(link), isDone], [[[2, "session.logout", []]], false]);
    hear(link, event("for nobody", 1, 8), done(2));
    assert.ok(isDone);
    assert.deepEqual(sent(link), [[4, "session.restore", [KEY, AFTER]]]);
    hear(link, ...restored(4, CURSOR + 1, { recovered: true }));
    assert.deepEqual(names(), ["session.set", "session.recovered"]);
    assert.deepEqual([link.isOpen, link.key], [true, KEY]);
  });

  test("carries commands of another tab as long as it lasts, beside as many of its own", () => {
    const link = boundLink();
    const host = (method) => link.command(method, [], () => told.push([method]), true);
    for (let i = 0; i < 9; i++) host("time.now");
    host("session.login");
    link.leave(OTHER_KEY, () => told.push(["leave"]), true);
    for (let i = 0; i < 4; i++) give(link, "session.list");
    assert.throws(() => give(link, "session.list"), { code: "queueFull" });
    sent(link);
    link.lineLost();
    link.lineOpened();
    hear(link, bound(sent(link).at(-1)[0]));
    assert.deepEqual(new Set(sent(link).map(([, method]) => method)), new Set(["session.list"]));
    assert.deepEqual(names(), ["session.recovered"]);
  });

  test("does not end another session in the place of one that is over already", () => {
    const link = boundLink();
    link.leave(OTHER_KEY, () => {});
    sent(link);
    hear(link, refused(3, "expired"));
    assert.deepEqual(sent(link), [[4, "session.restore", [KEY, AFTER]]]);
  });
});

describe("a server that breaks the protocol", () => {
  const cases = {
    "a reply to nothing": done(99),
    "a session without a field": event("session.set", { key: KEY }, 1),
    "an end without a reason": event("session.unset", {}, 1),
    "a restore without a session": done(1, {}),
    "a restore with no cursor": bound(1, -1),
    "bytes": Uint8Array.of(0xc1),
  };
  for (const [name, message] of Object.entries(cases)) {
    test(`${name} is malformed, and the command stays unanswered`, () => {
      const link = openLink();
      give(link, "session.restore", KEY);
      sent(link);
      assert.throws(() => hear(link, message), { code: "malformedFrame" });
      assert.deepEqual(told, []);
    });
  }

  test("results that a command does not have are malformed", () => {
    for (const [method, result] of [
      ["time.now", "x"],
      ["session.list", {}],
      ["events.subscribe", [1]],
    ]) {
      const link = openLink();
      give(link, method);
      sent(link);
      assert.throws(() => hear(link, done(1, result)), { code: "malformedFrame" });
    }
  });
});

test("subscriptions are what the server answered last, on the next line too", () => {
  const link = openLink();
  give(link, "events.subscribe", ["chat"]);
  sent(link);
  hear(link, done(1, ["session", "chat"]));
  assert.deepEqual(told, [["events.subscribe", null, ["session", "chat"]]]);
  link.lineLost();
  link.lineOpened();
  assert.deepEqual(sent(link), [[2, "events.subscribe", [["chat"]]]]);
});

test("any answer to a probe is a sign of life, and the program hears of none", () => {
  const link = openLink();
  link.probe();
  assert.deepEqual(sent(link), [[1, "time.now", []]]);
  hear(link, refused(1, "rateLimited", { retryAfter: 9 }));
  assert.deepEqual([told, link.isOpen], [[], true]);
});

test("the key of a session is in none of its copies, its JSON, its log", async () => {
  const { inspect } = await import("node:util");
  const { session } = boundLink();
  assert.equal(session.key, KEY);
  for (const shown of [JSON.stringify(session), inspect(session), JSON.stringify({ ...session })]) {
    assert.ok(!shown.includes("kst_"));
  }
});
