/**
 * One exchange as it runs: frames the request body, holds it until it can leave, and passes the answer on.
 *
 * What is written in the same turn as the exchange is made, or before the connection is there, leaves together with
 * the head, in one socket write when it is small.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { ResponseHead } from "../wire/head.ts";
import { type Exchange, ExchangeError, type ExchangeErrorCode, type ExchangeSink } from "./exchange.ts";
import { isIdempotent, lastChunkText, type RequestText } from "./request_text.ts";
import type { ConnectionUser, TargetConnection } from "./target_connection.ts";

/** Over this many held bytes `write` returns false. */
export const HELD_BYTES_HIGH = 65_536;

/** Held bytes at most: more than any stream's window, so only a caller that ignores `write`'s answer meets it. */
export const HELD_BYTES_MAX = 64 << 20;

/**
 * Parts up to this many bytes together are copied into one write. More would cost more to copy than to send: with
 * chunks of 64 KiB, copying halved the speed of a chunked upload.
 */
export const JOIN_BYTES_MAX = 16_384;

/** Gives connections. */
export interface ConnectionSource {
  /** A connection that is new; undefined when there are too many. */
  dial(): TargetConnection | undefined;
}

/** The exchange behind the `Exchange` that the caller holds. */
export class RunningExchange implements Exchange, ConnectionUser {
  readonly #sink: ExchangeSink;
  readonly #source: ConnectionSource;
  readonly #request: RequestText;
  readonly #method: string;
  readonly #upgrade: boolean;
  #connection: TargetConnection | undefined;
  #held: Uint8Array[] = NOTHING;
  #heldBytes = 0;
  #bodyBytesLeft: number;
  #lastChunk = "";
  #headSent = false;
  #bodySent = false;
  #ended: boolean;
  #drainDue = false;
  #headTold = false;
  #upgraded = false;
  #paused = false;
  #done = false;
  #silenced = false;

  constructor(
    request: RequestText,
    method: string,
    upgrade: boolean,
    source: ConnectionSource,
    sink: ExchangeSink,
  ) {
    this.#request = request;
    this.#method = method;
    this.#upgrade = upgrade;
    this.#source = source;
    this.#sink = sink;
    this.#bodyBytesLeft = request.bodyBytes;
    this.#ended = request.body === "none" && !upgrade;
  }

