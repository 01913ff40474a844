/**
 * Agent tokens: who an agent is and what it may do, signed by the gateway's own key.
 *
 * A token is a JWT with an Ed25519 signature. The algorithm, the issuer and the audience are pinned: what a token
 * says about itself never decides how it is checked. Nothing here keeps or logs a token.
 *
 * Source: RFC 7519, RFC 8037 §3.1, RFC 8725 §3 (best current practices).
 *
 * @module
 */

import { randomUUID } from "node:crypto";
import { errors, jwtVerify, SignJWT } from "jose";
import { z } from "zod";
import { assert } from "../assert.ts";
import { isServiceName } from "../service_name.ts";

/** The largest token. It travels in one header, and the head that carries it is bounded too. */
export const TOKEN_BYTES_MAX = 4096;
/** Services in one list of a token; the size of the token bounds them further. */
export const TOKEN_SERVICES_MAX = 256;
export const ALGORITHM = "EdDSA";
export const ISSUER = "netwall-gateway";
const KIND: TokenKind = { audience: "netwall-agent", type: "JWT", name: "token" };

/**
 * A token cannot be used.
 *
 * `malformed`: too long, no token, or claims that no gateway mints. `signature`: another key or algorithm.
 * `expired` and `revoked`: it was good once.
 */
