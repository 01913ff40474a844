/**
 * Keeps work whose size others decide from taking more than its share of the event loop.
 *
 * Whoever fills a model while it learns makes it cost more to look at and to write down: then that is done less often.
 *
 * @module
 */

/** One piece of work that comes again and again. */
export class Paced {
  readonly #shareMax: number;
  readonly #nowMs: () => number;
  #notBeforeMs = -Infinity;

  /**
   * @param shareMax Of the time of the process, from 0 to 1.
   * @param nowMs A clock that is never set back. @default performance.now
   */
  constructor(shareMax: number, nowMs: () => number = () => performance.now()) {
    this.#shareMax = shareMax;
    this.#nowMs = nowMs;
  }

  /** Does the work, unless the last time took so long that it is too early for the next. @returns Whether it was done. */
  run(work: () => void): boolean {
    const startMs = this.#nowMs();
    if (startMs < this.#notBeforeMs) return false;
    try {
      work();
    } finally {
      const endMs = this.#nowMs();
      this.#notBeforeMs = startMs + (endMs - startMs) / this.#shareMax;
    }
    return true;
  }
}
