/**
 * The learned model: what traffic is normal, from what was seen to end well.
 *
 * An edge says who talks to what. Hosts outside are known by name and port, raw services by name, HTTP services by
 * the routes, methods and content types that this source asked of them. The source is a group or a network, the
 * subject of a promotion is a group and a direction.
 *
 * What is learned is bounded everywhere, and no one source can fill it: a visitor brings at most
 * `routesPerSourceMax` routes of a service, however often he repeats the rest. What is overfull says so and is never
 * promoted.
 *
 * @module
 */
import { edgeDeviation, treeDeviation } from "./deviation.ts";
import { MODEL_EDGES_MAX, type ModelEdge } from "./document.ts";
import type { Deviation, Flow, HttpRequestFacts } from "./flow.ts";
import { endsOf, type LearnedEdge, ModelEdges, newEdge, sampled } from "./model_edges.ts";
import { readEdges, readSnapshot, writeEdges, writeSnapshot } from "./model_text.ts";
import type { ModelView } from "./model_view.ts";
import { progressOf } from "./progress.ts";
import type { LearningProgress, PromotionGate } from "./promotion.ts";
import { ownerOf } from "./owner.ts";
import { NOBODY, templateOf } from "./route_node.ts";
import type { Asked, TreeLimits } from "./route_tree.ts";
import { maskedPath, readPath } from "./segment.ts";

export interface LearnerOptions extends PromotionGate {
  /** Milliseconds since 1970. */
  nowMs(): number;
  /** Routes of one service that one source group or network is known to use. @default 256 */
  readonly routesPerServiceMax?: number;
  /** Of these, what one visitor may bring: an IPv4 address, or an IPv6 network of 64 bits. @default 30 */
  readonly routesPerSourceMax?: number;
  /** Of these, what one agent may bring. @default 192 */
  readonly routesPerAgentMax?: number;
  /** Words beside each other in a path that stay words when they look like values. @default 16 */
  readonly siblingsMax?: number;
  /** Edges of one group in one direction. @default 512 */
  readonly edgesPerGroupMax?: number;
  /** Edges of the whole model. @default 20000 */
  readonly edgesMax?: number;
  /** Memory for the routes of one service, all its sources together, in bytes as estimated. @default 2 MiB */
  readonly serviceBytesMax?: number;
  /** Memory for all routes, in bytes as estimated. @default 256 MiB */
  readonly modelBytesMax?: number;
}

type Filled = Required<LearnerOptions>;

export class Learner implements ModelView {
  readonly #options: Filled;
  #edges = new ModelEdges();

  #lastHttp: HttpRequestFacts | undefined;
  #lastAsked: Asked | undefined;

