/**
 * `npm test`: builds, runs every test on Bun, then all but the end-to-end tests on Deno, and adds up the counts.
 *
 * The end-to-end tests start both runtimes at both ends themselves, so one runner is enough for them. With `CI`
 * set the executables are built too, so that no test of them is skipped. Arguments are paths to run instead of
 * `test/`, without a build. The last line is `N passed, N failed, N skipped`.
 *
 * @module
 */
import { spawn } from "node:child_process";
import process from "node:process";
import { bunBinary, denoBinary, ROOT } from "./processes.ts";

/** What a runner says of itself at its end. */
interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** The end of the output, which holds the counts. */
const TAIL_CHARS_MAX = 64 * 1024;

/** Runs a command with its output passed through, and gives its exit code and the end of that output. */
function run(file: string, args: readonly string[]): Promise<{ code: number | null; tail: string }> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, NO_COLOR: "1" };
    const child = spawn(file, args, { cwd: ROOT, env, stdio: ["ignore", "pipe", "pipe"] });
    let tail = "";
    const keep = (text: string): void => {
      tail = (tail + text).slice(-TAIL_CHARS_MAX);
      process.stdout.write(text);
    };
    child.stdout.setEncoding("utf8").on("data", keep);
    child.stderr.setEncoding("utf8").on("data", keep);
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, tail }));
  });
}

/** The last number in front of (Bun) or within (Deno) a line with a word, or 0. */
function lastCount(text: string, pattern: RegExp): number {
  return Number([...text.matchAll(pattern)].at(-1)?.[1] ?? 0);
}

/** Bun ends with lines such as " 12 pass". */
function bunCounts(tail: string): Counts {
  return {
    passed: lastCount(tail, /^ (\d+) pass$/gm),
    failed: lastCount(tail, /^ (\d+) fail$/gm) + lastCount(tail, /^ (\d+) errors?$/gm),
    skipped: lastCount(tail, /^ (\d+) skip$/gm),
  };
}

/** Deno ends with one line such as "ok | 12 passed | 0 failed | 1 ignored (75ms)". */
function denoCounts(tail: string): Counts {
  const line = [...tail.matchAll(/^(?:ok|FAILED) \| .*$/gm)].at(-1)?.[0] ?? "";
  return {
    passed: lastCount(line, /(\d+) passed/g),
    failed: lastCount(line, /(\d+) failed/g),
    skipped: lastCount(line, /(\d+) ignored/g),
  };
}

const paths = process.argv.slice(2);
const bunPaths = paths.length > 0 ? paths : ["test/"];
const denoPaths = paths.length > 0 ? paths : ["--ignore=test/e2e", "test/"];
const runners = [
  { name: "bun", file: bunBinary(), args: ["test", "--timeout", "20000", ...bunPaths], counts: bunCounts },
  { name: "deno", file: denoBinary(), args: ["test", "-A", "--no-check", ...denoPaths], counts: denoCounts },
];

const total: Counts = { passed: 0, failed: 0, skipped: 0 };
if (paths.length === 0) {
  process.stdout.write("== build\n");
  const build = ["test/support/build.ts", ...(process.env["CI"] ? ["--compile"] : [])];
  const { code } = await run(bunBinary(), build);
  total[code === 0 ? "passed" : "failed"] += 1;
}
for (const runner of runners) {
  process.stdout.write(`\n== tests on ${runner.name}\n`);
  const { code, tail } = await run(runner.file, runner.args);
  const counts = runner.counts(tail);
  // A runner that failed without a failed test crashed, or found no test: that must not look like a success.
  if (code !== 0 && counts.failed === 0) counts.failed = 1;
  if (counts.passed === 0 && counts.failed === 0) counts.failed = 1;
  for (const key of ["passed", "failed", "skipped"] as const) total[key] += counts[key];
}
process.stdout.write(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`);
process.exitCode = total.failed === 0 ? 0 : 1;
