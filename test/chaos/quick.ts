/**
 * The short form: scenarios side by side, each on a lab and a wall of its own, as nearly all of their time is waiting.
 *
 * @module
 */
import type { Pairing } from "../e2e/wall.ts";
import type { ProcessGroup } from "../support/processes.ts";
import { Lab } from "./lab.ts";
import { Rig } from "./rig.ts";
import type { Scenario } from "./scenarios.ts";
import { type Result, runScenario, warmUp } from "./trial.ts";

/** Runs them all; the pairings of runtimes take turns. Ends the processes of the group. */
export async function quickResults(
  group: ProcessGroup,
  scenarios: readonly Scenario[],
  pairings: readonly Pairing[],
): Promise<Result[]> {
  const labs: Lab[] = [];
  try {
    // Made one after the other: the programs that make them change the machine's one list of namespaces.
    for (const index of scenarios.keys()) labs.push(new Lab(index + 1));
    return await Promise.all(scenarios.map(async (scenario, index) => {
      const rig = await Rig.start(group, labs[index]!, pairings[index % pairings.length]!);
      const before = await warmUp(rig);
      return await runScenario(rig, group, scenario, before);
    }));
  } finally {
    await group.dispose();
    for (const lab of labs) lab.close();
  }
}
