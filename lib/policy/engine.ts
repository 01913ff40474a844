/**
 * The verdict on a flow: the first rule that matches both ends, else the learned model, else the mode.
 *
 * It is pure: no clock, no input, no output. What it is made from is never changed, so that a policy in force and one
 * that is only tried are judged by the same code. A verdict is looked up, not searched: it takes a few microseconds
 * whether the policy has ten rules or ten thousand.
 *
 * A path that servers read in several ways (see `path_pattern.ts`) is judged by its strictest reading: a rule that
 * allows must match all of them; one that refuses needs one; one that warns for some of them stays a warning, but does
 * not keep what comes after it from refusing. A path that walks `..` is learned only when each reading is.
 *
 * @module
 */
import { ownCopy } from "../own_copy.ts";
import { parseAddress } from "../egress/address_class.ts";
import { type CompiledRule, matchRule, RequestReader } from "./compiled_rule.ts";
import type { PolicyDocument } from "./document.ts";
import {
  type Deviation,
  type Direction,
  type Effect,
  type Flow,
  type Group,
  type Judgement,
  type Reason,
  type Source,
  VERDICT_OF,
} from "./flow.ts";
import { type Mode, stricter } from "./mode.ts";
import { type GroupMode, type ModeOrigin, ModeTable } from "./mode_table.ts";
import type { ModelView } from "./model_view.ts";
import { NetworkNames } from "./networks.ts";
import { RuleIndex, type SourceKey } from "./rule_index.ts";

/** The mode in force for a flow. */
export interface FlowMode {
  readonly mode: Mode;
  /** Which end it is of; `default` when that end has none of its own. */
  readonly modeOf: "source" | "destination" | "default";
  readonly origin: ModeOrigin;
}

/** What happens to a flow, before it is told with its mode. */
interface Outcome {
  readonly effect: Effect;
  readonly reason: Reason;
}

/** Addresses of visitors that were read, and are likely to come again. */
const ADDRESSES_KEPT_MAX = 16_384;
/** An IPv6 address has 45 characters, and its zone a few. */
const ADDRESS_CHARS_MAX = 64;

const NO_RULE = Object.freeze({});

const STRICTNESS: Readonly<Record<Effect, number>> = { allow: 0, alert: 1, prevent: 2 };

/** A policy made ready to judge. */
export class CompiledPolicy {
  readonly #networks: NetworkNames;
  readonly #modes: ModeTable;
  readonly #rules: RuleIndex;
  readonly #expiriesMs: readonly number[];
  /** Of visitors, by their addresses. */
  readonly #outside = new Map<string, SourceKey>();

  /** @param document As the schema gives it; it must not change any more. */
  constructor(readonly document: PolicyDocument) {
    this.#networks = new NetworkNames(document.spec.networks);
    this.#modes = new ModeTable(document.spec);
    this.#rules = new RuleIndex(document.spec.rules);
    this.#expiriesMs = document.spec.rules.flatMap(({ expires }) => expires ? [Date.parse(expires)] : []);
  }

  /**
   * The name of the network of an address: the longest one that holds it, and of equal ones the first in the document.
   *
   * @param address Any text; `internet` when it is no address. IPv4-mapped IPv6 is read as IPv4.
   */
  networkOf(address: string): string {
    return this.#networks.nameOf(parseAddress(address));
  }

  /** The name of a source as models and events write it: the id of its group, or the name of its network. */
  sourceNameOf(source: Source): string {
    return source.kind === "group" ? source.group.id : this.networkOf(source.address);
  }

  /** Whether a rule has expired after the one moment and by the other: then what is open is to be judged again. */
  hasExpired(afterMs: number, nowMs: number): boolean {
    return this.#expiriesMs.some((atMs) => afterMs < atMs && atMs <= nowMs);
  }

  /** The modes of a group, and who set each. */
  modesOfGroup(group: Group): Readonly<Record<Direction, GroupMode>> {
    return this.#modes.of(group);
  }

