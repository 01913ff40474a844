/**
 * The matchers, each with values that must pass and values that must fail, on Bun's own and on the one for Deno.
 *
 * A matcher that never fails would make every test that uses it worthless, and nothing else would show it.
 *
 * @module
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";

class Point {
  constructor(readonly x: number) {}
}

/** Throws what it is given: as an expression, for the table below. */
function thrower(error: unknown): () => never {
  return () => {
    throw error;
  };
}

/** Loose on purpose: the table holds values that the types of a matcher would refuse. */
// deno-lint-ignore no-explicit-any -- see above
const that = (value: unknown): any => expect(value);

type Case = readonly [name: string, passes: boolean, check: () => void];

const CASES: readonly Case[] = [
  ["toBe same", true, () => that(1).toBe(1)],
  ["toBe NaN", true, () => that(NaN).toBe(NaN)],
  ["toBe minus zero", false, () => that(0).toBe(-0)],
  ["toBe equal objects", false, () => that({}).toBe({})],
  ["toEqual deep", true, () => that({ a: [{ b: 1 }] }).toEqual({ a: [{ b: 1 }] })],
  ["toEqual differs", false, () => that({ a: [{ b: 1 }] }).toEqual({ a: [{ b: 2 }] })],
  ["toEqual more", false, () => that({ a: 1, b: 2 }).toEqual({ a: 1 })],
  ["toEqual longer array", false, () => that([1, 2]).toEqual([1])],
  ["toEqual undefined property", true, () => that({ a: 1, b: undefined }).toEqual({ a: 1 })],
  [
    "toEqual null prototype",
    true,
    () => that(Object.assign(Object.create(null), { a: 1 })).toEqual({ a: 1 }),
  ],
  ["toEqual class", true, () => that(new Point(1)).toEqual({ x: 1 })],
  ["toEqual Buffer and bytes", true, () => that(Buffer.from([1])).toEqual(new Uint8Array([1]))],
  ["toEqual other bytes", false, () => that(new Uint8Array([1])).toEqual(new Uint8Array([2]))],
  ["toEqual errors", false, () => that(new Error("a")).toEqual(new Error("b"))],
  ["toEqual maps", true, () => that(new Map([["a", { b: 1 }]])).toEqual(new Map([["a", { b: 1 }]]))],
  ["toEqual other maps", false, () => that(new Map([["a", 1]])).toEqual(new Map([["a", 2]]))],
  ["toEqual sets", true, () => that(new Set([{ a: 1 }])).toEqual(new Set([{ a: 1 }]))],
  ["toEqual urls", false, () => that(new URL("http://a/")).toEqual(new URL("http://b/"))],
  ["toEqual number and text", false, () => that(1).toEqual("1")],
  ["toStrictEqual undefined property", false, () => that({ a: 1, b: undefined }).toStrictEqual({ a: 1 })],
  ["toStrictEqual class", false, () => that(new Point(1)).toStrictEqual({ x: 1 })],
  ["toStrictEqual same", true, () => that({ a: [1] }).toStrictEqual({ a: [1] })],
  ["toMatchObject part", true, () => that({ a: 1, b: { c: 2, d: 3 } }).toMatchObject({ b: { c: 2 } })],
  ["toMatchObject differs", false, () => that({ a: 1 }).toMatchObject({ a: 2 })],
  ["toMatchObject lacks", false, () => that({ a: 1 }).toMatchObject({ b: 1 })],
  ["toMatchObject shorter array", false, () => that({ a: [1, 2] }).toMatchObject({ a: [1] })],
  [
    "toMatchObject array of parts",
    true,
    () => that({ a: [{ b: 1, c: 2 }] }).toMatchObject({ a: [{ b: 1 }] }),
  ],
  [
    "toMatchObject error",
    true,
    () => that(Object.assign(new Error("a"), { code: "x" })).toMatchObject({ code: "x" }),
  ],
  ["toMatch pattern", true, () => that("abc").toMatch(/b./)],
  ["toMatch text", true, () => that("abc").toMatch("bc")],
  ["toMatch nothing", false, () => that("abc").toMatch(/x/)],
  ["toMatch no text", false, () => that(undefined).toMatch(/x/)],
  ["toContain text", true, () => that("abc").toContain("b")],
  ["toContain no text", false, () => that("abc").toContain("x")],
  ["toContain cell", true, () => that([1, 2]).toContain(2)],
  ["toContain equal object", false, () => that([{}]).toContain({})],
  ["toContain of nothing", false, () => that(undefined).toContain("a")],
  ["toThrow", true, () => that(thrower(new Error("no key"))).toThrow()],
  ["toThrow nothing thrown", false, () => that(() => {}).toThrow()],
  ["toThrow text", true, () => that(thrower(new Error("no key"))).toThrow("key")],
  ["toThrow other text", false, () => that(thrower(new Error("no key"))).toThrow("door")],
  ["toThrow pattern", false, () => that(thrower(new Error("no key"))).toThrow(/door/)],
  ["toThrow class", true, () => that(thrower(new RangeError("a"))).toThrow(RangeError)],
  ["toThrow other class", false, () => that(thrower(new RangeError("a"))).toThrow(TypeError)],
  ["not.toThrow", false, () => that(thrower(new Error("a"))).not.toThrow()],
  ["not.toThrow nothing thrown", true, () => that(() => {}).not.toThrow()],
  ["toBeGreaterThan", true, () => that(2).toBeGreaterThan(1)],
  ["toBeGreaterThan same", false, () => that(1).toBeGreaterThan(1)],
  ["toBeGreaterThan undefined", false, () => that(undefined).toBeGreaterThan(1)],
  ["not.toBeGreaterThan undefined", false, () => that(undefined).not.toBeGreaterThan(1)],
  ["toBeGreaterThanOrEqual", true, () => that(1).toBeGreaterThanOrEqual(1)],
  ["toBeGreaterThanOrEqual less", false, () => that(0).toBeGreaterThanOrEqual(1)],
  ["toBeLessThan", true, () => that(1n).toBeLessThan(2n)],
  ["toBeLessThan same", false, () => that(1).toBeLessThan(1)],
  ["toBeLessThanOrEqual", true, () => that(1).toBeLessThanOrEqual(1)],
  ["toBeLessThanOrEqual more", false, () => that(2).toBeLessThanOrEqual(1)],
  ["toBeUndefined", true, () => that(undefined).toBeUndefined()],
  ["toBeUndefined null", false, () => that(null).toBeUndefined()],
  ["toBeDefined", true, () => that(null).toBeDefined()],
  ["toBeDefined undefined", false, () => that(undefined).toBeDefined()],
  ["toBeNull", true, () => that(null).toBeNull()],
  ["toBeNull undefined", false, () => that(undefined).toBeNull()],
  ["toBeTruthy", true, () => that("a").toBeTruthy()],
  ["toBeTruthy empty", false, () => that("").toBeTruthy()],
  ["toBeFalsy", true, () => that(0).toBeFalsy()],
  ["toBeFalsy text", false, () => that("0").toBeFalsy()],
  ["toBeInstanceOf", true, () => that(new Point(1)).toBeInstanceOf(Point)],
  ["toBeInstanceOf other", false, () => that({ x: 1 }).toBeInstanceOf(Point)],
  ["toHaveLength", true, () => that("abc").toHaveLength(3)],
  ["toHaveLength other", false, () => that([1]).toHaveLength(2)],
  ["not.toBe", true, () => that(1).not.toBe(2)],
  ["not.toBe same", false, () => that(1).not.toBe(1)],
  ["not.toEqual same", false, () => that({ a: 1 }).not.toEqual({ a: 1 })],
];

