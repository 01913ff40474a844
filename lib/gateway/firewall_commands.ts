/**
 * The commands of netwall-gateway that ask a running gateway about its firewall, as its help shows them.
 *
 * @module
 */
import process from "node:process";
import type { z } from "zod";
import { AdminClient } from "../admin/client.ts";
import { AdminClientError } from "../admin/client_error.ts";
import { adminTokenOf } from "../admin/client_token.ts";
import { type EventsOutput, showEvents } from "../admin/events_command.ts";
import {
  applyPolicy,
  diffPolicy,
  exportPolicy,
  listGroups,
  listVersions,
  rollbackPolicy,
  setGroupMode,
  simulatePolicy,
  stagePolicy,
  unstagePolicy,
} from "../admin/policy_commands.ts";
import { type PolicyFile, readPolicyFile } from "../admin/policy_file.ts";
import { print, printToFile } from "../admin/print.ts";
import type { CommandSpec } from "../cli/arguments.ts";
import { EXIT, type ExitCode } from "../cli/exit.ts";
import type { AdminAddress } from "../config/admin_address.ts";
import {
  eventsConfig,
  groupsConfig,
  policyApplyConfig,
  policyDiffConfig,
  policyExportConfig,
  policyModeConfig,
  policyRollbackConfig,
  policySimulateConfig,
  policyUnstageConfig,
  policyVersionsConfig,
} from "../config/firewall_config.ts";
import { printable } from "../printable.ts";
import type { FlagValues } from "../settings.ts";

export const FIREWALL_COMMAND_SPECS: readonly CommandSpec[] = [
  {
    name: "policy export",
    summary: "Print the policy in force and the learned model, as YAML",
    options: policyExportConfig,
    examples: ["netwall-gateway policy export > policy.yaml"],
  },
  {
    name: "policy diff",
    summary: "Show what applying a policy would change",
    options: policyDiffConfig,
    examples: ["netwall-gateway policy diff policy.yaml"],
  },
  {
    name: "policy simulate",
    summary: "Try a policy on stored flows: what would it have blocked",
    options: policySimulateConfig,
    examples: ["netwall-gateway policy simulate policy.yaml --since 7d"],
  },
  {
    name: "policy apply",
    summary: "Put a policy in force in place of the whole one there is, or stage it",
    options: policyApplyConfig,
    examples: [
      "netwall-gateway policy apply policy.yaml --comment 'verifier for payment'",
      "netwall-gateway policy apply policy.yaml --stage",
    ],
  },
  {
    name: "policy unstage",
    summary: "Take the staged policy away",
    options: policyUnstageConfig,
    examples: ["netwall-gateway policy unstage"],
  },
  {
    name: "policy versions",
    summary: "List the versions of the policy",
    options: policyVersionsConfig,
    examples: ["netwall-gateway policy versions"],
  },
  {
    name: "policy rollback",
    summary: "Put an older version of the policy in force again",
    options: policyRollbackConfig,
    examples: ["netwall-gateway policy rollback 7"],
  },
  {
    name: "policy mode",
    summary: "Set the mode of a group: learn, alert or prevent",
    options: policyModeConfig,
    examples: [
      "netwall-gateway policy mode shop/redis prevent",
      "netwall-gateway policy mode shop/ghcr.io/acme/payment prevent --direction egress",
    ],
  },
  {
    name: "groups",
    summary: "List the groups of containers, their modes and what they have learned",
    options: groupsConfig,
    examples: ["netwall-gateway groups"],
  },
  {
    name: "events",
    summary: "Show events: what was not known, what rules and limits hit, who changed the policy",
    options: eventsConfig,
    examples: [
      "netwall-gateway events --follow",
      "netwall-gateway events --since 24h --effect prevent --namespace shop --json",
    ],
  },
];

/** Loads the settings of a command from its flags and the environment. */
export type Load = <S extends z.ZodObject>(schema: S, flags: FlagValues) => Readonly<z.output<S>>;

type Command = (flags: FlagValues) => Promise<ExitCode>;

/** How a command finds its gateway. */
interface Connection {
  readonly admin: AdminAddress;
  readonly adminTokenFile?: string | undefined;
  readonly data: string;
}

