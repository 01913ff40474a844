/**
 * Calls between containers to a service of HTTP: the raw connection of the caller becomes requests, which take the
 * same road as those of visitors. So the same reading, limits and failures hold for them. Requests that an operator
 * sends once more come by this door too.
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

/** A request that is sent once more, in the name of whoever sent it. */
export interface ReplayCall {
  /** The id of that request. */
  readonly replayOf: string;
  readonly service: string;
  /** The visitor's address; empty when an agent called. */
  readonly address: string;
  /** It came over TLS. */
  readonly secure: boolean;
  readonly from: Attachment | undefined;
  /** Told the id that it has as a request of its own. */
  onVisit(id: string): void;
}

/** What a connection by this door is for. */
export type DoorCall = InnerCall | ReplayCall;

/** The listener is in this process: when it has not taken a connection by then, it never will. */
const CONNECT_TIMEOUT_MS = 5_000;

export class InnerDoor {
  readonly #server: VisitorServer;
  readonly #calls = new LoopbackOrigins<DoorCall>();
  #opening: Promise<number> | undefined;

  /** @param onRequest A request that came by this door. */
  constructor(
    limits: Omit<VisitorServerOptions, "onArrival">,
    onRequest: (arrival: Arrival, call: DoorCall) => void,
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
      connect: (onRead) => this.connect(call, onRead),
    });
  }

  /** Makes a connection by this door. @param onRead See lib/runtime/connect_tcp.ts. */
  async connect(call: DoorCall, onRead: (chunk: Uint8Array) => boolean): Promise<Socket> {
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
