/**
 * One stream of a session: one request, or one connection.
 *
 * Data is pushed to the sink, and acknowledged with `consumed` once it was passed on: only that lets the other side
 * send more. Writing beyond the credit queues and returns false, until `onDrain`.
 *
 * @module
 */
import { assert } from "../assert.ts";
import type { ErrorName } from "../wire/errors.ts";
import { encodeFields } from "../wire/head.ts";
import { bodyRoom } from "../wire/open.ts";
import { type MemoryBudget, PRESSURE_HIGH } from "./budget.ts";
import { SendQueue } from "./send_queue.ts";
import { ReceiveWindow, SendWindow } from "./window.ts";

/**
 * What a stream tells its owner. Nothing is called after `onReset`. Once both sides have ended only `onReset` can
 * come, and only while bytes wait for `consumed`: the memory was needed.
 */
export interface StreamSink {
  /** A response head came (possibly several: 1xx first), with body bytes that came along. Opener's side only. */
  onHead(head: Uint8Array, body: Uint8Array, end: boolean): void;
  /** Body bytes came. With `end` the other side has no more, and no trailers. */
  onData(chunk: Uint8Array, end: boolean): void;
  /** The other side has no more. Not called when `end` was told with the last data. */
  onEnd(trailers: string[]): void;
  /** What was queued has left: write on. */
  onDrain(): void;
  /** What was queued when this side ended has left: for those who owe credit for it. */
  onLastDrain?(): void;
  /** The stream is over at once; what was queued is gone. */
  onReset(error: StreamError): void;
}

/** Why a stream was cut off. Expected: it is a value that sinks are given. */
export class StreamError extends Error {
  override name = "StreamError";
  /** @param code The code on the wire, or what it would be. @param remote Whether the other side ended it. */
  constructor(readonly code: ErrorName, message: string, readonly remote: boolean) {
    super(message);
  }
}

/** What a stream needs of its session. */
export interface StreamHost {
  /** Puts frames on the link. */
  readonly sender: {
    head(stream: Stream, head: Uint8Array, body: Uint8Array, end: boolean): void;
    data(stream: Stream, chunk: Uint8Array, end: boolean): void;
    /** Puts the stream into the round of those that wait for credit or for the link. */
    wait(stream: Stream): void;
    /** Bytes that may leave now on this session, whatever the stream's own credit: 0 when the link is full. */
    readonly roomBytes: number;
  };
  /** `trailers` is an encoded list, or nothing. */
  sendEnd(stream: Stream, trailers: Uint8Array): void;
  sendReset(stream: Stream, code: ErrorName, detail: string): void;
  /** The budget of the process. */
  readonly budget: MemoryBudget;
  /** Held bytes were passed on, or thrown away. */
  release(stream: Stream, bytes: number): void;
  /** The stream is over on both sides, or was reset. */
  closed(stream: Stream): void;
}

/** Made by its session only. */
export class Stream {
  readonly id: number;
  readonly service: string;
  readonly sendWindow: SendWindow;
  readonly receiveWindow: ReceiveWindow;
  /** When a reader last took something, at either end, on the clock of `performance.now()`. */
  lastMovedMs = performance.now();
  /** When credit was last returned, for the growth of the window. */
  lastCreditMs = 0;
  /** What the pieces that wait cost besides their bytes, as the session counts it. */
  overheadBytes = 0;
  readonly #host: StreamHost;
  #sink: StreamSink | undefined;
  readonly #queue: SendQueue;
  /** Set when this side ends while pieces wait. */
  #trailers: Uint8Array | undefined;
  #needDrain = false;
  #localEnded = false;
  #remoteEnded = false;
  #isReset = false;

  constructor(host: StreamHost, id: number, service: string, sendBytes: number, receiveBytes: number) {
    this.#host = host;
    this.#queue = new SendQueue(host.budget);
    this.id = id;
    this.service = service;
    this.sendWindow = new SendWindow(sendBytes);
    this.receiveWindow = new ReceiveWindow(receiveBytes);
  }

