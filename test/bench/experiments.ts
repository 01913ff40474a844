/**
 * What is measured: each experiment runs once per round over its paths and gives samples.
 *
 * @module
 */
import { bunBinary, ProcessGroup, ROOT } from "../support/processes.ts";
import { join } from "node:path";
import { download, fetchMany, StalledReaders, upload, wrk } from "./load.ts";
import { MemoryWatch, residentBytes } from "./memory.ts";
import {
  LARGE_BYTES,
  MEDIUM_BYTES,
  type Origin,
  type Path,
  runtimeOf,
  startGateway,
  startPath,
} from "./paths.ts";
import type { Figure } from "./report.ts";

/** What an experiment is run with. */
export interface Bench {
  readonly origin: Origin;
  readonly group: ProcessGroup;
  /** The netwall paths that can be started. */
  readonly netwall: readonly string[];
  /** How long wrk runs before it counts: a runtime compiles its hot code within the first seconds. */
  readonly warmSeconds: number;
  /** How long wrk runs, in seconds. */
  readonly loadSeconds: number;
  readonly add: (figure: string, path: string, value: number) => void;
  /** Paths in another order each round, so that a slow minute does not always meet the same one. */
  readonly order: (paths: readonly string[]) => string[];
}

export interface Experiment {
  readonly name: string;
  readonly figures: readonly Figure[];
  run(bench: Bench): Promise<void>;
}

const CONNECTIONS = 64;
const STALLED_READERS = 100;
const IDLE_AGENTS = 1000;
const DELAY_MS = 50;
const DELAYED_REQUESTS = 20;
const MEBIBYTE = 1 << 20;

/** Memory is read when a process has come to rest: what it needs to start is not what it needs to be idle. */
const SETTLE_MS = 1000;

/**
 * Until a reader that takes nothing has stalled: first the socket buffers of the kernel fill, several megabytes for
 * each reader, and moving those is load like any other.
 */
const STALL_MS = 6000;

const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, SETTLE_MS));

/** Watches the memory of both ends of a path, where it has such. */
function watch(path: Path): { end: "gateway" | "agent"; memory: MemoryWatch }[] {
  const ends = [["gateway", path.gatewayPid], ["agent", path.agentPid]] as const;
  return ends.flatMap(([end, pid]) => pid === undefined ? [] : [{ end, memory: new MemoryWatch(pid) }]);
}

/** Runs a measurement on each path, started fresh for it. */
async function onEach(
  bench: Bench,
  paths: readonly string[],
  measure: (name: string, path: Path) => Promise<void>,
  delayMs?: number,
): Promise<void> {
  for (const name of bench.order(paths)) {
    const path = await startPath(name, {
      origin: bench.origin,
      ...(delayMs === undefined ? {} : { delayMs }),
    });
    try {
      await measure(name, path);
    } finally {
      await path.dispose();
    }
  }
}

const throughput: Experiment = {
  name: "throughput",
  figures: [
    {
      key: "requests",
      title: `Requests per second, ${CONNECTIONS} connections, 1 KiB`,
      unit: "req/s",
      better: "more",
      references: ["direct", "nginx-plain", "nginx", "ssh"],
      target: "0.6 × one plain nginx hop, and 2.5 × ssh",
    },
    {
      key: "requests-p99",
      title: `99th percentile of the latency, ${CONNECTIONS} connections, 1 KiB`,
      unit: "ms",
      better: "less",
      references: ["nginx", "ssh"],
      target: "none",
    },
  ],
  run: (bench) =>
    onEach(bench, ["direct", "nginx", "nginx-plain", "ssh", ...bench.netwall], async (name, path) => {
      await wrk(bench.group, `${path.web}/small`, CONNECTIONS, bench.warmSeconds);
      const load = await wrk(bench.group, `${path.web}/small`, CONNECTIONS, bench.loadSeconds);
      bench.add("requests", name, load.requestsPerSecond);
      bench.add("requests-p99", name, load.p99Us / 1000);
    }),
};

const latency: Experiment = {
  name: "latency",
  figures: [
    {
      key: "latency",
      title: "Median latency, 1 connection, 1 KiB",
      unit: "µs",
      better: "less",
      references: ["direct"],
      target: "see the next table",
    },
    {
      key: "latency-added",
      title: "Latency added to direct, 1 connection, 1 KiB",
      unit: "µs",
      better: "less",
      references: ["nginx-plain", "nginx", "ssh"],
      target: "3 × one plain nginx hop, or less",
    },
  ],
  run: async (bench) => {
    const medians = new Map<string, number>();
    await onEach(bench, ["direct", "nginx", "nginx-plain", "ssh", ...bench.netwall], async (name, path) => {
      // With many connections, so that the hot code is compiled: what is measured is the steady state.
      await wrk(bench.group, `${path.web}/small`, CONNECTIONS, bench.warmSeconds);
      medians.set(name, (await wrk(bench.group, `${path.web}/small`, 1, bench.loadSeconds)).medianUs);
    });
    const direct = medians.get("direct") ?? NaN;
    for (const [name, medianUs] of medians) {
      bench.add("latency", name, medianUs);
      if (name !== "direct") bench.add("latency-added", name, medianUs - direct);
    }
  },
};

