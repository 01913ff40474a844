/**
 * Listens for raw connections, on TCP or on a unix socket.
 *
 * @module
 */
import { chmodSync, rmSync } from "node:fs";
import net from "node:net";
import { ByteSocket } from "./byte_socket.ts";

/** Where to listen. A unix socket of a process that is gone must have been removed before. */
export type TcpListenAddress = { host: string; port: number } | { path: string };

export interface TcpListenOptions {
  /** Connections at once; the kernel's queue takes no part in it. */
  readonly connectionsMax: number;
  /** A connection came. It is not read yet, and half-open when the peer ends. */
  onConnection(socket: ByteSocket): void;
  /** One was closed at once, as there were too many. */
  onRefused?(): void;
}

/** A listener that stands. */
export interface TcpListener {
  /** `HOST:PORT` or `unix:PATH`, with the port that was picked. */
  readonly address: string;
  readonly port: number;
  /** Takes no more connections. Those that are there go on. */
  close(): void;
}

/** @throws {NodeJS.ErrnoException} When the address cannot be had. */
export function listenTcp(at: TcpListenAddress, options: TcpListenOptions): Promise<TcpListener> {
  const { connectionsMax, onConnection, onRefused } = options;
  let open = 0;
  // Counted here: where the server refuses by itself, one runtime does not tell.
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    if (open >= connectionsMax) {
      onRefused?.();
      socket.on("error", () => {});
      return void socket.resetAndDestroy();
    }
    open++;
    socket.on("close", () => open--);
    onConnection(new ByteSocket(socket));
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    const listening = (): void => {
      server.off("error", reject);
      server.on("error", () => {
        // An accept that failed, for want of file descriptors: the next one may do.
      });
      try {
        resolve(describe(server, at));
      } catch (error) {
        // The path of a unix socket is gone already, or its mode may not be set.
        server.close();
        reject(error);
      }
    };
    if ("path" in at) server.listen(at.path, listening);
    else server.listen(at.port, at.host, listening);
  });
}

function describe(server: net.Server, at: TcpListenAddress): TcpListener {
  if ("path" in at) {
    // Whoever may open the socket may use what is behind it; containers often run as another user of the same group.
    chmodSync(at.path, 0o660);
    const close = (): void => {
      server.close();
      rmSync(at.path, { force: true });
    };
    return { address: `unix:${at.path}`, port: 0, close };
  }
  const { address, family, port } = server.address() as net.AddressInfo;
  const host = family === "IPv6" ? `[${address}]` : address;
  return { address: `${host}:${port}`, port, close: () => void server.close() };
}
