/**
 * The edges of the learned model and the groups that they count for.
 *
 * @module
 */
import type { ModelEdge } from "./document.ts";
import { type Direction, DIRECTIONS, type Flow, type Protocol } from "./flow.ts";
import { RouteTree } from "./route_tree.ts";

/** Who talks to what, as a key and as it is shown. */
export interface EdgeEnds {
  readonly direction: Direction;
  /** The id of a group, or the name of a network. */
  readonly source: string;
  /** The id of the group that serves; empty for a host outside. */
  readonly destination: string;
  readonly service: string;
  readonly host: string;
  readonly port: number;
  readonly protocol: Protocol;
}

/** One edge, with what was observed on it. */
export interface LearnedEdge {
  readonly key: string;
  readonly ends: EdgeEnds;
  readonly origin: ModelEdge["origin"];
  /** What was asked of an HTTP service; hosts outside and raw connections have none. */
  readonly tree: RouteTree | undefined;
  samples: number;
  /** Of the first sample; 0 before it. */
  sinceMs: number;
  lastNewMs: number;
  /** What succeeded and was not learned. */
  refused: number;
}

/** One group in one direction: what is promoted as one. */
export interface Scope {
  readonly group: string;
  readonly direction: Direction;
  readonly edges: Set<LearnedEdge>;
  /** Why it can take up no more edges. */
  full: string | undefined;
  /** When edges of it were forgotten with the group at their other end; 0 when none were. */
  forgottenMs: number;
}

export interface EdgeLimits {
  readonly edgesMax: number;
  /** Edges of one group in one direction. */
  readonly edgesPerGroupMax: number;
}

export function endsOf(flow: Flow, sourceName: string): EdgeEnds {
  const { direction, protocol, destination } = flow;
  return destination.kind === "service"
    ? {
      direction,
      source: sourceName,
      destination: destination.group.id,
      service: destination.service,
      host: "",
      port: 0,
      protocol,
    }
    : {
      direction,
      source: sourceName,
      destination: "",
      service: "",
      host: destination.host,
      port: destination.port,
      protocol,
    };
}

/** No part of it can hold a line break. */
function keyOf(ends: EdgeEnds, host: string): string {
  const to = ends.destination === "" ? `${host}\n${ends.port}` : `${ends.destination}\n${ends.service}`;
  return `${ends.direction}\n${ends.source}\n${to}\n${ends.protocol}`;
}

/** An edge in words: `GROUP → GROUP SERVICE`, or `GROUP → HOST:PORT`. */
export function edgeText(ends: EdgeEnds): string {
  return `${ends.source} → ${farEndText(ends)}`;
}

export function farEndText({ destination, service, host, port, protocol }: EdgeEnds): string {
  return destination === "" ? `${host}:${port} (${protocol})` : `${destination} ${service} (${protocol})`;
}

export function newEdge(ends: EdgeEnds, origin: ModelEdge["origin"]): LearnedEdge {
  const isRead = ends.protocol === "http" && ends.destination !== "";
  return {
    key: keyOf(ends, ends.host),
    ends,
    origin,
    tree: isRead ? new RouteTree() : undefined,
    samples: 0,
    sinceMs: 0,
    lastNewMs: 0,
    refused: 0,
  };
}

/** How much of an edge was seen exactly once. */
export function singletonsOf({ tree, samples }: LearnedEdge): number {
  if (tree === undefined) return samples === 1 ? 1 : 0;
  let singletons = 0;
  for (const [, operation] of tree.operations()) if (operation.count === 1) singletons += 1;
  return singletons;
}

/** A group counts for its own: visitors for who serves, egress for who calls, calls between containers for both. */
function groupsOf({ direction, source, destination }: EdgeEnds): string[] {
  if (direction === "egress") return [source];
  if (direction === "north-south") return [destination];
  return source === destination ? [source] : [source, destination];
}

export class ModelEdges {
  readonly #edges = new Map<string, LearnedEdge>();
  readonly #scopes = new Map<string, Scope>();
  readonly #bytesOf = new Map<string, number>();
  /** Edges to `*.NAME`: while there are none, no name is taken apart. */
  #wildcards = 0;
  #bytes = 0;

  get size(): number {
    return this.#edges.size;
  }

  /** What all trees take of memory, estimated. */
  get bytes(): number {
    return this.#bytes;
  }

  all(): Iterable<LearnedEdge> {
    return this.#edges.values();
  }

  scopes(): Iterable<Scope> {
    return this.#scopes.values();
  }

  scope(group: string, direction: Direction): Scope | undefined {
    return this.#scopes.get(`${direction}\n${group}`);
  }

  /** What the trees of a service take, estimated; all groups that serve it together. */
  bytesOf(service: string): number {
    return this.#bytesOf.get(service) ?? 0;
  }

