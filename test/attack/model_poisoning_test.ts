/**
 * Someone who attacks while the model learns: to be learned as normal, to widen what is learned, to fill it up, or to
 * keep it from ever being relied on.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { type Flow, groupOf } from "../../lib/policy/flow.ts";
import { Learner, type LearnerOptions } from "../../lib/policy/learner.ts";

const WEB = groupOf("shop", "acme/web", "web-1");
const START_MS = 1_700_000_000_000;
const BYTES_MAX = 2 << 20;
/** Attacks of other kinds than those that were learned from. */
const ATTACKS = [
  "/wp-login.php",
  "/.env",
  "/admin",
  "/admin/users",
  "/cgi-bin/test.sh",
  "/api/v1/internal/keys",
];

function learnerOf(options: Partial<LearnerOptions> = {}): Learner {
  return new Learner({
    timeMs: 1,
    requests: 100,
    quietMs: 0,
    unseenShareMax: 0.05,
    nowMs: () => START_MS,
    ...options,
  });
}

function visit(path: string, method = "GET", contentType = ""): Flow {
  return {
    direction: "north-south",
    protocol: "http",
    source: { kind: "outside", address: "192.0.2.7" },
    destination: { kind: "service", group: WEB, service: "web" },
    http: { method, host: "shop.example", path, contentType },
  };
}

/** Honest visitors, each from an address of his own. */
function teach(learner: Learner, requests: number): void {
  for (let at = 0; at < requests; at += 1) {
    const address = `198.51.100.${at % 250}`;
    for (const path of ["/", "/cart", `/products/${at}`, "/admin/users"]) {
      // Only one in fifty is the operator.
      if (path === "/admin/users" && at % 50 !== 0) continue;
      learner.observe(visit(path), "internet", address, true);
    }
  }
}

function word(number: number): string {
  const letters = "abcdefghijklmnopqrstuvwxyz";
  let text = "";
  for (let rest = number; text.length < 5; rest = Math.floor(rest / 26)) text += letters[rest % 26];
  return text;
}

