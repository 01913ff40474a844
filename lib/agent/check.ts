/**
 * One check of the doctor: what it is called, how it came out, and what to do about it.
 *
 * A check never throws and never hangs: `runCheck` gives each a deadline, and what it throws becomes a failure. So one
 * broken thing hides no other.
 *
 * @module
 */
import { clearTimeout, setTimeout } from "node:timers";
import { printable } from "../printable.ts";

/** How a check came out. `warn`: it works, but something will break or is less safe than it could be. */
export type CheckStatus = "ok" | "warn" | "fail";

/** The outcome of a check. */
export interface CheckResult {
  /** What was looked at, such as `connect edge.example.com:443`. */
  readonly name: string;
  readonly status: CheckStatus;
  /** What was found, in words. Never a secret. */
  readonly detail: string;
  /** What to do, in the imperative. Only where something is to be done. */
  readonly cure?: string;
  /** How long the check took, in whole milliseconds. */
  readonly ms: number;
}

/** What a check finds, before its name and time are put to it. */
export type Finding = Omit<CheckResult, "name" | "ms"> & {
  /** The words are all our own, such as a command to paste, and are never cut. @default false */
  readonly isWhole?: boolean;
};

/** How long one check may take, unless the caller says otherwise. */
export const CHECK_MS_MAX = 5_000;

/** Of foreign text in a detail or a cure; a certificate or an error can hold any length. */
export const TEXT_CHARS_MAX = 400;

/** It works. */
export function ok(detail: string): Finding {
  return { status: "ok", detail };
}

/** It works, but. */
export function warn(detail: string, cure: string): Finding {
  return { status: "warn", detail, cure };
}

/** It does not work. */
export function fail(detail: string, cure: string): Finding {
  return { status: "fail", detail, cure };
}

/** A name, a finding and what the check gave to those behind it; `value` is there when the finding is no failure. */
export interface Checked<T> {
  readonly result: CheckResult;
  readonly value: T | undefined;
}

/** The time a check has. */
export interface CheckTime {
  /** Resolves a little before the time is up, for a body that can say what it was waiting for. */
  readonly soon: Promise<"late">;
  readonly timeoutMs: number;
}

/** What a check does. Nobody waits for it any more once its time is up. */
export type CheckBody<T> = (time: CheckTime) => Promise<{ finding: Finding; value?: T }>;

/** How much sooner than its deadline a check says by itself what did not come. */
const EARLY_MS = 100;

/**
 * Runs one check within a time.
 *
 * @param timeoutMs Then it counts as failed, whatever it does. A body that knows better words ends earlier by itself.
 */
export async function runCheck<T>(name: string, timeoutMs: number, body: CheckBody<T>): Promise<Checked<T>> {
  const startMs = performance.now();
  const timers: ReturnType<typeof setTimeout>[] = [];
  const after = <V>(ms: number, value: V): Promise<V> =>
    new Promise((resolve) => timers.push(setTimeout(() => resolve(value), ms)));
  const late = fail(`no result within ${timeoutMs} ms`, "Try again when the machine is less busy");
  const time = { soon: after(Math.max(timeoutMs - EARLY_MS, timeoutMs / 2), "late" as const), timeoutMs };
  let outcome: { finding: Finding; value?: T };
  try {
    outcome = await Promise.race([body(time), after(timeoutMs, { finding: late })]);
  } catch (error) {
    outcome = { finding: fail(`the check itself failed: ${reasonOf(error)}`, "Report this as a bug") };
  } finally {
    timers.forEach(clearTimeout);
  }
  return { result: resultOf(name, outcome.finding, performance.now() - startMs), value: outcome.value };
}

/** Puts a name and a time to a finding, and makes its text fit to print. */
export function resultOf(name: string, finding: Finding, ms = 0): CheckResult {
  const { status, detail, cure, isWhole = false } = finding;
  const shown = isWhole ? printable : text;
  return {
    name: text(name),
    status,
    detail: shown(detail),
    ...(cure === undefined ? {} : { cure: shown(cure) }),
    ms: Math.round(ms),
  };
}

function text(value: string): string {
  const shown = printable(value);
  return shown.length > TEXT_CHARS_MAX ? `${shown.slice(0, TEXT_CHARS_MAX)}…` : shown;
}

/** An error in one line: its code when it has one, else its words. */
export function reasonOf(error: unknown): string {
  // Several addresses of one name: each failed, and the first says enough.
  const first = error instanceof AggregateError ? error.errors[0] as unknown : error;
  if (!(first instanceof Error)) return String(first);
  const { code } = first as NodeJS.ErrnoException;
  return typeof code === "string" && code !== "" ? code : first.message;
}

/**
 * Runs tasks, a few at a time, and keeps their order.
 *
 * @param widthMax How many run at once: a hundred targets must not open a hundred sockets in one moment.
 */
export async function inOrder<T>(tasks: readonly (() => Promise<T>)[], widthMax: number): Promise<T[]> {
  const results = new Array<T>(tasks.length);
  let next = 0;
  const work = async (): Promise<void> => {
    for (let index = next++; index < tasks.length; index = next++) results[index] = await tasks[index]!();
  };
  await Promise.all(Array.from({ length: Math.min(widthMax, tasks.length) }, work));
  return results;
}

/** `1 day`, `3 days`. */
export function days(count: number): string {
  return `${count} day${count === 1 ? "" : "s"}`;
}
