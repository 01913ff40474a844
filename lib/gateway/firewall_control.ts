/**
 * What operators see of the firewall and do to it, behind the admin API.
 *
 * @module
 */
import {
  type Actor,
  type Applied,
  type BanView,
  ControlError,
  type FirewallControl,
  type GroupView,
  type StreamMessage,
} from "../admin/control.ts";
import type { Bans } from "../policy/bans.ts";
import type { PolicyDocument, PolicyRule } from "../policy/document.ts";
import type { EdgeBook } from "../policy/edge_book.ts";
import { CompiledPolicy } from "../policy/engine.ts";
import { type Direction, type Group, parseGroupId } from "../policy/flow.ts";
import type { Learner } from "../policy/learner.ts";
import type { Mode } from "../policy/mode.ts";
import type { EdgeRecord } from "../policy/record.ts";
import { simulate, type SimulationReport } from "../policy/simulate.ts";
import type { RateLimiter } from "../policy/rate_limit.ts";
import type { Registry } from "../routing/registry.ts";
import type { PolicyVersion, Store } from "../store/store.ts";
import { allowingRule } from "./allowing_rule.ts";
import type { Firewall } from "./firewall.ts";
import { modelOf, type PolicyKeeper } from "./policy_keeper.ts";

/** Flows that one simulation looks at, the newest first. */
export const SIMULATED_FLOWS_MAX = 100_000;

/** Who makes the changes that evidence calls for. */
export const NETWALL: Actor = { name: "netwall", role: "operator" };

export interface ControlParts {
  readonly keeper: PolicyKeeper;
  readonly firewall: Firewall;
  readonly store: Store;
  readonly learner: Learner;
  readonly edges: EdgeBook;
  readonly bans: Bans;
  readonly limiter: RateLimiter;
  readonly registry: Registry;
  unrecorded(): number;
  storeFault(): string | undefined;
  /** Writes down now what waits for it. */
  save(): void;
  nowMs(): number;
  subscribe(listener: (message: StreamMessage) => void): () => void;
}

export class GatewayControl implements FirewallControl {
  readonly #parts: ControlParts;
  readonly #keeper: PolicyKeeper;

  constructor(parts: ControlParts) {
    this.#parts = parts;
    this.#keeper = parts.keeper;
  }

  get store(): Store {
    return this.#parts.store;
  }

  get unrecorded(): number {
    return this.#parts.unrecorded();
  }

  get storeFault(): string | undefined {
    return this.#parts.storeFault();
  }

  policy(): PolicyVersion {
    return this.#keeper.version;
  }

  exported(): PolicyDocument {
    return { ...this.#keeper.version.document, model: { edges: this.#parts.learner.edges() } };
  }

  apply(document: PolicyDocument, by: Actor, comment: string, expected?: number): Applied {
    return this.#keeper.apply(document, by, comment, expected);
  }

  stage(document: PolicyDocument | undefined, by: Actor): void {
    this.#keeper.stage(document, by);
  }

  staged(): PolicyDocument | undefined {
    return this.#keeper.staged;
  }

  rollback(version: number, by: Actor): Applied {
    return this.#keeper.rollback(version, by);
  }

  simulate(document: PolicyDocument, sinceMs: number): SimulationReport {
    const { learner, firewall, save, nowMs } = this.#parts;
    save();
    const flows = this.#keeper.read((store) => store.flows(sinceMs, SIMULATED_FLOWS_MAX));
    return simulate({
      ...{ flows, sinceMs, nowMs: nowMs() },
      now: firewall.policy.compiled,
      modelNow: learner,
      then: new CompiledPolicy(document),
      modelThen: document.model === undefined ? learner : modelOf(document),
    });
  }

  groups(): GroupView[] {
    const { registry, learner, firewall } = this.#parts;
    const progress = learner.progress();
    const views = new Map<string, { group: Group; services: Set<string>; agents: Set<string> }>();
    const view = (group: Group): { services: Set<string>; agents: Set<string> } => {
      const known = views.get(group.id);
      if (known !== undefined) return known;
      const made = { group, services: new Set<string>(), agents: new Set<string>() };
      views.set(group.id, made);
      return made;
    };
    for (const { group, services, agent } of registry.all()) {
      view(group).agents.add(agent);
      for (const service of services) view(group).services.add(service);
    }
    for (const { source, destination, service } of this.edges()) {
      const from = parseGroupId(source);
      const to = parseGroupId(destination);
      if (from !== undefined) view(from);
      if (to !== undefined) view(to).services.add(service);
    }
    return [...views.values()].map(({ group, services, agents }) => {
      const modes = firewall.policy.compiled.modesOfGroup(group);
      return {
        ...{ id: group.id, namespace: group.namespace, image: group.image, modes },
        services: [...services].sort(),
        agents: [...agents].sort(),
        // What it is judged by is no proposal any more.
        learning: (progress.get(group.id) ?? []).map((each) =>
          each.state === "stable" && modes[each.direction].mode !== "learn"
            ? { ...each, state: "active" as const }
            : each
        ),
      };
    }).sort((a, b) => a.id < b.id ? -1 : 1);
  }

  edges(): EdgeRecord[] {
    return this.#parts.edges.list();
  }

  setMode(id: string, mode: Mode, by: Actor, direction?: Direction): Applied {
    const { namespace, image } = groupIn(id);
    // One for all directions takes the place of those for each.
    const kept = this.#modes().filter((entry) =>
      entry.namespace !== namespace || entry.image !== image ||
      direction !== undefined && entry.direction !== direction
    );
    const directed = direction === undefined ? {} : { direction };
    const modes = [...kept, { namespace, image, ...directed, mode, origin: "manual" as const }];
    const where = direction === undefined ? id : `${id}, ${direction}`;
    return this.#keeper.change({ modes }, by, "mode.set", `${where}: ${mode}`);
  }

