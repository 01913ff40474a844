/**
 * quickstart: gateway, token, agent and a service to try it with, in one process, and what it tells people.
 *
 * @module
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExitCode } from "../cli/exit.ts";
import { untilStopped } from "../cli/program.ts";
import { formatTarget } from "../config/addresses.ts";
import { type AgentConfig, agentConfig } from "../config/agent_config.ts";
import { type GatewayConfig, gatewayConfig, quickstartConfig } from "../config/gateway_config.ts";
import { formatListenAddress } from "../config/listen.ts";
import { loadConfig } from "../config/load.ts";
import { ListenFault } from "../http/visitor_server.ts";
import { sampleApp } from "../http/sample_app.ts";
import { createLogger, type Logger } from "../log.ts";
import type { FlagValues } from "../settings.ts";
import { loadCommand } from "./program.ts";
import { mint } from "../admin/token_commands.ts";

/** A trial ends when its user says so. */
const GRACE_MS = 1_000;
const TTL_MS = 30 * 86_400_000;

/** A running gateway. */
export interface RunningGateway {
  /** The real addresses, as the ready line prints them. */
  readonly addresses: Readonly<Record<string, string | string[]>>;
  /** Tells the agents to move, finishes what is under way, and ends. */
  stop(graceMs: number): Promise<void>;
}

type StartGateway = (config: Readonly<GatewayConfig>, log: Logger) => Promise<RunningGateway>;

type StartAgent = (options: {
  config: Readonly<AgentConfig>;
  token: string;
  log: Logger;
  handler: typeof sampleApp;
  audits: boolean;
}) => Promise<{ ready: Promise<void>; stop(graceMs: number): Promise<void> }>;

/** Runs until it is stopped, and leaves nothing behind: the key lives in a temporary directory. */
export async function quickstart(
  flags: FlagValues,
  startGateway: StartGateway,
  loadAgent: () => Promise<StartAgent>,
): Promise<ExitCode> {
  const config = loadCommand(quickstartConfig, flags);
  const target = config.target && formatTarget(config.target);
  const log = createLogger({ level: "warn", format: "auto", isTerminal: process.stderr.isTTY === true });
  const data = mkdtempSync(join(tmpdir(), "netwall-"));
  try {
    const [http, admin] = [formatListenAddress(config.http), formatListenAddress(config.admin)];
    const gatewayFlags = { http, admin, data, route: ["*=web"] };
    const gateway = await startGateway(
      loadConfig({ schema: gatewayConfig, flags: gatewayFlags, env: {} }),
      log,
    ).catch((error) => {
      if (!(error instanceof ListenFault)) throw error;
      throw new ListenFault(`${error.message}: npm start -- --http 127.0.0.1:8090 --admin 127.0.0.1:9099`);
    });
    const address = String(gateway.addresses["http"]);
    const identity = {
      name: "quickstart",
      serve: ["web"],
      reach: [],
      egress: false,
      namespace: "default",
      image: "",
    };
    const token = await mint({ ...identity, data, ttlMs: TTL_MS }, Date.now());
    const published = target ? { serve: [`web=${target}`] } : { app: "sample", as: "web" };
    const agentFlags = { gateway: [`ws://${address}`], token, ...published };
    const startAgent = await loadAgent();
    const agent = await startAgent({
      config: loadConfig({ schema: agentConfig, flags: agentFlags, env: {} }),
      ...{ token, log, handler: sampleApp, audits: false },
    });
    await agent.ready;
    const stopped = untilStopped(log, async (graceMs) => {
      await agent.stop(graceMs);
      await gateway.stop(graceMs);
    }, GRACE_MS);
    process.stdout.write(
      `ready ${JSON.stringify(gateway.addresses)}\n${
        greeting(`http://${address}`, target, {
          data,
          admin: gateway.addresses["admin"] as string | undefined,
        })
      }`,
    );
    return await stopped;
  } finally {
    rmSync(data, { recursive: true, force: true });
  }
}

/**
 * The lines that greet on a terminal.
 *
 * @param target What is published, or nothing for the sample.
 * @param api Where the commands that ask the gateway find it; nothing when the admin API is off.
 */
export function greeting(
  url: string,
  target: string | undefined,
  api: { readonly data: string; readonly admin: string | undefined },
): string {
  const sample = target === undefined;
  return [
    "",
    `  ${url}  →  gateway  →  one outgoing socket  →  agent  →  ${
      target ?? "a sample that listens on no port"
    }`,
    "",
    "  Try it:",
    sample ? `    curl ${url}` : `    curl -i ${url}`,
    ...(sample ? [`    curl -N ${url}/events`, `    curl -d 'any body' ${url}/echo`] : []),
    "",
    ...(api.admin === undefined ? [] : [
      "  The firewall learns meanwhile, see what:",
      `    ${programWords()} groups --admin ${api.admin} --data ${api.data}`,
      "    npm run demo     # its whole story, on a small shop",
      "",
    ]),
    sample ? "  Publish your own:" : "  Publish something else:",
    "    npm start -- http://127.0.0.1:3000",
    "",
    "  Ctrl-C ends it all and leaves nothing behind.",
    "",
    "",
  ].join("\n");
}

/** How the program is called by whoever started it. */
function programWords(): string {
  return process.argv[1]?.endsWith("gateway.ts") === true ? "npx bun gateway.ts" : "netwall-gateway";
}
