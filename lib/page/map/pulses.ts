/**
 * Which lines flash, as something new has come over them.
 *
 * A flash is for the eye: of many at once only some are shown, those first that want an eye and that are seldom seen.
 *
 * @module
 */
import { LINE_STATES, type MapLine } from "./line.ts";

/** At once. More than this is a flicker, and work for the browser. */
export const PULSES_MAX = 40;
/**
 * A line that was not there before flashes when it was seen this short a time before the newest of all: others only
 * came into view. The clock is that of the gateway, as the user's may differ.
 */
const FRESH_MS = 3_000;

export class Pulses {
  /** By the id of a line: its count, and how often it has flashed. */
  #known: ReadonlyMap<string, { readonly count: number; readonly flashes: number }> | undefined;

  /**
   * Takes in the lines as they are now. Those that are gone are forgotten; the first time nothing flashes.
   *
   * @returns How often each line has flashed so far: it flashes when that grows.
   */
  note(lines: readonly MapLine[]): ReadonlyMap<string, number> {
    const before = this.#known;
    const newestMs = lines.reduce((newest, { lastSeenMs }) => Math.max(newest, lastSeenMs), 0);
    const hasGrown = ({ id, count, lastSeenMs }: MapLine): boolean => {
      if (before === undefined) return false;
      const known = before.get(id);
      return known === undefined ? newestMs - lastSeenMs <= FRESH_MS : count > known.count;
    };
    const grown = lines.filter(hasGrown).sort((a, b) =>
      LINE_STATES.indexOf(a.state) - LINE_STATES.indexOf(b.state) || a.count - b.count
    );
    const flashing = new Set(grown.slice(0, PULSES_MAX).map(({ id }) => id));
    const next = new Map(lines.map(({ id, count }) => {
      const flashes = (before?.get(id)?.flashes ?? 0) + (flashing.has(id) ? 1 : 0);
      return [id, { count, flashes }];
    }));
    this.#known = next;
    return new Map([...next].map(([id, { flashes }]) => [id, flashes]));
  }
}
