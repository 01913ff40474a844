/**
 * An attacker who makes events so that the rule an operator makes of one, with one click, allows more than it says.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { type GatewayVisit, requestEnds } from "../../lib/gateway/flows.ts";
import { SOURCE_KEYS_MAX } from "../../lib/events/event_log.ts";
import type { PolicyDocument } from "../../lib/policy/document.ts";
import { agentOf, FirewallRig, OPERATOR, policyOf } from "../support/firewall_rig.ts";

const front = agentOf("front-end", ["front-end"]);

function visit(path: string, method = "GET"): GatewayVisit {
  return {
    arrival: undefined as never,
    reading: { method, host: "shop.test", paths: [path], fields: [], hasBody: false } as never,
    ...{ id: "r-1", visitor: undefined as never, address: "192.0.2.7", startMs: 0 },
    ...{ service: "front-end", caller: undefined, passage: undefined },
  };
}

function ask(rig: FirewallRig, path: string, method?: string): string {
  const passage = rig.firewall.admit(requestEnds(visit(path, method), front));
  rig.firewall.end(passage, { ok: true, inBytes: 0, outBytes: 2, status: 200 });
  return passage.judgement.verdict;
}

const RULES: PolicyDocument = policyOf({
  rules: [
    { id: "no-admin", effect: "prevent", http: { paths: ["/admin/**"] } },
    { id: "no-debug", effect: "prevent", http: { paths: ["/debug/**"] } },
  ],
});

test("allowing a request that a rule refused lifts that rule for its route and method, and no other", () => {
  const rig = new FirewallRig(RULES);
  expect(ask(rig, "/debug/vars")).toBe("dropped");
  const [event] = rig.told;
  expect(rig.control.allowEvent(event!.id, OPERATOR).http).toEqual({
    ...{ methods: ["GET"], paths: ["/debug/vars"] },
  });
  expect(ask(rig, "/debug/vars")).toBe("forwarded");
  for (const [path, method] of [["/debug/keys"], ["/admin/keys"], ["/debug/vars", "DELETE"]] as const) {
    expect([path, ask(rig, path, method)]).toEqual([path, "dropped"]);
  }
});

test("an event that stands for many requests is no rule for all that the service has", () => {
  const rig = new FirewallRig(policyOf({ defaultMode: "learn" }));
  ask(rig, "/");
  rig.control.setMode("shop/front-end", "prevent", OPERATOR);
  // So many that the rest are one event, which says of none what deviated.
  for (let at = 0; at <= SOURCE_KEYS_MAX; at += 1) expect(ask(rig, `/a${at}`)).toBe("dropped");
  const many = rig.told.find(({ type, deviation }) =>
    type === "unexpectedRequest" && deviation === undefined
  );
  expect(many?.message).toMatch(/^Many that differ/);
  expect(() => rig.control.allowEvent(many!.id, OPERATOR)).toThrow(/no traffic that a rule could allow/);
  expect(ask(rig, "/admin/keys")).toBe("dropped");
});
