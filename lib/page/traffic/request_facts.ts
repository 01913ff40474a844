/**
 * What the list of requests and one of them say: filters, words, and bodies as text.
 *
 * All of it came from visitors: it is text, and nothing but text.
 *
 * @module
 */
import type { RequestSummary, ShownBody } from "./traffic_types.ts";

/** What the list may be narrowed to, as the API has it. */
export const STATUS_CHOICES = ["2xx", "3xx", "4xx", "5xx", "1xx", "none"] as const;

/** The API puts it in the place of a secret. */
export const MASK = "[masked]";

/** What is shown of a body until more is asked for. */
export const TEXT_CHARS_SHOWN = 32_768;
export const HEX_BYTES_SHOWN = 4_096;
const HEX_ROW_BYTES = 16;

/** Methods that change nothing by what they mean. Source: RFC 9110 §9.2.1. */
const SAFE = new Set(["GET", "HEAD", "OPTIONS", "TRACE"]);
/** Methods that may be sent twice. Source: RFC 9110 §9.2.2. */
const IDEMPOTENT = new Set([...SAFE, "PUT", "DELETE"]);

/** What a status filter of the address is; anything else is none. */
export function statusFilter(param: string | null): string | undefined {
  return param !== null && /^(?:[1-9]xx|[1-9]\d\d|none)$/.test(param) ? param : undefined;
}

/** Those in which a text is found; without case, among what is shown. */
export function selectRequests(items: readonly RequestSummary[], text: string): RequestSummary[] {
  const wanted = text.trim().toLowerCase();
  if (wanted === "") return [...items];
  return items.filter(({ method, host, target, source, service, agent = "", id, rule = "", failure = "" }) =>
    [method, `${host}${target}`, source, service, agent, id, rule, failure].join("\n").toLowerCase()
      .includes(wanted)
  );
}

/** A status as it is shown, with the word of a badge that fits it. */
export function statusWords(
  { status, failure }: Pick<RequestSummary, "status" | "failure">,
): { text: string; word: "allow" | "info" | "warning" | "blocked" } {
  if (status === 0) return { text: failure ?? "no answer", word: "warning" };
  const word = status >= 500 ? "blocked" : status >= 400 ? "warning" : status >= 300 ? "info" : "allow";
  return { text: String(status), word };
}

/** What is to be known before a request is sent again. */
export function replayWarning({ method }: Pick<RequestSummary, "method">): string {
  if (SAFE.has(method)) return "";
  return IDEMPOTENT.has(method)
    ? `${method} changes something. Done twice it should come to the same, if the service keeps to HTTP.`
    : `${method} may do its work a second time: order, pay or send something again.`;
}

/** Which requests are shown as new: those that were not there before. */
export function newCount(held: readonly RequestSummary[], now: readonly RequestSummary[]): number {
  const known = new Set(held.map(({ id }) => id));
  return now.filter(({ id }) => !known.has(id)).length;
}

/** A page of older ones behind those that are there; each once. */
export function withOlder(
  items: readonly RequestSummary[],
  older: readonly RequestSummary[],
): RequestSummary[] {
  const known = new Set(items.map(({ id }) => id));
  return [...items, ...older.filter(({ id }) => !known.has(id))];
}

export interface BodyText {
  readonly text: string;
  /** Characters or bytes that are not in it. */
  readonly more: number;
}

/** A body as text: JSON with line breaks, bytes as rows in hexadecimal. @param isWhole Without the bound. */
export function bodyText({ format, content }: ShownBody, contentType: string, isWhole: boolean): BodyText {
  if (format === "hidden") return { text: "", more: 0 };
  if (format === "base64") {
    const bytes = bytesOf(content);
    const shown = isWhole ? bytes : bytes.subarray(0, HEX_BYTES_SHOWN);
    return { text: hexRows(shown), more: bytes.length - shown.length };
  }
  const text = /[/+]json\b/i.test(contentType) ? prettyJson(content) : content;
  const shown = isWhole ? text : text.slice(0, TEXT_CHARS_SHOWN);
  return { text: shown, more: text.length - shown.length };
}

/** As it is where it is no JSON, such as when it is cut. */
function prettyJson(text: string): string {
  try {
    const pretty = JSON.stringify(JSON.parse(text), null, 2);
    // Numbers and names that come twice do not survive a reading: then it is shown as it came.
    return compact(pretty) === compact(text) ? pretty : text;
  } catch {
    return text;
  }
}

function compact(text: string): string {
  return text.replaceAll(/\s+/g, "");
}

/** @returns Nothing where it is no base64. */
function bytesOf(base64: string): Uint8Array {
  try {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  } catch {
    return new Uint8Array();
  }
}

/** Offset, bytes, and those that are visible ASCII. */
export function hexRows(bytes: Uint8Array): string {
  const rows: string[] = [];
  for (let at = 0; at < bytes.length; at += HEX_ROW_BYTES) {
    const row = [...bytes.subarray(at, at + HEX_ROW_BYTES)];
    const hex = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const ascii = row.map((byte) => byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".").join("");
    rows.push(`${at.toString(16).padStart(6, "0")}  ${hex.padEnd(HEX_ROW_BYTES * 3 - 1)}  ${ascii}`);
  }
  return rows.join("\n");
}

/** A value in pieces: which of them stand for a secret. */
export function maskedPieces(value: string): { readonly text: string; readonly isMask: boolean }[] {
  return value.split(MASK).flatMap((text, index) => [
    ...(index === 0 ? [] : [{ text: MASK, isMask: true }]),
    ...(text === "" ? [] : [{ text, isMask: false }]),
  ]);
}