describe("poisoning of the model", () => {
  for (const percent of [1, 10, 50]) {
    test(`${percent} % of attacks that get errors teach nothing`, () => {
      const [clean, attacked] = [learnerOf(), learnerOf()];
      teach(clean, 400);
      teach(attacked, 400);
      for (let at = 0; at < 4 * percent; at += 1) {
        attacked.observe(visit(ATTACKS[at % ATTACKS.length]!), "internet", `203.0.113.${at % 250}`, false);
      }
      expect(attacked.snapshot()).toBe(clean.snapshot());
    });

    test(`${percent} % of attacks by one source that get answers bring at most its quota`, () => {
      const learner = learnerOf();
      teach(learner, 400);
      const before = learner.progress().get(WEB.id)![0]!.routes;
      for (let at = 0; at < 40 * percent; at += 1) {
        learner.observe(visit(`/${word(at * 7919)}`), "internet", "203.0.113.9", true);
        learner.observe(visit("/", `M${at}`, `text/t${at}`), "internet", "203.0.113.9", true);
      }
      const progress = learner.progress().get(WEB.id)![0]!;
      expect(progress.routes - before).toBeLessThanOrEqual(30);
      expect(progress.state).not.toBe("saturated");
      expect(learner.saturatedServices()).toEqual([]);
      for (const path of ATTACKS.filter((it) => it !== "/admin/users")) {
        expect(learner.check(visit(path), "internet")?.kind).toBe("route");
      }
    });
  }

  test("many sources with made-up names get a leaf at most: no privileged place, no other method", () => {
    const learner = learnerOf();
    teach(learner, 400);
    for (let at = 0; at < 2_000; at += 1) {
      learner.observe(visit(`/${word(at * 7919)}`), "internet", `203.0.${at % 100}.1`, true);
    }
    const routes = learner.edges()[0]!.operations!;
    expect(routes).toContain("GET /cart");
    expect(routes).toContain("GET /admin/users");
    expect(routes).toContain("GET /products/{int}");
    for (const path of ["/admin/keys", "/api/v1/internal/keys", "/cgi-bin/test.sh", `/${word(1)}/users`]) {
      expect(learner.check(visit(path), "internet")?.kind).toBe("route");
    }
    expect(learner.check(visit("/admin/users", "DELETE"), "internet")?.kind).toBe("method");
    expect(learner.check(visit(`/${word(1)}`, "POST"), "internet")).toBeDefined();
  });

  test("visitors widen nothing for containers or for another network", () => {
    const learner = learnerOf();
    const inner: Flow = {
      ...visit("/shops/anna"),
      direction: "east-west",
      source: { kind: "group", group: WEB },
    };
    learner.observe(inner, WEB.id, "web-1", true);
    learner.observe(visit("/shops/anna"), "office", "198.51.100.1", true);
    for (let at = 0; at < 500; at += 1) {
      learner.observe(visit(`/shops/${word(at)}`), "internet", `203.0.${at % 100}.1`, true);
    }
    expect(learner.check(visit("/shops/new"), "internet")).toBeUndefined();
    expect(learner.check(visit("/shops/new"), "office")?.kind).toBe("route");
    const other: Flow = { ...inner, http: { ...inner.http!, path: "/shops/new" } };
    expect(learner.check(other, WEB.id)?.kind).toBe("route");
  });

  test("the same flow a thousand times by a source beyond its quota is still not learned", () => {
    const learner = learnerOf();
    for (let at = 0; at < 30; at += 1) {
      learner.observe(visit(`/${word(at)}/x`), "internet", "203.0.113.9", true);
    }
    for (let at = 0; at < 1_000; at += 1) learner.observe(visit("/admin"), "internet", "203.0.113.9", true);
    expect(learner.check(visit("/admin"), "internet")?.kind).toBe("route");
    expect(learner.progress().get(WEB.id)![0]!.reasons.at(-1)).toMatch(
      /^1000 successful requests were not learned/,
    );
  });

  test("the flood of one source does not keep the model from being stable", () => {
    let nowMs = START_MS;
    const learner = learnerOf({ quietMs: 1_000, nowMs: () => nowMs });
    teach(learner, 800);
    for (let at = 0; at < 30; at += 1) {
      learner.observe(visit(`/${word(at)}/x`), "internet", "203.0.113.9", true);
    }
    nowMs += 1_000;
    for (let at = 0; at < 500; at += 1) {
      learner.observe(visit(`/y/${word(at)}`), "internet", "203.0.113.9", true);
    }
    const [stable] = learner.stable();
    expect([stable?.group, stable?.direction]).toEqual([WEB.id, "north-south"]);
  });

  test(
    "a hundred thousand hostile paths from everywhere stay within the bounds, and the model says so",
    () => {
      const learner = learnerOf();
      for (let at = 0; at < 100_000; at += 1) {
        const depth = 1 + at % 31;
        const path = `/${word(at * 31)}${`/${word(at * 17)}`.repeat(depth)}/%2e${at}/${at}`;
        learner.observe(
          visit(path, "GET", at % 3 === 0 ? `text/x${at}` : ""),
          "internet",
          `2001:db8:${(at % 65_536).toString(16)}::1`,
          true,
        );
      }
      const progress = learner.progress().get(WEB.id)![0]!;
      expect(progress.routes).toBeLessThanOrEqual(256);
      expect(progress.state).toBe("saturated");
      expect(learner.stable()).toEqual([]);
      expect(learner.estimatedBytes("web")).toBeLessThanOrEqual(BYTES_MAX + 32 * 600);
      expect(learner.saturatedServices()).toEqual(["web"]);
      expect(learner.snapshot().length).toBeLessThan(BYTES_MAX);
    },
    60_000,
  );
});
