/**
 * The codec: every way to cut the bytes gives the same frames, and nothing is worse than a ProtocolError.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { BATCH_BYTES_MAX, FrameDecoder, FrameEncoder } from "../../lib/wire/codec.ts";
import { ProtocolError } from "../../lib/wire/errors.ts";
import { FRAME_HEADER_BYTES, FRAME_PAYLOAD_BYTES_MAX } from "../../lib/wire/frame.ts";
import { concat, naiveDecode, naiveEncode, type NaiveFrame } from "../support/naive_codec.ts";

const KEPT_BYTES_MAX = FRAME_HEADER_BYTES + FRAME_PAYLOAD_BYTES_MAX;

/** Decodes chunks; payloads are copied, as later chunks must not change them. */
function decode(chunks: Uint8Array[]): { frames: NaiveFrame[]; keptBytes: number } {
  const frames: NaiveFrame[] = [];
  const decoder = new FrameDecoder((type, flags, streamId, payload) => {
    frames.push({ type, flags, streamId, payload: Uint8Array.from(payload) });
  });
  for (const chunk of chunks) decoder.push(chunk);
  return { frames, keptBytes: decoder.keptBytes };
}

function encode(frames: NaiveFrame[]): Uint8Array[] {
  const messages: Uint8Array[] = [];
  const encoder = new FrameEncoder((bytes) => messages.push(bytes.slice()));
  for (const frame of frames) encoder.write(frame.type, frame.flags, frame.streamId, frame.payload);
  encoder.flush();
  return messages;
}

/** Cuts bytes at the given places, which may repeat. */
function cut(bytes: Uint8Array, places: number[]): Uint8Array[] {
  const sorted = places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b);
  return [0, ...sorted].map((start, i) => bytes.subarray(start, sorted[i] ?? bytes.length));
}

const arbitraryFrame: fc.Arbitrary<NaiveFrame> = fc.record({
  type: fc.nat(255),
  flags: fc.nat(255),
  streamId: fc.integer({ min: 0, max: 0xffff_ffff }),
  payload: fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.integer({ min: 0, max: 40_000 }).map((length) => new Uint8Array(length).fill(length)),
  ),
});

describe("FrameEncoder", () => {
  test("agrees with the plain codec, whatever the frames", () => {
    let runs = 0;
    fc.assert(fc.property(fc.array(arbitraryFrame, { maxLength: 12 }), (frames) => {
      runs++;
      expect(Buffer.compare(concat(encode(frames)), concat(frames.map(naiveEncode)))).toBe(0);
    }));
    expect(runs).toBeGreaterThanOrEqual(100);
  });

  test("gathers small frames into one message and sends nothing twice", () => {
    const messages: Uint8Array[] = [];
    const encoder = new FrameEncoder((message) => messages.push(message));
    for (let i = 0; i < 50; i++) encoder.write(3, 0, 1, new Uint8Array(100));
    expect(messages).toHaveLength(0);
    expect(encoder.pendingBytes).toBe(50 * 109);
    encoder.flush();
    encoder.flush();
    expect(messages.map((message) => message.length)).toEqual([50 * 109]);
    expect(encoder.pendingBytes).toBe(0);
  });

  test("never keeps more than a batch, and sends all of it", () => {
    let sentBytes = 0;
    const encoder = new FrameEncoder((message) => {
      expect(message.length).toBeLessThanOrEqual(BATCH_BYTES_MAX + KEPT_BYTES_MAX);
      sentBytes += message.length;
    });
    let writtenBytes = 0;
    for (const length of [0, 1, 16_383, 16_384, 16_383, 131_072, 5, ...Array(40).fill(16_000)]) {
      encoder.write(3, 0, 1, new Uint8Array(length));
      writtenBytes += FRAME_HEADER_BYTES + length;
      expect(encoder.pendingBytes).toBeLessThanOrEqual(BATCH_BYTES_MAX);
    }
    encoder.flush();
    expect(sentBytes).toBe(writtenBytes);
  });

  test("has handed the payload over or copied it when it returns", () => {
    for (const length of [10, 20_000]) {
      const payload = new Uint8Array(length).fill(1);
      const messages: Uint8Array[] = [];
      const encoder = new FrameEncoder((bytes) => messages.push(bytes.slice()));
      encoder.write(3, 0, 1, payload);
      payload.fill(2);
      encoder.flush();
      const sent = concat(messages).subarray(FRAME_HEADER_BYTES);
      expect(sent.length).toBe(length);
      expect(sent.every((byte) => byte === 1)).toBe(true);
    }
  });

  test("says when more follows: the head of a large frame need not leave before its payload", () => {
    const calls: [length: number, more: boolean][] = [];
    const encoder = new FrameEncoder((bytes, more) => calls.push([bytes.length, more]));
    for (const length of [10, 20_000, 131_072, 5]) encoder.write(3, 0, 1, new Uint8Array(length));
    encoder.flush();
    expect(calls).toEqual([[28, true], [20_000, false], [9, true], [131_072, false], [14, false]]);
  });
});

