/**
 * A TLS listener that picks a certificate for each handshake, the same on both runtimes.
 *
 * Its connections are `node:tls` sockets with read and write backpressure and with half-close. The runtimes
 * differ below that, and only here:
 *
 * - Bun: `tls.createServer` does all of it, except that a client which names no server gets the default
 *   context, which must be replaced by hand: see `TlsListener.refresh`.
 * - Deno: its TLS sockets have no read backpressure, so each is built over a `GatedTransport`. Not
 *   `Deno.listenTls`: it keeps the first certificate of every name a client ever sent, for good. A renewed
 *   certificate would never be served, and made-up names would fill the memory.
 *
 * @module
 */
import net from "node:net";
import tls from "node:tls";
import { type CertificatePair, secureContext } from "./certificate_pair.ts";
import { GatedTransport } from "./gated_transport.ts";
import { runtimeName } from "./runtime.ts";

/** A connection whose handshake is done. The receiver owns the stream, and must listen for its errors. */
export interface TlsConnection {
  /** Nothing flows until it is read. Destroying it ends TCP with no close_notify: the peer sees a truncation. */
  readonly stream: tls.TLSSocket;
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** What the client asked for, lower case; undefined when it named none. */
  readonly serverName: string | undefined;
}

export interface TlsListenOptions {
  readonly host: string;
  /** 0 picks one. */
  readonly port: number;
  /**
   * Chooses for each handshake, at once. A new object means a new certificate; a throw ends that handshake.
   *
   * @param serverName Lower case, as the client sent it; undefined when it sent none.
   */
  certificateFor(serverName: string | undefined): CertificatePair;
  /** Protocols to agree on. A client that offers only others is refused. @default ["http/1.1"] */
  readonly alpn?: readonly string[];
  /** A handshake that takes longer is cut off. @default 10_000 */
  readonly handshakeTimeoutMs?: number;
  /** Connections over this many, handshakes included, are closed at once. @default 10_000 */
  readonly connectionsMax?: number;
  onConnection(connection: TlsConnection): void;
}

export interface TlsListener {
  readonly host: string;
  readonly port: number;
  /** Open TCP connections, handshakes included. */
  readonly connectionCount: number;
  /** Connections closed at once because there were too many. */
  readonly refusedCount: number;
  /** Handshakes that failed or took too long. */
  readonly failedHandshakeCount: number;
  /**
   * Asks `certificateFor(undefined)` again, for clients that name no server. Call it after each renewal.
   * All other handshakes ask every time.
   *
   * @throws What `certificateFor` throws, or the TLS library, and then the old one stays in use.
   */
  refresh(): void;
  /** Stops accepting, now. Connections go on. */
  close(): void;
  /** Cuts off every connection. */
  destroyConnections(): void;
}

