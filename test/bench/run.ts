/**
 * `npm run bench`: netwall against a direct connection, one nginx hop and `ssh -R`, round by round on one machine.
 *
 *   npm run bench -- [--rounds N] [--only NAME]… [--quick]
 *
 * Every path of HTTP leads to the same nginx, every raw one to the same target. Prints tables of medians and ratios and writes them, with every sample and the
 * facts of the machine, to `test/bench/results.md` and `results.json`. A quick run, or one of a part, writes nothing.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { bunBinary, denoBinary, ProcessGroup, ROOT } from "../support/processes.ts";
import { type Bench, EXPERIMENTS as WEB_EXPERIMENTS } from "./experiments.ts";
import { firewall } from "./firewall.ts";
import { builtNetwallPaths, hasProc, missingPrograms, startOrigin } from "./paths.ts";
import { RAW_EXPERIMENTS } from "./raw_experiments.ts";
import { type Sample, tables } from "./report.ts";

const ROUNDS_MAX = 100;

const OPTIONS = {
  options: {
    rounds: { type: "string" },
    only: { type: "string", multiple: true, default: [] as string[] },
    quick: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
} as const;

const EXPERIMENTS = [...WEB_EXPERIMENTS, firewall, ...RAW_EXPERIMENTS];

const say = (line: string): void => void process.stderr.write(`${line}\n`);

function fail(message: string): never {
  say(message);
  process.exit(2);
}

/** The first line that a command prints, or a dash. */
function firstLine(command: string, ...args: string[]): string {
  const { stdout, stderr } = spawnSync(command, args, { cwd: ROOT, encoding: "utf8" });
  return `${stdout ?? ""}${stderr ?? ""}`.trim().split("\n")[0] || "-";
}

/** What a reader must know of the machine to compare. */
function facts(command: string): Record<string, string> {
  const system = readFileSync("/etc/os-release", "utf8").match(/^PRETTY_NAME="(.*)"$/m)?.[1] ?? "Linux";
  const changed = firstLine("git", "status", "--porcelain", "--untracked-files=no") === "-"
    ? ""
    : ", with changes";
  return {
    command,
    date: new Date().toISOString(),
    commit: `${firstLine("git", "rev-parse", "--short=12", "HEAD")}${changed}`,
    processor: `${cpus().length} × ${cpus()[0]?.model ?? "unknown"}`,
    memory: `${Math.round(totalmem() / (1 << 30))} GiB`,
    system: `${system}, Linux ${release()}`,
    "load before": loadavg().map((load) => load.toFixed(2)).join(" "),
    bun: firstLine(bunBinary(), "--version"),
    deno: firstLine(denoBinary(), "--version"),
    nginx: firstLine("nginx", "-v"),
    ssh: firstLine("ssh", "-V"),
    wrk: firstLine("wrk", "-v"),
    curl: firstLine("curl", "--version").split(" (")[0] ?? "",
    pgbench: firstLine("pgbench", "--version"),
    redis: firstLine("redis-server", "--version"),
  };
}

const NAMES = EXPERIMENTS.map((experiment) => experiment.name);

const USAGE = `Usage: npm run bench -- [--rounds N] [--only NAME]… [--quick]

  --rounds N    Rounds of all experiments, 1 to ${ROUNDS_MAX} (default 5, with --quick 1)
  --only NAME   One experiment alone, may repeat: ${NAMES.join(", ")}
  --quick       Short loads, and nothing is written
  --help        Print this text`;

/** The options, or the end of this process with the usage or what is wrong. */
function options(): { rounds: number; only: readonly string[]; quick: boolean } {
  const read = (): ReturnType<typeof parseArgs<typeof OPTIONS>>["values"] => {
    try {
      return parseArgs(OPTIONS).values;
    } catch (error) {
      return fail(`${error instanceof Error ? error.message : error}\n\n${USAGE}`);
    }
  };
  const values = read();
  if (values.help) {
    process.stdout.write(`${USAGE}\n`);
    process.exit(0);
  }
  const names = NAMES;
  for (const name of values.only) {
    if (!names.includes(name)) fail(`There is no experiment "${name}": use one of ${names.join(", ")}`);
  }
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 5));
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > ROUNDS_MAX) {
    fail(`Cannot run ${values.rounds} rounds: use a whole number from 1 to ${ROUNDS_MAX}`);
  }
  return { rounds, only: values.only, quick: values.quick };
}

/** Turns a list by the number of the round. */
function rotate(paths: readonly string[], round: number): string[] {
  const start = round % Math.max(1, paths.length);
  return [...paths.slice(start), ...paths.slice(0, start)];
}

async function main(): Promise<void> {
  const { rounds, only, quick } = options();
  if (!hasProc()) fail("Cannot measure here: /proc is missing, so memory cannot be read");
  const missing = missingPrograms();
  if (missing.length > 0) fail(`Cannot measure: programs are missing: apt-get install ${missing.join(" ")}`);
  const netwall = builtNetwallPaths();
  if (netwall.length === 0) say("netwall is not built: only the other paths are measured (npm run build)");
  const known = facts(["npm run bench --", ...process.argv.slice(2)].join(" "));
  const samples: Sample[] = [];
  const faults: string[] = [];
  const group = new ProcessGroup();
  // An exit by these two runs what ends the processes; the default does not.
  process.on("SIGINT", () => process.exit(130));
  process.on("SIGTERM", () => process.exit(143));
  try {
    const origin = await startOrigin(group);
    const experiments = EXPERIMENTS.filter(({ name }) => only.length === 0 || only.includes(name));
    for (let round = 0; round < rounds; round += 1) {
      for (const experiment of experiments) {
        const add: Bench["add"] = (figure, path, value) => {
          samples.push({ figure, path, round, value });
          say(`round ${round + 1}/${rounds}  ${figure}  ${path}  ${value.toFixed(2)}`);
        };
        const order = (paths: readonly string[]): string[] => rotate(paths, round);
        try {
          const [warmSeconds, loadSeconds] = quick ? [1, 2] : [4, 8];
          await experiment.run({ origin, group, netwall, warmSeconds, loadSeconds, add, order });
        } catch (error) {
          // One path that fails must not cost the figures of the others; it is shown, and the run ends as failed.
          faults.push(
            `${experiment.name}, round ${round + 1}: ${error instanceof Error ? error.message : error}`,
          );
          say(faults.at(-1) ?? "");
        }
      }
    }
  } finally {
    await group.dispose();
  }
  const figures = EXPERIMENTS.flatMap((experiment) => experiment.figures);
  const lines = Object.entries(known).map(([name, value]) => `| ${name} | ${value} |`);
  const text = [
    "# Measured",
    "",
    "Written by `npm run bench`. Ratios are medians of the ratios within each round.",
    "",
    "| fact | value |",
    "| --- | --- |",
    ...lines,
    "",
    tables(figures, samples),
    ...faults.map((fault) => `\nFailed: ${fault.split("\n")[0]}`),
    "",
  ].join("\n");
  process.stdout.write(`\n${text}`);
  if (!quick && only.length === 0) {
    const folder = join(ROOT, "test", "bench");
    writeFileSync(join(folder, "results.md"), text);
    writeFileSync(
      join(folder, "results.json"),
      `${JSON.stringify({ facts: known, figures, samples, faults }, null, 2)}\n`,
    );
  }
  process.exitCode = faults.length === 0 ? 0 : 1;
}

await main();
