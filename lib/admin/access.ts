/**
 * Who may use the admin API: the token of the file, or admin tokens that the gateway signed.
 *
 * There are no cookies and no basic credentials: a browser adds neither by itself, so no foreign page can ask in an
 * operator's name. Wrong tokens are counted per peer and slowed; the token of the file is compared first, which costs
 * one digest, so that nobody who guesses can lock its holder out.
 *
 * Source: RFC 6750 §2.1, §3.
 *
 * @module
 */
import { ADMIN_TOKEN_BYTES_MAX, FILE_ADMIN_NAME, verifyAdminToken } from "../auth/admin_token.ts";
import type { Attempts } from "../auth/attempts.ts";
import { secretsEqual } from "../auth/key_store.ts";
import { type SigningKey, TokenError } from "../auth/token.ts";
import type { Actor } from "./control.ts";
import { ApiFault } from "./fault.ts";

/** Slows peers that present wrong tokens, see lib/auth/attempts.ts. */
export type AttemptsLike = Pick<Attempts, "check" | "failed" | "held">;

export interface AccessOptions {
  /** The token in the file. */
  readonly token: string;
  /** What signed tokens are checked against; without it there are none. */
  readonly signed?: { readonly key: SigningKey; readonly isRevoked: (id: string) => boolean };
  readonly attempts?: AttemptsLike;
  /** Told of each token that did not hold, and how many of its peer did not lately. */
  readonly onGuess?: (peer: string, failures: number) => void;
  /** Since 1970. @default Date.now */
  readonly nowMs?: () => number;
}

/** Who sent a request. */
export interface Caller {
  readonly actor: Actor;
  /** Whether its token still holds: what stays open asks again. */
  isGood(): boolean;
}

const BEARER = new RegExp(`^Bearer ([\\x21-\\x7e]{1,${ADMIN_TOKEN_BYTES_MAX}})$`, "i");

/**
 * Finds out who sent a request.
 *
 * @param authorization The header, as it came.
 * @param peer The address of the other end; an IPv6 one by its network. Empty on a unix socket.
 * @returns The fault to answer, 401 or 429, when nobody is known.
 */
export async function identify(
  options: AccessOptions,
  authorization: string | undefined,
  peer: string,
): Promise<Caller | ApiFault> {
  const given = BEARER.exec(authorization ?? "")?.[1];
  // What sends no token at all guesses nothing: it is not counted.
  if (given === undefined) return unauthorized();
  if (secretsEqual(given, options.token)) {
    return { actor: { name: FILE_ADMIN_NAME, role: "operator" }, isGood: () => true };
  }
  const now = options.nowMs ?? Date.now;
  const slowed = options.attempts?.check(peer, now(), given);
  if (slowed?.ok === false) {
    const seconds = Math.max(1, Math.ceil(slowed.retryAfterMs / 1000));
    return new ApiFault(429, "Too many wrong tokens came from this address: wait", undefined, {
      "Retry-After": String(seconds),
    });
  }
  const caller = await signedCaller(options, given, now);
  if (caller !== undefined) {
    options.attempts?.held(given);
    return caller;
  }
  const failures = options.attempts?.failed(peer, now()).count ?? 1;
  options.onGuess?.(peer, failures);
  return unauthorized();
}

async function signedCaller(
  { signed }: AccessOptions,
  token: string,
  now: () => number,
): Promise<Caller | undefined> {
  if (signed === undefined) return undefined;
  try {
    const { isRevoked } = signed;
    const claims = await verifyAdminToken(signed.key, token, { nowMs: now(), isRevoked });
    return {
      actor: { name: claims.name, role: claims.role },
      isGood: () => now() < claims.expiresAtMs && !isRevoked(claims.id),
    };
  } catch (error) {
    if (error instanceof TokenError) return undefined;
    throw error;
  }
}

/** One answer for every reason: it must not tell a guesser how near a token was. */
function unauthorized(): ApiFault {
  return new ApiFault(
    401,
    "Send the admin token: Authorization: Bearer TOKEN, as in the file admin-token of the data directory",
    undefined,
    { "WWW-Authenticate": 'Bearer realm="netwall"' },
  );
}
