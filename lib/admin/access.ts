/**
 * Who may use the admin API: the token of the file, admin tokens that the gateway signed, or a session of the page.
 *
 * Tokens come in a header that no browser adds by itself. The cookie of a session is added by browsers, so it alone
 * says nothing: it counts only beside the header `X-Netwall-Page`. A form, an image or a link of a foreign page
 * cannot send that header; a script of one must ask this listener first (a CORS preflight), which is always refused.
 * Besides, browsers hold the cookie back from other sites (SameSite=Strict), and where they tell who asks
 * (Sec-Fetch-Site) only this very origin counts: not another port of the same host, to which they would send it.
 *
 * Wrong tokens and codes are counted per peer and slowed; the token of the file and a code that holds cost one
 * digest and are looked at first, so that nobody who guesses can lock their holders out.
 *
 * Source: RFC 6750 §2.1, §3. RFC 6265 §8.2. Fetch Standard §3.2 (CORS). W3C Fetch Metadata Request Headers §2.3.
 *
 * @module
 */
import { ADMIN_TOKEN_BYTES_MAX, FILE_ADMIN_NAME, verifyAdminToken } from "../auth/admin_token.ts";
import type { Attempts } from "../auth/attempts.ts";
import type { Grant } from "../auth/grant.ts";
import { secretsEqual } from "../auth/key_store.ts";
import type { Session, Sessions } from "../auth/sessions.ts";
import { type SigningKey, TokenError } from "../auth/token.ts";
import { sessionIdsOf } from "../session_cookie.ts";
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
  /** Sessions of the page; without it there are none. */
  readonly sessions?: Sessions;
  /** Told of each token and code that did not hold, and how many of its peer did not lately. */
  readonly onGuess?: (peer: string, failures: number) => void;
  /** Since 1970. @default Date.now */
  readonly nowMs?: () => number;
}

/** Who sent a request. */
export interface Caller {
  readonly actor: Actor;
  /** What its links give. */
  readonly grant: Grant;
  /** The session that it came by; absent when it came with a token. */
  readonly session?: Session;
  /** Whether it may still ask: what stays open asks again. A session is in use then. */
  isGood(): boolean;
}

/** What somebody signs in with. */
export type Credential = { readonly kind: "token" | "code"; readonly text: string };

/** What the page sends with every request. */
export const PAGE_HEADER = "X-Netwall-Page";

const BEARER = new RegExp(`^Bearer ([\\x21-\\x7e]{1,${ADMIN_TOKEN_BYTES_MAX}})$`, "i");

/**
 * Finds out who sent a request. A token counts before a session: one that is wrong is not made good by a cookie.
 *
 * @param headers Of the request, as they came.
 * @param peer The address of the other end; an IPv6 one by its network. Empty on a unix socket.
 * @returns The fault to answer, 401 or 429, when nobody is known.
 */
export async function identify(
  options: AccessOptions,
  headers: Headers,
  peer: string,
): Promise<Caller | ApiFault> {
  const authorization = headers.get("authorization") ?? "";
  // Of another scheme it is for a proxy in front of this listener, and none of ours.
  if (!/^bearer/i.test(authorization)) return identifySession(options, headers);
  const text = BEARER.exec(authorization)?.[1];
  // What sends no token at all guesses nothing: it is not counted.
  if (text === undefined) return unauthorized();
  const grant = await grantOf(options, { kind: "token", text }, peer);
  if (grant instanceof ApiFault) return grant;
  return { actor: { name: grant.name, role: grant.role }, grant, isGood: () => grant.isGood() };
}

function identifySession({ sessions }: AccessOptions, headers: Headers): Caller | ApiFault {
  const ids = sessionIdsOf(headers.get("cookie"));
  if (sessions === undefined || ids.length === 0 || !isOfPage(headers)) return unauthorized();
  const session = sessions.findOnly(ids);
  // Sessions end every day, and an id is not guessed: it is not counted.
  if (session === undefined) return unauthorized("The session is over: sign in again");
  const { name, role, grant } = session;
  return { actor: { name, role }, grant, session, isGood: () => session.isGood() };
}

/** Whether the page itself sent a request, as far as browsers can be made to say something else. */
export function isOfPage(headers: Headers): boolean {
  // Only browsers send it, and only to hosts that they trust: HTTPS and loopback.
  const site = headers.get("sec-fetch-site");
  return headers.get(PAGE_HEADER) === "1" && (site === null || site === "same-origin");
}

/**
 * What a token or a code gives. A code is used up by it.
 *
 * @returns The fault to answer, 401 or 429, when it gives nothing.
 */
export async function grantOf(
  options: AccessOptions,
  { kind, text }: Credential,
  peer: string,
): Promise<Grant | ApiFault> {
  const now = options.nowMs ?? Date.now;
  const cheap = kind === "code" ? options.sessions?.takeCode(text) : fileGrant(options, text);
  if (cheap !== undefined) return cheap;
  const slowed = options.attempts?.check(peer, now(), text);
  if (slowed?.ok === false) {
    return tooMany("Too many wrong tokens came from this address: wait", slowed.retryAfterMs);
  }
  const grant = kind === "token" ? await signedGrant(options, text, now) : undefined;
  if (grant !== undefined) {
    options.attempts?.held(text);
    return grant;
  }
  const failures = options.attempts?.failed(peer, now()).count ?? 1;
  options.onGuess?.(peer, failures);
  return unauthorized(kind === "code" ? USED_UP : undefined);
}

/** The answer to who has to wait. */
export function tooMany(detail: string, retryAfterMs: number): ApiFault {
  const seconds = Math.max(1, Math.ceil(retryAfterMs / 1000));
  return new ApiFault(429, detail, undefined, { "Retry-After": String(seconds) });
}

/** What the gateway's own operator may: the holder of the file, and whoever runs the process. */
export function fileAdmin(): Grant {
  return { name: FILE_ADMIN_NAME, role: "operator", endsAtMs: Infinity, generation: 0, isGood: () => true };
}

function fileGrant({ token }: AccessOptions, given: string): Grant | undefined {
  return secretsEqual(given, token) ? fileAdmin() : undefined;
}

async function signedGrant(
  { signed }: AccessOptions,
  token: string,
  now: () => number,
): Promise<Grant | undefined> {
  if (signed === undefined) return undefined;
  try {
    const { isRevoked } = signed;
    const { id, name, role, expiresAtMs } = await verifyAdminToken(signed.key, token, {
      nowMs: now(),
      isRevoked,
    });
    const isGood = (): boolean => now() < expiresAtMs && !isRevoked(id);
    return { name, role, endsAtMs: expiresAtMs, generation: 0, isGood };
  } catch (error) {
    if (error instanceof TokenError) return undefined;
    throw error;
  }
}

const USED_UP =
  "The link does not hold: it works once and for ten minutes, make another with netwall-gateway page";

/** One answer for every reason: it must not tell a guesser how near a token was. */
function unauthorized(
  detail =
    "Send the admin token: Authorization: Bearer TOKEN, as in the file admin-token of the data directory",
): ApiFault {
  return new ApiFault(401, detail, undefined, { "WWW-Authenticate": 'Bearer realm="netwall"' });
}
