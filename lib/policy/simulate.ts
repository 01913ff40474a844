/**
 * Tries a policy on the flows that were stored: what would it have done with them?
 *
 * @module
 */
import type { CompiledPolicy } from "./engine.ts";
import { type Destination, type Flow, parseGroupId, ruleNameOf, type Source, type Verdict } from "./flow.ts";
import type { ModelView } from "./model_view.ts";
import type { FlowRecord } from "./record.ts";

/** How many flows of one change are shown. */
export const EXAMPLES_MAX = 5;

/** Flows of one edge for which the two policies say different things. */
export interface SimulatedChange {
  readonly direction: FlowRecord["direction"];
  readonly source: string;
  /** `GROUP SERVICE`, or `HOST:PORT`. */
  readonly destination: string;
  readonly from: Verdict;
  readonly to: Verdict;
  /** The rule that says so now: its id, or learned, learning, implicit. */
  readonly fromRule: string;
  readonly toRule: string;
  /** Requests and connections. */
  readonly count: number;
  /** In words, such as `GET /users/7`; at most `EXAMPLES_MAX`. */
  readonly examples: readonly string[];
}

export interface SimulationReport {
  /** Requests and connections that were judged, and how far back they go. */
  readonly judged: number;
  /** Requests of a flood, that were summed by their edge alone: nothing is left of them to judge. */
  readonly unjudged: number;
  readonly sinceMs: number;
  /** What would have been dropped, as of now and under the new policy. */
  readonly droppedNow: number;
  readonly droppedThen: number;
  /** The largest first. */
  readonly changes: readonly SimulatedChange[];
}

/** What is tried on which flows. */
export interface SimulateOptions {
  /** As many as the store holds; nothing more is kept of them than their changes. */
  readonly flows: readonly FlowRecord[];
  readonly now: CompiledPolicy;
  readonly then: CompiledPolicy;
  readonly modelNow: ModelView;
  readonly modelThen: ModelView;
  /** Rules that have expired by then match nothing, also for older flows: it is what would happen from now on. */
  readonly nowMs: number;
  /** Flows of hours that ended before are not judged. */
  readonly sinceMs: number;
}

const HOUR_MS = 3_600_000;

/**
 * Judges stored flows by two policies and tells where they differ.
 *
 * Both are asked afresh: what was decided at the time, by a policy that may be long gone, does not count.
 *
 * @returns Counts of requests and connections, not of records.
 */
export function simulate(options: SimulateOptions): SimulationReport {
  const { now, then, modelNow, modelThen, nowMs, sinceMs } = options;
  const changes = new Map<string, { -readonly [Key in keyof SimulatedChange]: SimulatedChange[Key] }>();
  let [judged, unjudged, droppedNow, droppedThen] = [0, 0, 0, 0];
  for (const record of options.flows) {
    if (record.hourMs + HOUR_MS <= sinceMs) continue;
    if (record.protocol === "http" && record.method === "") {
      unjudged += record.count;
      continue;
    }
    const flow = flowOfRecord(record);
    const before = now.judge(flow, modelNow, nowMs);
    const after = then.judge(flow, modelThen, nowMs);
    judged += record.count;
    if (before.verdict === "dropped") droppedNow += record.count;
    if (after.verdict === "dropped") droppedThen += record.count;
    if (before.verdict === after.verdict) continue;
    const change = {
      direction: record.direction,
      source: before.sourceName,
      destination: record.destination === ""
        ? `${record.host}:${record.port}`
        : `${record.destination} ${record.service}`,
      from: before.verdict,
      to: after.verdict,
      fromRule: ruleNameOf(before.reason),
      toRule: ruleNameOf(after.reason),
    };
    const key = JSON.stringify(change);
    const known = changes.get(key) ?? { ...change, count: 0, examples: [] };
    known.count += record.count;
    const example = exampleOf(record);
    if (known.examples.length < EXAMPLES_MAX && !known.examples.includes(example)) {
      known.examples = [...known.examples, example];
    }
    changes.set(key, known);
  }
  const sorted = [...changes.values()].sort((a, b) => b.count - a.count);
  return { judged, unjudged, sinceMs, droppedNow, droppedThen, changes: sorted };
}

/** A stored flow as it came, to be judged again. What only a policy makes of it, such as the name of a network, is left out. */
export function flowOfRecord(record: FlowRecord): Flow {
  const { direction, protocol } = record;
  const group = parseGroupId(record.source);
  const source: Source = group === undefined
    ? { kind: "outside", address: record.address }
    : { kind: "group", group };
  const to = record.destination === "" ? undefined : parseGroupId(record.destination);
  const destination: Destination = to === undefined
    ? { kind: "host", host: record.host, port: record.port }
    : { kind: "service", group: to, service: record.service };
  if (protocol !== "http") return { direction, protocol, source, destination };
  const { method, httpHost: host, path, contentType } = record;
  return { direction, protocol, source, destination, http: { method, host, path, contentType } };
}

function exampleOf(record: FlowRecord): string {
  if (record.protocol !== "http") {
    return record.address === "" ? "connection" : `connection from ${record.address}`;
  }
  return [record.method, record.path || record.route, record.contentType].filter((it) => it !== "").join(" ");
}
