/**
 * One edge as the book keeps it: the record of it, and what only the book needs.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { Ends } from "./ends_map.ts";
import type { EdgeRecord } from "./record.ts";

/** What changes of a record. */
type Sums = {
  -readonly [
    Key in
      | "state"
      | "lastSeenMs"
      | "count"
      | "droppedCount"
      | "failedCount"
      | "inBytes"
      | "outBytes"
      | "lastVerdict"
      | "lastRule"
      | "seq"
  ]: EdgeRecord[Key];
};

export interface Edge extends Ends, Sums {
  readonly id: string;
  readonly firstSeenMs: number;
  /** Connections that are open. */
  open: number;
  /** It has changed since it was given its `seq`. */
  isStale: boolean;
  /** When listeners last heard of it. */
  toldMs: number;
}

/** An edge that nothing was noted on yet: the first verdict takes the place of what stands here. */
export function newEdge(ends: Ends, nowMs: number): Edge {
  return {
    id: edgeId(ends),
    ...ends,
    state: "unknown",
    firstSeenMs: nowMs,
    lastSeenMs: nowMs,
    count: 0,
    droppedCount: 0,
    failedCount: 0,
    inBytes: 0,
    outBytes: 0,
    lastVerdict: "dropped",
    lastRule: "",
    seq: 0,
    open: 0,
    isStale: false,
    toldMs: -Infinity,
  };
}

/** A copy that stays as it is. */
export function recordOf(edge: Edge): EdgeRecord {
  const { open: _open, isStale: _isStale, toldMs: _toldMs, ...record } = edge;
  return record;
}

/** A short name that is always the same for the same ends. 128 bits: no two meet by accident or by trying. */
function edgeId({ direction, protocol, source, destination, service, host, port }: Ends): string {
  const text = JSON.stringify([direction, protocol, source, destination, service, host, port]);
  return createHash("sha256").update(text).digest("hex").slice(0, 32);
}
