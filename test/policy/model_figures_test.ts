/**
 * What the learned model is worth on the traffic of two shops: taught by the first half, judged on the second.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { DIRECTIONS } from "../../lib/policy/flow.ts";
import {
  alarmsOf,
  caughtOf,
  edgeLines,
  emptyModel,
  judgeAlert,
  learningCurve,
  modelBytes,
  precisionOf,
  teach,
} from "../support/model_figures.ts";
import { LARGE_SHOP } from "../support/large_shop_flows.ts";
import type { RecordedFlow, World } from "../support/recorded_flow.ts";
import { SHOP } from "../support/shop_flows.ts";

const WORLDS: readonly World[] = [SHOP, LARGE_SHOP];
const SEEDS = [1, 7, 2026];
const FLOWS = 10_000;
const HOSTILE_FLOWS = 2_000;
const START_MS = 1_700_000_000_000;
const DAY_MS = 86_400_000;
/** Two days of traffic in each half. */
const EVERY_MS = 2 * DAY_MS / FLOWS;
/** So many that the rarest edge is used a thousand times, which is what a gateway asks for. */
const STABLE_FLOWS = 30_000;

/** The share of legal requests that may be taken for something unknown. */
const ALARM_SHARE_MAX = 0.001;

function halves(world: World, seed: number): { first: RecordedFlow[]; second: RecordedFlow[] } {
  const all = [...world.traffic(seed, 2 * FLOWS, START_MS, EVERY_MS)];
  return { first: all.slice(0, FLOWS), second: all.slice(FLOWS) };
}

const legalOf = (flows: readonly RecordedFlow[]): RecordedFlow[] => flows.filter(({ isNoise }) => !isNoise);

describe("a model", () => {
  let runs = 0;
  for (const world of WORLDS) {
    for (const seed of SEEDS) {
      const { first, second } = halves(world, seed);
      const learner = teach(first);
      const title = `of the ${world.name}, seed ${seed}`;
      runs += 1;

      test(`${title}, has every edge and no other`, () => {
        const learned = edgeLines(learner);
        expect(learned).toEqual([...world.edges].sort());
        expect(precisionOf(learned, world.edges)).toEqual({ precision: 1, recall: 1 });
      });

      test(`${title}, takes hardly a legal request of the second half for unknown`, () => {
        const { alarms, judged, examples } = alarmsOf(learner, legalOf(second));
        expect(judged).toBeGreaterThan(FLOWS * 0.9);
        expect([alarms / judged <= ALARM_SHARE_MAX, examples]).toEqual([true, examples]);
      });

      test(`${title}, catches what is unknown, as what it is`, () => {
        const caught = caughtOf(learner, world.hostile(seed + 1, HOSTILE_FLOWS));
        for (const [kind, of] of Object.entries(caught)) {
          expect([kind, of.missed]).toEqual([kind, []]);
          expect([kind, of.came, of.caught]).toEqual([kind, HOSTILE_FLOWS / 4, HOSTILE_FLOWS / 4]);
          expect([kind, of.asItsKind]).toEqual([kind, of.came]);
        }
      });
    }
  }
  test("was made of every shop and seed", () => expect(runs).toBe(6));
});

test("scanners and broken links teach nothing, so those of the second half are caught", () => {
  const { first, second } = halves(LARGE_SHOP, SEEDS[0]!);
  const learner = teach(first);
  const noise = second.filter(({ isNoise }) => isNoise);
  expect(first.filter(({ ok }) => !ok).length).toBeGreaterThan(100);
  expect(noise.length).toBeGreaterThan(100);
  expect(noise.filter(({ flow }) => judgeAlert(learner, flow).verdict === "forwarded")).toEqual([]);
});

test("a model that was written down and read again says the same", () => {
  let compared = 0;
  const different: unknown[] = [];
  for (const world of WORLDS) {
    const { first, second } = halves(world, SEEDS[0]!);
    const learner = teach(first);
    const { learner: again } = emptyModel();
    again.replace(learner.edges());
    for (const { flow } of [...second, ...world.hostile(3, HOSTILE_FLOWS)]) {
      compared += 1;
      if (judgeAlert(again, flow).verdict !== judgeAlert(learner, flow).verdict) different.push(flow);
    }
  }
  expect(different).toEqual([]);
  expect(compared).toBe(2 * (FLOWS + HOSTILE_FLOWS));
});

test("the more a model has seen, the fewer the alarms; and it stays small", () => {
  const { first, second } = halves(LARGE_SHOP, SEEDS[0]!);
  const curve = learningCurve(first, legalOf(second), [0, 100, 1_000, FLOWS]);
  const shares = curve.map(({ alarmShare }) => alarmShare);
  expect(shares[0]).toBe(1);
  expect(shares).toEqual([...shares].sort((a, b) => b - a));
  expect(shares[3]).toBeLessThanOrEqual(ALARM_SHARE_MAX);
  expect(modelBytes(teach(first))).toBeLessThan(64 * 1024);
});

test("after two days of traffic a model is stable in each direction", () => {
  for (const world of WORLDS) {
    const flows = world.traffic(SEEDS[0]!, STABLE_FLOWS, START_MS, 2 * DAY_MS / STABLE_FLOWS);
    const stable = teach(flows).stable().map(({ group, direction }) => `${direction} ${group}`);
    for (const direction of DIRECTIONS) {
      expect([world.name, stable.some((line) => line.startsWith(direction))]).toEqual([world.name, true]);
    }
  }
});
