/**
 * The way of a line around what stands between its ends: a line that went under a workload would seem to end there.
 *
 * @module
 */
import type { Box } from "./boxes.ts";
import type { Point } from "./layers.ts";

/** Start, two handles, end: one cubic Bézier curve. Where one ends the next begins. */
export type Curve = readonly [Point, Point, Point, Point];

/** So far a line keeps from a node that it passes. */
const CLEARANCE = 7;
/** A line bends so far before and behind what it passes. */
const BEND = 30;
/** A way around that leads further than this from both ends is worse than one beneath. */
const DETOUR_MAX = 260;
/** A curve bends at most so far from its ends: a long one is straight between, and hides less. */
const REACH_MAX = 160;
/** Where a curve is looked at, as shares of its way. */
const SAMPLES = Array.from({ length: 15 }, (_, index) => (index + 1) / 16);

/** A curve that is level at both ends. */
export function level(start: Point, end: Point): Curve {
  const reach = Math.sign(end.x - start.x) * Math.min(Math.abs(end.x - start.x) / 2, REACH_MAX);
  return [start, { x: start.x + reach, y: start.y }, { x: end.x - reach, y: end.y }, end];
}

/** Where a curve is after a share of its way. */
export function pointOf([a, b, c, d]: Curve, share: number): Point {
  const left = 1 - share;
  const [first, second] = [left * left * left, 3 * left * left * share];
  const [third, fourth] = [3 * left * share * share, share * share * share];
  return {
    x: first * a.x + second * b.x + third * c.x + fourth * d.x,
    y: first * a.y + second * b.y + third * c.y + fourth * d.y,
  };
}

/**
 * The way from one end to the other, straight on or past what stands between.
 *
 * @param boxes All nodes, those at both ends too: a way begins and ends at their sides.
 */
export function route(start: Point, end: Point, boxes: readonly Box[]): Curve[] {
  const direct = level(start, end);
  const [left, right] = [Math.min(start.x, end.x), Math.max(start.x, end.x)];
  const between = boxes.filter((box) => box.x > left && box.x + box.width < right);
  // A curve lies between the heights of its ends: most nodes are above or below all of it.
  const [low, high] = [Math.min(start.y, end.y), Math.max(start.y, end.y)];
  const near = between.filter((box) => high > box.y && low < box.y + box.height);
  if (near.length === 0 || !isOver(direct, near)) return [direct];
  const first = Math.max(left, Math.min(...between.map(({ x }) => x)) - BEND);
  const last = Math.min(right, Math.max(...between.map(({ x, width }) => x + width)) + BEND);
  const y = freeBeside(between, (start.y + end.y) / 2);
  if (Math.min(Math.abs(y - start.y), Math.abs(y - end.y)) > DETOUR_MAX) return [direct];
  const [enter, leave] = start.x < end.x ? [first, last] : [last, first];
  const [from, to] = [{ x: enter, y }, { x: leave, y }];
  return [level(start, from), level(from, to), level(to, end)];
}

/** Whether a curve goes over one of these. */
function isOver(curve: Curve, boxes: readonly Box[]): boolean {
  return SAMPLES.some((share) => {
    const { x, y } = pointOf(curve, share);
    return boxes.some((box) => x > box.x && x < box.x + box.width && y > box.y && y < box.y + box.height);
  });
}

/** The height nearest to one that is wanted at which nothing stands. */
function freeBeside(boxes: readonly Box[], wantedY: number): number {
  const taken = boxes.map(({ y, height }) => ({ from: y - CLEARANCE, to: y + height + CLEARANCE }))
    .sort((a, b) => a.from - b.from);
  let [above, below] = [wantedY, wantedY];
  for (const { from, to } of taken) if (from < below && below < to) below = to;
  for (const { from, to } of taken.sort((a, b) => b.to - a.to)) if (from < above && above < to) above = from;
  return wantedY - above < below - wantedY ? above : below;
}
