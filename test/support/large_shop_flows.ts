/**
 * Traffic of a shop that is harder to learn than the one of the examples: more routes, some of them rare, addresses
 * with titles in them, and what the internet always sends: scanners, whose requests are answered with errors.
 *
 * @module
 */
import { between, pick, type Random, seeded } from "../../lib/sample/random.ts";
import {
  type DeviationKind,
  type Flow,
  type Group,
  groupOf,
  type HttpRequestFacts,
} from "../../lib/policy/flow.ts";
import type { HostileFlow, RecordedFlow, World } from "./recorded_flow.ts";

const FRONT_END = groupOf("shop", "shop/front-end:1.0", "front-end-1");
const USER = groupOf("shop", "shop/user:1.0", "user-1");
const USER_DB = groupOf("shop", "redis:7", "user-db-1");
const PAYMENT = groupOf("shop", "shop/payment:1.0", "payment-1");
const VERIFIER = "verifier.example";

const below = (random: Random, bound: number): number => between(random, 0, bound - 1);

/** A visitor of the documentation networks; a few come often. */
function visitorAddress(random: Random): string {
  return `198.51.${100 + below(random, 4)}.${1 + below(random, 200)}`;
}

function uuid(random: Random): string {
  const hex = (digits: number): string =>
    Array.from({ length: digits }, () => below(random, 16).toString(16)).join("");
  return `${hex(8)}-${hex(4)}-4${hex(3)}-a${hex(3)}-${hex(12)}`;
}

const int = (random: Random): string => String(1 + below(random, 5_000));

/** An operation of a service: how often it is asked for among those of its edge, and with what. */
interface Operation {
  readonly weight: number;
  readonly method: string;
  readonly path: (random: Random) => string;
  readonly contentType?: string;
}

const JSON_TYPE = "application/json";
const FORM_TYPE = "application/x-www-form-urlencoded";

const TAGS = [
  "brown",
  "blue",
  "geek",
  "formal",
  "magic",
  "action",
  "sport",
  "green",
  "red",
  "short",
  "toes",
  "skin",
];
const ASSETS = [
  "app.js",
  "vendor.js",
  "site.css",
  "logo.svg",
  "cart.svg",
  "font.woff2",
  "hero.jpg",
  "sock-1.jpg",
];

/** Titles as they stand in addresses: far more than anybody would list, and a few are read by most. */
function slug(random: Random): string {
  const rank = Math.floor(random() ** 3 * 90);
  const [noun, verb] = [rank % 9, Math.floor(rank / 9)];
  const nouns = ["socks", "shoes", "wool", "feet", "boots", "winter", "sheep", "dyes", "darning"];
  const verbs = [
    "how-to-wash",
    "why-we-love",
    "caring-for",
    "all-about",
    "buying",
    "selling",
    "making",
    "folding",
  ];
  return `${verbs[verb % verbs.length]}-${nouns[noun]}${verb < verbs.length ? "" : "-again"}`;
}

const SHOP_OPERATIONS: readonly Operation[] = [
  { weight: 300, method: "GET", path: () => "/" },
  { weight: 240, method: "GET", path: (random) => `/assets/${pick(random, ASSETS)}` },
  { weight: 160, method: "GET", path: () => "/catalogue" },
  { weight: 200, method: "GET", path: (random) => `/catalogue/${int(random)}` },
  { weight: 60, method: "GET", path: (random) => `/catalogue/tags/${pick(random, TAGS)}` },
  { weight: 60, method: "GET", path: (random) => `/journal/${slug(random)}` },
  { weight: 50, method: "GET", path: () => "/cart" },
  { weight: 40, method: "POST", path: () => "/cart/items", contentType: JSON_TYPE },
  { weight: 15, method: "DELETE", path: (random) => `/cart/items/${int(random)}` },
  { weight: 30, method: "POST", path: () => "/login", contentType: FORM_TYPE },
  { weight: 25, method: "POST", path: () => "/orders", contentType: JSON_TYPE },
  { weight: 25, method: "GET", path: (random) => `/orders/${uuid(random)}` },
  { weight: 30, method: "GET", path: () => "/users/me" },
  { weight: 12, method: "GET", path: (random) => `/users/${int(random)}` },
  { weight: 6, method: "PUT", path: () => "/users/me/address", contentType: JSON_TYPE },
  { weight: 5, method: "GET", path: () => "/robots.txt" },
  { weight: 4, method: "HEAD", path: () => "/" },
  { weight: 3, method: "GET", path: () => "/help/returns" },
];

