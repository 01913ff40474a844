/**
 * What the view of the policy knows: the policy in force, what was drafted upon it, what is staged.
 *
 * A draft outlives the view, so that one can look at the map and come back. It is of the one who made it: who logs in
 * under another name begins anew.
 *
 * @module
 */
import { batch, computed, signal } from "@preact/signals";
import { ask, messageOf } from "../core/api.ts";
import { session } from "../core/session.ts";
import { nowMs, policyVersion } from "../core/state.ts";
import type { PolicyDocument, PolicyVersion } from "../core/types.ts";
import { differences, same } from "./differences.ts";
import { type Draft, rebase, step, stepBack } from "./draft.ts";

/** How often each rule has decided. */
export interface Hits {
  readonly sinceMs: number;
  readonly items: readonly { readonly rule: string; readonly count: number; readonly lastMs: number }[];
  readonly defaults: Readonly<
    Record<"learned" | "learning" | "implicit", { readonly count: number; readonly lastMs: number }>
  >;
}

/** A policy that is edited as text. */
export interface TextDraft {
  /** The version that it was made from, and its text. */
  readonly version: number;
  readonly base: string;
  readonly text: string;
  readonly hasModel: boolean;
}

const ROUGH_MS = 10_000;

export const inForce = signal<PolicyVersion | undefined>(undefined);
/** Why the policy cannot be read; empty when it can. */
export const readFault = signal("");
export const hits = signal<Hits | undefined>(undefined);
/** `null`: none is. */
export const staged = signal<PolicyDocument | null | undefined>(undefined);
export const draft = signal<Draft | undefined>(undefined);
export const textDraft = signal<TextDraft | undefined>(undefined);
/** Whose drafts they are. */
const owner = signal("");

/** The time, in steps that are fine enough for what is told here: long tables are not drawn anew each second. */
export const roughNowMs = computed(() => Math.floor(nowMs.value / ROUGH_MS) * ROUGH_MS);

/** The text has changes. */
export const isTextChanged = computed(() => {
  const { text, base } = textDraft.value ?? { text: "", base: "" };
  return text !== base;
});
/** What is shown: the draft, or what is in force. */
export const shown = computed(() => draft.value?.document ?? inForce.value?.document);
/** What the draft changes. */
export const changes = computed(() => {
  const now = draft.value;
  return now === undefined ? [] : differences(now.base.document, now.document);
});

/** Reads the policy in force. What is known stays when it cannot be read. */
export async function readPolicy(): Promise<void> {
  try {
    const found = await ask<PolicyVersion>("GET", "/policy");
    // Answers may come in another order than they were asked for.
    if (found.version < policyVersion.peek()) return;
    batch(() => {
      inForce.value = found;
      readFault.value = "";
    });
  } catch (error) {
    readFault.value = messageOf(error);
  }
}

/** @param isStaged Whether there is one: to ask for what is not there would be told as a fault of the browser. */
export async function readStaged(isStaged: boolean): Promise<void> {
  try {
    staged.value = isStaged
      ? (await ask<{ document: PolicyDocument }>("GET", "/policy/staged")).document
      : null;
  } catch {
    // Taken away in between: the status says so soon.
  }
}

export async function readHits(): Promise<void> {
  try {
    const found = await ask<Hits>("GET", "/policy/hits");
    if (!same(found, hits.peek())) hits.value = found;
  } catch {
    // The next time comes soon; until then the counts are older.
  }
}

/** Drops what somebody else has drafted. Called when the view is opened. */
export function claimDrafts(): void {
  const name = session.peek()?.name ?? "";
  if (owner.peek() !== name) {
    discardDraft();
    setText(undefined);
    inForce.value = undefined;
    staged.value = undefined;
    hits.value = undefined;
  }
  owner.value = name;
}

/** Makes a step of the draft; the first one begins it. */
export function edit(make: (document: PolicyDocument) => PolicyDocument): void {
  const current = inForce.peek();
  if (current !== undefined) setDraft(step(draft.peek(), current, make));
}

export function undoStep(): void {
  const now = draft.peek();
  if (now !== undefined) setDraft(stepBack(now));
}

export function discardDraft(): void {
  setDraft(undefined);
}

/** Puts the draft on top of the version that is in force by now. */
export function rebaseDraft(onto: PolicyVersion): void {
  const now = draft.peek();
  if (onto.version > (inForce.peek()?.version ?? 0)) inForce.value = onto;
  if (now !== undefined) setDraft(rebase(now, onto));
}

export function setText(next: TextDraft | undefined): void {
  textDraft.value = next;
  guard();
}

function setDraft(next: Draft | undefined): void {
  draft.value = next;
  guard();
}

/** Leaving the page asks while something would be lost. */
function guard(): void {
  const isChanged = draft.peek() !== undefined || isTextChanged.peek();
  if (isChanged) globalThis.addEventListener("beforeunload", holdBack);
  else globalThis.removeEventListener("beforeunload", holdBack);
}

function holdBack(event: Event): void {
  event.preventDefault();
}
