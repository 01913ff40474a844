/**
 * The door where TLS is passed through by server name.
 *
 * ```
 * visitor ──ClientHello──▶ which service? ──▶ as it is, to an agent: the key lives in the container
 *                                         └─▶ none: to the gateway's own HTTPS, behind this door
 * ```
 *
 * Only the ClientHello is read, and it goes on with every other byte unchanged.
 *
 * @module
 */
import type { ByteSocket, SocketSink } from "../runtime/byte_socket.ts";
import { dialSocket } from "../runtime/byte_socket.ts";
import { connectTcp } from "../runtime/connect_tcp.ts";
import { INNER_HOST, LoopbackOrigins } from "../runtime/loopback_origins.ts";
import { listenTcp, type TcpListener } from "../runtime/listen_tcp.ts";
import { ClientHelloReader, tlsAlert } from "../tcp/client_hello.ts";
import type { ClientHello } from "../tcp/client_hello_message.ts";
import { joinSockets } from "../tcp/join.ts";

/** What was decided of a connection. */
export type SniDecision = { kind: "pass"; service: string } | { kind: "own" } | { kind: "refuse" };

export interface SniDoorOptions {
  readonly host: string;
  readonly port: number;
  readonly connectionsMax: number;
  /** For the whole ClientHello. */
  readonly helloTimeoutMs: number;
  decide(hello: ClientHello): SniDecision;
  /** Takes a connection that is passed through, with all that was read of it. */
  onPass(socket: ByteSocket, service: string, hello: ClientHello, first: Uint8Array): void;
  /** The port of the gateway's own HTTPS on loopback. */
  readonly ownPort: number | undefined;
  /** A visitor was turned away: too many, or no ClientHello in time or at all. */
  onRefused(queue: "connections" | "hellos"): void;
  /** A visitor was turned away by what it said, or did not say: for the log. */
  onUnreadable(address: string, message: string): void;
}

/** The own HTTPS listens in this process: when it has not taken a connection by then, it never will. */
const OWN_CONNECT_TIMEOUT_MS = 5_000;

export class SniDoor {
  readonly #options: SniDoorOptions;
  /** Who is behind a connection to the own HTTPS, by the port that it comes from. */
  readonly #visitors = new LoopbackOrigins<{ address: string }>();
  #listener!: TcpListener;

  private constructor(options: SniDoorOptions) {
    this.#options = options;
  }

  /** @throws {NodeJS.ErrnoException} When the address cannot be had. */
  static async listen(options: SniDoorOptions): Promise<SniDoor> {
    const door = new SniDoor(options);
    const { host, port, connectionsMax } = options;
    door.#listener = await listenTcp({ host, port }, {
      connectionsMax,
      onConnection: (socket) => door.#read(socket),
      onRefused: () => options.onRefused("connections"),
    });
    return door;
  }

  get address(): string {
    return this.#listener.address;
  }

  get port(): number {
    return this.#listener.port;
  }

  /** The visitor whose connection comes to the own HTTPS from this address; `undefined` when it came by no door. */
  visitorOf(address: string, port: number): string | undefined {
    return this.#visitors.find(address, port)?.address;
  }

  close(): void {
    this.#listener.close();
  }

  #read(socket: ByteSocket): void {
    const { helloTimeoutMs, onRefused, onUnreadable } = this.#options;
    const reader = new ClientHelloReader();
    const address = socket.remoteAddress;
    let isRead = false;
    const timer = setTimeout(() => {
      onRefused("hellos");
      socket.reset();
    }, helloTimeoutMs);
    const sink: SocketSink = {
      onData: (chunk) => {
        const read = reader.push(chunk);
        if (read.kind === "more") return;
        isRead = true;
        clearTimeout(timer);
        if (read.kind === "hello") return this.#route(socket, read.hello, reader.bytes);
        onRefused("hellos");
        onUnreadable(address, read.message);
        if (read.code === "not_tls") return socket.reset();
        this.#alert(socket, "decode_error");
      },
      // An end right behind the hello is for whoever takes the connection, and is told to it again.
      onEnd: () => {
        if (!isRead) socket.reset();
      },
      onDrain: () => {},
      onClose: () => clearTimeout(timer),
    };
    socket.start(sink);
  }

  #route(socket: ByteSocket, hello: ClientHello, first: Uint8Array): void {
    const decision = this.#options.decide(hello);
    if (decision.kind === "refuse") {
      const name = hello.serverName ?? "no name";
      this.#options.onUnreadable(
        socket.remoteAddress,
        `Nothing is published under ${name}, and no own HTTPS is here`,
      );
      return this.#alert(socket, "unrecognized_name");
    }
    // Until the other side stands nothing more is read.
    socket.pause();
    if (decision.kind === "own") return this.#toOwn(socket, first);
    this.#options.onPass(socket, decision.service, hello, first);
  }

  #toOwn(socket: ByteSocket, first: Uint8Array): void {
    const visitor = { address: socket.remoteAddress };
    dialSocket(
      (onRead) => {
        const own = connectTcp({ host: INNER_HOST, port: this.#options.ownPort! }, onRead);
        let port = 0;
        own.once("connect", () => this.#visitors.note(port = own.localPort ?? 0, visitor));
        own.once("close", () => this.#visitors.forget(port, visitor));
        return own;
      },
      "the own HTTPS",
      OWN_CONNECT_TIMEOUT_MS,
      {
        onConnect: (own) => joinSockets(socket, own, first),
        onFailure: () => socket.reset(),
      },
    );
  }

  /** Says in TLS why not. What the visitor still sends is dropped. */
  #alert(socket: ByteSocket, code: "decode_error" | "unrecognized_name"): void {
    socket.endWith(tlsAlert(code));
  }
}
