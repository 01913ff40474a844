/**
 * Heads and field lists: what goes in comes out, and every other run of bytes is refused.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ProtocolError } from "../../lib/wire/errors.ts";
import {
  decodeFields,
  decodeRequestHead,
  decodeResponseHead,
  encodeFields,
  encodeRequestHead,
  encodeResponseHead,
  FIELDS_MAX,
  HEAD_BYTES_MAX,
  METHOD_BYTES_MAX,
} from "../../lib/wire/head.ts";

/** Any octets, as text. */
const octets = (maxLength: number): fc.Arbitrary<string> =>
  fc.uint8Array({ maxLength }).map((bytes) => String.fromCharCode(...bytes));

const fieldList = fc.array(fc.tuple(octets(20), octets(60)), { maxLength: 12 }).map((pairs) => pairs.flat());

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return error instanceof ProtocolError ? error.code : String(error);
  }
  return "nothing thrown";
}

describe("request heads", () => {
  test("come back as they were: order, case, repetition, any octet", () => {
    let runs = 0;
    fc.assert(fc.property(octets(30), octets(200), fieldList, (method, target, fields) => {
      runs++;
      expect(decodeRequestHead(encodeRequestHead({ method, target, fields }))).toEqual({
        method,
        target,
        fields,
      });
    }));
    expect(runs).toBeGreaterThanOrEqual(100);
  });

  test("are refused when cut at any byte, and when a byte follows", () => {
    const head = { method: "PURGE", target: "/a?b", fields: ["Cookie", "a", "cookie", ""] };
    const bytes = encodeRequestHead(head);
    for (let end = 0; end < bytes.length; end++) {
      expect(codeOf(() => decodeRequestHead(bytes.subarray(0, end)))).toBe("protocol");
    }
    expect(codeOf(() => decodeRequestHead(Uint8Array.from([...bytes, 0])))).toBe("protocol");
    expect(decodeRequestHead(bytes)).toEqual(head);
  });

  test("are read from a view in a larger buffer", () => {
    const bytes = encodeRequestHead({ method: "GET", target: "/", fields: [] });
    const larger = new Uint8Array(bytes.length + 20).fill(0xff);
    larger.set(bytes, 7);
    expect(decodeRequestHead(larger.subarray(7, 7 + bytes.length)).target).toBe("/");
  });

  test("over a limit cannot be encoded", () => {
    const base = { method: "GET", target: "/", fields: [] as string[] };
    const long = "x".repeat(HEAD_BYTES_MAX + 1);
    const cases = [
      { ...base, method: "M".repeat(METHOD_BYTES_MAX + 1) },
      { ...base, target: long },
      { ...base, fields: ["a", long] },
      { ...base, fields: ["a", "x".repeat(40_000), "b", "x".repeat(40_000)] },
      { ...base, fields: Array(2 * FIELDS_MAX + 2).fill("") },
    ];
    for (const head of cases) expect(() => encodeRequestHead(head)).toThrow(RangeError);
    expect(() => encodeRequestHead({ ...base, fields: ["alone"] })).toThrow("a name and a value");
    expect(cases).toHaveLength(5);
  });

  test("at their limits pass", () => {
    const overhead = encodeRequestHead({ method: "", target: "", fields: [] }).length;
    const target = "x".repeat(HEAD_BYTES_MAX - overhead);
    expect(decodeRequestHead(encodeRequestHead({ method: "", target, fields: [] })).target).toBe(target);
    const fields = Array(2 * FIELDS_MAX).fill("f");
    expect(decodeFields(encodeFields(fields))).toHaveLength(2 * FIELDS_MAX);
  });
});

describe("response heads", () => {
  test("come back as they were", () => {
    let runs = 0;
    fc.assert(
      fc.property(fc.integer({ min: 100, max: 999 }), octets(40), fieldList, (status, reason, fields) => {
        runs++;
        expect(decodeResponseHead(encodeResponseHead({ status, reason, fields }))).toEqual({
          status,
          reason,
          fields,
        });
      }),
    );
    expect(runs).toBeGreaterThanOrEqual(100);
  });

  test.each([0, 1, 99, 1000, 0xffff])("with status %d are refused", (status) => {
    expect(codeOf(() => decodeResponseHead(encodeResponseHead({ status, reason: "", fields: [] })))).toBe(
      "protocol",
    );
  });
});

describe("any bytes", () => {
  test("are a head, a list, or a ProtocolError, and what is taken encodes to the same bytes", () => {
    let runs = 0;
    const codecs = [
      (bytes: Uint8Array) => encodeRequestHead(decodeRequestHead(bytes)),
      (bytes: Uint8Array) => encodeResponseHead(decodeResponseHead(bytes)),
      (bytes: Uint8Array) => encodeFields(decodeFields(bytes)),
    ];
    // Small numbers are lengths that fit, so that more of these get far.
    const bytes = fc.array(fc.oneof(fc.constant(0), fc.nat(4), fc.nat(255)), { maxLength: 60 });
    fc.assert(fc.property(bytes, fc.nat(2), (numbers, which) => {
      runs++;
      const given = Uint8Array.from(numbers);
      let again: Uint8Array;
      try {
        again = codecs[which]!(given);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        return;
      }
      expect([...again]).toEqual(numbers);
    }));
    expect(runs).toBeGreaterThanOrEqual(100);
  });

  test("over the limit are refused before they are read", () => {
    const bytes = new Uint8Array(HEAD_BYTES_MAX + 1);
    expect(codeOf(() => decodeFields(bytes))).toBe("protocol");
    expect(codeOf(() => decodeFields(Uint8Array.of(0x03, 0xe9)))).toBe("protocol");
  });
});
