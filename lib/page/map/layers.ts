/**
 * Places the workloads of one namespace within its box: callers left of what they call, the rest in a grid below.
 *
 * The classic four steps of layered drawing: loops are cut, each node goes to the layer after the last that calls it,
 * layers are put in an order with few crossings, and rows are made from that. Layers are bounded in number and height,
 * so that a dense namespace becomes a block and not a ribbon.
 *
 * Why not a library: @dagrejs/dagre needed 320 ms for 40 workloads with 177 edges and 9.5 s for 200 with 1,000 (Bun,
 * two cores), as it routes each edge through every layer, and made both far too wide to be read; this takes a few
 * milliseconds.
 *
 * Source: K. Sugiyama, S. Tagawa, M. Toda, "Methods for visual understanding of hierarchical system structures" (1981).
 *
 * @module
 */
import { spread } from "./spread.ts";

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** From, to. */
export type Pair = readonly [string, string];

export interface Block extends Size {
  /** The middle of each, from the left upper corner of the block. */
  readonly middles: ReadonlyMap<string, Point>;
}

/** More layers are squeezed into so many. */
export const LAYERS_MAX = 6;
/** Room between layers, for the curves; and between neighbours in a grid. */
const LAYER_GAP = 64;
const GRID_GAP = 20;
const ROW_GAP = 14;
const SWEEPS = 4;

/**
 * @param ids Each once, in an order that is always the same.
 * @param pairs Joined ends; those of others and of one node to itself are left out.
 */
export function placeBlock(ids: readonly string[], pairs: readonly Pair[], size: Size): Block {
  const known = new Set(ids);
  const inner = pairs.filter(([from, to]) => from !== to && known.has(from) && known.has(to));
  const joined = new Set(inner.flat());
  const columns = columnsOf(ids.filter((id) => joined.has(id)), inner);
  const middles = new Map<string, Point>();
  let { width, height } = placeColumns(columns, inner, size, middles);
  const single = ids.filter((id) => !joined.has(id));
  if (single.length > 0) {
    const top = height === 0 ? 0 : height + GRID_GAP;
    const grid = placeGrid(single, Math.max(1, columns.length), size, top, middles);
    width = Math.max(width, grid.width);
    height = grid.height;
  }
  return { width, height, middles };
}

/** The layers from left to right, a high one as several columns. */
function columnsOf(ids: readonly string[], pairs: readonly Pair[]): string[][] {
  if (ids.length === 0) return [];
  const layers = ordered(layersOf(ids, pairs), pairs);
  // About as many rows as make the block half as high again as it is wide.
  const rowsMax = Math.max(6, Math.ceil(Math.sqrt(ids.length * 6)));
  return layers.flatMap((layer) => {
    const parts = Math.ceil(layer.length / rowsMax);
    const rows = Math.ceil(layer.length / parts);
    return Array.from({ length: parts }, (_, part) => layer.slice(part * rows, (part + 1) * rows));
  }).filter((column) => column.length > 0);
}

function layersOf(ids: readonly string[], pairs: readonly Pair[]): string[][] {
  const callees = new Map<string, string[]>(ids.map((id) => [id, []]));
  const callers = new Map<string, number>(ids.map((id) => [id, 0]));
  for (const [from, to] of pairs) {
    callees.get(from)!.push(to);
    callers.set(to, callers.get(to)! + 1);
  }
  // From those that few call and that call many: cutting loops there leaves most calls pointing right.
  const rank = (id: string): number => callers.get(id)! - callees.get(id)!.length;
  const topological = reversePostOrder([...ids].sort((a, b) => rank(a) - rank(b)), callees);
  const place = new Map(topological.map((id, index) => [id, index]));
  const depth = new Map<string, number>();
  for (const id of topological) {
    const own = depth.get(id) ?? 0;
    depth.set(id, own);
    for (const to of callees.get(id)!) {
      if (place.get(to)! > place.get(id)!) depth.set(to, Math.max(depth.get(to) ?? 0, own + 1));
    }
  }
  const deepest = Math.max(...depth.values());
  const squeeze = deepest < LAYERS_MAX ? 1 : LAYERS_MAX / (deepest + 1);
  const layers: string[][] = [];
  for (const id of ids) (layers[Math.floor(depth.get(id)! * squeeze)] ??= []).push(id);
  return layers.filter((layer) => layer !== undefined);
}

