/**
 * What talked to what: one edge for all traffic of the same two ends, with sums and the newest verdict.
 *
 * The data path notes every request here, so a known edge costs a few map lookups and additions; records are made
 * when somebody reads. Edges are bounded per source first: one that calls a million hosts pushes out its own edges,
 * those of others stay. Edges with an open connection stay until it ends.
 *
 * @module
 */
import { countBegin, countDropped, countEnd, type Edge, edgeOf, newEdge, recordOf } from "./edge.ts";
import { type EdgeTraffic, MinuteRing } from "./edge_traffic.ts";
import { type Ends, EndsMap, endsOf } from "./ends_map.ts";
import { type Flow, type Judgement, ruleNameOf } from "./flow.ts";
import type { ModelView } from "./model_view.ts";
import type { EdgeRecord } from "./record.ts";

/** With about 1 KiB for an edge of long names: 20 MiB at most. */
export const EDGES_MAX = 20_000;

/** Of one source. A workload with more destinations is none that a person could look at. */
export const EDGES_PER_SOURCE_MAX = 1_000;

/** Over a bound this share of the source goes at once, so that a flood pays for its sorting once in fifty edges. */
const EVICTED_SHARE = 1 / 20;

/** A listener hears of new counts of one edge at most this often; of a new edge, state or rule at once. */
export const EDGE_TOLD_MS = 1_000;

export interface EdgeBookOptions {
  /** Asked about what is judged as learning: whether it is in the model by now. @default nothing is */
  readonly model?: ModelView;
  /** @default EDGES_MAX */
  readonly edgesMax?: number;
  /** @default EDGES_PER_SOURCE_MAX */
  readonly edgesPerSourceMax?: number;
}

/** How a request or connection ended. */
export interface FlowOutcome {
  /** It was answered without an error, or the connection was made. */
  readonly ok: boolean;
  /** From the source to the destination. */
  readonly inBytes: number;
  /** From the destination to the source. */
  readonly outBytes: number;
}

/** A connection that is on the map while it lives. It was counted when it began. */
export interface OpenEdge {
  /** It was judged again, as on a new policy. One that is dropped by it counts as dropped. */
  judged(judgement: Judgement, nowMs: number): void;
  /** It is over: adds its bytes. Only the first call counts. */
  end(outcome: FlowOutcome, nowMs: number): void;
}

export class EdgeBook {
  readonly #model: ModelView | undefined;
  readonly #edgesMax: number;
  readonly #edgesPerSourceMax: number;
  readonly #index = new EndsMap<Edge>();
  readonly #bySource = new Map<string, Set<Edge>>();
  /** What the writer has not taken yet. Whatever is stale is among them. */
  readonly #unsaved = new Set<Edge>();
  readonly #listeners = new Set<(edge: EdgeRecord) => void>();
  #size = 0;
  #seq = 0;
  #evicted = 0;
  #unrecorded = 0;

  constructor(options: EdgeBookOptions = {}) {
    this.#model = options.model;
    this.#edgesMax = options.edgesMax ?? EDGES_MAX;
    this.#edgesPerSourceMax = Math.min(options.edgesPerSourceMax ?? EDGES_PER_SOURCE_MAX, this.#edgesMax);
  }

  get size(): number {
    return this.#size;
  }

  /** The greatest `seq` that was handed out. */
  get seq(): number {
    return this.#seq;
  }

  /** Edges that had to go, as their source had too many. */
  get evicted(): number {
    return this.#evicted;
  }

  /** Requests and connections that are on no edge, as there was no room or a name was too long. */
  get unrecorded(): number {
    return this.#unrecorded;
  }

  /**
   * Takes in a request or connection that is over, or was dropped.
   *
   * Call it after the model was taught by it, so that what is learned shows as learned.
   */
  note(flow: Flow, judgement: Judgement, outcome: FlowOutcome, nowMs: number): void {
    const edge = this.#enter(flow, judgement, nowMs);
    if (edge === undefined) return;
    countEnd(edge, outcome, !outcome.ok && judgement.verdict !== "dropped", nowMs);
    this.#changed(edge, this.#judge(edge, flow, judgement), nowMs);
  }

