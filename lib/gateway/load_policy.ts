/**
 * What is read from the store before anything is judged: the policy, the staged one, the model, and how often each rule
 * has decided.
 *
 * @module
 */
import { defaultPolicy, type PolicyDocument, policySchema } from "../policy/document.ts";
import type { Learner } from "../policy/learner.ts";
import { ModelError } from "../policy/model_text.ts";
import { RuleHits } from "../policy/rule_hits.ts";
import type { PolicyVersion, Store } from "../store/store.ts";
import { MODEL_STATE, STAGED_STATE } from "./policy_keeper.ts";
import { FirewallFault } from "./sinks.ts";

/** The name under which is stored how often each rule has decided. */
export const HITS_STATE = "rule-hits";

/** The newest policy, or a first one. */
export function loadPolicy(store: Store, nowMs: number): PolicyVersion {
  return store.policy() ??
    store.addPolicy({ atMs: nowMs, by: "netwall", comment: "the first start", document: defaultPolicy() });
}

/** The policy whose verdicts are shown as pending. */
export function loadStaged(store: Store): PolicyDocument | undefined {
  const text = store.state(STAGED_STATE);
  if (text === undefined || text === "") return undefined;
  // It decides nothing, so one that cannot be read is only gone.
  return policySchema.safeParse(jsonIn(text)).data;
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What was learned so far. @throws {FirewallFault} It cannot be read: without it, what is normal would be refused. */
export function loadModel(store: Store, learner: Learner): void {
  const text = store.state(MODEL_STATE);
  if (text === undefined || text === "") return;
  try {
    learner.restore(text);
  } catch (error) {
    if (!(error instanceof ModelError)) throw error;
    throw new FirewallFault(
      `Cannot use the learned model in the store: ${error.message}. Move netwall.db away to learn anew`,
    );
  }
}

/** How often each rule has decided so far; what cannot be read begins anew, as no verdict hangs on it. */
export function loadHits(store: Store, nowMs: number): RuleHits {
  const hits = new RuleHits(nowMs);
  hits.restore(store.state(HITS_STATE) ?? "");
  return hits;
}
