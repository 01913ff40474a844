/**
 * Where things stand on the map: nothing overlaps, nothing is lost, the same stays the same.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Box } from "../../lib/page/map/boxes.ts";
import { LAYERS_MAX, placeBlock } from "../../lib/page/map/layers.ts";
import { type Layout, layoutOf } from "../../lib/page/map/layout.ts";
import type { MapModel } from "../../lib/page/map/model.ts";
import { pathsOf } from "../../lib/page/map/paths.ts";
import { spread } from "../../lib/page/map/spread.ts";
import { call, edge, group, largeWall, model, visit } from "./map_samples.ts";

const SIZE = { width: 100, height: 40 };

const of = ({ nodes, lines }: MapModel, previous?: Layout): Layout => layoutOf(nodes, lines, previous);

function overlaps(a: Box, b: Box): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

function overlapping(boxes: readonly Box[]): number {
  return boxes.flatMap((a, index) => boxes.slice(index + 1).filter((b) => overlaps(a, b))).length;
}

function positions(layout: Layout): unknown {
  return [[...layout.nodes], layout.boxes, [...layout.ports], layout.bounds];
}

describe("spread()", () => {
  test("leaves what does not overlap where it wants to be", () => {
    const items = [{ wantedY: 0, height: 10 }, { wantedY: 50, height: 10 }];
    expect(spread(items, 5)).toEqual([0, 50]);
    expect(spread([], 5)).toEqual([]);
  });

  test("moves what overlaps as little as it can", () => {
    expect(spread([{ wantedY: 0, height: 10 }, { wantedY: 0, height: 10 }], 0)).toEqual([-5, 5]);
    const three = spread([0, 0, 100].map((wantedY) => ({ wantedY, height: 10 })), 10);
    expect(three).toEqual([-10, 10, 100]);
  });

  test("keeps the order and the gap, and moves nothing far, for whatever comes", () => {
    const items = fc.array(
      fc.record({
        wantedY: fc.integer({ min: -1_000, max: 1_000 }),
        height: fc.integer({ min: 0, max: 50 }),
      }),
      { maxLength: 40 },
    );
    fc.assert(fc.property(items, fc.integer({ min: 0, max: 20 }), (items, gap) => {
      const middles = spread(items, gap);
      expect(middles).toHaveLength(items.length);
      for (let index = 1; index < items.length; index++) {
        const apart = (items[index - 1]!.height + items[index]!.height) / 2 + gap;
        expect(middles[index]! - middles[index - 1]!).toBeGreaterThanOrEqual(apart - 1e-6);
      }
      // The mean does not move.
      const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
      expect(Math.abs(sum(middles) - sum(items.map(({ wantedY }) => wantedY)))).toBeLessThanOrEqual(
        1e-6 * 1e3,
      );
    }));
  });
});

describe("placeBlock()", () => {
  test("puts callers left of what they call", () => {
    const { middles } = placeBlock(["a", "b", "c"], [["c", "a"], ["a", "b"]], SIZE);
    expect(middles.get("c")!.x).toBeLessThanOrEqual(middles.get("a")!.x - SIZE.width);
    expect(middles.get("a")!.x).toBeLessThanOrEqual(middles.get("b")!.x - SIZE.width);
  });

  test("takes loops, calls of itself, and ends it does not know", () => {
    const pairs = [["a", "b"], ["b", "a"], ["a", "a"], ["a", "zz"], ["zz", "b"]] as const;
    const { middles } = placeBlock(["a", "b"], pairs, SIZE);
    expect(middles.size).toBe(2);
    expect(placeBlock([], pairs, SIZE)).toEqual({ width: 0, height: 0, middles: new Map() });
    expect(placeBlock(["a"], [], SIZE)).toMatchObject({ width: SIZE.width, height: SIZE.height });
  });

  test("makes a long chain no wider than its layers", () => {
    const ids = Array.from({ length: 5_000 }, (_, index) => `n${index}`);
    const chain = ids.slice(1).map((id, index) => [ids[index]!, id] as const);
    const { middles, width } = placeBlock(ids, chain, SIZE);
    expect(middles.size).toBe(5_000);
    const columns = new Set([...middles.values()].map(({ x }) => x)).size;
    expect(columns).toBeLessThanOrEqual(LAYERS_MAX * Math.ceil(5_000 / LAYERS_MAX / 170));
    expect(width).toBeLessThanOrEqual(columns * 200);
  });

  test("overlaps nothing and stays within its size, for whatever graph", () => {
    const graph = fc.integer({ min: 1, max: 30 }).chain((count) =>
      fc.tuple(
        fc.constant(count),
        fc.array(fc.tuple(fc.nat(count - 1), fc.nat(count - 1)), { maxLength: 60 }),
      )
    );
    fc.assert(
      fc.property(graph, ([count, edges]) => {
        const ids = Array.from({ length: count }, (_, index) => `n${index}`);
        const pairs = edges.map(([from, to]) => [`n${from}`, `n${to}`] as const);
        const block = placeBlock(ids, pairs, SIZE);
        const boxes = [...block.middles.values()].map(({ x, y }) => (
          { x: x - SIZE.width / 2, y: y - SIZE.height / 2, ...SIZE }
        ));
        expect(boxes).toHaveLength(count);
        expect(overlapping(boxes)).toBe(0);
        for (const { x, y } of boxes) {
          expect(Math.min(x, y)).toBeGreaterThanOrEqual(-1e-6);
          expect(x + SIZE.width).toBeLessThanOrEqual(block.width + 1e-6);
          expect(y + SIZE.height).toBeLessThanOrEqual(block.height + 1e-6);
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe("layoutOf()", () => {
  const SMALL = {
    groups: ["shop/web", "shop/api", "data/db"].map((id) => group(id)),
    edges: [
      edge(),
      call("shop/web", "shop/api"),
      call("shop/api", "data/db"),
      visit("shop/api", "pay.example"),
    ],
  };

  test("puts outside left, the wall in the middle, workloads right", () => {
    const { nodes, wall, boxes } = of(model(SMALL));
    for (const [id, box] of nodes) {
      if (id.startsWith("group:")) expect(box.x).toBeGreaterThanOrEqual(wall.x + wall.width);
      else expect(box.x + box.width).toBeLessThanOrEqual(wall.x);
    }
    expect(nodes.size).toBe(5);
    expect(nodes.get("from:internet")!.y).toBeLessThanOrEqual(nodes.get("host:pay.example")!.y - 30);
    // What is called from outside is nearer to the wall than what it calls.
    expect(boxes.map(({ namespace, column }) => [namespace, column])).toEqual([["shop", 0], ["data", 1]]);
  });

  test("gives each line from or to outside a place at the wall, and none to others", () => {
    const { lines, nodes } = model(SMALL);
    const { ports, wall } = layoutOf(nodes, lines);
    expect([...ports.keys()].sort()).toEqual(
      lines.filter(({ direction }) => direction !== "east-west").map(({ id }) => id).sort(),
    );
    for (const y of ports.values()) {
      expect(y).toBeGreaterThanOrEqual(wall.y);
      expect(y).toBeLessThanOrEqual(wall.y + wall.height);
    }
  });

  for (const fold of ["none", "all", "auto"] as const) {
    test(`places 200 workloads and 1,000 edges without overlap, fold ${fold}`, () => {
      const shown = model({ ...largeWall(200, 1_000), filters: { fold } });
      const layout = of(shown);
      expect([...layout.nodes.keys()].sort()).toEqual(shown.nodes.map(({ id }) => id));
      expect(overlapping([...layout.nodes.values(), layout.wall])).toBe(0);
      expect(overlapping(layout.boxes)).toBe(0);
      for (const [id, box] of layout.nodes) {
        expect([box.x, box.y, box.width, box.height].every(Number.isFinite)).toBe(true);
        if (!id.startsWith("group:")) continue;
        const own = layout.boxes.find(({ namespace }) => id.startsWith(`group:${namespace}/`))!;
        expect(overlaps(own, box)).toBe(true);
      }
      const ports = [...layout.ports.values()].sort((a, b) => a - b);
      expect(new Set(ports).size).toBe(ports.length);
      expect(ports[0]!).toBeGreaterThanOrEqual(layout.wall.y);
      expect(ports.at(-1)!).toBeLessThanOrEqual(layout.wall.y + layout.wall.height);
      const paths = pathsOf(shown.lines, layout);
      expect(paths.size).toBe(shown.lines.length);
      expect([...paths.values()].filter(({ d }) => !/^M[-\d.,CL ]+$/.test(d))).toEqual([]);
    });
  }

  test("is the same for the same input", () => {
    const shown = model({ ...largeWall(120, 500), filters: { fold: "none" } });
    expect(positions(of(shown))).toEqual(positions(of(shown)));
    const layout = of(shown);
    expect(positions(of(shown, layout))).toEqual(positions(of(shown, layout)));
  });

  test("moves no workload when an edge is added", () => {
    const wall = largeWall(100, 300);
    const before = of(model({ ...wall, filters: { fold: "none" } }));
    const added = [
      ...wall.edges,
      call("ns-0/image-1", "ns-4/image-99"),
      visit("ns-0/image-2", "new.example"),
    ];
    const after = of(model({ ...wall, edges: added, filters: { fold: "none" } }), before);
    const inside = (layout: Layout): unknown =>
      Object.fromEntries([...layout.nodes].filter(([id]) => id.startsWith("group:")));
    expect(inside(after)).toEqual(inside(before));
    expect(after.boxes).toEqual(before.boxes);
    expect(overlapping([...after.nodes.values()])).toBe(0);
  });

  test("is made anew when there are half as many lines again: a map that only began must not stay as it began", () => {
    const groups = ["a/late", "shop/web", "z/db"].map((id) => group(id));
    const before = of(model({ groups }));
    const shown = model({ groups, edges: [edge(), call("shop/web", "z/db"), call("z/db", "a/late")] });
    expect(of(shown, before)).toEqual(of(shown));
    expect(of(shown).boxes.map(({ namespace, column }) => [namespace, column])).toEqual([
      ["shop", 0],
      ["z", 1],
      ["a", 2],
    ]);
  });

  test("gives what is new a place, and closes up after what is gone", () => {
    const wall = largeWall(60, 200);
    const before = of(model({ ...wall, filters: { fold: "none" } }));
    const groups = [
      ...wall.groups.filter(({ namespace }) => namespace !== "ns-1"),
      group("ns-0/new"),
      group("b/c"),
    ];
    const edges = wall.edges.filter(({ source, destination }) =>
      !`${source} ${destination}`.includes("ns-1/")
    );
    const shown = model({ groups, edges, filters: { fold: "none" } });
    const after = of(shown, before);
    expect([...after.nodes.keys()].sort()).toEqual(shown.nodes.map(({ id }) => id));
    expect(overlapping([...after.nodes.values(), after.wall])).toBe(0);
    expect(overlapping(after.boxes)).toBe(0);
    const shut = model({ groups, edges, filters: { fold: "all" } });
    const closed = of(shut, after);
    expect([...closed.nodes.keys()].sort()).toEqual(shut.nodes.map(({ id }) => id));
    expect(overlapping(closed.boxes)).toBe(0);
    expect(positions(of(shown, closed))).toEqual(positions(of(shown, closed)));
  });

  test("takes nothing at all, and outside nodes alone", () => {
    const empty = of(model({}));
    expect(Number.isFinite(empty.bounds.width) && empty.bounds.width > 0).toBe(true);
    expect(empty.boxes).toHaveLength(0);
  });
});

describe("pathsOf()", () => {
  test("gives lines of the same two ends ways of their own, in both directions", () => {
    const edges = [
      ...["a", "b", "c"].map((service) => call("shop/web", "shop/api", { service })),
      call("shop/api", "shop/web"),
      call("shop/web", "shop/web"),
      ...[80, 443].map((port) => visit("shop/web", "pay.example", { port })),
    ];
    const shown = model({ edges });
    const paths = pathsOf(shown.lines, of(shown));
    expect(paths.size).toBe(7);
    expect(new Set([...paths.values()].map(({ d }) => d)).size).toBe(7);
    expect(new Set([...paths.values()].map(({ mark }) => `${mark.x} ${mark.y}`)).size).toBe(7);
  });

  test("keeps a hundred lines of the same two ends at their nodes", () => {
    const edges = Array.from(
      { length: 100 },
      (_, index) => call("shop/web", "shop/api", { service: `s${index}` }),
    );
    const shown = model({ edges });
    const layout = of(shown);
    const box = layout.nodes.get("group:shop/web")!;
    for (const { d } of pathsOf(shown.lines, layout).values()) {
      const y = Number(/^M[-\d.]+,([-\d.]+)/.exec(d)![1]);
      expect(y).toBeGreaterThanOrEqual(box.y);
      expect(y).toBeLessThanOrEqual(box.y + box.height);
    }
  });

  test("puts the sign of a line that passes the wall at the wall", () => {
    const shown = model({ edges: [edge(), visit("shop/web", "pay.example"), call("shop/web", "data/db")] });
    const paths = pathsOf(shown.lines, of(shown));
    const marks = shown.lines.map(({ id, direction }) => [direction, paths.get(id)!.mark.x === 0]);
    expect(marks.sort()).toEqual([["east-west", false], ["egress", true], ["north-south", true]]);
  });

  test("puts the sign of a line where no node covers it", () => {
    const { nodes, lines } = model({ ...largeWall(60, 200), filters: { fold: "none" } });
    const layout = layoutOf(nodes, lines);
    const boxes = [...layout.nodes.values()];
    const isCovered = ({ x, y }: { x: number; y: number }): boolean =>
      boxes.some((box) => x > box.x && x < box.x + box.width && y > box.y && y < box.y + box.height);
    const marks = [...pathsOf(lines, layout).values()].map(({ mark }) => mark);
    expect(marks).toHaveLength(lines.length);
    expect(marks.filter(isCovered).length).toBeLessThanOrEqual(lines.length / 50);
  });

  test("leaves out a line whose end has no place", () => {
    const shown = model({ edges: [edge()] });
    expect(pathsOf(shown.lines, layoutOf([], [])).size).toBe(0);
  });
});
