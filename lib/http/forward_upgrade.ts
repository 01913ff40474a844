/**
 * The gateway's half of an upgrade: WebSocket, or any other protocol that HTTP/1.1 can switch to.
 *
 * Not one byte that follows the request's head is sent on before the target has answered 101: until then they could
 * only be a second request that no rule has seen. If the target answers anything else, that answer is passed on and
 * the connection closes. Source: RFC 9110 §7.8, RFC 6455 §4.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import type { Session } from "../mux/session.ts";
import type { Stream, StreamError, StreamSink } from "../mux/stream.ts";
import { decodeResponseHead } from "../wire/head.ts";
import { type Failure, failureOf, isLost } from "./failure.ts";
import type { Deniable, ForwardFacts } from "./forward_options.ts";
import { formatHead } from "./answer_text.ts";
import { readResponse } from "./response_fields.ts";
import { INFORMATIONAL_MAX } from "./response_parser.ts";

export interface UpgradeOptions {
  /** The visitor's connection. It is not reading; nothing has been written to it. */
  socket: Socket;
  /** What came behind the request's head already. */
  early: Uint8Array;
  session: Session;
  service: string;
  /** The encoded request head. */
  head: Uint8Array;
  method: string;
  /** The protocols to switch to; without, the request is forwarded as any other and the connection closes after it. */
  upgrade: boolean;
  /** Time for the response head, in ms; 0 for no limit. */
  answerTimeoutMs: number;
  /** See `ForwardOptions`. */
  onBegin?: ((exchange: Deniable) => void) | undefined;
}

/** Forwards an upgrade and settles when the connection is over. Never rejects. */
export function forwardUpgrade(options: UpgradeOptions): Promise<ForwardFacts> {
  return new Promise((resolve) => {
    const forwarding = new UpgradeForwarding(options, resolve);
    options.onBegin?.(forwarding);
    forwarding.begin();
  });
}

class UpgradeForwarding implements StreamSink, Deniable {
  readonly #options: UpgradeOptions;
  readonly #socket: Socket;
  readonly #resolve: (facts: ForwardFacts) => void;
  #stream: Stream | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #settled = false;
  #status = 0;
  #fields: readonly string[] = [];
  #informational = 0;
  #remainingBytes = Infinity;
  #requestBytes = 0;
  #responseBytes = 0;
  #pendingBytes = 0;
  #socketEnded = false;

  constructor(options: UpgradeOptions, resolve: (facts: ForwardFacts) => void) {
    this.#options = options;
    this.#socket = options.socket;
    this.#resolve = resolve;
  }

