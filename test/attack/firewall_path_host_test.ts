/**
 * A request written so that a rule reads one thing and the target another: a host in the path, several content types,
 * a path that takes long to read.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { CompiledPolicy } from "../../lib/policy/engine.ts";
import { policySchema } from "../../lib/policy/document.ts";
import { type Flow, groupOf, type HttpRequestFacts } from "../../lib/policy/flow.ts";
import { Operator, startFirewall, startWorkload } from "../support/firewall_wall.ts";
import { useProcesses } from "../support/processes.ts";
import { RawConnection } from "../e2e/raw.ts";
import { TEST_MS_MAX } from "../e2e/wall.ts";

const NO_MODEL = { check: () => undefined };
const WEB = groupOf("shop", "web", "web-1");

function policyWith(...rules: object[]): CompiledPolicy {
  return new CompiledPolicy(
    policySchema.parse({
      ...{ apiVersion: "netwall/v1", kind: "Policy" },
      spec: { rules: rules.map((rule, index) => ({ id: `r${index}`, ...rule })) },
    }),
  );
}

function visit(facts: Partial<HttpRequestFacts>): Flow {
  return {
    ...{ direction: "north-south", protocol: "http", source: { kind: "outside", address: "192.0.2.1" } },
    destination: { kind: "service", group: WEB, service: "web" },
    http: { method: "GET", host: "shop.test", path: "/", contentType: "", ...facts },
  };
}

/** What many programs take for the path of a request; some runtimes refuse three slashes. */
function pathOf(target: string): string | undefined {
  return URL.canParse(target, "http://base") ? new URL(target, "http://base").pathname : undefined;
}

/** All of them are `/admin/keys` for `pathOf`. */
const TARGETS = [
  "//x/admin/keys",
  "///x/admin/keys",
  "/\\x/admin/keys",
  "\\/x/admin/keys",
  "//x:80/admin/keys",
  "//a@x/admin/keys",
  "//x\\admin/keys",
  "//x/public/../admin/keys",
  "//x/public/%2e%2e/admin/keys",
];

describe("a path that begins with a host", () => {
  const refusing = policyWith({ effect: "prevent", http: { paths: ["/admin/**"] } });
  const allowing = policyWith(
    { effect: "allow", http: { paths: ["/{str}/public/**", "/public/**"] } },
    { effect: "prevent" },
  );

  test("does not get around a rule that refuses what the target reads", () => {
    const read = TARGETS.filter((target) => pathOf(target) !== undefined);
    expect(read.length).toBeGreaterThanOrEqual(8);
    for (const target of read) expect([target, pathOf(target)]).toEqual([target, "/admin/keys"]);
    for (const target of TARGETS) {
      expect([target, refusing.judge(visit({ path: target }), NO_MODEL, 0).verdict]).toEqual([
        target,
        "dropped",
      ]);
    }
    expect(TARGETS).toHaveLength(9);
    // A host with nothing behind it is the root.
    const root = policyWith({ effect: "prevent", http: { paths: ["/"] } });
    expect(root.judge(visit({ path: "//x" }), NO_MODEL, 0).verdict).toBe("dropped");
  });

  test("is not let pass by a rule for what stands behind the host, or for the host as a place", () => {
    for (const path of ["//public/admin", "//x/public/a", "//public/x"]) {
      expect([path, allowing.judge(visit({ path }), NO_MODEL, 0).verdict]).toEqual([path, "dropped"]);
    }
    expect(allowing.judge(visit({ path: "/public/a" }), NO_MODEL, 0).verdict).toBe("forwarded");
  });
});

