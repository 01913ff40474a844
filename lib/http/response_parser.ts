/**
 * A push parser for HTTP/1 responses: takes bytes in any split, tells a sink what they say.
 *
 * It knows no socket. It reads strictly, for a head that two readers could read in two ways is how responses are
 * split: CRLF only, one framing, bounded everywhere. The common small answer costs one search, one string and one
 * call. Source: RFC 9112 §2 to §7.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { ResponseHead } from "../wire/head.ts";
import { ChunkedDecoder } from "./chunked.ts";
import { parseFieldLines, readFraming } from "./fields.ts";
import { HeadGatherer } from "./head_gatherer.ts";

/** Interim answers before one final head. An endless stream of them would keep an exchange for ever. */
export const INFORMATIONAL_MAX = 32;

/** Why a response is refused. */
export type ResponseErrorCode =
  /** The first line is not HTTP/1.0 or 1.1 with a status of 100 to 999. */
  | "bad_status_line"
  /** A field line breaks the grammar, or a line ends with a lone CR or LF. */
  | "bad_line"
  /** Content-Length or Transfer-Encoding is bad, double, or both are there. */
  | "bad_framing"
  /** The chunked body breaks its grammar. */
  | "bad_chunk"
  | "head_too_long"
  | "too_many_fields"
  | "trailers_too_long"
  | "too_many_informational"
  /** A 101 that was not asked for. */
  | "unexpected_upgrade"
  /** Bytes came while no response was due. */
  | "unexpected_bytes"
  /** The end of the stream came before the whole final head. */
  | "ended_before_head"
  /** The end of the stream came inside the body. */
  | "ended_in_body";

/** A response is refused, or ended early. The parser takes nothing more until `begin`. */
export class ResponseError extends Error {
  override name = "ResponseError";
  constructor(readonly code: ResponseErrorCode, message: string) {
    super(message);
  }
}

/** Hears what the parser reads. Body chunks are views of the pushed bytes where they can be, else copies. */
export interface ResponseSink {
  /** An interim answer, never 101. */
  onInformational(head: ResponseHead): void;
  /** The final head, and the body of the same push. `complete`: whole, no trailers, `onEnd([])` follows. */
  onHead(head: ResponseHead, body: Uint8Array | undefined, complete: boolean): void;
  /** A 101, or a 2xx to CONNECT. From here on `push` gives raw bytes to `onBody`. */
  onUpgrade(head: ResponseHead, rest: Uint8Array | undefined): void;
  /** Body bytes, at least one. `complete` as in `onHead`. */
  onBody(chunk: Uint8Array, complete: boolean): void;
  /** After the last byte. The parser may be armed again inside this call. */
  onEnd(trailers: string[]): void;
  onError(error: ResponseError): void;
}

/** Bounds of what one response may hold. */
export interface ResponseLimits {
  /** A head in bytes, with the empty line. @default 65_536 */
  readonly headBytesMax?: number;
  /** Fields of a head, and of a trailer section. @default 512 */
  readonly fieldsMax?: number;
  /** A trailer section in bytes. @default 16_384 */
  readonly trailerBytesMax?: number;
}

/** Where the parser is. `idle` means that `begin` is due. */
export type ResponseState = "idle" | "head" | "length" | "chunked" | "until_close" | "upgraded" | "failed";

// Most heads are shorter. A string is searched many times faster than a Buffer on Deno, and is needed anyway.
const HEAD_PROBE_BYTES = 2048;
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?$/;

const GATHER_FAULTS = {
  bad_line: "A line of the head is bad: it ends with a lone LF",
  bad_status_line: "The status line is bad: it is not HTTP/1.0 or HTTP/1.1 with a status of 100 to 999",
  head_too_long: "The head is too long for its limit",
} as const;

/** Parses one response after another from one connection. Keeps at most a head or a trailer section in memory. */
export class ResponseParser {
  readonly #sink: ResponseSink;
  readonly #headBytesMax: number;
  readonly #fieldsMax: number;
  readonly #chunked: ChunkedDecoder;
  #state: ResponseState = "idle";
  #method = "";
  #upgrade = false;
  #keepAlive = true;
  #started = false;
  #informational = 0;
  #bytesLeft = 0;
  /** A head that comes in pieces. */
  #gatherer: HeadGatherer | undefined;

