/**
 * A firewall over a store in memory, for the tests of the admin API: it keeps what it is told and judges nothing.
 *
 * @module
 */
import {
  type Actor,
  type Applied,
  type BanView,
  ControlError,
  type EdgeWindow,
  type FirewallControl,
  type GroupView,
  type StreamMessage,
} from "../../lib/admin/control.ts";
import type { NetwallEvent } from "../../lib/events/event.ts";
import {
  defaultPolicy,
  type ModelEdge,
  type PolicyDocument,
  type PolicyRule,
} from "../../lib/policy/document.ts";
import type { EdgeTraffic } from "../../lib/policy/edge_traffic.ts";
import type { Direction } from "../../lib/policy/flow.ts";
import type { Mode } from "../../lib/policy/mode.ts";
import type { EdgeRecord } from "../../lib/policy/record.ts";
import type { RuleHitsView } from "../../lib/policy/rule_hits.ts";
import type { SimulationReport } from "../../lib/policy/simulate.ts";
import { MemoryStore } from "../../lib/store/memory_store.ts";
import type { PolicyVersion } from "../../lib/store/store.ts";

/** The group that the fake knows. */
export const GROUP = "shop/ghcr.io/acme/web";

export class FakeFirewall implements FirewallControl {
  readonly store = new MemoryStore();
  unrecorded = 0;
  storeFault: string | undefined;
  readonly listeners = new Set<(message: StreamMessage) => void>();
  #staged: PolicyDocument | undefined;
  #bans: BanView[] = [{
    key: "203.0.113.9/a b",
    source: "203.0.113.9",
    service: "web",
    untilMs: 9,
    reason: "rate",
  }];

  constructor() {
    this.store.addPolicy({ atMs: 1, by: "gateway", comment: "first", document: defaultPolicy() });
  }

  policy(): PolicyVersion {
    return this.store.policy()!;
  }

  exported(): PolicyDocument {
    return { ...this.policy().document, model: { edges: [] } };
  }

  apply(
    { model: _model, ...document }: PolicyDocument,
    by: Actor,
    comment: string,
    expected?: number,
  ): Applied {
    if (expected !== undefined && expected !== this.policy().version) {
      throw new ControlError("Cannot apply: another version is in force", "conflict");
    }
    return this.#add(document, by, "policy.apply", comment);
  }

  stage(document: PolicyDocument | undefined, by: Actor): void {
    this.#staged = document;
    this.#audit(by, "policy.stage");
  }

  staged(): PolicyDocument | undefined {
    return this.#staged;
  }

  rollback(version: number, by: Actor): Applied {
    const old = this.store.policy(version);
    if (old === undefined) {
      throw new ControlError(`Cannot roll back: there is no version ${version}`, "notFound");
    }
    return this.#add(old.document, by, "policy.rollback", `version ${version}`);
  }

  simulate(_document: PolicyDocument, sinceMs: number): SimulationReport {
    const change = { direction: "egress", source: GROUP, destination: "evil.example:443" } as const;
    const verdicts = { from: "audited", to: "dropped", fromRule: "implicit", toRule: "no-evil" } as const;
    return {
      ...{ judged: 7, sinceMs, droppedNow: 0, droppedThen: 2, unjudged: 0 },
      changes: [{ ...change, ...verdicts, count: 2, examples: ["GET /x"] }],
    };
  }

  groups(): GroupView[] {
    const mode = { mode: "learn", origin: "default" } as const;
    return [{
      ...{ id: GROUP, namespace: "shop", image: "ghcr.io/acme/web", services: ["web"], agents: ["web-1"] },
      modes: { "north-south": mode, "east-west": mode, egress: { mode: "alert", origin: "promoted" } },
      learning: [{
        ...{
          direction: "egress",
          state: "active",
          reasons: ["Nothing new for 24 h"],
          sinceMs: 1,
          samples: 1200,
        },
        ...{ edges: 3, routes: 0, lastNewMs: 5, unseenShare: 0.0005 },
      }],
    }];
  }

  groupModel(group: string): ModelEdge[] {
    if (group !== GROUP) throw new ControlError(`There is no group ${group}`, "notFound");
    const ends = { source: "internet", destination: GROUP, service: "web" };
    return [{
      ...{ direction: "north-south", ...ends, protocol: "http", operations: ["GET /users/{int}"] },
      origin: "learned",
    }];
  }

  edges(): EdgeRecord[] {
    return this.store.edges();
  }

  edgeTraffic(id: string, window: EdgeWindow): EdgeTraffic {
    if (!this.edges().some((edge) => edge.id === id)) {
      throw new ControlError("There is no such edge", "notFound");
    }
    const stepMs = window === "1h" ? 60_000 : 3_600_000;
    return { stepMs, timesMs: [0, stepMs], counts: [3, 4], dropped: [0, 1], bytes: [500, 7] };
  }

  ruleHits(): RuleHitsView {
    const none = { count: 0, lastMs: 0 };
    return {
      ...{ sinceMs: 1, items: [{ rule: "no-evil", count: 2, lastMs: 5 }] },
      defaults: { learned: { count: 7, lastMs: 6 }, learning: none, implicit: none },
    };
  }

  warningsOf(): string[] {
    return [];
  }

  setMode(group: string, mode: Mode | "default", by: Actor, direction?: Direction): Applied {
    if (group !== GROUP) {
      throw new ControlError(`Cannot set the mode: there is no group ${group}`, "notFound");
    }
    return this.#add(this.policy().document, by, "mode.set", `${group} ${mode} ${direction ?? "all"}`);
  }

  relearn(group: string, by: Actor): Applied {
    if (group !== GROUP) throw new ControlError(`Cannot relearn: there is no group ${group}`, "notFound");
    return this.#add(this.policy().document, by, "group.relearn", group);
  }

  allowEvent(id: string, by: Actor): PolicyRule {
    if (this.store.event(id) === undefined) throw new ControlError("There is no such event", "notFound");
    this.#audit(by, "event.allow");
    return {
      ...{ id: "allow-1", enabled: true, source: {}, destination: { host: "api.example" } },
      ...{ effect: "allow", allowLearned: false },
    };
  }

  bans(): BanView[] {
    return this.#bans;
  }

  unban(key: string, by: Actor): void {
    if (!this.#bans.some((ban) => ban.key === key)) {
      throw new ControlError("There is no such ban", "notFound");
    }
    this.#bans = this.#bans.filter((ban) => ban.key !== key);
    this.#audit(by, "ban.delete");
  }

  subscribe(listener: (message: StreamMessage) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Tells whoever listens. */
  emit(message: StreamMessage): void {
    for (const listener of this.listeners) listener(message);
  }

  #add(document: PolicyDocument, by: Actor, action: string, comment: string): Applied {
    const version = this.store.addPolicy({ atMs: 2, by: by.name, comment, document });
    this.#audit(by, action);
    this.emit({ kind: "policy", version: version.version });
    return { version, cut: 1, warnings: [] };
  }

  #audit(by: Actor, action: string): void {
    this.store.addAudit({ atMs: 2, by: by.name, role: by.role, action, detail: "" });
  }
}

