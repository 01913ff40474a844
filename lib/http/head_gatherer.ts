/**
 * Gathers a head that comes in pieces, in bounded memory and without reading any byte twice.
 *
 * It refuses early what can no longer become a head, so that a peer that speaks another protocol is told apart at
 * once and not by a timeout. Source: RFC 9112 §2.
 *
 * @module
 */
import { Buffer } from "node:buffer";

const HEAD_END = Buffer.from("\r\n\r\n", "latin1");
const VERSION = Buffer.from("HTTP/1.", "latin1");
const LF = 0x0a;
const CR = 0x0d;
const GATHER_BYTES_MIN = 1024;

/** Why the bytes cannot be a head. */
export type GatherFault = "bad_line" | "bad_status_line" | "head_too_long";

/** Gathers one head. */
export class HeadGatherer {
  readonly #bytesMax: number;
  #buffer: Buffer;
  #bytes = 0;
  #text: string | undefined;
  #fault: GatherFault | undefined;

  /** @param bytesMax The longest head, with its empty line. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
    this.#buffer = Buffer.allocUnsafe(Math.min(GATHER_BYTES_MIN, bytesMax));
  }

  /** The head without its empty line, once it is whole. */
  get text(): string | undefined {
    return this.#text;
  }

  get fault(): GatherFault | undefined {
    return this.#fault;
  }

  /**
   * Adds bytes until the head is whole.
   *
   * @returns How many of them belong to the head; all of them while it is not whole.
   */
  add(bytes: Buffer): number {
    const before = this.#bytes;
    const added = Math.min(bytes.length, this.#bytesMax - before);
    this.#grow(before + added);
    bytes.copy(this.#buffer, before, 0, added);
    this.#bytes += added;
    const gathered = this.#buffer.subarray(0, this.#bytes);
    const end = gathered.indexOf(HEAD_END, Math.max(0, before - HEAD_END.length + 1));
    if (end >= 0) {
      this.#text = gathered.toString("latin1", 0, end);
      return end + HEAD_END.length - before;
    }
    if (before < VERSION.length) this.#checkVersion(gathered);
    this.#checkLineEnds(gathered, before);
    if (this.#bytes >= this.#bytesMax) this.#fault ??= "head_too_long";
    return added;
  }

  /** Doubles the buffer, so that all copies together cost no more than the head twice. */
  #grow(bytes: number): void {
    if (bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.min(this.#bytesMax, Math.max(bytes, this.#buffer.length * 2)));
    this.#buffer.copy(larger, 0, 0, this.#bytes);
    this.#buffer = larger;
  }

  #checkVersion(gathered: Buffer): void {
    const length = Math.min(gathered.length, VERSION.length);
    if (gathered.compare(VERSION, 0, length, 0, length) !== 0) this.#fault ??= "bad_status_line";
  }

  /** A head whose lines end with LF alone would never find its end. */
  #checkLineEnds(gathered: Buffer, from: number): void {
    for (let at = gathered.indexOf(LF, from); at >= 0; at = gathered.indexOf(LF, at + 1)) {
      if (at === 0 || gathered[at - 1] !== CR) this.#fault ??= "bad_line";
    }
  }
}
