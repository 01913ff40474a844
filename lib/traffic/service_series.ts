/**
 * The traffic of one service over time: three rings of steps, from seconds to a day.
 *
 * Each step holds counts by class, three percentiles and bytes. The step that is under way has a histogram; when it is
 * over only its percentiles are kept, so that a ring is small. A ring is made when its first step is over: all three
 * take 52 KiB, what is under way 5 KiB, and all of it was measured at 65 to 75 KiB of memory.
 *
 * @module
 */
import { LatencyHistogram } from "./latency_histogram.ts";

/** The windows that can be asked for: the length of a step, and how many there are. */
export const WINDOWS = {
  "5m": { stepMs: 1_000, steps: 300 },
  "1h": { stepMs: 10_000, steps: 360 },
  "24h": { stepMs: 300_000, steps: 288 },
} as const;
export type WindowName = keyof typeof WINDOWS;

/** Requests by the class of their status; `none`: no head was sent, as the visitor left. */
export const HTTP_CLASSES = ["1xx", "2xx", "3xx", "4xx", "5xx", "none"] as const;
/** Connections by how they ended. */
export const TCP_CLASSES = ["closed", "failed"] as const;

export type TrafficProtocol = "http" | "tcp";

/** What is kept of every step, one value a step, the oldest first. */
export interface TrafficColumns {
  readonly requests: number[];
  /** Those that have any in the window. */
  readonly classes: Record<string, number[]>;
  /** In ms; null for a step without any. */
  readonly p50Ms: (number | null)[];
  readonly p95Ms: (number | null)[];
  readonly p99Ms: (number | null)[];
  readonly inBytes: number[];
  readonly outBytes: number[];
}

const CLASSES_MAX = 6;
const SHARES = [0.5, 0.95, 0.99] as const;

/** The steps that are over. */
interface Slots {
  /** Which step a slot holds: what is there from the turn before is not read. */
  readonly stamps: Uint32Array;
  readonly counts: Uint32Array;
  readonly latencies: Float32Array;
  readonly bytes: Float64Array;
}

class Ring {
  readonly #stepMs: number;
  readonly #steps: number;
  #slots: Slots | undefined;
  /** The step that is under way. */
  #step = -1;
  readonly #counts = new Uint32Array(CLASSES_MAX);
  readonly #histogram = new LatencyHistogram();
  #inBytes = 0;
  #outBytes = 0;

  constructor({ stepMs, steps }: { readonly stepMs: number; readonly steps: number }) {
    this.#stepMs = stepMs;
    this.#steps = steps;
  }

