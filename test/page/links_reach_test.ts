/**
 * What the page says of how a gateway and a service are reached: it must be true.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Entry, Link } from "../../lib/page/core/types.ts";
import { type AgentPlan, gatewayFault } from "../../lib/page/links/agent_lines.ts";
import { joinWords } from "../../lib/page/links/link_facts.ts";
import { firstCall, gatewayOf, serviceAt } from "../../lib/page/links/reach.ts";
import { parseRoute, RouteError, Router } from "../../lib/routing/router.ts";

const PAGE = { protocol: "http:", hostname: "127.0.0.1" };
const FAR = { protocol: "http:", hostname: "ops.example.com" };
const NONE: Entry = { http: [], https: [], routes: [], links: [] };
const PLAN: AgentPlan = {
  ...{ name: "web-1", service: "web", target: "http://127.0.0.1:3000", gateway: "ws://127.0.0.1:8090" },
  ...{ token: "secret", container: "web" },
};

const routes = (...written: string[]): Entry["routes"] =>
  written.map((text) => ({
    ...{ route: text.slice(0, text.lastIndexOf("=")), service: text.slice(text.lastIndexOf("=") + 1) },
  }));

const entryOf = (change: Partial<Entry>): Entry => ({ ...NONE, http: ["127.0.0.1:8090"], ...change });

describe("gatewayOf()", () => {
  test("takes the port of the listener, and its host or that of the page", () => {
    const cases: [Partial<Entry>, typeof PAGE, string][] = [
      [{ http: ["127.0.0.1:8090"] }, PAGE, "ws://127.0.0.1:8090"],
      [{ http: ["0.0.0.0:8080"] }, PAGE, "ws://127.0.0.1:8080"],
      [{ http: ["0.0.0.0:8080"] }, FAR, "ws://ops.example.com:8080"],
      [{ http: ["[::]:8080"] }, FAR, "ws://ops.example.com:8080"],
      [{ http: ["127.0.0.1:8080"] }, FAR, "ws://ops.example.com:8080"],
      [{ http: ["10.0.0.5:8080"] }, FAR, "ws://10.0.0.5:8080"],
      [{ http: ["[::1]:8080"] }, { ...PAGE, hostname: "localhost" }, "ws://[::1]:8080"],
      [{ http: ["0.0.0.0:80"] }, { ...PAGE, hostname: "[::1]" }, "ws://127.0.0.1"],
      // A token goes over TLS where there is some.
      [{ http: ["0.0.0.0:80"], https: ["0.0.0.0:443"] }, FAR, "wss://ops.example.com"],
      [{ http: ["0.0.0.0:80"], https: ["0.0.0.0:8443"] }, PAGE, "ws://127.0.0.1"],
      [{ https: ["0.0.0.0:8443"] }, PAGE, "wss://127.0.0.1:8443"],
      [{ http: ["unix:/run/h.sock"], links: ["127.0.0.1:7000"] }, PAGE, "ws://127.0.0.1:7000"],
      [{ links: ["unix:/run/l.sock"] }, PAGE, "unix:/run/l.sock"],
      [{}, PAGE, "ws://127.0.0.1:8080"],
      [{ http: ["0.0.0.0:8080"] }, { ...FAR, protocol: "https:" }, "wss://ops.example.com"],
    ];
    for (const [change, page, wanted] of cases) {
      const gateway = gatewayOf({ ...NONE, ...change }, page);
      expect([gateway, gatewayFault(gateway)]).toEqual([wanted, undefined]);
    }
    expect(cases).toHaveLength(15);
    expect(gatewayOf(undefined, PAGE)).toBe("ws://127.0.0.1:8080");
  });
});

describe("firstCall()", () => {
  const callOf = (change: Partial<Entry>, plan: Partial<AgentPlan> = {}): string =>
    firstCall({ ...PLAN, ...plan }, entryOf(change), PAGE).text;

  test("has an address that leads to the service", () => {
    const cases: [Partial<Entry>, Partial<AgentPlan>, string][] = [
      [{ domain: "localhost", routes: routes("*=front-end") }, {}, "curl http://web.localhost:8090/"],
      [{ domain: "localhost", routes: routes("*=web") }, {}, "curl http://web.localhost:8090/"],
      [{ routes: routes("*=web") }, {}, "curl http://127.0.0.1:8090/"],
      [{ routes: routes("*=web") }, { gateway: "ws://127.0.0.1:8080/deep" }, "curl http://127.0.0.1:8080/"],
      [{ routes: routes("*/shop=web", "*=x") }, {}, "curl http://127.0.0.1:8090/shop"],
      [{ routes: routes("a.test/x=web", "*=x") }, {}, "curl http://a.test:8090/x"],
      [{ routes: routes("*.a.test=web") }, {}, "curl http://web.a.test:8090/"],
      // Another route stands before it.
      [{ domain: "d.test", routes: routes("web.d.test=x", "*=web") }, {}, "curl http://127.0.0.1:8090/"],
      [{ domain: "d.test", routes: routes("*.d.test=x") }, {}, "--route HOST=web"],
      [{ routes: routes("127.0.0.1=x", "*=web") }, {}, "--route HOST=web"],
      [{ routes: routes("a.test@h2=web", "*=x") }, {}, "--route HOST=web"],
      [{}, {}, "--route HOST=web"],
      // A proxy before the gateway has other ports.
      [{ domain: "d.test" }, { gateway: "wss://edge.test" }, "curl https://web.d.test/"],
      [
        { domain: "localhost" },
        { gateway: "ws://10.0.0.5:80" },
        "curl http://10.0.0.5/ --header 'Host: web.localhost'",
      ],
      // Visitors are not taken where only links are.
      [
        { links: ["127.0.0.1:7000"], routes: routes("*=web") },
        { gateway: "ws://gw:7000" },
        "curl http://127.0.0.1:8090/",
      ],
      [{ routes: routes("*=web") }, { gateway: "unix:/run/g.sock" }, "curl http://127.0.0.1:8090/"],
      [{ routes: routes("*=web") }, { target: "tcp://127.0.0.1:5432" }, "--tcp=0.0.0.0:5432=web"],
      [{}, { target: "unix+tcp:/run/x" }, "--tcp=0.0.0.0:PORT=web"],
    ];
    for (const [change, plan, wanted] of cases) expect(callOf(change, plan)).toBe(wanted);
    expect(cases).toHaveLength(18);
  });

  test("says what must hold beside", () => {
    const noteOf = (change: Partial<Entry>): string => firstCall(PLAN, entryOf(change), PAGE).note;
    expect(noteOf({ domain: "localhost" })).toBe("");
    expect(noteOf({ routes: routes("*=web") })).toBe("");
    expect(noteOf({ domain: "d.test" })).toContain("web.d.test must lead to this gateway");
    expect(noteOf({})).toContain("web.NAME");
    expect(firstCall(PLAN, entryOf({}), PAGE).title).toContain("No route of the gateway leads to web yet");
    // A gateway that does not tell may have a route or not.
    const untold = firstCall(PLAN, undefined, PAGE);
    expect([untold.text, untold.note.includes("--route 'HOST=web'")]).toEqual([
      "curl http://127.0.0.1:8090/",
      true,
    ]);
    expect(JSON.stringify([untold, firstCall(PLAN, entryOf({}), PAGE)])).not.toContain(PLAN.token);
  });

  test("finds the same service as the router of the gateway", () => {
    const host = fc.constantFrom(
      "a.test",
      "web.a.test",
      "b.web.a.test",
      "localhost",
      "web.localhost",
      "test",
    );
    const path = fc.constantFrom("", "/a", "/a/b", "/ab");
    const pattern = fc.tuple(fc.constantFrom("", "*."), host, path).map(([star, name, at]) =>
      star + name + at
    );
    const route = fc.tuple(fc.oneof(pattern, path.map((at) => `*${at}`)), fc.constantFrom("web", "x", "y"));
    let cases = 0;
    fc.assert(fc.property(
      ...[fc.array(route, { maxLength: 8 }), fc.option(fc.constantFrom("a.test", "localhost"))] as const,
      ...[host, path] as const,
      (table, domain, name, at) => {
        const written = table.map((each) => each.join("="));
        let router: Router;
        try {
          router = new Router(written.map(parseRoute), domain ?? undefined);
        } catch (error) {
          if (error instanceof RouteError) return;
          throw error;
        }
        const entry = entryOf({ routes: routes(...written), ...(domain === null ? {} : { domain }) });
        expect(serviceAt(entry, name, at)).toBe(router.match(name, at === "" ? "/" : at)?.service);
        cases++;
      },
    ));
    expect(cases).toBeGreaterThan(10);
  });
});

