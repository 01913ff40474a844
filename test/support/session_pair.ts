/**
 * Sessions for tests: a pair over a memory link, a sink that remembers, and a peer that is written frame by frame.
 *
 * @module
 */
import { type MemoryLink, type MemoryLinkOptions, memoryLinkPair } from "../../lib/link/memory.ts";
import type { Link, LinkCloseReason } from "../../lib/link/link.ts";
import { MemoryBudget } from "../../lib/mux/budget.ts";
import { Session } from "../../lib/mux/session.ts";
import type { SessionEnd, SessionOptions } from "../../lib/mux/session_options.ts";
import type { Stream, StreamError, StreamSink } from "../../lib/mux/stream.ts";
import { FrameDecoder, FrameEncoder } from "../../lib/wire/codec.ts";
import { FLAG_END, FrameType, writeUint32 } from "../../lib/wire/frame.ts";
import { encodeRequestHead, encodeResponseHead } from "../../lib/wire/head.ts";
import { encodeHello, type Hello } from "../../lib/wire/hello.ts";
import { decodeFarewell, encodeHead, encodeOpen, type OpenPayload } from "../../lib/wire/open.ts";
import type { NaiveFrame } from "./naive_codec.ts";

export const REQUEST = encodeRequestHead({ method: "GET", target: "/", fields: ["Host", "a"] });
export const RESPONSE = encodeResponseHead({ status: 200, reason: "OK", fields: [] });
const NO_BYTES = new Uint8Array(0);
/** Longer than any honest wait on a busy machine. */
const WAIT_MS_MAX = 10_000;

/** Waits for a condition, looked at after each turn of the event loop. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadlineMs = performance.now() + WAIT_MS_MAX;
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error(`Timed out waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Lets everything that is under way arrive: `turns` turns of the event loop, at least. */
export async function settle(turns = 12): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setTimeout(resolve, 2));
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** Bytes whose value tells their place. */
export function pattern(bytes: number, start = 0): Uint8Array {
  const chunk = new Uint8Array(bytes);
  for (let i = 0; i < bytes; i++) chunk[i] = (start + i) * 31 + ((start + i) >>> 8);
  return chunk;
}

/** Remembers what a stream told; consumes at once unless told to stall. */
export class TestSink implements StreamSink {
  stream: Stream | undefined;
  readonly heads: Uint8Array[] = [];
  bytes = 0;
  /** False once a byte was not the one of `pattern`. */
  sound = true;
  ended = false;
  trailers: string[] | undefined;
  drains = 0;
  error: StreamError | undefined;
  resets = 0;
  /** Calls after the reset. */
  late = 0;
  stalled = false;
  unconsumedBytes = 0;
  /** Chunks that were not consumed. */
  readonly held: Uint8Array[] = [];
  onDrained: (() => void) | undefined;
  onChunk: ((chunk: Uint8Array) => void) | undefined;

  onHead(head: Uint8Array, body: Uint8Array, end: boolean): void {
    this.#called();
    this.heads.push(head.slice());
    this.#take(body);
    if (end) this.ended = true;
  }

  onData(chunk: Uint8Array, end: boolean): void {
    this.#called();
    this.#take(chunk);
    if (end) this.ended = true;
  }

  onEnd(trailers: string[]): void {
    this.#called();
    this.ended = true;
    this.trailers = trailers;
  }

  onDrain(): void {
    this.#called();
    this.drains++;
    this.onDrained?.();
  }

  onReset(error: StreamError): void {
    this.#called();
    this.resets++;
    this.error = error;
  }

  /** Reads on after a stall. */
  resume(): void {
    this.stalled = false;
    const bytes = this.unconsumedBytes;
    this.unconsumedBytes = 0;
    this.held.length = 0;
    this.stream?.consumed(bytes);
  }

  #called(): void {
    if (this.resets > 0) this.late++;
  }

  #take(chunk: Uint8Array): void {
    for (let i = 0; i < chunk.length; i++) {
      const at = this.bytes + i;
      if (chunk[i] !== ((at * 31 + (at >>> 8)) & 0xff)) this.sound = false;
    }
    this.bytes += chunk.length;
    this.onChunk?.(chunk);
    if (chunk.length === 0) return;
    if (this.stalled) {
      this.held.push(chunk);
      this.unconsumedBytes += chunk.length;
    } else this.stream?.consumed(chunk.length);
  }
}

/** What one side of a pair was told. */
export class Side {
  readonly sinks: TestSink[] = [];
  readonly streams: Stream[] = [];
  readonly opens: OpenPayload[] = [];
  hello: Hello | undefined;
  goAways: string[] = [];
  end: SessionEnd | undefined;
  ends = 0;
  session!: Session;
  /** Whether sinks of streams that the peer opens take nothing. */
  stallsAll = false;
  /** What to do with a stream that the peer opens, after its sink is attached. */
  serve: (stream: Stream, open: OpenPayload, sink: TestSink) => void = () => {};

  /** Opens a stream. */
  open(end = true, sink = new TestSink()): { stream: Stream; sink: TestSink } {
    const stream = this.session.openStream("http", "web", REQUEST, end, sink);
    if (!stream) throw new Error("Cannot open a stream: the session is not open");
    sink.stream = stream;
    return { stream, sink };
  }
}

