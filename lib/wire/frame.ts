/**
 * The frame: a 9-byte header and a payload. Types, flags and limits, as SPEC.md §2 and §3 give them.
 *
 * Source of the header's shape: RFC 9113 §4.1 (24-bit length, type, flags, 32-bit stream id).
 *
 * @module
 */
import { assert } from "../assert.ts";

/** Bytes of the header: length 3, type 1, flags 1, stream id 4; big-endian. */
export const FRAME_HEADER_BYTES = 9;

/** The longest payload. It fits the longest head (64 KiB) with 64 KiB of body behind it. */
export const FRAME_PAYLOAD_BYTES_MAX = 128 * 1024;

/** The longest body piece that is put into one DATA frame, so that streams take turns. */
export const DATA_BYTES_MAX = 64 * 1024;

/** Frame types. 0x40 to 0x7f are for later versions: a receiver ignores those it does not know. */
export const FrameType = {
  hello: 0x00,
  open: 0x01,
  head: 0x02,
  data: 0x03,
  end: 0x04,
  reset: 0x05,
  credit: 0x06,
  ping: 0x07,
  pong: 0x08,
  goAway: 0x09,
  report: 0x40,
} as const;

/** First and last of the types that a receiver ignores when it does not know them. */
export const IGNORABLE_TYPE_MIN = 0x40;
export const IGNORABLE_TYPE_MAX = 0x7f;

/** On OPEN, HEAD and DATA: the sender's side of the stream ends with this frame, with no trailers. */
export const FLAG_END = 0x01;

/** The longest REPORT. It is kept for as long as the link, of thousands of agents. */
export const REPORT_BYTES_MAX = 16 * 1024;

/** Bytes of a PING's payload, returned unchanged in the PONG. */
export const PING_BYTES = 8;

/** Stream ids are 31-bit odd (gateway) or even (agent) numbers; 0 is the session itself. */
export const STREAM_ID_MAX = 0x7fff_ffff;

/**
 * Writes a frame header.
 *
 * @param target Where to; at least 9 bytes from `offset`.
 * @param length Bytes of payload, 0 to `FRAME_PAYLOAD_BYTES_MAX`.
 */
export function writeHeader(
  target: Uint8Array,
  offset: number,
  length: number,
  type: number,
  flags: number,
  streamId: number,
): void {
  assert(length <= FRAME_PAYLOAD_BYTES_MAX, "a frame's payload is within its limit");
  target[offset] = length >>> 16;
  target[offset + 1] = length >>> 8;
  target[offset + 2] = length;
  target[offset + 3] = type;
  target[offset + 4] = flags;
  writeUint32(target, offset + 5, streamId);
}

/** Writes a 32-bit unsigned number, big-endian. */
export function writeUint32(target: Uint8Array, offset: number, value: number): void {
  target[offset] = value >>> 24;
  target[offset + 1] = value >>> 16;
  target[offset + 2] = value >>> 8;
  target[offset + 3] = value;
}

/** Reads a 32-bit unsigned number, big-endian. The caller has checked that four bytes are there. */
export function readUint32(source: Uint8Array, offset: number): number {
  return ((source[offset]! << 24) | (source[offset + 1]! << 16) | (source[offset + 2]! << 8) |
    source[offset + 3]!) >>> 0;
}
