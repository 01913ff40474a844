/**
 * Durations, sizes, counts and other single values: each form, each mistake.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { inspect } from "node:util";
import fc from "fast-check";
import type { z } from "zod";
import { Secret } from "../../lib/config/secret.ts";
import {
  choice,
  count,
  duration,
  filePath,
  formatDuration,
  formatSize,
  list,
  parseCount,
  parseDuration,
  parseSize,
  secret,
  serviceName,
  serviceOrAny,
  size,
  TIMER_MS_MAX,
  toggle,
  ValueError,
} from "../../lib/config/units.ts";

const ANY = { min: 0, max: Number.MAX_SAFE_INTEGER };

describe("parseDuration()", () => {
  test("reads every unit", () => {
    const cases: [string, number][] = [
      ["500ms", 500],
      ["30s", 30_000],
      ["1.5s", 1500],
      ["5m", 300_000],
      ["2h", 7_200_000],
      ["90d", 7_776_000_000],
      ["0", 0],
      ["0s", 0],
      ["0.4ms", 0],
    ];
    for (const [text, ms] of cases) expect([text, parseDuration(text, ANY)]).toEqual([text, ms]);
    expect(cases).toHaveLength(9);
  });
  test("refuses everything else with a right one", () => {
    const cases: [string, RegExp][] = [
      ["10", /^"10" has no unit: write a duration such as 500ms, 30s, 5m or 90d$/],
      ["", /^"" is no duration: write one such as 500ms/],
      ["s", /is no duration/],
      ["-5s", /is no duration/],
      ["+5s", /is no duration/],
      ["5 s", /is no duration/],
      [" 5s", /is no duration/],
      ["5s\n", /^"5s\\n" is no duration/],
      ["1e3s", /is no duration/],
      ["0x10s", /is no duration/],
      ["1m30s", /is no duration/],
      ["\u0661s", /is no duration/],
      ["5S", /^"5S" has an unknown unit: write 5s$/],
      ["5sec", /^"5sec" has an unknown unit: write one such as 500ms/],
      ["5constructor", /unknown unit/],
      ["9".repeat(400) + "s", /is no duration/],
    ];
    for (const [text, message] of cases) {
      expect(() => parseDuration(text, ANY)).toThrow(ValueError);
      expect(() => parseDuration(text, ANY)).toThrow(message);
    }
    expect(cases).toHaveLength(16);
    expect(() => parseDuration("1s", { min: 2000, max: 9000 })).toThrow(
      /^duration "1s" is too small: at least 2s$/,
    );
    expect(() => parseDuration("1h", { min: 2000, max: 9000 })).toThrow(
      /^duration "1h" is too large: at most 9s$/,
    );
  });
  test("never reads a time that a timer cannot wait for, unless it is told to", () => {
    expect(duration().safeParse("24d").data).toBe(24 * 86_400_000);
    expect(duration().safeParse("25d").success).toBe(false);
    expect(TIMER_MS_MAX).toBe(2_147_483_647);
  });
});

describe("parseSize()", () => {
  test("tells units of 1024 and of 1000 apart", () => {
    const cases: [string, number][] = [
      ["64KiB", 65_536],
      ["1MiB", 1_048_576],
      ["10GB", 10_000_000_000],
      ["1KB", 1000],
      ["1.5KiB", 1536],
      ["512B", 512],
      ["1TiB", 2 ** 40],
      ["0", 0],
    ];
    for (const [text, bytes] of cases) expect([text, parseSize(text, ANY)]).toEqual([text, bytes]);
    expect(cases).toHaveLength(8);
  });
  test("refuses everything else with a right one", () => {
    const cases: [string, RegExp][] = [
      ["65536", /^"65536" has no unit: write a size such as 64KiB, 1MiB or 10GB$/],
      ["64kib", /^"64kib" has an unknown unit: write 64KiB$/],
      ["64k", /^"64k" has an unknown unit: write one such as 64KiB/],
      ["1PiB", /unknown unit/],
      ["big", /^"big" is no size/],
      ["-1KiB", /is no size/],
    ];
    for (const [text, message] of cases) expect(() => parseSize(text, ANY)).toThrow(message);
    expect(cases).toHaveLength(6);
    expect(() => parseSize("1B", { min: 1024, max: 65_536 })).toThrow(
      /^size "1B" is too small: at least 1KiB$/,
    );
    expect(() => parseSize("1MiB", { min: 1024, max: 65_536 })).toThrow(/too large: at most 64KiB$/);
  });
});

test("what is formatted reads back as the same number", () => {
  fc.assert(fc.property(fc.nat(2 ** 31 - 2), (number) => {
    expect(parseDuration(formatDuration(number), ANY)).toBe(number);
    expect(parseSize(formatSize(number), ANY)).toBe(number);
  }));
});

test("no text makes a parser throw anything but its own error", () => {
  const parsers = [parseDuration, parseSize, parseCount];
  fc.assert(fc.property(fc.string(), (text) => {
    for (const parse of parsers) {
      try {
        const value = parse(text, ANY);
        expect(Number.isSafeInteger(value)).toBe(true);
      } catch (error) {
        expect(error).toBeInstanceOf(ValueError);
      }
    }
  }));
});

const messageOf = (schema: z.ZodType, value: unknown): string | undefined =>
  schema.safeParse(value).error?.issues[0]?.message;

describe("schemas", () => {
  test("take what a flag, an environment or a file can hold", () => {
    expect(count({ min: 1, max: 8 }).parse(4)).toBe(4);
    expect(count({ min: 1, max: 8 }).parse("4")).toBe(4);
    expect(size().parse(0)).toBe(0);
    expect([true, "true", 1, "1"].map((it) => toggle().parse(it))).toEqual([true, true, true, true]);
    expect([false, "false", 0, "0"].map((it) => toggle().parse(it))).toEqual([false, false, false, false]);
    expect(choice("learn", "alert").parse("learn")).toBe("learn");
    expect(serviceOrAny().parse("*")).toBe("*");
    expect(list(serviceName()).parse("web")).toEqual(["web"]);
    expect(list(serviceName()).parse(["web", "api"])).toEqual(["web", "api"]);
    expect(secret("TOKEN").parse(" abc\n").reveal()).toBe("abc");
  });
  const faults: [z.ZodType, unknown, RegExp][] = [
    [count({ min: 1, max: 8 }), 9, /^number "9" is too large: at most 8$/],
    [count({ min: 1, max: 8 }), 0, /too small: at least 1$/],
    [count({ min: 1, max: 8 }), 2.5, /^"2.5" is no whole number: write one such as 8$/],
    [count({ min: 1, max: 8 }), "two", /is no whole number/],
    [count({ min: 1, max: 8 }), 1e21, /is no whole number/],
    [count({ min: 1, max: 8 }), NaN, /write one N$|is no whole number/],
    [duration(), ["1s"], /^is a list: write one DURATION$/],
    [duration(), { a: 1 }, /^is a section: write one DURATION$/],
    [duration(), null, /^has no value: write one DURATION$/],
    [toggle(), "yes", /^"yes" is neither on nor off: write true or false$/],
    [choice("learn", "alert", "prevent"), "prevnt", /^"prevnt" is not one of .*: did you mean prevent$/],
    [choice("learn", "alert"), "zzz", /: write one of learn, alert$/],
    [serviceName(), "Web", /^service name "Web" is not valid: .* such as web$/],
    [serviceName(), "-a", /is not valid/],
    [serviceName(), "a".repeat(64), /is too long: at most 63 characters/],
    [serviceName(), "", /is missing/],
    [serviceName(), "*", /is not valid/],
    [filePath("FILE"), " ", /^file is empty: name one$/],
    [filePath("DIR"), "a\0b", /^path "a\\u0000b" holds a zero byte/],
    [secret("TOKEN"), " ", /^secret is empty/],
    [secret("TOKEN"), "x".repeat(9000), /^value is too long: at most 8192 characters$/],
    [list(serviceName()), Array(10_001).fill("web"), /^too many values: at most 10000$/],
  ];
  test("refuse everything else with a message for people", () => {
    for (const [schema, value, message] of faults) expect(messageOf(schema, value)).toMatch(message);
    expect(faults).toHaveLength(22);
  });
});

test("a secret shows nothing unless it is revealed", () => {
  const value = new Secret("hunter2");
  const shown = [String(value), `${value}`, JSON.stringify({ value }), inspect(value), inspect({ value })];
  for (const text of shown) {
    expect(text).toContain("masked");
    expect(text).not.toContain("hunter2");
  }
  expect(Object.keys(value)).toEqual([]);
  expect(value.reveal()).toBe("hunter2");
});
