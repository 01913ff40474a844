/**
 * Bytes that both ends can tell by themselves: every position of every transfer has its own expected value.
 *
 * The table's length is prime and no multiple of any chunk's, so bytes that are lost, doubled, moved or of another
 * transfer do not look right.
 *
 * @module
 */
import { Buffer } from "node:buffer";

/** A prime near 1 MiB. */
const TABLE_BYTES = 1_048_573;

/** How far apart the starts of two transfers are in the table; prime too. */
const SEED_STEP = 7_919;

const TABLE = makeTable();

/** After Marsaglia's xorshift32: the same table in every process. */
function makeTable(): Uint8Array {
  const table = new Uint8Array(TABLE_BYTES);
  let state = 0x9e3779b9;
  for (let i = 0; i < table.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    table[i] = state & 0xff;
  }
  return table;
}

/** The bytes of a transfer from an offset on: a copy. */
export function payload(seed: number, offset: number, bytes: number): Uint8Array {
  const part = new Uint8Array(bytes);
  let at = (seed * SEED_STEP + offset) % TABLE_BYTES;
  for (let done = 0; done < bytes;) {
    const piece = TABLE.subarray(at, Math.min(TABLE_BYTES, at + bytes - done));
    part.set(piece, done);
    done += piece.length;
    at = 0;
  }
  return part;
}

/** Whether these are the bytes of a transfer at an offset. */
export function isPayload(seed: number, offset: number, part: Uint8Array): boolean {
  return Buffer.compare(payload(seed, offset, part.byteLength), part) === 0;
}
