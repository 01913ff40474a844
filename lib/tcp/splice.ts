/**
 * Splices a socket with a stream: bytes, half-close, resets and backpressure, both ways.
 *
 * ```
 * socket ── data ──▶ stream    paused while the stream has no credit
 * socket ◀── data ── stream    credit goes back when the socket has taken the bytes
 * ```
 *
 * An end passes on as an end and a reset as a reset: nothing that was cut short looks whole. Nothing is held here
 * but what the socket has not taken yet, which the window of the stream bounds.
 *
 * @module
 */
import type { Stream, StreamError, StreamSink } from "../mux/stream.ts";
import type { ByteSocket, SocketSink } from "../runtime/byte_socket.ts";
import type { ErrorName } from "../wire/errors.ts";

/** How a spliced connection ended. */
export interface SpliceFacts {
  /** Bytes from the socket. */
  readonly readBytes: number;
  /** Bytes to the socket. */
  readonly writtenBytes: number;
  /** Whether the other end of the stream ever stood: it told so with HEAD. Of the opener's side only. */
  readonly connected: boolean;
  /**
   * `closed`: both directions ended. `socket`: the socket broke. `stream`: the other side cut the stream off.
   * `idle`: nothing moved for too long. `stopped`: this process ended it.
   */
  readonly by: "closed" | "socket" | "stream" | "idle" | "stopped";
  /** The code of the reset that came or was sent. */
  readonly code: ErrorName | undefined;
  /** For the log. */
  readonly detail: string;
}

export interface SpliceOptions {
  /** Nothing either way for so long, or up to half as long again, ends the connection; 0 is no limit. */
  readonly idleTimeoutMs: number;
  /** How long the other side may take to say whether it stands; the opener's side only. @default no limit */
  readonly standTimeoutMs?: number;
  /** The code for the other side when the socket breaks. */
  readonly brokenCode: ErrorName;
  /**
   * What of a chunk from the socket goes on; the rest is dropped.
   *
   * @param answered Whether anything has come for the socket yet.
   * @returns `undefined` when the connection is to be cut off: nothing of the chunk goes on, and the other side is told
   *   `badRequest`.
   * @default all of it
   */
  take?(chunk: Uint8Array, answered: boolean): Uint8Array | undefined;
  /** The other side of the stream stands; the opener's side only. */
  onConnected?(): void;
  /** Called once, when all is over. */
  onDone(facts: SpliceFacts): void;
}

/** How often a connection that is not read, as memory is short, looks whether it may be. */
const FULL_RETRY_MS = 100;

/** How often the idle timer looks in its time; so it ends a connection at most half of its time too late. */
const IDLE_LOOKS = 4;

/** One spliced connection. Give it to the stream as its sink, then `begin` it. */
export class Splice implements StreamSink {
  readonly #options: SpliceOptions;
  #stream!: Stream;
  #socket: ByteSocket | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #standTimer: ReturnType<typeof setTimeout> | undefined;
  #fullTimer: ReturnType<typeof setTimeout> | undefined;
  /** Came before there was a socket; bounded by the window, as nothing of it is acknowledged. */
  #waiting: Uint8Array[] = [];
  #pendingBytes = 0;
  #readBytes = 0;
  #writtenBytes = 0;
  #connected = false;
  #moved = true;
  /** The first look since which nothing has moved, on the clock of `performance.now()`. */
  #idleSinceMs = 0;
  #socketEnded = false;
  #streamEnded = false;
  #done = false;

  constructor(options: SpliceOptions) {
    this.#options = options;
  }

