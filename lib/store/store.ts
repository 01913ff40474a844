/**
 * Where the gateway keeps what must outlive it: events, edges, flows, the versions of the policy, the model, and who
 * changed what.
 *
 * Calls are synchronous: what has returned is in the store, also if the process is killed right after. A call that
 * cannot be done throws `StoreError` and changes nothing. Nobody on the data path calls any of it: `StoreWriter` does,
 * from a bounded queue.
 *
 * @module
 */
import type { EventType, NetwallEvent } from "../events/event.ts";
import type { PolicyDocument } from "../policy/document.ts";
import type { EdgeHour } from "../policy/edge_traffic.ts";
import type { EdgeRecord, FlowRecord } from "../policy/record.ts";

/**
 * The store cannot do what was asked.
 *
 * `full`: no space. `corrupt`: the file is no store or is damaged. `newer`: made by a later release. `busy`: another
 * process writes. `io`: anything else.
 */
export class StoreError extends Error {
  override name = "StoreError";
  constructor(
    message: string,
    readonly code: "full" | "corrupt" | "newer" | "busy" | "io",
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Whatever a store throws is a fault of it: what is on the data path must not end for a bug in there. */
export function storeErrorOf(cause: unknown): StoreError {
  if (cause instanceof StoreError) return cause;
  const text = cause instanceof Error ? cause.message : String(cause);
  return new StoreError(`Cannot write to the store: ${text}`, "io", { cause });
}

/** What to look for; all that is given must hold. Texts are compared whole. */
export interface EventQuery {
  /** The last time of the event is this or later. */
  readonly sinceMs?: number;
  /** The last time of the event is before this. */
  readonly untilMs?: number;
  readonly type?: EventType;
  readonly severity?: NetwallEvent["severity"];
  /** Of either end, as the two below. */
  /** With its tag or digest, or without. */
  readonly image?: string;
  readonly namespace?: string;
  readonly service?: string;
  /** The name of the source. */
  readonly source?: string;
  readonly destination?: string;
  /** Any of these; of none there is no event. */
  readonly effect?: readonly NetwallEvent["effect"][];
  readonly verdict?: NetwallEvent["verdict"];
  readonly direction?: NetwallEvent["direction"];
  /** What either end claims to be: its hostname, the name of its container, or its id or the first 12 signs of it. */
  readonly host?: string;
  /** Is in the message, the path or a name. In this one and `host` the case of ASCII letters does not count. */
  readonly q?: string;
  /** Only events before this one, by id: the next page. */
  readonly before?: string;
  /** From 1 to `PAGE_MAX`. */
  readonly limit: number;
  /**
   * How many events are looked at, found or not: a bound on how long the call holds the loop. Then a page may be
   * short, or empty, and still have a `next`. @default all
   */
  readonly looksMax?: number;
}

export const PAGE_MAX = 1_000;

/** Versions of the policy that are kept: a rollback goes no further back. The oldest are deleted. */
export const POLICIES_STORED_MAX = 500;
/** Entries of the audit log that are kept. The oldest are deleted. */
export const AUDITS_STORED_MAX = 100_000;
/** Edges that are kept; `prune` deletes those that were seen least lately. */
export const EDGES_STORED_MAX = 50_000;
/** The most events and as many flows that one call of `prune` deletes, so that it holds the event loop shortly. */
export const PRUNE_SLICE = 500;

/** Newest first. */
export interface Page<T> {
  readonly items: T[];
  /** What to give as `before` for the next page; absent on the last one. */
  readonly next?: string;
}

/** One version of the policy. Versions count from 1 and are never changed. */
export interface PolicyVersion {
  readonly version: number;
  readonly atMs: number;
  /** Who made it. */
  readonly by: string;
  readonly comment: string;
  /** Without the model. */
  readonly document: PolicyDocument;
}

/** One change that somebody made. */
export interface AuditEntry {
  readonly id: number;
  readonly atMs: number;
  readonly by: string;
  readonly role: string;
  /** Such as `policy.apply`. */
  readonly action: string;
  /** What it was done to, and how it ended; short. */
  readonly detail: string;
}

export interface Retention {
  /** Events and flows that ended before are deleted. */
  readonly beforeMs: number;
  /** The oldest events and flows are deleted until the store is not larger. */
  readonly bytesMax: number;
}

export interface Store {
  /** Adds new events and takes changed ones (same id) in, all or none. */
  putEvents(events: readonly NetwallEvent[]): void;
  events(query: EventQuery): Page<NetwallEvent>;
  event(id: string): NetwallEvent | undefined;
  /** In the order of `seq`, from the first after it. */
  eventsAfter(seq: number, limit: number): NetwallEvent[];
  /** The greatest `seq` that any event ever had; 0 when there was none. */
  lastSeq(): number;

  putEdges(edges: readonly EdgeRecord[]): void;
  edges(): EdgeRecord[];
  /** Adds to the sums of equal records (all but `count`, `bytes`, `path` and `address`; the last two of the first stay). */
  addFlows(flows: readonly FlowRecord[]): void;
  /** Newest hour first. */
  flows(sinceMs: number, limit: number): FlowRecord[];
  /**
   * The sums of the flows of one edge by the hour, in the `HOURS_MAX` hours from a time on, the oldest first. Hours
   * without any are left out. When flows are deleted, a sum may go a little before the last flow of its hour.
   */
  edgeHours(edgeId: string, fromMs: number): EdgeHour[];

  /** @returns It, with its number: one more than the newest. */
  addPolicy(version: Omit<PolicyVersion, "version">): PolicyVersion;
  /** @param version The newest when it is left out. */
  policy(version?: number): PolicyVersion | undefined;
  /** Newest first, without their documents. */
  policies(limit: number, before?: number): Page<Omit<PolicyVersion, "document">>;

  addAudit(entry: Omit<AuditEntry, "id">): AuditEntry;
  /** Newest first. */
  audits(limit: number, before?: number): Page<AuditEntry>;

  /**
   * Writes several things, all or none of them; they are on the disk when it returns. Reading in between sees them.
   *
   * @param work Calls of this store alone; what it throws undoes them. It is not to wait for anything.
   */
  atomically<T>(work: () => T): T;

  /** A text under a name: the model, the staged policy. */
  putState(name: string, text: string): void;
  state(name: string): string | undefined;

  /**
   * Deletes a slice of what is too old or too much.
   *
   * @returns How many events, flows and edges went: call it again, in another turn, until it is 0.
   */
  prune(retention: Retention): number;
  sizeBytes(): number;
  close(): void;
}
