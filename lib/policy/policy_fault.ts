/**
 * What is wrong with a policy, in words for the person who wrote it: where, what, and what to write instead.
 *
 * @module
 */
import { z } from "zod";
import { didYouMean } from "../nearest.ts";
import { printable, quoted } from "../printable.ts";
import { policySchema } from "./document.ts";
import { branchIssues, keysOf, schemaAt, valueAt } from "./schema_place.ts";

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
 * @param root What it looked at.
 * @returns All of them, by line.
 */
export function faultsOf(
  issues: readonly Issue[],
  lineOf: (path: readonly PropertyKey[]) => number | undefined,
  root: unknown,
): PolicyFault[] {
  const faults = issues.flatMap((issue) => plainIssues(issue, [], root)).map(({ path, message }) => ({
    line: lineOf(path),
    path: printable(path.map(String).join(".")),
    message: message + ownerText(path, root),
  }));
  return faults.sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
}

const OWNERS: Readonly<Record<string, string>> = { rules: "rule", rateLimits: "rate limit" };

/** Names the rule that a fault is in: people know it by its id and not by its place. */
function ownerText([spec, list, index, ...rest]: readonly PropertyKey[], root: unknown): string {
  const owner = spec === "spec" ? OWNERS[String(list)] : undefined;
  if (owner === undefined || index === undefined || rest[0] === "id") return "";
  const id = valueAt(root, ["spec", list!, index, "id"]);
  return typeof id === "string" && /^[a-z0-9-]{1,63}$/.test(id) ? ` (${owner} ${id})` : "";
}

interface PlainIssue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** An issue without unions: of each the branch that was meant, by what fits best. */
function plainIssues(issue: Issue, above: readonly PropertyKey[], root: unknown): PlainIssue[] {
  const path = [...above, ...issue.path];
  if (issue.code === "unrecognized_keys") {
    const schema = schemaAt(policySchema, path);
    const branches = above.length === 0 ? branchIssues(schema, valueAt(root, path)) : undefined;
    if (branches !== undefined) return meantIssues(branches, path, root);
    return issue.keys.map((key) => ({ path: [...path, key], message: unknownKey(key, keysOf(schema)) }));
  }
  if (issue.code !== "invalid_union") return [{ path, message: messageOf(issue, path) }];
  return meantIssues(issue.errors, path, root);
}

function meantIssues(
  errors: readonly (readonly Issue[])[],
  path: readonly PropertyKey[],
  root: unknown,
): PlainIssue[] {
  const branches = errors.map((issues) => ({ issues, distance: distanceOf(issues) }));
  const least = Math.min(...branches.map(({ distance }) => distance));
  const meant = branches.filter(({ distance }) => distance === least).map(({ issues }) =>
    issues.flatMap((it) => plainIssues(it, path, root))
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
    else distance += isMissing(issue) ? 2 : 1;
  }
  return distance;
}

/** Nothing but its message tells a key that is not there from one of another type. */
function isMissing(issue: Issue): boolean {
  return issue.code === "invalid_type" && issue.message.endsWith("received undefined");
}

function messageOf(issue: Issue, path: readonly PropertyKey[]): string {
  switch (issue.code) {
    case "invalid_value":
      return `write ${issue.values.map(String).join(", ").replace(/, ([^,]*)$/, " or $1")}`;
    case "invalid_type":
      if (isMissing(issue)) {
        return `is missing: write ${typeWord(issue.expected)}`;
      }
      return `write ${typeWord(issue.expected)}`;
    case "too_big":
      return `at most ${issue.maximum}${sizeWord(issue.origin)}`;
    case "too_small":
      return `at least ${issue.minimum}${sizeWord(issue.origin)}`;
    case "invalid_key":
      return issue.issues.map((it) => messageOf(it, path)).join(", ");
    case "invalid_format":
      if (issue.format === "datetime") return "write a time such as 2031-01-31T12:00:00Z";
      if (!issue.message.startsWith("Invalid ")) return printable(issue.message);
      // The pattern itself tells nobody anything.
      return path.includes("contentTypes")
        ? 'write a type in lower case such as application/json or image/*, or "" for requests that name none'
        : "is not in the right form";
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

/** @param together Keys that may stand there; several lists are a choice. */
function unknownKey(key: string, together: readonly string[][]): string {
  const everywhere = knownKeys();
  const cure = didYouMean(key, new Set(together.flat().filter((other) => other !== key))) ||
    (together.length === 0 && !everywhere.has(key) ? didYouMean(key, everywhere) : "");
  if (cure !== "") return `unknown key ${quoted(key)}${cure}`;
  const lists = together.map((keys) => keys.join(", ")).map((it) => together.length > 1 ? `(${it})` : it);
  const others = lists.length === 0 ? "" : `; here may stand ${lists.join(" or ")}`;
  const fault = everywhere.has(key) ? `${quoted(key)} does not belong here` : `unknown key ${quoted(key)}`;
  return `${fault}: remove it${others}`;
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
