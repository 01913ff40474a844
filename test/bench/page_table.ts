/**
 * The table that figures of the page are told in, line by line as they come.
 *
 * @module
 */
import { loadavg } from "node:os";
import process from "node:process";

const MIB = 1 << 20;

export const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** A line of the table. `wanted` is the most that it may be; the load is that of the last minute. */
export function row(name: string, value: string, wanted = ""): void {
  const load = loadavg()[0]!.toFixed(1);
  say(`| ${name.padEnd(58)} | ${value.padEnd(34)} | ${wanted.padEnd(14)} | ${load.padStart(5)} |`);
}

export function head(title: string): void {
  say(`\n${title}\n`);
  say(`| ${"".padEnd(58)} | ${"measured".padEnd(34)} | ${"wanted".padEnd(14)} |  load |`);
  say(`| ${"-".repeat(58)} | ${"-".repeat(34)} | ${"-".repeat(14)} | ----: |`);
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN;
}

export const ms = (value: number): string => `${value.toFixed(value < 10 ? 1 : 0)} ms`;
export const mib = (bytes: number): string => `${(bytes / MIB).toFixed(0)} MiB`;

export function spreadText(values: readonly number[]): string {
  const [p50, p95, most] = [quantile(values, 0.5), quantile(values, 0.95), Math.max(...values)];
  return `p50 ${ms(p50)}, p95 ${ms(p95)}, max ${ms(most)}`;
}
