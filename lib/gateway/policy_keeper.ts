/**
 * The policy in force, its versions, and the way from one to the next.
 *
 * A change is written down before it is in force: what the store cannot keep is refused, and the policy before it
 * stays. A document that brings a model replaces what was learned; the model before it is kept beside its version, so
 * that a rollback brings it back.
 *
 * @module
 */
import { z } from "zod";
import { type Actor, type Applied, ControlError } from "../admin/control.ts";
import { FIRST_MODE, MODES_MAX, type PolicyDocument, RULES_MAX } from "../policy/document.ts";
import { CompiledPolicy } from "../policy/engine.ts";
import { type Mode, stricter } from "../policy/mode.ts";
import { ModelError } from "../policy/model_text.ts";
import { diffPolicies, type PolicyDiff } from "../policy/policy_diff.ts";
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
  /** What groups that have none are in, whatever the policy says: it was asked for at the start. */
  readonly forcedMode?: Mode | undefined;
  /** A new version is in force, and cut off so many streams. @param changes What it changes, in words. */
  onPolicy(version: PolicyVersion, cut: number, changes: string): void;
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
    return this.#putInForce(this.#with(spec), { by, action, detail });
  }

  /** The same, and forgets what was learned of a group. A rollback brings that back as well. */
  forget(
    group: string,
    spec: Partial<PolicyDocument["spec"]>,
    by: Actor,
    action: string,
    detail: string,
  ): Applied {
    const rest = emptyModel();
    rest.restore(this.#parts.learner.snapshot());
    rest.relearn(group, this.#parts.nowMs());
    return this.#putInForce(this.#with(spec), { by, action, detail, model: rest.snapshot() });
  }

  #with(spec: Partial<PolicyDocument["spec"]>): PolicyDocument {
    const { document } = this.#version;
    return { ...document, spec: { ...document.spec, ...spec } };
  }

  stage(document: PolicyDocument | undefined, by: Actor): void {
    const staged = document === undefined ? undefined : withoutModel(document);
    this.write((store) => {
      store.putState(STAGED_STATE, staged === undefined ? "" : JSON.stringify(staged));
      this.audit(by, staged === undefined ? "policy.unstage" : "policy.stage", "");
    });
    this.#staged = staged;
    this.compileStaged();
  }

  /** Gives the firewall the staged policy, as it would be in force. */
  compileStaged(): void {
    const staged = this.#staged;
    this.#parts.firewall.staged = staged && new CompiledPolicy(this.resolved(staged));
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

  /** A document as it would be in force: what it leaves out of the default mode stays, what was asked for at the start holds. */
  resolved(document: PolicyDocument): PolicyDocument {
    const { forcedMode } = this.#parts;
    const defaultMode = forcedMode ?? document.spec.defaultMode ?? this.#version.document.spec.defaultMode;
    return { ...document, spec: { ...document.spec, defaultMode: defaultMode ?? FIRST_MODE } };
  }

  /** Makes the mode hold that was asked for at the start. */
  forceMode(by: Actor): void {
    const { forcedMode } = this.#parts;
    if (forcedMode === undefined || this.#version.document.spec.defaultMode === forcedMode) return;
    this.change({}, by, "mode.start", `started with --mode ${forcedMode}`);
  }

  #putInForce(document: PolicyDocument, { by, action, detail, model }: Change): Applied {
    const { spec } = document;
    if (spec.rules.length > RULES_MAX || spec.modes.length > MODES_MAX) {
      throw new ControlError(
        `The policy is too large: at most ${RULES_MAX} rules and ${MODES_MAX} modes, remove some`,
        "invalid",
      );
    }
    const before = this.#version.document;
    const made = withoutModel(this.resolved(document));
    const changes = diffPolicies(before, made).changes;
    if (changes.length === 0 && model === undefined) return { version: this.#version, cut: 0, warnings: [] };
    const { firewall, learner, nowMs, onPolicy } = this.#parts;
    const compiled = new CompiledPolicy(made);
    const version = this.write((store) => {
      const atMs = nowMs();
      if (model !== undefined) this.#keepModel(store, learner.snapshot());
      // What is learned now is judged by it: a kill must not leave the policy without it, and refuse what is normal.
      else store.putState(MODEL_STATE, learner.snapshot());
      const added = store.addPolicy({ atMs, by: by.name, comment: detail, document: made });
      if (model !== undefined) store.putState(MODEL_STATE, model);
      this.audit(by, action, `version ${added.version}${detail === "" ? "" : `: ${detail}`}`);
      return added;
    });
    this.#version = version;
    if (model !== undefined) learner.restore(model);
    const cut = firewall.replace({ version: version.version, compiled });
    onPolicy(version, cut, summaryOf(changes));
    return { version, cut, warnings: this.#warnings(document, before) };
  }

  #warnings(document: PolicyDocument, before: PolicyDocument): string[] {
    const { forcedMode } = this.#parts;
    const { defaultMode } = document.spec;
    const warnings: string[] = [];
    if (forcedMode !== undefined && defaultMode !== undefined && defaultMode !== forcedMode) {
      warnings.push(
        `defaultMode ${defaultMode} is not in force: the gateway was started with --mode ${forcedMode}`,
      );
    }
    const now = this.#version.document.spec.defaultMode ?? FIRST_MODE;
    const then = before.spec.defaultMode ?? FIRST_MODE;
    if (now !== then && stricter(now, then) === then) {
      warnings.push(`groups that have no mode are in ${now} and no longer in ${then}`);
    }
    return warnings;
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
      return snapshot === undefined || snapshot === "" ? undefined : usable(snapshot, version);
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

const versions = z.array(z.int());

/** Versions whose successor replaced the model, oldest first. What cannot be read is none: models are kept as a help. */
function replacedIn(store: Store): number[] {
  try {
    return versions.safeParse(JSON.parse(store.state(REPLACED_STATE) ?? "[]")).data ?? [];
  } catch (error) {
    if (error instanceof SyntaxError) return [];
    throw error;
  }
}

/** A kept model that can be read. @throws {ControlError} `unavailable`: looked at before anything is changed. */
function usable(snapshot: string, version: number): string {
  try {
    emptyModel().restore(snapshot);
    return snapshot;
  } catch (cause) {
    if (!(cause instanceof ModelError)) throw cause;
    const what = `The model of version ${version} cannot be read, so nothing was changed`;
    throw new ControlError(`${what}: ${cause.message}`, "unavailable", { cause });
  }
}

function withoutModel(document: PolicyDocument): PolicyDocument {
  const { model: _model, ...rest } = document;
  return rest;
}

/** What changed, in a few words: "rules added (2), modes removed". */
function summaryOf(changes: PolicyDiff["changes"]): string {
  const counts = new Map<string, number>();
  for (const { part, kind } of changes) {
    const what = `${part} ${kind}`;
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  return [...counts].map(([what, count]) => `${what}${count > 1 ? ` (${count})` : ""}`).join(", ");
}

/** The model of a document, for judging by it. @throws {ControlError} `invalid`: an edge is none that can be learned. */
export function modelOf(document: PolicyDocument): Learner {
  const learner = emptyModel();
  try {
    learner.replace(document.model?.edges ?? []);
  } catch (cause) {
    if (!(cause instanceof ModelError)) throw cause;
    throw new ControlError(`The model cannot be used: ${cause.message}`, "invalid", { cause });
  }
  return learner;
}

function emptyModel(): Learner {
  return new Learner({ timeMs: 0, requests: 1, quietMs: 0, unseenShareMax: 1, nowMs: () => 0 });
}
