/**
 * The admin app over a fake firewall, with a token of each role.
 *
 * @module
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { adminApp, type AdminOptions } from "../../lib/admin/api.ts";
import { LiveStream } from "../../lib/admin/live_stream.ts";
import { mintAdminToken } from "../../lib/auth/admin_token.ts";
import { loadOrCreateKey } from "../../lib/auth/key_store.ts";
import { Sessions } from "../../lib/auth/sessions.ts";
import { createTokenId } from "../../lib/auth/token.ts";
import { GatewayMetrics } from "../../lib/metrics/gateway_metrics.ts";
import { type Attachment, Registry } from "../../lib/routing/registry.ts";
import { madeAttachment } from "../support/attachment.ts";
import { type TrafficRig, trafficRig } from "../support/traffic_rig.ts";
import { FakeFirewall } from "./fake_firewall.ts";

/** The token of the file. */
export const TOKEN = "admin-token-of-the-test-0123456789abcdef";

export interface ApiRig {
  readonly app: ReturnType<typeof adminApp>;
  readonly options: AdminOptions;
  readonly firewall: FakeFirewall;
  readonly live: LiveStream;
  readonly traffic: TrafficRig;
  readonly dataDir: string;
  readonly viewer: string;
  readonly operator: string;
  /** The id of the viewer's token. */
  readonly viewerId: string;
  readonly revoked: Set<string>;
  readonly sessions: Sessions;
  /** The clock, which stands until it is set. */
  nowMs: number;
  /** Asks as the holder of a token: the operator's when none is given. */
  ask(path: string, init?: RequestInit & { token?: string | undefined }): Promise<Response>;
  /** Signs in with a token, as the page does. @returns The Cookie field of the session. */
  signIn(token?: string): Promise<string>;
  /** Asks as the page does, by a session. */
  askBySession(path: string, cookie: string, init?: RequestInit): Promise<Response>;
  close(): void;
}

export function attachmentOf(change: Partial<Attachment> = {}): Attachment {
  const session = {
    ...{ open: true, streamsOpen: 3, creditGrantedBytes: 1, rttMs: 1.23456, leaving: false },
    link: { peer: "192.0.2.1:4711" },
  };
  return madeAttachment(session, {
    ...{
      agent: "box",
      tokenId: "secret-token-id",
      namespace: "shop",
      services: ["web"],
      claimed: { hostname: "h" },
    },
    ...change,
  });
}

export function metricsOf(): GatewayMetrics {
  const gauges = {
    links: 1,
    streams: 3,
    heldBytes: 0,
    creditBytes: 0,
    shedTotal: 0,
    roundTrips: [],
    walls: [],
  };
  return new GatewayMetrics(() => gauges);
}

export async function apiRig(change: Partial<AdminOptions> = {}): Promise<ApiRig> {
  const dataDir = mkdtempSync(join(tmpdir(), "netwall-api-"));
  const key = await loadOrCreateKey(dataDir);
  const firewall = new FakeFirewall();
  const live = new LiveStream(firewall);
  const registry = new Registry();
  registry.add(
    attachmentOf({ image: "ghcr.io/acme/web:1", claimed: { containerId: "c0ffee", hostname: "h" } }),
  );
  const revoked = new Set<string>();
  const nowMs = Date.UTC(2026, 0, 1);
  const minted = async (name: string, role: "viewer" | "operator", id: string): Promise<string> =>
    await mintAdminToken(key, { id, name, role, issuedAtMs: nowMs, expiresAtMs: nowMs + 3_600_000 });
  const viewerId = createTokenId();
  const sessions = new Sessions(() => rig.nowMs);
  const traffic = trafficRig({ registry, store: firewall.store });
  const options: AdminOptions = {
    traffic: traffic.control,
    ...{ token: TOKEN, metrics: metricsOf(), registry, ready: () => true, firewall, live },
    ...{
      signed: { key, isRevoked: (id) => revoked.has(id) },
      tokens: { dataDir },
      runtime: "test 1",
      sessions,
    },
    ...{ startedAtMs: nowMs, nowMs: () => rig.nowMs, ...change },
  };
  const app = adminApp(options);
  const rig: ApiRig = {
    ...{ app, options, firewall, live, traffic, dataDir, viewerId, revoked, sessions, nowMs },
    viewer: await minted("vera", "viewer", viewerId),
    operator: await minted("otto", "operator", createTokenId()),
    async ask(path, init = {}): Promise<Response> {
      const { token = rig.operator, ...rest } = init;
      const headers = new Headers(rest.headers);
      headers.set("authorization", `Bearer ${token}`);
      return await app.request(path, { ...rest, headers });
    },
    async signIn(token = rig.operator): Promise<string> {
      const answer = await rig.askBySession("/api/v1/session", "", json("POST", { token }));
      return (answer.headers.get("set-cookie") ?? "").split(";")[0]!;
    },
    async askBySession(path, cookie, init = {}): Promise<Response> {
      const headers = new Headers(init.headers);
      headers.set("x-netwall-page", "1");
      if (cookie !== "") headers.set("cookie", cookie);
      return await app.request(path, { ...init, headers });
    },
    close(): void {
      live.close();
      traffic.watch.close();
      rmSync(dataDir, { recursive: true });
    },
  };
  return rig;
}

/** A request with a body of JSON. */
export function json(method: string, body: unknown): RequestInit {
  return { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

/** A request with a body of YAML. */
export function yaml(method: string, body: string, headers: Record<string, string> = {}): RequestInit {
  return { method, headers: { "content-type": "application/yaml", ...headers }, body };
}