/** An order in which every edge points forward, but for those that close a loop. No recursion: chains may be long. */
function reversePostOrder(ids: readonly string[], callees: ReadonlyMap<string, readonly string[]>): string[] {
  const order: string[] = [];
  const seen = new Set<string>();
  for (const root of ids) {
    if (seen.has(root)) continue;
    seen.add(root);
    const trail = [{ id: root, next: 0 }];
    while (trail.length > 0) {
      const top = trail.at(-1)!;
      const to = callees.get(top.id)![top.next++];
      if (to === undefined) {
        order.push(top.id);
        trail.pop();
      } else if (!seen.has(to)) {
        seen.add(to);
        trail.push({ id: to, next: 0 });
      }
    }
  }
  return order.reverse();
}

/** The same layers, each sorted by the middle of what its nodes are joined with in the layers beside it. */
function ordered(layers: string[][], pairs: readonly Pair[]): string[][] {
  const neighbours = new Map<string, string[]>();
  for (const [from, to] of pairs) {
    neighbours.set(from, [...neighbours.get(from) ?? [], to]);
    neighbours.set(to, [...neighbours.get(to) ?? [], from]);
  }
  const sorted = layers.map((layer) => [...layer]);
  const share = new Map<string, number>();
  const note = (layer: readonly string[]): void =>
    layer.forEach((id, index) => share.set(id, (index + 0.5) / layer.length));
  for (const layer of sorted) note(layer);
  const sort = (layer: string[]): void => {
    const wanted = new Map(layer.map((id) => [id, mean(neighbours.get(id)!.map((to) => share.get(to)!))]));
    layer.sort((a, b) => wanted.get(a)! - wanted.get(b)!);
    note(layer);
  };
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    for (const layer of sweep % 2 === 0 ? sorted : sorted.toReversed()) sort(layer);
  }
  return sorted;
}

function placeColumns(
  columns: readonly (readonly string[])[],
  pairs: readonly Pair[],
  { width, height }: Size,
  middles: Map<string, Point>,
): Size {
  const tallest = Math.max(0, ...columns.map((column) => column.length));
  if (tallest === 0) return { width: 0, height: 0 };
  const blockHeight = tallest * (height + ROW_GAP) - ROW_GAP;
  const callers = Map.groupBy(pairs, ([, to]) => to);
  columns.forEach((column, index) => {
    const wanted = column.map((id) => {
      const from = (callers.get(id) ?? []).flatMap(([caller]) => middles.get(caller)?.y ?? []);
      return { wantedY: from.length === 0 ? blockHeight / 2 : mean(from), height };
    });
    const rows = fitted(spread(wanted, ROW_GAP), height, blockHeight);
    const x = index * (width + LAYER_GAP) + width / 2;
    column.forEach((id, row) => middles.set(id, { x, y: rows[row]! }));
  });
  return { width: columns.length * (width + LAYER_GAP) - LAYER_GAP, height: blockHeight };
}

/** Moved so that all lie within the block: from above downwards, then from below upwards. */
function fitted(middles: readonly number[], height: number, blockHeight: number): number[] {
  const step = height + ROW_GAP;
  const down = middles.map((y, row) => Math.max(y, height / 2 + row * step));
  const last = middles.length - 1;
  return down.map((y, row) => Math.min(y, blockHeight - height / 2 - (last - row) * step));
}

function placeGrid(
  ids: readonly string[],
  columnsMin: number,
  { width, height }: Size,
  top: number,
  middles: Map<string, Point>,
): Size {
  const columns = Math.max(Math.min(columnsMin, ids.length), Math.ceil(Math.sqrt(ids.length / 5)));
  ids.forEach((id, index) => {
    const [row, column] = [Math.floor(index / columns), index % columns];
    middles.set(id, {
      x: column * (width + GRID_GAP) + width / 2,
      y: top + row * (height + ROW_GAP) + height / 2,
    });
  });
  const rows = Math.ceil(ids.length / columns);
  return {
    width: columns * (width + GRID_GAP) - GRID_GAP,
    height: top + rows * (height + ROW_GAP) - ROW_GAP,
  };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
