/**
 * A connection as raw TCP is spliced: bytes pushed to a sink, told to wait, half-closed, reset.
 *
 * It hides whether the runtime reads a socket through a callback with one shared buffer (Bun, for dialled sockets:
 * see connect_tcp.ts) or through "data" events. A chunk is valid during the call only, always.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import net from "node:net";
import type { Duplex } from "node:stream";
import { BunSocket } from "./bun_socket.ts";
import { ConnectError } from "./connect_tls.ts";

/** What a socket tells its owner. */
export interface SocketSink {
  /** Bytes came. Valid during the call only: keep a copy or nothing. */
  onData(chunk: Uint8Array): void;
  /** The peer sends no more; it may still read. */
  onEnd(): void;
  /** All that was written has left: write on. */
  onDrain(): void;
  /** The connection is over, once and last. The error is `undefined` when both sides had ended. */
  onClose(error: NodeJS.ErrnoException | undefined): void;
}

/** Makes a connection, as `connectTcp` and `connectTls` do. What it rejects with says why. */
export type Connect = (onRead: (chunk: Uint8Array) => boolean) => Duplex | Promise<Duplex>;

/** What becomes of a dial. Exactly one is called, once, unless it is aborted. */
export interface DialOutcome {
  /** The connection stands; nothing was read yet. */
  onConnect(socket: ByteSocket): void;
  /** @param cause What `connect` failed with, a system error, or a `ConnectError`. */
  onFailure(cause: unknown): void;
}

/** Whether it has addresses and can be reset. */
function isNet(socket: Duplex): socket is net.Socket {
  return socket instanceof net.Socket || (socket as unknown) instanceof BunSocket;
}

/** How long a peer may take to read a last word and leave. */
const LINGER_MS = 2_000;

/** How long a connection may be silent before the kernel asks whether the peer is still there. */
const KEEPALIVE_MS = 60_000;

/** One connection. It does not read before `start`. */
export class ByteSocket {
  readonly #socket: Duplex;
  #sink: SocketSink | undefined;
  #error: NodeJS.ErrnoException | undefined;
  #paused = false;
  /** The peer sends no more. It shows also while nobody reads, once all that came before was told. */
  #peerEnded = false;
  #closed = false;
  /** Read before there was a sink: a callback that reads cannot be kept from it. One piece, as it is paused then. */
  #early: Uint8Array[] = [];

