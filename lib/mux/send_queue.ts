/**
 * What a stream was given to send and has no credit for yet.
 *
 * It counts in the budget of the process: a thousand visitors who stop reading must not fill the other end.
 *
 * @module
 */
import type { MemoryBudget } from "./budget.ts";

/** Pieces in order. Bounded by what the owner writes after it was told to stop, and by the budget. */
export class SendQueue {
  readonly #budget: MemoryBudget;
  readonly #pieces: Uint8Array[] = [];
  #bytes = 0;

  constructor(budget: MemoryBudget) {
    this.#budget = budget;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Adds a chunk. Under a hard budget this may shed streams, the one of this queue too.
   *
   * @param owned Whether it may be kept. Else a copy is: a socket's buffer is used again.
   */
  push(chunk: Uint8Array, owned: boolean): void {
    // Not `slice`: that of a Buffer does not copy.
    this.#pieces.push(owned ? chunk : new Uint8Array(chunk));
    this.#bytes += chunk.length;
    this.#budget.hold(chunk.length);
  }

  /** Takes the first bytes, at most this many and at most one piece. There must be some. */
  take(bytesMax: number): Uint8Array {
    const first = this.#pieces[0]!;
    const piece = first.length > bytesMax ? first.subarray(0, bytesMax) : first;
    if (piece === first) this.#pieces.shift();
    else this.#pieces[0] = first.subarray(bytesMax);
    this.#bytes -= piece.length;
    this.#budget.release(piece.length);
    return piece;
  }

  /** Forgets all of it. */
  clear(): void {
    this.#pieces.length = 0;
    this.#budget.release(this.#bytes);
    this.#bytes = 0;
  }
}
