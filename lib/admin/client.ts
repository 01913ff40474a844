/**
 * A client of the admin API: what the commands ask a running gateway with.
 *
 * Over `node:http`, as `fetch` of the one runtime knows no unix sockets and that of the other sends them another
 * target. Every answer is bounded in bytes and in time. What comes back may be anything that listens there, so its
 * texts are made printable before they are in a message.
 *
 * Source: RFC 9457 (problem documents), RFC 6750 §2.1 (bearer tokens).
 *
 * @module
 */
import { Buffer } from "node:buffer";
import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import type { z } from "zod";
import { POLICY_BYTES_MAX } from "../policy/document.ts";
import { printable } from "../printable.ts";
import { VERSION } from "../version.ts";
import { AdminClientError, foreignAnswer, parseJson, refusal, unreachable } from "./client_error.ts";

/** The largest answer that is read whole: an export is a policy, its difference may name both sides of it. */
export const ANSWER_BYTES_MAX = 4 * POLICY_BYTES_MAX;
/** A problem document has this many bytes at most; of a longer answer nothing is shown. */
const PROBLEM_BYTES_MAX = 1 << 20;
/** Trying a policy on ten million flows takes its time. */
const ANSWER_TIMEOUT_MS = 120_000;
const HEAD_BYTES_MAX = 65_536;
const BASE = "/api/v1/";

/** Where the admin API is. */
export type AdminPlace =
  | { readonly kind: "unix"; readonly path: string }
  | {
    readonly kind: "http";
    readonly secure: boolean;
    readonly host: string;
    readonly port: number;
    /** What stands before `/api/v1`, without a slash at its end. */
    readonly path: string;
  };

export interface AdminClientOptions {
  readonly place: AdminPlace;
  /** The admin token. It goes out in a header and is in no message. */
  readonly token: string;
  /** Until an answer is there whole. @default 120 s */
  readonly timeoutMs?: number;
  /** The largest answer that is read whole. @default ANSWER_BYTES_MAX */
  readonly answerBytesMax?: number;
}

export interface AdminRequest {
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  /** Below `/api/v1/`, such as `policy/versions`. */
  readonly path: string;
  /** What is undefined is left out. */
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: string;
  /** @default application/json */
  readonly contentType?: string;
  /** More headers. */
  readonly headers?: Readonly<Record<string, string>>;
  /** What the body is, for messages about it, such as the name of its file. */
  readonly bodyName?: string;
}

export class AdminClient {
  readonly #options: AdminClientOptions;
  readonly #timeoutMs: number;
  /** The address as a message names it. */
  readonly at: string;

  constructor(options: AdminClientOptions) {
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? ANSWER_TIMEOUT_MS;
    this.at = placeText(options.place);
  }

