/**
 * Two ends of a link in one process, for tests: with delay, other chunk boundaries, a stalled path and a cut.
 *
 * It behaves as a socket does: nothing arrives inside the call that sent it, what waits is counted in
 * `bufferedBytes`, and an end that is asked for comes behind what was sent before.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { clearTimeout, setImmediate, setTimeout } from "node:timers";
import { assert } from "../assert.ts";
import {
  type Link,
  LINK_BUFFERED_BYTES_HIGH,
  LINK_BUFFERED_BYTES_MAX,
  LINK_CLOSE_TIMEOUT_MS,
  LINK_EARLY_BYTES_MAX,
  LINK_MESSAGE_BYTES_MAX,
  type LinkCloseReason,
  type LinkHandlers,
} from "./link.ts";

/** Where a pair takes its time from, so that a test can hold it. */
export interface MemoryLinkClock {
  setTimeout(callback: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
}

export interface MemoryLinkOptions {
  /** Delay of every byte in each direction, in milliseconds. @default {0} */
  latencyMs?: number;
  /** Deliver in pieces of this many bytes (the last of a batch may be shorter), whatever was sent. 1 is possible. */
  chunkBytes?: number;
  /** Cut both ends as soon as this many bytes have arrived, both directions together. */
  cutAfterBytes?: number;
  /** When `onDrain` is owed. @default {LINK_BUFFERED_BYTES_HIGH} */
  bufferedBytesHigh?: number;
  /** @default the clock of the process */
  clock?: MemoryLinkClock;
}

/** One end of the pair. */
export interface MemoryLink extends Link {
  /** From now on nothing this end sends, ends included, arrives: a network that went silent. */
  stall(): void;
  /** What was held arrives. */
  resume(): void;
}

/** What a path takes in before its delay is over, as the buffers of a kernel do. */
const IN_FLIGHT_BYTES_MAX = 4 << 20;

const PROCESS_CLOCK: MemoryLinkClock = { setTimeout, clearTimeout: clearTimeout as (timer: unknown) => void };

/**
 * Makes a link and returns both of its ends.
 *
 * @throws {AssertionError} When an option is not a whole number in range.
 */
export function memoryLinkPair(options: MemoryLinkOptions = {}): [MemoryLink, MemoryLink] {
  const { chunkBytes, cutAfterBytes } = options;
  assert(chunkBytes === undefined || chunkBytes >= 1, "chunkBytes is 1 or more");
  assert(cutAfterBytes === undefined || cutAfterBytes >= 0, "cutAfterBytes is 0 or more");
  const ends: MemoryEnd[] = [];
  const wire = new Wire(options, (reason) => {
    for (const end of ends) end.end({ clean: false, message: reason });
  });
  ends.push(new MemoryEnd("memory:first", wire), new MemoryEnd("memory:second", wire));
  const [first, second] = ends as [MemoryEnd, MemoryEnd];
  first.connect(second);
  second.connect(first);
  return [first, second];
}

/** What both directions share: the options, and the count of bytes up to the cut. */
class Wire {
  readonly chunkBytes: number | undefined;
  readonly latencyMs: number;
  readonly bufferedBytesHigh: number;
  readonly clock: MemoryLinkClock;
  #untilCutBytes: number;

  constructor(options: MemoryLinkOptions, readonly cut: (reason: string) => void) {
    this.latencyMs = options.latencyMs ?? 0;
    this.bufferedBytesHigh = options.bufferedBytesHigh ?? LINK_BUFFERED_BYTES_HIGH;
    this.clock = options.clock ?? PROCESS_CLOCK;
    this.chunkBytes = options.chunkBytes;
    this.#untilCutBytes = options.cutAfterBytes ?? Infinity;
  }

  /** Hands `chunk` to `deliver`, or the part of it before the cut. False when the link has been cut. */
  carry(chunk: Uint8Array, deliver: (part: Uint8Array) => void): boolean {
    const fits = chunk.byteLength < this.#untilCutBytes;
    const part = fits ? chunk : chunk.subarray(0, this.#untilCutBytes);
    this.#untilCutBytes -= part.byteLength;
    if (part.byteLength > 0 || fits) deliver(part);
    if (!fits) this.cut("Connection lost: the link was cut");
    return fits;
  }

  later(callback: () => void): void {
    if (this.latencyMs > 0) this.clock.setTimeout(callback, this.latencyMs);
    else setImmediate(callback);
  }
}

/** What travels: bytes, or the news that the sender has ended. */
type Parcel = Uint8Array | LinkCloseReason;

/** One direction: a queue that is counted, and what has left it and is under way. */
class Path {
  bufferedBytes = 0;
  stalled = false;
  #queue: Parcel[] = [];
  /** What was under way when the path stalled. */
  #held: Parcel[] = [];
  #inFlightBytes = 0;
  #pumping = false;
  #congested = false;

  constructor(readonly wire: Wire, readonly from: MemoryEnd, readonly to: MemoryEnd) {}
  push(parcel: Parcel): void {
    this.#queue.push(parcel);
    this.bufferedBytes += sizeOf(parcel);
    if (this.bufferedBytes > this.wire.bufferedBytesHigh) this.#congested = true;
    this.pump();
  }

  /** Forgets what has not left: the end that sent it was cut off. */
  clear(): void {
    this.#queue = [];
    this.bufferedBytes = 0;
  }

