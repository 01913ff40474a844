/**
 * Warns of what a policy says without effect: rules that match nothing, and groups that nobody has seen.
 *
 * All of it is valid, and may be meant: a container may come tomorrow. But a rule that does nothing looks like one that
 * protects.
 *
 * @module
 */
import type { PolicyDocument, PolicyRule } from "./document.ts";

/** Warnings of one policy; what is beyond is counted in the last one. */
export const WARNINGS_MAX = 20;

/** What is known of the containers that there are. */
export interface KnownWorkloads {
  readonly groups: readonly { readonly namespace: string; readonly image: string }[];
  readonly services: ReadonlySet<string>;
}

/**
 * @param known Groups and services that were seen; none at all is no reason to warn of a name.
 * @returns One sentence each, with the place.
 */
export function lintPolicy({ spec }: PolicyDocument, known: KnownWorkloads, nowMs: number): string[] {
  const warnings: string[] = [];
  let catchAll: string | undefined;
  for (const rule of spec.rules) {
    const why = deadBecause(rule, nowMs) ??
      (catchAll === undefined ? undefined : `the rule ${catchAll} before it matches everything`);
    if (rule.enabled && why !== undefined) {
      warnings.push(`rule ${rule.id} has no effect: ${why}`);
      continue;
    }
    if (rule.enabled && isCatchAll(rule)) catchAll ??= rule.id;
    for (const end of [rule.source, rule.destination]) {
      const unseen = unseenIn(end, known);
      if (unseen !== undefined) warnings.push(`rule ${rule.id}: ${unseen}`);
    }
  }
  for (const entry of spec.modes) {
    const unseen = unseenIn(entry, known);
    if (unseen !== undefined) warnings.push(`mode ${entry.mode}: ${unseen}`);
  }
  for (const { id, service } of spec.rateLimits) {
    if (service === undefined || known.services.size === 0 || known.services.has(service)) continue;
    warnings.push(`rate limit ${id}: no agent has served ${service} yet`);
  }
  if (warnings.length <= WARNINGS_MAX) return warnings;
  const more = warnings.length - WARNINGS_MAX;
  return [...warnings.slice(0, WARNINGS_MAX), `and ${more} more`];
}

/** Why a rule matches nothing that is ever judged. */
function deadBecause(rule: PolicyRule, nowMs: number): string | undefined {
  const { source, destination, direction, protocol, http, expires } = rule;
  if (expires !== undefined && Date.parse(expires) <= nowMs) return `it expired at ${expires}`;
  if (protocol === "tcp" && http !== undefined) {
    return "raw connections have no requests: leave http or tcp out";
  }
  const fromOutside = "network" in source || "cidr" in source;
  const toOutside = "host" in destination || "cidr" in destination;
  const fromWorkload = !fromOutside && Object.keys(source).length > 0;
  const toWorkload = !toOutside && Object.keys(destination).length > 0;
  if (fromOutside && toOutside) return "what comes from outside never goes to a host outside";
  if ((toOutside || direction === "egress") && http !== undefined) {
    return "calls to the outside are judged by host and port: leave http out";
  }
  if ((toOutside || direction === "egress") && protocol === "http") {
    return "calls to the outside are judged as connections: leave protocol out";
  }
  if (direction === "north-south" && fromWorkload) return "what is north-south comes from outside";
  if (direction !== undefined && direction !== "north-south" && fromOutside) {
    return `what is ${direction} comes from a workload`;
  }
  if (direction === "egress" && toWorkload) return "what is egress goes to a host outside";
  if (direction !== undefined && direction !== "egress" && toOutside) {
    return `what is ${direction} goes to a workload`;
  }
  return undefined;
}

function isCatchAll(
  { source, destination, direction, protocol, http, expires, allowLearned }: PolicyRule,
): boolean {
  return Object.keys(source).length === 0 && Object.keys(destination).length === 0 &&
    direction === undefined &&
    protocol === undefined && http === undefined && expires === undefined && !allowLearned;
}

function unseenIn(
  end: { readonly namespace?: string | undefined; readonly image?: string | undefined } | object,
  { groups }: KnownWorkloads,
): string | undefined {
  const { namespace, image } = end as { namespace?: string; image?: string };
  if (groups.length === 0 || namespace === undefined && image === undefined) return undefined;
  const isSeen = groups.some((group) =>
    (namespace === undefined || group.namespace === namespace) &&
    (image === undefined || group.image === image)
  );
  if (isSeen) return undefined;
  const name = image === undefined ? `namespace ${namespace}` : `${namespace ?? "*"}/${image}`;
  return `no agent of ${name} was seen yet`;
}
