/**
 * Segments of paths: which are values, which spelling they get, and what no placeholder may cover.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  coveringPlaceholders,
  isPlaceholder,
  maskedPath,
  ownPlaceholder,
  PATH_CHARS_MAX,
  readPath,
  type SegmentKind,
  segmentKind,
  SEGMENTS_MAX,
} from "../../lib/policy/segment.ts";

const KINDS: readonly (readonly [string, SegmentKind])[] = [
  ["", "empty"],
  ["0", "int"],
  ["7", "int"],
  ["0042", "int"],
  ["1234567", "int"],
  ["12345678", "longInt"],
  ["-5", "word"],
  ["1.5", "word"],
  ["users", "word"],
  ["Users", "word"],
  ["v2", "word"],
  ["log4j", "word"],
  ["oauth20", "word"],
  ["checkout-v2", "word"],
  ["a1b2c3", "word"],
  ["facade", "word"],
  ["deadbeef", "hexWord"],
  ["deadbee", "word"],
  ["deadbee1", "hex"],
  ["DEADBEE1", "hex"],
  ["d3adbee", "word"],
  ["9c1185a5c5e9fc54612808977ee8f548b2258d31", "hex"],
  ["3f0c2b1a-9d8e-4f7a-8b6c-5d4e3f2a1b0c", "uuid"],
  ["3F0C2B1A-9D8E-4F7A-8B6C-5D4E3F2A1B0C", "uuid"],
  ["3f0c2b1a-9d8e-4f7a-8b6c-5d4e3f2a1b0", "id"],
  ["2031-05-17", "date"],
  ["2031-13-17", "id"],
  ["2031-05-32", "id"],
  ["2031-05-17T10:00:00Z", "id"],
  ["abc-2024-001x", "id"],
  ["ABC2024001X", "id"],
  ["U024BE7LH", "id"],
  ["cus_NffrFeUfNV2Hib", "id"],
  ["QTTetUfplSTQkIFo", "id"],
  ["GetUserByEmailAndName", "word"],
  ["INTERNATIONALISATION", "word"],
  ["a%20b%20c%20d", "word"],
  ["caf%C3%A9", "word"],
  ["a%2Fb", "hidden"],
  ["a%252Fb", "hidden"],
  ["a%25252Fb", "hidden"],
  ["a%5Cb", "hidden"],
  ["a\\b", "hidden"],
  ["a%00", "hidden"],
  ["a%0D%0AX", "hidden"],
  ["12345678%2F12345678", "hidden"],
  ["%7Bint%7D", "word"],
];

const SPELLINGS: readonly (readonly [string, readonly string[] | undefined])[] = [
  ["/", [""]],
  ["", [""]],
  ["*", ["*"]],
  ["/users", ["users"]],
  ["/users/", ["users", ""]],
  ["//users", ["", "users"]],
  ["/Users/%61nna", ["Users", "anna"]],
  ["/%7euser", ["~user"]],
  ["/a%2fb", ["a%2Fb"]],
  ["/a b", ["a%20b"]],
  ["/{int}", ["%7Bint%7D"]],
  ["/%7Bint%7D", ["%7Bint%7D"]],
  ["/\u212a", ["%E2%84%AA"]],
  ["/\ud800", ["%EF%BF%BD"]],
  ["/a%zz", ["a%zz"]],
  ["/...", ["..."]],
  ["/.well-known/x", [".well-known", "x"]],
  ["/a/..b", ["a", "..b"]],
  ["/.", undefined],
  ["/..", undefined],
  ["/a/../b", undefined],
  ["/a/./b", undefined],
  ["/a/%2e%2e/b", undefined],
  ["/a/%2E./b", undefined],
  ["/a/%252e%252e/b", undefined],
  ["/a/..;/b", undefined],
  ["/a/..;x=1/b", undefined],
  ["/a/..%3Bx/b", undefined],
  ["/a%2F..%2Fb", undefined],
  ["/a%252f..%252fb", undefined],
  ["/a\\..\\b", undefined],
  ["/a%5C..", undefined],
];

describe("segmentKind()", () => {
  for (const [segment, kind] of KINDS) {
    test(`${JSON.stringify(segment)} is ${kind}`, () => expect(segmentKind(segment)).toBe(kind));
  }

  test("the own placeholder of a segment is the narrowest that covers it", () => {
    let checked = 0;
    for (const [segment] of KINDS) {
      const own = ownPlaceholder(segment);
      if (own === undefined) continue;
      checked += 1;
      expect(coveringPlaceholders(segment)[0]).toBe(own);
      // What covers the placeholder covers the segment too: nothing that is merged is lost.
      for (const wide of coveringPlaceholders(own)) expect(coveringPlaceholders(segment)).toContain(wide);
    }
    expect(checked).toBeGreaterThan(12);
  });

  test("nothing covers an empty segment, or one that hides a slash", () => {
    for (const segment of ["", "a%2Fb", "a%252Fb", "a\\b", "x%00"]) {
      expect(coveringPlaceholders(segment)).toEqual([]);
    }
  });
});

describe("readPath()", () => {
  for (const [path, segments] of SPELLINGS) {
    test(`${JSON.stringify(path)} is ${JSON.stringify(segments)}`, () => {
      const read = readPath(path);
      if (segments === undefined) expect(read).toBeUndefined();
      else expect(read).toEqual([...segments]);
    });
  }

  test("reads up to its bounds and nothing beyond", () => {
    expect(readPath(`/${"a".repeat(PATH_CHARS_MAX - 1)}`)).toHaveLength(1);
    expect(readPath(`/${"a".repeat(PATH_CHARS_MAX)}`)).toBeUndefined();
    // Escaping makes it longer than it was.
    expect(readPath(`/${" ".repeat(PATH_CHARS_MAX / 2)}`)).toBeUndefined();
    expect(readPath("/a".repeat(SEGMENTS_MAX))).toHaveLength(SEGMENTS_MAX);
    expect(readPath("/a".repeat(SEGMENTS_MAX + 1))).toBeUndefined();
  });

  test("reads its own spelling as the same, never a brace and never a dot segment", () => {
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 60 }), (text) => {
      const segments = readPath(`/${text}`);
      if (segments === undefined) return;
      expect(readPath(`/${segments.join("/")}`)).toEqual(segments);
      for (const segment of segments) {
        expect(isPlaceholder(segment)).toBe(false);
        expect(segment).toMatch(/^[!-z|~]*$/);
        expect([".", ".."].includes(segment)).toBe(false);
      }
    }));
  });
});

describe("maskedPath()", () => {
  test("shows values as placeholders and cuts what is too long", () => {
    expect(maskedPath("/users/7/orders/2031-05-17/abc-2024-001x")).toBe("/users/{int}/orders/{date}/{id}");
    expect(maskedPath("/a/../b")).toBe("/a/../b");
    expect(maskedPath(`/x/${"y".repeat(65)}`)).toBe("/x/{str}");
    expect(maskedPath("/a".repeat(17))).toBe(`${"/a".repeat(16)}/**`);
    expect(maskedPath("\r\n")).toBe("/%0D%0A");
  });

  test("is short and printable for every text", () => {
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 3_000 }), (text) => {
      const masked = maskedPath(text);
      expect(masked.length).toBeLessThan(16 * 65 + 4);
      expect(masked).toMatch(/^\/[!-~]*$/);
    }));
  });
});
