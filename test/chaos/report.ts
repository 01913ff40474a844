/**
 * The results of chaos runs as one aligned table.
 *
 * @module
 */
import type { Quiet } from "./rig.ts";
import type { Result } from "./trial.ts";
import type { Outcome } from "./visit.ts";

/** The columns of outcomes; what is none of these is shown among the faults. */
const OUTCOMES: readonly Outcome[] = ["ok", "502", "503", "504", "cut", "hung", "wrong"];

const HEADS = [
  ...["scenario", "gateway saw", "agent saw", "serving"],
  ...OUTCOMES,
  ...["longest fail", "fds gw", "fds agent", "MiB gw", "MiB agent", "verdict"],
];

function seconds(ms: number | undefined): string {
  return ms === undefined ? "-" : `${(ms / 1000).toFixed(1)} s`;
}

/** How much more, with a sign. */
function more(result: Result, read: (quiet: Quiet) => number): string {
  const difference = Math.round(read(result.after) - read(result.before));
  return difference > 0 ? `+${difference}` : String(difference);
}

function row(result: Result): string[] {
  const { scenario, noticedMs, servingMs, outcomes, longestFailureMs, faults, skipped } = result;
  if (skipped !== undefined) return [scenario.title, ...HEADS.slice(2).map(() => ""), `skipped: ${skipped}`];
  const mib = (bytes: number): number => bytes / (1 << 20);
  return [
    ...[scenario.title, seconds(noticedMs.gateway), seconds(noticedMs.agent), seconds(servingMs)],
    ...OUTCOMES.map((outcome) => String(outcomes.get(outcome) ?? 0)),
    longestFailureMs === 0 ? "-" : seconds(longestFailureMs),
    more(result, ({ gateway }) => gateway.fds),
    more(result, ({ agent }) => agent.fds),
    more(result, ({ gateway }) => mib(gateway.rssBytes)),
    more(result, ({ agent }) => mib(agent.rssBytes)),
    faults.length === 0 ? "ok" : `FAULT: ${faults.join("; ")}`,
  ];
}

/** A table: words to the left, numbers to the right, and the verdict last. */
export function table(results: readonly Result[]): string {
  const rows = [HEADS, ...results.map(row)];
  const widths = HEADS.map((_, column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0)));
  return rows.map((cells) =>
    cells.map((cell, column) => {
      const width = widths[column] ?? 0;
      if (column === cells.length - 1) return cell;
      return column === 0 ? cell.padEnd(width) : cell.padStart(width);
    }).join("  ").trimEnd()
  ).join("\n");
}