/** A port could not be had. */
export class ListenError extends Error {
  override name = "ListenError";
  constructor(readonly code: "in_use" | "denied" | "unavailable", message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

export const HANDSHAKE_TIMEOUT_MS = 10_000;
export const TLS_CONNECTIONS_MAX = 10_000;

/** TCP asks an idle peer after this long whether it is still there, so that lost ones do not hold a place. */
const KEEPALIVE_DELAY_MS = 60_000;

/**
 * Listens for TLS.
 *
 * A slow, dead or broken handshake costs its own place for `handshakeTimeoutMs` and nothing else; it is counted,
 * never thrown.
 *
 * @returns The listener, once its port is open.
 * @throws {ListenError} The address cannot be had.
 * @throws What `certificateFor(undefined)` throws, and the TLS library's error when that pair is of no use.
 */
export async function listenTls(options: TlsListenOptions): Promise<TlsListener> {
  const contexts = new ContextCache(options.certificateFor);
  const door = new Door(options);
  const server = (runtimeName === "bun" ? bunServer : denoServer)(options, contexts, door);
  await listening(server, options);
  server.on("error", () => {});
  const address = server.address() as net.AddressInfo;
  return {
    host: address.address,
    port: address.port,
    get connectionCount(): number {
      return door.open.size;
    },
    get refusedCount(): number {
      return door.refusedCount;
    },
    get failedHandshakeCount(): number {
      return door.failedCount;
    },
    refresh(): void {
      contexts.refresh();
      if (server instanceof tls.Server) server.setSecureContext({ ...contexts.namelessPair });
    },
    close: () => void server.close(),
    destroyConnections: () => door.destroyAll(),
  };
}

/** Parsed contexts by certificate, so that a handshake does not parse PEM. Dropped with their certificate. */
class ContextCache {
  readonly #certificateFor: TlsListenOptions["certificateFor"];
  readonly #contexts = new WeakMap<CertificatePair, tls.SecureContext>();
  /** For clients that name no server. Bun asks nobody for them, so here it is the same on both. */
  namelessPair: CertificatePair;
  nameless: tls.SecureContext;

  constructor(certificateFor: TlsListenOptions["certificateFor"]) {
    this.#certificateFor = certificateFor;
    this.namelessPair = certificateFor(undefined);
    this.nameless = this.#contextOf(this.namelessPair);
  }

  refresh(): void {
    const pair = this.#certificateFor(undefined);
    this.nameless = this.#contextOf(pair);
    this.namelessPair = pair;
  }

  #contextOf(pair: CertificatePair): tls.SecureContext {
    let context = this.#contexts.get(pair);
    if (context === undefined) {
      context = secureContext(pair);
      this.#contexts.set(pair, context);
    }
    return context;
  }

  /** For `SNICallback`: an error ends the handshake. */
  readonly sniCallback = (
    serverName: string,
    callback: (error: Error | null, context?: tls.SecureContext) => void,
  ): void => {
    let context: tls.SecureContext;
    try {
      context = serverName ? this.#contextOf(this.#certificateFor(serverName.toLowerCase())) : this.nameless;
    } catch (error) {
      callback(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    callback(null, context);
  };
}

/** Counts who is in, and times the handshakes. */
class Door {
  readonly open = new Set<net.Socket>();
  readonly #handshakes = new Map<net.Socket, ReturnType<typeof setTimeout>>();
  readonly #options: TlsListenOptions;
  refusedCount = 0;
  failedCount = 0;

  constructor(options: TlsListenOptions) {
    this.#options = options;
  }

  /** @returns False when the socket was refused and destroyed. */
  enter(socket: net.Socket): boolean {
    socket.on("error", () => {});
    if (this.open.size >= (this.#options.connectionsMax ?? TLS_CONNECTIONS_MAX)) {
      this.refusedCount++;
      socket.destroy();
      return false;
    }
    this.open.add(socket);
    const timeoutMs = this.#options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS;
    this.#handshakes.set(socket, setTimeout(() => this.fail(socket), timeoutMs));
    // A client that has nothing more to say will not finish its handshake.
    socket.once("end", () => this.#handshakes.has(socket) && this.fail(socket));
    socket.on("close", () => {
      if (this.#endHandshake(socket)) this.failedCount++;
      this.open.delete(socket);
    });
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEPALIVE_DELAY_MS);
    return true;
  }

  /** @returns False when the handshake was given up before. */
  admit(socket: net.Socket, stream: tls.TLSSocket, remoteAddress: string, remotePort: number): boolean {
    if (!this.#endHandshake(socket)) return false;
    const { servername } = stream as { servername?: string | false | null };
    const serverName = servername ? servername.toLowerCase() : undefined;
    this.#options.onConnection({ stream, remoteAddress, remotePort, serverName });
    return true;
  }

  fail(socket: net.Socket): void {
    if (this.#endHandshake(socket)) this.failedCount++;
    socket.destroy();
  }

  destroyAll(): void {
    for (const socket of this.open) socket.destroy();
  }

  #endHandshake(socket: net.Socket): boolean {
    clearTimeout(this.#handshakes.get(socket));
    return this.#handshakes.delete(socket);
  }
}

function bunServer(options: TlsListenOptions, contexts: ContextCache, door: Door): tls.Server {
  const timeoutMs = options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS;
  const server = tls.createServer({
    ...contexts.namelessPair,
    ALPNProtocols: [...(options.alpn ?? ["http/1.1"])],
    SNICallback: contexts.sniCallback,
    allowHalfOpen: true,
    // The door has the true timer. This one only has to come later.
    handshakeTimeout: timeoutMs + 1_000,
  });
  const peers = new WeakMap<net.Socket, { address: string; port: number }>();
  // On Bun this socket is already the TLS socket, before its handshake.
  server.on("connection", (socket: net.Socket) => {
    if (!door.enter(socket)) return;
    peers.set(socket, { address: socket.remoteAddress ?? "", port: socket.remotePort ?? 0 });
  });
  server.on("secureConnection", (stream: tls.TLSSocket) => {
    const peer = peers.get(stream);
    if (peer === undefined || !door.admit(stream, stream, peer.address, peer.port)) stream.destroy();
  });
  server.on("tlsClientError", (_error: Error, socket: tls.TLSSocket) => door.fail(socket));
  return server;
}

function denoServer(options: TlsListenOptions, contexts: ContextCache, door: Door): net.Server {
  return net.createServer({ allowHalfOpen: true }, (socket) => {
    if (!door.enter(socket)) return;
    const { remoteAddress = "", remotePort = 0 } = socket;
    const transport = new GatedTransport(socket);
    const stream = new tls.TLSSocket(transport as unknown as net.Socket, {
      isServer: true,
      secureContext: contexts.nameless,
      ALPNProtocols: [...(options.alpn ?? ["http/1.1"])],
      SNICallback: contexts.sniCallback,
      allowHalfOpen: true,
    } as tls.TLSSocketOptions);
    transport.attach(stream);
    transport.on("error", (error) => stream.destroy(error));
    transport.on("close", () => stream.destroy());
    stream.on("error", () => door.fail(socket));
    stream.on("close", () => transport.destroy());
    stream.once("secure", () => {
      if (!door.admit(socket, stream, remoteAddress, remotePort)) stream.destroy();
    });
  });
}

function listening(server: net.Server, { host, port }: TlsListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => reject(listenError(error, `${host}:${port}`)));
    server.listen({ host, port }, resolve);
  });
}

function listenError(error: NodeJS.ErrnoException, address: string): ListenError {
  const because = (code: ListenError["code"], message: string): ListenError =>
    new ListenError(code, `Cannot listen on ${address}: ${message}`, { cause: error });
  if (error.code === "EADDRINUSE") {
    return because("in_use", "the port is in use, stop its owner or choose another");
  }
  if (error.code === "EACCES" || error.code === "EPERM") {
    return because("denied", "permission denied, choose a port of 1024 or more or give the capability");
  }
  return because("unavailable", error.code ?? error.message);
}