  /** Sets the stream, whose sink this is. */
  begin(stream: Stream): void {
    this.#stream = stream;
    const { standTimeoutMs } = this.#options;
    if (standTimeoutMs === undefined) return;
    this.#standTimer = setTimeout(
      () => this.#finish("stream", "targetTimeout", "No word whether the target stands", true),
      standTimeoutMs,
    );
  }

  get done(): boolean {
    return this.#done;
  }

  /** Bytes that came from the socket so far. */
  get readBytes(): number {
    return this.#readBytes;
  }

  /**
   * Joins the socket and begins to read it.
   *
   * @param first Bytes that go first, as they are.
   */
  join(socket: ByteSocket, first?: Uint8Array): void {
    if (this.#done) return socket.reset();
    this.#socket = socket;
    const { idleTimeoutMs } = this.#options;
    if (idleTimeoutMs > 0) this.#timer = setInterval(this.#look, Math.ceil(idleTimeoutMs / IDLE_LOOKS));
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const chunk of waiting) this.#write(chunk);
    if (this.#streamEnded) socket.end();
    // What it reads from here on comes later than this turn.
    socket.start(this.#fromSocket);
    if (this.#stream.full) this.#hold();
    if (!this.#done && first !== undefined && first.length > 0) this.#read(first);
  }

  /** Ends it, telling the other side why. */
  stop(code: ErrorName, detail: string): void {
    this.#finish("stopped", code, detail, true);
  }

  onHead(_head: Uint8Array, body: Uint8Array, end: boolean): void {
    if (!this.#connected) {
      this.#connected = true;
      clearTimeout(this.#standTimer);
      this.#options.onConnected?.();
    }
    if (body.length > 0 || end) this.onData(body, end);
  }

  onData(chunk: Uint8Array, end: boolean): void {
    if (this.#done) return;
    this.#moved = true;
    if (chunk.length > 0) {
      if (this.#socket === undefined) this.#waiting.push(chunk);
      else this.#write(chunk);
    }
    if (end) this.onEnd();
  }

  onEnd(): void {
    this.#streamEnded = true;
    this.#socket?.end();
  }

  onDrain(): void {
    this.#moved = true;
    if (this.#stream.full) this.#hold();
    else this.#socket?.resume();
  }

  onReset(error: StreamError): void {
    // Both directions had ended: the bytes that were not taken yet are lost, and the socket must show it.
    this.#finish("stream", error.code, error.message, false);
  }

  readonly #fromSocket: SocketSink = {
    onData: (chunk) => {
      const { take } = this.#options;
      const taken = take === undefined ? chunk : take(chunk, this.#writtenBytes > 0);
      if (taken !== undefined) return this.#read(taken);
      this.#finish("socket", "badRequest", "What was sent does not fit together", true);
    },
    onEnd: () => {
      this.#socketEnded = true;
      this.#stream.end();
    },
    onDrain: () => {
      const bytes = this.#pendingBytes;
      this.#pendingBytes = 0;
      this.#moved = true;
      this.#stream.consumed(bytes);
    },
    onClose: (error) => {
      if (this.#done) return;
      if (error === undefined && this.#socketEnded && this.#streamEnded) {
        // What the socket took last may not have been told as drained.
        this.#stream.consumed(this.#pendingBytes);
        return this.#finish("closed", undefined, "", false);
      }
      const detail = error?.code ?? "The connection was cut off";
      this.#finish("socket", this.#options.brokenCode, detail, true);
    },
  };

  #read(chunk: Uint8Array): void {
    this.#moved = true;
    this.#readBytes += chunk.length;
    if (!this.#stream.write(chunk)) this.#socket!.pause();
    else if (this.#stream.full) this.#hold();
  }

  /** Leaves the socket unread while all of it would have to be kept here: the kernel holds it, and then its sender. */
  #hold(): void {
    this.#socket?.pause();
    this.#fullTimer ??= setTimeout(() => {
      this.#fullTimer = undefined;
      if (this.#done || this.#stream.queuedBytes > 0) return;
      if (this.#stream.full) this.#hold();
      else this.#socket?.resume();
    }, FULL_RETRY_MS);
  }

  #write(chunk: Uint8Array): void {
    this.#writtenBytes += chunk.length;
    if (this.#socket!.write(chunk) && this.#pendingBytes === 0) this.#stream.consumed(chunk.length);
    else this.#pendingBytes += chunk.length;
  }

  readonly #look = (): void => {
    const nowMs = performance.now();
    if (this.#moved) this.#idleSinceMs = nowMs;
    this.#moved = false;
    if (nowMs - this.#idleSinceMs < this.#options.idleTimeoutMs) return;
    this.#finish("idle", "cancelled", "Nothing moved for too long", true);
  };

  #finish(by: SpliceFacts["by"], code: ErrorName | undefined, detail: string, tell: boolean): void {
    if (this.#done) return;
    this.#done = true;
    clearInterval(this.#timer);
    clearTimeout(this.#standTimer);
    clearTimeout(this.#fullTimer);
    this.#waiting = [];
    if (tell && code !== undefined) this.#stream.reset(code, detail);
    if (by !== "closed") this.#socket?.reset();
    this.#options.onDone({
      readBytes: this.#readBytes,
      writtenBytes: this.#writtenBytes,
      connected: this.#connected,
      by,
      code,
      detail,
    });
  }
}
