/**
 * Failures of tokens: when a peer is slowed, for how long, and who is let through all the same.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import {
  Attempts,
  CALM_MS,
  FAILURES_FREE,
  FAILURES_MS,
  PAUSE_MS_MAX,
  PAUSE_MS_MIN,
  TOKENS_MAX,
} from "../../lib/auth/attempts.ts";

/** Fails as often as it takes to be slowed, all at one moment. */
function slowed(attempts: Attempts, peer: string, nowMs: number): void {
  for (let failure = 0; failure <= FAILURES_FREE; failure++) attempts.failed(peer, nowMs);
}

describe("Attempts", () => {
  test("a few failures slow nobody, one more does, and that is told once", () => {
    const attempts = new Attempts();
    for (let failure = 1; failure <= FAILURES_FREE; failure++) {
      expect(attempts.failed("a", 0)).toEqual({ count: failure, isNewlySlowed: false });
      expect(attempts.check("a", 0)).toEqual({ ok: true });
    }
    expect(attempts.failed("a", 0)).toEqual({ count: FAILURES_FREE + 1, isNewlySlowed: true });
    expect(attempts.check("a", 0)).toEqual({ ok: false, retryAfterMs: PAUSE_MS_MIN });
    expect(attempts.failed("a", 0)).toMatchObject({ isNewlySlowed: false });
    expect(attempts.check("b", 0)).toEqual({ ok: true });
  });

  test("failures that are far apart slow nobody", () => {
    const attempts = new Attempts();
    for (let failure = 0; failure < 100; failure++) {
      const nowMs = failure * (FAILURES_MS / FAILURES_FREE);
      expect(attempts.failed("a", nowMs).count).toBeLessThanOrEqual(FAILURES_FREE);
      expect(attempts.check("a", nowMs).ok).toBe(true);
    }
  });

  test("a slowed peer gets one look after each pause, whatever it does in between", () => {
    const attempts = new Attempts();
    slowed(attempts, "a", 0);
    for (let ms = 0; ms < PAUSE_MS_MIN; ms += 100) expect(attempts.check("a", ms).ok).toBe(false);
    expect(attempts.check("a", PAUSE_MS_MIN)).toEqual({ ok: true });
    // The look is taken, though its outcome is not known yet.
    expect(attempts.check("a", PAUSE_MS_MIN).ok).toBe(false);
  });

  test("pauses double up to a bound, and waiting as long as told is enough", () => {
    const attempts = new Attempts();
    slowed(attempts, "a", 0);
    const waits: number[] = [];
    let nowMs = 0;
    for (let look = 0; look < 8; look++) {
      const refused = attempts.check("a", nowMs);
      if (refused.ok) throw new Error("not slowed");
      waits.push(refused.retryAfterMs);
      nowMs += refused.retryAfterMs;
      expect(attempts.check("a", nowMs).ok).toBe(true);
      attempts.failed("a", nowMs);
    }
    expect(waits).toEqual([
      1_000,
      2_000,
      4_000,
      8_000,
      PAUSE_MS_MAX,
      PAUSE_MS_MAX,
      PAUSE_MS_MAX,
      PAUSE_MS_MAX,
    ]);
  });

  test("a slowed peer is forgotten after a calm time", () => {
    const attempts = new Attempts();
    slowed(attempts, "a", 0);
    attempts.failed("a", 1_000);
    expect(attempts.check("a", CALM_MS).ok).toBe(true);
    expect(attempts.check("a", CALM_MS).ok).toBe(false);
    expect(attempts.check("a", CALM_MS + 1_000).ok).toBe(true);
    expect(attempts.check("a", CALM_MS + 1_000).ok).toBe(true);
    expect(attempts.size).toBe(0);
  });

  test("a token that held before is looked at, one that did not is not, and nothing is forgiven", () => {
    const attempts = new Attempts();
    attempts.held("good");
    slowed(attempts, "a", 0);
    for (let again = 0; again < 100; again++) expect(attempts.check("a", 0, "good").ok).toBe(true);
    expect(attempts.check("a", 0, "guess").ok).toBe(false);
    attempts.held("good");
    expect(attempts.check("a", 0, "guess").ok).toBe(false);
    expect(attempts.check("a", 0).ok).toBe(false);
  });

  test("the tokens that held are bounded, and the oldest go first", () => {
    const attempts = new Attempts();
    attempts.held("first");
    attempts.held("second");
    for (let token = 0; token < TOKENS_MAX - 2; token++) attempts.held(`token${token}`);
    attempts.held("first");
    attempts.held("one more");
    slowed(attempts, "a", 0);
    expect(attempts.check("a", 0, "first").ok).toBe(true);
    expect(attempts.check("a", 0, "second").ok).toBe(false);
  });

  test("a clock that was put back keeps nobody out for longer than a pause", () => {
    const attempts = new Attempts();
    slowed(attempts, "a", 10_000_000);
    expect(attempts.check("a", 0).ok).toBe(true);
    expect(attempts.check("a", 0)).toEqual({ ok: false, retryAfterMs: PAUSE_MS_MIN });
  });
});
