/**
 * What the firewall costs: the same gateway without it, with a learned model in force, and with nothing known, where
 * every request is an event.
 *
 * Each path is checked for doing what its name says: one that judged nothing would win.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ProcessGroup, type Runtime } from "../support/processes.ts";
import type { Bench, Experiment } from "./experiments.ts";
import { wrk } from "./load.ts";
import { answers, NETWALL_PATHS, runtimeOf, startGateway } from "./paths.ts";
import type { Figure } from "./report.ts";

const CONNECTIONS = 64;

const ROUTES = ["--route", "*=web"];

/** Nothing in the model of the group is touched by it: only what is unknown is an event from now on. */
const ALERT_POLICY = { apiVersion: "netwall/v1", kind: "Policy", spec: { defaultMode: "alert" } };

/** A gateway and its agent, with one kind of firewall. */
type Kind = "off" | "learned" | "events";

const KINDS: readonly Kind[] = ["off", "learned", "events"];

interface FirewallPath {
  readonly url: string;
  /** Process id of the gateway. */
  readonly pid: number;
  /** Asks the admin API. @param path Behind `/api/v1/`. @throws {Error} An answer other than 200. */
  api(method: string, path: string, body?: unknown): Promise<unknown>;
  dispose(): Promise<void>;
}

const FLAGS: Readonly<Record<Kind, readonly string[]>> = {
  off: ["--firewall=false"],
  learned: ["--mode", "learn", "--learning-promote=false"],
  events: ["--mode", "alert"],
};

async function start(runtime: Runtime, kind: Kind, web: string): Promise<FirewallPath> {
  const group = new ProcessGroup();
  try {
    const flags = ["--admin", "127.0.0.1:0", ...ROUTES, ...FLAGS[kind]];
    const { address, tokenFile, pid, admin = "" } = await startGateway(group, runtime, ["web"], flags);
    const link = ["--gateway", `ws://${address}`, "--token-file", tokenFile];
    await group.agent(runtime, [...link, "--serve", `web=http://${web}`]).ready;
    const url = `http://${address}/small`;
    await answers(url);
    const adminToken = readFileSync(join(dirname(tokenFile), "admin-token"), "utf8").trim();
    return {
      ...{ url, pid },
      api: async (method, path, body) => {
        const response = await fetch(`http://${admin}/api/v1/${path}`, {
          method,
          headers: { Authorization: `Bearer ${adminToken}`, "Content-Type": "application/json" },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
        const text = await response.text();
        if (response.status !== 200) throw new Error(`Cannot ask for ${path}: ${response.status} ${text}`);
        return JSON.parse(text);
      },
      dispose: () => group.dispose(),
    };
  } catch (error) {
    await group.dispose();
    throw error;
  }
}

/** Brings the path into the state that is measured, with load on it, so that the hot code is compiled too. */
async function prepare(bench: Bench, kind: Kind, path: FirewallPath): Promise<void> {
  await wrk(bench.group, path.url, CONNECTIONS, bench.warmSeconds);
  if (kind !== "learned") return;
  await path.api("PUT", "policy", ALERT_POLICY);
  await wrk(bench.group, path.url, CONNECTIONS, 1);
}

/** Ticks of `/proc` in a second, on every Linux that there is. */
const TICKS_PER_SECOND = 100;

/** What a process has had of the processors so far, in microseconds. Source: proc(5), stat, fields 14 and 15. */
function processorUs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The name of the program may hold blanks, but no field after it holds a bracket.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND * 1e6;
}

/** Fails when the path did not do what it is called after. */
async function check(kind: Kind, path: FirewallPath): Promise<void> {
  if (kind === "off") return;
  const { items } = await path.api("GET", "events?type=unexpectedConnection&limit=1000") as {
    items: { count: number }[];
  };
  const noticed = items.reduce((sum, { count }) => sum + count, 0);
  if (kind === "learned" && noticed > 0) {
    throw new Error(`Cannot measure ${path.url}: ${noticed} requests were taken for unknown ones`);
  }
  if (kind === "events" && noticed < 1_000) {
    throw new Error(`Cannot measure ${path.url}: only ${noticed} requests are in events`);
  }
}

export const firewall: Experiment = {
  name: "firewall",
  figures: NETWALL_PATHS.flatMap((name): Figure[] => [
    {
      key: `firewall-${name}`,
      title: `Requests per second with policy, model and events, ${CONNECTIONS} connections, 1 KiB, ${name}`,
      unit: "req/s",
      better: "more",
      references: [`${name}-off`],
      target: "learned 0.9 × off, or more",
    },
    {
      key: `firewall-processor-${name}`,
      title: `Processor time of the gateway per request meanwhile, ${name}`,
      unit: "µs",
      better: "less",
      references: [`${name}-off`],
      target: "none; it is less moved than the rate by what else the machine does",
    },
  ]),
  run: async (bench) => {
    for (const name of bench.netwall) {
      for (const path of bench.order(KINDS.map((kind) => `${name}-${kind}`))) {
        const kind = KINDS.find((each) => path === `${name}-${each}`)!;
        const running = await start(runtimeOf(name), kind, bench.origin.web);
        try {
          await prepare(bench, kind, running);
          const beforeUs = processorUs(running.pid);
          const load = await wrk(bench.group, running.url, CONNECTIONS, bench.loadSeconds);
          const usedUs = processorUs(running.pid) - beforeUs;
          await check(kind, running);
          bench.add(`firewall-${name}`, path, load.requestsPerSecond);
          const requests = load.requestsPerSecond * bench.loadSeconds;
          bench.add(`firewall-processor-${name}`, path, usedUs / requests);
        } finally {
          await running.dispose();
        }
      }
    }
  },
};
