/**
 * A sink: a place outside of the gateway where events are sent.
 *
 * What all sinks have in common is in `QueuedSink`. What differs is a `Carrier`: how an event is written, and how a
 * batch is brought there. Whoever has an event calls `put` only, which encodes it and returns. Nobody waits for a
 * sink, and no sink waits for another.
 *
 * @module
 */
import type { NetwallEvent } from "../event.ts";

/** Events that wait in one sink. */
export const QUEUE_EVENTS_MAX = 10_000;
/** Their bytes. Without it 10,000 events with every text at its longest would hold more than 1 GiB. */
export const QUEUE_BYTES_MAX = 16 << 20;
/** A longer event is dropped. One with every text at its longest, all of it escaped, has about 240 KiB. */
export const EVENT_BYTES_MAX = (256 << 10) - 64;

/** The wait after the first failure is below this; it doubles with each further one. */
export const BACKOFF_MS_MIN = 1_000;
export const BACKOFF_MS_MAX = 60_000;

/** Somewhere events are sent. */
export interface EventSink {
  /** For logs and metrics: `file`, `webhook` or `syslog`. */
  readonly name: string;
  /** Takes one event. Never blocks and never throws: what has no room is counted in `dropped`. */
  put(event: NetwallEvent): void;
  /** Events that were given up: no room, not to be encoded, refused at the other end, or left at the end. */
  readonly dropped: number;
  /** Events that wait, also those that are just being sent. */
  readonly waiting: number;
  /**
   * Takes nothing more, sends what waits, and lets go of files and sockets.
   *
   * @param graceMs What is not out by then counts as dropped, even if it arrived and only the answer was missing.
   */
  close(graceMs: number): Promise<void>;
}

/** What a sink tells its owner, who logs and counts it. */
export interface SinkHooks {
  /** Once per outage. The message is for an operator and holds no secret. */
  onFault(name: string, message: string): void;
  /** The first success after an outage. */
  onHealed(name: string): void;
}

/** Where time comes from, so that a test can hold it. */
export interface SinkTimers {
  nowMs(): number;
  setTimeout(callback: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
}

/** Times and bounds that a test makes small. Who runs a gateway leaves them alone. */
export interface SinkTuning {
  /** @default those of the process */
  readonly timers?: SinkTimers;
  /** From 0 up to, not including, 1. @default Math.random */
  readonly random?: () => number;
  /** @default BACKOFF_MS_MIN */
  readonly backoffMsMin?: number;
  /** @default BACKOFF_MS_MAX */
  readonly backoffMsMax?: number;
  /** @default QUEUE_EVENTS_MAX */
  readonly queueEventsMax?: number;
  /** @default QUEUE_BYTES_MAX */
  readonly queueBytesMax?: number;
}

/** The address of a sink is none. The message is for the person who wrote it, and repeats no secret. */
export class SinkAddressError extends Error {
  override name = "SinkAddressError";
}

/** Events on their way together. */
export interface Batch {
  /** The same at every attempt for these events. */
  readonly id: string;
  /** Never empty, oldest first. */
  readonly items: readonly Uint8Array[];
}

/** What became of a batch. */
export type Delivery =
  | { readonly kind: "delivered" }
  /** It will not be taken however often it comes: dropped. */
  | { readonly kind: "refused"; readonly message: string }
  /** It may be taken later. `delivered` of its first items are through; not before `retryAfterMs`. */
  | {
    readonly kind: "failed";
    readonly message: string;
    readonly delivered?: number;
    readonly retryAfterMs?: number;
  };

/** How events get somewhere. */
export interface Carrier {
  /** One event as it travels. What throws is dropped. */
  encode(event: NetwallEvent): Uint8Array;
  /** One attempt; one at a time. Ends soon after `signal`. A rejection is a failure with its message. */
  deliver(batch: Batch, signal: AbortSignal): Promise<Delivery>;
  /** Lets go of what is open, also in the middle of an attempt. */
  end(): void | Promise<void>;
}
