/**
 * The firewall with all its parts: what is judged, told, learned and cut off.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import type { Flow } from "../../lib/policy/flow.ts";
import { requestEnds } from "../../lib/gateway/flows.ts";
import type { GatewayVisit } from "../../lib/gateway/flows.ts";
import { defaultPolicy, type ModelEdge } from "../../lib/policy/document.ts";
import { type Direction, DIRECTIONS } from "../../lib/policy/flow.ts";
import { MemoryStore } from "../../lib/store/memory_store.ts";
import { agentOf, FirewallRig, OPERATOR, policyOf } from "../support/firewall_rig.ts";

const front = agentOf("front-end", ["front-end"], {
  claimed: { containerId: "ab".repeat(32), containerName: "front-1", hostname: "host-7" },
});
const db = agentOf("user-db", ["user-db"], {
  tcp: new Set(["user-db"]),
  ports: new Map([["user-db", 6379]]),
});
const user = agentOf("user", ["user"]);

/** A visitor's request to the front-end. */
function visit(method: string, path: string, id = "r-1"): GatewayVisit {
  return {
    arrival: undefined as never,
    reading: {
      method,
      host: "shop.test",
      paths: [path],
      fields: ["User-Agent", "curl"],
      hasBody: false,
    } as never,
    id,
    visitor: undefined as never,
    address: "192.0.2.7",
    startMs: 0,
    service: "front-end",
    caller: undefined,
    passage: undefined,
  };
}

describe("the story", () => {
  test("what was learned passes, what was not is told, and is refused once told to", () => {
    const rig = new FirewallRig();
    rig.connectTimes(5, user, "user-db", db);
    rig.nowMs += 2_000;
    expect(rig.control.promoteStable()?.version.version).toBe(2);
    const modes = rig.control.policy().document.spec.modes;
    expect(modes.map(({ image, mode, origin }) => `${image} ${mode} ${origin}`).sort()).toEqual([
      // East-west by their models, and the two others by their silence.
      ...Array(3).fill("user alert promoted"),
      ...Array(3).fill("user-db alert promoted"),
    ]);

    const live = rig.connect(front, "user-db", db);
    expect(live.verdict).toBe("audited");
    const [event] = rig.told.filter(({ type }) => type === "unexpectedConnection");
    expect(event).toMatchObject({
      ...{ effect: "alert", verdict: "audited", pendingVerdict: "dropped", count: 1, severity: "critical" },
      rule: { kind: "implicit" },
      source: {
        ...{ kind: "workload", name: "shop/front-end", namespace: "shop", image: "front-end:1.0" },
        claimedContainerId: "ab".repeat(32),
        ...{ claimedContainerName: "front-1", claimedHostname: "host-7", agent: "front-end-1" },
      },
      destination: { kind: "workload", name: "shop/user-db", service: "user-db", port: 6379 },
      deviation: { kind: "edge" },
      time: rig.nowMs,
    });

    const kept = rig.connect(user, "user-db", db);
    const applied = rig.control.setMode("shop/user-db", "prevent", OPERATOR);
    expect(applied.cut).toBe(1);
    expect(live.cut).toContain("policy");
    expect(kept.cut).toBeUndefined();
    expect(rig.connect(front, "user-db", db).verdict).toBe("dropped");
    expect(rig.connect(user, "user-db", db).verdict).toBe("forwarded");
    const denied = rig.told.filter(({ effect, type }) =>
      effect === "prevent" && type === "unexpectedConnection"
    );
    expect(denied.map(({ count, verdict }) => `${count} ${verdict}`)).toEqual(["2 dropped"]);
    const edge = rig.control.edges().find(({ source }) => source === "shop/front-end")!;
    expect(edge).toMatchObject({ state: "blocked", lastVerdict: "dropped", lastRule: "implicit" });
  });

  test("an event becomes a rule for its image and namespace, and for no other", () => {
    const rig = FirewallRig.inMode("prevent");
    const payment = agentOf("payment");
    expect(rig.call(payment, "verify.test", 443).verdict).toBe("dropped");
    const [event] = rig.told;
    const rule = rig.control.allowEvent(event!.id, OPERATOR);
    expect(rule).toMatchObject({
      ...{ effect: "allow", direction: "egress", protocol: "tcp" },
      source: { namespace: "shop", image: "payment" },
      destination: { host: "verify.test", ports: [443] },
    });
    const replica = agentOf("payment", [], { agent: "payment-2", image: "payment:2.0" });
    expect(rig.call(replica, "verify.test", 443).verdict).toBe("forwarded");
    expect(rig.call(replica, "verify.test", 80).verdict).toBe("dropped");
    expect(rig.call(front, "verify.test", 443).verdict).toBe("dropped");
    expect(rig.call(agentOf("payment", [], { namespace: "other" }), "verify.test", 443).verdict).toBe(
      "dropped",
    );
    // The same event twice is the same rule.
    expect(rig.control.allowEvent(event!.id, OPERATOR).id).toBe(rule.id);
    expect(rig.control.policy().version).toBe(2);
  });

  test("a request of one route in the model is told apart by route and method", () => {
    const rig = new FirewallRig();
    const ask = (method: string, path: string): string => {
      const passage = rig.firewall.admit(requestEnds(visit(method, path), front));
      rig.firewall.end(passage, { ok: true, inBytes: 0, outBytes: 2, status: 200 });
      return passage.judgement.verdict;
    };
    for (let i = 0; i < 8; i++) ask("GET", `/users/${i}`);
    rig.control.setMode("shop/front-end", "alert", OPERATOR);
    expect(ask("GET", "/users/9999")).toBe("forwarded");
    expect(ask("DELETE", "/users/7")).toBe("audited");
    expect(ask("GET", "/admin")).toBe("audited");
    const requests = rig.told.filter(({ type }) => type === "unexpectedRequest");
    expect(requests.map(({ deviation }) => deviation?.kind).sort()).toEqual(["method", "route"]);
    expect(requests[0]!.http).toMatchObject({ requestId: "r-1", status: 200, userAgent: "curl" });
    expect(requests[0]!.source).toMatchObject({ kind: "network", name: "internet", ip: "192.0.2.7" });
  });
});

