/**
 * The panel of an edge and of a group: what it says, what belongs to it, and what its buttons make of the policy.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { decideEdge, expireRuleOf, removeRuleOf, ruleOf } from "../../lib/page/detail/edge_changes.ts";
import {
  defaultRuleWords,
  destinationText,
  edgesOfGroup,
  eventFiltersOf,
  modelEdgeOf,
  modelGroupOf,
  operationsOf,
  targetText,
} from "../../lib/page/detail/edge_facts.ts";
import { eventFilterSchema } from "../../lib/admin/query.ts";
import {
  type ModelEdge,
  modelEdgeSchema,
  type PolicyDocument,
  policySchema,
} from "../../lib/policy/document.ts";
import { edgeOf, edgeRecord } from "./samples.ts";

const outside = edgeOf({
  id: "out",
  direction: "egress",
  destination: "",
  service: "",
  host: "2001:db8::1",
  port: 443,
});

function policy(): PolicyDocument {
  const rules = [{ id: "first", effect: "alert" }, { id: "mine", effect: "allow" }, {
    id: "allow-front-end-user",
    effect: "allow",
  }];
  return policySchema.parse({ apiVersion: "netwall/v1", kind: "Policy", spec: { rules } });
}

test("decideEdge() makes rules that the policy takes, by names that are free, for as long as was chosen", () => {
  const before = policy();
  const allow = decideEdge(edgeRecord(), "allow", before, "1 hour", 0);
  expect(allow.title).toBe("Allow shop/front-end → user for 1 hour");
  const made = policySchema.parse(allow.make(before));
  expect(made.spec.rules[0]).toMatchObject({
    ...{ id: "allow-front-end-user-2", effect: "allow", expires: "1970-01-01T01:00:00.000Z" },
    source: { namespace: "shop", image: "front-end" },
  });
  expect(allow.unmake(made)).toEqual(before);
  const block = decideEdge(outside, "prevent", before, undefined, 0);
  expect(block.title).toBe("Block shop/front-end → [2001:db8::1]:443");
  const blocked = policySchema.parse(block.make(before)).spec.rules[0]!;
  expect(blocked).toMatchObject({ effect: "prevent", destination: { host: "2001:db8::1", ports: [443] } });
  expect(blocked.expires).toBeUndefined();
});

test("the rule of an edge is the one that decided last; what is no rule, or gone, has none", () => {
  const edge = edgeOf({ lastRule: "mine", state: "manual" });
  const before = policy();
  expect(ruleOf(edge, before)?.index).toBe(1);
  const removed = removeRuleOf(edge, before)!;
  expect(removed.make(before).spec.rules.map(({ id }) => id)).toEqual(["first", "allow-front-end-user"]);
  expect(removed.unmake(removed.make(before))).toEqual(before);
  const expired = expireRuleOf(edge, before, "7 days", 0)!;
  expect(policySchema.parse(expired.make(before)).spec.rules[1]?.expires).toBe("1970-01-08T00:00:00.000Z");
  expect(expired.unmake(expired.make(before))).toEqual(before);
  let count = 0;
  for (const lastRule of ["learned", "implicit", "gone", ""]) {
    expect(removeRuleOf(edgeOf({ lastRule }), before)).toBeUndefined();
    expect(expireRuleOf(edgeOf({ lastRule }), before, "1 day", 0)).toBeUndefined();
    count += 1;
  }
  expect(count).toBe(4);
});

test("defaultRuleWords() tells rules from what decides without one", () => {
  expect(["learned", "learning", "implicit", "closed", ""].filter((it) => defaultRuleWords(it) === undefined))
    .toEqual([]);
  expect(["mine", "constructor", "__proto__"].map(defaultRuleWords)).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
});

test("where an edge goes to is told in full and in short, as events tell it", () => {
  expect([destinationText(edgeRecord()), targetText(edgeRecord())]).toEqual(["shop/user user", "user"]);
  expect([destinationText(outside), targetText(outside)]).toEqual(["[2001:db8::1]:443", "[2001:db8::1]:443"]);
  expect(targetText(edgeOf({ destination: "", service: "", host: "a\u202eb", port: 1 }))).toBe("a\\u202eb:1");
  const filters = [edgeRecord(), outside].map(eventFiltersOf);
  expect(filters).toEqual([
    { direction: "east-west", source: "shop/front-end", destination: "shop/user", service: "user" },
    { direction: "egress", source: "shop/front-end", destination: "[2001:db8::1]:443" },
  ]);
  for (const each of filters) expect(eventFilterSchema.safeParse(each).success).toBe(true);
});

test("modelEdgeOf() finds what was learned of an edge, and of no other", () => {
  const base = { direction: "east-west", source: "shop/front-end", protocol: "http" };
  const model: ModelEdge[] = [
    { ...base, destination: "shop/user", service: "admin" },
    {
      ...base,
      destination: "shop/user",
      service: "user",
      operations: ["POST /users application/json", "GET /users/{int}", "GET /users"],
    },
    { ...base, direction: "egress", host: "2001:db8::1", port: 443 },
  ].map((edge) => modelEdgeSchema.parse(edge));
  expect(modelEdgeOf(edgeRecord(), model)?.service).toBe("user");
  expect(modelEdgeOf(outside, model)?.host).toBe("2001:db8::1");
  expect(modelEdgeOf(edgeOf({ protocol: "tcp" }), model)).toBeUndefined();
  expect([modelGroupOf(edgeRecord()), modelGroupOf(outside)]).toEqual(["shop/user", "shop/front-end"]);
  expect(operationsOf(model[1]!)).toEqual([
    { method: "GET", path: "/users", contentType: "" },
    { method: "POST", path: "/users", contentType: "application/json" },
    { method: "GET", path: "/users/{int}", contentType: "" },
  ]);
  expect(operationsOf(model[0]!)).toEqual([]);
});

test("edgesOfGroup() puts first what wants an eye, and an edge to itself on both sides", () => {
  const edges = [
    edgeOf({ id: "a", state: "learned", count: 9 }),
    edgeOf({ id: "b", state: "blocked" }),
    edgeOf({ id: "c", state: "unknown", source: "internet" }),
    edgeOf({ id: "d", source: "shop/user", destination: "shop/user" }),
    outside,
  ];
  const { incoming, outgoing } = edgesOfGroup("shop/user", edges);
  expect(incoming.map(({ id }) => id)).toEqual(["b", "c", "a", "d"]);
  expect(outgoing.map(({ id }) => id)).toEqual(["d"]);
  expect(edgesOfGroup("shop/front-end", edges).outgoing.map(({ id }) => id)).toEqual(["b", "a", "out"]);
});
