/**
 * The order of the list of edges.
 *
 * @module
 */
import { needOf, type RawLine, targetOf } from "./line.ts";

export const ORDERS = ["state", "from", "to", "count", "seen"] as const;
export type Order = (typeof ORDERS)[number];

/** What is no order is that by state. */
export function parseOrder(text: string | null): Order {
  return ORDERS.find((order) => order === text) ?? "state";
}

const COMPARE: Readonly<Record<Order, (a: RawLine, b: RawLine) => number>> = {
  state: (a, b) => needOf(a) - needOf(b),
  from: (a, b) => compare(a.record.source, b.record.source),
  to: (a, b) =>
    compare(destinationOf(a), destinationOf(b)) || compare(targetOf(a.record), targetOf(b.record)),
  count: (a, b) => b.record.count - a.record.count,
  seen: (a, b) => b.record.lastSeenMs - a.record.lastSeenMs,
};

/** The same edges are always in the same order: rows must not change places by chance. */
export function ordered(lines: readonly RawLine[], order: Order): RawLine[] {
  return [...lines].sort((a, b) =>
    COMPARE[order](a, b) || COMPARE.from(a, b) || COMPARE.to(a, b) || compare(a.record.id, b.record.id)
  );
}

/** A group, or a host outside. */
export function destinationOf({ record }: RawLine): string {
  return record.destination === "" ? record.host : record.destination;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
