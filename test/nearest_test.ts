/**
 * Naming the thing that was probably meant.
 *
 * @module
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { didYouMean, editDistance, nearest, NEAREST_CHARS_MAX } from "../lib/nearest.ts";

const FLAGS = [
  "gateway",
  "gateway-ca",
  "serve",
  "token",
  "token-file",
  "http",
  "https",
  "limits",
  "as",
  "app",
];

test("nearest() finds a typing error, and nothing when the word is far from all", () => {
  const cases: [string, string | undefined][] = [
    ["gatway", "gateway"],
    ["gatewya", "gateway"],
    ["tokne", "token"],
    ["token_file", "token-file"],
    ["TOKEN", "token"],
    ["htps", "https"],
    ["gate", "gateway"],
    ["limit", "limits"],
    ["", undefined],
    ["x", undefined],
    ["ab", "as"],
    ["completely-different", undefined],
    ["g".repeat(NEAREST_CHARS_MAX + 1), undefined],
  ];
  for (const [word, name] of cases) expect([word, nearest(word, FLAGS)]).toEqual([word, name]);
  expect(cases).toHaveLength(13);
  expect(nearest("gateway", [])).toBeUndefined();
});

test("didYouMean() is the end of a message, or nothing", () => {
  expect(didYouMean("gatway", FLAGS, "--")).toBe(": did you mean --gateway");
  expect(didYouMean("zzzzzzzz", FLAGS)).toBe("");
});

test("editDistance() counts a swap of neighbours once", () => {
  expect(editDistance("abcd", "abdc")).toBe(1);
  expect(editDistance("", "abc")).toBe(3);
  expect(editDistance("kitten", "sitting")).toBe(3);
});

test("editDistance() is symmetric, zero for equals alone and never above the longer length", () => {
  const text = fc.string({ maxLength: 12 });
  fc.assert(fc.property(text, text, (a, b) => {
    const distance = editDistance(a, b);
    expect(distance).toBe(editDistance(b, a));
    expect(distance === 0).toBe(a === b);
    expect(distance).toBeLessThanOrEqual(Math.max(a.length, b.length));
    expect(distance).toBeGreaterThanOrEqual(Math.abs(a.length - b.length));
  }));
});
