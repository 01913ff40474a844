/**
 * The receiving half of flow control: what was granted, what is held, and when credit goes back.
 *
 * A stream's window starts at 256 KiB, or at what 12 MB/s need over the measured round trip, and doubles while its
 * reader empties it faster than credit can travel. All of it stays inside the session's window and the budgets: see
 * budget.ts for what happens when readers are slow.
 *
 * @module
 */
import {
  type BudgetHolder,
  MemoryBudget,
  PRESSURE_HIGH,
  PRESSURE_REFUSE,
  type StalestStream,
} from "./budget.ts";
import type { Stream } from "./stream.ts";
import { ReceiveWindow } from "./window.ts";

/** A stream's window to start with. */
export const STREAM_WINDOW_BYTES = 256 * 1024;
/** A stream's window under memory pressure. */
export const STREAM_WINDOW_BYTES_MIN = 64 * 1024;
/** The most that a stream's window grows to: 20 MB/s at 200 ms. */
export const STREAM_WINDOW_BYTES_MAX = 4 * 1024 * 1024;

/** What a stream should be able to carry from its first byte on: 12 MB/s, in bytes for a ms of round trip. */
const BYTES_PER_RTT_MS = 12_000;

/**
 * The share of the session's window that may go into larger stream windows: three quarters at their opening on a long
 * line, one quarter by growth. Readers that grew their windows and then stall must leave room for all others.
 */
const OPEN_SHARE = 3 / 4;
const GROWTH_SHARE = 1 / 4;

/** What a piece of body that waits costs besides its bytes: a peer that sends single bytes would fill the memory. */
export const HELD_PIECE_BYTES = 128;

export interface ReceiverHost extends BudgetHolder {
  /** @param queued Whether bytes that wait to be sent count too: those are not in the session's window. @default true */
  stalest(queued?: boolean): StalestStream | undefined;
  readonly rttMs: number;
  readonly sender: {
    /** Puts credit on the wire; stream 0 is the session. */
    credit(streamId: number, bytes: number): void;
  };
}

export class Receiver {
  readonly window: ReceiveWindow;
  readonly #host: ReceiverHost;
  readonly #process: MemoryBudget;
  readonly #own: MemoryBudget;
  /** Holds for the session's own budget what is in its window, and nothing else. */
  readonly #window: BudgetHolder = { stalest: () => this.#host.stalest(false) };
  /** Streams that are over, and whose reader still has bytes to take. */
  readonly #lingering = new Set<Stream>();
  #grownBytes = 0;
  #stopped = false;

  /** @param processBudget The one of the whole process, shared by all sessions. */
  constructor(host: ReceiverHost, sessionWindowBytes: number, processBudget: MemoryBudget) {
    this.#host = host;
    this.window = new ReceiveWindow(sessionWindowBytes);
    this.#own = new MemoryBudget(sessionWindowBytes, false, processBudget.timing);
    this.#process = processBudget;
    this.#own.register(this.#window);
    this.#process.register(host);
  }

  /** True when so much is held that no new stream should be opened. */
  get full(): boolean {
    return this.#own.pressure >= PRESSURE_REFUSE || this.#process.pressure >= PRESSURE_REFUSE;
  }