const USER_OPERATIONS: readonly Operation[] = [
  { weight: 100, method: "GET", path: (random) => `/users/${int(random)}` },
  { weight: 40, method: "POST", path: () => "/sessions", contentType: JSON_TYPE },
  { weight: 20, method: "GET", path: (random) => `/sessions/${uuid(random)}` },
  { weight: 8, method: "PATCH", path: (random) => `/users/${int(random)}/address`, contentType: JSON_TYPE },
];

/** One edge of the shop, and how often it is used. */
interface LargeEdge {
  readonly weight: number;
  readonly operations?: readonly Operation[];
  readonly flow: (random: Random, http: HttpRequestFacts | undefined) => Flow;
}

function inside(
  source: Group,
  destination: Group,
  service: string,
  http: HttpRequestFacts | undefined,
): Flow {
  const flow = {
    direction: "east-west",
    source: { kind: "group", group: source },
    destination: { kind: "service", group: destination, service },
  } as const;
  return http === undefined ? { ...flow, protocol: "tcp" } : { ...flow, protocol: "http", http };
}

function visit(random: Random, group: Group, service: string, http: HttpRequestFacts): Flow {
  return {
    direction: "north-south",
    protocol: "http",
    source: { kind: "outside", address: visitorAddress(random) },
    destination: { kind: "service", group, service },
    http,
  };
}

function outward(source: Group, host: string, port: number): Flow {
  return {
    direction: "egress",
    protocol: "tcp",
    source: { kind: "group", group: source },
    destination: { kind: "host", host, port },
  };
}

const EDGES: readonly LargeEdge[] = [
  {
    weight: 100,
    operations: SHOP_OPERATIONS,
    flow: (random, http) => visit(random, FRONT_END, "front-end", http!),
  },
  { weight: 40, operations: USER_OPERATIONS, flow: (_random, http) => inside(FRONT_END, USER, "user", http) },
  { weight: 10, flow: () => inside(USER, USER_DB, "user-db", undefined) },
  { weight: 12, flow: () => outward(PAYMENT, VERIFIER, 443) },
];

const EDGE_LINES: readonly string[] = [
  "north-south http internet > shop/shop/front-end front-end",
  "east-west http shop/shop/front-end > shop/shop/user user",
  "east-west tcp shop/shop/user > shop/redis user-db",
  `egress tcp shop/shop/payment > ${VERIFIER}:443`,
];

function weighted<T extends { readonly weight: number }>(random: Random, from: readonly T[]): T {
  let left = random() * from.reduce((sum, { weight }) => sum + weight, 0);
  return from.find(({ weight }) => (left -= weight) < 0) ?? from[0]!;
}

function facts(random: Random, { method, path, contentType = "" }: Operation): HttpRequestFacts {
  return { method, host: "shop.example", path: path(random), contentType };
}

/** What scanners ask every host for. */
const SCANNED = [
  "/wp-login.php",
  "/.env",
  "/admin",
  "/phpmyadmin/index.php",
  "/cgi-bin/luci",
  "/.git/config",
  "/api/v1",
];

/** What is not legal but happens: scanners, broken links, services that fail. None of it has an answer worth learning. */
function noise(random: Random): Flow {
  const http = { method: "GET", host: "shop.example", path: "/", contentType: "" };
  const kind = below(random, 5);
  if (kind === 0) return visit(random, FRONT_END, "front-end", { ...http, path: pick(random, SCANNED) });
  if (kind === 1) {
    return visit(random, FRONT_END, "front-end", { ...http, path: `/${uuid(random)}/${uuid(random)}` });
  }
  if (kind === 2) {
    return visit(random, FRONT_END, "front-end", { ...http, method: pick(random, ["PROPFIND", "PUT"]) });
  }
  if (kind === 3) return outward(PAYMENT, "verifier-old.example", 443);
  return inside(FRONT_END, USER, "user", { ...http, method: "GET", path: "/metrics" });
}

