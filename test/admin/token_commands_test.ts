/**
 * Tests of minting, listing and revoking tokens on a data directory.
 *
 * @module
 */
import { afterEach, expect, test } from "bun:test";
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mintAdmin } from "../../lib/admin/admin_token_command.ts";
import { listTokens, mint, type MintOptions, revokeTokens } from "../../lib/admin/token_commands.ts";
import { verifyAdminToken } from "../../lib/auth/admin_token.ts";
import { loadOrCreateKey } from "../../lib/auth/key_store.ts";
import { verifyToken } from "../../lib/auth/token.ts";

const NOW_MS = Date.UTC(2026, 0, 1);

const dirs: string[] = [];
afterEach(() => {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
});

function dataDir(): string {
  const dir = mkdtempSync(join(tmpdir(), "netwall-tokens-"));
  dirs.push(dir);
  return dir;
}

function options(data: string, change: Partial<MintOptions> = {}): MintOptions {
  const rest = { reach: [], egress: false, namespace: "default", image: "", ttlMs: 86_400_000 };
  return { data, name: "web-1", serve: ["web", "api"], ...rest, ...change };
}

test("a minted token is good for what it says, and is kept nowhere", async () => {
  const data = dataDir();
  const token = await mint(options(data, { image: "ghcr.io/a/b:1" }), NOW_MS);
  const claims = await verifyToken(await loadOrCreateKey(data), token, {
    nowMs: NOW_MS,
    isRevoked: () => false,
  });
  expect(claims).toMatchObject({
    name: "web-1",
    serve: ["web", "api"],
    expiresAtMs: NOW_MS + 86_400_000,
    image: "ghcr.io/a/b:1",
  });
  const signature = token.split(".")[2]!;
  for (const file of readdirSync(data)) {
    expect(readFileSync(join(data, file), "utf8")).not.toContain(signature);
  }
});

test("the list shows who serves what until when, and in which state", async () => {
  const data = dataDir();
  expect(listTokens(data, NOW_MS)).toMatch(/^No token was minted yet: netwall-gateway token /);
  await mint(options(data), NOW_MS);
  await mint(options(data, { name: "old", serve: [], ttlMs: 1000 }), NOW_MS - 5000);
  await mint(
    options(data, {
      name: "gone",
      namespace: "shop",
      image: "ghcr.io/acme/web:1.2",
      serve: ["*"],
      reach: ["db", "user"],
      egress: true,
    }),
    NOW_MS,
  );
  revokeTokens(data, "gone", NOW_MS);
  const lines = listTokens(data, NOW_MS).trimEnd().split("\n");
  expect(lines).toHaveLength(4);
  expect(lines[0]).toMatch(/^ID +AGENT +GROUP +SERVES +MAY CALL +EXPIRES +STATE$/);
  expect(lines[1]).toMatch(/^\S+ +web-1 +default\/~web-1 +web,api +- +2026-01-02 +valid$/);
  expect(lines[2]).toMatch(/^\S+ +old +default\/~old +- +- +2025-12-31 +expired$/);
  expect(lines[3]).toMatch(
    /^\S+ +gone +shop\/ghcr\.io\/acme\/web +\* +db,user,outside +2026-01-02 +revoked$/,
  );
});

test("a token is revoked by its id, by itself, or by its agent's name", async () => {
  const data = dataDir();
  const first = await mint(options(data), NOW_MS);
  await mint(options(data), NOW_MS);
  await mint(options(data, { name: "other" }), NOW_MS);
  expect(revokeTokens(data, first, NOW_MS)).toMatch(/^Revoked \S+\n$/);
  expect(revokeTokens(data, first, NOW_MS)).toBe("Revoked already\n");
  const ids = listTokens(data, NOW_MS).trimEnd().split("\n").slice(1).map((line) => line.split(" ")[0]!);
  expect(revokeTokens(data, ids[2]!, NOW_MS)).toBe(`Revoked ${ids[2]}\n`);
  expect(revokeTokens(data, "web-1", NOW_MS)).toBe(`Revoked ${ids[1]}\n`);
  expect(listTokens(data, NOW_MS)).not.toContain("valid");
});

