/**
 * The doors of the gateway: public HTTP, public HTTPS with its certificates, TLS by server name, raw connections,
 * and more listeners for links.
 *
 * @module
 */
import { listenTcp, type TcpListenAddress, type TcpListener } from "../runtime/listen_tcp.ts";
import {
  type Arrival,
  type ListenAt,
  listenFault,
  removeStale,
  VisitorServer,
} from "../http/visitor_server.ts";
import type { GatewayConfig } from "../config/gateway_config.ts";
import type { ListenAddress } from "../config/listen.ts";
import { addressFields } from "./connections.ts";
import type { PublicListenersOptions } from "./listener_options.ts";
import { TlsListeners } from "./tls_listeners.ts";

export interface PublicListeners {
  /** The real addresses: `http`, `https`, `sni`, `tcp`, `link`. */
  readonly addresses: Record<string, string | string[]>;
  /** The public port of HTTPS, if there is one. */
  readonly httpsPort: number | undefined;
  /**
   * Takes nothing new, finishes what is under way, and closes.
   *
   * @param endLinks Ends the links, which are connections too, once no visitor needs them any more.
   */
  close(graceMs: number, endLinks?: () => Promise<void>): Promise<void>;
}

/**
 * Opens the doors, all or none.
 *
 * @throws {ListenFault | ListenError | CertificateError} The first that cannot be opened, and why.
 */
export async function openListeners(options: PublicListenersOptions): Promise<PublicListeners> {
  const servers: VisitorServer[] = [];
  const doors: TcpListener[] = [];
  const addresses: Record<string, string | string[]> = {};
  let tls: TlsListeners | undefined;
  const close = async (graceMs: number, endLinks?: () => Promise<void>): Promise<void> => {
    for (const door of doors) door.close();
    const closed = tls?.close(graceMs);
    await Promise.all([
      ...servers.map((server) => server.finish(graceMs)),
      options.finishConnections(graceMs),
    ]);
    await endLinks?.();
    for (const server of servers) server.cut();
    await closed;
  };
  const server = (onArrival: (arrival: Arrival) => void): VisitorServer => {
    const made = new VisitorServer({
      ...options.limits,
      onArrival,
      onRefused: () => options.onRefused("connections"),
    });
    servers.push(made);
    return made;
  };
  try {
    if (options.https || options.sni) {
      tls = await TlsListeners.open(options, server);
      Object.assign(addresses, tls.addresses);
    }
    if (options.http) {
      const made = server((arrival) =>
        options.onVisitor(arrival, arrival.incoming.socket.remoteAddress ?? "unix", false)
      );
      addresses["http"] = await made.listen(options.http);
    }
    for (const door of options.tcp) doors.push(await openRaw(door, options));
    if (doors.length > 0) addresses["tcp"] = doors.map((door) => door.address);
    const links: string[] = [];
    for (const at of options.links) links.push(await server(options.onLink).listen(at));
    if (links.length > 0) addresses["link"] = links;
    return { addresses, httpsPort: tls?.httpsPort, close };
  } catch (error) {
    await close(0);
    throw error;
  }
}

/** A raw door: every connection that comes in is the service's. */
async function openRaw(
  { at, service }: { at: TcpListenAddress; service: string },
  options: PublicListenersOptions,
): Promise<TcpListener> {
  if ("path" in at) await removeStale(at.path);
  try {
    const listener: TcpListener = await listenTcp(at, {
      connectionsMax: options.limits.connectionsMax,
      onConnection: (socket) => {
        options.onConnection({ socket, service, fields: addressFields(socket) });
      },
      onRefused: () => options.onRefused("connections"),
    });
    return listener;
  } catch (error) {
    throw listenFault(at, error as NodeJS.ErrnoException);
  }
}

/** What bounds every HTTP server of the gateway. */
export function serverLimits({ limits }: Pick<GatewayConfig, "limits">): PublicListenersOptions["limits"] {
  return {
    headBytesMax: limits.headBytesMax,
    headTimeoutMs: limits.headTimeout,
    keepAliveTimeoutMs: limits.keepAliveTimeout,
    connectionsMax: limits.connectionsMax,
  };
}

/** The doors that a configuration asks for. On one port for both, the one of names stands before the own HTTPS. */
export function doorsOf(
  config: Pick<GatewayConfig, "http" | "https" | "sni" | "cert" | "key" | "tcp" | "link" | "limits">,
): Pick<PublicListenersOptions, "http" | "https" | "sni" | "certificates" | "tcp" | "links" | "limits"> {
  const { https, sni, cert, key } = config;
  const shared = https.kind === "tcp" && sni.kind === "tcp" && https.port !== 0 &&
    https.port === sni.port && https.host === sni.host;
  return {
    http: listenAt(config.http),
    https: https.kind === "tcp" && !shared ? https : undefined,
    sni: sni.kind === "tcp" ? sni : undefined,
    certificates: cert.map((certPath, i) => ({ certPath, keyPath: key[i]! })),
    tcp: config.tcp.map(({ address, service }) => ({ at: listenAt(address)!, service })),
    links: config.link.map((address) => listenAt(address)!),
    limits: serverLimits(config),
  };
}

/** @returns `undefined` for `off`. */
export function listenAt(address: ListenAddress): ListenAt | undefined {
  if (address.kind === "off") return undefined;
  return address.kind === "unix" ? { path: address.path } : { host: address.host, port: address.port };
}
