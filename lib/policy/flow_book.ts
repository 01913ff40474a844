/**
 * What was asked for, hour by hour: sums of equal requests and connections, to try a policy on.
 *
 * The data path notes every request here; the writer takes what was added since and adds it in the store. What a
 * policy does not look at is not kept: no query, no header, one path and one address as a sample of each sum.
 * Nothing is lost to a flood but detail: over a bound requests are summed by their edge and verdict alone.
 *
 * @module
 */
import { ownCopy } from "../own_copy.ts";
import { type Ends, EndsMap, endsOf } from "./ends_map.ts";
import type { Flow, HttpRequestFacts, Judgement, Verdict } from "./flow.ts";
import type { FlowRecord } from "./record.ts";
import { PATH_CHARS_MAX } from "./segment.ts";

/** Sums of one hour. Each is about 3 KiB at most, and two hours can wait for the writer: 120 MiB. */
export const FLOWS_PER_HOUR_MAX = 20_000;

/** Of these, what is not in the model: so that no flood of the unknown takes the room of what is learned. */
export const FLOWS_UNLEARNED_PER_HOUR_MAX = 10_000;

/** Of these, what one source may have: all visitors of a network are one. */
export const FLOWS_UNLEARNED_PER_SOURCE_MAX = 2_000;

/** Sums by edge and verdict alone, besides; and those of one source. More is only counted. */
export const FLOWS_MERGED_PER_HOUR_MAX = 5_000;
export const FLOWS_MERGED_PER_SOURCE_MAX = 1_000;

/** Sums of one edge and route, by method, host, content type and verdict. They are searched one by one. */
export const FLOWS_PER_ROUTE_MAX = 64;

/**
 * One more than a path that can be learned: a sample is judged again when a policy is tried, and one that was cut
 * must not pass for something known.
 */
export const PATH_SAMPLE_CHARS_MAX = PATH_CHARS_MAX + 1;

/** Method, host, route and content type together; of what is longer, requests are summed by their edge. */
export const FLOW_TEXT_CHARS_MAX = 2_048;

/** An IPv6 address has 45 characters, and its zone a few. */
const ADDRESS_CHARS_MAX = 64;

const HOUR_MS = 3_600_000;

export interface FlowBookOptions {
  /** @default FLOWS_PER_HOUR_MAX */
  readonly perHourMax?: number;
  /** @default FLOWS_UNLEARNED_PER_HOUR_MAX */
  readonly unlearnedPerHourMax?: number;
  /** @default FLOWS_UNLEARNED_PER_SOURCE_MAX */
  readonly unlearnedPerSourceMax?: number;
  /** @default FLOWS_MERGED_PER_HOUR_MAX */
  readonly mergedPerHourMax?: number;
  /** @default FLOWS_MERGED_PER_SOURCE_MAX */
  readonly mergedPerSourceMax?: number;
}

/** One sum. `count` and `bytes` are what the writer has not taken yet. */
interface Sum extends Omit<FlowRecord, keyof Ends | "hourMs" | "count" | "bytes"> {
  readonly ends: Ends;
  readonly hourMs: number;
  count: number;
  bytes: number;
}

/** The sums of one edge. */
interface EdgeSums {
  readonly ends: Ends;
  readonly byRoute: Map<string, Sum[]>;
  readonly merged: Map<Verdict, Sum>;
}

/** What a source has taken of its shares in this hour. */
interface Share {
  unlearned: number;
  merged: number;
}

const NO_HTTP: HttpRequestFacts = { method: "", host: "", path: "", contentType: "" };

export class FlowBook {
  readonly #perHourMax: number;
  readonly #unlearnedPerHourMax: number;
  readonly #unlearnedPerSourceMax: number;
  readonly #mergedPerHourMax: number;
  readonly #mergedPerSourceMax: number;
  /** Sums with something to take. Those of an hour that is over are nowhere else. */
  #dirty: Sum[] = [];
  #hourMs = NaN;
  #edges = new EndsMap<EdgeSums>();
  /** Of those sources that have a sum. */
  #shares = new Map<string, Share>();
  #size = 0;
  #unlearnedSize = 0;
  #mergedSize = 0;
  #merged = 0;
  #unrecorded = 0;

