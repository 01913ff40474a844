/**
 * When a model is stable: every condition, each one alone missing.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { type Evidence, type PromotionGate, weigh } from "../../lib/policy/promotion.ts";

const HOUR_MS = 3_600_000;
const NOW_MS = 1_700_000_000_000;
const GATE: PromotionGate = {
  timeMs: HOUR_MS,
  requests: 1_000,
  quietMs: 24 * HOUR_MS,
  unseenShareMax: 0.001,
};
const ENOUGH: Evidence = {
  direction: "north-south",
  sinceMs: NOW_MS - 25 * HOUR_MS,
  samples: 2_000,
  singletons: 2,
  lastNewMs: NOW_MS - 24 * HOUR_MS,
  edges: 1,
  routes: 5,
  refused: 0,
  overfull: [],
};

const MISSING: readonly (readonly [string, Partial<Evidence>, PromotionGate, string])[] = [
  ["time", {}, { ...GATE, timeMs: 26 * HOUR_MS }, "learning for 25 hours of 26 hours"],
  ["requests", { samples: 412, singletons: 0 }, GATE, "412 of 1000 requests"],
  ["requests, by one", { samples: 999, singletons: 0 }, GATE, "999 of 1000 requests"],
  ["quiet", { lastNewMs: NOW_MS - 180_000 }, GATE, "something new 3 minutes ago; wants 1 day quiet"],
  [
    "what was seen twice",
    { singletons: 3 },
    GATE,
    "about 0.15 % of traffic not seen yet; wants 0.1 % or less",
  ],
];

describe("weigh()", () => {
  test("everything together is stable, and says why", () => {
    const { state, reasons, unseenShare } = weigh(ENOUGH, GATE, NOW_MS);
    expect(state).toBe("stable");
    expect(unseenShare).toBe(0.001);
    expect(reasons).toEqual([
      "2000 requests and connections in 25 hours",
      "nothing new for 1 day",
      "about 0.1 % of traffic not seen yet",
    ]);
  });

  for (const [what, change, gate, reason] of MISSING) {
    test(`without enough ${what} it is learning`, () => {
      const { state, reasons } = weigh({ ...ENOUGH, ...change }, gate, NOW_MS);
      expect(state).toBe("learning");
      expect(reasons).toEqual([reason]);
    });
  }

  test("what is overfull is saturated, whatever else is there", () => {
    const { state, reasons } = weigh({ ...ENOUGH, overfull: ["overfull: it has 512 edges"] }, GATE, NOW_MS);
    expect(state).toBe("saturated");
    expect(reasons).toEqual(["overfull: it has 512 edges"]);
  });

  test("without any traffic it is learning", () => {
    const none = { ...ENOUGH, samples: 0, singletons: 0, sinceMs: 0, lastNewMs: 0 };
    expect(weigh(none, { timeMs: 0, requests: 0, quietMs: 0, unseenShareMax: 1 }, NOW_MS)).toMatchObject({
      state: "learning",
      unseenShare: 1,
      reasons: ["no traffic was learned from yet"],
    });
  });

  test("a clock that was set back is no evidence", () => {
    const { state } = weigh(ENOUGH, GATE, ENOUGH.sinceMs - 1);
    expect(state).toBe("learning");
  });

  test("the bounds themselves are enough", () => {
    const exact = { ...ENOUGH, samples: 1_000, singletons: 1, sinceMs: NOW_MS - 24 * HOUR_MS };
    expect(weigh(exact, { ...GATE, timeMs: 24 * HOUR_MS }, NOW_MS).state).toBe("stable");
  });

  test("what was refused is told", () => {
    expect(weigh({ ...ENOUGH, refused: 7 }, GATE, NOW_MS).reasons.at(-1)).toMatch(
      /^7 successful requests were not learned/,
    );
  });
});
