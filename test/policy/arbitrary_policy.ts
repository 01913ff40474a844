/**
 * Random policies and flows over a small world, so that they often meet.
 *
 * @module
 */
import fc from "fast-check";
import {
  type ModelEdge,
  POLICY_API_VERSION,
  type PolicyDocument,
  type PolicyRule,
  policySchema,
} from "../../lib/policy/document.ts";
import {
  type Direction,
  DIRECTIONS,
  type Flow,
  groupOf,
  type HttpRequestFacts,
} from "../../lib/policy/flow.ts";

/** In the middle of the times at which random rules expire. */
export const NOW_MS = Date.parse("2031-05-17T12:00:00Z");

const NAMESPACES = ["shop", "bank"];
const IMAGES = ["web", "ghcr.io/acme/db", "odd|image"];
const SERVICES = ["front", "user-db"];
const NETWORKS = {
  office: ["10.0.0.0/8", "fd00::/8"],
  vpn: ["10.1.0.0/16"],
  copy: ["10.1.0.0/16", "0.0.0.0/1"],
};
const CIDRS = ["0.0.0.0/0", "10.0.0.0/8", "10.1.2.0/24", "10.1.2.3/32", "::/0", "fd00::/16", "192.0.2.0/25"];
const ADDRESSES = [
  "10.1.2.3",
  "::ffff:10.1.2.3",
  "10.9.9.9",
  "192.0.2.200",
  "fd00::1",
  "8.8.8.8",
  "",
  "nonsense",
  "128.0.0.1",
];
const HOST_PATTERNS = ["example.com", "*.example.com", "*.com", "api.example.com", "10.1.2.3", "fd00::1"];
const HOSTS = [
  "example.com",
  "EXAMPLE.com.",
  "api.example.com",
  "a.b.example.com",
  "badexample.com",
  "10.1.2.3",
  "[fd00::1]",
  "fd00:0::1",
  ".example.com",
];
const PATTERNS = [
  "/",
  "/**",
  "/api/**",
  "/api/users/{int}",
  "/api/{str}",
  "/admin",
  "/admin/**",
  "/static/{hex}/x",
];
const PATHS = [
  "/",
  "/api",
  "/api/",
  "/api/users/7",
  "/api/users/x",
  "/admin",
  "/Admin/",
  "/%61dmin",
  "/api/..%2fadmin/x",
  "//admin",
  "/admin;x=1",
  "/static/deadbeef/x",
  "/api/%252e%252e/admin",
];
const METHODS = ["GET", "POST", "get"];
const TYPES = ["", "application/json", "text/plain"];
const PORTS = [80, 443, 5432];

const maybe = <Value>(it: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> =>
  fc.option(it, { nil: undefined, freq: 1 });
const listOf = <Value>(...values: Value[]): fc.Arbitrary<Value[]> =>
  fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 3 });

const direction: fc.Arbitrary<Direction> = fc.constantFrom(...DIRECTIONS);

const source = fc.oneof(
  fc.constant({}),
  fc.record({ network: fc.constantFrom("office", "vpn", "copy", "internet") }),
  fc.record({ cidr: fc.constantFrom(...CIDRS) }),
  fc.record({ namespace: maybe(fc.constantFrom(...NAMESPACES)), image: maybe(fc.constantFrom(...IMAGES)) }),
);

const destination = fc.oneof(
  fc.constant({}),
  fc.record({ host: fc.constantFrom(...HOST_PATTERNS), ports: maybe(listOf(...PORTS)) }),
  fc.record({ cidr: fc.constantFrom(...CIDRS), ports: maybe(listOf(...PORTS)) }),
  fc.record({
    namespace: maybe(fc.constantFrom(...NAMESPACES)),
    image: maybe(fc.constantFrom(...IMAGES)),
    service: maybe(fc.constantFrom(...SERVICES)),
  }),
);

const http = fc.record({
  hosts: maybe(listOf(...HOST_PATTERNS)),
  methods: maybe(listOf(...METHODS)),
  paths: maybe(listOf(...PATTERNS)),
  contentTypes: maybe(listOf("", "application/json", "text/*")),
});

const rule: fc.Arbitrary<Partial<PolicyRule>> = fc.record({
  comment: maybe(
    fc.string({ maxLength: 40, unit: fc.constantFrom(..."a #:-'\"\\[]{}é\u2028,&*!|>%@`ÿ😀0~=") }),
  ),
  enabled: fc.oneof({ weight: 5, arbitrary: fc.constant(true) }, fc.boolean()),
  direction: maybe(direction),
  source,
  destination,
  protocol: maybe(fc.constantFrom("http" as const, "tcp" as const)),
  http: maybe(http),
  effect: fc.constantFrom("allow" as const, "alert" as const, "prevent" as const),
  allowLearned: fc.boolean(),
  expires: maybe(fc.constantFrom(
    "2031-05-17T11:59:59.999Z",
    "2031-05-17T12:00:00Z",
    "2031-05-17T14:00:00.001+02:00",
    "2040-01-01T00:00:00Z",
  )),
});

