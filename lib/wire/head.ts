/**
 * Request and response heads in binary: what OPEN and HEAD carry, and the field lists of HELLO and trailers.
 *
 * Every string is a run of octets (ISO 8859-1 in JavaScript) with its length in front, so no byte inside it can
 * be read as a delimiter. Order, case and repetition of fields are kept. SPEC.md §4.
 *
 * A head is built as one string and written in one native call, and read the same way: heads are the hot path.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { assert } from "../assert.ts";
import { ProtocolError } from "./errors.ts";

/** The longest encoded head. Over it the gateway answers 431 and the agent resets with `badResponse`. */
export const HEAD_BYTES_MAX = 65_535;

/** The most fields in one list, trailers and HELLO included. */
export const FIELDS_MAX = 1_000;

/** The longest method name. */
export const METHOD_BYTES_MAX = 255;

/** A request as the visitor sent it. */
export interface RequestHead {
  /** As sent: any token, any case. */
  method: string;
  /** The request target as sent, origin-form or `*`; never absolute-form. */
  target: string;
  /** Flat: name, value, name, value, … in the order and case in which they came. */
  fields: string[];
}

/** A response as the target sent it. */
export interface ResponseHead {
  /** 100 to 999. */
  status: number;
  /** The reason phrase, possibly empty. */
  reason: string;
  /** Flat: name, value, name, value, … */
  fields: string[];
}

/**
 * Encodes a request head.
 *
 * @throws {RangeError} When the result would be longer than `HEAD_BYTES_MAX`, or a part longer than its length
 *   field can tell. The caller turns that into 431.
 */
export function encodeRequestHead(head: RequestHead): Uint8Array {
  if (head.method.length > METHOD_BYTES_MAX) throw new RangeError("Cannot encode a method over 255 bytes");
  return toBytes(
    String.fromCharCode(head.method.length) + head.method + prefixed(head.target) + list(head.fields),
  );
}

/** @throws {ProtocolError} `protocol`, when the bytes are not exactly one request head. */
export function decodeRequestHead(bytes: Uint8Array): RequestHead {
  const text = new TextReader(bytes);
  const method = text.take(text.uint8());
  const target = text.take(text.uint16());
  const fields = text.fields();
  text.finish();
  return { method, target, fields };
}

/** Encodes a response head. @throws {RangeError} As `encodeRequestHead`. */
export function encodeResponseHead(head: ResponseHead): Uint8Array {
  return toBytes(uint16(head.status) + prefixed(head.reason) + list(head.fields));
}

/** @throws {ProtocolError} `protocol`, when the bytes are not exactly one response head with a status of 100 to 999. */
export function decodeResponseHead(bytes: Uint8Array): ResponseHead {
  const text = new TextReader(bytes);
  const status = text.uint16();
  if (status < 100 || status > 999) throw new ProtocolError("protocol", `Cannot take the status ${status}`);
  const reason = text.take(text.uint16());
  const fields = text.fields();
  text.finish();
  return { status, reason, fields };
}

/** Encodes a flat list of names and values. @throws {RangeError} As `encodeRequestHead`. */
export function encodeFields(fields: string[]): Uint8Array {
  return toBytes(list(fields));
}

/** @throws {ProtocolError} `protocol`, when the bytes are not exactly one list. */
export function decodeFields(bytes: Uint8Array): string[] {
  const text = new TextReader(bytes);
  const fields = text.fields();
  text.finish();
  return fields;
}

function uint16(value: number): string {
  if (value > 0xffff) throw new RangeError("Cannot encode a part over 65,535 bytes");
  return String.fromCharCode(value >>> 8, value & 0xff);
}

function prefixed(text: string): string {
  return uint16(text.length) + text;
}

function list(fields: string[]): string {
  assert(fields.length % 2 === 0, "every field has a name and a value");
  const count = fields.length >>> 1;
  if (count > FIELDS_MAX) {
    throw new RangeError(`Cannot encode ${count} fields: at most ${FIELDS_MAX} are allowed`);
  }
  let text = uint16(count);
  for (let i = 0; i < fields.length; i++) text += prefixed(fields[i]!);
  return text;
}

function toBytes(text: string): Uint8Array {
  if (text.length > HEAD_BYTES_MAX) {
    throw new RangeError(
      `Cannot encode a head of ${text.length} bytes: at most ${HEAD_BYTES_MAX} are allowed`,
    );
  }
  return Buffer.from(text, "latin1");
}

/** Reads length-prefixed parts. The bytes become one string once; the parts are slices of it. */
class TextReader {
  readonly #text: string;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    if (bytes.length > HEAD_BYTES_MAX) {
      throw new ProtocolError("protocol", "Cannot take a head over its limit");
    }
    this.#text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
  }

  uint8(): number {
    return this.#code();
  }

  uint16(): number {
    return (this.#code() << 8) | this.#code();
  }

  take(length: number): string {
    const end = this.#offset + length;
    if (end > this.#text.length) throw new ProtocolError("protocol", "Cannot take a head: it is cut short");
    const part = this.#text.slice(this.#offset, end);
    this.#offset = end;
    return part;
  }

  fields(): string[] {
    const count = this.uint16();
    if (count > FIELDS_MAX) throw new ProtocolError("protocol", `Cannot take ${count} fields in a head`);
    const fields: string[] = [];
    for (let i = 0; i < count; i++) fields.push(this.take(this.uint16()), this.take(this.uint16()));
    return fields;
  }

  finish(): void {
    if (this.#offset !== this.#text.length) {
      throw new ProtocolError("protocol", "Cannot take a head: bytes follow it");
    }
  }

  #code(): number {
    if (this.#offset >= this.#text.length) {
      throw new ProtocolError("protocol", "Cannot take a head: it is cut short");
    }
    return this.#text.charCodeAt(this.#offset++);
  }
}
