/**
 * How often each rule of the policy has decided, and when it last did.
 *
 * A judgement counts once: for the rule that decided, also when it let pass what is learned, or else for the reason
 * that took its place. The data path counts here for every request, so a hit is one look into a map and two numbers that
 * change. As many are kept as the policy has rules: one that is gone is forgotten, one whose id stays keeps its count.
 *
 * @module
 */
import { z } from "zod";
import { type PolicyRule, RULES_MAX } from "./document.ts";
import type { Judgement, Reason } from "./flow.ts";

/** What decides where no rule does. */
export const DEFAULT_REASONS = ["learned", "learning", "implicit"] as const;
export type DefaultReason = (typeof DEFAULT_REASONS)[number];

/** How often something has decided. */
export interface Hits {
  readonly count: number;
  /** Milliseconds since 1970; 0 when it never has. */
  readonly lastMs: number;
}

/** All counts, as they are shown. */
export interface RuleHitsView {
  /** When counting began. */
  readonly sinceMs: number;
  /** Rules that have decided, in no order; what is not here never has. */
  readonly items: readonly ({ readonly rule: string } & Hits)[];
  readonly defaults: Readonly<Record<DefaultReason, Hits>>;
}

interface Counter {
  count: number;
  lastMs: number;
}

const SNAPSHOT_VERSION = 1;
const count = z.int().min(1);
const moment = z.number().min(0);
const hits = z.tuple([count, moment]);
const snapshotSchema = z.strictObject({
  version: z.literal(SNAPSHOT_VERSION),
  sinceMs: z.number().min(0),
  rules: z.array(z.tuple([z.string().min(1).max(63), count, moment])).max(RULES_MAX),
  defaults: z.strictObject({ learned: hits, learning: hits, implicit: hits }).partial(),
});

export class RuleHits {
  #sinceMs: number;
  #rules = new Map<string, Counter>();
  #defaults: Record<DefaultReason, Counter> = { learned: zero(), learning: zero(), implicit: zero() };
  #isChanged = false;

  /** @param nowMs When counting begins, since 1970. */
  constructor(nowMs: number) {
    this.#sinceMs = nowMs;
  }

  /** Whether something was counted since the last snapshot. */
  get isChanged(): boolean {
    return this.#isChanged;
  }

  /** Takes in the rules of the policy in force: nothing else is counted from now on. */
  update(rules: readonly PolicyRule[]): void {
    this.#rules = new Map(rules.map(({ id }) => [id, this.#rules.get(id) ?? zero()]));
  }

  /** Counts a judgement. */
  note({ reason }: Judgement, nowMs: number): void {
    this.#count(this.#counterOf(reason), nowMs);
  }

  /** Counts what was judged again, if something else decides now: what is open matches a rule once. */
  noteAgain(before: Judgement, { reason }: Judgement, nowMs: number): void {
    const counter = this.#counterOf(reason);
    if (counter !== this.#counterOf(before.reason)) this.#count(counter, nowMs);
  }

  view(): RuleHitsView {
    const items = [...this.#rules].filter(([, { count }]) => count > 0)
      .map(([rule, counter]) => ({ rule, ...counter }));
    const { learned, learning, implicit } = this.#defaults;
    const defaults = { learned: { ...learned }, learning: { ...learning }, implicit: { ...implicit } };
    return { sinceMs: this.#sinceMs, items, defaults };
  }

  /** The counts as text, to go on from after a restart. */
  snapshot(): string {
    this.#isChanged = false;
    const { sinceMs, items } = this.view();
    const defaults = DEFAULT_REASONS.flatMap((reason) => {
      const { count, lastMs } = this.#defaults[reason];
      return count > 0 ? [[reason, [count, lastMs]] as const] : [];
    });
    const rules = items.map(({ rule, count, lastMs }) => [rule, count, lastMs]);
    return JSON.stringify({
      version: SNAPSHOT_VERSION,
      sinceMs,
      rules,
      defaults: Object.fromEntries(defaults),
    });
  }

  /**
   * Goes on from what `snapshot` wrote. To be followed by `update`, as rules may be gone since.
   *
   * @returns Whether it could be read; if not, nothing is changed: these are counts, and begin anew.
   */
  restore(text: string): boolean {
    const read = snapshotSchema.safeParse(jsonIn(text)).data;
    if (read === undefined) return false;
    this.#sinceMs = read.sinceMs;
    this.#rules = new Map(read.rules.map(([id, count, lastMs]) => [id, { count, lastMs }]));
    for (const reason of DEFAULT_REASONS) {
      const [count, lastMs] = read.defaults[reason] ?? [0, 0];
      this.#defaults[reason] = { count, lastMs };
    }
    return true;
  }

  #counterOf(reason: Reason): Counter | undefined {
    if (reason.kind === "rule") return this.#rules.get(reason.id);
    if (reason.kind === "closed") return undefined;
    if (reason.kind === "learned" && reason.rule !== undefined) return this.#rules.get(reason.rule.id);
    return this.#defaults[reason.kind];
  }

  #count(counter: Counter | undefined, nowMs: number): void {
    if (counter === undefined) return;
    counter.count += 1;
    counter.lastMs = nowMs;
    this.#isChanged = true;
  }
}

function zero(): Counter {
  return { count: 0, lastMs: 0 };
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
