/**
 * The header, against the plain codec.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  FRAME_HEADER_BYTES,
  FRAME_PAYLOAD_BYTES_MAX,
  FrameType,
  IGNORABLE_TYPE_MAX,
  IGNORABLE_TYPE_MIN,
  readUint32,
  STREAM_ID_MAX,
  writeHeader,
  writeUint32,
} from "../../lib/wire/frame.ts";
import { naiveEncode } from "../support/naive_codec.ts";

describe("writeHeader()", () => {
  test("agrees with the plain codec for every header", () => {
    let runs = 0;
    fc.assert(fc.property(
      fc.integer({ min: 0, max: FRAME_PAYLOAD_BYTES_MAX }),
      fc.nat(255),
      fc.nat(255),
      fc.integer({ min: 0, max: 0xffff_ffff }),
      (length, type, flags, streamId) => {
        runs++;
        const bytes = new Uint8Array(FRAME_HEADER_BYTES + 3).fill(0xaa);
        writeHeader(bytes, 2, length, type, flags, streamId);
        const plain = naiveEncode({ type, flags, streamId, payload: new Uint8Array(length) });
        expect([...bytes]).toEqual([0xaa, 0xaa, ...plain.subarray(0, FRAME_HEADER_BYTES), 0xaa]);
      },
    ));
    expect(runs).toBeGreaterThanOrEqual(100);
  });

  test("refuses a payload over the limit", () => {
    const target = new Uint8Array(FRAME_HEADER_BYTES);
    expect(() => writeHeader(target, 0, FRAME_PAYLOAD_BYTES_MAX + 1, 3, 0, 1)).toThrow("within its limit");
  });
});

describe("readUint32()", () => {
  test.each([0, 1, 0xff, 0x8000_0000, 0xffff_ffff, STREAM_ID_MAX, 0x0102_0304])(
    "reads what writeUint32() wrote: %d",
    (value) => {
      const bytes = new Uint8Array(6);
      writeUint32(bytes, 1, value);
      expect(readUint32(bytes, 1)).toBe(value);
      expect(new DataView(bytes.buffer).getUint32(1)).toBe(value);
      expect([bytes[0], bytes[5]]).toEqual([0, 0]);
    },
  );
});

describe("FrameType", () => {
  test("has a number for each type, below the ignorable ones but for the hint", () => {
    const { report, ...others } = FrameType;
    const numbers: number[] = Object.values(others);
    expect(new Set([...numbers, report]).size).toBe(11);
    expect(Math.max(...numbers)).toBeLessThan(IGNORABLE_TYPE_MIN);
    // An older gateway drops it.
    expect(report).toBe(IGNORABLE_TYPE_MIN);
    expect([IGNORABLE_TYPE_MIN, IGNORABLE_TYPE_MAX]).toEqual([0x40, 0x7f]);
  });
});
