/**
 * The frames of the wire, written as plainly as SPEC.md §2 reads: slow, and with nothing shared with lib/wire.
 *
 * @module
 */

/** A frame as a value. */
export interface NaiveFrame {
  type: number;
  flags: number;
  streamId: number;
  payload: Uint8Array;
}

/** One frame as bytes. */
export function naiveEncode(frame: NaiveFrame): Uint8Array {
  const bytes = new Uint8Array(9 + frame.payload.length);
  const view = new DataView(bytes.buffer);
  // The length has 24 bits: the first write leaves a fourth byte, which the type replaces.
  view.setUint32(0, frame.payload.length * 256);
  view.setUint8(3, frame.type);
  view.setUint8(4, frame.flags);
  view.setUint32(5, frame.streamId);
  bytes.set(frame.payload, 9);
  return bytes;
}

/** All whole frames at the front of `bytes`, and how many bytes are left behind them. */
export function naiveDecode(bytes: Uint8Array): { frames: NaiveFrame[]; restBytes: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const frames: NaiveFrame[] = [];
  let at = 0;
  while (bytes.length - at >= 9) {
    const length = Math.floor(view.getUint32(at) / 256);
    if (bytes.length - at - 9 < length) break;
    frames.push({
      type: view.getUint8(at + 3),
      flags: view.getUint8(at + 4),
      streamId: view.getUint32(at + 5),
      payload: bytes.slice(at + 9, at + 9 + length),
    });
    at += 9 + length;
  }
  return { frames, restBytes: bytes.length - at };
}

/** Several runs of bytes as one. */
export function concat(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
