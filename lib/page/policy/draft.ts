/**
 * The draft of a policy: what an operator has changed and not sent yet.
 *
 * @module
 */
import type { PolicyDocument, PolicyRule, PolicyVersion } from "../core/types.ts";
import { same, type Spec } from "./differences.ts";
import { mergeOnto } from "./merge.ts";

/** Steps that can be taken back. */
export const STEPS_MAX = 50;

export interface Draft {
  /** What it was made from. */
  readonly base: PolicyVersion;
  readonly document: PolicyDocument;
  /** What it was before each step, the last one last. */
  readonly past: readonly PolicyDocument[];
  /** Where both sides had changed the same when it was last put on top of another version. */
  readonly conflicts: readonly string[];
}

/** Makes a step. @returns `undefined` when it says what is in force again: then there is no draft. */
export function step(
  draft: Draft | undefined,
  inForce: PolicyVersion,
  make: (document: PolicyDocument) => PolicyDocument,
): Draft | undefined {
  const { base, document, past, conflicts } = draft ??
    { base: inForce, document: inForce.document, past: [], conflicts: [] };
  const made = make(document);
  if (same(made, base.document)) return undefined;
  if (same(made, document)) return draft;
  return { base, document: made, past: [...past, document].slice(-STEPS_MAX), conflicts };
}

/** Takes the last step back. */
export function stepBack({ base, past, conflicts }: Draft): Draft | undefined {
  const document = past.at(-1);
  if (document === undefined || same(document, base.document)) return undefined;
  return { base, document, past: past.slice(0, -1), conflicts };
}

/** Puts the changes on top of another version. Its steps cannot be taken back any more. */
export function rebase(draft: Draft, inForce: PolicyVersion): Draft | undefined {
  const { document, conflicts } = mergeOnto(draft.base.document, draft.document, inForce.document);
  if (same(document, inForce.document)) return undefined;
  return { base: inForce, document, past: [], conflicts };
}

/** Puts parts of what a policy says in the place of others. */
export function withSpec(document: PolicyDocument, patch: Partial<Spec>): PolicyDocument {
  return { ...document, spec: { ...document.spec, ...patch } };
}

/** @param index Where it will stand, from 0. */
export function insertRule(document: PolicyDocument, index: number, rule: PolicyRule): PolicyDocument {
  return withSpec(document, { rules: document.spec.rules.toSpliced(index, 0, rule) });
}

/** @param rule In its place; nothing takes it away. */
export function setRule(document: PolicyDocument, index: number, rule?: PolicyRule): PolicyDocument {
  return withSpec(document, {
    rules: document.spec.rules.toSpliced(index, 1, ...(rule === undefined ? [] : [rule])),
  });
}

/** @param to Where it will stand, from 0; whatever is too large is the end. */
export function moveRule(document: PolicyDocument, from: number, to: number): PolicyDocument {
  const { rules } = document.spec;
  const rule = rules[from];
  if (rule === undefined) return document;
  return withSpec(document, { rules: rules.toSpliced(from, 1).toSpliced(Math.max(0, to), 0, rule) });
}
