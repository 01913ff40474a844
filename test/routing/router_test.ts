/**
 * The router: examples of every precedence, and equality with a slow model that tries all routes.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  HOST_CHARS_MAX,
  parseRoute,
  type Route,
  ROUTE_SEGMENTS_MAX,
  RouteError,
  type RouteMatch,
  Router,
  ROUTES_MAX,
} from "../../lib/routing/router.ts";
import { isServiceName } from "../../lib/service_name.ts";

describe("parseRoute()", () => {
  const good: [string, Route][] = [
    ["example.com=web", { host: "example.com", path: "", service: "web" }],
    ["EXAMPLE.com/=web", { host: "example.com", path: "", service: "web" }],
    ["example.com/api/=web", { host: "example.com", path: "/api", service: "web" }],
    ["example.com/a/b%2Fc=x-1", { host: "example.com", path: "/a/b%2Fc", service: "x-1" }],
    ["example.com/a=b=web", { host: "example.com", path: "/a=b", service: "web" }],
    ["*.example.com=web", { host: "*.example.com", path: "", service: "web" }],
    ["*.example.com/x=web", { host: "*.example.com", path: "/x", service: "web" }],
    ["*=web", { host: "*", path: "", service: "web" }],
    ["*/x=web", { host: "*", path: "/x", service: "web" }],
    ["127.0.0.1=web", { host: "127.0.0.1", path: "", service: "web" }],
    ["[::1]/x=web", { host: "[::1]", path: "/x", service: "web" }],
    ["localhost=web", { host: "localhost", path: "", service: "web" }],
  ];
  test("reads every form of a route", () => {
    for (const [text, route] of good) expect(parseRoute(text)).toEqual(route);
    expect(good).toHaveLength(12);
  });

  const bad: [string, RegExp][] = [
    ["example.com", /names no service: write it as example.com\/api=web$/],
    ["example.com=", /service name is missing: write one such as web$/],
    ["example.com=Web", /service name "Web" is not valid: .* such as web$/],
    ["=web", /has no valid host/],
    ["/api=web", /has no valid host/],
    ["https://example.com=web", /has a scheme: leave it out/],
    ["example.com:8080=web", /has a port: routes have none/],
    ["example.com:8080/x=web", /has a port/],
    ["exa mple.com=web", /has no valid host/],
    ["*.=web", /has no valid host/],
    ["*.*.com=web", /has no valid host/],
    ["a*.com=web", /has no valid host/],
    ["*.[::1]=web", /has no valid host/],
    [".com=web", /has no valid host/],
    ["example.com.=web", /has no valid host/],
    ["-a.com=web", /has no valid host/],
    [`${"a".repeat(64)}.com=web`, /has no valid host/],
    [`${"a.".repeat(127)}com=web`, /has no valid host/],
    ["example.com/../x=web", /no canonical path/],
    ["example.com/./x=web", /no canonical path/],
    ["example.com//x=web", /no canonical path/],
    ["example.com/x//=web", /no canonical path/],
    ["example.com/x?y=web", /no canonical path/],
    ["example.com/x#y=web", /no canonical path/],
    ["example.com/x%=web", /no canonical path/],
    ["example.com/x%zz=web", /no canonical path/],
    ["example.com/\u00e9=web", /no canonical path/],
    ["example.com/a\\b=web", /no canonical path/],
    ["example.com/a\nb=web", /^route "example.com\/a\\nb=web" has no canonical path/],
    [`example.com${"/a".repeat(ROUTE_SEGMENTS_MAX + 1)}=web`, /too long a path: at most 16 segments/],
    [`example.com/${"a".repeat(1024)}=web`, /too long a path/],
  ];
  test("refuses what is no route, says why and shows a right one", () => {
    for (const [text, message] of bad) {
      expect(() => parseRoute(text)).toThrow(RouteError);
      expect(() => parseRoute(text)).toThrow(message);
    }
    expect(bad).toHaveLength(31);
  });
});

