/**
 * quickstart: gateway, tokens, agents and something to try it with, in one process, and what it tells people.
 *
 * With a target there is one agent, which publishes it. Without one there is the sample wall: a small shop of five
 * parts with an agent each, and visitors.
 *
 * @module
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExitCode } from "../cli/exit.ts";
import { untilStopped } from "../cli/program.ts";
import { formatTarget } from "../config/addresses.ts";
import { type AgentConfig, agentConfig } from "../config/agent_config.ts";
import { gatewayConfig, quickstartConfig } from "../config/gateway_config.ts";
import { formatListenAddress, parseListenAddress } from "../config/listen.ts";
import { loadConfig } from "../config/load.ts";
import { ListenFault } from "../http/visitor_server.ts";
import type { FetchHandler } from "../http/replay_app.ts";
import { createLogger, type Logger } from "../log.ts";
import { openSampleWall, type SampleWall } from "../sample/wall.ts";
import type { FlagValues } from "../settings.ts";
import type { GatewaySettings } from "./entry.ts";
import { loadCommand } from "./program.ts";
import { mint } from "../admin/token_commands.ts";

/** A trial ends when its user says so. */
const GRACE_MS = 1_000;
/** What is added later is reached at its own name: browsers and curl look for those in this machine (RFC 6761 §6.3). */
const DOMAIN = "localhost";
const TTL_MS = 30 * 86_400_000;

/** A running gateway. */
export interface RunningGateway {
  /** The real addresses, as the ready line prints them. */
  readonly addresses: Readonly<Record<string, string | string[]>>;
  /** A link that opens the page for whoever has it, once; `undefined` when there is no page. */
  pageLink?(): string | undefined;
  /** Tells the agents to move, finishes what is under way, and ends. */
  stop(graceMs: number): Promise<void>;
}

type StartGateway = (config: GatewaySettings, log: Logger) => Promise<RunningGateway>;

interface RunningAgent {
  readonly ready: Promise<void>;
  stop(graceMs: number): Promise<void>;
}

type StartAgent = (options: {
  config: Readonly<AgentConfig>;
  token: string;
  log: Logger;
  handler?: FetchHandler;
  audits: boolean;
}) => Promise<RunningAgent>;

/** One workload of the trial: what its token says, and the settings of its agent. */
interface Workload {
  readonly name: string;
  readonly service: string;
  readonly namespace: string;
  /** Empty when it has none. */
  readonly image: string;
  /** What it may call. */
  readonly reach: readonly string[];
  readonly egress: boolean;
  readonly handler: FetchHandler | undefined;
  readonly settings: FlagValues;
}

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
  const forget = (): void => rmSync(data, { recursive: true, force: true });
  // Also when it ends at once, on a second signal.
  process.once("exit", forget);
  let sample: SampleWall | undefined;
  try {
    sample = target === undefined ? await openSampleWall(folderFor(data, "sample")) : undefined;
    const [http, admin] = [formatListenAddress(config.http), formatListenAddress(config.admin)];
    const routing = { domain: DOMAIN, ...(sample?.gatewaySettings ?? { route: ["*=web"] }) };
    const settings = loadConfig({
      ...{ schema: gatewayConfig, flags: { http, admin, data, ...routing }, env: {} },
    });
    const gateway = await startGateway({ ...settings, sharesUnknown: true }, log).catch((error) => {
      if (!(error instanceof ListenFault)) throw error;
      const again = `npm start -- ${target === undefined ? "" : `${target} `}`;
      throw new ListenFault(`${error.message}: ${again}--http 127.0.0.1:8090 --admin 127.0.0.1:9099`);
    });
    const address = String(gateway.addresses["http"]);
    const workloads = sample === undefined ? [trial(target!)] : sample.parts.map(ofSample);
    // What the firewall refuses to the sample is told by events: as warnings it would fill the terminal.
    const agentLog = sample === undefined ? log : createLogger({
      ...{ level: "error", format: "auto", isTerminal: process.stderr.isTTY === true },
    });
    const startAgent = await loadAgent();
    const agents = await Promise.all(workloads.map(async (workload) => {
      const token = await mintFor(workload, data);
      const agentFlags = { gateway: [`ws://${address}`], token, ...workload.settings };
      const { handler } = workload;
      const agent = await startAgent({
        config: loadConfig({ schema: agentConfig, flags: agentFlags, env: {} }),
        ...{ token, log: agentLog, audits: false, ...(handler === undefined ? {} : { handler }) },
      });
      await agent.ready;
      return agent;
    }));
    const stopped = untilStopped(log, async (graceMs) => {
      await sample?.stopTraffic();
      await Promise.all(agents.map((agent) => agent.stop(graceMs)));
      await gateway.stop(graceMs);
    }, GRACE_MS);
    endWithTerminal();
    if (config.sampleTraffic) startTraffic(sample, address);
    const api = { data, admin: gateway.addresses["admin"] as string | undefined, page: gateway.pageLink?.() };
    process.stdout.write(
      `ready ${JSON.stringify(gateway.addresses)}\n${greeting(`http://${address}`, target, api)}`,
    );
    return await stopped;
  } finally {
    sample?.close();
    forget();
  }
}

