/**
 * A link: the one outgoing socket between an agent and a gateway, as an ordered, reliable pipe of bytes.
 *
 * The mux above sees only this interface, so the same session runs over WebSocket (TCP, TLS, unix socket) and
 * over memory in tests. Message boundaries carry no meaning: a reader must accept any chunking.
 *
 * @module
 */

/** What a link tells its owner. Set once, before the first byte can arrive. */
export interface LinkHandlers {
  /** Bytes came. The view is the receiver's to keep; it may share a larger buffer with other views. */
  onMessage(chunk: Uint8Array): void;
  /** What was queued has been handed to the socket after `bufferedBytes` was over `LINK_BUFFERED_BYTES_HIGH`. */
  onDrain(): void;
  /** The link is gone, once, for whatever reason. No other handler is called after it. */
  onClose(reason: LinkCloseReason): void;
}

/** Why a link ended. */
export interface LinkCloseReason {
  /** True when this side asked for it, or the other said goodbye in an orderly way. */
  readonly clean: boolean;
  /** For the log: "closed by the gateway", "ECONNRESET", … Never a secret. */
  readonly message: string;
}

/** Over this many bytes queued in the socket the mux stops sending data (control frames still pass). */
export const LINK_BUFFERED_BYTES_HIGH = 1 << 20;

/** The largest single message a link accepts; a longer one closes it. */
export const LINK_MESSAGE_BYTES_MAX = 1 << 20;

/** Over this many bytes queued a send closes the link: the owner sends without credit, or the peer reads nothing. */
export const LINK_BUFFERED_BYTES_MAX = 16 << 20;

/** The most that is kept for an owner that has not called `start` yet; more closes the link. */
export const LINK_EARLY_BYTES_MAX = 4 << 20;

/** How long an orderly end may take before the link is cut. */
export const LINK_CLOSE_TIMEOUT_MS = 2_000;

export interface Link {
  /** Where the other end is, for logs: an address or a path. */
  readonly peer: string;
  /** Bytes given to `send` that the operating system has not taken yet. */
  readonly bufferedBytes: number;
  /** Attaches the owner. Bytes that came before are delivered then, in order. */
  start(handlers: LinkHandlers): void;
  /**
   * Sends bytes. Never blocks and never drops: what cannot be sent closes the link.
   *
   * @param chunk Copied before this returns.
   * @param more More is sent in this turn, so that this need not leave before it. @default false
   */
  send(chunk: Uint8Array, more?: boolean): void;
  /** Ends in an orderly way after what was sent; `onClose` follows, in 2 s at the latest. */
  close(reason: string): void;
  /** Ends now. What was not sent is lost; `onClose` follows. */
  terminate(reason: string): void;
}

/**
 * A link could not be made or kept.
 *
 * `permanent` tells the dialer to give up: a token that is refused, a version that is too old.
 */
export class LinkError extends Error {
  override name = "LinkError";
  constructor(message: string, readonly permanent: boolean, options?: ErrorOptions) {
    super(message, options);
  }
}
