/**
 * Serves the admin app on its own address.
 *
 * @module
 */
import { chmodSync, rmSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { adminApp, type AdminOptions } from "../admin/api.ts";
import { LiveStream } from "../admin/live_stream.ts";
import { Attempts } from "../auth/attempts.ts";
import { loadOrCreateAdminToken } from "../auth/key_store.ts";
import type { SigningKey } from "../auth/token.ts";
import type { Revocations } from "../auth/token_list.ts";
import { type ListenAt, listenFault, removeStale } from "../http/visitor_server.ts";
import type { Logger } from "../log.ts";
import { runtimeName, runtimeVersion } from "../runtime/runtime.ts";
import type { RunningFirewall } from "./open_firewall.ts";

/** Connections to the admin listener at once. */
const CONNECTIONS_MAX = 256;
const HEAD_TIMEOUT_MS = 10_000;
/** For a whole request: a policy of 16 MiB over 3 Mbit/s. */
const REQUEST_TIMEOUT_MS = 60_000;

/** An app as it is served: what the server hands over goes along. */
export interface AdminApp {
  fetch(request: Request, connection: unknown): Response | Promise<Response>;
}

export interface AdminListener {
  /** `HOST:PORT` or `unix:PATH`. */
  readonly address: string;
  close(): void;
}

/** What the admin app is made from. */
export interface OpenAdminOptions extends Pick<AdminOptions, "metrics" | "registry" | "ready"> {
  readonly dataDir: string;
  readonly key: SigningKey;
  readonly revocations: Revocations;
  readonly firewall: RunningFirewall | undefined;
  readonly log: Logger;
}

/** Opens the admin listener with its app. @throws {ListenFault} When the address cannot be had. */
export async function openAdmin(at: ListenAt, options: OpenAdminOptions): Promise<AdminListener> {
  const { dataDir, key, revocations, firewall, log, ...rest } = options;
  const live = firewall && new LiveStream(firewall.control);
  const app = adminApp({
    ...rest,
    token: loadOrCreateAdminToken(dataDir),
    tokens: { dataDir, onRevoked: () => revocations.poll() },
    signed: { key, isRevoked: (id) => revocations.has(id) },
    attempts: new Attempts(),
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
    close(): void {
      live?.close();
      listener.close();
    },
  };
}

/** Listens. @throws {NodeJS.ErrnoException} When the address cannot be had. */
export async function listenAdmin(
  app: AdminApp,
  at: ListenAt,
): Promise<AdminListener> {
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
