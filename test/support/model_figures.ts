/**
 * What a learned model is worth: taught by the first half of recorded traffic, judged on the second.
 *
 * The same figures are taken of traffic that is made in the process and of what a real gateway wrote down.
 *
 * @module
 */
import { defaultPolicy } from "../../lib/policy/document.ts";
import { CompiledPolicy } from "../../lib/policy/engine.ts";
import type { DeviationKind, Flow, Judgement } from "../../lib/policy/flow.ts";
import { Learner } from "../../lib/policy/learner.ts";
import type { HostileFlow, RecordedFlow } from "./recorded_flow.ts";

const LEARNING = new CompiledPolicy(defaultPolicy("learn"));
const ALERTING = new CompiledPolicy(defaultPolicy("alert"));

/** A model that knows nothing, with the settings of a gateway, and the clock that it goes by. */
export function emptyModel(): { learner: Learner; clock: { nowMs: number } } {
  const clock = { nowMs: 0 };
  const learner = new Learner({
    timeMs: 3_600_000,
    requests: 1_000,
    quietMs: 24 * 3_600_000,
    unseenShareMax: 0.001,
    nowMs: () => clock.nowMs,
  });
  return { learner, clock };
}

/** Teaches a model as the gateway does: what was judged in the mode learn, once it has ended well. */
export function teach(flows: Iterable<RecordedFlow>): Learner {
  const { learner, clock } = emptyModel();
  for (const { atMs, flow, quotaKey, ok } of flows) {
    clock.nowMs = atMs;
    const { sourceName } = LEARNING.judge(flow, learner, atMs);
    learner.observe(flow, sourceName, quotaKey, ok);
  }
  return learner;
}

/** What the policy says of a flow in the mode alert. */
export function judgeAlert(learner: Learner, flow: Flow): Judgement {
  return ALERTING.judge(flow, learner, 0);
}

/** The edges of a model, each in a line: `DIRECTION PROTOCOL SOURCE > DESTINATION SERVICE` or `… > HOST:PORT`. */
export function edgeLines(learner: Learner): string[] {
  return learner.edges().map(({ direction, protocol, source, destination, service, host, port }) => {
    const to = host === undefined ? `${destination} ${service}` : `${host}:${port}`;
    return `${direction} ${protocol} ${source} > ${to}`;
  }).sort();
}

export interface Precision {
  /** The share of what was learned that is true. */
  readonly precision: number;
  /** The share of what is true that was learned. */
  readonly recall: number;
}

export function precisionOf(learned: readonly string[], truth: readonly string[]): Precision {
  const hits = learned.filter((line) => truth.includes(line)).length;
  return { precision: hits / learned.length, recall: hits / truth.length };
}

export interface Alarms {
  readonly judged: number;
  readonly alarms: number;
  /** Different alarms, in words, at most ten. */
  readonly examples: readonly string[];
}

/** How many of these flows, all of them legal, are taken for something unknown. */
export function alarmsOf(learner: Learner, flows: readonly RecordedFlow[]): Alarms {
  const examples = new Set<string>();
  let alarms = 0;
  for (const { flow } of flows) {
    const { verdict, reason } = judgeAlert(learner, flow);
    if (verdict === "forwarded") continue;
    alarms += 1;
    const deviation = "deviation" in reason
      ? `${reason.deviation.kind} ${reason.deviation.observed}`
      : reason.kind;
    if (examples.size < 10) examples.add(deviation);
  }
  return { judged: flows.length, alarms, examples: [...examples] };
}

/** How many of one kind came, and how many of these were noticed as that kind or as any. */
export interface Caught {
  came: number;
  caught: number;
  asItsKind: number;
  readonly missed: string[];
}

export function caughtOf(learner: Learner, flows: Iterable<HostileFlow>): Record<DeviationKind, Caught> {
  const none = (): Caught => ({ came: 0, caught: 0, asItsKind: 0, missed: [] });
  const caught = { edge: none(), route: none(), method: none(), contentType: none() };
  for (const { kind, flow } of flows) {
    const of = caught[kind];
    of.came += 1;
    const { verdict, reason } = judgeAlert(learner, flow);
    if (verdict === "forwarded") {
      const { http } = flow;
      of.missed.push(http === undefined ? "a connection" : `${http.method} ${http.path} ${http.contentType}`);
      continue;
    }
    of.caught += 1;
    if (reason.kind === "implicit" && reason.deviation.kind === kind) of.asItsKind += 1;
  }
  return caught;
}

/** One point of the learning curve. */
export interface CurvePoint {
  readonly taught: number;
  readonly alarmShare: number;
  readonly modelBytes: number;
}

/** Teaches models with more and more of the traffic, and judges each on the same rest. */
export function learningCurve(
  flows: readonly RecordedFlow[],
  rest: readonly RecordedFlow[],
  counts: readonly number[],
): CurvePoint[] {
  return counts.filter((count) => count <= flows.length).map((taught) => {
    const learner = teach(flows.slice(0, taught));
    const { alarms, judged } = alarmsOf(learner, rest);
    return { taught, alarmShare: alarms / judged, modelBytes: modelBytes(learner) };
  });
}

/** What the model weighs when it is written down. */
export function modelBytes(learner: Learner): number {
  return Buffer.byteLength(learner.snapshot());
}
