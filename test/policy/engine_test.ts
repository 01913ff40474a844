/**
 * The verdict: order, modes, learning, paths that are read in several ways, and equality with a slow scan of all rules.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseAddress } from "../../lib/egress/address_class.ts";
import type { PolicyDocument, PolicyRule } from "../../lib/policy/document.ts";
import { CompiledPolicy, pendingOf } from "../../lib/policy/engine.ts";
import {
  type Deviation,
  type Effect,
  type Flow,
  groupOf,
  type Judgement,
  ruleNameOf,
} from "../../lib/policy/flow.ts";
import { canonicalHost } from "../../lib/policy/host_pattern.ts";
import type { Mode } from "../../lib/policy/mode.ts";
import type { ModelView } from "../../lib/policy/model_view.ts";
import { matchPaths, parsePathPattern, type PathMatch, readPath } from "../../lib/policy/path_pattern.ts";
import { arbitraryFlow, arbitraryPolicy, NOW_MS, policyOf } from "./arbitrary_policy.ts";

const DEVIATION: Deviation = { kind: "edge", observed: "something", expected: "nothing" };
const KNOWN: ModelView = { check: () => undefined };
const UNKNOWN: ModelView = { check: () => DEVIATION };

const WEB = groupOf("shop", "web:1", "web-1");
const DB = groupOf("shop", "db", "db-1");
const PAYMENT = groupOf("shop", "payment", "payment-1");

const visit = (path: string, more: Partial<NonNullable<Flow["http"]>> = {}, address = "8.8.8.8"): Flow => ({
  direction: "north-south",
  protocol: "http",
  source: { kind: "outside", address },
  destination: { kind: "service", group: WEB, service: "front" },
  http: { method: "GET", host: "shop.example", path, contentType: "", ...more },
});
const CALL: Flow = {
  direction: "east-west",
  protocol: "tcp",
  source: { kind: "group", group: WEB },
  destination: { kind: "service", group: DB, service: "user-db" },
};
const egress = (host: string, port = 443, group = PAYMENT): Flow => ({
  direction: "egress",
  protocol: "tcp",
  source: { kind: "group", group },
  destination: { kind: "host", host, port },
});

/** What a policy with these rules says in a word or two: the effect and the rule or kind of reason. */
function verdict(spec: object, flow: Flow, model = UNKNOWN, nowMs = NOW_MS): string {
  const { effect, reason } = new CompiledPolicy(policyOf(spec)).judge(flow, model, nowMs);
  return `${effect} ${ruleNameOf(reason)}`;
}

describe("without a rule", () => {
  const table: [mode: string, model: ModelView, said: string, verdict: string][] = [
    ["learn", UNKNOWN, "allow learning", "forwarded"],
    ["alert", UNKNOWN, "alert implicit", "audited"],
    ["prevent", UNKNOWN, "prevent implicit", "dropped"],
    ["learn", KNOWN, "allow learned", "forwarded"],
    ["alert", KNOWN, "allow learned", "forwarded"],
    ["prevent", KNOWN, "allow learned", "forwarded"],
  ];
  test("the model decides, then the mode", () => {
    for (const [defaultMode, model, said, expected] of table) {
      expect(verdict({ defaultMode }, CALL, model)).toBe(said);
      const judgement = new CompiledPolicy(policyOf({ defaultMode })).judge(CALL, model, NOW_MS);
      expect(judgement.verdict).toBe(expected as Judgement["verdict"]);
      expect(judgement.sourceName).toBe("shop/web");
      const { reason } = judgement;
      expect("deviation" in reason && reason.deviation).toEqual(model === UNKNOWN && DEVIATION);
    }
    expect(table).toHaveLength(6);
  });
});

