/**
 * When a learned model has seen enough to be relied on.
 *
 * Time alone proves nothing: a model is stable when it has seen enough for long enough, nothing new came for a while,
 * what it has probably not seen yet is a small share, and it was never overfull. A direction in which nothing comes is
 * stable once another one of the group is: its first traffic is to be told, and not to be learned.
 *
 * Source: I. J. Good, "The population frequencies of species and the estimation of population parameters" (1953): the
 * share of traffic that was never seen is about the share of what was seen exactly once.
 *
 * @module
 */
import type { Direction } from "./flow.ts";

/** What has to hold, all of it. */
export interface PromotionGate {
  /** Since the first request or connection. */
  readonly timeMs: number;
  /** Requests and connections that were learned from. */
  readonly requests: number;
  /** Since something new was learned. */
  readonly quietMs: number;
  /** The largest share of traffic that was probably not seen yet, from 0 to 1. */
  readonly unseenShareMax: number;
}

/** What was seen of one group in one direction. */
export interface Evidence {
  readonly direction: Direction;
  /** Of the first sample; 0 when there is none. */
  readonly sinceMs: number;
  readonly samples: number;
  /** Operations and connections that were seen exactly once. */
  readonly singletons: number;
  readonly lastNewMs: number;
  readonly edges: number;
  readonly routes: number;
  /** What succeeded but was not learned, as its source had brought enough or there was no room. */
  readonly refused: number;
  /** What is overfull, in words; empty when nothing is. */
  readonly overfull: readonly string[];
}

/** How far a group has come with learning one direction. */
export interface LearningProgress {
  readonly direction: Direction;
  /** `active`: judged by it. `saturated`: overfull, never promoted. */
  readonly state: "learning" | "stable" | "active" | "saturated";
  /** What still keeps it from being stable, or what made it so; one sentence each. */
  readonly reasons: readonly string[];
  readonly sinceMs: number;
  /** Requests and connections that were learned from. */
  readonly samples: number;
  readonly edges: number;
  readonly routes: number;
  /** When something new was last learned. */
  readonly lastNewMs: number;
  /** The share of traffic that it has probably not seen yet, from 0 to 1 (Good–Turing). */
  readonly unseenShare: number;
}

/**
 * Says how far the evidence goes. It never says `active`: who judges by a model knows that.
 *
 * @param nowMs On the clock that the evidence is from.
 */
export function weigh(evidence: Evidence, gate: PromotionGate, nowMs: number): LearningProgress {
  const { direction, sinceMs, samples, lastNewMs, edges, routes, overfull } = evidence;
  const unseenShare = samples === 0 ? 1 : Math.min(1, evidence.singletons / samples);
  const missing = missingOf(evidence, unseenShare, gate, nowMs);
  const state = overfull.length > 0 ? "saturated" : missing.length > 0 ? "learning" : "stable";
  const reasons = state === "stable"
    ? [
      `${samples} requests and connections in ${duration(nowMs - sinceMs)}`,
      `nothing new for ${duration(nowMs - lastNewMs)}`,
      `about ${percent(unseenShare)} of traffic not seen yet`,
    ]
    : [...overfull, ...missing];
  if (evidence.refused > 0) {
    reasons.push(
      `${evidence.refused} successful requests were not learned: their sources had brought enough`,
    );
  }
  return { direction, state, reasons, sinceMs, samples, edges, routes, lastNewMs, unseenShare };
}

/** What is known of a direction in which nothing was learned. */
export interface Silence {
  readonly direction: Direction;
  /** Since when nothing was: what was learned before it was forgotten with another group. 0 when nothing ever was. */
  readonly forgottenMs: number;
}

/**
 * Says how far silence goes: that nothing comes in one direction is evidence once the group is known by another.
 *
 * @param others Its directions in which something was learned.
 * @returns `undefined` while the group as a whole has no evidence: then silence is none either.
 */
export function weighSilence(
  { direction, forgottenMs }: Silence,
  others: readonly LearningProgress[],
  gate: PromotionGate,
  nowMs: number,
): LearningProgress | undefined {
  const seen = others.filter(({ samples }) => samples > 0);
  if (seen.length === 0) return undefined;
  const sinceMs = Math.max(forgottenMs, Math.min(...seen.map((other) => other.sinceMs)));
  const lastNewMs = Math.max(sinceMs, ...seen.map((other) => other.lastNewMs));
  // A clock that was set back makes no evidence.
  const silentMs = Math.max(0, nowMs - sinceMs);
  const quietMs = Math.max(0, nowMs - lastNewMs);
  const missing: string[] = [];
  if (!others.some(({ state }) => state === "stable")) missing.push("no other direction is stable yet");
  if (silentMs < gate.timeMs) missing.push(`silent for ${duration(silentMs)} of ${duration(gate.timeMs)}`);
  if (quietMs < gate.quietMs) {
    missing.push(
      `something new of the group ${duration(quietMs)} ago; wants ${duration(gate.quietMs)} quiet`,
    );
  }
  const nothing = `nothing that could be learned was seen in ${duration(silentMs)}`;
  return {
    ...{ direction, sinceMs, samples: 0, edges: 0, routes: 0, lastNewMs: 0, unseenShare: 1 },
    state: missing.length > 0 ? "learning" : "stable",
    reasons: missing.length > 0 ? missing : [nothing],
  };
}

function missingOf(evidence: Evidence, unseenShare: number, gate: PromotionGate, nowMs: number): string[] {
  const { samples, sinceMs, lastNewMs } = evidence;
  if (samples === 0) return ["no traffic was learned from yet"];
  const missing: string[] = [];
  // A clock that was set back makes no evidence.
  const learningMs = Math.max(0, nowMs - sinceMs);
  const quietMs = Math.max(0, nowMs - lastNewMs);
  if (learningMs < gate.timeMs) {
    missing.push(`learning for ${duration(learningMs)} of ${duration(gate.timeMs)}`);
  }
  if (samples < gate.requests) missing.push(`${samples} of ${gate.requests} requests`);
  if (quietMs < gate.quietMs) {
    missing.push(`something new ${duration(quietMs)} ago; wants ${duration(gate.quietMs)} quiet`);
  }
  if (unseenShare > gate.unseenShareMax) {
    missing.push(
      `about ${percent(unseenShare)} of traffic not seen yet; wants ${percent(gate.unseenShareMax)} or less`,
    );
  }
  return missing;
}

function percent(share: number): string {
  return `${Number((share * 100).toPrecision(2))} %`;
}

const UNITS: readonly (readonly [number, string])[] = [
  [86_400_000, "day"],
  [3_600_000, "hour"],
  [60_000, "minute"],
  [1_000, "second"],
];

/** A time in its largest unit that is met twice, or once exactly, rounded down: "24 hours", "3 minutes". */
function duration(ms: number): string {
  for (const [unitMs, name] of UNITS) {
    if (ms < 2 * unitMs && ms !== unitMs) continue;
    const count = Math.floor(ms / unitMs);
    return `${count} ${name}${count === 1 ? "" : "s"}`;
  }
  return ms < 1_000 ? `${Math.max(0, Math.floor(ms))} ms` : "1 second";
}