  relearn(id: string, by: Actor): Applied {
    const { namespace, image } = groupIn(id);
    const modes = this.#modes().filter((entry) => entry.namespace !== namespace || entry.image !== image);
    const applied = this.#keeper.change({ modes }, by, "group.relearn", id);
    this.#parts.learner.relearn(id);
    // What was open by the model that is gone may be refused now.
    return { ...applied, cut: applied.cut + this.#parts.firewall.rejudge() };
  }

  /** Moves those whose model is stable, and whose mode nobody has set, from learn to alert. */
  promoteStable(): Applied | undefined {
    const { learner, firewall } = this.#parts;
    const ready = learner.stable().flatMap(({ group: id, direction }) => {
      const group = parseGroupId(id);
      if (group === undefined) return [];
      const { mode, origin } = firewall.policy.compiled.modesOfGroup(group)[direction];
      return mode === "learn" && origin !== "manual" ? [{ group, direction }] : [];
    });
    if (ready.length === 0) return undefined;
    const promoted = ready.map(({ group: { namespace, image }, direction }) => ({
      ...{ namespace, image, direction, mode: "alert" as const, origin: "promoted" as const },
    }));
    const names = ready.map(({ group, direction }) => `${group.id} ${direction}`).join(", ");
    const modes = [...this.#modes(), ...promoted];
    return this.#keeper.change({ modes }, NETWALL, "mode.promote", `stable, so alert from now on: ${names}`);
  }

  allowEvent(id: string, by: Actor): PolicyRule {
    this.#parts.save();
    const event = this.#keeper.read((store) => store.event(id));
    if (event === undefined) {
      throw new ControlError(`There is no event ${id}: it may have been deleted by age`, "notFound");
    }
    const { rules } = this.#keeper.version.document.spec;
    const rule = allowingRule(event, new Set(rules.map((other) => other.id)));
    if (rule === undefined) {
      throw new ControlError("The event is of no traffic that a rule could allow", "invalid");
    }
    this.#keeper.change({ rules: [rule, ...rules] }, by, "event.allow", `${rule.id} for event ${id}`);
    return rule;
  }

  bans(): BanView[] {
    return this.#parts.bans.list(this.#parts.nowMs());
  }

  unban(key: string, by: Actor): void {
    if (!this.#parts.limiter.unban(key)) throw new ControlError(`Nobody is banned under ${key}`, "notFound");
    this.#keeper.write(() => this.#keeper.audit(by, "ban.lift", key));
  }

  subscribe(listener: (message: StreamMessage) => void): () => void {
    return this.#parts.subscribe(listener);
  }

  #modes(): PolicyDocument["spec"]["modes"] {
    return this.#keeper.version.document.spec.modes;
  }
}

function groupIn(id: string): Group {
  const group = parseGroupId(id);
  if (group === undefined) throw new ControlError(`${id} is no group: write NAMESPACE/IMAGE`, "invalid");
  return group;
}
