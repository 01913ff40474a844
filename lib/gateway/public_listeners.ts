/**
 * The doors of the gateway: public HTTP, public HTTPS with its certificates, and more listeners for links.
 *
 * @module
 */
import type { CertificateFiles, CertificateFinding } from "../tls/certificates.ts";
import { CertificateStore } from "../tls/certificates.ts";
import { TlsFront } from "../tls/front.ts";
import {
  type Arrival,
  type ListenAt,
  VisitorServer,
  type VisitorServerOptions,
} from "../http/visitor_server.ts";

/** How often certificate files are looked at. */
const CERTIFICATES_POLL_MS = 1_000;

export interface PublicListenersOptions {
  http: ListenAt | undefined;
  https: { host: string; port: number; certificates: CertificateFiles[] } | undefined;
  /** More addresses for links. */
  links: ListenAt[];
  /** Limits of every listener. */
  limits: Omit<VisitorServerOptions, "onArrival">;
  /** A request of a visitor. @param peer The address on the visitor's own socket. */
  onVisitor(arrival: Arrival, peer: string, secure: boolean): void;
  /** A request on a listener for links. */
  onLink(arrival: Arrival): void;
  /** For the log. A fault leaves the certificate before in use. */
  onCertificate(finding: CertificateFinding, kind: "renewed" | "fault" | "warning"): void;
}

export interface PublicListeners {
  /** The real addresses: `http`, `https`, `link`. */
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
  const fronts: { close(graceMs: number): Promise<void> }[] = [];
  const addresses: Record<string, string | string[]> = {};
  const close = async (graceMs: number, endLinks?: () => Promise<void>): Promise<void> => {
    const closed = fronts.map((front) => front.close(graceMs));
    await Promise.all(servers.map((server) => server.finish(graceMs)));
    await endLinks?.();
    for (const server of servers) server.cut();
    await Promise.all(closed);
  };
  const server = (onArrival: (arrival: Arrival) => void): VisitorServer => {
    const made = new VisitorServer({ ...options.limits, onArrival });
    servers.push(made);
    return made;
  };
  try {
    let front: TlsFront | undefined;
    if (options.https) {
      front = await openHttps(options, server, fronts);
      addresses["https"] = `${front.host.includes(":") ? `[${front.host}]` : front.host}:${front.port}`;
    }
    if (options.http) {
      const made = server((arrival) =>
        options.onVisitor(arrival, arrival.incoming.socket.remoteAddress ?? "unix", false)
      );
      addresses["http"] = await made.listen(options.http);
    }
    const links: string[] = [];
    for (const at of options.links) links.push(await server(options.onLink).listen(at));
    if (links.length > 0) addresses["link"] = links;
    return { addresses, httpsPort: front?.port, close };
  } catch (error) {
    await close(0);
    throw error;
  }
}

/** HTTPS: TLS ends in the front, which hands on to an inner server on loopback. See lib/tls/front.ts for why. */
async function openHttps(
  options: PublicListenersOptions,
  server: (onArrival: (arrival: Arrival) => void) => VisitorServer,
  fronts: { close(graceMs: number): Promise<void> }[],
): Promise<TlsFront> {
  const { host, port, certificates } = options.https!;
  const store = CertificateStore.load(certificates);
  for (const warning of store.warnings()) options.onCertificate(warning, "warning");
  const inner = server((arrival) => {
    const { socket } = arrival.incoming;
    const visitor = front.visitorOf(socket.remotePort);
    // Any local user can dial the inner port; whoever did not come through TLS has no business there.
    if (!visitor) return void socket.destroy();
    options.onVisitor(arrival, visitor.address, true);
  });
  const innerAddress = await inner.listen({ host: "127.0.0.1", port: 0 });
  const front: TlsFront = await TlsFront.listen({
    host,
    port,
    innerPort: Number(innerAddress.slice(innerAddress.lastIndexOf(":") + 1)),
    connectionsMax: options.limits.connectionsMax,
    certificateFor: (name) => store.choose(name),
  });
  store.watch(CERTIFICATES_POLL_MS, ({ adopted, faults }) => {
    for (const path of adopted) {
      options.onCertificate({ path, message: "The certificate was renewed" }, "renewed");
    }
    for (const fault of faults) options.onCertificate(fault, "fault");
    front.refresh();
  });
  fronts.push({
    close: async (graceMs) => {
      store.stop();
      await front.close(graceMs);
    },
  });
  return front;
}
