/**
 * One connection to a target: a socket, its parser, and the exchange that uses it now.
 *
 * The socket's listeners are set once for its life, for adding and removing them would cost as much as the request.
 *
 * @module
 */
import { clearTimeout, setTimeout } from "node:timers";
import type { Duplex } from "node:stream";
import type { ResponseHead } from "../wire/head.ts";
import { connectErrorCode, type ExchangeErrorCode, systemCode } from "./exchange.ts";
import { type ResponseError, ResponseParser, type ResponseSink } from "./response_parser.ts";

/** After both sides of an upgraded connection ended, what is still unsent has this long to leave. */
export const LINGER_MS = 30_000;

/** The exchange on a connection: hears the answer, and what becomes of the connection. */
export interface ConnectionUser extends Omit<ResponseSink, "onError"> {
  /** True when the request left whole and did not ask to close: the connection may serve another. */
  readonly reusable: boolean;
  onConnected(): void;
  onDrain(): void;
  /**
   * The connection is gone and the answer is not whole.
   *
   * @param stale True when it had served before and died without a single byte of this answer.
   */
  onLost(code: ExchangeErrorCode, message: string, stale: boolean, cause: unknown): void;
}

/**
 * Dials a target.
 *
 * @param onRead Where the bytes may go instead of "data" events: valid during the call only, false to pause.
 */
export type Connect = (onRead: (chunk: Uint8Array) => boolean) => Duplex | Promise<Duplex>;

/** Keeps the connections. */
export interface ConnectionOwner {
  /** An answer is whole and the connection is ready for the next request. */
  onIdle(connection: TargetConnection): void;
  /** The connection is gone, once. */
  onGone(connection: TargetConnection): void;
}

/** A connection, from dialling to its end. */
export class TargetConnection implements ResponseSink {
  /** When it became idle, on the clock of `performance.now()`. */
  idleSinceMs = 0;
  readonly #owner: ConnectionOwner;
  readonly #parser = new ResponseParser(this);
  #socket: Duplex | undefined;
  #user: ConnectionUser | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #connected = false;
  #reused = false;
  #paused = false;
  #upgraded = false;
  #gone = false;

