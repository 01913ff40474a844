/**
 * What the admin API may see of the firewall and ask of it. The gateway implements it; the API only speaks it.
 *
 * Whatever changes something takes who asked for it, and is in the audit log when it returns.
 *
 * @module
 */
import type { NetwallEvent } from "../events/event.ts";
import type { ModelEdge, PolicyDocument, PolicyRule } from "../policy/document.ts";
import type { EdgeTraffic } from "../policy/edge_traffic.ts";
import type { Direction } from "../policy/flow.ts";
import type { Mode } from "../policy/mode.ts";
import type { LearningProgress } from "../policy/promotion.ts";
import type { EdgeRecord } from "../policy/record.ts";
import type { RuleHitsView } from "../policy/rule_hits.ts";
import type { SimulationReport } from "../policy/simulate.ts";
import type { PolicyVersion, Store } from "../store/store.ts";

/** Who asks: the name and role of an admin token. */
export interface Actor {
  readonly name: string;
  readonly role: "viewer" | "operator";
}

/**
 * A change cannot be made.
 *
 * `notFound`: what it is about is not there. `conflict`: it is not as the caller thinks. `invalid`: it cannot be.
 * `unavailable`: the store cannot write it down.
 */
export class ControlError extends Error {
  override name = "ControlError";
  constructor(
    message: string,
    readonly code: "notFound" | "conflict" | "invalid" | "unavailable",
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** One group as operators see it. */
export interface GroupView {
  readonly id: string;
  readonly namespace: string;
  readonly image: string;
  readonly services: readonly string[];
  /** Agents that are linked now. */
  readonly agents: readonly string[];
  readonly modes: Readonly<
    Record<Direction, { readonly mode: Mode; readonly origin: "manual" | "promoted" | "default" }>
  >;
  readonly learning: readonly LearningProgress[];
}

/** A source that is refused for a while. */
export interface BanView {
  readonly key: string;
  readonly source: string;
  readonly service: string;
  readonly untilMs: number;
  readonly reason: string;
}

/** What goes out on the live stream. */
export type StreamMessage =
  | { readonly kind: "event"; readonly event: NetwallEvent }
  | { readonly kind: "edge"; readonly edge: EdgeRecord }
  | { readonly kind: "policy"; readonly version: number };

/** What became of a document that was sent. */
export interface Applied {
  readonly version: PolicyVersion;
  /** Streams that were open and are denied now: they were cut. */
  readonly cut: number;
  /** What whoever asked for it should know; one sentence each. */
  readonly warnings: readonly string[];
}

/** How far back the traffic of an edge is shown: an hour in minutes, or a week in hours. */
export type EdgeWindow = "1h" | "7d";

export interface FirewallControl {
  readonly store: Store;
  /** What the gateway could not write down since it started. */
  readonly unrecorded: number;
  /** Why the store cannot be written, or `undefined`. */
  readonly storeFault: string | undefined;
  policy(): PolicyVersion;
  /** The policy with the learned model, as `apply` takes it. */
  exported(): PolicyDocument;
  /** @param expected The version that the caller saw; another one is a `conflict`. Nothing is not checked. */
  apply(document: PolicyDocument, by: Actor, comment: string, expected?: number): Applied;
  /** Sets the policy whose verdicts are shown as pending; `undefined` takes it away. */
  stage(document: PolicyDocument | undefined, by: Actor): void;
  staged(): PolicyDocument | undefined;
  rollback(version: number, by: Actor): Applied;
  simulate(document: PolicyDocument, sinceMs: number): SimulationReport;
  groups(): GroupView[];
  /** The edges of the learned model at whose one end a group is. @throws {ControlError} `notFound`: nobody knows it. */
  groupModel(group: string): ModelEdge[];
  edges(): EdgeRecord[];
  /**
   * What went over an edge. The last hour is that of this process; the week comes from the store, and is some seconds
   * behind.
   *
   * @throws {ControlError} `notFound`: there is no such edge. `unavailable`: the store cannot be read.
   */
  edgeTraffic(id: string, window: EdgeWindow): EdgeTraffic;
  /** How often each rule of the policy in force has decided. */
  ruleHits(): RuleHitsView;
  /** What a document says without effect; one sentence each. */
  warningsOf(document: PolicyDocument): string[];
  /**
   * @param mode `default` takes the modes away that the group has: it has that of its namespace, or of all, then.
   * @param direction All three when it is left out.
   */
  setMode(group: string, mode: Mode | "default", by: Actor, direction?: Direction): Applied;
  /** Forgets what was learned of the group, and puts it in the mode learn until its model is stable. */
  relearn(group: string, by: Actor): Applied;
  /** Makes a rule that allows what an event was about, for its image and namespace, in front of all others. */
  allowEvent(id: string, by: Actor): PolicyRule;
  bans(): BanView[];
  unban(key: string, by: Actor): void;
  /** @returns What ends it. */
  subscribe(listener: (message: StreamMessage) => void): () => void;
}
