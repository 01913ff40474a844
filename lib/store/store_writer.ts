/**
 * Stands between the data path and the store: takes changes in at once, and writes them in small transactions.
 *
 * Nothing here throws to its caller, and nothing waits for the disk. While the store cannot be written the newest
 * changes wait in bounded queues and are tried again; what finds no room is counted. Each call of the store holds the
 * event loop, so a turn writes few rows and leaves the loop to others before the next.
 *
 * @module
 */
import type { NetwallEvent } from "../events/event.ts";
import type { EdgeRecord, FlowRecord } from "../policy/record.ts";
import { EventQueue, EVENTS_QUEUED_MAX } from "./event_queue.ts";
import { flowKey, flowSum } from "./query.ts";
import { type Clocks, SetClock } from "./set_clock.ts";
import { type Retention, type Store, type StoreError, storeErrorOf } from "./store.ts";

/** How long a change may wait before it is written. */
export const FLUSH_MS = 200;
/**
 * Rows of one turn: 1 to 2.5 ms of processor time under Bun, 2.5 to 4 under Deno (11 to 33 µs each, on a busy machine).
 * One turn in ten waits for the disk as well, when SQLite writes its log back.
 */
export const TURN_ROWS_MAX = 128;
/** Edges and flows that wait, each; an edge or flow that waits takes up its own next change. */
export const RECORDS_QUEUED_MAX = 8_192;
/** Names of states that wait. The gateway has a handful. */
export const STATES_QUEUED_MAX = 64;
/** How long after a fault it is tried again: doubled each time, up to the second. */
export const RETRY_MS = 250;
export const RETRY_MS_MAX = 10_000;
/** How often it is looked whether there is something to delete. */
export const PRUNE_MS = 10_000;
/** The pause between two slices of deletion: as long as a slice takes, so that traffic gets its half. */
const PRUNE_PAUSE_MS = 10;
/**
 * How far `seq` starts beyond the last that was stored. A reader may have seen numbers that a kill kept out of the
 * store: they must not come again, as that reader asks for what came after them.
 */
export const SEQ_GAP = 1_000_000;
/** A name under which it is tried whether the store takes anything at all. */
const PROBE = "writer.probe";

/** What could not be written down, by kind. */
export interface Unrecorded {
  readonly events: number;
  readonly edges: number;
  readonly flows: number;
  readonly states: number;
}

export interface StoreWriterOptions {
  /** The store cannot be written any more. Once for each fault. */
  onFault(error: StoreError): void;
  /** It can again. */
  onHealed(): void;
  /** All events up to this `seq` that were not lost are in the store. Must not throw, as the two above. */
  onCommitted?(seq: number): void;
  /** What is deleted from time to time. @default nothing */
  retention?(): Retention;
  /** How often it is looked whether there is something to delete. @default 10,000 */
  readonly pruneMs?: number;
  /** @default those of the process */
  readonly clocks?: Clocks;
  /** How many events may wait. @default EVENTS_QUEUED_MAX */
  readonly eventsQueuedMax?: number;
}

type Kind = keyof Unrecorded;

export class StoreWriter {
  readonly #store: Store;
  readonly #options: StoreWriterOptions;
  readonly #events: EventQueue;
  readonly #edges = new Map<string, EdgeRecord>();
  readonly #flows = new Map<string, FlowRecord>();
  readonly #states = new Map<string, string>();
  readonly #unrecorded = { events: 0, edges: 0, flows: 0, states: 0 };
  #seq: number;
  #fault: StoreError | undefined;
  #retryMs = RETRY_MS;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Whether the timer is for the next turn already, and not for the end of `FLUSH_MS`. */
  #isSoon = false;
  #pruneTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #pruneMs: number;
  #isClosed = false;
  readonly #clock: SetClock;

  /** @throws {StoreError} When the store cannot say what its last `seq` was. */
  constructor(store: Store, options: StoreWriterOptions) {
    this.#store = store;
    this.#clock = new SetClock(options.clocks);
    this.#options = options;
    this.#events = new EventQueue(options.eventsQueuedMax ?? EVENTS_QUEUED_MAX);
    const lastSeq = store.lastSeq();
    this.#seq = lastSeq === 0 ? 0 : lastSeq + SEQ_GAP;
    this.#pruneMs = options.pruneMs ?? PRUNE_MS;
    if (options.retention !== undefined) this.#pruneIn(this.#pruneMs);
  }

  /** The next `seq`: greater than any that was ever given out over this store. */
  nextSeq(): number {
    return ++this.#seq;
  }

