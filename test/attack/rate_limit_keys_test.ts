/**
 * A flood of sources against the rate limits: it must not free the one that is held, gain requests, or grow memory.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { Bans } from "../../lib/policy/bans.ts";
import { rateLimitSchema } from "../../lib/policy/document.ts";
import { RateLimiter, sourceKeyOf } from "../../lib/policy/rate_limit.ts";

const KEYS = 500;
const limit = rateLimitSchema.parse({ id: "limit", requests: 10, seconds: 100 });

function limiter(): RateLimiter {
  const made = new RateLimiter(new Bans(), KEYS);
  made.update([limit], 0);
  return made;
}

describe("a flood of sources", () => {
  test("does not push out the source that is held", () => {
    const limits = limiter();
    while (limits.take("attacker", "web", 0).ok);
    for (let source = 0; source < KEYS * 20; source++) {
      limits.take(`flood${source}`, "web", 0);
      if (source % 50 === 0) expect(limits.take("attacker", "web", 0).ok).toBe(false);
    }
    expect(limits.size).toBeLessThanOrEqual(KEYS);
  });

  test("lets sources that come by turns make no more requests than there are buckets for", () => {
    const limits = limiter();
    let passed = 0;
    // Four times as many sources as buckets, each as fast as it can, again and again at one moment.
    for (let round = 0; round < 20; round++) {
      for (let source = 0; source < KEYS * 4; source++) {
        if (limits.take(`bot${source}`, "web", 0).ok) passed++;
      }
    }
    expect(passed).toBeGreaterThan(KEYS);
    expect(passed).toBeLessThanOrEqual(KEYS * limit.requests);
  });

  test("over many services has one bound for all of them", () => {
    const limits = limiter();
    for (let call = 0; call < KEYS * 10; call++) limits.take(`s${call}`, `service-${call % 97}`, 0);
    expect(limits.size).toBeLessThanOrEqual(KEYS);
  });

  test("leaves room to a new visitor while the flood has not used all tokens", () => {
    const limits = limiter();
    for (let source = 0; source < KEYS * 3; source++) limits.take(`flood${source}`, "web", 0);
    expect(limits.take("visitor", "web", 0).ok).toBe(true);
  });

  test("is forgotten as new sources come once its buckets are full again", () => {
    const limits = limiter();
    for (let source = 0; source < KEYS; source++) limits.take(`flood${source}`, "web", 0);
    expect(limits.size).toBe(KEYS);
    for (let source = 0; source < KEYS; source++) limits.take(`later${source}`, "web", 1_000_000);
    for (let source = 0; source < 10; source++) limits.take(`last${source}`, "web", 2_000_000);
    expect(limits.size).toBeLessThanOrEqual(KEYS);
    for (let source = 0; source < KEYS; source++) {
      limits.take(`calm${source}`, "web", 3_000_000 + source * 200_000);
    }
    expect(limits.size).toBeLessThanOrEqual(5);
  });

  test("from one IPv6 network is one source", () => {
    const limits = limiter();
    let passed = 0;
    for (let host = 1; host <= 1_000; host++) {
      if (limits.take(sourceKeyOf(`2001:db8:0:1::${host.toString(16)}`), "web", 0).ok) passed++;
    }
    expect(passed).toBe(limit.requests);
    expect(limits.size).toBe(1);
  });

  test("with names of objects is no different", () => {
    const limits = limiter();
    for (const name of ["__proto__", "constructor", "toString", ""]) {
      let passed = 0;
      while (limits.take(name, name, 0).ok) passed++;
      expect(passed).toBe(limit.requests);
    }
  });

  test("of sources over a limit that bans keeps the bans within their bound, and the rest held by their buckets", () => {
    const bans = new Bans(50);
    const limits = new RateLimiter(bans, KEYS);
    limits.update([{ ...limit, requests: 1, banSeconds: 600 }], 0);
    let refused = 0;
    for (let source = 0; source < 200; source++) {
      limits.take(`bot${source}`, "web", 0);
      if (!limits.take(`bot${source}`, "web", 0).ok) refused++;
    }
    expect(refused).toBe(200);
    expect(bans.size).toBe(50);
  });
});