describe("modes", () => {
  const modeOf = (modes: object[], flow: Flow, defaultMode = "learn"): string => {
    const found = new CompiledPolicy(policyOf({ defaultMode, modes })).modeOf(flow);
    return `${found.mode} ${found.modeOf} ${found.origin}`;
  };
  test("the stricter of both ends holds east-west, whichever it is", () => {
    const [web, db] = [{ image: "web" }, { image: "db" }];
    expect(modeOf([{ ...db, mode: "prevent" }], CALL)).toBe("prevent destination manual");
    expect(modeOf([{ ...web, mode: "alert" }, { ...db, mode: "prevent" }], CALL)).toBe(
      "prevent destination manual",
    );
    expect(modeOf([{ ...web, mode: "prevent" }, { ...db, mode: "alert" }], CALL)).toBe(
      "prevent source manual",
    );
    expect(modeOf([{ ...web, mode: "alert" }, { ...db, mode: "alert" }], CALL)).toBe(
      "alert destination manual",
    );
    expect(modeOf([{ ...web, mode: "alert", origin: "promoted" }], CALL, "alert")).toBe(
      "alert source promoted",
    );
    expect(modeOf([{ ...db, mode: "alert" }], CALL, "prevent")).toBe("prevent default default");
    expect(modeOf([], CALL, "alert")).toBe("alert default default");
  });

  test("north-south asks the destination alone, egress the source alone", () => {
    expect(modeOf([{ image: "web", mode: "prevent" }], visit("/"))).toBe("prevent destination manual");
    expect(modeOf([{ image: "payment", mode: "alert" }], egress("x.example"))).toBe("alert source manual");
    expect(modeOf([{ image: "web", mode: "prevent" }], egress("x.example"))).toBe("learn default default");
  });

  test("the most specific entry holds: image before namespace before all, with a direction before without", () => {
    const entries = [
      { mode: "prevent" },
      { direction: "east-west", mode: "alert" },
      { namespace: "shop", mode: "prevent" },
      { namespace: "shop", direction: "east-west", mode: "alert" },
      { image: "db", mode: "prevent" },
      { image: "db", direction: "east-west", mode: "alert" },
      { namespace: "shop", image: "db", mode: "prevent" },
      { namespace: "shop", image: "db", direction: "east-west", mode: "alert" },
    ];
    for (let count = 1; count <= entries.length; count += 1) {
      for (const modes of [entries.slice(0, count), entries.slice(0, count).reverse()]) {
        const of = new CompiledPolicy(policyOf({ modes })).modesOfGroup(DB);
        expect(of["east-west"].mode).toBe(entries[count - 1]!.mode as "alert");
        expect(of.egress).toEqual({ mode: "prevent", origin: "manual" });
      }
    }
    const modes = [{ image: "db", mode: "alert" }, { image: "db", mode: "prevent" }];
    expect(new CompiledPolicy(policyOf({ modes })).modesOfGroup(DB).egress.mode).toBe("alert");
    expect(new CompiledPolicy(policyOf({})).modesOfGroup(DB).egress).toEqual({
      mode: "learn",
      origin: "default",
    });
  });
});

