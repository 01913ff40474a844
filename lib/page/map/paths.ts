/**
 * The way of a line over the map, as the data of an SVG path.
 *
 * Lines from or to the outside pass the wall at right angles at their port; those between workloads go from the right
 * side of the caller to the left side of the called, or loop where that one lies left of it or below it. Lines of the
 * same two ends lie side by side.
 *
 * @module
 */
import { type Box, middleOf } from "./boxes.ts";
import { type Layout, WALL_WIDTH } from "./layout.ts";
import type { Point } from "./layers.ts";
import type { MapLine } from "./line.ts";
import { type Curve, pointOf, route } from "./route.ts";

export interface LinePath {
  /** For `d` of a path. */
  readonly d: string;
  /** Where its sign stands: at the wall, or in the middle of the way. */
  readonly mark: Point;
}

/** Between lines of the same two ends. */
const LANE_GAP = 9;
/** Lines end at most so far from the middle of a node's side, as a share of its height. */
const LANE_SHARE_MAX = 0.36;
/** How far the handles of a loop go out, at least and at most: what is drawn stays between two columns. */
const LOOP_MIN = 26;
const LOOP_MAX = 120;
/** Where on a line its sign may stand, as a share of its way: the first of these that no node covers. */
const SIGN_PLACES = [
  0.5,
  0.45,
  0.55,
  0.4,
  0.6,
  0.35,
  0.65,
  0.3,
  0.7,
  0.25,
  0.75,
  0.2,
  0.8,
  0.14,
  0.86,
  0.08,
  0.92,
];
/** So near to a node its sign would touch it. */
const SIGN_RADIUS = 8;

/** @returns By the id of a line. A line with an end that has no place is left out. */
export function pathsOf(lines: readonly MapLine[], layout: Layout): Map<string, LinePath> {
  const paths = new Map<string, LinePath>();
  const boxes = [...layout.nodes.values()];
  // The same two ends in either direction, as both would lie on the same way.
  const lanes = Map.groupBy(lines, ({ from, to }) => from < to ? `${from}|${to}` : `${to}|${from}`);
  for (const together of lanes.values()) {
    together.forEach((line, index) => {
      const [from, to] = [layout.nodes.get(line.from), layout.nodes.get(line.to)];
      if (from === undefined || to === undefined) return;
      const lane = laneOf(index, together.length, Math.min(from.height, to.height));
      const port = layout.ports.get(line.id);
      const path = port === undefined
        ? signed(between(from, to, lane, boxes), boxes)
        : through(from, to, port, lane, boxes);
      paths.set(line.id, path);
    });
  }
  return paths;
}

/** How far from the middle the line lies; many lines lie closer together. */
function laneOf(index: number, lines: number, height: number): number {
  if (lines === 1) return 0;
  const gap = Math.min(LANE_GAP, 2 * LANE_SHARE_MAX * height / (lines - 1));
  return (index - (lines - 1) / 2) * gap;
}

/** From one side of the wall to the other. */
function through(from: Box, to: Box, port: number, lane: number, boxes: readonly Box[]): LinePath {
  const isInward = from.x < to.x;
  const start = { x: isInward ? from.x + from.width : from.x, y: middleOf(from).y + lane };
  const end = { x: isInward ? to.x : to.x + to.width, y: middleOf(to).y + lane };
  const side = (isInward ? 1 : -1) * WALL_WIDTH / 2;
  const [near, far] = [{ x: -side, y: port }, { x: side, y: port }];
  const d = `M${at(start)}${route(start, near, boxes).map(dataOf).join("")}L${at(far)}${
    route(far, end, boxes).map(dataOf).join("")
  }`;
  return { d, mark: { x: 0, y: port } };
}

function between(from: Box, to: Box, lane: number, boxes: readonly Box[]): Curve[] {
  const [a, b] = [middleOf(from).y + lane, middleOf(to).y + lane];
  if (to.x >= from.x + from.width) return route({ x: from.x + from.width, y: a }, { x: to.x, y: b }, boxes);
  if (from.x >= to.x + to.width) return route({ x: from.x, y: a }, { x: to.x + to.width, y: b }, boxes);
  return [loop({ x: from.x + from.width, y: a }, { x: to.x + to.width, y: b }, lane)];
}

/** Out of the right side and back into it: both ends lie above each other, or are the same. */
function loop(start: Point, end: Point, lane: number): Curve {
  // What calls itself leaves its node above where it comes back.
  const [first, last] = start.x === end.x && start.y === end.y
    ? [start.y - 12, end.y + 12]
    : [start.y, end.y];
  const out = Math.min(LOOP_MAX, LOOP_MIN + Math.abs(last - first) / 5 + Math.abs(lane));
  return [
    { x: start.x, y: first },
    { x: start.x + out, y: first },
    { x: end.x + out, y: last },
    { x: end.x, y: last },
  ];
}

function signed(way: readonly Curve[], boxes: readonly Box[]): LinePath {
  const isFree = ({ x, y }: Point): boolean =>
    !boxes.some((box) =>
      x > box.x - SIGN_RADIUS && x < box.x + box.width + SIGN_RADIUS &&
      y > box.y - SIGN_RADIUS && y < box.y + box.height + SIGN_RADIUS
    );
  // Of a way around, what is seen most is its middle.
  const middle = way[Math.floor(way.length / 2)]!;
  const share = SIGN_PLACES.find((place) => isFree(pointOf(middle, place))) ?? SIGN_PLACES[0]!;
  const start = way[0]![0];
  return { d: `M${at(start)}${way.map(dataOf).join("")}`, mark: pointOf(middle, share) };
}

/** The data of a curve, from where the one before it ended. */
function dataOf([, ...rest]: Curve): string {
  return `C${rest.map(at).join(" ")}`;
}

/** Tenths of a pixel are more than can be seen. */
function at({ x, y }: Point): string {
  return `${Math.round(x * 10) / 10},${Math.round(y * 10) / 10}`;
}