  /** What was lost since the start. */
  get unrecorded(): Unrecorded {
    return { ...this.#unrecorded };
  }

  /** Why the store cannot be written now. */
  get fault(): StoreError | undefined {
    return this.#fault;
  }

  /** How many changes wait. */
  get waiting(): number {
    return this.#events.size + this.#edges.size + this.#flows.size + this.#states.size;
  }

  /** @param event New or changed, with a `seq` from `nextSeq`. */
  event(event: NetwallEvent): void {
    if (this.#isClosed) return void this.#unrecorded.events++;
    this.#unrecorded.events += this.#events.put(event);
    this.#schedule();
  }

  /** @param edge With its counts so far: a later one takes its place. */
  edge(edge: EdgeRecord): void {
    // What changed last is last in the queue, so that the one that waited longest makes room.
    this.#edges.delete(edge.id);
    this.#queue("edges", this.#edges, edge.id, edge, RECORDS_QUEUED_MAX);
  }

  /** @param flow Its count is added to that of equal ones. */
  flow(flow: FlowRecord): void {
    const key = flowKey(flow);
    const waiting = this.#flows.get(key);
    const sum = waiting === undefined ? flow : flowSum(waiting, flow);
    this.#queue("flows", this.#flows, key, sum, RECORDS_QUEUED_MAX);
  }

  /** @param text Takes the place of what waits or is stored under the name. Left out, what waits is dropped. */
  state(name: string, text?: string): void {
    if (text === undefined) this.#states.delete(name);
    else this.#queue("states", this.#states, name, text, STATES_QUEUED_MAX);
  }

  /** Writes all that waits, now. What the store does not take keeps waiting. */
  flush(): void {
    while (this.waiting > 0 && this.#turn());
    if (this.waiting > 0) this.#schedule();
  }

  /** Writes what waits and ends; what cannot be written is counted. The store stays open. */
  close(): void {
    if (this.#isClosed) return;
    this.flush();
    this.#isClosed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#pruneTimer);
    this.#unrecorded.events += this.#events.size;
    this.#unrecorded.edges += this.#edges.size;
    this.#unrecorded.flows += this.#flows.size;
    this.#unrecorded.states += this.#states.size;
  }

  #queue<T>(kind: Kind, queue: Map<string, T>, key: string, value: T, countMax: number): void {
    if (this.#isClosed) return void this.#unrecorded[kind]++;
    if (!queue.has(key) && queue.size >= countMax) {
      const [oldest] = queue.keys();
      queue.delete(oldest!);
      this.#unrecorded[kind]++;
    }
    queue.set(key, value);
    this.#schedule();
  }

  /** Sets the timer, or an earlier one when a whole turn is waiting. In a fault, its own pace holds. */
  #schedule(): void {
    if (this.#isClosed) return;
    const isSoon = this.#fault === undefined && this.waiting >= TURN_ROWS_MAX;
    if (this.#timer !== undefined && (this.#isSoon || !isSoon)) return;
    clearTimeout(this.#timer);
    this.#isSoon = isSoon;
    const delayMs = this.#fault !== undefined ? this.#retryMs : isSoon ? 0 : FLUSH_MS;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#isSoon = false;
      this.#turn();
      if (this.waiting > 0) this.#schedule();
    }, delayMs);
    this.#timer.unref();
  }

  /** Writes up to `TURN_ROWS_MAX` rows of what waits longest. @returns Whether the store took them. */
  #turn(): boolean {
    const events = this.#events.first(TURN_ROWS_MAX * 3 / 4);
    // However many events come, edges and flows have an eighth of each turn.
    const room = Math.floor((TURN_ROWS_MAX - events.length) / 2);
    const written = this.#put("events", events, (items) => {
      this.#store.putEvents(items);
      this.#events.settle(items);
      this.#options.onCommitted?.(items.at(-1)!.seq);
    }, (items) => this.#events.settle(items));
    return written && this.#putMap("states", this.#states, 1, ([[name, text]]) => {
      this.#store.putState(name, text);
    }) && this.#putMap("edges", this.#edges, room, (entries) => {
      this.#store.putEdges(entries.map(([, edge]) => edge));
    }) && this.#putMap("flows", this.#flows, room, (entries) => {
      this.#store.addFlows(entries.map(([, flow]) => flow));
    });
  }

  #putMap<T>(
    kind: Kind,
    queue: Map<string, T>,
    countMax: number,
    write: (entries: [[string, T], ...[string, T][]]) => void,
  ): boolean {
    const settle = (entries: readonly [string, T][]): void => entries.forEach(([key]) => queue.delete(key));
    return this.#put(kind, [...queue.entries().take(countMax)], (entries) => {
      write(entries);
      settle(entries);
    }, settle);
  }

  #put<T>(
    kind: Kind,
    items: readonly T[],
    write: (items: [T, ...T[]]) => void,
    settle: (items: readonly T[]) => void,
  ): boolean {
    const [first, ...rest] = items;
    if (first === undefined) return true;
    try {
      write([first, ...rest]);
      return this.#healed();
    } catch (cause) {
      const error = storeErrorOf(cause);
      if (error.code !== "io" || !this.#probe()) return this.#failed(error);
    }
    // The store works: something in there is not to be stored. It must not keep all others out for ever.
    for (const item of items) {
      try {
        write([item]);
      } catch {
        settle([item]);
        this.#unrecorded[kind]++;
      }
    }
    return this.#healed();
  }

  #probe(): boolean {
    try {
      this.#store.putState(PROBE, "");
      return true;
    } catch {
      return false;
    }
  }

  #failed(error: StoreError): false {
    const isNew = this.#fault === undefined;
    this.#retryMs = isNew ? RETRY_MS : Math.min(2 * this.#retryMs, RETRY_MS_MAX);
    this.#fault = error;
    if (isNew) this.#options.onFault(error);
    return false;
  }

  #healed(): true {
    if (this.#fault === undefined) return true;
    this.#fault = undefined;
    this.#options.onHealed();
    return true;
  }

  #pruneIn(delayMs: number): void {
    this.#pruneTimer = setTimeout(() => {
      if (this.#isClosed) return;
      this.#pruneIn(this.#prune() > 0 ? PRUNE_PAUSE_MS : this.#pruneMs);
    }, delayMs);
    this.#pruneTimer.unref();
  }

  /** A store that cannot delete is not reported from here: it soon is, when it cannot write. */
  #prune(): number {
    const retention = this.#options.retention?.();
    if (retention === undefined || this.#fault !== undefined) return 0;
    try {
      return this.#store.prune({ ...retention, beforeMs: retention.beforeMs - this.#clock.leapMs() });
    } catch {
      return 0;
    }
  }
}
