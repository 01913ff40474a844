/**
 * Relays a stream that one agent opened to a stream of another: the gateway's part of a call between containers.
 *
 * Credit returns to a sender only when the other session has taken the bytes, so a slow reader holds back its own
 * sender and nobody else. Ends and resets pass as they are, and so does the head that says that the target stands. A
 * target that sends anything before it is cut off.
 *
 * @module
 */
import type { Session } from "../mux/session.ts";
import { type Stream, StreamError, type StreamSink } from "../mux/stream.ts";
import type { ErrorName } from "../wire/errors.ts";

/** How a relayed connection ended. */
export interface RelayFacts {
  /** Bytes from the caller, and to it. */
  readonly readBytes: number;
  readonly writtenBytes: number;
  /** Whether the target ever stood. */
  readonly connected: boolean;
  /** The code of the reset that ended it, if one did. */
  readonly code: ErrorName | undefined;
  /** Who cut it off. */
  readonly by: "closed" | "caller" | "target" | "gateway";
  readonly detail: string;
}

export interface RelayOptions {
  /** Of the caller; has no sink yet. */
  readonly caller: Stream;
  /** The first bytes, that came with OPEN. */
  readonly body: Uint8Array;
  /** Of the agent that serves. */
  readonly session: Session;
  readonly service: string;
  /** The encoded head of the new stream. */
  readonly head: Uint8Array;
  /** The target stands. */
  onConnected?(): void;
  /** Called once, when all is over. */
  onDone(facts: RelayFacts): void;
}

/** Cuts a connection off, telling the opener why: nothing when it is over. */
export type CutOff = (code: ErrorName, told: string) => void;

/** Begins to relay. @returns `undefined` when the session takes no stream: nothing was touched, try another. */
export function relay(options: RelayOptions): CutOff | undefined {
  const { caller, body, session, service, head } = options;
  const end = caller.remoteEnded && body.length === 0;
  const fromCaller = new Half();
  const fromTarget = new Half();
  const target = session.openStream("tcp", service, head, end, fromTarget);
  if (target === undefined) return undefined;
  const facts = { connected: false };
  let done = false;
  const finish = (by: RelayFacts["by"], error: StreamError | undefined): void => {
    if (done) return;
    done = true;
    options.onDone({
      readBytes: fromCaller.bytes,
      writtenBytes: fromTarget.bytes,
      connected: facts.connected,
      code: error?.code,
      by,
      detail: error?.message ?? "",
    });
  };
  fromCaller.join(caller, target, (error) => finish(error ? "caller" : "closed", error), fromTarget);
  fromTarget.join(target, caller, (error) => finish(error ? "target" : "closed", error), fromCaller);
  fromTarget.onFirstHead = (bytes) => {
    facts.connected = true;
    caller.sendHead(bytes);
    options.onConnected?.();
  };
  caller.attach(fromCaller);
  if (end) fromCaller.ended = true;
  else if (body.length > 0) fromCaller.onData(body, caller.remoteEnded);
  return (code, told) => {
    if (done) return;
    caller.reset(code, told);
    target.reset(code, "");
    finish("gateway", new StreamError(code, told, false));
  };
}

/** One direction: what comes from a stream and goes to the other. */
class Half implements StreamSink {
  bytes = 0;
  ended = false;
  /** Of the target's half, until its head has come. */
  onFirstHead: ((head: Uint8Array) => void) | undefined;
  /** Given to the other stream and not sent by it yet. */
  #pendingBytes = 0;
  #from!: Stream;
  #to!: Stream;
  #back!: Half;
  #onOver!: (error: StreamError | undefined) => void;

  join(from: Stream, to: Stream, onOver: (error: StreamError | undefined) => void, back: Half): void {
    this.#from = from;
    this.#to = to;
    this.#back = back;
    this.#onOver = onOver;
  }

  onHead(head: Uint8Array, body: Uint8Array, end: boolean): void {
    const { onFirstHead } = this;
    this.onFirstHead = undefined;
    onFirstHead?.(head);
    if (body.length > 0 || end) this.onData(body, end);
  }

  onData(chunk: Uint8Array, end: boolean): void {
    if (this.onFirstHead !== undefined) return this.#breakOff();
    this.bytes += chunk.length;
    if (chunk.length > 0) {
      if (this.#to.write(chunk, true) && this.#pendingBytes === 0) this.#from.consumed(chunk.length);
      else this.#pendingBytes += chunk.length;
    }
    if (end) this.onEnd();
  }

  onEnd(): void {
    if (this.onFirstHead !== undefined) return this.#breakOff();
    this.ended = true;
    this.#to.end();
    this.#settle();
  }

  /** The stream of this half can send again what came from the other. */
  onDrain(): void {
    this.#back.#sent();
  }

  onLastDrain(): void {
    this.#back.#sent();
  }

  onReset(error: StreamError): void {
    this.#to.reset(error.code === "none" ? "targetReset" : error.code, error.remote ? error.message : "");
    this.#onOver(error);
  }

  /** SPEC.md §5 wants HEAD before DATA: behind data that waits for credit it could not leave any more. */
  #breakOff(): void {
    const error = new StreamError("badResponse", "The target's agent sent before the target stood", false);
    this.#from.reset(error.code, error.message);
    this.#to.reset(error.code, error.message);
    this.#onOver(error);
  }

  #sent(): void {
    const bytes = this.#pendingBytes;
    this.#pendingBytes = 0;
    this.#from.consumed(bytes);
    this.#settle();
  }

  #settle(): void {
    const isOver = (half: Half): boolean => half.ended && half.#pendingBytes === 0;
    if (isOver(this) && isOver(this.#back)) this.#onOver(undefined);
  }
}
