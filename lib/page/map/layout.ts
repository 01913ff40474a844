/**
 * Where everything on the map stands: outside left, the wall in the middle, namespaces as boxes in columns right of it.
 *
 * The same input gives the same output. What stood in the layout before stays where it was as far as it can: what is
 * new finds a place between.
 *
 * @module
 */
import { type Box, middleOf, placeBoxes, type Placed } from "./boxes.ts";
import type { Size } from "./layers.ts";
import type { MapLine } from "./line.ts";
import { isOutside, type MapNode, type OutsideNode } from "./node.ts";
import { spread } from "./spread.ts";

export const OUTSIDE_SIZE: Size = { width: 168, height: 30 };
/** The band of the wall, and the card of the gateway at its head. */
export const WALL_WIDTH = 56;
export const GATEWAY_SIZE: Size = { width: 168, height: 76 };

/** Between the wall and both sides: room for the fan of lines. */
const WALL_GAP = 190;
const OUTSIDE_GAP = 10;
/** Columns of boxes are at least so high, however little there is. */
const COLUMN_HEIGHT_MIN = 500;
/** Between the last source and the first host. */
const HALVES_GAP = 56;
/** Lines lie so far from each other where they pass the wall, as long as there is room. */
const PORT_GAP_MAX = 16;
/** Room above and below the ports. */
const WALL_PAD = 24;

export interface Layout extends Placed {
  /** The whole band, with the gateway at its head. */
  readonly wall: Box;
  readonly gateway: Box;
  /** Where a line passes the wall, by its id; a line between workloads has none. */
  readonly ports: ReadonlyMap<string, number>;
  /** Everything. */
  readonly bounds: Box;
  /** Lines there were when it was made without one before it. */
  readonly linesArranged: number;
}

/** With so many times as many lines it is another map: it is made anew, as what was pinned is in the wrong place. */
const GROWTH_MAX = 1.5;

/** @param before Of the same map a moment ago. */
export function layoutOf(
  nodes: readonly MapNode[],
  lines: readonly MapLine[],
  before?: Layout,
): Layout {
  const isOther = before === undefined || lines.length > before.linesArranged * GROWTH_MAX;
  const previous = isOther ? undefined : before;
  const outside = nodes.filter(isOutside);
  const inside = nodes.filter((node) => !isOutside(node));
  const left = WALL_WIDTH / 2 + WALL_GAP;
  // Boxes may be piled as high as what stands on the other side of the wall.
  const column = Math.max(COLUMN_HEIGHT_MIN, outside.length * (OUTSIDE_SIZE.height + OUTSIDE_GAP));
  const { nodes: inner, boxes } = placeBoxes(inside, lines, left, column, previous);
  const placed = new Map(inner);
  const height = Math.max(GATEWAY_SIZE.height * 2, ...boxes.map(({ y, height }) => y + height));
  placeOutside(outside, lines, height / 2, placed, previous);
  const top = Math.min(0, ...[...placed.values()].map(({ y }) => y));
  const bottom = Math.max(height, ...[...placed.values()].map(({ y, height }) => y + height));
  const wallTop = top - GATEWAY_SIZE.height;
  const wall = { x: -WALL_WIDTH / 2, y: wallTop, width: WALL_WIDTH, height: bottom + WALL_PAD - wallTop };
  const gateway = { x: -GATEWAY_SIZE.width / 2, y: wallTop - GATEWAY_SIZE.height / 2, ...GATEWAY_SIZE };
  const ports = portsOf(lines, placed, top, bottom, previous);
  const bounds = boundsOf([...placed.values(), ...boxes, wall, gateway]);
  const linesArranged = previous?.linesArranged ?? lines.length;
  return { nodes: placed, boxes, wall, gateway, ports, bounds, linesArranged };
}

/** Sources above, hosts below, each as near as can be to what it is joined with. */
function placeOutside(
  nodes: readonly OutsideNode[],
  lines: readonly MapLine[],
  middleY: number,
  placed: Map<string, Box>,
  previous: Layout | undefined,
): void {
  const ends = new Map<string, number[]>();
  const join = (id: string, other: Box | undefined): void => {
    if (other !== undefined) ends.set(id, [...ends.get(id) ?? [], middleOf(other).y]);
  };
  const ids = new Set(nodes.map(({ id }) => id));
  for (const { from, to } of lines) {
    if (ids.has(from)) join(from, placed.get(to));
    if (ids.has(to)) join(to, placed.get(from));
  }
  const wantedY = ({ id }: OutsideNode): number => {
    const before = previous?.nodes.get(id);
    if (before !== undefined) return middleOf(before).y;
    const own = ends.get(id) ?? [];
    return own.length === 0 ? middleY : own.reduce((sum, y) => sum + y, 0) / own.length;
  };
  const column = nodes.map((node) => ({ id: node.id, kind: node.kind, wantedY: wantedY(node) })).sort((
    a,
    b,
  ) =>
    (a.kind === b.kind ? 0 : a.kind === "source" ? -1 : 1) || a.wantedY - b.wantedY || (a.id < b.id ? -1 : 1)
  );
  // The first host carries the gap between both halves above it.
  const firstHost = column.findIndex(({ kind }) => kind === "host");
  const extra = (index: number): number => index === firstHost && index > 0 ? HALVES_GAP : 0;
  const { width, height } = OUTSIDE_SIZE;
  const middles = spread(
    column.map((one, index) => ({
      wantedY: one.wantedY - extra(index) / 2,
      height: height + extra(index),
    })),
    OUTSIDE_GAP,
  );
  column.forEach(({ id }, index) => {
    const y = middles[index]! + extra(index) / 2 - height / 2;
    placed.set(id, { x: -WALL_WIDTH / 2 - WALL_GAP - width, y, width, height });
  });
}

/** Lines pass the wall near to where a straight one would, none on top of another as long as there is room. */
function portsOf(
  lines: readonly MapLine[],
  placed: ReadonlyMap<string, Box>,
  top: number,
  bottom: number,
  previous: Layout | undefined,
): Map<string, number> {
  const ports = lines.flatMap(({ id, from, to, direction }) => {
    const [source, target] = [placed.get(from), placed.get(to)];
    if (direction === "east-west" || source === undefined || target === undefined) return [];
    const straight = (middleOf(source).y + middleOf(target).y) / 2;
    return [{ id, wantedY: previous?.ports.get(id) ?? straight, height: 0 }];
  }).sort((a, b) => a.wantedY - b.wantedY || (a.id < b.id ? -1 : 1));
  const gap = Math.min(PORT_GAP_MAX, (bottom - top) / Math.max(1, ports.length));
  const middles = spread(ports, gap);
  // With all its ports the band may be longer than what it stands between: they are pushed inside.
  const last = ports.length - 1;
  return new Map(
    ports.map(({ id }, index) => {
      const y = Math.max(middles[index]!, top + index * gap);
      return [id, Math.min(y, bottom - (last - index) * gap)];
    }),
  );
}

function boundsOf(boxes: readonly Box[]): Box {
  const [x, y] = [Math.min(...boxes.map((box) => box.x)), Math.min(...boxes.map((box) => box.y))];
  const right = Math.max(...boxes.map((box) => box.x + box.width));
  const bottom = Math.max(...boxes.map((box) => box.y + box.height));
  return { x, y, width: right - x, height: bottom - y };
}
