/**
 * The learned model as a whole: what it says of flows, what teaches it, when it is stable, and how it is kept.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { type ModelEdge, modelEdgeSchema } from "../../lib/policy/document.ts";
import {
  type Deviation,
  type Flow,
  type Group,
  groupOf,
  type HttpRequestFacts,
} from "../../lib/policy/flow.ts";
import { Learner, type LearnerOptions } from "../../lib/policy/learner.ts";
import { ModelError } from "../../lib/policy/model_text.ts";

const FRONT = groupOf("shop", "acme/front-end:1", "front-1");
const USER = groupOf("shop", "acme/user", "user-1");
const USER_DB = groupOf("shop", "postgres:17", "db-1");
const START_MS = 1_700_000_000_000;
const DAY_MS = 86_400_000;

class Clock {
  nowMs = START_MS;
}

function learnerOf(clock: Clock = new Clock(), options: Partial<LearnerOptions> = {}): Learner {
  return new Learner({
    timeMs: 3_600_000,
    requests: 20,
    quietMs: DAY_MS,
    unseenShareMax: 0.1,
    nowMs: () => clock.nowMs,
    ...options,
  });
}

const REQUEST: HttpRequestFacts = { method: "GET", host: "shop.example", path: "/", contentType: "" };

function visit(path: string, facts: Partial<HttpRequestFacts> = {}): Flow {
  return {
    direction: "north-south",
    protocol: "http",
    source: { kind: "outside", address: "192.0.2.7" },
    destination: { kind: "service", group: FRONT, service: "front-end" },
    http: { ...REQUEST, path, ...facts },
  };
}

function call(from: Group, to: Group, service: string, http?: Partial<HttpRequestFacts>): Flow {
  return {
    direction: "east-west",
    protocol: http === undefined ? "tcp" : "http",
    source: { kind: "group", group: from },
    destination: { kind: "service", group: to, service },
    ...(http === undefined ? {} : { http: { ...REQUEST, ...http } }),
  };
}

function exit(from: Group, host: string, port = 443): Flow {
  return {
    direction: "egress",
    protocol: "tcp",
    source: { kind: "group", group: from },
    destination: { kind: "host", host, port },
  };
}

/** A deviation as it is told: its words are made when they are read. */
function words(deviation: Deviation | undefined): Deviation | undefined {
  return deviation && { kind: deviation.kind, observed: deviation.observed, expected: deviation.expected };
}

