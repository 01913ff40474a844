/**
 * The command that mints a token for the admin API. It works on the data directory alone, beside a running gateway.
 *
 * @module
 */
import { type AdminRole, mintAdminToken } from "../auth/admin_token.ts";
import { loadOrCreateKey } from "../auth/key_store.ts";
import { createTokenId } from "../auth/token.ts";
import { recordMintedAdmin } from "../auth/token_list.ts";

/** What an admin token is to say. */
export interface AdminMintOptions {
  readonly data: string;
  readonly name: string;
  readonly role: AdminRole;
  readonly ttlMs: number;
}

/**
 * Mints an admin token and writes down that it was; the token itself is kept nowhere.
 *
 * @throws {TokenError} A name that no admin token may have.
 * @throws {KeyStoreError | TokenListError} The directory cannot be used.
 */
export async function mintAdmin(options: AdminMintOptions, nowMs: number): Promise<string> {
  const { data, name, role, ttlMs } = options;
  const claims = { id: createTokenId(), name, role, issuedAtMs: nowMs, expiresAtMs: nowMs + ttlMs };
  const token = await mintAdminToken(await loadOrCreateKey(data), claims);
  recordMintedAdmin(data, claims);
  return token;
}
