/**
 * The policy in force, its versions, and the way from one to the next.
 *
 * A change is written down before it is in force: what the store cannot keep is refused, and the policy before it
 * stays. A document that brings a model replaces what was learned; the model before it is kept beside its version, so
 * that a rollback brings it back.
 *
 * @module
 */
import { type Actor, type Applied, ControlError } from "../admin/control.ts";
import { type PolicyDocument, policySchema } from "../policy/document.ts";
import { CompiledPolicy } from "../policy/engine.ts";
import { Learner } from "../policy/learner.ts";
import { type PolicyVersion, type Store, StoreError } from "../store/store.ts";
import type { Firewall } from "./firewall.ts";

/** The name under which the learned model is stored. */
export const MODEL_STATE = "model";
/** The name under which the staged policy is stored; empty when there is none. */
export const STAGED_STATE = "staged-policy";
/** Which versions replaced the model, and the model before each. */
const REPLACED_STATE = "replaced-models";
const replacedModel = (version: number): string => `model-before-${version}`;
/** Models that are kept for a rollback. */
export const REPLACED_MODELS_MAX = 16;

export interface PolicyKeeperParts {
  readonly store: Store;
  readonly firewall: Firewall;
  readonly learner: Learner;
  nowMs(): number;
  /** A new version is in force, and cut off so many streams. */
  onPolicy(version: PolicyVersion, cut: number): void;
}

/** What a change does. */
interface Change {
  readonly by: Actor;
  /** Such as `policy.apply`. */
  readonly action: string;
  readonly detail: string;
  /** A snapshot of the model that takes the place of the one that is there. */
  readonly model?: string | undefined;
}

export class PolicyKeeper {
  readonly #parts: PolicyKeeperParts;
  #version: PolicyVersion;
  #staged: PolicyDocument | undefined;

  constructor(parts: PolicyKeeperParts, version: PolicyVersion, staged: PolicyDocument | undefined) {
    this.#parts = parts;
    this.#version = version;
    this.#staged = staged;
  }

  get version(): PolicyVersion {
    return this.#version;
  }

  get staged(): PolicyDocument | undefined {
    return this.#staged;
  }

  apply(document: PolicyDocument, by: Actor, comment: string, expected?: number): Applied {
    const { version } = this.#version;
    if (expected !== undefined && expected !== version) {
      throw new ControlError(
        `The policy is at version ${version} and not at ${expected}: look at the difference and apply again`,
        "conflict",
      );
    }
    const model = document.model === undefined ? undefined : modelOf(document).snapshot();
    return this.#putInForce(document, { by, action: "policy.apply", detail: comment, model });
  }

  rollback(version: number, by: Actor): Applied {
    const found = this.read((store) => store.policy(version));
    if (found === undefined) {
      throw new ControlError(`There is no version ${version} of the policy: see policy versions`, "notFound");
    }
    const model = this.#modelAt(version);
    const detail = `back to version ${version}${model === undefined ? "" : " and its model"}`;
    return this.#putInForce(found.document, { by, action: "policy.rollback", detail, model });
  }

  /** Replaces parts of the policy in force. */
  change(spec: Partial<PolicyDocument["spec"]>, by: Actor, action: string, detail: string): Applied {
    const { document } = this.#version;
    return this.#putInForce({ ...document, spec: { ...document.spec, ...spec } }, { by, action, detail });
  }

  stage(document: PolicyDocument | undefined, by: Actor): void {
    const staged = document === undefined ? undefined : withoutModel(document);
    this.write((store) => {
      store.putState(STAGED_STATE, staged === undefined ? "" : JSON.stringify(staged));
      this.audit(by, staged === undefined ? "policy.unstage" : "policy.stage", "");
    });
    this.#staged = staged;
    this.#parts.firewall.staged = staged === undefined ? undefined : new CompiledPolicy(staged);
  }

  audit({ name, role }: Actor, action: string, detail: string): void {
    this.#parts.store.addAudit({ ...{ atMs: this.#parts.nowMs(), by: name, role, action }, detail });
  }

  /** @throws {ControlError} `unavailable`. */
  write<T>(write: (store: Store) => T): T {
    return this.#guard(
      "The change was not made, as it cannot be written down",
      (store) => store.atomically(() => write(store)),
    );
  }

  /** @throws {ControlError} `unavailable`. */
  read<T>(read: (store: Store) => T): T {
    return this.#guard("The store cannot be read", read);
  }

  #putInForce(document: PolicyDocument, { by, action, detail, model }: Change): Applied {
    const checked = policySchema.safeParse(withoutModel(document));
    if (!checked.success) {
      const { path, message } = checked.error.issues[0]!;
      throw new ControlError(`The policy cannot be used: ${path.join(".")}: ${message}`, "invalid");
    }
    const { firewall, learner, nowMs, onPolicy } = this.#parts;
    const compiled = new CompiledPolicy(checked.data);
    const version = this.write((store) => {
      const atMs = nowMs();
      if (model !== undefined) this.#keepModel(store, learner.snapshot());
      // What is learned now is judged by it: a kill must not leave the policy without it, and refuse what is normal.
      else store.putState(MODEL_STATE, learner.snapshot());
      const added = store.addPolicy({ atMs, by: by.name, comment: detail, document: checked.data });
      if (model !== undefined) store.putState(MODEL_STATE, model);
      this.audit(by, action, `version ${added.version}${detail === "" ? "" : `: ${detail}`}`);
      return added;
    });
    this.#version = version;
    if (model !== undefined) learner.restore(model);
    const cut = firewall.replace({ version: version.version, compiled });
    onPolicy(version, cut);
    return { version, cut };
  }

  /** Keeps the model that is about to go, for the versions up to this one. */
  #keepModel(store: Store, snapshot: string): void {
    const kept = replacedIn(store);
    kept.push(this.#version.version);
    for (const gone of kept.splice(0, Math.max(0, kept.length - REPLACED_MODELS_MAX))) {
      store.putState(replacedModel(gone), "");
    }
    store.putState(replacedModel(this.#version.version), snapshot);
    store.putState(REPLACED_STATE, JSON.stringify(kept));
  }

  /** The model that was replaced first after a version: `undefined` when none was, so that it is there still. */
  #modelAt(version: number): string | undefined {
    return this.read((store) => {
      const at = replacedIn(store).find((last) => last >= version);
      const snapshot = at === undefined ? undefined : store.state(replacedModel(at));
      return snapshot === "" ? undefined : snapshot;
    });
  }

  #guard<T>(what: string, run: (store: Store) => T): T {
    try {
      return run(this.#parts.store);
    } catch (cause) {
      if (!(cause instanceof StoreError)) throw cause;
      throw new ControlError(`${what}: ${cause.message}`, "unavailable", { cause });
    }
  }
}

/** Versions whose successor replaced the model, oldest first. */
function replacedIn(store: Store): number[] {
  const text = store.state(REPLACED_STATE);
  return text === undefined ? [] : JSON.parse(text) as number[];
}

function withoutModel(document: PolicyDocument): PolicyDocument {
  const { model: _model, ...rest } = document;
  return rest;
}

/** The model of a document, for judging by it. */
export function modelOf(document: PolicyDocument): Learner {
  const learner = new Learner({ timeMs: 0, requests: 1, quietMs: 0, unseenShareMax: 1, nowMs: () => 0 });
  learner.replace(document.model?.edges ?? []);
  return learner;
}
