/**
 * Writes a request head as text, unchanged, or says why it must not be written.
 *
 * The caller's fields are untrusted: one CR LF in a value would be a second request on the target's connection.
 * Source: RFC 9112 §3, §5 and §6.
 *
 * @module
 */
import type { RequestHead } from "../wire/head.ts";
import { isFieldValue, isRequestTarget, isToken, readFraming } from "./fields.ts";

/** A request head that is ready to be sent, latin1, and how its body must be framed. */
export interface RequestText {
  readonly text: string;
  readonly body: "none" | "length" | "chunked";
  /** The declared length of the body in bytes; 0 unless `body` is "length". */
  readonly bodyBytes: number;
  /** True when the request asks to close the connection after it. */
  readonly close: boolean;
}

/** Why a request must not be written. */
export interface RequestFault {
  readonly fault: string;
}

/**
 * Writes the head of a request, fields exactly as given.
 *
 * @param hasBody True when body bytes will follow. A chunked request without one gets its last chunk here.
 * @param upgrade True when the exchange may turn into raw bytes.
 * @returns A fault for a bad method, target, name or value; for two framings; for a declared body that does not
 *   follow, and for a body that is not declared.
 */
export function requestText(
  head: RequestHead,
  hasBody: boolean,
  upgrade = false,
): RequestText | RequestFault {
  const { method, target, fields } = head;
  if (!isToken(method)) return { fault: "its method is not a token" };
  if (method === "CONNECT" && !upgrade) return { fault: "CONNECT is only for an upgrade" };
  if (hasBody && upgrade) return { fault: "an upgrade must have no body" };
  if (!isRequestTarget(target)) return { fault: "its target holds a space or a control character" };
  let text = `${method} ${target} HTTP/1.1\r\n`;
  if (fields.length % 2 !== 0) return { fault: "its last field has no value" };
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index] as string;
    const value = fields[index + 1] as string;
    if (!isToken(name)) return { fault: "a field name is not a token" };
    if (!isFieldValue(value)) return { fault: `the field ${name} holds a control character` };
    text += name + ": " + value + "\r\n";
  }
  text += "\r\n";
  const { fault, chunked, contentLength, close } = readFraming(fields);
  if (fault !== undefined) return { fault };
  if (!hasBody) {
    if (contentLength > 0) return { fault: `it declares a body of ${contentLength} bytes and has none` };
    return { text: chunked ? text + "0\r\n\r\n" : text, body: "none", bodyBytes: 0, close };
  }
  if (chunked) return { text, body: "chunked", bodyBytes: 0, close };
  if (contentLength < 0) return { fault: "it has a body but neither Content-Length nor Transfer-Encoding" };
  return { text, body: "length", bodyBytes: contentLength, close };
}

/**
 * Writes the last chunk of a chunked body with its trailers.
 *
 * @param trailers Flat name, value, …
 */
export function lastChunkText(trailers: readonly string[]): string | RequestFault {
  let text = "0\r\n";
  if (trailers.length % 2 !== 0) return { fault: "its last trailer has no value" };
  for (let index = 0; index < trailers.length; index += 2) {
    const name = trailers[index] as string;
    const value = trailers[index + 1] as string;
    if (!isToken(name)) return { fault: "a trailer name is not a token" };
    if (!isFieldValue(value)) return { fault: `the trailer ${name} holds a control character` };
    text += `${name}: ${value}\r\n`;
  }
  return text + "\r\n";
}

/** Methods that a client may send twice. Source: RFC 9110 §9.2.2. */
const IDEMPOTENT = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]);

/** True when sending a request twice means the same as sending it once. */
export function isIdempotent(method: string): boolean {
  return IDEMPOTENT.has(method);
}
