/**
 * What a session does with each frame that comes in. The table `FRAMES` is the place to begin.
 *
 * Every handler checks the frame before it changes anything; what does not fit throws a ProtocolError, which ends the
 * session and nothing else.
 *
 * @module
 */
import { type ErrorName, ProtocolError } from "../wire/errors.ts";
import {
  FLAG_END,
  FrameType,
  IGNORABLE_TYPE_MAX,
  IGNORABLE_TYPE_MIN,
  PING_BYTES,
  readUint32,
  REPORT_BYTES_MAX,
} from "../wire/frame.ts";
import { decodeFields } from "../wire/head.ts";
import { decodeFarewell, decodeHead, decodeOpen, type OpenPayload } from "../wire/open.ts";
import { type Receiver, STREAM_WINDOW_BYTES } from "./receiver.ts";
import type { Sender } from "./sender.ts";
import { Stream, StreamError, type StreamHost } from "./stream.ts";
import type { StreamTable } from "./stream_table.ts";

/** What the handlers work on, and what they report. */
export interface IncomingContext {
  readonly streams: StreamTable;
  readonly sender: Sender;
  readonly receiver: Receiver;
  /** Makes streams that the peer opens. */
  readonly host: StreamHost;
  /** How many streams the peer may have open at once. */
  readonly streamsMax: number;
  onOpen(stream: Stream, open: OpenPayload): void;
  onPong(payload: Uint8Array): void;
  onGoAway(code: ErrorName, detail: string): void;
  onReport(fields: string[]): void;
  onStreamReset(code: ErrorName): void;
}

type FrameHandler = (context: IncomingContext, flags: number, streamId: number, payload: Uint8Array) => void;

/** The handler of each type, by number. */
const FRAMES: (FrameHandler | undefined)[] = [];
FRAMES[FrameType.hello] = secondHello;
FRAMES[FrameType.open] = open;
FRAMES[FrameType.head] = head;
FRAMES[FrameType.data] = data;
FRAMES[FrameType.end] = end;
FRAMES[FrameType.reset] = reset;
FRAMES[FrameType.credit] = credit;
FRAMES[FrameType.ping] = ping;
FRAMES[FrameType.pong] = (context, _flags, _id, payload) => context.onPong(payload);
FRAMES[FrameType.goAway] = goAway;
FRAMES[FrameType.report] = report;

/**
 * How many times its own length the buffer behind a payload may have, if the payload is handed to a sink. Payloads
 * are views of what came off the link, which can be 1 MiB: a reader that stalls on ten bytes would keep all of it,
 * and credit counts the ten. Frames of 64 KiB are passed on uncopied from the buffers of both runtimes (512 KiB).
 */
export const VIEW_SHARE_MAX = 8;

const EMPTY = new Uint8Array(0);

/** The same bytes, in a buffer of which they are a fair part. */
function kept(view: Uint8Array): Uint8Array {
  if (view.length * VIEW_SHARE_MAX >= view.buffer.byteLength) return view;
  return view.length === 0 ? EMPTY : new Uint8Array(view);
}

/** Handles a frame of a session whose HELLO has come. @throws {ProtocolError} When the frame breaks the protocol. */
export function handleFrame(
  context: IncomingContext,
  type: number,
  flags: number,
  streamId: number,
  payload: Uint8Array,
): void {
  const handler = FRAMES[type];
  if (handler !== undefined) return handler(context, flags, streamId, payload);
  // A newer peer may send what this version need not understand.
  if (type >= IGNORABLE_TYPE_MIN && type <= IGNORABLE_TYPE_MAX) return;
  throw new ProtocolError("protocol", `Cannot take a frame of type 0x${type.toString(16)}`);
}

function secondHello(): void {
  throw new ProtocolError("protocol", "Cannot take a second HELLO");
}

function open(context: IncomingContext, flags: number, id: number, payload: Uint8Array): void {
  const { streams, receiver } = context;
  streams.acceptId(id);
  const opened = decodeOpen(payload);
  const stream = new Stream(context.host, id, opened.service, opened.windowBytes, STREAM_WINDOW_BYTES);
  streams.add(stream);
  opened.body = kept(opened.body);
  receiver.receive(stream, opened.body.length);
  if (stream.closed) return;
  if (flags & FLAG_END) stream.endedWithOpen(false);
  if (opened.kind === undefined) return stream.reset("refused", "This kind of stream is not known here");
  if (streams.peerCount > context.streamsMax) return stream.reset("refused", "Too many streams");
  if (receiver.full) return stream.reset("refused", "Too much is held here");
  context.onOpen(stream, opened);
  if (!stream.remoteEnded && !stream.closed) receiver.widen(stream);
}

function head(context: IncomingContext, flags: number, id: number, payload: Uint8Array): void {
  const parts = decodeHead(payload);
  const stream = context.streams.find(id);
  if (stream === undefined) return context.receiver.discard(parts.body.length);
  if (context.streams.isPeers(id) || stream.remoteEnded) {
    throw new ProtocolError("protocol", `Cannot take HEAD on stream ${id}: it has none to come`);
  }
  context.receiver.receive(stream, parts.body.length);
  stream.receiveHead(parts.head, kept(parts.body), (flags & FLAG_END) !== 0);
}

function data(context: IncomingContext, flags: number, id: number, payload: Uint8Array): void {
  const stream = context.streams.find(id);
  if (stream === undefined) return context.receiver.discard(payload.length);
  if (stream.remoteEnded) {
    throw new ProtocolError("protocol", `Cannot take data on stream ${id} after its end`);
  }
  context.receiver.receive(stream, payload.length);
  stream.receiveData(kept(payload), (flags & FLAG_END) !== 0);
}

function end(context: IncomingContext, _flags: number, id: number, payload: Uint8Array): void {
  const trailers = payload.length === 0 ? [] : decodeFields(payload);
  const stream = context.streams.find(id);
  if (stream === undefined) return;
  if (stream.remoteEnded) throw new ProtocolError("protocol", `Cannot end stream ${id} twice`);
  stream.receiveEnd(trailers);
}

function reset(context: IncomingContext, _flags: number, id: number, payload: Uint8Array): void {
  const { code, detail } = decodeFarewell(payload);
  const stream = context.streams.find(id);
  if (stream === undefined) return;
  context.onStreamReset(code);
  stream.receiveReset(new StreamError(code, detail, true));
}

function credit(context: IncomingContext, _flags: number, id: number, payload: Uint8Array): void {
  if (payload.length !== 4) throw new ProtocolError("protocol", "Cannot take CREDIT: its length is wrong");
  const bytes = readUint32(payload, 0);
  const { sender } = context;
  if (id === 0) {
    sender.window.add(bytes);
    return sender.pump();
  }
  const stream = context.streams.find(id);
  if (stream === undefined) return;
  stream.sendWindow.add(bytes);
  sender.wait(stream);
  sender.pump();
}

function ping(context: IncomingContext, _flags: number, _id: number, payload: Uint8Array): void {
  if (payload.length !== PING_BYTES) {
    throw new ProtocolError("protocol", "Cannot take PING: its length is wrong");
  }
  context.sender.frame(FrameType.pong, 0, 0, payload);
}

function report(context: IncomingContext, _flags: number, _id: number, payload: Uint8Array): void {
  if (payload.length > REPORT_BYTES_MAX) {
    throw new ProtocolError("protocol", "Cannot take REPORT: it is over its limit");
  }
  context.onReport(decodeFields(payload));
}

function goAway(context: IncomingContext, _flags: number, _id: number, payload: Uint8Array): void {
  const { code, detail } = decodeFarewell(payload);
  context.onGoAway(code, detail);
}
