/** The conversation, over golden bytes and without I/O. */
import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { Conversation } from "../../client_js/dist/conversation.js";
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

/** What the conversation emitted, in order: events by name, and the answers of commands. */
let emitted;
beforeEach(() => (emitted = []));

const conversationWith = (options) =>
  new Conversation((name, data) => emitted.push([name, data]), { paths: ["session"], maxPending: 4, ...options });
const submit = (conversation, method, ...params) =>
  conversation.command(method, params, (error, result) => emitted.push([method, error?.code ?? null, result]));
const sent = (conversation) => {
  const messages = [];
  for (let message; (message = conversation.nextMessage()); ) messages.push(unpack(message).slice(1));
  return messages;
};
const receive = (conversation, ...messages) => messages.forEach((message) => conversation.receive(message));
const names = () => emitted.map(([name]) => name);
const openConversation = (options) => {
  const conversation = conversationWith(options);
  conversation.transportOpened();
  return conversation;
};
/** A conversation whose command 1 restored the session. */
const boundConversation = () => {
  const conversation = openConversation();
  conversation.useKey(KEY);
  sent(conversation);
  receive(conversation, ...restored(1));
  emitted.length = 0;
  return conversation;
};

describe("a new transport", () => {
  test("gets the subscriptions first, then the restore, then the commands", () => {
    const conversation = conversationWith({ paths: ["chat", "inventory"], version: "2.1.0" });
    conversation.resume({ key: KEY, cursor: CURSOR });
    submit(conversation, "time.now");
    conversation.transportOpened();
    assert.deepEqual(sent(conversation), [
      [2, "events.subscribe", [["chat", "inventory"]]],
      [3, "events.unsubscribe", [["session"]]],
      [4, "session.restore", [KEY, { version: "2.1.0", cursor: CURSOR }]],
    ]);
    receive(conversation, done(2, ["session", "chat", "inventory"]), done(3, ["chat", "inventory"]));
    assert.deepEqual([sent(conversation), conversation.isOpen], [[], false]);
    receive(conversation, sessionSet(CURSOR + 1), bound(4, CURSOR + 1, { recovered: true }));
    assert.deepEqual([sent(conversation), conversation.isOpen], [[[1, "time.now", []]], true]);
  });

  test("gets the idempotent commands again, in order; a login fails, and a logout ends the session first", () => {
    const conversation = boundConversation();
    const methods = ["session.list", "session.login", "session.logout", "time.now"];
    for (const method of methods) submit(conversation, method, ...(method === "session.login" ? ["a"] : []));
    assert.equal(sent(conversation).length, 4);
    conversation.transportLost();
    assert.deepEqual(emitted, [
      ["session.login", "connectionLost", undefined],
      ["session.unset", { reason: "loggedOut", id: ID }],
    ]);
    conversation.transportOpened();
    assert.deepEqual(sent(conversation), [[6, "session.restore", [KEY]]]);
    receive(conversation, bound(6));
    assert.deepEqual(sent(conversation), [[4, "session.logout", []]]);
    receive(conversation, done(4));
    assert.deepEqual(emitted.at(-1), ["session.logout", null, undefined]);
    assert.deepEqual(sent(conversation), [
      [2, "session.list", []],
      [5, "time.now", []],
    ]);
  });

  test("gets no abandoned command, and after `pause` nothing at all", () => {
    const conversation = openConversation();
    conversation.abandon(submit(conversation, "time.now"));
    assert.deepEqual(sent(conversation), []);
    const call = submit(conversation, "time.now");
    sent(conversation);
    conversation.abandon(call);
    receive(conversation, done(2, 5));
    submit(conversation, "session.isValid", KEY);
    conversation.pause();
    assert.deepEqual([sent(conversation), emitted], [[], []]);
    conversation.transportLost();
    conversation.transportOpened();
    assert.deepEqual(sent(conversation), [[3, "session.isValid", [KEY]]]);
  });
});