const mode = fc.record({
  namespace: maybe(fc.constantFrom(...NAMESPACES)),
  image: maybe(fc.constantFrom(...IMAGES)),
  direction: maybe(direction),
  mode: fc.constantFrom("learn", "alert", "prevent"),
  origin: fc.constantFrom("manual", "promoted"),
});

const limit = fc.record({
  service: maybe(fc.constantFrom(...SERVICES)),
  requests: fc.integer({ min: 1, max: 1000 }),
  seconds: fc.constantFrom(0.1, 1, 60),
  burst: maybe(fc.integer({ min: 1, max: 50 })),
  banSeconds: fc.constantFrom(0, 2.5, 600),
});

const operation = fc.string({ maxLength: 30, unit: fc.constantFrom(..."GET /a{int}[[{ :#\"\\'0") });

const edge: fc.Arbitrary<Partial<ModelEdge>> = fc.oneof(
  fc.record({
    direction: fc.constantFrom("north-south" as const, "east-west" as const),
    source: fc.constantFrom("internet", "office", "shop/web", "shop/~on"),
    destination: fc.constantFrom("shop/ghcr.io/acme/db", "bank/odd|image"),
    service: fc.constantFrom(...SERVICES),
    protocol: fc.constantFrom("http" as const, "tcp" as const),
    operations: maybe(fc.array(operation, { maxLength: 6 })),
    origin: fc.constantFrom("learned" as const, "manual" as const),
  }),
  fc.record({
    direction: fc.constant("egress" as const),
    source: fc.constantFrom("shop/web", "bank/1e3"),
    host: fc.constantFrom("example.com", "10.1.2.3", "::1", "1e3"),
    port: fc.constantFrom(...PORTS),
    protocol: fc.constantFrom("http" as const, "tcp" as const),
  }),
);

/** Leaves out what is undefined: the schema takes a key with no value for a fault in some places. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

/** A document, through the schema as all are. */
export function policyOf(spec: object, more: object = {}): PolicyDocument {
  return policySchema.parse(plain({ apiVersion: POLICY_API_VERSION, kind: "Policy", spec, ...more }));
}

const numbered = (prefix: string, list: readonly object[]): object[] =>
  list.map((it, index) => ({ id: `${prefix}${index}`, ...it }));

/** Any policy. @param rulesMax How many rules it has at most. */
export function arbitraryPolicy(rulesMax: number): fc.Arbitrary<PolicyDocument> {
  return fc.record({
    metadata: fc.constantFrom({}, { name: "on" }, { name: "10", comment: "what: it # is" }),
    defaultMode: fc.constantFrom("learn", "alert", "prevent"),
    modes: fc.array(mode, { maxLength: 6 }),
    rules: fc.array(rule, { maxLength: rulesMax }),
    rateLimits: fc.array(limit, { maxLength: 3 }),
    edges: maybe(fc.array(edge, { maxLength: 5 })),
  }).map(({ metadata, defaultMode, modes, rules, rateLimits, edges }) =>
    policyOf({
      defaultMode,
      networks: NETWORKS,
      modes,
      rules: numbered("r", rules),
      rateLimits: numbered("l", rateLimits),
    }, { metadata, ...edges && { model: { edges } } })
  );
}

const group = fc.tuple(fc.constantFrom(...NAMESPACES), fc.constantFrom(...IMAGES, ""))
  .map(([namespace, image]) => groupOf(namespace, image, "agent-1"));
const outside = fc.constantFrom(...ADDRESSES).map((address) => ({ kind: "outside" as const, address }));
const workload = group.map((it) => ({ kind: "group" as const, group: it }));
const service = fc.record({
  kind: fc.constant("service" as const),
  group,
  service: fc.constantFrom(...SERVICES),
});
const host = fc.record({
  kind: fc.constant("host" as const),
  host: fc.constantFrom(...HOSTS),
  port: fc.constantFrom(...PORTS),
});
const facts: fc.Arbitrary<HttpRequestFacts> = fc.record({
  method: fc.constantFrom(...METHODS),
  host: fc.constantFrom(...HOSTS),
  path: fc.constantFrom(...PATHS),
  contentType: fc.constantFrom(...TYPES),
});

/** Any flow whose ends fit its direction. */
export const arbitraryFlow: fc.Arbitrary<Flow> = fc.tuple(
  fc.oneof(
    fc.record({ direction: fc.constant("north-south" as const), source: outside, destination: service }),
    fc.record({ direction: fc.constant("east-west" as const), source: workload, destination: service }),
    fc.record({ direction: fc.constant("egress" as const), source: workload, destination: host }),
  ),
  maybe(facts),
).map(([ends, request]) =>
  request === undefined ? { ...ends, protocol: "tcp" } : { ...ends, protocol: "http", http: request }
);
