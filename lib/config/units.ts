/**
 * Durations, sizes, counts and switches as people write them, turned into numbers with a known unit.
 *
 * Every parser has two forms: a plain function that throws `ValueError`, and a zod schema made from it by `leaf`,
 * which takes what a file, an environment or a flag can hold. Each message says what is wrong and shows a right
 * value.
 *
 * @module
 */

import { z } from "zod";
import { nearest } from "../nearest.ts";
import { quoted } from "../printable.ts";
import { isServiceName, parseServiceName, ServiceNameError } from "../service_name.ts";
import { Secret } from "./secret.ts";

/** A text is no value of its kind. The message is for the person who wrote it. */
export class ValueError extends Error {
  override name = "ValueError";
}

type ErrorClass = new (message: string) => Error;

/** What a setting can be before it is read: text from a flag or the environment, a scalar from the file. */
export type Written = string | number | boolean;

/** The longest text of one value. */
export const VALUE_CHARS_MAX = 8192;
/** The longest list of a setting. */
export const LIST_ITEMS_MAX = 10_000;
/** The longest time a timer can wait, about 24 days: a longer one would fire at once. */
export const TIMER_MS_MAX = 2 ** 31 - 1;

const DURATION_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SIZE_BYTES: Record<string, number> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};
const AMOUNT = /^(\d{1,15}(?:\.\d{1,6})?)([A-Za-z]*)$/;

/** The least and the greatest value, in the unit of the result. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

/**
 * Reads a duration such as `500ms`, `30s`, `5m`, `2h`, `90d`. `0` needs no unit.
 *
 * @returns Whole milliseconds.
 * @throws {ValueError} No unit, no number, or out of range.
 */
export function parseDuration(text: string, range: Range): number {
  const ms = parseAmount(text, DURATION_MS, "duration", "500ms, 30s, 5m or 90d");
  return checkRange(ms, range, text, "duration", formatDuration);
}

/**
 * Reads a size such as `64KiB` (of 1024), `1MiB`, `10GB` (of 1000), `512B`. `0` needs no unit.
 *
 * @returns Whole bytes.
 * @throws {ValueError} No unit, no number, or out of range.
 */
export function parseSize(text: string, range: Range): number {
  const bytes = parseAmount(text, SIZE_BYTES, "size", "64KiB, 1MiB or 10GB");
  return checkRange(bytes, range, text, "size", formatSize);
}

/**
 * Reads a whole number.
 *
 * @throws {ValueError} Not digits alone, or out of range.
 */
export function parseCount(text: string, range: Range): number {
  if (!/^\d{1,15}$/.test(text)) {
    throw new ValueError(`${quoted(text)} is no whole number: write one such as ${example(range)}`);
  }
  return checkRange(Number(text), range, text, "number", String);
}

/** A number of milliseconds as it would be written, in the largest unit that fits. */
export function formatDuration(ms: number): string {
  const units = Object.entries(DURATION_MS).reverse();
  const unit = units.find(([, size]) => ms % size === 0);
  return ms === 0 || unit === undefined ? String(ms) : `${ms / unit[1]}${unit[0]}`;
}

/** A number of bytes as it would be written, in the largest binary unit that fits. */
export function formatSize(bytes: number): string {
  const unit = ["TiB", "GiB", "MiB", "KiB"].find((name) => bytes % (SIZE_BYTES[name] ?? 1) === 0);
  if (bytes === 0) return "0";
  return unit === undefined ? `${bytes}B` : `${bytes / (SIZE_BYTES[unit] ?? 1)}${unit}`;
}

function parseAmount(text: string, units: Record<string, number>, noun: string, examples: string): number {
  const match = AMOUNT.exec(text);
  if (match === null) throw new ValueError(`${quoted(text)} is no ${noun}: write one such as ${examples}`);
  const [, digits = "", unit = ""] = match;
  if (unit === "" && Number(digits) === 0) return 0;
  if (unit === "") throw new ValueError(`${quoted(text)} has no unit: write a ${noun} such as ${examples}`);
  const size = Object.hasOwn(units, unit) ? units[unit] : undefined;
  if (size !== undefined) return Math.round(Number(digits) * size);
  const meant = Object.keys(units).find((name) => name.toLowerCase() === unit.toLowerCase());
  const cure = meant === undefined ? `one such as ${examples}` : `${digits}${meant}`;
  throw new ValueError(`${quoted(text)} has an unknown unit: write ${cure}`);
}

function checkRange(
  value: number,
  range: Range,
  text: string,
  noun: string,
  format: (value: number) => string,
): number {
  if (value < range.min) {
    throw new ValueError(`${noun} ${quoted(text)} is too small: at least ${format(range.min)}`);
  }
  if (value > range.max) {
    throw new ValueError(`${noun} ${quoted(text)} is too large: at most ${format(range.max)}`);
  }
  return value;
}

function example(range: Range): string {
  return String(Math.max(range.min, Math.min(8, range.max)));
}

/**
 * A schema for one value, from a function that reads text.
 *
 * @param metavar The name of the value in the help.
 * @param parse Throws `ValueError` or `ServiceNameError` for text that is none; all else is a bug.
 * @param also One more error class of `parse` whose message is for the reader.
 */
