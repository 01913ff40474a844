/**
 * Credit windows: how many body bytes may be on their way, for one stream and for a whole session.
 *
 * A window belongs to the receiver. The sender only ever spends what it was given, so what a receiver must hold is
 * bounded by what it granted. After RFC 9113 §5.2, with growth towards bandwidth × delay.
 *
 * @module
 */
import { assert } from "../assert.ts";
import { ProtocolError } from "../wire/errors.ts";
import { WINDOW_BYTES_MAX } from "../wire/hello.ts";

/** The sender's side: credit that is left. */
export class SendWindow {
  #creditBytes: number;

  constructor(initialBytes: number) {
    this.#creditBytes = initialBytes;
  }

  /** Bytes that may be sent now. */
  get creditBytes(): number {
    return this.#creditBytes;
  }

  /** Uses credit. The caller has checked that there is enough. */
  spend(bytes: number): void {
    assert(bytes <= this.#creditBytes, "no more is sent than there is credit for");
    this.#creditBytes -= bytes;
  }

  /** Takes credit off the wire. @throws {ProtocolError} `flowControl`, when the sum passes 2^31 - 1. */
  add(bytes: number): void {
    if (this.#creditBytes + bytes > WINDOW_BYTES_MAX) {
      throw new ProtocolError("flowControl", "Cannot take credit: the window would pass 2^31 - 1 bytes");
    }
    this.#creditBytes += bytes;
  }
}

/**
 * The receiver's side. Every byte is in one of three places, and their sum is the window:
 * granted (the sender may still send it), held (received, not yet passed on), returnable (passed on, credit not
 * yet returned).
 */
export class ReceiveWindow {
  #windowBytes: number;
  #grantedBytes: number;
  #heldBytes = 0;

  constructor(windowBytes: number) {
    this.#windowBytes = windowBytes;
    this.#grantedBytes = windowBytes;
  }

  get windowBytes(): number {
    return this.#windowBytes;
  }

  /** Bytes received and not yet passed on. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Bytes that the sender may still send. */
  get grantedBytes(): number {
    return this.#grantedBytes;
  }

  /** Bytes whose credit may be returned now. Negative after `resize` to less, until enough has been passed on. */
  get returnableBytes(): number {
    return this.#windowBytes - this.#grantedBytes - this.#heldBytes;
  }

  /** Takes bytes off the wire. @throws {ProtocolError} `flowControl`, when they were not granted. */
  receive(bytes: number): void {
    this.check(bytes);
    this.#grantedBytes -= bytes;
    this.#heldBytes += bytes;
  }

  /** @throws {ProtocolError} `flowControl`, when so many bytes were not granted. */
  check(bytes: number): void {
    if (bytes > this.#grantedBytes) {
      throw new ProtocolError(
        "flowControl",
        `Cannot take ${bytes} bytes: ${this.#grantedBytes} were granted`,
      );
    }
  }

  /** Tells that held bytes were passed on (or thrown away). */
  consume(bytes: number): void {
    assert(bytes <= this.#heldBytes, "no more is consumed than was received");
    this.#heldBytes -= bytes;
  }

  /** Changes the window. Credit that was granted stays granted; a smaller window only returns less later. */
  resize(windowBytes: number): void {
    assert(windowBytes > 0 && windowBytes <= WINDOW_BYTES_MAX, "a window is within its limits");
    this.#windowBytes = windowBytes;
  }

  /**
   * Takes the credit to put on the wire, if it is worth a frame.
   *
   * @param atLeastBytes Less than this is kept for later, since every credit costs a frame.
   * @returns Bytes to grant, 0 for none.
   */
  takeCredit(atLeastBytes: number): number {
    const bytes = this.returnableBytes;
    if (bytes < atLeastBytes || bytes <= 0) return 0;
    this.#grantedBytes += bytes;
    return bytes;
  }
}
