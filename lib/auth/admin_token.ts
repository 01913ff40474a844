/**
 * Admin tokens: who may look at the gateway and who may change it, signed by its own key.
 *
 * They are JWTs like the tokens of agents, of another audience and another type: neither ever passes for the other.
 * The token in the file `admin-token` is none of these; it needs no key and no list, and is the way back in.
 *
 * Source: RFC 7519, RFC 8037 §3.1, RFC 8725 §3.9 (audience) and §3.11 (explicit typing).
 *
 * @module
 */

import { SignJWT } from "jose";
import { z } from "zod";
import { assert } from "../assert.ts";
import {
  ALGORITHM,
  ISSUER,
  type SigningKey,
  TokenError,
  type TokenKind,
  verifiedPayload,
  type VerifyOptions,
} from "./token.ts";

/** The largest admin token; one with the longest name has about 600 bytes. */
export const ADMIN_TOKEN_BYTES_MAX = 1024;
/** Who the token in the file is: no other token has this name, so that the audit log is clear. */
export const FILE_ADMIN_NAME = "admin";
const KIND: TokenKind = { audience: "netwall-admin", type: "netwall-admin+jwt", name: "admin token" };

/** `viewer`: sees what is no secret. `operator`: changes things too. */
export type AdminRole = "viewer" | "operator";

/** What an admin token says. */
export interface AdminClaims {
  /** Names this token in the lists of tokens and of revocations. */
  readonly id: string;
  /** Who holds it: it stands in the audit log. */
  readonly name: string;
  readonly role: AdminRole;
  /** Since 1970; whole seconds, as in the token. */
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}

const seconds = z.int().min(0).max(253_402_300_799);
const payloadSchema = z.object({
  jti: z.string().regex(/^[A-Za-z0-9_-]{8,64}$/),
  sub: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$/).refine((name) => name !== FILE_ADMIN_NAME),
  role: z.enum(["viewer", "operator"]),
  iat: seconds,
  exp: seconds,
});

/**
 * Signs an admin token.
 *
 * @param claims Times are rounded down to whole seconds.
 * @returns The token; the caller shows it once and keeps it nowhere.
 * @throws {TokenError} `malformed`: a claim is out of bounds, or the name is `FILE_ADMIN_NAME`.
 */
export async function mintAdminToken(key: SigningKey, claims: AdminClaims): Promise<string> {
  const payload = payloadSchema.safeParse({
    jti: claims.id,
    sub: claims.name,
    role: claims.role,
    iat: Math.floor(claims.issuedAtMs / 1000),
    exp: Math.floor(claims.expiresAtMs / 1000),
  });
  if (!payload.success) {
    const claim = payload.error.issues[0]?.path.join(".") ?? "";
    const hint = claims.name === FILE_ADMIN_NAME
      ? `, ${FILE_ADMIN_NAME} is the name of the one in the file`
      : "";
    throw new TokenError(
      `Cannot mint the admin token: claim ${claim} is out of bounds${hint}, change it`,
      "malformed",
    );
  }
  return await new SignJWT(payload.data)
    .setProtectedHeader({ alg: ALGORITHM, typ: KIND.type })
    .setIssuer(ISSUER)
    .setAudience(KIND.audience)
    .sign(key.privateKey);
}

/**
 * Checks an admin token and reads its claims. It is expired from the very second of its expiry on.
 *
 * @param token What a stranger sent. Over `ADMIN_TOKEN_BYTES_MAX` it is refused before it is looked into.
 * @throws {TokenError} See its codes.
 */
export async function verifyAdminToken(
  key: SigningKey,
  token: string,
  options: VerifyOptions,
): Promise<AdminClaims> {
  assert(Number.isFinite(options.nowMs), "the time is a number");
  if (
    token.length > ADMIN_TOKEN_BYTES_MAX || !/^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/.test(token)
  ) {
    throw new TokenError("Cannot accept the admin token: too long, or not a signed JWT", "malformed");
  }
  const payload = payloadSchema.safeParse(await verifiedPayload(key, token, KIND, options.nowMs));
  if (!payload.success) {
    const claim = payload.error.issues[0]?.path.join(".") ?? "";
    throw new TokenError(
      `Cannot accept the admin token: claim ${claim} is missing or out of bounds`,
      "malformed",
    );
  }
  const { jti, sub, role, iat, exp } = payload.data;
  if (options.isRevoked(jti)) {
    throw new TokenError("Cannot accept the admin token: it was revoked, mint a new one", "revoked");
  }
  return Object.freeze({ id: jti, name: sub, role, issuedAtMs: iat * 1000, expiresAtMs: exp * 1000 });
}
