/**
 * The commands of netwall-gateway that ask a running gateway about its firewall, as its help shows them.
 *
 * @module
 */
import process from "node:process";
import type { z } from "zod";
import { type Answer, plainAnswer } from "../admin/answer.ts";
import { AdminClient } from "../admin/client.ts";
import { AdminClientError } from "../admin/client_error.ts";
import { adminTokenOf } from "../admin/client_token.ts";
import { allowEvent, showEvent } from "../admin/event_commands.ts";
import { type EventsOutput, showEvents } from "../admin/events_command.ts";
import {
  applyPolicy,
  diffPolicy,
  exportPolicy,
  listAudit,
  listVersions,
  relearnGroup,
  rollbackPolicy,
  setGroupMode,
  simulatePolicy,
  stagePolicy,
  unstagePolicy,
} from "../admin/policy_commands.ts";
import { type PolicyFile, readPolicyFile } from "../admin/policy_file.ts";
import { print, printToFile } from "../admin/print.ts";
import { liftBan, listBans, listGroups } from "../admin/state_commands.ts";
import type { CommandSpec } from "../cli/arguments.ts";
import { EXIT, type ExitCode } from "../cli/exit.ts";
import type { AdminAddress } from "../config/admin_address.ts";
import {
  bansConfig,
  bansLiftConfig,
  eventsAllowConfig,
  eventsConfig,
  eventsShowConfig,
  groupsConfig,
  groupsRelearnConfig,
  policyApplyConfig,
  policyAuditConfig,
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
    examples: [
      "netwall-gateway policy export > policy.yaml",
      "netwall-gateway policy export --no-model --output policy.yaml",
    ],
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
    name: "policy audit",
    summary: "List who changed what",
    options: policyAuditConfig,
    examples: ["netwall-gateway policy audit"],
  },
  {
    name: "policy rollback",
    summary: "Put an older version of the policy in force again",
    options: policyRollbackConfig,
    examples: ["netwall-gateway policy rollback 7"],
  },
  {
    name: "policy mode",
    summary: "Set the mode of a group: learn, alert or prevent, or take it away: default",
    options: policyModeConfig,
    examples: [
      "netwall-gateway policy mode shop/redis prevent",
      "netwall-gateway policy mode shop/redis default",
      "netwall-gateway policy mode shop/ghcr.io/acme/payment prevent --direction egress",
    ],
  },
  {
    name: "groups",
    summary: "List the groups of containers, their modes and what they have learned",
    options: groupsConfig,
    examples: ["netwall-gateway groups", "netwall-gateway groups --all"],
  },
  {
    name: "groups relearn",
    summary: "Forget what was learned of a group, so that it learns again",
    options: groupsRelearnConfig,
    examples: ["netwall-gateway groups relearn shop/front-end"],
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
  {
    name: "events show",
    summary: "Show all that is known of an event",
    options: eventsShowConfig,
    examples: ["netwall-gateway events show 1a"],
  },
  {
    name: "events allow",
    summary: "Allow what an event was about from now on: adds a rule for its image and namespace",
    options: eventsAllowConfig,
    examples: ["netwall-gateway events allow 1a"],
  },
  {
    name: "bans",
    summary: "List the sources that a rate limit has banned",
    options: bansConfig,
    examples: ["netwall-gateway bans"],
  },
  {
    name: "bans lift",
    summary: "Let a banned source in again",
    options: bansLiftConfig,
    examples: ["netwall-gateway bans lift 5d2f0c6b8a1e4f7790ab12cd"],
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
    ask: (client: AdminClient, config: Readonly<z.output<S>>) => Promise<Answer>,
  ): Command =>
  async (flags) => {
    const config = load(schema, flags);
    await tell(await ask(clientOf(config as unknown as Connection), config));
    return EXIT.stopped;
  };
  /** The same for one that is about a file, which is read first: its faults need no gateway. */
  const sends = <S extends z.ZodObject>(
    schema: S,
    ask: (client: AdminClient, file: PolicyFile, config: Readonly<z.output<S>>) => Promise<Answer>,
    isChange = false,
  ): Command =>
  async (flags) => {
    const config = load(schema, flags);
    const path = (config as unknown as { file: string }).file;
    const file = await readPolicyFile(path, process.stdin, isChange);
    await tell(await ask(clientOf(config as unknown as Connection), file, config));
    return EXIT.stopped;
  };
  return {
    "policy export": asks(policyExportConfig, async (client, { output, model }) => {
      const text = await exportPolicy(client, model);
      return plainAnswer(output === undefined ? text : writeExport(output, text));
    }),
    "policy diff": sends(policyDiffConfig, (client, file, { json }) => diffPolicy(client, file, json)),
    "policy simulate": sends(
      policySimulateConfig,
      (client, file, { since, json }) => simulatePolicy(client, file, Date.now() - since, json),
    ),
    "policy apply": sends(policyApplyConfig, async (client, file, { stage, comment, ifVersion }) => {
      if (stage) return await stagePolicy(client, file);
      return await applyPolicy(client, file, { comment, ifVersion });
    }, true),
    "policy unstage": asks(policyUnstageConfig, unstagePolicy),
    "policy versions": asks(
      policyVersionsConfig,
      (client, { limit, json }) => listVersions(client, limit, json),
    ),
    "policy audit": asks(policyAuditConfig, (client, { limit, json }) => listAudit(client, limit, json)),
    "policy rollback": asks(policyRollbackConfig, (client, { version }) => rollbackPolicy(client, version)),
    "policy mode": asks(
      policyModeConfig,
      (client, { group, mode, direction }) => setGroupMode(client, group, mode, direction),
    ),
    groups: asks(groupsConfig, listGroups),
    "groups relearn": asks(groupsRelearnConfig, (client, { group }) => relearnGroup(client, group)),
    "events show": asks(eventsShowConfig, (client, { id, json }) => showEvent(client, id, json)),
    "events allow": asks(eventsAllowConfig, (client, { id }) => allowEvent(client, id)),
    bans: asks(bansConfig, (client, { json }) => listBans(client, json)),
    "bans lift": asks(bansLiftConfig, (client, { key }) => liftBan(client, key)),
    events: async (flags) => {
      const config = load(eventsConfig, flags);
      const { follow, since, limit, long, json, admin, adminTokenFile, data, ...filter } = config;
      const output = standardOutput(follow);
      const client = clientOf({ admin, adminTokenFile, data });
      await showEvents(client, { filter, sinceMs: since, limit, follow, long, json }, output);
      return EXIT.stopped;
    },
  };
}

/** The exit code for what went wrong. */
export function exitOf(error: AdminClientError): ExitCode {
  if (error.code === "refused") return EXIT.refused;
  return error.code === "invalid" ? EXIT.usage : EXIT.failed;
}

export function clientOf({ admin, adminTokenFile, data }: Connection): AdminClient {
  const environment = process.env["NETWALL_ADMIN_TOKEN"];
  return new AdminClient({
    place: admin,
    token: adminTokenOf({ file: adminTokenFile, environment, dataDir: data }),
  });
}

/** Warnings come first: what was asked for may be long. */
async function tell({ text, warnings }: Answer): Promise<void> {
  for (const warning of warnings) process.stderr.write(`warning: ${printable(warning)}\n`);
  await print(text);
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
