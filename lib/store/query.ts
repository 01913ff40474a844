/**
 * What every store means by a page, by an event that is asked for, and by equal flows.
 *
 * @module
 */
import type { EventEnd, NetwallEvent } from "../events/event.ts";
import type { FlowRecord } from "../policy/record.ts";
import { holdsText, isOnHost } from "./event_text.ts";
import { type EventQuery, PAGE_MAX } from "./store.ts";

/** @throws {RangeError} Not from 1 to `PAGE_MAX`: a bug of the caller, who checks what comes from outside. */
export function pageLimit(limit: number): number {
  if (!Number.isInteger(limit) || limit < 1 || limit > PAGE_MAX) {
    throw new RangeError(`Cannot read a page: ${limit} is no number from 1 to ${PAGE_MAX}`);
  }
  return limit;
}

/** Questions with one answer in an event. */
export const EQUAL_FIELDS = ["type", "severity", "verdict", "direction"] as const;
/** Questions that either end may answer. */
export const END_FIELDS = ["namespace", "image", "service"] as const;

/** Whether an event is what is asked for, its page aside. */
export function eventMatches(event: NetwallEvent, query: EventQuery): boolean {
  const { source, destination } = event;
  const of = (end: EventEnd | undefined, value: string, field: keyof EventEnd): boolean =>
    end?.[field] === value || field === "image" && isImage(end?.image, value);
  return (query.sinceMs === undefined || event.time >= query.sinceMs) &&
    (query.untilMs === undefined || event.time < query.untilMs) &&
    EQUAL_FIELDS.every((field) => query[field] === undefined || event[field] === query[field]) &&
    (query.effect === undefined || query.effect.includes(event.effect)) &&
    (query.source === undefined || of(source, query.source, "name")) &&
    (query.destination === undefined || of(destination, query.destination, "name")) &&
    END_FIELDS.every((field) => {
      const value = query[field];
      return value === undefined || of(source, value, field) || of(destination, value, field);
    }) &&
    (query.host === undefined || isOnHost(event, query.host)) &&
    (query.q === undefined || holdsText(event, query.q));
}

/** Whether a query is about what is in the event itself, and in no column. */
export function isOfText({ host, q }: EventQuery): boolean {
  return host !== undefined || q !== undefined;
}

/** What stands between an image and its version. */
export const VERSION_SIGNS = [":", "@"] as const;

/** Whether a reference is one of an image: it is asked for with its tag or digest, or without. */
function isImage(reference: string | undefined, image: string): boolean {
  return VERSION_SIGNS.some((sign) => reference?.startsWith(`${image}${sign}`));
}

/** All that must be equal for two records to be added up, in one text. */
export function flowKey(flow: FlowRecord): string {
  const { count: _count, bytes: _bytes, path: _path, address: _address, ...same } = flow;
  return JSON.stringify(Object.entries(same).toSorted(([a], [b]) => a < b ? -1 : 1));
}

/** Two equal records as one. */
export function flowSum(first: FlowRecord, other: FlowRecord): FlowRecord {
  return { ...first, count: first.count + other.count, bytes: first.bytes + other.bytes };
}
