/**
 * Which service a host and a path belong to. Pure: no input, no output, no clock.
 *
 * The more specific host wins: the host itself, then the wildcard with the longest suffix, then the domain
 * (`S.DOMAIN` is service S), then `*`. Inside a host the longest path prefix on a segment boundary wins. When no
 * path of a host fits, the next less specific host is asked. Host and path must be canonical already: the router
 * reads what policy and forwarding read, and decides nothing about spelling.
 *
 * @module
 */

import { quoted } from "../printable.ts";
import { isServiceName, parseServiceName, ServiceNameError } from "../service_name.ts";

/** The longest host name in characters. Source: RFC 1035 §2.3.4. */
export const HOST_CHARS_MAX = 253;
/** Segments in the path of a route. Bounds the look-ups of a request, however long its own path is. */
export const ROUTE_SEGMENTS_MAX = 16;
/** The longest path of a route in characters. */
export const ROUTE_PATH_CHARS_MAX = 1024;
/** Routes of one router. */
export const ROUTES_MAX = 10_000;

const LABELS = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/;
const IPV6_HOST = /^\[[0-9a-f:.]{2,45}\]$/;
/** `pchar` of RFC 3986 §3.3, without the two dot segments, which are refused below. */
const PATH = /^(?:\/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)*$/;

/** The name of a protocol, as far as it can be written: any bytes are allowed. Source: RFC 7301 §3.1. */
const ALPN = /^[\x21-\x7e]{1,255}$/;

/** A route that cannot be used. The message says what is wrong and shows a right one. */
export class RouteError extends Error {
  override name = "RouteError";
}

/** One line of the routing table. */
export interface Route {
  /** A host, `*.` and a host, or `*`; in lower case, without a port. */
  readonly host: string;
  /** Empty for every path, else a prefix with a slash in front and none at the end. */
  readonly path: string;
  readonly service: string;
  /** For TLS that is passed through, and only for it: a protocol that the visitor must offer, or `*`. */
  readonly alpn?: string;
}

/** What a request belongs to. */
export interface RouteMatch {
  readonly service: string;
  /** The route as it is written, such as `example.com/api`: one of a bounded set, fit for a metric's label. */
  readonly route: string;
}

/**
 * Reads `ROUTE=SERVICE`, where ROUTE is `HOST`, `HOST/PATH`, `*.HOST`, `*.HOST/PATH`, `*` or `*` with a path; or for
 * TLS that is passed through `HOST@ALPN`, `*.HOST@ALPN` or `*@ALPN`, where ALPN may be `*`.
 *
 * The host is lower-cased and a slash at the end of the path is dropped: `/api/` and `/api` are one prefix.
 *
 * @param text What somebody wrote.
 * @throws {RouteError} When it is none.
 */
export function parseRoute(text: string): Route {
  // A path may hold "=", a service name cannot: so the last one divides.
  const at = text.lastIndexOf("=");
  if (at < 0) throw new RouteError(`route ${quoted(text)} names no service: write it as example.com/api=web`);
  const [pattern, name] = [text.slice(0, at), text.slice(at + 1)];
  const slash = pattern.indexOf("/");
  const mark = pattern.indexOf("@");
  // A path may hold an at sign, and a protocol a slash: the first of the two decides.
  if (mark >= 0 && (slash < 0 || mark < slash)) return parseAlpnRoute(text, pattern, mark, name);
  const host = parseRouteHost(slash < 0 ? pattern : pattern.slice(0, slash), text);
  const path = parseRoutePath(slash < 0 ? "" : pattern.slice(slash), text);
  return { host, path, service: parseRouteService(name, text) };
}

function parseAlpnRoute(text: string, pattern: string, mark: number, name: string): Route {
  const host = parseRouteHost(pattern.slice(0, mark), text);
  const alpn = pattern.slice(mark + 1);
  if (!ALPN.test(alpn)) {
    throw new RouteError(
      `route ${quoted(text)} names no protocol of TLS: write one such as grpc.example.com@h2=grpc, or @*`,
    );
  }
  return { host, path: "", service: parseRouteService(name, text), alpn };
}

function parseRouteService(name: string, text: string): string {
  try {
    return parseServiceName(name);
  } catch (error) {
    if (!(error instanceof ServiceNameError)) throw error;
    throw new RouteError(`route ${quoted(text)}: ${error.message}`, { cause: error });
  }
}

/** Whether `host` is a host name or address in canonical form: lower case, no port, no dot at the end. */
export function isHostName(host: string): boolean {
  return host.length <= HOST_CHARS_MAX && (LABELS.test(host) || IPV6_HOST.test(host));
}

function parseRouteHost(written: string, text: string): string {
  const host = written.toLowerCase();
  if (host === "*") return host;
  const bare = host.startsWith("*.") ? host.slice(2) : host;
  if (isHostName(bare) && !(bare !== host && bare.startsWith("["))) return host;
  if (/:(?:\/\/|$)/.test(text)) {
    throw new RouteError(`route ${quoted(text)} has a scheme: leave it out, as in example.com/api=web`);
  }
  if (/:\d+$/.test(host)) {
    throw new RouteError(`route ${quoted(text)} has a port: routes have none, as in example.com/api=web`);
  }
  throw new RouteError(
    `route ${quoted(text)} has no valid host: write example.com=web, *.example.com=web or *=web`,
  );
}

