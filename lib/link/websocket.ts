/**
 * A link over a socket that speaks WebSocket, for both ends.
 *
 * It begins behind the handshake and speaks the protocol itself: the same code on both runtimes, from source and in
 * the bundle, and without a copy and a write for each message (see frame_writer.ts). A WebSocket cannot hold back its
 * sender, so every queue here has a bound, and what would pass the bound closes the link: a frame that is dropped
 * would corrupt every stream behind it.
 *
 * Source: RFC 6455.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { clearTimeout, setImmediate, setTimeout } from "node:timers";
import { FrameWriter, type Masking } from "./frame_writer.ts";
import { CloseCode, CONTROL_BYTES_MAX, FrameReader, Opcode, WebSocketError } from "./frames.ts";
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

/** Who is at this end, and at the other. */
export interface WebSocketEnds {
  /** Where the other end is, for logs. */
  readonly peer: string;
  /** `none` at a server, which then wants masks of its client; else this is a client. */
  readonly masking: Masking;
}

/**
 * Makes a link of a socket on which the handshake is done.
 *
 * Bytes that come before `start` are kept, up to `LINK_EARLY_BYTES_MAX`. A chunk handed to `onMessage` is never written
 * to again, but it is a view of a whole chunk off the socket (64 KiB on Deno, 512 KiB on Bun), so a receiver that
 * keeps a small piece for long should copy it. Messages are passed on as they come, not when they are whole.
 * Only `close` and a goodbye of the other side with code 1000 or 1001 end a link as clean.
 *
 * @param socket The link owns it from here on.
 * @param head What came behind the handshake already.
 */
export function wrapWebSocket(socket: Duplex, head: Uint8Array, ends: WebSocketEnds): Link {
  return new WebSocketLink(socket, head, ends);
}

