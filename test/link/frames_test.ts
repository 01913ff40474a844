/**
 * WebSocket frames: what is written against a reading of RFC 6455 by hand, and what is read in every chunking.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import {
  applyMask,
  CloseCode,
  CONTROL_BYTES_MAX,
  FRAME_HEAD_ROOM_BYTES,
  FrameReader,
  Opcode,
  sealFrame,
  WebSocketError,
} from "../../lib/link/frames.ts";
import { pattern, sameBytes } from "../contract/link.ts";

const MESSAGE_BYTES_MAX = 1 << 20;
const MASK = new Uint8Array([0x12, 0x34, 0x56, 0x78]);

/** One frame written byte by byte, with any flags. */
function frame(first: number, payload: Uint8Array, mask?: Uint8Array): Uint8Array {
  const { length } = payload;
  const bit = mask === undefined ? 0 : 0x80;
  const head = length < 126
    ? [first, bit | length]
    : length < 65_536
    ? [first, bit | 126, length >> 8, length & 0xff]
    : [first, bit | 127, 0, 0, 0, 0, 0, length >> 16, (length >> 8) & 0xff, length & 0xff];
  const body = payload.map((byte, index) => byte ^ (mask?.[index % 4] ?? 0));
  return Buffer.concat([Buffer.from(head), mask ?? new Uint8Array(0), body]);
}

/** What a reader tells of bytes that come in pieces. */
function read(
  pieces: readonly Uint8Array[],
  wantsMask = false,
): { bytes: Uint8Array; events: string[]; code?: number } {
  const chunks: Uint8Array[] = [];
  const events: string[] = [];
  const sink = {
    onBytes: (chunk: Uint8Array) => void chunks.push(chunk),
    onPing: (payload: Uint8Array) => void events.push(`ping ${Buffer.from(payload).toString()}`),
    onGoodbye: (code: number, reason: string) => void events.push(`goodbye ${code} ${reason}`),
  };
  const reader = new FrameReader(sink, wantsMask, MESSAGE_BYTES_MAX);
  try {
    for (const piece of pieces) reader.push(piece);
    return { bytes: Buffer.concat(chunks), events };
  } catch (error) {
    if (!(error instanceof WebSocketError)) throw error;
    reader.push(frame(0x82, Buffer.from("late"), wantsMask ? MASK : undefined));
    return { bytes: Buffer.concat(chunks), events, code: error.closeCode };
  }
}

describe("sealFrame()", () => {
  const sizes = [0, 1, 125, 126, 127, 65_535, 65_536, 300_000];
  test("writes what the reading by hand expects, with and without a mask", () => {
    let ran = 0;
    for (const size of sizes) {
      for (const mask of [undefined, MASK, new Uint8Array(4)]) {
        const buffer = new Uint8Array(FRAME_HEAD_ROOM_BYTES + size + 10);
        buffer.set(pattern(size, 1), FRAME_HEAD_ROOM_BYTES);
        const sealed = sealFrame(buffer, size, Opcode.binary, mask);
        expect(sameBytes(sealed, frame(0x82, pattern(size, 1), mask))).toBe(true);
        ran += 1;
      }
    }
    expect(ran).toBe(24);
  });
});

describe("applyMask()", () => {
  test("is the exclusive or of RFC 6455 §5.3 at every alignment and phase", () => {
    fc.assert(fc.property(
      fc.uint8Array({ maxLength: 70 }),
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.nat(7),
      fc.nat(7),
      (bytes, mask, offset, phase) => {
        const room = new Uint8Array(offset + bytes.length);
        room.set(bytes, offset);
        applyMask(room.subarray(offset), mask, phase);
        const wanted = bytes.map((byte, index) => byte ^ mask[(phase + index) % 4]!);
        return sameBytes(room.subarray(offset), wanted) &&
          room.subarray(0, offset).every((byte) => byte === 0);
      },
    ));
  });
});

