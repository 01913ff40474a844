/**
 * The router of TLS: which service a ClientHello belongs to, whatever it offers and however often.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { ROUTE_PROTOCOLS_MAX, TlsRouter } from "../../lib/routing/tls_router.ts";
import { parseRoute, RouteError, Router } from "../../lib/routing/router.ts";

const make = (...routes: string[]): TlsRouter => new TlsRouter(routes.map(parseRoute));

describe("parseRoute() with a protocol", () => {
  test("reads HOST@ALPN, where ALPN may be * or hold a slash", () => {
    const cases: [string, unknown][] = [
      ["grpc.example.com@h2=grpc", { host: "grpc.example.com", path: "", service: "grpc", alpn: "h2" }],
      ["Example.COM@http/1.1=web", { host: "example.com", path: "", service: "web", alpn: "http/1.1" }],
      ["*.example.com@*=any", { host: "*.example.com", path: "", service: "any", alpn: "*" }],
      ["*@h2=rest", { host: "*", path: "", service: "rest", alpn: "h2" }],
      ["*@*=rest", { host: "*", path: "", service: "rest", alpn: "*" }],
      // What tells them apart is only in the path here.
      ["example.com/a@h2=web", { host: "example.com", path: "/a@h2", service: "web" }],
      ["a.com@x=y=web", { host: "a.com", path: "", service: "web", alpn: "x=y" }],
      ["a.com@@=web", { host: "a.com", path: "", service: "web", alpn: "@" }],
      [`a.com@${"p".repeat(255)}=web`, { host: "a.com", path: "", service: "web", alpn: "p".repeat(255) }],
    ];
    for (const [text, route] of cases) expect(parseRoute(text)).toEqual(route as never);
    expect(cases).toHaveLength(9);
  });

  test("refuses what is none", () => {
    const cases: [string, RegExp][] = [
      ["a.com@=web", /names no protocol of TLS: write one such as grpc\.example\.com@h2=grpc, or @\*$/],
      ["a.com@h 2=web", /names no protocol/],
      ["a.com@h\n2=web", /names no protocol/],
      ["a.com@\u00e9=web", /names no protocol/],
      [`a.com@${"p".repeat(256)}=web`, /names no protocol/],
      ["@h2=web", /no valid host/],
      ["a.com:443@h2=web", /has a port/],
      ["a.com@h2", /names no service/],
      ["a.com@h2=Web", /service name/],
      ["a.com@h2=", /service name/],
    ];
    for (const [text, message] of cases) {
      expect(() => parseRoute(text)).toThrow(RouteError);
      expect(() => parseRoute(text)).toThrow(message);
    }
    expect(cases).toHaveLength(10);
  });
});

describe("TlsRouter.match()", () => {
  const router = make(
    "a.test@h2=a-h2",
    "a.test@http/1.1=a-one",
    "a.test@*=a-any",
    "*.wild.test@h2=wild",
    "*.deep.wild.test@*=deep",
    "plain.test=http-only",
    "path.test/x=http-only",
  );
  const cases: [string | undefined, string[], string | undefined][] = [
    ["a.test", ["h2"], "a-h2"],
    ["a.test", ["http/1.1"], "a-one"],
    ["a.test", ["h2", "http/1.1"], "a-h2"],
    // The visitor's order decides.
    ["a.test", ["http/1.1", "h2"], "a-one"],
    ["a.test", ["unknown", "h2"], "a-h2"],
    ["a.test", ["unknown"], "a-any"],
    ["a.test", [], "a-any"],
    ["a.test", ["H2"], "a-any"],
    ["b.test", ["h2"], undefined],
    ["x.wild.test", ["h2"], "wild"],
    ["x.wild.test", [], undefined],
    ["wild.test", ["h2"], undefined],
    // A route for a protocol that is offered goes before one for any, also when that one's host is nearer.
    ["x.deep.wild.test", ["h2"], "wild"],
    ["x.deep.wild.test", ["http/1.1"], "deep"],
    ["plain.test", ["h2"], undefined],
    ["path.test", [], undefined],
    [undefined, ["h2"], undefined],
    ["", ["h2"], undefined],
    ["__proto__", ["h2", "__proto__", "constructor"], undefined],
    ["a".repeat(254), ["h2"], undefined],
  ];
  test.each(cases)("%s offering %j", (name, protocols, service) => {
    expect(router.match(name, protocols)?.service).toBe(service as never);
  });
  test("was tried with every kind of name", () => {
    expect(cases).toHaveLength(20);
  });

  test("takes whoever names no server only by a route for all", () => {
    const all = make("*@h2=rest", "a.test@h2=a");
    expect(all.match(undefined, ["h2"])).toEqual({ service: "rest", route: "*" });
    expect(all.match("a.test", ["h2"])?.service).toBe("a");
    expect(all.match("other.test", ["h2"])?.service).toBe("rest");
    expect(all.match(undefined, ["http/1.1"])).toBeUndefined();
  });

  test("finds nothing without routes for TLS", () => {
    expect(make("a.test=web", "*=web").match("a.test", ["h2", "*"])).toBeUndefined();
  });

  test("costs no more for a protocol that is offered thousands of times", () => {
    // As many as a ClientHello has room for, with a name of as many labels as there can be.
    const name = Array.from({ length: 126 }, () => "a").join(".");
    const offered = Array.from({ length: 5_300 }, () => "h2");
    const wild = make("*.example.com@h2=web", "*.example.org@*=web");
    let calls = 0;
    const real = Router.prototype.match;
    Router.prototype.match = function (host: string, path: string): ReturnType<typeof real> {
      calls++;
      return real.call(this, host, path);
    };
    try {
      expect(wild.match(name, offered)).toBeUndefined();
      expect(wild.match(name, ["*", "h2", "*", "h2"])).toBeUndefined();
    } finally {
      Router.prototype.match = real;
    }
    expect(calls).toBe(4);
  });
});

describe("new TlsRouter()", () => {
  test("refuses a host that is given twice for a protocol, and takes it for two", () => {
    expect(() => make("a.test@h2=a", "A.test@h2=b")).toThrow(
      /"a.test" is given twice, for a and b: keep one/,
    );
    expect(make("a.test@h2=a", "a.test@*=b", "a.test=c").match("a.test", ["h2"])?.service).toBe("a");
  });

  test("refuses more protocols than its limit", () => {
    const routes = Array.from({ length: ROUTE_PROTOCOLS_MAX + 1 }, (_, i) => `a.test@p${i}=a`);
    expect(() => make(...routes)).toThrow(`routes name 101 protocols: at most ${ROUTE_PROTOCOLS_MAX}`);
    expect(make(...routes.slice(1)).match("a.test", ["p100"])?.service).toBe("a");
  });
});

test("the router of requests leaves routes with a protocol alone, but counts them", () => {
  const router = new Router(["a.test@h2=tls", "a.test=web"].map(parseRoute));
  expect(router.match("a.test", "/")).toEqual({ service: "web", route: "a.test" });
  expect(new Router([parseRoute("a.test@*=tls")]).match("a.test", "/")).toBeUndefined();
});
