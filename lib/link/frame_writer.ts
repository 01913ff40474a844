/**
 * The sending half of a WebSocket link: bytes to frames to a socket, in few and large writes.
 *
 * What is large is gathered until the turn of the event loop is over, or a batch is full, and leaves as one frame in
 * one write, head and all. A frame for each 64 KiB, joined with its head in a new buffer by the runtime, was measured
 * at 1.4 times the processor time of a sender. Batches are used again, as new memory costs a page fault for each 4 KiB.
 *
 * Source: RFC 6455 §5.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { randomFillSync } from "node:crypto";
import type { Duplex } from "node:stream";
import { setImmediate } from "node:timers";
import { FRAME_HEAD_ROOM_BYTES, Opcode, sealFrame } from "./frames.ts";

/** What leaves in one write. With 512 KiB no more was gained, with 128 KiB a fifth was lost. */
export const BATCH_BYTES_MAX = 256 * 1024;

/** From here on bytes are gathered; what is shorter leaves at once, as the mux has gathered it already. */
export const GATHER_BYTES_MIN = 16 * 1024;

/** Batches kept for the next ones: as many as can be on their way before a link is full. */
const SPARES_MAX = 4;

/** How long batches are kept when nothing large is sent any more. They go with the next small frame after that. */
const SPARE_MS = 1_000;

/**
 * How frames are masked, RFC 6455 §5.3: a server never does, a client at random, or with zeros where nothing between
 * the ends can read the bytes, so that there is nothing to protect (§10.3).
 */
export type Masking = "none" | "zero" | "random";

export class FrameWriter {
  readonly #socket: Duplex;
  readonly #masking: Masking;
  readonly #mask: Uint8Array | undefined;
  readonly #onSent: (error?: Error | null) => void;
  #batch: Buffer | undefined;
  #batchBytes = 0;
  readonly #spares: Buffer[] = [];
  #batchedAtMs = 0;
  #stopped = false;

  /** @param onSent Called for each write, once the system has taken it or will not. */
  constructor(socket: Duplex, masking: Masking, onSent: (error?: Error | null) => void) {
    this.#socket = socket;
    this.#masking = masking;
    this.#mask = masking === "none" ? undefined : new Uint8Array(4);
    this.#onSent = onSent;
  }

  /** Bytes that the operating system has not taken yet. */
  get waitingBytes(): number {
    return this.#batchBytes + this.#socket.writableLength;
  }

  /**
   * Sends bytes of binary messages. They are copied before this returns.
   *
   * @param more More comes in this turn: nothing has to leave before it.
   */
  binary(chunk: Uint8Array, more: boolean): void {
    if (this.#stopped) return;
    if (!more && this.#batch === undefined && chunk.length < GATHER_BYTES_MIN) {
      return this.frame(Opcode.binary, chunk);
    }
    let offset = 0;
    while (offset < chunk.length) {
      const batch = this.#batch ?? this.#begin();
      const taken = Math.min(chunk.length - offset, BATCH_BYTES_MAX - this.#batchBytes);
      const piece = taken === chunk.length ? chunk : chunk.subarray(offset, offset + taken);
      batch.set(piece, FRAME_HEAD_ROOM_BYTES + this.#batchBytes);
      this.#batchBytes += taken;
      offset += taken;
      if (this.#batchBytes === BATCH_BYTES_MAX) this.#flush();
    }
    // Short after long: it came at the end of a turn of the mux, and waits for nothing.
    if (!more && chunk.length < GATHER_BYTES_MIN) this.#flush();
  }

  /** Sends a frame of its own, behind all that was gathered. */
  frame(opcode: number, payload: Uint8Array): void {
    if (this.#stopped) return;
    this.#flush();
    if (this.#spares.length > 0 && performance.now() - this.#batchedAtMs > SPARE_MS) this.#spares.length = 0;
    const frame = Buffer.allocUnsafe(FRAME_HEAD_ROOM_BYTES + payload.length);
    frame.set(payload, FRAME_HEAD_ROOM_BYTES);
    this.#socket.write(sealFrame(frame, payload.length, opcode, this.#nextMask()), this.#onSent);
  }

  /** Sends nothing more: what was gathered and has not left is lost. */
  stop(): void {
    this.#stopped = true;
    this.#batch = undefined;
    this.#batchBytes = 0;
    this.#spares.length = 0;
  }

  #begin(): Buffer {
    setImmediate(this.#flush);
    this.#batch = this.#spares.pop() ?? Buffer.allocUnsafeSlow(FRAME_HEAD_ROOM_BYTES + BATCH_BYTES_MAX);
    return this.#batch;
  }

  readonly #flush = (): void => {
    const batch = this.#batch;
    if (batch === undefined) return;
    const frame = sealFrame(batch, this.#batchBytes, Opcode.binary, this.#nextMask());
    this.#batch = undefined;
    this.#batchBytes = 0;
    this.#batchedAtMs = performance.now();
    this.#socket.write(frame, (error) => {
      // Only now nobody reads the batch any more.
      if (!this.#stopped && this.#spares.length < SPARES_MAX) this.#spares.push(batch);
      this.#onSent(error);
    });
  };

  #nextMask(): Uint8Array | undefined {
    if (this.#mask !== undefined && this.#masking === "random") randomFillSync(this.#mask);
    return this.#mask;
  }
}