describe("learning", () => {
  test("takes nothing from errors, from what never stood, or from what was denied", () => {
    const rig = new FirewallRig();
    const failed = rig.firewall.admit(requestEnds(visit("GET", "/secret"), front));
    rig.firewall.end(failed, { ok: false, inBytes: 0, outBytes: 0, status: 404 });
    const refused = rig.firewall.admit({
      ...rig.connect(user, "user-db", db).passage,
      flow: {
        direction: "east-west",
        protocol: "tcp",
        source: { kind: "group", group: front.group },
        destination: { kind: "service", group: db.group, service: "user-db" },
      },
    });
    rig.firewall.end(refused, { ok: false, inBytes: 0, outBytes: 0 });
    const edges = rig.learner.edges();
    expect(edges.map(({ source, destination }) => `${source} ${destination}`)).toEqual([
      "shop/user shop/user-db",
    ]);
  });

  test("stops with the mode: what deviates in alert is never learned by repeating it", () => {
    const rig = FirewallRig.inMode("alert");
    rig.connectTimes(50, front, "user-db", db);
    expect(rig.learner.edges()).toEqual([]);
    expect(rig.connect(front, "user-db", db).verdict).toBe("audited");
    expect(rig.told.map(({ count }) => count)).toEqual([51]);
  });

  test("a mode that somebody set is not promoted, and relearning takes modes away", () => {
    const rig = new FirewallRig();
    rig.control.setMode("shop/user", "learn", OPERATOR);
    rig.connectTimes(5, user, "user-db", db);
    rig.nowMs += 2_000;
    rig.control.promoteStable();
    const spec = (): string[] =>
      rig.control.policy().document.spec.modes.map(({ image, mode }) => `${image} ${mode}`).sort();
    expect(spec()).toEqual(["user learn", ...Array(3).fill("user-db alert")]);
    expect(rig.told.filter(({ type }) => type === "modelStable").map(({ source }) => source?.name)).toEqual(
      Array(3).fill("shop/user-db"),
    );
    expect(rig.control.relearn("shop/user-db", OPERATOR).warnings).toEqual([]);
    expect(spec()).toEqual(["user learn", "user-db learn", "user-db learn", "user-db learn"]);
    // It learns anew: what it knew is gone, and evidence moves it again.
    expect(rig.learner.edges()).toEqual([]);
    rig.connectTimes(5, user, "user-db", db);
    rig.nowMs += 2_000;
    rig.control.promoteStable();
    expect(spec()).toEqual(["user learn", ...Array(3).fill("user-db alert")]);
    rig.control.setMode("shop/user", "default", OPERATOR);
    rig.control.promoteStable();
    expect(spec()).toContain("user alert");
    expect(() => rig.control.relearn("shop/nobody", OPERATOR)).toThrow("no group shop/nobody");
  });

  test("a request that an operator sends again teaches nothing", () => {
    const rig = new FirewallRig();
    const flow: Flow = {
      ...{ direction: "north-south", protocol: "http", source: { kind: "outside", address: "192.0.2.1" } },
      destination: { kind: "service", group: front.group, service: "front-end" },
      http: { method: "GET", host: "shop.example", path: "/secret", contentType: "" },
    };
    for (const isReplay of [true, false]) {
      const request = { id: "1", userAgent: undefined, isReplay };
      const passage = rig.firewall.admit({ flow, from: undefined, to: front, request });
      rig.firewall.end(passage, { ok: true, inBytes: 0, outBytes: 0, status: 200 });
      expect(rig.learner.edges()).toHaveLength(isReplay ? 0 : 1);
    }
  });

  test("a direction that nothing came in goes with the others: its first stranger is told, not learned", () => {
    const rig = new FirewallRig();
    rig.connectTimes(5, user, "user-db", db);
    rig.nowMs += 2_000;
    const silent = (): string[] =>
      rig.control.groups().find(({ id }) => id === "shop/user")!.learning.slice(1)
        .map(({ direction, state, reasons }) => `${direction} ${state}: ${reasons.join()}`);
    const why = "nothing that could be learned was seen in 2 seconds";
    expect(silent()).toEqual([`north-south stable: ${why}`, `egress stable: ${why}`]);
    rig.control.promoteStable();
    expect(silent()).toEqual([`north-south active: ${why}`, `egress active: ${why}`]);
    const told = rig.told.filter(({ type, direction }) => type === "modelStable" && direction === "egress");
    expect(told.map(({ message }) => message)).toContain(`The model of shop/user (egress) is stable: ${why}`);

    expect(rig.call(user, "verify.test", 443).verdict).toBe("audited");
    expect(rig.firewall.admit(requestEnds(visit("GET", "/"), user)).judgement.verdict).toBe("audited");
    expect(rig.learner.edges()).toHaveLength(1);
    const { version } = rig.control.policy();
    expect(rig.control.promoteStable()).toBeUndefined();
    // Anew is anew in all three: silence too has to be proved again.
    rig.control.relearn("shop/user", OPERATOR);
    rig.nowMs += 60_000;
    expect(rig.control.promoteStable()).toBeUndefined();
    expect(rig.control.policy().version).toBe(version + 1);
    expect(rig.call(user, "verify.test", 443).verdict).toBe("forwarded");
  });

  test("silence moves nothing that somebody set, and nothing of a group that is stable in no direction", () => {
    const rig = new FirewallRig();
    rig.control.setMode("shop/user", "learn", OPERATOR, "egress");
    rig.connectTimes(5, user, "user-db", db);
    rig.connectTimes(1, front, "payment", agentOf("payment", ["payment"]));
    rig.nowMs += 60_000;
    rig.control.promoteStable();
    const modesOf = (image: string): string[] =>
      Object.values(rig.control.groups().find(({ id }) => id === `shop/${image}`)!.modes)
        .map(({ mode, origin }) => `${mode} ${origin}`);
    expect(modesOf("user")).toEqual(["alert promoted", "alert promoted", "learn manual"]);
    for (const image of ["front-end", "payment"]) {
      expect(modesOf(image)).toEqual(Array(3).fill("learn default"));
    }
    const [, , egress] = rig.control.groups().find(({ id }) => id === "shop/user")!.learning;
    expect(egress!.reasons[0]).toBe("stays in learn, as that was set by hand");
    // A silent direction is not warned of when all are set.
    expect(rig.control.setMode("shop/front-end", "prevent", OPERATOR).warnings).toHaveLength(1);
  });

  test("what was emptied as another group learns anew is not silent", () => {
    const rig = new FirewallRig();
    const visitUser = (): void => {
      const passage = rig.firewall.admit(requestEnds(visit("GET", "/"), user));
      rig.firewall.end(passage, { ok: true, inBytes: 0, outBytes: 2, status: 200 });
    };
    for (let time = 0; time < 5; time++) visitUser();
    rig.nowMs += 900;
    rig.connectTimes(5, user, "user-db", db);
    rig.nowMs += 100;
    rig.control.relearn("shop/user-db", OPERATOR);
    const ofUser = (direction: Direction): string =>
      rig.control.groups().find(({ id }) => id === "shop/user")!.modes[direction].mode;
    rig.control.promoteStable();
    // The group is quiet and known by its visitors; yet a call that was normal must not become an alert.
    expect(DIRECTIONS.map(ofUser)).toEqual(["alert", "learn", "alert"]);
    rig.learner.restore(rig.learner.snapshot());
    rig.control.promoteStable();
    expect(ofUser("east-west")).toBe("learn");
    rig.nowMs += 1_000;
    rig.control.promoteStable();
    expect(ofUser("east-west")).toBe("alert");
  });

  test("what a group has forgotten comes back by a rollback, and what others learned stays all along", () => {
    const rig = new FirewallRig();
    rig.connectTimes(5, user, "user-db", db);
    rig.connectTimes(5, front, "payment", agentOf("payment", ["payment"]));
    const before = rig.learner.edges();
    expect(before.length).toBe(2);
    const { version } = rig.control.policy();
    rig.control.relearn("shop/user-db", OPERATOR);
    expect(rig.learner.edges()).toEqual(before.filter(({ service }) => service === "payment"));
    rig.control.rollback(version, OPERATOR);
    expect(rig.learner.edges()).toEqual(before);
  });

  test("a mode that is not ready, or for nobody, is set with a warning", () => {
    const rig = new FirewallRig();
    rig.connectTimes(1, user, "user-db", db);
    expect(rig.control.setMode("shop/user-db", "prevent", OPERATOR).warnings.join()).toContain(
      "not stable yet",
    );
    expect(rig.control.setMode("shop/user-bd", "prevent", OPERATOR).warnings.join()).toContain(
      "was seen yet",
    );
    expect(rig.control.setMode("shop/user-db", "alert", OPERATOR).warnings).toEqual([]);
  });

  test("what somebody set for more than a group comes before what evidence says of it", () => {
    const rig = new FirewallRig();
    rig.connectTimes(5, user, "user-db", db);
    rig.nowMs += 2_000;
    rig.control.promoteStable();
    expect(rig.connect(front, "user-db", db).verdict).toBe("audited");
    const { document } = rig.control.policy();
    const modes = [...document.spec.modes, {
      namespace: "shop",
      mode: "prevent" as const,
      origin: "manual" as const,
    }];
    rig.control.apply({ ...document, spec: { ...document.spec, modes } }, OPERATOR, "");
    expect(rig.connect(front, "user-db", db).verdict).toBe("dropped");
    rig.control.rollback(2, OPERATOR);
    expect(rig.connect(front, "user-db", db).verdict).toBe("audited");
    // And a promotion never makes milder what holds for all.
    rig.control.apply({ ...document, spec: { ...document.spec, defaultMode: "prevent" } }, OPERATOR, "");
    expect(rig.connect(front, "user-db", db).verdict).toBe("dropped");
  });

  test("an event stream is known and on the map before its end", () => {
    const rig = new FirewallRig();
    const passage = rig.firewall.admit(requestEnds(visit("GET", "/events"), front));
    passage.exchange = { status: 0, deny: () => {} };
    rig.nowMs += 5_000;
    rig.firewall.settle();
    expect(rig.learner.edges()).toEqual([]);
    passage.exchange = { status: 200, deny: () => {} };
    rig.firewall.settle();
    expect(rig.learner.edges().map(({ operations }) => operations)).toEqual([["GET /events"]]);
    rig.firewall.settle();
    rig.firewall.end(passage, { ok: true, inBytes: 3, outBytes: 7, status: 200 });
    expect(rig.control.edges()).toMatchObject([{ count: 1, inBytes: 3, outBytes: 7, state: "learned" }]);
  });
});

