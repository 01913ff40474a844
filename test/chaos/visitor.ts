/**
 * The visitors of a chaos run, as a process in the client's namespace.
 *
 * Arguments: host, HTTP port, TCP port and the file to report to. Visits of each kind follow each other
 * until SIGTERM; each is one line of JSON in the file. Then those that still go on may finish, the idle connection is
 * asked, and the process ends.
 *
 * @module
 */
import { appendFileSync } from "node:fs";
import process from "node:process";
import {
  type Doors,
  download,
  echo,
  IdleConnection,
  type Outcome,
  talk,
  upload,
  type Visit,
} from "./visit.ts";

/** The kinds of visits. */
export type Kind = "short" | "download" | "upload" | "websocket" | "tcp" | "idle";

/** One line of the report. */
export interface VisitRecord {
  readonly kind: Kind;
  readonly outcome: Outcome;
  /** Unix time in ms. */
  readonly startMs: number;
  readonly endMs: number;
}

/** Short requests that are under way at once. */
const SHORT_LANES = 3;

/** Between two visits of a lane: what fails at once must not become a flood. */
const PAUSE_MS = 60;

/**
 * How long what goes on at the end may take, on a network that is well again: each visit takes 4 s at its pace. What
 * takes longer hangs, whatever it waits for.
 */
const FINISH_MS_MAX = 12_000;

const MIB = 1 << 20;

/** One kind of visit, over and over. */
interface Lane {
  readonly kind: Kind;
  make(seed: number): Visit;
}

function lanes(doors: Doors): Lane[] {
  const paced = { bytes: 4 * MIB, perSecond: MIB };
  const short: Lane = {
    kind: "short",
    make: (seed) => download(doors, { seed, bytes: 1 + (seed * 37) % 9_000 }),
  };
  return [
    ...Array.from({ length: SHORT_LANES }, () => short),
    { kind: "download", make: (seed) => download(doors, { seed, ...paced }) },
    { kind: "upload", make: (seed) => upload(doors, { seed, ...paced }) },
    { kind: "websocket", make: (seed) => talk(doors, { seed, bytes: 1000 }, 40, 100) },
    { kind: "tcp", make: (seed) => echo(doors, { seed, ...paced }) },
  ];
}

function main(): void {
  const [host, httpPort, tcpPort, report] = process.argv.slice(2);
  if (host === undefined || report === undefined) throw new TypeError("Four arguments are needed");
  const doors = { host, httpPort: Number(httpPort), tcpPort: Number(tcpPort) };
  let isStopping = false;
  let seed = 0;
  const running = new Set<Visit>();
  const tell = (record: VisitRecord): void => appendFileSync(report, `${JSON.stringify(record)}\n`);

  const run = async (lane: Lane): Promise<void> => {
    while (!isStopping) {
      const startMs = Date.now();
      const visit = lane.make(seed++);
      running.add(visit);
      const outcome = await visit.outcome;
      running.delete(visit);
      tell({ kind: lane.kind, outcome, startMs, endMs: Date.now() });
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  };

  const startMs = Date.now();
  const idle = new IdleConnection(doors);
  const all = Promise.all(lanes(doors).map(run));
  process.once("SIGTERM", async () => {
    isStopping = true;
    const timer = setTimeout(() => {
      for (const visit of running) visit.giveUp();
    }, FINISH_MS_MAX);
    const [outcome] = await Promise.all([idle.ask(FINISH_MS_MAX), all]);
    clearTimeout(timer);
    tell({ kind: "idle", outcome, startMs, endMs: Date.now() });
    process.exit(0);
  });
  process.stdout.write("ready {}\n");
}

main();
