/**
 * Rate limits against a naive model, and what a policy change, a ban and the bound of buckets do to them.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Bans } from "../../lib/policy/bans.ts";
import { type RateLimitRule, rateLimitSchema } from "../../lib/policy/document.ts";
import { RateLimiter, sourceKeyOf } from "../../lib/policy/rate_limit.ts";

function rule(written: Partial<RateLimitRule> & { requests: number }): RateLimitRule {
  return rateLimitSchema.parse({ id: "limit", ...written });
}

function limiterOf(...rules: RateLimitRule[]): RateLimiter {
  const limiter = new RateLimiter();
  limiter.update(rules, 0);
  return limiter;
}

/** How many of `count` calls at one moment pass. */
function passing(
  limiter: RateLimiter,
  source: string,
  service: string,
  nowMs: number,
  count: number,
): number {
  let passed = 0;
  for (let call = 0; call < count; call++) if (limiter.take(source, service, nowMs).ok) passed++;
  return passed;
}

describe("RateLimiter.take()", () => {
  test("lets everything pass when there are no limits, and keeps nothing", () => {
    const limiter = limiterOf();
    expect(passing(limiter, "192.0.2.1", "web", 0, 1_000)).toBe(1_000);
    expect(limiter.size).toBe(0);
  });

  test("lets the burst pass at once, then the rate", () => {
    const limiter = limiterOf(rule({ requests: 10, seconds: 1, burst: 3 }));
    expect(passing(limiter, "a", "web", 0, 10)).toBe(3);
    expect(limiter.take("a", "web", 0)).toMatchObject({ ok: false, retryAfterMs: 100, banned: false });
    expect(passing(limiter, "a", "web", 99, 10)).toBe(0);
    expect(passing(limiter, "a", "web", 100, 10)).toBe(1);
    expect(passing(limiter, "a", "web", 100_000, 10)).toBe(3);
  });

  test("has a bucket for each source and each service", () => {
    const limiter = limiterOf(rule({ requests: 2 }));
    expect(passing(limiter, "a", "web", 0, 5)).toBe(2);
    expect(passing(limiter, "b", "web", 0, 5)).toBe(2);
    expect(passing(limiter, "a", "shop", 0, 5)).toBe(2);
    expect(limiter.size).toBe(3);
  });

  test("takes no token of one limit when another one refuses", () => {
    const wide = rule({ id: "wide", requests: 5, seconds: 1_000 });
    const narrow = rule({ id: "narrow", service: "web", requests: 1, seconds: 1 });
    const limiter = limiterOf(wide, narrow);
    expect(passing(limiter, "a", "web", 0, 100)).toBe(1);
    // One token a second of the narrow one: all that is left of the wide one is still there.
    for (let second = 1; second <= 4; second++) {
      expect(passing(limiter, "a", "web", second * 1_000, 100)).toBe(1);
    }
    expect(limiter.take("a", "web", 5_000)).toMatchObject({ ok: false, limit: { id: "wide" } });
    expect(passing(limiter, "a", "other", 5_000, 100)).toBe(5);
  });

  test("names the limit that makes it wait longest, and waiting so long is enough", () => {
    const limiter = limiterOf(
      rule({ id: "short", requests: 1, seconds: 1 }),
      rule({ id: "long", requests: 1, seconds: 7 }),
    );
    limiter.take("a", "web", 0);
    const refused = limiter.take("a", "web", 500);
    expect(refused).toMatchObject({ ok: false, limit: { id: "long" }, retryAfterMs: 6_500 });
    expect(limiter.take("a", "web", 7_000).ok).toBe(true);
  });

  test("gives nothing for a clock that was put back, and goes on from there", () => {
    const limiter = limiterOf(rule({ requests: 1, seconds: 1 }));
    expect(limiter.take("a", "web", 1_000_000).ok).toBe(true);
    expect(limiter.take("a", "web", 0).ok).toBe(false);
    expect(limiter.take("a", "web", 1_000).ok).toBe(true);
  });

  test("agrees with a naive bucket for any order of calls", () => {
    const call = fc.record({
      source: fc.constantFrom("a", "b", "c"),
      service: fc.constantFrom("web", "shop"),
      waitMs: fc.integer({ min: 0, max: 400 }),
    });
    let cases = 0;
    fc.assert(
      fc.property(
        fc.array(call, { minLength: 20, maxLength: 200 }),
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 8 }),
        (calls, requests, burst) => {
          const limiter = limiterOf(rule({ requests, seconds: 1, burst }));
          // Thousandths of a token, so that the model has no fractions: one request of `requests` a second.
          const model = new Map<string, { milli: number; atMs: number }>();
          let nowMs = 0;
          for (const { source, service, waitMs } of calls) {
            nowMs += waitMs;
            const key = `${source} ${service}`;
            const at = model.get(key) ?? { milli: burst * 1_000, atMs: nowMs };
            at.milli = Math.min(burst * 1_000, at.milli + (nowMs - at.atMs) * requests);
            at.atMs = nowMs;
            model.set(key, at);
            const taken = limiter.take(source, service, nowMs);
            // Fractions of the real one may be off by a rounding error just at the edge.
            if (Math.abs(at.milli - 1_000) > 0.5) expect(taken.ok).toBe(at.milli >= 1_000);
            if (taken.ok) at.milli -= 1_000;
            cases++;
          }
        },
      ),
      { numRuns: 100 },
    );
    expect(cases).toBeGreaterThan(1_000);
  });
});