describe("rules", () => {
  test("the first in the document decides, however specific the others are", () => {
    const wide = { id: "wide", effect: "alert" };
    const narrow = {
      id: "narrow",
      source: { namespace: "shop", image: "web" },
      destination: { namespace: "shop", image: "db", service: "user-db" },
      effect: "prevent",
    };
    expect(verdict({ rules: [wide, narrow] }, CALL)).toBe("alert wide");
    expect(verdict({ rules: [narrow, wide] }, CALL)).toBe("prevent narrow");
    expect(verdict({ rules: [{ ...narrow, enabled: false }, wide] }, CALL)).toBe("alert wide");
    const { reason } = new CompiledPolicy(policyOf({ rules: [{ ...narrow, enabled: false }, wide] }))
      .judge(CALL, UNKNOWN, NOW_MS);
    expect(reason).toEqual({ kind: "rule", index: 1, id: "wide" });
  });

  test("alert and prevent differ only in the response", () => {
    let compared = 0;
    for (const allowLearned of [true, false]) {
      for (const model of [KNOWN, UNKNOWN]) {
        for (const flow of [CALL, visit("/"), egress("x.example")]) {
          const [alert, prevent] = ["alert", "prevent"].map((effect) =>
            new CompiledPolicy(policyOf({ rules: [{ id: "it", allowLearned, effect }] })).judge(
              flow,
              model,
              NOW_MS,
            )
          ) as [Judgement, Judgement];
          const response = ({ effect, verdict }: Judgement): string => `${effect} ${verdict}`;
          const passes = allowLearned && model === KNOWN;
          expect([response(alert), response(prevent)]).toEqual(
            passes ? ["allow forwarded", "allow forwarded"] : ["alert audited", "prevent dropped"],
          );
          expect({ ...alert, effect: 0, verdict: 0 }).toEqual({ ...prevent, effect: 0, verdict: 0 });
          compared += 1;
        }
      }
    }
    expect(compared).toBe(12);
  });

  test("what is learned passes a rule with allowLearned, and says by which", () => {
    const spec = { rules: [{ id: "strict", effect: "prevent", allowLearned: true }] };
    const policy = new CompiledPolicy(policyOf(spec));
    expect(policy.judge(CALL, KNOWN, NOW_MS).reason).toEqual({
      kind: "learned",
      rule: { index: 0, id: "strict" },
    });
    expect(verdict(spec, CALL, UNKNOWN)).toBe("prevent strict");
    expect(verdict({ rules: [{ id: "all", effect: "prevent" }] }, CALL, KNOWN)).toBe("prevent all");
  });

  test("a rule ends with the millisecond that it names", () => {
    const spec = { rules: [{ id: "soon", effect: "prevent", expires: "2031-05-17T14:00:00+02:00" }] };
    expect(verdict(spec, CALL, UNKNOWN, NOW_MS - 1)).toBe("prevent soon");
    expect(verdict(spec, CALL, UNKNOWN, NOW_MS)).toBe("allow learning");
    const forms = [
      "2031-05-17T12:00:00Z",
      "2031-05-17T12:00:00.000Z",
      "2031-05-17T12:00:00.000999Z",
      "2031-05-17T12:00Z",
    ];
    const read = forms.filter((expires) => {
      try {
        return verdict({ rules: [{ id: "soon", effect: "prevent", expires }] }, CALL) === "allow learning";
      } catch (error) {
        return error instanceof Error && error.name === "ZodError";
      }
    });
    expect(read).toEqual(forms);
  });

  test("a rule without ends is about everyone and everything, one with a namespace about workloads", () => {
    const rules = [{ id: "all", effect: "prevent" }];
    for (const flow of [CALL, visit("/"), egress("x.example")]) {
      expect(verdict({ rules }, flow)).toBe("prevent all");
    }
    const ofShop = [{ id: "shop", source: { namespace: "shop" }, effect: "prevent" }];
    expect(verdict({ rules: ofShop }, visit("/"))).toBe("allow learning");
    expect(verdict({ rules: ofShop }, egress("x.example"))).toBe("prevent shop");
    const toShop = [{ id: "shop", destination: { namespace: "shop" }, effect: "prevent" }];
    expect(verdict({ rules: toShop }, visit("/"))).toBe("prevent shop");
    expect(verdict({ rules: toShop }, egress("x.example"))).toBe("allow learning");
  });

  test("a host that is allowed for an image in a namespace is allowed for no other", () => {
    const spec = {
      defaultMode: "prevent",
      rules: [{
        id: "verifier",
        source: { namespace: "shop", image: "payment" },
        destination: { host: "verify.example.com", ports: [443] },
        effect: "allow",
      }],
    };
    expect(verdict(spec, egress("verify.example.com"))).toBe("allow verifier");
    expect(verdict(spec, egress("VERIFY.example.com."))).toBe("allow verifier");
    const others = [
      egress("verify.example.com", 80),
      egress("verify.example.com.evil.example"),
      egress("evil.verify.example.com"),
      egress("verify.example.com..", 443),
      egress("verify.example.com", 443, groupOf("shop", "web", "x")),
      egress("verify.example.com", 443, groupOf("bank", "payment", "x")),
      egress("verify.example.com", 443, groupOf("shop", "payment/payment", "x")),
      egress("verify.example.com", 443, groupOf("shop", "", "payment")),
    ];
    for (const flow of others) expect(verdict(spec, flow)).toBe("prevent implicit");
    expect(others).toHaveLength(8);
  });

  test("networks know visitors by their address, however it is written", () => {
    const spec = {
      networks: { office: ["10.0.0.0/8"], vpn: ["10.1.0.0/16"] },
      rules: [
        { id: "vpn", source: { network: "vpn" }, effect: "allow" },
        { id: "narrow", source: { cidr: "10.2.3.0/24" }, effect: "alert" },
        { id: "office", source: { network: "office" }, effect: "prevent" },
      ],
    };
    const said = (address: string): string => verdict(spec, visit("/", {}, address));
    expect(said("10.1.2.3")).toBe("allow vpn");
    expect(said("::ffff:10.1.2.3")).toBe("allow vpn");
    expect(said("::ffff:a01:203")).toBe("allow vpn");
    expect(said("10.2.3.4")).toBe("alert narrow");
    expect(said("10.2.4.4")).toBe("prevent office");
    for (const address of ["11.0.0.1", "", "10.1", "010.1.2.3", "10.1.2.3:80"]) {
      expect(said(address)).toBe("allow learning");
    }
    expect(new CompiledPolicy(policyOf(spec)).judge(visit("/", {}, ""), KNOWN, NOW_MS).sourceName).toBe(
      "internet",
    );
    expect(verdict({ rules: [{ id: "net", source: { network: "internet" }, effect: "alert" }] }, visit("/")))
      .toBe(
        "alert net",
      );
  });

  test("an address as host matches hosts and networks by its bits, a name never does", () => {
    const spec = {
      rules: [
        { id: "host", destination: { host: "fd00::1" }, effect: "alert" },
        { id: "net", destination: { cidr: "fd00::/8", ports: [443] }, effect: "prevent" },
        { id: "v4", destination: { cidr: "10.0.0.0/8" }, effect: "prevent" },
        { id: "below", destination: { host: "*.0.0.7" }, effect: "prevent" },
      ],
    };
    expect(verdict(spec, egress("[FD00:0:0::0001]"))).toBe("alert host");
    expect(verdict(spec, egress("fd00::2"))).toBe("prevent net");
    expect(verdict(spec, egress("fd00::2", 80))).toBe("allow learning");
    expect(verdict(spec, egress("::ffff:10.0.0.7"))).toBe("prevent v4");
    expect(verdict(spec, egress("11.0.0.7"))).toBe("allow learning");
    expect(verdict(spec, egress("a.10.in-addr.example"))).toBe("allow learning");
  });

  test("a rule on requests never matches a connection", () => {
    const spec = { rules: [{ id: "http", http: {}, effect: "prevent" }] };
    expect(verdict(spec, CALL)).toBe("allow learning");
    expect(verdict(spec, visit("/"))).toBe("prevent http");
  });

  test("methods are compared as sent, content types by kind", () => {
    const of = (http: object, flow: Flow): string =>
      verdict({ rules: [{ id: "it", http, effect: "prevent" }] }, flow);
    expect(of({ methods: ["DELETE"] }, visit("/", { method: "DELETE" }))).toBe("prevent it");
    expect(of({ methods: ["DELETE"] }, visit("/", { method: "delete" }))).toBe("allow learning");
    expect(of({ contentTypes: ["text/*"] }, visit("/", { contentType: "text/html" }))).toBe("prevent it");
    expect(of({ contentTypes: ["text/*"] }, visit("/", { contentType: "textual/html" }))).toBe(
      "allow learning",
    );
    expect(of({ contentTypes: ["text/*"] }, visit("/", { contentType: "text" }))).toBe("allow learning");
    expect(of({ contentTypes: ["text/*"] }, visit("/"))).toBe("allow learning");
    expect(of({ contentTypes: [""] }, visit("/"))).toBe("prevent it");
    expect(of({ hosts: ["*.shop.example"] }, visit("/", { host: "a.shop.example" }))).toBe("prevent it");
    expect(of({ hosts: ["*.shop.example"] }, visit("/"))).toBe("allow learning");
    expect(of({ hosts: ["::1"] }, visit("/", { host: "[::1]" }))).toBe("prevent it");
  });
});

