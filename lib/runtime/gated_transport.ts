/**
 * The encrypted side of a TLS socket, with the read backpressure that Deno's `node:tls` lacks.
 *
 * On Deno a paused TLS socket goes on reading its transport and keeps what it decrypts: a peer that is not
 * read fills the memory. So the TLS socket is given this transport instead of the TCP socket. It hands over
 * at most one chunk per turn of the event loop and none while the TLS socket still holds decrypted bytes that
 * nobody has read. What the peer sends then stays in the kernel, where TCP slows the peer down.
 *
 * @module
 */
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";

/** Encrypted bytes handed over in one turn of the event loop. More is faster, and is what a stall holds. */
const TURN_BYTES_MAX = 256 << 10;

/** A TCP socket whose bytes reach a TLS socket only as fast as that is read. Owns the TCP socket. */
export class GatedTransport extends Duplex {
  readonly #socket: Socket;
  #tlsSocket: TLSSocket | undefined;
  #isWanted = false;
  #isScheduled = false;

  constructor(socket: Socket) {
    super({ allowHalfOpen: true, readableHighWaterMark: TURN_BYTES_MAX, writableHighWaterMark: 64 << 10 });
    this.#socket = socket;
    socket.on("readable", () => this.#schedule());
    socket.on("end", () => this.push(null));
    socket.on("error", (error) => this.destroy(error));
    socket.on("close", () => this.#onClose());
  }

  /**
   * Names the TLS socket that reads this transport. Call it in the turn that made that socket.
   *
   * @param tlsSocket Its `_read` is wrapped: that is the one sign that somebody has read from it.
   */
  attach(tlsSocket: TLSSocket): void {
    this.#tlsSocket = tlsSocket;
    const read = tlsSocket._read.bind(tlsSocket);
    tlsSocket._read = (size: number): void => {
      read(size);
      this.#schedule();
    };
  }

  override _read(): void {
    this.#isWanted = true;
    this.#schedule();
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, callback: () => void): void {
    if (this.#socket.write(chunk)) callback();
    else this.#socket.once("drain", callback);
  }

  override _final(callback: () => void): void {
    this.#socket.end(callback);
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#socket.destroy();
    callback(error);
  }

  /** A TCP socket that closes after both ends is done; before that, the TLS socket must hear of it. */
  #onClose(): void {
    if (!this.readableEnded || !this.writableFinished) this.destroy();
  }

  /** The turn between two chunks is what lets the TLS socket decrypt the first, and so be asked how full it is. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#feed();
    });
  }

  #feed(): void {
    if (!this.#isWanted || this.destroyed || this.readableEnded) return;
    const unread = this.#tlsSocket;
    // From its mark on, the TLS socket keeps what it decrypts where it is not counted: not one byte more then.
    if (unread !== undefined && unread.readableLength >= unread.readableHighWaterMark) return;
    const available = this.#socket.readableLength;
    const chunk = this.#socket.read(available > TURN_BYTES_MAX ? TURN_BYTES_MAX : undefined) as
      | Uint8Array
      | null;
    if (chunk === null) return;
    this.#isWanted = false;
    this.push(chunk);
    this.#schedule();
  }
}
