/**
 * The draft of a policy: its steps, what it changes, and how it is put on top of another version.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { PolicyDocument, PolicyMode, PolicyRule, PolicyVersion } from "../../lib/page/core/types.ts";
import { differenceLine, differences, same } from "../../lib/page/policy/differences.ts";
import {
  type Draft,
  insertRule,
  moveRule,
  rebase,
  setRule,
  step,
  stepBack,
  STEPS_MAX,
  withSpec,
} from "../../lib/page/policy/draft.ts";
import { mergeOnto } from "../../lib/page/policy/merge.ts";
import { longestRise, movedKeys } from "../../lib/page/policy/order.ts";
import { defaultPolicy, policySchema, ruleSchema } from "../../lib/policy/document.ts";
import { diffPolicies } from "../../lib/policy/policy_diff.ts";

function rule(id: string, more: object = {}): PolicyRule {
  return ruleSchema.parse({ id, effect: "allow", ...more });
}

function policy(ids: string, more: Partial<PolicyDocument["spec"]> = {}): PolicyDocument {
  const rules = [...ids].map((id) => rule(id));
  return withSpec(defaultPolicy(), { rules, ...more });
}

function version(document: PolicyDocument, number = 7): PolicyVersion {
  return { version: number, atMs: 0, by: "ada", comment: "", document };
}

function idsOf(document: PolicyDocument | undefined): string {
  return document?.spec.rules.map(({ id }) => id).join("") ?? "";
}

describe("steps", () => {
  test("the first step begins a draft, and one that changes nothing does not", () => {
    const inForce = version(policy("ab"));
    expect(step(undefined, inForce, (document) => ({ ...document }))).toBeUndefined();
    const draft = step(undefined, inForce, (document) => moveRule(document, 0, 1));
    expect(idsOf(draft?.document)).toBe("ba");
    expect(draft?.base.version).toBe(7);
    // What is in force again needs no draft.
    expect(step(draft, inForce, (document) => moveRule(document, 0, 1))).toBeUndefined();
  });

  test("steps are taken back one by one, as many as are kept", () => {
    const inForce = version(policy("a"));
    let draft: Draft | undefined;
    for (let count = 0; count < STEPS_MAX + 5; count++) {
      draft = step(draft, inForce, (document) => insertRule(document, 0, rule(`r-${count}`)));
    }
    expect(draft?.past.length).toBe(STEPS_MAX);
    for (let count = 0; count < STEPS_MAX; count++) draft = stepBack(draft!) ?? draft;
    expect(draft?.document.spec.rules.length).toBe(6);
    expect(stepBack(draft!)).toBeUndefined();
    const one = step(undefined, inForce, (document) => setRule(document, 0))!;
    expect(stepBack(one)).toBeUndefined();
  });

  test("a draft keeps its base when another version comes into force", () => {
    const draft = step(undefined, version(policy("ab")), (document) => setRule(document, 0))!;
    const next = step(draft, version(policy("abc"), 8), (document) => insertRule(document, 0, rule("x")));
    expect(next?.base.version).toBe(7);
    expect(idsOf(next?.document)).toBe("xb");
  });

  const moves: readonly (readonly [number, number, string])[] = [
    [0, 2, "bcad"],
    [3, 0, "dabc"],
    [1, 1, "abcd"],
    [0, 99, "bcda"],
    [2, -5, "cabd"],
    [9, 0, "abcd"],
  ];
  test("a rule is moved to where it shall stand", () => {
    let checked = 0;
    for (const [from, to, expected] of moves) {
      expect(idsOf(moveRule(policy("abcd"), from, to))).toBe(expected);
      checked++;
    }
    expect(checked).toBe(6);
  });
});

describe("order", () => {
  test("the longest rise explains an order with the fewest moves", () => {
    expect(longestRise([])).toEqual([]);
    expect(longestRise([3, 0, 1, 2])).toEqual([1, 2, 3]);
    expect([...movedKeys("abcd", "dabc")]).toEqual(["d"]);
    expect([...movedKeys("abcd", "abcd")]).toEqual([]);
    expect([...movedKeys("abc", "xyz")]).toEqual([]);
  });

  test("a rise is rising, and no longer one is there", () => {
    fc.assert(fc.property(fc.uniqueArray(fc.integer({ min: 0, max: 30 }), { maxLength: 9 }), (values) => {
      const found = longestRise(values);
      expect(found.every((place, at) => at === 0 || values[found[at - 1]!]! < values[place]!)).toBe(true);
      let longest = 0;
      for (let mask = 0; mask < 1 << values.length; mask++) {
        const picked = values.filter((_, at) => mask >> at & 1);
        if (picked.every((value, at) => at === 0 || picked[at - 1]! < value)) {
          longest = Math.max(longest, picked.length);
        }
      }
      expect(found.length).toBe(longest);
    }));
  });
});

describe("differences", () => {
  const mode = (more: Partial<PolicyMode>): PolicyMode => ({ mode: "alert", origin: "manual", ...more });

  test("every part is told by name", () => {
    const before = policy("abc", {
      networks: { office: ["10.0.0.0/8"] },
      modes: [mode({ namespace: "shop" })],
    });
    const after = policy("cad", {
      defaultMode: "prevent",
      networks: { office: ["10.0.0.0/9"], vpn: ["192.168.0.0/16"] },
      modes: [mode({ namespace: "shop", origin: "promoted" }), mode({ image: "web", direction: "egress" })],
      rateLimits: [{ id: "login", requests: 1, seconds: 1, banSeconds: 0 }],
    });
    expect(differences(before, after).map(differenceLine)).toEqual([
      "~ default mode prevent",
      "~ network office",
      "+ network vpn",
      "+ mode shop all directions (by evidence)",
      "+ mode */web egress",
      "- mode shop all directions",
      "+ rule d",
      "- rule b",
      "~ rule c (moved)",
      "+ rate limit login",
    ]);
    expect(differences(after, after)).toEqual([]);
  });

  test("the order of keys is no difference, a missing key is one", () => {
    expect(same({ a: 1, b: [{ c: 2 }] }, { b: [{ c: 2 }], a: 1 })).toBe(true);
    expect(same({ a: 1 }, { a: 1, b: undefined })).toBe(false);
    expect(same([1, 2], { 0: 1, 1: 2 })).toBe(false);
    expect(same(null, {})).toBe(false);
  });

  test("two modes for the same are both told", () => {
    const twice = policy("", { modes: [mode({}), mode({ mode: "learn" })] });
    expect(differences(policy(""), twice).map(({ name }) => name)).toEqual([
      "all groups all directions",
      "all groups all directions #2",
    ]);
  });

  const ids = fc.uniqueArray(fc.constantFrom(..."abcdefg"), { maxLength: 7 }).map((list) => list.join(""));
  test("the gateway finds differences in rules where the page does", () => {
    fc.assert(fc.property(ids, ids, (before, after) => {
      const [a, b] = [policy(before), policy(after)];
      const ours = differences(a, b).map(({ kind, name }) => `${kind} ${name}`);
      const theirs = diffPolicies(a, b).changes.map(({ kind, name }) => `${kind} ${name}`);
      expect(ours.filter((it) => !it.startsWith("moved")).sort())
        .toEqual(theirs.filter((it) => !it.startsWith("moved")).sort());
      expect(ours.length).toBe(theirs.length);
    }));
  });
});

