/**
 * The store in memory: the model that every other store is tested against, and enough for trying netwall out.
 *
 * What is kept is text, as in a file: what is read is a copy, and holds nothing that JSON cannot say.
 *
 * @module
 */
import type { NetwallEvent } from "../events/event.ts";
import { edgeId } from "../policy/edge.ts";
import { type EdgeHour, HOURS_MAX } from "../policy/edge_traffic.ts";
import type { EdgeRecord, FlowRecord } from "../policy/record.ts";
import { eventMatches, flowKey, flowSum, pageLimit } from "./query.ts";
import {
  type AuditEntry,
  AUDITS_STORED_MAX,
  EDGES_STORED_MAX,
  type EventQuery,
  type Page,
  POLICIES_STORED_MAX,
  type PolicyVersion,
  PRUNE_SLICE,
  type Retention,
  type Store,
  StoreError,
} from "./store.ts";

/** Events and, apart from them, flows that are kept; the oldest make room. At some 2 KiB each it is 40 MiB. */
export const EVENTS_MAX = 20_000;

const HOUR_MS = 3_600_000;

/** Implements `Store` without a file: what it holds ends with the process. */
export class MemoryStore implements Store {
  /** By id, in the order in which they came. */
  readonly #events = new Map<string, NetwallEvent>();
  readonly #edges = new Map<string, EdgeRecord>();
  readonly #flows = new Map<string, FlowRecord>();
  readonly #states = new Map<string, string>();
  #policies: PolicyVersion[] = [];
  #audits: AuditEntry[] = [];
  #lastSeq = 0;
  #isOpen = true;

