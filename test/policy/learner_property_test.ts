/**
 * What always holds of a learned model, for random traffic.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Flow, groupOf } from "../../lib/policy/flow.ts";
import { Learner, type LearnerOptions } from "../../lib/policy/learner.ts";

const GROUPS = ["web", "user", "api"].map((image) => groupOf("shop", image, image));
const RUNS = { numRuns: 60 };

function learnerOf(options: Partial<LearnerOptions> = {}): Learner {
  return new Learner({ timeMs: 0, requests: 1, quietMs: 0, unseenShareMax: 1, nowMs: () => 1, ...options });
}

const segment = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom("users", "shops", "me", "anna", "bert", "cora", "dora", "emil", "files", ""),
  },
  { weight: 2, arbitrary: fc.nat(3_000).map(String) },
  { weight: 2, arbitrary: fc.stringMatching(/^[a-z]{3,5}$/) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      "deadbeef",
      "deadbee1",
      "12345678",
      "2031-05-17",
      "abc-2024-001x",
      "a%2Fb",
      "%41b",
    ),
  },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 12 }) },
);
const path = fc.array(segment, { minLength: 0, maxLength: 4 }).map((it) => `/${it.join("/")}`);

const flowOf = fc.record({
  direction: fc.constantFrom("north-south", "east-west", "egress"),
  from: fc.nat(2),
  to: fc.nat(1),
  isHttp: fc.boolean(),
  path,
  method: fc.constantFrom("GET", "POST", "DELETE"),
  contentType: fc.constantFrom("", "application/json"),
  host: fc.constantFrom("a.example", "b.example"),
}).map((it): Flow => {
  const isEgress = it.direction === "egress";
  const isHttp = it.isHttp || it.direction === "north-south";
  return {
    direction: it.direction as Flow["direction"],
    protocol: isHttp ? "http" : "tcp",
    source: it.direction === "north-south"
      ? { kind: "outside", address: `192.0.2.${it.from}` }
      : { kind: "group", group: GROUPS[it.from]! },
    destination: isEgress
      ? { kind: "host", host: it.host, port: 443 }
      : { kind: "service", group: GROUPS[it.to]!, service: GROUPS[it.to]!.image },
    ...(isHttp ? { http: { method: it.method, host: "x", path: it.path, contentType: it.contentType } } : {}),
  };
});

function nameOf({ source }: Flow): string {
  return source.kind === "group" ? source.group.id : "internet";
}

/** Visitors come from many addresses, so that words may collapse. */
function keyOf(flow: Flow, at: number): string {
  return flow.source.kind === "group" ? flow.source.group.image : `192.0.2.${at % 50}`;
}

const trafficOf = fc.array(flowOf, { minLength: 1, maxLength: 150 });

describe("Learner, for any traffic", () => {
  test("what it has learned it knows, and goes on knowing, whatever is learned after", () => {
    fc.assert(
      fc.property(trafficOf, fc.integer({ min: 1, max: 6 }), (traffic, siblingsMax) => {
        const learner = learnerOf({ siblingsMax });
        const known: Flow[] = [];
        traffic.forEach((flow, at) => {
          const name = nameOf(flow);
          // Nothing is beyond a quota here, so that only a path that cannot be learned is unknown after.
          learner.observe(flow, name, keyOf(flow, at), true);
          if (learner.check(flow, name) === undefined) known.push(flow);
        });
        for (const flow of known) expect(learner.check(flow, nameOf(flow))).toBeUndefined();
        expect(known.length).toBeGreaterThanOrEqual(traffic.filter(({ http }) => http === undefined).length);
      }),
      RUNS,
    );
  });

  test("check() after observe() of the same plain flow finds nothing", () => {
    fc.assert(
      fc.property(flowOf, (flow) => {
        fc.pre(flow.http === undefined || /^[a-z0-9/]*$/.test(flow.http.path));
        const learner = learnerOf();
        expect(learner.check(flow, nameOf(flow))?.kind).toBe("edge");
        learner.observe(flow, nameOf(flow), "192.0.2.1", true);
        expect(learner.check(flow, nameOf(flow))).toBeUndefined();
      }),
      RUNS,
    );
  });

  test("failures change nothing at all", () => {
    fc.assert(
      fc.property(trafficOf, trafficOf, (good, bad) => {
        const learner = learnerOf();
        good.forEach((flow, at) => learner.observe(flow, nameOf(flow), keyOf(flow, at), true));
        const before = learner.snapshot();
        bad.forEach((flow, at) => learner.observe(flow, nameOf(flow), keyOf(flow, at), false));
        expect(learner.snapshot()).toBe(before);
      }),
      RUNS,
    );
  });

  test("a learner made from edges() says the same of every flow", () => {
    fc.assert(
      fc.property(trafficOf, trafficOf, fc.integer({ min: 1, max: 6 }), (traffic, others, siblingsMax) => {
        const learner = learnerOf({ siblingsMax });
        traffic.forEach((flow, at) => learner.observe(flow, nameOf(flow), keyOf(flow, at), true));
        const [imported, restored] = [learnerOf(), learnerOf()];
        imported.replace(learner.edges());
        restored.restore(learner.snapshot());
        expect(imported.edges()).toEqual(learner.edges());
        for (const flow of [...traffic, ...others]) {
          const said = learner.check(flow, nameOf(flow))?.kind;
          expect(imported.check(flow, nameOf(flow))?.kind).toBe(said);
          expect(restored.check(flow, nameOf(flow))?.kind).toBe(said);
        }
        expect([...restored.progress()]).toEqual([...learner.progress()]);
      }),
      RUNS,
    );
  });

  test("nothing observed or expected is long, whatever is sent", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "binary", maxLength: 5_000 }),
        fc.string({ maxLength: 300 }),
        (text, type) => {
          const learner = learnerOf();
          const http = { method: "GET", host: "x", path: "/", contentType: "" };
          const flow: Flow = {
            direction: "north-south",
            protocol: "http",
            source: { kind: "outside", address: "" },
            destination: { kind: "service", group: GROUPS[0]!, service: "web" },
            http,
          };
          learner.observe(flow, "internet", "", true);
          for (const changed of [{ path: text }, { contentType: type }, { method: text }]) {
            const deviation = learner.check({ ...flow, http: { ...http, ...changed } }, "internet");
            if (deviation === undefined) continue;
            expect(deviation.observed.length).toBeLessThan(260);
            expect(deviation.expected.length).toBeLessThan(400);
          }
        },
      ),
      RUNS,
    );
  });
});
