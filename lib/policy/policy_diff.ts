/**
 * What one policy changes of another, part by part, for a person to read before it is applied.
 *
 * Things are the same by what names them: a rule by its id, a mode by whom it is for, an edge by its ends. So a rule
 * that was rewritten is one change, and one that only stands elsewhere has moved.
 *
 * @module
 */
import { FIRST_MODE, type ModelEdge, type PolicyDocument, type PolicyMode } from "./document.ts";
import { longestRun } from "./longest_run.ts";
import { plainPolicy } from "./policy_yaml.ts";
import { printable } from "../printable.ts";

/** The parts of a policy, in the order in which they are shown. */
export const POLICY_PARTS = [
  "metadata",
  "defaultMode",
  "networks",
  "modes",
  "rules",
  "rateLimits",
  "model",
] as const;
export type PolicyPart = (typeof POLICY_PARTS)[number];

/** One thing that is different. */
export interface PolicyChange {
  readonly part: PolicyPart;
  readonly kind: "added" | "removed" | "changed" | "moved";
  /** What it is about: the id of a rule, the name of a network, `shop/web egress`, the ends of an edge. */
  readonly name: string;
  /** How it is different, or what was added or removed: a line each, such as `effect: alert -> prevent`. What is left
   * out is shown by what that means. */
  readonly details: readonly string[];
}

export interface PolicyDiff {
  /** By part, and within it as in the new policy; what was removed comes last. */
  readonly changes: readonly PolicyChange[];
}

