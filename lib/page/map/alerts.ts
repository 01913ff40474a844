/**
 * Which edges something was alerted of or refused on lately: the state of an edge is that of its newest request alone,
 * so that one learned request hides the strange one before it.
 *
 * @module
 */
import { plural } from "../core/format.ts";
import type { EdgeRecord, NetwallEvent } from "../core/types.ts";

/** So far back events count. */
export const ALERTS_MS = 15 * 60_000;
export const ALERTS_WORDS = "last 15 minutes";

/** How many alerts and refusals there were, by `alertKey`. Ends that had none are not in it. */
export type Alerts = ReadonlyMap<string, number>;
export const NO_ALERTS: Alerts = new Map();

/** Of each edge. Equal events within some minutes are one. @param events Those that the page has. */
export function alertsOf(events: Iterable<NetwallEvent>, nowMs: number): Alerts {
  const counts = new Map<string, number>();
  for (const event of events) {
    const { effect, time, direction, protocol, source, destination } = event;
    if (effect === "allow" || time < nowMs - ALERTS_MS) continue;
    // Changes of the policy, and calls to what nobody serves, are of no edge.
    if (direction === undefined || protocol === undefined || !source || !destination) continue;
    const parts = [direction, protocol, source.name, destination.name, destination.service ?? ""];
    const key = JSON.stringify(parts);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

/** What the edge and its events have in common. */
export function alertKey(edge: EdgeRecord): string {
  const { direction, protocol, source, destination, service, host, port } = edge;
  const outside = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  return JSON.stringify([direction, protocol, source, destination === "" ? outside : destination, service]);
}

/** Whether two counts say the same: then nothing has to be drawn anew. */
export function areSameAlerts(a: Alerts, b: Alerts): boolean {
  return a.size === b.size && [...a].every(([key, count]) => b.get(key) === count);
}

/** Such as `2 alerts in the last 15 minutes`. */
export function alertWords(alerts: number): string {
  return `${plural(alerts, "alert")} in the ${ALERTS_WORDS}`;
}
