/**
 * The arithmetic of the bench: a wrong median or ratio would be believed.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { type Figure, median, rowsOf, tables } from "./report.ts";

const FIGURE: Figure = {
  key: "requests",
  title: "Requests per second",
  unit: "req/s",
  better: "more",
  references: ["direct"],
  target: "more",
};

test("median() takes the middle, or the mean of the two in the middle", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(median([10])).toBe(10);
  expect(median([])).toBe(NaN);
});

test("rowsOf() takes ratios within a round before their median", () => {
  // Round 1 ran on a machine half as fast: ratios of medians would say 0.75, each round says 0.5.
  const samples = [
    { figure: "requests", path: "direct", round: 0, value: 100 },
    { figure: "requests", path: "netwall", round: 0, value: 50 },
    { figure: "requests", path: "direct", round: 1, value: 50 },
    { figure: "requests", path: "netwall", round: 1, value: 25 },
    { figure: "requests", path: "netwall", round: 2, value: 100 },
    { figure: "other", path: "netwall", round: 0, value: 1 },
  ];
  const rows = rowsOf(FIGURE, samples);
  expect(rows).toEqual([
    { path: "direct", median: 75, min: 50, max: 100, rounds: 2, ratios: {} },
    { path: "netwall", median: 50, min: 25, max: 100, rounds: 3, ratios: { direct: 0.5 } },
  ]);
});

test("tables() shows figures that were measured and no others", () => {
  const unused = { ...FIGURE, key: "unused", title: "Not measured" };
  const text = tables([FIGURE, unused], [{ figure: "requests", path: "direct", round: 0, value: 12_345.6 }]);
  expect(text).toContain("### Requests per second");
  expect(text).toContain("| direct | 12,346 | 12,346 – 12,346 | 1 |");
  expect(text).not.toContain("Not measured");
});