/** How often a flow is noise, and how often a legal one fails. */
const NOISE_SHARE = 0.03;
const FAILED_SHARE = 0.01;

function* traffic(
  seed: number,
  count: number,
  startMs: number,
  everyMs: number,
): Generator<RecordedFlow> {
  const random = seeded(seed);
  for (let index = 0; index < count; index += 1) {
    const isNoise = random() < NOISE_SHARE;
    const edge = weighted(random, EDGES);
    const http = edge.operations && facts(random, weighted(random, edge.operations));
    const flow = isNoise ? noise(random) : edge.flow(random, http);
    const { source } = flow;
    const quotaKey = source.kind === "outside" ? source.address : `agent:${source.group.image}`;
    yield {
      atMs: startMs + index * everyMs,
      flow,
      quotaKey,
      isNoise,
      ok: !isNoise && random() >= FAILED_SHARE,
    };
  }
}

function* hostile(seed: number, count: number): Generator<HostileFlow> {
  const random = seeded(seed);
  const kinds = ["edge", "route", "method", "contentType"] as const;
  for (let index = 0; index < count; index += 1) {
    const kind = kinds[index % kinds.length]!;
    yield { kind, flow: HOSTILE[kind](random) };
  }
}

const HOSTILE: Readonly<Record<DeviationKind, (random: Random) => Flow>> = {
  edge: (random) => {
    const user = facts(random, pick(random, USER_OPERATIONS));
    return pick(random, [
      inside(FRONT_END, USER_DB, "user-db", undefined),
      inside(PAYMENT, USER_DB, "user-db", undefined),
      inside(PAYMENT, USER, "user", user),
      // The same service as before, but as bytes that nobody reads.
      inside(FRONT_END, USER, "user", undefined),
      visit(random, USER, "user", user),
      outward(FRONT_END, VERIFIER, 443),
      outward(PAYMENT, VERIFIER, 8443),
      outward(PAYMENT, `${below(random, 1e6)}.evil.example`, 443),
      outward(PAYMENT, `${VERIFIER}.evil.example`, 443),
    ]);
  },
  route: (random) => {
    const path = pick(random, [
      ...SCANNED,
      "/catalogue/1/reviews",
      "/catalogue/..%2f..%2fetc%2fpasswd",
      "/catalogue/../admin",
      "/catalogue/%2e%2e/admin",
      "/catalogue//admin",
      "/CATALOGUE",
      "/users/me/password",
      "/users/root",
      "/journal",
      `/journal/${slug(random)}/edit`,
      "/orders/1",
      `/orders/${uuid(random)}/refund`,
      "/assets/app.js.map",
      "/cart/items/",
      "/\u0000",
      `/${"a/".repeat(200)}`,
    ]);
    return visit(random, FRONT_END, "front-end", {
      method: "GET",
      host: "shop.example",
      path,
      contentType: "",
    });
  },
  method: (random) => {
    const [method, path] = pick(
      random,
      [
        ["DELETE", "/catalogue"],
        ["PUT", `/catalogue/${int(random)}`],
        ["POST", "/"],
        ["TRACE", "/"],
        ["get", "/"],
        ["DELETE", `/users/${int(random)}`],
        ["PATCH", `/orders/${uuid(random)}`],
        ["GET", "/cart/items"],
      ] as const,
    );
    return visit(random, FRONT_END, "front-end", { method, host: "shop.example", path, contentType: "" });
  },
  contentType: (random) => {
    const [method, path] = pick(
      random,
      [["POST", "/orders"], ["POST", "/login"], ["PUT", "/users/me/address"]] as const,
    );
    const contentType = pick(random, [
      "text/xml",
      "multipart/form-data",
      "application/x-php",
      "",
      "text/plain",
    ]);
    return visit(random, FRONT_END, "front-end", { method, host: "shop.example", path, contentType });
  },
};

export const LARGE_SHOP: World = { name: "large shop", edges: EDGE_LINES, traffic, hostile };
