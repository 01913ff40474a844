/**
 * How two answers to the same request differ, without what every answer has anew.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { FieldMasks } from "./mask_fields.ts";
import { MASK } from "./secret_names.ts";
import type { ShownBody } from "./shown_body.ts";

/** Differences of headers that are told; answers with more differ in everything. */
const HEADERS_MAX = 64;
/** What is told of a value, and of a body around the place where they part. */
const VALUE_CHARS_MAX = 512;
const EXCERPT_CHARS_MAX = 200;
const EXCERPT_CHARS_BEFORE = 40;

/** Times, ids of requests, what is said of the connection: they say nothing of the service. Lengths are told apart. */
const IGNORED: ReadonlySet<string> = new Set([
  ...["date", "age", "expires", "connection", "keep-alive", "transfer-encoding", "content-length"],
  ...["x-request-id", "request-id", "x-correlation-id", "x-trace-id", "traceparent", "tracestate", "cf-ray"],
  ...["x-amzn-trace-id", "x-amzn-requestid", "x-b3-traceid", "x-b3-spanid", "server-timing", "x-runtime"],
  ...["x-response-time", "x-process-time", "x-cloud-trace-context"],
]);

/** One answer. */
export interface ComparedAnswer {
  readonly status: number;
  /** Flat names and values. */
  readonly fields: readonly string[];
  /** Of the whole body. */
  readonly bodyBytes: number;
  /** The body as it came, and as it is shown; absent when it is not known, or not whole. */
  readonly body?: { readonly raw: Uint8Array; readonly shown: ShownBody } | undefined;
}

export interface Difference {
  /** `status`, `header NAME`, `body` or `bodyBytes`. */
  readonly part: string;
  readonly before: string;
  readonly after: string;
}

/**
 * Compares two answers.
 *
 * @param isRaw Whether the fields of the first hold their secrets. Else those of the second are compared masked.
 */
export function differences(
  before: ComparedAnswer,
  after: ComparedAnswer,
  masks: FieldMasks,
  isRaw: boolean,
): Difference[] {
  const found: Difference[] = [];
  const note = (part: string, a: string, b: string): void => {
    found.push({ part, before: a.slice(0, VALUE_CHARS_MAX), after: b.slice(0, VALUE_CHARS_MAX) });
  };
  if (before.status !== after.status) note("status", String(before.status), String(after.status));
  const [old, fresh] = [valuesOf(before.fields), valuesOf(after.fields)];
  const names = [...new Set([...old.keys(), ...fresh.keys()])].filter((name) => !IGNORED.has(name)).sort();
  for (const name of names) {
    const shown = (values: readonly string[]): string =>
      values.map((value) => masks.mask(name, value)).join(", ");
    const [a, b] = [old.get(name) ?? [], fresh.get(name) ?? []];
    const isSame = isRaw ? isEqual(a, b) : shown(a) === shown(b);
    if (!isSame && found.length < HEADERS_MAX) note(`header ${name.slice(0, 128)}`, shown(a), shown(b));
  }
  const bodies = bodyDifference(before, after);
  if (bodies !== undefined) note("body", bodies[0], bodies[1]);
  const isKnown = before.body !== undefined && after.body !== undefined;
  // Compressed anew, the same may take another length.
  if (before.bodyBytes !== after.bodyBytes && (!isKnown || bodies !== undefined)) {
    note("bodyBytes", String(before.bodyBytes), String(after.bodyBytes));
  }
  return found;
}

function bodyDifference(before: ComparedAnswer, after: ComparedAnswer): [string, string] | undefined {
  const [a, b] = [before.body, after.body];
  if (a === undefined || b === undefined || Buffer.compare(a.raw, b.raw) === 0) return undefined;
  const [old, fresh] = [a.shown.content, b.shown.content];
  if (old !== fresh) {
    const from = Math.max(0, commonPrefix(old, fresh) - EXCERPT_CHARS_BEFORE);
    return [old.slice(from, from + EXCERPT_CHARS_MAX), fresh.slice(from, from + EXCERPT_CHARS_MAX)];
  }
  const isCompressed = a.shown.contentEncoding !== undefined && a.shown.format !== "hidden";
  // What is shown is the same: they part in what is masked, or in the way that they were compressed.
  return isCompressed && !old.includes(MASK) ? undefined : [MASK, MASK];
}

function commonPrefix(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  let at = 0;
  while (at < length && a[at] === b[at]) at++;
  return at;
}

/** By lower-case name, in order. */
function valuesOf(fields: readonly string[]): Map<string, string[]> {
  const values = new Map<string, string[]>();
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!.toLowerCase();
    const known = values.get(name);
    if (known === undefined) values.set(name, [fields[i + 1]!]);
    else known.push(fields[i + 1]!);
  }
  return values;
}

function isEqual(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
