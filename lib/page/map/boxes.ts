/**
 * Puts namespaces as boxes in columns right of the wall: those that are called from outside at the wall, those that
 * they call behind them.
 *
 * A box whose workloads are the same as before is the same inside, and a box that was there stays in its column.
 *
 * @module
 */
import { type Block, type Pair, placeBlock, type Point, type Size } from "./layers.ts";
import type { MapLine } from "./line.ts";
import type { InnerNode } from "./node.ts";

export const WORKLOAD_SIZE: Size = { width: 208, height: 66 };

const BOX_PAD = 14;
const BOX_HEAD = 28;
const BOX_GAP = 26;
const COLUMN_GAP = 100;
/** Namespaces that are called by others lie at most so many columns behind them. */
const DEPTH_MAX = 4;
export interface Box extends Size {
  /** Of the left upper corner. */
  readonly x: number;
  readonly y: number;
}

export interface NamespaceBox extends Box {
  readonly namespace: string;
  /** From the wall, from 0. */
  readonly column: number;
  readonly isCollapsed: boolean;
}

/** What stood where a moment ago. */
export interface Placed {
  /** By the id of a node. */
  readonly nodes: ReadonlyMap<string, Box>;
  readonly boxes: readonly NamespaceBox[];
}

export function middleOf({ x, y, width, height }: Box): Point {
  return { x: x + width / 2, y: y + height / 2 };
}

/**
 * @param left Where the first column begins.
 * @param columnHeight A column takes in boxes up to this height at least, however little there is in all.
 * @returns The boxes, and the workloads in them by their ids.
 */
export function placeBoxes(
  inner: readonly InnerNode[],
  lines: readonly MapLine[],
  left: number,
  columnHeight: number,
  previous?: Placed,
): Placed {
  const blocks = blocksOf(inner, lines, previous);
  return placeColumns(columnsOf(blocks, depthsOf(blocks, lines), columnHeight, previous), left);
}

/** One namespace before it has a place. */
interface NamespaceBlock extends Size {
  readonly namespace: string;
  readonly block: Block;
  readonly isCollapsed: boolean;
}

function blocksOf(
  inner: readonly InnerNode[],
  lines: readonly MapLine[],
  previous: Placed | undefined,
): NamespaceBlock[] {
  const members = Map.groupBy(inner, ({ namespace }) => namespace);
  const namespaceById = new Map(inner.map(({ id, namespace }) => [id, namespace]));
  const pairs = new Map<string, Pair[]>();
  const seen = new Set<string>();
  for (const { from, to } of lines) {
    const namespace = namespaceById.get(from);
    const key = `${from}|${to}`;
    if (namespace === undefined || namespaceById.get(to) !== namespace || seen.has(key)) continue;
    seen.add(key);
    pairs.set(namespace, [...pairs.get(namespace) ?? [], [from, to]]);
  }
  return [...members].map(([namespace, own]) => {
    const isCollapsed = own[0]!.kind === "namespace";
    const block = kept(namespace, own, previous) ??
      placeBlock(own.map(({ id }) => id), pairs.get(namespace) ?? [], WORKLOAD_SIZE);
    const [pad, head] = [padOf({ isCollapsed }), headOf({ isCollapsed })];
    return { namespace, isCollapsed, block, width: block.width + 2 * pad, height: block.height + head + pad };
  });
}

/** As it was, when the same workloads are in it: a new edge moves nothing. */
function kept(
  namespace: string,
  own: readonly InnerNode[],
  previous: Placed | undefined,
): Block | undefined {
  const box = previous?.boxes.find((candidate) => candidate.namespace === namespace);
  if (previous === undefined || box === undefined) return undefined;
  const isInside = ({ x, y }: Box): boolean =>
    x >= box.x && x < box.x + box.width && y >= box.y && y < box.y + box.height;
  let before = 0;
  for (const place of previous.nodes.values()) if (isInside(place)) before += 1;
  const places = own.flatMap(({ id }) => previous.nodes.get(id) ?? []);
  if (places.length !== own.length || before !== own.length) return undefined;
  const [left, top] = [box.x + padOf(box), box.y + headOf(box)];
  const middles = own.map(({ id }, index): [string, Point] => {
    const { x, y } = middleOf(places[index]!);
    return [id, { x: x - left, y: y - top }];
  });
  return {
    width: box.width - 2 * padOf(box),
    height: box.height - headOf(box) - padOf(box),
    middles: new Map(middles),
  };
}