test("what is known is evidence for the end that still learns, when the other one does not any more", () => {
  const rig = new FirewallRig();
  rig.connectTimes(2, user, "user-db", db);
  rig.control.setMode("shop/user", "prevent", OPERATOR);
  rig.connectTimes(4, user, "user-db", db);
  rig.nowMs += 2_000;
  rig.control.promoteStable();
  const { modes } = rig.control.policy().document.spec;
  expect(modes.map(({ image, mode }) => `${image} ${mode}`).sort()).toEqual([
    "user prevent",
    ...Array(3).fill("user-db alert"),
  ]);
  // New edges of the one that does not learn are none of the other's either.
  expect(rig.connect(user, "user-db-2", agentOf("user-db", ["user-db-2"])).verdict).toBe("dropped");
  expect(rig.learner.edges()).toHaveLength(1);
});

describe("the policy in force", () => {
  const blocking = policyOf({
    rules: [{ id: "no-db", effect: "prevent", destination: { namespace: "shop", image: "user-db" } }],
  });

  test("an applied one cuts what it denies, a rollback lets it in again, and all of it is written down", () => {
    const rig = new FirewallRig();
    const open = rig.connect(user, "user-db", db);
    expect(rig.control.apply(blocking, OPERATOR, "lock").cut).toBe(1);
    expect(open.cut).toBeDefined();
    expect(rig.connect(user, "user-db", db).verdict).toBe("dropped");
    rig.control.rollback(1, OPERATOR);
    expect(rig.connect(user, "user-db", db).verdict).toBe("forwarded");
    expect(rig.store.policies(10).items.map(({ version, by }) => `${version} ${by}`)).toEqual([
      "3 alice",
      "2 alice",
      "1 netwall",
    ]);
    const [back, applied] = rig.store.audits(10).items;
    expect(applied).toMatchObject({ by: "alice", role: "operator", action: "policy.apply" });
    expect(back).toMatchObject({ action: "policy.rollback" });
  });

  test("one for another version is a conflict, and changes nothing", () => {
    const rig = new FirewallRig();
    rig.control.apply(defaultPolicy("alert"), OPERATOR, "", 1);
    expect(() => rig.control.apply(blocking, OPERATOR, "", 1)).toThrow("at version 2 and not at 1");
    expect(rig.control.policy().version).toBe(2);
    expect(() => rig.control.rollback(9, OPERATOR)).toThrow("no version 9");
  });

  test("a model that it brings takes the place of what was learned; a rollback brings that back", () => {
    const rig = new FirewallRig();
    rig.connectTimes(3, user, "user-db", db);
    const learned = rig.learner.edges();
    const edge: ModelEdge = {
      ...{ direction: "east-west" as const, protocol: "tcp" as const, origin: "manual" as const },
      ...{ service: "user-db", source: "shop/front-end", destination: "shop/user-db" },
    };
    rig.control.apply(policyOf({ defaultMode: "prevent" }, { edges: [edge] }), OPERATOR, "");
    expect(rig.connect(front, "user-db", db).verdict).toBe("forwarded");
    expect(rig.connect(user, "user-db", db).verdict).toBe("dropped");
    rig.control.rollback(1, OPERATOR);
    expect(rig.learner.edges()).toEqual(learned);
  });

  test("a model that cannot be learned, or not be read any more, changes nothing", () => {
    const rig = new FirewallRig();
    const edge: ModelEdge = {
      ...{ direction: "east-west" as const, protocol: "tcp" as const, origin: "manual" as const },
      ...{ service: "user-db", source: "shop/front-end", destination: "shop/user-db", operations: ["GET /"] },
    };
    expect(() => rig.control.apply(policyOf({}, { edges: [edge] }), OPERATOR, "")).toThrow(
      "model cannot be used",
    );
    const { operations: _operations, ...good } = edge;
    rig.control.apply(policyOf({}, { edges: [good] }), OPERATOR, "");
    rig.store.putState("model-before-1", "{");
    expect(() => rig.control.rollback(1, OPERATOR)).toThrow("nothing was changed");
    rig.store.putState("replaced-models", "{");
    expect(rig.control.policy().version).toBe(2);
    expect(rig.connect(front, "user-db", db).verdict).toBe("forwarded");
  });

  test("what the store cannot write down is not put in force", () => {
    const rig = new FirewallRig();
    rig.store.close();
    expect(() => rig.control.apply(blocking, OPERATOR, "")).toThrow("was not made");
    expect(rig.control.policy().version).toBe(1);
    expect(rig.connect(user, "user-db", db).verdict).toBe("forwarded");
  });

  test("exported and applied to a fresh gateway, it judges the same", () => {
    const rig = new FirewallRig();
    rig.connectTimes(4, user, "user-db", db);
    rig.control.setMode("shop/user-db", "prevent", OPERATOR);
    const fresh = new FirewallRig();
    fresh.control.apply(rig.control.exported(), OPERATOR, "moved");
    for (const from of [user, front]) {
      expect(fresh.connect(from, "user-db", db).verdict).toBe(rig.connect(from, "user-db", db).verdict);
    }
    expect(fresh.connect(front, "user-db", db).verdict).toBe("dropped");
  });

  test("a rule that expires is judged again, and what it let in is cut off", () => {
    const expires = new Date(new FirewallRig().nowMs + 1_000).toISOString();
    const rig = new FirewallRig(policyOf({
      defaultMode: "prevent",
      rules: [{ id: "for-now", effect: "allow", source: { image: "front-end" }, expires }],
    }));
    const open = rig.connect(front, "user-db", db);
    expect(open.verdict).toBe("forwarded");
    rig.nowMs += 1_000;
    expect(rig.firewall.rejudge()).toBe(1);
    expect(open.cut).toBeDefined();
  });

  test("a staged one decides nothing, and is shown as pending", () => {
    const rig = new FirewallRig();
    rig.control.setMode("shop/user-db", "alert", OPERATOR);
    rig.control.stage(blocking, OPERATOR);
    expect(rig.connect(front, "user-db", db).verdict).toBe("audited");
    const pending = (): unknown[] =>
      rig.told.map(({ pendingVerdict, pendingRule }) => [pendingVerdict, pendingRule]);
    expect(pending()).toEqual([["dropped", { kind: "rule", id: "no-db", index: 0 }]]);
    rig.control.stage(defaultPolicy("alert"), OPERATOR);
    rig.connect(front, "user-db", db);
    expect(pending().at(-1)).toEqual(["audited", { kind: "implicit" }]);
  });

  test("what passes and would not by the staged one is told, and passes", () => {
    const rig = new FirewallRig();
    rig.control.stage(blocking, OPERATOR);
    expect(rig.connect(user, "user-db", db).verdict).toBe("forwarded");
    expect(rig.told).toMatchObject([{
      ...{ type: "stagedVerdict", effect: "allow", verdict: "forwarded", severity: "info" },
      ...{ pendingVerdict: "dropped", pendingRule: { kind: "rule", id: "no-db" } },
    }]);
    rig.control.stage(undefined, OPERATOR);
    rig.connect(user, "user-db", db);
    expect(rig.told.map(({ count }) => count)).toEqual([1]);
  });

  test("the same again makes no version, and a default mode that is left out stays", () => {
    const rig = FirewallRig.inMode("prevent");
    const { document } = rig.control.policy();
    expect(rig.control.apply(document, OPERATOR, "").version.version).toBe(1);
    const { defaultMode: _mode, ...spec } = document.spec;
    const applied = rig.control.apply({ ...document, spec: { ...spec, ...blocking.spec } }, OPERATOR, "");
    expect(applied.version.document.spec.defaultMode).toBe("prevent");
    const opened = rig.control.apply({ ...document, spec: { ...spec, defaultMode: "learn" } }, OPERATOR, "");
    expect(opened.warnings.join()).toContain("no longer in prevent");
  });
});

