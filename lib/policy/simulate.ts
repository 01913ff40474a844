/**
 * Tries a policy on the flows that were stored: what would it have done with them?
 *
 * @module
 */
import type { FlowRecord } from "./record.ts";
import type { Verdict } from "./flow.ts";

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
  readonly sinceMs: number;
  /** What would have been dropped, as of now and under the new policy. */
  readonly droppedNow: number;
  readonly droppedThen: number;
  /** The largest first. */
  readonly changes: readonly SimulatedChange[];
}
