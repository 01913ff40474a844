/**
 * One edge as the book keeps it: the record of it, and what only the book needs.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { MinuteRing } from "./edge_traffic.ts";
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
  /** Made when something is counted. */
  minutes: MinuteRing | undefined;
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
    minutes: undefined,
  };
}

/** An edge that was stored. */
export function edgeOf(record: EdgeRecord): Edge {
  return { ...record, open: 0, isStale: false, toldMs: -Infinity, minutes: undefined };
}

/** A request or connection begins, or was dropped. */
export function countBegin(edge: Edge, isDropped: boolean, nowMs: number): void {
  edge.count += 1;
  if (isDropped) edge.droppedCount += 1;
  minutesOf(edge).add(nowMs, 1, isDropped ? 1 : 0, 0);
}

/** One that was counted is dropped after all. */
export function countDropped(edge: Edge, nowMs: number): void {
  edge.droppedCount += 1;
  minutesOf(edge).add(nowMs, 0, 1, 0);
}

/** One that was counted has ended. @param isFailed It came to nothing, and was not dropped. */
export function countEnd(edge: Edge, { inBytes, outBytes }: Bytes, isFailed: boolean, nowMs: number): void {
  if (isFailed) edge.failedCount += 1;
  edge.inBytes += inBytes;
  edge.outBytes += outBytes;
  minutesOf(edge).add(nowMs, 0, 0, inBytes + outBytes);
}

type Bytes = Pick<EdgeRecord, "inBytes" | "outBytes">;

function minutesOf(edge: Edge): MinuteRing {
  return edge.minutes ??= new MinuteRing();
}

/** A copy that stays as it is. */
export function recordOf(edge: Edge): EdgeRecord {
  const { open: _open, isStale: _isStale, toldMs: _toldMs, minutes: _minutes, ...record } = edge;
  return record;
}

/** A short name that is always the same for the same ends. 128 bits: no two meet by accident or by trying. */
export function edgeId({ direction, protocol, source, destination, service, host, port }: Ends): string {
  const text = JSON.stringify([direction, protocol, source, destination, service, host, port]);
  return createHash("sha256").update(text).digest("hex").slice(0, 32);
}