describe("events", () => {
  test("are emitted once, in order, whatever was received before", () => {
    const conversation = boundConversation();
    receive(conversation, event("a", 1, CURSOR + 1), event("a", 1, CURSOR + 1), event("b", 2, CURSOR));
    receive(conversation, event("everybody", 3), event("c", 4, CURSOR + 9));
    assert.deepEqual(emitted, [["a", 1], ["everybody", 3], ["c", 4]]);
    assert.deepEqual(conversation.storedSession, { key: KEY, cursor: CURSOR + 9 });
  });

  test("of a restore have no cursor: they are emitted each time, and do not change it", () => {
    const conversation = conversationWith();
    conversation.resume({ key: KEY, cursor: CURSOR });
    conversation.transportOpened();
    sent(conversation);
    receive(conversation, event("missed", 1, CURSOR + 1), sessionSet(null));
    assert.deepEqual(conversation.storedSession, { key: KEY, cursor: CURSOR + 1 });
    receive(conversation, bound(1, CURSOR + 9));
    for (const expiresAt of [5, 6]) {
      submit(conversation, "session.restore", ...conversation.restoreParams(KEY));
      const [[id, , params]] = sent(conversation);
      assert.deepEqual(params, [KEY, { cursor: CURSOR + 9 }]);
      receive(conversation, sessionSet(null, { expiresAt }));
      assert.equal(conversation.session.expiresAt, expiresAt);
      receive(conversation, bound(id, CURSOR + 8, { expiresAt }));
    }
    assert.equal(names().filter((name) => name === "session.set").length, 3);
    assert.equal(conversation.cursor, CURSOR + 9);
  });

  test("between a restore and its reply are newer than the reply", () => {
    for (const cursor of [CURSOR + 1, null]) {
      for (const isOver of [false, true]) {
        const conversation = openConversation();
        conversation.useKey(KEY);
        sent(conversation);
        const last = isOver ? sessionUnset("revoked", cursor) : sessionSet(cursor, { language: "fr" });
        receive(conversation, sessionSet(null), last, bound(1));
        assert.equal(conversation.session?.language, isOver ? undefined : "fr");
      }
    }
  });

  test("of a transport that broke do not affect the reply on the next", () => {
    const conversation = openConversation({ paths: [] });
    conversation.useKey(KEY);
    receive(conversation, sessionSet(null));
    conversation.transportLost();
    conversation.transportOpened();
    receive(conversation, bound(sent(conversation).at(-1)[0], CURSOR, { language: "fr" }));
    assert.equal(conversation.session.language, "fr");
  });

  test("of another actor reset the cursor", () => {
    const conversation = boundConversation();
    conversation.useKey(OTHER_KEY);
    sent(conversation);
    receive(conversation, ...restored(2, 7, { key: OTHER_KEY, actorId: "player:8" }));
    assert.deepEqual(names(), ["session.set"]);
    assert.deepEqual(conversation.storedSession, { key: OTHER_KEY, cursor: 7 });
  });

  test("change the session before they are emitted", () => {
    let seen;
    const conversation = new Conversation(() => (seen = conversation.session), { paths: ["session"], maxPending: 4 });
    conversation.transportOpened();
    receive(conversation, sessionSet(CURSOR, { meta: { level: 7 } }));
    assert.deepEqual([seen.meta, seen.key, conversation.key], [{ level: 7 }, KEY, KEY]);
    receive(conversation, sessionUnset("revoked", CURSOR + 1));
    assert.deepEqual([seen, conversation.key, conversation.storedSession], [null, null, null]);
  });

  test("of the end of another session do not change this one", () => {
    const conversation = boundConversation();
    receive(conversation, sessionUnset("revoked", CURSOR + 1, { id: "another" }));
    assert.equal(conversation.key, KEY);
  });

  test("a reply that is older than the end of the session does not bring it back", () => {
    const conversation = openConversation();
    submit(conversation, "session.restore", KEY);
    sent(conversation);
    receive(conversation, sessionSet(), sessionUnset("revoked", CURSOR + 1), bound(1));
    assert.equal(conversation.session, null);
  });
});

