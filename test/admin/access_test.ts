/**
 * Tests of who is let in: tokens of the file, signed ones, those of agents, and those who guess.
 *
 * @module
 */
import { afterEach, expect, test } from "bun:test";
import { type AttemptsLike, identify } from "../../lib/admin/access.ts";
import { ApiFault } from "../../lib/admin/fault.ts";
import { mint } from "../../lib/admin/token_commands.ts";
import { loadOrCreateKey } from "../../lib/auth/key_store.ts";
import { type ApiRig, apiRig, json, TOKEN } from "./api_rig.ts";

/** The headers of a request with a token. */
function bearer(token: string): Headers {
  return new Headers({ authorization: `Bearer ${token}` });
}

const rigs: ApiRig[] = [];
afterEach(() => {
  for (const rig of rigs.splice(0)) rig.close();
});

async function newRig(change: Parameters<typeof apiRig>[0] = {}): Promise<ApiRig> {
  const rig = await apiRig(change);
  rigs.push(rig);
  return rig;
}

/** Refuses after so many failures of one peer. */
class FewAttempts implements AttemptsLike {
  readonly failures: string[] = [];
  readonly tokensHeld: string[] = [];

  check(peer: string): { ok: true } | { ok: false; retryAfterMs: number } {
    const isSlowed = this.failures.filter((other) => other === peer).length >= 3;
    return isSlowed ? { ok: false, retryAfterMs: 1_500 } : { ok: true };
  }

  failed(peer: string): { count: number; isNewlySlowed: boolean } {
    this.failures.push(peer);
    return { count: this.failures.length, isNewlySlowed: false };
  }

  held(token: string): void {
    this.tokensHeld.push(token);
  }
}

test("the token of the file is the operator admin, signed ones are who they name", async () => {
  const rig = await newRig();
  const callers: unknown[] = [];
  for (const token of [TOKEN, rig.viewer, rig.operator]) {
    callers.push((await (await rig.ask("/api/v1/status", { token })).json()).caller);
  }
  expect(callers).toEqual([
    { name: "admin", role: "operator" },
    { name: "vera", role: "viewer" },
    { name: "otto", role: "operator" },
  ]);
});

test("who changed something is in the audit log by name and role", async () => {
  const rig = await newRig();
  await rig.ask("/api/v1/policy/versions/1/rollback", { method: "POST" });
  await rig.ask("/api/v1/policy/staged", { method: "DELETE", token: TOKEN });
  const { items } = await (await rig.ask("/api/v1/audit", { token: rig.viewer })).json();
  expect(items.map(({ by, role, action }: Record<string, string>) => [by, role, action])).toEqual([
    ["admin", "operator", "policy.stage"],
    ["otto", "operator", "policy.rollback"],
  ]);
});

test("a signed token is good until it expires or is revoked", async () => {
  const rig = await newRig();
  const statusOf = async (token: string): Promise<number> =>
    (await rig.ask("/api/v1/status", { token })).status;
  expect(await statusOf(rig.viewer)).toBe(200);
  rig.revoked.add(rig.viewerId);
  expect([await statusOf(rig.viewer), await statusOf(rig.operator)]).toEqual([401, 200]);
  rig.nowMs += 3_600_000;
  expect([await statusOf(rig.operator), await statusOf(TOKEN)]).toEqual([401, 200]);
});

test("what stays open learns that its token no longer holds", async () => {
  const rig = await newRig();
  const isGood = async (token: string): Promise<() => boolean> => {
    const caller = await identify(rig.options, bearer(token), "192.0.2.1");
    if (caller instanceof ApiFault) throw caller;
    return () => caller.isGood();
  };
  const callers = [await isGood(rig.viewer), await isGood(rig.operator), await isGood(TOKEN)];
  expect(callers.map((ask) => ask())).toEqual([true, true, true]);
  rig.revoked.add(rig.viewerId);
  expect(callers.map((ask) => ask())).toEqual([false, true, true]);
  rig.nowMs += 3_600_000;
  expect(callers.map((ask) => ask())).toEqual([false, false, true]);
});

