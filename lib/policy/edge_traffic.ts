/**
 * How much went over an edge, step by step: the last hour in minutes, from memory, and the last week in hours.
 *
 * @module
 */

/** Minutes that a ring holds. */
export const MINUTES_MAX = 60;
/** Hours of the longer window. */
export const HOURS_MAX = 7 * 24;

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;

/** Columns with one value for each step, the oldest first. */
export interface EdgeTraffic {
  readonly stepMs: number;
  /** When each step began, since 1970. The last one is not over. */
  readonly timesMs: readonly number[];
  /** Requests and connections that began, dropped ones too. */
  readonly counts: readonly number[];
  readonly dropped: readonly number[];
  /** Both ways together, counted when the request or connection ended. */
  readonly bytes: readonly number[];
}

/** What went over an edge in one hour. */
export interface EdgeHour {
  /** When the hour began, since 1970. */
  readonly hourMs: number;
  readonly count: number;
  readonly droppedCount: number;
  readonly bytes: number;
}

/**
 * The last hour of one edge. Adding makes no garbage.
 *
 * It takes 1,440 bytes for its numbers and some 200 for itself: 33 MB if each of 20,000 edges has one.
 */
export class MinuteRing {
  /** Counts, then dropped, then bytes. */
  readonly #slots = new Float64Array(3 * MINUTES_MAX);
  /** The newest minute that is held, since 1970. */
  #newest = -Infinity;

  add(nowMs: number, count: number, dropped: number, bytes: number): void {
    const minute = Math.floor(nowMs / MINUTE_MS);
    if (minute !== this.#newest) this.#turn(minute);
    const slot = minute % MINUTES_MAX;
    this.#slots[slot]! += count;
    this.#slots[MINUTES_MAX + slot]! += dropped;
    this.#slots[2 * MINUTES_MAX + slot]! += bytes;
  }

  /** The hour up to now. */
  read(nowMs: number): EdgeTraffic {
    const last = Math.floor(nowMs / MINUTE_MS);
    const minutes = Array.from({ length: MINUTES_MAX }, (_, index) => last - MINUTES_MAX + 1 + index);
    const column = (part: number): number[] =>
      minutes.map((minute) =>
        minute > this.#newest - MINUTES_MAX && minute <= this.#newest
          ? this.#slots[part * MINUTES_MAX + minute % MINUTES_MAX]!
          : 0
      );
    const timesMs = minutes.map((minute) => minute * MINUTE_MS);
    return { stepMs: MINUTE_MS, timesMs, counts: column(0), dropped: column(1), bytes: column(2) };
  }

  /** Empties the slots between the newest minute and this one. */
  #turn(minute: number): void {
    // A clock that was set back by more than the ring holds begins it anew; by less, its minutes are still there.
    if (minute < this.#newest && minute > this.#newest - MINUTES_MAX) return;
    const from = minute - this.#newest < MINUTES_MAX && minute > this.#newest ? this.#newest + 1 : -Infinity;
    if (from === -Infinity) this.#slots.fill(0);
    else {
      for (let each = from; each <= minute; each += 1) {
        for (let part = 0; part < 3; part += 1) this.#slots[part * MINUTES_MAX + each % MINUTES_MAX] = 0;
      }
    }
    this.#newest = minute;
  }
}

/** The beginning of the oldest hour of the week up to now. */
export function firstHourMs(nowMs: number): number {
  return (Math.floor(nowMs / HOUR_MS) - HOURS_MAX + 1) * HOUR_MS;
}

/** The week up to now. @param hours Of one edge, in any order; hours that are missing had nothing. */
export function weekOf(hours: readonly EdgeHour[], nowMs: number): EdgeTraffic {
  const byTime = new Map(hours.map((hour) => [hour.hourMs, hour]));
  const first = firstHourMs(nowMs);
  const timesMs = Array.from({ length: HOURS_MAX }, (_, index) => first + index * HOUR_MS);
  const column = (value: (hour: EdgeHour) => number): number[] =>
    timesMs.map((timeMs) => {
      const hour = byTime.get(timeMs);
      return hour === undefined ? 0 : value(hour);
    });
  return {
    stepMs: HOUR_MS,
    timesMs,
    counts: column(({ count }) => count),
    dropped: column(({ droppedCount }) => droppedCount),
    bytes: column(({ bytes }) => bytes),
  };
}
