/**
 * A link over an open WebSocket of the `ws` package, for both ends.
 *
 * Under Bun `import "ws"` is a built-in look-alike when run from source and the real package in the bundle; this
 * file uses only what both do alike. A WebSocket cannot hold back its sender, so every queue here has a bound, and
 * what would pass the bound closes the link: a frame that is dropped would corrupt every stream behind it.
 *
 * Source: RFC 6455.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { clearTimeout, setImmediate, setTimeout } from "node:timers";
import WebSocket, { type RawData } from "ws";
import {
  type Link,
  LINK_BUFFERED_BYTES_HIGH,
  LINK_BUFFERED_BYTES_MAX,
  LINK_CLOSE_TIMEOUT_MS,
  LINK_EARLY_BYTES_MAX,
  LINK_MESSAGE_BYTES_MAX,
  type LinkCloseReason,
  type LinkHandlers,
} from "./link.ts";

/** Named in every handshake. A page in a browser cannot name it by accident, and versions can be told apart. */
export const LINK_SUBPROTOCOL = "netwall.1";

/**
 * What both ends must be made with: `new WebSocket(url, [LINK_SUBPROTOCOL], { ...LINK_WEBSOCKET_OPTIONS })`.
 *
 * Deflate would keep memory per link and leak lengths of secrets; the payloads are often compressed already.
 */
export const LINK_WEBSOCKET_OPTIONS = {
  perMessageDeflate: false,
  maxPayload: LINK_MESSAGE_BYTES_MAX,
  /** How long a peer that said goodbye may leave its socket open. `ws` would wait 30 s. */
  closeTimeout: LINK_CLOSE_TIMEOUT_MS,
} as const;

/** RFC 6455 §7.4.1: a normal end. */
const CODE_NORMAL = 1000;
/** RFC 6455 §7.4.1: the other end goes away; also what a server sends when it stops. */
const CODE_GOING_AWAY = 1001;
/** RFC 6455 §5.5: a control frame holds 125 bytes, two of them are the code. */
const REASON_BYTES_MAX = 123;

/**
 * Makes a link of an open WebSocket.
 *
 * Messages that come before `start` are kept, up to `LINK_EARLY_BYTES_MAX`. A message handed to `onMessage` is never
 * written to again, but with the real `ws` it can be a view of a whole chunk off the socket (measured behind messages
 * of 1000 bytes: 64 KiB on Deno, 512 KiB on Bun), so a receiver that keeps a small piece for long should copy it.
 * Only `close` and a goodbye of the other side with code 1000 or 1001 end a link as clean.
 *
 * @param ws Open, made with `LINK_WEBSOCKET_OPTIONS`. The link owns it from here on.
 * @param peer Where the other end is, for logs.
 */
export function wrapWebSocket(ws: WebSocket, peer: string): Link {
  return new WebSocketLink(ws, peer);
}