describe("FrameDecoder.push()", () => {
  test("gives the frames of the plain codec, however the bytes are cut", () => {
    let runs = 0;
    fc.assert(fc.property(
      fc.array(arbitraryFrame, { maxLength: 8 }),
      fc.array(fc.nat(200_000), { maxLength: 12 }),
      fc.nat(20),
      (frames, places, cutOff) => {
        runs++;
        const whole = concat(frames.map(naiveEncode));
        const bytes = whole.subarray(0, Math.max(0, whole.length - cutOff));
        const expected = naiveDecode(bytes);
        const got = decode(cut(bytes, places));
        expect(got.frames.length).toBe(expected.frames.length);
        for (const [i, frame] of expected.frames.entries()) {
          const { payload, ...header } = got.frames[i]!;
          expect(header).toEqual({ type: frame.type, flags: frame.flags, streamId: frame.streamId });
          expect(Buffer.compare(payload, frame.payload)).toBe(0);
        }
        expect(got.keptBytes).toBe(expected.restBytes);
      },
    ));
    expect(runs).toBeGreaterThanOrEqual(100);
  });

  test("gives a frame with its last byte, one byte at a time", () => {
    const frames = [0, 1, 9, 300].map((length, i) => ({
      type: i,
      flags: 1,
      streamId: 7,
      payload: new Uint8Array(length).fill(i),
    }));
    const bytes = concat(frames.map(naiveEncode));
    let delivered = 0;
    const decoder = new FrameDecoder(() => delivered++);
    for (let i = 0; i < bytes.length; i++) {
      decoder.push(bytes.subarray(i, i + 1));
      const expected = naiveDecode(bytes.subarray(0, i + 1));
      expect(delivered).toBe(expected.frames.length);
      expect(decoder.keptBytes).toBe(expected.restBytes);
    }
    expect(delivered).toBe(frames.length);
  });

  test("hands out views of a whole chunk, and of its own buffer for a frame in pieces", () => {
    const bytes = naiveEncode({ type: 3, flags: 0, streamId: 1, payload: Uint8Array.of(1, 2, 3) });
    const buffers: ArrayBufferLike[] = [];
    const decoder = new FrameDecoder((_type, _flags, _id, payload) => buffers.push(payload.buffer));
    decoder.push(bytes);
    decoder.push(bytes.subarray(0, 10));
    decoder.push(bytes.subarray(10));
    expect(buffers[0]).toBe(bytes.buffer);
    expect(buffers[1] === bytes.buffer).toBe(false);
    expect(buffers[1]!.byteLength).toBe(3);
  });

  test("refuses a length over the limit at the ninth byte and keeps none of the payload", () => {
    let cases = 0;
    for (const length of [FRAME_PAYLOAD_BYTES_MAX + 1, 0xff_ffff]) {
      for (const chunkBytes of [1, 5, 9, 1000]) {
        const bytes = new Uint8Array(1000);
        bytes.set([length >>> 16, length >>> 8, length]);
        const decoder = new FrameDecoder(() => expect("no frame").toBe("delivered"));
        let error: unknown;
        try {
          for (let at = 0; at < bytes.length; at += chunkBytes) {
            decoder.push(bytes.subarray(at, at + chunkBytes));
          }
        } catch (caught) {
          error = caught;
        }
        expect(error).toBeInstanceOf(ProtocolError);
        expect((error as ProtocolError).code).toBe("frameTooLong");
        expect(decoder.keptBytes).toBeLessThanOrEqual(FRAME_HEADER_BYTES);
        cases++;
      }
    }
    expect(cases).toBe(8);
  });

  test("takes any bytes with nothing worse than ProtocolError, and keeps no more than a frame", () => {
    let runs = 0;
    fc.assert(fc.property(
      fc.array(fc.uint8Array({ maxLength: 600 }), { maxLength: 20 }),
      fc.boolean(),
      (chunks, small) => {
        runs++;
        let payloadBytes = 0;
        let givenBytes = 0;
        const decoder = new FrameDecoder((_type, _flags, _id, payload) => payloadBytes += payload.length);
        try {
          for (const chunk of chunks) {
            // With small first bytes more headers are sound, so that more frames are reached.
            const bytes = small ? chunk.map((byte, i) => i % 11 < 2 ? 0 : byte) : chunk;
            givenBytes += bytes.length;
            decoder.push(bytes);
            expect(decoder.keptBytes).toBeLessThanOrEqual(Math.min(KEPT_BYTES_MAX, givenBytes));
          }
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error;
        }
        expect(payloadBytes).toBeLessThanOrEqual(givenBytes);
      },
    ));
    expect(runs).toBeGreaterThanOrEqual(100);
  });

  test("goes on after a sink that threw, with the next chunk", () => {
    const bytes = naiveEncode({ type: 3, flags: 0, streamId: 1, payload: Uint8Array.of(1, 2, 3) });
    for (const chunks of [[bytes], [bytes.subarray(0, 4), bytes.subarray(4)]]) {
      let calls = 0;
      const decoder = new FrameDecoder(() => {
        if (++calls === 1) throw new Error("broken");
      });
      expect(() => chunks.forEach((chunk) => decoder.push(chunk))).toThrow("broken");
      expect(decoder.keptBytes).toBe(0);
      decoder.push(bytes);
      expect(calls).toBe(2);
    }
  });
});
