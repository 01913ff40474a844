/**
 * What one source was seen to ask of one HTTP service: a tree of path segments, with methods and content types at the
 * ends of routes.
 *
 * Each pair of source and service has a tree of its own. A tree shared by all sources of a service would be smaller,
 * but then what visitors do would widen what containers may do, and a model that is in force would widen itself.
 *
 * A tree covers a request when one of its routes covers the path and has the method and the content type. Nothing
 * that is done to a tree while learning makes it cover less.
 *
 * @module
 */
import { ownCopy } from "../own_copy.ts";
import { type CollapseLimits, tidy } from "./collapse.ts";
import { OPERATIONS_PER_EDGE_MAX } from "./document.ts";
import {
  cover,
  newNode,
  NOBODY,
  type Operation,
  operationsOf,
  type Owner,
  type RouteNode,
  visit,
} from "./route_node.ts";
import { coveringPlaceholders, isPlaceholder, LITERAL_CHARS_MAX, ownPlaceholder } from "./segment.ts";

/** Methods of one route. More is a scanner, or a service that takes any word. */
export const METHODS_PER_ROUTE_MAX = 8;
/** Content types of one method of a route. */
export const TYPES_PER_METHOD_MAX = 8;
/** What of both one visitor alone may bring: never so many that he fills them up. */
export const METHODS_PER_VISITOR_MAX = 6;
export const TYPES_PER_VISITOR_MAX = 4;
/** Of one agent: one less than there may be, so that no container alone makes a model overfull. */
export const METHODS_PER_AGENT_MAX = 7;
export const TYPES_PER_AGENT_MAX = 7;
export const METHOD_CHARS_MAX = 64;
export const CONTENT_TYPE_CHARS_MAX = 127;

/** What an object of the tree costs in memory, about, besides the characters of its text. */
const NODE_BYTES = 320;
const OPERATION_BYTES = 240;
const METHOD = /^[\x21-\x7e]+$/;
const CONTENT_TYPE = /^[\x21-\x7e]*$/;

export interface TreeLimits extends Omit<CollapseLimits, "isPressed"> {
  readonly routesMax: number;
  readonly routesPerVisitorMax: number;
  readonly routesPerAgentMax: number;
  /** Bytes of the tree, as estimated. */
  readonly bytesMax: number;
}

/** What became of an operation: `refused` as its owner has brought enough, or as it is too long to be kept. */
export type Learned = "known" | "new" | "refused" | "full";

/** A request as it is looked up. */
export interface Asked {
  readonly segments: readonly string[];
  readonly method: string;
  readonly contentType: string;
}

export class RouteTree {
  readonly root: RouteNode = newNode("", undefined, NOBODY);
  /** Why it can take up no more, in words; it stays so. */
  full: string | undefined;
  #routes = 0;
  #bytes = 0;
  #operations = 0;
  /** Routes by who brought them. There are never more owners than routes. */
  readonly #routesOf = new Map<string, number>();

  get routes(): number {
    return this.#routes;
  }

  get operationCount(): number {
    return this.#operations;
  }

  /** What it takes of memory, estimated. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The operation that covers the request. */
  find({ segments, method, contentType }: Asked): Operation | undefined {
    const node = cover(this.root, segments, 0, (it) => it.methods!.get(method)?.has(contentType) === true);
    return node?.methods?.get(method)?.get(contentType);
  }

  /** The route that covers the path, if possible one that has the method. */
  route({ segments, method }: Asked): RouteNode | undefined {
    return cover(this.root, segments, 0, (it) => it.methods!.has(method)) ??
      cover(this.root, segments, 0, () => true);
  }

