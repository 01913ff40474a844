/**
 * The longest increasing run of a list of numbers: what keeps its order when the rest is moved.
 *
 * Source: patience sorting, Fredman 1975.
 *
 * @module
 */

/**
 * @param values Each at most once.
 * @returns The indexes of one longest increasing subsequence.
 */
export function longestRun(values: readonly number[]): Set<number> {
  /** By length - 1: the index of the smallest value that such a run can end with. */
  const ends: number[] = [];
  const before: (number | undefined)[] = [];
  for (const [index, value] of values.entries()) {
    let low = 0;
    let high = ends.length;
    while (low < high) {
      const middle = low + high >> 1;
      if (values[ends[middle]!]! < value) low = middle + 1;
      else high = middle;
    }
    before[index] = ends[low - 1];
    ends[low] = index;
  }
  const run = new Set<number>();
  for (let at = ends.at(-1); at !== undefined; at = before[at]) run.add(at);
  return run;
}
