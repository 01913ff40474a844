/**
 * The difference of two policies, as data and as lines.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { longestRun } from "../../lib/policy/longest_run.ts";
import { diffPolicies, formatDiff } from "../../lib/policy/policy_diff.ts";
import { formatPolicy } from "../../lib/policy/policy_yaml.ts";
import { arbitraryPolicy, policyOf } from "./arbitrary_policy.ts";

const rule = (id: string, more: object = {}): object => ({ id, effect: "allow", ...more });

describe("diffPolicies()", () => {
  test("finds nothing between a policy and itself, and something between any two that are written differently", () => {
    let different = 0;
    fc.assert(
      fc.property(arbitraryPolicy(4), arbitraryPolicy(4), (a, b) => {
        expect(diffPolicies(a, a)).toEqual({ changes: [] });
        if (b.model === undefined && a.model !== undefined) return;
        const isSame = formatPolicy(a) === formatPolicy(b);
        if (!isSame) different += 1;
        // Of modes and edges the order does not count, and they can be random here.
        if (isSame) expect(diffPolicies(a, b).changes).toEqual([]);
        else if (JSON.stringify(a.spec.rules) !== JSON.stringify(b.spec.rules)) {
          expect(diffPolicies(a, b).changes.length).toBeGreaterThan(0);
        }
        const back = diffPolicies(b, { ...a, model: a.model ?? { edges: [] } });
        expect(back.changes.filter(({ kind }) => kind === "removed").length).toBe(
          diffPolicies({ ...a, model: a.model ?? { edges: [] } }, { ...b, model: b.model ?? { edges: [] } })
            .changes.filter(({ kind }) => kind === "added").length,
        );
      }),
      { numRuns: 100 },
    );
    expect(different).toBeGreaterThan(50);
  });

  test("tells rules that were added, removed, changed and moved", () => {
    const before = policyOf({ rules: ["a", "b", "c", "d", "gone"].map((id) => rule(id)) });
    const after = policyOf({
      rules: [
        rule("d"),
        rule("a"),
        rule("new", { source: { image: "web" } }),
        rule("b", { effect: "prevent", enabled: false }),
        rule("c"),
      ],
    });
    expect(diffPolicies(before, after).changes).toEqual([
      { part: "rules", kind: "added", name: "new", details: ['source: {"image":"web"}', "effect: allow"] },
      {
        part: "rules",
        kind: "changed",
        name: "b",
        details: ["effect: allow -> prevent", "enabled: true -> false"],
      },
      { part: "rules", kind: "removed", name: "gone", details: ["effect: allow"] },
      { part: "rules", kind: "moved", name: "d", details: ["place: 3 -> 0"] },
    ]);
  });

  test("a model that is left out is no change, one that is given takes the place of the other", () => {
    const edge = {
      direction: "egress",
      source: "shop/web",
      host: "x.test",
      port: 443,
      protocol: "http",
      operations: ["GET /a", "GET /b"],
    };
    const before = policyOf({}, { model: { edges: [edge] } });
    expect(diffPolicies(before, policyOf({})).changes).toEqual([]);
    expect(diffPolicies(before, policyOf({}, { model: { edges: [] } })).changes).toMatchObject([{
      part: "model",
      kind: "removed",
    }]);
    const after = policyOf({}, { model: { edges: [{ ...edge, operations: ["GET /b", "POST /c"] }] } });
    expect(diffPolicies(before, after).changes).toEqual([{
      part: "model",
      kind: "changed",
      name: "shop/web -> x.test:443 (egress, http)",
      details: ["operations: + POST /c", "operations: - GET /a"],
    }]);
  });

  test("two modes for the same are both compared", () => {
    const [alert, learn] = [{ image: "web", mode: "alert" }, { image: "web", mode: "learn" }];
    const changes =
      diffPolicies(policyOf({ modes: [alert, learn] }), policyOf({ modes: [learn, alert] })).changes;
    expect(changes.map(({ name, details }) => [name, ...details])).toEqual([
      ["*/web all directions", "mode: alert -> learn"],
      ["*/web all directions #2", "mode: learn -> alert"],
    ]);
  });
});

describe("formatDiff()", () => {
  test("writes lines for people", () => {
    const before = policyOf({
      networks: { office: ["10.0.0.0/8"] },
      rules: [rule("a"), rule("b"), rule("c")],
    });
    const after = policyOf({
      defaultMode: "alert",
      networks: { office: ["10.0.0.0/8", "fd00::/8"] },
      modes: [{ namespace: "shop", image: "db", direction: "east-west", mode: "prevent" }],
      rules: [rule("c"), rule("a", { expires: "2031-01-01T00:00:00Z" })],
      rateLimits: [{ id: "visitors", requests: 100 }],
    });
    expect(formatDiff(diffPolicies(before, after))).toBe(`defaultMode:
  ~ defaultMode
      mode: learn -> alert
networks:
  ~ office
      cidrs: + fd00::/8
modes:
  + shop/db east-west
      namespace: shop
      image: db
      direction: east-west
      mode: prevent
rules:
  ~ a
      expires: never -> 2031-01-01T00:00:00Z
  - b
  ~ c (moved)
      place: 2 -> 0
rateLimits:
  + visitors
      requests: 100`);
    expect(formatDiff({ changes: [] })).toBe("");
  });

  test("is bounded and prints nothing that could act on a terminal", () => {
    const rules = Array.from({ length: 3_000 }, (_, index) => rule(`r${index}`, { comment: "\u202ex" }));
    const text = formatDiff(diffPolicies(policyOf({}), policyOf({ rules })));
    expect(text.split("\n")).toHaveLength(2_001);
    expect(text).toMatch(/and 7001 more lines$/);
    expect(text).toContain("comment: \\u202ex");
  });
});

describe("longestRun()", () => {
  test("is increasing, and as long as any", () => {
    const slow = (values: readonly number[]): number => {
      const best: number[] = [];
      values.forEach((value, at) => {
        best[at] = 1 + Math.max(0, ...values.slice(0, at).map((it, index) => it < value ? best[index]! : 0));
      });
      return Math.max(0, ...best);
    };
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(50), { maxLength: 30 }), (values) => {
        const run = values.filter((_, index) => longestRun(values).has(index));
        expect(run).toEqual([...run].sort((a, b) => a - b));
        expect(run.length).toBe(slow(values));
      }),
      { numRuns: 200 },
    );
  });
});