  /**
   * Takes an operation up, and collapses what has become too many alike.
   *
   * @param owner `NOBODY` has no quota: a person who accepts something by hand.
   */
  learn(asked: Asked, owner: Owner, limits: TreeLimits): Learned {
    const known = this.find(asked);
    if (known !== undefined) {
      known.count += 1;
      return "known";
    }
    const { segments, method, contentType } = asked;
    if (method.length > METHOD_CHARS_MAX || contentType.length > CONTENT_TYPE_CHARS_MAX) return "refused";
    // An operation is written down with spaces between its parts.
    if (!METHOD.test(method) || !CONTENT_TYPE.test(contentType)) return "refused";
    const route = this.route(asked);
    const node = route ?? this.#mayGrow(segments, owner, limits) ??
      this.#grow(templateFor(segments), owner, true);
    if (typeof node === "string") return node;
    const refusal = route === undefined ? undefined : this.#mayAdd(node, asked, owner, limits);
    if (refusal !== undefined) return refusal;
    this.#put(node, { method, contentType, count: 1, owner });
    // A new operation makes siblings alike too, not only a new route.
    if (tidy(node, { ...limits, isPressed: this.#routes * 2 >= limits.routesMax })) this.#recount();
    return "new";
  }

  /** Why no route may be made. The quota is asked before the bound: who has brought enough cannot fill the tree. */
  #mayGrow(segments: readonly string[], owner: Owner, limits: TreeLimits): "refused" | "full" | undefined {
    const quota = owner.isVisitor ? limits.routesPerVisitorMax : limits.routesPerAgentMax;
    if (owner !== NOBODY && (this.#routesOf.get(owner.key) ?? 0) >= quota) return "refused";
    if (segments.some((it) => it.length > LITERAL_CHARS_MAX && ownPlaceholder(it) === undefined)) {
      return "refused";
    }
    if (this.#routes >= limits.routesMax) return this.#fill(`${limits.routesMax} routes`);
    return this.#hasRoom(limits);
  }

  /** Why a route may get no other method or content type. */
  #mayAdd(node: RouteNode, asked: Asked, owner: Owner, limits: TreeLimits): "refused" | "full" | undefined {
    const types = node.methods!.get(asked.method);
    if (types === undefined) {
      const methodsMax = owner.isVisitor ? METHODS_PER_VISITOR_MAX : METHODS_PER_AGENT_MAX;
      if (owner !== NOBODY && broughtMethods(node, owner) >= methodsMax) return "refused";
      if (node.methods!.size >= METHODS_PER_ROUTE_MAX) {
        return this.#fill(`${METHODS_PER_ROUTE_MAX} methods of one route`);
      }
    } else {
      const typesMax = owner.isVisitor ? TYPES_PER_VISITOR_MAX : TYPES_PER_AGENT_MAX;
      if (owner !== NOBODY && brought(types, owner) >= typesMax) return "refused";
      if (types.size >= TYPES_PER_METHOD_MAX) {
        return this.#fill(`${TYPES_PER_METHOD_MAX} content types of one method`);
      }
    }
    return this.#hasRoom(limits);
  }

  #hasRoom({ bytesMax }: TreeLimits): "full" | undefined {
    if (this.#operations >= OPERATIONS_PER_EDGE_MAX) {
      return this.#fill(`${OPERATIONS_PER_EDGE_MAX} operations`);
    }
    return this.#bytes >= bytesMax ? this.#fill(`${bytesMax} bytes`) : undefined;
  }

  #fill(what: string): "full" {
    this.full ??= what;
    return "full";
  }

  /** @param isNear Whether a placeholder that covers a segment is taken before a new child is made. */
  #grow(template: readonly string[], owner: Owner, isNear: boolean): RouteNode {
    let node = this.root;
    for (const key of template) {
      let child = node.children.get(key);
      if (child === undefined && isNear) child = nearChild(node, key);
      node = child ?? this.#addChild(node, key, owner);
    }
    if (node.methods === undefined) {
      node.methods = new Map();
      this.#routes += 1;
      this.#routesOf.set(owner.key, (this.#routesOf.get(owner.key) ?? 0) + 1);
    }
    return node;
  }

  #addChild(node: RouteNode, key: string, owner: Owner): RouteNode {
    const child = newNode(ownCopy(key), node, owner);
    node.children.set(child.key, child);
    if (isPlaceholder(key)) node.placeholders += 1;
    this.#bytes += NODE_BYTES + 2 * key.length;
    return child;
  }

  #put(node: RouteNode, operation: Operation): void {
    const { method, contentType } = operation;
    let types = node.methods!.get(method);
    if (types === undefined) node.methods!.set(ownCopy(method), types = new Map());
    const known = types.get(contentType);
    if (known !== undefined) {
      known.count += operation.count;
      return;
    }
    types.set(ownCopy(contentType), operation);
    this.#operations += 1;
    this.#bytes += OPERATION_BYTES + 2 * (method.length + contentType.length);
  }

  /** Puts an operation in as it was written down, whatever else there is; for what was exported or stored. */
  restore(template: readonly string[], operation: Operation): void {
    this.#put(this.#grow(template, operation.owner, false), operation);
  }

  #recount(): void {
    this.#routes = 0;
    this.#bytes = 0;
    this.#operations = 0;
    this.#routesOf.clear();
    visit(this.root, (node) => {
      this.#bytes += NODE_BYTES + 2 * node.key.length;
      if (node.methods === undefined) return;
      this.#routes += 1;
      // A route belongs to who brought its first operation, so that a merge gives the others their quota back.
      const owner = firstOperation(node)?.owner ?? node.owner;
      this.#routesOf.set(owner.key, (this.#routesOf.get(owner.key) ?? 0) + 1);
      for (const operation of operationsOf(node)) {
        this.#operations += 1;
        this.#bytes += OPERATION_BYTES + 2 * (operation.method.length + operation.contentType.length);
      }
    });
  }

  /** Every operation with the route that it is of, in the order in which they were learned. */
  *operations(): Generator<readonly [RouteNode, Operation]> {
    const nodes: RouteNode[] = [];
    visit(this.root, (node) => nodes.push(node));
    for (const node of nodes) {
      for (const operation of operationsOf(node)) yield [node, operation];
    }
  }
}

/** The child for a segment of a template that has none of its own: a placeholder that covers all that it stands for. */
function nearChild(node: RouteNode, key: string): RouteNode | undefined {
  if (node.placeholders === 0) return undefined;
  const covering = coveringPlaceholders(key).find((it) => node.children.has(it));
  return covering === undefined ? undefined : node.children.get(covering);
}

/** Segments as a route of their own has them. */
function templateFor(segments: readonly string[]): string[] {
  return segments.map((it) => ownPlaceholder(it) ?? it);
}

function firstOperation(node: RouteNode): Operation | undefined {
  for (const operation of operationsOf(node)) return operation;
  return undefined;
}

function broughtMethods(node: RouteNode, owner: Owner): number {
  let methods = 0;
  for (const types of node.methods!.values()) {
    for (const operation of types.values()) {
      if (operation.owner.key !== owner.key) continue;
      methods += 1;
      break;
    }
  }
  return methods;
}

function brought(types: ReadonlyMap<string, Operation>, owner: Owner): number {
  let found = 0;
  for (const operation of types.values()) if (operation.owner.key === owner.key) found += 1;
  return found;
}