export function leaf<T>(
  metavar: string,
  parse: (text: string) => T,
  also: ErrorClass = ValueError,
): z.ZodType<T, Written> {
  return z.union([z.string(), z.number(), z.boolean()], { error: (issue) => wrongType(issue.input, metavar) })
    .transform((written, context) => {
      try {
        const text = String(written);
        if (text.length > VALUE_CHARS_MAX) {
          throw new ValueError(`value is too long: at most ${VALUE_CHARS_MAX} characters`);
        }
        return parse(text);
      } catch (error) {
        if (
          !(error instanceof Error) || ![ValueError, ServiceNameError, also].some((it) => error instanceof it)
        ) {
          throw error;
        }
        context.addIssue({ code: "custom", message: error.message });
        return z.NEVER;
      }
    })
    .meta({ metavar });
}

function wrongType(input: unknown, metavar: string): string {
  const found = input === undefined || input === null
    ? "has no value"
    : Array.isArray(input)
    ? "is a list"
    : "is a section";
  return `${found}: write one ${metavar}`;
}

/** A list of values. One value alone is a list of one, so that a file may leave the brackets out. */
export function list<T>(item: z.ZodType<T, Written>): z.ZodType<T[], unknown> {
  return z.preprocess(
    (written) => written === undefined || Array.isArray(written) ? written : [written],
    z.array(item).max(LIST_ITEMS_MAX, `too many values: at most ${LIST_ITEMS_MAX}`),
  );
}

/** A duration in whole milliseconds that a timer can wait for. */
export function duration(range: Partial<Range> = {}): z.ZodType<number, Written> {
  const bounds = { min: 0, max: TIMER_MS_MAX, ...range };
  return leaf("DURATION", (text) => parseDuration(text, bounds));
}

/** A size in whole bytes. */
export function size(range: Partial<Range> = {}): z.ZodType<number, Written> {
  const bounds = { min: 0, max: 2 ** 50, ...range };
  return leaf("SIZE", (text) => parseSize(text, bounds));
}

/** A whole number. */
export function count(range: Range): z.ZodType<number, Written> {
  return leaf("N", (text) => parseCount(text, range));
}

/** A switch: `true` or `false`, in the environment also `1` or `0`. */
export function toggle(): z.ZodType<boolean, Written> {
  return leaf("BOOL", (text) => {
    if (text === "true" || text === "1") return true;
    if (text === "false" || text === "0") return false;
    throw new ValueError(`${quoted(text)} is neither on nor off: write true or false`);
  }).meta({ switch: true });
}

/** One word of a closed set. */
export function choice<const T extends string>(...words: T[]): z.ZodType<T, Written> {
  return leaf(words.join("|"), (text) => {
    const word = words.find((it) => it === text);
    if (word !== undefined) return word;
    const meant = nearest(text, words);
    const cure = meant === undefined ? `write one of ${words.join(", ")}` : `did you mean ${meant}`;
    throw new ValueError(`${quoted(text)} is not one of ${words.join(", ")}: ${cure}`);
  });
}

/** The path of a file or directory, as written. Whether it is there is found out when it is opened. */
export function filePath(metavar: "FILE" | "DIR"): z.ZodType<string, Written> {
  return leaf(metavar, (text) => {
    if (text.trim() === "") {
      throw new ValueError(`${metavar === "DIR" ? "directory" : "file"} is empty: name one`);
    }
    if (text.includes("\0")) throw new ValueError(`path ${quoted(text)} holds a zero byte: remove it`);
    return text;
  });
}

/** A service name. */
export function serviceName(): z.ZodType<string, Written> {
  return leaf("SERVICE", parseServiceName);
}

/** A namespace, which has the grammar of a service name and is none. */
export function namespaceName(): z.ZodType<string, Written> {
  return leaf("NAME", (text) => {
    if (isServiceName(text)) return text;
    const lower = text.toLowerCase();
    throw new ValueError(
      `namespace ${quoted(text)} is not valid: use a-z, 0-9 and inner hyphens, at most 63, such as ${
        isServiceName(lower) ? lower : "shop"
      }`,
    );
  });
}

/** A service name, or `*` for every service. */
export function serviceOrAny(): z.ZodType<string, Written> {
  return leaf("SERVICE", (text) => text === "*" ? text : parseServiceName(text));
}

/** A secret. Its text is never part of a message. */
export function secret(metavar: string): z.ZodType<Secret, Written> {
  return leaf(metavar, (text) => {
    const value = text.trim();
    if (value === "") throw new ValueError("secret is empty: give one, or a file that holds it");
    return new Secret(value);
  });
}

/**
 * A text of a pattern, such as an agent's name.
 *
 * @param rule What the pattern asks for, in words, with an example: the end of the message.
 */
export function word(metavar: string, pattern: RegExp, rule: string): z.ZodType<string, Written> {
  return leaf(metavar, (text) => {
    if (!pattern.test(text)) throw new ValueError(`${quoted(text)} is not valid: ${rule}`);
    return text;
  });
}
