/**
 * Runs one scenario on a rig: traffic, the fault, its end, and a look at what is left.
 *
 * @module
 */
import type { ProcessGroup } from "../support/processes.ts";
import { eventually } from "../e2e/wall.ts";
import type { Quiet, Rig, Visitors } from "./rig.ts";
import type { Scenario } from "./scenarios.ts";
import type { Outcome } from "./visit.ts";
import type { VisitRecord } from "./visitor.ts";

/** 15 s to the next ping and 10 s for its answer; the rest is a busy machine's. */
export const NOTICE_MS_MAX = 25_000 + 5_000;

/** After the network is well again: an attempt that runs into the void (10 s), a wait (15 s), and the machine's share. */
const SERVING_MS_MAX = 30_000;

/** Traffic before the fault and after its end. */
const CALM_MS = 2_000;

/** Until every kind of visit is under way on a busy machine. */
const FIRST_VISITS_MS_MAX = 20_000;

/** Idle connections to targets live 4 s; the rest goes with the streams. */
const QUIET_MS_MAX = 12_000;

/** What a runtime opens for itself as it works: files of its cache, threads' event counters. */
const FDS_MORE_MAX = 8;

/** Heaps grow and are trimmed late: what is over this, after however many scenarios, does not come from that. */
const RSS_MORE_BYTES_MAX = 96 << 20;