test("the token of an agent never works here", async () => {
  const rig = await newRig();
  const claims = {
    serve: ["*"],
    reach: ["*"],
    egress: true,
    namespace: "default",
    image: "",
    ttlMs: 86_400_000,
  };
  const token = await mint({ data: rig.dataDir, name: "operator", ...claims }, rig.nowMs);
  expect((await rig.ask("/api/v1/status", { token })).status).toBe(401);
  expect((await rig.ask("/metrics", { token })).status).toBe(401);
});

test("without a key no signed token works, and the token of the file does", async () => {
  const rig = await newRig();
  const { signed: _signed, ...bare } = rig.options;
  const ask = (token: string): Promise<unknown> => identify(bare, bearer(token), "192.0.2.1");
  expect(await ask(rig.operator)).toBeInstanceOf(ApiFault);
  expect(await ask(TOKEN)).toMatchObject({ actor: { name: "admin" } });
});

test("wrong tokens are counted by peer and then refused for a while; the holder of the file's still gets in", async () => {
  const attempts = new FewAttempts();
  const rig = await newRig();
  const options = { ...rig.options, attempts };
  const ask = async (token: string | undefined, peer = "192.0.2.1"): Promise<number> => {
    const caller = await identify(options, token === undefined ? new Headers() : bearer(token), peer);
    return caller instanceof ApiFault ? caller.status : 200;
  };
  for (const token of ["wrong", `${TOKEN}x`, rig.operator.slice(1)]) expect(await ask(token)).toBe(401);
  expect(attempts.failures).toEqual(["192.0.2.1", "192.0.2.1", "192.0.2.1"]);
  expect(await ask("wrong")).toBe(429);
  expect(await ask(TOKEN)).toBe(200);
  expect(await ask("wrong", "192.0.2.2")).toBe(401);
  const { length } = attempts.failures;
  expect(await ask(undefined)).toBe(401);
  expect(attempts.failures).toHaveLength(length);
  expect(await ask(rig.viewer, "192.0.2.2")).toBe(200);
  expect(attempts.tokensHeld).toEqual([rig.viewer]);
  const fault = await identify(options, bearer("wrong"), "192.0.2.1");
  expect(fault).toMatchObject({ status: 429, fields: { "Retry-After": "2" } });
});

test("one answer for every reason: it does not tell how near a token was", async () => {
  const rig = await newRig();
  rig.revoked.add(rig.viewerId);
  const key = await loadOrCreateKey(rig.dataDir);
  expect(key.publicKey.type).toBe("public");
  const tokens = [rig.viewer, `${rig.operator.slice(0, -2)}xx`, "x", "a.b.c", "x".repeat(1024)];
  const bodies = new Set<string>();
  for (const token of tokens) {
    const answer = await rig.ask("/api/v1/status", { token });
    expect(answer.status).toBe(401);
    bodies.add(await answer.text());
  }
  expect([tokens.length, bodies.size]).toEqual([5, 1]);
});

test("a token beside the header is none: no cookie, no query, no body", async () => {
  const rig = await newRig();
  const requests: [string, RequestInit][] = [
    [`/api/v1/status?token=${TOKEN}&access_token=${TOKEN}`, {}],
    ["/api/v1/status", { headers: { cookie: `token=${TOKEN}; admin-token=${TOKEN}` } }],
    ["/api/v1/status", { headers: { "x-api-key": TOKEN, "proxy-authorization": `Bearer ${TOKEN}` } }],
    ["/api/v1/groups/relearn", json("POST", { access_token: TOKEN })],
  ];
  for (const [path, init] of requests) expect((await rig.app.request(path, init)).status).toBe(401);
  expect(requests).toHaveLength(4);
});