function routerOf(routes: string[], domain?: string): Router {
  return new Router(routes.map(parseRoute), domain);
}

describe("Router.match()", () => {
  const routes = [
    "example.com=root",
    "example.com/api=api",
    "example.com/api/v2=api2",
    "only.example.com/x=only",
    "*.example.com=wild",
    "*.example.com/w=wildpath",
    "*.deep.example.com/d=deep",
    "*=rest",
  ];
  const cases: [string, string, string, string][] = [
    ["example.com", "/", "root", "example.com"],
    ["example.com", "/api", "api", "example.com/api"],
    ["example.com", "/api/", "api", "example.com/api"],
    ["example.com", "/api/x", "api", "example.com/api"],
    ["example.com", "/apix", "root", "example.com"],
    ["example.com", "/api/v2", "api2", "example.com/api/v2"],
    ["example.com", "/api/v2/x/y/z", "api2", "example.com/api/v2"],
    ["example.com", "/api/v20", "api", "example.com/api"],
    ["example.com", "//api", "root", "example.com"],
    ["only.example.com", "/x/y", "only", "only.example.com/x"],
    ["only.example.com", "/y", "wild", "*.example.com"],
    ["only.example.com", "/w", "wildpath", "*.example.com/w"],
    ["a.b.example.com", "/", "wild", "*.example.com"],
    ["a.deep.example.com", "/d", "deep", "*.deep.example.com/d"],
    ["a.deep.example.com", "/e", "wild", "*.example.com"],
    ["deep.example.com", "/d", "wild", "*.example.com"],
    ["xexample.com", "/", "rest", "*"],
    ["com", "/", "rest", "*"],
    ["", "/", "rest", "*"],
    ["example.com.evil.org", "/api", "rest", "*"],
  ];
  test("prefers the exact host, then the longest suffix, then *, and falls on when no path fits", () => {
    const router = routerOf(routes);
    for (const [host, path, service, route] of cases) {
      expect([host, path, router.match(host, path)]).toEqual([host, path, { service, route }]);
    }
    expect(cases).toHaveLength(20);
  });

  test("finds the services of the domain behind routes and before *", () => {
    const router = routerOf(["taken.apps.dev=mine", "*.x.apps.dev=wild", "*=rest"], "apps.dev");
    expect(router.match("shop.apps.dev", "/a")).toEqual({ service: "shop", route: "*.apps.dev" });
    expect(router.match("taken.apps.dev", "/")?.service).toBe("mine");
    expect(router.match("a.x.apps.dev", "/")?.service).toBe("wild");
    for (
      const host of ["apps.dev", ".apps.dev", "a.b.apps.dev", "-.apps.dev", "a_b.apps.dev", "shopapps.dev"]
    ) {
      expect(router.match(host, "/")?.service).toBe("rest");
    }
  });

  test("asks which names below the domain are services, where it is told how", () => {
    const asked: string[] = [];
    const router = new Router(
      [parseRoute("taken.localhost=mine"), parseRoute("*=rest")],
      "localhost",
      (name) => asked.push(name) > 0 && name === "shop",
    );
    const cases: [string, string, string][] = [
      ["shop.localhost", "shop", "*.localhost"],
      ["other.localhost", "rest", "*"],
      ["taken.localhost", "mine", "taken.localhost"],
      ["localhost", "rest", "*"],
      ["a.shop.localhost", "rest", "*"],
    ];
    for (const [host, service, route] of cases) expect(router.match(host, "/")).toEqual({ service, route });
    // What is no name of a service is never asked about.
    expect(asked).toEqual(["shop", "other"]);
    expect(new Router([], "localhost", () => false).match("shop.localhost", "/")).toBeUndefined();
  });

  test("finds nothing without routes, or for a host over the limit", () => {
    expect(new Router([]).match("example.com", "/")).toBeUndefined();
    const router = routerOf(["*=rest"]);
    expect(router.match("a".repeat(HOST_CHARS_MAX), "/")?.service).toBe("rest");
    expect(router.match("a".repeat(HOST_CHARS_MAX + 1), "/")).toBeUndefined();
  });

  test("asks no more prefixes than the deepest route has, whatever the path", () => {
    const router = routerOf(["example.com/a/b=deep", "*=rest"]);
    const path = "/a".repeat(1 << 20);
    for (let round = 0; round < 2000; round += 1) router.match("example.com", path);
    // 2000 rounds of a million prefixes each would take hours: that this line is reached is the proof.
    expect(router.match("example.com", `/a/b${path}`)?.service).toBe("deep");
  });

  test("is not fooled by names of object members", () => {
    const router = routerOf(["example.com=web"]);
    for (const name of ["__proto__", "constructor", "toString"]) {
      expect(router.match(name, `/${name}`)).toBeUndefined();
    }
  });
});

