/**
 * The streams of a session by id, and whose turn an id is.
 *
 * The gateway opens odd ids, the agent even ones, each strictly upwards, so an id alone tells who opened it and
 * whether it ever was.
 *
 * @module
 */
import { ProtocolError } from "../wire/errors.ts";
import { STREAM_ID_MAX } from "../wire/frame.ts";
import type { Stream, StreamError } from "./stream.ts";

/** From this id on a session asks to be replaced, long before ids run out. */
const STREAM_ID_RETIRE = STREAM_ID_MAX - 100_000;

export class StreamTable {
  readonly #streams = new Map<number, Stream>();
  readonly #peerParity: number;
  #nextId: number;
  #peerIdLast = 0;
  #peerCount = 0;

  constructor(role: "gateway" | "agent") {
    this.#nextId = role === "gateway" ? 1 : 2;
    this.#peerParity = role === "gateway" ? 0 : 1;
  }

  /** Streams that are open, of both sides. */
  get size(): number {
    return this.#streams.size;
  }

  /** Streams that are open and were opened by the peer. */
  get peerCount(): number {
    return this.#peerCount;
  }

  /** Streams that are open and were opened by this side. */
  get ownCount(): number {
    return this.#streams.size - this.#peerCount;
  }

  /** True when ids run out and the session should make way for a new one. */
  get retiring(): boolean {
    return this.#nextId >= STREAM_ID_RETIRE;
  }

  /** The id for the next stream of this side. */
  takeId(): number {
    const id = this.#nextId;
    this.#nextId += 2;
    return id;
  }

  /** Checks the id of a stream that the peer opens. @throws {ProtocolError} `protocol`, when it is not the next. */
  acceptId(id: number): void {
    if (!this.isPeers(id) || id <= this.#peerIdLast || id > STREAM_ID_MAX) {
      throw new ProtocolError("protocol", `Cannot open stream ${id}: the id is not the peer's next`);
    }
    this.#peerIdLast = id;
  }

  add(stream: Stream): void {
    this.#streams.set(stream.id, stream);
    if (this.isPeers(stream.id)) this.#peerCount++;
  }

  /** @returns False when it was not there. */
  delete(stream: Stream): boolean {
    if (!this.#streams.delete(stream.id)) return false;
    if (this.isPeers(stream.id)) this.#peerCount--;
    return true;
  }

  /**
   * The stream of an id, or `undefined` for one that is over: its last frames may have crossed our reset.
   *
   * @throws {ProtocolError} `protocol`, for one that never was.
   */
  find(id: number): Stream | undefined {
    const stream = this.#streams.get(id);
    if (stream !== undefined) return stream;
    const known = this.isPeers(id) ? id <= this.#peerIdLast : id > 0 && id < this.#nextId;
    if (!known) {
      throw new ProtocolError("protocol", `Cannot take a frame of stream ${id}: it was never opened`);
    }
    return undefined;
  }

  isPeers(id: number): boolean {
    return id > 0 && (id & 1) === this.#peerParity;
  }

  /**
   * Cuts all streams off, at the end of the session.
   *
   * @returns The first fault of a sink: one that is broken must not keep the others from being told.
   */
  resetAll(error: StreamError): unknown {
    let firstFault: unknown;
    for (const stream of this.values()) {
      try {
        stream.receiveReset(error);
      } catch (fault) {
        firstFault ??= fault;
      }
    }
    return firstFault;
  }

  /** All streams, also while some are closed in the loop. */
  values(): Stream[] {
    return [...this.#streams.values()];
  }
}