  putEvents(events: readonly NetwallEvent[]): void {
    this.#check();
    // All copies are made first: one that cannot be made leaves everything as it was.
    for (const event of events.map(copyOf)) {
      this.#events.set(event.id, event);
      this.#lastSeq = Math.max(this.#lastSeq, event.seq);
    }
    forgetOldest(this.#events, EVENTS_MAX);
  }

  events(query: EventQuery): Page<NetwallEvent> {
    this.#check();
    const { before, looksMax = Infinity } = query;
    const sorted = [...this.#events.values()].filter(({ id }) => before === undefined || id < before)
      .toSorted((a, b) => a.id < b.id ? 1 : -1);
    const looked = sorted.slice(0, looksMax);
    const page = pageOf(
      looked.filter((event) => eventMatches(event, query)),
      query.limit,
      ({ id }) => id,
      before,
    );
    // It was not looked any further: where to go on is where that was.
    const floor = looked.length === looksMax ? looked.at(-1)?.id : undefined;
    return page.next !== undefined || floor === undefined ? page : { ...page, next: floor };
  }

  event(id: string): NetwallEvent | undefined {
    this.#check();
    const event = this.#events.get(id);
    return event === undefined ? undefined : copyOf(event);
  }

  eventsAfter(seq: number, limit: number): NetwallEvent[] {
    this.#check();
    return [...this.#events.values()].filter((event) => event.seq > seq).toSorted((a, b) => a.seq - b.seq)
      .slice(0, pageLimit(limit)).map(copyOf);
  }

  lastSeq(): number {
    this.#check();
    return this.#lastSeq;
  }

  putEdges(edges: readonly EdgeRecord[]): void {
    this.#check();
    for (const edge of edges.map(copyOf)) this.#edges.set(edge.id, edge);
  }

  edges(): EdgeRecord[] {
    this.#check();
    return [...this.#edges.values()].toSorted((a, b) => a.id < b.id ? -1 : 1).map(copyOf);
  }

  addFlows(flows: readonly FlowRecord[]): void {
    this.#check();
    for (const flow of flows.map(copyOf)) {
      const key = flowKey(flow);
      const known = this.#flows.get(key);
      this.#flows.set(key, known === undefined ? flow : flowSum(known, flow));
    }
    forgetOldest(this.#flows, EVENTS_MAX);
  }

  flows(sinceMs: number, limit: number): FlowRecord[] {
    this.#check();
    return [...this.#flows.values()].filter(({ hourMs }) => hourMs >= sinceMs)
      .toSorted((a, b) => b.hourMs - a.hourMs).slice(0, limit).map(copyOf);
  }

  edgeHours(edge: string, fromMs: number): EdgeHour[] {
    this.#check();
    const hours = new Map<number, EdgeHour>();
    for (const flow of this.#flows.values()) {
      const { hourMs, count, bytes, verdict } = flow;
      if (hourMs < fromMs || hourMs >= fromMs + HOURS_MAX * HOUR_MS || edgeId(flow) !== edge) continue;
      const hour = hours.get(hourMs) ?? { hourMs, count: 0, droppedCount: 0, bytes: 0 };
      hours.set(hourMs, {
        ...{ hourMs, count: hour.count + count, bytes: hour.bytes + bytes },
        droppedCount: hour.droppedCount + (verdict === "dropped" ? count : 0),
      });
    }
    return [...hours.values()].toSorted((a, b) => a.hourMs - b.hourMs);
  }

  addPolicy(added: Omit<PolicyVersion, "version">): PolicyVersion {
    this.#check();
    const version = { ...copyOf(added), version: (this.#policies.at(-1)?.version ?? 0) + 1 };
    this.#policies = [...this.#policies, version].slice(-POLICIES_STORED_MAX);
    return copyOf(version);
  }

  policy(version?: number): PolicyVersion | undefined {
    this.#check();
    const found = version === undefined
      ? this.#policies.at(-1)
      : this.#policies.find((each) => each.version === version);
    return found === undefined ? undefined : copyOf(found);
  }

  policies(limit: number, before?: number): Page<Omit<PolicyVersion, "document">> {
    this.#check();
    const heads = this.#policies.map(({ document: _document, ...head }) => head);
    return pageOf(heads, limit, ({ version }) => version, before);
  }

  addAudit(entry: Omit<AuditEntry, "id">): AuditEntry {
    this.#check();
    const added = { ...copyOf(entry), id: (this.#audits.at(-1)?.id ?? 0) + 1 };
    this.#audits.push(added);
    if (this.#audits.length > AUDITS_STORED_MAX) this.#audits.shift();
    return { ...added };
  }

  audits(limit: number, before?: number): Page<AuditEntry> {
    this.#check();
    return pageOf(this.#audits, limit, ({ id }) => id, before);
  }

  atomically<T>(work: () => T): T {
    this.#check();
    const maps = [this.#events, this.#edges, this.#flows, this.#states] as Map<string, unknown>[];
    const before = maps.map((map) => new Map(map));
    const [policies, audits, lastSeq] = [this.#policies, [...this.#audits], this.#lastSeq];
    try {
      return work();
    } catch (error) {
      maps.forEach((map, index) => {
        map.clear();
        for (const [key, value] of before[index]!) map.set(key, value);
      });
      [this.#policies, this.#audits, this.#lastSeq] = [policies, audits, lastSeq];
      throw error;
    }
  }

  putState(name: string, text: string): void {
    this.#check();
    this.#states.set(name, text.toWellFormed());
  }

  state(name: string): string | undefined {
    this.#check();
    return this.#states.get(name);
  }

  prune({ beforeMs, bytesMax }: Retention): number {
    this.#check();
    const events = [...this.#events.values()].toSorted((a, b) => a.time - b.time).slice(0, PRUNE_SLICE);
    const flows = [...this.#flows].toSorted(([, a], [, b]) => a.hourMs - b.hourMs).slice(0, PRUNE_SLICE);
    const before = this.#events.size + this.#flows.size + this.#edges.size;
    for (const { id, time } of events) if (time < beforeMs) this.#events.delete(id);
    for (const [key, { hourMs }] of flows) if (hourMs + HOUR_MS <= beforeMs) this.#flows.delete(key);
    const edges = [...this.#edges.values()].toSorted((a, b) => a.lastSeenMs - b.lastSeenMs);
    const edgesOver = Math.min(PRUNE_SLICE, Math.max(0, edges.length - EDGES_STORED_MAX));
    for (const { id } of edges.slice(0, edgesOver)) this.#edges.delete(id);
    const gone = before - this.#events.size - this.#flows.size - this.#edges.size;
    if (gone > 0 || this.sizeBytes() <= bytesMax) return gone;
    const [event, flow] = [events[0], flows[0]?.[1]];
    if (event !== undefined && event.time <= (flow?.hourMs ?? Infinity) + HOUR_MS) {
      for (const { id } of events) this.#events.delete(id);
      return events.length;
    }
    const oldest = flows.filter(([, { hourMs }]) => hourMs === flow?.hourMs);
    for (const [key] of oldest) this.#flows.delete(key);
    return oldest.length;
  }

  sizeBytes(): number {
    const all = [this.#events, this.#edges, this.#flows, this.#states].flatMap((map) => [...map.values()]);
    return [...all, ...this.#policies, ...this.#audits].reduce<number>(
      (sum, value) => sum + JSON.stringify(value).length,
      0,
    );
  }

  close(): void {
    this.#isOpen = false;
  }

  #check(): void {
    if (!this.#isOpen) throw new StoreError("Cannot use the store in memory: it was closed", "io");
  }
}

/** What a file would give back. */
function copyOf<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}

/** The greatest keys below `before`, from the greatest on. */
function pageOf<T, K extends string | number>(
  items: readonly T[],
  limit: number,
  keyOf: (item: T) => K,
  before: K | undefined,
): Page<T> {
  pageLimit(limit);
  const sorted = items.filter((item) => before === undefined || keyOf(item) < before)
    .toSorted((a, b) => keyOf(a) < keyOf(b) ? 1 : -1);
  const page = sorted.slice(0, limit).map(copyOf);
  const last = page.at(-1);
  return sorted.length > limit && last !== undefined
    ? { items: page, next: String(keyOf(last)) }
    : { items: page };
}

function forgetOldest(map: Map<string, unknown>, sizeMax: number): void {
  for (const key of map.keys()) {
    if (map.size <= sizeMax) return;
    map.delete(key);
  }
}
