/**
 * Whether an event is what is looked for: the page decides as the API does, so that what comes live is filtered without
 * asking.
 *
 * Letters of ASCII are the same in either case, all other signs are compared as they are.
 *
 * @module
 */
import type { EventEnd, NetwallEvent } from "../core/types.ts";
import { type EventFilters, LAST_MS } from "./filters.ts";

/** Of a container's id so much is enough: it is what tools show. */
const CONTAINER_ID_CHARS_MIN = 12;

/** @param nowMs For what counts back from now. */
export function matches(event: NetwallEvent, filters: EventFilters, nowMs: number): boolean {
  const { last, since, until, q, host, image, source, destination } = filters;
  const fromMs = last === undefined ? Number(since ?? 0) : nowMs - LAST_MS[last]!;
  if (event.time < fromMs || (until !== undefined && event.time >= Number(until))) return false;
  for (const name of ["type", "severity", "verdict", "direction"] as const) {
    if (filters[name] !== undefined && event[name] !== filters[name]) return false;
  }
  if (filters.effect !== undefined && !filters.effect.split(",").includes(event.effect)) return false;
  const ends = [event.source, event.destination];
  const isAny = (test: (end: EventEnd) => boolean): boolean =>
    ends.some((end) => end !== undefined && test(end));
  for (const name of ["namespace", "service"] as const) {
    const value = filters[name];
    if (value !== undefined && !isAny((end) => end[name] === value)) return false;
  }
  return (image === undefined || isAny((end) => isImage(end.image, image))) &&
    (source === undefined || event.source?.name === source) &&
    (destination === undefined || event.destination?.name === destination) &&
    (host === undefined || isAny((end) => isOnHost(end, folded(host)))) &&
    (q === undefined || holdsText(event, folded(q)));
}

/** An image is asked for with its tag or digest, or without. */
function isImage(reference: string | undefined, image: string): boolean {
  return reference === image || [":", "@"].some((sign) => reference?.startsWith(`${image}${sign}`));
}

function isOnHost(end: EventEnd, wanted: string): boolean {
  const { claimedContainerId: id, claimedContainerName: name, claimedHostname: hostname } = end;
  if (id !== undefined && wanted.length >= CONTAINER_ID_CHARS_MIN && folded(id).startsWith(wanted)) {
    return true;
  }
  return [id, name, hostname].some((value) => value !== undefined && folded(value) === wanted);
}

function holdsText(event: NetwallEvent, wanted: string): boolean {
  const { message, http, rule, source, destination } = event;
  return [
    message,
    http?.path,
    http?.host,
    http?.requestId,
    rule.id,
    ...[source, destination].flatMap((end) =>
      end === undefined ? [] : [
        end.name,
        end.agent,
        end.image,
        end.service,
        end.ip,
        end.host,
        end.claimedContainerId,
        end.claimedContainerName,
        end.claimedHostname,
      ]
    ),
  ].some((value) => value !== undefined && folded(value).includes(wanted));
}

function folded(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
