/**
 * Listens for raw connections, on TCP or on a unix socket.
 *
 * @module
 */
import { chmodSync, rmSync } from "node:fs";
import net from "node:net";
import { BunSocket } from "./bun_socket.ts";
import { ByteSocket } from "./byte_socket.ts";
import { runtimeName } from "./runtime.ts";

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

/** Of a unix socket: for its user and group. */
const SOCKET_MODE = 0o660;

/** @throws {NodeJS.ErrnoException} When the address cannot be had. */
export function listenTcp(at: TcpListenAddress, options: TcpListenOptions): Promise<TcpListener> {
  const { connectionsMax, onConnection, onRefused } = options;
  let open = 0;
  // Counted here: where the server refuses by itself, one runtime does not tell.
  const take = (socket: net.Socket): void => {
    if (open >= connectionsMax) {
      onRefused?.();
      socket.on("error", () => {});
      return void socket.resetAndDestroy();
    }
    open++;
    socket.on("close", () => open--);
    onConnection(new ByteSocket(socket));
  };
  if (runtimeName === "bun") return new Promise((resolve) => resolve(listenOnBun(at, take)));
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, take);
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

function listenOnBun(at: TcpListenAddress, take: (socket: net.Socket) => void): TcpListener {
  const listener = BunSocket.listen(at, (socket) => take(socket as unknown as net.Socket));
  if (!("path" in at)) {
    const port = listener.port ?? 0;
    return {
      address: `${at.host.includes(":") ? `[${at.host}]` : at.host}:${port}`,
      port,
      close: () => listener.stop(),
    };
  }
  const close = (): void => {
    listener.stop();
    rmSync(at.path, { force: true });
  };
  try {
    // Whoever may open the socket may use what is behind it; containers often run as another user of the same group.
    chmodSync(at.path, SOCKET_MODE);
  } catch (error) {
    close();
    throw error;
  }
  return { address: `unix:${at.path}`, port: 0, close };
}

function describe(server: net.Server, at: TcpListenAddress): TcpListener {
  if ("path" in at) {
    chmodSync(at.path, SOCKET_MODE);
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