  constructor(options: FlowBookOptions = {}) {
    this.#perHourMax = options.perHourMax ?? FLOWS_PER_HOUR_MAX;
    this.#unlearnedPerHourMax = options.unlearnedPerHourMax ?? FLOWS_UNLEARNED_PER_HOUR_MAX;
    this.#unlearnedPerSourceMax = options.unlearnedPerSourceMax ?? FLOWS_UNLEARNED_PER_SOURCE_MAX;
    this.#mergedPerHourMax = options.mergedPerHourMax ?? FLOWS_MERGED_PER_HOUR_MAX;
    this.#mergedPerSourceMax = options.mergedPerSourceMax ?? FLOWS_MERGED_PER_SOURCE_MAX;
  }

  /** Sums of this hour. */
  get size(): number {
    return this.#size + this.#mergedSize;
  }

  /** Requests that were summed by edge and verdict alone. */
  get merged(): number {
    return this.#merged;
  }

  /** Requests that are in no sum: there was no room, or the writer did not take them in time. */
  get unrecorded(): number {
    return this.#unrecorded;
  }

  /**
   * Adds one request or connection.
   *
   * @param sourceName The id of the source's group, or the name of its network.
   * @param route The route as it is known; anything for a raw connection.
   * @param bytes Both ways together.
   */
  note(
    flow: Flow,
    judgement: Judgement,
    sourceName: string,
    route: string,
    nowMs: number,
    bytes: number = 0,
  ): void {
    // A clock that is set back begins an hour anew, which the store adds to the one it has.
    if (!(nowMs >= this.#hourMs && nowMs < this.#hourMs + HOUR_MS)) this.#turn(nowMs);
    const edge = this.#edges.get(flow, sourceName);
    const sum = edge === undefined ? undefined : find(edge, flow, judgement.verdict, route);
    const counted = sum ?? this.#make(edge, flow, judgement, sourceName, route);
    if (counted === undefined) {
      this.#unrecorded += 1;
      return;
    }
    if (counted.count === 0) this.#dirty.push(counted);
    counted.count += 1;
    counted.bytes += bytes;
  }

  /** What was added since it was last taken, at most `max` records; the oldest hour first. */
  takeDirty(max: number): FlowRecord[] {
    return this.#dirty.splice(0, max).map((sum) => {
      const { ends, count, bytes, hourMs, ...facts } = sum;
      sum.count = 0;
      sum.bytes = 0;
      return { ...ends, hourMs, ...facts, count, bytes };
    });
  }

  /** Begins an hour. What is left of the one before the last was not taken in an hour: it is given up. */
  #turn(nowMs: number): void {
    const last = this.#hourMs;
    const kept: Sum[] = [];
    for (const sum of this.#dirty) {
      if (sum.hourMs === last && kept.length < this.#perHourMax + this.#mergedPerHourMax) kept.push(sum);
      else this.#unrecorded += sum.count;
    }
    this.#dirty = kept;
    this.#hourMs = Math.floor(nowMs / HOUR_MS) * HOUR_MS;
    this.#edges = new EndsMap();
    this.#shares = new Map();
    this.#size = 0;
    this.#unlearnedSize = 0;
    this.#mergedSize = 0;
  }