describe("several content types", () => {
  test("do not get around a rule that refuses one of them, and are let pass by no rule for one", () => {
    const refusing = policyWith({ effect: "prevent", http: { contentTypes: ["application/xml"] } });
    const allowing = policyWith(
      { effect: "allow", http: { contentTypes: ["application/json"] } },
      { effect: "prevent" },
    );
    const types = [
      "application/xml,application/json",
      "application/json,application/xml",
      "application/json, application/xml",
    ];
    for (const contentType of types) {
      expect(refusing.judge(visit({ contentType }), NO_MODEL, 0).verdict).toBe("dropped");
      expect(allowing.judge(visit({ contentType }), NO_MODEL, 0).verdict).toBe("dropped");
    }
    const wide = policyWith({ effect: "prevent", http: { contentTypes: ["multipart/*"] } });
    expect(wide.judge(visit({ contentType: "text/plain,multipart/form-data" }), NO_MODEL, 0).verdict)
      .toBe("dropped");
    expect(refusing.judge(visit({ contentType: "application/json" }), NO_MODEL, 0).verdict).toBe("forwarded");
  });
});

describe("a path that takes long to read", () => {
  const PATHS = [
    "/%2e/a".repeat(5_400),
    "/a;b".repeat(8_000),
    "/".repeat(32_000),
    "/%252e".repeat(5_300),
    `//x${"/%2e%2e".repeat(4_500)}`,
    `/${"%41".repeat(10_000)}`,
  ];

  test("means anything: what refuses any path refuses it, and what allows some does not allow it", () => {
    const refusing = policyWith({ effect: "prevent", http: { paths: ["/a/b/c"] } });
    const many = policyWith(
      ...Array.from({ length: 20 }, (_, at) => ({ effect: "alert", http: { paths: [`/no/${at}`] } })),
      { effect: "prevent", http: { paths: Array.from({ length: 9 }, (_, at) => `/x/${at}`) } },
    );
    const allowing = policyWith({ effect: "allow", http: { paths: ["/**"] } }, { effect: "prevent" });
    for (const path of PATHS) {
      for (const policy of [refusing, many, allowing]) {
        expect(policy.judge(visit({ path }), NO_MODEL, 0).verdict).toBe("dropped");
      }
    }
    expect(PATHS).toHaveLength(6);
    // One that is only long is read.
    expect(refusing.judge(visit({ path: "/a".repeat(16_000) }), NO_MODEL, 0).verdict).toBe("forwarded");
  });

  test("costs no more than a bounded one: 1,000 of them are judged in seconds", () => {
    // It took 15 to 30 ms for each of them, with a head that is sent in one.
    const policy = policyWith({ effect: "prevent", http: { paths: ["/admin/**", "/{str}/x"] } });
    const startMs = performance.now();
    for (let at = 0; at < 1_000; at += 1) {
      policy.judge(visit({ path: PATHS[at % PATHS.length]! }), NO_MODEL, 0);
    }
    expect(performance.now() - startMs).toBeLessThan(8_000);
  });
});

describe("a real target that reads with new URL()", () => {
  const processes = useProcesses();
  const asked: (string | undefined)[] = [];
  let target: Server;

  beforeAll(async () => {
    target = createServer((incoming, response) => {
      asked.push(pathOf(incoming.url ?? "/"));
      response.end("here");
    });
    await new Promise<void>((resolve) => target.listen(0, "127.0.0.1", resolve));
  });
  afterAll(() => {
    target?.closeAllConnections();
    target?.close();
  });

  test("is never asked for what a rule refuses, and each try is an event", async () => {
    const gateway = await startFirewall(processes, "bun");
    const operator = new Operator(gateway);
    const at = `web=http://127.0.0.1:${(target.address() as AddressInfo).port}`;
    await startWorkload(processes, "deno", gateway, { name: "web", args: ["--serve", at] });
    await operator.apply({
      rules: [{ id: "no-admin", effect: "prevent", http: { paths: ["/admin/**"] } }],
    });
    const statuses: string[] = [];
    for (const path of ["/", ...TARGETS.filter((each) => each.startsWith("/"))]) {
      const visitor = await RawConnection.open(gateway.port);
      visitor.write(`GET ${path} HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n`);
      const text = (await visitor.rest()).toString("latin1");
      statuses.push(text.slice(9, 12));
    }
    expect(statuses).toEqual(["200", ...Array<string>(8).fill("403")]);
    expect(asked).toEqual(["/"]);
    await operator.event(
      "the last try",
      ({ rule, verdict }) => rule.id === "no-admin" && verdict === "dropped",
    );
  }, TEST_MS_MAX);
});
