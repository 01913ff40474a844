/**
 * What tests of raw sockets share: a sink that remembers, and real loopback connections with a `ByteSocket` at one end.
 *
 * @module
 */
import type { Duplex } from "node:stream";
import type { ByteSocket, Connect, SocketSink } from "../../lib/runtime/byte_socket.ts";
import { dialSocket } from "../../lib/runtime/byte_socket.ts";
import { connectTcp } from "../../lib/runtime/connect_tcp.ts";
import { listenTcp, type TcpListener } from "../../lib/runtime/listen_tcp.ts";
import { TcpEnd, TcpTarget } from "../e2e/tcp_wall.ts";
import { Changing } from "../support/raw_http.ts";

/** Remembers what a socket told. Copies, as a chunk is valid during the call only. */
export class Recorder extends Changing implements SocketSink {
  readonly #chunks: Uint8Array[] = [];
  readBytes = 0;
  ends = 0;
  drains = 0;
  closes = 0;
  error: NodeJS.ErrnoException | undefined;
  /** What was told after the close. */
  late = 0;
  onChunk: ((chunk: Uint8Array) => void) | undefined;

  get text(): string {
    return Buffer.concat(this.#chunks).toString("latin1");
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  onData(chunk: Uint8Array): void {
    this.#told();
    this.#chunks.push(Uint8Array.from(chunk));
    this.readBytes += chunk.length;
    this.onChunk?.(chunk);
    this.changed();
  }

  onEnd(): void {
    this.#told();
    this.ends++;
    this.changed();
  }

  onDrain(): void {
    this.#told();
    this.drains++;
    this.changed();
  }

  onClose(error: NodeJS.ErrnoException | undefined): void {
    this.#told();
    this.closes++;
    this.error = error;
    this.changed();
  }

  #told(): void {
    if (this.closes > 0) this.late++;
  }

  /** Waits for a state of it. */
  async see(condition: () => boolean, what: string): Promise<void> {
    await this.until(condition, () => what, 10_000);
  }
}

/** A connection over loopback: `near` is what is tested. */
export interface Line {
  readonly near: ByteSocket;
  readonly far: TcpEnd;
}

/** Makes connections both ways, and closes all of them. */
export class Lines {
  #listener: TcpListener | undefined;
  #target: TcpTarget | undefined;
  readonly #near: ByteSocket[] = [];
  readonly #far: TcpEnd[] = [];
  #waiting: ((socket: ByteSocket) => void)[] = [];

  /** One that was accepted. */
  async accepted(): Promise<Line> {
    this.#listener ??= await listenTcp({ host: "127.0.0.1", port: 0 }, {
      connectionsMax: 100,
      onConnection: (socket) => {
        this.#near.push(socket);
        this.#waiting.shift()?.(socket);
      },
    });
    const { promise, resolve } = Promise.withResolvers<ByteSocket>();
    this.#waiting.push(resolve);
    const far = await TcpEnd.connect(this.#listener.port);
    this.#far.push(far);
    return { near: await promise, far };
  }

  /** One that was dialled. */
  async dialled(wrap: (socket: Duplex) => Duplex | Promise<Duplex> = (socket) => socket): Promise<Line> {
    this.#target ??= await TcpTarget.start();
    const { port, ends } = this.#target;
    const index = ends.length;
    const connect: Connect = (onRead) => wrap(connectTcp({ host: "127.0.0.1", port }, onRead));
    const near = await new Promise<ByteSocket>((resolve, reject) => {
      dialSocket(connect, "the target", 10_000, { onConnect: resolve, onFailure: reject });
    });
    this.#near.push(near);
    return { near, far: await this.#target.connection(index) };
  }

  close(): void {
    for (const socket of this.#near.splice(0)) socket.reset();
    for (const end of this.#far.splice(0)) end.destroy();
    this.#listener?.close();
    this.#target?.close();
    this.#listener = this.#target = undefined;
    this.#waiting = [];
  }
}
