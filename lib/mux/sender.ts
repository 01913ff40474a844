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
import { DATA_BYTES_MAX, FLAG_END, FrameType, writeUint32 } from "../wire/frame.ts";
import { encodeHead, encodeOpen, type OpenParts } from "../wire/open.ts";
import type { Stream } from "./stream.ts";
import { SendWindow } from "./window.ts";

/** What a stream may send before the next one has its turn. */
const QUANTUM_BYTES = DATA_BYTES_MAX;

/** Over this many bytes queued no stream is opened, so that the heads of new requests cannot be what fills a link. */
const OPEN_BACKLOG_BYTES_MAX = 2 * LINK_BUFFERED_BYTES_HIGH;

/** Control frames queued in a link that does not move: past this the peer is not playing fair. */
export const CONTROL_BACKLOG_BYTES_MAX = 4 * LINK_BUFFERED_BYTES_HIGH;

export class Sender {
  /** Credit on the session as a whole; nothing until the peer's HELLO has told it. */
  window = new SendWindow(0);
  readonly #link: Link;
  readonly #encoder: FrameEncoder;
  readonly #onBacklog: () => void;
  readonly #guard: (work: () => void) => void;
  /** Streams with bytes and credit, in the order of their turns. */
  readonly #round = new Set<Stream>();
  #flushPending = false;
  #pumping = false;
  /** What the stream whose turn it is may still send, also from its drain handler. */
  #turnBytes = Infinity;
  #stopped = false;

  /**
   * @param onBacklog Called when control frames pile up past their bound.
   * @param guard Runs what may call into sinks, and catches what they throw.
   */
  constructor(link: Link, onBacklog: () => void, guard: (work: () => void) => void) {
    this.#link = link;
    this.#onBacklog = onBacklog;
    this.#guard = guard;
    this.#encoder = new FrameEncoder((bytes, more) => link.send(bytes, more));
  }

  /** Data bytes that may leave now: of all streams together, and in a turn of the round of its stream. */
  get roomBytes(): number {
    // One byte past the mark: a link owes its drain event only to those that were over it.
    const linkRoom = LINK_BUFFERED_BYTES_HIGH + 1 - this.#queuedBytes();
    const room = Math.min(this.window.creditBytes, linkRoom, this.#turnBytes);
    return room > 0 ? room : 0;
  }

  /** True while so much is queued that new streams should wait. */
  get congested(): boolean {
    return this.#queuedBytes() > OPEN_BACKLOG_BYTES_MAX;
  }

  /** Sends a frame with this turn's batch. */
  frame(type: number, flags: number, streamId: number, payload: Uint8Array): void {
    if (this.#stopped) return;
    this.#encoder.write(type, flags, streamId, payload);
    if (this.#flushPending) return;
    this.#flushPending = true;
    setImmediate(this.#flush);
  }

  open(id: number, open: OpenParts, end: boolean): void {
    this.frame(FrameType.open, end ? FLAG_END : 0, id, encodeOpen(open));
  }

  /** Sends a response head, with body bytes for which the caller has checked the room. */
  head(stream: Stream, head: Uint8Array, body: Uint8Array, end: boolean): void {
    this.window.spend(body.length);
    this.frame(FrameType.head, end ? FLAG_END : 0, stream.id, encodeHead(head, body));
  }

  /** Grants the peer more; stream 0 is the session. */
  credit(streamId: number, bytes: number): void {
    const payload = new Uint8Array(4);
    writeUint32(payload, 0, bytes);
    this.frame(FrameType.credit, 0, streamId, payload);
  }

  /** Sends body bytes, in frames of at most `DATA_BYTES_MAX`. The caller has checked the room. */
  data(stream: Stream, chunk: Uint8Array, end: boolean): void {
    this.window.spend(chunk.length);
    this.#turnBytes -= chunk.length;
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
        // Alone it may go on for as long as there is room.
        this.#turnBytes = this.#round.size > 0 ? QUANTUM_BYTES : Infinity;
        stream.pump(QUANTUM_BYTES);
        this.#turnBytes = Infinity;
        this.wait(stream);
      }
    } finally {
      this.#turnBytes = Infinity;
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

  #queuedBytes(): number {
    return this.#link.bufferedBytes + this.#encoder.pendingBytes;
  }

  readonly #flush = (): void => {
    this.#flushPending = false;
    if (this.#stopped) return;
    this.#encoder.flush();
    if (this.#link.bufferedBytes > CONTROL_BACKLOG_BYTES_MAX) return this.#onBacklog();
    // The link may have taken all of it at once, and then no drain will ever be told.
    if (this.#round.size > 0) this.#guard(() => this.pump());
  };
}
