/**
 * Finds where a request ends in the bytes that a client sends, without changing any of them.
 *
 * One connection of the proxy carries one request to one host. What a client sends behind it was meant for another
 * request, perhaps to another host, and must never follow the first. Source: RFC 9112 §6.
 *
 * @module
 */
import { ChunkedDecoder } from "../http/chunked.ts";

/** The trailer section of a chunked request. */
export const REQUEST_TRAILER_BYTES_MAX = 16 * 1024;

/** Fields in the trailer section of a chunked request. */
export const REQUEST_TRAILER_FIELDS_MAX = 100;

/** How a request ends: with its head, after a length, with its last chunk, or never, as after an upgrade. */
export type RequestFraming =
  | { readonly kind: "none" | "chunked" | "upgrade" }
  | { readonly kind: "length"; readonly bytes: number };

/** What became of one chunk. */
export interface RequestPart {
  /** How many bytes of this chunk, from its beginning, belong to the request. */
  readonly bytes: number;
  /** True once the request is whole. Later bytes belong to no request. */
  readonly done: boolean;
  /** Why the rest of the body is refused. None of this chunk may go on, and the connection is to be cut. */
  readonly fault?: string;
}

/** Follows the body of one request. Keeps no body byte, and at most `REQUEST_TRAILER_BYTES_MAX` of trailers. */
export class RequestEnd {
  readonly framing: RequestFraming;
  readonly #chunked: ChunkedDecoder | undefined;
  #leftBytes: number;

  constructor(framing: RequestFraming) {
    this.framing = framing;
    this.#leftBytes = framing.kind === "length" ? framing.bytes : framing.kind === "none" ? 0 : Infinity;
    if (framing.kind === "chunked") {
      this.#chunked = new ChunkedDecoder(REQUEST_TRAILER_BYTES_MAX, REQUEST_TRAILER_FIELDS_MAX);
    }
  }

  /** True once the request is whole; at once when it has no body. */
  get done(): boolean {
    return this.#chunked?.done ?? this.#leftBytes === 0;
  }

  /**
   * Takes the next bytes behind the head, in whatever pieces they come.
   *
   * @param chunk Is neither kept nor changed.
   */
  push(chunk: Uint8Array): RequestPart {
    if (this.#chunked !== undefined) return this.#pushChunked(this.#chunked, chunk);
    const bytes = Math.min(chunk.length, this.#leftBytes);
    this.#leftBytes -= bytes;
    return { bytes, done: this.done };
  }

  #pushChunked(decoder: ChunkedDecoder, chunk: Uint8Array): RequestPart {
    // The pieces are of no use here: what goes on is the body as it was sent, chunk sizes and all.
    const bytes = decoder.decode(chunk, 0, []);
    if (decoder.fault !== undefined) return { bytes: 0, done: false, fault: decoder.fault.message };
    return { bytes, done: decoder.done };
  }
}