  begin(): void {
    const { session, service, head, upgrade, answerTimeoutMs } = this.#options;
    if (this.#socket.destroyed) return this.#settle("visitor_left", "");
    this.#stream = session.openStream(upgrade ? "upgrade" : "http", service, head, !upgrade, this);
    if (!this.#stream) {
      return this.#settle("connection_limit_reached", "The link has no room for a stream", true);
    }
    this.#socket.on("close", this.#onClose);
    this.#socket.on("error", this.#onClose);
    if (answerTimeoutMs > 0) {
      this.#timer = setTimeout(() => {
        this.#stream!.reset("cancelled", "No answer in time");
        this.#fail("http_response_timeout", "No answer in time");
      }, answerTimeoutMs);
    }
  }

  get status(): number {
    return this.#status;
  }

  deny(detail: string): void {
    if (!this.#settled) this.#stream?.reset("cancelled", detail);
    this.#fail("http_request_denied", detail);
  }

  onDrain(): void {
    this.#socket.resume();
  }

  onHead(encoded: Uint8Array, body: Uint8Array, end: boolean): void {
    const head = decodeResponseHead(encoded);
    if (this.#status !== 0) return this.#refuse("The target sent two response heads");
    const answer = readResponse(head, this.#options.method);
    if (!answer) return this.#refuse("The answer has an unsafe head");
    if (head.status < 200 && head.status !== 101) {
      if (++this.#informational > INFORMATIONAL_MAX) {
        return this.#refuse("The target sent too many interim answers");
      }
      if (end || body.length > 0) return this.#refuse("An interim answer has a body");
      this.#socket.write(Buffer.from(formatHead(answer), "latin1"));
      return;
    }
    clearTimeout(this.#timer);
    if (head.status === 101) {
      const protocol = fieldOf(head.fields, "upgrade");
      if (!this.#options.upgrade || protocol === undefined) {
        return this.#refuse("The target switched unasked");
      }
      answer.fields.unshift("Connection", "Upgrade", "Upgrade", protocol);
    } else {
      answer.fields.push("Connection", "close");
      if (answer.bodyBytes >= 0) this.#remainingBytes = answer.bodyBytes;
    }
    this.#status = head.status;
    this.#fields = answer.fields;
    this.#socket.write(Buffer.from(formatHead(answer), "latin1"));
    if (head.status === 101) this.#splice();
    else if (this.#options.upgrade) this.#stream!.end();
    if (body.length > 0 || end) this.onData(body, end);
  }

  onData(chunk: Uint8Array, end: boolean): void {
    if (this.#status === 0) return this.#refuse("The target sent data before its answer");
    this.#responseBytes += chunk.length;
    this.#remainingBytes -= chunk.length;
    if (this.#remainingBytes < 0) return this.#refuse("More bytes came than the answer declared");
    if (chunk.length > 0) {
      if (this.#socket.write(chunk) && this.#pendingBytes === 0) {
        this.#stream!.consumed(chunk.length);
      } else {
        if (this.#pendingBytes === 0) this.#socket.once("drain", this.#onDrained);
        this.#pendingBytes += chunk.length;
      }
    }
    if (end) this.onEnd();
  }

  onEnd(): void {
    if (this.#status === 0) return this.#refuse("The answer ended before its head");
    if (this.#remainingBytes > 0 && this.#remainingBytes !== Infinity) {
      return this.#refuse("Fewer bytes came than the answer declared");
    }
    this.#socket.end();
    // A target that has said its last word needs no more of ours, unless the protocol is the visitor's own now.
    if (this.#status !== 101) this.#socket.resume();
  }

  onReset(error: StreamError): void {
    this.#fail(failureOf(error), error.message, isLost(error) && this.#informational === 0);
  }

  #splice(): void {
    if (this.#options.early.length > 0) this.#fromVisitor(this.#options.early);
    this.#socket.on("data", this.#onVisitorData);
    this.#socket.on("end", this.#onVisitorEnd);
  }

  readonly #onVisitorData = (chunk: Uint8Array): void => this.#fromVisitor(chunk);

  readonly #onVisitorEnd = (): void => {
    this.#socketEnded = true;
    this.#stream!.end();
  };

  readonly #onDrained = (): void => {
    const bytes = this.#pendingBytes;
    this.#pendingBytes = 0;
    this.#stream!.consumed(bytes);
  };

  readonly #onClose = (): void => {
    if (this.#settled) return;
    if (this.#stream!.remoteEnded && (this.#status !== 101 || this.#socketEnded)) {
      this.#stream!.consumed(this.#pendingBytes);
      this.#pendingBytes = 0;
      return this.#settle(undefined, "");
    }
    this.#stream!.reset("cancelled", "The visitor left");
    // Once switched, either side may hang up: that is how most connections end.
    this.#settle(this.#status === 101 ? undefined : "visitor_left", "The visitor left");
  };

  #fromVisitor(chunk: Uint8Array): void {
    this.#requestBytes += chunk.length;
    if (!this.#stream!.write(chunk, true)) this.#socket.pause();
  }

  #refuse(detail: string): void {
    this.#stream!.reset("badResponse", detail);
    this.#fail("http_protocol_error", detail);
  }

  #fail(failure: Failure, detail: string, retryable = false): void {
    if (this.#settled) return;
    const headSent = this.#status !== 0;
    this.#settle(headSent ? "http_response_incomplete" : failure, detail, retryable && !headSent);
    // An orderly end would make an answer whole that only the end of the connection ends.
    if (headSent) this.#socket.resetAndDestroy();
  }

  #settle(failure: Failure | undefined, detail: string, retryable = false): void {
    if (this.#settled) return;
    this.#settled = true;
    clearTimeout(this.#timer);
    this.#socket.off("close", this.#onClose);
    this.#socket.off("drain", this.#onDrained);
    this.#socket.off("data", this.#onVisitorData);
    this.#socket.off("end", this.#onVisitorEnd);
    // The "error" listener stays: a socket may fail after the exchange, and nobody else listens.
    this.#resolve({
      status: this.#status,
      fields: this.#fields,
      failure,
      detail,
      requestBytes: this.#requestBytes,
      responseBytes: this.#responseBytes,
      retryable,
      tooLarge: false,
    });
  }
}

/** The value of the first field of this lower-case name. */
function fieldOf(fields: string[], name: string): string | undefined {
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i]!.toLowerCase() === name) return fields[i + 1];
  }
  return undefined;
}
