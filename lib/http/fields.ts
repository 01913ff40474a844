/**
 * The rules of HTTP field lines: what a name, a value and a request target may hold, and how fields frame a body.
 *
 * Both sides of a replay use these, so that no message has two readings. Strings hold one byte per character
 * (latin1). Source: RFC 9110 §5, RFC 9112 §5 and §6.
 *
 * @module
 */

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// A character over 0xff would be cut to its low byte on the wire, and U+010A cut so is a line feed.
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const REQUEST_TARGET = /^[\x21-\x7e\x80-\xff]+$/;
// One length, or the same length again and again: "5", "5, 5".
const CONTENT_LENGTH = /^([0-9]+)(?:[ \t]*,[ \t]*\1)*$/;
const CLOSE = /(?:^|,)[ \t]*close[ \t]*(?:,|$)/i;
const KEEP_ALIVE = /(?:^|,)[ \t]*keep-alive[ \t]*(?:,|$)/i;

/** True for an RFC 9110 §5.6.2 token: a method, a field name. */
export function isToken(text: string): boolean {
  return TOKEN.test(text);
}

/** True when a field value holds no control character but a tab, and nothing that is not one byte. */
export function isFieldValue(text: string): boolean {
  return FIELD_VALUE.test(text);
}

/** True when a request target holds no space, no control character, and nothing that is not one byte. */
export function isRequestTarget(text: string): boolean {
  return REQUEST_TARGET.test(text);
}

/** What the fields of one message say about its body and its connection. */
export interface Framing {
  /** The declared length of the body in bytes, or -1 when there is no Content-Length. */
  readonly contentLength: number;
  /** True when the body is chunked. */
  readonly chunked: boolean;
  /** True when Connection holds "close". */
  readonly close: boolean;
  /** True when Connection holds "keep-alive". */
  readonly keepAlive: boolean;
  /** Why the framing is refused, or undefined. The other values mean nothing when it is set. */
  readonly fault: string | undefined;
}

/**
 * Reads how fields frame their message, and refuses what two readers could read in two ways.
 *
 * Refused: a transfer coding other than one "chunked", Transfer-Encoding together with Content-Length, lengths that
 * differ, and lengths that are not digits or over 2^53 - 1. Equal lengths, repeated or as "5, 5", count once.
 *
 * @param fields Flat name, value, …; names of any case.
 * @see RFC 9112 §6.1 to §6.3
 */
export function readFraming(fields: readonly string[]): Framing {
  let contentLength = -1;
  let chunked = false;
  let close = false;
  let keepAlive = false;
  let fault: string | undefined;
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const name = fields[index] as string;
    // Lengths are compared first: lower-casing every name would cost more than the rest of this loop.
    if (name.length === 14) {
      if (name !== "Content-Length" && name.toLowerCase() !== "content-length") continue;
      const length = parseContentLength(fields[index + 1] as string);
      if (length < 0) fault ??= "Content-Length is not a number of bytes";
      else if (contentLength >= 0 && contentLength !== length) {
        fault ??= "Content-Length is given twice and differs";
      }
      contentLength = length;
    } else if (name.length === 17) {
      if (name.toLowerCase() !== "transfer-encoding") continue;
      if (chunked || (fields[index + 1] as string).toLowerCase() !== "chunked") {
        fault ??= "Transfer coding is unsupported: it is not a single chunked";
      }
      chunked = true;
    } else if (name.length === 10) {
      if (name !== "Connection" && name.toLowerCase() !== "connection") continue;
      close ||= CLOSE.test(fields[index + 1] as string);
      keepAlive ||= KEEP_ALIVE.test(fields[index + 1] as string);
    }
  }
  // CL.TE and TE.CL smuggling: the next hop may believe the other field.
  if (chunked && contentLength >= 0) fault ??= "Transfer-Encoding and Content-Length are both given";
  return { contentLength, chunked, close, keepAlive, fault };
}

/** The length in bytes, or -1 when the value is not one. */
function parseContentLength(value: string): number {
  const digits = CONTENT_LENGTH.exec(value)?.[1];
  const length = digits === undefined ? -1 : Number(digits);
  return Number.isSafeInteger(length) ? length : -1;
}

/** What a section of field lines is, or why it is refused. */
export type FieldLines = { readonly fields: string[] } | {
  readonly code: FieldFaultCode;
  readonly message: string;
};

/** Why field lines are refused: a line that breaks the grammar, or more lines than allowed. */
export type FieldFaultCode = "bad_line" | "too_many_fields";

const BAD_LINE_END: FieldLines = {
  code: "bad_line",
  message: "A line is bad: it holds a lone CR, a lone LF or a control character",
};
const BAD_NAME: FieldLines = {
  code: "bad_line",
  message: "A line is bad: it does not begin with a field name and a colon",
};
const BAD_FOLD: FieldLines = {
  code: "bad_line",
  message: "A line is bad: it continues a field that is not there",
};
const FORBIDDEN = /[^\t\x20-\x7e\x80-\xff]/;

/**
 * Parses field lines, each ended by CRLF but for the last.
 *
 * Values lose the white space around them, an obsolete folding becomes one space, case and order stay.
 *
 * @param text The section as latin1, without the empty line that ends it.
 * @param from Where the first line begins; equal to the length of `text` for an empty section.
 * @param fieldsMax Fields at most.
 */
export function parseFieldLines(text: string, from: number, fieldsMax: number): FieldLines {
  const fields: string[] = [];
  for (let start = from; start < text.length;) {
    let end = text.indexOf("\r\n", start);
    if (end < 0) end = text.length;
    const first = text.charCodeAt(start);
    if (first === 0x20 || first === 0x09) {
      const folded = trimSpace(text, start, end);
      if (FORBIDDEN.test(folded)) return BAD_LINE_END;
      if (fields.length === 0) return BAD_FOLD;
      const before = fields[fields.length - 1] as string;
      fields[fields.length - 1] = before && folded ? `${before} ${folded}` : before || folded;
    } else {
      const colon = text.indexOf(":", start);
      // A name that runs past its line has no colon there; a space before the colon is no token.
      const name = colon < 0 || colon > end ? "" : text.slice(start, colon);
      if (!TOKEN.test(name)) return BAD_NAME;
      const value = trimSpace(text, colon + 1, end);
      if (FORBIDDEN.test(value)) return BAD_LINE_END;
      if (fields.length >= fieldsMax * 2) {
        return { code: "too_many_fields", message: `There are too many fields: the limit is ${fieldsMax}` };
      }
      fields.push(name, value);
    }
    start = end + 2;
  }
  return { fields };
}

/** A part of the text without the spaces and tabs around it. */
function trimSpace(text: string, start: number, end: number): string {
  while (start < end && isSpace(text.charCodeAt(start))) start++;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
