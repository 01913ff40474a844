/**
 * What one policy has that another has not, by name alone: for the count of a draft, the marks of its rows, and those who
 * may not ask the gateway for a difference.
 *
 * Things are the same by what names them, as in the difference that the gateway makes: a rule by its id, a network by its
 * name, a mode by whom it is for and who set it.
 *
 * @module
 */
import type { PolicyDocument, PolicyMode } from "../core/types.ts";
import { movedKeys } from "./order.ts";

export type Spec = PolicyDocument["spec"];
export type RateLimit = Spec["rateLimits"][number];

export interface Difference {
  readonly part: "metadata" | "default mode" | "network" | "mode" | "rule" | "rate limit";
  readonly kind: "added" | "removed" | "changed" | "moved";
  /** Such as the id of a rule. */
  readonly name: string;
}

/** Whether two values say the same; the order of keys says nothing. Parts that both share are not looked into. */
export function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length &&
      a.every((item, at) => same(item, b[at]));
  }
  const [keys, others] = [Object.keys(a), Object.keys(b)];
  return keys.length === others.length &&
    keys.every((key) =>
      Object.hasOwn(b, key) && same((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key])
    );
}

/** Whom a mode is for, such as `shop/web egress`, and who set it when that was the evidence. */
export function modeName({ namespace, image, direction, origin }: PolicyMode): string {
  const who = image === undefined ? (namespace ?? "all groups") : `${namespace ?? "*"}/${image}`;
  return `${who} ${direction ?? "all directions"}${origin === "promoted" ? " (by evidence)" : ""}`;
}

/** By name, in order. Of two with one name the second is told by its number, so that nothing is lost. */
export function byName<T>(list: readonly T[], nameOf: (item: T) => string): Map<string, T> {
  const found = new Map<string, T>();
  for (const item of list) {
    const name = nameOf(item);
    let free = name;
    for (let time = 2; found.has(free); time++) free = `${name} #${time}`;
    found.set(free, item);
  }
  return found;
}

/** All that is different, by part; what was removed comes last in each. */
export function differences(before: PolicyDocument, after: PolicyDocument): Difference[] {
  const [a, b] = [before.spec, after.spec];
  const found: Difference[] = [];
  if (!same(before.metadata, after.metadata)) {
    found.push({ part: "metadata", kind: "changed", name: "metadata" });
  }
  if (b.defaultMode !== undefined && a.defaultMode !== b.defaultMode) {
    found.push({ part: "default mode", kind: "changed", name: b.defaultMode });
  }
  const rules = [byName(a.rules, ({ id }) => id), byName(b.rules, ({ id }) => id)] as const;
  found.push(
    ...ofPart("network", new Map(Object.entries(a.networks)), new Map(Object.entries(b.networks))),
    ...ofPart("mode", byName(a.modes, modeName), byName(b.modes, modeName)),
    ...ofPart("rule", ...rules),
  );
  for (const name of movedKeys(rules[0].keys(), rules[1].keys())) {
    found.push({ part: "rule", kind: "moved", name });
  }
  found.push(
    ...ofPart("rate limit", byName(a.rateLimits, ({ id }) => id), byName(b.rateLimits, ({ id }) => id)),
  );
  return found;
}

function ofPart(
  part: Difference["part"],
  before: ReadonlyMap<string, unknown>,
  after: ReadonlyMap<string, unknown>,
): Difference[] {
  const found: Difference[] = [];
  for (const [name, item] of after) {
    if (!before.has(name)) found.push({ part, kind: "added", name });
    else if (!same(before.get(name), item)) found.push({ part, kind: "changed", name });
  }
  for (const name of before.keys()) if (!after.has(name)) found.push({ part, kind: "removed", name });
  return found;
}

/** One difference as a line, such as `+ rule office`. */
export function differenceLine({ part, kind, name }: Difference): string {
  const sign = kind === "added" ? "+" : kind === "removed" ? "-" : "~";
  if (part === "metadata") return `${sign} name and comment of the policy`;
  return `${sign} ${part} ${name}${kind === "moved" ? " (moved)" : ""}`;
}

/** How a line of a difference is shown. */
export function lineClass(line: string): "added" | "removed" | "" {
  const sign = line.trimStart()[0];
  return sign === "+" ? "added" : sign === "-" ? "removed" : "";
}
