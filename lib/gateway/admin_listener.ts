/**
 * Serves the admin app on its own address.
 *
 * @module
 */
import { chmodSync, rmSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { fileAdmin } from "../admin/access.ts";
import { adminApp, type AdminOptions } from "../admin/api.ts";
import { LiveStream } from "../admin/live_stream.ts";
import { loadPage } from "../admin/page_files.ts";
import { pageLink } from "../admin/page_command.ts";
import type { AdminRole } from "../auth/admin_token.ts";
import { Attempts } from "../auth/attempts.ts";
import { loadOrCreateAdminToken } from "../auth/key_store.ts";
import { Sessions } from "../auth/sessions.ts";
import type { SigningKey } from "../auth/token.ts";
import type { Revocations } from "../auth/token_list.ts";
import { parseAdminAddress } from "../config/admin_address.ts";
import { type ListenAt, listenFault, removeStale } from "../http/visitor_server.ts";
import type { Logger } from "../log.ts";
import { runtimeName, runtimeVersion } from "../runtime/runtime.ts";
import type { RunningFirewall } from "./open_firewall.ts";
import { GatewayTraffic, type GatewayTrafficOptions } from "./traffic_control.ts";

/** Connections to the admin listener at once. */
const CONNECTIONS_MAX = 256;
const HEAD_TIMEOUT_MS = 10_000;
/** For a whole request: a policy of 16 MiB over 3 Mbit/s. */
const REQUEST_TIMEOUT_MS = 60_000;

/** An app as it is served: what the server hands over goes along. */
export interface AdminApp {
  fetch(request: Request, connection: unknown): Response | Promise<Response>;
}

/** An address that is served. */
export interface Served {
  /** `HOST:PORT` or `unix:PATH`. */
  readonly address: string;
  close(): void;
}

export interface AdminListener extends Served {
  /**
   * A link that opens the page once, within ten minutes, as the holder of the token in the file.
   *
   * @returns `undefined` on a unix socket, which no browser can open.
   */
  oneTimeLink(role: AdminRole): string | undefined;
}

/** What the admin app is made from. */
export interface OpenAdminOptions extends Pick<AdminOptions, "metrics" | "registry" | "ready" | "entry"> {
  readonly dataDir: string;
  readonly key: SigningKey;
  readonly revocations: Revocations;
  readonly firewall: RunningFirewall | undefined;
  readonly log: Logger;
  /** Without it nothing is shown of the traffic. */
  readonly traffic?: Pick<GatewayTrafficOptions, "traffic" | "inner">;
}

/** Opens the admin listener with its app. @throws {ListenFault} When the address cannot be had. */
export async function openAdmin(at: ListenAt, options: OpenAdminOptions): Promise<AdminListener> {
  const { dataDir, key, revocations, firewall, log, traffic, ...rest } = options;
  const live = firewall && new LiveStream(firewall.control);
  const sessions = new Sessions();
  const app = adminApp({
    ...rest,
    ...(traffic === undefined ? {} : {
      traffic: new GatewayTraffic({
        ...{ ...traffic, log, registry: rest.registry, store: firewall?.control.store },
      }),
    }),
    token: loadOrCreateAdminToken(dataDir),
    tokens: { dataDir, onRevoked: () => revocations.poll() },
    signed: { key, isRevoked: (id) => revocations.has(id) },
    attempts: new Attempts(),
    sessions,
    page: loadPage(),
    onGuess: (peer, failures) => firewall?.refusedToken("admin", peer, "unknown", failures),
    runtime: `${runtimeName} ${runtimeVersion}`,
    onFault: (error) => log.error("fault", { error }),
    ...(firewall === undefined ? {} : { firewall: firewall.control }),
    ...(live === undefined ? {} : { live }),
  });
  const listener = await listenAdmin(app, at).catch((error) => {
    live?.close();
    throw listenFault(at, error);
  });
  return {
    address: listener.address,
    oneTimeLink(role): string | undefined {
      const place = parseAdminAddress(listener.address);
      if (place.kind === "unix") return undefined;
      const made = sessions.makeCode(fileAdmin(), role);
      return made === "tooManyLinks" ? undefined : pageLink(place, made.code);
    },
    close(): void {
      live?.close();
      traffic?.traffic.close();
      listener.close();
    },
  };
}

/** Listens. @throws {NodeJS.ErrnoException} When the address cannot be had. */
export async function listenAdmin(
  app: AdminApp,
  at: ListenAt,
): Promise<Served> {
  const listener = getRequestListener((request, connection) => app.fetch(request, connection), {
    overrideGlobalObjects: false,
  });
  const server = http.createServer(
    { headersTimeout: HEAD_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS },
    listener,
  );
  server.maxConnections = CONNECTIONS_MAX;
  if ("path" in at) await removeStale(at.path);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    if ("path" in at) server.listen(at.path, resolve);
    else server.listen(at.port, at.host, resolve);
  });
  const close = (): void => {
    server.close();
    server.closeAllConnections();
    if ("path" in at) rmSync(at.path, { force: true });
  };
  if ("path" in at) {
    chmodSync(at.path, 0o600);
    return { address: `unix:${at.path}`, close };
  }
  const { address, port, family } = server.address() as AddressInfo;
  return { address: `${family === "IPv6" ? `[${address}]` : address}:${port}`, close };
}
