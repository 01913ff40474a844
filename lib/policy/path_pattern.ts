/**
 * Paths of rules, and what a path that was sent may mean.
 *
 * A pattern is a path whose segments may be `{int}`, `{uuid}`, `{hex}`, `{date}`, `{id}` or `{str}`, as learned routes
 * have them, and whose end may be `/**`, this and all below. Literals are compared after one percent-decoding on both sides.
 *
 * Servers do not agree on what a path means: some decode `%2F` before they split it, most walk `..`, some drop `;x`, many
 * ignore case, and `new URL(target, base)` takes `//host/path` for `/path`. So a path has **readings**, and a rule that
 * lets pass must match every one of them exactly, while for a rule that warns or refuses one is enough, in any case and
 * with or without a slash at the end. What differs only in its encoding, such as `/a%20b`, has one reading.
 *
 * Source: RFC 3986 §2.3, §3.3, §4.2, §6.2.2 (equal paths), WHATWG URL §4.4 (relative slash state), RFC 9562 (UUID),
 * RFC 3339 (dates).
 *
 * @module
 */
import { coveringPlaceholders } from "./segment.ts";

/** How much of a path's readings patterns match: each of them exactly, at least one loosely, or none. */
export type PathMatch = "all" | "some" | "none";

type Segment = { readonly text: string } | { readonly type: SegmentType };

/** Whether a segment is of a type. */
interface SegmentType {
  test(segment: string): boolean;
}

/** A pattern, read. */
export interface PathPattern {
  readonly segments: readonly Segment[];
  /** The same in lower case and without an empty one at the end. */
  readonly loose: readonly Segment[];
  /** Whether all below matches too. */
  readonly below: boolean;
}

const TYPES = new Map<string, SegmentType>([
  // As it is learned.
  ["{id}", { test: (segment: string): boolean => coveringPlaceholders(segment).includes("{id}") }],
  ["{int}", /^[0-9]+$/],
  ["{uuid}", /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i],
  // Shorter ones are more often words, such as "cafe" and "added".
  ["{hex}", /^[0-9a-f]{8,}$/i],
  ["{date}", /^[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])$/],
  ["{str}", /[^]/],
]);

/**
 * Reads a pattern.
 *
 * @returns `undefined` when it is none: it does not begin with a slash, has a star elsewhere than in `/**` at its end,
 *   braces around anything but a type, a query, or a segment that no path keeps (empty, `.` or `..`).
 */