describe("a session that is resumed", () => {
  const reconnect = (conversation) => {
    conversation.transportLost();
    conversation.transportOpened();
    return sent(conversation).at(-1)[0];
  };

  test("emits whether all missed events were replayed, after them", () => {
    const conversation = boundConversation();
    const id = reconnect(conversation);
    receive(conversation, event("missed", 1, CURSOR + 1), sessionSet(CURSOR + 2));
    receive(conversation, bound(id, CURSOR + 2, { recovered: true }));
    assert.deepEqual(names(), ["missed", "session.set", "session.recovered"]);
    assert.deepEqual([emitted.at(-1)[1], conversation.recovered], [{ recovered: true }, true]);
    receive(conversation, bound(reconnect(conversation), CURSOR + 3));
    assert.equal(conversation.recovered, false);
  });

  test("or that cannot be is over: the program gets the reason, and the key is removed", () => {
    for (const code of ["expired", "noSession", "invalidSessionKey", "banned"]) {
      const conversation = boundConversation();
      receive(conversation, refused(reconnect(conversation), code));
      assert.deepEqual(emitted, [["session.unset", { reason: code, id: ID }]]);
      assert.deepEqual([conversation.key, conversation.session, conversation.isOpen], [null, null, true]);
    }
  });

  test("is kept after an error that may pass: the client must reconnect", () => {
    for (const [code, details] of [["unavailable", { retryAfter: 2 }], ["shy", { retryAfter: 2 }]]) {
      const conversation = boundConversation();
      const id = reconnect(conversation);
      assert.throws(() => receive(conversation, refused(id, code, details)), { code, retryAfterMs: 2000 });
      assert.deepEqual([conversation.key, emitted], [KEY, []]);
    }
    const conversation = boundConversation();
    const id = reconnect(conversation);
    assert.throws(() => receive(conversation, refused(id, "internal")), { code: "internal" });
  });

  test("a key of the program that the server refuses leaves the bound session bound", () => {
    const conversation = boundConversation();
    conversation.useKey(OTHER_KEY);
    assert.equal(conversation.key, OTHER_KEY);
    sent(conversation);
    receive(conversation, refused(2, "revoked"));
    assert.deepEqual(emitted, [["session.unset", { reason: "revoked", id: null }]]);
    assert.deepEqual([conversation.key, conversation.session.id], [KEY, ID]);
  });

  test("a key of the program that the server refuses leaves the session to be resumed", () => {
    for (const usesKeyOnTheTransport of [false, true]) {
      const conversation = conversationWith();
      conversation.resume({ key: KEY, cursor: CURSOR });
      if (usesKeyOnTheTransport) conversation.transportOpened();
      conversation.useKey(OTHER_KEY);
      if (usesKeyOnTheTransport) conversation.transportLost();
      conversation.transportOpened();
      const [[id, , params]] = sent(conversation).slice(-1);
      assert.deepEqual(params, [OTHER_KEY]);
      emitted.length = 0;
      receive(conversation, refused(id, "loggedOut"));
      assert.deepEqual(emitted, [["session.unset", { reason: "loggedOut", id: null }]]);
      assert.deepEqual([conversation.key, conversation.storedSession, conversation.isOpen], [KEY, { key: KEY, cursor: CURSOR }, false]);
      assert.deepEqual(sent(conversation), [[id + 1, "session.restore", [KEY, AFTER]]]);
      receive(conversation, sessionSet(CURSOR + 1), bound(id + 1, CURSOR + 1, { recovered: true }));
      assert.deepEqual(emitted.slice(1).map(([name]) => name), ["session.set", "session.recovered"]);
      assert.deepEqual([conversation.session.id, conversation.isOpen], [ID, true]);
    }
  });

  test("a key that cannot be sent is refused at once", () => {
    for (const key of [undefined, 7, "\ud800", "x".repeat(70000)]) {
      assert.throws(() => conversationWith().useKey(key), { code: "invalidSessionKey" });
      assert.throws(() => conversationWith().resume({ key, cursor: null }), { code: "invalidSessionKey" });
    }
  });
});

