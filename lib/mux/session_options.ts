/**
 * What a session is told when it is made, and what it tells when it ends.
 *
 * @module
 */
import type { ErrorName } from "../wire/errors.ts";
import { encodeHello, type Hello, VERSION, VERSION_FLOOR } from "../wire/hello.ts";
import type { OpenPayload } from "../wire/open.ts";
import type { MemoryBudget } from "./budget.ts";
import { STREAM_WINDOW_BYTES } from "./receiver.ts";
import type { Stream } from "./stream.ts";

/** How long the peer's HELLO may take. */
export const HELLO_TIMEOUT_MS = 10_000;

export interface SessionOptions {
  role: "gateway" | "agent";
  /** What this side claims of itself: flat lower-case names and values. */
  helloFields: string[];
  /** How many streams the peer may have open at once here. */
  streamsMax: number;
  /** How many streams this side opens at once, if the peer allows as many. @default what the peer allows */
  openStreamsMax?: number;
  /** Bytes that the peer may have on their way or held here, all streams together. */
  sessionWindowBytes: number;
  /** The budget of the whole process. */
  budget: MemoryBudget;
  /** See `Keepalive`. */
  keepalive?: { intervalMs?: number; timeoutMs?: number };
  /** @default HELLO_TIMEOUT_MS */
  helloTimeoutMs?: number;
  /** The peer's HELLO came: streams may be opened. */
  onReady(hello: Hello): void;
  /** The peer answered the first ping, so it has read our HELLO and taken us: what it opens from now on is served. */
  onTaken?(): void;
  /** The peer opened a stream: attach a sink before returning, or reset it. */
  onOpen(stream: Stream, open: OpenPayload): void;
  /** The peer takes no new streams and is about to go; streams under way go on. */
  onGoAway(detail: string): void;
  /** The peer reported what it sees of itself: flat names and values, which are claims. */
  onReport?(fields: string[]): void;
  /** A stream was reset; for metrics. */
  onStreamReset?(code: ErrorName, remote: boolean): void;
  /** The session is over, once. All streams were reset before. */
  onClose(end: SessionEnd): void;
}

/** How a session ended. */
export interface SessionEnd {
  code: ErrorName;
  /** One sentence for the log. */
  message: string;
  /** Whether the peer ended it, or the link was lost. */
  remote: boolean;
  /** A bug, if that is what ended it: for the log, with its stack. */
  fault?: unknown;
}

/** The HELLO that a session of these options begins with. */
export function ownHello({ streamsMax, sessionWindowBytes, helloFields }: SessionOptions): Uint8Array {
  return encodeHello({
    versionMin: VERSION_FLOOR,
    versionMax: VERSION,
    streamWindowBytes: STREAM_WINDOW_BYTES,
    sessionWindowBytes,
    streamsMax,
    fields: helloFields,
  });
}