  constructor(sink: ResponseSink, limits: ResponseLimits = {}) {
    this.#sink = sink;
    this.#headBytesMax = limits.headBytesMax ?? 65_536;
    this.#fieldsMax = limits.fieldsMax ?? 512;
    this.#chunked = new ChunkedDecoder(limits.trailerBytesMax ?? 16_384, this.#fieldsMax);
  }

  get state(): ResponseState {
    return this.#state;
  }

  /** True when the connection may carry another request after the response read last. */
  get keepAlive(): boolean {
    return this.#keepAlive;
  }

  /** True once a byte of the response that is due has come. */
  get started(): boolean {
    return this.#started;
  }

  /** Arms the parser. HEAD has no body, CONNECT becomes a tunnel; a 101 or a tunnel is welcome only on `upgrade`. */
  begin(method: string, upgrade = false): void {
    this.#state = "head";
    this.#method = method;
    this.#upgrade = upgrade;
    this.#keepAlive = true;
    this.#started = false;
    this.#informational = 0;
  }

  /** Takes bytes. They are not copied where that can be avoided: do not reuse them. */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0 || this.#state === "failed") return;
    this.#started = true;
    switch (this.#state) {
      case "head":
        return this.#pushHead(chunk);
      case "length":
        return this.#pushLength(chunk, 0, undefined);
      case "chunked":
        return this.#pushChunked(chunk, 0, undefined);
      case "until_close":
      case "upgraded":
        return this.#sink.onBody(chunk, false);
      default:
        this.#fail("unexpected_bytes", "Bytes came while no response was due");
    }
  }

  /** The stream has ended: completes a body that lasts until then, refuses every other unfinished message. */
  eof(): void {
    this.#keepAlive = false;
    if (this.#state === "until_close" || this.#state === "upgraded") return this.#end([]);
    if (this.#state === "head") {
      this.#fail("ended_before_head", "The response has no head: the connection ended before it was whole");
    } else if (this.#state !== "idle" && this.#state !== "failed") {
      this.#fail("ended_in_body", "The response is cut off: the connection ended inside its body");
    }
  }

  /** Reads heads until the final one: 1xx heads may stand before it in the same bytes. */
  #pushHead(chunk: Uint8Array): void {
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    // Only an interim head is followed by another one; after any other, the sink may have armed the parser again.
    let isInterim = true;
    for (let start = 0; isInterim && start < bytes.length;) {
      if (this.#gatherer === undefined) {
        const text = bytes.toString("latin1", start, start + HEAD_PROBE_BYTES);
        const end = text.indexOf("\r\n\r\n");
        if (end >= 0 && end + 4 <= this.#headBytesMax) {
          start += end + 4;
          isInterim = this.#readHead(text.slice(0, end), bytes, start);
          continue;
        }
      }
      const gatherer = this.#gatherer ??= new HeadGatherer(this.#headBytesMax);
      const taken = gatherer.add(start === 0 ? bytes : bytes.subarray(start));
      if (gatherer.fault !== undefined) return void this.#fail(gatherer.fault, GATHER_FAULTS[gatherer.fault]);
      if (gatherer.text === undefined) return;
      this.#gatherer = undefined;
      start += taken;
      isInterim = this.#readHead(gatherer.text, bytes, start);
    }
  }

  /** Reads one head; the rest of `bytes` begins at `start`. Returns true when another head must follow. */
  #readHead(text: string, bytes: Buffer, start: number): boolean {
    let lineEnd = text.indexOf("\r\n");
    if (lineEnd < 0) lineEnd = text.length;
    const line = STATUS_LINE.exec(text.slice(0, lineEnd));
    if (line === null) {
      // The same fault whether the head came whole or in pieces.
      const code = text.slice(0, lineEnd).includes("\n") ? "bad_line" : "bad_status_line";
      return this.#fail(code, GATHER_FAULTS[code]);
    }
    const lines = parseFieldLines(text, Math.min(lineEnd + 2, text.length), this.#fieldsMax);
    if ("code" in lines) return this.#fail(lines.code, lines.message);
    const head: ResponseHead = { status: Number(line[2]), reason: line[3] ?? "", fields: lines.fields };
    const isTunnel = this.#method === "CONNECT" && head.status >= 200 && head.status < 300;
    if (head.status === 101 || isTunnel) this.#startUpgrade(head, bytes, start);
    else if (head.status >= 200) this.#readFinal(head, line[1] === "1", bytes, start);
    else if (++this.#informational <= INFORMATIONAL_MAX) {
      this.#sink.onInformational(head);
      return true;
    } else {this.#fail(
        "too_many_informational",
        `There are too many interim responses: over ${INFORMATIONAL_MAX}`,
      );}
    return false;
  }

  #startUpgrade(head: ResponseHead, bytes: Buffer, start: number): void {
    if (!this.#upgrade) {
      return void this.#fail(
        "unexpected_upgrade",
        `The response upgrades unasked: its status is ${head.status}`,
      );
    }
    this.#state = "upgraded";
    this.#keepAlive = false;
    this.#sink.onUpgrade(head, start < bytes.length ? bytes.subarray(start) : undefined);
  }

  #readFinal(head: ResponseHead, isHttp11: boolean, bytes: Buffer, start: number): void {
    const framing = readFraming(head.fields);
    if (framing.fault !== undefined) return void this.#fail("bad_framing", framing.fault);
    // RFC 9112 §6.1: a chunked message of HTTP/1.0 has faulty framing.
    if (framing.chunked && !isHttp11) {
      return void this.#fail("bad_framing", "Transfer-Encoding is given in HTTP/1.0");
    }
    this.#keepAlive = !framing.close && (isHttp11 || framing.keepAlive);
    const isBodyless = this.#method === "HEAD" || head.status === 204 || head.status === 304;
    if (isBodyless || framing.contentLength === 0) {
      if (start < bytes.length) this.#keepAlive = false;
      this.#sink.onHead(head, undefined, true);
      return this.#end([]);
    }
    if (framing.chunked) {
      this.#state = "chunked";
      this.#chunked.reset();
      return this.#pushChunked(bytes, start, head);
    }
    if (framing.contentLength > 0) {
      this.#state = "length";
      this.#bytesLeft = framing.contentLength;
      return this.#pushLength(bytes, start, head);
    }
    this.#state = "until_close";
    this.#keepAlive = false;
    this.#sink.onHead(head, start < bytes.length ? bytes.subarray(start) : undefined, false);
  }

  /** Body bytes of a declared length. @param head Given when it was not told yet: it goes with them. */
  #pushLength(chunk: Uint8Array, offset: number, head: ResponseHead | undefined): void {
    const available = chunk.length - offset;
    const complete = available >= this.#bytesLeft;
    // More than was declared: the message is whole, but what follows it is not to be trusted.
    if (available > this.#bytesLeft) this.#keepAlive = false;
    const end = complete ? offset + this.#bytesLeft : chunk.length;
    this.#bytesLeft -= end - offset;
    const body = chunk.subarray(offset, end);
    if (head !== undefined) this.#sink.onHead(head, body.length > 0 ? body : undefined, complete);
    else this.#sink.onBody(body, complete);
    if (complete) this.#end([]);
  }

  /** Bytes of a chunked body; what one push holds of it goes out as one piece. */
  #pushChunked(chunk: Uint8Array, offset: number, head: ResponseHead | undefined): void {
    const decoder = this.#chunked;
    const pieces: Uint8Array[] = [];
    const next = decoder.decode(chunk, offset, pieces);
    if (next < chunk.length) this.#keepAlive = false;
    // Small chunks would each cost a frame further on; joining costs one copy of this push at most.
    const body = pieces.length > 1 ? Buffer.concat(pieces) : pieces[0];
    const complete = decoder.done && decoder.trailers.length === 0;
    if (head !== undefined) this.#sink.onHead(head, body, complete);
    else if (body !== undefined) this.#sink.onBody(body, complete);
    if (decoder.fault !== undefined) this.#fail(decoder.fault.code, decoder.fault.message);
    else if (decoder.done) this.#end(decoder.trailers);
  }

  /** Last thing of a push: the sink may arm the parser again. */
  #end(trailers: string[]): void {
    this.#state = "idle";
    this.#sink.onEnd(trailers);
  }

  /** Returns false, for `#readHead`. */
  #fail(code: ResponseErrorCode, message: string): false {
    this.#state = "failed";
    this.#keepAlive = false;
    this.#sink.onError(new ResponseError(code, message));
    return false;
  }
}