/** Whether a check passes, that is, does not throw. */
async function passes(check: () => unknown): Promise<boolean> {
  try {
    await check();
    return true;
  } catch {
    return false;
  }
}

test("every matcher passes and fails when it should", async () => {
  const faults: string[] = [];
  for (const [name, wanted, check] of CASES) if (await passes(check) !== wanted) faults.push(name);
  expect(faults).toEqual([]);
  expect(CASES.length).toBeGreaterThan(70);
});

test("resolves and rejects wait, and fail on the other outcome", async () => {
  expect(await passes(() => that(Promise.resolve(1)).resolves.toBe(1))).toBe(true);
  expect(await passes(() => that(Promise.resolve(1)).resolves.toBe(2))).toBe(false);
  expect(await passes(() => that(Promise.reject(new Error("a"))).resolves.toBe(1))).toBe(false);
  expect(await passes(() => that(Promise.reject(new Error("a"))).rejects.toThrow("a"))).toBe(true);
  expect(await passes(() => that(Promise.reject(new Error("a"))).rejects.toThrow("b"))).toBe(false);
  expect(await passes(() => that(Promise.resolve(1)).rejects.toThrow())).toBe(false);
  expect(await passes(() => that(Promise.reject({ code: "x" })).rejects.toMatchObject({ code: "x" }))).toBe(
    true,
  );
  expect(await passes(() => that(Promise.reject({ code: "x" })).rejects.toMatchObject({ code: "y" }))).toBe(
    false,
  );
});

describe("hooks", () => {
  const seen: string[] = [];
  beforeAll(() => void seen.push("all"));
  afterAll(() =>
    expect(seen).toEqual(["all", "each", "1", "after", "each", "2", "after", "inner", "each", "3", "after"])
  );
  beforeEach(() => void seen.push("each"));
  afterEach(() => void seen.push("after"));
  test.each([[1, "1"], [2, "2"]])("row %i", (_index, name) => void seen.push(name as string));
  describe("inner", () => {
    beforeAll(() => void seen.push("inner"));
    test("has the hooks of both", () => void seen.push("3"));
  });
});

test.skipIf(false)("skipIf runs what is not to be skipped", () => expect(CASES.length).toBeGreaterThan(0));
