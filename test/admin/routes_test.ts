/**
 * Tests of all routes at once: who may ask, what comes back, and that the description tells the truth about both.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import { apiRoutes } from "../../lib/admin/routes.ts";
import type { Route } from "../../lib/admin/route.ts";
import { type ApiRig, apiRig, json, TOKEN, yaml } from "./api_rig.ts";
import { bodiesOf, requestFacts } from "../support/traffic_rig.ts";
import { edgeOf, eventOf, GROUP } from "./fake_firewall.ts";

const POLICY = "apiVersion: netwall/v1\nkind: Policy\nspec:\n  defaultMode: alert\n";
const EVENT_ID = eventOf(1).id;

const rigs: ApiRig[] = [];
afterEach(() => {
  for (const rig of rigs.splice(0)) rig.close();
});

async function filledRig(): Promise<ApiRig> {
  const rig = await apiRig();
  rigs.push(rig);
  rig.firewall.store.putEvents([eventOf(1), eventOf(2)]);
  rig.firewall.store.putEdges([edgeOf("a", 1)]);
  const { book, log } = rig.traffic.watch;
  book.request("web", 200, 1, 1, 1);
  book.connection("db", true, 1, 1);
  log.add(requestFacts());
  const bodies = bodiesOf(log, { request: "a=1", response: '{"token":"x"}' });
  log.add(requestFacts({ id: "req-2", replayOf: "req-1", bodies }));
  return rig;
}

function startRecording(rig: ApiRig): Promise<Response> {
  return rig.ask("/api/v1/recording", json("PUT", { service: "web", minutes: 1 }));
}

/** A good request for each route; what must be there first is asked for before it. */
const GOOD: Readonly<
  Record<
    string,
    { path?: string; init?: RequestInit; before?: (rig: ApiRig) => unknown; isBySession?: boolean }
  >
> = {
  readStatus: {},
  listLinks: {},
  listGroups: {},
  readGroupModel: { path: `/api/v1/groups/model?group=${encodeURIComponent(GROUP)}` },
  setGroupMode: { init: json("PUT", { group: GROUP, mode: "prevent", direction: "egress" }) },
  relearnGroup: { init: json("POST", { group: GROUP }) },
  listEdges: {},
  readEdgeTraffic: { path: "/api/v1/edges/a/traffic?window=7d" },
  listBans: {},
  deleteBan: { path: `/api/v1/bans/${encodeURIComponent("203.0.113.9/a b")}` },
  listAudit: { before: (rig) => rig.ask("/api/v1/policy/staged", yaml("PUT", POLICY)) },
  listEvents: { path: "/api/v1/events?limit=1" },
  exportEventsNdjson: {},
  exportEventsCsv: {},
  readEvent: { path: `/api/v1/events/${EVENT_ID}` },
  allowEvent: { path: `/api/v1/events/${EVENT_ID}/allow` },
  streamEvents: {},
  readPolicy: {},
  readPolicyHits: {},
  exportPolicy: {},
  applyPolicy: { init: yaml("PUT", POLICY) },
  diffPolicy: { init: yaml("POST", POLICY) },
  simulatePolicy: { path: "/api/v1/policy/simulate?since=2025-12-31T00:00:00Z", init: yaml("POST", POLICY) },
  readStagedPolicy: { before: (rig) => rig.ask("/api/v1/policy/staged", yaml("PUT", POLICY)) },
  stagePolicy: { init: yaml("PUT", POLICY) },
  unstagePolicy: {},
  listPolicyVersions: {},
  readPolicyVersion: { path: "/api/v1/policy/versions/1" },
  rollbackPolicy: { path: "/api/v1/policy/versions/1/rollback" },
  listTokens: { before: (rig) => rig.ask("/api/v1/tokens", json("POST", { name: "web-1", serve: ["web"] })) },
  mintToken: { init: json("POST", { name: "web-1", serve: ["web"], ttlSeconds: 60 }) },
  revokeToken: {},
  readTraffic: { path: "/api/v1/traffic?window=1h" },
  listRequests: { path: "/api/v1/requests?limit=1&status=2xx" },
  readRequest: { path: "/api/v1/requests/req-2" },
  listRecordings: { before: startRecording },
  startRecording: { init: json("PUT", { service: "web", minutes: 1 }) },
  stopRecording: { path: "/api/v1/recording?service=web", before: startRecording },
  replayRequest: { path: "/api/v1/requests/req-2/replay" },
  beginSession: { init: json("POST", { token: TOKEN }), isBySession: true },
  readSession: { isBySession: true },
  endSession: { isBySession: true },
  makeSessionCode: { init: json("POST", { role: "viewer" }) },
  describeApi: {},
};

