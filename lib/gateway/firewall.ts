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
import type { CompiledPolicy } from "../policy/engine.ts";
import {
  type Direction,
  DIRECTIONS,
  type Flow,
  type Group,
  type Judgement,
  type Verdict,
} from "../policy/flow.ts";
import type { FlowBook } from "../policy/flow_book.ts";
import type { Learner } from "../policy/learner.ts";
import { type RateLimiter, sourceKeyOf } from "../policy/rate_limit.ts";
import type { Attachment } from "../routing/registry.ts";
import { limitNotice, noticeOf, refusalNotice, unservedNotice } from "./notice.ts";
import type { Passage, PassageEnd, PassageEnds } from "./passage.ts";

export interface FirewallParts {
  readonly learner: Learner;
  readonly edges: EdgeBook;
  readonly flows: FlowBook;
  readonly events: EventLog;
  readonly limiter: RateLimiter;
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
    parts.limiter.update(policy.compiled.document.spec.rateLimits, parts.nowMs());
  }

  get policy(): PolicyInForce {
    return this.#policy;
  }

  /** How many requests and connections are under way. */
  get live(): number {
    return this.#live.size;
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
      deny: undefined,
      exchange: undefined,
      open: undefined,
      event: undefined,
      ended: false,
    };
    this.#verdicts.get(ends.flow.direction)![judgement.verdict]++;
    if (judgement.verdict !== "forwarded") this.#tell(passage, nowMs, DENIED_STATUS);
    else if (this.#staged !== undefined) this.#tellStaged(passage, this.#staged, nowMs);
    if (judgement.verdict === "dropped") {
      passage.ended = true;
      edges.note(ends.flow, judgement, NOTHING, nowMs);
      this.#count(passage, nowMs);
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

  /** A raw connection stands: that is what it teaches, and it is on the map from now on. */
  connected(passage: Passage): void {
    if (passage.ended || passage.open !== undefined) return;
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

  /** It is over. Only the first call counts. */
  end(passage: Passage, end: PassageEnd): void {
    if (passage.ended) return;
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
    this.#count(passage, nowMs);
  }

  /** Whether the source has to wait; counts the request or connection. */
  limit(ends: PassageEnds): Limited | undefined {
    if (this.#policy.compiled.document.spec.rateLimits.length === 0) return undefined;
    const { flow, from } = ends;
    const { source, destination } = flow;
    const key = source.kind === "outside" ? sourceKeyOf(source.address) : `agent:${from?.agent ?? ""}`;
    // Hosts outside are of the caller's making: together they are one.
    const service = destination.kind === "service" ? destination.service : "";
    const nowMs = this.#parts.nowMs();
    const taken = this.#parts.limiter.take(key, service, nowMs);
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
    return source.kind === "group" ? source.group.id : this.#policy.compiled.networkOf(source.address);
  }

  /** Puts another policy in force. @returns How many that were open it denies: they are cut off. */
  replace(policy: PolicyInForce): number {
    this.#policy = policy;
    this.#parts.limiter.update(policy.compiled.document.spec.rateLimits, this.#parts.nowMs());
    return this.rejudge();
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
    if (judgement.verdict === before.verdict && judgement.effect === before.effect) return false;
    passage.open?.judged(judgement, nowMs);
    if (judgement.verdict !== "forwarded") this.#tell(passage, nowMs);
    if (judgement.verdict !== "dropped") return false;
    passage.deny?.(DENIED);
    return true;
  }

  #teach({ flow, judgement, from }: Passage, ok: boolean): void {
    const { kind } = judgement.reason;
    if (kind !== "learning" && (kind !== "learned" || !this.#isLearning(flow))) return;
    const { source } = flow;
    const quotaKey = source.kind === "outside" ? sourceKeyOf(source.address) : `agent:${from?.agent ?? ""}`;
    // What has been learned since, and was taken out again by an operator, must not come back by what was under way.
    this.#parts.learner.observe(flow, judgement.sourceName, quotaKey, ok, kind === "learning");
  }

  /** Whether an end of the flow still learns: what is known already is evidence for it, whatever the other's mode. */
  #isLearning({ direction, source, destination }: Flow): boolean {
    const { compiled } = this.#policy;
    const learns = (group: Group): boolean => compiled.modesOfGroup(group)[direction].mode === "learn";
    if (direction !== "north-south" && source.kind === "group" && learns(source.group)) return true;
    return direction !== "egress" && destination.kind === "service" && learns(destination.group);
  }

  #count({ flow, judgement, route }: Passage, nowMs: number): void {
    this.#parts.flows.note(flow, judgement, judgement.sourceName, route, nowMs);
  }

  /** @param deniedStatus How a request is answered that is dropped before it was forwarded. */
  #tell(passage: Passage, nowMs: number, deniedStatus?: number): void {
    const { flow, judgement } = passage;
    passage.event = this.#parts.events.notice(noticeOf(passage, judgement, {
      nowMs,
      policyVersion: this.#policy.version,
      pending: this.#pending(passage, nowMs),
      route: flow.http === undefined ? undefined : passage.route,
      status: judgement.verdict === "dropped" ? deniedStatus : undefined,
    }));
  }

  /** What passes, and would not by the staged policy, is what that policy is tried for. */
  #tellStaged(passage: Passage, staged: CompiledPolicy, nowMs: number): void {
    const { verdict } = staged.judge(passage.flow, this.#parts.learner, nowMs);
    if (verdict !== "forwarded") this.#tell(passage, nowMs);
  }

  #pending({ flow }: Passage, nowMs: number): Judgement {
    const { learner } = this.#parts;
    return this.#staged === undefined
      ? this.#policy.compiled.judgeAsPrevent(flow, learner, nowMs)
      : this.#staged.judge(flow, learner, nowMs);
  }
}

function resolved(flow: Flow, address: string): Flow {
  const { destination } = flow;
  return destination.kind === "host" ? { ...flow, destination: { ...destination, address } } : flow;
}

/** A request that takes longer is not waited for. */
const LONG_MS = 1_000;

const NOTHING = { ok: false, inBytes: 0, outBytes: 0 };
