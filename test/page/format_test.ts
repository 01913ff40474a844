/**
 * Numbers, sizes and moments as the page writes them.
 *
 * @module
 */
import { expect, test } from "bun:test";
import {
  ago,
  bytes,
  clock,
  count,
  duration,
  moment,
  plural,
  shortMoment,
} from "../../lib/page/core/format.ts";

test("counts are exact while they are short", () => {
  const cases = [[0, "0"], [0.25, "0.3"], [7, "7"], [9_999, "9,999"], [10_000, "10 k"], [12_345, "12.3 k"], [
    4_560_000,
    "4.6 M",
  ], [7e9, "7 G"]] as const;
  expect(cases.map(([value]) => count(value))).toEqual(cases.map(([, text]) => text));
});

test("sizes have units of 1024", () => {
  const cases = [[0, "0 B"], [1_023, "1,023 B"], [1_024, "1 KiB"], [1.5 * 1024 ** 3, "1.5 GiB"], [
    2 ** 60,
    "1,048,576 TiB",
  ]] as const;
  expect(cases.map(([value]) => bytes(value))).toEqual(cases.map(([, text]) => text));
});

test("lengths of time have the largest unit that fits", () => {
  const cases = [[0, "0 ms"], [1.25, "1.3 ms"], [999, "999 ms"], [1_500, "1.5 s"], [90_000, "2 min"], [
    7_200_000,
    "2 h",
  ], [5 * 86_400_000, "5 days"]] as const;
  expect(cases.map(([value]) => duration(value))).toEqual(cases.map(([, text]) => text));
  expect(ago(1_000, 1_500)).toBe("now");
  expect(ago(1_000, 6_000)).toBe("5 s ago");
  expect(ago(6_000, 1_000)).toBe("now");
});

test("moments are told where the user is", () => {
  const at = new Date(2026, 0, 31, 4, 3, 2).getTime();
  expect(clock(at)).toBe("04:03:02");
  expect(moment(at)).toBe("2026-01-31 04:03:02");
  expect(shortMoment(at, at + 1_000)).toBe("04:03:02");
  expect(shortMoment(at, at + 3 * 86_400_000)).toBe("2026-01-31 04:03:02");
});

test("one is one", () => {
  expect([
    plural(1, "event"),
    plural(0, "event"),
    plural(2, "request or connection", "requests and connections"),
  ])
    .toEqual(["1 event", "0 events", "2 requests and connections"]);
});
