/**
 * A thousand agents lose their gateway in one moment, and come back to it without keeping visitors out.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { bunBinary, ROOT, type RunningProcess, useProcesses } from "../support/processes.ts";
import { get, request } from "./raw.ts";
import { eventually, mintFor, residentBytes, type RunningGateway, startGateway } from "./wall.ts";

/** As many as a gateway must hold at least. */
const AGENTS = 1_000;

/** Processes that they live in. */
const PROCESSES = 4;

/** From the moment at which the gateway listens again: the longest wait of a dialer is 15 s. */
const BACK_MS_MAX = 20_000;

/** Visitors who ask one after the other. */
const VISITORS = 4;

/** Between two requests of one of them. */
const PAUSE_MS = 20;

/** No answer takes this long, whatever else the gateway does; 8 s is the deadline of a request itself. */
const ANSWER_MS_MAX = 5_000;

const TEST_MS_MAX = 150_000;

const processes = useProcesses();

/** One request of the loop. */
interface Asked {
  readonly startMs: number;
  readonly ms: number;
  readonly outcome: string;
}

/** Asks on without end; a gateway that is away is asked again. */
function load(port: number): { asked: Asked[]; stop(): Promise<void> } {
  const asked: Asked[] = [];
  let isStopping = false;
  const visit = async (): Promise<void> => {
    while (!isStopping) {
      const startMs = Date.now();
      const outcome = await request(port, get("/")).then(
        ({ status }) => String(status),
        () => "no connection",
      );
      asked.push({ startMs, ms: Date.now() - startMs, outcome });
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  };
  const all = Promise.all(Array.from({ length: VISITORS }, visit));
  return {
    asked,
    stop: async () => {
      isStopping = true;
      await all;
    },
  };
}

async function linksOf(gateway: RunningGateway): Promise<number> {
  const authorization = `Bearer ${readFileSync(join(gateway.data, "admin-token"), "utf8").trim()}`;
  const admin = String(gateway.addresses["admin"]);
  const text = await (await fetch(`http://${admin}/metrics`, { headers: { authorization } })).text();
  return Number(/^netwall_links (\d+)$/m.exec(text)?.[1]);
}

/** Processor time of a process, user and system, in ms. */
function processorMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /s, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** The value below which that share of all values is. */
function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

function counts(asked: readonly Asked[]): Record<string, number> {
  return Object.fromEntries(
    [...Map.groupBy(asked, ({ outcome }) => outcome)].map(([outcome, all]) => [outcome, all.length]),
  );
}

/** The requests that began in a span of time, in ms after a moment. */
function between(asked: readonly Asked[], momentMs: number, from: number, to: number): Asked[] {
  return asked.filter(({ startMs }) => startMs >= momentMs + from && startMs < momentMs + to);
}

function told(asked: readonly Asked[]): string {
  const times = asked.map(({ ms }) => ms);
  return `${JSON.stringify(counts(asked))}, p50 ${percentile(times, 0.5)} ms, p99 ${
    percentile(times, 0.99)
  } ms, ` +
    `worst ${Math.max(...times)} ms`;
}

async function startAgents(gateway: RunningGateway): Promise<RunningProcess[]> {
  const tokenFile = join(processes.folder("storm"), "token");
  writeFileSync(tokenFile, await mintFor(gateway.data), { mode: 0o600 });
  const script = join(ROOT, "test", "chaos", "storm_agents.ts");
  const command = [bunBinary(), script, `127.0.0.1:${gateway.port}`, tokenFile, String(AGENTS / PROCESSES)];
  const agents = Array.from({ length: PROCESSES }, () => processes.start(command));
  await Promise.all(agents.map((agent) => agent.ready));
  return agents;
}

// Away for a moment, everybody comes back in that moment; away for longer, each waits by itself.
for (const [runtime, awayMs] of [["bun", 0], ["deno", 6_000]] as const) {
  describe(`a gateway on ${runtime} that is killed and away for ${awayMs} ms`, () => {
    test(`gets ${AGENTS} agents back, and answers visitors meanwhile`, async () => {
      const args = ["--route", "*=web", "--admin", "127.0.0.1:0"];
      const first = await startGateway(processes, runtime, { args });
      const agents = await startAgents(first);
      expect(await eventually(() => linksOf(first), (links) => links === AGENTS)).toBe(AGENTS);
      const visitors = load(first.port);
      await eventually(() => visitors.asked.length, (asked) => asked >= 50);
      first.process.kill();
      await first.process.exit;
      const killedMs = Date.now();
      await new Promise((resolve) => setTimeout(resolve, awayMs));
      const { data, port } = first;
      const gateway = await startGateway(processes, runtime, { args, data, port });
      const readyMs = Date.now();
      await eventually(() => linksOf(gateway), (links) => links === AGENTS, BACK_MS_MAX);
      const backMs = Date.now() - readyMs;
      const workedMs = processorMs(gateway.process.pid);
      await eventually(() => Date.now(), (nowMs) => nowMs >= readyMs + BACK_MS_MAX, BACK_MS_MAX);
      await visitors.stop();
      const early = between(visitors.asked, readyMs, 0, BACK_MS_MAX / 2);
      const late = between(visitors.asked, readyMs, BACK_MS_MAX / 2, BACK_MS_MAX);
      process.stderr.write(
        `storm: gateway on ${runtime}, away ${readyMs - killedMs} ms: ${AGENTS} links after ${backMs} ms, ` +
          `${workedMs} ms of processor, ${residentBytes(gateway.process.pid) >> 20} MiB\n` +
          `  first half: ${told(early)}\n  second half: ${told(late)}\n`,
      );
      expect(Object.keys(counts(late))).toEqual(["200"]);
      expect(late.length).toBeGreaterThan(100);
      expect(early.some(({ outcome }) => outcome === "200")).toBe(true);
      for (const { ms } of [...early, ...late]) expect(ms).toBeLessThan(ANSWER_MS_MAX);
      // All of them are still there, on one link each.
      expect(await linksOf(gateway)).toBe(AGENTS);
      await Promise.all(agents.map((agent) => agent.stop()));
      await gateway.process.stop();
    }, TEST_MS_MAX);
  });
}
