/**
 * The agent's half of one exchange: a stream's request to the target, the target's answer into the stream.
 *
 * This is the exact engine: the request reaches the target as the visitor sent it, and the answer goes back as the
 * target sent it. Backpressure passes through in both directions: credit returns to the gateway when the target's
 * socket has taken the bytes, and the target's socket is not read while the stream has no credit.
 *
 * @module
 */
import type { Stream, StreamError, StreamSink } from "../mux/stream.ts";
import type { ErrorName } from "../wire/errors.ts";
import { encodeResponseHead, type RequestHead, type ResponseHead } from "../wire/head.ts";
import type { Exchange, ExchangeError, ExchangeErrorCode, ExchangeSink } from "./exchange.ts";
import type { TargetClient } from "./target_client.ts";

/** What the gateway is told when the target fails: a code, never an address or a message. */
const RESET_CODES: Record<ExchangeErrorCode, ErrorName> = {
  refused: "targetRefused",
  timeout: "targetTimeout",
  dns: "targetDns",
  tls: "targetTls",
  unreachable: "targetUnreachable",
  reset: "targetReset",
  truncated: "targetReset",
  "bad_response": "badResponse",
  "too_many": "overloaded",
  aborted: "cancelled",
  "request_body_too_long": "badRequest",
  "request_body_too_short": "badRequest",
  "bad_request": "badRequest",
};

/** What became of a replay, for the agent's own log: the message may name the target. */
export interface ReplayFacts {
  /** The final status, or 0 when there was none. */
  status: number;
  /** The target's failure, if it failed. */
  error: { code: string; message: string } | undefined;
}

export interface ReplayOptions {
  /** The stream, which has no sink yet. */
  stream: Stream;
  client: TargetClient;
  request: RequestHead;
  /** The first bytes of the body, that came with OPEN. */
  body: Uint8Array;
  /** Whether the visitor asks for another protocol. */
  upgrade: boolean;
  /** Called once, when the exchange is over. */
  onDone(facts: ReplayFacts): void;
}

/** Begins to replay a request. All that follows is driven by the stream and by the target. */
export function replay(options: ReplayOptions): void {
  const { stream, body, upgrade, request, client } = options;
  const hasBody = !upgrade && (!stream.remoteEnded || body.length > 0);
  const answer = new Answer(stream, options.onDone);
  const exchange = client.exchange(request, { hasBody, upgrade }, answer);
  answer.exchange = exchange;
  const forwarding = new Forwarding(stream, exchange, answer);
  answer.onRequestDrain = () => forwarding.drained();
  stream.attach(forwarding);
  if (body.length > 0) forwarding.onData(body, stream.remoteEnded);
}

/** From the gateway to the target. */
class Forwarding implements StreamSink {
  readonly #stream: Stream;
  readonly #exchange: Exchange;
  readonly #answer: Answer;
  /** Given to the target's socket and not taken by it yet. */
  #pendingBytes = 0;

  constructor(stream: Stream, exchange: Exchange, answer: Answer) {
    this.#stream = stream;
    this.#exchange = exchange;
    this.#answer = answer;
  }

  /** The target's socket has taken what waited. */
  drained(): void {
    const bytes = this.#pendingBytes;
    this.#pendingBytes = 0;
    this.#stream.consumed(bytes);
  }

  onHead(): void {
    // The session refuses HEAD on a stream that the peer opened.
  }

  onData(chunk: Uint8Array, end: boolean): void {
    if (chunk.length > 0) {
      if (this.#exchange.write(chunk) && this.#pendingBytes === 0) this.#stream.consumed(chunk.length);
      else this.#pendingBytes += chunk.length;
    }
    if (end) this.onEnd([]);
  }

  onEnd(trailers: string[]): void {
    this.#exchange.end(trailers);
    // After an upgrade either side may be the last to end.
    if (this.#answer.ended) this.#answer.finish(undefined);
  }

  /** The gateway can take more of the answer. */
  onDrain(): void {
    this.#exchange.resume();
  }

  onReset(_error: StreamError): void {
    this.#exchange.abort();
    this.#answer.finish(undefined);
  }
}

/** From the target to the gateway. */
class Answer implements ExchangeSink {
  exchange: Exchange | undefined;
  onRequestDrain: (() => void) | undefined;
  readonly #stream: Stream;
  readonly #onDone: (facts: ReplayFacts) => void;
  #status = 0;
  #upgraded = false;
  #ended = false;
  #done = false;

  constructor(stream: Stream, onDone: (facts: ReplayFacts) => void) {
    this.#stream = stream;
    this.#onDone = onDone;
  }

  /** True once the target has said its last word. */
  get ended(): boolean {
    return this.#ended;
  }

  onInformational(head: ResponseHead): void {
    this.#send(head, undefined, false);
  }

  onHead(head: ResponseHead, body: Uint8Array | undefined, complete: boolean): void {
    this.#status = head.status;
    this.#send(head, body, complete);
  }

  onUpgrade(head: ResponseHead, rest: Uint8Array | undefined): void {
    this.#status = head.status;
    this.#upgraded = true;
    this.#send(head, rest, false);
  }

  onBody(chunk: Uint8Array): void {
    if (!this.#stream.write(chunk)) this.exchange!.pause();
  }

  onEnd(trailers: string[]): void {
    this.#ended = true;
    // Does nothing when the head already said that it was all.
    this.#stream.end(trailers);
    if (!this.#upgraded || this.#stream.remoteEnded) this.finish(undefined);
  }

  onDrain(): void {
    this.onRequestDrain?.();
  }

  onError(error: ExchangeError): void {
    this.#stream.reset(RESET_CODES[error.code]);
    this.finish(error);
  }

  finish(error: ExchangeError | undefined): void {
    if (this.#done) return;
    this.#done = true;
    // What the target never took of the request must not stay counted against the windows and the budget.
    this.onRequestDrain?.();
    this.#onDone({ status: this.#status, error });
  }

  #send(head: ResponseHead, body: Uint8Array | undefined, complete: boolean): void {
    let encoded: Uint8Array;
    try {
      encoded = encodeResponseHead(head);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.exchange!.abort();
      this.#stream.reset("badResponse");
      this.#onDone({ status: head.status, error: { code: "bad_response", message: error.message } });
      this.#done = true;
      return;
    }
    if (!this.#stream.sendHead(encoded, body, complete)) this.exchange!.pause();
  }
}
