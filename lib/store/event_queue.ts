/**
 * Events that wait to be written: bounded in number and in memory, each in its newest state.
 *
 * When there is no room, the oldest of the traffic that was let through goes first: what was denied is the evidence,
 * and what is of no traffic at all, as a change of the policy or an alarm, comes rarely and is wanted most.
 *
 * @module
 */
import type { NetwallEvent } from "../events/event.ts";

/** Some 1.5 s of 5,000 new events/s: longer than any hold of the disk that is not a fault. */
export const EVENTS_QUEUED_MAX = 8_192;
/** Events full of long texts are fewer: an event can come to 30 KiB when a stranger fills it. */
export const QUEUED_BYTES_MAX = 32 << 20;

/** About what an event comes to in memory without its long texts. */
const EVENT_BYTES = 1_024;

interface Waiting {
  readonly event: NetwallEvent;
  readonly bytes: number;
}

export class EventQueue {
  readonly #countMax: number;
  /** By id, in the order of `seq`. */
  readonly #evidence = new Map<string, Waiting>();
  readonly #allowed = new Map<string, Waiting>();
  #bytes = 0;

  /** @param countMax How many may wait. */
  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  get size(): number {
    return this.#evidence.size + this.#allowed.size;
  }

  /** About how much memory they hold. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Takes an event in; an older state of the same one is forgotten.
   *
   * @param event With a greater `seq` than any before.
   * @returns How many were lost for it; it may be lost itself.
   */
  put(event: NetwallEvent): number {
    this.#remove(event.id);
    const waiting = { event, bytes: bytesOf(event) };
    (isEvidence(event) ? this.#evidence : this.#allowed).set(event.id, waiting);
    this.#bytes += waiting.bytes;
    let lost = 0;
    while (this.size > this.#countMax || this.#bytes > QUEUED_BYTES_MAX) {
      const [oldest] = this.#allowed.size > 0 ? this.#allowed.keys() : this.#evidence.keys();
      if (oldest === undefined) break;
      this.#remove(oldest);
      lost++;
    }
    return lost;
  }

  /** The first ones in the order of `seq`. They stay until they are settled. */
  first(count: number): NetwallEvent[] {
    const evidence = this.#evidence.values().take(count);
    const allowed = this.#allowed.values().take(count);
    return [...evidence, ...allowed].map(({ event }) => event).toSorted((a, b) => a.seq - b.seq).slice(
      0,
      count,
    );
  }

  /** Forgets what is written, or never will be. */
  settle(events: readonly NetwallEvent[]): void {
    for (const { id } of events) this.#remove(id);
  }

  #remove(id: string): void {
    for (const waiting of [this.#evidence, this.#allowed]) {
      this.#bytes -= waiting.get(id)?.bytes ?? 0;
      waiting.delete(id);
    }
  }
}

function isEvidence({ verdict, direction }: NetwallEvent): boolean {
  return verdict === "dropped" || direction === undefined;
}

/** A character takes up to two bytes. Only the texts that strangers choose can be long. */
function bytesOf({ http, deviation, message, destination }: NetwallEvent): number {
  const chars = message.length + (destination?.name.length ?? 0) + (destination?.host?.length ?? 0) +
    (deviation === undefined ? 0 : deviation.observed.length + deviation.expected.length) +
    (http === undefined ? 0 : http.method.length + http.host.length + http.path.length +
      (http.route?.length ?? 0) + (http.contentType?.length ?? 0) + (http.userAgent?.length ?? 0));
  return EVENT_BYTES + 2 * chars;
}