describe("RateLimiter.update()", () => {
  test("keeps the buckets of a limit that did not change, whatever stands around it", () => {
    const kept = { id: "kept", requests: 2, seconds: 100 };
    const limiter = limiterOf(rule(kept), rule({ id: "gone", requests: 1_000 }));
    expect(passing(limiter, "a", "web", 0, 5)).toBe(2);
    limiter.update([rule({ id: "new", service: "web", requests: 1_000 }), rule(kept)], 0);
    expect(passing(limiter, "a", "web", 0, 5)).toBe(0);
    limiter.update([rule({ ...kept, requests: 3 })], 0);
    expect(passing(limiter, "a", "web", 0, 5)).toBe(3);
    limiter.update([], 0);
    expect(passing(limiter, "a", "web", 0, 50)).toBe(50);
    expect(limiter.size).toBe(0);
  });

  test("makes do with fewer buckets when there are more limits", () => {
    const limiter = new RateLimiter(new Bans(), 100);
    const first = rule({ id: "first", requests: 1, seconds: 1_000 });
    limiter.update([first], 0);
    for (let source = 0; source < 100; source++) limiter.take(`s${source}`, "web", 0);
    expect(limiter.size).toBe(100);
    limiter.update([first, rule({ id: "second", service: "x", requests: 1 })], 0);
    expect(limiter.size).toBe(50);
  });
});

describe("a limit with banSeconds", () => {
  const banning = rule({ requests: 1, seconds: 1, banSeconds: 60 });

  test("refuses a source altogether for so long, and no longer because it goes on", () => {
    const bans = new Bans();
    const limiter = new RateLimiter(bans);
    limiter.update([banning], 0);
    expect(limiter.take("a", "web", 0).ok).toBe(true);
    expect(limiter.take("a", "web", 0)).toMatchObject({ ok: false, banned: true, retryAfterMs: 60_000 });
    for (let second = 1; second < 60; second++) {
      expect(limiter.take("a", "other", second * 1_000)).toMatchObject({ ok: false, banned: true });
    }
    expect(limiter.take("b", "web", 30_000).ok).toBe(true);
    expect(bans.list(30_000)).toMatchObject([{
      source: "a",
      service: "*",
      untilMs: 60_000,
      reason: "rate limit limit",
    }]);
    expect(limiter.take("a", "web", 60_000).ok).toBe(true);
    expect(bans.list(60_000)).toEqual([]);
  });

  test("does not end before there is a token again", () => {
    const limiter = limiterOf(rule({ requests: 1, seconds: 100, banSeconds: 1 }));
    limiter.take("a", "web", 0);
    expect(limiter.take("a", "web", 0)).toMatchObject({ banned: true, retryAfterMs: 100_000 });
    expect(limiter.take("a", "web", 100_000).ok).toBe(true);
  });

  test("is lifted by unban(), which lets the source in at once", () => {
    const bans = new Bans();
    const limiter = new RateLimiter(bans);
    limiter.update([rule({ requests: 1, seconds: 1_000, banSeconds: 60 })], 0);
    limiter.take("a", "web", 0);
    limiter.take("a", "web", 0);
    const [ban] = bans.list(0);
    expect(limiter.unban(ban!.key)).toBe(true);
    expect(limiter.unban(ban!.key)).toBe(false);
    expect(limiter.take("a", "web", 0).ok).toBe(true);
  });

  test("loses its bans when it is changed or taken away, and only then", () => {
    const bans = new Bans();
    const limiter = new RateLimiter(bans);
    limiter.update([banning], 0);
    limiter.take("a", "web", 0);
    limiter.take("a", "web", 0);
    limiter.update([rule({ ...banning })], 0);
    expect(limiter.take("a", "web", 0)).toMatchObject({ banned: true });
    limiter.update([rule({ ...banning, banSeconds: 0 })], 0);
    expect(limiter.take("a", "web", 0).ok).toBe(true);
    expect(bans.size).toBe(0);
  });
});

describe("sourceKeyOf()", () => {
  const cases: [address: string, key: string][] = [
    ["192.0.2.7", "192.0.2.7"],
    ["::ffff:192.0.2.7", "192.0.2.7"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:db8:1:2::3", "2001:db8:1:2::/64"],
    ["2001:db8:1:0:5:6:7:8", "2001:db8:1::/64"],
    ["2001:db8:1::9", "2001:db8:1::/64"],
    ["2001:DB8:1:2::9", "2001:db8:1:2::/64"],
    ["::1", "::/64"],
    ["shop/ghcr.io/acme/web", "shop/ghcr.io/acme/web"],
    ["", ""],
    ["fe80::1%eth0", "fe80::1%eth0"],
  ];
  test.each(cases)("%s is %s", (address, key) => {
    expect(sourceKeyOf(address)).toBe(key);
  });
  test("what is long is cut", () => expect(sourceKeyOf("x".repeat(10_000))).toBe("x".repeat(600)));
  test("all cases ran", () => expect(cases.length).toBe(11));
});
