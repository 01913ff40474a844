/**
 * What the doors of the gateway are told.
 *
 * @module
 */
import type { Arrival, ListenAt, VisitorServerOptions } from "../http/visitor_server.ts";
import type { TcpListenAddress } from "../runtime/listen_tcp.ts";
import type { ClientHello } from "../tcp/client_hello_message.ts";
import type { CertificateFiles, CertificateFinding } from "../tls/certificates.ts";
import type { Incoming } from "./connections.ts";
import type { SniDecision } from "./sni_door.ts";

export interface PublicListenersOptions {
  http: ListenAt | undefined;
  https: { host: string; port: number } | undefined;
  /** TLS by server name. What is not passed through ends here, when there are certificates. */
  sni: { host: string; port: number } | undefined;
  certificates: CertificateFiles[];
  /** Raw doors, and their services. */
  tcp: { at: TcpListenAddress; service: string }[];
  /** More addresses for links. */
  links: ListenAt[];
  /** Limits of every listener. */
  limits: Omit<VisitorServerOptions, "onArrival" | "onRefused">;
  /** A request of a visitor. @param peer The address on the visitor's own socket. */
  onVisitor(arrival: Arrival, peer: string, secure: boolean): void;
  /** A request on a listener for links. */
  onLink(arrival: Arrival): void;
  /** Whose TLS is passed through. */
  decideTls(hello: ClientHello, hasOwn: boolean): SniDecision;
  /** A raw connection, or TLS that is passed through. */
  onConnection(incoming: Incoming): void;
  /** For the log: bytes that are no ClientHello. */
  onUnreadable(address: string, message: string): void;
  onRefused(queue: "connections" | "hellos"): void;
  /** Settles when no raw connection is open, or cuts them off after the grace. */
  finishConnections(graceMs: number): Promise<void>;
  /** For the log. A fault leaves the certificate before in use. */
  onCertificate(finding: CertificateFinding, kind: "renewed" | "fault" | "warning"): void;
}
