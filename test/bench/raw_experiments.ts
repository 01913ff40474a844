/**
 * What is measured without HTTP: raw connections through a path, and the start of an agent.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bunBinary, ProcessGroup } from "../support/processes.ts";
import type { Bench, Experiment } from "./experiments.ts";
import { runtimeOf, startGateway, startRawPath } from "./paths.ts";
import { type Figure, median } from "./report.ts";
import { bulk, echo, pgbench, type RawService, redis, startService } from "./services.ts";

const CONNECTIONS = 64;

/** Starts of each kind per round; the median counts. */
const STARTS = 5;

/** Starts a service once and measures it on each path, which is started fresh. */
async function onEach(
  bench: Bench,
  service: RawService,
  paths: readonly string[],
  measure: (name: string, address: string) => Promise<void>,
): Promise<void> {
  const group = new ProcessGroup();
  try {
    const target = await startService(group, service);
    for (const name of bench.order(paths)) {
      const path = await startRawPath(name, target);
      try {
        await measure(name, path.address);
      } finally {
        await path.dispose();
      }
    }
  } finally {
    await group.dispose();
  }
}

const echoes: Experiment = {
  name: "echo",
  figures: [{
    key: "echo",
    title: `Echoes of 1 KiB over TCP per second, ${CONNECTIONS} connections`,
    unit: "round trips/s",
    better: "more",
    references: ["direct", "ssh"],
    target: "3 × ssh",
  }],
  run: (bench) =>
    onEach(bench, "target", ["direct", "ssh", ...bench.netwall], async (name, address) => {
      await echo(bench.group, address, CONNECTIONS, bench.warmSeconds);
      bench.add("echo", name, await echo(bench.group, address, CONNECTIONS, bench.loadSeconds));
    }),
};

const streams: Experiment = {
  name: "tcp",
  figures: (["down", "up"] as const).map((direction): Figure => ({
    key: `tcp-${direction}`,
    title: `One TCP stream of 1 GiB, ${direction}`,
    unit: "MB/s",
    better: "more",
    references: ["direct", "ssh", "ssh-aes128-gcm"],
    target: "2 × ssh",
  })),
  run: (bench) =>
    onEach(bench, "target", ["direct", "ssh", "ssh-aes128-gcm", ...bench.netwall], async (name, address) => {
      for (const direction of ["down", "up"] as const) {
        bench.add(`tcp-${direction}`, name, await bulk(bench.group, direction, address));
      }
    }),
};

const postgres: Experiment = {
  name: "pgbench",
  figures: [{
    key: "pgbench",
    title: "PostgreSQL, transactions per second of pgbench -S, 8 clients",
    unit: "transactions/s",
    better: "more",
    references: ["direct", "ssh"],
    target: "0.35 × direct",
  }],
  run: (bench) =>
    onEach(bench, "postgres", ["direct", "ssh", ...bench.netwall], async (name, address) => {
      await pgbench(bench.group, address, bench.warmSeconds);
      bench.add("pgbench", name, await pgbench(bench.group, address, bench.loadSeconds));
    }),
};

const redisGets: Experiment = {
  name: "redis",
  figures: [{
    key: "redis",
    title: "Redis, GETs per second of redis-benchmark, 50 clients",
    unit: "requests/s",
    better: "more",
    references: ["direct", "ssh"],
    target: "0.2 × direct",
  }],
  run: (bench) =>
    onEach(bench, "redis", ["direct", "ssh", ...bench.netwall], async (name, address) => {
      await redis(bench.group, address, bench.warmSeconds);
      bench.add("redis", name, await redis(bench.group, address, bench.loadSeconds));
    }),
};

/** Milliseconds from the start of a process until `ready` settles; the process is ended then. */
async function startMs(
  start: () => { ready: Promise<unknown>; end: () => Promise<unknown> },
): Promise<number> {
  const startedMs = performance.now();
  const { ready, end } = start();
  await ready;
  const tookMs = performance.now() - startedMs;
  await end();
  return tookMs;
}

/** The median of several starts. */
async function medianStartMs(start: Parameters<typeof startMs>[0]): Promise<number> {
  const tookMs: number[] = [];
  for (let index = 0; index < STARTS; index += 1) tookMs.push(await startMs(start));
  return median(tookMs);
}

/** Compiles a program that only says that it runs: what any executable costs. */
function compileEmpty(folder: string): string {
  const [source, file] = [join(folder, "empty.js"), join(folder, "empty")];
  writeFileSync(source, `process.stdout.write("ready\\n"); setInterval(() => {}, 1000);\n`);
  const args = ["build", "--compile", "--bytecode", "--format=esm", `--outfile=${file}`, source];
  const { status, stderr } = spawnSync(bunBinary(), args, { cwd: folder, encoding: "utf8" });
  if (status !== 0) throw new Error(`Cannot compile an empty program: ${stderr}`);
  return file;
}

const starts: Experiment = {
  name: "start",
  figures: [
    {
      key: "start",
      title: `Start of an agent until the gateway has linked it, median of ${STARTS} starts`,
      unit: "ms",
      better: "less",
      references: ["empty"],
      target: "see the next table",
    },
    {
      key: "start-added",
      title: "The same over the start of an empty executable until its first line",
      unit: "ms",
      better: "less",
      references: [],
      target: "150 ms or less, the executable",
    },
  ],
  run: async (bench) => {
    const group = new ProcessGroup();
    const folder = group.folder("empty");
    try {
      const empty = compileEmpty(folder);
      const emptyMs = await medianStartMs(() => {
        const child = group.start([empty]);
        return { ready: child.ready, end: () => child.stop("SIGKILL") };
      });
      bench.add("start", "empty", emptyMs);
      for (const name of bench.order(bench.netwall)) {
        const runtime = runtimeOf(name);
        const { address, tokenFile, process: gateway } = await startGateway(group, runtime, ["web"], [
          "--route",
          "*=web",
        ]);
        let links = 0;
        const tookMs = await medianStartMs(() => {
          links += 1;
          const link = ["--gateway", `ws://${address}`, "--token-file", tokenFile];
          const agent = group.agent(runtime, [...link, "--serve", "web=http://127.0.0.1:9"]);
          const seen = new RegExp(`(?:"linked"[\\s\\S]*){${links}}`);
          return { ready: gateway.waitFor("stderr", seen), end: () => agent.stop() };
        });
        bench.add("start", name, tookMs);
        bench.add("start-added", name, tookMs - emptyMs);
        await gateway.stop();
      }
    } finally {
      await group.dispose();
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

/** Everything without HTTP, in the order in which it is run and shown. */
export const RAW_EXPERIMENTS: readonly Experiment[] = [echoes, streams, postgres, redisGets, starts];