/** Options of a session that a `Side` records. */
export function sideOptions(side: Side, options: Partial<SessionOptions> = {}): SessionOptions {
  return {
    role: "gateway",
    helloFields: ["version", "0.1.0"],
    streamsMax: 0,
    sessionWindowBytes: 2 << 20,
    budget: new MemoryBudget(64 << 20, true),
    onReady: (hello) => side.hello = hello,
    onOpen: (stream, open) => {
      const sink = new TestSink();
      sink.stream = stream;
      sink.stalled = side.stallsAll;
      side.sinks.push(sink);
      side.streams.push(stream);
      side.opens.push({ ...open, head: open.head.slice() });
      stream.attach(sink);
      if (open.body.length > 0) sink.onData(open.body, stream.remoteEnded);
      else if (stream.remoteEnded) sink.ended = true;
      side.serve(stream, open, sink);
    },
    onGoAway: (detail) => side.goAways.push(detail),
    onClose: (end) => {
      side.end = end;
      side.ends++;
    },
    ...options,
  };
}

export interface PairOptions {
  link?: MemoryLinkOptions;
  gateway?: Partial<SessionOptions>;
  agent?: Partial<SessionOptions>;
}

export interface SessionPair {
  gateway: Side;
  agent: Side;
  links: [MemoryLink, MemoryLink];
}

/** Two sessions on one memory link, started. */
export function startPair(options: PairOptions = {}): SessionPair {
  const links = memoryLinkPair(options.link);
  const [gateway, agent] = [new Side(), new Side()];
  gateway.session = new Session(links[0], sideOptions(gateway, options.gateway));
  const agentDefaults = { role: "agent" as const, streamsMax: 1000, helloFields: ["services", "web"] };
  agent.session = new Session(links[1], sideOptions(agent, { ...agentDefaults, ...options.agent }));
  gateway.session.start();
  agent.session.start();
  return { gateway, agent, links };
}

/** The same, once both have said HELLO. */
export async function readyPair(options: PairOptions = {}): Promise<SessionPair> {
  const pair = startPair(options);
  await until(
    () =>
      pair.gateway.hello !== undefined && pair.agent.hello !== undefined && pair.gateway.session.rttMs > 0,
    "both sides to say HELLO",
  );
  return pair;
}

/** Ends both sides of a pair. */
export async function endPair({ gateway, agent }: SessionPair): Promise<void> {
  gateway.session.close("none", "The test is over");
  await until(() => gateway.end !== undefined && agent.end !== undefined, "both sides to end");
}

/** A peer that says what the test tells it to, on a link that it does or does not read. */
export class RawPeer {
  readonly frames: NaiveFrame[] = [];
  closed: LinkCloseReason | undefined;
  readonly link: Link;
  readonly #encoder: FrameEncoder;

  constructor(link: Link) {
    this.link = link;
    this.#encoder = new FrameEncoder((message) => link.send(message));
    const decoder = new FrameDecoder((type, flags, streamId, payload) => {
      this.frames.push({ type, flags, streamId, payload: Uint8Array.from(payload) });
    });
    link.start({
      onMessage: (chunk) => decoder.push(chunk),
      onDrain: () => {},
      onClose: (reason) => this.closed = reason,
    });
  }

  /** Queues a frame; `send` lets it go. */
  add(type: number, flags: number, streamId: number, payload: Uint8Array = NO_BYTES): this {
    this.#encoder.write(type, flags, streamId, payload);
    return this;
  }

  send(): this {
    this.#encoder.flush();
    return this;
  }

  hello(change: Partial<Hello> = {}): this {
    return this.add(
      FrameType.hello,
      0,
      0,
      encodeHello({
        ...{ versionMin: 1, versionMax: 1, streamWindowBytes: 1 << 18, sessionWindowBytes: 1 << 24 },
        ...{ streamsMax: 1000, fields: [] },
        ...change,
      }),
    );
  }

  open(id: number, end = true, change: Partial<OpenPayload> = {}): this {
    const open = { kind: "http" as const, service: "web", windowBytes: 1 << 18, head: REQUEST, ...change };
    return this.add(FrameType.open, end ? FLAG_END : 0, id, encodeOpen(open));
  }

  head(id: number, end = true, body: Uint8Array = NO_BYTES): this {
    return this.add(FrameType.head, end ? FLAG_END : 0, id, encodeHead(RESPONSE, body));
  }

  credit(id: number, bytes: number): this {
    const payload = new Uint8Array(4);
    writeUint32(payload, 0, bytes);
    return this.add(FrameType.credit, 0, id, payload);
  }

  /** What came, by type. */
  seen(type: number): NaiveFrame[] {
    return this.frames.filter((frame) => frame.type === type);
  }

  /** The code of the GOAWAY that came, waited for. */
  async goAwayCode(): Promise<string> {
    await until(() => this.seen(FrameType.goAway).length > 0 || this.closed !== undefined, "GOAWAY");
    const frame = this.seen(FrameType.goAway)[0];
    return frame === undefined ? "closed without GOAWAY" : decodeFarewell(frame.payload).code;
  }
}

/** A session of one role against a raw peer whose HELLO has come. */
export async function startAgainstRaw(
  role: "gateway" | "agent",
  options: Partial<SessionOptions> = {},
  hello: Partial<Hello> | null = {},
): Promise<{ side: Side; peer: RawPeer; links: [MemoryLink, MemoryLink] }> {
  const links = memoryLinkPair();
  const side = new Side();
  side.session = new Session(
    links[0],
    sideOptions(side, { role, streamsMax: role === "agent" ? 100 : 0, ...options }),
  );
  const peer = new RawPeer(links[1]);
  side.session.start();
  if (hello !== null) {
    peer.hello(hello).send();
    await until(() => side.hello !== undefined || side.end !== undefined, "the HELLO to be read");
  }
  return { side, peer, links };
}
