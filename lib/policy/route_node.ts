/**
 * The parts of a tree of routes: segments, what stands at the ends of routes, and who brought it.
 *
 * @module
 */
import { coveringPlaceholders, joinSegments } from "./segment.ts";

/** Who brought something. Owners are compared, never shown: an address is hashed before it comes here. */
export interface Owner {
  readonly key: string;
  /** Anybody may be a visitor, under many addresses; a container has a token. */
  readonly isVisitor: boolean;
}

/** A route, a method and a content type. */
export interface Operation {
  readonly method: string;
  /** Empty when the request names none. */
  readonly contentType: string;
  /** How often it was observed; 0 when it was imported. */
  count: number;
  readonly owner: Owner;
}

/** One segment of routes. */
export interface RouteNode {
  readonly key: string;
  parent: RouteNode | undefined;
  readonly children: Map<string, RouteNode>;
  /** How many of the children are placeholders: without any, no segment needs to be looked at closely. */
  placeholders: number;
  /** By method and content type; `undefined` when no route ends here. */
  methods: Map<string, Map<string, Operation>> | undefined;
  /** Who brought the route that ends here, or else the first below. */
  readonly owner: Owner;
}

/** Who imports, or accepts by hand. */
export const NOBODY: Owner = { key: "", isVisitor: false };

/** The template of a route, such as `/users/{int}`. */
export function templateOf(node: RouteNode): string {
  const segments: string[] = [];
  for (let at: RouteNode = node; at.parent !== undefined; at = at.parent) segments.unshift(at.key);
  return joinSegments(segments);
}

/** All operations of the route that ends at a node. */
export function* operationsOf(node: RouteNode): Generator<Operation> {
  for (const types of node.methods?.values() ?? []) yield* types.values();
}

/** Calls back for a node and all below it; at most `SEGMENTS_MAX` deep. */
export function visit(node: RouteNode, seen: (node: RouteNode) => void): void {
  seen(node);
  for (const child of node.children.values()) visit(child, seen);
}

export function newNode(key: string, parent: RouteNode | undefined, owner: Owner): RouteNode {
  return { key, parent, children: new Map(), placeholders: 0, methods: undefined, owner };
}

/**
 * The first route that covers the segments and is accepted; words come before placeholders, narrow before wide.
 * The segments may be those of a template: then the route covers all that the template does.
 * It goes to each node of the tree once at most.
 */
export function cover(
  node: RouteNode,
  segments: readonly string[],
  at: number,
  accept: (node: RouteNode) => boolean,
): RouteNode | undefined {
  if (at === segments.length) return node.methods !== undefined && accept(node) ? node : undefined;
  const segment = segments[at]!;
  const same = node.children.get(segment);
  if (same !== undefined) {
    const found = cover(same, segments, at + 1, accept);
    if (found !== undefined) return found;
  }
  if (node.placeholders === 0) return undefined;
  for (const placeholder of coveringPlaceholders(segment)) {
    const child = node.children.get(placeholder);
    const found = child === undefined ? undefined : cover(child, segments, at + 1, accept);
    if (found !== undefined) return found;
  }
  return undefined;
}
