/**
 * What is wrong with a policy, in words for the person who wrote it: where, what, and what to write instead.
 *
 * @module
 */
import { z } from "zod";
import { didYouMean } from "../nearest.ts";
import { printable, quoted } from "../printable.ts";
import { policySchema } from "./document.ts";

/** Faults that are told; more are counted. */
export const POLICY_FAULTS_MAX = 20;

/** One thing that is wrong. */
export interface PolicyFault {
  /** From 1; nothing when it is about no line. */
  readonly line: number | undefined;
  /** Such as `spec.rules.3.effect`; empty for the text as a whole. */
  readonly path: string;
  /** What is wrong and what to write. */
  readonly message: string;
}

/** A policy cannot be used. The message has a line for each fault. */
export class PolicyError extends Error {
  override name = "PolicyError";
  /** At most `POLICY_FAULTS_MAX`, in the order of the text. */
  readonly faults: readonly PolicyFault[];

  /** @param faults At least one. */
  constructor(faults: readonly PolicyFault[], options?: ErrorOptions) {
    const told = faults.slice(0, POLICY_FAULTS_MAX);
    const more = faults.length - told.length;
    super([...told.map(faultLine), ...more > 0 ? [`and ${more} more`] : []].join("\n"), options);
    this.faults = told;
  }
}

function faultLine({ line, path, message }: PolicyFault): string {
  return [line === undefined ? "" : `line ${line}`, path, message].filter((it) => it !== "").join(": ");
}

type Issue = z.core.$ZodIssue;

/**
 * Turns what the schema found into faults.
 *
 * @param issues Of `policySchema`.
 * @param lineOf The line of a key or list item.
 * @returns All of them, by line.
 */
export function faultsOf(
  issues: readonly Issue[],
  lineOf: (path: readonly PropertyKey[]) => number | undefined,
): PolicyFault[] {
  const faults = issues.flatMap((issue) => plainIssues(issue, [])).map(({ path, message }) => ({
    line: lineOf(path),
    path: printable(path.map(String).join(".")),
    message,
  }));
  return faults.sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
}

interface PlainIssue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** An issue without unions: of each the branch that was meant, by what fits best. */
function plainIssues(issue: Issue, above: readonly PropertyKey[]): PlainIssue[] {
  const path = [...above, ...issue.path];
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({ path: [...path, key], message: unknownKey(key) }));
  }
  if (issue.code !== "invalid_union") return [{ path, message: messageOf(issue) }];
  const branches = issue.errors.map((issues) => ({ issues, distance: distanceOf(issues) }));
  const least = Math.min(...branches.map(({ distance }) => distance));
  const meant = branches.filter(({ distance }) => distance === least).map(({ issues }) =>
    issues.flatMap((it) => plainIssues(it, path))
  );
  const [first = []] = meant;
  // Ways to write one and the same text: all of them are told.
  const isText = meant.every((it) => it.length === 1 && it[0]!.path.length === path.length);
  return isText ? [{ path, message: [...new Set(meant.map(([it]) => it!.message))].join(", or ") }] : first;
}

/** Keys that do not belong or are not there tell that another branch was meant; a wrong value does less so. */
function distanceOf(issues: readonly Issue[]): number {
  let distance = 0;
  for (const issue of issues) {
    if (issue.code === "unrecognized_keys") distance += 2 * issue.keys.length;
    else distance += issue.code === "invalid_type" && issue.input === undefined ? 2 : 1;
  }
  return distance;
}

function messageOf(issue: Issue): string {
  switch (issue.code) {
    case "invalid_value":
      return `write ${issue.values.map(String).join(", ").replace(/, ([^,]*)$/, " or $1")}`;
    case "invalid_type":
      if (issue.message.endsWith("received undefined")) {
        return `is missing: write ${typeWord(issue.expected)}`;
      }
      return `write ${typeWord(issue.expected)}`;
    case "too_big":
      return `at most ${issue.maximum}${sizeWord(issue.origin)}`;
    case "too_small":
      return `at least ${issue.minimum}${sizeWord(issue.origin)}`;
    case "invalid_key":
      return issue.issues.map(messageOf).join(", ");
    case "invalid_format":
      return issue.format === "datetime"
        ? "write a time such as 2031-01-31T12:00:00Z"
        : printable(issue.message);
    default:
      return printable(issue.message);
  }
}

function sizeWord(origin: string): string {
  if (origin === "string") return " characters";
  return origin === "array" || origin === "record" ? " entries" : "";
}

function typeWord(expected: string): string {
  switch (expected) {
    case "object":
    case "record":
      return "keys with values, KEY: VALUE";
    case "array":
      return "a list";
    case "string":
      return "a text, in quotation marks if it looks like something else";
    case "boolean":
      return "true or false";
    case "int":
      return "a whole number";
    default:
      return `a ${expected}`;
  }
}

function unknownKey(key: string): string {
  return `unknown key ${quoted(key)}${didYouMean(key, knownKeys()) || ": remove it"}`;
}

/** Every key that a policy can have, wherever. */
function knownKeys(): Set<string> {
  const keys = new Set<string>();
  const visit = (node: unknown): void => {
    if (typeof node !== "object" || node === null) return;
    if ("properties" in node) { for (const key of Object.keys(node.properties as object)) keys.add(key); }
    for (const below of Object.values(node)) visit(below);
  };
  visit(z.toJSONSchema(policySchema, { io: "input", unrepresentable: "any" }));
  return keys;
}
