/**
 * A session: many streams on one link, with credit in both directions. lib/wire/SPEC.md is the protocol.
 *
 * Both roles run this code. A session begins with HELLO from both sides, lives by ping, and ends with GOAWAY or with
 * its link. What comes in is handled in incoming.ts, what goes out in sender.ts, credit in receiver.ts.
 *
 * @module
 */
import { assert } from "../assert.ts";
import type { Link } from "../link/link.ts";
import { FrameDecoder } from "../wire/codec.ts";
import { type ErrorName, ProtocolError } from "../wire/errors.ts";
import { FrameType, PING_BYTES, REPORT_BYTES_MAX } from "../wire/frame.ts";
import { encodeFields } from "../wire/head.ts";
import { agreeVersion, decodeHello, type Hello } from "../wire/hello.ts";
import { decodeFarewell, encodeFarewell, type StreamKindName } from "../wire/open.ts";
import type { MemoryBudget, StalestStream } from "./budget.ts";
import { Drain } from "./drain.ts";
import { handleFrame, type IncomingContext } from "./incoming.ts";
import { Keepalive } from "./keepalive.ts";
import { Receiver, type ReceiverHost } from "./receiver.ts";
import { Sender } from "./sender.ts";
import { HELLO_TIMEOUT_MS, ownHello, type SessionEnd, type SessionOptions } from "./session_options.ts";
import { Stream, StreamError, type StreamHost, type StreamSink } from "./stream.ts";
import { StreamTable } from "./stream_table.ts";

/** How long the last streams may take on a session whose ids have run out. */
const RETIRE_GRACE_MS = 3_600_000;

/** First byte of the ping whose answer proves that the peer has read our GOAWAY; a keepalive's begins with 0. */
const DRAIN_PING = 0xff;

export class Session implements StreamHost, ReceiverHost {
  readonly #options: SessionOptions;
  readonly #streams: StreamTable;
  /** Only streams use it from outside. */
  readonly sender: Sender;
  readonly #receiver: Receiver;
  readonly #keepalive: Keepalive;
  readonly #incoming: IncomingContext;
  readonly #helloTimer: ReturnType<typeof setTimeout>;
  #hello: Hello | undefined;
  #goAwaySent = false;
  #goAwayReceived = false;
  #taken = false;
  #drain: Drain | undefined;
  #ended = false;