/** The token that is revoked must be minted first, and is named in the path. */
async function pathOf(route: Route, rig: ApiRig): Promise<string> {
  if (route.id !== "revokeToken") return GOOD[route.id]?.path ?? route.path;
  const minted = await rig.ask("/api/v1/tokens", json("POST", { name: "gone" }));
  return `/api/v1/tokens/${(await minted.json()).id}`;
}

/** Asks by a token, or where the route is about a session by one of it. */
async function askGood(rig: ApiRig, route: Route, path: string, token = rig.operator): Promise<Response> {
  const init = { method: route.method.toUpperCase(), ...GOOD[route.id]?.init };
  if (GOOD[route.id]?.isBySession !== true) return await rig.ask(path, { ...init, token });
  return await rig.askBySession(path, await rig.signIn(token), init);
}

const ROUTES = apiRoutes();
/** Those that ask for a token, or a session that one has begun. */
const KNOWN = ROUTES.filter(({ role }) => role !== "anyone");

test("every route has a good request here, and no other has", () => {
  expect(ROUTES.map(({ id }) => id).toSorted()).toEqual(Object.keys(GOOD).toSorted());
  expect(ROUTES.length).toBeGreaterThanOrEqual(34);
});

describe("a good request", () => {
  for (const route of ROUTES) {
    test(`${route.id} answers what it declares`, async () => {
      const rig = await filledRig();
      await GOOD[route.id]?.before?.(rig);
      const path = await pathOf(route, rig);
      const answer = await askGood(rig, route, path);
      const { status, schema, media } = route.answer;
      expect(answer.status).toBe(status ?? (schema === undefined && media === undefined ? 204 : 200));
      expect(answer.headers.get("cache-control")).toBe("no-store");
      expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
      expect(answer.headers.get("access-control-allow-origin")).toBeNull();
      if (media !== undefined) {
        expect(answer.headers.get("content-type")).toBe(`${media}; charset=utf-8`);
        await answer.body!.cancel();
      } else if (schema !== undefined) {
        expect(answer.headers.get("content-type")).toBe("application/json");
        const body = await answer.json();
        // Equal to what its schema makes of it: so nothing is in it that is not declared.
        expect(schema.parse(body)).toEqual(body);
      } else expect(await answer.text()).toBe("");
    });
  }
});

describe("who may ask", () => {
  test("only signing in is for anyone", () => {
    expect(ROUTES.filter((route) => !KNOWN.includes(route)).map(({ id }) => id)).toEqual(["beginSession"]);
  });

  for (const route of KNOWN) {
    test(`${route.id} is for ${route.role}s`, async () => {
      const rig = await filledRig();
      await GOOD[route.id]?.before?.(rig);
      const path = await pathOf(route, rig);
      const init = { method: route.method.toUpperCase(), ...GOOD[route.id]?.init };
      const bare = await rig.app.request(path, init);
      expect([bare.status, bare.headers.get("www-authenticate")]).toEqual([401, 'Bearer realm="netwall"']);
      expect((await rig.ask(path, { ...init, token: `${rig.operator.slice(0, -2)}xx` })).status).toBe(401);
      const asViewer = await askGood(rig, route, path, rig.viewer);
      if (route.role === "operator") {
        expect(asViewer.status).toBe(403);
        expect(asViewer.headers.get("content-type")).toBe("application/problem+json");
        expect((await asViewer.json()).detail).toContain("operator");
      } else expect(asViewer.status).toBeLessThan(300);
      await asViewer.body?.cancel().catch(() => undefined);
      if (route.role === "operator") {
        const asOperator = await askGood(rig, route, path);
        expect(asOperator.status).toBeLessThan(300);
        await asOperator.body?.cancel();
      }
    });
  }

  test("what changes something is never a viewer's", () => {
    const faults = ROUTES.filter(({ method, role }) => method !== "get" && role !== "operator");
    // Their own sessions, which change nothing of the gateway.
    expect(faults.map(({ id }) => id)).toEqual(["beginSession", "endSession", "makeSessionCode"]);
  });

  test("what a viewer was refused has not happened", async () => {
    const rig = await filledRig();
    for (const route of ROUTES.filter(({ role }) => role === "operator")) {
      const init = { method: route.method.toUpperCase(), ...GOOD[route.id]?.init, token: rig.viewer };
      expect((await rig.ask(GOOD[route.id]?.path ?? route.path.replace("{id}", "12345678"), init)).status)
        .toBe(403);
    }
    expect(rig.firewall.policy().version).toBe(1);
    expect(rig.firewall.staged()).toBeUndefined();
    expect(rig.firewall.store.audits(10).items).toEqual([]);
    expect(rig.firewall.bans()).toHaveLength(1);
  });
});

