/**
 * What the map says of a workload and of a line, in words and numbers.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { factsOf } from "../../lib/page/map/facts.ts";
import { lineOf, lineWords, widthOf } from "../../lib/page/map/line.ts";
import { edge, group, learning, link, modes, visit } from "./map_samples.ts";

const ID = "shop/ghcr.io/acme/web";

describe("factsOf()", () => {
  test("tells the strictest mode, and each when they differ", () => {
    const facts = factsOf(ID, group(ID, { modes: modes("learn", "prevent", "alert") }), [link(ID)]);
    expect([facts.mode, facts.isMixed]).toEqual(["prevent", true]);
    expect(facts.words).toContain(
      "modes differ, the strictest is prevent: learn for north-south, prevent for east-west, alert for egress\n",
    );
    const same = factsOf(ID, group(ID, { modes: modes("alert") }), [link(ID)]);
    expect([same.mode, same.isMixed]).toEqual(["alert", false]);
    expect(same.words).toContain("mode alert\n");
  });

  test("keeps the image whole, whatever slashes are in it", () => {
    expect(factsOf(ID, undefined, [])).toMatchObject({ namespace: "shop", image: "ghcr.io/acme/web" });
    expect(factsOf("no-slash", undefined, [])).toMatchObject({ namespace: "", image: "no-slash" });
  });

  const STATES = [
    [[], "none", 0],
    [[learning("learning", { samples: 0, reasons: ["no traffic was learned from yet"] })], "none", 0],
    [[learning("learning", { reasons: ["3 of 5 requests", "something new 1 second ago"] })], "learning", 2],
    [[learning("active"), learning("learning", { direction: "egress", reasons: ["a"] })], "learning", 1],
    [
      [learning("active"), learning("learning", { direction: "egress", samples: 0, reasons: ["a"] })],
      "active",
      0,
    ],
    [[learning("active"), learning("stable", { reasons: ["x", "y"] })], "stable", 0],
    [[learning("saturated", { reasons: ["too many routes"] }), learning("learning")], "saturated", 1],
  ] as const;
  test("tells how far learning is, of the directions that have traffic", () => {
    const told = STATES.map(([progress]) => factsOf(ID, group(ID, { learning: progress }), []));
    expect(told.map((facts) => [facts.learning, facts.wants])).toEqual(
      STATES.map(([, state, wants]) => [state, wants]),
    );
    expect(told).toHaveLength(7);
    expect(told[2]!.words).toContain(
      "north-south model learning: 3 of 5 requests; something new 1 second ago",
    );
  });

  test("tells the worst wall, and what listens", () => {
    const wall = (state: "whole" | "broken" | "unknown", exposed: string[] = [], faults: string[] = []) =>
      link(ID, { wall: { state, listeners: exposed.length, exposed, faults } });
    const of = (...links: Parameters<typeof factsOf>[2]) => factsOf(ID, group(ID), links);
    expect(of(wall("whole"), wall("whole")).wall).toBe("whole");
    expect(of(wall("whole"), wall("unknown", [], ["No report has come"])).words).toContain(
      "wall unknown: No report has come",
    );
    const open = of(wall("whole"), wall("unknown"), wall("broken", ["0.0.0.0:22", "0.0.0.0:80"]));
    expect(open.wall).toBe("broken");
    expect(open.words).toContain("wall broken: 0.0.0.0:22, 0.0.0.0:80 listens");
    const many = of(wall("broken", Array.from({ length: 90 }, (_, index) => `0.0.0.0:${index}`)));
    expect(many.words).toContain("and 85 more listens");
    expect(of().wall).toBe("unknown");
    expect(of().words).toContain("wall unknown: no agent is linked");
  });

  test("tells the health of its links, by the slowest", () => {
    const facts = factsOf(ID, group(ID), [
      link(ID, { roundTripMs: 1.2345, streams: 2 }),
      link(ID, { agent: "web-2", roundTripMs: 87.654, streams: 3, leaving: true }),
    ]);
    expect([facts.agents, facts.streams, facts.roundTripMs]).toEqual([2, 5, 88]);
    expect(facts.words).toContain("2 agents linked, slowest round trip 88 ms, 1 leaving");
    const gone = factsOf(ID, group(ID), []);
    expect([gone.agents, gone.roundTripMs]).toEqual([0, undefined]);
  });
});

describe("widthOf()", () => {
  test("grows with the rate and the count, within its bounds, in steps", () => {
    const of = (rate: number, count: number): number => widthOf({ rate, count, state: "learned" });
    expect(widthOf({ rate: 0, count: 1, state: "unknown" })).toBe(2.5);
    expect(widthOf({ rate: 1e9, count: 1, state: "blocked" })).toBe(6);
    expect(of(0, 0)).toBe(1.25);
    expect(of(1e9, 1e12)).toBe(6);
    expect(of(0, 1e12)).toBeLessThanOrEqual(6);
    let last = 0;
    for (const rate of [0, 0.1, 1, 10, 100, 1_000, 1e6]) {
      expect(of(rate, 5)).toBeGreaterThanOrEqual(last);
      expect(of(rate, 5) % 0.25).toBe(0);
      last = of(rate, 5);
    }
    expect(of(0, 1_000_000)).toBeLessThanOrEqual(4);
    // What is no number of a count is as if nothing had come.
    expect(of(-1, -5)).toBe(1.25);
  });
});

describe("lineWords()", () => {
  test("says who, what and how, for a screen reader", () => {
    const record = visit("shop/api", "2001:db8::1", {
      state: "blocked",
      count: 3,
      droppedCount: 3,
      failedCount: 1,
    });
    const line = lineOf({ record, from: "a", to: "b", state: "blocked", alerts: 0 }, 0);
    const words = lineWords(line, "shop/api", "2001:db8::1");
    expect(words).toContain("shop/api to 2001:db8::1: [2001:db8::1]:443");
    expect(words).toContain("blocked: ");
    expect(words).toContain("egress, 3 requests and connections, 3 dropped, 1 failed, 30 B");
    const one = lineOf({ record: edge(), from: "a", to: "b", state: "learned", alerts: 0 }, 0);
    expect(lineWords(one, "internet", "shop/web")).toContain("north-south, 1 request or connection, 30 B");
  });
});
