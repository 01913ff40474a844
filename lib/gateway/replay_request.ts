/**
 * Sends a request that was kept once more: by the inner door, so that it goes the way of every request, is judged as
 * every request and is recorded as every request.
 *
 * @module
 */
import { TargetClient } from "../http/target_client.ts";
import { RecordedBody, RecordedBytes } from "../traffic/recorded_body.ts";
import type { RequestHead } from "../wire/head.ts";
import type { InnerDoor, ReplayCall } from "./inner_door.ts";

/** For the whole answer. */
export const REPLAY_TIMEOUT_MS = 30_000;
/** What is kept of its body; the rest is counted. */
export const REPLAY_BODY_BYTES_MAX = 1 << 20;

/** What came back. */
export interface ReplayAnswer {
  /** 0 when there was no head. */
  readonly status: number;
  readonly ms: number;
  /** Flat names and values. */
  readonly fields: readonly string[];
  readonly body: Uint8Array;
  /** Of the whole body. */
  readonly bodyBytes: number;
  /** It is not whole: longer than is kept, broken off, or not over in time. */
  readonly isCut: boolean;
  /** Why there was no head. */
  readonly fault: string | undefined;
}

/** Settles with the answer, whatever it is. @param body Without it the request has none. */
export function sendAgain(
  inner: Pick<InnerDoor, "connect">,
  call: ReplayCall,
  head: RequestHead,
  body: Uint8Array | undefined,
  timeoutMs: number = REPLAY_TIMEOUT_MS,
): Promise<ReplayAnswer> {
  return new Promise((resolve) => {
    const startMs = performance.now();
    const client = new TargetClient({
      connect: (onRead) => inner.connect(call, onRead),
      idleConnectionsMax: 0,
      connectionsMax: 1,
    });
    // Chunks are views of memory that is read into again: what is kept must be a copy.
    const memory = new RecordedBytes(REPLAY_BODY_BYTES_MAX, () => false);
    const received = new RecordedBody(memory, REPLAY_BODY_BYTES_MAX);
    let status = 0;
    let fields: readonly string[] = [];
    let isOver = false;
    const take = (chunk: Uint8Array | undefined): void => {
      if (chunk !== undefined) received.push(chunk);
    };
    const finish = (isWhole: boolean, fault?: string): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      client.close();
      const ms = Math.round((performance.now() - startMs) * 1000) / 1000;
      received.finish();
      const { bytes: body, totalBytes: bodyBytes } = received;
      resolve({ status, ms, fields, body, bodyBytes, isCut: !isWhole || received.isCut, fault });
    };
    const timer = setTimeout(() => finish(false, `No answer came in ${timeoutMs / 1000} s`), timeoutMs);
    const exchange = client.exchange(head, { hasBody: body !== undefined }, {
      onInformational: () => {},
      onHead: (answer, chunk) => {
        status = answer.status;
        fields = answer.fields;
        take(chunk);
      },
      onUpgrade: () => finish(false, "The service switched to another protocol"),
      onBody: take,
      onEnd: () => finish(true),
      onDrain: () => {},
      onError: (error) => finish(false, error.message),
    });
    if (body === undefined) return;
    exchange.write(body);
    exchange.end();
  });
}