describe("the description", () => {
  // deno-lint-ignore no-explicit-any -- a document of any shape is looked into
  async function document(): Promise<any> {
    return await (await (await filledRig()).ask("/api/v1/openapi.json")).json();
  }

  /** Every value under a key, however deep. */
  function valuesOf(key: string, value: unknown): unknown[] {
    if (typeof value !== "object" || value === null) return [];
    return Object.entries(value).flatMap(([name, inner]) => [
      ...(name === key ? [inner] : []),
      ...valuesOf(key, inner),
    ]);
  }

  test("has every route once, with its parameters, body, answers and role", async () => {
    const { openapi, paths, components, info } = await document();
    expect(openapi).toBe("3.1.0");
    expect(info.version).toMatch(/^\d+\.\d+\.\d+$/);
    const seen: string[] = [];
    for (const route of ROUTES) {
      const operation = paths[route.path][route.method];
      seen.push(operation.operationId);
      expect(operation.operationId).toBe(route.id);
      expect(operation.summary.length).toBeGreaterThan(5);
      expect(operation.security).toEqual(
        route.role === "anyone"
          ? [{ page: [] }]
          : [{ bearer: [route.role] }, { session: [route.role], page: [] }],
      );
      const inPath = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      const declared = operation.parameters.filter((it: { in: string }) => it.in === "path");
      expect(declared.map((it: { name: string }) => it.name)).toEqual(inPath);
      expect(declared.every((it: { required: boolean }) => it.required)).toBe(true);
      expect(operation.parameters.every((it: { schema: object }) => typeof it.schema === "object")).toBe(
        true,
      );
      expect("requestBody" in operation).toBe(route.body !== undefined);
      const statuses = Object.keys(operation.responses);
      expect(statuses.filter((status) => status.startsWith("2"))).toHaveLength(1);
      for (const status of ["401", "403"]) expect(statuses).toContain(status);
      expect(
        Object.values(operation.responses).every((it) => (it as { description: string }).description !== ""),
      )
        .toBe(true);
    }
    expect(new Set(seen).size).toBe(ROUTES.length);
    const operations = Object.values(paths).flatMap((path) => Object.keys(path as object));
    expect(operations).toHaveLength(ROUTES.length);
    expect(components.securitySchemes.bearer).toEqual({ type: "http", scheme: "bearer" });
    expect(components.securitySchemes.session).toEqual({
      type: "apiKey",
      in: "cookie",
      name: "netwall_session",
    });
    expect(components.securitySchemes.page).toMatchObject({
      type: "apiKey",
      in: "header",
      name: "X-Netwall-Page",
    });
  });

  test("every reference resolves, and every schema is referred to", async () => {
    const whole = await document();
    const references = valuesOf("$ref", whole) as string[];
    expect(references.length).toBeGreaterThan(100);
    const names = Object.keys(whole.components.schemas);
    const targets = new Set(references.map((reference) => {
      expect(reference).toMatch(/^#\/components\/schemas\/\w+$/);
      return reference.slice("#/components/schemas/".length);
    }));
    expect([...targets].filter((name) => !names.includes(name))).toEqual([]);
    // No local id may change what a reference is relative to.
    expect(valuesOf("$id", whole)).toEqual([]);
    expect(names.filter((name) => !targets.has(name))).toEqual([]);
  });

  test("an event and a policy are described by name, a query by its bounds", async () => {
    const { components, paths } = await document();
    expect(components.schemas.Event.properties.verdict.enum).toEqual(["forwarded", "audited", "dropped"]);
    expect(components.schemas.Policy.properties.spec.properties.rules.maxItems).toBe(10_000);
    const { parameters } = paths["/api/v1/events"].get;
    const limit = parameters.find((it: { name: string }) => it.name === "limit");
    expect(limit).toMatchObject({ in: "query", required: false, schema: { type: "integer", maximum: 1000 } });
    expect(parameters.length).toBeGreaterThan(10);
    // What has a default may be left out of what is sent.
    expect(components.schemas.ApplyPolicyBody.properties.spec.required ?? []).not.toContain("rules");
  });
});

describe("what is no route", () => {
  test("another method is 405 and names those that are there", async () => {
    const rig = await filledRig();
    const cases: [string, string, string][] = [
      ["PATCH", "/api/v1/policy", "GET, HEAD, PUT"],
      ["OPTIONS", "/api/v1/policy", "GET, HEAD, PUT"],
      ["DELETE", "/api/v1/events", "GET, HEAD"],
      ["GET", `/api/v1/events/${EVENT_ID}/allow`, "POST"],
      ["POST", "/api/v1/stream", "GET, HEAD"],
      ["PUT", "/api/v1/policy/versions/1", "GET, HEAD"],
      ["POST", "/metrics", "GET, HEAD"],
      ["DELETE", "/healthz", "GET, HEAD"],
    ];
    for (const [method, path, allow] of cases) {
      const answer = await rig.ask(path, { method });
      expect([method, path, answer.status, answer.headers.get("allow")]).toEqual([method, path, 405, allow]);
      expect(answer.headers.get("content-type")).toBe("application/problem+json");
    }
    expect(cases).toHaveLength(8);
  });

  test("a page of another origin gets no leave", async () => {
    const rig = await filledRig();
    const headers = { origin: "https://evil.example", "access-control-request-method": "PUT" };
    const answer = await rig.app.request("/api/v1/policy", { method: "OPTIONS", headers });
    expect(answer.status).toBe(401);
    expect([...answer.headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([]);
  });

  test("HEAD has the head of GET, and opens no stream", async () => {
    const rig = await filledRig();
    const answer = await rig.ask("/api/v1/stream", { method: "HEAD" });
    expect([answer.status, answer.headers.get("content-type")]).toEqual([
      200,
      "text/event-stream; charset=utf-8",
    ]);
    expect(answer.body).toBeNull();
    expect(rig.live.clients).toBe(0);
    expect((await rig.ask("/api/v1/events.csv", { method: "HEAD" })).status).toBe(200);
  });

  test("paths that are nearly one are 404", async () => {
    const rig = await filledRig();
    const paths = [
      ...["/api/v1/", "/api/v1/events/", "/api/v2/events", "/api/v1/policy/versions/x", "/api/v1/policy.yml"],
      ...["/api/v1/policy/versions/-1", "/api/v1/policy/versions/0", "/api/v1/policy/versions/1e3"],
      ...["/api/v1/events/none", "/api/v1/tokens/../policy2", "/api/v1/eventsXcsv", "/api/v1/events/%00"],
      "/api/v1/policy/versions/99999999999999999999",
    ];
    for (const path of paths) expect([path, (await rig.ask(path)).status]).toEqual([path, 404]);
    expect(paths).toHaveLength(13);
  });
});

test("while the firewall is off, its routes say so and the others answer", async () => {
  const { options: { firewall: _firewall, live: _live, ...options }, close } = await apiRig();
  const { adminApp } = await import("../../lib/admin/api.ts");
  const app = adminApp(options);
  const headers = { authorization: `Bearer ${options.token}` };
  const status = await (await app.request("/api/v1/status", { headers })).json();
  expect([status.firewall, status.caller]).toEqual([undefined, { name: "admin", role: "operator" }]);
  let off = 0;
  for (
    const path of [
      "groups",
      "edges",
      "events",
      "events.csv",
      "policy",
      "policy.yaml",
      "bans",
      "audit",
      "stream",
    ]
  ) {
    const answer = await app.request(`/api/v1/${path}`, { headers });
    expect([path, answer.status]).toEqual([path, 404]);
    expect((await answer.json()).detail).toContain("--firewall");
    off += 1;
  }
  expect(off).toBe(9);
  expect((await app.request("/api/v1/links", { headers })).status).toBe(200);
  close();
});

test("the status tells where the gateway is entered, and nothing where nobody says it", async () => {
  const entry = {
    ...{ http: ["127.0.0.1:8080"], https: [], domain: "localhost", links: ["unix:/run/links.sock"] },
    routes: [{ route: "*.example.com/api", service: "web" }],
  };
  for (const given of [entry, undefined]) {
    const { options, viewer, close } = await apiRig(given && { entry: given });
    const { adminApp } = await import("../../lib/admin/api.ts");
    const headers = { authorization: `Bearer ${viewer}` };
    const answer = await adminApp(options).request("/api/v1/status", { headers });
    expect([answer.status, (await answer.json()).entry]).toEqual([200, given]);
    close();
  }
});
