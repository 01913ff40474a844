/**
 * A gateway with its firewall, agents of enrolled workloads, and the admin API as an operator calls it, for end-to-end
 * tests.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { mint } from "../../lib/admin/token_commands.ts";
import type { NetwallEvent } from "../../lib/events/event.ts";
import { eventually, type RunningGateway, startAgent, startGateway } from "../e2e/wall.ts";
import { netwallCommand, type ProcessGroup, type RunningProcess, type Runtime } from "./processes.ts";

/** Of all workloads here. */
export const NAMESPACE = "shop";

/** A container: what its token says, and what its agent does. */
export interface Workload {
  /** Of the token; the image is `NAME:1.0`. */
  readonly name: string;
  /** Of the agent: `--serve`, `--reach`, `--egress`. */
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Mints a token that may do everything, so that only the policy judges. */
export function mintWorkload(data: string, name: string): Promise<string> {
  const may = { serve: ["*"], reach: ["*"], egress: true };
  const is = { name: `${name}-1`, namespace: NAMESPACE, image: `${name}:1.0` };
  return mint({ data, ...is, ...may, ttlMs: 3_600_000 }, Date.now());
}

/** Links the agent of a workload. */
export async function startWorkload(
  processes: ProcessGroup,
  runtime: Runtime,
  gateway: RunningGateway,
  { name, args, env = {} }: Workload,
): Promise<RunningProcess> {
  const token = await mintWorkload(gateway.data, name);
  return await startAgent(processes, runtime, gateway, { args, token, options: { env } });
}

/** Starts a gateway that sends every visitor to `web`, with its admin API. */
export function startFirewall(
  processes: ProcessGroup,
  runtime: Runtime,
  args: readonly string[] = [],
  data?: string,
): Promise<RunningGateway> {
  return startGateway(processes, runtime, {
    args: [...(args.includes("--admin") ? [] : ["--admin", "127.0.0.1:0"]), "--route", "*=web", ...args],
    ...(data === undefined ? {} : { data }),
  });
}

/** What came back from the admin API. */
export interface AdminAnswer {
  readonly status: number;
  // deno-lint-ignore no-explicit-any -- any JSON: each test looks at what it knows is there
  readonly body: any;
}

/** Calls the admin API of a gateway. */
export class Operator {
  readonly #gateway: RunningGateway;
  readonly #token: string;

  /** @param token @default the one that the gateway made for its own machine */
  constructor(gateway: RunningGateway, token?: string) {
    this.#gateway = gateway;
    this.#token = token ?? readFileSync(join(gateway.data, "admin-token"), "utf8").trim();
  }

  /** What goes with every call. */
  get authorization(): string {
    return `Bearer ${this.#token}`;
  }

  /** @param path Below `/api/v1/`. */
  async ask(method: string, path: string, body?: unknown): Promise<AdminAnswer> {
    const answer = await fetch(`http://${this.#gateway.addresses["admin"]}/api/v1/${path}`, {
      method,
      headers: { authorization: this.authorization, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    const isJson = /[/+]json\b/.test(answer.headers.get("content-type") ?? "");
    return { status: answer.status, body: isJson ? JSON.parse(text) : text };
  }

  /** Asks for what must be there. */
  async get(path: string): Promise<AdminAnswer["body"]> {
    const { status, body } = await this.ask("GET", path);
    if (status !== 200) throw new Error(`Cannot read ${path}: ${status} ${JSON.stringify(body)}`);
    return body;
  }

  /** Puts a policy with this `spec` in force. */
  async apply(spec: object): Promise<{ version: number; cut: number }> {
    const { status, body } = await this.ask("PUT", "policy", policyOf(spec));
    if (status !== 200) throw new Error(`Cannot apply: ${status} ${JSON.stringify(body)}`);
    return body;
  }

  async setMode(name: string, mode: "learn" | "alert" | "prevent"): Promise<void> {
    const { status, body } = await this.ask("PUT", "groups/mode", { group: groupId(name), mode });
    if (status !== 200) throw new Error(`Cannot set a mode: ${status} ${JSON.stringify(body)}`);
  }

  /** The newest events. */
  async events(query = ""): Promise<NetwallEvent[]> {
    return (await this.get(`events?limit=1000${query}`)).items;
  }

  /** Waits for an event in the store. @param query Narrows what is looked at, such as `&type=storeFault`. */
  async event(what: string, isIt: (event: NetwallEvent) => boolean, query = ""): Promise<NetwallEvent> {
    try {
      const found = await eventually(
        async () => (await this.events(query)).find(isIt),
        (one) => one !== undefined,
      );
      return found!;
    } catch {
      const told = (await this.events(query)).slice(0, 20).map(({ type, verdict, count, message }) =>
        `${type} ${verdict} ${count} ${message.slice(0, 120)}`
      );
      throw new Error(`There is no event of ${what}, only:\n${told.join("\n")}`);
    }
  }
}

/** A policy as a document. */
export function policyOf(spec: object): object {
  return { apiVersion: "netwall/v1", kind: "Policy", spec };
}

/** The group of a workload. */
export function groupId(name: string): string {
  return `${NAMESPACE}/${name}`;
}

/** How a command ended. */
export interface CommandEnd {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts a command of `netwall-gateway` that asks a gateway. */
export function startCommand(
  processes: ProcessGroup,
  runtime: Runtime,
  gateway: RunningGateway,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): RunningProcess {
  const at = ["--admin", String(gateway.addresses["admin"]), "--data", gateway.data];
  return processes.start([...netwallCommand(runtime, "gateway"), ...args, ...at], { env });
}

/** Runs such a command to its end. */
export async function runCommand(
  processes: ProcessGroup,
  runtime: Runtime,
  gateway: RunningGateway,
  args: readonly string[],
  env?: Readonly<Record<string, string>>,
): Promise<CommandEnd> {
  const command = startCommand(processes, runtime, gateway, args, env);
  const { code } = await command.exit;
  return { code, stdout: command.stdout(), stderr: command.stderr() };
}
