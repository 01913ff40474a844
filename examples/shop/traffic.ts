/**
 * What happens in the shop: what its visitors ask for, what of it reaches what, and what nobody has any business to do.
 *
 * Pure: the same seed gives the same traffic. The ground truth stands here too, so that what a firewall has learned can
 * be compared with what is true.
 *
 * @module
 */
import { between, pick, type Random, seeded } from "../../lib/sample/random.ts";

/** The namespace of every part. */
export const NAMESPACE = "shop";
/** The name that visitors call the shop by. */
export const SHOP_HOST = "shop.example";
/** Customers that the database knows, numbered from 1. */
export const CUSTOMERS = 200;

/** The parts, with the images in their tokens. */
export const IMAGES = {
  "front-end": "front-end:1.0",
  "user": "user:1.0",
  "user-db": "user-db:1.0",
  "payment": "payment:1.0",
} as const;

export type Part = keyof typeof IMAGES;

export const PARTS = Object.keys(IMAGES) as readonly Part[];

/** The group of a part as the gateway names it: namespace and image, without the tag. */
export function groupOfPart(part: Part): string {
  return `${NAMESPACE}/${IMAGES[part].split(":")[0]}`;
}

/** Who talks to what. */
export interface ShopEdge {
  readonly direction: "north-south" | "east-west" | "egress";
  readonly protocol: "http" | "tcp";
  /** The id of a group, or `internet`. */
  readonly source: string;
  /** The id of a group; empty for a host outside. */
  readonly destination: string;
  /** Empty for a host outside. */
  readonly service: string;
  /** `HOST:PORT` of what is outside; empty for a service. */
  readonly outside: string;
}

/** Every edge that there is, and no other. @param verifier Where the verifier is, as `HOST:PORT`. */
export function shopEdges(verifier: string): readonly ShopEdge[] {
  const inside = (from: Part, to: Part, protocol: "http" | "tcp"): ShopEdge => ({
    ...{ direction: "east-west", protocol, source: groupOfPart(from), destination: groupOfPart(to) },
    ...{ service: to, outside: "" },
  });
  return [
    { ...inside("front-end", "front-end", "http"), direction: "north-south", source: "internet" },
    inside("front-end", "user", "http"),
    inside("front-end", "payment", "http"),
    inside("user", "user-db", "tcp"),
    {
      ...{
        direction: "egress",
        protocol: "tcp",
        source: groupOfPart("payment"),
        destination: "",
        service: "",
      },
      outside: verifier,
    },
  ];
}

/** One request of a visitor. */
export interface Visit {
  /** An address of the networks that are kept for documentation. */
  readonly address: string;
  readonly method: string;
  readonly path: string;
  /** Absent when there is no body. */
  readonly contentType?: string;
  readonly body?: string;
}

const below = (random: Random, bound: number): number => between(random, 0, bound - 1);

const customer = (random: Random): number => 1 + below(random, CUSTOMERS);
const product = (random: Random): number => 1 + below(random, 500);

function uuid(random: Random): string {
  const hex = (digits: number): string =>
    Array.from({ length: digits }, () => below(random, 16).toString(16)).join("");
  return `${hex(8)}-${hex(4)}-4${hex(3)}-a${hex(3)}-${hex(12)}`;
}

const JSON_TYPE = "application/json";
const FORM_TYPE = "application/x-www-form-urlencoded";

export const ASSETS: readonly string[] = ["app.js", "site.css", "logo.svg"];

/** One thing that a visitor may do. */
export interface Operation {
  /** As it is meant to be learned, such as `GET /users/{int}`, with the content type if it has one. */
  readonly name: string;
  /** How often, among all. */
  readonly weight: number;
  readonly request: (random: Random) => Omit<Visit, "address">;
}

const get = (weight: number, route: string, path: (random: Random) => string): Operation => ({
  ...{ name: `GET ${route}`, weight },
  request: (random) => ({ method: "GET", path: path(random) }),
});

