/**
 * Routes of agent tokens: list, mint, revoke.
 *
 * They work on the files that the `token` commands work on. A minted token is in its answer and nowhere else.
 *
 * @module
 */
import { decodeJwt } from "jose";
import { z } from "zod";
import { listMinted, listRevoked, revoke } from "../auth/token_list.ts";
import { TOKEN_SERVICES_MAX } from "../auth/token.ts";
import { isServiceName } from "../service_name.ts";
import { StoreError } from "../store/store.ts";
import type { Backend, TokenBackend } from "./backend.ts";
import { jsonBody } from "./body.ts";
import type { Actor } from "./control.ts";
import { ApiFault } from "./fault.ts";
import { limitSchema } from "./query.ts";
import { type Route, route } from "./route.ts";
import { tokenSchema } from "./schemas.ts";
import { mint } from "./token_commands.ts";

const TTL_SECONDS_DEFAULT = 90 * 86_400;
const TTL_SECONDS_MAX = 3_650 * 86_400;

function tokensOf({ tokens }: Backend): TokenBackend {
  if (tokens !== undefined) return tokens;
  throw new ApiFault(404, "Tokens cannot be managed here: use netwall-gateway token");
}

/** Minting and revoking are no matter of the firewall, but of the audit log all the same. */
function writeAudit({ firewall, nowMs }: Backend, by: Actor, action: string, detail: string): void {
  firewall?.store.addAudit({ atMs: nowMs(), by: by.name, role: by.role, action, detail });
}

const list = route({
  id: "listTokens",
  method: "get",
  path: "/api/v1/tokens",
  summary: "Tokens that were minted; never the tokens themselves",
  role: "operator",
  query: z.strictObject({
    limit: limitSchema,
    before: z.string().regex(/^[A-Za-z0-9_-]{8,64}$/).optional().describe("The next of the page before"),
  }),
  answer: {
    description: "The newest first; next is what to give as before",
    schema: z.object({ items: z.array(tokenSchema), next: z.string().optional() }),
  },
  handle: ({ backend, query: { limit, before } }) => {
    const { dataDir } = tokensOf(backend);
    const revoked = listRevoked(dataDir);
    const records = listMinted(dataDir).reverse();
    const at = before === undefined ? -1 : records.findIndex(({ id }) => id === before);
    if (before !== undefined && at < 0) throw new ApiFault(404, "There is no such token to go on from");
    const now = backend.nowMs();
    const items = records.slice(at + 1, at + 1 + limit).map((record) => ({
      ...record,
      state: revoked.has(record.id)
        ? "revoked" as const
        : record.expiresAtMs <= now
        ? "expired" as const
        : "valid" as const,
    }));
    const isMore = at + 1 + limit < records.length;
    return isMore ? { items, next: items.at(-1)!.id } : { items };
  },
});

const service = z.string().refine(
  (name) => name === "*" || isServiceName(name),
  "is no name of a service: write one such as web, or * for all",
);
const services = z.array(service).max(TOKEN_SERVICES_MAX).default([]);

const create = route({
  id: "mintToken",
  method: "post",
  path: "/api/v1/tokens",
  summary: "Mints a token for an agent",
  role: "operator",
  body: jsonBody(z.strictObject({
    name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, "write a name such as web-1")
      .describe("The agent"),
    serve: services.describe("Services it may publish; * is any"),
    reach: services.describe("Services of others it may call; * is any"),
    egress: z.boolean().default(false).describe("Whether it may call the outside"),
    namespace: z.string().refine(isServiceName, "write a namespace such as shop").default("default"),
    image: z.string().regex(/^[\x21-\x7e]{0,512}$/, "write an image such as ghcr.io/acme/web:1").default(""),
    ttlSeconds: z.int().min(1).max(TTL_SECONDS_MAX).default(TTL_SECONDS_DEFAULT),
  })),
  answer: {
    status: 201,
    description: "The token is shown this once, and kept nowhere",
    schema: z.object({ id: z.string(), token: z.string(), expiresAtMs: z.number() }),
  },
  handle: async ({ backend, actor, body: { ttlSeconds, ...claims } }) => {
    const { dataDir } = tokensOf(backend);
    const now = backend.nowMs();
    const token = await mint({ data: dataDir, ...claims, ttlMs: ttlSeconds * 1000 }, now);
    const { jti = "", exp = 0 } = decodeJwt(token);
    // A token that nobody can be asked about is not given out.
    writeAudit(backend, actor, "token.mint", `${claims.name} ${jti}`);
    return { id: jti, token, expiresAtMs: exp * 1000 };
  },
});

const remove = route({
  id: "revokeToken",
  method: "delete",
  path: "/api/v1/tokens/{id}",
  summary: "Revokes a token; its links end",
  role: "operator",
  params: z.object({ id: z.string().regex(/^[A-Za-z0-9_-]{8,64}$/) }),
  answer: { description: "It is revoked" },
  handle: ({ backend, actor, params: { id } }) => {
    const tokens = tokensOf(backend);
    // Only what is in the list: an id may look like the name of an agent, which would revoke all of its tokens.
    if (!listMinted(tokens.dataDir).some((record) => record.id === id)) {
      throw new ApiFault(404, "There is no such token");
    }
    if (revoke(tokens.dataDir, id, backend.nowMs()).length === 0) return;
    tokens.onRevoked?.();
    try {
      writeAudit(backend, actor, "token.revoke", id);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      // Taking a right away must not wait for the store; but it must not pass as written down either.
      throw new ApiFault(503, `The token is revoked, but the audit log was not written: ${error.message}`);
    }
  },
});

export const TOKEN_ROUTES: readonly Route[] = [list, create, remove];