  /** The window to grant to a stream that opens now. */
  openWindowBytes(): number {
    if (this.#pressed()) return STREAM_WINDOW_BYTES_MIN;
    const wanted = Math.round(this.#host.rttMs * BYTES_PER_RTT_MS);
    const limit = Math.min(STREAM_WINDOW_BYTES_MAX, Math.floor(this.window.windowBytes / 8));
    const spare = Math.max(0, Math.floor(this.window.windowBytes * OPEN_SHARE - this.#grownBytes));
    return Math.max(STREAM_WINDOW_BYTES, Math.min(wanted, limit, STREAM_WINDOW_BYTES + spare));
  }

  /** Counts the window that a stream was opened with, as `closed` will take it off again. */
  opened(stream: Stream): void {
    this.#grownBytes += grown(stream.receiveWindow.windowBytes);
  }

  /**
   * Counts data of a stream. Under a hard budget this may reset streams, this one too.
   *
   * @throws {ProtocolError} `flowControl` past either window.
   */
  receive(stream: Stream, bytes: number): void {
    if (bytes === 0) return;
    // Both or none: what a stream holds will be released everywhere when the session ends.
    stream.receiveWindow.check(bytes);
    this.window.receive(bytes);
    stream.receiveWindow.receive(bytes);
    let cost = bytes;
    if (stream.receiveWindow.heldBytes === bytes) {
      stream.lastMovedMs = performance.now();
    } else {
      stream.overheadBytes += HELD_PIECE_BYTES;
      cost += HELD_PIECE_BYTES;
    }
    this.#own.hold(cost);
    this.#process.hold(cost);
  }

  /** Counts data of a stream that is over here: it came while our reset was on its way. */
  discard(bytes: number): void {
    this.window.receive(bytes);
    this.window.consume(bytes);
    this.#returnSessionCredit();
  }

  /** Takes bytes that were passed on, and returns credit when it is worth a frame. */
  release(stream: Stream, bytes: number): void {
    const window = stream.receiveWindow;
    const cost = stream.overheadBytes === 0 ? bytes : bytes + takeOverhead(stream, bytes);
    this.#own.release(cost);
    this.#process.release(cost);
    this.window.consume(bytes);
    this.#returnSessionCredit();
    if (stream.remoteEnded || stream.closed) {
      if (this.#lingering.size > 0 && window.heldBytes === 0) this.#forget(stream);
      return;
    }
    if (this.#pressed() && window.windowBytes > STREAM_WINDOW_BYTES_MIN) {
      this.#resize(stream, STREAM_WINDOW_BYTES_MIN);
    }
    if (window.returnableBytes < window.windowBytes / 2) return;
    const nowMs = performance.now();
    // The reader took half a window in less than two round trips: the window, not the reader, is what limits it.
    if (nowMs - stream.lastCreditMs < 2 * Math.max(1, this.#host.rttMs)) this.#grow(stream);
    stream.lastCreditMs = nowMs;
    const credit = window.takeCredit(1);
    if (credit > 0) this.#host.sender.credit(stream.id, credit);
  }

  /** Brings a stream that the peer opened, with the window of our HELLO, to what the round trip asks for. */
  widen(stream: Stream): void {
    const wanted = this.openWindowBytes();
    if (wanted <= stream.receiveWindow.windowBytes) return;
    this.#resize(stream, wanted);
    const credit = stream.receiveWindow.takeCredit(1);
    if (credit > 0) this.#host.sender.credit(stream.id, credit);
  }

  /** Takes a stream that closed out of the windows. What it still holds is released by its reader, or shed. */
  closed(stream: Stream): void {
    if (stream.receiveWindow.heldBytes > 0) this.#lingering.add(stream);
    this.#grownBytes -= grown(stream.receiveWindow.windowBytes);
    // Its window no longer counts; what its reader still does cannot grow it again.
    if (stream.receiveWindow.windowBytes > STREAM_WINDOW_BYTES) {
      stream.receiveWindow.resize(STREAM_WINDOW_BYTES);
    }
  }

  /** The stream whose reader has waited longest, of the open ones and of those that are over here already. */
  stalest(
    open: Iterable<Stream>,
    queued: boolean,
    shed: (stream: Stream) => void,
  ): StalestStream | undefined {
    const chosen = stalestOf(open, queued, stalestOf(this.#lingering, queued, undefined));
    return chosen && { sinceMs: chosen.lastMovedMs, shed: () => shed(chosen) };
  }

  /** Lets go of the budgets at the end of the session, once nothing is held. */
  stop(): void {
    this.#stopped = true;
    if (this.#lingering.size > 0) return;
    this.#own.unregister(this.#window);
    this.#process.unregister(this.#host);
  }

  #forget(stream: Stream): void {
    if (this.#lingering.delete(stream) && this.#stopped) this.stop();
  }

  #pressed(): boolean {
    return this.#own.pressure >= PRESSURE_HIGH || this.#process.pressure >= PRESSURE_HIGH;
  }

  #grow(stream: Stream): void {
    const current = stream.receiveWindow.windowBytes;
    const next = Math.min(current * 2, STREAM_WINDOW_BYTES_MAX);
    const extra = grown(next) - grown(current);
    if (this.#pressed() || this.#grownBytes + extra > this.window.windowBytes * GROWTH_SHARE) return;
    this.#resize(stream, next);
  }

  #resize(stream: Stream, windowBytes: number): void {
    this.#grownBytes += grown(windowBytes) - grown(stream.receiveWindow.windowBytes);
    stream.receiveWindow.resize(windowBytes);
  }

  #returnSessionCredit(): void {
    const credit = this.window.takeCredit(this.window.windowBytes / 4);
    if (credit > 0) this.#host.sender.credit(0, credit);
  }
}

/** What of a window is over the one that every stream starts with. */
function grown(windowBytes: number): number {
  return Math.max(0, windowBytes - STREAM_WINDOW_BYTES);
}

/** What of a stream's overhead goes with `bytes`, which its window does not hold any more: the same share. */
function takeOverhead(stream: Stream, bytes: number): number {
  const heldBytes = stream.receiveWindow.heldBytes;
  const taken = Math.floor(stream.overheadBytes * (bytes / (heldBytes + bytes)));
  stream.overheadBytes -= taken;
  return taken;
}

function stalestOf(
  streams: Iterable<Stream>,
  queued: boolean,
  stalest: Stream | undefined,
): Stream | undefined {
  for (const stream of streams) {
    if (stream.receiveWindow.heldBytes === 0 && !(queued && stream.queuedBytes > 0)) continue;
    if (!stalest || stream.lastMovedMs < stalest.lastMovedMs) stalest = stream;
  }
  return stalest;
}