describe("Learner.check()", () => {
  test("tells edge, route, method and content type apart, in this order", () => {
    const learner = learnerOf();
    const post = visit("/users", { method: "POST", contentType: "application/json" });
    expect(words(learner.check(visit("/"), "internet"))).toEqual({
      kind: "edge",
      observed: "internet → shop/acme/front-end front-end (http)",
      expected: "nothing",
    });
    for (const flow of [visit("/"), visit("/users/7"), post]) {
      learner.observe(flow, "internet", "192.0.2.7", true);
    }
    expect(words(learner.check(visit("/"), "office"))).toEqual({
      kind: "edge",
      observed: "office → shop/acme/front-end front-end (http)",
      expected: "internet → shop/acme/front-end front-end (http)",
    });
    expect(learner.check(visit("/users/8"), "internet")).toBeUndefined();
    expect(words(learner.check(visit("/admin/9"), "internet"))).toEqual({
      kind: "route",
      observed: "/admin/{int}",
      expected: "GET /, POST /users application/json, GET /users/{int}",
    });
    expect(words(learner.check(visit("/users/8", { method: "DELETE" }), "internet"))).toEqual({
      kind: "method",
      observed: "DELETE /users/{int}",
      expected: "GET",
    });
    expect(words(learner.check(visit("/users", { method: "POST", contentType: "text/xml" }), "internet")))
      .toEqual({
        kind: "contentType",
        observed: "text/xml",
        expected: "application/json",
      });
    expect(learner.check(visit("/users/../admin"), "internet")?.kind).toBe("route");
  });

  test("each source has its own routes of a service", () => {
    const learner = learnerOf();
    learner.observe(visit("/admin"), "office", "198.51.100.1", true);
    learner.observe(visit("/"), "internet", "192.0.2.7", true);
    expect(learner.check(visit("/admin"), "office")).toBeUndefined();
    expect(learner.check(visit("/admin"), "internet")?.kind).toBe("route");
  });

  test("a raw service is known by its name, a host outside by name and port", () => {
    const learner = learnerOf();
    learner.observe(call(USER, USER_DB, "user-db"), USER.id, "user-1", true);
    learner.observe(exit(USER, "api.example.com"), USER.id, "user-1", true);
    expect(learner.check(call(USER, USER_DB, "user-db"), USER.id)).toBeUndefined();
    expect(words(learner.check(call(FRONT, USER_DB, "user-db"), FRONT.id))).toEqual({
      kind: "edge",
      observed: "shop/acme/front-end → shop/postgres user-db (tcp)",
      expected: "nothing",
    });
    expect(learner.check(exit(USER, "api.example.com"), USER.id)).toBeUndefined();
    expect(words(learner.check(exit(USER, "api.example.com", 80), USER.id))).toEqual({
      kind: "edge",
      observed: "shop/acme/user → api.example.com:80 (tcp)",
      expected: "api.example.com:443 (tcp)",
    });
    expect(learner.check(exit(FRONT, "api.example.com"), FRONT.id)?.kind).toBe("edge");
  });

  test("a host below a name that an operator wrote with a star is known", () => {
    const learner = learnerOf();
    const edge = {
      direction: "egress",
      source: USER.id,
      port: 443,
      protocol: "tcp",
      origin: "manual",
    } as const;
    learner.replace([{ ...edge, host: "*.example.com" }]);
    expect(learner.check(exit(USER, "a.b.example.com"), USER.id)).toBeUndefined();
    for (const host of ["example.com", "aexample.com", "example.com.evil.test"]) {
      expect(learner.check(exit(USER, host), USER.id)?.kind).toBe("edge");
    }
  });
});

describe("Learner.observe()", () => {
  test("what did not end well teaches nothing", () => {
    const learner = learnerOf();
    for (const flow of [visit("/"), call(USER, USER_DB, "user-db"), exit(USER, "a.example")]) {
      learner.observe(flow, "internet", "192.0.2.7", false);
    }
    expect(learner.edges()).toEqual([]);
    expect(learner.progress().size).toBe(0);
  });

  test("what was judged by a model that is in force counts, and widens nothing", () => {
    const learner = learnerOf();
    learner.observe(visit("/"), "internet", "192.0.2.7", true);
    learner.observe(visit("/"), "internet", "192.0.2.7", true, false);
    learner.observe(visit("/gone"), "internet", "192.0.2.7", true, false);
    learner.observe(visit("/"), "office", "192.0.2.7", true, false);
    expect(learner.progress().get(FRONT.id)?.[0]).toMatchObject({ samples: 2, edges: 1, routes: 1 });
  });

  test("an IPv6 visitor is its network of 64 bits, an IPv4-mapped one is the IPv4 visitor", () => {
    for (
      const [addresses, learned] of [
        [(at: number) => `2001:db8::${(at + 1).toString(16)}`, 30],
        [(at: number) => `2001:db8:0:${(at + 1).toString(16)}::1`, 40],
        [(at: number) => at % 2 === 0 ? "192.0.2.7" : "::ffff:192.0.2.7", 30],
      ] as const
    ) {
      const learner = learnerOf(new Clock(), { siblingsMax: 999 });
      for (let at = 0; at < 40; at += 1) {
        learner.observe(visit(`/${"x".repeat(at)}y`), "internet", addresses(at), true);
      }
      expect(learner.progress().get(FRONT.id)?.[0]?.routes).toBe(learned);
    }
  });

  test("edges of a group are bounded, and a group that is overfull says so", () => {
    const learner = learnerOf(new Clock(), { edgesPerGroupMax: 8 });
    for (let at = 0; at < 50; at += 1) {
      learner.observe(exit(USER, `h${at}.example.com`), USER.id, "user-1", true);
    }
    const progress = learner.progress().get(USER.id)?.[0];
    expect(progress).toMatchObject({ state: "saturated", edges: 8 });
    expect(progress?.reasons[0]).toBe("overfull: it has 8 edges");
    expect(learner.stable()).toEqual([]);
    learner.relearn(USER.id);
    expect(learner.progress().get(USER.id)).toBeUndefined();
  });

  test("edges of the whole model are bounded", () => {
    const learner = learnerOf(new Clock(), { edgesMax: 10 });
    for (let at = 0; at < 50; at += 1) {
      const group = groupOf("shop", `i${at}`, "x");
      learner.observe(exit(group, "a.example"), group.id, "x", true);
    }
    expect(learner.edges()).toHaveLength(10);
    expect(learner.progress().size).toBe(10);
  });
});

