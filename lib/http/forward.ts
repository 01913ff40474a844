/**
 * The gateway's half of one HTTP exchange: the visitor's request into a stream, the stream's answer to the visitor.
 *
 * Bodies are never gathered: each chunk is passed on as it comes, and credit for it returns when the visitor's socket
 * has taken it. A failure before the response head is a value, so that the caller can answer or try another agent; a
 * failure after it cuts the visitor's connection, since an answer that looks complete must be complete.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Stream, StreamError, StreamSink } from "../mux/stream.ts";
import { ProtocolError } from "../wire/errors.ts";
import { decodeResponseHead, type ResponseHead } from "../wire/head.ts";
import { formatHead, linger } from "./answer_text.ts";
import { type Failure, failureOf, isLost } from "./failure.ts";
import type { Deniable, ForwardFacts, ForwardOptions } from "./forward_options.ts";
import { readResponse } from "./response_fields.ts";
import { INFORMATIONAL_MAX } from "./response_parser.ts";
import { passableTrailers, trailerPairs } from "./trailers.ts";

const NO_FIELDS: readonly string[] = [];

/** Forwards a request and settles when the exchange is over, whatever became of it. Never rejects. */
export function forward(options: ForwardOptions): Promise<ForwardFacts> {
  return new Promise((resolve) => {
    const forwarding = new Forwarding(options, resolve);
    options.onBegin?.(forwarding);
    forwarding.begin();
  });
}

class Forwarding implements StreamSink, Deniable {
  readonly #options: ForwardOptions;
  readonly #incoming: IncomingMessage;
  readonly #outgoing: ServerResponse;
  readonly #resolve: (facts: ForwardFacts) => void;
  #stream: Stream | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #lastByteMs = 0;
  #settled = false;
  #status = 0;
  #fields: readonly string[] = NO_FIELDS;
  #informational = 0;
  #requestBytes = 0;
  #responseBytes = 0;
  /** Bytes of body that must still come; infinite when only the end tells. */
  #remainingBytes = Infinity;
  /** Given to the visitor's socket and not taken by it yet. */
  #pendingBytes = 0;
  #awaitsDrain = false;

  constructor(options: ForwardOptions, resolve: (facts: ForwardFacts) => void) {
    this.#options = options;
    this.#incoming = options.incoming;
    this.#outgoing = options.outgoing;
    this.#resolve = resolve;
  }

