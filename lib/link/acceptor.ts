/**
 * The gateway's side of a handshake: an HTTP upgrade becomes a link, or is answered with a refusal that the dialer
 * can read.
 *
 * Anyone on the internet can reach this, so what is open and not yet authenticated is bounded in number and time.
 * Browsers are kept out twice: an `Origin` header is refused, and the subprotocol must be named.
 *
 * Source: RFC 6455 §4.2, RFC 9457.
 *
 * @module
 */

import type { Buffer } from "node:buffer";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { clearTimeout, setTimeout } from "node:timers";
import { upgradeAnswer, WEBSOCKET_VERSION } from "./handshake.ts";
import type { Link } from "./link.ts";
import { type LinkRefusal, refuse } from "./refusal.ts";
import { LINK_SUBPROTOCOL, wrapWebSocket } from "./websocket.ts";

/** Who calls, or why not. */
export type LinkAuthentication<T> =
  | { readonly ok: true; readonly identity: T }
  | { readonly ok: false } & LinkRefusal;

export interface LinkAcceptorOptions<T> {
  /** Judges a request by its headers. A rejection is a bug: the agent gets 500, `onFailure` the error. */
  authenticate(request: IncomingMessage): Promise<LinkAuthentication<T>>;
  /** Owns the link from here on. */
  onLink(link: Link, identity: T, request: IncomingMessage): void;
  /** @default ignored */
  onFailure?(error: unknown): void;
  /** What a link calls its other end. @default the address of the socket */
  peerOf?(request: IncomingMessage): string;
  /** From the upgrade to the link, in milliseconds. @default {10_000} */
  handshakeTimeoutMs?: number;
  /** Handshakes at once; more are told to come again. @default PENDING_MAX */
  pendingMax?: number;
  /** A handshake was turned away, as too many were under way: for the metrics. */
  onBusy?(): void;
}

/** RFC 6455 §4.2.1: 16 bytes in base64. */
const KEY_PATTERN = /^[+/0-9A-Za-z]{22}==$/;

/** A moment that spreads a burst of agents without keeping them out. */
const RETRY_AFTER_SECONDS = 2;

/** Handshakes under way at once: as many agents may come back in one moment when a gateway returns. */
const PENDING_MAX = 1_024;

/** Turns upgrades into links. */
export class LinkAcceptor<T> {
  readonly #options: LinkAcceptorOptions<T>;
  readonly #pendingMax: number;
  readonly #timeoutMs: number;
  readonly #pending = new Set<Duplex>();
  #stopped = false;

  constructor(options: LinkAcceptorOptions<T>) {
    this.#options = options;
    this.#pendingMax = options.pendingMax ?? PENDING_MAX;
    this.#timeoutMs = options.handshakeTimeoutMs ?? 10_000;
  }

  /** Handshakes under way. */
  get pending(): number {
    return this.#pending.size;
  }

  /**
   * Takes an `upgrade` of a `node:http` server over. The socket is answered or closed, whatever it does.
   *
   * @param head What came behind the request; an agent may speak at once.
   */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // Without a listener one reset of a stranger would end the process.
    socket.on("error", () => socket.destroy());
    const refusal = this.#checkRequest(request);
    if (refusal !== undefined) return refuse(socket, refusal);
    this.#pending.add(socket);
    // Nobody reads the socket yet, so on Bun a peer that leaves is not seen to leave: then this frees its place.
    const timer = setTimeout(
      () => settle({ status: 503, code: "timeout", message: "The handshake took too long" }),
      this.#timeoutMs,
    );
    const settle = (outcome: LinkRefusal | undefined): boolean => {
      if (!this.#pending.delete(socket)) return false;
      clearTimeout(timer);
      socket.off("close", onClose);
      if (outcome !== undefined) refuse(socket, outcome);
      return true;
    };
    const onClose = (): void => void settle(undefined);
    socket.on("close", onClose);
    this.#authenticate(request).then((outcome) => {
      if (!outcome.ok) return settle(outcome);
      if (this.#stopped) return settle(STOPPING);
      if (settle(undefined) && !socket.destroyed) this.#accept(request, socket, head, outcome.identity);
    });
  }

  /** Turns every handshake away from now on, those under way too. Links stay: their owners end them. */
  stop(): void {
    this.#stopped = true;
  }

  async #authenticate(request: IncomingMessage): Promise<LinkAuthentication<T>> {
    try {
      return await this.#options.authenticate(request);
    } catch (error) {
      this.#options.onFailure?.(error);
      return { ok: false, status: 500, code: "internal", message: "The gateway failed to check the token" };
    }
  }

  #accept(request: IncomingMessage, socket: Duplex, head: Buffer, identity: T): void {
    socket.write(upgradeAnswer(request.headers["sec-websocket-key"] ?? ""));
    const peer = this.#options.peerOf?.(request) ?? addressOf(request);
    this.#options.onLink(wrapWebSocket(socket, head, { peer, masking: "none" }), identity, request);
  }

  #checkRequest(request: IncomingMessage): LinkRefusal | undefined {
    const { headers } = request;
    if (this.#stopped) return STOPPING;
    if (headers.origin !== undefined) {
      return {
        status: 403,
        code: "origin",
        message: "A link is for agents: requests of web pages are refused",
      };
    }
    if (
      request.method !== "GET" || headers.upgrade?.toLowerCase() !== "websocket" ||
      !KEY_PATTERN.test(headers["sec-websocket-key"] ?? "")
    ) {
      return { status: 400, code: "handshake", message: "This is no WebSocket handshake" };
    }
    const offered = (headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());
    if (headers["sec-websocket-version"] !== WEBSOCKET_VERSION || !offered.includes(LINK_SUBPROTOCOL)) {
      const message =
        `This gateway speaks ${LINK_SUBPROTOCOL} over WebSocket version ${WEBSOCKET_VERSION}: use a matching agent`;
      const isAgent = offered.some((name) => name.startsWith("netwall."));
      return { status: isAgent ? 426 : 400, code: isAgent ? "version" : "subprotocol", message };
    }
    if (this.#pending.size < this.#pendingMax) return undefined;
    this.#options.onBusy?.();
    return {
      status: 503,
      code: "busy",
      message: "Too many agents are connecting at once",
      retryAfterSeconds: RETRY_AFTER_SECONDS,
    };
  }
}

const STOPPING: LinkRefusal = {
  status: 503,
  code: "stopping",
  message: "The gateway is stopping",
  retryAfterSeconds: RETRY_AFTER_SECONDS,
};

function addressOf(request: IncomingMessage): string {
  const { remoteAddress, remotePort } = request.socket;
  if (remoteAddress === undefined || remotePort === undefined) return "unix socket";
  return remoteAddress.includes(":") ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`;
}