describe("FrameReader.push()", () => {
  const stream = (mask?: Uint8Array): Uint8Array =>
    Buffer.concat([
      frame(0x82, pattern(5, 1), mask),
      frame(0x02, pattern(200, 2), mask),
      frame(0x89, Buffer.from("are you there"), mask),
      frame(0x00, new Uint8Array(0), mask),
      frame(0x8a, Buffer.from("unasked"), mask),
      frame(0x80, pattern(70_000, 3), mask),
      frame(0x82, new Uint8Array(0), mask),
      frame(0x89, new Uint8Array(0), mask),
      frame(0x88, Buffer.concat([Buffer.from([3, 0xe8]), Buffer.from("прощай")]), mask),
      frame(0x82, Buffer.from("never heard"), mask),
    ]);
  const carried = Buffer.concat([pattern(5, 1), pattern(200, 2), pattern(70_000, 3)]);
  const events = ["ping are you there", "ping ", "goodbye 1000 прощай"];

  test("tells the same in whole and byte by byte, masked or not", () => {
    for (const mask of [undefined, MASK]) {
      const whole = read([stream(mask)], mask !== undefined);
      const single = read([...stream(mask)].map((byte) => new Uint8Array([byte])), mask !== undefined);
      for (const told of [whole, single]) {
        expect(told.code).toBeUndefined();
        expect(told.events).toEqual(events);
        expect(sameBytes(told.bytes, carried)).toBe(true);
      }
    }
  });

  test("tells the same in any pieces", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1 }), (sizes) => {
        const bytes = stream(MASK);
        const pieces: Uint8Array[] = [];
        for (let at = 0; at < bytes.length;) {
          const size = pieces.length < 600 ? sizes[pieces.length % sizes.length]! : bytes.length;
          pieces.push(bytes.subarray(at, at += size));
        }
        const told = read(pieces, true);
        return sameBytes(told.bytes, carried) && told.events.join() === events.join();
      }),
      { numRuns: 30 },
    );
  });

  test("passes a message on before it is whole", () => {
    const told = read([frame(0x82, pattern(1_000, 1)).subarray(0, 104)]);
    expect(sameBytes(told.bytes, pattern(1_000, 1).subarray(0, 100))).toBe(true);
  });

  const long = (...bytes: number[]): Uint8Array => Buffer.from([0x82, 127, ...bytes]);
  const bad: readonly [string, number, Uint8Array][] = [
    ["a reserved bit 1", 1002, frame(0xc2, pattern(1, 1))],
    ["a reserved bit 2", 1002, frame(0xa2, pattern(1, 1))],
    ["a reserved bit 3", 1002, frame(0x92, pattern(1, 1))],
    ["a mask of a server", 1002, frame(0x82, pattern(1, 1), MASK)],
    ["a text", 1003, frame(0x81, Buffer.from("hello"))],
    ["an opcode 3", 1002, frame(0x83, pattern(1, 1))],
    ["an opcode 11", 1002, frame(0x8b, pattern(1, 1))],
    ["a continuation of nothing", 1002, frame(0x80, pattern(1, 1))],
    [
      "a message inside a message",
      1002,
      Buffer.concat([frame(0x02, new Uint8Array(0)), frame(0x82, new Uint8Array(0))]),
    ],
    ["a ping in fragments", 1002, frame(0x09, new Uint8Array(0))],
    ["a ping over 125 bytes", 1002, frame(0x89, pattern(CONTROL_BYTES_MAX + 1, 1))],
    ["a message over the limit", 1009, long(0, 0, 0, 0, 0, 0x10, 0, 1)],
    ["a length over 32 bits", 1009, long(0, 0, 0, 1, 0, 0, 0, 0)],
    ["a negative length", 1009, long(0x80, 0, 0, 0, 0, 0, 0, 0)],
    ["a length of 125 in 16 bits", 1002, Buffer.from([0x82, 126, 0, 125])],
    ["a length of 65535 in 64 bits", 1002, long(0, 0, 0, 0, 0, 0, 0xff, 0xff)],
    ["half a close code", 1002, frame(0x88, Buffer.from([3]))],
    ...[999, 1004, 1005, 1006, 1015, 2999, 5000].map((code): [string, number, Uint8Array] => [
      `a close code ${code}`,
      1002,
      frame(0x88, Buffer.from([code >> 8, code & 0xff])),
    ]),
    ["a reason that is no text", 1007, frame(0x88, Buffer.from([3, 0xe8, 0xff, 0xfe]))],
  ];
  test("refuses what the protocol forbids, with its code, and tells nothing of it or after it", () => {
    const outcomes = bad.map(([name, , bytes]) => [name, read([bytes])] as const);
    expect(outcomes).toEqual(
      bad.map(([name, code]) => [name, { bytes: Buffer.alloc(0), events: [], code }] as const),
    );
    expect(bad.length).toBe(25);
  });

  test("wants masks of a client", () => {
    expect(read([frame(0x82, pattern(1, 1))], true).code).toBe(CloseCode.protocolError);
  });

  test("bounds the sum of fragments, empty ones and pings between them", () => {
    const half = frame(0x00, pattern(MESSAGE_BYTES_MAX / 2, 1));
    const first = frame(0x02, pattern(MESSAGE_BYTES_MAX / 2, 1));
    const ping = frame(0x89, new Uint8Array(0));
    expect(read([first, ping, half]).code).toBeUndefined();
    const told = read([first, ping, half, frame(0x00, new Uint8Array(1))]);
    expect(told.code).toBe(CloseCode.tooBig);
    expect(told.bytes.length).toBe(MESSAGE_BYTES_MAX);
  });

  test("a goodbye without a code has code 1005", () => {
    expect(read([frame(0x88, new Uint8Array(0))]).events).toEqual(["goodbye 1005 "]);
  });

  test("never fails in another way, whatever comes", () => {
    fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 20 }), (pieces) => {
      const told = read(pieces, true);
      return told.bytes.length <= pieces.reduce((sum, piece) => sum + piece.length, 0);
    }));
  });
});
