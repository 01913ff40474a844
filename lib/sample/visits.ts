/**
 * What the visitors of the sample ask for. Pure: the same seed gives the same visits.
 *
 * Every operation comes twice before chance begins, so that what there is to learn is known soon, and nothing of it was
 * seen only once.
 *
 * @module
 */
import { CENTS_MAX, PRODUCTS } from "./apps.ts";
import { CUSTOMERS } from "./database.ts";
import { between, pick, type Random } from "./random.ts";

/** One request of a visitor. */
export interface Visit {
  /** An address of the networks that are kept for documentation. Source: RFC 5737. */
  readonly address: string;
  readonly userAgent: string;
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body?: { readonly type: string; readonly text: string };
  /** Of an event stream: the visitor leaves after this time. */
  readonly leaveAfterMs?: number;
  /** What it is, for what one counts. */
  readonly operation: string;
}

interface Operation {
  readonly name: string;
  /** How often, among all. */
  readonly weight: number;
  make(random: Random): Pick<Visit, "method" | "path" | "body" | "leaveAfterMs">;
}

/** Ids that nothing has: what is asked for them is answered with 404. */
const STRANGE_ID_SHARE = 0.04;
/** Orders that are too dear. */
const DEAR_SHARE = 0.06;
/** A stream that is open for longer than a second is on the map before its end; the gateway looks each second. */
const STREAM_MS = 2_500;

const get = (weight: number, name: string, path: (random: Random) => string): Operation => ({
  ...{ name: `GET ${name}`, weight },
  make: (random) => ({ method: "GET", path: path(random) }),
});

/** The order that payments, and all that is behind them, depend on. */
export const ORDER = "POST /orders";

const OPERATIONS: readonly Operation[] = [
  get(20, "/", () => "/"),
  get(4, "/favicon.ico", () => "/favicon.ico"),
  get(14, "/catalogue", () => "/catalogue"),
  get(22, "/catalogue/{int}", (random) => `/catalogue/${idOf(random, PRODUCTS)}`),
  get(12, "/customers/{int}", (random) => `/customers/${idOf(random, CUSTOMERS)}`),
  get(5, "/orders/{uuid}", (random) => `/orders/${uuid(random)}`),
  {
    ...{ name: "GET /events", weight: 1 },
    make: () => ({ method: "GET", path: "/events", leaveAfterMs: STREAM_MS }),
  },
  {
    ...{ name: "POST /echo", weight: 2 },
    make: () => ({ method: "POST", path: "/echo", body: form("any body") }),
  },
  {
    ...{ name: "POST /login", weight: 8 },
    make: (random) => ({
      ...{ method: "POST", path: "/login" },
      body: form(`customer=${between(random, 1, CUSTOMERS)}&password=socks`),
    }),
  },
  {
    ...{ name: ORDER, weight: 12 },
    make: (random) => {
      const [customer, product] = [idOf(random, CUSTOMERS), between(random, 1, PRODUCTS)];
      const cents = random() < DEAR_SHARE ? CENTS_MAX + 500 : between(random, 500, CENTS_MAX);
      return {
        ...{ method: "POST", path: "/orders" },
        body: { type: "application/json", text: JSON.stringify({ customer, product, cents }) },
      };
    },
  },
];

/** The names of all operations. */
export const OPERATION_NAMES: readonly string[] = OPERATIONS.map(({ name }) => name);

/** Paths that a visitor asks for who looks for what should not be there. */
const HOSTILE_PATHS = ["/admin/.env", "/.git/config", "/wp-login.php"];

const NETWORKS = ["192.0.2", "198.51.100", "203.0.113"];
const BROWSERS = [
  "Mozilla/5.0 (X11; Linux x86_64) Firefox/148.0",
  "Mozilla/5.0 (Macintosh) Safari/605.1",
  "Mozilla/5.0 (iPhone) Mobile/15E148",
  "curl/8.20.0",
];

/** Visits without end. */
export function* visits(random: Random): Generator<Visit, never> {
  for (const operation of [...OPERATIONS, ...OPERATIONS]) yield visitOf(operation, random);
  const weights = OPERATIONS.reduce((sum, { weight }) => sum + weight, 0);
  for (;;) {
    let left = random() * weights;
    yield visitOf(OPERATIONS.find(({ weight }) => (left -= weight) < 0) ?? OPERATIONS[0]!, random);
  }
}

function visitOf({ name, make }: Operation, random: Random): Visit {
  // A few come often, others once.
  const number = 1 + Math.floor(random() ** 3 * 3 * 200);
  const address = `${NETWORKS[number % 3]}.${1 + Math.floor(number / 3)}`;
  return { address, userAgent: BROWSERS[number % BROWSERS.length]!, operation: name, ...make(random) };
}

/** A visit of somebody who has no business here. */
export function hostileVisit(random: Random): Visit {
  return {
    ...{ address: "203.0.113.250", userAgent: "scanner/1.0", operation: "", method: "GET" },
    path: pick(random, HOSTILE_PATHS),
  };
}

function idOf(random: Random, last: number): number {
  return random() < STRANGE_ID_SHARE ? 9_000 + between(random, 1, 99) : between(random, 1, last);
}

function form(text: string): { type: string; text: string } {
  return { type: "application/x-www-form-urlencoded", text };
}

function uuid(random: Random): string {
  const hex = (digits: number): string =>
    Array.from({ length: digits }, () => between(random, 0, 15).toString(16)).join("");
  return `${hex(8)}-${hex(4)}-4${hex(3)}-a${hex(3)}-${hex(12)}`;
}
