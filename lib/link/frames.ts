/**
 * WebSocket frames: heads in front of bytes that leave, and bytes that come to what they carry.
 *
 * Pure: no sockets. Only what a link needs: binary messages, ping, pong and close; no text, no extensions. What a
 * binary message carries is passed on piece by piece as it comes, as its boundaries mean nothing to a link.
 *
 * Source: RFC 6455 §5.
 *
 * @module
 */
import { Buffer } from "node:buffer";

/** RFC 6455 §5.2. */
export const Opcode = {
  continuation: 0x0,
  binary: 0x2,
  close: 0x8,
  ping: 0x9,
  pong: 0xa,
} as const;

/** Close codes, RFC 6455 §7.4.1. */
export const CloseCode = {
  normal: 1000,
  goingAway: 1001,
  protocolError: 1002,
  unsupported: 1003,
  /** Never on the wire: the close frame had no code. */
  none: 1005,
  invalidText: 1007,
  tooBig: 1009,
} as const;

/** RFC 6455 §5.5: the most that a control frame may carry. */
export const CONTROL_BYTES_MAX = 125;

/** Room for the longest head, rounded up so that what follows it is aligned for words. */
export const FRAME_HEAD_ROOM_BYTES = 16;

/** The opcode of a text message, which a link never carries. */
const TEXT = 0x1;

const FIN = 0x80;
const MASKED = 0x80;
const LENGTH_16 = 126;
const LENGTH_64 = 127;

/** The other side broke the protocol. `closeCode` is what it is told. */
export class WebSocketError extends Error {
  override name = "WebSocketError";
  constructor(readonly closeCode: number, message: string) {
    super(message);
  }
}

/**
 * Writes the head of a whole message in front of its bytes, and masks them in place when there is a mask.
 *
 * @param frame `FRAME_HEAD_ROOM_BYTES` of room, then the bytes that the frame carries.
 * @param bytes How many those are.
 * @param mask Of four bytes; undefined for a server, which must not mask. Zeros leave the bytes as they are.
 * @returns The frame, a view of the buffer.
 */
export function sealFrame(frame: Uint8Array, bytes: number, opcode: number, mask?: Uint8Array): Uint8Array {
  const lengthBytes = bytes < LENGTH_16 ? 0 : bytes < 0x10000 ? 2 : 8;
  const start = FRAME_HEAD_ROOM_BYTES - 2 - lengthBytes - (mask === undefined ? 0 : 4);
  frame[start] = FIN | opcode;
  frame[start + 1] = (mask === undefined ? 0 : MASKED) |
    (lengthBytes === 0 ? bytes : lengthBytes === 2 ? LENGTH_16 : LENGTH_64);
  // The lengths of a link are below 2^32: the upper half is zero.
  for (let index = 0; index < lengthBytes; index += 1) {
    const shift = 8 * (lengthBytes - 1 - index);
    frame[start + 2 + index] = shift > 24 ? 0 : bytes >>> shift;
  }
  const end = FRAME_HEAD_ROOM_BYTES + bytes;
  if (mask !== undefined) {
    frame.set(mask, FRAME_HEAD_ROOM_BYTES - 4);
    applyMask(frame.subarray(FRAME_HEAD_ROOM_BYTES, end), mask, 0);
  }
  return frame.subarray(start, end);
}

/**
 * Masks or unmasks in place, which is the same.
 *
 * @param phase How many bytes of the frame came before these.
 */
export function applyMask(bytes: Uint8Array, mask: Uint8Array, phase: number): void {
  if ((mask[0]! | mask[1]! | mask[2]! | mask[3]!) === 0) return;
  let index = 0;
  while (index < bytes.length && ((bytes.byteOffset + index) & 3) !== 0) {
    bytes[index] = bytes[index]! ^ mask[(phase + index++) & 3]!;
  }
  const words = (bytes.length - index) >> 2;
  if (words > 0) {
    const key = new Uint8Array(4);
    for (let each = 0; each < 4; each += 1) key[each] = mask[(phase + index + each) & 3]!;
    const word = new Uint32Array(key.buffer)[0]!;
    const view = new Uint32Array(bytes.buffer, bytes.byteOffset + index, words);
    for (let each = 0; each < words; each += 1) view[each] = view[each]! ^ word;
    index += words << 2;
  }
  for (; index < bytes.length; index += 1) bytes[index] = bytes[index]! ^ mask[(phase + index) & 3]!;
}

/** Who is told what came. */
export interface FrameSink {
  /** Bytes of binary messages, in order; a view of what was pushed. */
  onBytes(chunk: Uint8Array): void;
  onPing(payload: Uint8Array): void;
  /** The other side says goodbye, at most once; nothing is told after it. */
  onGoodbye(code: number, reason: string): void;
}

/** Reads frames off a socket, in whatever pieces they come. Keeps at most one head and one control frame. */
export class FrameReader {
  readonly #sink: FrameSink;
  readonly #wantsMask: boolean;
  readonly #messageBytesMax: number;
  readonly #head = Buffer.alloc(14);
  #headFilled = 0;
  #headWanted = 2;
  /** Bytes of the frame under way that have not come yet; -1 while its head has not. */
  #left = -1;
  #phase = 0;
  #opcode = 0;
  readonly #mask = new Uint8Array(4);
  /** What the message under way has carried so far, its frame included; -1 between messages. */
  #messageBytes = -1;
  #control = Buffer.alloc(0);
  #stopped = false;

  /** @param wantsMask True for a server: RFC 6455 §5.1 has clients mask and servers not. */
  constructor(sink: FrameSink, wantsMask: boolean, messageBytesMax: number) {
    this.#sink = sink;
    this.#wantsMask = wantsMask;
    this.#messageBytesMax = messageBytesMax;
  }

