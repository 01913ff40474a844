/**
 * The commands that mint, list and revoke tokens. They work on the data directory alone, beside a running gateway.
 *
 * @module
 */
import { loadOrCreateKey } from "../auth/key_store.ts";
import { createTokenId, mintToken, type TokenClaims } from "../auth/token.ts";
import { listMinted, listRevoked, recordMinted, revoke } from "../auth/token_list.ts";
import { groupOf } from "../policy/flow.ts";
import { table } from "./table.ts";

/** What a token is to say. */
export interface MintOptions {
  data: string;
  name: string;
  serve: readonly string[];
  reach: readonly string[];
  egress: boolean;
  namespace: string;
  image: string;
  ttlMs: number;
}

/** Mints a token and writes down that it was; the token itself is kept nowhere. */
export async function mint(options: MintOptions, nowMs: number): Promise<string> {
  const { data, name, serve, reach, egress, namespace, image, ttlMs } = options;
  const id = createTokenId();
  const claims: TokenClaims = {
    ...{ id, name, serve, reach, egress, namespace, image },
    issuedAtMs: nowMs,
    expiresAtMs: nowMs + ttlMs,
  };
  const token = await mintToken(await loadOrCreateKey(data), claims);
  recordMinted(data, claims);
  return token;
}

/** The minted tokens as a table for people. */
export function listTokens(data: string, nowMs: number): string {
  const revoked = listRevoked(data);
  const rows = listMinted(data).map((token) => [
    token.id,
    token.name,
    token.role === undefined ? groupOf(token.namespace, token.image, token.name).id : "-",
    token.serve.join(",") || "-",
    token.role === undefined
      ? [...token.reach, ...(token.egress ? ["outside"] : [])].join(",") || "-"
      : `admin API as ${token.role}`,
    new Date(token.expiresAtMs).toISOString().slice(0, 10),
    revoked.has(token.id) ? "revoked" : token.expiresAtMs <= nowMs ? "expired" : "valid",
  ]);
  if (rows.length === 0) {
    return "No token was minted yet: netwall-gateway token --name AGENT --serve SERVICE\n";
  }
  return table([["ID", "AGENT", "GROUP", "SERVES", "MAY CALL", "EXPIRES", "STATE"], ...rows]);
}

/** Revokes tokens and says which. A running gateway cuts their links within a second or two. */
export function revokeTokens(data: string, subject: string, nowMs: number): string {
  const ids = revoke(data, subject, nowMs);
  return ids.length === 0 ? "Revoked already\n" : ids.map((id) => `Revoked ${id}\n`).join("");
}
