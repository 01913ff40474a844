/**
 * Cuts a workload off, and lets it back in: two rules in front of all others, of which one refuses whatever it calls
 * and the other whatever calls it.
 *
 * The rules are known by what they say and by how their ids begin, so that any page can lift what another one set.
 *
 * @module
 */
import { type Change, freeId, partsOf } from "../core/change.ts";
import type { Direction, PolicyDocument, PolicyRule } from "../core/types.ts";
import { visible } from "../core/visible.ts";

type Side = "from" | "to";
type Rules = readonly PolicyRule[];
type End = PolicyRule["source"] | PolicyRule["destination"];

/** What of a workload is refused by such rules. */
export interface Isolation {
  /** The first rule of each side. */
  readonly rules: Rules;
  /** Both sides are there. */
  readonly isWhole: boolean;
  /** Ids of rules in front of them that may still let some of its traffic through. */
  readonly holes: readonly string[];
}

const ID_PREFIX = "isolate-";
/** An image is cut to its end, which says most of it, so that the id still ends with the side. */
const SLUG_CHARS_MAX = 40;

/** @param group NAMESPACE/IMAGE. @param nowMs From when expired rules count no more. */
export function isolationOf(group: string, { spec: { rules } }: PolicyDocument, nowMs: number): Isolation {
  const found: PolicyRule[] = [];
  const holes = new Set<string>();
  for (const side of ["from", "to"] as const) {
    const index = rules.findIndex((rule) => sideOf(rule, group) === side);
    if (index < 0) continue;
    found.push(rules[index]!);
    for (const rule of rules.slice(0, index)) {
      if (lets(rule, nowMs) && mayConcern(rule, side, group)) holes.add(rule.id);
    }
  }
  return { rules: found, isWhole: found.length === 2, holes: [...holes] };
}

/**
 * Refuses everything of a workload. Rules of an earlier isolation are moved to the front.
 *
 * @param isOpen Whether its wall is broken, so that there is a way around.
 */
export function isolate(group: string, isOpen: boolean): Change {
  const title = visible(`Isolate ${group}`);
  let made: Rules = [];
  let before: readonly Placed[] = [];
  return {
    title,
    comment: title,
    words: `Everything of ${visible(group)} is refused, of every replica and both ways: what it calls and ` +
      "what calls it. Open connections are cut at once. Its agents stay linked, so that it can be let back in." +
      (isOpen ? " Its wall is broken: what goes past the gateway is not held back." : ""),
    make(document): PolicyDocument {
      before = placedOf(document, group);
      const others = without(document.spec.rules, before.map(({ rule }) => rule));
      made = rulesFor(group, others);
      return withRules(document, [...made, ...others]);
    },
    unmake: (document) => withRules(document, putBack(without(document.spec.rules, made), before)),
  };
}

/** Takes the rules of an isolation away; taken back, they stand where they stood. */
export function liftIsolation(group: string): Change {
  const title = visible(`Lift the isolation of ${group}`);
  let before: readonly Placed[] = [];
  return {
    title,
    comment: title,
    words:
      `From the next connection on, ${visible(group)} is judged by the other rules, its modes and what ` +
      "was learned, as before.",
    make(document): PolicyDocument {
      before = placedOf(document, group);
      return withRules(document, without(document.spec.rules, before.map(({ rule }) => rule)));
    },
    unmake: (document) => withRules(document, putBack(document.spec.rules, before)),
  };
}

/** A rule and its place. */
interface Placed {
  readonly rule: PolicyRule;
  readonly index: number;
}

function placedOf({ spec: { rules } }: PolicyDocument, group: string): Placed[] {
  return rules.flatMap((rule, index) => sideOf(rule, group) === undefined ? [] : [{ rule, index }]);
}

/** From the first to the last, so that each finds its place. */
function putBack(rules: Rules, placed: readonly Placed[]): Rules {
  return placed.reduce<Rules>((all, { rule, index }) => all.toSpliced(index, 0, rule), rules);
}

function without(rules: Rules, gone: Rules): Rules {
  const ids = new Set(gone.map(({ id }) => id));
  return rules.filter(({ id }) => !ids.has(id));
}

function rulesFor(group: string, others: Rules): Rules {
  const parts = partsOf(group);
  if (parts === undefined) throw new Error("Only a workload can be isolated");
  const image = parts.image.split("/").at(-1)!.replaceAll(/[^A-Za-z0-9]+/g, "-").slice(-SLUG_CHARS_MAX);
  const taken = new Set(others.map(({ id }) => id));
  return (["from", "to"] as const).map((side) => ({
    id: freeId(`${ID_PREFIX}${image}-${side}`, taken),
    comment: side === "from"
      ? "Isolated: whatever it calls is refused"
      : "Isolated: whatever calls it is refused",
    enabled: true,
    source: side === "from" ? parts : {},
    destination: side === "from" ? {} : parts,
    effect: "prevent",
    allowLearned: false,
  }));
}

/** Which side of the isolation of a group a rule is; `undefined` when it is none, or does not hold. */
function sideOf(rule: PolicyRule, group: string): Side | undefined {
  const { id, enabled, effect, allowLearned, direction, protocol, http, expires, source, destination } = rule;
  if (!id.startsWith(ID_PREFIX) || !enabled || effect !== "prevent" || allowLearned) return undefined;
  if ([direction, protocol, http, expires].some((condition) => condition !== undefined)) return undefined;
  if (isExactly(source, group) && isAnything(destination)) return "from";
  return isAnything(source) && isExactly(destination, group) ? "to" : undefined;
}

function isAnything(end: End): boolean {
  return Object.values(end).every((value) => value === undefined);
}

function isExactly(end: End, group: string): boolean {
  const parts = partsOf(group);
  return parts !== undefined && "image" in end && end.image === parts.image &&
    end.namespace === parts.namespace && !("service" in end && end.service !== undefined);
}

/** Whether a rule lets anything through, be it what was learned. */
function lets({ enabled, effect, allowLearned, expires }: PolicyRule, nowMs: number): boolean {
  return enabled && (effect !== "prevent" || allowLearned) &&
    (expires === undefined || Date.parse(expires) > nowMs);
}

/** Whether a rule may be about what a group calls (`from`), or about what calls it (`to`). */
function mayConcern({ source, destination, direction }: PolicyRule, side: Side, group: string): boolean {
  const parts = partsOf(group);
  const never: Direction = side === "from" ? "north-south" : "egress";
  const end = side === "from" ? source : destination;
  if (parts === undefined || direction === never) return false;
  if ("network" in end || "cidr" in end || "host" in end) return false;
  return (end.namespace ?? parts.namespace) === parts.namespace && (end.image ?? parts.image) === parts.image;
}

function withRules(document: PolicyDocument, rules: Rules): PolicyDocument {
  return { ...document, spec: { ...document.spec, rules: [...rules] } };
}