const padOf = ({ isCollapsed }: { isCollapsed: boolean }): number => isCollapsed ? 0 : BOX_PAD;
const headOf = ({ isCollapsed }: { isCollapsed: boolean }): number => isCollapsed ? 0 : BOX_HEAD;

/** From left to right, each from above. */
function columnsOf(
  blocks: readonly NamespaceBlock[],
  depths: ReadonlyMap<string, number>,
  columnHeight: number,
  previous: Placed | undefined,
): NamespaceBlock[][] {
  const before = new Map(previous?.boxes.map((box, index) => [box.namespace, { column: box.column, index }]));
  // Columns of this height make the whole about half as wide again as it is high.
  const area = blocks.reduce((sum, { width, height }) => sum + (width + COLUMN_GAP) * (height + BOX_GAP), 0);
  const heightMax = Math.max(columnHeight, Math.sqrt(area / 1.5));
  const columns: NamespaceBlock[][] = [];
  const known = blocks.filter(({ namespace }) => before.has(namespace))
    .sort((a, b) => before.get(a.namespace)!.index - before.get(b.namespace)!.index);
  for (const one of known) (columns[before.get(one.namespace)!.column] ??= []).push(one);
  const fresh = blocks.filter(({ namespace }) => !before.has(namespace)).sort((a, b) =>
    depths.get(a.namespace)! - depths.get(b.namespace)! || (a.namespace < b.namespace ? -1 : 1)
  );
  let [at, depth] = [0, 0];
  for (const one of fresh) {
    if (depths.get(one.namespace)! > depth) {
      depth = depths.get(one.namespace)!;
      // Behind its callers, wherever those end.
      at = columns.length > 0 ? Math.max(at + 1, Math.min(depth, columns.length)) : 0;
    }
    while (!hasRoom(columns[at], one, heightMax)) at += 1;
    (columns[at] ??= []).push(one);
  }
  // A column may have lost all that was in it.
  return Array.from(columns, (column) => column ?? []).filter((column) => column.length > 0);
}

function hasRoom(column: readonly Size[] | undefined, { height }: Size, heightMax: number): boolean {
  if (column === undefined || column.length === 0) return true;
  return column.reduce((sum, one) => sum + one.height + BOX_GAP, height) <= heightMax;
}

function placeColumns(columns: readonly (readonly NamespaceBlock[])[], left: number): Placed {
  const boxes: NamespaceBox[] = [];
  const nodes = new Map<string, Box>();
  let x = left;
  columns.forEach((column, index) => {
    let y = 0;
    for (const { namespace, block, isCollapsed, width, height } of column) {
      boxes.push({ namespace, isCollapsed, column: index, x, y, width, height });
      const corner = { x: x + padOf({ isCollapsed }), y: y + headOf({ isCollapsed }) };
      for (const [id, middle] of block.middles) {
        nodes.set(id, {
          x: corner.x + middle.x - WORKLOAD_SIZE.width / 2,
          y: corner.y + middle.y - WORKLOAD_SIZE.height / 2,
          ...WORKLOAD_SIZE,
        });
      }
      y += height + BOX_GAP;
    }
    x += Math.max(...column.map(({ width }) => width)) + COLUMN_GAP;
  });
  return { nodes, boxes };
}

/** How many namespaces a request passes, at least, before it comes to this one; 0 for one that is called from outside. */
function depthsOf(blocks: readonly NamespaceBlock[], lines: readonly MapLine[]): Map<string, number> {
  const namespaceById = new Map(
    blocks.flatMap(({ namespace, block }) => [...block.middles.keys()].map((id) => [id, namespace] as const)),
  );
  const callees = new Map<string, Set<string>>();
  const called = new Set<string>();
  const entries = new Set<string>();
  for (const { from, to } of lines) {
    const [source, destination] = [namespaceById.get(from), namespaceById.get(to)];
    if (source === destination || destination === undefined) continue;
    if (source === undefined) entries.add(destination);
    else {
      callees.set(source, (callees.get(source) ?? new Set()).add(destination));
      called.add(destination);
    }
  }
  const depths = new Map<string, number>();
  const names = blocks.map(({ namespace }) => namespace);
  let layer = names.filter((name) => entries.has(name) || !called.has(name));
  for (let depth = 0; layer.length > 0; depth++) {
    for (const name of layer) depths.set(name, Math.min(depth, DEPTH_MAX));
    const next = new Set(layer.flatMap((name) => [...callees.get(name) ?? []]));
    layer = [...next].filter((name) => !depths.has(name)).sort();
  }
  // Those that only call each other in a ring.
  for (const name of names) if (!depths.has(name)) depths.set(name, 0);
  return depths;
}
