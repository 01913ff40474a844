/**
 * Makes events of what is noticed: equal ones become one with a count, and whoever listens is told.
 *
 * Pure apart from its clock: it has no timer, so its owner calls `tick` each second. A new event is written at once,
 * a changed one at most once in `WRITE_MS`; no count is ever lost on the way.
 *
 * What is noticed may be made by a stranger, who can vary a host, a path or an address without end. If each variation
 * were an event, a flood would fill the store and push older evidence out of it. So one source has so many different
 * events at a time, and all sources together have; past that, what differs only in detail is one event as well, which
 * says so. Every request is still counted.
 *
 * @module
 */
import { MERGE_MS, type NetwallEvent, type Noticed } from "./event.ts";
import { coarsened, fitted, type Grain, isVisitor, keyOf, ownEvent, sourceOf } from "./event_key.ts";

/** Different events that may still grow. All of them new in each `MERGE_MS` fill 1 GiB in some six hours. */
export const MERGE_KEYS_MAX = 8_192;
/** How many of them one source may have: enough for a scan to be seen, and 32 sources to fill the table. */
export const SOURCE_KEYS_MAX = 256;
/** How many of them all visitors may have: however many addresses they have, containers are still told apart. */
export const VISITOR_KEYS_MAX = MERGE_KEYS_MAX * 3 / 4;
/** Kept beside them for what is told apart only by type, rule and group; the oldest makes room. */
export const COARSE_KEYS_MAX = 1_024;
/** How often a growing event is written and told. */
export const WRITE_MS = 1_000;

interface Growing {
  event: NetwallEvent;
  readonly grain: Grain;
  /** Whose share of the table it takes. */
  readonly source: string;
  writtenMs: number;
}

export interface EventLogOptions {
  /** Milliseconds since 1970. */
  nowMs(): number;
  /** Greater with each call, and never one that was given out before, also by an earlier process. */
  nextSeq(): number;
  /** Keeps an event, new or changed. Must not throw. */
  write(event: NetwallEvent): void;
}

export class EventLog {
  readonly #options: EventLogOptions;
  /** By what is equal in them, in the order in which they began. */
  readonly #fine = new Map<string, Growing>();
  readonly #coarse = new Map<string, Growing>();
  readonly #byId = new Map<string, Growing>();
  readonly #perSource = new Map<string, number>();
  /** Fine ones of visitors. */
  #visitorKeys = 0;
  readonly #unwritten = new Set<Growing>();
  readonly #listeners = new Set<(event: NetwallEvent) => void>();

  constructor(options: EventLogOptions) {
    this.#options = options;
  }

