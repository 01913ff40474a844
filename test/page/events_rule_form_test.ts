/**
 * The rule that is made of an event: about its image and namespace, and one that the policy takes.
 *
 * @module
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import type { EventEnd, NetwallEvent } from "../../lib/events/event.ts";
import { allowingRule } from "../../lib/gateway/allowing_rule.ts";
import { visible } from "../../lib/page/core/visible.ts";
import {
  changedDraft,
  changeOfDraft,
  draftOf,
  endsOf,
  faultOf,
  isBlurred,
  type RuleDraft,
  ruleOfDraft,
} from "../../lib/page/events/rule_form.ts";
import { type PolicyRule, policySchema, ruleSchema } from "../../lib/policy/document.ts";
import { eventOf } from "./samples.ts";

const NOBODY: ReadonlySet<string> = new Set();

function ruleOf(event: NetwallEvent, patch: Partial<RuleDraft> = {}): PolicyRule {
  return ruleSchema.parse(
    ruleOfDraft({ ...draftOf(event, "allow", NOBODY), ...patch }, endsOf(event)!, event, 0),
  );
}

const host: EventEnd = { kind: "host", name: "[2001:db8::1]:443", host: "2001:db8::1", port: 443 };
const visitor: EventEnd = { kind: "network", name: "internet", ip: "203.0.113.9" };

test("the rule that is offered allows just what the command line would allow", () => {
  const { deviation: _deviation, ...known } = eventOf();
  const { http: _http, ...raw } = eventOf({ protocol: "tcp", type: "unexpectedConnection" });
  const events: readonly NetwallEvent[] = [
    eventOf(),
    eventOf({ source: visitor, direction: "north-south" }),
    eventOf({ deviation: { kind: "edge", observed: "a", expected: "b" }, type: "unexpectedConnection" }),
    eventOf({ deviation: { kind: "contentType", observed: "text/plain", expected: "" } }),
    eventOf({
      http: {
        method: "POST",
        host: "a",
        path: "/a",
        route: "/{int}",
        requestId: "",
        contentType: "text/xml",
      },
    }),
    { ...known, type: "policyRule", rule: { kind: "rule", id: "r", index: 0 } } as NetwallEvent,
    {
      ...raw,
      destination: host,
      direction: "egress",
      deviation: { kind: "edge", observed: "", expected: "" },
    } as NetwallEvent,
  ];
  let count = 0;
  for (const event of events) {
    const { id: _id, comment: _comment, ...offered } = ruleOf(event);
    const { id: _theirs, comment: _words, ...made } = allowingRule(event, NOBODY)!;
    expect(offered).toEqual(made);
    count += 1;
  }
  expect(count).toBe(7);
});

test("an event of no traffic has no rule, and one that stands for many offers none of its last request", () => {
  const { source: _source, ...nobody } = eventOf();
  const { destination: _destination, ...nowhere } = eventOf();
  expect(endsOf(nobody as NetwallEvent)).toBeUndefined();
  expect(endsOf(nowhere as NetwallEvent)).toBeUndefined();
  const { deviation: _deviation, ...blurred } = eventOf();
  expect(isBlurred(blurred as NetwallEvent)).toBe(true);
  expect(allowingRule(blurred as NetwallEvent, NOBODY)).toBeUndefined();
  expect(ruleOf(blurred as NetwallEvent).http).toBeUndefined();
});

test("what is chosen in the form is in the rule", () => {
  const event = eventOf();
  const rule = ruleOf(event, {
    effect: "prevent",
    expires: "1 day",
    hasMethod: false,
    path: "/users/**",
    name: "mine",
  });
  expect(rule).toMatchObject({ id: "mine", effect: "prevent", expires: "1970-01-02T00:00:00.000Z" });
  expect(rule.http).toEqual({ paths: ["/users/**"] });
  expect(rule.source).toEqual({ namespace: "shop", image: "front-end" });
});

test("the name that is offered follows the effect, one that was written stays", () => {
  const event = eventOf();
  const offered = draftOf(event, "allow", NOBODY);
  const prevented = changedDraft(offered, { effect: "prevent" }, event, NOBODY);
  expect(prevented.name).toBe(draftOf(event, "prevent", NOBODY).name);
  expect(prevented.name.startsWith("prevent-")).toBe(true);
  const named = changedDraft(offered, { name: "mine" }, event, NOBODY);
  expect(changedDraft(named, { effect: "prevent" }, event, NOBODY)).toMatchObject({
    name: "mine",
    effect: "prevent",
  });
  expect(changedDraft(offered, { path: "/a" }, event, NOBODY)).toEqual({ ...offered, path: "/a" });
});

test("what strangers wrote makes no rule that the policy refuses, and nothing that turns the text around", () => {
  const text = fc.oneof(fc.string({ maxLength: 1_024, unit: "binary" }), fc.string({ maxLength: 1_024 }));
  const segment = fc.string({
    unit: fc.constantFrom("a", "*", "{", "}", "%", "2", "A", "<", '"', "~"),
    maxLength: 20,
  });
  let count = 0;
  fc.assert(fc.property(text, fc.array(segment, { minLength: 1, maxLength: 5 }), (message, parts) => {
    const path = `/${parts.join("/")}`;
    const event = eventOf({ message, http: { ...eventOf().http!, path } });
    const draft = draftOf(event, "allow", NOBODY);
    const made = ruleOfDraft({ ...draft, hasPath: false }, endsOf(event)!, event, 0);
    expect(ruleSchema.safeParse(made).success).toBe(true);
    expect(/[*{}]/.test(draft.path)).toBe(false);
    const { title } = changeOfDraft(draft, endsOf(event)!, event, 0);
    expect(visible(title)).toBe(title);
    count += 1;
  }));
  expect(count).toBeGreaterThanOrEqual(100);
});

test("faultOf() tells what cannot be before the gateway is asked", () => {
  const draft = draftOf(eventOf(), "allow", NOBODY);
  const cases: readonly (readonly [Partial<RuleDraft>, RegExp])[] = [
    [{ name: "" }, /^Name/],
    [{ name: "Über" }, /^Name/],
    [{ name: "taken" }, /already/],
    [{ name: "a".repeat(64) }, /^Name/],
    [{ method: "GET POST" }, /^Method/],
    [{ path: "users" }, /^Path/],
    [{ path: "/a b" }, /^Path/],
    [{ path: "/a?b=c" }, /^Path/],
    [{ path: `/${"a".repeat(1_100)}` }, /^Path/],
  ];
  for (const [patch, wanted] of cases) {
    expect(faultOf({ ...draft, ...patch }, new Set(["taken"]))).toMatch(wanted);
  }
  expect(cases).toHaveLength(9);
  expect(faultOf(draft, new Set())).toBe("");
  expect(faultOf({ ...draft, hasPath: false, path: "nonsense" }, new Set())).toBe("");
});

test("changeOfDraft() puts the rule in front of all others, and names no other's rule", () => {
  const event = eventOf();
  const draft = draftOf(event, "allow", new Set(["allow-front-end-user"]));
  expect(draft.name).toBe("allow-front-end-user-2");
  const before = policySchema.parse({
    apiVersion: "netwall/v1",
    kind: "Policy",
    spec: { rules: [{ id: "a", effect: "alert" }] },
  });
  const change = changeOfDraft({ ...draft, expires: "1 hour" }, endsOf(event)!, event, 0);
  expect(change.title).toBe("Allow shop/front-end → user for 1 hour");
  const made = policySchema.parse(change.make(before));
  expect(made.spec.rules.map(({ id }) => id)).toEqual(["allow-front-end-user-2", "a"]);
  expect(change.unmake(made)).toEqual(before);
});