test("what names no token is an error, and revokes nothing", async () => {
  const data = dataDir();
  await mint(options(data), NOW_MS);
  for (const subject of ["nobody", "../../etc/passwd", "*", ""]) {
    expect(() => revokeTokens(data, subject, NOW_MS)).toThrow();
  }
  expect(listTokens(data, NOW_MS)).toContain("valid");
});

test("claims out of bounds are not minted, and not written down", async () => {
  const data = dataDir();
  const bad: Partial<MintOptions>[] = [
    { name: "" },
    { name: "a b" },
    { name: "a\nb" },
    { serve: ["NOT A NAME"] },
    { serve: Array.from({ length: 257 }, (_, i) => `s-${i}`) },
    { namespace: "" },
    { image: "a b" },
    { image: "x".repeat(513) },
  ];
  for (const change of bad) await expect(mint(options(data, change), NOW_MS)).rejects.toThrow();
  expect(bad).toHaveLength(8);
  expect(listTokens(data, NOW_MS)).toMatch(/^No token/);
});

test("an admin token is listed with its role, revoked by its name, and no agent's", async () => {
  const data = dataDir();
  const token = await mintAdmin({ data, name: "alice", role: "viewer", ttlMs: 86_400_000 }, NOW_MS);
  await mintAdmin({ data, name: "ops@example.com", role: "operator", ttlMs: 1_000 }, NOW_MS - 5_000);
  const key = await loadOrCreateKey(data);
  const check = { nowMs: NOW_MS, isRevoked: () => false };
  expect(await verifyAdminToken(key, token, check)).toMatchObject({ name: "alice", role: "viewer" });
  await expect(verifyToken(key, token, check)).rejects.toThrow();
  for (const file of readdirSync(data)) {
    expect(readFileSync(join(data, file), "utf8")).not.toContain(token.split(".")[2]!);
  }
  const lines = listTokens(data, NOW_MS).trimEnd().split("\n");
  expect(lines[1]).toMatch(/^\S+ +alice +- +- +admin API as viewer +2026-01-02 +valid$/);
  expect(lines[2]).toMatch(/^\S+ +ops@example\.com +- +- +admin API as operator +2025-12-31 +expired$/);
  expect(revokeTokens(data, "alice", NOW_MS)).toBe(`Revoked ${lines[1]!.split(" ")[0]}\n`);
  expect(listTokens(data, NOW_MS)).toMatch(/alice .* revoked\n/);
});

test("a name that no admin token may have is not minted, and not written down", async () => {
  const data = dataDir();
  const names = ["admin", "", "a b", "a\nb", "x".repeat(129)];
  for (const name of names) {
    await expect(mintAdmin({ data, name, role: "viewer", ttlMs: 1_000 }, NOW_MS)).rejects.toThrow();
  }
  expect(names).toHaveLength(5);
  expect(listTokens(data, NOW_MS)).toMatch(/^No token/);
});

test("a list of before there were admin tokens is read, beside lines of now", async () => {
  const data = dataDir();
  await mint(options(data), NOW_MS);
  const old = {
    id: "11111111-2222-4333-8444-555555555555",
    name: "old",
    serve: ["web"],
    reach: [],
    egress: false,
  };
  const line = {
    ...old,
    namespace: "default",
    image: "",
    issuedAtMs: NOW_MS,
    expiresAtMs: NOW_MS + 86_400_000,
  };
  appendFileSync(join(data, "tokens.jsonl"), `${JSON.stringify(line)}\n`);
  await mintAdmin({ data, name: "alice", role: "viewer", ttlMs: 1_000 }, NOW_MS);
  expect(listTokens(data, NOW_MS).trimEnd().split("\n").map((it) => it.split(/ {2,}/)[1])).toEqual([
    "AGENT",
    "web-1",
    "old",
    "alice",
  ]);
});