const downloads: Experiment = {
  name: "download",
  figures: [{
    key: "download",
    title: "Download of 1 GiB, 1 connection",
    unit: "MB/s",
    better: "more",
    references: ["direct", "nginx", "ssh", "ssh-aes128-gcm"],
    target: "2 × ssh",
  }],
  run: (bench) =>
    onEach(bench, ["direct", "nginx", "ssh", "ssh-aes128-gcm", ...bench.netwall], async (name, path) => {
      bench.add("download", name, await download(bench.group, `${path.web}/large`, LARGE_BYTES));
    }),
};

const uploads: Experiment = {
  name: "upload",
  figures: [
    {
      key: "upload",
      title: "Upload of 1 GiB, 1 connection",
      unit: "MB/s",
      better: "more",
      references: ["direct", "nginx", "ssh", "ssh-aes128-gcm"],
      target: "none",
    },
    ...(["gateway", "agent"] as const).map((end): Figure => ({
      key: `upload-memory-${end}`,
      title: `Peak memory of the ${end} over idle during the upload of 1 GiB`,
      unit: "MiB",
      better: "less",
      references: [],
      target: "48 MiB or less",
    })),
  ],
  run: (bench) =>
    onEach(bench, ["direct", "nginx", "ssh", "ssh-aes128-gcm", ...bench.netwall], async (name, path) => {
      await settle();
      const watches = watch(path);
      const { largeFile } = bench.origin;
      bench.add("upload", name, await upload(bench.group, path.sink, largeFile, LARGE_BYTES));
      for (const { end, memory } of watches) {
        bench.add(`upload-memory-${end}`, name, memory.stop() / MEBIBYTE);
      }
    }),
};

const stalled: Experiment = {
  name: "stalled",
  figures: [
    ...(["gateway", "agent"] as const).map((end): Figure => ({
      key: `stalled-memory-${end}`,
      title: `Peak memory of the ${end} over idle, ${STALLED_READERS} readers stalled in answers of 1 GiB`,
      unit: "MiB",
      better: "less",
      references: [],
      target: end === "gateway" ? "96 MiB or less" : "none",
    })),
    {
      key: "stalled-share",
      title: `Requests per second of others meanwhile, as a share of before, ${CONNECTIONS} connections`,
      unit: "share",
      better: "more",
      references: [],
      target: "1: a stalled reader slows nobody else",
    },
  ],
  run: (bench) =>
    onEach(bench, ["nginx", "ssh", ...bench.netwall], async (name, path) => {
      const measure = async (seconds: number): Promise<number> =>
        (await wrk(bench.group, `${path.web}/small`, CONNECTIONS, seconds)).requestsPerSecond;
      await measure(bench.warmSeconds);
      const before = await measure(bench.loadSeconds);
      await settle();
      const watches = watch(path);
      const readers = new StalledReaders();
      try {
        await readers.open(`${path.web}/large`, STALLED_READERS);
        await new Promise((resolve) => setTimeout(resolve, STALL_MS));
        for (const { end, memory } of watches) {
          bench.add(`stalled-memory-${end}`, name, memory.stop() / MEBIBYTE);
        }
        bench.add("stalled-share", name, await measure(bench.loadSeconds) / before);
      } finally {
        readers.close();
      }
    }),
};

const agents: Experiment = {
  name: "agents",
  figures: [{
    key: "agent-memory",
    title: `Memory of the gateway per idle agent, ${IDLE_AGENTS} agents`,
    unit: "KiB",
    better: "less",
    references: [],
    target: "64 KiB or less",
  }],
  run: async (bench) => {
    for (const name of bench.order(bench.netwall)) {
      const group = new ProcessGroup();
      try {
        const { address, tokenFile, pid } = await startGateway(group, runtimeOf(name));
        await settle();
        const idleBytes = residentBytes(pid);
        const script = join(ROOT, "test", "bench", "idle_agents.ts");
        await group.start([bunBinary(), script, address, tokenFile, String(IDLE_AGENTS)]).ready;
        await settle();
        bench.add("agent-memory", name, (residentBytes(pid) - idleBytes) / IDLE_AGENTS / 1024);
      } finally {
        await group.dispose();
      }
    }
  },
};

const delayed: Experiment = {
  name: "delay",
  figures: (["parallel", "sequential"] as const).map((kind): Figure => ({
    key: `delay-${kind}`,
    title: `${DELAYED_REQUESTS} × 1 MB over a line of ${
      2 * DELAY_MS
    } ms round trip, ${kind}, first use of the path`,
    unit: "ms",
    better: "less",
    references: ["direct", "ssh"],
    target: kind === "parallel" ? "1.5 × direct, or less" : "none",
  })),
  run: async (bench) => {
    for (const kind of ["parallel", "sequential"] as const) {
      await onEach(bench, ["direct", "nginx", "ssh", ...bench.netwall], async (name, path) => {
        const url = `${path.web}/medium`;
        bench.add(
          `delay-${kind}`,
          name,
          await fetchMany(url, MEDIUM_BYTES, DELAYED_REQUESTS, kind === "parallel"),
        );
      }, DELAY_MS);
    }
  },
};

/** Everything, in the order in which it is run and shown. */
export const EXPERIMENTS: readonly Experiment[] = [
  throughput,
  latency,
  downloads,
  uploads,
  stalled,
  agents,
  delayed,
];
