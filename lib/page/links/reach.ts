/**
 * How a gateway is reached, by what it says of its listeners and routes: the address that an agent dials, and the
 * one where a service is visited.
 *
 * A gateway does not know what stands before it. What the page and a user reached it by goes first.
 *
 * @module
 */
import type { Entry } from "../core/types.ts";
import { type AgentPlan, type Block, isRaw, likelyGateway, shellWord } from "./agent_lines.ts";

/** Where the page was opened. */
export interface PagePlace {
  readonly protocol: string;
  /** IPv6 in brackets. */
  readonly hostname: string;
}

/** How somebody tries a service that is linked now. */
export interface FirstCall extends Block {
  /** What must hold beside; empty when nothing. */
  readonly note: string;
}

/** What the agent dials, as far as it can be told from here. */
export function gatewayOf(entry: Entry | undefined, page: PagePlace): string {
  // Whatever gives the page its HTTPS stands before the gateway, too.
  if (entry === undefined || page.protocol === "https:") return likelyGateway(page);
  const [http, https] = [tcpOf(entry.http), tcpOf(entry.https)];
  // A certificate is for a name: by loopback nobody is asked for one.
  if (https !== undefined && (http === undefined || !isLoopback(page.hostname))) {
    return urlOf("wss", hostOf(https.host, page.hostname), https.port);
  }
  const plain = http ?? tcpOf(entry.links);
  if (plain !== undefined) return urlOf("ws", hostOf(plain.host, page.hostname), plain.port);
  return [...entry.http, ...entry.links].find((address) => address.startsWith("unix:")) ??
    likelyGateway(page);
}

/** What to do first with a service that is linked: true of the routes that the gateway has. */
export function firstCall(plan: AgentPlan, entry: Entry | undefined, page: PagePlace): FirstCall {
  const { service, target } = plan;
  if (isRaw(target)) return rawCall(service, target);
  const base = visitorsOf(plan.gateway, entry, page);
  if (entry === undefined) {
    return {
      ...requestTo(base, undefined, ""),
      note: `It comes to ${service} when a route of the gateway leads there: --route 'HOST=${service}', or ` +
        "--domain for a name of its own. Until then another service answers, or nobody does.",
    };
  }
  const found = placeOf(entry, service, base.hostname);
  if (found !== undefined) return requestTo(base, found.host, found.path);
  return {
    title:
      `No route of the gateway leads to ${service} yet: start it with one more, for the host of your choice`,
    text: `--route HOST=${service}`,
    note: `--domain NAME in its place gives every service a name of its own: ${service}.NAME.`,
  };
}

function rawCall(service: string, target: string): FirstCall {
  const port = URL.canParse(target) ? new URL(target).port : "";
  return {
    title: "A raw service gets a port of the gateway, by this option; then connect to that",
    text: `--tcp=0.0.0.0:${port === "" ? "PORT" : port}=${service}`,
    note: "",
  };
}

/**
 * A request to a host of the gateway.
 *
 * @param host The name to ask for; that of the base when there is none.
 */
function requestTo(base: URL, host: string | undefined, path: string): FirstCall {
  const title = "Send it a request";
  const own = new URL(path === "" ? "/" : path, base);
  if (host === undefined || host === base.hostname) return { title, text: curl(own.href), note: "" };
  if (isLocalName(host) && !isLoopback(base.hostname)) {
    // Such a name is this machine wherever it is asked for.
    return { title, text: `${curl(own.href)} --header ${shellWord(`Host: ${host}`)}`, note: "" };
  }
  own.hostname = host;
  const note = isLocalName(host) ? "" : `The name ${host} must lead to this gateway.`;
  return { title, text: curl(own.href), note };
}

function curl(url: string): string {
  return `curl ${shellWord(url)}`;
}

interface Place {
  /** `undefined` for whatever name the gateway is reached by. */
  readonly host: string | undefined;
  readonly path: string;
}

/**
 * Where a service is visited: its name below the domain, else the host of a route, else any host.
 *
 * @param ownHost What the gateway is reached by: `*` is asked for by it.
 * @returns `undefined` when nothing leads there, or other routes stand before all that does.
 */