  /**
   * Notes something down.
   *
   * @param noticed Texts over `EVENT_TEXT_CHARS_MAX` are cut.
   * @returns The event that it is or became part of. Its `seq` is that of when it was last written.
   */
  notice(noticed: Noticed): NetwallEvent {
    const fitting = fitted(noticed);
    const nowMs = this.#options.nowMs();
    this.#forgetEnded(nowMs);
    const fineKey = keyOf(fitting, "fine");
    const known = this.#fine.get(fineKey);
    if (known !== undefined && isOpen(known, fitting.time)) return this.#grow(known, fitting, nowMs);
    if (known !== undefined) this.#forget(this.#fine, fineKey, known);
    const source = sourceOf(fitting);
    const isSourceFull = (this.#perSource.get(source) ?? 0) >= SOURCE_KEYS_MAX;
    const isFull = this.#fine.size >= MERGE_KEYS_MAX ||
      isVisitor(fitting) && this.#visitorKeys >= VISITOR_KEYS_MAX;
    if (!isSourceFull && !isFull) {
      return this.#begin(this.#fine, fineKey, "fine", source, fitting, nowMs);
    }
    // A table that is full of other sources has no room to tell this one from them.
    return this.#noticeCoarse(fitting, source, isSourceFull ? "source" : "group", nowMs);
  }

  /** Adds the status of the answer, which comes later than the event. Without effect when another request came since. */
  answered(id: string, requestId: string, status: number): void {
    const growing = this.#byId.get(id);
    const http = growing?.event.http;
    if (growing === undefined || http?.requestId !== requestId) return;
    growing.event = { ...growing.event, http: { ...http, status } };
    this.#unwritten.add(growing);
  }

  /** Writes what has grown and was not written for `WRITE_MS`. To be called about each second. */
  tick(): void {
    const nowMs = this.#options.nowMs();
    for (const growing of this.#unwritten) {
      // A clock that was set back must not keep it waiting.
      if (Math.abs(nowMs - growing.writtenMs) >= WRITE_MS) this.#write(growing, nowMs);
    }
    this.#forgetEnded(nowMs);
  }

  /** Writes all that has grown: before an end, or before somebody reads the store. */
  flush(): void {
    for (const growing of this.#unwritten) this.#write(growing, this.#options.nowMs());
  }

  /** @param listener Told of each event when it is written, new or changed. @returns What ends it. */
  listen(listener: (event: NetwallEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #noticeCoarse(noticed: Noticed, source: string, grain: Grain, nowMs: number): NetwallEvent {
    const key = keyOf(noticed, grain);
    const coarse = coarsened(noticed, grain);
    const known = this.#coarse.get(key);
    if (known !== undefined && isOpen(known, noticed.time)) return this.#grow(known, coarse, nowMs);
    if (known !== undefined) this.#forget(this.#coarse, key, known);
    // Sources without end are told apart no longer, long before groups are.
    if (grain === "source" && this.#coarse.size >= COARSE_KEYS_MAX / 2) {
      return this.#noticeCoarse(noticed, source, "group", nowMs);
    }
    for (const [oldestKey, oldest] of this.#coarse) {
      if (this.#coarse.size < COARSE_KEYS_MAX) break;
      this.#forget(this.#coarse, oldestKey, oldest);
    }
    return this.#begin(this.#coarse, key, grain, source, coarse, nowMs);
  }

  #begin(
    table: Map<string, Growing>,
    key: string,
    grain: Grain,
    source: string,
    noticed: Noticed,
    nowMs: number,
  ): NetwallEvent {
    const seq = this.#options.nextSeq();
    const event = ownEvent({ ...noticed, id: eventId(seq), seq, firstTime: noticed.time, count: 1 });
    const growing = { event, grain, source, writtenMs: nowMs };
    table.set(key, growing);
    this.#byId.set(event.id, growing);
    if (grain === "fine") {
      this.#perSource.set(source, (this.#perSource.get(source) ?? 0) + 1);
      if (isVisitor(event)) this.#visitorKeys++;
    }
    this.#tell(event);
    return event;
  }

  #grow(growing: Growing, noticed: Noticed, nowMs: number): NetwallEvent {
    const { id, seq, firstTime, count, time } = growing.event;
    growing.event = {
      ...noticed,
      id,
      seq,
      firstTime: Math.min(firstTime, noticed.time),
      count: count + 1,
      time: Math.max(time, noticed.time),
    };
    this.#unwritten.add(growing);
    if (Math.abs(nowMs - growing.writtenMs) >= WRITE_MS) this.#write(growing, nowMs);
    return growing.event;
  }

  /** The number is taken when it is written: what is asked for by number must come in the order of numbers. */
  #write(growing: Growing, nowMs: number): void {
    this.#unwritten.delete(growing);
    growing.writtenMs = nowMs;
    growing.event = ownEvent({ ...growing.event, seq: this.#options.nextSeq() });
    this.#tell(growing.event);
  }

  #tell(event: NetwallEvent): void {
    this.#options.write(event);
    for (const listener of this.#listeners) listener(event);
  }

  /** Both tables are in the order of their beginnings, so what has ended is in front. */
  #forgetEnded(nowMs: number): void {
    for (const table of [this.#fine, this.#coarse]) {
      for (const [key, growing] of table) {
        if (isOpen(growing, nowMs)) break;
        this.#forget(table, key, growing);
      }
    }
  }

  #forget(table: Map<string, Growing>, key: string, growing: Growing): void {
    if (this.#unwritten.has(growing)) this.#write(growing, this.#options.nowMs());
    table.delete(key);
    this.#byId.delete(growing.event.id);
    if (growing.grain !== "fine") return;
    if (isVisitor(growing.event)) this.#visitorKeys--;
    const count = (this.#perSource.get(growing.source) ?? 0) - 1;
    if (count > 0) this.#perSource.set(growing.source, count);
    else this.#perSource.delete(growing.source);
  }
}

/** The id of an event that began with this `seq`: as text it sorts as the number does. */
export function eventId(seq: number): string {
  // The greatest safe integer has eleven digits to the base 36.
  return seq.toString(36).padStart(11, "0");
}

/** Whether what is noticed at a time still belongs to it. A clock that was set back opens a new one. */
function isOpen({ event }: Growing, timeMs: number): boolean {
  return Math.abs(timeMs - event.firstTime) < MERGE_MS;
}
