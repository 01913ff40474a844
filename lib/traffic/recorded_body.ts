/**
 * The bytes of one body as they pass, up to a bound, and the memory that all of them may have together.
 *
 * @module
 */

/** The first piece of memory of a body; it doubles as it fills. */
const BUFFER_BYTES_MIN = 1_024;

/** The memory of all bodies that are recorded or being recorded. */
export class RecordedBytes {
  readonly #bytesMax: number;
  readonly #free: () => boolean;
  #held = 0;

  /** @param free Gives the oldest body back; false when there is none. */
  constructor(bytesMax: number, free: () => boolean) {
    this.#bytesMax = bytesMax;
    this.#free = free;
  }

  get held(): number {
    return this.#held;
  }

  take(bytes: number): boolean {
    while (this.#held + bytes > this.#bytesMax) if (!this.#free()) return false;
    this.#held += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#held -= bytes;
  }
}

export class RecordedBody {
  readonly #memory: RecordedBytes;
  readonly #bytesMax: number;
  #buffer = new Uint8Array(0);
  #kept = 0;
  /** Of the whole body so far. */
  totalBytes = 0;

  constructor(memory: RecordedBytes, bytesMax: number) {
    this.#memory = memory;
    this.#bytesMax = bytesMax;
  }

  /** Bytes that passed and are not here. */
  get isCut(): boolean {
    return this.totalBytes > this.#kept;
  }

  /** What is kept; not to be changed. */
  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#kept);
  }

  /** Copies what there is room for. */
  push(chunk: Uint8Array): void {
    // Behind a gap nothing more is kept: it would not be the body.
    const wasCut = this.isCut;
    this.totalBytes += chunk.length;
    const wanted = Math.min(this.#bytesMax, this.#kept + chunk.length);
    if (wasCut || wanted === this.#kept || !this.#grow(wanted)) return;
    this.#buffer.set(chunk.subarray(0, wanted - this.#kept), this.#kept);
    this.#kept = wanted;
  }

  /** Takes nothing more in, and keeps no more memory than it fills. */
  finish(): void {
    if (this.#buffer.length === this.#kept) return;
    this.#memory.give(this.#buffer.length - this.#kept);
    this.#buffer = this.#buffer.slice(0, this.#kept);
  }

  /** Gives all memory back. */
  release(): void {
    this.#memory.give(this.#buffer.length);
    this.#buffer = new Uint8Array(0);
    this.#kept = 0;
  }

  #grow(bytes: number): boolean {
    const { length } = this.#buffer;
    if (bytes <= length) return true;
    const wanted = Math.min(this.#bytesMax, Math.max(bytes, 2 * length, BUFFER_BYTES_MIN));
    if (!this.#memory.take(wanted - length)) return false;
    const larger = new Uint8Array(wanted);
    larger.set(this.bytes);
    this.#buffer = larger;
    return true;
  }
}
