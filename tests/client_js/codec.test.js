/** Messages are encoded and decoded as in `protocol/vectors`. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decode, encode } from "../../client_js/dist/codec.js";
import { unpack } from "../../client_js/dist/unpack.js";
import { bytesOf, event, valueOf, vectors } from "./golden.js";

const MALFORMED = { code: "malformedFrame" };

const frameOf = ({ frame }) => {
  const { type, id, name, error, cursor } = frame;
  return type === "reply"
    ? [1, id, error, valueOf(frame.result)]
    : [2, name, [valueOf(frame.data), cursor]];
};

for (const file of ["replies", "events", "values"]) {
  test(`every vector of ${file}.json is read as it says`, () => {
    for (const vector of vectors(file)) {
      assert.deepEqual(decode(bytesOf(vector)), frameOf(vector), vector.name);
    }
  });
}

test("every canonical vector of commands.json is written as it says", () => {
  for (const vector of vectors("commands").filter(({ canonical }) => canonical)) {
    const { id, method, params } = vector.frame;
    assert.deepEqual(encode(id, method, valueOf(params)), bytesOf(vector), vector.name);
  }
});

test("every vector of commands.json is well-formed, and nothing that a server may send", () => {
  for (const vector of vectors("commands")) {
    const { id, method, params } = vector.frame;
    assert.deepEqual(unpack(bytesOf(vector)), [0, id, method, valueOf(params)], vector.name);
    assert.throws(() => decode(bytesOf(vector)), MALFORMED, vector.name);
  }
});

describe("of malformed.json", () => {
  // What no JavaScript program can see, or the server alone refuses.
  const isLeftToServer = ({ name, strict }) =>
    strict && (/1\.0/.test(name) || name.includes("64 KiB"));
  const malformed = vectors("malformed").filter((vector) => !isLeftToServer(vector));

  test("every vector is refused, but for 1.0, which is 1 here", () => {
    for (const vector of malformed) {
      assert.throws(() => decode(bytesOf(vector)), MALFORMED, vector.name);
    }
  });

  test("what is no value of the protocol is refused, wherever it stands", () => {
    const about = /map keys|no key|UTF-8|extension|timestamp has|deep/;
    const values = malformed.filter((vector) => vector.strict && about.test(vector.malformed));
    assert.ok(values.length > 25);
    for (const vector of values) {
      assert.throws(() => unpack(bytesOf(vector)), MALFORMED, vector.name);
    }
  });

  test("headers that announce much reserve nothing", () => {
    const arrays = vectors("malformed").find(({ name }) => name.startsWith("a thousand arrays"));
    const before = process.memoryUsage().heapUsed;
    assert.throws(() => decode(bytesOf(arrays)), MALFORMED);
    assert.ok(process.memoryUsage().heapUsed - before < 8 * 2 ** 20);
  });
});

test("a key `__proto__`, which a backend may send, is a key like any other", () => {
  const message = Buffer.from(event("a", { xxproto__: { polluted: 1 } }));
  message.write("__proto__", message.indexOf("xxproto__"));
  const [, , [data]] = decode(message);
  assert.deepEqual(Object.keys(data), ["__proto__"]);
  assert.equal(data.polluted, undefined);
});

test("a mark at the beginning of a text is part of the text", () => {
  assert.deepEqual(decode(event("a", "\ufeffb")), [2, "a", ["\ufeffb", null]]);
});

describe("what the server would hang up on is not sent", () => {
  const circle = [];
  circle.push(circle);
  const parameters = {
    "half of a character": ["\ud800"],
    "half of a character, as a name": [{ "\udc00": 1 }],
    "half of a character, after a backslash": ["\\\udc00"],
    "a function": [() => {}],
    "an integer that is none of MessagePack": [10n],
    "a circle": [circle],
    "more than 64 KiB": ["x".repeat(65536)],
  };
  test("and the command is refused on the spot", () => {
    for (const [name, params] of Object.entries(parameters)) {
      assert.throws(() => encode(1, "session.login", params), { code: "invalidParams" }, name);
    }
  });

  test("but what only looks like half of a character is", () => {
    encode(1, "session.login", ["\\ud800", "😀", "\\\\ud800"]);
  });
});
