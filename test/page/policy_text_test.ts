/**
 * The policy as text: merged by lines, with lines that can be found.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { insertRule, moveRule, setRule, withSpec } from "../../lib/page/policy/draft.ts";
import { mergeText, spanOfLine } from "../../lib/page/policy/text_merge.ts";
import { defaultPolicy, type PolicyDocument, ruleSchema } from "../../lib/policy/document.ts";
import { formatPolicy, parsePolicy } from "../../lib/policy/policy_yaml.ts";

describe("merging texts", () => {
  const CASES: readonly (readonly [string, string, string, string | undefined])[] = [
    // base, mine, theirs, merged; a letter a line
    ["abc", "abc", "abxc", "abxc"],
    ["abc", "axbc", "abcy", "axbcy"],
    ["abc", "ac", "abcd", "acd"],
    ["abc", "xbc", "aby", "xby"],
    ["abc", "axc", "ayc", undefined],
    ["abc", "axc", "axc", "axc"],
    ["abc", "ac", "axc", undefined],
    ["", "a", "", "a"],
    ["aabaa", "aabaax", "yaabaa", "yaabaax"],
    ["aaaa", "aaaaa", "aaaa", "aaaaa"],
  ];
  const lines = (text: string): string => [...text].join("\n");

  test("changes at different places are both taken, at the same place neither", () => {
    let checked = 0;
    for (const [base, mine, theirs, expected] of CASES) {
      const merged = mergeText(lines(base), lines(mine), lines(theirs));
      expect(`${base} ${mine} ${theirs}: ${merged?.replaceAll("\n", "")}`).toBe(
        `${base} ${mine} ${theirs}: ${expected}`,
      );
      checked++;
    }
    expect(checked).toBe(10);
  });

  const texts = fc.array(fc.constantFrom("a", "b", "c", "d", ""), { maxLength: 12 }).map((list) =>
    list.join("\n")
  );
  test("where only one side has changed, its text is taken to the letter", () => {
    fc.assert(fc.property(texts, texts, (base, other) => {
      expect(mergeText(base, other, base)).toBe(other);
      expect(mergeText(base, base, other)).toBe(other);
      expect(mergeText(base, other, other)).toBe(other);
    }));
  });

  test("policies that were changed at different rules are merged to one that holds both", () => {
    const rule = (id: string, comment = "is as it was"): PolicyDocument["spec"]["rules"][number] =>
      ruleSchema.parse({ id, effect: "prevent", comment, http: { paths: [`/${id}/**`], methods: ["GET"] } });
    const base = withSpec(defaultPolicy(), {
      rules: Array.from({ length: 30 }, (_, place) => rule(`r-${place}`)),
    });
    const mine = setRule(insertRule(base, 3, rule("mine")), 20, rule("r-19", "mine"));
    const theirs = setRule(moveRule(base, 25, 10), 28);
    const merged = mergeText(formatPolicy(base), formatPolicy(mine), formatPolicy(theirs));
    const { rules } = parsePolicy(merged ?? "").spec;
    expect(rules.length).toBe(30);
    expect(rules.find(({ id }) => id === "r-19")?.comment).toBe("mine");
    expect(rules.findIndex(({ id }) => id === "mine")).toBe(3);
    expect(rules.findIndex(({ id }) => id === "r-25")).toBe(11);
    expect(rules.some(({ id }) => id === "r-28")).toBe(false);
  });

  test("long texts with many equal lines are merged without trouble", () => {
    const base = Array.from(
      { length: 20_000 },
      (_, place) => place % 3 === 0 ? `id ${place}` : "effect: allow",
    );
    const mine = base.with(30, "id mine");
    const theirs = base.toSpliced(15_000, 3);
    expect(mergeText(base.join("\n"), mine.join("\n"), theirs.join("\n"))).toBe(
      mine.toSpliced(15_000, 3).join("\n"),
    );
  });
});

test("a line is found in a text, and one beyond it is its end", () => {
  const text = "one\n\nthree";
  expect([1, 2, 3, 4, 99].map((line) => spanOfLine(text, line))).toEqual([
    { start: 0, end: 3 },
    { start: 4, end: 4 },
    { start: 5, end: 10 },
    { start: 10, end: 10 },
    { start: 10, end: 10 },
  ]);
});
