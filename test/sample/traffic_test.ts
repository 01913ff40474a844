/**
 * When the sample takes what is normal for learned: never before all of it was seen, often and long enough.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { Evidence } from "../../lib/sample/traffic.ts";
import { OPERATION_NAMES, ORDER } from "../../lib/sample/visits.ts";

const GATE = { timeMs: 30_000, quietMs: 15_000, requests: 3 };

function seenAll(evidence: Evidence, nowMs: number): void {
  for (const name of OPERATION_NAMES) evidence.add(name, nowMs);
}

test("an operation that was not seen yet is waited for, whichever it is", () => {
  expect(OPERATION_NAMES.length).toBeGreaterThan(5);
  for (const missing of OPERATION_NAMES) {
    const evidence = new Evidence(GATE);
    for (const name of OPERATION_NAMES) if (name !== missing) evidence.add(name, 1_000);
    for (let again = 0; missing !== ORDER && again < 5; again++) evidence.add(ORDER, 2_000);
    expect(evidence.stableAtMs).toBeUndefined();
  }
  expect(new Evidence(GATE).stableAtMs).toBeUndefined();
});

test("as many orders are waited for as every model wants requests", () => {
  const evidence = new Evidence(GATE);
  seenAll(evidence, 1_000);
  evidence.add(ORDER, 2_000);
  expect(evidence.stableAtMs).toBeUndefined();
  evidence.add(ORDER, 3_000);
  expect(evidence.stableAtMs).toBe(31_000);
});

test("the time counts from what was last new, as a model that began with it does", () => {
  const evidence = new Evidence(GATE);
  const [first = "", ...others] = OPERATION_NAMES;
  for (const name of others) evidence.add(name, 1_000);
  for (let again = 0; again < 5; again++) evidence.add(ORDER, 2_000);
  evidence.add(first, 20_000);
  expect(evidence.stableAtMs).toBe(50_000);
  evidence.add(first, 60_000);
  expect(evidence.stableAtMs).toBe(50_000);
});

test("a longer quiet than time is waited for too", () => {
  const evidence = new Evidence({ ...GATE, quietMs: 60_000, requests: 1 });
  seenAll(evidence, 5_000);
  expect(evidence.stableAtMs).toBe(65_000);
});
