/**
 * How many body bytes may be held for slow readers, and what happens near the limit.
 *
 * There is one budget for a process, over all its sessions, and one for each session. Under half of the limit
 * windows grow freely. Over it they shrink, so that slow but living readers go on with less. From three quarters on,
 * readers that took nothing for `STALLED_MS` are shed, the longest-stalled first. A hard budget sheds at its limit
 * whether or not anybody counts as stalled: memory is never traded for a reader.
 *
 * @module
 */

/** From this share of the limit on windows shrink. */
export const PRESSURE_HIGH = 0.5;
/** From this share on stalled streams are reset. */
export const PRESSURE_SHED = 0.75;
/** From this share on new streams are refused. */
export const PRESSURE_REFUSE = 0.9;
/** A reader that took nothing for this long, while bytes wait for it, counts as stalled. */
export const STALLED_MS = 5_000;

/** How often stalled readers are looked for while the budget is short of room. */
const SCAN_MS = 500;

/** A holder of bytes that can give some back: a session. */
export interface BudgetHolder {
  /** The stream that has waited longest for its reader, if any holds bytes: since when, and how to end it. */
  stalest(): StalestStream | undefined;
}

/** How patient a budget is. Tests use none. */
export interface BudgetTiming {
  /** From when on a reader counts as stalled. @default STALLED_MS */
  stalledMs?: number;
  /** How often stalled readers are looked for while room is short. @default 500 */
  scanMs?: number;
}

export interface StalestStream {
  /** When its reader last took something, on the clock of `performance.now()`. */
  sinceMs: number;
  /** Resets it, which releases what it holds. */
  shed(): void;
}

/** Counts held bytes against a limit. */
export class MemoryBudget {
  readonly limitBytes: number;
  readonly timing: Required<BudgetTiming>;
  readonly #hard: boolean;
  readonly #holders = new Set<BudgetHolder>();
  #heldBytes = 0;
  #shedTotal = 0;
  #scan: ReturnType<typeof setInterval> | undefined;

  /**
   * @param limitBytes Body bytes held at once.
   * @param hard Whether the limit holds even if every reader is alive.
   */
  constructor(limitBytes: number, hard: boolean, timing: BudgetTiming = {}) {
    this.limitBytes = limitBytes;
    this.timing = { stalledMs: STALLED_MS, scanMs: SCAN_MS, ...timing };
    this.#hard = hard;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Streams that were reset to stay inside the limit. */
  get shedTotal(): number {
    return this.#shedTotal;
  }

  /** Held bytes as a share of the limit, 0 to about 1. */
  get pressure(): number {
    return this.#heldBytes / this.limitBytes;
  }

  register(holder: BudgetHolder): void {
    this.#holders.add(holder);
  }

  unregister(holder: BudgetHolder): void {
    this.#holders.delete(holder);
    if (this.#holders.size === 0) this.#stopScan();
  }

  hold(bytes: number): void {
    this.#heldBytes += bytes;
    if (this.pressure < PRESSURE_SHED) return;
    // Stalled readers send nothing that could wake us, so a timer looks for them.
    if (this.#scan === undefined) {
      this.#scan = setInterval(() => this.#shed(), this.timing.scanMs);
      this.#scan.unref?.();
    }
    if (this.#hard && this.pressure >= 1) this.#shed();
  }

  release(bytes: number): void {
    this.#heldBytes -= bytes;
    if (this.#scan !== undefined && this.pressure < PRESSURE_SHED) this.#stopScan();
  }

  #shed(): void {
    while (this.pressure >= PRESSURE_SHED) {
      const stalest = this.#stalest();
      if (!stalest) return;
      const stalled = performance.now() - stalest.sinceMs >= this.timing.stalledMs;
      if (!stalled && !(this.#hard && this.pressure >= 1)) return;
      this.#shedTotal++;
      stalest.shed();
    }
  }

  #stalest(): StalestStream | undefined {
    let stalest: StalestStream | undefined;
    for (const holder of this.#holders) {
      const candidate = holder.stalest();
      if (candidate && (!stalest || candidate.sinceMs < stalest.sinceMs)) stalest = candidate;
    }
    return stalest;
  }

  #stopScan(): void {
    clearInterval(this.#scan);
    this.#scan = undefined;
  }
}
