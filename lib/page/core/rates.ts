/**
 * How many requests and connections per second an edge has, from counts that are told now and then.
 *
 * @module
 */

/** A rate is an average over about this time. */
const HALF_LIFE_MS = 4_000;
/** Slower than this is nothing: the edge is forgotten. */
const RATE_MIN = 0.02;
/** Edges that are kept; of more the ones that were heard of first are forgotten. */
export const RATED_MAX = 5_000;

interface Seen {
  count: number;
  rate: number;
  atMs: number;
}

export class Rates {
  readonly #seen = new Map<string, Seen>();

  /** @param count Since ever. @param atMs Of a clock that does not jump. */
  note(id: string, count: number, atMs: number): void {
    const seen = this.#seen.get(id);
    if (seen === undefined) {
      this.#seen.set(id, { count, rate: 0, atMs });
      if (this.#seen.size > RATED_MAX) this.#seen.delete(this.#seen.keys().next().value!);
      return;
    }
    const keep = keepOf(atMs - seen.atMs);
    // Each one that came adds what, spread over the half-life, it is worth; what came before fades.
    seen.rate = seen.rate * keep + Math.max(0, count - seen.count) * Math.LN2 / (HALF_LIFE_MS / 1_000);
    seen.count = count;
    seen.atMs = atMs;
  }

  /** By id; those that are as good as still are left out. */
  current(atMs: number): Map<string, number> {
    const found = new Map<string, number>();
    for (const [id, { rate, atMs: notedMs }] of this.#seen) {
      const now = rate * keepOf(atMs - notedMs);
      if (now >= RATE_MIN) found.set(id, now);
    }
    return found;
  }
}

/** What is left of a rate after some time. */
function keepOf(passedMs: number): number {
  return 2 ** (-Math.max(0, passedMs) / HALF_LIFE_MS);
}