  /** @param socket Not flowing, and allowed to be half-open. Its errors are listened to from here on. */
  constructor(socket: Duplex) {
    this.#socket = socket;
    socket.on("error", (error: NodeJS.ErrnoException) => {
      this.#error ??= error;
      socket.destroy();
    });
    socket.on("end", () => {
      this.#peerEnded = true;
      this.#sink?.onEnd();
    });
    socket.on("drain", () => this.#sink?.onDrain());
    socket.on("close", () => {
      this.#closed = true;
      this.#sink?.onClose(this.#error);
    });
    if (isNet(socket)) {
      socket.setNoDelay(true);
      socket.setKeepAlive(true, KEEPALIVE_MS);
    }
  }

  /** Begins to tell a sink, or goes on with another one, also when it was paused. An end that came is told to each. */
  start(sink: SocketSink): void {
    const isFirst = this.#sink === undefined;
    this.#sink = sink;
    this.#paused = false;
    if (this.#closed) return sink.onClose(this.#error);
    const early = this.#early;
    this.#early = [];
    for (const chunk of early) sink.onData(chunk);
    if (this.#peerEnded) {
      // Not inside this call: its caller may have bytes that go first.
      queueMicrotask(() => {
        if (this.#sink === sink && !this.#closed) sink.onEnd();
      });
    }
    if (isFirst) this.#socket.on("data", (chunk: Uint8Array) => this.#sink!.onData(chunk));
    if (!this.#paused) this.#socket.resume();
  }

  /** Takes what a reading callback was given. @returns Whether it may go on to read. */
  received(chunk: Uint8Array): boolean {
    if (this.#sink === undefined) {
      this.#early.push(Buffer.from(chunk));
      return false;
    }
    this.#sink.onData(chunk);
    return !this.#paused;
  }

  /** The address of this end, without brackets; empty for a unix socket. */
  get localAddress(): string {
    return isNet(this.#socket) ? this.#socket.localAddress ?? "" : "";
  }

  /** The port of this end; 0 when it has none. */
  get localPort(): number {
    return isNet(this.#socket) ? this.#socket.localPort ?? 0 : 0;
  }

  /** The peer's address, without brackets; empty for a unix socket. */
  get remoteAddress(): string {
    return isNet(this.#socket) ? this.#socket.remoteAddress ?? "" : "";
  }

  get remotePort(): number {
    return isNet(this.#socket) ? this.#socket.remotePort ?? 0 : 0;
  }

  /**
   * Writes. The chunk must stay as it is until it has left.
   *
   * @returns False when it waits: count it as held until `onDrain`.
   */
  write(chunk: Uint8Array): boolean {
    return this.#socket.write(chunk);
  }

  /** Ends this side, after what was written. */
  end(): void {
    this.#socket.end();
  }

  /** Says the last word and leaves. What the peer still sends is dropped, and it may take `LINGER_MS` to leave too. */
  endWith(bytes: Uint8Array): void {
    const timer = setTimeout(() => this.reset(), LINGER_MS);
    this.start({
      onData: () => {},
      onEnd: () => {},
      onDrain: () => {},
      onClose: () => clearTimeout(timer),
    });
    this.write(bytes);
    this.end();
  }

  pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#paused = false;
    if (this.#sink !== undefined) this.#socket.resume();
  }

  /** Breaks the connection off so that the peer can tell it from an end (RST, where the socket has that). */
  reset(): void {
    if (this.#closed) return;
    if (isNet(this.#socket)) this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }
}

/**
 * Dials.
 *
 * @param address What is dialled, for the messages.
 * @param timeoutMs Until the connection stands.
 * @returns Gives up: neither outcome is told then.
 */
export function dialSocket(
  connect: Connect,
  address: string,
  timeoutMs: number,
  outcome: DialOutcome,
): () => void {
  let socket: Duplex | undefined;
  let made: ByteSocket | undefined;
  let settled = false;
  const settle = (): boolean => {
    if (settled) return false;
    settled = true;
    clearTimeout(timer);
    return true;
  };
  const fail = (cause: unknown): void => {
    if (!settle()) return;
    socket?.destroy();
    outcome.onFailure(cause);
  };
  const stand = (): void => {
    if (!settle()) return;
    socket!.off("error", fail);
    socket!.off("close", onEarlyClose);
    made = new ByteSocket(socket!);
    for (const chunk of early) made.received(chunk);
    outcome.onConnect(made);
  };
  const onEarlyClose = (): void =>
    fail(new ConnectError("reset", `Cannot connect to ${address}: it closed the connection`));
  const timer = setTimeout(
    () => fail(new ConnectError("timeout", `Cannot connect to ${address}: no answer within ${timeoutMs} ms`)),
    timeoutMs,
  );
  const early: Uint8Array[] = [];
  const onRead = (chunk: Uint8Array): boolean => {
    if (made !== undefined) return made.received(chunk);
    early.push(Buffer.from(chunk));
    return false;
  };
  const adopt = (dialled: Duplex, connected: boolean): void => {
    socket = dialled;
    // Listens for errors before anything else: after an abort one may still come, and it would be uncaught.
    dialled.on("error", fail);
    if (settled) return void dialled.destroy();
    // It will not say once more that it has closed.
    if (connected && dialled.destroyed) return onEarlyClose();
    dialled.on("close", onEarlyClose);
    if (connected) stand();
    else dialled.once("connect", stand);
  };
  try {
    const dialled = connect(onRead);
    if (dialled instanceof Promise) dialled.then((it) => adopt(it, true), fail);
    else adopt(dialled, false);
  } catch (cause) {
    queueMicrotask(() => fail(cause));
  }
  return () => {
    if (settle()) socket?.destroy();
  };
}
