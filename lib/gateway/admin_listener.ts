/**
 * Serves the admin app on its own address.
 *
 * @module
 */
import { chmodSync, rmSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import type { Hono } from "hono";
import { removeStale } from "../http/visitor_server.ts";

/** Connections to the admin listener at once. */
const CONNECTIONS_MAX = 256;
const HEAD_TIMEOUT_MS = 10_000;

export interface AdminListener {
  /** `HOST:PORT` or `unix:PATH`. */
  readonly address: string;
  close(): void;
}

/** Listens. @throws {NodeJS.ErrnoException} When the address cannot be had. */
export async function listenAdmin(
  app: Hono,
  at: { host: string; port: number } | { path: string },
): Promise<AdminListener> {
  const listener = getRequestListener(app.fetch, { overrideGlobalObjects: false });
  const server = http.createServer(
    { headersTimeout: HEAD_TIMEOUT_MS, requestTimeout: HEAD_TIMEOUT_MS },
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
