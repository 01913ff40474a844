/**
 * Guessing tokens: how many are looked at, and that neither a flood of addresses nor a neighbour changes it much.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { Attempts, FAILURES_FREE, PAUSE_MS_MAX } from "../../lib/auth/attempts.ts";

/** Guesses once every `everyMs` for so long. @returns How many guesses were looked at. */
function guess(attempts: Attempts, peer: string, fromMs: number, forMs: number, everyMs: number): number {
  let looks = 0;
  for (let nowMs = fromMs; nowMs < fromMs + forMs; nowMs += everyMs) {
    if (!attempts.check(peer, nowMs, `guess ${nowMs}`).ok) continue;
    looks++;
    attempts.failed(peer, nowMs);
  }
  return looks;
}

describe("whoever guesses tokens", () => {
  test("has few of a hundred thousand looked at", () => {
    const hourMs = 3_600_000;
    const looks = guess(new Attempts(), "attacker", 0, hourMs, 36);
    expect(looks).toBeGreaterThan(FAILURES_FREE);
    expect(looks).toBeLessThanOrEqual(FAILURES_FREE + 6 + hourMs / PAUSE_MS_MAX);
  });

  test("is not freed by failures of many other addresses, and these are bounded", () => {
    const attempts = new Attempts(100);
    guess(attempts, "attacker", 0, 1_000, 10);
    const nowMs = 1_000;
    for (let peer = 0; peer < 800; peer++) attempts.failed(`flood${peer}`, nowMs);
    expect(attempts.size).toBeLessThanOrEqual(100);
    expect(guess(attempts, "attacker", 1_010, 1_000, 1)).toBeLessThanOrEqual(1);
  });

  test("from more addresses than are kept grows no memory, and frees none that failed more often", () => {
    const attempts = new Attempts(100);
    for (let failure = 0; failure < 50; failure++) attempts.failed("attacker", 0);
    for (let round = 0; round < 20; round++) {
      for (let peer = 0; peer < 400; peer++) attempts.failed(`bot${peer}`, round);
    }
    expect(attempts.size).toBe(100);
    expect(attempts.check("attacker", 20).ok).toBe(false);
  });

  test("keeps out no neighbour whose token held before", () => {
    const attempts = new Attempts();
    attempts.held("agent");
    let refused = 0;
    for (let nowMs = 0; nowMs < 60_000; nowMs += 100) {
      guess(attempts, "nat", nowMs, 100, 10);
      if (!attempts.check("nat", nowMs, "agent").ok) refused++;
    }
    expect(refused).toBe(0);
  });

  test("keeps a new neighbour out no longer than a pause once it ends", () => {
    const attempts = new Attempts();
    guess(attempts, "nat", 0, 600_000, 50);
    const look = attempts.check("nat", 600_000, "new agent");
    const waitMs = look.ok ? 0 : look.retryAfterMs;
    expect(waitMs).toBeLessThanOrEqual(PAUSE_MS_MAX);
    expect(attempts.check("nat", 600_000 + waitMs, "new agent").ok).toBe(true);
  });
});