  /**
   * Takes in a connection that was made and lives on: it is on the map at once, and counted. Its end adds the bytes.
   *
   * One that could not be made is for `note`.
   */
  begin(flow: Flow, judgement: Judgement, nowMs: number): OpenEdge {
    const edge = this.#enter(flow, judgement, nowMs);
    if (edge === undefined) return { judged: (): void => {}, end: (): void => {} };
    edge.open += 1;
    this.#changed(edge, this.#judge(edge, flow, judgement), nowMs);
    let isOpen = true;
    return {
      judged: (again, atMs): void => {
        if (!isOpen) return;
        if (again.verdict === "dropped") countDropped(edge, atMs);
        this.#changed(edge, this.#judge(edge, flow, again), atMs);
      },
      end: (outcome, atMs): void => {
        if (!isOpen) return;
        isOpen = false;
        edge.open -= 1;
        countEnd(edge, outcome, !outcome.ok, atMs);
        this.#changed(edge, false, atMs);
      },
    };
  }

  /** The ends of all edges, as they are kept: nothing is copied, and nothing counts as handed out. */
  ends(): readonly Ends[] {
    return this.#edges();
  }

  /** All edges, in no order. */
  list(): EdgeRecord[] {
    return this.#edges().map((edge) => this.#record(edge));
  }

  /** The last hour of an edge, since the process began; `undefined` when there is no such edge. */
  minutes(id: string, nowMs: number): EdgeTraffic | undefined {
    const edge = this.#edges().find((each) => each.id === id);
    return edge && (edge.minutes ?? new MinuteRing()).read(nowMs);
  }

  /** The edges that changed after the one with this `seq`, in its order. */
  changedSince(seq: number): EdgeRecord[] {
    for (const edge of this.#unsaved) this.#stamp(edge);
    return this.#edges().filter((edge) => edge.seq > seq).sort((a, b) => a.seq - b.seq).map(recordOf);
  }

  /** The edges that changed since they were last taken, at most `max`, those first that have waited longest. */
  takeDirty(max: number): EdgeRecord[] {
    const taken: EdgeRecord[] = [];
    for (const edge of this.#unsaved) {
      if (taken.length >= max) break;
      this.#unsaved.delete(edge);
      taken.push(this.#record(edge));
    }
    return taken;
  }

  /** Takes in what was stored, into an empty book. Over a bound those seen last are kept. */
  restore(records: readonly EdgeRecord[]): void {
    const newestFirst = [...records].sort((a, b) => b.lastSeenMs - a.lastSeenMs);
    for (const record of newestFirst) {
      this.#seq = Math.max(this.#seq, record.seq);
      const source = this.#bySource.get(record.source);
      if (this.#size >= this.#edgesMax || (source?.size ?? 0) >= this.#edgesPerSourceMax) continue;
      this.#add(edgeOf(record));
    }
  }

  /**
   * Calls a function for every change: at once for a new edge, state or rule, and at most once in `EDGE_TOLD_MS` for
   * new sums of an edge. It is called on the data path, so it must be quick and must not throw.
   *
   * @returns What ends it.
   */
  subscribe(listener: (edge: EdgeRecord) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Finds or makes the edge and counts. */
  #enter(flow: Flow, judgement: Judgement, nowMs: number): Edge | undefined {
    const edge = this.#index.get(flow, judgement.sourceName) ?? this.#make(flow, judgement.sourceName, nowMs);
    if (edge === undefined) {
      this.#unrecorded += 1;
      return undefined;
    }
    countBegin(edge, judgement.verdict === "dropped", nowMs);
    return edge;
  }

  /** Takes the newest verdict in. @returns Whether it says something new. */
  #judge(edge: Edge, flow: Flow, judgement: Judgement): boolean {
    const { verdict, reason } = judgement;
    const state = this.#stateOf(flow, judgement);
    const rule = ruleNameOf(reason);
    if (edge.state === state && edge.lastVerdict === verdict && edge.lastRule === rule) return false;
    edge.state = state;
    edge.lastVerdict = verdict;
    edge.lastRule = rule;
    return true;
  }

  #stateOf(flow: Flow, { verdict, effect, reason, sourceName }: Judgement): EdgeRecord["state"] {
    if (verdict === "dropped") return "blocked";
    if (reason.kind === "learned") return "learned";
    if (reason.kind === "rule") return effect === "allow" ? "manual" : "unknown";
    // The flow itself may have been what the model was waiting for; a source over its quota teaches nothing.
    const isLearned = reason.kind === "learning" && this.#model?.check(flow, sourceName) === undefined;
    return isLearned && this.#model !== undefined ? "learned" : "unknown";
  }

  #changed(edge: Edge, isNews: boolean, nowMs: number): void {
    edge.lastSeenMs = Math.max(edge.lastSeenMs, nowMs);
    if (!edge.isStale) {
      edge.isStale = true;
      this.#unsaved.add(edge);
    }
    if (this.#listeners.size === 0 || (!isNews && nowMs - edge.toldMs < EDGE_TOLD_MS)) return;
    edge.toldMs = nowMs;
    const record = this.#record(edge);
    for (const listener of this.#listeners) listener(record);
  }

  /** The edge as it is handed out: what changes from now on gets a `seq` of its own. */
  #record(edge: Edge): EdgeRecord {
    this.#stamp(edge);
    return recordOf(edge);
  }

  #stamp(edge: Edge): void {
    if (!edge.isStale) return;
    this.#seq += 1;
    edge.seq = this.#seq;
    edge.isStale = false;
  }