describe("on top of another version", () => {
  const merged = (base: string, mine: string, theirs: string): string =>
    idsOf(mergeOnto(policy(base), policy(mine), policy(theirs)).document);

  const orders: readonly (readonly [string, string, string, string])[] = [
    // base, mine, theirs, expected
    ["abc", "abc", "abcd", "abcd"],
    ["abc", "xabc", "abcd", "xabcd"],
    ["abc", "abxc", "yabc", "yabxc"],
    ["abc", "ac", "abcd", "acd"],
    ["abc", "cab", "abcd", "cabd"],
    ["abc", "abxyc", "ac", "axyc"],
    ["abc", "bca", "ab", "ba"],
    ["", "x", "y", "xy"],
  ];
  test("rules come and go where they stood", () => {
    let checked = 0;
    for (const [base, mine, theirs, expected] of orders) {
      expect(`${base} ${mine} ${theirs}: ${merged(base, mine, theirs)}`).toBe(
        `${base} ${mine} ${theirs}: ${expected}`,
      );
      checked++;
    }
    expect(checked).toBe(8);
  });

  test("what both have changed is told, and mine is taken", () => {
    const base = policy("", { rules: [rule("a", { comment: "was" }), rule("b"), rule("c")] });
    const mine = policy("", { rules: [rule("a", { comment: "mine" }), rule("b", { effect: "alert" })] });
    const theirs = policy("", {
      rules: [rule("a", { comment: "theirs", enabled: false }), rule("c", { comment: "x" })],
    });
    const { document, conflicts } = mergeOnto(base, mine, theirs);
    expect(document.spec.rules.map(({ id, comment, enabled, effect }) => [id, comment, enabled, effect]))
      .toEqual([
        // What only they have changed of it is theirs.
        ["a", "mine", false, "allow"],
        ["b", undefined, true, "alert"],
      ]);
    expect([...conflicts].sort()).toEqual([
      "Rule a: both have changed its comment, yours is taken",
      "Rule b: it was removed, and you have changed it: it is put back",
      "Rule c: it was changed, and you have removed it: it is removed",
    ]);
  });

  test("networks, modes, limits and the default mode go along", () => {
    const base = policy("", { networks: { office: ["10.0.0.0/8"] } });
    const mine = policy("", {
      defaultMode: "prevent",
      networks: { office: ["10.0.0.0/9"], mine: ["10.1.0.0/16"] },
      modes: [{ namespace: "shop", mode: "alert", origin: "manual" }],
    });
    const theirs = policy("", {
      defaultMode: "alert",
      networks: { office: ["10.0.0.0/10"], theirs: ["10.2.0.0/16"] },
      modes: [{ namespace: "data", mode: "alert", origin: "promoted" }],
    });
    const { document, conflicts } = mergeOnto(base, mine, theirs);
    expect(document.spec.defaultMode).toBe("prevent");
    expect(document.spec.networks).toEqual({
      office: ["10.0.0.0/9"],
      mine: ["10.1.0.0/16"],
      theirs: ["10.2.0.0/16"],
    });
    expect(document.spec.modes.length).toBe(2);
    expect(conflicts.length).toBe(2);
    expect(policySchema.safeParse(document).success).toBe(true);
  });

  test("both removed, both made: nothing is told where both say the same", () => {
    const { document, conflicts } = mergeOnto(policy("ab"), policy("ax"), policy("ax"));
    expect(idsOf(document)).toBe("ax");
    expect(conflicts).toEqual([]);
  });

  const ids = fc.uniqueArray(fc.constantFrom(..."abcdef"), { maxLength: 6 }).map((list) => list.join(""));
  test("onto its own base a draft is what it was; without changes it is what they have", () => {
    fc.assert(fc.property(ids, ids, (base, other) => {
      expect(merged(base, other, base)).toBe(other);
      expect(merged(base, base, other)).toBe(other);
    }));
  });

  test("no rule is lost or doubled, whatever both did", () => {
    fc.assert(fc.property(ids, ids, ids, (base, mine, theirs) => {
      const kept = [...merged(base, mine, theirs)];
      expect(new Set(kept).size).toBe(kept.length);
      for (const id of new Set([...base, ...mine, ...theirs])) {
        const isIn = (list: string): boolean => list.includes(id);
        const expected = isIn(base) ? isIn(mine) && isIn(theirs) : isIn(mine) || isIn(theirs);
        expect(`${id} ${kept.includes(id)}`).toBe(`${id} ${expected}`);
      }
    }));
  });

  test("a draft that is in force already is none any more", () => {
    const draft = step(undefined, version(policy("ab")), (document) => setRule(document, 0))!;
    expect(rebase(draft, version(policy("b"), 8))).toBeUndefined();
    const moved = rebase(draft, version(policy("abc"), 8));
    expect([moved?.base.version, idsOf(moved?.document), moved?.past.length]).toEqual([8, "bc", 0]);
  });
});
