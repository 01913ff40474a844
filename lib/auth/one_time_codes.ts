/**
 * Codes that open the page once: what stands behind the `#` of a link.
 *
 * A code lives for minutes, in memory alone, and as a digest: whoever reads the memory of the gateway later finds
 * none. Whoever comes first has it; for all others it is as if it had never been.
 *
 * @module
 */
import { createHash, randomBytes } from "node:crypto";
import { type Grant, holderKey } from "./grant.ts";

/** Codes that wait. Over it the oldest goes. */
export const CODES_MAX = 64;
/** Codes of one holder that wait: nobody pushes out those of others. Over it the holder's oldest goes. */
export const CODES_PER_HOLDER_MAX = 16;
export const CODE_MS_MAX = 10 * 60_000;
/** 192 bits, 32 characters. */
const CODE_BYTES = 24;

/** What a code looks like; anything else is none. */
export const CODE_PATTERN = /^[A-Za-z0-9_-]{32}$/;

interface Waiting {
  readonly grant: Grant;
  readonly expiresAtMs: number;
}

export class OneTimeCodes {
  /** By digest, the oldest first. */
  readonly #waiting = new Map<string, Waiting>();
  readonly #nowMs: () => number;

  /** @param nowMs Since 1970. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Codes that wait, those that are over among them. */
  get size(): number {
    return this.#waiting.size;
  }

  /**
   * Makes a code.
   *
   * @param grant What it gives. The code ends with it.
   */
  make(grant: Grant): { readonly code: string; readonly expiresAtMs: number } {
    this.#sweep();
    const key = holderKey(grant);
    const own = [...this.#waiting].filter(([, other]) => holderKey(other.grant) === key);
    if (own.length >= CODES_PER_HOLDER_MAX) this.#waiting.delete(own[0]![0]);
    for (const oldest of this.#waiting.keys()) {
      if (this.#waiting.size < CODES_MAX) break;
      this.#waiting.delete(oldest);
    }
    const code = randomBytes(CODE_BYTES).toString("base64url");
    const expiresAtMs = Math.min(this.#nowMs() + CODE_MS_MAX, grant.endsAtMs);
    this.#waiting.set(digestOf(code), { grant, expiresAtMs });
    return { code, expiresAtMs };
  }

  /**
   * Takes a code, which is none from then on. No await is in here, so of two who come at once one has it.
   *
   * @returns What it gives; `undefined` when it was never made, was taken, is over, or its maker's right has ended.
   */
  take(code: string): Grant | undefined {
    if (!CODE_PATTERN.test(code)) return undefined;
    const digest = digestOf(code);
    const waiting = this.#waiting.get(digest);
    if (waiting === undefined) return undefined;
    this.#waiting.delete(digest);
    return this.#holds(waiting) ? waiting.grant : undefined;
  }

  #sweep(): void {
    for (const [digest, waiting] of this.#waiting) {
      if (!this.#holds(waiting)) this.#waiting.delete(digest);
    }
  }

  #holds({ grant, expiresAtMs }: Waiting): boolean {
    return this.#nowMs() < expiresAtMs && grant.isGood();
  }
}

function digestOf(code: string): string {
  return createHash("sha256").update(code).digest("base64");
}
