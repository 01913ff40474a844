/**
 * Work that others can make large takes no more than its share of the time.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { Paced } from "../../lib/gateway/paced.ts";

const SHARE_MAX = 0.01;

test("Paced.run() lets quick work run each time, and slow work at most for its share", () => {
  let nowMs = 0;
  let spentMs = 0;
  let workMs = 0.1;
  const paced = new Paced(SHARE_MAX, () => nowMs);
  const second = (): boolean => {
    nowMs = Math.ceil(nowMs / 1_000 + 1e-9) * 1_000;
    return paced.run(() => {
      nowMs += workMs;
      spentMs += workMs;
    });
  };
  for (let at = 0; at < 20; at++) expect(second()).toBe(true);
  workMs = 300;
  spentMs = 0;
  const startMs = nowMs;
  for (let at = 0; at < 3_000; at++) second();
  expect(spentMs).toBeGreaterThan(0);
  expect(spentMs).toBeLessThanOrEqual((nowMs - startMs) * SHARE_MAX + workMs);
});

test("Paced.run() counts the time of work that failed", () => {
  let nowMs = 0;
  const paced = new Paced(SHARE_MAX, () => nowMs);
  const fail = (): never => {
    nowMs += 10;
    throw new Error("no");
  };
  expect(() => paced.run(fail)).toThrow("no");
  expect(paced.run(fail)).toBe(false);
  nowMs = 1_000;
  expect(() => paced.run(fail)).toThrow("no");
});