  constructor(options: LearnerOptions) {
    this.#options = {
      routesPerServiceMax: 256,
      routesPerSourceMax: 30,
      routesPerAgentMax: 192,
      siblingsMax: 16,
      edgesPerGroupMax: 512,
      edgesMax: MODEL_EDGES_MAX,
      serviceBytesMax: 2 << 20,
      modelBytesMax: 256 << 20,
      ...options,
    };
  }

  /**
   * What about the flow is not in the model; `undefined` when all of it is. The edge is looked at first, then the
   * route, the method and the content type. A path with a dot segment or beyond the bounds is never in it.
   */
  check(flow: Flow, sourceName: string): Deviation | undefined {
    const ends = endsOf(flow, sourceName);
    const edge = this.#edges.find(ends);
    if (edge === undefined) return edgeDeviation(this.#edges, ends);
    if (edge.tree === undefined) return undefined;
    const asked = flow.http === undefined ? undefined : this.#askedOf(flow.http);
    if (asked !== undefined && edge.tree.find(asked) !== undefined) return undefined;
    return treeDeviation(edge.tree, asked, flow.http);
  }

  /**
   * Learns from a request or connection that has ended.
   *
   * @param quotaKey The visitor's address, or the name of the agent that called.
   * @param ok Whether it ended well: an answer below 400, a connection that was made. Nothing else teaches.
   * @param mayWiden Whether what is new is taken in. Give `false` for what was judged `learned`: the model may have been
   *   replaced while the request ran, and one that is in force must not get back what a person took out. @default true
   */
  observe(flow: Flow, sourceName: string, quotaKey: string, ok: boolean, mayWiden: boolean = true): void {
    if (ok && (mayWiden || this.check(flow, sourceName) === undefined)) {
      this.#take(flow, sourceName, "learned", quotaKey);
    }
  }

  /**
   * Takes a flow into the model as a person wishes. Quotas do not count, bounds do.
   *
   * @returns Whether it is in the model now.
   */
  learn(flow: Flow, sourceName: string, origin: "manual"): boolean {
    return this.#take(flow, sourceName, origin, undefined);
  }

  #take(flow: Flow, sourceName: string, origin: ModelEdge["origin"], quotaKey: string | undefined): boolean {
    const ends = endsOf(flow, sourceName);
    const known = this.#edges.find(ends);
    const edge = known ?? newEdge(ends, origin);
    const nowMs = this.#options.nowMs();
    if (edge.tree === undefined) {
      if (known === undefined && !this.#edges.add(edge, this.#options)) return false;
      if (quotaKey !== undefined) sampled(edge, known === undefined, nowMs);
      return true;
    }
    const asked = flow.http === undefined ? undefined : this.#askedOf(flow.http);
    if (asked === undefined) return false;
    const seen = edge.tree.find(asked);
    if (seen !== undefined) {
      if (quotaKey === undefined) return true;
      seen.count += 1;
      sampled(edge, false, nowMs);
      return true;
    }
    const owner = quotaKey === undefined ? NOBODY : ownerOf(flow, quotaKey);
    const before = edge.tree.bytes;
    if (edge.tree.learn(asked, owner, this.#treeLimits(edge)) !== "new") {
      edge.refused += 1;
      return false;
    }
    if (known !== undefined) this.#edges.resized(ends.service, edge.tree.bytes - before);
    else if (!this.#edges.add(edge, this.#options)) return false;
    if (quotaKey !== undefined) sampled(edge, true, nowMs);
    return true;
  }

  #treeLimits({ ends, tree }: LearnedEdge): TreeLimits {
    const { siblingsMax, routesPerServiceMax, routesPerSourceMax, routesPerAgentMax } = this.#options;
    const ofService = this.#options.serviceBytesMax - this.#edges.bytesOf(ends.service);
    const ofModel = this.#options.modelBytesMax - this.#edges.bytes;
    return {
      siblingsMax,
      routesMax: routesPerServiceMax,
      routesPerVisitorMax: routesPerSourceMax,
      routesPerAgentMax,
      bytesMax: tree!.bytes + Math.min(ofService, ofModel),
    };
  }

  /**
   * The route that a request falls under: a known one, or its path with placeholders for values. Empty when it is no
   * request.
   *
   * @param sourceName As for `check`. @default the group that sends, or `internet`
   */
  routeOf(flow: Flow, sourceName?: string): string {
    const { http, source } = flow;
    if (http === undefined) return "";
    const name = sourceName ?? (source.kind === "group" ? source.group.id : "internet");
    const tree = this.#edges.find(endsOf(flow, name))?.tree;
    const asked = tree === undefined ? undefined : this.#askedOf(http);
    const node = asked === undefined ? undefined : tree!.route(asked);
    return node === undefined ? maskedPath(http.path) : templateOf(node);
  }

  /** What is asked for. The path is read once for all that is asked of one request in a row. */
  #askedOf(http: HttpRequestFacts): Asked | undefined {
    if (http !== this.#lastHttp) {
      const { path, method, contentType } = http;
      const segments = readPath(path);
      this.#lastHttp = http;
      this.#lastAsked = segments === undefined ? undefined : { segments, method, contentType };
    }
    return this.#lastAsked;
  }

  /**
   * How far each group has come, by its id. Last come the directions of it that nothing was learned in, once something
   * was in another.
   */
  progress(): Map<string, LearningProgress[]> {
    return progressOf(this.#edges, this.#options, this.#options.nowMs());
  }

  /** What has seen enough to be relied on, and why it has. */
  stable(): (Pick<LearningProgress, "direction" | "reasons"> & { group: string })[] {
    return [...this.progress()].flatMap(([group, all]) =>
      all.filter(({ state }) => state === "stable")
        .map(({ direction, reasons }) => ({ group, direction, reasons }))
    );
  }

  /** Forgets what was learned of a group in all directions, both ways. Edges that a person made (origin manual) stay. */
  relearn(groupId: string, nowMs: number = this.#options.nowMs()): void {
    this.#edges.forget(groupId, nowMs);
  }

  /** The model as a policy document has it, in a fixed order. */
  edges(): ModelEdge[] {
    return writeEdges(this.#edges);
  }

  /** The same of one group: the edges at whose one end it is, or at both. */
  edgesOf(groupId: string): ModelEdge[] {
    return writeEdges(
      this.#edges,
      ({ source, destination }) => source === groupId || destination === groupId,
    );
  }

  /**
   * Puts a model in the place of this one. What was counted is forgotten.
   *
   * @throws {ModelError} `malformed`; nothing is changed then.
   */
  replace(edges: readonly ModelEdge[]): void {
    this.#edges = readEdges(edges);
  }

  /** The model with what was counted, to go on from after a restart. */
  snapshot(): string {
    return writeSnapshot(this.#edges);
  }

  /** @throws {ModelError} `malformed` or `newer`; nothing is changed then. */
  restore(text: string): void {
    this.#edges = readSnapshot(text);
  }

  /** What the routes of a service take of memory. */
  estimatedBytes(service: string): number {
    return this.#edges.bytesOf(service);
  }

  /** Services whose routes are overfull for some source. */
  saturatedServices(): string[] {
    const found = new Set<string>();
    for (const { tree, ends } of this.#edges.all()) if (tree?.full !== undefined) found.add(ends.service);
    return [...found].sort();
  }
}