/** All that is legal. */
export const OPERATIONS: readonly Operation[] = [
  get(30, "/", () => "/"),
  get(8, "/assets/app.js", () => "/assets/app.js"),
  get(8, "/assets/site.css", () => "/assets/site.css"),
  get(8, "/assets/logo.svg", () => "/assets/logo.svg"),
  get(12, "/catalogue", () => "/catalogue"),
  get(25, "/catalogue/{int}", (random) => `/catalogue/${product(random)}`),
  get(15, "/users/{int}", (random) => `/users/${customer(random)}`),
  get(8, "/orders/{uuid}", (random) => `/orders/${uuid(random)}`),
  {
    ...{ name: `POST /login ${FORM_TYPE}`, weight: 10 },
    request: (random) => ({
      ...{ method: "POST", path: "/login", contentType: FORM_TYPE },
      body: `customer=${customer(random)}&password=socks`,
    }),
  },
  {
    ...{ name: `POST /orders ${JSON_TYPE}`, weight: 25 },
    request: (random) => ({
      ...{ method: "POST", path: "/orders", contentType: JSON_TYPE },
      body: JSON.stringify({
        customer: customer(random),
        product: product(random),
        cents: below(random, 9_000),
      }),
    }),
  },
];

/** A few visitors come often, others once. */
function visitorAddress(random: Random): string {
  return `198.51.100.${1 + Math.floor(random() ** 2 * 200)}`;
}

/** One legal request of each operation, in their order. */
export function eachOperation(seed: number): Visit[] {
  const random = seeded(seed);
  return OPERATIONS.map(({ request }) => ({ address: visitorAddress(random), ...request(random) }));
}

/** Legal requests without end. */
export function* visits(seed: number): Generator<Visit, never> {
  const random = seeded(seed);
  const weights = OPERATIONS.reduce((sum, { weight }) => sum + weight, 0);
  for (;;) {
    let left = random() * weights;
    const operation = OPERATIONS.find(({ weight }) => (left -= weight) < 0) ?? OPERATIONS[0]!;
    yield { address: visitorAddress(random), ...operation.request(random) };
  }
}

/** Something that nobody has any business to do, and in what it is wrong. */
export type Hostile =
  | { readonly kind: "route" | "method" | "contentType"; readonly visit: Visit }
  /** A shell in one part that connects to another. */
  | { readonly kind: "edge"; readonly from: Part; readonly service: Part }
  /** A shell in one part that calls out. `unknown` is the host that nothing in the shop knows. */
  | { readonly kind: "edge"; readonly from: Part; readonly outside: "verifier" | "unknown" };

const HOSTILE_PATHS = [
  "/admin",
  "/.env",
  "/.git/config",
  "/wp-login.php",
  "/catalogue/1/edit",
  "/users/1/password",
  "/users/root",
  "/assets/../admin",
  "/assets%2f..%2fadmin",
  "/orders/1",
  "/CATALOGUE",
];

const HOSTILE_EDGES: readonly Hostile[] = [
  { kind: "edge", from: "front-end", service: "user-db" },
  { kind: "edge", from: "payment", service: "user-db" },
  { kind: "edge", from: "payment", service: "user" },
  { kind: "edge", from: "user", service: "payment" },
  { kind: "edge", from: "front-end", outside: "verifier" },
  { kind: "edge", from: "user", outside: "unknown" },
  { kind: "edge", from: "payment", outside: "unknown" },
];

/** Hostile traffic without end, of every kind in turn. */
export function* hostileTraffic(seed: number): Generator<Hostile, never> {
  const random = seeded(seed);
  const visit = (method: string, path: string, contentType?: string): Visit => ({
    ...{ address: visitorAddress(random), method, path },
    ...(contentType === undefined ? {} : { contentType, body: "<order/>" }),
  });
  for (;;) {
    yield pick(random, HOSTILE_EDGES);
    yield { kind: "route", visit: visit("GET", pick(random, HOSTILE_PATHS)) };
    const [method, path] = pick(random, [
      ["DELETE", `/users/${customer(random)}`],
      ["PUT", `/catalogue/${product(random)}`],
      ["POST", "/"],
      ["DELETE", `/orders/${uuid(random)}`],
    ]);
    yield { kind: "method", visit: visit(method!, path!) };
    const type = pick(random, ["text/xml", "multipart/form-data", "application/x-php", "text/plain"]);
    yield { kind: "contentType", visit: visit("POST", pick(random, ["/orders", "/login"]), type) };
  }
}
