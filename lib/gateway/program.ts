/**
 * The commands of netwall-gateway as its help shows them, those that need no running gateway of their own, and its
 * errors in words.
 *
 * @module
 */
import type { z } from "zod";
import { KeyStoreError } from "../auth/key_store.ts";
import { TokenError } from "../auth/token.ts";
import { TokenListError } from "../auth/token_list.ts";
import type { ProgramSpec } from "../cli/arguments.ts";
import { EXIT, type ExitCode } from "../cli/exit.ts";
import {
  gatewayConfig,
  quickstartConfig,
  tokenConfig,
  tokenListConfig,
  tokenRevokeConfig,
} from "../config/gateway_config.ts";
import { adminTokenConfig } from "../config/firewall_config.ts";
import { ConfigError, formatConfigError, loadConfig } from "../config/load.ts";
import { groupOf } from "../policy/flow.ts";
import { ListenFault } from "../http/visitor_server.ts";
import { ListenError } from "../runtime/listen_tls.ts";
import { StoreError } from "../store/store.ts";
import { FirewallFault } from "./sinks.ts";
import { environmentOf, type FlagValues } from "../settings.ts";
import { CertificateError } from "../tls/pair.ts";
import { mintAdmin } from "../admin/admin_token_command.ts";
import { AdminClientError } from "../admin/client_error.ts";
import { print } from "../admin/print.ts";
import { listTokens, mint, revokeTokens } from "../admin/token_commands.ts";
import { exitOf, FIREWALL_COMMAND_SPECS, firewallCommands } from "./firewall_commands.ts";
import { PAGE_COMMAND_SPEC, pageCommand } from "./page_command.ts";

const SERVE = {
  name: "serve",
  summary: "Take agents in and let visitors through to their services",
  options: gatewayConfig,
  examples: [
    "netwall-gateway --http 0.0.0.0:8080 --route '*=web'",
    "netwall-gateway --https 0.0.0.0:443 --cert cert.pem --key key.pem --domain example.com",
  ],
};

export const GATEWAY_PROGRAM: ProgramSpec = {
  name: "netwall-gateway",
  summary: "The only thing that listens: visitors come in here, agents dial in here",
  defaultCommand: SERVE,
  commands: [
    SERVE,
    {
      name: "token",
      summary: "Mint a token for an agent and print it, alone, on standard output",
      options: tokenConfig,
      examples: [
        "netwall-gateway token --name web-1 --serve web --namespace shop --image acme/web:1.2 > token",
      ],
    },
    {
      name: "token admin",
      summary: "Mint a token for the admin API and print it, alone, on standard output",
      options: adminTokenConfig,
      examples: ["netwall-gateway token admin --name alice --role viewer > admin-token-of-alice"],
    },
    {
      name: "token list",
      summary: "List the tokens that were minted",
      options: tokenListConfig,
      examples: ["netwall-gateway token list"],
    },
    {
      name: "token revoke",
      summary: "Revoke a token; its links end within seconds",
      options: tokenRevokeConfig,
      examples: ["netwall-gateway token revoke web-1"],
    },
    PAGE_COMMAND_SPEC,
    ...FIREWALL_COMMAND_SPECS,
    {
      name: "quickstart",
      summary: "Run a gateway, a token and an agent in one go, to try it out",
      options: quickstartConfig,
      examples: ["netwall-gateway quickstart", "netwall-gateway quickstart http://127.0.0.1:3000"],
    },
  ],
};

const GATEWAY_ENVIRONMENT = environmentOf(gatewayConfig);

/** Loads the settings of a command. The environment of `serve` may stand beside any other. */
export function loadCommand<S extends z.ZodObject>(schema: S, flags: FlagValues): Readonly<z.output<S>> {
  return loadConfig({ schema, flags, env: process.env, environmentOthers: GATEWAY_ENVIRONMENT });
}

/** The commands that need no running gateway. */
const TOKEN_COMMANDS: Record<string, (flags: FlagValues) => Promise<ExitCode>> = {
  token: async (flags) => {
    const { ttl: ttlMs, image = "", ...rest } = loadCommand(tokenConfig, flags);
    process.stdout.write(`${await mint({ ...rest, image, ttlMs }, Date.now())}\n`);
    if (image === "") {
      const { id } = groupOf(rest.namespace, image, rest.name);
      process.stderr.write(`netwall-gateway: no --image: policies know this agent as ${id}\n`);
    }
    return EXIT.stopped;
  },
  "token admin": async (flags) => {
    const { ttl: ttlMs, ...rest } = loadCommand(adminTokenConfig, flags);
    process.stdout.write(`${await mintAdmin({ ...rest, ttlMs }, Date.now())}\n`);
    return EXIT.stopped;
  },
  "token list": async (flags) => {
    await print(listTokens(loadCommand(tokenListConfig, flags).data, Date.now()));
    return EXIT.stopped;
  },
  "token revoke": (flags) => {
    const config = loadCommand(tokenRevokeConfig, flags);
    process.stdout.write(revokeTokens(config.data, config.id, Date.now()));
    return Promise.resolve(EXIT.stopped);
  },
};

/** The commands that ask a running gateway about its firewall. */
const FIREWALL_COMMANDS: Record<string, (flags: FlagValues) => Promise<ExitCode>> = firewallCommands(
  loadCommand,
);

/** The errors that an operator can mend, with the exit code for each. */
export function explainGatewayError(error: unknown): { message: string; code: ExitCode } | undefined {
  if (error instanceof ConfigError) return { message: formatConfigError(error), code: EXIT.usage };
  if (error instanceof AdminClientError) return { message: error.message, code: exitOf(error) };
  const usage = [CertificateError, TokenError];
  if (usage.some((kind) => error instanceof kind)) {
    return { message: (error as Error).message, code: EXIT.usage };
  }
  const failed = [ListenFault, ListenError, KeyStoreError, TokenListError, StoreError, FirewallFault];
  if (failed.some((kind) => error instanceof kind)) {
    return { message: (error as Error).message, code: EXIT.failed };
  }
  return undefined;
}

/** The commands that run beside a gateway, or ask one. */
export const COMMANDS = { ...TOKEN_COMMANDS, page: pageCommand(loadCommand), ...FIREWALL_COMMANDS };
