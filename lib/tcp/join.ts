/**
 * Joins two sockets of this process: bytes, half-close and backpressure, both ways.
 *
 * @module
 */
import type { ByteSocket, SocketSink } from "../runtime/byte_socket.ts";

/**
 * Joins them until both are over. What breaks one breaks the other.
 *
 * @param first Bytes of `a` that were read before.
 */
export function joinSockets(a: ByteSocket, b: ByteSocket, first: Uint8Array): void {
  if (first.length > 0) b.write(Uint8Array.from(first));
  const fromA = new Direction(a, b);
  const fromB = new Direction(b, a);
  fromA.start(fromB);
  fromB.start(fromA);
}

class Direction {
  ended = false;
  readonly #from: ByteSocket;
  readonly #to: ByteSocket;

  constructor(from: ByteSocket, to: ByteSocket) {
    this.#from = from;
    this.#to = to;
  }

  start(back: Direction): void {
    const sink: SocketSink = {
      onData: (chunk) => {
        // A chunk is valid during the call only, and a socket keeps what it cannot send at once.
        if (!this.#to.write(Uint8Array.from(chunk))) this.#from.pause();
      },
      onEnd: () => {
        this.ended = true;
        this.#to.end();
      },
      onDrain: () => back.#from.resume(),
      onClose: (error) => {
        if (error !== undefined || !this.ended || !back.ended) this.#to.reset();
      },
    };
    this.#from.start(sink);
  }
}