describe("a logout without a transport", () => {
  const departed = () => {
    const conversation = boundConversation();
    conversation.transportLost();
    submit(conversation, "session.logout");
    return conversation;
  };

  test("ends the session here at once, and at the server as soon as there is a transport", () => {
    const conversation = departed();
    assert.deepEqual(emitted, [["session.unset", { reason: "loggedOut", id: ID }]]);
    assert.deepEqual([conversation.key, conversation.session, conversation.storedSession], [null, null, null]);
    assert.ok(conversation.hasWork);
    conversation.transportOpened();
    assert.deepEqual(sent(conversation), [[3, "session.restore", [KEY]]]);
    receive(conversation, ...restored(3, CURSOR + 1));
    assert.deepEqual([sent(conversation), conversation.isOpen], [[[2, "session.logout", []]], false]);
    receive(conversation, sessionUnset("loggedOut", CURSOR + 2));
    assert.equal(conversation.session, null);
    receive(conversation, done(2));
    assert.deepEqual(emitted.slice(1), [["session.logout", null, undefined]]);
    assert.deepEqual([conversation.hasWork, conversation.isOpen], [false, true]);
  });

  test("resolves if the session is over already, and is tried again if the server is unavailable", () => {
    const conversation = departed();
    conversation.transportOpened();
    sent(conversation);
    assert.throws(() => receive(conversation, refused(3, "unavailable")), { code: "unavailable" });
    conversation.transportLost();
    conversation.transportOpened();
    assert.deepEqual(sent(conversation), [[4, "session.restore", [KEY]]]);
    receive(conversation, refused(4, "expired"));
    assert.deepEqual(sent(conversation), []);
    assert.deepEqual(names(), ["session.unset", "session.logout"]);
  });

  test("of all sessions rejects if the session is over already: the others are live", () => {
    for (const step of ["session.restore", "session.logout"]) {
      emitted.length = 0;
      const conversation = boundConversation();
      conversation.transportLost();
      submit(conversation, "session.logout", { scope: "all" });
      assert.deepEqual(emitted, [["session.unset", { reason: "loggedOut", id: ID, scope: "all" }]]);
      assert.equal(conversation.key, null);
      conversation.transportOpened();
      assert.deepEqual(sent(conversation), [[3, "session.restore", [KEY]]]);
      if (step === "session.logout") {
        receive(conversation, ...restored(3));
        assert.deepEqual(sent(conversation), [[2, step, [{ scope: "all" }]]]);
        receive(conversation, refused(2, "noSession"));
      } else {
        receive(conversation, refused(3, "expired"));
      }
      assert.deepEqual(emitted.slice(1), [["session.logout", "noSession", undefined]]);
      assert.deepEqual([sent(conversation), conversation.hasWork, conversation.isOpen], [[], false, true]);
    }
  });

  test("of all sessions resolves with its reply; without that the outcome is unknown", () => {
    for (const isLost of [false, true]) {
      emitted.length = 0;
      const conversation = boundConversation();
      conversation.transportLost();
      submit(conversation, "session.logout", { scope: "all" });
      conversation.transportOpened();
      sent(conversation);
      receive(conversation, ...restored(3));
      sent(conversation);
      if (isLost) {
        conversation.transportLost();
        conversation.transportOpened();
        receive(conversation, refused(sent(conversation)[0][0], "loggedOut"));
      } else {
        receive(conversation, done(2));
      }
      assert.deepEqual(emitted.slice(1), [["session.logout", isLost ? "noSession" : null, undefined]]);
      assert.deepEqual([conversation.hasWork, conversation.isOpen], [false, true]);
    }
  });

  test("still ends the session when its caller waits no more", () => {
    const conversation = boundConversation();
    conversation.transportLost();
    conversation.abandon(submit(conversation, "session.logout"));
    conversation.transportOpened();
    sent(conversation);
    receive(conversation, bound(3));
    assert.deepEqual(sent(conversation), [[2, "session.logout", []]]);
    receive(conversation, done(2));
    assert.deepEqual([names(), conversation.hasWork], [["session.unset"], false]);
  });

  test("comes before the session that the program restored since", () => {
    const conversation = departed();
    conversation.useKey(OTHER_KEY);
    conversation.transportOpened();
    const restored = () => sent(conversation).map(([, method, [key]]) => [method, key]);
    assert.deepEqual(restored(), [["session.restore", KEY]]);
    receive(conversation, bound(3));
    assert.deepEqual(restored(), [["session.logout", undefined]]);
    receive(conversation, done(2));
    assert.deepEqual(restored(), [["session.restore", OTHER_KEY]]);
    receive(conversation, sessionSet(null, { key: OTHER_KEY, id: "other" }));
    assert.deepEqual([conversation.key, conversation.session.id], [OTHER_KEY, "other"]);
  });

  test("is also one that was not sent before the transport was lost", () => {
    const conversation = boundConversation();
    conversation.pause();
    submit(conversation, "session.logout");
    conversation.transportLost();
    assert.deepEqual([names(), conversation.key], [["session.unset"], null]);
  });

  test("waits behind a login, and with the scope `others` is a command like any other", () => {
    for (const first of [["session.login", "a"], ["session.logout", { scope: "others" }]]) {
      const conversation = boundConversation();
      conversation.transportLost();
      submit(conversation, ...first);
      if (first[1] === "a") submit(conversation, "session.logout");
      assert.deepEqual([conversation.key, emitted], [KEY, []]);
      emitted.length = 0;
    }
  });

  test("counts to the limit of waiting commands, and fails when the client closes", () => {
    const conversation = departed();
    for (let i = 0; i < 3; i++) submit(conversation, "time.now");
    assert.throws(() => submit(conversation, "time.now"), { code: "queueFull" });
    emitted.length = 0;
    conversation.close(Object.assign(new Error(), { code: "clientClosed" }));
    assert.deepEqual(names(), ["session.logout", "time.now", "time.now", "time.now"]);
  });
});

