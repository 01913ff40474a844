/**
 * `npm run chaos`: what a wall does when the network between agent and gateway fails.
 *
 *   npm run chaos -- [--quick] [--only NAME]… [--runtime bun|deno|executable]
 *
 * One wall goes through every scenario, so that what each leaves behind would add up. The short form runs its few
 * scenarios side by side, each on a wall of its own. Prints one table; exits 1 when anything hung, leaked, was wrong
 * or did not come back, and 2 when it cannot run here.
 *
 * @module
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { ensureBuilt } from "../e2e/wall.ts";
import { ProcessGroup, type Runtime } from "../support/processes.ts";
import { Lab, labFault } from "./lab.ts";
import { quickResults } from "./quick.ts";
import { table } from "./report.ts";
import { Rig } from "./rig.ts";
import { type Scenario, SCENARIOS } from "./scenarios.ts";
import { type Result, runScenario, warmUp } from "./trial.ts";

const RUNTIME_NAMES: readonly Runtime[] = ["bun", "deno", "executable"];

const say = (line: string): void => void process.stderr.write(`${line}\n`);

function fail(message: string): never {
  say(message);
  process.exit(2);
}

interface Options {
  readonly scenarios: readonly Scenario[];
  readonly runtime: Runtime;
  readonly quick: boolean;
}

const NAMES = SCENARIOS.map(({ name }) => name);

const USAGE = `Usage: npm run chaos -- [--quick] [--only NAME]… [--runtime ${RUNTIME_NAMES.join("|")}]

  --quick          The short form: a few scenarios side by side
  --only NAME      One scenario alone, may repeat: ${NAMES.join(", ")}
  --runtime NAME   What gateway and agent run on (default bun)
  --help           Print this text`;

const OPTIONS = {
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string", multiple: true, default: [] as string[] },
    runtime: { type: "string", default: "bun" },
    help: { type: "boolean", short: "h", default: false },
  },
} as const;

/** The options, or the end of this process with the usage or what is wrong. */
function options(): Options {
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
    if (!names.includes(name)) fail(`There is no scenario "${name}": use one of ${names.join(", ")}`);
  }
  const runtime = RUNTIME_NAMES.find((name) => name === values.runtime);
  if (runtime === undefined) {
    fail(`There is no runtime "${values.runtime}": use one of ${RUNTIME_NAMES.join(", ")}`);
  }
  const scenarios = SCENARIOS.filter(({ name, quick }) =>
    values.only.length > 0 ? values.only.includes(name) : !values.quick || quick
  );
  return { scenarios, runtime, quick: values.quick };
}

/** One wall, one scenario after the other. */
async function inTurn(
  group: ProcessGroup,
  scenarios: readonly Scenario[],
  runtime: Runtime,
): Promise<Result[]> {
  const lab = new Lab(1);
  try {
    const rig = await Rig.start(group, lab, [runtime, runtime]);
    const before = await warmUp(rig);
    const results: Result[] = [];
    for (const scenario of scenarios) {
      say(`${scenario.name}: ${scenario.title} …`);
      results.push(await runScenario(rig, group, scenario, before));
    }
    return results;
  } finally {
    await group.dispose();
    lab.close();
  }
}

const { scenarios, runtime, quick } = options();
const reason = labFault();
if (reason !== undefined) fail(`Cannot run here: ${reason}`);
ensureBuilt(runtime);
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
const group = new ProcessGroup();
const results = quick
  ? await quickResults(group, scenarios, [[runtime, runtime]])
  : await inTurn(group, scenarios, runtime);
process.stdout.write(`${table(results)}\n`);
process.exit(results.every(({ faults }) => faults.length === 0) ? 0 : 1);
