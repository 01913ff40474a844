/**
 * Decodes the chunked transfer coding, strictly: CRLF only, every line bounded, any split of the input.
 *
 * Chunk extensions are read past and dropped. Source: RFC 9112 §7.1.
 *
 * @module
 */
import { parseFieldLines } from "./fields.ts";

/** A chunk-size line, with its extensions, in bytes. Without it a peer could send extensions for ever. */
export const CHUNK_LINE_BYTES_MAX = 1024;

const CR = 0x0d;
const LF = 0x0a;

type State = "size" | "extension" | "size_lf" | "data" | "data_cr" | "data_lf" | "trailer" | "done";

/** Why a chunked body is refused. */
export interface ChunkedFault {
  readonly code: "bad_chunk" | "bad_line" | "too_many_fields" | "trailers_too_long";
  readonly message: string;
}

/** Decodes one body after another: `reset` begins the next. Keeps at most `trailerBytesMax` bytes between calls. */
export class ChunkedDecoder {
  #state: State = "size";
  #lineBytes = 0;
  #lastByte = 0;
  #digits = 0;
  #size = 0;
  #trailerText = "";
  #trailers: string[] = [];
  #fault: ChunkedFault | undefined;
  readonly #trailerBytesMax: number;
  readonly #fieldsMax: number;

  constructor(trailerBytesMax: number, fieldsMax: number) {
    this.#trailerBytesMax = trailerBytesMax;
    this.#fieldsMax = fieldsMax;
  }

  /** True once the last chunk and the trailers have been read. */
  get done(): boolean {
    return this.#state === "done";
  }

  /** The trailer fields, flat name, value, …; valid once done. */
  get trailers(): string[] {
    return this.#trailers;
  }

  /** Why the body is refused; the decoder takes nothing more until `reset`. */
  get fault(): ChunkedFault | undefined {
    return this.#fault;
  }

  /** Begins a new body. */
  reset(): void {
    this.#state = "size";
    this.#lineBytes =
      this.#lastByte =
      this.#digits =
      this.#size =
        0;
    this.#trailerText = "";
    this.#trailers = [];
    this.#fault = undefined;
  }

  /**
   * Reads bytes from `offset` on, until they end, the body is done, or it is refused.
   *
   * @param pieces Gets the body bytes found, as views of `chunk`.
   * @returns The offset after the last byte that was read.
   */
  decode(chunk: Uint8Array, offset: number, pieces: Uint8Array[]): number {
    while (offset < chunk.length && this.#state !== "done" && this.#fault === undefined) {
      if (this.#state === "data") {
        const end = Math.min(offset + this.#size, chunk.length);
        pieces.push(chunk.subarray(offset, end));
        this.#size -= end - offset;
        offset = end;
        if (this.#size === 0) this.#state = "data_cr";
      } else if (this.#state === "trailer") {
        offset = this.#readTrailer(chunk, offset);
      } else {
        this.#readByte(chunk[offset++] as number);
      }
    }
    return offset;
  }

  /** One byte of a chunk-size line, or of the line end after the data. */
  #readByte(byte: number): void {
    if (this.#state === "data_cr") return this.#expect(byte, CR, "data_lf");
    if (this.#state === "data_lf") {
      this.#lineBytes = this.#digits = 0;
      return this.#expect(byte, LF, "size");
    }
    if (this.#state === "size_lf") {
      this.#lineBytes = this.#lastByte = 0;
      return this.#expect(byte, LF, this.#size > 0 ? "data" : "trailer");
    }
    if (++this.#lineBytes > CHUNK_LINE_BYTES_MAX) {
      return this.#fail(
        "bad_chunk",
        `A chunk-size line is too long: the limit is ${CHUNK_LINE_BYTES_MAX} bytes`,
      );
    }
    if (byte === CR && this.#digits > 0) this.#state = "size_lf";
    else if (this.#state === "extension") {
      if (byte < 0x20 && byte !== 0x09 || byte === 0x7f) this.#fail("bad_chunk", "A chunk extension is bad");
    } else this.#readDigit(byte);
  }

  #readDigit(byte: number): void {
    const digit = hexDigit(byte);
    if (digit < 0) {
      // Some servers pad the size with spaces; the size itself stays unambiguous.
      if (this.#digits === 0 || (byte !== 0x3b && byte !== 0x20 && byte !== 0x09)) {
        this.#fail("bad_chunk", "A chunk size is bad: it is not a hexadecimal number");
      }
      this.#state = "extension";
      return;
    }
    this.#size = (this.#digits++ === 0 ? 0 : this.#size) * 16 + digit;
    if (this.#size > Number.MAX_SAFE_INTEGER) {
      this.#fail("bad_chunk", "A chunk size is bad: it is over 2^53 - 1");
    }
  }

  #expect(byte: number, wanted: number, next: State): void {
    if (byte !== wanted) this.#fail("bad_chunk", "A chunk is bad: its line does not end with CRLF");
    this.#state = next;
  }

  /** Gathers the trailer section up to its empty line. Most often that is all there is. */
  #readTrailer(chunk: Uint8Array, offset: number): number {
    while (offset < chunk.length) {
      const byte = chunk[offset++] as number;
      this.#trailerText += String.fromCharCode(byte);
      if (byte !== LF) {
        this.#lineBytes++;
        this.#lastByte = byte;
      } else if (this.#lastByte !== CR) {
        this.#fail("bad_line", "A trailer line is bad: it ends with a lone LF");
        return offset;
      } else if (this.#lineBytes === 1) {
        this.#parseTrailers(this.#trailerText.slice(0, -2));
        return offset;
      } else {
        this.#lineBytes = this.#lastByte = 0;
      }
      if (this.#trailerText.length >= this.#trailerBytesMax) {
        this.#fail(
          "trailers_too_long",
          `The trailers are too long: the limit is ${this.#trailerBytesMax} bytes`,
        );
        return offset;
      }
    }
    return offset;
  }

  #parseTrailers(text: string): void {
    // Every line ends with CRLF here; an empty section has none.
    const lines = parseFieldLines(text, 0, this.#fieldsMax);
    if ("code" in lines) return this.#fail(lines.code, lines.message);
    this.#trailers = lines.fields;
    this.#trailerText = "";
    this.#state = "done";
  }

  #fail(code: ChunkedFault["code"], message: string): void {
    this.#fault ??= { code, message };
  }
}

/** The value of a hexadecimal digit, or -1. */
function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
