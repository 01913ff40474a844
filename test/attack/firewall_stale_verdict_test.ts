/**
 * Something that was begun under one policy and is over under another: it must not teach, stay open, or be nobody's.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { connectionEnds, type GatewayVisit, requestEnds } from "../../lib/gateway/flows.ts";
import { CompiledPolicy } from "../../lib/policy/engine.ts";
import { agentOf, FirewallRig, OPERATOR, policyOf } from "../support/firewall_rig.ts";

const front = agentOf("front-end", ["front-end"]);
const user = agentOf("user", ["user"]);
const db = agentOf("user-db", ["user-db"], { tcp: new Set(["user-db"]) });

function visit(path: string): GatewayVisit {
  return {
    arrival: undefined as never,
    reading: { method: "GET", host: "shop.test", paths: [path], fields: [], hasBody: false } as never,
    ...{ id: "r-1", visitor: undefined as never, address: "192.0.2.7", startMs: 0 },
    ...{ service: "front-end", caller: undefined, passage: undefined },
  };
}

test("a slow request that began in the mode learn and ended in prevent, let pass by a rule, teaches nothing", () => {
  const rig = new FirewallRig();
  const slow = rig.firewall.admit(requestEnds(visit("/admin"), front));
  expect(slow.judgement.reason.kind).toBe("learning");
  const expires = new Date(rig.nowMs + 60_000).toISOString();
  rig.control.apply(
    policyOf({
      defaultMode: "prevent",
      rules: [{ id: "for-now", effect: "allow", http: { paths: ["/admin"] }, expires }],
    }),
    OPERATOR,
    "",
  );
  rig.firewall.end(slow, { ok: true, inBytes: 0, outBytes: 2, status: 200 });
  expect(rig.learner.edges()).toEqual([]);
  rig.nowMs += 60_000;
  expect(rig.firewall.admit(requestEnds(visit("/admin"), front)).judgement.verdict).toBe("dropped");
});

test("a connection that was dialled while the policy changed teaches nothing either", () => {
  const rig = new FirewallRig();
  const dialling = rig.firewall.admit(connectionEnds(user, "", "user-db", db));
  rig.control.apply(
    policyOf({ defaultMode: "prevent", rules: [{ id: "for-now", effect: "allow" }] }),
    OPERATOR,
    "",
  );
  rig.firewall.connected(dialling);
  expect(rig.learner.edges()).toEqual([]);
});

test("what is open by a model that is forgotten is cut off, if the mode left refuses it", () => {
  const rig = new FirewallRig();
  rig.connectTimes(3, user, "user-db", db);
  rig.control.apply(policyOf({ defaultMode: "prevent" }), OPERATOR, "");
  const open = rig.connect(user, "user-db", db);
  expect(open.verdict).toBe("forwarded");
  expect(rig.control.relearn("shop/user-db", OPERATOR).cut).toBe(1);
  expect(open.cut).toContain("policy");
  expect(rig.connect(user, "user-db", db).verdict).toBe("dropped");
});

test("a visitor with a zone in its address is in the network that the address is in", () => {
  const policy = new CompiledPolicy(
    policyOf({
      networks: { near: ["fe80::/10"] },
      rules: [{ id: "no-neighbours", effect: "prevent", source: { network: "near" } }],
    }),
  );
  for (const address of ["fe80::1%eth0", "fe80::1", "fe80::1%"]) {
    const { flow } = connectionEnds(undefined, address, "user-db", db);
    const { verdict, sourceName } = policy.judge(flow, { check: () => undefined }, 0);
    expect([address, verdict, sourceName]).toEqual([address, "dropped", "near"]);
  }
});
