/**
 * The longest run of a list that is in order already: what is not in it has moved.
 *
 * Source: patience sorting, C. Schensted, "Longest increasing and decreasing subsequences" (1961).
 *
 * @module
 */

/** @param values All different. @returns The places of the longest part of them that rises, in order. */
export function longestRise(values: readonly number[]): number[] {
  /** Of each length the place where the run with the smallest end ends. */
  const ends: number[] = [];
  const before: number[] = [];
  values.forEach((value, place) => {
    let [low, high] = [0, ends.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (values[ends[middle]!]! < value) low = middle + 1;
      else high = middle;
    }
    before.push(low === 0 ? -1 : ends[low - 1]!);
    ends[low] = place;
  });
  const run: number[] = [];
  for (let place = ends.at(-1) ?? -1; place >= 0; place = before[place]!) run.push(place);
  return run.reverse();
}

/** Keys that are in both lists but stand elsewhere among those: as few as explain the new order. */
export function movedKeys(before: Iterable<string>, after: Iterable<string>): Set<string> {
  const places = new Map([...before].map((key, place) => [key, place]));
  const common = [...after].filter((key) => places.has(key));
  const still = new Set(longestRise(common.map((key) => places.get(key)!)));
  return new Set(common.filter((_, place) => !still.has(place)));
}