describe("new Router()", () => {
  test("refuses a route that is given twice, also when it is written in two ways", () => {
    expect(() => routerOf(["a.com/x=one", "A.com/x/=two"])).toThrow(
      /route "a.com\/x" is given twice, for one and two: keep one/,
    );
  });

  test("refuses more routes than its limit", () => {
    const routes = Array.from(
      { length: ROUTES_MAX + 1 },
      (_, i): Route => ({ host: `h${i}`, path: "", service: "s" }),
    );
    expect(() => new Router(routes)).toThrow(/too many routes: at most 10000/);
    expect(new Router(routes.slice(1)).match("h1", "/")?.service).toBe("s");
  });
});

/** Tries every route, sorts by the rules as they are written down, takes the first. */
function slowMatch(
  routes: Route[],
  domain: string | undefined,
  host: string,
  path: string,
): RouteMatch | undefined {
  const all = [...routes];
  const name = domain !== undefined && host.endsWith(`.${domain}`) ? host.slice(0, -domain.length - 1) : "";
  const rankOf = (route: Route): number =>
    route.host === host
      ? 1e6
      : route.host.startsWith("*.")
      ? 1000 + route.host.length
      : route.host === "*"
      ? 0
      : -1;
  const fits = all.filter((route) =>
    (route.host === host || route.host === "*" ||
      (route.host.startsWith("*.") && host.endsWith(route.host.slice(1)))) &&
    (route.path === "" || path === route.path || path.startsWith(`${route.path}/`))
  ).map((route) => ({
    rank: rankOf(route),
    length: route.path.length,
    service: route.service,
    route: `${route.host}${route.path}`,
  }));
  if (isServiceName(name)) fits.push({ rank: 500, length: 0, service: name, route: `*.${domain}` });
  const best = fits.sort((a, b) => b.rank - a.rank || b.length - a.length)[0];
  return best && { service: best.service, route: best.route };
}

test("Router.match() equals a slow model that tries every route", () => {
  const label = fc.constantFrom("a", "b", "c");
  const hostName = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join("."));
  const path = fc.array(label, { maxLength: 4 }).map((segments) => segments.map((it) => `/${it}`).join(""));
  const route = fc.record({
    host: fc.oneof(hostName, hostName.map((host) => `*.${host}`), fc.constant("*")),
    path,
    service: fc.constantFrom("one", "two", "three"),
  });
  const routes = fc.uniqueArray(route, { selector: (it) => it.host + it.path, maxLength: 30 });
  let cases = 0;
  fc.assert(
    fc.property(
      routes,
      fc.option(hostName, { nil: undefined }),
      fc.array(fc.tuple(hostName, path, fc.constantFrom("", "/", "x")), { minLength: 10, maxLength: 20 }),
      (table, domain, requests) => {
        const router = new Router(table, domain);
        for (const [host, prefix, end] of requests) {
          cases += 1;
          const path = prefix + end || "/";
          expect(router.match(host, path)).toEqual(slowMatch(table, domain, host, path));
        }
      },
    ),
    { numRuns: 300 },
  );
  expect(cases).toBeGreaterThanOrEqual(3000);
});