export class TokenError extends Error {
  override name = "TokenError";
  constructor(
    message: string,
    readonly code: "malformed" | "expired" | "revoked" | "signature",
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The gateway's key pair, see `loadOrCreateKey`. */
export interface SigningKey {
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
}

/** What a token says. */
export interface TokenClaims {
  /** Names this token in the list of tokens and of revocations. */
  readonly id: string;
  /** The agent. */
  readonly name: string;
  /** Services it may publish; `*` is any. */
  readonly serve: readonly string[];
  /** Services of other agents it may call; `*` is any. */
  readonly reach: readonly string[];
  /** Whether it may call the outside through the gateway. */
  readonly egress: boolean;
  readonly namespace: string;
  /** The image of the container, or empty when it was not enrolled. */
  readonly image: string;
  /** Since 1970; whole seconds, as in the token. */
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}

/** What a token is checked against. */
export interface VerifyOptions {
  /** The time now, since 1970. */
  readonly nowMs: number;
  readonly isRevoked: (id: string) => boolean;
}

const services = z.array(z.string().refine((name) => name === "*" || isServiceName(name))).max(
  TOKEN_SERVICES_MAX,
);
const seconds = z.int().min(0).max(253_402_300_799);
const payloadSchema = z.object({
  jti: z.string().regex(/^[A-Za-z0-9_-]{8,64}$/),
  sub: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/),
  serve: services,
  reach: services,
  egress: z.boolean(),
  ns: z.string().refine(isServiceName),
  img: z.string().regex(/^[\x21-\x7e]{0,512}$/),
  iat: seconds,
  exp: seconds,
});

/** A new id for a token: 122 random bits. */
export function createTokenId(): string {
  return randomUUID();
}

/**
 * Signs a token.
 *
 * @param claims Times are rounded down to whole seconds.
 * @returns The token; the caller shows it once and keeps it nowhere.
 * @throws {TokenError} `malformed`: a claim is out of bounds, or the token would be over `TOKEN_BYTES_MAX`.
 */
export async function mintToken(key: SigningKey, claims: TokenClaims): Promise<string> {
  const payload = payloadSchema.safeParse({
    jti: claims.id,
    sub: claims.name,
    serve: claims.serve,
    reach: claims.reach,
    egress: claims.egress,
    ns: claims.namespace,
    img: claims.image,
    iat: Math.floor(claims.issuedAtMs / 1000),
    exp: Math.floor(claims.expiresAtMs / 1000),
  });
  if (!payload.success) {
    const claim = payload.error.issues[0]?.path.join(".") ?? "";
    throw new TokenError(`Cannot mint the token: claim ${claim} is out of bounds, change it`, "malformed");
  }
  const token = await new SignJWT(payload.data)
    .setProtectedHeader({ alg: ALGORITHM, typ: KIND.type })
    .setIssuer(ISSUER)
    .setAudience(KIND.audience)
    .sign(key.privateKey);
  if (token.length > TOKEN_BYTES_MAX) {
    throw new TokenError(
      `Cannot mint the token: it would have ${token.length} bytes of at most ${TOKEN_BYTES_MAX}, name fewer services`,
      "malformed",
    );
  }
  return token;
}

/**
 * Checks a token and reads its claims.
 *
 * A token is expired from the very second of its expiry on: there is no leeway.
 *
 * @param token What a stranger sent. Over `TOKEN_BYTES_MAX` it is refused before it is looked into.
 * @throws {TokenError} See its codes.
 */
export async function verifyToken(
  key: SigningKey,
  token: string,
  options: VerifyOptions,
): Promise<TokenClaims> {
  assert(Number.isFinite(options.nowMs), "the time is a number");
  // Characters are counted, which bounds the bytes: a token is ASCII, and what is not is refused by its shape.
  if (token.length > TOKEN_BYTES_MAX) {
    throw new TokenError(`Cannot accept the token: longer than ${TOKEN_BYTES_MAX} bytes`, "malformed");
  }
  if (!/^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/.test(token)) {
    throw new TokenError("Cannot accept the token: not a signed JWT", "malformed");
  }
  const payload = payloadSchema.safeParse(await verifiedPayload(key, token, KIND, options.nowMs));
  if (!payload.success) {
    const claim = payload.error.issues[0]?.path.join(".") ?? "";
    throw new TokenError(`Cannot accept the token: claim ${claim} is missing or out of bounds`, "malformed");
  }
  const { jti, sub, serve, reach, egress, ns, img, iat, exp } = payload.data;
  if (options.isRevoked(jti)) {
    throw new TokenError("Cannot accept the token: it was revoked, mint a new one", "revoked");
  }
  return Object.freeze({
    id: jti,
    name: sub,
    serve: Object.freeze(serve),
    reach: Object.freeze(reach),
    egress,
    namespace: ns,
    image: img,
    issuedAtMs: iat * 1000,
    expiresAtMs: exp * 1000,
  });
}

/** Which of the gateway's tokens one must be: none ever passes for another. */
export interface TokenKind {
  readonly audience: string;
  readonly type: string;
  /** In messages, such as `token`. */
  readonly name: string;
}

/**
 * Checks signature, kind and time of a token.
 *
 * @returns Its payload, whose claims are still to be checked.
 * @throws {TokenError} See its codes.
 */
export async function verifiedPayload(
  key: SigningKey,
  token: string,
  kind: TokenKind,
  nowMs: number,
): Promise<unknown> {
  try {
    const { payload } = await jwtVerify(token, key.publicKey, {
      algorithms: [ALGORITHM],
      issuer: ISSUER,
      audience: kind.audience,
      typ: kind.type,
      currentDate: new Date(nowMs),
      clockTolerance: 0,
      requiredClaims: ["exp", "iat", "jti", "sub"],
    });
    return payload;
  } catch (cause) {
    throw tokenErrorOf(cause, kind.name);
  }
}

/** The cause goes along for a debugger; its message may name a claim, never a token. */
function tokenErrorOf(cause: unknown, name: string): TokenError {
  if (cause instanceof errors.JWTExpired) {
    return new TokenError(`Cannot accept the ${name}: it has expired, mint a new one`, "expired", { cause });
  }
  if (cause instanceof errors.JWSSignatureVerificationFailed || cause instanceof errors.JOSEAlgNotAllowed) {
    return new TokenError(`Cannot accept the ${name}: not signed by this gateway`, "signature", { cause });
  }
  if (cause instanceof errors.JOSEError) {
    return new TokenError(`Cannot accept the ${name}: ${cause.code}`, "malformed", { cause });
  }
  throw cause;
}

/** Whether the token lets its agent publish a service. */
export function mayServe(claims: Pick<TokenClaims, "serve">, service: string): boolean {
  return allows(claims.serve, service);
}

/** Whether the token lets its agent call a service of another agent. */
export function mayReach(claims: Pick<TokenClaims, "reach">, service: string): boolean {
  return allows(claims.reach, service);
}

function allows(list: readonly string[], service: string): boolean {
  return isServiceName(service) && (list.includes("*") || list.includes(service));
}