  /** The edge of these ends, or to `*.NAME` when an operator wrote one that its host lies below. */
  find(ends: EdgeEnds): LearnedEdge | undefined {
    const found = this.#edges.get(keyOf(ends, ends.host));
    if (found !== undefined || this.#wildcards === 0 || ends.host === "") return found;
    for (let at = ends.host.indexOf("."); at >= 0; at = ends.host.indexOf(".", at + 1)) {
      const wide = this.#edges.get(keyOf(ends, `*${ends.host.slice(at)}`));
      if (wide !== undefined) return wide;
    }
    return undefined;
  }

  /** @returns Whether there was room. What has no room any more is marked as full. */
  add(edge: LearnedEdge, limits: EdgeLimits): boolean {
    const groups = groupsOf(edge.ends);
    let hasRoom = true;
    for (const group of groups) {
      const scope = this.scope(group, edge.ends.direction);
      const full = this.size >= limits.edgesMax
        ? `${limits.edgesMax} edges in the whole model`
        : scope !== undefined && scope.edges.size >= limits.edgesPerGroupMax
        ? `${limits.edgesPerGroupMax} edges`
        : undefined;
      if (full === undefined) continue;
      hasRoom = false;
      if (scope !== undefined) scope.full ??= full;
    }
    if (hasRoom) this.put(edge);
    return hasRoom;
  }

  /** Adds an edge whatever the limits are: what is imported is bounded by its document. */
  put(edge: LearnedEdge): void {
    const { direction, host, service } = edge.ends;
    this.#edges.set(edge.key, edge);
    if (host.startsWith("*.")) this.#wildcards += 1;
    this.resized(service, edge.tree?.bytes ?? 0);
    for (const group of groupsOf(edge.ends)) this.#scopeOf(group, direction).edges.add(edge);
  }

  /** Marks a direction of a group as one that had edges which were forgotten with the group at their other end. */
  markForgotten(group: string, direction: Direction, atMs: number): void {
    this.#scopeOf(group, direction).forgottenMs = atMs;
  }

  #scopeOf(group: string, direction: Direction): Scope {
    const known = this.scope(group, direction);
    if (known !== undefined) return known;
    const scope: Scope = { group, direction, edges: new Set(), full: undefined, forgottenMs: 0 };
    this.#scopes.set(`${direction}\n${group}`, scope);
    return scope;
  }

  /** Forgets an edge, at both of its ends. */
  remove(edge: LearnedEdge): void {
    const { direction, host, service } = edge.ends;
    if (!this.#edges.delete(edge.key)) return;
    if (host.startsWith("*.")) this.#wildcards -= 1;
    this.resized(service, -(edge.tree?.bytes ?? 0));
    for (const group of groupsOf(edge.ends)) {
      const scope = this.scope(group, direction)!;
      scope.edges.delete(edge);
      this.#dropIfEmpty(scope);
    }
  }

  /**
   * Forgets what was learned of a group in all directions, both ways, and that it was. What a person made stays.
   * Of the others it is kept that there was something, as long as they have any edge: they are not silent, they were
   * emptied.
   */
  forget(groupId: string, nowMs: number): void {
    for (const direction of DIRECTIONS) {
      const scope = this.scope(groupId, direction);
      if (scope === undefined) continue;
      scope.full = undefined;
      scope.forgottenMs = 0;
      for (const edge of [...scope.edges]) {
        if (edge.origin === "learned") {
          for (const group of groupsOf(edge.ends)) {
            if (group !== groupId) this.markForgotten(group, direction, nowMs);
          }
          this.remove(edge);
          continue;
        }
        Object.assign(edge, { samples: 0, sinceMs: 0, lastNewMs: 0, refused: 0 });
        if (edge.tree !== undefined) edge.tree.full = undefined;
      }
      this.#dropIfEmpty(scope);
    }
    const scopes = [...this.#scopes.values()];
    const known = new Set(scopes.filter(({ edges }) => edges.size > 0).map(({ group }) => group));
    for (const scope of scopes) {
      if (!known.has(scope.group)) scope.forgottenMs = 0;
      this.#dropIfEmpty(scope);
    }
  }

  #dropIfEmpty({ group, direction, edges, forgottenMs }: Scope): void {
    if (edges.size === 0 && forgottenMs === 0) this.#scopes.delete(`${direction}\n${group}`);
  }

  /** The trees of a service have grown by so many bytes. */
  resized(service: string, bytes: number): void {
    if (bytes === 0) return;
    const now = this.bytesOf(service) + bytes;
    if (now > 0) this.#bytesOf.set(service, now);
    else this.#bytesOf.delete(service);
    this.#bytes += bytes;
  }
}

/** Takes in that an edge was seen again, or that something on it was new. */
export function sampled(edge: LearnedEdge, isNew: boolean, nowMs: number): void {
  if (edge.samples === 0) edge.sinceMs = nowMs;
  edge.samples += 1;
  if (isNew) edge.lastNewMs = nowMs;
}