describe("paths that are read in several ways", () => {
  const HOSTILE = [
    "/public/../admin/x",
    "/public/%2e%2e/admin/x",
    "/public/..%2Fadmin/x",
    "/public/..%5cadmin/x",
    "/public/..\\admin/x",
    "/public/..;v=1/admin/x",
    "/public/%252e%252e/admin/x",
    "/public/..%252fadmin/x",
    "/public/./../admin/x",
    "/public//../admin/x",
  ];
  const RULES = {
    allow: { id: "public", http: { paths: ["/public/**"] }, effect: "allow" },
    alert: { id: "public", http: { paths: ["/public/**"] }, effect: "alert" },
    prevent: { id: "admin", http: { paths: ["/admin/**"] }, effect: "prevent" },
  };

  test("are not let pass by a rule for another place, and not kept from the one that refuses them", () => {
    for (const path of HOSTILE) {
      expect(`${path} ${verdict({ defaultMode: "alert", rules: [RULES.allow] }, visit(path))}`)
        .toBe(`${path} alert implicit`);
      expect(verdict({ rules: [RULES.prevent] }, visit(path))).toBe("prevent admin");
      expect(verdict({ rules: [RULES.allow, RULES.prevent] }, visit(path))).toBe("prevent admin");
      expect(verdict({ rules: [RULES.alert, RULES.prevent] }, visit(path))).toBe("prevent admin");
    }
    expect(HOSTILE).toHaveLength(10);
    expect(verdict({ rules: [RULES.allow, RULES.prevent] }, visit("/public/a%20b"))).toBe("allow public");
    expect(verdict({ rules: [RULES.alert, RULES.prevent] }, visit("/public/x"))).toBe("alert public");
  });

  test("are warned of by the first rule that warns for some readings, if nothing refuses them", () => {
    const path = "/public/..%2Fadmin/x";
    const allowAll = { id: "all", effect: "allow" };
    expect(verdict({ rules: [RULES.alert] }, visit(path))).toBe("alert public");
    expect(verdict({ rules: [RULES.alert, allowAll] }, visit(path))).toBe("alert public");
    expect(verdict({ rules: [allowAll, RULES.alert] }, visit(path))).toBe("allow all");
    expect(verdict({ defaultMode: "prevent", rules: [RULES.alert] }, visit(path))).toBe("prevent implicit");
    expect(verdict({ defaultMode: "prevent", rules: [RULES.alert] }, visit(path), KNOWN)).toBe(
      "alert public",
    );
    const lenient = { ...RULES.alert, allowLearned: true };
    expect(verdict({ rules: [lenient] }, visit(path), KNOWN)).toBe("allow learned");
    expect(verdict({ rules: [lenient, RULES.prevent] }, visit(path), KNOWN)).toBe("prevent admin");
  });

  test("case, slashes and escapes do not get around a rule that refuses", () => {
    const spec = { rules: [{ id: "admin", http: { paths: ["/admin"] }, effect: "prevent" }] };
    const same = [
      "/admin",
      "/admin/",
      "/Admin",
      "/ADMIN/",
      "/%61dmin",
      "/%41dmin",
      "//admin",
      "/./admin",
      "/admin;x",
      "/admin%00",
    ];
    for (const path of [...same, "/admin//", "/%2561dmin"]) {
      expect(`${path} ${verdict(spec, visit(path))}`).toBe(`${path} prevent admin`);
    }
    for (const path of ["/administrator", "/a/admin", "/admin/x", "/"]) {
      expect(verdict(spec, visit(path))).toBe("allow learning");
    }
    const allowed = {
      defaultMode: "prevent",
      rules: [{ id: "admin", http: { paths: ["/admin"] }, effect: "allow" }],
    };
    for (const path of ["/admin", "/%61dmin"]) expect(verdict(allowed, visit(path))).toBe("allow admin");
    for (const path of ["/Admin", "/admin/", "//admin", "/admin;x", "/%2561dmin"]) {
      expect(`${path} ${verdict(allowed, visit(path))}`).toBe(`${path} prevent implicit`);
    }
  });
});