/** A folder in the temporary one of this run, which only its user can enter. */
function folderFor(data: string, name: string): string {
  const path = join(data, name);
  mkdirSync(path, { mode: 0o700 });
  return path;
}

/** What publishes a target of the user's own. */
function trial(target: string): Workload {
  return {
    ...{ name: "quickstart", service: "web", namespace: "default", image: "", reach: [], egress: false },
    ...{ handler: undefined, settings: { serve: [`web=${target}`] } },
  };
}

function ofSample(part: SampleWall["parts"][number]): Workload {
  return { ...part, service: part.name, reach: ["*"], settings: { ...part.settings } };
}

function mintFor(workload: Workload, data: string): Promise<string> {
  const { name, service, reach, egress, namespace, image } = workload;
  const claims = { name, serve: [service], reach, egress, namespace, image };
  return mint({ ...claims, data, ttlMs: TTL_MS }, Date.now());
}

/** Sends the sample its visitors, by the door that all visitors use. */
function startTraffic(sample: SampleWall | undefined, address: string): void {
  const at = parseListenAddress(address, false);
  if (sample === undefined || at.kind !== "tcp") return;
  // Who listens on all addresses is visited at the nearest one.
  const host = at.host === "0.0.0.0" ? "127.0.0.1" : at.host === "::" ? "::1" : at.host;
  sample.startTraffic(host, at.port);
}

/** A terminal that closes ends what it shows, as Ctrl-C does. Without one, the default stays: `nohup` relies on it. */
function endWithTerminal(): void {
  if (![process.stdin, process.stdout, process.stderr].some((stream) => stream.isTTY === true)) return;
  let ended = false;
  process.on("SIGHUP", () => {
    // The shell and the system may both tell; a second signal would be one to end at once.
    if (!ended) process.kill(process.pid, "SIGTERM");
    ended = true;
  });
}

/**
 * The lines that greet on a terminal.
 *
 * @param target What is published, or nothing for the sample.
 * @param api Where the commands that ask the gateway find it, nothing when the admin API is off; and the link that
 *   opens its page.
 */
export function greeting(
  url: string,
  target: string | undefined,
  api: { readonly data: string; readonly admin: string | undefined; readonly page: string | undefined },
): string {
  const sample = target === undefined;
  return [
    "",
    `  ${url}  →  gateway  →  one outgoing socket  →  agent  →  ${
      target ?? "a sample that listens on no port"
    }`,
    "",
    ...(api.page === undefined ? [] : [
      `  Open the page: ${api.page}`,
      ...(api.admin === undefined ? [] : [
        `    It works once. Another: ${programWords()} page --admin ${api.admin} --data ${api.data}`,
      ]),
      "",
    ]),
    "  Try it:",
    sample ? `    curl ${url}` : `    curl -i ${url}`,
    ...(sample ? [`    curl -N ${url}/events`, `    curl -d 'any body' ${url}/echo`] : []),
    "",
    ...(api.admin === undefined ? [] : [
      sample
        ? "  The firewall learns for half a minute; then strangers come, and it alerts. See what:"
        : "  The firewall learns meanwhile, see what:",
      `    ${programWords()} groups --admin ${api.admin} --data ${api.data}`,
      ...(sample ? [`    ${programWords()} events --follow --admin ${api.admin} --data ${api.data}`] : []),
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
