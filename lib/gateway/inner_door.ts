/**
 * Calls between containers to a service of HTTP: the raw connection of the caller becomes requests, which take the
 * same road as those of visitors. So the same reading, limits and failures hold for them.
 *
 * The HTTP server must be a socket away, see lib/tls/front.ts: it listens on loopback from the first call on, and
 * answers only connections that this door has made.
 *
 * @module
 */
import type { TokenClaims } from "../auth/token.ts";
import type { Socket } from "node:net";
import { type Arrival, VisitorServer, type VisitorServerOptions } from "../http/visitor_server.ts";
import type { Stream } from "../mux/stream.ts";
import type { Attachment } from "../routing/registry.ts";
import { connectTcp } from "../runtime/connect_tcp.ts";
import { INNER_HOST, LoopbackOrigins } from "../runtime/loopback_origins.ts";
import { acceptTcp, type ConnectionFacts } from "../tcp/connect.ts";
import type { OpenPayload } from "../wire/open.ts";

/** Who calls which service. */
export interface InnerCall {
  readonly caller: TokenClaims;
  /** Its link. */
  readonly from: Attachment;
  readonly service: string;
}

/** The listener is in this process: when it has not taken a connection by then, it never will. */
const CONNECT_TIMEOUT_MS = 5_000;

export class InnerDoor {
  readonly #server: VisitorServer;
  readonly #calls = new LoopbackOrigins<InnerCall>();
  #opening: Promise<number> | undefined;

  /** @param onRequest A request that came by this door. */
  constructor(
    limits: Omit<VisitorServerOptions, "onArrival">,
    onRequest: (arrival: Arrival, call: InnerCall) => void,
  ) {
    this.#server = new VisitorServer({
      ...limits,
      onArrival: (arrival) => {
        const { socket } = arrival.incoming;
        const call = this.#calls.find(socket.remoteAddress, socket.remotePort);
        if (call === undefined) return void socket.destroy();
        onRequest(arrival, call);
      },
    });
  }

  /** Opens the door, which the first call does by itself. @returns Its port. */
  open(): Promise<number> {
    this.#opening ??= this.#server.listen({ host: INNER_HOST, port: 0 })
      .then((address) => Number(address.slice(address.lastIndexOf(":") + 1)));
    return this.#opening;
  }

  /** Leads a stream in. @param onDone When the connection is over. */
  take(stream: Stream, open: OpenPayload, call: InnerCall, onDone: (facts: ConnectionFacts) => void): void {
    acceptTcp({
      ...{ stream, open, address: "the inner door", onDone },
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      idleTimeoutMs: 0,
      connect: (onRead) => this.#connect(call, onRead),
    });
  }

  async #connect(call: InnerCall, onRead: (chunk: Uint8Array) => boolean): Promise<Socket> {
    const socket = connectTcp({ host: INNER_HOST, port: await this.open() }, onRead);
    return await new Promise((resolve, reject) => {
      let port = 0;
      socket.once("error", reject);
      socket.once("close", () => this.#calls.forget(port, call));
      socket.once("connect", () => {
        this.#calls.note(port = socket.localPort ?? 0, call);
        resolve(socket);
      });
    });
  }

  finish(graceMs: number): Promise<void> {
    return this.#server.finish(graceMs);
  }

  cut(): void {
    this.#server.cut();
  }
}
