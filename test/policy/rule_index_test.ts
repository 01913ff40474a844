/**
 * The index of rules: it shows all that can match, and little else.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { parseAddress } from "../../lib/egress/address_class.ts";
import { type CompiledRule, RequestReader } from "../../lib/policy/compiled_rule.ts";
import { type Destination, groupOf } from "../../lib/policy/flow.ts";
import { RuleIndex, type SourceKey } from "../../lib/policy/rule_index.ts";
import { policyOf } from "./arbitrary_policy.ts";

const OUTSIDE: SourceKey = { kind: "outside", network: "internet", address: parseAddress("8.8.8.8") };
const WEB: SourceKey = { kind: "group", group: groupOf("shop", "web", "") };
const SERVICE: Destination = { kind: "service", group: groupOf("shop", "db", ""), service: "user-db" };

function indexOf(rules: readonly object[]): RuleIndex {
  return new RuleIndex(
    policyOf({
      networks: { office: ["10.0.0.0/8"] },
      rules: rules.map((rule, index) => ({ id: `r${index}`, effect: "alert", ...rule })),
    }).spec.rules,
  );
}

/** The places of the rules that are shown. Each list must be in the order of the document. */
function shown(index: RuleIndex, source: SourceKey, to: Destination, path?: string): number[] {
  const request = path === undefined
    ? undefined
    : new RequestReader({ method: "GET", host: "x", path, contentType: "" });
  const places: number[] = [];
  index.visit(source, to, request, (rules: readonly CompiledRule[]) => {
    const list = rules.map(({ position }) => position);
    expect(list).toEqual([...list].sort((a, b) => a - b));
    places.push(...list);
  });
  return [...new Set(places)].sort((a, b) => a - b);
}

describe("RuleIndex", () => {
  test("tells sources apart that could be spelled alike", () => {
    const index = indexOf([
      {},
      { source: { network: "office" } },
      { source: { network: "internet" } },
      { source: { namespace: "office" } },
      { source: { image: "office" } },
      { source: { namespace: "shop", image: "web" } },
      { source: { image: "shop|web" } },
      { source: { cidr: "8.8.8.0/24" } },
      { source: { cidr: "8.0.0.0/8" } },
      { source: { cidr: "::/0" } },
      { enabled: false },
    ]);
    expect(shown(index, OUTSIDE, SERVICE)).toEqual([0, 2, 7, 8]);
    expect(shown(index, WEB, SERVICE)).toEqual([0, 5]);
    expect(shown(index, { kind: "group", group: groupOf("shop", "shop|web", "") }, SERVICE)).toEqual([0, 6]);
    expect(shown(index, { kind: "outside", network: "office", address: undefined }, SERVICE)).toEqual([0, 1]);
    expect(shown(index, { kind: "group", group: groupOf("office", "office", "") }, SERVICE)).toEqual([
      0,
      3,
      4,
    ]);
  });

  test("tells destinations apart", () => {
    const index = indexOf([
      { destination: { service: "user-db" } },
      { destination: { namespace: "shop" } },
      { destination: { image: "db" } },
      { destination: { namespace: "shop", image: "db", service: "user-db" } },
      { destination: { namespace: "user-db" } },
      { destination: { namespace: "shop", service: "other" } },
      { destination: { host: "example.com" } },
      { destination: { host: "*.example.com", ports: [443] } },
      { destination: { host: "*.com" } },
      { destination: { cidr: "10.0.0.0/8", ports: [80] } },
      { destination: { cidr: "10.1.0.0/16" } },
      { destination: { host: "10.1.0.1", ports: [80, 81, 82, 83, 84, 85, 86, 87, 88] } },
    ]);
    const host = (name: string, port = 443): number[] =>
      shown(index, WEB, { kind: "host", host: name, port });
    expect(shown(index, WEB, SERVICE)).toEqual([0, 1, 2, 3]);
    expect(host("example.com")).toEqual([6, 8]);
    expect(host("a.example.com")).toEqual([7, 8]);
    expect(host("a.example.com", 80)).toEqual([8]);
    expect(host("10.1.0.1", 80)).toEqual([9, 10, 11]);
    // A rule with many ports is shown for every port: whether one is meant is checked when it is matched.
    expect(host("10.1.0.1")).toEqual([10, 11]);
    expect(host("10.2.0.1")).toEqual([]);
  });

  test("shows of many rules for one service those whose paths begin like the request's", () => {
    const rules = Array.from(
      { length: 2_000 },
      (_, index) => ({ http: { paths: [`/API/v1/r${index}/{int}`, "/health"] } }),
    );
    const index = indexOf([...rules, { http: { paths: ["/**"] } }, { http: { methods: ["GET"] } }]);
    expect(shown(index, WEB, SERVICE, "/api/v1/r7/1")).toEqual([7, 2000, 2001]);
    expect(shown(index, WEB, SERVICE, "/x/..%2fapi/v1/r7/1")).toEqual([7, 2000, 2001]);
    expect(shown(index, WEB, SERVICE, "/api/v1")).toEqual([2000, 2001]);
    expect(shown(index, WEB, SERVICE, "/health/")).toHaveLength(2_002);
    expect(shown(index, WEB, SERVICE)).toEqual([2001]);
  });

  test("has one entry for a rule with many paths and ports, not one for each", () => {
    const paths = Array.from({ length: 64 }, (_, index) => `/p${index}`);
    const ports = Array.from({ length: 64 }, (_, index) => index + 1);
    const index = indexOf(
      Array.from({ length: 500 }, () => ({ destination: { host: "x.test", ports }, http: { paths } })),
    );
    let entries = 0;
    const request = new RequestReader({ method: "GET", host: "x", path: "/p1", contentType: "" });
    index.visit(WEB, { kind: "host", host: "x.test", port: 1 }, request, (rules) => entries += rules.length);
    expect(entries).toBe(500);
  });
});