  /**
   * The mode in force: of the destination for north-south, of the source for egress, the stricter of both for
   * east-west. Of two that are equally strict, the one that somebody set is named, and the destination before the source.
   */
  modeOf(flow: Flow): FlowMode {
    const { direction, source, destination } = flow;
    const from = direction === "north-south" || source.kind !== "group" ? undefined : source.group;
    const to = direction === "egress" || destination.kind !== "service" ? undefined : destination.group;
    const ofSource = from && named(this.#modes.of(from)[direction], "source");
    const ofDestination = to && named(this.#modes.of(to)[direction], "destination");
    if (ofSource === undefined || ofDestination === undefined) {
      return ofDestination ?? ofSource ?? named(this.#modes.default, "default");
    }
    if (ofSource.mode === ofDestination.mode) {
      return ofDestination.modeOf === "default" ? ofSource : ofDestination;
    }
    return stricter(ofSource.mode, ofDestination.mode) === ofSource.mode ? ofSource : ofDestination;
  }

  /**
   * Judges a flow.
   *
   * @param nowMs Milliseconds since 1970: rules expire.
   */
  judge(flow: Flow, model: ModelView, nowMs: number): Judgement {
    return this.#judge(flow, model, nowMs, this.modeOf(flow));
  }

  /** Judges a flow as if every mode were `prevent`: what is implicit would be refused, rules stay as they are. */
  judgeAsPrevent(flow: Flow, model: ModelView, nowMs: number): Judgement {
    return this.#judge(flow, model, nowMs, { ...this.modeOf(flow), mode: "prevent" });
  }

  #judge(flow: Flow, model: ModelView, nowMs: number, { mode, modeOf }: FlowMode): Judgement {
    const source = this.#sourceKey(flow.source);
    const sourceName = source.kind === "group" ? source.group.id : source.network;
    const { decided, warned } = this.#match(flow, source, nowMs);
    let outcome = decided === undefined
      ? withoutRule(model.check(flow, sourceName), mode)
      : ofRule(decided, flow, model, sourceName);
    if (warned !== undefined) {
      const warning = ofRule(warned, flow, model, sourceName);
      if (STRICTNESS[warning.effect] >= STRICTNESS[outcome.effect]) outcome = warning;
    }
    const { effect, reason } = outcome;
    return { verdict: VERDICT_OF[effect], effect, reason, mode, modeOf, sourceName };
  }

  #sourceKey(source: Source): SourceKey {
    if (source.kind === "group") return source;
    const known = this.#outside.get(source.address);
    if (known !== undefined) return known;
    const address = parseAddress(source.address);
    const key: SourceKey = { kind: "outside", network: this.#networks.nameOf(address), address };
    // Reading an address costs as much as all the rest; all are forgotten at once, which costs least.
    if (this.#outside.size >= ADDRESSES_KEPT_MAX) this.#outside.clear();
    if (source.address.length <= ADDRESS_CHARS_MAX) this.#outside.set(ownCopy(source.address), key);
    return key;
  }

  /** The first rule that decides, and the first one before it that warns for some readings of the path. */
  #match(flow: Flow, source: SourceKey, nowMs: number): { decided?: CompiledRule; warned?: CompiledRule } {
    if (this.#rules.isEmpty) return NO_RULE;
    const request = flow.protocol === "http" && flow.http !== undefined
      ? new RequestReader(flow.http)
      : undefined;
    let decided: CompiledRule | undefined;
    let warned: CompiledRule | undefined;
    this.#rules.visit(source, flow.destination, request, (rules) => {
      for (const rule of rules) {
        if (decided !== undefined && rule.position >= decided.position) return;
        const match = matchRule(rule, flow, request, nowMs);
        if (match === "all" || (match === "some" && rule.effect === "prevent")) {
          decided = rule;
          return;
        }
        if (match === "none" || rule.effect === "allow") continue;
        if (warned === undefined || rule.position < warned.position) warned = rule;
      }
    });
    const isBefore = warned !== undefined && (decided === undefined || warned.position < decided.position);
    return { ...(decided && { decided }), ...(isBefore && warned && { warned }) };
  }
}

/**
 * What is shown beside a verdict: what the staged policy says, or without one, what this one says in the mode `prevent`.
 */
export function pendingOf(
  policy: CompiledPolicy,
  staged: CompiledPolicy | undefined,
  flow: Flow,
  model: ModelView,
  nowMs: number,
): Judgement {
  return staged === undefined ? policy.judgeAsPrevent(flow, model, nowMs) : staged.judge(flow, model, nowMs);
}

function named({ mode, origin }: GroupMode, end: FlowMode["modeOf"]): FlowMode {
  return { mode, origin, modeOf: origin === "default" ? "default" : end };
}

function ofRule(rule: CompiledRule, flow: Flow, model: ModelView, sourceName: string): Outcome {
  const { position: index, id } = rule;
  if (rule.allowLearned && model.check(flow, sourceName) === undefined) {
    return { effect: "allow", reason: { kind: "learned", rule: { index, id } } };
  }
  return { effect: rule.effect, reason: { kind: "rule", index, id } };
}

function withoutRule(deviation: Deviation | undefined, mode: Mode): Outcome {
  if (deviation === undefined) return { effect: "allow", reason: { kind: "learned" } };
  if (mode === "learn") return { effect: "allow", reason: { kind: "learning", deviation } };
  return { effect: mode, reason: { kind: "implicit", deviation } };
}
