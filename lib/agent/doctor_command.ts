/**
 * The command `netwall-agent doctor`: the settings of a run and `--json`, and what is printed.
 *
 * @module
 */
import type { z } from "zod";
import { type AgentConfig, agentConfig } from "../config/agent_config.ts";
import { ConfigError, formatConfigError, loadConfig } from "../config/load.ts";
import { toggle } from "../config/units.ts";
import type { GatewayAddress } from "../link/dial.ts";
import type { Environment } from "../link/proxy.ts";
import { sealForecast } from "../seal/seal.ts";
import type { SealOptions } from "../seal/seal_options.ts";
import { auditWall } from "../seal/wall.ts";
import type { FlagValues } from "../settings.ts";
import { doctorJson, type DoctorPlan, doctorText, runDoctor } from "./doctor.ts";
import { planOf } from "./doctor_plan.ts";

/** The settings of the command: those of a run, and the form of the report. */
export const doctorConfig = agentConfig.safeExtend({
  json: toggle().default(false).describe("Print one JSON object instead of lines"),
});

export interface DoctorCommandOptions {
  readonly flags: FlagValues;
  readonly env: Environment;
  /** The gateways as the agent dials them. */
  readonly gatewaysOf: (config: Readonly<AgentConfig>) => readonly GatewayAddress[];
  /** The environment for dialling, in which a proxy may be named. @default `env` */
  readonly environmentOf?: (config: Readonly<AgentConfig>) => Environment;
  /** What `--seal` would be asked for. */
  readonly sealOptionsOf: (config: Readonly<AgentConfig>) => SealOptions;
  /** Takes the whole report at once. */
  readonly write: (text: string) => void;
}

/**
 * Does the work of `netwall-agent doctor`. Settings that are wrong are part of the report.
 *
 * @returns Whether no check failed; otherwise the command fails.
 */
export async function doctorCommand(options: DoctorCommandOptions): Promise<boolean> {
  const { env, gatewaysOf, sealOptionsOf, write } = options;
  const { flags } = options;
  let config: Readonly<z.output<typeof doctorConfig>> | undefined;
  let plan: DoctorPlan | { faults: string[] };
  try {
    config = loadConfig({ schema: doctorConfig, flags, env });
    plan = planOf(config, gatewaysOf(config));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    plan = { faults: formatConfigError(error).split("\n") };
  }
  const report = await runDoctor({
    plan,
    env: config === undefined ? env : options.environmentOf?.(config) ?? env,
    sealStatus: () =>
      config === undefined
        ? { kind: "unavailable", reason: "the settings are wrong" }
        : sealForecast(sealOptionsOf(config)),
    audit: () => auditWall(),
  });
  // Settings that are wrong may still ask for JSON.
  write(config?.json ?? flags["json"] === true ? doctorJson(report) : doctorText(report));
  return report.ok;
}
