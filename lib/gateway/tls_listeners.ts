/**
 * What ends in TLS, or begins with it: the gateway's own HTTPS, and the door where server names are told apart.
 *
 * ```
 * --https ──▶ TLS front ──────────────▶ HTTP on loopback
 * --sni ──▶ ClientHello ──▶ TLS front on loopback ──▶ the same HTTP
 *                      └──▶ a raw connection of an agent
 * ```
 *
 * @module
 */
import { type Arrival, listenFault, type VisitorServer } from "../http/visitor_server.ts";
import type { Registry } from "../routing/registry.ts";
import type { Router } from "../routing/router.ts";
import type { TlsRouter } from "../routing/tls_router.ts";
import type { ClientHello } from "../tcp/client_hello_message.ts";
import { CertificateStore } from "../tls/certificates.ts";
import { TlsFront } from "../tls/front.ts";
import { addressFields } from "./connections.ts";
import type { PublicListenersOptions } from "./listener_options.ts";
import { type SniDecision, SniDoor } from "./sni_door.ts";

/** How often certificate files are looked at. */
const CERTIFICATES_POLL_MS = 1_000;

export class TlsListeners {
  readonly addresses: Record<string, string> = {};
  readonly #fronts: TlsFront[] = [];
  #store: CertificateStore | undefined;
  #door: SniDoor | undefined;
  #publicPort: number | undefined;

  /**
   * Opens them.
   *
   * @param server Makes the HTTP server behind TLS.
   * @throws {ListenFault | ListenError | CertificateError} The first that cannot be opened, and why.
   */
  static async open(
    options: PublicListenersOptions,
    server: (onArrival: (arrival: Arrival) => void) => VisitorServer,
  ): Promise<TlsListeners> {
    const made = new TlsListeners();
    try {
      await made.#open(options, server);
      return made;
    } catch (error) {
      await made.close(0);
      throw error;
    }
  }

  /** The public port where HTTPS is spoken, if there is one. */
  get httpsPort(): number | undefined {
    return this.#publicPort;
  }

  async close(graceMs: number): Promise<void> {
    this.#door?.close();
    this.#store?.stop();
    await Promise.all(this.#fronts.map((front) => front.close(graceMs)));
  }

  async #open(
    options: PublicListenersOptions,
    server: (onArrival: (arrival: Arrival) => void) => VisitorServer,
  ): Promise<void> {
    const { https, sni, certificates } = options;
    let ownPort: number | undefined;
    if (certificates.length > 0) {
      const front = await this.#ownHttps(options, server);
      if (https) {
        const open = await front(https);
        this.#publicPort = open.port;
        this.addresses["https"] = `${open.host.includes(":") ? `[${open.host}]` : open.host}:${open.port}`;
      }
      if (sni) ownPort = (await front({ host: "127.0.0.1", port: 0 })).port;
    }
    if (!sni) return;
    this.#door = await this.#openDoor(options, sni, ownPort);
    this.addresses["sni"] = this.#door.address;
    if (ownPort !== undefined) this.#publicPort ??= this.#door.port;
  }

  /** Loads the certificates and opens the HTTP server behind; returns what puts a front before it. */
  async #ownHttps(
    options: PublicListenersOptions,
    server: (onArrival: (arrival: Arrival) => void) => VisitorServer,
  ): Promise<(at: { host: string; port: number }) => Promise<TlsFront>> {
    const store = CertificateStore.load(options.certificates);
    this.#store = store;
    for (const warning of store.warnings()) options.onCertificate(warning, "warning");
    const inner = server((arrival) => {
      const { socket } = arrival.incoming;
      const address = this.#visitorOf(socket.remoteAddress, socket.remotePort);
      // Any local user can dial the inner ports; whoever did not come in by a door has no business there.
      if (address === undefined) return void socket.destroy();
      options.onVisitor(arrival, address, true);
    });
    const innerAddress = await inner.listen({ host: "127.0.0.1", port: 0 });
    const innerPort = Number(innerAddress.slice(innerAddress.lastIndexOf(":") + 1));
    store.watch(CERTIFICATES_POLL_MS, ({ adopted, faults }) => {
      for (const path of adopted) {
        options.onCertificate({ path, message: "The certificate was renewed" }, "renewed");
      }
      for (const fault of faults) options.onCertificate(fault, "fault");
      for (const front of this.#fronts) front.refresh();
    });
    return async ({ host, port }) => {
      const front = await TlsFront.listen({
        ...{ host, port, innerPort },
        connectionsMax: options.limits.connectionsMax,
        certificateFor: (name) => store.choose(name),
      });
      this.#fronts.push(front);
      return front;
    };
  }

  /** The address of whoever is behind a connection to the HTTP server. */
  #visitorOf(remoteAddress: string | undefined, remotePort: number | undefined): string | undefined {
    for (const front of this.#fronts) {
      const visitor = front.visitorOf(remoteAddress, remotePort);
      if (visitor === undefined) continue;
      // The front on loopback is for what came through the door alone.
      return front.port === this.#publicPort && this.addresses["https"] !== undefined
        ? visitor.address
        : this.#door?.visitorOf(visitor.address, visitor.port);
    }
    return undefined;
  }

  async #openDoor(
    options: PublicListenersOptions,
    at: { host: string; port: number },
    ownPort: number | undefined,
  ): Promise<SniDoor> {
    const { limits, decideTls, onConnection, onRefused, onUnreadable } = options;
    try {
      const door: SniDoor = await SniDoor.listen({
        ...{ ...at, ownPort, onRefused, onUnreadable },
        connectionsMax: limits.connectionsMax,
        helloTimeoutMs: limits.headTimeoutMs,
        decide: (hello) => decideTls(hello, ownPort !== undefined),
        onPass: (socket, service, hello, first) => {
          const fields = addressFields(socket);
          if (hello.serverName !== undefined) fields.push("server-name", hello.serverName);
          onConnection({ socket, service, fields, first });
        },
      });
      return door;
    } catch (error) {
      throw listenFault(at, error as NodeJS.ErrnoException);
    }
  }
}

/** Where a TLS connection goes, by its name and protocols: to an agent as it is, to the own HTTPS, or nowhere. */
export function routeTls(
  { tlsRouter, router, registry }: { tlsRouter: TlsRouter; router: Router; registry: Registry },
  { serverName, alpn }: ClientHello,
  hasOwn: boolean,
): SniDecision {
  const pinned = tlsRouter.match(serverName, alpn);
  if (pinned !== undefined) return { kind: "pass", service: pinned.service };
  const match = serverName === undefined ? undefined : router.match(serverName, "/");
  if (match !== undefined && registry.kindOf(match.service) === "tcp") {
    return { kind: "pass", service: match.service };
  }
  return { kind: hasOwn ? "own" : "refuse" };
}
