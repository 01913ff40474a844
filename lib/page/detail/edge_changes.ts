/**
 * What an operator can do about an edge, as changes of the policy.
 *
 * @module
 */
import {
  addRule,
  type Change,
  freeId,
  partsOf,
  removeRule,
  replaceRule,
  ruleOfEdge,
} from "../core/change.ts";
import type { EdgeRecord, PolicyDocument, PolicyRule } from "../core/types.ts";
import { visible } from "../core/visible.ts";
import { targetText } from "./edge_facts.ts";

/** How long an edge is allowed for, by the words of the menu. */
export const UNTIL_MS = { "1 hour": 3_600_000, "1 day": 86_400_000, "7 days": 604_800_000 } as const;
export type Until = keyof typeof UNTIL_MS;

/**
 * Allows or blocks what an edge is, in front of all other rules.
 *
 * @param document In force. @param until Not for ever. @param nowMs From when it counts.
 */
export function decideEdge(
  edge: EdgeRecord,
  effect: "allow" | "prevent",
  document: PolicyDocument,
  until: Until | undefined,
  nowMs: number,
): Change {
  const expires = until === undefined ? undefined : new Date(nowMs + UNTIL_MS[until]).toISOString();
  const rule = ruleOfEdge(edge, effect, nameFor(effect, edge, document), expires);
  const verb = effect === "allow" ? "Allow" : "Block";
  return addRule(rule, `${verb} ${titleOf(edge)}${until === undefined ? "" : ` for ${until}`}`);
}

/** The rule that decided last on an edge, when it is one, with its place; a default has no rule. */
export function ruleOf(
  edge: EdgeRecord,
  document: PolicyDocument,
): { readonly rule: PolicyRule; readonly index: number } | undefined {
  const index = document.spec.rules.findIndex(({ id }) => id === edge.lastRule);
  return index < 0 ? undefined : { rule: document.spec.rules[index]!, index };
}

export function removeRuleOf(edge: EdgeRecord, document: PolicyDocument): Change | undefined {
  const found = ruleOf(edge, document);
  return found && removeRule(found.rule, found.index, `Remove the rule ${found.rule.id}`);
}

/** Lets the rule end, for whatever else it is about too. */
export function expireRuleOf(
  edge: EdgeRecord,
  document: PolicyDocument,
  until: Until,
  nowMs: number,
): Change | undefined {
  const found = ruleOf(edge, document);
  if (found === undefined) return undefined;
  const expires = new Date(nowMs + UNTIL_MS[until]).toISOString();
  return replaceRule(
    found.rule,
    { ...found.rule, expires },
    `Let the rule ${found.rule.id} expire in ${until}`,
  );
}

function titleOf(edge: EdgeRecord): string {
  return `${visible(edge.source)} → ${targetText(edge)}`;
}

function nameFor(effect: string, edge: EdgeRecord, { spec: { rules } }: PolicyDocument): string {
  const from = partsOf(edge.source)?.image.split("/").at(-1) ?? edge.source;
  return freeId(`${effect}-${from}-${edge.service || edge.host}`, new Set(rules.map(({ id }) => id)));
}
