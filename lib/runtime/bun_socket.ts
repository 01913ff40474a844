/**
 * A socket on Bun's own TCP, in the shape of a socket of node:net as far as `ByteSocket` uses one.
 *
 * Bun's node:net keeps what a paused socket has read: 1,000 connections to a fast target that are paused and resumed
 * grew to 300 MiB of buffers that nobody holds, or to 1 GiB without `onread`. Here nothing is read once a socket is
 * paused, and chunks are views of one buffer of the process; the same relay took 37 MiB, and a fifth less time.
 *
 * @module
 */
import { EventEmitter } from "node:events";

/** The part of Bun's socket that is used. */
interface NativeSocket {
  data: BunSocket;
  readonly localAddress?: string;
  readonly localPort?: number;
  readonly remoteAddress?: string;
  readonly remotePort?: number;
  /** @returns Bytes that the system has taken; negative when the socket is closed. */
  write(chunk: Uint8Array): number;
  /** Sends FIN and goes on to read. */
  shutdown(): void;
  terminate(): void;
  pause(): void;
  resume(): void;
  setNoDelay(on: boolean): boolean;
  setKeepAlive(on: boolean, delayMs: number): boolean;
}

interface NativeListener {
  readonly hostname?: string;
  readonly port?: number;
  stop(): void;
}

type Place = { hostname: string; port: number } | { unix: string };

interface BunGlobal {
  connect(options: Place & { allowHalfOpen: boolean; data: BunSocket; socket: object }): Promise<unknown>;
  listen(options: Place & { allowHalfOpen: boolean; socket: object }): NativeListener;
}

const bun = (globalThis as { Bun?: BunGlobal }).Bun;

/**
 * Events: `connect`, `data` (a view, valid during the call), `end`, `drain`, `error`, and `close` last. It does not
 * read before `resume`.
 */
export class BunSocket extends EventEmitter {
  #native: NativeSocket | undefined;
  /** Written and not taken by the system. */
  readonly #waiting: Uint8Array[] = [];
  #reading = false;
  #ending = false;
  #shutDown = false;
  #peerEnded = false;
  #closed = false;

  /** Dials. What goes wrong is an `error`, and then `close`. */
  static dial(at: { host: string; port: number } | { path: string }): BunSocket {
    const socket = new BunSocket();
    bun!.connect({ ...placeOf(at), allowHalfOpen: true, data: socket, socket: DIALLED })
      .catch((error: Error) => socket.#close(error));
    return socket;
  }

  /** Listens. @throws {NodeJS.ErrnoException} When the address cannot be had. */
  static listen(
    at: { host: string; port: number } | { path: string },
    onConnection: (socket: BunSocket) => void,
  ): NativeListener {
    const open = (native: NativeSocket): void => {
      const socket = new BunSocket();
      native.data = socket;
      socket.#open(native);
      onConnection(socket);
    };
    return bun!.listen({ ...placeOf(at), allowHalfOpen: true, socket: { ...HANDLERS, open } });
  }

  static opened(native: NativeSocket): void {
    native.data.#open(native);
    native.data.emit("connect");
  }

  static received(native: NativeSocket, chunk: Uint8Array): void {
    native.data.emit("data", chunk);
  }

  static drained({ data: socket }: NativeSocket): void {
    if (socket.#flush()) socket.emit("drain");
  }

  static ended({ data: socket }: NativeSocket): void {
    socket.#peerEnded = true;
    socket.emit("end");
  }

  static closed({ data: socket }: NativeSocket, error?: Error): void {
    socket.#close(error);
  }

  get localAddress(): string | undefined {
    return this.#native?.localAddress;
  }

  get localPort(): number | undefined {
    return this.#native?.localPort;
  }

  get remoteAddress(): string | undefined {
    return this.#native?.remoteAddress;
  }

  get remotePort(): number | undefined {
    return this.#native?.remotePort;
  }

  get destroyed(): boolean {
    return this.#closed;
  }

  /** @returns False when part of it waits; it must stay as it is until `drain`. */
  write(chunk: Uint8Array): boolean {
    if (this.#closed || this.#ending) return true;
    if (this.#waiting.length === 0 && this.#native !== undefined) {
      const taken = Math.max(0, this.#native.write(chunk));
      if (taken === chunk.length) return true;
      chunk = chunk.subarray(taken);
    }
    this.#waiting.push(chunk);
    return false;
  }

  end(): void {
    this.#ending = true;
    this.#flush();
  }

  pause(): void {
    this.#reading = false;
    this.#native?.pause();
  }

  resume(): void {
    if (this.#reading) return;
    this.#reading = true;
    this.#native?.resume();
  }

  destroy(): void {
    this.resetAndDestroy();
  }

  resetAndDestroy(): void {
    if (this.#closed) return;
    if (this.#native !== undefined) this.#native.terminate();
    // One that is still dialling is cut off as soon as it stands.
    else queueMicrotask(() => this.#close(undefined));
  }

  setNoDelay(on: boolean): void {
    this.#native?.setNoDelay(on);
  }

  setKeepAlive(on: boolean, delayMs: number): void {
    this.#native?.setKeepAlive(on, delayMs);
  }

  #open(native: NativeSocket): void {
    if (this.#closed) return native.terminate();
    this.#native = native;
    if (!this.#reading) native.pause();
    this.#flush();
  }

  /** Sends what waits, and the end behind it. @returns True when something waited and all of it has left. */
  #flush(): boolean {
    const native = this.#native;
    if (native === undefined || this.#closed) return false;
    const waited = this.#waiting.length > 0;
    while (this.#waiting.length > 0) {
      const chunk = this.#waiting[0]!;
      const taken = Math.max(0, native.write(chunk));
      if (taken < chunk.length) {
        this.#waiting[0] = chunk.subarray(taken);
        return false;
      }
      this.#waiting.shift();
    }
    if (this.#ending && !this.#shutDown) {
      this.#shutDown = true;
      native.shutdown();
    }
    return waited;
  }

  #close(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#waiting.length = 0;
    // Where this side ended first, the end of the other is told as the close.
    if (error === undefined && this.#shutDown && !this.#peerEnded) this.emit("end");
    if (error !== undefined) this.emit("error", error);
    this.emit("close");
  }
}

const HANDLERS = {
  binaryType: "uint8array",
  data: BunSocket.received,
  drain: BunSocket.drained,
  end: BunSocket.ended,
  close: BunSocket.closed,
  error: (): void => {
    // "close" follows with the same.
  },
};

const DIALLED = {
  ...HANDLERS,
  open: BunSocket.opened,
  connectError: (): void => {
    // The promise of the dial is rejected with the same.
  },
};

function placeOf(at: { host: string; port: number } | { path: string }): Place {
  return "path" in at ? { unix: at.path } : { hostname: at.host, port: at.port };
}
