/**
 * Notices that the time of day was set forward, so that nothing is deleted for an age that it does not have.
 *
 * A clock that leaps a month ahead makes nothing a month old, and all evidence would be gone within seconds. Until the
 * next start age is counted as if the clock had not been set; the bound of size holds all the same. The steady clock
 * may stand while the machine sleeps: then things are kept for as much longer.
 *
 * @module
 */

/** By how much the clock may run ahead of the time that has passed before it counts as set. */
const LEAP_MS_MIN = 3_600_000;

/** The time of day, and a clock that nobody can set, in milliseconds. */
export interface Clocks {
  dayMs(): number;
  steadyMs(): number;
}

const PROCESS_CLOCKS: Clocks = { dayMs: Date.now, steadyMs: () => performance.now() };

export class SetClock {
  readonly #clocks: Clocks;
  readonly #startMs: number;

  /** @param clocks @default those of the process */
  constructor(clocks: Clocks = PROCESS_CLOCKS) {
    this.#clocks = clocks;
    this.#startMs = clocks.dayMs() - clocks.steadyMs();
  }

  /** How far the time of day was set forward since this was made; 0 for less than an hour, and when it was set back. */
  leapMs(): number {
    const leapMs = this.#clocks.dayMs() - this.#clocks.steadyMs() - this.#startMs;
    return leapMs > LEAP_MS_MIN ? leapMs : 0;
  }
}
