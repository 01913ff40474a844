/**
 * When a model is stable: every condition, each one alone missing.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import {
  type Evidence,
  type LearningProgress,
  type PromotionGate,
  weigh,
  weighSilence,
} from "../../lib/policy/promotion.ts";

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

describe("weighSilence()", () => {
  const STABLE = weigh(ENOUGH, GATE, NOW_MS);
  const SILENT = { direction: "egress", forgottenMs: 0 } as const;
  const of = (others: readonly LearningProgress[], forgottenMs = 0, gate = GATE) =>
    weighSilence({ ...SILENT, forgottenMs }, others, gate, NOW_MS);

  test("silence beside a stable direction is stable, and says for how long nothing came", () => {
    expect(of([STABLE])).toEqual({
      ...{ direction: "egress", state: "stable", sinceMs: ENOUGH.sinceMs, samples: 0, edges: 0, routes: 0 },
      ...{ lastNewMs: 0, unseenShare: 1 },
      reasons: ["nothing that could be learned was seen in 25 hours"],
    });
  });

  const noisy = weigh({ ...ENOUGH, direction: "east-west", lastNewMs: NOW_MS - 180_000 }, GATE, NOW_MS);
  const WANTS: readonly (readonly [string, LearningProgress[], number, PromotionGate, string])[] = [
    ["a stable direction", [{ ...STABLE, state: "learning" }], 0, GATE, "no other direction is stable yet"],
    [
      "one that is not overfull",
      [{ ...STABLE, state: "saturated" }],
      0,
      GATE,
      "no other direction is stable yet",
    ],
    ["time", [STABLE], 0, { ...GATE, timeMs: 26 * HOUR_MS }, "silent for 25 hours of 26 hours"],
    [
      "quiet of all directions",
      [STABLE, noisy],
      0,
      GATE,
      "something new of the group 3 minutes ago; wants 1 day quiet",
    ],
    [
      "time since it was emptied",
      [STABLE],
      NOW_MS - 2 * HOUR_MS,
      GATE,
      "something new of the group 2 hours ago; wants 1 day quiet",
    ],
  ];
  for (const [what, others, forgottenMs, gate, reason] of WANTS) {
    test(`without ${what} it is learning`, () => {
      expect(of(others, forgottenMs, gate)).toMatchObject({ state: "learning", reasons: [reason] });
    });
  }

  test("a group without evidence has no silence, and a clock that was set back makes none", () => {
    expect(of([])).toBeUndefined();
    expect(of([weigh({ ...ENOUGH, samples: 0, sinceMs: 0 }, GATE, NOW_MS)])).toBeUndefined();
    expect(weighSilence(SILENT, [STABLE], GATE, ENOUGH.sinceMs - 1)?.state).toBe("learning");
  });
});