describe("the pending judgement", () => {
  test("is that of the staged policy, or of this one with every mode prevent", () => {
    const policy = new CompiledPolicy(
      policyOf({ rules: [{ id: "web", destination: { service: "front" }, effect: "allow" }] }),
    );
    const staged = new CompiledPolicy(policyOf({ defaultMode: "alert" }));
    expect(policy.judgeAsPrevent(CALL, UNKNOWN, NOW_MS)).toMatchObject({
      verdict: "dropped",
      mode: "prevent",
    });
    expect(policy.judgeAsPrevent(CALL, KNOWN, NOW_MS).verdict).toBe("forwarded");
    expect(policy.judgeAsPrevent(visit("/"), UNKNOWN, NOW_MS).verdict).toBe("forwarded");
    expect(pendingOf(policy, undefined, CALL, UNKNOWN, NOW_MS).verdict).toBe("dropped");
    expect(pendingOf(policy, staged, CALL, UNKNOWN, NOW_MS).verdict).toBe("audited");
  });
});

/** A scan of all rules in order, with nothing looked up. @param mode What holds without a rule. */
function scan(
  document: PolicyDocument,
  mode: Mode,
  flow: Flow,
  model: ModelView,
  nowMs: number,
): { effect: Effect; reason: string } {
  const sourceName = flow.source.kind === "group"
    ? flow.source.group.id
    : naiveNetwork(document, flow.source.address);
  const learned = model.check(flow, sourceName) === undefined;
  let warned: { effect: Effect; reason: string } | undefined;
  const stricterOf = (last: { effect: Effect; reason: string }): { effect: Effect; reason: string } => {
    const order = ["allow", "alert", "prevent"];
    return warned === undefined || order.indexOf(last.effect) > order.indexOf(warned.effect) ? last : warned;
  };
  for (const rule of document.spec.rules) {
    if (!rule.enabled || (rule.expires !== undefined && nowMs >= Date.parse(rule.expires))) continue;
    if (rule.direction !== undefined && rule.direction !== flow.direction) continue;
    if (rule.protocol !== undefined && rule.protocol !== flow.protocol) continue;
    if (!naiveSource(rule.source, flow, sourceName) || !naiveDestination(rule.destination, flow)) continue;
    const match = naiveHttp(rule.http, flow);
    if (match === "none") continue;
    const passes = rule.effect !== "allow" && rule.allowLearned && learned;
    const said = passes
      ? { effect: "allow" as const, reason: "learned" }
      : { effect: rule.effect, reason: rule.id };
    if (match === "all" || rule.effect === "prevent") return stricterOf(said);
    if (rule.effect === "alert") warned ??= said;
  }
  if (learned) return stricterOf({ effect: "allow", reason: "learned" });
  return stricterOf(
    mode === "learn" ? { effect: "allow", reason: "learning" } : { effect: mode, reason: "implicit" },
  );
}

