/**
 * The TLS front: terminates TLS and splices each connection to a plain HTTP listener on loopback.
 *
 * ```
 * visitor ══TLS══▶ front ──loopback TCP──▶ node:http
 * ```
 *
 * The HTTP server must be a socket away, as neither runtime lets one be fed decrypted sockets with
 * backpressure. Two things follow for it:
 *
 * - The visitor's address is not its peer's: it asks `visitorOf`.
 * - Any local user can dial the inner port: it must refuse a request for which `visitorOf` knows nobody.
 *
 * It must ask when a *request* or an *upgrade* arrives, not when a connection does: the front sends the first
 * byte only after it has noted the visitor, but the inner connection itself may be seen a moment before.
 *
 * A response that ends with the connection, as in HTTP/1.0, can only be told from one cut short by how the inner
 * server ends it: `end` for the first, an error or `resetAndDestroy` for the second. Then TLS is cut off with no
 * close_notify, and the visitor can tell as well.
 *
 * @module
 */
import net from "node:net";
import type { CertificatePair } from "../runtime/certificate_pair.ts";
import {
  HANDSHAKE_TIMEOUT_MS,
  listenTls,
  TLS_CONNECTIONS_MAX,
  type TlsConnection,
  type TlsListener,
} from "../runtime/listen_tls.ts";
import { INNER_HOST, LoopbackOrigins } from "../runtime/loopback_origins.ts";

/** Who is behind an inner connection. */
export interface Visitor {
  readonly address: string;
  readonly port: number;
  /** The server name the visitor asked TLS for, lower case. Compare it with `Host`. */
  readonly serverName?: string;
}

export interface TlsFrontOptions {
  readonly host: string;
  /** 0 picks one. */
  readonly port: number;
  /** Where the plain HTTP server listens, on loopback. */
  readonly innerPort: number;
  /** See `TlsListenOptions.certificateFor`; `CertificateStore.choose` fits. */
  certificateFor(serverName: string | undefined): CertificatePair;
  /** @default 10_000 */
  readonly handshakeTimeoutMs?: number;
  /** Visitors at once, handshakes included. @default 10_000 */
  readonly connectionsMax?: number;
}

/** The inner listener is in this process: when it has not taken a connection by then, it never will. */
const INNER_CONNECT_TIMEOUT_MS = 5_000;

/** After the inner server has closed in order, a visitor has this long to take what is left. */
const FLUSH_TIMEOUT_MS = 30_000;

/** After it has taken all, it has this long to close its own side. */
const LINGER_MS = 2_000;

/** How often `close` looks whether everybody has left. */
const CLOSE_POLL_MS = 20;

/** A running front. Made by `TlsFront.listen`. */
export class TlsFront {
  readonly #options: TlsFrontOptions;
  readonly #visitors = new LoopbackOrigins<Visitor>();
  #listener!: TlsListener;

  private constructor(options: TlsFrontOptions) {
    this.#options = options;
  }

  /**
   * Opens the port.
   *
   * @throws {ListenError} The address cannot be had.
   */
  static async listen(options: TlsFrontOptions): Promise<TlsFront> {
    const front = new TlsFront(options);
    front.#listener = await listenTls({
      host: options.host,
      port: options.port,
      certificateFor: (serverName) => options.certificateFor(serverName),
      // HTTP/2 would have to be terminated here: the inner server speaks 1.1.
      alpn: ["http/1.1"],
      handshakeTimeoutMs: options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS,
      connectionsMax: options.connectionsMax ?? TLS_CONNECTIONS_MAX,
      onConnection: (connection) => front.#splice(connection),
    });
    return front;
  }

  get host(): string {
    return this.#listener.host;
  }

  get port(): number {
    return this.#listener.port;
  }

  /** Open TLS connections, handshakes included. */
  get connectionCount(): number {
    return this.#listener.connectionCount;
  }

  /** Connections closed at once because there were too many. */
  get refusedCount(): number {
    return this.#listener.refusedCount;
  }

  /** Handshakes that failed or took too long. */
  get failedHandshakeCount(): number {
    return this.#listener.failedHandshakeCount;
  }

  /**
   * Finds the visitor of a request that the inner server got.
   *
   * @param remoteAddress `request.socket.remoteAddress` at the inner server. A local user can have the same port at
   *   another loopback address.
   * @param remotePort `request.socket.remotePort` there.
   * @returns Undefined when the connection did not come through this front: refuse it.
   */
  visitorOf(remoteAddress: string | undefined, remotePort: number | undefined): Visitor | undefined {
    return this.#visitors.find(remoteAddress, remotePort);
  }

  /** Takes up a renewed default certificate. Call it after each renewal; see `TlsListener.refresh`. */
  refresh(): void {
    this.#listener.refresh();
  }

  /**
   * Stops accepting and waits for the visitors to leave; those still there after `graceMs` are cut off.
   *
   * The inner server must close its idle connections meanwhile, or they all wait for the grace to run out.
   */
  async close(graceMs: number): Promise<void> {
    this.#listener.close();
    const untilMs = performance.now() + graceMs;
    while (this.connectionCount > 0 && performance.now() < untilMs) {
      await new Promise((resolve) => setTimeout(resolve, CLOSE_POLL_MS));
    }
    this.#listener.destroyConnections();
  }

  #splice({ stream, remoteAddress, remotePort, serverName }: TlsConnection): void {
    const inner = net.connect({ host: INNER_HOST, port: this.#options.innerPort, allowHalfOpen: true });
    const visitor: Visitor = {
      address: remoteAddress,
      port: remotePort,
      ...(serverName === undefined ? {} : { serverName }),
    };
    let key: number | undefined;
    let timer = setTimeout(() => abort(), INNER_CONNECT_TIMEOUT_MS);

    // The entry goes before the socket does: its port is free for others only after that.
    const forget = (): void => {
      if (key !== undefined) this.#visitors.forget(key, visitor);
      key = undefined;
    };
    const abort = (): void => {
      clearTimeout(timer);
      forget();
      stream.destroy();
      if (inner.connecting) inner.destroy();
      else inner.resetAndDestroy();
    };

    inner.on("connect", () => {
      clearTimeout(timer);
      if (stream.destroyed || inner.localPort === undefined) {
        abort();
        return;
      }
      inner.setNoDelay(true);
      key = inner.localPort;
      this.#visitors.note(key, visitor);
      // `pipe` passes on the end of each direction by itself, and holds back a side that is not read.
      stream.pipe(inner);
      inner.pipe(stream);
    });
    // A server that answered and left before it read the whole upload resets: its answer is still worth passing on.
    inner.on("error", () => {
      if (!inner.readableEnded) abort();
    });
    stream.on("error", abort);
    stream.on("close", () => {
      if (!inner.destroyed) abort();
    });
    inner.on("close", () => {
      forget();
      if (stream.destroyed) return;
      if (!inner.readableEnded) {
        abort();
        return;
      }
      // Nobody reads the visitor any more. What it still sends is dropped, so that its reading end can finish.
      clearTimeout(timer);
      timer = setTimeout(() => stream.destroy(), FLUSH_TIMEOUT_MS);
      const linger = (): void => {
        clearTimeout(timer);
        timer = setTimeout(() => stream.destroy(), LINGER_MS);
      };
      if (stream.writableFinished) linger();
      else stream.once("finish", linger);
      stream.once("close", () => clearTimeout(timer));
      stream.unpipe(inner);
      stream.resume();
    });
  }
}
