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
  /** Whether the other end of the stream ever stood: it told so with HEAD. Always true at the accepting side. */
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
  /** Nothing either way for so long ends the connection; 0 is no limit. */
  readonly idleTimeoutMs: number;
  /** How long the other side may take to say whether it stands; the opener's side only. @default no limit */
  readonly standTimeoutMs?: number;
  /** The code for the other side when the socket breaks. */
  readonly brokenCode: ErrorName;
  /**
   * What of a chunk from the socket goes on; the rest is dropped.
   *
   * @default all of it
   */
  take?(chunk: Uint8Array): Uint8Array;
  /** The other side of the stream stands; the opener's side only. */
  onConnected?(): void;
  /** Called once, when all is over. */
  onDone(facts: SpliceFacts): void;
}

/** One spliced connection. Give it to the stream as its sink, then `begin` it. */
export class Splice implements StreamSink {
  readonly #options: SpliceOptions;
  #stream!: Stream;
  #socket: ByteSocket | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #standTimer: ReturnType<typeof setTimeout> | undefined;
  /** Came before there was a socket; bounded by the window, as nothing of it is acknowledged. */
  #waiting: Uint8Array[] = [];
  #pendingBytes = 0;
  #readBytes = 0;
  #writtenBytes = 0;
  #connected = false;
  #moved = true;
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
    if (idleTimeoutMs > 0) this.#timer = setInterval(this.#look, Math.ceil(idleTimeoutMs / 2));
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const chunk of waiting) this.#write(chunk);
    if (this.#streamEnded) socket.end();
    // What it reads from here on comes later than this turn.
    socket.start(this.#fromSocket);
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
    this.#socket?.resume();
  }

  onReset(error: StreamError): void {
    // Both directions had ended: the bytes that were not taken yet are lost, and the socket must show it.
    this.#finish("stream", error.code, error.message, false);
  }

  readonly #fromSocket: SocketSink = {
    onData: (chunk) => this.#read(this.#options.take === undefined ? chunk : this.#options.take(chunk)),
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
  }

  #write(chunk: Uint8Array): void {
    this.#writtenBytes += chunk.length;
    if (this.#socket!.write(chunk) && this.#pendingBytes === 0) this.#stream.consumed(chunk.length);
    else this.#pendingBytes += chunk.length;
  }

  readonly #look = (): void => {
    if (!this.#moved) return this.#finish("idle", "cancelled", "Nothing moved for too long", true);
    this.#moved = false;
  };

  #finish(by: SpliceFacts["by"], code: ErrorName | undefined, detail: string, tell: boolean): void {
    if (this.#done) return;
    this.#done = true;
    clearInterval(this.#timer);
    clearTimeout(this.#standTimer);
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
