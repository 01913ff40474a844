/**
 * A gateway and its agents as real processes, for end-to-end tests.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { mint } from "../../lib/admin/token_commands.ts";
import {
  bunBinary,
  type ProcessGroup,
  type ProcessOptions,
  ROOT,
  type RunningProcess,
  type Runtime,
} from "../support/processes.ts";

/** Longer than any honest test takes, so that a hang is told by the deadline of the wait itself. */
export const TEST_MS_MAX = 60_000;

/** The runtime of each end. */
export type Pairing = readonly [gateway: Runtime, agent: Runtime];

/** Every pairing of the two runtimes from source. */
export const PAIRINGS: readonly Pairing[] = [
  ["bun", "bun"],
  ["bun", "deno"],
  ["deno", "bun"],
  ["deno", "deno"],
];

/** Each runtime at each end once. */
export const CROSS: readonly Pairing[] = [["bun", "deno"], ["deno", "bun"]];

/** What a token is to say, as far as it differs from one for any service. */
export interface Claims {
  readonly name?: string;
  readonly serve?: readonly string[];
  readonly ttlMs?: number;
}

/** Mints a token with the key in a data directory, as `netwall-gateway token` does. */
export function mintFor(data: string, claims: Claims = {}): Promise<string> {
  const { name = "agent", serve = ["*"], ttlMs = 3_600_000 } = claims;
  const rest = { reach: [], egress: false, namespace: "default", image: "" };
  return mint({ data, name, serve, ttlMs, ...rest }, Date.now());
}

/** A running gateway, with what it takes to link agents to it. */
export interface RunningGateway {
  readonly process: RunningProcess;
  /** The directory of its key. */
  readonly data: string;
  /** The public port of HTTP; 0 when it has none. */
  readonly port: number;
  /** All addresses of the ready line. */
  readonly addresses: Readonly<Record<string, string | string[] | undefined>>;
}

/** What may be set for a gateway. */
export interface GatewaySetup {
  /** @default the route `*` to `web` */
  readonly args?: readonly string[];
  readonly data?: string;
  readonly port?: number;
  readonly options?: ProcessOptions;
}

/** Starts a gateway on loopback, without the admin listener, and waits until it is ready. */
export async function startGateway(
  processes: ProcessGroup,
  runtime: Runtime,
  setup: GatewaySetup = {},
): Promise<RunningGateway> {
  const data = setup.data ?? processes.folder();
  const args = setup.args ?? ["--route", "*=web"];
  const http = args.includes("--http") ? [] : ["--http", `127.0.0.1:${setup.port ?? 0}`];
  const admin = args.includes("--admin") ? [] : ["--admin", "off"];
  const process = processes.gateway(runtime, [...http, ...admin, "--data", data, ...args], setup.options);
  const addresses = await process.ready as Readonly<Record<string, string | string[] | undefined>>;
  return { process, data, port: portOf(addresses["http"]), addresses };
}

/** The port of `HOST:PORT`. */
export function portOf(address: string | string[] | undefined): number {
  return typeof address === "string" ? Number(address.slice(address.lastIndexOf(":") + 1)) : 0;
}

/** What may be set for an agent. */
export interface AgentSetup extends Claims {
  readonly args: readonly string[];
  readonly token?: string;
  readonly options?: ProcessOptions;
  /** @default the public HTTP port of the gateway */
  readonly at?: string;
}

/** Starts an agent without waiting for it. */
export async function spawnAgent(
  processes: ProcessGroup,
  runtime: Runtime,
  gateway: RunningGateway,
  setup: AgentSetup,
): Promise<RunningProcess> {
  const token = setup.token ?? await mintFor(gateway.data, setup);
  const env = { ...setup.options?.env, NETWALL_TOKEN: token };
  const at = ["--gateway", setup.at ?? `ws://127.0.0.1:${gateway.port}`];
  return processes.agent(runtime, [...at, ...setup.args], { ...setup.options, env });
}

/** Starts an agent and waits until it is linked. */
export async function startAgent(
  processes: ProcessGroup,
  runtime: Runtime,
  gateway: RunningGateway,
  setup: AgentSetup,
): Promise<RunningProcess> {
  const agent = await spawnAgent(processes, runtime, gateway, setup);
  await agent.ready;
  return agent;
}

/** How many links a gateway has taken in so far. */
export function linkCount(gateway: RunningGateway): number {
  return gateway.process.stderr().match(/"linked"/g)?.length ?? 0;
}

/** The memory of a process in bytes, as Linux counts it. */
export function residentBytes(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(match?.[1] ?? 0) * 1024;
}

/** The newest change of a source file, in ms. */
function newestSourceMs(): number {
  const lib = readdirSync(join(ROOT, "lib"), { recursive: true, encoding: "utf8" })
    .map((path) => join("lib", path)).filter((path) => /\.(tsx?|css|html|svg)$/.test(path));
  return Math.max(...["gateway.ts", "agent.ts", ...lib].map((path) => statSync(join(ROOT, path)).mtimeMs));
}

/**
 * Builds a bundle or executable that is missing or older than the source; call it before the first test.
 *
 * @throws {Error} With what the build said.
 */
export function ensureBuilt(runtime: Runtime): void {
  if (runtime === "bun" || runtime === "deno") return;
  const isExecutable = runtime === "executable";
  const suffix = isExecutable ? "" : ".js";
  const files = ["gateway", "agent"].map((script) => join(ROOT, "dist", `netwall-${script}${suffix}`));
  const newestMs = newestSourceMs();
  if (files.every((file) => existsSync(file) && statSync(file).mtimeMs >= newestMs)) return;
  const args = ["test/support/build.ts", ...(isExecutable ? ["--compile"] : [])];
  const { status, stderr } = spawnSync(bunBinary(), args, { cwd: ROOT, encoding: "utf8" });
  if (status !== 0) throw new Error(`Cannot build what is to be tested: ${stderr}`);
}

/** Asks again until the answer is what is wanted, with a deadline. */
export async function eventually<T>(
  ask: () => Promise<T> | T,
  wanted: (value: T) => boolean,
  timeoutMs = 20_000,
): Promise<T> {
  const deadlineMs = Date.now() + timeoutMs;
  for (;;) {
    const value = await ask();
    if (wanted(value)) return value;
    if (Date.now() >= deadlineMs) {
      throw new Error(`Not in ${timeoutMs} ms; the last was ${JSON.stringify(value)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
