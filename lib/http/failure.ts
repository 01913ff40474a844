/**
 * What went wrong with a request, as one word, and the status that a visitor gets for it.
 *
 * The words are those of RFC 9209 (Proxy-Status) where it has one, and the same in logs and metrics.
 *
 * @module
 */
import type { StreamError } from "../mux/stream.ts";
import type { ErrorName } from "../wire/errors.ts";

/** Why a request was not answered by its target. */
export type Failure =
  | "destination_not_found"
  | "destination_unavailable"
  | "destination_ip_unroutable"
  | "connection_refused"
  | "connection_timeout"
  | "connection_terminated"
  | "connection_limit_reached"
  | "tls_protocol_error"
  | "dns_error"
  | "http_protocol_error"
  | "http_response_timeout"
  | "http_response_incomplete"
  | "http_request_error"
  | "http_request_denied"
  | "visitor_left";

/** The status for a failure before the response head. */
export const FAILURE_STATUS: Record<Failure, number> = {
  "destination_not_found": 404,
  "destination_unavailable": 503,
  "destination_ip_unroutable": 502,
  "connection_refused": 502,
  "connection_timeout": 504,
  "connection_terminated": 502,
  "connection_limit_reached": 503,
  "tls_protocol_error": 502,
  "dns_error": 502,
  "http_protocol_error": 502,
  "http_response_timeout": 504,
  "http_response_incomplete": 502,
  "http_request_error": 400,
  "http_request_denied": 403,
  "visitor_left": 499,
};

/** What a reset of the stream means for the visitor. */
export function failureOf(error: StreamError): Failure {
  switch (error.code) {
    case "targetRefused":
      return "connection_refused";
    case "targetTimeout":
      return "connection_timeout";
    case "targetUnreachable":
      return "destination_ip_unroutable";
    case "targetDns":
      return "dns_error";
    case "targetTls":
      return "tls_protocol_error";
    case "badResponse":
      return "http_protocol_error";
    case "badRequest":
      return "http_request_error";
    case "unknownService":
    case "draining":
      return "destination_unavailable";
    case "refused":
    case "overloaded":
      return "connection_limit_reached";
    default:
      return "connection_terminated";
  }
}

/** What a visitor may know of a failure; the cause is in the log, under the request's id. */
export function failureDetail(failure: Failure): string {
  switch (failure) {
    case "connection_refused":
      return "The service refused the connection";
    case "connection_timeout":
      return "The service could not be reached in time";
    case "connection_limit_reached":
      return "The service is busy";
    case "http_response_timeout":
      return "The service did not answer in time";
    case "http_protocol_error":
      return "The service gave an answer that cannot be passed on";
    case "http_request_denied":
      return "The policy of this gateway does not allow it";
    default:
      return "The service did not answer";
  }
}

/** Whether a stream was lost with its link or never reached its target: what it carried may be sent on another. */
export function isLost(error: StreamError): boolean {
  return error.code === "none" || error.code === "draining" || UNREACHED.has(error.code);
}

/** The target was not even connected to, so doing it elsewhere is not doing it twice. */
const UNREACHED = new Set<ErrorName>(["refused", "targetRefused", "targetUnreachable", "targetDns"]);

/** Whether nothing of a request can have been done: it may be sent again also when it is not idempotent. */
export function isUndone(failure: Failure | undefined): boolean {
  return failure === "connection_limit_reached" || failure === "connection_refused" ||
    failure === "destination_ip_unroutable" || failure === "dns_error";
}
