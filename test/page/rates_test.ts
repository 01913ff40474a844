/**
 * Rates from counts that are told now and then.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { RATED_MAX, Rates } from "../../lib/page/core/rates.ts";

test("a steady flow has its rate, however often it is told", () => {
  for (const stepMs of [50, 250, 1_000]) {
    const rates = new Rates();
    for (let ms = 0; ms <= 60_000; ms += stepMs) rates.note("edge", 1_000 + ms / 10, ms);
    const found = rates.current(60_000).get("edge") ?? 0;
    expect(Math.abs(found - 100)).toBeLessThan(10);
  }
});

test("what was counted before it was first heard of is no rate", () => {
  const rates = new Rates();
  rates.note("edge", 1_000_000, 0);
  expect(rates.current(0).size).toBe(0);
});

test("a flow that ends fades, and is gone after a while", () => {
  const rates = new Rates();
  for (let ms = 0; ms <= 30_000; ms += 250) rates.note("edge", ms / 10, ms);
  const before = rates.current(30_000).get("edge")!;
  const after = rates.current(34_000).get("edge")!;
  expect(Math.abs(after / before - 0.5)).toBeLessThan(0.01);
  expect(rates.current(200_000).size).toBe(0);
});

test("a count that goes back is another gateway's, and no rate", () => {
  const rates = new Rates();
  rates.note("edge", 500, 0);
  rates.note("edge", 3, 250);
  expect(rates.current(250).size).toBe(0);
  rates.note("edge", 13, 500);
  expect(rates.current(500).get("edge")!).toBeGreaterThan(0);
});

test("a clock that goes back makes no rate grow", () => {
  const rates = new Rates();
  rates.note("edge", 0, 1_000);
  rates.note("edge", 10, 2_000);
  const rate = rates.current(2_000).get("edge")!;
  expect(rates.current(0).get("edge")!).toBe(rate);
});

test("only so many are kept", () => {
  const rates = new Rates();
  for (let round = 0; round < 2; round++) {
    for (let id = 0; id < RATED_MAX + 10; id++) rates.note(`edge ${id}`, round * 10, round * 1_000);
  }
  expect(rates.current(1_000).size).toBeLessThanOrEqual(RATED_MAX);
});
