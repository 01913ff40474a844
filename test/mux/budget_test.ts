/**
 * The budget: what is counted comes back, and near the limit the longest-stalled reader goes first.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type BudgetHolder, MemoryBudget, type StalestStream } from "../../lib/mux/budget.ts";
import { until } from "../support/session_pair.ts";

/** A holder whose streams are numbers. */
class Holder implements BudgetHolder {
  readonly held = new Map<string, { sinceMs: number; bytes: number }>();
  readonly shedNames: string[] = [];

  constructor(readonly budget: MemoryBudget) {
    budget.register(this);
  }

  hold(name: string, bytes: number, sinceMs: number): void {
    this.held.set(name, { sinceMs, bytes: (this.held.get(name)?.bytes ?? 0) + bytes });
    this.budget.hold(bytes);
  }

  release(name: string): void {
    this.budget.release(this.held.get(name)!.bytes);
    this.held.delete(name);
  }

  stalest(): StalestStream | undefined {
    const [first] = [...this.held].sort(([, a], [, b]) => a.sinceMs - b.sinceMs);
    if (!first) return undefined;
    const [name, { sinceMs }] = first;
    return {
      sinceMs,
      shed: () => {
        this.shedNames.push(name);
        this.release(name);
      },
    };
  }
}

const NEVER = { stalledMs: Infinity };

describe("MemoryBudget", () => {
  test("counts what is held, whatever comes and goes, and a hard one stays at its limit", () => {
    let runs = 0;
    fc.assert(fc.property(
      fc.array(fc.tuple(fc.nat(9), fc.integer({ min: 1, max: 300 }), fc.boolean()), { maxLength: 60 }),
      (steps) => {
        runs++;
        const budget = new MemoryBudget(1000, true, NEVER);
        const holders = [new Holder(budget), new Holder(budget)];
        for (const [i, [key, bytes, release]] of steps.entries()) {
          const holder = holders[key % 2]!;
          const name = `stream ${key}`;
          if (release && holder.held.has(name)) holder.release(name);
          else holder.hold(name, bytes, i);
          const sum = holders.flatMap((each) => [...each.held.values()]).reduce(
            (all, one) => all + one.bytes,
            0,
          );
          expect(budget.heldBytes).toBe(sum);
          expect(budget.heldBytes).toBeGreaterThanOrEqual(0);
          expect(budget.heldBytes).toBeLessThanOrEqual(1000);
        }
        expect(budget.shedTotal).toBe(holders[0]!.shedNames.length + holders[1]!.shedNames.length);
        for (const holder of holders) {
          for (const name of [...holder.held.keys()]) holder.release(name);
          budget.unregister(holder);
        }
        expect(budget.heldBytes).toBe(0);
      },
    ));
    expect(runs).toBeGreaterThanOrEqual(100);
  });

  test("sheds the longest-stalled of all holders first, and stops under three quarters", async () => {
    const budget = new MemoryBudget(1000, false, { stalledMs: 0, scanMs: 1 });
    const [one, two] = [new Holder(budget), new Holder(budget)];
    one.hold("b", 300, 20);
    two.hold("a", 300, 10);
    one.hold("c", 300, 30);
    await until(() => budget.shedTotal > 0, "the scan");
    expect([two.shedNames, one.shedNames]).toEqual([["a"], []]);
    expect(budget.heldBytes).toBe(600);
    one.hold("d", 100, 40);
    expect(budget.pressure).toBe(0.7);
    for (const holder of [one, two]) budget.unregister(holder);
  });

  test("that is soft never sheds a reader that lives, not even over its limit", async () => {
    const budget = new MemoryBudget(1000, false, { stalledMs: 1e9, scanMs: 1 });
    const holder = new Holder(budget);
    holder.hold("a", 5000, performance.now());
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(holder.shedNames).toEqual([]);
    budget.unregister(holder);
  });

  test("that is hard sheds living readers at its limit, at once", () => {
    const budget = new MemoryBudget(1000, true, NEVER);
    const holder = new Holder(budget);
    holder.hold("old", 600, 1);
    holder.hold("new", 399, 2);
    expect(holder.shedNames).toEqual([]);
    holder.hold("new", 1, 2);
    expect(holder.shedNames).toEqual(["old"]);
    expect(budget.heldBytes).toBe(400);
    budget.unregister(holder);
  });
});
