/**
 * Tests of admin tokens: what is minted is read back, and nothing else passes for one.
 *
 * @module
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SignJWT } from "jose";
import {
  ADMIN_TOKEN_BYTES_MAX,
  type AdminClaims,
  mintAdminToken,
  verifyAdminToken,
} from "../../lib/auth/admin_token.ts";
import { loadOrCreateKey } from "../../lib/auth/key_store.ts";
import { mintToken, type SigningKey, TokenError, verifyToken } from "../../lib/auth/token.ts";

const NOW_MS = Date.UTC(2026, 0, 1);
const CLAIMS: AdminClaims = {
  ...{ id: "0123456789abcdef", name: "alice", role: "viewer" },
  ...{ issuedAtMs: NOW_MS, expiresAtMs: NOW_MS + 60_000 },
};
const OPTIONS = { nowMs: NOW_MS, isRevoked: () => false };

const dirs: string[] = [];
let key: SigningKey;
let otherKey: SigningKey;

async function newKey(): Promise<SigningKey> {
  const dir = mkdtempSync(join(tmpdir(), "netwall-admin-token-"));
  dirs.push(dir);
  return await loadOrCreateKey(dir);
}

beforeAll(async () => {
  key = await newKey();
  otherKey = await newKey();
});
afterAll(() => {
  for (const dir of dirs) rmSync(dir, { recursive: true });
});

/** The code that a token is refused with. */
async function codeOf(token: string, change: Partial<typeof OPTIONS> = {}): Promise<string> {
  try {
    await verifyAdminToken(key, token, { ...OPTIONS, ...change });
    return "accepted";
  } catch (error) {
    if (error instanceof TokenError) return error.code;
    throw error;
  }
}

test("what is minted is read back", async () => {
  for (const role of ["viewer", "operator"] as const) {
    const token = await mintAdminToken(key, { ...CLAIMS, role });
    expect(await verifyAdminToken(key, token, OPTIONS)).toEqual({ ...CLAIMS, role });
  }
  const long = await mintAdminToken(key, { ...CLAIMS, name: "a".repeat(128), id: "i".repeat(64) });
  expect(long.length).toBeLessThan(ADMIN_TOKEN_BYTES_MAX);
  expect(await codeOf(long)).toBe("accepted");
});

test("it is expired from its very second on, and revoked once it is in the list", async () => {
  const token = await mintAdminToken(key, CLAIMS);
  expect(await codeOf(token, { nowMs: CLAIMS.expiresAtMs - 1 })).toBe("accepted");
  expect(await codeOf(token, { nowMs: CLAIMS.expiresAtMs })).toBe("expired");
  expect(await codeOf(token, { isRevoked: () => true })).toBe("revoked");
});

test("the tokens of agents and of admins never pass for each other", async () => {
  const agent = await mintToken(key, {
    ...{
      id: CLAIMS.id,
      name: "alice",
      serve: ["*"],
      reach: ["*"],
      egress: true,
      namespace: "shop",
      image: "",
    },
    ...{ issuedAtMs: NOW_MS, expiresAtMs: NOW_MS + 60_000 },
  });
  expect(await codeOf(agent)).toBe("malformed");
  const admin = await mintAdminToken(key, CLAIMS);
  await expect(verifyToken(key, admin, OPTIONS)).rejects.toThrow(TokenError);
});

test("whatever differs in one point is refused", async () => {
  const payload = {
    jti: CLAIMS.id,
    sub: "alice",
    role: "operator",
    iat: NOW_MS / 1000,
    exp: NOW_MS / 1000 + 60,
  };
  const sign = async (
    change: Record<string, unknown> = {},
    { typ = "netwall-admin+jwt", issuer = "netwall-gateway", audience = "netwall-admin", by = key } = {},
  ): Promise<string> =>
    await new SignJWT({ ...payload, ...change }).setProtectedHeader({ alg: "EdDSA", typ })
      .setIssuer(issuer).setAudience(audience).sign(by.privateKey);
  expect(await codeOf(await sign())).toBe("accepted");
  const wrong: [string, string][] = [
    ["signature", await sign({}, { by: otherKey })],
    ["malformed", await sign({}, { typ: "JWT" })],
    ["malformed", await sign({}, { issuer: "other" })],
    ["malformed", await sign({}, { audience: "netwall-agent" })],
    ["malformed", await sign({ role: "root" })],
    ["malformed", await sign({ role: undefined })],
    ["malformed", await sign({ role: ["operator"] })],
    ["malformed", await sign({ sub: "" })],
    ["malformed", await sign({ sub: "admin" })],
    ["malformed", await sign({ sub: "a\nb" })],
    ["malformed", await sign({ jti: "short" })],
    ["malformed", await sign({ exp: undefined })],
    ["malformed", await sign({ exp: "soon" })],
    ["malformed", await sign({ pad: "x".repeat(2000) })],
    ["malformed", ""],
    ["malformed", "a.b"],
    ["malformed", "x".repeat(100_000)],
  ];
  for (const [code, token] of wrong) expect(await codeOf(token)).toBe(code);
  expect(wrong).toHaveLength(17);
  const [, body = "", signature = ""] = (await sign()).split(".");
  const none = btoa(JSON.stringify({ alg: "none", typ: "netwall-admin+jwt" })).replaceAll("=", "");
  for (const token of [`${none}.${body}.`, `${none}.${body}.${signature}`]) {
    expect(["malformed", "signature"]).toContain(await codeOf(token));
  }
});

test("claims out of bounds are not minted, nor the name of the one in the file", async () => {
  const bad: Partial<AdminClaims>[] = [
    { name: "" },
    { name: "a b" },
    { name: "a".repeat(129) },
    { id: "x" },
    { role: "root" as AdminClaims["role"] },
    { expiresAtMs: NaN },
    { expiresAtMs: Infinity },
    { issuedAtMs: -1 },
  ];
  for (const change of bad) {
    await expect(mintAdminToken(key, { ...CLAIMS, ...change })).rejects.toThrow(TokenError);
  }
  expect(bad).toHaveLength(8);
  await expect(mintAdminToken(key, { ...CLAIMS, name: "admin" })).rejects.toThrow(/the one in the file/);
});