  /** @param connect As in `TargetClientOptions`. Nothing is called back before this returns. */
  constructor(connect: Connect, connectTimeoutMs: number, owner: ConnectionOwner) {
    this.#owner = owner;
    this.#timer = setTimeout(() => {
      this.#lose("timeout", `Cannot connect to the target: it did not answer in ${connectTimeoutMs} ms`);
    }, connectTimeoutMs);
    this.#dial(connect);
  }

  get connected(): boolean {
    return this.#connected;
  }

  /** Gives the connection to an exchange. */
  use(user: ConnectionUser, method: string, upgrade: boolean): void {
    this.#user = user;
    this.#parser.begin(method, upgrade);
  }

  /** Sends bytes, or latin1 text. @returns False when the socket is full and `onDrain` will follow. */
  write(chunk: Uint8Array | string): boolean {
    const socket = this.#socket as Duplex;
    return typeof chunk === "string" ? socket.write(chunk, "latin1") : socket.write(chunk);
  }

  /** Half-closes an upgraded connection. When the target has ended too, the exchange hears nothing more. */
  end(): void {
    this.#socket?.end();
    if (this.#parser.state === "idle") this.#linger();
  }

  pause(): void {
    this.#paused = true;
    if (this.#connected) this.#socket?.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (this.#connected) this.#socket?.resume();
  }

  /** Destroys the connection; its exchange hears nothing. */
  destroy(): void {
    this.#user = undefined;
    this.#lose("aborted", "");
  }

  /** Destroys the connection and fails its exchange. */
  fail(code: ExchangeErrorCode, message: string): void {
    this.#lose(code, message);
  }

  onInformational(head: ResponseHead): void {
    this.#user?.onInformational(head);
  }

  onHead(head: ResponseHead, body: Uint8Array | undefined, complete: boolean): void {
    this.#user?.onHead(head, body, complete);
  }

  onUpgrade(head: ResponseHead, rest: Uint8Array | undefined): void {
    this.#upgraded = true;
    this.#user?.onUpgrade(head, rest);
  }

  onBody(chunk: Uint8Array, complete: boolean): void {
    this.#user?.onBody(chunk, complete);
  }

  onEnd(trailers: string[]): void {
    const user = this.#user;
    if (user === undefined) return;
    if (this.#upgraded) {
      // The other direction lives on until `end`, unless it has ended already.
      if (user.reusable) this.#linger();
      return user.onEnd(trailers);
    }
    this.#user = undefined;
    if (this.#parser.keepAlive && user.reusable) {
      this.#reused = true;
      this.resume();
      this.#owner.onIdle(this);
    } else this.destroy();
    user.onEnd(trailers);
  }

  onError(error: ResponseError): void {
    if (error.code === "ended_before_head") return this.#lose("reset", LOST_BEFORE_HEAD, error);
    if (error.code === "ended_in_body") return this.#lose("truncated", LOST_IN_BODY, error);
    this.#lose("bad_response", `Cannot read the target's response: ${error.message}`, error);
  }

  #dial(connect: Connect): void {
    const refuse = (cause: unknown): void => this.#loseConnecting(cause);
    try {
      const dialled = connect((chunk) => {
        this.#parser.push(chunk);
        return !this.#paused;
      });
      if (dialled instanceof Promise) {
        dialled.then((socket) => {
          if (this.#gone) return void socket.on("error", () => {}).destroy();
          this.#adopt(socket);
          this.#start();
        }, refuse);
        return;
      }
      this.#adopt(dialled);
      dialled.on("connect", () => this.#start());
    } catch (cause) {
      queueMicrotask(() => refuse(cause));
    }
  }

  #adopt(socket: Duplex): void {
    this.#socket = socket;
    socket.on("error", (cause: unknown) => {
      if (!this.#connected) return this.#loseConnecting(cause);
      this.#loseConnected(cause);
    });
    socket.on("close", () => {
      if (!this.#connected) {
        return this.#lose("reset", "Cannot connect to the target: it closed the connection");
      }
      this.#loseConnected(undefined);
    });
  }

  #start(): void {
    if (this.#gone || this.#connected) return;
    this.#connected = true;
    clearTimeout(this.#timer);
    const socket = this.#socket as Duplex & { setNoDelay?: (on: boolean) => void };
    socket.setNoDelay?.(true);
    socket.on("data", (chunk: Uint8Array) => this.#parser.push(chunk));
    socket.on("end", () => this.#onSocketEnd());
    socket.on("drain", () => this.#user?.onDrain());
    // A connector may hand over a paused stream, which a data listener alone would not set flowing.
    if (this.#paused) socket.pause();
    else socket.resume();
    this.#user?.onConnected();
  }

  #onSocketEnd(): void {
    if (this.#gone) return;
    this.#parser.eof();
    if (!this.#upgraded) this.destroy();
  }

  /** Lets what is unsent leave; the stream closes itself once both sides have ended. */
  #linger(): void {
    this.#user = undefined;
    this.#timer = setTimeout(() => this.destroy(), LINGER_MS);
    this.#timer.unref();
  }

  #loseConnecting(cause: unknown): void {
    this.#lose(connectErrorCode(cause), connectMessage(cause), cause);
  }

  #loseConnected(cause: unknown): void {
    const { state } = this.#parser;
    const isBeforeHead = state === "head" || state === "idle" && !this.#upgraded;
    this.#lose(isBeforeHead ? "reset" : "truncated", isBeforeHead ? LOST_BEFORE_HEAD : LOST_IN_BODY, cause);
  }

  #lose(code: ExchangeErrorCode, message: string, cause?: unknown): void {
    if (this.#gone) return;
    this.#gone = true;
    clearTimeout(this.#timer);
    this.#socket?.destroy();
    this.#owner.onGone(this);
    const user = this.#user;
    this.#user = undefined;
    user?.onLost(code, message, this.#reused && !this.#parser.started, cause);
  }
}

/** What to tell about a failure to connect; a connector may have said it whole already. */
function connectMessage(cause: unknown): string {
  const message = cause instanceof Error ? cause.message : "";
  if (message.startsWith("Cannot connect")) return message;
  const code = systemCode(cause);
  const reason = message === "" || message.includes(code) ? message || code : `${message} (${code})`;
  return `Cannot connect to the target: ${reason || "the reason is not known"}`;
}

const LOST_BEFORE_HEAD = "Cannot get the target's response: it closed the connection before the head";
const LOST_IN_BODY = "Cannot get the whole response: the target closed the connection early";
