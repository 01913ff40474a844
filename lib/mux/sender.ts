/**
 * The sending half of a session: frames into batches, session credit, and turns for the streams that wait.
 *
 * A stream without credit is not in the round, so it never holds up another. A link that is full stops data, never
 * control frames.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { type Link, LINK_BUFFERED_BYTES_HIGH } from "../link/link.ts";
import { FrameEncoder } from "../wire/codec.ts";
import { DATA_BYTES_MAX, FLAG_END, FrameType } from "../wire/frame.ts";
import type { Stream } from "./stream.ts";
import { SendWindow } from "./window.ts";

/** What a stream may send before the next one has its turn. */
const QUANTUM_BYTES = DATA_BYTES_MAX;

/** Control frames queued in a link that does not move: past this the peer is not playing fair. */
export const CONTROL_BACKLOG_BYTES_MAX = 4 * LINK_BUFFERED_BYTES_HIGH;

export class Sender {
  /** Credit on the session as a whole; nothing until the peer's HELLO has told it. */
  window = new SendWindow(0);
  readonly #link: Link;
  readonly #encoder: FrameEncoder;
  readonly #onBacklog: () => void;
  /** Streams with bytes and credit, in the order of their turns. */
  readonly #round = new Set<Stream>();
  #flushPending = false;
  #pumping = false;
  #stopped = false;

  /** @param onBacklog Called when control frames pile up past their bound. */
  constructor(link: Link, onBacklog: () => void) {
    this.#link = link;
    this.#onBacklog = onBacklog;
    this.#encoder = new FrameEncoder((message) => link.send(message));
  }

  /** Data bytes that may leave now, of all streams together. */
  get roomBytes(): number {
    const queued = this.#link.bufferedBytes + this.#encoder.pendingBytes;
    const room = Math.min(this.window.creditBytes, LINK_BUFFERED_BYTES_HIGH - queued);
    return room > 0 ? room : 0;
  }

  /** Sends a frame with this turn's batch. */
  frame(type: number, flags: number, streamId: number, payload: Uint8Array): void {
    if (this.#stopped) return;
    this.#encoder.write(type, flags, streamId, payload);
    if (this.#flushPending) return;
    this.#flushPending = true;
    setImmediate(this.#flush);
  }

  /** Sends body bytes, in frames of at most `DATA_BYTES_MAX`. The caller has checked the room. */
  data(stream: Stream, chunk: Uint8Array, end: boolean): void {
    this.window.spend(chunk.length);
    let offset = 0;
    while (chunk.length - offset > DATA_BYTES_MAX) {
      this.frame(FrameType.data, 0, stream.id, chunk.subarray(offset, offset += DATA_BYTES_MAX));
    }
    this.frame(FrameType.data, end ? FLAG_END : 0, stream.id, offset === 0 ? chunk : chunk.subarray(offset));
  }

  /** Takes a stream into the round, if it has credit. Without, `pump` after its credit came does it. */
  wait(stream: Stream): void {
    if (stream.queuedBytes > 0 && stream.sendWindow.creditBytes > 0) this.#round.add(stream);
  }

  leave(stream: Stream): void {
    this.#round.delete(stream);
  }

  /** Gives turns for as long as there is room. */
  pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      while (this.#round.size > 0 && this.roomBytes > 0) {
        const stream: Stream = this.#round.values().next().value!;
        this.#round.delete(stream);
        stream.pump(QUANTUM_BYTES);
        this.wait(stream);
      }
    } finally {
      this.#pumping = false;
    }
  }

  /** Sends what was gathered now, for a last frame before the link closes. */
  flushNow(): void {
    if (!this.#stopped) this.#encoder.flush();
  }

  /** Drops what waits and sends nothing more. */
  stop(): void {
    this.#stopped = true;
    this.#round.clear();
  }

  readonly #flush = (): void => {
    this.#flushPending = false;
    if (this.#stopped) return;
    this.#encoder.flush();
    if (this.#link.bufferedBytes > CONTROL_BACKLOG_BYTES_MAX) return this.#onBacklog();
    // The link may have taken all of it at once, and then no drain will ever be told.
    if (this.#round.size > 0) this.pump();
  };
}
