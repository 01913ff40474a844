/**
 * The firewall on the data path: judge → remember → tell.
 *
 * ```
 * admit ──▶ judge ──▶ forwarded ──────────▶ end: edges, flows, and the model when it may learn
 *                └──▶ audited: an event ──▶ end, the same
 *                └──▶ dropped: an event, an edge
 * ```
 *
 * Nothing here waits or writes: what is to be kept goes through bounded books and queues. A new policy judges what is
 * open again and cuts off what it denies.
 *
 * @module
 */
import type { EventLog } from "../events/event_log.ts";
import type { Noticed } from "../events/event.ts";
import type { EdgeBook } from "../policy/edge_book.ts";
import { type CompiledPolicy, pendingOf } from "../policy/engine.ts";
import { type Direction, DIRECTIONS, type Flow, type Group, type Verdict } from "../policy/flow.ts";
import type { FlowBook } from "../policy/flow_book.ts";
import type { Learner } from "../policy/learner.ts";
import { type RateLimiter, sourceKeyOf } from "../policy/rate_limit.ts";
import type { RuleHits } from "../policy/rule_hits.ts";
import type { Attachment } from "../routing/registry.ts";
import { limitNotice, noticeOf, refusalNotice, unservedNotice } from "./notice.ts";
import type { Passage, PassageEnd, PassageEnds } from "./passage.ts";

export interface FirewallParts {
  readonly learner: Learner;
  readonly edges: EdgeBook;
  readonly flows: FlowBook;
  readonly events: EventLog;
  readonly limiter: RateLimiter;
  readonly hits: RuleHits;
  /** Milliseconds since 1970. */
  nowMs(): number;
}

/** Why a source has to wait. */
export interface Limited {
  readonly retryAfterMs: number;
  readonly detail: string;
}

/** What a caller is told of a denial; the rule is in the event. */
export const DENIED = "The policy of the gateway does not allow it";
/** How a request that is denied is answered. */
export const DENIED_STATUS = 403;

/** The policy that judges, with its version. */
export interface PolicyInForce {
  readonly version: number;
  readonly compiled: CompiledPolicy;
}