/** The commands by name. */
export function firewallCommands(load: Load): Record<string, Command> {
  /** A command that asks, prints the answer and is done. */
  const asks = <S extends z.ZodObject>(
    schema: S,
    ask: (client: AdminClient, config: Readonly<z.output<S>>) => Promise<string>,
  ): Command =>
  async (flags) => {
    const config = load(schema, flags);
    await print(await ask(clientOf(config as unknown as Connection), config));
    return EXIT.stopped;
  };
  /** The same for one that is about a file, which is read first: its faults need no gateway. */
  const sends = <S extends z.ZodObject>(
    schema: S,
    ask: (client: AdminClient, file: PolicyFile, config: Readonly<z.output<S>>) => Promise<string>,
  ): Command =>
  async (flags) => {
    const config = load(schema, flags);
    const file = await readPolicyFile((config as unknown as { file: string }).file, process.stdin);
    await print(await ask(clientOf(config as unknown as Connection), file, config));
    return EXIT.stopped;
  };
  return {
    "policy export": asks(policyExportConfig, async (client, { output }) => {
      const text = await exportPolicy(client);
      return output === undefined ? text : writeExport(output, text);
    }),
    "policy diff": sends(policyDiffConfig, diffPolicy),
    "policy simulate": sends(
      policySimulateConfig,
      (client, file, { since }) => simulatePolicy(client, file, Date.now() - since),
    ),
    "policy apply": sends(policyApplyConfig, async (client, file, { stage, comment, ifVersion }) => {
      if (stage) return await stagePolicy(client, file);
      return await applyPolicy(client, file, { comment, ifVersion });
    }),
    "policy unstage": asks(policyUnstageConfig, unstagePolicy),
    "policy versions": asks(policyVersionsConfig, (client, { limit }) => listVersions(client, limit)),
    "policy rollback": asks(policyRollbackConfig, (client, { version }) => rollbackPolicy(client, version)),
    "policy mode": asks(
      policyModeConfig,
      (client, { group, mode, direction }) => setGroupMode(client, group, mode, direction),
    ),
    groups: asks(groupsConfig, listGroups),
    events: async (flags) => {
      const { follow, since, limit, json, admin, adminTokenFile, data, ...filter } = load(
        eventsConfig,
        flags,
      );
      const output = standardOutput(follow);
      const client = clientOf({ admin, adminTokenFile, data });
      await showEvents(client, { filter, sinceMs: since, limit, follow, json }, output);
      return EXIT.stopped;
    },
  };
}

/** The exit code for what went wrong. */
export function exitOf(error: AdminClientError): ExitCode {
  if (error.code === "refused") return EXIT.refused;
  return error.code === "invalid" ? EXIT.usage : EXIT.failed;
}

function clientOf({ admin, adminTokenFile, data }: Connection): AdminClient {
  const environment = process.env["NETWALL_ADMIN_TOKEN"];
  return new AdminClient({
    place: admin,
    token: adminTokenOf({ file: adminTokenFile, environment, dataDir: data }),
  });
}

/** The file is opened only once there is something to write. */
function writeExport(path: string, text: string): string {
  printToFile(path, text);
  return `Written to ${printable(path)}\n`;
}

/** Standard output for events. While they are followed, a signal or a reader who is gone ends it well. */
function standardOutput(follow: boolean): EventsOutput {
  const stop = new AbortController();
  const end = (): void => stop.abort();
  if (follow) { for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, end); }
  // A program that runs shows events once.
  process.stdout.once("error", end);
  return {
    colors: process.stdout.isTTY === true && (process.env["NO_COLOR"] ?? "") === "",
    stop: stop.signal,
    nowMs: Date.now,
    note: (text) => void process.stderr.write(`netwall-gateway: ${text}\n`),
    write: (text) =>
      new Promise((resolve, reject) => {
        if (stop.signal.aborted) return resolve();
        // A reader that stalls must not keep the program from being stopped.
        const done = (): void => {
          stop.signal.removeEventListener("abort", done);
          resolve();
        };
        stop.signal.addEventListener("abort", done);
        print(text).then((isTaken) => {
          if (!isTaken) end();
          done();
        }, reject);
      }),
  };
}
