/**
 * A gateway and an agent in this process, on real sockets, for tests that look at both ends.
 *
 * @module
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startAgent } from "../../agent.ts";
import { startGateway } from "../../gateway.ts";
import { mint } from "../../lib/admin/token_commands.ts";
import { agentConfig } from "../../lib/config/agent_config.ts";
import { gatewayConfig } from "../../lib/config/gateway_config.ts";
import { loadConfig } from "../../lib/config/load.ts";
import type { FetchHandler } from "../../lib/http/replay_app.ts";
import { createLogger, type Logger } from "../../lib/log.ts";
import type { FlagValues } from "../../lib/settings.ts";

export interface WallOptions {
  /** Flags of the gateway, beside its addresses and its data directory. */
  gateway?: FlagValues;
  /** Flags of the agent, beside its gateway and its token; none for no agent. */
  agent?: FlagValues;
  /** An app in the agent's process, as the service `web`. */
  handler?: FetchHandler;
}

/** A gateway, with an agent or without. */
export interface Wall {
  /** Of the public HTTP listener. */
  readonly port: number;
  readonly adminPort: number;
  /** The ports of `--tcp`, in order. */
  readonly tcpPorts: readonly number[];
  readonly data: string;
  /** Lines of both logs, as JSON. */
  readonly log: string[];
  /** A new token of this gateway. */
  token(serve: string[], ttlMs?: number): Promise<string>;
  /** Links one more agent; returns how to end it. */
  link(flags: FlagValues, handler?: FetchHandler): Promise<{ stop(graceMs: number): Promise<void> }>;
  /** What the admin API says. */
  admin(path: string): Promise<string>;
  /** The sum of all series of a metric whose labels hold the text. */
  metric(name: string, labels?: string): Promise<number>;
  close(): Promise<void>;
}

/** Starts a wall; settles when the agent is linked. */
export async function startWall(options: WallOptions): Promise<Wall> {
  const data = mkdtempSync(join(tmpdir(), "netwall-test-"));
  const lines: string[] = [];
  const write = (line: string): void => void lines.push(line);
  const log: Logger = createLogger({ level: "debug", format: "json", isTerminal: false, write });
  const flags = { http: "127.0.0.1:0", admin: "127.0.0.1:0", data, route: ["*=web"], ...options.gateway };
  const gateway = await startGateway(loadConfig({ schema: gatewayConfig, flags, env: {} }), log);
  const address = String(gateway.addresses["http"]);
  const adminPort = portOf(String(gateway.addresses["admin"]));
  const { tcp = [] } = gateway.addresses;
  const tcpPorts = [tcp].flat().map(portOf);
  const agents: { stop(graceMs: number): Promise<void> }[] = [];
  const token = (serve: string[], ttlMs = 3_600_000): Promise<string> =>
    mint(
      { data, name: "box", serve, reach: [], egress: false, namespace: "default", image: "", ttlMs },
      Date.now(),
    );
  const admin = async (path: string): Promise<string> => {
    const secret = readFileSync(join(data, "admin-token"), "utf8").trim();
    const headers = { authorization: `Bearer ${secret}` };
    return await (await fetch(`http://127.0.0.1:${adminPort}${path}`, { headers })).text();
  };
  const wall: Wall = {
    ...{ port: portOf(address), adminPort, tcpPorts, data, log: lines, token, admin },
    async link(agentFlags, handler): Promise<{ stop(graceMs: number): Promise<void> }> {
      const minted = await token(["*"]);
      const all = { gateway: [`ws://${address}`], token: minted, ...agentFlags };
      const config = loadConfig({ schema: agentConfig, flags: all, env: {} });
      const agent = await startAgent({ config, token: minted, log, ...(handler ? { handler } : {}) });
      agent.done.catch(() => {});
      agents.push(agent);
      await agent.ready;
      return agent;
    },
    async metric(name, labels = ""): Promise<number> {
      const sums = (await admin("/metrics")).split("\n")
        .filter((line) =>
          (line.startsWith(`${name}{`) || line.startsWith(`${name} `)) && line.includes(labels)
        );
      return sums.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
    },
    async close(): Promise<void> {
      for (const agent of agents) await agent.stop(0);
      await gateway.stop(0);
      rmSync(data, { recursive: true, force: true });
    },
  };
  if (options.handler) await wall.link({ app: "unused", as: "web", ...options.agent }, options.handler);
  else if (options.agent) await wall.link(options.agent);
  return wall;
}

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(":") + 1));
}
