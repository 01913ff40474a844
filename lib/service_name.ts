/**
 * The grammar of service names, in one place: tokens, routes, configuration and the link all use it.
 *
 * A service name is one DNS label in lower case, so that every service can be a host name below a domain.
 *
 * Source: RFC 1123 §2.1, RFC 1035 §2.3.4 (63 octets).
 *
 * @module
 */

import { quoted } from "./printable.ts";

/** The longest service name, as for any DNS label. */
export const SERVICE_NAME_CHARS_MAX = 63;

const SERVICE_NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** A text is not a service name. The message says what is wrong and shows a right one. */
export class ServiceNameError extends Error {
  override name = "ServiceNameError";
}

/** Whether `text` is a service name. */
export function isServiceName(text: string): boolean {
  return text.length <= SERVICE_NAME_CHARS_MAX && SERVICE_NAME.test(text);
}

/**
 * Reads a service name. Nothing is trimmed or lower-cased: two spellings of one name would be two services.
 *
 * @param text What somebody wrote.
 * @returns The same text.
 * @throws {ServiceNameError} When it is not one.
 */
export function parseServiceName(text: string): string {
  if (isServiceName(text)) return text;
  if (text === "") throw new ServiceNameError("a service name is missing: write one such as web");
  if (text.length > SERVICE_NAME_CHARS_MAX) {
    throw new ServiceNameError(
      `service name ${quoted(text)} is too long: at most ${SERVICE_NAME_CHARS_MAX} characters, such as web`,
    );
  }
  const lower = text.toLowerCase();
  const example = isServiceName(lower) ? lower : "web-1";
  throw new ServiceNameError(
    `service name ${quoted(text)} is not valid: use a-z, 0-9 and inner hyphens, such as ${example}`,
  );
}
