/**
 * Tests of the counts of rules: what counts, what is forgotten, and what a damaged snapshot does.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { type PolicyRule, policySchema, RULES_MAX } from "../../lib/policy/document.ts";
import type { Judgement, Reason } from "../../lib/policy/flow.ts";
import { RuleHits } from "../../lib/policy/rule_hits.ts";

const DEVIATION = { kind: "edge", observed: "a", expected: "b" } as const;

function rules(...ids: readonly string[]): readonly PolicyRule[] {
  const spec = { rules: ids.map((id) => ({ id, effect: "alert" })) };
  return policySchema.parse({ apiVersion: "netwall/v1", kind: "Policy", spec }).spec.rules;
}

function judged(reason: Reason): Judgement {
  const how = { verdict: "audited", effect: "alert", mode: "alert", modeOf: "default" } as const;
  return { ...how, reason, sourceName: "internet" };
}

const byRule = (id: string, index = 0): Judgement => judged({ kind: "rule", index, id });
const LEARNED = judged({ kind: "learned" });
const LEARNING = judged({ kind: "learning", deviation: DEVIATION });
const IMPLICIT = judged({ kind: "implicit", deviation: DEVIATION });
const NONE = { count: 0, lastMs: 0 };

function hitsOf(...ids: readonly string[]): RuleHits {
  const hits = new RuleHits(1_000);
  hits.update(rules(...ids));
  return hits;
}

describe("counting", () => {
  test("each judgement counts once, for the rule that decided or for what took its place", () => {
    const hits = hitsOf("a", "b", "never");
    hits.note(byRule("a"), 2_000);
    hits.note(byRule("a"), 3_000);
    hits.note(byRule("b", 1), 4_000);
    // A rule that lets pass what is learned has decided too.
    hits.note(judged({ kind: "learned", rule: { index: 1, id: "b" } }), 5_000);
    hits.note(LEARNED, 6_000);
    hits.note(LEARNING, 7_000);
    hits.note(IMPLICIT, 8_000);
    hits.note(IMPLICIT, 9_000);
    hits.note(judged({ kind: "closed" }), 9_500);
    expect(hits.view()).toEqual({
      sinceMs: 1_000,
      items: [{ rule: "a", count: 2, lastMs: 3_000 }, { rule: "b", count: 2, lastMs: 5_000 }],
      defaults: {
        learned: { count: 1, lastMs: 6_000 },
        learning: { count: 1, lastMs: 7_000 },
        implicit: { count: 2, lastMs: 9_000 },
      },
    });
  });

  test("rules by the names of the reasons are rules", () => {
    const hits = hitsOf("learned", "implicit", "closed");
    for (const id of ["learned", "implicit", "closed"]) hits.note(byRule(id), 1);
    hits.note(LEARNED, 2);
    expect(hits.view().items.map(({ rule, count }) => [rule, count]))
      .toEqual([["learned", 1], ["implicit", 1], ["closed", 1]]);
    expect(hits.view().defaults).toEqual({
      learned: { count: 1, lastMs: 2 },
      learning: NONE,
      implicit: NONE,
    });
    // And something else decides when it goes from the one to the other.
    hits.noteAgain(LEARNED, byRule("learned"), 3);
    expect(hits.view().items[0]).toEqual({ rule: "learned", count: 2, lastMs: 3 });
  });

  test("what is judged again counts only where something else decides", () => {
    const hits = hitsOf("a", "b");
    hits.note(byRule("a"), 1);
    hits.noteAgain(byRule("a", 0), byRule("a", 7), 2);
    expect(hits.view().items).toEqual([{ rule: "a", count: 1, lastMs: 1 }]);
    hits.noteAgain(byRule("a"), byRule("b"), 3);
    hits.noteAgain(byRule("b"), IMPLICIT, 4);
    hits.noteAgain(IMPLICIT, IMPLICIT, 5);
    expect(hits.view().items.map(({ count, lastMs }) => [count, lastMs])).toEqual([[1, 1], [1, 3]]);
    expect(hits.view().defaults.implicit).toEqual({ count: 1, lastMs: 4 });
  });

  test("a rule that is gone is forgotten, one whose id stays keeps its count", () => {
    const hits = hitsOf("a", "b");
    hits.note(byRule("a"), 1);
    hits.note(byRule("b"), 2);
    hits.update(rules("c", "b"));
    hits.note(byRule("a"), 3);
    expect(hits.view().items).toEqual([{ rule: "b", count: 1, lastMs: 2 }]);
    hits.update(rules("a", "b", "c"));
    expect(hits.view().items).toEqual([{ rule: "b", count: 1, lastMs: 2 }]);
    // No stranger's id takes room.
    for (let id = 0; id < 1_000; id++) hits.note(byRule(`x${id}`), 4);
    expect(hits.view().items).toHaveLength(1);
  });

  test("what is shown stays as it is", () => {
    const hits = hitsOf("a");
    hits.note(byRule("a"), 1);
    const view = hits.view();
    hits.note(byRule("a"), 2);
    hits.note(LEARNED, 2);
    expect([view.items[0]?.count, view.defaults.learned.count]).toEqual([1, 0]);
  });
});

describe("a snapshot", () => {
  test("brings all back, also with the largest policy", () => {
    const ids = Array.from({ length: RULES_MAX }, (_, index) => `rule-${index}`);
    const hits = hitsOf(...ids);
    expect(hits.isChanged).toBe(false);
    for (const [index, id] of ids.entries()) if (index % 2 === 0) hits.note(byRule(id), 5_000 + index);
    hits.note(LEARNING, 7);
    expect(hits.isChanged).toBe(true);
    const text = hits.snapshot();
    expect(hits.isChanged).toBe(false);
    expect(text.length).toBeLessThan(1 << 20);
    const next = new RuleHits(9_000_000);
    expect(next.restore(text)).toBe(true);
    next.update(rules(...ids.slice(0, 5)));
    expect(next.view().items.map(({ rule }) => rule)).toEqual(["rule-0", "rule-2", "rule-4"]);
    const whole = new RuleHits(9_000_000);
    whole.restore(text);
    whole.update(rules(...ids));
    expect(whole.view()).toEqual(hits.view());
    expect(whole.view().items).toHaveLength(RULES_MAX / 2);
  });

  test("one that is none changes nothing", () => {
    const good = JSON.parse(hitsOf().snapshot());
    const many = Array.from({ length: RULES_MAX + 1 }, (_, index) => [`r${index}`, 1, 1]);
    const bad: unknown[] = [
      ...[{}, [], null, 7, "text", { ...good, version: 2 }, { ...good, sinceMs: -1 }, { ...good, extra: 1 }],
      ...[{ ...good, rules: [["a", 0, 1]] }, { ...good, rules: [["a", 1.5, 1]] }, {
        ...good,
        rules: [["a"]],
      }],
      ...[{ ...good, rules: many }, { ...good, rules: [["x".repeat(64), 1, 1]] }, {
        ...good,
        defaults: { x: [1, 1] },
      }],
    ];
    const texts = ["", "{", "\0", "undefined", ...bad.map((it) => JSON.stringify(it))];
    for (const text of texts) {
      const hits = hitsOf("a");
      hits.note(byRule("a"), 3);
      expect([text.slice(0, 80), hits.restore(text)]).toEqual([text.slice(0, 80), false]);
      expect(hits.view()).toMatchObject({ sinceMs: 1_000, items: [{ rule: "a", count: 1, lastMs: 3 }] });
    }
    expect(texts).toHaveLength(18);
  });
});