  /** A sum for what has none yet: of its own if there is room, or else the one of its edge and verdict. */
  #make(
    known: EdgeSums | undefined,
    flow: Flow,
    { verdict, reason }: Judgement,
    sourceName: string,
    route: string,
  ): Sum | undefined {
    const ends = known?.ends ?? endsOf(flow, sourceName);
    if (ends === undefined) return undefined;
    const edge = known ?? { ends, byRoute: new Map<string, Sum[]>(), merged: new Map<Verdict, Sum>() };
    const share = this.#shares.get(ends.source) ?? { unlearned: 0, merged: 0 };
    const isLearned = reason.kind === "learned";
    const isOwn = this.#hasRoom(share, isLearned) && isKept(edge, flow, route);
    const sum = isOwn
      ? this.#addOwn(edge, flow, verdict, route)
      : this.#addMerged(edge, flow, verdict, share);
    if (sum === undefined) return undefined;
    if (isOwn && !isLearned) {
      share.unlearned += 1;
      this.#unlearnedSize += 1;
    }
    // Only what has a sum is kept, so that the sums bound the edges and the sources too.
    this.#shares.set(ends.source, share);
    if (known === undefined) this.#edges.set(ends, edge);
    return sum;
  }

  #hasRoom({ unlearned }: Share, isLearned: boolean): boolean {
    if (this.#size >= this.#perHourMax) return false;
    return isLearned ||
      (unlearned < this.#unlearnedPerSourceMax && this.#unlearnedSize < this.#unlearnedPerHourMax);
  }

  #addOwn(edge: EdgeSums, flow: Flow, verdict: Verdict, route: string): Sum {
    const http = flow.http ?? NO_HTTP;
    const sum: Sum = {
      ends: edge.ends,
      hourMs: this.#hourMs,
      address: addressOf(flow),
      method: ownCopy(http.method),
      httpHost: ownCopy(http.host),
      route: flow.http === undefined ? "" : ownCopy(route),
      path: pathSample(http.path),
      contentType: ownCopy(http.contentType),
      verdict,
      count: 0,
      bytes: 0,
    };
    const sums = edge.byRoute.get(sum.route);
    if (sums === undefined) edge.byRoute.set(sum.route, [sum]);
    else sums.push(sum);
    this.#size += 1;
    return sum;
  }

  #addMerged(edge: EdgeSums, flow: Flow, verdict: Verdict, share: Share): Sum | undefined {
    const known = edge.merged.get(verdict);
    const isFull = share.merged >= this.#mergedPerSourceMax || this.#mergedSize >= this.#mergedPerHourMax;
    if (known === undefined && isFull) return undefined;
    this.#merged += 1;
    if (known !== undefined) return known;
    const nothing = { method: "", httpHost: "", route: "", path: "", contentType: "" };
    const address = addressOf(flow);
    const { ends } = edge;
    const sum: Sum = { ends, hourMs: this.#hourMs, address, ...nothing, verdict, count: 0, bytes: 0 };
    edge.merged.set(verdict, sum);
    share.merged += 1;
    this.#mergedSize += 1;
    return sum;
  }
}

/** The sum of its own that a flow has, if any. */
function find(edge: EdgeSums, { http = NO_HTTP }: Flow, verdict: Verdict, route: string): Sum | undefined {
  const sums = edge.byRoute.get(http === NO_HTTP ? "" : route);
  if (sums === undefined) return undefined;
  for (const sum of sums) {
    if (
      sum.verdict === verdict && sum.method === http.method && sum.contentType === http.contentType &&
      sum.httpHost === http.host
    ) return sum;
  }
  return undefined;
}

/** Whether its texts are such as are kept, and its route has not too many sums. */
function isKept(edge: EdgeSums, { http = NO_HTTP }: Flow, route: string): boolean {
  const chars = route.length + http.method.length + http.host.length + http.contentType.length;
  const sums = edge.byRoute.get(http === NO_HTTP ? "" : route);
  return chars <= FLOW_TEXT_CHARS_MAX && (sums === undefined || sums.length < FLOWS_PER_ROUTE_MAX);
}

function addressOf({ source }: Flow): string {
  return source.kind === "outside" ? ownCopy(source.address.slice(0, ADDRESS_CHARS_MAX)) : "";
}

/** A path as an example: no query, even if one slipped in. */
function pathSample(path: string): string {
  const end = path.indexOf("?");
  return ownCopy(path.slice(0, Math.min(end < 0 ? path.length : end, PATH_SAMPLE_CHARS_MAX)));
}
