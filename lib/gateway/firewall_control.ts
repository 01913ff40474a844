/**
 * What operators see of the firewall and do to it, behind the admin API.
 *
 * @module
 */
import { isDeepStrictEqual } from "node:util";
import {
  type Actor,
  type Applied,
  type BanView,
  ControlError,
  type EdgeWindow,
  type FirewallControl,
  type GroupView,
  type StreamMessage,
} from "../admin/control.ts";
import type { Bans } from "../policy/bans.ts";
import type { ModelEdge, PolicyDocument, PolicyMode, PolicyRule } from "../policy/document.ts";
import type { EdgeBook } from "../policy/edge_book.ts";
import { type EdgeTraffic, firstHourMs, weekOf } from "../policy/edge_traffic.ts";
import { CompiledPolicy } from "../policy/engine.ts";
import { type Direction, DIRECTIONS, type Group, parseGroupId } from "../policy/flow.ts";
import type { Learner } from "../policy/learner.ts";
import type { Mode } from "../policy/mode.ts";
import { lintPolicy } from "../policy/policy_lint.ts";
import type { EdgeRecord } from "../policy/record.ts";
import { simulate, type SimulationReport } from "../policy/simulate.ts";
import type { RateLimiter } from "../policy/rate_limit.ts";
import type { RuleHits, RuleHitsView } from "../policy/rule_hits.ts";
import type { Registry } from "../routing/registry.ts";
import type { PolicyVersion, Store } from "../store/store.ts";
import { allowingRule } from "./allowing_rule.ts";
import type { Firewall } from "./firewall.ts";
import { groupViews, modeWarnings } from "./group_views.ts";
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
  readonly hits: RuleHits;
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
      then: new CompiledPolicy(this.#keeper.resolved(document)),
      modelThen: document.model === undefined ? learner : modelOf(document),
    });
  }

  groups(): GroupView[] {
    const { registry, learner, firewall, edges } = this.#parts;
    return groupViews(registry.all(), edges.ends(), learner.progress(), firewall.policy.compiled);
  }

  groupModel(id: string): ModelEdge[] {
    const found = this.#parts.learner.edgesOf(id);
    if (found.length > 0 || this.groups().some((group) => group.id === id)) return found;
    throw new ControlError(`There is no group ${id}: no agent of it was seen yet`, "notFound");
  }

  edges(): EdgeRecord[] {
    return this.#parts.edges.list();
  }

  edgeTraffic(id: string, window: EdgeWindow): EdgeTraffic {
    const nowMs = this.#parts.nowMs();
    const hour = this.#parts.edges.minutes(id, nowMs);
    if (hour === undefined) {
      throw new ControlError("There is no such edge: it may have made room for others", "notFound");
    }
    if (window === "1h") return hour;
    return weekOf(this.#keeper.read((store) => store.edgeHours(id, firstHourMs(nowMs))), nowMs);
  }

  ruleHits(): RuleHitsView {
    return this.#parts.hits.view();
  }

  warningsOf(document: PolicyDocument): string[] {
    const groups = this.groups();
    const services = new Set(groups.flatMap((group) => group.services));
    return lintPolicy(document, { groups, services }, this.#parts.nowMs());
  }

  setMode(id: string, mode: Mode | "default", by: Actor, direction?: Direction): Applied {
    const { namespace, image } = groupIn(id);
    // One for all directions takes the place of those for each.
    const kept = this.#modes().filter((entry) =>
      entry.namespace !== namespace || entry.image !== image ||
      direction !== undefined && entry.direction !== direction
    );
    const directed = direction === undefined ? {} : { direction };
    const own = mode === "default"
      ? []
      : [{ namespace, image, ...directed, mode, origin: "manual" as const }];
    const where = direction === undefined ? id : `${id}, ${direction}`;
    const applied = this.#keeper.change({ modes: [...kept, ...own] }, by, "mode.set", `${where}: ${mode}`);
    return {
      ...applied,
      warnings: [...applied.warnings, ...modeWarnings(this.groups(), id, mode, direction)],
    };
  }

  relearn(id: string, by: Actor): Applied {
    const { namespace, image } = groupIn(id);
    if (!this.groups().some((group) => group.id === id)) {
      throw new ControlError(`There is no group ${id}: no agent of it was seen yet`, "notFound");
    }
    const others = this.#modes().filter((entry) => entry.namespace !== namespace || entry.image !== image);
    const learn = DIRECTIONS.map((direction) => ({
      ...{ namespace, image, direction, mode: "learn" as const, origin: "promoted" as const },
    }));
    const modesThen = [...others, ...learn];
    const applied = this.#keeper.forget(id, { modes: modesThen }, by, "group.relearn", `${id} learns anew`);
    const modes = this.#parts.firewall.policy.compiled.modesOfGroup(groupIn(id));
    const held = DIRECTIONS.filter((direction) => modes[direction].mode !== "learn");
    const warnings = held.map((direction) =>
      `its mode ${direction} is ${modes[direction].mode}, set for more than it`
    );
    return { ...applied, warnings: [...applied.warnings, ...warnings] };
  }

  /** Moves what is stable, by its model or its silence, and whose mode nobody has set, from learn to alert. */
  promoteStable(): Applied | undefined {
    const { learner, firewall, nowMs } = this.#parts;
    const ready = learner.stable().flatMap(({ group: id, direction, reasons }) => {
      const group = parseGroupId(id);
      if (group === undefined) return [];
      const { mode, origin } = firewall.policy.compiled.modesOfGroup(group)[direction];
      return mode === "learn" && origin !== "manual" ? [{ group, direction, reasons }] : [];
    });
    if (ready.length === 0) return undefined;
    const promoted = ready.map(({ group: { namespace, image }, direction }) => ({
      ...{ namespace, image, direction, mode: "alert" as const, origin: "promoted" as const },
    }));
    const isSame = (a: PolicyMode, b: PolicyMode): boolean =>
      a.namespace === b.namespace && a.image === b.image && a.direction === b.direction;
    const others = this.#modes().filter((entry) => !promoted.some((made) => isSame(made, entry)));
    const names = ready.map(({ group, direction }) => `${group.id} ${direction}`).join(", ");
    const detail = `stable, so alert from now on: ${names}`;
    const applied = this.#keeper.change({ modes: [...others, ...promoted] }, NETWALL, "mode.promote", detail);
    for (const { group, direction, reasons } of ready) {
      firewall.notice({
        ...{ time: nowMs(), type: "modelStable", severity: "info", effect: "allow", verdict: "forwarded" },
        ...{ rule: { kind: "learned" }, mode: "alert", direction },
        source: { kind: "workload", name: group.id, namespace: group.namespace, image: group.image },
        message: `The model of ${group.id} (${direction}) is stable: ${reasons.join(", ")}`,
      });
    }
    return applied;
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
    const { id: _id, comment: _comment, ...says } = rule;
    const same = rules.find(({ id: _other, comment: _why, ...other }) => isDeepStrictEqual(other, says));
    if (same !== undefined) return same;
    this.#keeper.change({ rules: [rule, ...rules] }, by, "event.allow", `${rule.id} for event ${id}`);
    return rule;
  }

  bans(): BanView[] {
    return this.#parts.bans.list(this.#parts.nowMs());
  }

  unban(key: string, by: Actor): void {
    if (!this.bans().some((ban) => ban.key === key)) {
      throw new ControlError(`Nobody is banned under ${key}`, "notFound");
    }
    this.#keeper.write(() => this.#keeper.audit(by, "ban.lift", key));
    this.#parts.limiter.unban(key);
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
