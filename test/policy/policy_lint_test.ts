/**
 * What a policy says without effect.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { policySchema } from "../../lib/policy/document.ts";
import { type KnownWorkloads, lintPolicy, WARNINGS_MAX } from "../../lib/policy/policy_lint.ts";

const NOW_MS = Date.parse("2026-06-01T00:00:00Z");
const KNOWN: KnownWorkloads = {
  groups: [{ namespace: "shop", image: "front-end" }, { namespace: "shop", image: "payment" }],
  services: new Set(["front-end"]),
};

function warningsOf(spec: object, known: KnownWorkloads = KNOWN): string[] {
  const document = policySchema.parse({ apiVersion: "netwall/v1", kind: "Policy", spec });
  return lintPolicy(document, known, NOW_MS);
}

const HOST = { host: "api.example.com" };
const FRONT = { namespace: "shop", image: "front-end" };

const DEAD: readonly (readonly [string, object])[] = [
  ["it expired", { expires: "2020-01-01T00:00:00Z" }],
  ["raw connections have no requests", { protocol: "tcp", http: { methods: ["GET"] } }],
  ["never goes to a host outside", { source: { network: "internet" }, destination: HOST }],
  ["never goes to a host outside", { source: { cidr: "10.0.0.0/8" }, destination: { cidr: "192.0.2.0/24" } }],
  ["leave http out", { destination: HOST, http: { methods: ["GET"] } }],
  ["leave http out", { direction: "egress", http: { paths: ["/x"] } }],
  ["leave protocol out", { destination: HOST, protocol: "http" }],
  ["comes from outside", { direction: "north-south", source: FRONT }],
  ["comes from a workload", { direction: "east-west", source: { network: "internet" } }],
  ["goes to a host outside", { direction: "egress", destination: FRONT }],
  ["goes to a workload", { direction: "east-west", destination: HOST }],
];

describe("a rule that matches nothing", () => {
  for (const [why, rule] of DEAD) {
    test(`is told: ${why} (${JSON.stringify(rule)})`, () => {
      const warnings = warningsOf({ rules: [{ id: "dead", effect: "prevent", ...rule }] });
      expect(warnings).toHaveLength(1);
      expect(warnings[0]).toContain("rule dead has no effect: ");
      expect(warnings[0]).toContain(why);
    });
  }

  test("is not told when it is disabled", () => {
    expect(
      warningsOf({
        rules: [{ id: "dead", effect: "allow", enabled: false, expires: "2020-01-01T00:00:00Z" }],
      }),
    )
      .toEqual([]);
  });

  test("is every one behind a rule for everything", () => {
    const rules = [
      { id: "first", effect: "allow", source: FRONT },
      { id: "all", effect: "prevent" },
      { id: "late", effect: "allow", source: FRONT },
    ];
    expect(warningsOf({ rules })).toEqual([
      "rule late has no effect: the rule all before it matches everything",
    ]);
    const some = [{ id: "all", effect: "prevent", allowLearned: true }, { id: "late", effect: "allow" }];
    expect(warningsOf({ rules: some })).toEqual([]);
  });
});

describe("a name that nobody has", () => {
  test("is told of rules, modes and limits", () => {
    const warnings = warningsOf({
      rules: [{
        id: "typo",
        effect: "allow",
        source: { namespace: "shp", image: "front-end" },
        destination: HOST,
      }],
      modes: [{ namespace: "shop", image: "front-end", mode: "alert" }, {
        namespace: "shop2",
        mode: "prevent",
      }],
      rateLimits: [{ id: "calm", service: "frnt-end", requests: 1 }, {
        id: "good",
        service: "front-end",
        requests: 1,
      }],
    });
    expect(warnings).toEqual([
      "rule typo: no agent of shp/front-end was seen yet",
      "mode prevent: no agent of namespace shop2 was seen yet",
      "rate limit calm: no agent has served frnt-end yet",
    ]);
  });

  test("is none before anybody was seen", () => {
    const known = { groups: [], services: new Set<string>() };
    const spec = {
      modes: [{ namespace: "shop", mode: "alert" }],
      rateLimits: [{ id: "a", service: "b", requests: 1 }],
    };
    expect(warningsOf(spec, known)).toEqual([]);
  });
});

test("what is right has no warning, and of very many not all are told", () => {
  const rules = [
    { id: "a", effect: "allow", source: FRONT, destination: { ...HOST, ports: [443] } },
    {
      id: "b",
      effect: "prevent",
      source: { network: "internet" },
      destination: FRONT,
      http: { paths: ["/x/**"] },
    },
    { id: "c", effect: "alert", direction: "east-west", source: FRONT, protocol: "tcp" },
    { id: "d", effect: "alert", expires: "2027-01-01T00:00:00Z" },
  ];
  expect(warningsOf({ rules, modes: [{ mode: "alert" }] })).toEqual([]);
  const many = Array.from({ length: 30 }, (_, at) => ({ namespace: `n${at}`, mode: "alert" }));
  const warnings = warningsOf({ modes: many });
  expect(warnings).toHaveLength(WARNINGS_MAX + 1);
  expect(warnings.at(-1)).toBe("and 10 more");
});
