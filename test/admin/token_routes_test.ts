/**
 * Tests of agent tokens over the API: shown once, kept nowhere, revoked at once.
 *
 * @module
 */
import { afterEach, expect, test } from "bun:test";
import { chmodSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadOrCreateKey } from "../../lib/auth/key_store.ts";
import { verifyToken } from "../../lib/auth/token.ts";
import { listRevoked, TOKENS_FILE } from "../../lib/auth/token_list.ts";
import { StoreError } from "../../lib/store/store.ts";
import { type ApiRig, apiRig, json } from "./api_rig.ts";

const rigs: ApiRig[] = [];
afterEach(() => {
  for (const rig of rigs.splice(0)) rig.close();
});

async function newRig(): Promise<ApiRig> {
  const rig = await apiRig();
  rigs.push(rig);
  return rig;
}

async function mint(rig: ApiRig, body: object): Promise<{ id: string; token: string; expiresAtMs: number }> {
  const answer = await rig.ask("/api/v1/tokens", json("POST", body));
  expect(answer.status).toBe(201);
  return await answer.json();
}

test("a minted token says what was asked for, is shown once and kept nowhere", async () => {
  const rig = await newRig();
  const wanted = {
    name: "web-1",
    serve: ["web"],
    reach: ["*"],
    egress: true,
    namespace: "shop",
    image: "acme/web:1",
  };
  const { id, token, expiresAtMs } = await mint(rig, { ...wanted, ttlSeconds: 60 });
  expect(expiresAtMs).toBe(rig.nowMs + 60_000);
  const options = { nowMs: rig.nowMs, isRevoked: () => false };
  expect(await verifyToken(await loadOrCreateKey(rig.dataDir), token, options)).toMatchObject({
    id,
    ...wanted,
  });
  const signature = token.split(".")[2]!;
  for (const file of readdirSync(rig.dataDir)) {
    expect(readFileSync(join(rig.dataDir, file), "utf8")).not.toContain(signature);
  }
  const list = await (await rig.ask("/api/v1/tokens")).text();
  expect(list).toContain(id);
  expect(list).not.toContain(signature);
  const audit = await (await rig.ask("/api/v1/audit")).text();
  expect(audit).toContain(`web-1 ${id}`);
  expect(audit).not.toContain(signature);
});

test("an agent's name is written down by whoever minted it, and the bounds of claims hold", async () => {
  const rig = await newRig();
  const bad: object[] = [
    {},
    { name: "" },
    { name: "a b" },
    { name: "a\n" },
    { name: "x".repeat(129) },
    { name: "a", serve: ["NO NAME"] },
    { name: "a", serve: Array.from({ length: 257 }, (_, i) => `s${i}`) },
    { name: "a", namespace: "" },
    { name: "a", image: "a b" },
    { name: "a", ttlSeconds: 0 },
    { name: "a", ttlSeconds: 1e12 },
    { name: "a", ttlSeconds: "60" },
    { name: "a", role: "operator" },
    { name: "a", egress: "yes" },
  ];
  for (const body of bad) expect((await rig.ask("/api/v1/tokens", json("POST", body))).status).toBe(422);
  expect(bad).toHaveLength(14);
  // Each claim is in its bounds, but the token would be too large for a header.
  const wide = { name: "a", serve: Array.from({ length: 200 }, (_, i) => `service-with-a-long-name-${i}`) };
  expect((await rig.ask("/api/v1/tokens", json("POST", wide))).status).toBe(422);
  expect((await (await rig.ask("/api/v1/tokens")).json()).items).toEqual([]);
});

test("the list has pages and states, the newest first", async () => {
  const rig = await newRig();
  const ids: string[] = [];
  for (const name of ["a", "b", "c"]) {
    ids.unshift((await mint(rig, { name, ttlSeconds: name === "a" ? 1 : 60 })).id);
  }
  rig.nowMs += 1_000;
  expect((await rig.ask(`/api/v1/tokens/${ids[1]}`, { method: "DELETE" })).status).toBe(204);
  const first = await (await rig.ask("/api/v1/tokens?limit=2")).json();
  const last = await (await rig.ask(`/api/v1/tokens?limit=2&before=${first.next}`)).json();
  const rows = [...first.items, ...last.items];
  expect(rows.map(({ id, state }: Record<string, string>) => [id, state])).toEqual([
    [ids[0], "valid"],
    [ids[1], "revoked"],
    [ids[2], "expired"],
  ]);
  expect(last.next).toBeUndefined();
  expect((await rig.ask("/api/v1/tokens?before=00000000")).status).toBe(404);
});

test("a revoked token is in the list of revocations at once, and the gateway is told", async () => {
  let told = 0;
  const rig = await newRig();
  rig.options.tokens!.onRevoked = () => told += 1;
  const { id } = await mint(rig, { name: "web-1" });
  for (let i = 0; i < 2; i++) {
    expect((await rig.ask(`/api/v1/tokens/${id}`, { method: "DELETE" })).status).toBe(204);
  }
  expect([told, [...listRevoked(rig.dataDir)]]).toEqual([1, [id]]);
});

test("only an id revokes: never a name, of which there may be many tokens", async () => {
  const rig = await newRig();
  await mint(rig, { name: "web-agent-1" });
  await mint(rig, { name: "web-agent-1" });
  const subjects = ["web-agent-1", crypto.randomUUID(), "..%2f..%2fetc", "*", "x"];
  for (const subject of subjects) {
    expect((await rig.ask(`/api/v1/tokens/${subject}`, { method: "DELETE" })).status).toBe(404);
  }
  expect(listRevoked(rig.dataDir).size).toBe(0);
});

test("a store that cannot write keeps a token back, but revokes one", async () => {
  const rig = await newRig();
  const { id } = await mint(rig, { name: "web-1" });
  rig.firewall.store.addAudit = () => {
    throw new StoreError("Cannot write: the disk is full", "full");
  };
  const refused = await rig.ask("/api/v1/tokens", json("POST", { name: "web-2" }));
  expect([refused.status, (await refused.json()).token]).toEqual([503, undefined]);
  const revoked = await rig.ask(`/api/v1/tokens/${id}`, { method: "DELETE" });
  expect([revoked.status, (await revoked.json()).detail]).toEqual([
    503,
    "The token is revoked, but the audit log was not written: Cannot write: the disk is full",
  ]);
  expect(listRevoked(rig.dataDir).has(id)).toBe(true);
});

test("a list that is broken is said to be, and tells nothing else", async () => {
  const rig = await newRig();
  writeFileSync(join(rig.dataDir, TOKENS_FILE), "{not json\n");
  chmodSync(join(rig.dataDir, TOKENS_FILE), 0o600);
  const answer = await rig.ask("/api/v1/tokens");
  expect([answer.status, (await answer.json()).title]).toEqual([503, "Service Unavailable"]);
  rmSync(join(rig.dataDir, TOKENS_FILE));
  expect((await rig.ask("/api/v1/tokens")).status).toBe(200);
});