function parseRoutePath(written: string, text: string): string {
  const path = written.endsWith("/") ? written.slice(0, -1) : written;
  const segments = path.split("/").slice(1);
  if (path.length > ROUTE_PATH_CHARS_MAX || segments.length > ROUTE_SEGMENTS_MAX) {
    throw new RouteError(
      `route ${
        quoted(text)
      } has too long a path: at most ${ROUTE_SEGMENTS_MAX} segments, ${ROUTE_PATH_CHARS_MAX} characters`,
    );
  }
  if (!PATH.test(path) || segments.some((segment) => segment === "." || segment === "..")) {
    throw new RouteError(
      `route ${
        quoted(text)
      } has no canonical path: no empty, "." or ".." segment, no query, as in example.com/api=web`,
    );
  }
  return path;
}

/** The paths of one host: a prefix without a slash at its end → the match. */
type PathTable = Map<string, RouteMatch>;

/**
 * The routing table, made once and asked for every request.
 *
 * @example
 * const router = new Router([parseRoute("example.com/api=web")], "apps.example.com");
 * router.match("example.com", "/api/x"); // { service: "web", route: "example.com/api" }
 * router.match("shop.apps.example.com", "/"); // { service: "shop", route: "*.apps.example.com" }
 */
export class Router {
  readonly #exact = new Map<string, PathTable>();
  readonly #wildcard = new Map<string, PathTable>();
  readonly #all: PathTable = new Map();
  readonly #domain: string | undefined;
  readonly #isService: (name: string) => boolean;
  /** The deepest path of any route: no longer prefix of a request is ever looked up. */
  #segmentsMax = 0;

  /**
   * @param routes At most `ROUTES_MAX`, each host and path once.
   * @param domain Every service S is at `S.domain`; in lower case.
   * @param isService Which names below the domain are services: others are asked for as any other host is.
   * @throws {RouteError} A host and path are given twice, or there are too many.
   */
  constructor(
    routes: Iterable<Route>,
    domain?: string,
    isService: (name: string) => boolean = isServiceName,
  ) {
    this.#domain = domain;
    this.#isService = isService;
    let count = 0;
    for (const route of routes) {
      count += 1;
      if (count > ROUTES_MAX) throw new RouteError(`too many routes: at most ${ROUTES_MAX}`);
      if (route.alpn === undefined) this.#add(route);
    }
  }

  #add(route: Route): void {
    const table = this.#tableOf(route.host);
    const written = `${route.host}${route.path}`;
    const known = table.get(route.path);
    if (known !== undefined) {
      throw new RouteError(
        `route ${quoted(written)} is given twice, for ${known.service} and ${route.service}: keep one`,
      );
    }
    table.set(route.path, { service: route.service, route: written });
    this.#segmentsMax = Math.max(this.#segmentsMax, route.path.split("/").length - 1);
  }

  #tableOf(host: string): PathTable {
    if (host === "*") return this.#all;
    const wildcard = host.startsWith("*.");
    const tables = wildcard ? this.#wildcard : this.#exact;
    const name = wildcard ? host.slice(2) : host;
    const table = tables.get(name) ?? new Map<string, RouteMatch>();
    tables.set(name, table);
    return table;
  }

  /**
   * Finds the service of a request.
   *
   * @param host Canonical: lower case, no port. One that is longer than any host name has no route.
   * @param path Canonical, with a slash in front, without the query.
   * @returns `undefined` when nothing fits: the answer is 404.
   */
  match(host: string, path: string): RouteMatch | undefined {
    if (host.length > HOST_CHARS_MAX) return undefined;
    const prefixes = this.#prefixesOf(path);
    const exact = this.#exact.get(host);
    const found = exact && longest(exact, prefixes);
    if (found) return found;
    if (this.#wildcard.size > 0) {
      for (let dot = host.indexOf("."); dot >= 0; dot = host.indexOf(".", dot + 1)) {
        const table = this.#wildcard.get(host.slice(dot + 1));
        const fit = table && longest(table, prefixes);
        if (fit) return fit;
      }
    }
    return this.#matchDomain(host) ?? longest(this.#all, prefixes);
  }

  #matchDomain(host: string): RouteMatch | undefined {
    const domain = this.#domain;
    if (domain === undefined || !host.endsWith(`.${domain}`)) return undefined;
    const service = host.slice(0, -domain.length - 1);
    return isServiceName(service) && this.#isService(service) ? { service, route: `*.${domain}` } : undefined;
  }

  /** The prefixes of a path that a route can have, longest first: never more than the deepest route is deep. */
  #prefixesOf(path: string): string[] {
    const prefixes = [""];
    let end = 0;
    for (let depth = 0; depth < this.#segmentsMax && end < path.length; depth += 1) {
      const next = path.indexOf("/", end + 1);
      end = next < 0 ? path.length : next;
      prefixes.push(path.slice(0, end));
    }
    return prefixes.reverse();
  }
}

function longest(table: PathTable, prefixes: readonly string[]): RouteMatch | undefined {
  for (const prefix of prefixes) {
    const match = table.get(prefix);
    if (match !== undefined) return match;
  }
  return undefined;
}