  /** True when nothing of the request is left to send; after an upgrade, when this side has ended. */
  get reusable(): boolean {
    if (this.#upgraded) return this.#ended;
    const sentWhole = this.#request.body === "none" || this.#ended ||
      this.#request.body === "length" && this.#bodyBytesLeft === 0;
    return this.#headSent && sentWhole && !this.#request.close;
  }

  /** Runs on a connection, which may still be connecting. */
  start(connection: TargetConnection): void {
    this.#connection = connection;
    connection.use(this, this.#method, this.#upgrade);
    if (this.#paused) connection.pause();
    if (!connection.connected) return;
    if (this.#request.body !== "none") queueMicrotask(() => this.#flush());
    else {
      this.#headSent = true;
      connection.write(this.#request.text);
    }
  }

  /** Fails without having run. The sink hears it a turn later. */
  fail(code: ExchangeErrorCode, message: string): void {
    if (this.#done) return;
    const connection = this.#connection;
    this.#finish();
    connection?.destroy();
    const error = new ExchangeError(code, !this.#headTold, message);
    queueMicrotask(() => {
      if (!this.#silenced) this.#sink.onError(error);
    });
  }

  write(chunk: Uint8Array): boolean {
    if (this.#done || this.#ended || chunk.length === 0) return true;
    if (this.#upgraded) return this.#note((this.#connection as TargetConnection).write(chunk));
    if (this.#request.body === "length") {
      this.#bodyBytesLeft -= chunk.length;
      if (this.#bodyBytesLeft < 0) {
        const message =
          `Cannot send the request body: it is longer than the ${this.#request.bodyBytes} bytes declared`;
        return this.fail("request_body_too_long", message), true;
      }
    }
    // Bytes for after an upgrade wait for it: before that they would be a second request.
    if (!this.#headSent || this.#request.body === "none") return this.#hold(chunk);
    this.#bodySent = true;
    return this.#note(this.#send(this.#framed(chunk, [])));
  }

  end(trailers: string[] = []): void {
    if (this.#done || this.#ended) return;
    this.#ended = true;
    if (this.#upgraded) return this.#connection?.end();
    if (this.#request.body === "length" && this.#bodyBytesLeft > 0) {
      const message =
        `Cannot send the request body: ${this.#bodyBytesLeft} of the bytes declared are missing`;
      return this.fail("request_body_too_short", message);
    }
    if (this.#request.body !== "chunked") return;
    const text = lastChunkText(trailers);
    if (typeof text !== "string") return this.fail("bad_request", `Cannot send the request: ${text.fault}`);
    this.#lastChunk = text;
    if (this.#headSent) this.#send([text]);
  }

  abort(): void {
    this.#silenced = true;
    const connection = this.#connection;
    this.#finish();
    connection?.destroy();
  }

  pause(): void {
    if (this.#done) return;
    this.#paused = true;
    this.#connection?.pause();
  }

  resume(): void {
    if (this.#done || !this.#paused) return;
    this.#paused = false;
    this.#connection?.resume();
  }

  onConnected(): void {
    this.#flush();
  }

  onInformational(head: ResponseHead): void {
    this.#sink.onInformational(head);
  }

  onHead(head: ResponseHead, body: Uint8Array | undefined, complete: boolean): void {
    this.#headTold = true;
    this.#sink.onHead(head, body, complete);
  }

  onUpgrade(head: ResponseHead, rest: Uint8Array | undefined): void {
    this.#headTold = this.#upgraded = true;
    const connection = this.#connection as TargetConnection;
    let open = true;
    for (const chunk of this.#held) open = connection.write(chunk);
    this.#held = NOTHING;
    if (this.#ended) connection.end();
    this.#sink.onUpgrade(head, rest);
    if (open) this.onDrain();
  }

  onBody(chunk: Uint8Array, complete: boolean): void {
    this.#sink.onBody(chunk, complete);
  }

  onEnd(trailers: string[]): void {
    if (!this.#upgraded || this.#ended) this.#finish();
    this.#sink.onEnd(trailers);
  }

  onDrain(): void {
    if (!this.#drainDue || this.#done) return;
    this.#drainDue = false;
    this.#sink.onDrain();
  }

  onLost(code: ExchangeErrorCode, message: string, stale: boolean, cause: unknown): void {
    if (this.#done) return;
    this.#connection = undefined;
    if (code === "reset" && stale && !this.#bodySent && isIdempotent(this.#method)) {
      // The target closed an idle connection just as the request left: it has not seen it. This happens once, for
      // the connection that takes its place is new and so cannot be stale.
      this.#headSent = false;
      const connection = this.#source.dial();
      if (connection !== undefined) return this.start(connection);
    }
    this.#finish();
    this.#sink.onError(new ExchangeError(code, !this.#headTold, message, { cause }));
  }

  #finish(): void {
    this.#done = true;
    this.#connection = undefined;
    this.#held = NOTHING;
  }

  #note(open: boolean): boolean {
    if (!open) this.#drainDue = true;
    return open;
  }

  #hold(chunk: Uint8Array): boolean {
    if (this.#held === NOTHING) this.#held = [];
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    if (this.#heldBytes > HELD_BYTES_MAX) {
      const message = `Cannot hold the request body: over ${HELD_BYTES_MAX} bytes wait for the connection`;
      return this.fail("too_many", message), true;
    }
    return this.#note(this.#heldBytes < HELD_BYTES_HIGH);
  }

  /** Sends the head, with everything of the body that is there. */
  #flush(): void {
    if (this.#done || this.#headSent || !this.#connection?.connected) return;
    this.#headSent = true;
    const parts: (string | Uint8Array)[] = [this.#request.text];
    if (this.#request.body !== "none") {
      this.#bodySent = this.#held.length > 0;
      for (const chunk of this.#held) this.#framed(chunk, parts);
      if (this.#ended) parts.push(this.#lastChunk);
      this.#held = NOTHING;
      this.#heldBytes = 0;
    }
    const open = this.#send(parts);
    if (open && this.#request.body !== "none") this.onDrain();
  }

  /** Adds a piece of the body in the request's framing. */
  #framed(chunk: Uint8Array, parts: (string | Uint8Array)[]): (string | Uint8Array)[] {
    if (this.#request.body === "chunked") parts.push(chunk.length.toString(16) + "\r\n", chunk, "\r\n");
    else parts.push(chunk);
    return parts;
  }

  /** Sends parts in one write where that is cheaper. */
  #send(parts: readonly (string | Uint8Array)[]): boolean {
    const connection = this.#connection as TargetConnection;
    if (parts.length === 1) return connection.write(parts[0] as string | Uint8Array);
    let bytes = 0;
    for (const part of parts) bytes += part.length;
    if (bytes > JOIN_BYTES_MAX) {
      let open = true;
      for (const part of parts) if (part.length > 0) open = connection.write(part);
      return open;
    }
    const joined = Buffer.allocUnsafe(bytes);
    let offset = 0;
    for (const part of parts) {
      if (typeof part === "string") joined.write(part, offset, "latin1");
      else joined.set(part, offset);
      offset += part.length;
    }
    return connection.write(joined);
  }
}

const NOTHING: Uint8Array[] = [];