/** Something of a policy with its name, as it would be written. */
interface Item {
  readonly name: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

interface PlainPolicy {
  metadata?: object;
  spec: {
    defaultMode?: string;
    networks?: Record<string, string[]>;
    modes?: Record<string, unknown>[];
    rules?: Record<string, unknown>[];
    rateLimits?: Record<string, unknown>[];
  };
  model?: { edges: Record<string, unknown>[] };
}

/**
 * Compares two policies.
 *
 * @param after Without a model or a default mode, as one that was written by hand, it leaves them as they are: that is
 *   no change.
 */
export function diffPolicies(before: PolicyDocument, after: PolicyDocument): PolicyDiff {
  const [a, b] = [plainPolicy(before), plainPolicy(after)] as [PlainPolicy, PlainPolicy];
  const lists = (part: "rules" | "rateLimits"): [Item[], Item[]] => [
    named(a.spec[part] ?? [], ({ id }) => String(id)),
    named(b.spec[part] ?? [], ({ id }) => String(id)),
  ];
  const rules = lists("rules");
  return {
    changes: [
      ...changesOf("metadata", [{ name: "metadata", fields: { ...a.metadata } }], [{
        name: "metadata",
        fields: { ...b.metadata },
      }]),
      ...(b.spec.defaultMode === undefined
        ? []
        : changesOf("defaultMode", [modeItem(a.spec.defaultMode)], [modeItem(b.spec.defaultMode)])),
      ...changesOf("networks", networksOf(a), networksOf(b)),
      ...changesOf("modes", named(a.spec.modes ?? [], modeName), named(b.spec.modes ?? [], modeName)),
      ...changesOf("rules", ...rules),
      ...movesOf(...rules),
      ...changesOf("rateLimits", ...lists("rateLimits")),
      ...(b.model === undefined
        ? []
        : changesOf("model", named(a.model?.edges ?? [], edgeName), named(b.model.edges, edgeName))),
    ],
  };
}

function modeItem(mode: string = FIRST_MODE): Item {
  return { name: "defaultMode", fields: { mode } };
}

function networksOf({ spec }: PlainPolicy): Item[] {
  return Object.entries(spec.networks ?? {}).map(([name, cidrs]) => ({ name, fields: { cidrs } }));
}

function modeName(fields: Readonly<Record<string, unknown>>): string {
  const { namespace, image, direction } = fields as Partial<PolicyMode>;
  const who = image === undefined ? (namespace ?? "all groups") : `${namespace ?? "*"}/${image}`;
  return `${who} ${direction ?? "all directions"}`;
}

function edgeName(fields: Readonly<Record<string, unknown>>): string {
  const { direction, source, destination, service, host, port, protocol } = fields as Partial<ModelEdge>;
  const to = destination === undefined
    ? `${host}:${port}`
    : `${destination} ${service}${port === undefined ? "" : ` :${port}`}`;
  return `${source} -> ${to} (${direction}, ${protocol})`;
}

/** Names a list. What has the name of one before gets a number: nothing is lost when two are for the same. */
function named(
  list: readonly Readonly<Record<string, unknown>>[],
  nameOf: (fields: Readonly<Record<string, unknown>>) => string,
): Item[] {
  const times = new Map<string, number>();
  return list.map((fields) => {
    const name = nameOf(fields);
    const time = (times.get(name) ?? 0) + 1;
    times.set(name, time);
    return { name: time === 1 ? name : `${name} #${time}`, fields };
  });
}

function changesOf(part: PolicyPart, before: readonly Item[], after: readonly Item[]): PolicyChange[] {
  const old = new Map(before.map((item) => [item.name, item]));
  const kept = new Set(after.map(({ name }) => name));
  const changes: PolicyChange[] = [];
  for (const item of after) {
    const was = old.get(item.name);
    if (was === undefined) {
      changes.push({ part, kind: "added", name: item.name, details: detailsOf({}, item.fields) });
    } else {
      const details = detailsOf(was.fields, item.fields);
      if (details.length > 0) changes.push({ part, kind: "changed", name: item.name, details });
    }
  }
  for (const { name, fields } of before) {
    if (!kept.has(name)) changes.push({ part, kind: "removed", name, details: detailsOf(fields, {}) });
  }
  return changes;
}

/** Fields that are in both places but differ, and entries of lists that came or went. What names a thing is left out. */
function detailsOf(
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, unknown>>,
): string[] {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((key) => {
    const [was, is] = [before[key], after[key]];
    if (key === "id" || same(was, is)) return [];
    if (Array.isArray(was) && Array.isArray(is)) return listDetails(key, was, is);
    if (Object.keys(before).length === 0) return [`${key}: ${show(is)}`];
    if (Object.keys(after).length === 0) return [`${key}: ${show(was)}`];
    return [`${key}: ${show(was ?? standard(key))} -> ${show(is ?? standard(key))}`];
  });
}

/** What a key means that is left out. */
const STANDARD: ReadonlyMap<string, string> = new Map([
  ["enabled", "true"],
  ["allowLearned", "false"],
  ["direction", "any"],
  ["protocol", "any"],
  ["source", "anyone"],
  ["destination", "anywhere"],
  ["expires", "never"],
  ["origin", "standard"],
  ["seconds", "1"],
  ["banSeconds", "0"],
  ["burst", "as many as requests"],
  ["service", "every service"],
]);

function standard(key: string): string {
  return STANDARD.get(key) ?? "none";
}

function listDetails(key: string, before: readonly unknown[], after: readonly unknown[]): string[] {
  const [was, is] = [new Set(before.map(show)), new Set(after.map(show))];
  const details = [
    ...[...is].filter((it) => !was.has(it)).map((it) => `${key}: + ${it}`),
    ...[...was].filter((it) => !is.has(it)).map((it) => `${key}: - ${it}`),
  ];
  return details.length > 0 ? details : [`${key}: in another order`];
}

/** Rules that stand elsewhere among those that are in both: as few as explain the new order. */
function movesOf(before: readonly Item[], after: readonly Item[]): PolicyChange[] {
  const old = new Map(before.map(({ name }, index) => [name, index]));
  const common = after.flatMap(({ name }, index) => {
    const from = old.get(name);
    return from === undefined ? [] : [{ name, from, to: index }];
  });
  const still = longestRun(common.map(({ from }) => from));
  return common.filter((_, index) => !still.has(index)).map(({ name, from, to }) => ({
    part: "rules",
    kind: "moved",
    name,
    details: [`place: ${from} -> ${to}`],
  }));
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function show(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

const SIGNS: Readonly<Record<PolicyChange["kind"], string>> = {
  added: "+",
  removed: "-",
  changed: "~",
  moved: "~",
};

/** Lines of a difference that are shown; more are counted. */
export const DIFF_LINES_MAX = 2_000;

/**
 * Writes a difference: the part, a line with `+`, `-` or `~` for each change, and how it is different below it.
 *
 * @param linesMax @default DIFF_LINES_MAX
 * @returns Printable lines without colours, no line end after the last; empty when there is no difference.
 */
export function formatDiff(diff: PolicyDiff, linesMax: number = DIFF_LINES_MAX): string {
  const lines: string[] = [];
  let part: PolicyPart | undefined;
  for (const change of diff.changes) {
    if (change.part !== part) lines.push(`${change.part}:`);
    part = change.part;
    lines.push(
      `  ${SIGNS[change.kind]} ${printable(change.name)}${change.kind === "moved" ? " (moved)" : ""}`,
    );
    // All of what is gone is seldom of interest, and it is in the version before.
    if (change.kind !== "removed") {
      for (const detail of change.details) lines.push(`      ${printable(detail)}`);
    }
  }
  const more = lines.length - linesMax;
  return more <= 0 ? lines.join("\n") : [...lines.slice(0, linesMax), `and ${more} more lines`].join("\n");
}
