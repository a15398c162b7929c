/**
 * MessagePack to plain data, under the rules of SPEC section 2.2.
 *
 * Invariant: whatever bytes come in, it returns exactly what they mean or throws, and takes no more memory
 * than they fill. (The library that encodes our messages does not do that: 3 KB of nested headers make its
 * decoder reserve half a gigabyte, and it refuses a map with a key `__proto__`, which a backend may send.)
 */
import { malformed } from "./errors.js";

/** Arrays and maps within each other, the frame itself being the first (SPEC section 2.3). */
const MAX_DEPTH = 16;

const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The numbers from byte ca on: the method of DataView that reads them, and their size in bytes. */
const NUMBERS = [
  ["getFloat32", 4],
  ["getFloat64", 8],
  ["getUint8", 1],
  ["getUint16", 2],
  ["getUint32", 4],
  ["getBigUint64", 8],
  ["getInt8", 1],
  ["getInt16", 2],
  ["getInt32", 4],
  ["getBigInt64", 8],
] as const;

/**
 * Read exactly one value. Integers beyond 2^53 are rounded, a timestamp becomes a Date.
 *
 * @throws ClientError `malformedFrame`
 */
export function unpack(bytes: Uint8Array): unknown {
  try {
    const reader = new Reader(bytes);
    const value = reader.value(0);
    reader.end();
    return value;
  } catch {
    // Cut, not chained: the cause may quote the value.
    throw malformed("not exactly one MessagePack value within the limits");
  }
}

class Reader {
  private readonly _view: DataView;
  private _at = 0;

  constructor(private readonly _bytes: Uint8Array) {
    this._view = new DataView(_bytes.buffer, _bytes.byteOffset, _bytes.byteLength);
  }

  end(): void {
    if (this._at < this._bytes.length) throw 0;
  }

  /** Read one value at this depth of arrays and maps. */
  value(depth: number): unknown {
    const head = this._number(2);
    if (head < 0x80) return head;
    if (head < 0x90) return this._map(head & 15, depth);
    if (head < 0xa0) return this._array(head & 15, depth);
    if (head < 0xc0) return text.decode(this._take(head & 31));
    if (head >= 0xe0) return head - 256;
    if (head === 0xc0) return null;
    if (head === 0xc1) throw 0;
    if (head < 0xc4) return head === 0xc3;
    if (head < 0xc7) return this._take(this._size(head - 0xc4)).slice();
    if (head < 0xca) return this._timestamp(this._size(head - 0xc7));
    if (head < 0xd4) return this._number(head - 0xca);
    if (head < 0xd9) return this._timestamp(1 << (head - 0xd4));
    if (head < 0xdc) return text.decode(this._take(this._size(head - 0xd9)));
    if (head < 0xde) return this._array(this._size(head - 0xdb), depth);
    return this._map(this._size(head - 0xdd), depth);
  }

  private _number(kind: number): number {
    const [method, size] = NUMBERS[kind]!;
    this._at += size;
    return Number(this._view[method](this._at - size));
  }

  /** Read a length of 1, 2 or 4 bytes. */
  private _size(kind: number): number {
    return this._number(kind + 2);
  }

  private _take(size: number): Uint8Array {
    const start = this._at;
    this._at += size;
    if (this._at > this._bytes.length) throw 0;
    return this._bytes.subarray(start, this._at);
  }

  private _array(size: number, depth: number): unknown[] {
    if (depth === MAX_DEPTH) throw 0;
    const array = [];
    while (size--) array.push(this.value(depth + 1));
    return array;
  }

  private _map(size: number, depth: number): Record<string, unknown> {
    if (depth === MAX_DEPTH) throw 0;
    const map = new Map<string, unknown>();
    for (let left = size; left--; ) {
      const key = this.value(depth + 1);
      if (typeof key !== "string") throw 0;
      map.set(key, this.value(depth + 1));
    }
    if (map.size < size) throw 0; // A key occurred twice.
    return Object.fromEntries(map); // Makes a key `__proto__` a key like any other.
  }

  private _timestamp(size: number): Date {
    if (this._number(6) !== -1) throw 0;
    const view = this._take(size);
    const { buffer, byteOffset } = view;
    const data = new DataView(buffer, byteOffset, size);
    let nanoseconds = 0;
    let seconds: number;
    if (size === 4) {
      seconds = data.getUint32(0);
    } else if (size === 8) {
      const both = data.getBigUint64(0);
      nanoseconds = Number(both >> 34n);
      seconds = Number(both & 0x3ffffffffn);
    } else {
      if (size !== 12) throw 0;
      nanoseconds = data.getUint32(0);
      seconds = Number(data.getBigInt64(4));
    }
    if (nanoseconds > 999999999) throw 0;
    return new Date(seconds * 1000 + nanoseconds / 1e6);
  }
}
