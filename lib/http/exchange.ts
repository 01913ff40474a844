/**
 * What a replay of one request looks like to its caller: the exchange, its sink and its errors.
 *
 * Kept apart from the client so that the connection, the client and their callers share the words without a cycle.
 * No sink method ever runs inside a call of `exchange()`, `write()`, `end()`, `abort()`, `pause()` or `resume()`.
 *
 * @module
 */
import type { ResponseHead } from "../wire/head.ts";

/** How a request travels. */
export interface ExchangeOptions {
  /** True when body bytes or an `end()` will follow the head. False sends the request whole at once. */
  readonly hasBody: boolean;
  /**
   * True when the visitor asked for an upgrade: only then is a 101 (or a 2xx to CONNECT) accepted. `hasBody` must be
   * false then; what is written before the upgrade waits for it, and is dropped when another answer comes.
   *
   * @default false
   */
  readonly upgrade?: boolean;
}

/**
 * Hears the answer to one request.
 *
 * Order: `onInformational`*, then `onHead` or `onUpgrade`, then `onBody`*, then `onEnd`. `onError` may take the place
 * of anything that is still to come. After `onError`, and after `onEnd` of an exchange that was not upgraded, nothing
 * more is called. An upgraded exchange may still hear `onDrain` and `onError` after `onEnd`, until both sides ended.
 */
export interface ExchangeSink {
  /** An interim answer: 100, 102, 103, … but never 101. */
  onInformational(head: ResponseHead): void;
  /**
   * The final head, with the body bytes that came along with it.
   *
   * @param body A view of the socket's buffer, valid during the call only; undefined when there is none yet.
   * @param complete True when the answer is whole and has no trailers: `onEnd([])` follows at once.
   */
  onHead(head: ResponseHead, body: Uint8Array | undefined, complete: boolean): void;
  /** A 101: from here on `write` and `onBody` carry raw bytes, `end` and `onEnd` are the two half-closes. */
  onUpgrade(head: ResponseHead, rest: Uint8Array | undefined): void;
  /**
   * Body bytes, at least one, valid during the call only.
   *
   * @param complete True when these are the last and no trailers follow: `onEnd([])` follows at once.
   */
  onBody(chunk: Uint8Array, complete: boolean): void;
  /** The answer is whole. @param trailers Flat name, value, …; empty when there were none. */
  onEnd(trailers: string[]): void;
  /** `write` may go on after it returned false. */
  onDrain(): void;
  /** The exchange failed; its connection is gone. */
  onError(error: ExchangeError): void;
}

/** One request on its way. After its end every method does nothing. */
export interface Exchange {
  /**
   * Sends body bytes, or raw bytes after an upgrade.
   *
   * A small first chunk leaves in one socket write with the head when it is written in the same turn as the exchange
   * was made. Bytes past the declared Content-Length fail the exchange with `request_body_too_long`.
   *
   * @param chunk Not copied: do not reuse it. An empty one does nothing.
   * @returns False when the caller should wait for `onDrain`.
   */
  write(chunk: Uint8Array): boolean;
  /**
   * Ends the request body, or half-closes after an upgrade.
   *
   * Fewer bytes than the declared Content-Length fail the exchange with `request_body_too_short`.
   *
   * @param trailers Flat name, value, …; sent only with a chunked body and dropped otherwise.
   */
  end(trailers?: string[]): void;
  /** Gives up: the connection is destroyed, and the sink hears nothing more, not even an error. */
  abort(): void;
  /** Stops reading the answer, so that the target feels the pressure. At most one socket read may still come. */
  pause(): void;
  /** Reads on. */
  resume(): void;
}

/** Why an exchange failed. */
export type ExchangeErrorCode =
  /** The target refused the connection, or its socket file does not exist. */
  | "refused"
  /** The connection was not made in time. */
  | "timeout"
  /** The target's name did not resolve. */
  | "dns"
  /** The TLS handshake failed. */
  | "tls"
  /** There is no way to the target, or connecting failed for any other reason. */
  | "unreachable"
  /** The connection ended before the whole head of the answer came. */
  | "reset"
  /** The connection ended after the head and before the end of the answer. */
  | "truncated"
  /** What came is not an HTTP/1 answer, or can be read in two ways. */
  | "bad_response"
  /** `connectionsMax` is reached. */
  | "too_many"
  /** The client was closed. */
  | "aborted"
  /** More body bytes were written than the request declared. */
  | "request_body_too_long"
  /** The body ended before the length that the request declared. */
  | "request_body_too_short"
  /** The request cannot be written safely: a bad method, target, field or framing. Nothing was sent. */
  | "bad_request";

/** An exchange failed. `beforeHead` tells whether the visitor can still get a status. */
export class ExchangeError extends Error {
  override name = "ExchangeError";
  constructor(
    readonly code: ExchangeErrorCode,
    /** True when neither `onHead` nor `onUpgrade` was called. */
    readonly beforeHead: boolean,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

const CONNECT_CODES: Readonly<Record<string, ExchangeErrorCode>> = {
  ECONNREFUSED: "refused",
  ENOENT: "refused",
  ETIMEDOUT: "timeout",
  ENOTFOUND: "dns",
  EAI_AGAIN: "dns",
  EAI_NODATA: "dns",
  EAI_NONAME: "dns",
  EAI_FAIL: "dns",
  ECONNRESET: "reset",
  EPIPE: "reset",
  EPROTO: "tls",
  // Codes that a connector may have chosen already.
  refused: "refused",
  timeout: "timeout",
  dns: "dns",
  tls: "tls",
  unreachable: "unreachable",
  reset: "reset",
};

/**
 * Sorts an error of connecting into an exchange code.
 *
 * @param cause What the socket or the connector gave: a system error, a TLS error, or an error with one of our codes.
 * @returns `unreachable` for what is not known.
 */
export function connectErrorCode(cause: unknown): ExchangeErrorCode {
  const code = systemCode(cause);
  const known = CONNECT_CODES[code];
  if (known !== undefined) return known;
  if (/^ERR_(TLS|SSL|OSSL)|CERT|SIGNATURE|SELF_SIGNED|ISSUER/.test(code)) return "tls";
  return "unreachable";
}

/** The system's code of an error, e.g. "ECONNRESET"; empty when it has none. */
export function systemCode(cause: unknown): string {
  if (typeof cause !== "object" || cause === null) return "";
  if ("code" in cause && typeof cause.code === "string") return cause.code;
  // Dialling a name with several addresses gives one error around the errors of each.
  if (cause instanceof AggregateError) return systemCode(cause.errors[0]);
  return "";
}
