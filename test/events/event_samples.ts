/**
 * Events for the tests of sinks: a whole one, and parts of it made different.
 *
 * @module
 */
import { eventSchema, type NetwallEvent } from "../../lib/events/event.ts";

/** A connection that was not expected. @param number Its id and `seq`. */
export function sampleEvent(number: number, changes: Partial<NetwallEvent> = {}): NetwallEvent {
  return eventSchema.parse({
    id: String(number).padStart(8, "0"),
    seq: number,
    time: 1_790_000_000_000 + number,
    firstTime: 1_790_000_000_000,
    count: 1,
    type: "unexpectedConnection",
    severity: "warning",
    direction: "east-west",
    protocol: "tcp",
    mode: "alert",
    effect: "alert",
    verdict: "audited",
    rule: { kind: "implicit" },
    deviation: { kind: "edge", observed: "shop/front-end to user-db", expected: "user" },
    source: { kind: "workload", name: "shop/front-end", namespace: "shop", claimedHostname: "front-end-1" },
    destination: { kind: "workload", name: "shop/user-db", service: "user-db", port: 6379 },
    message: "front-end connected to user-db",
    ...changes,
  });
}

/** What a sink told its owner, in order: a fault with its message, or `healed`. */
export class ToldFaults {
  readonly told: string[] = [];
  readonly onFault = (name: string, message: string): void => void this.told.push(`${name}: ${message}`);
  readonly onHealed = (name: string): void => void this.told.push(`${name} healed`);
}

/** Waits until something holds. A test that waits in vain fails by its time limit. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}