  /**
   * Asks, and reads the answer as text.
   *
   * @throws {AdminClientError} All codes.
   */
  async text(request: AdminRequest): Promise<string> {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), this.#timeoutMs);
    try {
      const answer = await this.#open(request, stop.signal);
      return await readText(answer, this.#options.answerBytesMax ?? ANSWER_BYTES_MAX);
    } catch (error) {
      throw unreachable(this.at, error, stop.signal.aborted);
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Asks, and reads the answer as JSON of a shape.
   *
   * @throws {AdminClientError} All codes; `failed` too when the answer has another shape.
   */
  async json<S extends z.ZodType>(request: AdminRequest, schema: S): Promise<z.output<S>> {
    return (await this.answer(request, schema)).value;
  }

  /**
   * The same, and the answer as it came: for programs that know of more than this one looks at.
   *
   * @throws {AdminClientError} As `json`.
   */
  async answer<S extends z.ZodType>(
    request: AdminRequest,
    schema: S,
  ): Promise<{ value: z.output<S>; raw: unknown }> {
    const raw = parseJson(await this.text(request));
    const result = schema.safeParse(raw);
    if (result.success) return { value: result.data, raw };
    const field = result.error.issues[0]?.path.join(".") ?? "";
    throw foreignAnswer(this.at, `${field === "" ? "it is" : `${printable(field)} is`} not as expected`);
  }

  /**
   * Asks for an answer that does not end, and returns it once its head is there.
   *
   * @param signal Ends it: reading it throws then.
   * @param headTimeoutMs How long its head may take.
   * @throws {AdminClientError} All codes.
   */
  async stream(request: AdminRequest, signal: AbortSignal, headTimeoutMs: number): Promise<IncomingMessage> {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), headTimeoutMs);
    try {
      return await this.#open(request, AbortSignal.any([signal, late.signal]));
    } catch (error) {
      throw unreachable(this.at, error, late.signal.aborted);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Sends the request. @returns The answer, with its body unread, when it is a good one. */
  async #open(request: AdminRequest, signal: AbortSignal): Promise<IncomingMessage> {
    const { place, token } = this.#options;
    const { method, path, body, headers } = request;
    const fields: Record<string, string> = {
      Host: hostField(place),
      Authorization: `Bearer ${token}`,
      "User-Agent": `netwall/${VERSION}`,
      Connection: "close",
      ...headers,
    };
    if (body !== undefined) {
      fields["Content-Type"] = request.contentType ?? "application/json";
      fields["Content-Length"] = String(Buffer.byteLength(body));
    }
    const base = place.kind === "http" ? place.path : "";
    const options = {
      ...(place.kind === "unix" ? { socketPath: place.path } : { host: place.host, port: place.port }),
      ...{ method, path: `${base}${BASE}${path}${queryText(request.query)}`, headers: fields },
      ...{ agent: false as const, setHost: false, maxHeaderSize: HEAD_BYTES_MAX },
    };
    const secure = place.kind === "http" && place.secure;
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    signal.throwIfAborted();
    const outgoing = secure ? https.request(options) : http.request(options);
    // The listeners stay: an error that comes later than the answer must not end the process.
    outgoing.on("error", reject);
    outgoing.on("response", resolve);
    let answer: IncomingMessage | undefined;
    const cut = (): void => {
      reject(signal.reason);
      outgoing.destroy();
      answer?.destroy();
    };
    const settle = (): void => signal.removeEventListener("abort", cut);
    signal.addEventListener("abort", cut);
    outgoing.end(body);
    try {
      answer = await promise;
    } catch (error) {
      settle();
      throw error;
    }
    answer.on("error", () => {});
    answer.on("close", settle);
    const status = answer.statusCode ?? 0;
    if (status >= 200 && status < 300) return answer;
    const text = await readText(answer, PROBLEM_BYTES_MAX).catch(() => "");
    const contentType = String(answer.headers["content-type"] ?? "");
    const isChange = method === "PUT";
    throw refusal(this.at, { status, contentType, text, bodyName: request.bodyName, isChange });
  }
}

async function readText(answer: IncomingMessage, bytesMax: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of answer as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > bytesMax) {
      answer.destroy();
      throw new AdminClientError(`The answer is too large: over ${bytesMax} bytes, ask for less`, "failed");
    }
    chunks.push(chunk);
  }
  if (!answer.complete) throw Object.assign(new Error("The answer was cut"), { code: "ECONNRESET" });
  return Buffer.concat(chunks).toString("utf8");
}

function queryText(query: AdminRequest["query"]): string {
  const given = Object.entries(query ?? {}).filter(([, value]) => value !== undefined);
  return given.length === 0
    ? ""
    : `?${given.map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`).join("&")}`;
}

function hostField(place: AdminPlace): string {
  if (place.kind === "unix") return "localhost";
  return `${place.host.includes(":") ? `[${place.host}]` : place.host}:${place.port}`;
}

function placeText(place: AdminPlace): string {
  if (place.kind === "unix") return `unix:${printable(place.path)}`;
  return place.secure
    ? `https://${hostField(place)}${printable(place.path)}`
    : `${hostField(place)}${printable(place.path)}`;
}