  record(nowMs: number, kind: number, ms: number, inBytes: number, outBytes: number): void {
    const step = Math.floor(nowMs / this.#stepMs);
    // Also when the clock was set back: the step is then found by its number again.
    if (step !== this.#step) this.#begin(step);
    this.#counts[kind]!++;
    if (ms >= 0) this.#histogram.add(ms);
    this.#inBytes += inBytes;
    this.#outBytes += outBytes;
  }

  /** The values of all steps up to now. */
  read(nowMs: number, classes: readonly string[]): TrafficColumns {
    const first = Math.floor(nowMs / this.#stepMs) - this.#steps + 1;
    const columns = emptyColumns(this.#steps);
    const byClass = classes.map(() => zeros(this.#steps));
    const slots = this.#slots;
    for (let slot = 0; slots !== undefined && slot < this.#steps; slot++) {
      const at = slots.stamps[slot]! - first;
      // A slot of the turn before, or of a time that has not come, is not of this window.
      if (at < 0 || at >= this.#steps || slots.stamps[slot] === this.#step) continue;
      for (let kind = 0; kind < byClass.length; kind++) {
        byClass[kind]![at] = slots.counts[slot * CLASSES_MAX + kind]!;
      }
      columns.p50Ms[at] = latencyOf(slots.latencies[slot * 3]!);
      columns.p95Ms[at] = latencyOf(slots.latencies[slot * 3 + 1]!);
      columns.p99Ms[at] = latencyOf(slots.latencies[slot * 3 + 2]!);
      columns.inBytes[at] = slots.bytes[slot * 2]!;
      columns.outBytes[at] = slots.bytes[slot * 2 + 1]!;
    }
    const now = this.#step - first;
    if (now >= 0 && now < this.#steps) {
      for (let kind = 0; kind < byClass.length; kind++) byClass[kind]![now] = this.#counts[kind]!;
      columns.p50Ms[now] = latencyOf(this.#histogram.percentile(SHARES[0]));
      columns.p95Ms[now] = latencyOf(this.#histogram.percentile(SHARES[1]));
      columns.p99Ms[now] = latencyOf(this.#histogram.percentile(SHARES[2]));
      columns.inBytes[now] = this.#inBytes;
      columns.outBytes[now] = this.#outBytes;
    }
    for (let kind = 0; kind < byClass.length; kind++) {
      const counts = byClass[kind]!;
      let any = 0;
      for (let at = 0; at < counts.length; at++) {
        any += counts[at]!;
        columns.requests[at]! += counts[at]!;
      }
      if (any > 0) columns.classes[classes[kind]!] = counts;
    }
    return columns;
  }

  #begin(step: number): void {
    if (this.#step >= 0) this.#close();
    this.#step = step;
    this.#counts.fill(0);
    this.#histogram.clear();
    this.#inBytes = 0;
    this.#outBytes = 0;
  }

  #close(): void {
    const slots = this.#slots ??= slotsOf(this.#steps);
    const slot = this.#step % this.#steps;
    slots.stamps[slot] = this.#step;
    slots.counts.set(this.#counts, slot * CLASSES_MAX);
    for (const [which, share] of SHARES.entries()) {
      slots.latencies[slot * SHARES.length + which] = this.#histogram.percentile(share);
    }
    slots.bytes[slot * 2] = this.#inBytes;
    slots.bytes[slot * 2 + 1] = this.#outBytes;
  }
}

export class ServiceSeries {
  readonly #rings: Readonly<Record<WindowName, Ring>> = {
    "5m": new Ring(WINDOWS["5m"]),
    "1h": new Ring(WINDOWS["1h"]),
    "24h": new Ring(WINDOWS["24h"]),
  };
  readonly #classes: readonly string[];
  /** When it was last told of anything, since 1970. */
  lastMs = 0;

  constructor(protocol: TrafficProtocol) {
    this.#classes = protocol === "http" ? HTTP_CLASSES : TCP_CLASSES;
  }

  /**
   * @param kind The index of a class.
   * @param ms How long it took; less than 0 when that says nothing.
   */
  record(nowMs: number, kind: number, ms: number, inBytes: number, outBytes: number): void {
    // A clock that is set back must not make it look forgotten.
    this.lastMs = Math.max(this.lastMs, nowMs);
    this.#rings["5m"].record(nowMs, kind, ms, inBytes, outBytes);
    this.#rings["1h"].record(nowMs, kind, ms, inBytes, outBytes);
    this.#rings["24h"].record(nowMs, kind, ms, inBytes, outBytes);
  }

  read(window: WindowName, nowMs: number): TrafficColumns {
    return this.#rings[window].read(nowMs, this.#classes);
  }
}

function slotsOf(steps: number): Slots {
  return {
    stamps: new Uint32Array(steps),
    counts: new Uint32Array(steps * CLASSES_MAX),
    latencies: new Float32Array(steps * SHARES.length),
    bytes: new Float64Array(steps * 2),
  };
}

/** To a thousandth of a millisecond. */
function latencyOf(ms: number): number | null {
  return Number.isNaN(ms) ? null : Math.round(ms * 1000) / 1000;
}

function zeros(count: number): number[] {
  return new Array<number>(count).fill(0);
}

function emptyColumns(steps: number): TrafficColumns {
  const nothing = (): (number | null)[] => new Array<number | null>(steps).fill(null);
  return {
    ...{ requests: zeros(steps), classes: {}, p50Ms: nothing(), p95Ms: nothing(), p99Ms: nothing() },
    ...{ inBytes: zeros(steps), outBytes: zeros(steps) },
  };
}