describe("Learner.learn()", () => {
  test("takes in what a person accepts, beyond the quota but never beyond the bounds", () => {
    const learner = learnerOf(new Clock(), { routesPerSourceMax: 1, routesPerServiceMax: 2 });
    learner.observe(visit("/a"), "internet", "192.0.2.7", true);
    learner.observe(visit("/b"), "internet", "192.0.2.7", true);
    expect(learner.check(visit("/b"), "internet")?.kind).toBe("route");
    expect(learner.learn(visit("/b"), "internet", "manual")).toBe(true);
    expect(learner.check(visit("/b"), "internet")).toBeUndefined();
    expect(learner.learn(visit("/c"), "internet", "manual")).toBe(false);
    expect(learner.learn(visit("/a/../b"), "internet", "manual")).toBe(false);
    expect(learner.saturatedServices()).toEqual(["front-end"]);
  });

  test("an edge that a person made stays when the group learns again", () => {
    const learner = learnerOf();
    learner.learn(exit(USER, "by-hand.example"), USER.id, "manual");
    learner.observe(exit(USER, "seen.example"), USER.id, "user-1", true);
    learner.relearn(USER.id);
    expect(learner.edges().map(({ host, origin }) => [host, origin])).toEqual([[
      "by-hand.example",
      "manual",
    ]]);
  });
});

describe("Learner.stable()", () => {
  test("comes with time, requests and quiet, for each group and direction alone", () => {
    const clock = new Clock();
    const learner = learnerOf(clock);
    const feed = (times: number): void => {
      for (let at = 0; at < times; at += 1) {
        learner.observe(visit(`/users/${at}`), "internet", "192.0.2.7", true);
        learner.observe(call(FRONT, USER, "user", { path: `/users/${at}` }), FRONT.id, "front-1", true);
      }
    };
    feed(19);
    clock.nowMs += DAY_MS;
    expect(learner.stable()).toEqual([]);
    expect(learner.progress().get(FRONT.id)?.map(({ reasons }) => reasons)).toEqual([
      ["19 of 20 requests"],
      ["19 of 20 requests"],
      ["no other direction is stable yet"],
    ]);
    feed(1);
    const found = (): string[] =>
      learner.stable().map(({ group, direction }) => `${group} ${direction}`).sort();
    const ofUser = ["shop/acme/user east-west", "shop/acme/user egress", "shop/acme/user north-south"];
    // A call between containers counts for both of its ends, and what nothing came in goes with the others.
    const all = [
      ...["shop/acme/front-end east-west", "shop/acme/front-end egress", "shop/acme/front-end north-south"],
      ...ofUser,
    ];
    expect(found()).toEqual(all);
    // Something new in one direction: the group is not quiet, so its silence does not count.
    learner.observe(visit("/new"), "internet", "192.0.2.7", true);
    expect(found()).toEqual(["shop/acme/front-end east-west", ...ofUser]);
    clock.nowMs += DAY_MS;
    expect(found()).toEqual(all);
    learner.relearn(USER.id);
    expect(found()).toEqual(["shop/acme/front-end egress", "shop/acme/front-end north-south"]);
  });

  test("a direction is not silent when an edge of it was written by hand, or the model has no room", () => {
    const clock = new Clock();
    const learner = learnerOf(clock, { requests: 1 });
    const edgesMax = learnerOf(clock, { requests: 1, edgesMax: 1 });
    for (const each of [learner, edgesMax]) {
      for (let at = 0; at < 9; at += 1) each.observe(visit("/"), "internet", "192.0.2.7", true);
    }
    learner.learn(exit(FRONT, "a.example"), FRONT.id, "manual");
    clock.nowMs += DAY_MS;
    expect(learner.stable().map(({ direction }) => direction)).toEqual(["north-south", "east-west"]);
    expect(edgesMax.stable().map(({ direction }) => direction)).toEqual(["north-south"]);
  });

  test("what was seen once keeps it from being stable", () => {
    const clock = new Clock();
    const learner = learnerOf(clock, { requests: 1, siblingsMax: 999 });
    for (let at = 0; at < 9; at += 1) learner.observe(visit("/"), "internet", "192.0.2.7", true);
    learner.observe(visit("/once"), "internet", "192.0.2.7", true);
    learner.observe(visit("/twice"), "internet", "192.0.2.7", true);
    clock.nowMs += DAY_MS;
    expect(learner.progress().get(FRONT.id)?.[0]).toMatchObject({ state: "learning", unseenShare: 2 / 11 });
    expect(learner.stable()).toEqual([]);
    learner.observe(visit("/once"), "internet", "192.0.2.7", true);
    expect(learner.stable().map(({ direction }) => direction)).toEqual([
      "north-south",
      "east-west",
      "egress",
    ]);
  });
});