test("the mode that a gateway is started with holds, whatever the policy says, and says so", () => {
  const rig = new FirewallRig(defaultPolicy("learn"), new MemoryStore(), "prevent");
  rig.keeper.forceMode(OPERATOR);
  rig.keeper.forceMode(OPERATOR);
  expect(rig.versions).toEqual([{ version: 2, cut: 0 }]);
  expect(rig.connect(user, "user-db", db).verdict).toBe("dropped");
  const applied = rig.control.apply(
    policyOf({ defaultMode: "learn", rateLimits: [{ id: "a", requests: 1 }] }),
    OPERATOR,
    "",
  );
  expect(applied.version.document.spec.defaultMode).toBe("prevent");
  expect(applied.warnings.join()).toContain("started with --mode prevent");
  expect(rig.control.exported().spec.defaultMode).toBe("prevent");
});

describe("limits and refusals", () => {
  test("a source over a limit waits, is told of, and can be let in again", () => {
    const rig = new FirewallRig(policyOf({
      rateLimits: [{ id: "calm", service: "front-end", requests: 2, seconds: 60, banSeconds: 60 }],
    }));
    const ends = requestEnds(visit("GET", "/"), front);
    expect([rig.firewall.limit(ends), rig.firewall.limit(ends)]).toEqual([undefined, undefined]);
    expect(rig.firewall.limit(ends)!.retryAfterMs).toBeGreaterThan(1_000);
    expect(rig.told).toHaveLength(1);
    expect(rig.told[0]).toMatchObject({
      type: "rateLimit",
      verdict: "dropped",
      rule: { kind: "ban", id: "calm" },
    });
    const [ban] = rig.control.bans();
    expect(ban).toMatchObject({ service: "front-end" });
    rig.control.unban(ban!.key, OPERATOR);
    expect(rig.control.bans()).toEqual([]);
    expect(() => rig.control.unban(ban!.key, OPERATOR)).toThrow("Nobody is banned");
    expect(rig.store.audits(5).items[0]).toMatchObject({ action: "ban.lift" });
  });

  test("what a token forbids is an event too", () => {
    const rig = new FirewallRig();
    rig.firewall.refused(rig.connect(front, "user-db", db).passage, "token", "The token does not let it");
    expect(rig.told[0]).toMatchObject({
      ...{ type: "policyRule", effect: "prevent", verdict: "dropped", rule: { kind: "token" } },
      source: { name: "shop/front-end" },
    });
  });
});
