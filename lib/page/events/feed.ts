/**
 * The events that the table has: pages of the API and what came live, as one list without a gap.
 *
 * The newest are first. Of more than `KEPT_MAX` the oldest are forgotten, and can be loaded again: the place where the
 * next page begins moves along.
 *
 * @module
 */
import type { NetwallEvent } from "../core/types.ts";

/** An event is some 2 KiB, so that a full list is some 10 MiB. */
export const KEPT_MAX = 5_000;

/** A page of the API. */
export interface EventPage {
  readonly items: readonly NetwallEvent[];
  readonly next?: string;
}

export class EventFeed {
  readonly #isWanted: (event: NetwallEvent) => boolean;
  readonly #keptMax: number;
  readonly #events = new Map<string, NetwallEvent>();
  #next: string | undefined;
  #isRead = false;
  #lastLive: string | undefined;
  #liveSeq = 0;
  #rows: readonly NetwallEvent[] | undefined;

  /** @param isWanted Whether an event that comes live belongs here. */
  constructor(isWanted: (event: NetwallEvent) => boolean, keptMax: number = KEPT_MAX) {
    this.#isWanted = isWanted;
    this.#keptMax = keptMax;
  }

  /** Where the next page begins; `undefined` when all there is is here, or nothing was read yet. */
  get next(): string | undefined {
    return this.#next;
  }

  /** Whether a page was read. */
  get isRead(): boolean {
    return this.#isRead;
  }

  /** Nothing more is loaded: it would push out the newest. */
  get isFull(): boolean {
    return this.#events.size >= this.#keptMax;
  }

  /** Newest first; the same array until something changes. */
  rows(): readonly NetwallEvent[] {
    return this.#rows ??= [...this.#events.values()].sort(byTime);
  }

  /** The first page. What reaches further back is forgotten: something between may be missing. */
  restart({ items, next }: EventPage): void {
    if (next !== undefined) {
      const lowest = items.reduce((id, event) => event.id < id ? event.id : id, items[0]?.id ?? "");
      const oldestMs = items.reduce((ms, { time }) => Math.min(ms, time), Infinity);
      for (const [id, event] of this.#events) {
        if (id < lowest && event.time < oldestMs) this.#events.delete(id);
      }
    }
    this.#isRead = true;
    this.addPage({ items, ...(next === undefined ? {} : { next }) });
  }

  addPage({ items, next }: EventPage): void {
    for (const event of items) this.#take(event);
    this.#next = next;
    this.#rows = undefined;
    this.#cut();
  }

  /**
   * What came live, in the order in which it changed, the newest last.
   *
   * @returns Whether something may be missing: then the first page must be read anew.
   */
  takeLive(events: ReadonlyMap<string, NetwallEvent>): boolean {
    let hasChanged = false;
    let last: NetwallEvent | undefined;
    for (const event of events.values()) {
      last = event;
      if (event.seq <= this.#liveSeq) continue;
      if (this.#isWanted(event)) this.#take(event);
      else if (!this.#events.delete(event.id)) continue;
      hasChanged = true;
    }
    const isGap = this.#lastLive !== undefined && !events.has(this.#lastLive);
    this.#lastLive = last?.id ?? this.#lastLive;
    this.#liveSeq = Math.max(this.#liveSeq, last?.seq ?? 0);
    if (hasChanged) {
      this.#rows = undefined;
      this.#cut();
    }
    return isGap;
  }

  /** An event changes when equal ones come: the later record holds. */
  #take(event: NetwallEvent): void {
    const known = this.#events.get(event.id);
    if (known === undefined || known.seq <= event.seq) this.#events.set(event.id, event);
  }

  /** Forgets the oldest. Pages go by id, so the next one begins above the greatest id that is forgotten. */
  #cut(): void {
    if (this.#events.size <= this.#keptMax) return;
    const rows = this.rows();
    const lost = rows.slice(this.#keptMax);
    const greatest = lost.reduce((id, event) => event.id > id ? event.id : id, "");
    for (const { id } of lost) this.#events.delete(id);
    this.#rows = rows.slice(0, this.#keptMax);
    const above = this.#rows.reduce(
      (id, event) => event.id > greatest && (id === "" || event.id < id) ? event.id : id,
      "",
    );
    this.#next = above === "" ? this.#next : above;
  }
}

/** The newest first. */
export function byTime(a: NetwallEvent, b: NetwallEvent): number {
  return b.time - a.time || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0);
}

/** What is shown while the list is held, and how many events wait above it. */
export interface HeldRows {
  readonly rows: readonly NetwallEvent[];
  readonly waiting: number;
}

/**
 * The rows as they were when the list was held: each stays where it is, with what is known of it by now. What is older
 * than all of them is added at the end.
 */
export function heldRows(held: readonly NetwallEvent[], rows: readonly NetwallEvent[]): HeldRows {
  const now = new Map(rows.map((event) => [event.id, event]));
  const shown = held.map((event) => now.get(event.id) ?? event);
  const ids = new Set(held.map(({ id }) => id));
  const last = held.at(-1);
  const others = rows.filter(({ id }) => !ids.has(id));
  const older = last === undefined ? others : others.filter((event) => byTime(last, event) < 0);
  return { rows: [...shown, ...older], waiting: others.length - older.length };
}
