/**
 * Frames to bytes and back, whatever the chunks of the link look like.
 *
 * Frames written in one turn of the event loop are gathered in one buffer and leave as one link message: on
 * loopback with 64 connections a message for each frame was measured at half the requests per second.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { ProtocolError } from "./errors.ts";
import { FRAME_HEADER_BYTES, FRAME_PAYLOAD_BYTES_MAX, readUint32, writeHeader } from "./frame.ts";

/** Takes a whole frame. The payload is a view: valid after the call, but it may share a larger buffer. */
export type FrameSink = (type: number, flags: number, streamId: number, payload: Uint8Array) => void;

const EMPTY = new Uint8Array(0);

/** Turns chunks into frames. Keeps at most one unfinished frame between calls. */
export class FrameDecoder {
  readonly #sink: FrameSink;
  readonly #header = new Uint8Array(FRAME_HEADER_BYTES);
  #headerFilled = 0;
  /** The payload under way, allocated when its header is whole. */
  #payload: Uint8Array | undefined;
  #payloadFilled = 0;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** Bytes kept for a frame that is not whole yet; at most a header and one payload. */
  get keptBytes(): number {
    return this.#headerFilled + this.#payloadFilled;
  }

  /**
   * Feeds bytes to the decoder, which calls the sink for every frame that they complete, in order.
   *
   * @param chunk Bytes off the link, 0 or more, cut anywhere. Not copied when it holds a whole frame.
   * @throws {ProtocolError} `frameTooLong`, before any byte of that payload is kept.
   */
  push(chunk: Uint8Array): void {
    let offset = 0;
    while (offset < chunk.length) {
      if (this.#payload !== undefined) {
        offset = this.#fillPayload(chunk, offset);
        continue;
      }
      if (this.#headerFilled > 0 || chunk.length - offset < FRAME_HEADER_BYTES) {
        offset = this.#fillHeader(chunk, offset);
        continue;
      }
      const length = payloadLength(chunk, offset);
      const start = offset + FRAME_HEADER_BYTES;
      if (chunk.length - start < length) {
        offset = this.#fillHeader(chunk, offset);
        continue;
      }
      offset = start + length;
      this.#sink(
        chunk[start - 6]!,
        chunk[start - 5]!,
        readUint32(chunk, start - 4),
        length === 0 ? EMPTY : chunk.subarray(start, offset),
      );
    }
  }

  #fillHeader(chunk: Uint8Array, offset: number): number {
    const wanted = FRAME_HEADER_BYTES - this.#headerFilled;
    const taken = Math.min(wanted, chunk.length - offset);
    this.#header.set(chunk.subarray(offset, offset + taken), this.#headerFilled);
    this.#headerFilled += taken;
    if (this.#headerFilled === FRAME_HEADER_BYTES) {
      const length = payloadLength(this.#header, 0);
      if (length === 0) this.#deliver(EMPTY);
      else this.#payload = Buffer.allocUnsafeSlow(length);
    }
    return offset + taken;
  }

  #fillPayload(chunk: Uint8Array, offset: number): number {
    const payload = this.#payload!;
    const taken = Math.min(payload.length - this.#payloadFilled, chunk.length - offset);
    payload.set(chunk.subarray(offset, offset + taken), this.#payloadFilled);
    this.#payloadFilled += taken;
    if (this.#payloadFilled === payload.length) this.#deliver(payload);
    return offset + taken;
  }

  #deliver(payload: Uint8Array): void {
    const header = this.#header;
    this.#headerFilled = 0;
    this.#payload = undefined;
    this.#payloadFilled = 0;
    this.#sink(header[3]!, header[4]!, readUint32(header, 5), payload);
  }
}

function payloadLength(header: Uint8Array, offset: number): number {
  const length = (header[offset]! << 16) | (header[offset + 1]! << 8) | header[offset + 2]!;
  if (length > FRAME_PAYLOAD_BYTES_MAX) {
    throw new ProtocolError(
      "frameTooLong",
      `Cannot take a frame of ${length} bytes: at most ${FRAME_PAYLOAD_BYTES_MAX} are allowed`,
    );
  }
  return length;
}

/** Bytes gathered before a batch is sent even though the turn is not over. */
export const BATCH_BYTES_MAX = 128 * 1024;

/** From this many payload bytes on, a frame leaves at once, without a copy here. */
const OWN_BUFFER_BYTES_MIN = 16 * 1024;

/** Gathers frames into link messages. The owner decides when to flush. */
export class FrameEncoder {
  readonly #send: (bytes: Uint8Array, more: boolean) => void;
  /** Reused between batches: a link copies what it is given. */
  readonly #scratch = new Uint8Array(BATCH_BYTES_MAX);
  #filled = 0;

  /** @param send Takes bytes, valid during the call only; `more` when others follow in this turn. */
  constructor(send: (bytes: Uint8Array, more: boolean) => void) {
    this.#send = send;
  }

  /** Bytes that wait for `flush`. */
  get pendingBytes(): number {
    return this.#filled;
  }

  /** Adds a frame. The payload is copied before this returns. */
  write(type: number, flags: number, streamId: number, payload: Uint8Array): void {
    const total = FRAME_HEADER_BYTES + payload.length;
    if (payload.length >= OWN_BUFFER_BYTES_MIN) {
      // What was written before must leave before. The payload is not gathered here: a link copies it anyway.
      if (this.#filled + FRAME_HEADER_BYTES > BATCH_BYTES_MAX) this.flush();
      writeHeader(this.#scratch, this.#filled, payload.length, type, flags, streamId);
      const head = this.#scratch.subarray(0, this.#filled + FRAME_HEADER_BYTES);
      this.#filled = 0;
      this.#send(head, true);
      this.#send(payload, false);
      return;
    }
    if (this.#filled + total > BATCH_BYTES_MAX) this.flush();
    writeHeader(this.#scratch, this.#filled, payload.length, type, flags, streamId);
    this.#scratch.set(payload, this.#filled + FRAME_HEADER_BYTES);
    this.#filled += total;
  }

  /** Sends what was gathered, as one message; nothing if there is nothing. */
  flush(): void {
    if (this.#filled === 0) return;
    const bytes = this.#scratch.subarray(0, this.#filled);
    this.#filled = 0;
    this.#send(bytes, false);
  }
}
