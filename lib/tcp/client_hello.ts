/**
 * Reads the server name out of a TLS ClientHello without answering it, so that the connection can be passed on whole.
 *
 * It sits in front of a splice and reads bytes of strangers: a hello that two readers could understand differently
 * is `malformed`, as one of the two would be the service behind. Nothing is decrypted and nothing is changed. The
 * answer depends on the bytes alone, never on how they were cut into chunks, records or both.
 *
 * Here are the records; what the message says is in client_hello_message.ts.
 *
 * Source: RFC 8446 §4 (handshake), §5.1 (records), §6 (alerts).
 *
 * @module
 */
import { type ClientHello, parseClientHello } from "./client_hello_message.ts";

/**
 * The longest ClientHello in bytes, with its record headers. A browser's has about 1,800; without a bound a stranger
 * could fill memory before anybody knows whom they want.
 */
export const CLIENT_HELLO_BYTES_MAX = 16_384;

/** Why the bytes are no ClientHello that can be passed on. */
export type ClientHelloFault = "not_tls" | "too_long" | "malformed";

/** What is known after a chunk. All but `more` is final. */
export type ClientHelloResult =
  | { readonly kind: "more" }
  | { readonly kind: "hello"; readonly hello: ClientHello }
  | { readonly kind: "fault"; readonly code: ClientHelloFault; readonly message: string };

const MORE: ClientHelloResult = { kind: "more" };

const RECORD_HEADER_BYTES = 5;
const RECORD_HANDSHAKE = 22;
/** Source: RFC 8446 §5.1. */
const RECORD_PAYLOAD_BYTES_MAX = 16_384;
const MESSAGE_HEADER_BYTES = 4;
const MESSAGE_CLIENT_HELLO = 1;
const MESSAGE_LENGTH_MAX = CLIENT_HELLO_BYTES_MAX - RECORD_HEADER_BYTES - MESSAGE_HEADER_BYTES;
/** Room that most hellos fit into, so that most connections need one buffer. */
const BUFFER_BYTES_MIN = 2_048;

/** Gathers a ClientHello from chunks. One for each connection, used until it answers something else than `more`. */
export class ClientHelloReader {
  #buffer: Uint8Array = new Uint8Array(0);
  #length = 0;
  /** How far the bytes have been read. */
  #at = 0;
  /** Bytes read of the current record's header: all of them while its payload is read. */
  #headerBytes = 0;
  /** Bytes left of the current record. */
  #recordBytes = 0;
  /** Bytes read of the handshake message, with its header. */
  #messageBytes = 0;
  /** How long the message says it is, without its header. */
  #messageLength = 0;
  #isDone = false;