class WebSocketLink implements Link {
  readonly peer: string;
  readonly #socket: Duplex;
  readonly #isServer: boolean;
  readonly #reader: FrameReader;
  readonly #writer: FrameWriter;
  #handlers: LinkHandlers | undefined;
  /** What came before the owner took it; undefined once bytes go straight to the owner. */
  #early: Uint8Array[] | undefined = [];
  #earlyBytes = 0;
  #congested = false;
  /** The last ping that was not answered, as too much was waiting. */
  #ping: Uint8Array | undefined;
  #ending: LinkCloseReason | undefined;
  /** Our close frame was sent: nothing may follow it. */
  #saidGoodbye = false;
  /** Cut off: nothing more is delivered, only `onClose`. */
  #cut = false;
  #ended = false;
  #failure: string | undefined;
  #closeTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(socket: Duplex, head: Uint8Array, { peer, masking }: WebSocketEnds) {
    this.#socket = socket;
    this.peer = peer;
    this.#isServer = masking === "none";
    this.#writer = new FrameWriter(socket, masking, this.#onSent);
    const sink = {
      onBytes: (chunk: Uint8Array) => this.#receive(chunk),
      onPing: (payload: Uint8Array) => this.#pong(payload),
      onGoodbye: (code: number, reason: string) => this.#onGoodbye(code, reason),
    };
    this.#reader = new FrameReader(sink, this.#isServer, LINK_MESSAGE_BYTES_MAX);
    const tuned = socket as Duplex & Partial<Pick<Socket, "setTimeout" | "setNoDelay">>;
    tuned.setTimeout?.(0);
    tuned.setNoDelay?.(true);
    // Without a listener an error would end the process. "close" follows it always.
    socket.on("error", (error) => void (this.#failure ??= describe(error)));
    socket.on("close", () => this.#onClose());
    socket.on("end", () => this.#onEnd());
    if (socket.destroyed) this.terminate("The socket is not open");
    if (head.length > 0) this.#push(head);
    socket.on("data", (chunk: Uint8Array) => this.#push(chunk));
    socket.resume();
  }

  get bufferedBytes(): number {
    return this.#ended || this.#cut ? 0 : this.#writer.waitingBytes;
  }

  start(handlers: LinkHandlers): void {
    if (this.#handlers !== undefined) throw new TypeError("Cannot start the link: it is started already");
    this.#handlers = handlers;
    // Not from inside this call: the owner may still be in its constructor.
    queueMicrotask(() => this.#flushEarly());
  }

  /** @param more More is sent in this turn, so that this need not leave before it. @default false */
  send(chunk: Uint8Array, more = false): void {
    // A socket that is closing is no failure of this send: `onClose` follows and says why.
    if (this.#ending !== undefined || this.#ended || this.#saidGoodbye) return;
    if (chunk.byteLength > LINK_MESSAGE_BYTES_MAX) {
      return this.terminate(
        `Cannot send a message of ${chunk.byteLength} bytes: the limit is ${LINK_MESSAGE_BYTES_MAX}`,
      );
    }
    this.#writer.binary(chunk, more);
    const bufferedBytes = this.#writer.waitingBytes;
    if (bufferedBytes > LINK_BUFFERED_BYTES_HIGH) this.#congested = true;
    if (bufferedBytes > LINK_BUFFERED_BYTES_MAX) {
      this.terminate(
        `The other side does not read: over ${LINK_BUFFERED_BYTES_MAX} bytes are waiting for it`,
      );
    }
  }

  close(reason: string): void {
    if (this.#ending !== undefined || this.#ended) return;
    this.#sayGoodbye(CloseCode.normal, reason);
    this.#ending = { clean: true, message: reason };
    this.#cutLater();
  }

  terminate(reason: string): void {
    if (this.#cut) return;
    this.#cut = true;
    if (this.#ended) return;
    this.#ending = { clean: false, message: reason };
    this.#cutOff();
  }

  /** Shared by all writes, so that a small one allocates no closure. */
  readonly #onSent = (error?: Error | null): void => {
    if (this.#ending !== undefined || this.#ended) return;
    // The close event of the socket follows and ends the link; when it fails first it knows more than this.
    if (error) return void (this.#failure ??= `Cannot send: ${describe(error)}`);
    if (this.#ping !== undefined) this.#pong(this.#ping);
    if (!this.#congested || this.#writer.waitingBytes > LINK_BUFFERED_BYTES_HIGH / 2) return;
    this.#congested = false;
    this.#handlers?.onDrain();
  };

  #push(chunk: Uint8Array): void {
    if (this.#cut || this.#ended) return;
    try {
      this.#reader.push(chunk);
    } catch (error) {
      if (!(error instanceof WebSocketError)) throw error;
      this.#failure ??= error.message;
      this.#sayGoodbye(error.closeCode, "");
      this.#socket.end();
      this.#cutLater();
    }
  }

  #receive(chunk: Uint8Array): void {
    if (this.#early === undefined) return this.#handlers?.onMessage(chunk);
    this.#earlyBytes += chunk.byteLength;
    // The slots of the array cost memory too: each counts as one byte.
    if (this.#earlyBytes + this.#early.length > LINK_EARLY_BYTES_MAX) {
      return this.terminate("The other side sent too much before the session began");
    }
    this.#early.push(chunk);
  }

  /**
   * Answers a ping, or remembers it while much is waiting: a peer that pings and never reads would fill this side's
   * memory. RFC 6455 §5.5.3 allows to answer only the last of several.
   */
  #pong(payload: Uint8Array): void {
    this.#ping = this.#writer.waitingBytes > LINK_BUFFERED_BYTES_HIGH ? payload : undefined;
    if (this.#ping === undefined && !this.#saidGoodbye) this.#writer.frame(Opcode.pong, payload);
  }

  #sayGoodbye(code: number, reason: string): void {
    if (this.#saidGoodbye) return;
    const payload = Buffer.alloc(CONTROL_BYTES_MAX);
    payload.writeUInt16BE(code, 0);
    // Cuts to whole characters: half a character would make the frame invalid.
    const { written } = new TextEncoder().encodeInto(reason, payload.subarray(2));
    this.#writer.frame(Opcode.close, payload.subarray(0, code === CloseCode.none ? 0 : 2 + written));
    this.#saidGoodbye = true;
  }

  #onGoodbye(code: number, reason: string): void {
    const clean = (code === CloseCode.normal || code === CloseCode.goingAway) && this.#failure === undefined;
    const said = printable(reason);
    const tail = said === "" ? "" : `: ${said}`;
    const message = clean
      ? `Closed by the other side${tail}`
      : this.#failure ?? `Connection lost (code ${code}${tail})`;
    this.#sayGoodbye(code, "");
    this.#ending ??= { clean, message };
    // RFC 6455 §7.1.1: the server closes first, and the client is spared the waiting state of TCP.
    if (this.#isServer) this.#socket.end();
    this.#cutLater();
  }

  #flushEarly(): void {
    const early = this.#early ?? [];
    for (let index = 0; index < early.length && !this.#cut; index++) {
      this.#handlers?.onMessage(early[index]!);
    }
    this.#early = undefined;
    if (this.#ended && this.#ending !== undefined) this.#handlers?.onClose(this.#ending);
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
    this.#reader.stop();
    this.#writer.stop();
    this.#socket.destroy();
    // The close event of a destroyed socket comes late, or never when the handshake of the end is stuck.
    setImmediate(() => this.#end());
  }

  /** The other side closed its half. */
  #onEnd(): void {
    if (this.#ending === undefined) this.#failure ??= "Connection lost: it was closed without a goodbye";
    this.#socket.end();
    this.#cutLater();
  }

  #onClose(): void {
    this.#ending ??= { clean: false, message: this.#failure ?? "Connection lost" };
    this.#end();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#reader.stop();
    this.#writer.stop();
    clearTimeout(this.#closeTimer);
    // Before `start`, or while early bytes still wait for their turn, `flushEarly` tells the owner.
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
