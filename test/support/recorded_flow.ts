/**
 * Traffic to teach and to try a model with: what was recorded or made, with what is true of it.
 *
 * @module
 */
import type { DeviationKind, Flow } from "../../lib/policy/flow.ts";

/** A flow as it was recorded. */
export interface RecordedFlow {
  readonly atMs: number;
  readonly flow: Flow;
  /** Who counts for the quota of learning: the address of a visitor, or an agent. */
  readonly quotaKey: string;
  /** Answered without an error, or connected. */
  readonly ok: boolean;
  /** Not legal, though it does no harm: a scanner, a broken link. */
  readonly isNoise: boolean;
}

/** A flow that is not legal, and in what. */
export interface HostileFlow {
  readonly kind: DeviationKind;
  readonly flow: Flow;
}

/** Something that has traffic. The same seed gives the same. */
export interface World {
  readonly name: string;
  /** Who talks to whom in truth: `DIRECTION PROTOCOL SOURCE > DESTINATION SERVICE` or `… > HOST:PORT`. */
  readonly edges: readonly string[];
  /** `count` flows from a moment on, `everyMs` apart. */
  traffic(seed: number, count: number, startMs: number, everyMs: number): Generator<RecordedFlow>;
  /** `count` flows, of every kind in turn. */
  hostile(seed: number, count: number): Generator<HostileFlow>;
}