describe("Learner.routeOf()", () => {
  test("is the known route, or the path with its values masked", () => {
    const learner = learnerOf();
    learner.observe(visit("/users/7"), "internet", "192.0.2.7", true);
    expect(learner.routeOf(visit("/users/8"), "internet")).toBe("/users/{int}");
    expect(learner.routeOf(visit("/users/8"))).toBe("/users/{int}");
    expect(learner.routeOf(visit("/orders/8/2031-05-17"))).toBe("/orders/{int}/{date}");
    expect(learner.routeOf(visit("/a/%2e%2e/8"))).toBe("/a/../{int}");
    expect(learner.routeOf(exit(USER, "a.example"))).toBe("");
  });
});

function taught(): Learner {
  const learner = learnerOf();
  for (let at = 0; at < 40; at += 1) {
    const word = `${"abcdefghij"[at % 10]}${"klmnopqrst"[Math.floor(at / 10)]}`;
    learner.observe(visit(`/shops/${word}`), "internet", `192.0.2.${at}`, true);
    learner.observe(
      call(FRONT, USER, "user", { path: `/users/${at}`, method: "PUT" }),
      FRONT.id,
      "front-1",
      true,
    );
  }
  learner.observe(visit("/{int}"), "internet", "192.0.2.1", true);
  learner.observe(visit("/a%2fb/"), "internet", "192.0.2.1", true);
  learner.observe(call(USER, USER_DB, "user-db"), USER.id, "user-1", true);
  learner.observe(exit(USER, "api.example.com"), USER.id, "user-1", true);
  return learner;
}

