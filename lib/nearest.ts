/**
 * Finds the name that somebody probably meant.
 *
 * Source: Damerau–Levenshtein distance in the form of optimal string alignment: insert, delete, replace, and swap
 * of two neighbours cost one each.
 *
 * @module
 */

/** A longer word is no typing error of a name: it is not compared. Bounds the cost to 64 × 64 per candidate. */
export const NEAREST_CHARS_MAX = 64;

/**
 * The candidate closest to `word`, if any is close: at most a third of its letters differ, and two at least may.
 *
 * Letter case and the difference between `_` and `-` are ignored. Of two equally close ones the first wins. A
 * candidate that begins with the whole word, of three letters or more, counts as one away.
 *
 * @returns `undefined` when none is close enough to be worth naming.
 */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  if (word.length === 0 || word.length > NEAREST_CHARS_MAX) return undefined;
  const wanted = fold(word);
  let best: string | undefined;
  let bestDistance = Infinity;
  for (const candidate of candidates) {
    if (candidate.length > NEAREST_CHARS_MAX) continue;
    const folded = fold(candidate);
    const begins = wanted.length >= 3 && folded.startsWith(wanted);
    const distance = begins ? Math.min(1, folded.length - wanted.length) : editDistance(wanted, folded);
    const allowed = Math.min(Math.max(2, Math.floor(candidate.length / 3)), wanted.length - 1);
    if (distance <= allowed && distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** `: did you mean X`, or nothing, for the end of a message. */
export function didYouMean(word: string, candidates: Iterable<string>, prefix = ""): string {
  const name = nearest(word, candidates);
  return name === undefined ? "" : `: did you mean ${prefix}${name}`;
}

function fold(word: string): string {
  return word.toLowerCase().replaceAll("_", "-");
}

/** Edits between two texts. Three rows of the table are enough, as a swap looks back two. */
export function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (previous[j - 1] ?? 0) + cost);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) least = Math.min(least, (before[j - 2] ?? 0) + 1);
      row.push(least);
    }
    before = previous;
    previous = row;
  }
  return previous[b.length] ?? 0;
}
