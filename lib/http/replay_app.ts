/**
 * Replays a request to a function: an app in this process, or `fetch` itself where sockets do not exist.
 *
 * An app never opens a port at all. What a `Request` cannot hold is lost, unlike in the exact engine: the path is
 * normalised, names are lower-cased, GET has no body, there are no trailers and no upgrades.
 *
 * @module
 */
import { STATUS_CODES } from "node:http";
import type { Stream, StreamError, StreamSink } from "../mux/stream.ts";
import { encodeResponseHead, type RequestHead, type ResponseHead } from "../wire/head.ts";
import type { ReplayFacts } from "./replay.ts";

/** What an app is: Hono, Bun, Deno and Workers apps have this shape as their `fetch`. */
export type FetchHandler = (request: Request) => Response | Promise<Response>;

/** What a handler throws when it stands for a target, and that could not be reached: the visitor then gets 502. */
export class TargetAwayError extends Error {
  override name = "TargetAwayError";
}

export interface AppReplayOptions {
  /** The stream, which has no sink yet. */
  stream: Stream;
  handler: FetchHandler;
  request: RequestHead;
  /** The first bytes of the body, that came with OPEN. */
  body: Uint8Array;
  upgrade: boolean;
  /** Called once, when the exchange is over. */
  onDone(facts: ReplayFacts): void;
}

/** Replays a request to a function. Settles when the answer has been sent. Never rejects. */
export async function replayToApp(options: AppReplayOptions): Promise<void> {
  const { stream, handler, request, upgrade, onDone } = options;
  const call = new AppCall(stream);
  stream.attach(call);
  if (options.body.length > 0) call.onData(options.body, stream.remoteEnded);
  else if (stream.remoteEnded) call.onEnd();
  if (upgrade) {
    stream.sendHead(
      encodeHead(501, [["content-type", "text/plain"]]),
      TEXT.encode("An app cannot upgrade\n"),
      true,
    );
    call.discard();
    return onDone({ status: 501, error: undefined });
  }
  let status = 0;
  try {
    const response = await handler(toRequest(request, call));
    status = response.status;
    await call.send(response, request.method === "HEAD");
    onDone({ status, error: undefined });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (call.aborted) return onDone({ status, error: undefined });
    const away = error instanceof TargetAwayError;
    if (away) {
      stream.reset("targetUnreachable");
    } else if (status === 0) {
      stream.sendHead(
        encodeHead(500, [["content-type", "text/plain"]]),
        TEXT.encode("Internal Server Error\n"),
        true,
      );
    } else {
      stream.reset("targetReset");
    }
    onDone({ status: away ? 0 : status || 500, error: { code: away ? "unreachable" : "app", message } });
  } finally {
    // What the app did not read must not stay counted against the windows and the budget.
    call.discard();
  }
}

const TEXT = new TextEncoder();

function encodeHead(status: number, fields: Iterable<[string, string]>, reason = ""): Uint8Array {
  const head: ResponseHead = { status, reason, fields: [] };
  for (const [name, value] of fields) head.fields.push(name, value);
  return encodeResponseHead(head);
}

function toRequest(head: RequestHead, call: AppCall): Request {
  const headers = new Headers();
  let host = "localhost";
  let scheme = "http";
  for (let i = 0; i < head.fields.length; i += 2) {
    const name = head.fields[i]!.toLowerCase();
    const value = head.fields[i + 1]!;
    if (name === "host") host = value;
    else if (name === "x-forwarded-proto" && value === "https") scheme = "https";
    // The body is given as a stream; its framing is not the app's concern.
    if (name !== "transfer-encoding") headers.append(name, value);
  }
  const target = head.target.startsWith("/") ? head.target : "/";
  const bodiless = head.method === "GET" || head.method === "HEAD";
  const init: RequestInit & { duplex: "half" } = {
    method: head.method,
    headers,
    body: bodiless || call.empty ? null : call.body(),
    signal: call.signal,
    duplex: "half",
  };
  return new Request(`${scheme}://${host}${target}`, init);
}

/** One call: the request's body as it comes, and the answer's as there is credit. */
class AppCall implements StreamSink {
  readonly #stream: Stream;
  readonly #abort = new AbortController();
  /** Body chunks that the app has not asked for; bounded by the stream's window. */
  readonly #chunks: Uint8Array[] = [];
  #ended = false;
  #wake: (() => void) | undefined;
  #drained: (() => void) | undefined;

  constructor(stream: Stream) {
    this.#stream = stream;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get aborted(): boolean {
    return this.#abort.signal.aborted;
  }

  /** True when it is known already that there is no body. */
  get empty(): boolean {
    return this.#ended && this.#chunks.length === 0;
  }

  /** The request's body. Credit returns as the app reads. */
  body(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        while (this.#chunks.length === 0 && !this.#ended) {
          await new Promise<void>((resolve) => this.#wake = resolve);
          if (this.aborted) return controller.error(new Error("The visitor left"));
        }
        const chunk = this.#chunks.shift();
        if (chunk === undefined) return controller.close();
        this.#stream.consumed(chunk.length);
        controller.enqueue(chunk);
      },
      cancel: () => this.discard(),
    }, { highWaterMark: 0 });
  }

  /** Sends the answer, at the pace of the visitor. */
  async send(response: Response, headOnly: boolean): Promise<void> {
    const reason = response.statusText || (STATUS_CODES[response.status] ?? "");
    const head = encodeHead(response.status, response.headers, reason);
    if (headOnly || response.body === null) {
      this.#stream.sendHead(head, undefined, true);
      await response.body?.cancel();
      return;
    }
    this.#stream.sendHead(head);
    const reader = response.body.getReader();
    this.signal.addEventListener("abort", () => void reader.cancel().catch(() => {}));
    for (;;) {
      const { done, value } = await reader.read();
      if (this.aborted) return;
      if (done) break;
      if (!this.#stream.write(value, true)) await new Promise<void>((resolve) => this.#drained = resolve);
    }
    this.#stream.end();
  }

  onHead(): void {
    // The session refuses HEAD on a stream that the peer opened.
  }

  onData(chunk: Uint8Array, end: boolean): void {
    if (this.#discarding) this.#stream.consumed(chunk.length);
    else if (chunk.length > 0) this.#chunks.push(chunk);
    if (end) this.#ended = true;
    this.#wake?.();
  }

  onEnd(): void {
    this.#ended = true;
    this.#wake?.();
  }

  onDrain(): void {
    this.#drained?.();
  }

  onReset(_error: StreamError): void {
    this.#ended = true;
    this.#abort.abort();
    this.#wake?.();
    this.#drained?.();
  }

  #discarding = false;

  /** The app wants no more of the body: the rest is taken and thrown away, so that the stream can end. */
  discard(): void {
    this.#discarding = true;
    for (const chunk of this.#chunks.splice(0)) this.#stream.consumed(chunk.length);
  }
}