describe("a session that ends here before the server sends it", () => {
  const OVER = { reason: "loggedOut", id: ID };
  const other = { key: OTHER_KEY, id: "other", actorId: "player:8" };

  test("is forgotten at once, and ended on the present transport", () => {
    const conversation = boundConversation();
    conversation.forget(OVER);
    assert.deepEqual([emitted, conversation.key, conversation.session], [[["session.unset", OVER]], null, null]);
    assert.deepEqual(sent(conversation), [[3, "session.restore", [KEY]]]);
    receive(conversation, event("late", 1, CURSOR + 1), ...restored(3, CURSOR + 2));
    assert.deepEqual(sent(conversation), [[2, "session.logout", []]]);
    receive(conversation, sessionUnset("loggedOut", CURSOR + 3), done(2));
    assert.deepEqual([emitted.length, conversation.isOpen, conversation.storedSession], [1, true, null]);
  });

  test("is ended with all of the actor, if another tab asked for that", () => {
    for (const scope of ["all", "another", undefined]) {
      const conversation = boundConversation();
      conversation.forget({ ...OVER, scope });
      sent(conversation);
      receive(conversation, ...restored(3));
      assert.deepEqual(sent(conversation), [[2, "session.logout", scope === "all" ? [{ scope }] : []]]);
    }
  });

  test("is ended once on the next transport if there is none, however often it was asked for", () => {
    const conversation = boundConversation();
    conversation.transportLost();
    conversation.forget(OVER);
    let isDone = false;
    conversation.endSession(KEY, () => (isDone = true));
    conversation.transportOpened();
    assert.deepEqual(sent(conversation), [[4, "session.restore", [KEY]]]);
    receive(conversation, bound(4, CURSOR + 1));
    assert.deepEqual(sent(conversation), [[2, "session.logout", []]]);
    receive(conversation, done(2));
    assert.deepEqual([isDone, conversation.hasWork, conversation.isOpen], [true, false, true]);
  });

  test("is emitted once, whatever the server sends after that", () => {
    const conversation = boundConversation();
    conversation.forget({ ...OVER, reason: "banned" });
    assert.deepEqual(sent(conversation), []);
    receive(conversation, sessionSet(CURSOR + 1), sessionUnset("banned", CURSOR + 2));
    assert.deepEqual(names(), ["session.unset"]);
  });

  test("does not come back with a restore that was in flight", () => {
    const conversation = conversationWith();
    conversation.resume({ key: KEY, cursor: CURSOR });
    conversation.transportOpened();
    assert.deepEqual(sent(conversation), [[1, "session.restore", [KEY, AFTER]]]);
    conversation.forget();
    receive(conversation, sessionSet(CURSOR + 1), bound(1, CURSOR + 1));
    assert.deepEqual([emitted, conversation.key], [[["session.unset", { reason: "loggedOut", id: null }]], null]);
    assert.deepEqual(sent(conversation), [[3, "session.restore", [KEY]]]);
    receive(conversation, refused(3, "loggedOut"));
    assert.deepEqual([names(), conversation.isOpen], [["session.unset"], true]);
  });

  test("does not affect a login that was in flight", () => {
    const conversation = boundConversation();
    submit(conversation, "session.login", "a");
    sent(conversation);
    conversation.forget(OVER);
    assert.deepEqual(sent(conversation), [[4, "session.restore", [KEY]]]);
    receive(conversation, sessionSet(5, other), bound(2, 5, other), bound(4, CURSOR + 1));
    assert.deepEqual(sent(conversation), [[3, "session.logout", []]]);
    receive(conversation, done(3));
    assert.deepEqual(sent(conversation), [[5, "session.restore", [OTHER_KEY, { cursor: 5 }]]]);
    receive(conversation, ...restored(5, 6, other));
    assert.deepEqual([conversation.session.id, conversation.isOpen], ["other", true]);
    assert.deepEqual(names(), ["session.unset", "session.login", "session.set", "session.recovered"]);
  });

  test("does not affect a key that is about to be restored, unless the storage is empty", () => {
    for (const [unset, key] of [[OVER, OTHER_KEY], [{ reason: "loggedOut" }, null]]) {
      const conversation = boundConversation();
      conversation.transportLost();
      conversation.useKey(OTHER_KEY);
      conversation.forget(unset);
      assert.equal(conversation.key, key);
    }
  });

  test("is known, like a key that is restored or was refused", () => {
    const conversation = boundConversation();
    conversation.useKey(OTHER_KEY);
    assert.deepEqual([KEY, OTHER_KEY, "x", null].map((key) => conversation.knows(key)), [true, true, false, false]);
    sent(conversation);
    receive(conversation, refused(2, "badVersion"));
    assert.ok(conversation.knows(OTHER_KEY));
    conversation.forget();
    assert.deepEqual([KEY, null].map((key) => conversation.knows(key)), [false, true]);
  });
});