function inCidr(text: string, cidr: string): boolean {
  const [base = "", length] = cidr.split("/");
  const [address, network] = [parseAddress(text), parseAddress(base)];
  if (address === undefined || network === undefined || address.bits !== network.bits) return false;
  const rest = BigInt(address.bits - Number(length));
  return address.value >> rest === network.value >> rest;
}

function naiveNetwork(document: PolicyDocument, address: string): string {
  const all = Object.entries(document.spec.networks).flatMap(([name, cidrs]) =>
    cidrs.map((cidr) => ({ name, cidr }))
  );
  const lengthOf = (cidr: string): number => Number(cidr.split("/")[1]);
  const holding = all.filter(({ cidr }) => inCidr(address, cidr));
  const longest = Math.max(...holding.map(({ cidr }) => lengthOf(cidr)));
  return holding.find(({ cidr }) => lengthOf(cidr) === longest)?.name ?? "internet";
}

function naiveSource(source: PolicyRule["source"], flow: Flow, sourceName: string): boolean {
  if ("network" in source) return flow.source.kind === "outside" && sourceName === source.network;
  if ("cidr" in source) return flow.source.kind === "outside" && inCidr(flow.source.address, source.cidr);
  const { namespace, image } = source;
  if (flow.source.kind !== "group") return namespace === undefined && image === undefined;
  return (namespace ?? flow.source.group.namespace) === flow.source.group.namespace &&
    (image ?? flow.source.group.image) === flow.source.group.image;
}

function naiveHost(pattern: string, written: string): boolean {
  const { text, address } = canonicalHost(written);
  if (pattern.startsWith("*.")) {
    return address === undefined && text.endsWith(pattern.slice(1)) && text.length >= pattern.length;
  }
  return canonicalHost(pattern).text === text;
}

function naiveDestination(to: PolicyRule["destination"], { destination }: Flow): boolean {
  if ("host" in to || "cidr" in to) {
    if (destination.kind !== "host" || !(to.ports ?? [destination.port]).includes(destination.port)) {
      return false;
    }
    if ("host" in to) return naiveHost(to.host, destination.host);
    return inCidr(canonicalHost(destination.host).text, to.cidr);
  }
  const { namespace, image, service } = to;
  if (destination.kind !== "service") {
    return namespace === undefined && image === undefined && service === undefined;
  }
  const { group } = destination;
  return (namespace ?? group.namespace) === group.namespace && (image ?? group.image) === group.image &&
    (service ?? destination.service) === destination.service;
}

