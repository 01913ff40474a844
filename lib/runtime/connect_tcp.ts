/**
 * Dials a plain socket, TCP or unix, that is read in small pieces.
 *
 * Bun reads up to 512 KiB from a socket at once and goes on to read once more after `pause()`, so that 100 connections
 * to a fast target whose answers nobody takes were measured at 300 MiB. With one small buffer for all sockets, which
 * is possible as the callback is synchronous there, they hold next to nothing. Deno reads 64 KiB and stops.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import net from "node:net";
import { BunSocket } from "./bun_socket.ts";
import { runtimeName } from "./runtime.ts";

/** Where to: a host and a port, or the path of a unix socket. */
export type TcpAddress = { host: string; port: number } | { path: string };

/**
 * Dials for a `ByteSocket`, and for nothing else: on Bun there is no more of the socket than that uses.
 *
 * @param onRead As below.
 */
export function connectRaw(address: TcpAddress, onRead: (chunk: Uint8Array) => boolean): net.Socket {
  if (runtimeName !== "bun") return connectTcp(address, onRead);
  return BunSocket.dial(address) as unknown as net.Socket;
}

/** Bytes that are read at once. */
const READ_BYTES = 64 * 1024;

/** Every socket's bytes pass through here on Bun; a reader that keeps some must copy them. */
const READ_BUFFER = Buffer.allocUnsafeSlow(READ_BYTES);

/**
 * Dials. The socket stays half-open when the peer ends.
 *
 * @param onRead Takes bytes, valid during the call only; returns false to pause. Where it is not used the socket emits
 *   "data" as always: listen for both.
 */
export function connectTcp(address: TcpAddress, onRead: (chunk: Uint8Array) => boolean): net.Socket {
  const options = { ...address, allowHalfOpen: true };
  if (runtimeName !== "bun") return net.connect(options);
  const callback = (bytes: number): boolean => onRead(READ_BUFFER.subarray(0, bytes));
  return net.connect({ ...options, onread: { buffer: READ_BUFFER, callback } });
}