  begin(): void {
    const { session, service, head, hasBody, idleTimeoutMs } = this.#options;
    if (this.#outgoing.destroyed || this.#incoming.socket.destroyed) return this.#settle("visitor_left", "");
    this.#stream = session.openStream("http", service, head, !hasBody, this);
    if (!this.#stream) return this.#settle("connection_limit_reached", "The link has no room for a stream");
    this.#outgoing.on("close", this.#onClose);
    if (hasBody) {
      this.#incoming.on("data", this.#onBody);
      this.#incoming.on("end", this.#onBodyEnd);
    } else {
      this.#awaitAnswer();
    }
    if (idleTimeoutMs > 0) this.#watchIdle(idleTimeoutMs);
  }

  get status(): number {
    return this.#status;
  }

  deny(detail: string): void {
    if (!this.#settled) this.#stream?.reset("cancelled", detail);
    this.#fail("http_request_denied", detail);
  }

  // From the visitor.

  readonly #onBody = (chunk: Buffer): void => {
    this.#requestBytes += chunk.length;
    this.#lastByteMs = performance.now();
    const { bodyBytesMax } = this.#options;
    if (bodyBytesMax > 0 && this.#requestBytes > bodyBytesMax) {
      this.#incoming.pause();
      this.#stream!.reset("cancelled", "The request body is too large");
      return this.#fail("http_request_error", "The request body is too large", true);
    }
    this.#options.tap?.onRequestBytes(chunk);
    if (!this.#stream!.write(chunk, true)) this.#incoming.pause();
  };

  readonly #onBodyEnd = (): void => {
    this.#options.tap?.onRequestEnd();
    const { rawTrailers } = this.#incoming;
    this.#stream!.end(rawTrailers.length === 0 ? rawTrailers : passableTrailers(rawTrailers));
    this.#awaitAnswer();
  };

  readonly #onClose = (): void => {
    if (this.#settled) return;
    if (this.#outgoing.writableEnded && this.#stream!.remoteEnded) return this.#finish();
    this.#stream!.reset("cancelled", "The visitor left");
    this.#settle("visitor_left", "The visitor left");
  };

  readonly #onDrained = (): void => {
    this.#awaitsDrain = false;
    const bytes = this.#pendingBytes;
    this.#pendingBytes = 0;
    this.#stream!.consumed(bytes);
  };

  // From the stream.

  onDrain(): void {
    this.#incoming.resume();
  }

  onHead(encoded: Uint8Array, body: Uint8Array, end: boolean): void {
    const head = decodeResponseHead(encoded);
    if (this.#status !== 0) throw new ProtocolError("protocol", "Cannot take a second response head");
    if (head.status < 200) {
      if (end || body.length > 0) {
        throw new ProtocolError("protocol", "Cannot take a body with an interim answer");
      }
      return this.#interim(head);
    }
    const answer = readResponse(head, this.#options.method);
    if (!answer) return this.#refuse("The answer has an unsafe head");
    clearTimeout(this.#timer);
    this.#remainingBytes = answer.bodyBytes < 0 ? Infinity : answer.bodyBytes;
    try {
      this.#outgoing.writeHead(answer.status, answer.reason, answer.fields);
    } catch (error) {
      // The runtime's own check is stricter than ours in some corner: the visitor gets 502, not half a head.
      return this.#refuse(`The answer has a head that cannot be written: ${(error as Error).message}`);
    }
    this.#status = answer.status;
    this.#fields = answer.fields;
    if (body.length > 0 || end) this.onData(body, end);
    else this.#outgoing.flushHeaders();
  }

  onData(chunk: Uint8Array, end: boolean): void {
    const bytes = chunk.length;
    if (this.#status === 0) throw new ProtocolError("protocol", "Cannot take a body before its head");
    this.#responseBytes += bytes;
    this.#lastByteMs = performance.now();
    this.#remainingBytes -= bytes;
    if (this.#remainingBytes < 0) return this.#cut("More bytes came than the answer declared");
    this.#options.tap?.onResponseBytes(chunk);
    if (end) return this.#end(chunk);
    if (bytes === 0) return;
    if (this.#outgoing.write(chunk) && !this.#awaitsDrain) return this.#stream!.consumed(bytes);
    this.#pendingBytes += bytes;
    if (this.#awaitsDrain) return;
    this.#awaitsDrain = true;
    this.#outgoing.once("drain", this.#onDrained);
  }

  onEnd(trailers: string[]): void {
    if (this.#status === 0) return this.#refuse("The answer ended before its head");
    if (trailers.length > 0) {
      const pairs = trailerPairs(trailers);
      if (!pairs) return this.#cut("A trailer is unsafe");
      this.#outgoing.addTrailers(pairs);
    }
    this.#end(undefined);
  }

  onReset(error: StreamError): void {
    this.#fail(failureOf(error), error.message, false, isLost(error));
  }

  #interim(head: ResponseHead): void {
    if (++this.#informational > INFORMATIONAL_MAX || head.status === 101) {
      return this.#refuse("The target sent interim answers that cannot be passed on");
    }
    // RFC 9110 §15.2: HTTP/1.0 knows none. Behind a pipelined request it would land in the answer of that one.
    if (this.#incoming.httpVersion !== "1.1" || !this.#outgoing.socket) return;
    if (head.status === 100) return this.#outgoing.writeContinue();
    const answer = readResponse(head, this.#options.method);
    if (answer) this.#incoming.socket.write(Buffer.from(formatHead(answer), "latin1"));
  }

  #end(chunk: Uint8Array | undefined): void {
    if (this.#remainingBytes > 0 && this.#remainingBytes !== Infinity) {
      return this.#cut("Fewer bytes came than the answer declared");
    }
    if (chunk !== undefined && chunk.length > 0) {
      this.#pendingBytes += chunk.length;
      this.#outgoing.end(chunk);
    } else {
      this.#outgoing.end();
    }
  }

  /** The exchange went well; the visitor's body may still be on its way after an early answer. */
  #finish(): void {
    this.#stream!.consumed(this.#pendingBytes);
    this.#pendingBytes = 0;
    if (this.#options.hasBody && !this.#incoming.complete) {
      this.#stream!.reset("cancelled", "The answer came before the end of the request");
      linger(this.#incoming);
    }
    this.#settle(undefined, "");
  }

  /** The answer cannot be used, and the visitor has seen nothing of it. */
  #refuse(detail: string): void {
    this.#stream!.reset("badResponse", detail);
    this.#fail("http_protocol_error", detail);
  }

  /** The answer went wrong after its head. */
  #cut(detail: string): void {
    this.#stream!.reset("badResponse", detail);
    this.#fail("http_response_incomplete", detail);
  }

  #fail(failure: Failure, detail: string, tooLarge = false, retryable = false): void {
    if (this.#settled) return;
    if (this.#status !== 0) {
      this.#settle("http_response_incomplete", detail);
      // An orderly end would make an answer look whole that only the end of the connection ends.
      this.#incoming.socket.resetAndDestroy();
      return;
    }
    this.#settle(failure, detail, tooLarge, retryable && !this.#options.hasBody && this.#informational === 0);
  }

  #settle(
    failure: Failure | undefined,
    detail: string,
    tooLarge = false,
    retryable = failure !== undefined && !this.#stream,
  ): void {
    if (this.#settled) return;
    this.#settled = true;
    clearTimeout(this.#timer);
    this.#outgoing.off("close", this.#onClose);
    this.#outgoing.off("drain", this.#onDrained);
    if (this.#options.hasBody) {
      this.#incoming.off("data", this.#onBody);
      this.#incoming.off("end", this.#onBodyEnd);
    }
    this.#resolve({
      status: this.#status,
      fields: this.#fields,
      failure,
      detail,
      requestBytes: this.#requestBytes,
      responseBytes: this.#responseBytes,
      retryable,
      tooLarge,
    });
  }

  #awaitAnswer(): void {
    const { answerTimeoutMs } = this.#options;
    if (answerTimeoutMs === 0 || this.#status !== 0 || this.#settled) return;
    this.#timer = setTimeout(() => {
      this.#stream!.reset("cancelled", "No answer in time");
      this.#fail("http_response_timeout", "No answer in time");
    }, answerTimeoutMs);
  }

  #watchIdle(idleTimeoutMs: number): void {
    this.#lastByteMs = performance.now();
    const check = (): void => {
      if (this.#settled) return;
      const leftMs = this.#lastByteMs + idleTimeoutMs - performance.now();
      if (leftMs > 0) return void setTimeout(check, leftMs);
      this.#stream!.reset("cancelled", "Nothing moved in time");
      this.#fail("http_response_timeout", "Nothing moved in time");
    };
    setTimeout(check, idleTimeoutMs);
  }
}
