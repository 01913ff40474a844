/**
 * The log: lines for people on a terminal, JSON lines for machines, on standard error.
 *
 * An own writer and not a library: the logger that was considered is set up through one table for the whole
 * process, which two gateways in one test process would share, and it adds 23 kB to a bundle. What is logged may
 * come from a stranger, so no control character ever reaches the output raw: one call is one line. Strangers can also
 * cause as many warnings as they like: of equal ones some are written, and the rest is counted.
 *
 * @module
 */

import process from "node:process";
import { printable } from "./printable.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";
export type LogFormat = "auto" | "line" | "json";
/** What belongs to a message. Names are the program's own; values may come from anywhere. */
export type LogFields = Readonly<Record<string, unknown>>;

/** A log that writes lines of a level, and gives children that carry fields. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A log that adds `fields` to every line. A field of the call replaces one of the child. */
  child(fields: LogFields): Logger;
}

export interface LoggerOptions {
  /** Takes one line with its line end. @default Standard error. */
  readonly write?: (line: string) => void;
  /** Whether people read it. Decides the format `auto` and, without `NO_COLOR`, colours. */
  readonly isTerminal: boolean;
  /** The least level that is written. */
  readonly level: LogLevel;
  /** `auto` is `line` on a terminal and `json` elsewhere. */
  readonly format: LogFormat;
  /** The clock, in milliseconds since 1970. @default Date.now */
  readonly nowMs?: () => number;
  /** Whether colours are unwanted. @default `NO_COLOR` is set and not empty, see no-color.org */
  readonly noColor?: boolean;
}

/** The longest message or value that is written, in characters; the rest is cut. */
export const LOG_VALUE_CHARS_MAX = 4096;
/** Fields of one line; more are left out. */
export const LOG_FIELDS_MAX = 64;
/** Warnings and errors of one message that are written at once, and how many more of it in each second. */
export const LOG_BURST_MAX = 100;
export const LOG_REPEATS_PER_SECOND_MAX = 10;
/** How many causes of an error are written. */
const CAUSES_MAX = 4;
const RANK: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 };
const COLOR: Record<LogLevel, number> = { debug: 90, info: 36, warn: 33, error: 31 };

/** Makes a log. It holds no state but its options and what it left out: loggers do not know each other. */
export function createLogger(options: LoggerOptions): Logger {
  const format = options.format === "auto" ? (options.isTerminal ? "line" : "json") : options.format;
  const noColor = options.noColor ?? (process.env["NO_COLOR"] ?? "") !== "";
  const write = options.write ?? ((line: string): void => void process.stderr.write(line));
  const nowMs = options.nowMs ?? Date.now;
  const render = format === "json" ? jsonLine : lineOf(options.isTerminal && !noColor);
  const repeats = new Repeats((message, count) => put("warn", message, [["leftOut", count]]));
  const put = (level: LogLevel, message: string, entries: [string, unknown][]): void =>
    write(`${render(new Date(nowMs()).toISOString(), level, message, entries)}\n`);
  const make = (base: LogFields): Logger => {
    const at = (level: LogLevel) => (message: string, fields?: LogFields): void => {
      if (RANK[level] < RANK[options.level]) return;
      // What tells of one event each, such as a request, is written as often as it happens.
      if (RANK[level] >= RANK.warn && !repeats.take(message)) return;
      const entries = Object.entries({ ...base, ...fields }).filter(([, value]) => value !== undefined);
      put(level, message, entries.slice(0, LOG_FIELDS_MAX));
    };
    const child = (fields: LogFields): Logger => make({ ...base, ...fields });
    return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error"), child };
  };
  return make({});
}

/** Lets so many lines of each message pass, and tells once a second how many it did not. */
class Repeats {
  readonly #tell: (message: string, count: number) => void;
  /** By message: the program's own words, so there are few. */
  readonly #known = new Map<string, { left: number; leftOut: number }>();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(tell: (message: string, count: number) => void) {
    this.#tell = tell;
  }

  /** Whether a line of this message may be written now. */
  take(message: string): boolean {
    let entry = this.#known.get(message);
    if (entry === undefined) this.#known.set(message, entry = { left: LOG_BURST_MAX, leftOut: 0 });
    this.#timer ??= this.#start();
    if (entry.left > 0) {
      entry.left--;
      return true;
    }
    entry.leftOut++;
    return false;
  }

  #start(): ReturnType<typeof setInterval> {
    const timer = setInterval(() => this.#refill(), 1_000);
    timer.unref();
    return timer;
  }

  #refill(): void {
    for (const [message, entry] of this.#known) {
      const { leftOut } = entry;
      entry.leftOut = 0;
      entry.left = Math.min(LOG_BURST_MAX, entry.left + LOG_REPEATS_PER_SECOND_MAX);
      if (leftOut > 0) this.#tell(message, leftOut);
      else if (entry.left === LOG_BURST_MAX) this.#known.delete(message);
    }
    if (this.#known.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

type Render = (time: string, level: LogLevel, message: string, entries: [string, unknown][]) => string;

/** A field that would hide the time, the level or the message gets an underscore in front. */
const jsonLine: Render = (time, level, message, entries) => {
  const line: Record<string, unknown> = { time, level, message: cut(message) };
  for (const [name, value] of entries) line[name in line ? `_${name}` : name] = plain(value);
  // JSON escapes C0 itself; what is left (C1, separators, bidirectional controls) is escaped the JSON way too.
  return printable(JSON.stringify(line));
};

const lineOf = (colors: boolean): Render => (time, level, message, entries) => {
  const paint = (code: number, text: string): string => colors ? `\x1b[${code}m${text}\x1b[0m` : text;
  const fields = entries.map(([name, value]) => ` ${paint(2, `${printable(name)}=`)}${bare(plain(value))}`);
  const head = `${paint(2, time)} ${paint(COLOR[level], level.toUpperCase().padEnd(5))}`;
  return `${head} ${printable(cut(message))}${fields.join("")}`;
};

/** A value of the line format: quoted when it could be mistaken for more than one. */
function bare(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return printable(/^[^\s"=\\]+$/.test(text) ? text : JSON.stringify(text));
}

/** A value as JSON can hold it, bounded. A value that cannot be read is said to be so: a log never throws. */
function plain(value: unknown): unknown {
  if (typeof value === "string") return cut(value);
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (typeof value === "boolean" || value === null) return value;
  if (value instanceof Error) return cut(errorText(value));
  try {
    const text = JSON.stringify(value, (_name, inner) => typeof inner === "bigint" ? String(inner) : inner);
    if (text === undefined) return cut(String(value));
    return text.length > LOG_VALUE_CHARS_MAX ? cut(text) : JSON.parse(text);
  } catch {
    return "unreadable";
  }
}

function errorText(error: Error): string {
  const parts: string[] = [];
  for (let at: unknown = error; at instanceof Error && parts.length < CAUSES_MAX; at = at.cause) {
    parts.push(`${at.name}: ${at.message}`);
  }
  return parts.join(", caused by ");
}

/** A lone surrogate is made well-formed: some readers of JSON refuse a whole line for one. */
function cut(written: string): string {
  const text = written.toWellFormed();
  return text.length > LOG_VALUE_CHARS_MAX ? `${text.slice(0, LOG_VALUE_CHARS_MAX)}…` : text;
}
