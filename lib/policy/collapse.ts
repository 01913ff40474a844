/**
 * Sees when words in a path are values: `/shop/anna`, `/shop/bert`, … become `/shop/{str}`.
 *
 * A placeholder covers every word, so it must not be had by asking for a few made-up names while the model learns.
 * What has to come together before words are merged:
 *
 * - There are more of them than `siblingsMax`, and at least half were seen only once or twice after `OBSERVED_MIN`
 *   requests, or when the tree is half full. A closed set, such as the resources of an API, is seen again and again by
 *   then, and its members have grown apart; names of things go on being new.
 * - They are alike: each operation of each of them is there below at least `ALIKE_MIN` of them. `/admin` with its own
 *   pages below is not like the leaves beside it and stays a word. Merging never makes an operation up: `{str}` gets
 *   what stood below the words, no more.
 * - They come from many: a visitor counts for at most `SIBLINGS_PER_VISITOR_MAX` of them, so five addresses are needed
 *   with `siblingsMax` 16, whatever one of them asks for. A container is not limited; it has a name to answer with.
 * - A word that was seen `COUNT_STRONG` times is no value. It stays (`/users/me` beside `/users/{str}`) until `{str}`
 *   has all that it has and it has more than a few operations.
 *
 * Where pairs of names follow each other (`/repos/anna/tree`), no two words are alike by their pages. With twice as
 * many of them it is enough to be alike when rare words below count as any word.
 *
 * The trade: many visitors together can still have a leaf widened, on a service that answers every made-up path with
 * success. What is rare, of the same shape as the made-up ones and used by the same source is then in one route with
 * them. Saying no to collapsing at all would make every service with names in its paths overfull.
 *
 * @module
 */
import { isCollapsible, isPlaceholder } from "./segment.ts";
import { cover, newNode, operationsOf, type RouteNode } from "./route_node.ts";

export interface CollapseLimits {
  /** Words beside each other that stay words, when they look like values. */
  readonly siblingsMax: number;
  /** Whether room is short: words are not looked at for as long then. */
  readonly isPressed: boolean;
}

/** For so many words one visitor can vouch. */
export const SIBLINGS_PER_VISITOR_MAX = 4;
/** So many requests went by the words before they are judged. */
export const OBSERVED_MIN = 256;
/** A word that was seen so often is no value. */
export const COUNT_STRONG = 32;
/** A word of no more operations is kept for its name. */
const KEPT_OPERATIONS_MAX = 4;
/** The share of requests that brought a word never seen before; of a closed set it falls below soon. */
const NEW_SHARE_MIN = 0.15;
/** An operation that so many words share belongs to all of them. */
const ALIKE_MIN = 3;
const STR = "{str}";

/**
 * Collapses what can be, from the end of a route to the root.
 *
 * @param leaf Where something was added.
 * @returns Whether nodes were merged: numbers of routes have changed then.
 */
export function tidy(leaf: RouteNode, limits: CollapseLimits): boolean {
  let merged = false;
  for (let node = leaf.parent; node !== undefined; node = node.parent) {
    if (collapse(node, limits)) merged = true;
  }
  return merged;
}

/** Collapses the words below one node. */
function collapse(node: RouteNode, limits: CollapseLimits): boolean {
  const { siblingsMax } = limits;
  const wide = node.children.get(STR);
  if (wide !== undefined) return absorb(node, wide, limits);
  if (node.children.size <= siblingsMax) return false;
  const weak = wordsBelow(node).filter((it) => countOf(it) < COUNT_STRONG);
  if (weak.length <= siblingsMax) return false;
  if (!isOpenSet(node, weak, limits.isPressed)) return false;
  const members = vouched(alike(weak, shapeOf), siblingsMax) ??
    (weak.length > 2 * siblingsMax ? vouched(alike(weak, blurredShapeOf), 2 * siblingsMax) : undefined);
  if (members === undefined) return false;
  const target = newNode(STR, node, members[0]!.owner);
  node.children.set(STR, target);
  node.placeholders += 1;
  for (const member of members) merge(target, member);
  collapseBelow(target, limits);
  absorb(node, target, limits);
  return true;
}

function wordsBelow(node: RouteNode): RouteNode[] {
  return [...node.children.values()].filter(({ key }) => !isPlaceholder(key) && isCollapsible(key));
}

/**
 * Merges what has nothing of its own into the `{str}` beside it, which covers those requests anyway. Small words that
 * are seen often are kept for their name, as long as they are few.
 */
function absorb(node: RouteNode, wide: RouteNode, limits: CollapseLimits): boolean {
  const id = node.children.get("{id}");
  let kept = 0;
  let merged = false;
  for (const word of id === undefined ? wordsBelow(node) : [...wordsBelow(node), id]) {
    const covered = coveredBy(word, wide);
    if (covered === undefined) continue;
    const isSmall = covered <= KEPT_OPERATIONS_MAX && kept < limits.siblingsMax;
    if (isSmall && word !== id && countOf(word) >= COUNT_STRONG) {
      kept += 1;
      continue;
    }
    merge(wide, word);
    merged = true;
  }
  if (merged) collapseBelow(wide, limits);
  return merged;
}