  resume(): void {
    this.stalled = false;
    setImmediate(() => this.#arrive([]));
    this.pump();
  }

  pump(): void {
    if (this.#pumping || this.stalled || this.#queue.length === 0) return;
    this.#pumping = true;
    setImmediate(() => {
      this.#pumping = false;
      this.#depart();
    });
  }

  #depart(): void {
    if (this.stalled) return;
    let count = 0;
    let bytes = 0;
    while (count < this.#queue.length && this.#inFlightBytes + bytes < IN_FLIGHT_BYTES_MAX) {
      bytes += sizeOf(this.#queue[count++]!);
    }
    // Nothing fits: the next arrival makes room and pumps again.
    if (count === 0) return;
    const batch = this.#queue.splice(0, count);
    this.bufferedBytes -= bytes;
    this.#inFlightBytes += bytes;
    this.wire.later(() => {
      this.#inFlightBytes -= bytes;
      this.#arrive(batch);
      this.pump();
    });
    this.pump();
    if (!this.#congested || this.bufferedBytes > this.wire.bufferedBytesHigh / 2) return;
    this.#congested = false;
    this.from.onDrain();
  }

  #arrive(batch: Parcel[]): void {
    const parcels = [...this.#held, ...batch];
    this.#held = this.stalled ? parcels : [];
    if (this.stalled) return;
    const { chunkBytes } = this.wire;
    for (const parcel of chunkBytes === undefined ? parcels : rechunk(parcels, chunkBytes)) {
      if (!(parcel instanceof Uint8Array)) this.to.hearEnd(parcel);
      else if (!this.wire.carry(parcel, (part) => this.to.receive(part))) return;
    }
  }
}

/** One end; what it does before `start` and at its end is what the WebSocket link does. */
class MemoryEnd implements MemoryLink {
  #handlers: LinkHandlers | undefined;
  #path: Path | undefined;
  #early: Uint8Array[] | undefined = [];
  #earlyBytes = 0;
  #ending: LinkCloseReason | undefined;
  #cut = false;
  #ended = false;
  #closeTimer: unknown;

  constructor(readonly peer: string, readonly wire: Wire) {}

  connect(other: MemoryEnd): void {
    this.#path = new Path(this.wire, this, other);
  }

  get bufferedBytes(): number {
    return this.#ended || this.#cut ? 0 : this.#path!.bufferedBytes;
  }

  start(handlers: LinkHandlers): void {
    if (this.#handlers !== undefined) throw new TypeError("Cannot start the link: it is started already");
    this.#handlers = handlers;
    queueMicrotask(() => this.#flushEarly());
  }

  send(chunk: Uint8Array): void {
    if (this.#ending !== undefined || this.#ended) return;
    if (chunk.byteLength > LINK_MESSAGE_BYTES_MAX) {
      return this.terminate(
        `Cannot send a message of ${chunk.byteLength} bytes: the limit is ${LINK_MESSAGE_BYTES_MAX}`,
      );
    }
    this.#path!.push(new Uint8Array(chunk));
    if (this.bufferedBytes <= LINK_BUFFERED_BYTES_MAX) return;
    this.terminate(`The other side does not read: over ${LINK_BUFFERED_BYTES_MAX} bytes are waiting for it`);
  }

  close(reason: string): void {
    if (this.#ending !== undefined || this.#ended) return;
    this.#ending = { clean: true, message: reason };
    this.#path!.push({ clean: true, message: `Closed by the other side: ${reason}` });
    this.#closeTimer = this.wire.clock.setTimeout(() => this.#cutOff(), LINK_CLOSE_TIMEOUT_MS);
  }

  terminate(reason: string): void {
    if (this.#cut) return;
    this.#cut = true;
    if (this.#ended) return;
    this.#ending = { clean: false, message: reason };
    this.#cutOff();
  }

  stall(): void {
    this.#path!.stalled = true;
  }

  resume(): void {
    this.#path!.resume();
  }

  receive(chunk: Uint8Array): void {
    if (this.#cut || this.#ended) return;
    if (this.#early === undefined) return this.#handlers?.onMessage(chunk);
    this.#earlyBytes += chunk.byteLength;
    if (this.#earlyBytes + this.#early.length > LINK_EARLY_BYTES_MAX) {
      return this.terminate("The other side sent too much before the session began");
    }
    this.#early.push(chunk);
  }

  /** The other end said goodbye or was cut off. A goodbye is answered behind what this end still has to send. */
  hearEnd(reason: LinkCloseReason): void {
    if (reason.clean && this.#ending === undefined) this.#path!.push({ ...reason });
    this.end(reason);
  }

  onDrain(): void {
    if (this.#ending === undefined && !this.#ended) this.#handlers?.onDrain();
  }

  end(reason: LinkCloseReason): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#ending ??= reason;
    this.wire.clock.clearTimeout(this.#closeTimer);
    if (this.#early === undefined) this.#handlers?.onClose(this.#ending);
  }

  #cutOff(): void {
    this.#cut = true;
    this.#path!.clear();
    this.#path!.push({ clean: false, message: "Connection lost: the other side ended it" });
    setImmediate(() => this.end(this.#ending!));
  }

  #flushEarly(): void {
    const early = this.#early ?? [];
    for (let index = 0; index < early.length && !this.#cut; index++) this.#handlers?.onMessage(early[index]!);
    this.#early = undefined;
    if (this.#ended) this.#handlers?.onClose(this.#ending!);
  }
}

function sizeOf(parcel: Parcel): number {
  return parcel instanceof Uint8Array ? parcel.byteLength : 0;
}

/** Joins the bytes and cuts them anew. An end is always the last of its direction. */
function* rechunk(batch: Parcel[], chunkBytes: number): Generator<Parcel> {
  const bytes = Buffer.concat(batch.filter((parcel) => parcel instanceof Uint8Array));
  for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
  yield* batch.filter((parcel) => !(parcel instanceof Uint8Array));
}