  #edges(): Edge[] {
    return [...this.#bySource.values()].flatMap((edges) => [...edges]);
  }

  #make(flow: Flow, source: string, nowMs: number): Edge | undefined {
    const ends = endsOf(flow, source);
    if (ends === undefined || !this.#hasRoom(source)) return undefined;
    return this.#add(newEdge(ends, nowMs));
  }

  #add(edge: Edge): Edge {
    this.#index.set(edge, edge);
    const edges = this.#bySource.get(edge.source);
    if (edges === undefined) this.#bySource.set(edge.source, new Set([edge]));
    else edges.add(edge);
    this.#size += 1;
    return edge;
  }

  /** Makes room for one more edge of a source. @returns False when every edge that could go is in use. */
  #hasRoom(source: string): boolean {
    const own = this.#bySource.get(source);
    if (own !== undefined && own.size >= this.#edgesPerSourceMax) return this.#evictFrom(own);
    if (this.#size < this.#edgesMax) return true;
    let largest: Set<Edge> | undefined;
    for (const edges of this.#bySource.values()) {
      if (largest === undefined || edges.size > largest.size) largest = edges;
    }
    return largest !== undefined && this.#evictFrom(largest);
  }

  /** Removes the edges of a source that were quiet longest: first those that nothing but a caller vouches for. */
  #evictFrom(edges: ReadonlySet<Edge>): boolean {
    const isKnown = ({ state }: Edge): number => state === "learned" || state === "manual" ? 1 : 0;
    const quiet = [...edges].filter((edge) => edge.open === 0)
      .sort((a, b) => isKnown(a) - isKnown(b) || a.lastSeenMs - b.lastSeenMs);
    const gone = quiet.slice(0, Math.ceil(edges.size * EVICTED_SHARE));
    for (const edge of gone) this.#remove(edge);
    this.#evicted += gone.length;
    return gone.length > 0;
  }

  #remove(edge: Edge): void {
    this.#index.delete(edge);
    this.#unsaved.delete(edge);
    const edges = this.#bySource.get(edge.source);
    edges?.delete(edge);
    if (edges?.size === 0) this.#bySource.delete(edge.source);
    this.#size -= 1;
  }
}
