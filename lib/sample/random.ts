/**
 * Numbers that look random and are the same for the same seed.
 *
 * Source: G. Steele et al., "Fast splittable pseudorandom number generators" (2014), SplitMix, in its form of 32 bits.
 *
 * @module
 */

/** Gives numbers from 0 to 1, 1 excluded. */
export type Random = () => number;

/** @param seed Only its lowest 32 bits count. */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
}

/** A whole number from `first` to `last`, both included. */
export function between(random: Random, first: number, last: number): number {
  return first + Math.floor(random() * (last - first + 1));
}

/** One of a list. @param from Not empty. */
export function pick<T>(random: Random, from: readonly T[]): T {
  return from[between(random, 0, from.length - 1)]!;
}
