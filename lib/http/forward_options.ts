/**
 * What forwarding is given, what it tells, and how it is ended from outside.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Session } from "../mux/session.ts";
import type { Failure } from "./failure.ts";

export interface ForwardOptions {
  incoming: IncomingMessage;
  outgoing: ServerResponse;
  session: Session;
  service: string;
  /** The encoded request head. */
  head: Uint8Array;
  method: string;
  hasBody: boolean;
  /** A longer request body is cut off with 413; 0 for no limit. */
  bodyBytesMax: number;
  /** Time for the response head after the request has been sent whole, in ms; 0 for no limit. */
  answerTimeoutMs: number;
  /** Time without a byte either way, in ms; 0 for no limit. */
  idleTimeoutMs: number;
  /** Told what ends the exchange from outside. */
  onBegin?: ((exchange: Deniable) => void) | undefined;
  /** Hears the bodies as they pass. */
  tap?: ForwardTap | undefined;
}

/** Hears the bodies of an exchange. Chunks are valid during the call only. */
export interface ForwardTap {
  onRequestBytes(chunk: Uint8Array): void;
  /** The request is whole. */
  onRequestEnd(): void;
  onResponseBytes(chunk: Uint8Array): void;
}

/** An exchange that is under way. */
export interface Deniable {
  /** The status that the visitor got, or 0 until then. A raw connection has none. */
  readonly status?: number;
  /** Cuts it off, as it is not allowed any more: 403 where no head was sent. Without effect when it is over. */
  deny(detail: string): void;
}

/** What happened, for the log, the metrics and the decision to try again. */
export interface ForwardFacts {
  /** The status that the visitor got, or 0 when the head was not sent. */
  status: number;
  /** The fields of the answer, flat, as the visitor got them; empty when the head was not sent. Not to be changed. */
  fields: readonly string[];
  failure: Failure | undefined;
  /** For the log: what the agent or the session said. */
  detail: string;
  requestBytes: number;
  responseBytes: number;
  /** True when the target surely did not begin to answer, and the request can be sent again as it was. */
  retryable: boolean;
  /** The body went over `bodyBytesMax`: 413. */
  tooLarge: boolean;
}