class WebSocketLink implements Link {
  readonly peer: string;
  readonly #ws: WebSocket;
  #handlers: LinkHandlers | undefined;
  /** What came before the owner took it; undefined once messages go straight to the owner. */
  #early: Uint8Array[] | undefined = [];
  #earlyBytes = 0;
  #congested = false;
  #ending: LinkCloseReason | undefined;
  /** Cut off: nothing more is delivered, only `onClose`. */
  #cut = false;
  #ended = false;
  #failure: string | undefined;
  #closeTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(ws: WebSocket, peer: string) {
    this.#ws = ws;
    this.peer = peer;
    ws.binaryType = "nodebuffer";
    ws.on("message", (data, isBinary) => this.#receive(data, isBinary));
    ws.on("close", (code, reason) => this.#onClose(code, reason));
    // Without a listener an error would end the process. "close" follows it always.
    ws.on("error", (error) => this.#onError(error));
    // Each ping queues a pong: a peer that pings and never reads would fill this side's memory.
    ws.on("ping", () => this.#checkBuffered());
    if (ws.readyState !== WebSocket.OPEN) this.terminate("The WebSocket is not open");
  }

  get bufferedBytes(): number {
    return this.#ended || this.#cut ? 0 : this.#ws.bufferedAmount;
  }

  start(handlers: LinkHandlers): void {
    if (this.#handlers !== undefined) throw new TypeError("Cannot start the link: it is started already");
    this.#handlers = handlers;
    // Not from inside this call: the owner may still be in its constructor.
    queueMicrotask(() => this.#flushEarly());
  }

  send(chunk: Uint8Array): void {
    // A socket that is closing is no failure of this send: `onClose` follows and says why.
    if (this.#ending !== undefined || this.#ended || this.#ws.readyState !== WebSocket.OPEN) return;
    if (chunk.byteLength > LINK_MESSAGE_BYTES_MAX) {
      return this.terminate(
        `Cannot send a message of ${chunk.byteLength} bytes: the limit is ${LINK_MESSAGE_BYTES_MAX}`,
      );
    }
    this.#ws.send(chunk, this.#onSent);
    const bufferedBytes = this.#ws.bufferedAmount;
    if (bufferedBytes > LINK_BUFFERED_BYTES_HIGH) this.#congested = true;
    if (bufferedBytes > LINK_BUFFERED_BYTES_MAX) this.#checkBuffered();
  }

  close(reason: string): void {
    if (this.#ending !== undefined || this.#ended) return;
    this.#ending = { clean: true, message: reason };
    this.#cutLater();
    this.#ws.close(CODE_NORMAL, truncateUtf8(reason, REASON_BYTES_MAX));
  }

  terminate(reason: string): void {
    if (this.#cut) return;
    this.#cut = true;
    if (this.#ended) return;
    this.#ending = { clean: false, message: reason };
    this.#cutOff();
  }

  /** Shared by all sends, so that a send allocates no closure. */
  readonly #onSent = (error?: Error | null): void => {
    if (error) {
      if (this.#ending !== undefined || this.#ended) return;
      // When the socket is closing already its close event knows more than the failed write.
      if (this.#ws.readyState !== WebSocket.OPEN) return this.#cutLater();
      return this.terminate(this.#failure ?? `Cannot send: ${describe(error)}`);
    }
    if (!this.#congested || this.#ending !== undefined || this.#ended) return;
    if (this.#ws.bufferedAmount > LINK_BUFFERED_BYTES_HIGH / 2) return;
    this.#congested = false;
    this.#handlers?.onDrain();
  };

  #receive(data: RawData, isBinary: boolean): void {
    if (this.#cut || this.#ended) return;
    if (!isBinary) return this.terminate("The other side sent a text message: a link carries bytes only");
    // Both forms of `ws` refuse longer messages themselves; this holds if an end was made without the option.
    const chunk = data as Buffer;
    if (chunk.byteLength > LINK_MESSAGE_BYTES_MAX) {
      return this.terminate(`The other side sent a message over ${LINK_MESSAGE_BYTES_MAX} bytes`);
    }
    if (this.#early === undefined) return this.#handlers?.onMessage(chunk);
    this.#earlyBytes += chunk.byteLength;
    // The array slots of empty messages cost memory too: they count as one byte each.
    if (this.#earlyBytes + this.#early.length > LINK_EARLY_BYTES_MAX) {
      return this.terminate("The other side sent too much before the session began");
    }
    this.#early.push(chunk);
  }

  #flushEarly(): void {
    const early = this.#early ?? [];
    for (let index = 0; index < early.length && !this.#cut; index++) {
      this.#handlers?.onMessage(early[index]!);
    }
    this.#early = undefined;
    if (this.#ended && this.#ending !== undefined) this.#handlers?.onClose(this.#ending);
  }

  #checkBuffered(): void {
    if (this.#ws.bufferedAmount <= LINK_BUFFERED_BYTES_MAX) return;
    this.terminate(`The other side does not read: over ${LINK_BUFFERED_BYTES_MAX} bytes are waiting for it`);
  }

  #onError(error: Error): void {
    this.#failure ??= describe(error);
    // `ws` now tells the other side why and waits for its answer, which may never come.
    this.#cutLater();
  }

  #cutLater(): void {
    if (this.#ended) return;
    this.#closeTimer ??= setTimeout(() => {
      this.#ending ??= {
        clean: false,
        message: this.#failure ?? "Connection lost: no answer to the goodbye",
      };
      this.#cutOff();
    }, LINK_CLOSE_TIMEOUT_MS);
  }

  #cutOff(): void {
    this.#cut = true;
    this.#ws.terminate();
    // The close event of a terminated socket comes late, or never when the handshake of the end is stuck.
    setImmediate(() => this.#end());
  }

  #onClose(code: number, reason: Buffer): void {
    const clean = (code === CODE_NORMAL || code === CODE_GOING_AWAY) && this.#failure === undefined;
    const said = printable(reason.toString("utf8"));
    const message = clean
      ? `Closed by the other side${said === "" ? "" : `: ${said}`}`
      : this.#failure ?? `Connection lost (code ${code}${said === "" ? "" : `: ${said}`})`;
    this.#ending ??= { clean, message };
    this.#end();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#closeTimer);
    // Before `start`, or while early messages still wait for their turn, `flushEarly` tells the owner.
    if (this.#early === undefined && this.#ending !== undefined) this.#handlers?.onClose(this.#ending);
  }
}

/** What went wrong, in one line: the words of the error, and its code when the words do not hold it. */
function describe(error: Error): string {
  const code = (error as NodeJS.ErrnoException).code;
  const text = printable(error.message);
  return code === undefined || text.includes(code) ? text : `${text} (${code})`;
}

/** Text of the other side, fit for a log: control and format characters become spaces. */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, " ").trim();
}

/** Cuts to whole characters: half a character would make the close frame invalid. */
function truncateUtf8(text: string, bytesMax: number): string {
  const bytes = new TextEncoder().encodeInto(text, new Uint8Array(bytesMax));
  return text.slice(0, bytes.read);
}