/** An event by its place; its id sorts as its place does. */
export function eventOf(seq: number, change: Partial<NetwallEvent> = {}): NetwallEvent {
  return {
    ...{ id: `e${String(seq).padStart(8, "0")}`, seq, time: 1_000 * seq, firstTime: 1_000 * seq, count: 1 },
    ...{ type: "unexpectedConnection", severity: "warning", direction: "east-west", protocol: "tcp" },
    ...{ mode: "alert", effect: "alert", verdict: "audited", pendingVerdict: "dropped" },
    rule: { kind: "implicit" },
    source: { kind: "workload", name: GROUP, namespace: "shop", image: "ghcr.io/acme/web:1", agent: "web-1" },
    destination: { kind: "workload", name: "shop/db", namespace: "shop", service: "user-db", port: 6379 },
    message: `web called user-db ${seq}`,
    policyVersion: 1,
    ...change,
  } as NetwallEvent;
}

export function edgeOf(id: string, seq: number, change: Partial<EdgeRecord> = {}): EdgeRecord {
  return {
    ...{ id, direction: "east-west", protocol: "tcp", source: GROUP, destination: "shop/db" },
    ...{
      service: "user-db",
      host: "",
      port: 0,
      state: "unknown",
      firstSeenMs: 1,
      lastSeenMs: seq,
      count: seq,
    },
    ...{
      droppedCount: 0,
      failedCount: 0,
      inBytes: 1,
      outBytes: 2,
      lastVerdict: "audited",
      lastRule: "implicit",
    },
    ...{ seq, ...change },
  } as EdgeRecord;
}
