/**
 * A TLS client connection with read and write backpressure on both runtimes.
 *
 * TCP is dialled first and TLS is laid over it, so that a failure can say which of the two it was. On Deno a
 * `GatedTransport` stands between them, as Deno's TLS sockets do not stop reading when paused. That way
 * `insecure`, client certificates and unix sockets work there too, which `Deno.connectTls` has not.
 *
 * @module
 */
import net from "node:net";
import tls from "node:tls";
import { parsePem } from "./certificate_pair.ts";
import { GatedTransport } from "./gated_transport.ts";
import { runtimeName } from "./runtime.ts";

export interface TlsConnectOptions {
  readonly host: string;
  readonly port: number;
  /** Dials this unix socket instead. `host` is then only the name to check. */
  readonly socketPath?: string;
  /** Authorities to trust instead of the runtime's own list, PEM. */
  readonly ca?: string;
  /** Client certificate and its key, PEM; both or none. */
  readonly cert?: string;
  readonly key?: string;
  /** The name to ask for and to find in the certificate. @default `host` */
  readonly servername?: string;
  /** Accept any certificate. @default false */
  readonly insecure?: boolean;
  /** Protocols to offer; `alpnProtocol` of the socket tells which was taken. @default none */
  readonly alpn?: readonly string[];
  /** For name lookup, dial and handshake together. @default 10_000 */
  readonly timeoutMs?: number;
}

/** Where a connection failed. `dns`: no address; `unreachable`: no route, no such unix socket, no permission. */
export type ConnectErrorCode = "refused" | "timeout" | "dns" | "tls" | "reset" | "unreachable";

/** A connection could not be made. The message is fit for an operator. */
export class ConnectError extends Error {
  override name = "ConnectError";
  constructor(readonly code: ConnectErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

export const CONNECT_TIMEOUT_MS = 10_000;

/**
 * Connects, and returns once the handshake is done and the certificate is accepted.
 *
 * @returns A paused socket that the caller owns and must listen to for errors. It ends when the peer ends, and
 *   stays writable until then and after.
 * @throws {ConnectError} For every failure to connect, with `cause`.
 */
export function connectTls(options: TlsConnectOptions): Promise<tls.TLSSocket> {
  const address = options.socketPath ?? `${options.host}:${options.port}`;
  const timeoutMs = options.timeoutMs ?? CONNECT_TIMEOUT_MS;
  return new Promise((resolve, reject) => {
    const socket = options.socketPath === undefined
      ? net.connect({ host: options.host, port: options.port, allowHalfOpen: true })
      : net.connect({ path: options.socketPath, allowHalfOpen: true });
    let stream: tls.TLSSocket | undefined;
    let isSettled = false;
    const timer = setTimeout(() => {
      const what = stream === undefined ? "no connection" : "no TLS handshake";
      fail(new ConnectError("timeout", `Cannot connect to ${address}: ${what} within ${timeoutMs} ms`));
    }, timeoutMs);
    const fail = (error: Error): void => {
      if (isSettled) return;
      isSettled = true;
      clearTimeout(timer);
      stream?.destroy();
      socket.destroy();
      reject(error instanceof ConnectError ? error : connectError(error, address, stream !== undefined));
    };
    socket.on("error", fail);
    socket.on("close", () => fail(closedError(address)));
    socket.once("connect", () => {
      socket.setNoDelay(true);
      try {
        stream = startTls(socket, options);
      } catch (error) {
        fail(new ConnectError("tls", `Cannot connect to ${address}: ${messageOf(error)}`, { cause: error }));
        return;
      }
      const secured = stream;
      secured.on("error", fail);
      secured.on("close", () => fail(closedError(address)));
      secured.once("end", () => fail(closedError(address)));
      secured.once("secureConnect", () => {
        if (isSettled) return;
        if (options.insecure !== true && !secured.authorized) {
          fail(secured.authorizationError ?? new Error("certificate not authorized"));
          return;
        }
        isSettled = true;
        clearTimeout(timer);
        resolve(secured);
      });
    });
  });
}

function startTls(socket: net.Socket, options: TlsConnectOptions): tls.TLSSocket {
  const name = options.servername ?? options.host;
  if (options.cert !== undefined && options.key !== undefined) {
    parsePem({ cert: options.cert, key: options.key });
  }
  const transport = runtimeName === "deno" ? new GatedTransport(socket) : undefined;
  const stream = tls.connect({
    socket: (transport as unknown as net.Socket | undefined) ?? socket,
    host: name,
    // RFC 6066 §3 allows no address as a server name; `host` is what the certificate is checked for then.
    ...(net.isIP(name) === 0 ? { servername: name } : {}),
    ...(options.ca === undefined ? {} : { ca: options.ca }),
    ...(options.cert === undefined ? {} : { cert: options.cert }),
    ...(options.key === undefined ? {} : { key: options.key }),
    ...(options.alpn === undefined ? {} : { ALPNProtocols: [...options.alpn] }),
    rejectUnauthorized: options.insecure !== true,
    allowHalfOpen: true,
  } as tls.ConnectionOptions);
  if (transport !== undefined) {
    transport.attach(stream);
    transport.on("error", (error) => stream.destroy(error));
    transport.on("close", () => stream.destroy());
    stream.on("close", () => transport.destroy());
  }
  return stream;
}

const CODES: Readonly<Record<string, ConnectErrorCode>> = {
  ECONNREFUSED: "refused",
  ETIMEDOUT: "timeout",
  ENOTFOUND: "dns",
  EAI_AGAIN: "dns",
  ENODATA: "dns",
  ECONNRESET: "reset",
  EPIPE: "reset",
  EHOSTUNREACH: "unreachable",
  ENETUNREACH: "unreachable",
  EADDRNOTAVAIL: "unreachable",
  ENOENT: "unreachable",
  ENOTSOCK: "unreachable",
  EACCES: "unreachable",
  EPERM: "unreachable",
};

const REASONS: Readonly<Record<ConnectErrorCode, string>> = {
  refused: "connection refused, nothing listens there",
  timeout: "no answer in time",
  dns: "the name has no address",
  tls: "TLS failed",
  reset: "the peer closed the connection",
  unreachable: "it cannot be reached",
};

/**
 * Turns any error of a dial or a handshake into one with a code.
 *
 * @param error What the runtime said; with several addresses tried, the first of its errors counts.
 * @param address What was dialled, for the message.
 * @param isHandshaking True once TCP stood: an error with no known code is one of TLS then.
 */
export function connectError(error: unknown, address: string, isHandshaking: boolean): ConnectError {
  const first = error instanceof AggregateError ? error.errors[0] ?? error : error;
  const systemCode = String((first as { code?: unknown }).code ?? "");
  const code = CODES[systemCode] ?? (isHandshaking ? "tls" : "unreachable");
  const detail = code === "tls" ? `: ${messageOf(first)}` : systemCode === "" ? "" : ` (${systemCode})`;
  const advice = code === "tls" && CERTIFICATE_FAULT.test(`${systemCode} ${messageOf(first)}`)
    ? ", give the authority that signed its certificate, or turn the check off"
    : "";
  return new ConnectError(code, `Cannot connect to ${address}: ${REASONS[code]}${detail}${advice}`, {
    cause: error,
  });
}

/** How the two runtimes speak of a certificate that is not trusted. */
const CERTIFICATE_FAULT =
  /UNABLE_TO|SELF_SIGNED|UnknownIssuer|unknown ?issuer|unable to verify|unable to get|self.signed|CaUsedAsEndEntity/i;

function closedError(address: string): ConnectError {
  return new ConnectError("reset", `Cannot connect to ${address}: the peer closed the connection`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