describe("joinWords()", () => {
  const common = {
    ...{
      group: "default/x",
      namespace: "default",
      image: "",
      peer: "10.0.0.1:5000",
      reach: [],
      egress: false,
    },
    ...{ since: "2026-01-01T00:00:00.000Z", streams: 0, roundTripMs: 1, leaving: false, claimed: {} },
    wall: { state: "unknown", listeners: 0, exposed: [], faults: [] },
  } as const;
  const linked = [
    { ...common, agent: "web-1", services: ["web"], tcp: [] },
    { ...common, agent: "db-1", services: ["db"], tcp: ["db"] },
  ] as unknown as readonly Link[];
  const wordsOf = (name: string, service: string, isRaw = false): string =>
    joinWords(linked, { name, service, isRaw }).text;

  test("says nothing where nothing is there of it", () => {
    expect(wordsOf("api-1", "api")).toBe("");
    expect(joinWords([], { name: "web-1", service: "web", isRaw: true })).toEqual({
      text: "",
      isRefused: false,
    });
  });

  test("says with whom requests are shared, and that a name is taken", () => {
    expect(wordsOf("web-2", "web")).toBe(
      "It joins web, which web-1 serves: requests are shared between them.",
    );
    expect(wordsOf("db-2", "db", true)).toBe(
      "It joins db, which db-1 serves: connections are shared between them.",
    );
    expect(wordsOf("web-1", "api")).toContain("An agent web-1 is linked already");
    expect(wordsOf("web-1", "web")).toMatch(
      /^It joins web: requests are shared between them\. An agent web-1 is linked/,
    );
  });

  test("says that the other kind is refused", () => {
    for (const [service, isRaw] of [["web", true], ["db", false]] as const) {
      const { text, isRefused } = joinWords(linked, { name: "n", service, isRaw });
      expect([isRefused, text.includes("is refused")]).toEqual([true, true]);
    }
  });
});
