/**
 * Things of some size along a line, each as near as can be to where it would be, in their order and without overlap.
 *
 * Source: the pool-adjacent-violators algorithm for isotonic regression (Ayer et al., 1955). The sum of squared
 * moves is the least there is.
 *
 * @module
 */

export interface Spreadable {
  /** Where its middle would best be. */
  readonly wantedY: number;
  readonly height: number;
}

interface Pool {
  /** The sum of where its members would have the first of them be. */
  sum: number;
  size: number;
}

/** @returns The middle of each, in the order given. @param gap Between neighbours. */
export function spread(items: readonly Spreadable[], gap: number): number[] {
  // With what must lie before each taken off, "no overlap" is "never falling".
  const before: number[] = [];
  let at = 0;
  for (const { height } of items) {
    before.push(at + height / 2);
    at += height + gap;
  }
  const pools: Pool[] = [];
  items.forEach(({ wantedY }, index) => {
    let pool: Pool = { sum: wantedY - before[index]!, size: 1 };
    for (let last = pools.at(-1); last !== undefined && meanOf(last) > meanOf(pool); last = pools.at(-1)) {
      pools.pop();
      pool = { sum: last.sum + pool.sum, size: last.size + pool.size };
    }
    pools.push(pool);
  });
  const starts = pools.flatMap((pool) => Array<number>(pool.size).fill(meanOf(pool)));
  return starts.map((start, index) => start + before[index]!);
}

function meanOf({ sum, size }: Pool): number {
  return sum / size;
}
