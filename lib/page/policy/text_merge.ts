/**
 * Merges texts by their lines, for a policy that is edited as YAML while another one comes into force.
 *
 * The gateway writes policies in one canonical form, so that texts differ only where policies do.
 *
 * Source: B. Cohen's patience difference: lines that occur once in both texts, in the longest order that both share, and
 * equal lines around them.
 *
 * @module
 */
import { longestRise } from "./order.ts";

/**
 * @param base What mine was made from. @param mine With my changes. @param theirs With others' changes.
 * @returns `undefined` when both have changed the same lines.
 */
export function mergeText(base: string, mine: string, theirs: string): string | undefined {
  const [lines, a, b] = [base.split("\n"), mine.split("\n"), theirs.split("\n")];
  const [inA, inB] = [matches(lines, a), matches(lines, b)];
  const merged: string[] = [];
  let [from, fromA, fromB] = [0, 0, 0];
  for (let place = 0; place <= lines.length; place++) {
    const isEnd = place === lines.length;
    const toA = isEnd ? a.length : inA[place];
    const toB = isEnd ? b.length : inB[place];
    if (toA === undefined || toB === undefined) continue;
    const chosen = choose(lines.slice(from, place), a.slice(fromA, toA), b.slice(fromB, toB));
    if (chosen === undefined) return undefined;
    merged.push(...chosen, ...(isEnd ? [] : [lines[place]!]));
    [from, fromA, fromB] = [place + 1, toA + 1, toB + 1];
  }
  return merged.join("\n");
}

function choose(
  base: readonly string[],
  a: readonly string[],
  b: readonly string[],
): readonly string[] | undefined {
  const equal = (x: readonly string[], y: readonly string[]): boolean =>
    x.length === y.length && x.every((line, place) => line === y[place]);
  if (equal(a, base) || equal(a, b)) return b;
  return equal(b, base) ? a : undefined;
}

/** Of each line the place in the other text where it stands; rising, with gaps. */
function matches(lines: readonly string[], others: readonly string[]): (number | undefined)[] {
  const [once, onceThere] = [uniqueLines(lines), uniqueLines(others)];
  const pairs = [...once].flatMap(([line, place]) => {
    const there = onceThere.get(line);
    return there === undefined ? [] : [[place, there] as const];
  });
  const anchors = longestRise(pairs.map(([, there]) => there)).map((index) => pairs[index]!);
  const found: (number | undefined)[] = lines.map(() => undefined);
  // Both ends are anchors too.
  let [last, lastThere] = [-1, -1];
  for (const [place, there] of [...anchors, [lines.length, others.length] as const]) {
    let [at, atThere] = [last + 1, lastThere + 1];
    while (at < place && atThere < there && lines[at] === others[atThere]) found[at++] = atThere++;
    let [back, backThere] = [place - 1, there - 1];
    while (back >= at && backThere >= atThere && lines[back] === others[backThere]) {
      found[back--] = backThere--;
    }
    if (place < lines.length) found[place] = there;
    [last, lastThere] = [place, there];
  }
  return found;
}

/** Lines that stand once in a text, with their places, in order. */
function uniqueLines(lines: readonly string[]): Map<string, number> {
  const places = new Map<string, number>();
  const twice = new Set<string>();
  lines.forEach((line, place) => {
    if (places.has(line)) twice.add(line);
    else places.set(line, place);
  });
  for (const line of twice) places.delete(line);
  return places;
}

/** Where a line begins and ends in a text. @param line From 1; beyond the last it is the end. */
export function spanOfLine(text: string, line: number): { readonly start: number; readonly end: number } {
  let start = 0;
  for (let count = 1; count < line; count++) {
    const next = text.indexOf("\n", start);
    if (next < 0) return { start: text.length, end: text.length };
    start = next + 1;
  }
  const end = text.indexOf("\n", start);
  return { start, end: end < 0 ? text.length : end };
}
