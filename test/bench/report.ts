/**
 * Samples to tables: medians, and ratios that are taken within each round before their median is.
 *
 * A ratio within a round compares two paths minutes apart at most, so what else the machine did weighs less.
 *
 * @module
 */

/** One figure of one path in one round. */
export interface Sample {
  readonly figure: string;
  readonly path: string;
  readonly round: number;
  readonly value: number;
}

/** What a figure means. */
export interface Figure {
  readonly key: string;
  readonly title: string;
  readonly unit: string;
  readonly better: "more" | "less";
  /** The paths that the others are divided by. */
  readonly references: readonly string[];
  /** What netwall is held to, in words. */
  readonly target: string;
}

/** A row of a table. */
export interface Row {
  readonly path: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly rounds: number;
  /** Median of the ratios per round, by reference. */
  readonly ratios: Readonly<Record<string, number>>;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle];
  if (upper === undefined) return NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}

/** The rows of one figure, in the order in which the paths were first measured. */
export function rowsOf(figure: Figure, samples: readonly Sample[]): Row[] {
  const own = samples.filter((sample) => sample.figure === figure.key);
  const at = (path: string, round: number): number | undefined =>
    own.find((sample) => sample.path === path && sample.round === round)?.value;
  return [...new Set(own.map((sample) => sample.path))].map((path) => {
    const mine = own.filter((sample) => sample.path === path);
    const values = mine.map((sample) => sample.value);
    const ratios: Record<string, number> = {};
    for (const reference of figure.references) {
      const perRound = mine.flatMap(({ round, value }) => {
        const base = at(reference, round);
        return base === undefined || base === 0 ? [] : [value / base];
      });
      if (perRound.length > 0 && reference !== path) ratios[reference] = median(perRound);
    }
    const [min, max] = [Math.min(...values), Math.max(...values)];
    return { path, median: median(values), min, max, rounds: values.length, ratios };
  });
}

/** Three significant digits, and no more than are true. */
function short(value: number): string {
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en-US");
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

/** One figure as a Markdown table. */
function table(figure: Figure, rows: readonly Row[]): string {
  const ratioHeads = figure.references.map((reference) => ` ÷ ${reference} |`).join("");
  const lines = [
    `### ${figure.title}`,
    "",
    `${figure.unit}, ${figure.better} is better. Target: ${figure.target}.`,
    "",
    `| path | median | min – max | rounds |${ratioHeads}`,
    `| --- | --: | --: | --: |${figure.references.map(() => " --: |").join("")}`,
  ];
  for (const row of rows) {
    const ratios = figure.references.map((reference) => {
      const ratio = row.ratios[reference];
      return ` ${ratio === undefined ? "" : ratio.toFixed(2)} |`;
    }).join("");
    const range = `${short(row.min)} – ${short(row.max)}`;
    lines.push(`| ${row.path} | ${short(row.median)} | ${range} | ${row.rounds} |${ratios}`);
  }
  return lines.join("\n");
}

/** Every figure that has samples, as Markdown. */
export function tables(figures: readonly Figure[], samples: readonly Sample[]): string {
  return figures
    .map((figure) => ({ figure, rows: rowsOf(figure, samples) }))
    .filter(({ rows }) => rows.length > 0)
    .map(({ figure, rows }) => table(figure, rows))
    .join("\n\n");
}