describe("a transport through another tab", () => {
  test("gets all subscriptions, and the logouts", () => {
    const conversation = boundConversation();
    conversation.transportLost();
    submit(conversation, "session.logout");
    emitted.length = 0;
    conversation.transportOpened(true);
    assert.deepEqual(sent(conversation), [
      [3, "events.subscribe", [["session"]]],
      [4, "endSession", [KEY]],
    ]);
    receive(conversation, [1, 3, null, ["session"]], [1, 4, null, undefined]);
    assert.deepEqual([emitted, conversation.isOpen], [[["session.logout", null, undefined]], true]);
  });

  test("gets the scope of a logout", () => {
    const conversation = boundConversation();
    conversation.transportLost();
    submit(conversation, "session.logout", { scope: "all" });
    emitted.length = 0;
    conversation.transportOpened(true);
    const [, [id, ...leave]] = sent(conversation);
    assert.deepEqual(leave, ["endSession", [KEY, { scope: "all" }]]);
    receive(conversation, done(3, ["session"]), refused(id, "noSession"));
    assert.deepEqual([emitted, conversation.isOpen], [[["session.logout", "noSession", undefined]], true]);
  });

  test("lets another tab end all sessions of the actor, or rejects", () => {
    for (const isOver of [false, true]) {
      emitted.length = 0;
      const conversation = boundConversation();
      const leave = (params) =>
        conversation.endSession(KEY, (error) => emitted.push([params.length, error?.code ?? null]), true, params);
      leave([{ scope: "all" }]);
      leave([]);
      sent(conversation);
      receive(conversation, ...(isOver ? [refused(3, "expired")] : restored(3)));
      if (!isOver) {
        assert.deepEqual(sent(conversation), [[2, "session.logout", [{ scope: "all" }]]]);
        receive(conversation, done(2));
      }
      assert.deepEqual(emitted.slice(0, 2), [[1, isOver ? "noSession" : null], [0, null]]);
    }
  });

  test("is not used to end a session that another tab has ended", () => {
    const conversation = conversationWith();
    conversation.resume({ key: KEY, cursor: null });
    conversation.transportOpened(true);
    sent(conversation);
    receive(conversation, done(1, ["session"]), bound(2));
    conversation.forget({ reason: "loggedOut", id: ID });
    assert.deepEqual([sent(conversation), conversation.key], [[], null]);
  });

  test("ends a session for another tab, and resumes its own", () => {
    const conversation = boundConversation();
    let isDone = false;
    conversation.endSession(OTHER_KEY, () => (isDone = true));
    assert.deepEqual(sent(conversation), [[3, "session.restore", [OTHER_KEY]]]);
    receive(conversation, bound(3, 7, { key: OTHER_KEY, id: "other" }));
    assert.deepEqual([sent(conversation), isDone], [[[2, "session.logout", []]], false]);
    receive(conversation, event("for nobody", 1, 8), done(2));
    assert.ok(isDone);
    assert.deepEqual(sent(conversation), [[4, "session.restore", [KEY, AFTER]]]);
    receive(conversation, ...restored(4, CURSOR + 1, { recovered: true }));
    assert.deepEqual(names(), ["session.set", "session.recovered"]);
    assert.deepEqual([conversation.isOpen, conversation.key], [true, KEY]);
  });

  test("carries commands of other tabs as long as it lasts, beside its own limit", () => {
    const conversation = boundConversation();
    const host = (method) => conversation.command(method, [], () => emitted.push([method]), true);
    for (let i = 0; i < 9; i++) host("time.now");
    host("session.login");
    conversation.endSession(OTHER_KEY, () => emitted.push(["endSession"]), true);
    for (let i = 0; i < 4; i++) submit(conversation, "session.list");
    assert.throws(() => submit(conversation, "session.list"), { code: "queueFull" });
    sent(conversation);
    conversation.transportLost();
    conversation.transportOpened();
    receive(conversation, bound(sent(conversation).at(-1)[0]));
    assert.deepEqual(new Set(sent(conversation).map(([, method]) => method)), new Set(["session.list"]));
    assert.deepEqual(names(), ["session.recovered"]);
  });

  test("does not end another session instead of one that is over already", () => {
    const conversation = boundConversation();
    conversation.endSession(OTHER_KEY, () => {});
    sent(conversation);
    receive(conversation, refused(3, "expired"));
    assert.deepEqual(sent(conversation), [[4, "session.restore", [KEY, AFTER]]]);
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
      const conversation = openConversation();
      submit(conversation, "session.restore", KEY);
      sent(conversation);
      assert.throws(() => receive(conversation, message), { code: "malformedFrame" });
      assert.deepEqual(emitted, []);
    });
  }

  test("results of the wrong shape are malformed", () => {
    for (const [method, result] of [
      ["time.now", "x"],
      ["session.list", {}],
      ["events.subscribe", [1]],
    ]) {
      const conversation = openConversation();
      submit(conversation, method);
      sent(conversation);
      assert.throws(() => receive(conversation, done(1, result)), { code: "malformedFrame" });
    }
  });
});

test("subscriptions are what the server answered last, on the next transport too", () => {
  const conversation = openConversation();
  submit(conversation, "events.subscribe", ["chat"]);
  sent(conversation);
  receive(conversation, done(1, ["session", "chat"]));
  assert.deepEqual(emitted, [["events.subscribe", null, ["session", "chat"]]]);
  conversation.transportLost();
  conversation.transportOpened();
  assert.deepEqual(sent(conversation), [[2, "events.subscribe", [["chat"]]]]);
});

test("any answer to a probe shows that the server is there, and the program gets none", () => {
  const conversation = openConversation();
  conversation.probe();
  assert.deepEqual(sent(conversation), [[1, "time.now", []]]);
  receive(conversation, refused(1, "rateLimited", { retryAfter: 9 }));
  assert.deepEqual([emitted, conversation.isOpen], [[], true]);
});

test("the key of a session is not in its copies, its JSON or a log", async () => {
  const { inspect } = await import("node:util");
  const { session } = boundConversation();
  assert.equal(session.key, KEY);
  for (const shown of [JSON.stringify(session), inspect(session), JSON.stringify({ ...session })]) {
    assert.ok(!shown.includes("kst_"));
  }
});
