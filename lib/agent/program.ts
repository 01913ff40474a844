/**
 * The commands of the agent's program, but for the one that runs it.
 *
 * @module
 */
import { z } from "zod";
import type { CommandSpec, ProgramSpec } from "../cli/arguments.ts";
import { EXIT, type ExitCode } from "../cli/exit.ts";
import { type AgentConfig, agentConfig } from "../config/agent_config.ts";
import { ConfigError, formatConfigError, loadConfig } from "../config/load.ts";
import { toggle } from "../config/units.ts";
import { ListenFault } from "../http/visitor_server.ts";
import { LinkError } from "../link/link.ts";
import type { Logger } from "../log.ts";
import { runAudit } from "../seal/wall_report.ts";
import { seal } from "../seal/seal.ts";
import type { FlagValues } from "../settings.ts";
import { doctorCommand, doctorConfig } from "./doctor_command.ts";
import { lackingForDoors } from "./doctor_token.ts";
import { StartError } from "./files.ts";
import { dialAddress, dialEnvironment, sealOptionsOf } from "./places.ts";

/** The settings of `netwall-agent audit`. */
const auditConfig = z.strictObject({
  json: toggle().default(false).describe("Print JSON, as it is where no terminal is"),
});

const RUN: CommandSpec = {
  name: "run",
  summary: "Dial out to a gateway, publish services through it, and reach others by it",
  options: agentConfig,
  examples: [
    "netwall-agent --gateway wss://edge.example.com --token-file token --serve web=http://127.0.0.1:3000",
    "netwall-agent --gateway unix:/run/netwall/gateway.sock --app ./app.ts --as web",
    "netwall-agent --gateway wss://edge.example.com --serve db=tcp://127.0.0.1:5432 --seal --require-wall",
    "netwall-agent --gateway wss://edge.example.com --reach db=127.0.0.1:5432 --egress 127.0.0.1:3128",
  ],
};

export const AGENT_PROGRAM: ProgramSpec = {
  name: "netwall-agent",
  summary: "Publishes services beside it through a gateway, and opens no port",
  commands: [
    RUN,
    {
      name: "audit",
      summary:
        "Tell every socket that listens here, whose it is, and who could reach it; exit 1 if others could",
      options: auditConfig,
      examples: ["netwall-agent audit", "netwall-agent audit --json"],
    },
    {
      name: "doctor",
      summary: "Tell what works from here and what does not, with the cure; takes the settings of a run",
      options: doctorConfig,
      examples: [
        "netwall-agent doctor --gateway wss://edge.example.com --token-file token --serve web=http://127.0.0.1:3000",
      ],
    },
  ],
  defaultCommand: RUN,
};

const write = (text: string): void => void process.stdout.write(text);

/** The commands that look and change nothing. */
export const AGENT_COMMANDS: Readonly<Record<string, (flags: FlagValues) => Promise<ExitCode>>> = {
  audit: async (flags) => {
    const { json } = loadConfig({ schema: auditConfig, flags, env: {} });
    const isTerminal = process.stdout.isTTY === true;
    const { columns } = process.stdout;
    const isWhole = await runAudit({
      ...{ json: json || !isTerminal, write },
      ...(isTerminal && columns > 0 ? { columns } : {}),
    });
    return isWhole ? EXIT.stopped : EXIT.failed;
  },
  doctor: async (flags) => {
    const isWell = await doctorCommand({
      ...{ flags, env: process.env, write },
      gatewaysOf: (config) => config.gateway.map(dialAddress),
      environmentOf: (config) => dialEnvironment(config, process.env),
      sealOptionsOf: (config) => sealOptionsOf(config, process.env),
    });
    return isWell ? EXIT.stopped : EXIT.failed;
  },
};

/** Seals the process if it is asked for. On Bun it starts again in here. @throws {StartError} It must and cannot. */
export function sealIfAsked(config: Readonly<AgentConfig>, log: Logger): void {
  if (config.seal === "off") return;
  const outcome = seal(sealOptionsOf(config, process.env));
  if (outcome.kind === "sealed") return log.info("sealed", { detail: outcome.detail });
  if (config.seal === "require") throw new StartError(`Cannot seal the agent: ${outcome.reason}`);
  log.warn("not sealed", { reason: outcome.reason });
}

/** Warns of doors that the token does not allow: they open, and every call at them is refused. */
export function warnOfDoors(config: Readonly<AgentConfig>, token: string, log: Logger): void {
  const lacking = lackingForDoors(token, {
    serve: [...config.serve.map(({ service }) => service), ...(config.as === undefined ? [] : [config.as])],
    reach: config.reach.map(({ service }) => service),
    egress: config.egress !== undefined,
  });
  if (lacking !== undefined) log.warn("the token does not allow all doors, calls there are refused", lacking);
}

/** What is wrong, for whoever called the program; `undefined` for a bug. */
export function explainAgentError(error: unknown): { message: string; code: ExitCode } | undefined {
  if (error instanceof ConfigError) return { message: formatConfigError(error), code: EXIT.usage };
  if (error instanceof StartError) return { message: error.message, code: EXIT.usage };
  // As for the gateway: what holds the address may go away, so starting again can help.
  if (error instanceof ListenFault) return { message: error.message, code: EXIT.failed };
  if (error instanceof LinkError) return { message: error.message, code: EXIT.refused };
  return undefined;
}
