/**
 * The bounded queue in front of every sink: batches, waiting after a failure, telling of an outage once, the end.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import { clearTimeout, setTimeout } from "node:timers";
import type { NetwallEvent } from "../event.ts";
import {
  BACKOFF_MS_MAX,
  BACKOFF_MS_MIN,
  type Batch,
  type Carrier,
  type Delivery,
  EVENT_BYTES_MAX,
  type EventSink,
  QUEUE_BYTES_MAX,
  QUEUE_EVENTS_MAX,
  type SinkHooks,
  type SinkTimers,
  type SinkTuning,
} from "./sink.ts";

export interface QueuedSinkOptions extends SinkHooks {
  readonly name: string;
  readonly carrier: Carrier;
  readonly batchEventsMax: number;
  /** Of the items together, with one more byte each. A single longer item is a batch of its own. */
  readonly batchBytesMax: number;
  /** How long a batch that is not full waits for more. */
  readonly waitMs: number;
  /** A batch that fails for so long is dropped. @default for ever */
  readonly retryForMs?: number;
  readonly tuning?: SinkTuning;
}

const PROCESS_TIMERS: SinkTimers = {
  nowMs: () => performance.now(),
  setTimeout,
  clearTimeout: clearTimeout as (timer: unknown) => void,
};

/**
 * A bounded queue that is emptied by a carrier, batch after batch in order.
 *
 * When it is full the newest event is dropped: what waits tells how an incident began, and the store has them all.
 */
export class QueuedSink implements EventSink {
  readonly name: string;
  readonly #options: QueuedSinkOptions;
  readonly #timers: SinkTimers;
  readonly #queue: Uint8Array[] = [];
  readonly #ended = new AbortController();
  #queuedBytes = 0;
  #dropped = 0;
  /** Failures since the last success. */
  #failures = 0;
  #isOut = false;
  #isGathering = false;
  #isClosing = false;
  #running: Promise<void> | undefined;
  #closed: Promise<void> | undefined;
  /** Ends the present pause; undefined while there is none. */
  #wake: (() => void) | undefined;

  constructor(options: QueuedSinkOptions) {
    this.#options = options;
    this.name = options.name;
    this.#timers = options.tuning?.timers ?? PROCESS_TIMERS;
  }

  get dropped(): number {
    return this.#dropped;
  }

  get waiting(): number {
    return this.#queue.length;
  }

  put(event: NetwallEvent): void {
    const { queueEventsMax = QUEUE_EVENTS_MAX, queueBytesMax = QUEUE_BYTES_MAX } = this.#options.tuning ?? {};
    // Nothing is encoded for a full queue: a flood of events costs least when the sink is out.
    if (this.#isClosing || this.#queue.length >= queueEventsMax) return void this.#dropped++;
    let item: Uint8Array;
    try {
      item = this.#options.carrier.encode(event);
    } catch {
      return void this.#dropped++;
    }
    if (item.length > EVENT_BYTES_MAX || this.#queuedBytes + item.length > queueBytesMax) {
      return void this.#dropped++;
    }
    this.#queue.push(item);
    this.#queuedBytes += item.length;
    if (this.#isGathering && this.#isBatchFull()) this.#wake?.();
    this.#running ??= this.#run();
  }

  close(graceMs: number): Promise<void> {
    return this.#closed ??= this.#end(graceMs);
  }

  async #end(graceMs: number): Promise<void> {
    this.#isClosing = true;
    // What is left is tried at once, however long the outage has been.
    this.#failures = 0;
    this.#wake?.();
    if (this.#running !== undefined) {
      let timer: unknown;
      const late = new Promise<void>((resolve) => {
        timer = this.#timers.setTimeout(resolve, graceMs);
      });
      await Promise.race([this.#running, late]);
      this.#timers.clearTimeout(timer);
    }
    this.#dropped += this.#queue.length;
    this.#take(this.#queue.length);
    this.#ended.abort();
    this.#wake?.();
    await this.#options.carrier.end();
  }

  /** Runs while there is something to send. Never rejects, unless a hook throws. */
  async #run(): Promise<void> {
    // Whoever put the event goes on first.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      if (!this.#isClosing && !this.#isBatchFull()) {
        this.#isGathering = true;
        await this.#pause(this.#options.waitMs);
        this.#isGathering = false;
      }
      await this.#send(this.#batchLength());
    }
    this.#running = undefined;
  }

  /** Brings the first `count` events there, or gives them up. */
  async #send(count: number): Promise<void> {
    const id = randomUUID();
    const { retryForMs = Infinity } = this.#options;
    const startedAtMs = this.#timers.nowMs();
    let left = count;
    while (left > 0) {
      const outcome = await this.#attempt({ id, items: this.#queue.slice(0, left) });
      // At the end the queue was emptied and counted.
      if (this.#ended.signal.aborted) return;
      if (outcome.kind === "delivered") {
        this.#take(left);
        return this.#heal();
      }
      const through = outcome.kind === "failed" ? Math.min(outcome.delivered ?? 0, left) : 0;
      this.#take(through);
      left -= through;
      if (outcome.kind === "refused" || this.#timers.nowMs() - startedAtMs >= retryForMs) {
        this.#take(left);
        this.#dropped += left;
        left = 0;
      }
      if (!this.#isOut) this.#options.onFault(this.name, outcome.message);
      this.#isOut = true;
      // Also after a refusal: who says no to one batch is not sent the next in the same moment.
      const retryAfterMs = outcome.kind === "failed" ? outcome.retryAfterMs ?? 0 : 0;
      await this.#pause(Math.max(this.#backoffMs(), retryAfterMs));
    }
  }

  async #attempt(batch: Batch): Promise<Delivery> {
    try {
      return await this.#options.carrier.deliver(batch, this.#ended.signal);
    } catch (error) {
      return { kind: "failed", message: error instanceof Error ? error.message : String(error) };
    }
  }

  #heal(): void {
    this.#failures = 0;
    if (!this.#isOut) return;
    this.#isOut = false;
    this.#options.onHealed(this.name);
  }

  /** Exponential, with full jitter: many gateways that lost one receiver do not come back in one moment. */
  #backoffMs(): number {
    const { random = Math.random, backoffMsMin = BACKOFF_MS_MIN, backoffMsMax = BACKOFF_MS_MAX } =
      this.#options.tuning ?? {};
    return random() * Math.min(backoffMsMax, backoffMsMin * 2 ** Math.min(this.#failures++, 30));
  }

  /** Waits, or less: until a batch is full, or until the end. */
  #pause(ms: number): Promise<void> {
    if (this.#ended.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#timers.clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
      const timer = this.#timers.setTimeout(wake, ms);
      this.#wake = wake;
    });
  }

  #isBatchFull(): boolean {
    const { batchEventsMax, batchBytesMax } = this.#options;
    return this.#queue.length >= batchEventsMax || this.#queuedBytes + this.#queue.length >= batchBytesMax;
  }

  #batchLength(): number {
    const { batchEventsMax, batchBytesMax } = this.#options;
    let bytes = 0;
    let count = 0;
    while (count < Math.min(batchEventsMax, this.#queue.length)) {
      bytes += this.#queue[count]!.length + 1;
      if (count > 0 && bytes > batchBytesMax) break;
      count++;
    }
    return count;
  }

  #take(count: number): void {
    for (const item of this.#queue.splice(0, count)) this.#queuedBytes -= item.length;
  }
}