export class Firewall {
  readonly #parts: FirewallParts;
  readonly #live = new Set<Passage>();
  readonly #verdicts = new Map<Direction, Record<Verdict, number>>(
    DIRECTIONS.map((direction) => [direction, { forwarded: 0, audited: 0, dropped: 0 }]),
  );
  #policy: PolicyInForce;
  #staged: CompiledPolicy | undefined;

  /** There is no firewall without a policy: nothing is judged before one is loaded. */
  constructor(parts: FirewallParts, policy: PolicyInForce) {
    this.#parts = parts;
    this.#policy = policy;
    this.#follow(policy);
  }

  get policy(): PolicyInForce {
    return this.#policy;
  }

  /** What was judged since the start. */
  verdicts(): { direction: Direction; verdict: Verdict; value: number }[] {
    return [...this.#verdicts].flatMap(([direction, counts]) =>
      Object.entries(counts).map(([verdict, value]) => ({ direction, verdict: verdict as Verdict, value }))
    );
  }

  /** The policy whose verdicts are shown as pending. */
  set staged(policy: CompiledPolicy | undefined) {
    this.#staged = policy;
  }

  /** Judges. What is dropped is over; all else must be told its end. */
  admit(ends: PassageEnds): Passage {
    const { learner, edges } = this.#parts;
    const nowMs = this.#parts.nowMs();
    const judgement = this.#policy.compiled.judge(ends.flow, learner, nowMs);
    const passage: Passage = {
      flow: ends.flow,
      from: ends.from,
      to: ends.to,
      request: ends.request,
      judgement,
      // The judgement has just read the path.
      route: ends.flow.http === undefined ? "" : learner.routeOf(ends.flow, judgement.sourceName),
      startedMs: nowMs,
      exchange: undefined,
      open: undefined,
      event: undefined,
      ended: false,
    };
    this.#verdicts.get(ends.flow.direction)![judgement.verdict]++;
    this.#parts.hits.note(judgement, nowMs);
    this.#tell(passage, nowMs, DENIED_STATUS);
    if (judgement.verdict === "dropped") {
      passage.ended = true;
      edges.note(ends.flow, judgement, NOTHING, nowMs);
      this.#count(passage, NOTHING, nowMs);
    } else {
      this.#live.add(passage);
    }
    return passage;
  }

  /** Whether the policy lets a call to the outside go to one address of its name. */
  mayDial({ flow }: Passage, address: string): boolean {
    const { learner, nowMs } = this.#parts;
    return this.#policy.compiled.judge(resolved(flow, address), learner, nowMs()).verdict !== "dropped";
  }

  /** The name of a call to the outside was resolved: from now on it is judged by that address as well. */
  dials(passage: Passage, address: string): void {
    if (passage.ended) return;
    passage.flow = resolved(passage.flow, address);
    this.#judgeAgain(passage, this.#parts.nowMs());
  }

  /**
   * A raw connection stands: that is what it teaches, and it is on the map from now on.
   *
   * @param passage Of a connection that was judged; without one there is nothing to do. The same for `end`.
   */
  connected(passage: Passage | undefined): void {
    if (passage === undefined || passage.ended || passage.open !== undefined) return;
    const nowMs = this.#parts.nowMs();
    this.#teach(passage, true);
    passage.open = this.#parts.edges.begin(passage.flow, passage.judgement, nowMs);
  }

  /**
   * Takes requests that go on for long as connections: an event stream or a WebSocket teaches, and is on the map, before
   * its end. To be called about each second.
   */
  settle(): void {
    const beforeMs = this.#parts.nowMs() - LONG_MS;
    for (const passage of this.#live) {
      const status = passage.exchange?.status ?? 0;
      if (status > 0 && status < 400 && passage.startedMs <= beforeMs) this.connected(passage);
    }
  }

  /** It is over. Only the first call counts. @param end Left out, nothing came of it. */
  end(passage: Passage | undefined, end: PassageEnd = NOTHING): void {
    if (passage === undefined || passage.ended) return;
    passage.ended = true;
    this.#live.delete(passage);
    const nowMs = this.#parts.nowMs();
    if (passage.open !== undefined) passage.open.end(end, nowMs);
    else {
      this.#teach(passage, end.ok);
      this.#parts.edges.note(passage.flow, passage.judgement, end, nowMs);
    }
    if (passage.event !== undefined && end.status !== undefined) {
      this.#parts.events.answered(passage.event.id, passage.request?.id ?? "", end.status);
    }
    this.#count(passage, end, nowMs);
  }

  /** Whether the source has to wait; counts the request or connection. */
  limit(ends: PassageEnds): Limited | undefined {
    if (this.#policy.compiled.document.spec.rateLimits.length === 0) return undefined;
    const { destination } = ends.flow;
    // Hosts outside are of the caller's making: together they are one.
    const service = destination.kind === "service" ? destination.service : "";
    const nowMs = this.#parts.nowMs();
    const taken = this.#parts.limiter.take(quotaKeyOf(ends), service, nowMs);
    if (taken.ok) return undefined;
    this.notice(limitNotice(ends, this.sourceName(ends), nowMs, taken));
    return { retryAfterMs: taken.retryAfterMs, detail: "Too many requests from this source" };
  }

  /** Something else than the policy refused a call: an event, as every denial is one. */
  refused(ends: PassageEnds, kind: "token" | "egressRule", message: string): void {
    const why = { type: "policyRule", rule: { kind }, message } as const;
    this.notice(refusalNotice(ends, this.sourceName(ends), this.#parts.nowMs(), why));
  }

  /** An agent called a service that nobody serves. @param kind What refused it: its token, or that there is none. */
  unserved(from: Attachment, service: string, kind: "token" | "implicit"): void {
    this.notice(unservedNotice(from, service, this.#parts.nowMs(), kind));
  }

  notice(noticed: Noticed): void {
    this.#parts.events.notice(noticed);
  }

  /** The name of the source as events write it. */
  sourceName({ flow: { source } }: PassageEnds): string {
    return this.#policy.compiled.sourceNameOf(source);
  }

  /** Puts another policy in force. @returns How many that were open it denies: they are cut off. */
  replace(policy: PolicyInForce): number {
    this.#policy = policy;
    this.#follow(policy);
    return this.rejudge();
  }

  /** What is counted by rules and limits follows the policy. */
  #follow({ compiled: { document: { spec } } }: PolicyInForce): void {
    const { limiter, hits, nowMs } = this.#parts;
    limiter.update(spec.rateLimits, nowMs());
    hits.update(spec.rules);
  }

  /** Judges all that is open again: after a change of the policy or the model, or when a rule has expired. */
  rejudge(): number {
    const nowMs = this.#parts.nowMs();
    let cut = 0;
    for (const passage of [...this.#live]) if (!passage.ended && this.#judgeAgain(passage, nowMs)) cut++;
    return cut;
  }

  /** @returns Whether it was cut off. */
  #judgeAgain(passage: Passage, nowMs: number): boolean {
    const before = passage.judgement;
    const judgement = this.#policy.compiled.judge(passage.flow, this.#parts.learner, nowMs);
    // Also when it passes as before: one that passes by a rule now, and no more by learning, must teach nothing.
    passage.judgement = judgement;
    this.#parts.hits.noteAgain(before, judgement, nowMs);
    if (judgement.effect === before.effect) return false;
    passage.open?.judged(judgement, nowMs);
    if (judgement.verdict !== "forwarded") this.#tell(passage, nowMs);
    if (judgement.verdict !== "dropped") return false;
    passage.exchange?.deny(DENIED);
    return true;
  }

  #teach(passage: Passage, ok: boolean): void {
    const { flow, judgement: { reason: { kind }, sourceName } } = passage;
    if (passage.request?.isReplay) return;
    if (kind !== "learning" && (kind !== "learned" || !this.#isLearning(flow))) return;
    // What has been learned since, and was taken out again by an operator, must not come back by what was under way.
    this.#parts.learner.observe(flow, sourceName, quotaKeyOf(passage), ok, kind === "learning");
  }

  /** Whether an end of the flow still learns: what is known already is evidence for it, whatever the other's mode. */
  #isLearning({ direction, source, destination }: Flow): boolean {
    const { compiled } = this.#policy;
    const learns = (group: Group): boolean => compiled.modesOfGroup(group)[direction].mode === "learn";
    if (direction !== "north-south" && source.kind === "group" && learns(source.group)) return true;
    return direction !== "egress" && destination.kind === "service" && learns(destination.group);
  }

  #count({ flow, judgement, route }: Passage, { inBytes, outBytes }: PassageEnd, nowMs: number): void {
    this.#parts.flows.note(flow, judgement, judgement.sourceName, route, nowMs, inBytes + outBytes);
  }

  /**
   * Tells of what was not simply forwarded, and of what the staged policy would not forward: it is tried for that.
   *
   * @param deniedStatus How a request is answered that is dropped before it was forwarded.
   */
  #tell(passage: Passage, nowMs: number, deniedStatus?: number): void {
    const { flow, judgement: { verdict } } = passage;
    if (verdict === "forwarded" && this.#staged === undefined) return;
    const { events, learner } = this.#parts;
    const { compiled, version } = this.#policy;
    const pending = pendingOf(compiled, this.#staged, flow, learner, nowMs);
    if (verdict === "forwarded" && pending.verdict === "forwarded") return;
    passage.event = events.notice(noticeOf(passage, passage.judgement, {
      ...{ nowMs, policyVersion: version, pending },
      route: flow.http === undefined ? undefined : passage.route,
      status: verdict === "dropped" ? deniedStatus : undefined,
    }));
  }
}

/** Who a quota or a limit is counted for: a visitor by its address, an IPv6 one by its network; an agent by its name. */
function quotaKeyOf({ flow: { source }, from }: PassageEnds): string {
  return source.kind === "outside" ? sourceKeyOf(source.address) : `agent:${from?.agent ?? ""}`;
}

function resolved(flow: Flow, address: string): Flow {
  const { destination } = flow;
  return destination.kind === "host" ? { ...flow, destination: { ...destination, address } } : flow;
}

/** A request that takes longer is not waited for. */
const LONG_MS = 1_000;

const NOTHING = { ok: false, inBytes: 0, outBytes: 0 };
