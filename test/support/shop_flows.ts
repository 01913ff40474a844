/**
 * The traffic of the shop in `examples/shop` as flows, without a process: what each visit is and what it sets off.
 *
 * @module
 */
import {
  groupOfPart,
  hostileTraffic,
  type Part,
  SHOP_HOST,
  type ShopEdge,
  shopEdges,
  type Visit,
  visits,
} from "../../examples/shop/traffic.ts";
import { type Flow, type Group, type HttpRequestFacts, parseGroupId } from "../../lib/policy/flow.ts";
import type { HostileFlow, RecordedFlow, World } from "./recorded_flow.ts";

const VERIFIER = "localhost:4433";
const UNKNOWN = "127.0.0.66:4433";
const JSON_TYPE = "application/json";

const group = (part: Part): Group => parseGroupId(groupOfPart(part))!;

/** An edge in a line, as figures are compared. */
export function edgeLine({ direction, protocol, source, destination, service, outside }: ShopEdge): string {
  return `${direction} ${protocol} ${source} > ${outside === "" ? `${destination} ${service}` : outside}`;
}

function visitFlow({ address, method, path, contentType = "" }: Visit): Flow {
  return {
    direction: "north-south",
    protocol: "http",
    source: { kind: "outside", address },
    destination: { kind: "service", group: group("front-end"), service: "front-end" },
    http: { method, host: SHOP_HOST, path, contentType },
  };
}

function request(from: Part, to: Part, method: string, path: string, contentType = ""): Flow {
  const http: HttpRequestFacts = { method, host: to, path, contentType };
  return { ...connection(from, to), protocol: "http", http };
}

function connection(from: Part, to: Part): Flow {
  return {
    direction: "east-west",
    protocol: "tcp",
    source: { kind: "group", group: group(from) },
    destination: { kind: "service", group: group(to), service: to },
  };
}

function outward(from: Part, destination: string): Flow {
  const colon = destination.lastIndexOf(":");
  return {
    direction: "egress",
    protocol: "tcp",
    source: { kind: "group", group: group(from) },
    destination: {
      kind: "host",
      host: destination.slice(0, colon),
      port: Number(destination.slice(colon + 1)),
    },
  };
}

/** A visit, and what the parts do about it. */
function flowsOf(visit: Visit): Flow[] {
  const first = visitFlow(visit);
  const database = connection("user", "user-db");
  if (visit.path.startsWith("/users/")) {
    return [first, request("front-end", "user", "GET", visit.path), database];
  }
  if (visit.path === "/login") {
    return [first, request("front-end", "user", "POST", "/sessions", JSON_TYPE), database];
  }
  if (visit.method !== "POST") return [first];
  const { customer } = JSON.parse(visit.body ?? "{}") as { customer: number };
  return [
    ...[first, request("front-end", "user", "GET", `/users/${customer}`), database],
    ...[request("front-end", "payment", "POST", "/payments", JSON_TYPE), outward("payment", VERIFIER)],
  ];
}

function* traffic(seed: number, count: number, startMs: number, everyMs: number): Generator<RecordedFlow> {
  let made = 0;
  for (const visit of visits(seed)) {
    for (const flow of flowsOf(visit)) {
      if (made >= count) return;
      const { source } = flow;
      const quotaKey = source.kind === "outside" ? source.address : `agent:${source.group.image}`;
      yield { atMs: startMs + made * everyMs, flow, quotaKey, ok: true, isNoise: false };
      made += 1;
    }
  }
}

function* hostile(seed: number, count: number): Generator<HostileFlow> {
  let made = 0;
  for (const each of hostileTraffic(seed)) {
    if (made >= count) return;
    made += 1;
    if (each.kind !== "edge") yield { kind: each.kind, flow: visitFlow(each.visit) };
    else if ("service" in each) {
      const { from, service } = each;
      const flow = service === "user-db"
        ? connection(from, service)
        : request(from, service, "GET", "/users/1");
      yield { kind: "edge", flow };
    } else yield { kind: "edge", flow: outward(each.from, each.outside === "verifier" ? VERIFIER : UNKNOWN) };
  }
}

export const SHOP: World = { name: "shop", edges: shopEdges(VERIFIER).map(edgeLine), traffic, hostile };