describe("Learner.edges() and replace()", () => {
  test("are edges of a document, the same again after a round", () => {
    const edges = taught().edges();
    expect(edges).toHaveLength(4);
    for (const edge of edges) expect(modelEdgeSchema.parse(edge)).toEqual(edge);
    const other = learnerOf();
    other.replace(edges);
    expect(other.edges()).toEqual(edges);
    expect(other.check(visit("/shops/new"), "internet")).toBeUndefined();
    expect(other.check(visit("/{int}"), "internet")).toBeUndefined();
    expect(other.check(visit("/7"), "internet")?.kind).toBe("route");
    expect(other.stable()).toEqual([]);
    expect(other.progress().get(FRONT.id)?.[0]?.reasons).toEqual(["no traffic was learned from yet"]);
  });

  const HTTP = {
    direction: "north-south",
    source: "internet",
    destination: FRONT.id,
    service: "front-end",
  } as const;
  const FAULTS: readonly (readonly [string, ModelEdge])[] = [
    ["no path", { ...HTTP, protocol: "http", origin: "learned", operations: ["GET"] }],
    ["too many parts", { ...HTTP, protocol: "http", origin: "learned", operations: ["GET / a/b c"] }],
    ["an empty type", { ...HTTP, protocol: "http", origin: "learned", operations: ["GET / "] }],
    ["an unknown placeholder", { ...HTTP, protocol: "http", origin: "learned", operations: ["GET /{any}"] }],
    ["a dot segment", { ...HTTP, protocol: "http", origin: "learned", operations: ["GET /a/../b"] }],
    ["no slash", { ...HTTP, protocol: "http", origin: "learned", operations: ["GET a"] }],
    ["operations of a raw service", { ...HTTP, protocol: "tcp", origin: "learned", operations: ["GET /"] }],
  ];
  for (const [what, edge] of FAULTS) {
    test(`refuses ${what} and changes nothing`, () => {
      const learner = taught();
      const before = learner.snapshot();
      expect(() => learner.replace([edge])).toThrow(ModelError);
      expect(learner.snapshot()).toBe(before);
    });
  }

  test("edges written twice are one, and an HTTP edge without operations lets nothing pass", () => {
    const learner = learnerOf();
    const edge = { ...HTTP, protocol: "http", origin: "learned" } as const;
    learner.replace([edge]);
    expect(learner.check(visit("/"), "internet")?.kind).toBe("route");
    learner.replace([{ ...edge, operations: ["GET /a"] }, { ...edge, operations: ["GET /b", "GET /a"] }]);
    expect(learner.edges()).toEqual([{ ...edge, operations: ["GET /a", "GET /b"] }]);
    expect(learner.estimatedBytes("front-end")).toBeGreaterThan(500);
  });
});

describe("Learner.snapshot() and restore()", () => {
  test("go on where it was: progress, quotas and what is overfull", () => {
    const clock = new Clock();
    const learner = learnerOf(clock, { edgesPerGroupMax: 1, routesPerSourceMax: 3 });
    for (const path of ["/a", "/b", "/c", "/d"]) learner.observe(visit(path), "internet", "192.0.2.7", true);
    for (const host of ["a.example", "b.example"]) learner.observe(exit(USER, host), USER.id, "user-1", true);
    const other = learnerOf(clock, { edgesPerGroupMax: 1, routesPerSourceMax: 3 });
    other.restore(learner.snapshot());
    expect(other.snapshot()).toBe(learner.snapshot());
    expect([...other.progress()]).toEqual([...learner.progress()]);
    expect(other.progress().get(USER.id)?.[0]?.state).toBe("saturated");
    other.observe(visit("/e"), "internet", "192.0.2.7", true);
    expect(other.check(visit("/e"), "internet")?.kind).toBe("route");
  });

  test("hold no address of a visitor", () => {
    expect(taught().snapshot()).not.toContain("192.0.2.");
  });

  const BROKEN: readonly (readonly [string, string, "malformed" | "newer"])[] = [
    ["nothing", "", "malformed"],
    ["no JSON", "{", "malformed"],
    ["null", "null", "malformed"],
    ["another form", '{"version":1}', "malformed"],
    ["unknown keys", '{"version":1,"edges":[],"full":[],"more":1}', "malformed"],
    ["a bad edge", '{"version":1,"edges":[{"edge":{}}],"full":[]}', "malformed"],
    ["a later format", '{"version":2,"edges":[],"full":[]}', "newer"],
  ];
  for (const [what, text, code] of BROKEN) {
    test(`refuse ${what} and change nothing`, () => {
      const learner = taught();
      const before = learner.snapshot();
      let thrown: unknown;
      try {
        learner.restore(text);
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toBeInstanceOf(ModelError);
      expect((thrown as ModelError).code).toBe(code);
      expect(learner.snapshot()).toBe(before);
    });
  }
});