  constructor(readonly link: Link, options: SessionOptions) {
    this.#options = options;
    this.#streams = new StreamTable(options.role);
    const onBacklog = (): void => this.close("overloaded", "Control frames pile up: the peer does not read");
    this.sender = new Sender(link, onBacklog, (work) => this.#guard(work));
    this.#receiver = new Receiver(this, options.sessionWindowBytes, options.budget);
    this.#keepalive = new Keepalive({
      ...options.keepalive,
      sendPing: (payload) => this.sender.frame(FrameType.ping, 0, 0, payload),
      onDead: () => this.close("keepalive", "No answer to a ping: the link is dead"),
    });
    this.#incoming = {
      streams: this.#streams,
      sender: this.sender,
      receiver: this.#receiver,
      host: this,
      streamsMax: options.streamsMax,
      onOpen: (stream, open) => options.onOpen(stream, open),
      onPong: (payload) => this.#pong(payload),
      onGoAway: (code, detail) => this.#goneAway(code, detail),
      onReport: (fields) => options.onReport?.(fields),
      onStreamReset: (code) => options.onStreamReset?.(code, true),
    };
    const helloTimeoutMs = options.helloTimeoutMs ?? HELLO_TIMEOUT_MS;
    this.#helloTimer = setTimeout(() => this.close("protocol", "No HELLO in time"), helloTimeoutMs);
  }

  /** Sends HELLO and begins to listen. */
  start(): void {
    const decoder = new FrameDecoder((type, flags, id, payload) => {
      if (this.#ended) return;
      if (this.#hello !== undefined) handleFrame(this.#incoming, type, flags, id, payload);
      else this.#receiveHello(type, payload);
    });
    this.sender.frame(FrameType.hello, 0, 0, ownHello(this.#options));
    this.link.start({
      onMessage: (chunk) => {
        this.#keepalive.received();
        this.#guard(() => decoder.push(chunk));
      },
      onDrain: () => this.#guard(() => this.sender.pump()),
      onClose: (reason) => this.#end({ code: "none", message: reason.message, remote: true }, false),
    });
  }

  /** Streams that are open, of both sides. */
  get streamsOpen(): number {
    return this.#streams.size;
  }

  /** Smoothed round trip in ms; 0 before the first measurement. */
  get rttMs(): number {
    return this.#keepalive.rttMs;
  }

  /** Bytes received that wait for their readers. */
  get heldBytes(): number {
    return this.#receiver.window.heldBytes;
  }

  /** Credit that the peer has on the session and did not use yet. */
  get creditGrantedBytes(): number {
    return this.#receiver.window.grantedBytes;
  }

  /** True while new streams may be opened: the peer is known and not leaving, and there is room. */
  get open(): boolean {
    return !this.#goAwayReceived && !this.#streams.retiring &&
      !this.#receiver.full && !this.sender.congested &&
      this.ownStreams < (this.ownStreamsMax ?? 0);
  }

  /** True once either side said GOAWAY. */
  get leaving(): boolean {
    return this.#goAwayReceived || this.#goAwaySent;
  }

  /**
   * Opens a stream. The head must have passed `encodeRequestHead`.
   *
   * @param end True when there is no body to come.
   * @returns `undefined` when the session is not `open`.
   */
  openStream(
    kind: StreamKindName,
    service: string,
    head: Uint8Array,
    end: boolean,
    sink: StreamSink,
  ): Stream | undefined {
    if (!this.open) return undefined;
    const id = this.#streams.takeId();
    const windowBytes = this.#receiver.openWindowBytes();
    const stream = new Stream(this, id, service, this.#hello!.streamWindowBytes, windowBytes);
    stream.attach(sink);
    this.#streams.add(stream);
    this.#receiver.opened(stream);
    this.sender.open(id, { kind, service, windowBytes, head }, end);
    if (end) stream.endedWithOpen(true);
    if (this.#streams.retiring) void this.drain(RETIRE_GRACE_MS, "Stream ids run out: make a new link");
    return stream;
  }

  /** Streams that are open and were opened by this side. */
  get ownStreams(): number {
    return this.#streams.ownCount;
  }

  /** How many streams this side may open; `undefined` before the peer's HELLO and after the end. */
  get ownStreamsMax(): number | undefined {
    if (this.#ended || this.#hello === undefined) return undefined;
    return Math.min(this.#hello.streamsMax, this.#options.openStreamsMax ?? Infinity);
  }

  /** Tells the peer what this side sees of itself. @param fields As `encodeFields`, at most `REPORT_BYTES_MAX`. */
  report(fields: string[]): void {
    if (this.#ended) return;
    const payload = encodeFields(fields);
    assert(payload.length <= REPORT_BYTES_MAX, "a report is within its limit");
    this.sender.frame(FrameType.report, 0, 0, payload);
  }

  /** Tells the peer to open no more streams here and to make another link. What is under way goes on. */
  goAway(detail: string): void {
    if (this.#goAwaySent || this.#ended) return;
    this.#goAwaySent = true;
    this.sender.frame(FrameType.goAway, 0, 0, encodeFarewell("draining", detail));
  }

  /**
   * Leaves politely: says GOAWAY, waits until the peer has surely read it and every stream is over, and closes.
   *
   * @param graceMs How long streams may take; what is left then is cut off. Of several calls the earliest end holds.
   * @returns Settles when the session is over, however it ended.
   */
  drain(graceMs: number, detail: string): Promise<void> {
    if (this.#ended) return Promise.resolve();
    if (this.#drain === undefined) {
      this.#drain = new Drain(() => this.close("draining", detail));
      this.goAway(detail);
      // The answer comes after every OPEN that was on its way when the peer read GOAWAY.
      this.sender.frame(FrameType.ping, 0, 0, new Uint8Array(PING_BYTES).fill(DRAIN_PING));
    }
    this.#drain.within(graceMs);
    return this.#drain.done;
  }

  /** Ends the session now: streams are reset, the peer is told why, the link closes. */
  close(code: ErrorName, message: string): void {
    this.#end({ code, message, remote: false }, true);
  }

  // What streams ask of their session.

  get budget(): MemoryBudget {
    return this.#options.budget;
  }

  sendEnd(stream: Stream, trailers: Uint8Array): void {
    this.sender.frame(FrameType.end, 0, stream.id, trailers);
  }

  sendReset(stream: Stream, code: ErrorName, detail: string): void {
    this.sender.frame(FrameType.reset, 0, stream.id, encodeFarewell(code, detail));
    this.#options.onStreamReset?.(code, false);
  }

  release(stream: Stream, bytes: number): void {
    this.#receiver.release(stream, bytes);
  }

  closed(stream: Stream): void {
    if (!this.#streams.delete(stream)) return;
    this.sender.leave(stream);
    this.#receiver.closed(stream);
    this.#maybeDrained();
  }

  stalest(queued = true): StalestStream | undefined {
    // Another session may be what needs the memory: a fault in this one is not to reach it.
    const shed = (stream: Stream): void =>
      this.#guard(() => stream.cutOff("overloaded", "The reader took nothing, and memory was short"));
    return this.#receiver.stalest(this.#streams.values(), queued, shed);
  }

  #receiveHello(type: number, payload: Uint8Array): void {
    if (type === FrameType.goAway) {
      const { code, detail } = decodeFarewell(payload);
      return this.#end({ code, message: detail, remote: true }, false);
    }
    if (type !== FrameType.hello) {
      throw new ProtocolError("protocol", "Cannot begin: HELLO does not come first");
    }
    const hello = decodeHello(payload);
    agreeVersion(hello);
    clearTimeout(this.#helloTimer);
    this.#hello = hello;
    this.sender.window.add(hello.sessionWindowBytes);
    this.#keepalive.start();
    this.#options.onReady(hello);
  }

  #pong(payload: Uint8Array): void {
    this.#keepalive.pong(payload);
    if (!this.#taken) {
      this.#taken = true;
      this.#options.onTaken?.();
    }
    if (!this.#drain || payload[0] !== DRAIN_PING) return;
    this.#drain.answered = true;
    this.#maybeDrained();
  }

  #goneAway(code: ErrorName, detail: string): void {
    if (code !== "draining") return this.#end({ code, message: detail, remote: true }, false);
    if (this.#goAwayReceived) return;
    this.#goAwayReceived = true;
    this.#options.onGoAway(detail);
  }

  #maybeDrained(): void {
    if (this.#drain?.answered && this.#streams.size === 0) this.#drain.leave();
  }

  /** Runs the handling of input: a peer that breaks the protocol loses its session, never the process. */
  #guard(handle: () => void): void {
    try {
      handle();
    } catch (error) {
      if (error instanceof ProtocolError) return this.close(error.code, error.message);
      this.#end({ code: "internal", message: "A fault in netwall", remote: false, fault: error }, true);
    }
  }

  #end(end: SessionEnd, tell: boolean): void {
    if (this.#ended) return;
    this.#ended = true;
    if (tell) {
      this.sender.frame(FrameType.goAway, 0, 0, encodeFarewell(end.code, end.message));
      this.sender.flushNow();
    }
    clearTimeout(this.#helloTimer);
    this.#keepalive.stop();
    this.sender.stop();
    const fault = this.#streams.resetAll(new StreamError("none", `The session ended: ${end.message}`, true));
    end.fault ??= fault;
    this.#receiver.stop();
    this.link.close(end.message);
    this.#drain?.finish();
    this.#options.onClose(end);
  }
}