/** How many routes with a method are below a node, if another one covers them all. */
function coveredBy(node: RouteNode, wide: RouteNode): number | undefined {
  let count = 0;
  const isCovered = (at: RouteNode, path: readonly string[]): boolean => {
    for (const method of at.methods?.keys() ?? []) {
      count += 1;
      if (cover(wide, path, 0, (it) => it.methods!.has(method)) === undefined) return false;
    }
    for (const child of at.children.values()) if (!isCovered(child, [...path, child.key])) return false;
    return true;
  };
  return isCovered(node, []) ? count : undefined;
}

function collapseBelow(node: RouteNode, limits: CollapseLimits): void {
  for (const child of [...node.children.values()]) {
    if (child.parent === node && node.children.get(child.key) === child) collapseBelow(child, limits);
  }
  collapse(node, limits);
}

/** Those of them that have only operations which enough of them have. */
function alike(words: readonly RouteNode[], shape: (node: RouteNode) => string[]): RouteNode[] {
  const shapes = words.map(shape);
  const shared = new Map<string, number>();
  for (const items of shapes) {
    for (const item of new Set(items)) shared.set(item, (shared.get(item) ?? 0) + 1);
  }
  return words.filter((_, at) => shapes[at]!.every((item) => shared.get(item)! >= ALIKE_MIN));
}

/**
 * Whether new words go on coming, so that they are names and no closed set: many requests were the only one for their
 * word, or for one operation of it when each name is asked for several things.
 */
function isOpenSet(node: RouteNode, words: readonly RouteNode[], isPressed: boolean): boolean {
  const isPlain = words.every((it) => it.children.size === 0);
  if (isPlain || isPressed || countOf(node) >= OBSERVED_MIN) {
    const counts = words.map(countOf);
    if (newShare(counts) >= NEW_SHARE_MIN) return true;
  }
  const byItem = new Map<string, number[]>();
  for (const word of words) {
    walk(word, (child) => child.key, (item, count) => {
      const counts = byItem.get(item);
      if (counts === undefined) byItem.set(item, [count]);
      else counts.push(count);
    });
  }
  const [requests, shareMin] = isPressed ? [OBSERVED_MIN / 4, 0.5] : [OBSERVED_MIN, NEW_SHARE_MIN];
  for (const counts of byItem.values()) {
    if (totalOf(counts) >= requests && newShare(counts) >= shareMin) return true;
  }
  return false;
}

/** The share of observations that were the only one of theirs. */
function newShare(counts: readonly number[]): number {
  return counts.filter((it) => it === 1).length / Math.max(1, totalOf(counts));
}

function totalOf(counts: readonly number[]): number {
  return counts.reduce((sum, it) => sum + it, 0);
}

/** The words, if enough sources stand behind them. */
function vouched(words: readonly RouteNode[], siblingsMax: number): readonly RouteNode[] | undefined {
  const perVisitor = new Map<string, number>();
  let support = 0;
  for (const { owner } of words) {
    const mine = owner.isVisitor ? perVisitor.get(owner.key) ?? 0 : 0;
    if (mine >= SIBLINGS_PER_VISITOR_MAX) continue;
    if (owner.isVisitor) perVisitor.set(owner.key, mine + 1);
    support += 1;
  }
  return support > siblingsMax ? words : undefined;
}

/** Every route and method below a node, the node itself left out. */
function shapeOf(node: RouteNode): string[] {
  const items: string[] = [];
  walk(node, (child) => child.key, (item) => items.push(item));
  return items;
}

/** The same with `*` for words that are not established. */
function blurredShapeOf(node: RouteNode): string[] {
  const items: string[] = [];
  const nameOf = (child: RouteNode): string =>
    isPlaceholder(child.key) || countOf(child) >= COUNT_STRONG ? child.key : "*";
  walk(node, nameOf, (item) => items.push(item));
  return items;
}

/** Calls back with each route and method below a node, and how often it was observed. */
function walk(
  node: RouteNode,
  nameOf: (child: RouteNode) => string,
  seen: (item: string, count: number) => void,
  path = "",
): void {
  for (const [method, types] of node.methods ?? []) {
    let count = 0;
    for (const operation of types.values()) count += operation.count;
    seen(`${method} ${path}`, count);
  }
  for (const child of node.children.values()) walk(child, nameOf, seen, `${path}/${nameOf(child)}`);
}

/** How often all that is below was observed. */
function countOf(node: RouteNode): number {
  let count = 0;
  for (const operation of operationsOf(node)) count += operation.count;
  for (const child of node.children.values()) count += countOf(child);
  return count;
}

/** Moves all that a node has into another one and takes it out of the tree. Whatever was covered stays covered. */
function merge(target: RouteNode, source: RouteNode): void {
  source.parent?.children.delete(source.key);
  if (isPlaceholder(source.key) && source.parent !== undefined) source.parent.placeholders -= 1;
  if (source.methods !== undefined) target.methods ??= new Map();
  for (const operation of operationsOf(source)) {
    let types = target.methods!.get(operation.method);
    if (types === undefined) target.methods!.set(operation.method, types = new Map());
    const known = types.get(operation.contentType);
    if (known === undefined) types.set(operation.contentType, operation);
    else known.count += operation.count;
  }
  for (const child of [...source.children.values()]) {
    const known = target.children.get(child.key);
    if (known !== undefined) {
      merge(known, child);
      continue;
    }
    child.parent = target;
    target.children.set(child.key, child);
    if (isPlaceholder(child.key)) target.placeholders += 1;
  }
}