function naiveHttp(http: PolicyRule["http"], flow: Flow): PathMatch {
  if (http === undefined) return "all";
  if (flow.http === undefined) return "none";
  const { method, host, path, contentType } = flow.http;
  if (http.methods && !http.methods.includes(method)) return "none";
  if (http.hosts && !http.hosts.some((pattern) => naiveHost(pattern, host))) return "none";
  const types = [contentType, contentType.replace(/\/.*/, "/*")];
  if (http.contentTypes && !http.contentTypes.some((type) => types.includes(type))) return "none";
  return http.paths === undefined
    ? "all"
    : matchPaths(http.paths.map((it) => parsePathPattern(it)!), readPath(path));
}

/** Knows some flows and not others, by nothing that a policy looks at in the same way. */
const SOMETIMES: ModelView = {
  check: (flow, sourceName) => JSON.stringify([flow, sourceName]).length % 2 === 0 ? undefined : DEVIATION,
};

describe("equality with a scan of all rules", () => {
  test("holds for random policies and flows", () => {
    const reasons = new Map<string, number>();
    fc.assert(
      fc.property(
        arbitraryPolicy(40),
        fc.array(arbitraryFlow, { minLength: 20, maxLength: 20 }),
        (document, flows) => {
          const policy = new CompiledPolicy(document);
          for (const flow of flows) {
            for (const nowMs of [NOW_MS, NOW_MS + 1]) {
              const judged = policy.judge(flow, SOMETIMES, nowMs);
              const said = { effect: judged.effect, reason: ruleNameOf(judged.reason) };
              expect(said).toEqual(scan(document, judged.mode, flow, SOMETIMES, nowMs));
              const kind = `${judged.reason.kind} ${judged.effect}`;
              reasons.set(kind, (reasons.get(kind) ?? 0) + 1);
            }
          }
        },
      ),
      { numRuns: 200 },
    );
    // Every way to a verdict was taken, so that equality says something.
    expect([...reasons.keys()].sort()).toEqual([
      "implicit alert",
      "implicit prevent",
      "learned allow",
      "learning allow",
      "rule alert",
      "rule allow",
      "rule prevent",
    ]);
  });

  test("holds for 10,000 rules", () => {
    const rules = Array.from({ length: 10_000 }, (_, index) => ({
      id: `r${index}`,
      source: index % 7 === 0
        ? { namespace: `n${index % 50}` }
        : { namespace: `n${index % 50}`, image: `i${index % 90}` },
      destination: index % 3 === 0
        ? { host: index % 2 === 0 ? `h${index}.example.com` : `*.s${index % 400}.example.com`, ports: [443] }
        : { namespace: `n${index % 40}`, image: `i${index % 70}`, service: `s${index % 5}` },
      ...index % 3 !== 0 && index % 2 === 0 && { http: { paths: [`/api/v${index % 10}/**`] } },
      effect: ["allow", "alert", "prevent"][index % 3 === 0 ? index % 2 : index % 3],
    }));
    const document = policyOf({ rules });
    const policy = new CompiledPolicy(document);
    let byRule = 0;
    for (let index = 0; index < 100; index += 1) {
      const source = { kind: "group" as const, group: groupOf(`n${index % 50}`, `i${index % 90}`, "") };
      const flows: Flow[] = [
        {
          direction: "egress",
          protocol: "tcp",
          source,
          destination: { kind: "host", host: `x.s${index}.example.com`, port: 443 },
        },
        {
          direction: "east-west",
          protocol: "http",
          source,
          destination: {
            kind: "service",
            group: groupOf(`n${index % 40}`, `i${index % 70}`, ""),
            service: `s${index % 5}`,
          },
          http: { method: "GET", host: "x", path: `/api/v${index % 10}/x`, contentType: "" },
        },
      ];
      for (const flow of flows) {
        const judged = policy.judge(flow, UNKNOWN, NOW_MS);
        expect({ effect: judged.effect, reason: ruleNameOf(judged.reason) }).toEqual(
          scan(document, judged.mode, flow, UNKNOWN, NOW_MS),
        );
        if (judged.reason.kind === "rule") byRule += 1;
      }
    }
    expect(byRule).toBeGreaterThan(50);
  });
});