/** What became of a scenario. */
export interface Result {
  readonly scenario: Scenario;
  /** Why it was not run. */
  readonly skipped?: string;
  /** From the fault to the end of the link, at each end; undefined for a link that went on. */
  readonly noticedMs: { readonly gateway: number | undefined; readonly agent: number | undefined };
  /** From the end of the fault to the first visit that began after it and was served. */
  readonly servingMs: number | undefined;
  readonly outcomes: ReadonlyMap<Outcome, number>;
  /** The longest that anyone waited for an answer that was not to be. */
  readonly longestFailureMs: number;
  readonly before: Quiet;
  readonly after: Quiet;
  /** What must not be, in words; empty when all is well. */
  readonly faults: readonly string[];
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Lets visitors come and go once, and gives what is held after them, with warm code and warm heaps. */
export async function warmUp(rig: Rig): Promise<Quiet> {
  const visitors = await rig.visit();
  await eventually(() => visitors.records(), (records) => records.length > 20, FIRST_VISITS_MS_MAX);
  await visitors.stop();
  return await rig.quiet((held) => held.streams === 0 && held.links === 1, QUIET_MS_MAX);
}

/**
 * Runs a scenario to its end. Never throws for what the wall does wrong: that is in `faults`.
 *
 * @param before What was held after the warm-up, however many scenarios ago: what each leaves behind adds up.
 */
export async function runScenario(
  rig: Rig,
  group: ProcessGroup,
  scenario: Scenario,
  before: Quiet,
): Promise<Result> {
  const visitors = await rig.visit();
  await eventually(() => visitors.records(), (records) => records.length > 20, FIRST_VISITS_MS_MAX);
  await sleep(CALM_MS);
  const injectedMs = Date.now();
  const undo = await scenario.inject(rig.lab, group);
  const noticed = (): Result["noticedMs"] => ({
    gateway: firstAfter(rig, "gateway", injectedMs),
    agent: firstAfter(rig, "agent", injectedMs),
  });
  if (typeof undo !== "function") {
    await visitors.stop();
    const nothing = { noticedMs: noticed(), servingMs: undefined, outcomes: new Map(), longestFailureMs: 0 };
    return { scenario, skipped: undo.reason, ...nothing, before, after: before, faults: [] };
  }
  const faults: string[] = [];
  if (scenario.lasts === "until noticed") {
    const both = ({ gateway, agent }: Result["noticedMs"]): boolean =>
      gateway !== undefined && agent !== undefined;
    await eventually(noticed, both, NOTICE_MS_MAX).catch(() => faults.push("one end did not notice"));
  } else {
    await sleep(scenario.lasts);
  }
  const healedMs = Date.now();
  undo();
  const servingMs = await servedAfter(visitors, healedMs).catch(() =>
    void faults.push("it did not serve again")
  );
  await sleep(CALM_MS);
  const noticedMs = noticed();
  const records = await visitors.stop();
  const after = await rig.quiet(
    (held) => leaks(rig.windowBytes, before, held, false).length === 0,
    QUIET_MS_MAX,
  );
  if (!scenario.endsLink && (noticedMs.gateway ?? noticedMs.agent) !== undefined) {
    faults.push("the link ended");
  }
  faults.push(...visitFaults(scenario, records), ...leaks(rig.windowBytes, before, after, true));
  const failed = records.filter(({ outcome }) => outcome !== "ok");
  return {
    ...{ scenario, noticedMs, servingMs: servingMs ?? undefined, before, after, faults },
    outcomes: Map.groupBy(records, ({ outcome }) => outcome).entries()
      .reduce((counts, [outcome, all]) => counts.set(outcome, all.length), new Map<Outcome, number>()),
    longestFailureMs: Math.max(0, ...failed.map(({ startMs, endMs }) => endMs - startMs)),
  };
}

function firstAfter(rig: Rig, side: "gateway" | "agent", sinceMs: number): number | undefined {
  const timeMs = rig.log(side, "link ended", sinceMs)[0]?.timeMs;
  return timeMs === undefined ? undefined : timeMs - sinceMs;
}

/** How long after a moment the first visit was served that began after it. */
async function servedAfter(visitors: Visitors, sinceMs: number): Promise<number> {
  const isServed = ({ kind, outcome, startMs }: VisitRecord): boolean =>
    kind === "short" && outcome === "ok" && startMs >= sinceMs;
  const served = await eventually(
    () => visitors.records().find(isServed),
    (record) => record !== undefined,
    SERVING_MS_MAX,
  );
  return served!.endMs - sinceMs;
}

/** What visitors must never see. */
export function visitFaults(scenario: Scenario, records: readonly VisitRecord[]): string[] {
  const faults: string[] = [];
  for (const outcome of ["wrong", "hung"] as const) {
    const kinds = records.filter((record) => record.outcome === outcome).map(({ kind }) => kind);
    if (kinds.length > 0) {
      faults.push(`${kinds.length} visits were ${outcome}: ${[...new Set(kinds)].join(", ")}`);
    }
  }
  const lost = records.filter(({ outcome }) => outcome !== "ok").length;
  if (!scenario.endsLink && lost > 0) faults.push(`${lost} visits failed though the link went on`);
  if (!records.some(({ kind }) => kind === "idle")) faults.push("nobody asked the idle connection");
  const odd = records.find(({ outcome }) => outcome.startsWith("status") || outcome === "refused");
  if (odd !== undefined) faults.push(`a visit of kind ${odd.kind} ended with ${odd.outcome}`);
  const whole = (kind: VisitRecord["kind"]): boolean =>
    records.some((record) => record.kind === kind && record.outcome === "ok");
  const carried = ["short", "download", "upload", "websocket", "tcp"] as const;
  for (const kind of scenario.carries ? carried : []) {
    if (!whole(kind)) faults.push(`no visit of kind ${kind} came through`);
  }
  return faults;
}

/** What is held now and was not before. Memory is looked at last: it is given back late. */
export function leaks(windowBytes: number, before: Quiet, now: Quiet, withMemory: boolean): string[] {
  const faults: string[] = [];
  if (now.links !== 1) faults.push(`${now.links} links instead of 1`);
  if (now.streams !== 0) faults.push(`${now.streams} streams were left open`);
  if (now.heldBytes !== 0) faults.push(`${now.heldBytes} bytes are held for nobody`);
  // Credit goes back in quarters of the window: less than three was lost on the way, more than all was given twice.
  if (now.creditBytes > windowBytes || now.creditBytes <= windowBytes * 3 / 4) {
    faults.push(`the agent has ${now.creditBytes} bytes of credit of a window of ${windowBytes}`);
  }
  for (const side of ["gateway", "agent"] as const) {
    const fds = now[side].fds - before[side].fds;
    if (fds > FDS_MORE_MAX) faults.push(`${fds} file descriptors of the ${side} leaked`);
    const rssBytes = now[side].rssBytes - before[side].rssBytes;
    if (withMemory && rssBytes > RSS_MORE_BYTES_MAX) {
      faults.push(`${rssBytes >> 20} MiB of the ${side} leaked`);
    }
  }
  return faults;
}