  /**
   * All that was pushed, to be sent on unchanged: the hello and whatever came behind it. A view, valid until the next
   * `push`. While the answer is `more` it is at most `CLIENT_HELLO_BYTES_MAX` long; the chunk with which the answer
   * became final is in it whole.
   */
  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  /**
   * Takes the next bytes of the connection.
   *
   * - `not_tls`: no TLS record, or SSL 3.0 and before.
   * - `too_long`: the hello does not end within `CLIENT_HELLO_BYTES_MAX`.
   * - `malformed`: TLS, but no ClientHello, or one that can be read in two ways.
   *
   * @param chunk 0 or more bytes. Copied: it may be reused.
   * @throws {TypeError} When the answer was final before: a bug, as the bytes belong to the splice by then.
   */
  push(chunk: Uint8Array): ClientHelloResult {
    if (this.#isDone) throw new TypeError("Cannot read more of a ClientHello: the reader has answered");
    this.#keep(chunk);
    const result = this.#read();
    this.#isDone = result.kind !== "more";
    return result;
  }

  /** Appends with room to spare, so that a hello that comes byte by byte is copied a few times only. */
  #keep(chunk: Uint8Array): void {
    const length = this.#length + chunk.length;
    if (length > this.#buffer.length) {
      const doubled = Math.min(Math.max(this.#buffer.length * 2, BUFFER_BYTES_MIN), CLIENT_HELLO_BYTES_MAX);
      const grown = new Uint8Array(Math.max(length, doubled));
      grown.set(this.bytes);
      this.#buffer = grown;
    }
    this.#buffer.set(chunk, this.#length);
    this.#length = length;
  }

  /** Walks the records byte for byte, so that a fault is found at the same byte however the bytes were cut. */
  #read(): ClientHelloResult {
    const end = Math.min(this.#length, CLIENT_HELLO_BYTES_MAX);
    while (this.#at < end) {
      const fault = this.#headerBytes < RECORD_HEADER_BYTES ? this.#readHeader() : this.#readPayload(end);
      if (fault !== undefined) return fault;
      if (this.#messageBytes < MESSAGE_HEADER_BYTES) continue;
      if (this.#messageBytes < MESSAGE_HEADER_BYTES + this.#messageLength) continue;
      // A client has nothing else to say before it was answered. What shares the record would be read by some only.
      if (this.#recordBytes > 0) return malformed("something follows it in its record");
      return this.#answer();
    }
    // At the bound itself the hello has not ended either: it would have been answered above.
    return this.#length < CLIENT_HELLO_BYTES_MAX ? MORE : tooLong();
  }

  #readHeader(): ClientHelloResult | undefined {
    const byte = this.#buffer[this.#at] ?? 0;
    const place = this.#headerBytes;
    this.#at += 1;
    this.#headerBytes += 1;
    // The minor version is whatever the client likes: RFC 8446 §5.1 has it ignored.
    if ((place === 0 && byte !== RECORD_HANDSHAKE) || (place === 1 && byte !== 3)) {
      return this.#messageBytes === 0
        ? fault("not_tls", "the connection does not begin with a TLS handshake")
        : malformed("another record comes before its end");
    }
    if (place === 3) this.#recordBytes = byte << 8;
    if (place !== 4) return undefined;
    this.#recordBytes |= byte;
    // RFC 8446 §5.1 forbids empty fragments of a handshake; they would cost nothing to send.
    if (this.#recordBytes === 0) return malformed("a record is empty");
    return this.#recordBytes > RECORD_PAYLOAD_BYTES_MAX ? malformed("a record is too long") : undefined;
  }

  #readPayload(end: number): ClientHelloResult | undefined {
    const place = this.#messageBytes;
    if (place >= MESSAGE_HEADER_BYTES) {
      const left = MESSAGE_HEADER_BYTES + this.#messageLength - place;
      this.#advance(Math.min(left, this.#recordBytes, end - this.#at));
      return undefined;
    }
    const byte = this.#buffer[this.#at] ?? 0;
    this.#advance(1);
    if (place === 0) {
      return byte === MESSAGE_CLIENT_HELLO
        ? undefined
        : malformed("the handshake begins with another message");
    }
    this.#messageLength = this.#messageLength << 8 | byte;
    return this.#messageLength > MESSAGE_LENGTH_MAX ? tooLong() : undefined;
  }

  #advance(bytes: number): void {
    this.#at += bytes;
    this.#messageBytes += bytes;
    this.#recordBytes -= bytes;
    if (this.#recordBytes === 0) this.#headerBytes = 0;
  }

  #answer(): ClientHelloResult {
    const parsed = parseClientHello(this.#message());
    return parsed.kind === "hello" ? parsed : fault(parsed.code, parsed.state);
  }

  /** The whole message without its header, out of the records that it was cut into. */
  #message(): Uint8Array {
    const payload = new Uint8Array(this.#messageBytes);
    let length = 0;
    let at = 0;
    while (at < this.#at) {
      const recordBytes = (this.#buffer[at + 3] ?? 0) << 8 | (this.#buffer[at + 4] ?? 0);
      at += RECORD_HEADER_BYTES;
      payload.set(this.#buffer.subarray(at, at + recordBytes), length);
      at += recordBytes;
      length += recordBytes;
    }
    return payload.subarray(MESSAGE_HEADER_BYTES);
  }
}

function fault(code: ClientHelloFault, state: string): ClientHelloResult {
  return { kind: "fault", code, message: `Cannot read the ClientHello: ${state}` };
}

const malformed = (state: string): ClientHelloResult => fault("malformed", state);
const tooLong = (): ClientHelloResult =>
  fault("too_long", `it has more than ${CLIENT_HELLO_BYTES_MAX} bytes`);

/** Source: RFC 8446 §6. */
const ALERTS = {
  handshake_failure: 40,
  decode_error: 50,
  internal_error: 80,
  unrecognized_name: 112,
} as const;

/** An alert that ends a handshake. */
export type TlsAlert = keyof typeof ALERTS;

/**
 * The record that tells a client in plain text why it is not served. Send it and close.
 *
 * `unrecognized_name` for a name that nobody serves, `decode_error` for a malformed hello, `internal_error` when the
 * service is away, `handshake_failure` when policy says no.
 *
 * @returns 7 bytes.
 * @see RFC 8446 §6, RFC 6066 §3
 */
export function tlsAlert(code: TlsAlert): Uint8Array {
  return Uint8Array.of(21, 3, 3, 0, 2, 2, ALERTS[code]);
}
