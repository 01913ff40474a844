/**
 * Counts of durations in buckets that grow by 5 %, and percentiles of them.
 *
 * A percentile is looked up in its bucket and interpolated there, so it is at most 5 % off; below 0.1 ms it is at most
 * 0.1 ms off. What took longer than an hour counts as an hour.
 *
 * @module
 */

/** How far off a percentile may be, as a share of it. */
export const LATENCY_ERROR_MAX = 0.05;
const GROWTH = 1 + LATENCY_ERROR_MAX;
/** The end of the first bucket. */
const FIRST_MS = 0.1;
/** 0.1 ms × 1.05^358 is over an hour. */
const BUCKETS = 360;
const LATENCY_MS_MAX = 3_600_000;
const PER_BUCKET = 1 / Math.log(GROWTH);

export class LatencyHistogram {
  readonly #counts = new Uint32Array(BUCKETS);
  #total = 0;
  /** The buckets that are in use: most durations of a service lie close together. */
  #first = BUCKETS;
  #last = -1;

  get total(): number {
    return this.#total;
  }

  add(ms: number): void {
    const bucket = ms < FIRST_MS ? 0 : 1 + Math.floor(Math.log(cappedMs(ms) / FIRST_MS) * PER_BUCKET);
    this.#counts[bucket]!++;
    this.#total++;
    if (bucket < this.#first) this.#first = bucket;
    if (bucket > this.#last) this.#last = bucket;
  }

  clear(): void {
    if (this.#total === 0) return;
    this.#counts.fill(0, this.#first, this.#last + 1);
    this.#total = 0;
    this.#first = BUCKETS;
    this.#last = -1;
  }

  /**
   * The duration that a share of all is not longer than.
   *
   * @param share Above 0 and at most 1, such as 0.95.
   * @returns In ms; `NaN` when there is none.
   */
  percentile(share: number): number {
    if (this.#total === 0) return NaN;
    const rank = Math.max(1, Math.ceil(share * this.#total));
    let before = 0;
    for (let bucket = this.#first; bucket <= this.#last; bucket++) {
      const count = this.#counts[bucket]!;
      if (before + count < rank) {
        before += count;
        continue;
      }
      const part = (rank - before - 0.5) / count;
      return bucket === 0 ? FIRST_MS * part : FIRST_MS * GROWTH ** (bucket - 1 + part);
    }
    return NaN;
  }
}

/** What is no number, or none that a clock gives, must not become an index. */
function cappedMs(ms: number): number {
  return ms <= LATENCY_MS_MAX ? ms : LATENCY_MS_MAX;
}
