/**
 * What the gateway checks and removes in a target's answer before a visitor sees it.
 *
 * An agent is not trusted to have done it: a response that says one length and carries another would let one service
 * write the answer of the next request on the visitor's connection.
 *
 * @module
 */
import type { ResponseHead } from "../wire/head.ts";
import { setsSessionCookie } from "../session_cookie.ts";
import { isFieldValue, isToken, readFraming } from "./fields.ts";
import { removeNominated } from "./reading.ts";

/** An answer that may be written. */
export interface ResponseReading {
  status: number;
  reason: string;
  /** End-to-end fields, flat, in order. */
  fields: string[];
  /** The bytes of body that must follow: a number, 0 where there can be none, or -1 for until the end. */
  bodyBytes: number;
}

/**
 * Reads an answer.
 *
 * @param method The request's method: the answer to HEAD has no body, whatever it declares.
 * @returns `undefined` when it cannot be written safely: the visitor gets 502.
 */
export function readResponse(head: ResponseHead, method: string): ResponseReading | undefined {
  const { status, fields } = head;
  if (!isFieldValue(head.reason)) return undefined;
  const framing = readFraming(fields);
  if (framing.fault) return undefined;
  const noBody = method === "HEAD" || status === 204 || status === 304 || status < 200;
  // RFC 9110 §8.6: a length where there can be no body would make some readers wait for one.
  let lengthWritten = status === 204 || status < 200;
  const kept: string[] = [];
  let nominated: string[] | undefined;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!;
    const value = fields[i + 1]!;
    if (!isToken(name) || !isFieldValue(value)) return undefined;
    switch (name.length) {
      // Only names of these lengths can be one of those below; most fields skip the comparison.
      case 2:
      case 7:
      case 10:
      case 14:
      case 16:
      case 17:
      case 18:
        switch (name.toLowerCase()) {
          case "connection":
            nominated = [
              ...(nominated ?? []),
              ...value.split(",").map((token) => token.trim().toLowerCase()),
            ];
            continue;
          case "content-length":
            // "5, 5" and a repeated 5 are one length here; the next reader may not think so.
            if (!lengthWritten) kept.push(name, String(framing.contentLength));
            lengthWritten = true;
            continue;
          case "set-cookie":
            // No service signs anybody out of the page of the gateway, or in.
            if (setsSessionCookie(value)) continue;
            break;
          case "keep-alive":
          case "transfer-encoding":
          case "proxy-connection":
          case "proxy-authenticate":
          case "upgrade":
          case "te":
            continue;
        }
    }
    kept.push(name, value);
  }
  return {
    status,
    reason: head.reason,
    fields: nominated ? removeNominated(kept, nominated) : kept,
    bodyBytes: noBody ? 0 : framing.contentLength,
  };
}
