/**
 * Trying a policy on stored flows.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { CompiledPolicy } from "../../lib/policy/engine.ts";
import type { Deviation } from "../../lib/policy/flow.ts";
import type { ModelView } from "../../lib/policy/model_view.ts";
import type { FlowRecord } from "../../lib/policy/record.ts";
import { EXAMPLES_MAX, flowOfRecord, simulate, type SimulationReport } from "../../lib/policy/simulate.ts";
import { NOW_MS, policyOf } from "./arbitrary_policy.ts";

const DEVIATION: Deviation = { kind: "edge", observed: "something", expected: "nothing" };
const KNOWN: ModelView = { check: () => undefined };
const UNKNOWN: ModelView = { check: () => DEVIATION };
const HOUR_MS = 3_600_000;

const VISIT: FlowRecord = {
  direction: "north-south",
  protocol: "http",
  source: "internet",
  destination: "shop/ghcr.io/acme/web",
  service: "front",
  host: "",
  port: 0,
  hourMs: NOW_MS,
  address: "10.1.2.3",
  method: "GET",
  httpHost: "shop.example",
  route: "/users/{int}",
  path: "/users/7",
  contentType: "",
  verdict: "forwarded",
  count: 1,
  bytes: 0,
};
const CALL: FlowRecord = {
  ...VISIT,
  direction: "egress",
  protocol: "tcp",
  source: "shop/payment",
  destination: "",
  service: "",
  host: "verify.example.com",
  port: 443,
  address: "",
  method: "",
  httpHost: "",
  route: "",
  path: "",
};

function tried(
  flows: readonly FlowRecord[],
  now: object,
  then: object,
  models = [UNKNOWN, UNKNOWN],
): SimulationReport {
  return simulate({
    flows,
    now: new CompiledPolicy(policyOf(now)),
    then: new CompiledPolicy(policyOf(then)),
    modelNow: models[0]!,
    modelThen: models[1]!,
    nowMs: NOW_MS,
    sinceMs: NOW_MS,
  });
}

describe("flowOfRecord()", () => {
  test("gives the flow as it came", () => {
    expect(flowOfRecord(VISIT)).toStrictEqual({
      direction: "north-south",
      protocol: "http",
      source: { kind: "outside", address: "10.1.2.3" },
      destination: {
        kind: "service",
        group: { namespace: "shop", image: "ghcr.io/acme/web", id: "shop/ghcr.io/acme/web" },
        service: "front",
      },
      http: { method: "GET", host: "shop.example", path: "/users/7", contentType: "" },
    });
    expect(flowOfRecord(CALL)).toStrictEqual({
      direction: "egress",
      protocol: "tcp",
      source: { kind: "group", group: { namespace: "shop", image: "payment", id: "shop/payment" } },
      destination: { kind: "host", host: "verify.example.com", port: 443 },
    });
  });
});

describe("simulate()", () => {
  test("tells what would have been dropped, and by which rule", () => {
    const flows = [{ ...VISIT, count: 5 }, { ...CALL, count: 7 }, {
      ...VISIT,
      path: "/admin",
      method: "POST",
      contentType: "text/plain",
    }];
    const rules = [{ id: "admin", http: { paths: ["/admin"] }, effect: "prevent" }];
    const report = tried(flows, { defaultMode: "alert", rules }, { defaultMode: "prevent" });
    expect(report).toStrictEqual({
      judged: 13,
      sinceMs: NOW_MS,
      droppedNow: 1,
      droppedThen: 13,
      unjudged: 0,
      changes: [
        {
          direction: "egress",
          source: "shop/payment",
          destination: "verify.example.com:443",
          from: "audited",
          to: "dropped",
          fromRule: "implicit",
          toRule: "implicit",
          count: 7,
          examples: ["connection"],
        },
        {
          direction: "north-south",
          source: "internet",
          destination: "shop/ghcr.io/acme/web front",
          from: "audited",
          to: "dropped",
          fromRule: "implicit",
          toRule: "implicit",
          count: 5,
          examples: ["GET /users/7"],
        },
      ],
    });
  });

  test("asks each policy's own model, and the address again for new networks", () => {
    const flows = [VISIT];
    expect(tried(flows, { defaultMode: "prevent" }, { defaultMode: "prevent" }, [KNOWN, UNKNOWN]))
      .toMatchObject({ droppedNow: 0, droppedThen: 1 });
    const then = {
      networks: { office: ["10.0.0.0/8"] },
      rules: [{ id: "office", source: { network: "office" }, effect: "prevent" }],
    };
    expect(tried(flows, {}, then).changes).toMatchObject([{
      source: "internet",
      from: "forwarded",
      to: "dropped",
      fromRule: "learning",
      toRule: "office",
    }]);
  });

  test("leaves out flows of earlier hours, and says nothing when nothing differs", () => {
    const flows = [{ ...VISIT, hourMs: NOW_MS - HOUR_MS }, { ...VISIT, hourMs: NOW_MS - HOUR_MS + 1 }];
    expect(tried(flows, {}, { defaultMode: "prevent" })).toMatchObject({ judged: 1, droppedThen: 1 });
    expect(tried(flows, {}, {})).toMatchObject({ judged: 1, droppedNow: 0, droppedThen: 0, changes: [] });
    expect(tried([], {}, { defaultMode: "prevent" })).toMatchObject({ judged: 0, changes: [] });
  });

  test("shows a few different examples of many", () => {
    const flows = Array.from({ length: 40 }, (_, index) => ({ ...VISIT, path: `/users/${index >> 1}` }));
    const [change] = tried(flows, {}, { defaultMode: "alert" }).changes;
    expect(change).toMatchObject({
      count: 40,
      examples: ["GET /users/0", "GET /users/1", "GET /users/2", "GET /users/3", "GET /users/4"],
    });
    expect(EXAMPLES_MAX).toBe(5);
  });
});
