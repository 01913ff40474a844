/**
 * The small parts of the map: arrow keys, flashes, and the order of the list.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import type { Box } from "../../lib/page/map/boxes.ts";
import { layoutOf } from "../../lib/page/map/layout.ts";
import type { MapLine } from "../../lib/page/map/line.ts";
import { isArrow, nearest } from "../../lib/page/map/nearest.ts";
import { ordered, ORDERS, parseOrder } from "../../lib/page/map/order.ts";
import { Pulses, PULSES_MAX } from "../../lib/page/map/pulses.ts";
import { pointOf, route } from "../../lib/page/map/route.ts";
import { call, edge, group, largeWall, link, model, NOW_MS, visit } from "./map_samples.ts";

describe("nearest()", () => {
  const at = (x: number, y: number): Box => ({ x, y, width: 10, height: 10 });
  const nodes = new Map([["a", at(0, 0)], ["right", at(100, 5)], ["down", at(5, 100)], ["far", at(400, 0)]]);

  test("leads to the nearest node that way", () => {
    expect(nearest(nodes, "a", "ArrowRight")).toBe("right");
    expect(nearest(nodes, "a", "ArrowDown")).toBe("down");
    expect(nearest(nodes, "right", "ArrowRight")).toBe("far");
    expect(nearest(nodes, "right", "ArrowLeft")).toBe("a");
  });

  test("leads nowhere where nothing is, and from what is not there", () => {
    expect(nearest(nodes, "a", "ArrowLeft")).toBeUndefined();
    expect(nearest(nodes, "gone", "ArrowLeft")).toBeUndefined();
    expect(nearest(new Map([["a", at(0, 0)], ["b", at(0, 0)]]), "a", "ArrowDown")).toBeUndefined();
  });

  test("reaches every node of a large map from any", () => {
    const { nodes, lines } = model({ ...largeWall(200, 1_000), filters: { fold: "none" } });
    const layout = layoutOf(nodes, lines);
    const reached = new Set(["from:network-0"]);
    const todo = [...reached];
    for (let id = todo.pop(); id !== undefined; id = todo.pop()) {
      for (const arrow of ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"] as const) {
        const next = nearest(layout.nodes, id, arrow);
        if (next === undefined || reached.has(next)) continue;
        reached.add(next);
        todo.push(next);
      }
    }
    expect(reached.size).toBe(nodes.length);
  });

  test("knows the four keys alone", () => {
    expect(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"].every(isArrow)).toBe(true);
    expect(["Arrow", "arrowleft", "toString", "__proto__", "a"].some(isArrow)).toBe(false);
  });
});

describe("route()", () => {
  const box = (x: number, y: number, height = 60): Box => ({ x, y, width: 200, height });
  const [start, end] = [{ x: 200, y: 30 }, { x: 1_000, y: 30 }];

  test("leads straight on past what is not in the way", () => {
    const aside = [box(400, 100), box(400, -100), box(0, 0), box(1_000, 0), box(100, 0)];
    expect(route(start, end, aside)).toHaveLength(1);
    expect(route(start, end, [])).toHaveLength(1);
    expect(route(start, start, aside)).toHaveLength(1);
  });

  test("leads around what stands between, in both directions, and is one line", () => {
    const wall = [box(400, 0), box(400, 74), box(700, -40), box(0, 0), box(1_000, 0)];
    for (const [from, to] of [[start, end], [end, start]] as const) {
      const way = route(from, to, wall);
      expect(way).toHaveLength(3);
      expect([way[0]![0], way[2]![3]]).toEqual([from, to]);
      expect([way[0]![3], way[1]![3]]).toEqual([way[1]![0], way[2]![0]]);
      const points = way.flatMap((curve) =>
        Array.from({ length: 101 }, (_, index) => pointOf(curve, index / 100))
      );
      const covered = points.filter(({ x, y }) =>
        wall.slice(0, 3).some((one) =>
          x > one.x && x < one.x + one.width && y > one.y && y < one.y + one.height
        )
      );
      expect(covered).toEqual([]);
    }
  });

  test("takes no way around that is far too long", () => {
    expect(route(start, end, [box(500, -1_000, 3_000)])).toHaveLength(1);
    expect(route(start, end, [box(500, -200, 3_000)])).toHaveLength(3);
  });
});

describe("Pulses", () => {
  const lines = (...counts: readonly (readonly [string, number, Partial<MapLine>?])[]): MapLine[] =>
    counts.map(([id, count, more]) => ({
      ...{ id, from: "a", to: "b", direction: "east-west", state: "learned", edges: [id], isMerged: false },
      ...{
        label: "",
        count,
        droppedCount: 0,
        failedCount: 0,
        bytes: 0,
        lastSeenMs: NOW_MS,
        rate: 0,
        alerts: 0,
      },
      ...more,
    }));

  test("flashes what has grown, and nothing the first time", () => {
    const pulses = new Pulses();
    expect([...pulses.note(lines(["x", 5], ["y", 1]))]).toEqual([["x", 0], ["y", 0]]);
    expect([...pulses.note(lines(["x", 6], ["y", 1]))]).toEqual([["x", 1], ["y", 0]]);
    expect([...pulses.note(lines(["x", 6], ["y", 1]))]).toEqual([["x", 1], ["y", 0]]);
    // A gateway that starts anew counts from the beginning.
    expect([...pulses.note(lines(["x", 1], ["y", 1]))]).toEqual([["x", 1], ["y", 0]]);
    expect([...pulses.note(lines(["x", 2], ["y", 3]))]).toEqual([["x", 2], ["y", 1]]);
  });

  test("flashes what is new, but not what only came into view", () => {
    const pulses = new Pulses();
    pulses.note(lines(["x", 1]));
    const old = { lastSeenMs: NOW_MS - 60_000 };
    expect([...pulses.note(lines(["x", 1], ["new", 1], ["old", 9, old]))]).toEqual([
      ["x", 0],
      ["new", 1],
      ["old", 0],
    ]);
  });

  test("forgets what is gone", () => {
    const pulses = new Pulses();
    pulses.note(lines(["x", 1]));
    pulses.note(lines(["x", 2]));
    expect(pulses.note([]).size).toBe(0);
    expect(pulses.note(lines(["x", 3, { lastSeenMs: 0 }], ["y", 1])).get("x")).toBe(0);
  });

  test("of a flood flashes the blocked and the seldom first, and no more than it may", () => {
    const pulses = new Pulses();
    const flood = (count: number): MapLine[] =>
      lines(...Array.from({ length: 500 }, (_, index) => [`l${index}`, count + index] as const), [
        "blocked",
        count * 1_000,
        { state: "blocked" },
      ]);
    pulses.note(flood(1));
    const flashing = [...pulses.note(flood(2))].filter(([, flashes]) => flashes > 0).map(([id]) => id);
    expect(flashing).toHaveLength(PULSES_MAX);
    expect(flashing).toContain("blocked");
    expect(flashing).toContain("l0");
    expect(flashing.includes("l499")).toBe(false);
  });
});

describe("ordered()", () => {
  const edges = [
    edge({ count: 5, lastSeenMs: 3 }),
    call("shop/web", "data/db", { count: 9, lastSeenMs: 1, state: "unknown" }),
    visit("shop/api", "pay.example", { count: 1, lastSeenMs: 2, state: "blocked" }),
  ];
  const { raw } = model({ edges });
  const sources = (order: (typeof ORDERS)[number]): string[] =>
    ordered(raw, order).map(({ record }) => record.source);

  test("puts what wants an eye first, or sorts by a column", () => {
    expect(ORDERS.map(sources)).toEqual([
      ["shop/api", "shop/web", "internet"],
      ["internet", "shop/api", "shop/web"],
      ["shop/web", "shop/api", "internet"],
      ["shop/web", "internet", "shop/api"],
      ["internet", "shop/api", "shop/web"],
    ]);
  });

  test("is the same whatever order came in", () => {
    const all = model(largeWall(40, 200)).raw;
    for (const order of ORDERS) expect(ordered(all.toReversed(), order)).toEqual(ordered(all, order));
  });

  test("takes no word from the address that it does not know", () => {
    expect(["count", "seen", null, "", "toString"].map(parseOrder)).toEqual([
      "count",
      "seen",
      "state",
      "state",
      "state",
    ]);
  });
});

test("text that turns the direction of writing, or has no width, is shown as what it is", () => {
  const sly = "shop/\u202egnp.exe\u200b";
  const { nodes, workloads } = model({ groups: [group(sly)], links: [link(sly, { services: ["\u2066x"] })] });
  expect(nodes).toHaveLength(1);
  expect(workloads[0]!.words).toContain("\\u202egnp.exe\\u200b in shop");
  expect(workloads[0]!.words).toContain("\\u2066x");
});
