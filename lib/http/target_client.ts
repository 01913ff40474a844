/**
 * The agent's HTTP/1.1 client: replays requests to one target, byte for byte.
 *
 * Fields go out in the order, case and number in which they came, and so do those of the answer; nothing is added.
 * It is written on plain sockets because the runtimes' own client costs two to four times the processor time of a
 * request and alters some of them. The words of an exchange are in `exchange.ts`. Source: RFC 9110, RFC 9112.
 *
 * @module
 */
import { performance } from "node:perf_hooks";
import { clearTimeout, setTimeout } from "node:timers";
import type { RequestHead } from "../wire/head.ts";
import type { Exchange, ExchangeOptions, ExchangeSink } from "./exchange.ts";
import { requestText } from "./request_text.ts";
import { type ConnectionSource, RunningExchange } from "./running_exchange.ts";
import { type Connect, type ConnectionOwner, TargetConnection } from "./target_connection.ts";

/** Connections of one client at most, unless told otherwise. */
export const CONNECTIONS_MAX = 4096;

export interface TargetClientOptions {
  /**
   * Dials the target.
   *
   * Either a stream that is connecting and will emit "connect" or "error" (a `node:net` socket made with
   * `allowHalfOpen: true`), or the promise of a stream that is connected. Only `on`, `write`, `end`, `destroy`,
   * `pause` and `resume` are used on it, and `setNoDelay` where it exists.
   */
  readonly connect: Connect;
  /** Idle connections kept for reuse. @default 256 */
  readonly idleConnectionsMax?: number;
  /** How long an idle connection is kept: shorter than the 5 s of common servers. @default 4000 */
  readonly idleMs?: number;
  /** How long connecting may take. @default 10_000 */
  readonly connectTimeoutMs?: number;
  /** Connections at most, idle ones included; over it exchanges fail with `too_many`. @default CONNECTIONS_MAX */
  readonly connectionsMax?: number;
}

/** One client per target. Its connections are never shared with another target. */
export class TargetClient implements ConnectionSource, ConnectionOwner {
  readonly #connect: Connect;
  readonly #idleConnectionsMax: number;
  readonly #idleMs: number;
  readonly #connectTimeoutMs: number;
  readonly #connectionsMax: number;
  readonly #connections = new Set<TargetConnection>();
  /** Oldest first; the newest is used first, so that the oldest can grow old and go. */
  readonly #idle: TargetConnection[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(options: TargetClientOptions) {
    this.#connect = options.connect;
    this.#idleConnectionsMax = options.idleConnectionsMax ?? 256;
    this.#idleMs = options.idleMs ?? 4000;
    this.#connectTimeoutMs = options.connectTimeoutMs ?? 10_000;
    this.#connectionsMax = options.connectionsMax ?? CONNECTIONS_MAX;
  }

  /** Connections open or being made, idle ones included. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Connections that wait for a request. */
  get idleConnections(): number {
    return this.#idle.length;
  }

  /**
   * Sends a request.
   *
   * It never throws for what the request holds: the sink hears `bad_request`, after this has returned. A request on
   * a kept connection that dies without a byte of an answer is sent once more on a new one, if its method is
   * idempotent and none of its body has left; otherwise it fails with `reset`.
   *
   * @param head Any method but that of an unasked tunnel: CONNECT needs `upgrade`.
   * @param sink Never called before this returns.
   */
  exchange(head: RequestHead, options: ExchangeOptions, sink: ExchangeSink): Exchange {
    const upgrade = options.upgrade === true;
    const request = requestText(head, options.hasBody, upgrade);
    if ("fault" in request) {
      const refused = new RunningExchange(REFUSED, head.method, false, this, sink);
      refused.fail("bad_request", `Cannot send the request: ${request.fault}`);
      return refused;
    }
    const exchange = new RunningExchange(request, head.method, upgrade, this, sink);
    if (this.#closed) {
      exchange.fail("aborted", "Cannot send the request: the client is closed");
      return exchange;
    }
    const connection = this.#reuse() ?? this.dial();
    if (connection !== undefined) exchange.start(connection);
    else {
      const message =
        `Cannot connect to the target: ${this.#connectionsMax} connections are open, which is the limit`;
      exchange.fail("too_many", message);
    }
    return exchange;
  }

  /** Destroys every connection; running exchanges fail with `aborted`. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const connection of [...this.#connections]) {
      connection.fail("aborted", "Cannot finish the exchange: the client is closed");
    }
  }

  /** Makes a connection. For the exchanges of this client. */
  dial(): TargetConnection | undefined {
    if (this.#connections.size >= this.#connectionsMax || this.#closed) return undefined;
    const connection = new TargetConnection(this.#connect, this.#connectTimeoutMs, this);
    this.#connections.add(connection);
    return connection;
  }

  /** Keeps a connection for the next request. For the connections of this client. */
  onIdle(connection: TargetConnection): void {
    if (this.#closed || this.#idle.length >= this.#idleConnectionsMax) return connection.destroy();
    connection.idleSinceMs = performance.now();
    this.#idle.push(connection);
    if (this.#timer === undefined) this.#sweepIn(this.#idleMs);
  }

  /** Forgets a connection. For the connections of this client. */
  onGone(connection: TargetConnection): void {
    this.#connections.delete(connection);
    const index = this.#idle.lastIndexOf(connection);
    if (index >= 0) this.#idle.splice(index, 1);
  }

  /** The connection that was used last, unless its time is over. */
  #reuse(): TargetConnection | undefined {
    const connection = this.#idle.pop();
    if (connection === undefined || performance.now() - connection.idleSinceMs < this.#idleMs) {
      return connection;
    }
    // The one used last is too old, so all are; the timer that removes them is late.
    connection.destroy();
    return this.#reuse();
  }

  /** One timer for all: those that became idle first go first. */
  #sweepIn(ms: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const now = performance.now();
      let oldest = this.#idle[0];
      while (oldest !== undefined && now - oldest.idleSinceMs >= this.#idleMs) {
        oldest.destroy();
        oldest = this.#idle[0];
      }
      if (oldest !== undefined) this.#sweepIn(Math.max(1, oldest.idleSinceMs + this.#idleMs - now));
    }, ms);
    this.#timer.unref();
  }
}

/** Stands for a request that was not written. */
const REFUSED = { text: "", body: "none", bodyBytes: 0, close: true } as const;
