/**
 * A socket for tests whose other end is the test: it says what comes, what is taken and how it ends.
 *
 * It is as hostile as the interface allows: a chunk that was told is overwritten after the call, and a chunk that was
 * written is looked at only when it is taken. Bytes follow `pattern`, so that each tells its place.
 *
 * @module
 */
import type { ByteSocket, SocketSink } from "../../lib/runtime/byte_socket.ts";
import { pattern } from "../support/session_pair.ts";

/** Told, so that no view of a chunk can pass for its bytes. */
const GONE = 0xee;

/** The test's end of a `ByteSocket`. */
export class FakeSocket implements Pick<ByteSocket, keyof ByteSocket> {
  readonly remoteAddress = "192.0.2.1";
  readonly remotePort = 40_000;
  readonly localAddress = "192.0.2.2";
  readonly localPort = 5432;
  /** Bytes told to the sink. */
  fedBytes = 0;
  /** Bytes that were taken off what was written. */
  takenBytes = 0;
  /** False once a byte that was taken was not the one of `pattern`. */
  sound = true;
  /** What was written first and is no part of the pattern, such as a preface. */
  readonly prefixBytes: number;
  prefix: Uint8Array = new Uint8Array(0);
  /** Whether what is written waits until `take`. */
  stalled = false;
  /** Written and not taken. */
  waitingBytes = 0;
  /** The most that ever waited. */
  waitingBytesMost = 0;
  paused = true;
  started = 0;
  /** This side was ended, by whoever holds the socket. */
  ended = false;
  /** The test has ended the other side. */
  fedEnd = false;
  resets = 0;
  closed = false;
  /** The test broke it. */
  broken = false;
  /** Writes that came after the end or the close. */
  lateWrites = 0;
  #waiting: Uint8Array[] = [];
  #owesDrain = false;
  #sink: SocketSink | undefined;
  #error: NodeJS.ErrnoException | undefined;

  constructor(prefixBytes = 0) {
    this.prefixBytes = prefixBytes;
  }

  /** The same as what the code under test takes. */
  get asSocket(): ByteSocket {
    return this as unknown as ByteSocket;
  }

  /** Whether bytes may be fed now: it is read, and neither side is over. */
  get reads(): boolean {
    return this.#sink !== undefined && !this.paused && !this.closed && !this.fedEnd;
  }

  start(sink: SocketSink): void {
    this.started++;
    this.#sink = sink;
    this.paused = false;
    if (this.closed) sink.onClose(this.#error);
  }

  received(): boolean {
    throw new Error("A fake is not read through a callback");
  }

  write(chunk: Uint8Array): boolean {
    if (this.closed) return false;
    if (this.ended) {
      this.lateWrites++;
      return false;
    }
    this.#waiting.push(chunk);
    this.waitingBytes += chunk.length;
    this.waitingBytesMost = Math.max(this.waitingBytesMost, this.waitingBytes);
    if (!this.stalled && !this.#owesDrain) {
      this.#takeAll();
      return true;
    }
    this.#owesDrain = true;
    return false;
  }

  end(): void {
    this.ended = true;
    this.#settle();
  }

  endWith(bytes: Uint8Array): void {
    this.write(bytes);
    this.end();
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  reset(): void {
    if (this.closed) return;
    this.resets++;
    this.#close(undefined);
  }

  /** Tells the sink of so many bytes of the pattern. */
  feed(bytes: number): void {
    const chunk = pattern(bytes, this.fedBytes);
    this.fedBytes += bytes;
    this.feedRaw(chunk);
  }

  /** The same with other bytes, which are not counted. */
  feedRaw(chunk: Uint8Array): void {
    this.#sink!.onData(chunk);
    chunk.fill(GONE);
  }

  /** The peer sends no more. */
  feedEnd(): void {
    this.fedEnd = true;
    this.#sink!.onEnd();
    this.#settle();
  }

  /** Takes what waits; what is written from now on is taken at once. */
  take(): void {
    this.stalled = false;
    if (this.closed) return;
    this.#takeAll();
    if (this.#owesDrain) {
      this.#owesDrain = false;
      this.#sink?.onDrain();
    }
    this.#settle();
  }

  /** The connection breaks. */
  break(code = "ECONNRESET"): void {
    if (this.closed) return;
    this.broken = true;
    this.#close(Object.assign(new Error(`read ${code}`), { code }));
  }

  #takeAll(): void {
    for (const chunk of this.#waiting) {
      let at = 0;
      if (this.prefix.length < this.prefixBytes) {
        const part = chunk.subarray(0, this.prefixBytes - this.prefix.length);
        this.prefix = Uint8Array.from([...this.prefix, ...part]);
        at = part.length;
      }
      const expected = pattern(chunk.length - at, this.takenBytes);
      if (!expected.every((byte, index) => byte === chunk[at + index])) this.sound = false;
      this.takenBytes += chunk.length - at;
    }
    this.#waiting = [];
    this.waitingBytes = 0;
  }

  /** Both sides have ended and all has left: it closes by itself, in a later turn as a real one does. */
  #settle(): void {
    if (this.closed || !this.ended || !this.fedEnd || this.waitingBytes > 0) return;
    this.#close(undefined);
  }

  #close(error: NodeJS.ErrnoException | undefined): void {
    this.closed = true;
    this.#error = error;
    setImmediate(() => this.#sink?.onClose(error));
  }
}