  /** Tells nothing more, whatever is pushed. */
  stop(): void {
    this.#stopped = true;
  }

  /**
   * Takes bytes off the socket and tells the sink what they carry.
   *
   * @param chunk Kept by the sink, and unmasked in place.
   * @throws {WebSocketError} Once; the reader is stopped then.
   */
  push(chunk: Uint8Array): void {
    let offset = 0;
    try {
      while (offset < chunk.length && !this.#stopped) {
        if (this.#left < 0) {
          offset = this.#fillHead(chunk, offset);
          if (this.#left !== 0) continue;
        }
        const taken = Math.min(this.#left, chunk.length - offset);
        const piece = chunk.subarray(offset, offset + taken);
        offset += taken;
        this.#left -= taken;
        if (this.#wantsMask) applyMask(piece, this.#mask, this.#phase);
        this.#phase += taken;
        this.#take(piece);
      }
    } catch (error) {
      this.#stopped = true;
      throw error;
    }
  }

  #fillHead(chunk: Uint8Array, offset: number): number {
    while (offset < chunk.length) {
      this.#head[this.#headFilled++] = chunk[offset++]!;
      if (this.#headFilled === 2) this.#checkStart();
      if (this.#headFilled === this.#headWanted) {
        this.#begin();
        break;
      }
    }
    return offset;
  }

  /** Judges the first two bytes, before any more is kept. */
  #checkStart(): void {
    const [first = 0, second = 0] = this.#head;
    const opcode = first & 0x0f;
    const isFinal = (first & FIN) !== 0;
    const length = second & 0x7f;
    if ((first & 0x70) !== 0) throw protocolError("a reserved bit is set");
    if (((second & MASKED) !== 0) !== this.#wantsMask) {
      throw protocolError(this.#wantsMask ? "a frame is not masked" : "a frame is masked");
    }
    if (opcode >= Opcode.close) {
      if (opcode > Opcode.pong) throw protocolError("a frame has an unknown type");
      if (!isFinal) throw protocolError("a control frame is in fragments");
      if (length > CONTROL_BYTES_MAX) throw protocolError("a control frame is too long");
    } else if (opcode === Opcode.continuation) {
      if (this.#messageBytes < 0) throw protocolError("a fragment continues nothing");
    } else if (opcode === Opcode.binary) {
      if (this.#messageBytes >= 0) throw protocolError("a message begins inside another");
    } else if (opcode === TEXT) {
      throw new WebSocketError(
        CloseCode.unsupported,
        "The other side sent a text message: a link carries bytes only",
      );
    } else throw protocolError("a frame has an unknown type");
    this.#headWanted = 2 + (length === LENGTH_16 ? 2 : length === LENGTH_64 ? 8 : 0) +
      (this.#wantsMask ? 4 : 0);
  }

  /** The head is whole: the frame begins. */
  #begin(): void {
    const head = this.#head;
    const short = head[1]! & 0x7f;
    let length = short;
    if (short === LENGTH_16) length = head.readUInt16BE(2);
    else if (short === LENGTH_64) length = head.readUInt32BE(2) === 0 ? head.readUInt32BE(6) : Infinity;
    // RFC 6455 §5.2: the shortest form of the length is the only one allowed.
    if ((short === LENGTH_16 && length < LENGTH_16) || (short === LENGTH_64 && length < 0x10000)) {
      throw protocolError("a length is not in its shortest form");
    }
    this.#opcode = head[0]! & 0x0f;
    if (this.#opcode < Opcode.close) {
      this.#messageBytes = Math.max(0, this.#messageBytes) + length;
      if (this.#messageBytes > this.#messageBytesMax) {
        throw new WebSocketError(
          CloseCode.tooBig,
          `The other side sent a message over ${this.#messageBytesMax} bytes`,
        );
      }
    }
    if (this.#wantsMask) this.#mask.set(head.subarray(this.#headWanted - 4, this.#headWanted));
    this.#headFilled = 0;
    this.#headWanted = 2;
    this.#phase = 0;
    this.#left = length;
  }

  /** A piece of the frame under way, possibly empty, possibly its last. */
  #take(piece: Uint8Array): void {
    const isWhole = this.#left === 0;
    if (isWhole) this.#left = -1;
    if (this.#opcode < Opcode.close) {
      if (isWhole && (this.#head[0]! & FIN) !== 0) this.#messageBytes = -1;
      if (piece.length > 0) this.#sink.onBytes(piece);
      return;
    }
    this.#control = this.#control.length === 0 ? Buffer.from(piece) : Buffer.concat([this.#control, piece]);
    if (!isWhole) return;
    const payload = this.#control;
    this.#control = Buffer.alloc(0);
    if (this.#opcode === Opcode.ping) this.#sink.onPing(payload);
    else if (this.#opcode === Opcode.close) this.#goodbye(payload);
  }

  #goodbye(payload: Buffer): void {
    if (payload.length === 1) throw protocolError("a close code is cut short");
    const code = payload.length === 0 ? CloseCode.none : payload.readUInt16BE(0);
    if (payload.length > 0 && !isCloseCode(code)) throw protocolError("a close code is not allowed");
    const reason = decodeText(payload.subarray(2));
    this.#stopped = true;
    this.#sink.onGoodbye(code, reason);
  }
}

function decodeText(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new WebSocketError(CloseCode.invalidText, "The other side said goodbye in what is no UTF-8");
  }
}

/** RFC 6455 §7.4: those that may be on the wire. */
function isCloseCode(code: number): boolean {
  return (code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006) ||
    (code >= 3000 && code <= 4999);
}

function protocolError(state: string): WebSocketError {
  return new WebSocketError(CloseCode.protocolError, `The other side broke the WebSocket protocol: ${state}`);
}
