/**
 * Tests of the traffic of an edge: the ring of minutes against a naive model, under clocks that jump, and the week.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { firstHourMs, HOURS_MAX, MinuteRing, MINUTES_MAX, weekOf } from "../../lib/policy/edge_traffic.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const NOON_MS = 1_767_268_800_000;

describe("MinuteRing", () => {
  test("shows the minutes of the last hour, the oldest first", () => {
    const ring = new MinuteRing();
    ring.add(NOON_MS, 1, 0, 0);
    ring.add(NOON_MS + 59_999, 1, 1, 70);
    ring.add(NOON_MS + MINUTE_MS, 1, 0, 5);
    const read = ring.read(NOON_MS + 2 * MINUTE_MS + 1);
    expect(read.stepMs).toBe(MINUTE_MS);
    expect(read.timesMs).toHaveLength(MINUTES_MAX);
    expect(read.timesMs.slice(-3)).toEqual([NOON_MS, NOON_MS + MINUTE_MS, NOON_MS + 2 * MINUTE_MS]);
    expect(read.counts.slice(-3)).toEqual([2, 1, 0]);
    expect(read.dropped.slice(-3)).toEqual([1, 0, 0]);
    expect(read.bytes.slice(-3)).toEqual([70, 5, 0]);
    expect(
      [read.counts, read.dropped, read.bytes].map((column) => column.slice(0, -3).some((it) => it !== 0)),
    )
      .toEqual([false, false, false]);
  });

  test("nothing of an hour ago is shown, whether or not something came since", () => {
    const ring = new MinuteRing();
    ring.add(NOON_MS, 9, 9, 9);
    const later = NOON_MS + MINUTES_MAX * MINUTE_MS;
    expect(ring.read(later - MINUTE_MS).counts[0]).toBe(9);
    expect(ring.read(later).counts.every((it) => it === 0)).toBe(true);
    ring.add(later, 1, 0, 0);
    expect(ring.read(later).counts).toEqual([...Array<number>(MINUTES_MAX - 1).fill(0), 1]);
    expect(new MinuteRing().read(NOON_MS).counts).toEqual(Array<number>(MINUTES_MAX).fill(0));
  });

  test("a clock that is set back by little adds to its minutes, by much it begins anew", () => {
    const ring = new MinuteRing();
    ring.add(NOON_MS, 1, 0, 0);
    ring.add(NOON_MS + 10 * MINUTE_MS, 2, 0, 0);
    ring.add(NOON_MS, 4, 0, 0);
    const read = ring.read(NOON_MS + 10 * MINUTE_MS).counts;
    expect([read.at(-11), read.at(-1)]).toEqual([5, 2]);
    // What lies in the future is not shown.
    expect(ring.read(NOON_MS).counts.at(-1)).toBe(5);
    ring.add(NOON_MS - 2 * HOUR_MS, 8, 0, 0);
    expect(ring.read(NOON_MS - 2 * HOUR_MS).counts.at(-1)).toBe(8);
    expect(ring.read(NOON_MS).counts.every((it) => it === 0)).toBe(true);
  });

  test("with a clock that goes on it shows what a list of all would", () => {
    let reads = 0;
    const note = fc.record({
      afterMs: fc.oneof(fc.integer({ min: 0, max: 90_000 }), fc.integer({ min: 0, max: 2 * HOUR_MS })),
      dropped: fc.integer({ min: 0, max: 1 }),
      bytes: fc.integer({ min: 0, max: 2 ** 40 }),
    });
    fc.assert(
      fc.property(fc.array(note, { maxLength: 60 }), (notes) => {
        const ring = new MinuteRing();
        const all: { minute: number; dropped: number; bytes: number }[] = [];
        let nowMs = NOON_MS;
        for (const { afterMs, dropped, bytes } of notes) {
          nowMs += afterMs;
          ring.add(nowMs, 1, dropped, bytes);
          all.push({ minute: Math.floor(nowMs / MINUTE_MS) * MINUTE_MS, dropped, bytes });
          const { timesMs, counts, dropped: droppedCounts, bytes: byteSums } = ring.read(nowMs);
          for (const [index, timeMs] of timesMs.entries()) {
            const own = all.filter(({ minute }) => minute === timeMs);
            expect(counts[index]).toBe(own.length);
            expect(droppedCounts[index]).toBe(own.reduce((sum, it) => sum + it.dropped, 0));
            expect(byteSums[index]).toBe(own.reduce((sum, it) => sum + it.bytes, 0));
          }
          reads++;
        }
      }),
      { numRuns: 30 },
    );
    expect(reads).toBeGreaterThan(100);
  });
});

describe("weekOf()", () => {
  test("has a step for every hour up to now, and leaves out what lies beside them", () => {
    const first = firstHourMs(NOON_MS + 1);
    expect(first).toBe(NOON_MS - (HOURS_MAX - 1) * HOUR_MS);
    const hour = { count: 3, droppedCount: 1, bytes: 99 };
    const week = weekOf(
      [
        { hourMs: NOON_MS, ...hour },
        { hourMs: first, ...hour, count: 7 },
        { hourMs: first - HOUR_MS, ...hour },
        { hourMs: NOON_MS + HOUR_MS, ...hour },
      ],
      NOON_MS + 1,
    );
    expect([week.stepMs, week.timesMs.length, week.timesMs[0], week.timesMs.at(-1)])
      .toEqual([HOUR_MS, 168, first, NOON_MS]);
    expect([week.counts[0], week.counts.at(-1), week.dropped.at(-1), week.bytes.at(-1)]).toEqual([
      7,
      3,
      1,
      99,
    ]);
    expect(week.counts.reduce((sum, it) => sum + it, 0)).toBe(10);
  });
});