export function parsePathPattern(pattern: string): PathPattern | undefined {
  if (!pattern.startsWith("/") || /[?#\\;]/.test(pattern)) return undefined;
  const below = pattern.endsWith("/**");
  const parts = (below ? pattern.slice(0, -3) : pattern).split("/").slice(1);
  const segments: Segment[] = [];
  for (const [index, part] of parts.entries()) {
    const type = TYPES.get(part);
    if (type !== undefined) {
      segments.push({ type });
      continue;
    }
    const text = decodeOnce(part);
    const isOdd = /[*{}]/.test(part) || /[/\\;\0]/.test(text) || text === "." || text === "..";
    if (isOdd || (text === "" && (below || index < parts.length - 1))) return undefined;
    segments.push({ text });
  }
  const loose = segments.map((it) => "text" in it ? { text: it.text.toLowerCase() } : it);
  const last = loose.at(-1);
  if (last !== undefined && "text" in last && last.text === "") loose.pop();
  return { segments, loose, below };
}

/** Whether a text is a pattern. */
export function isPathPattern(pattern: string): boolean {
  return parsePathPattern(pattern) !== undefined;
}

/** The literals that a pattern begins with, as `PathReading.loose` has them. */
export function literalsOf(pattern: PathPattern): string[] {
  const texts: string[] = [];
  for (const segment of pattern.loose) {
    if (!("text" in segment)) break;
    texts.push(segment.text);
  }
  return texts;
}

/** One meaning of a path. */
export interface PathReading {
  /** Decoded segments; one may hold a slash that was sent encoded. */
  readonly segments: readonly string[];
  /** The same in lower case and without an empty one at the end. */
  readonly loose: readonly string[];
}

/** No path that means several things is read beyond these: each reading takes its time, and a head may be long. */
export const AMBIGUOUS_CHARS_MAX = 8_192;
export const AMBIGUOUS_SEGMENTS_MAX = 256;

/**
 * What a path may mean. Servers differ in four things, each on its own: whether escapes are decoded after the path is
 * split, before, or twice (one server behind another); whether `;x` belongs to a segment; whether an empty segment is
 * one for `..` to go back over; whether what follows two slashes is a host and no part of the path.
 *
 * @param path As sent, without a query; `*` is a segment of its own.
 * @returns The one as sent first; at most `READINGS_MAX`, and one when they are all the same. None at all when it is
 *   over `AMBIGUOUS_CHARS_MAX` or `AMBIGUOUS_SEGMENTS_MAX` and not plain: it may mean anything.
 */
export function readPath(path: string): readonly PathReading[] {
  const sent = path.split("/");
  if (path.startsWith("/")) sent.shift();
  if (!/[%\\;]|\/\.|\/\//.test(path)) return [readingOf(sent)];
  if (path.length > AMBIGUOUS_CHARS_MAX || sent.length > AMBIGUOUS_SEGMENTS_MAX) return [];
  const readings = [readingOf(sent.map(decodeOnce))];
  addReadings(readings, path);
  const withoutHost = path.replace(/^[/\\]{2,}[^/\\]*/, "");
  if (withoutHost !== path) {
    addReadings(readings, withoutHost.startsWith("/") ? withoutHost : `/${withoutHost}`);
  }
  return readings;
}

/** Adds what a path may mean and is not among the readings yet. */
function addReadings(readings: PathReading[], path: string): void {
  const sent = path.split("/");
  if (path.startsWith("/")) sent.shift();
  const decoded = sent.map(decodeOnce);
  const once = decodeOnce(path);
  const splits = [decoded, splitDecoded(once)];
  if (once.includes("%")) splits.push(splitDecoded(decodeOnce(once)));
  for (const parts of splits) {
    for (
      const [keepsParameters, keepsEmpty] of [[false, false], [true, false], [false, true], [true, true]]
    ) {
      const segments = walk(parts, keepsParameters!, keepsEmpty!);
      if (readings.every((it) => !isSame(it.segments, segments))) readings.push(readingOf(segments));
    }
  }
}

/** As sent, and three ways to split times two for parameters, two for empty segments and two for a host. */
export const READINGS_MAX = 25;

/**
 * How much of a path the patterns match. Each reading may be matched by another one of them. What may mean anything is
 * matched in part by all of them: so nothing that refuses is passed by.
 */
export function matchPaths(patterns: readonly PathPattern[], readings: readonly PathReading[]): PathMatch {
  if (readings.length === 0) return "some";
  let exact = 0;
  for (const { segments } of readings) {
    if (patterns.some((it) => fits(it.segments, it.below, segments))) exact += 1;
  }
  if (exact === readings.length) return "all";
  if (exact > 0) return "some";
  const isSome = readings.some(({ loose }) => patterns.some((it) => fits(it.loose, it.below, loose)));
  return isSome ? "some" : "none";
}

function fits(pattern: readonly Segment[], below: boolean, segments: readonly string[]): boolean {
  if (below ? segments.length < pattern.length : segments.length !== pattern.length) return false;
  for (let index = 0; index < pattern.length; index += 1) {
    const wanted = pattern[index]!;
    const text = segments[index]!;
    if ("text" in wanted ? wanted.text !== text : !wanted.type.test(text)) return false;
  }
  return true;
}

function readingOf(segments: readonly string[]): PathReading {
  const loose = segments.map((text) => text.toLowerCase());
  if (loose.at(-1) === "") loose.pop();
  return { segments, loose };
}

/** Each escape becomes one character of its byte, so that nothing is lost in text that is no UTF-8. */
function decodeOnce(text: string): string {
  if (!text.includes("%")) return text;
  return text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
}

function splitDecoded(decoded: string): string[] {
  const parts = decoded.replaceAll("\\", "/").split("/");
  if (decoded.startsWith("/")) parts.shift();
  return parts;
}

/** The segments that are left when `.` and `..` are walked, and what follows a NUL is cut off. */
function walk(parts: readonly string[], keepsParameters: boolean, keepsEmpty: boolean): string[] {
  const segments: string[] = [];
  let last = "";
  for (const part of parts) {
    last = part.split(keepsParameters ? "\0" : /[;\0]/, 1)[0]!;
    if (last === "..") segments.pop();
    else if (last !== "." && (last !== "" || keepsEmpty)) segments.push(last);
  }
  // A directory stays one; the root is one empty segment, as when it is sent.
  const isDirectory = last === "." || last === ".." || (last === "" && !keepsEmpty);
  if (segments.length === 0 || isDirectory) segments.push("");
  return segments;
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, at) => text === b[at]);
}