function placeOf(entry: Entry, service: string, ownHost: string): Place | undefined {
  const { domain } = entry;
  const own = routesOf(entry).filter((route) => route.service === service);
  const exact = own.filter(({ host }) => !host.startsWith("*"));
  const below = own.filter(({ host }) => host.startsWith("*."));
  const places: Place[] = [
    ...(domain === undefined ? [] : [{ host: `${service}.${domain}`, path: "" }]),
    ...exact,
    ...below.map(({ host, path }) => ({ host: `${service}${host.slice(1)}`, path })),
    ...own.filter(({ host }) => host === "*").map(({ path }) => ({ host: undefined, path })),
  ];
  return places.find(({ host, path }) => serviceAt(entry, host ?? ownHost, path) === service);
}

interface Route {
  readonly host: string;
  readonly path: string;
  readonly service: string;
}

/** The routes of requests: one with a protocol is for TLS that is passed through. */
function routesOf({ routes }: Entry): Route[] {
  return routes.flatMap(({ route, service }) => {
    const slash = route.indexOf("/");
    const host = slash < 0 ? route : route.slice(0, slash);
    return host.includes("@") ? [] : [{ host, path: route.slice(host.length), service }];
  });
}

/** Which service a request belongs to, as the gateway finds it: the more specific host wins, then the longer path. */
export function serviceAt(entry: Entry, host: string, path: string): string | undefined {
  const { domain } = entry;
  const rankOf = (pattern: string): number => {
    if (pattern === "*") return 1;
    if (pattern === host) return Number.MAX_SAFE_INTEGER;
    // Longer suffixes go first; the domain stands behind them all.
    return pattern.startsWith("*.") && host.endsWith(pattern.slice(1)) ? 2 + pattern.length : 0;
  };
  let best: { readonly rank: number; readonly path: string; readonly service: string } | undefined;
  const name = domain !== undefined && host.endsWith(`.${domain}`) ? host.slice(0, -domain.length - 1) : "";
  if (/^[a-z0-9-]+$/.test(name)) best = { rank: 2, path: "", service: name };
  for (const route of routesOf(entry)) {
    const rank = rankOf(route.host);
    if (rank === 0 || !`${path}/`.startsWith(`${route.path}/`)) continue;
    if (
      best === undefined || rank > best.rank || rank === best.rank && route.path.length > best.path.length
    ) {
      best = { ...route, rank };
    }
  }
  return best?.service;
}

/** Where visitors ask: what the agent dials, unless that is for links alone. */
function visitorsOf(gateway: string, entry: Entry | undefined, page: PagePlace): URL {
  const dialed = gateway.startsWith("unix:") || isForLinksAlone(gateway, entry)
    ? gatewayOf(entry && { ...entry, links: [] }, page)
    : gateway;
  const base = dialed.startsWith("unix:") ? likelyGateway(page) : dialed;
  return new URL("/", base.replace(/^ws/, "http"));
}

function isForLinksAlone(gateway: string, entry: Entry | undefined): boolean {
  if (entry === undefined) return false;
  const { port, protocol } = new URL(gateway);
  const dialed = port === "" ? (protocol === "wss:" ? 443 : 80) : Number(port);
  const has = (addresses: readonly string[]): boolean =>
    addresses.some((address) => tcpOf([address])?.port === dialed);
  return has(entry.links) && !has([...entry.http, ...entry.https]);
}

/** The first of them that is no unix socket. */
function tcpOf(addresses: readonly string[]): { readonly host: string; readonly port: number } | undefined {
  for (const address of addresses) {
    const [, host, port] = /^(\[[^\]]+\]|[^:]+):(\d+)$/.exec(address) ?? [];
    if (host !== undefined) return { host, port: Number(port) };
  }
  return undefined;
}

/** The host of a listener as it is dialed by who opened the page at another. */
function hostOf(listener: string, pageHost: string): string {
  const isAny = listener === "0.0.0.0" || listener === "[::]";
  if (isLoopback(pageHost) && isLoopback(listener)) return listener;
  // A socket for IPv4 alone.
  if (listener === "0.0.0.0" && pageHost === "[::1]") return "127.0.0.1";
  return isAny || isLoopback(listener) ? pageHost : listener;
}

function urlOf(scheme: "ws" | "wss", host: string, port: number): string {
  return `${scheme}://${host}${port === (scheme === "ws" ? 80 : 443) ? "" : `:${port}`}`;
}

/** Names that every machine takes for itself. Source: RFC 6761 §6.3. */
function isLocalName(host: string): boolean {
  return host === "localhost" || host.endsWith(".localhost");
}

function isLoopback(host: string): boolean {
  return isLocalName(host) || host === "[::1]" || /^127(?:\.\d{1,3}){3}$/.test(host);
}