  /** Sets who is told. Once, before the first frame for this stream is handled. */
  attach(sink: StreamSink): void {
    assert(this.#sink === undefined, "a stream has one sink");
    this.#sink = sink;
  }

  /** True while this side may still write. */
  get writable(): boolean {
    return !this.#localEnded && !this.#isReset;
  }

  /** True once both sides ended or the stream was reset. */
  get closed(): boolean {
    return this.#isReset || (this.#localEnded && this.#remoteEnded && this.#queue.bytes === 0);
  }

  get remoteEnded(): boolean {
    return this.#remoteEnded;
  }

  /** True while memory is short and nothing could leave: what is written now would all be held. */
  get full(): boolean {
    return this.#host.budget.pressure >= PRESSURE_HIGH && this.#roomBytes() === 0;
  }

  /** Bytes written that wait for credit or for the link. */
  get queuedBytes(): number {
    return this.#queue.bytes;
  }

  /**
   * Sends a response head; the acceptor's side only, and before the body. Body bytes may go along in the same frame.
   *
   * @returns False when part of the body has to wait.
   */
  sendHead(head: Uint8Array, chunk: Uint8Array = EMPTY, end = false): boolean {
    if (!this.writable) return true;
    assert(this.#queue.bytes === 0, "a head leaves before its body");
    // A body that does not fit behind its head, or for which there is no credit, follows as data.
    if (chunk.length > 0 && chunk.length > Math.min(this.#roomBytes(), bodyRoom(head.length))) {
      this.#host.sender.head(this, head, EMPTY, false);
      const whole = this.write(chunk);
      if (end) this.end();
      return whole;
    }
    this.sendWindow.spend(chunk.length);
    if (end) this.#localEnded = true;
    this.#host.sender.head(this, head, chunk, end);
    if (end) this.#settle();
    return true;
  }

  /**
   * Sends body bytes.
   * @param owned Whether the chunk may be kept. Else it is valid during the call only: what has to wait is copied.
   * @returns False when it has to wait: stop until `onDrain`.
   */
  write(chunk: Uint8Array, owned = false): boolean {
    if (!this.writable || chunk.length === 0) return true;
    if (this.#queue.bytes === 0) {
      const room = Math.min(this.#roomBytes(), chunk.length);
      if (room === chunk.length) {
        this.sendWindow.spend(room);
        this.#host.sender.data(this, chunk, false);
        return true;
      }
      if (room > 0) {
        this.sendWindow.spend(room);
        this.#host.sender.data(this, chunk.subarray(0, room), false);
        chunk = chunk.subarray(room);
      }
    }
    if (this.#queue.bytes === 0 && this.receiveWindow.heldBytes === 0) this.lastMovedMs = performance.now();
    this.#needDrain = true;
    this.#queue.push(chunk, owned);
    this.#host.sender.wait(this);
    return false;
  }

  /**
   * Ends this side after what was written.
   *
   * @param trailers Flat names and values. More than a frame may carry cuts the stream off, and the own sink is told.
   */
  end(trailers: string[] = []): void {
    if (!this.writable) return;
    let encoded: Uint8Array = EMPTY;
    try {
      if (trailers.length > 0) encoded = encodeFields(trailers);
    } catch (error) {
      if (error instanceof RangeError) return this.cutOff("badRequest", "The trailers are too large");
      throw error;
    }
    this.#localEnded = true;
    if (this.#queue.bytes > 0) return void (this.#trailers = encoded);
    this.#host.sendEnd(this, encoded);
    this.#settle();
  }

  /** Cuts the stream off, both ways. The other side is told; the own sink is not. */
  reset(code: ErrorName, detail = ""): void {
    if (this.closed) return this.#discard();
    this.#host.sendReset(this, code, detail);
    this.#discard();
  }

  /** Cuts the stream off for a reason that the own sink does not know yet. */
  cutOff(code: ErrorName, message: string): void {
    if (!this.closed) this.#host.sendReset(this, code, message);
    this.receiveReset(new StreamError(code, message, false));
  }

  /** Tells that data was passed on. Every byte given to the sink is acknowledged once. */
  consumed(bytes: number): void {
    if (bytes === 0 || this.#isReset) return;
    this.lastMovedMs = performance.now();
    this.receiveWindow.consume(bytes);
    this.#host.release(this, bytes);
  }

  /** Sends what credit and room allow of what waits; the session's turn-taking calls this. */
  pump(quantumBytes: number): void {
    let room = Math.min(this.#roomBytes(), quantumBytes);
    if (room > 0) this.lastMovedMs = performance.now();
    while (room > 0 && this.#queue.bytes > 0) {
      const piece = this.#queue.take(room);
      room -= piece.length;
      this.sendWindow.spend(piece.length);
      const last = this.#queue.bytes === 0 && this.#trailers !== undefined && this.#trailers.length === 0;
      this.#host.sender.data(this, piece, last);
      if (last) return this.#drained();
    }
    if (this.#queue.bytes > 0) return;
    if (this.#trailers !== undefined) this.#host.sendEnd(this, this.#trailers);
    this.#drained();
  }

  /** OPEN told that its side has no body beyond it: this one (`local`), or the other. */
  endedWithOpen(local: boolean): void {
    if (local) this.#localEnded = true;
    else this.#remoteEnded = true;
  }

  /** A frame of the other side, whose credit the session has counted already. */
  receiveHead(head: Uint8Array, body: Uint8Array, end: boolean): void {
    // Counting these very bytes may have shed the stream.
    if (this.#isReset) return;
    if (end) this.#remoteEnded = true;
    this.#sink?.onHead(head, body, end);
    this.#settle();
  }

  receiveData(chunk: Uint8Array, end: boolean): void {
    if (this.#isReset) return;
    if (end) this.#remoteEnded = true;
    this.#sink?.onData(chunk, end);
    this.#settle();
  }

  receiveEnd(trailers: string[]): void {
    this.#remoteEnded = true;
    this.#sink?.onEnd(trailers);
    this.#settle();
  }

  /** The other side, or the end of the session, cut the stream off. */
  receiveReset(error: StreamError): void {
    if (this.#isReset) return;
    const sink = this.#sink;
    this.#discard();
    sink?.onReset(error);
  }

  #roomBytes(): number {
    return Math.min(this.sendWindow.creditBytes, this.#host.sender.roomBytes);
  }

  #drained(): void {
    const sink = this.#needDrain ? this.#sink : undefined;
    this.#needDrain = false;
    if (!this.#localEnded) return sink?.onDrain();
    sink?.onLastDrain?.();
    this.#settle();
  }

  #settle(): void {
    if (!this.#isReset && this.closed) this.#host.closed(this);
  }

  #discard(): void {
    if (this.#isReset) return;
    this.#isReset = true;
    this.#queue.clear();
    const held = this.receiveWindow.heldBytes;
    if (held > 0) {
      this.receiveWindow.consume(held);
      this.#host.release(this, held);
    }
    this.#host.closed(this);
  }
}

const EMPTY = new Uint8Array(0);
