/**
 * Events to a webhook: signed batches of JSON by POST.
 *
 * The body is `{"events":[…]}`. A batch is delivered when the answer is 2xx. It is sent again, with the same
 * `Netwall-Delivery`, after a network error, 408, 429 and 5xx; any other answer drops it. Redirects are not followed:
 * a signed body goes where the operator said and nowhere else.
 *
 * How a receiver checks that it comes from this gateway, with the secret both know:
 *
 * 1. Take `t` and `v1` from `Netwall-Signature: t=UNIX_SECONDS,v1=HEX`; take no notice of other parts.
 * 2. Refuse when `t` is more than five minutes off: then an old request cannot be played back.
 * 3. Compute HMAC-SHA256 with the secret over `t`, a full stop and the body as the bytes that came, before JSON reads
 *    them. Compare it with `v1` in constant time, and refuse when they differ.
 * 4. Answer 2xx at once and work later. A delivery may come twice: take an event once by its `id` and `seq`.
 *
 * The path of the address is often a secret of its own, so no message repeats more than scheme, host and port.
 *
 * Source: RFC 2104 (HMAC), RFC 9110 §10.2.3 (Retry-After).
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createHmac } from "node:crypto";
import http from "node:http";
import https from "node:https";
import { clearTimeout, setTimeout } from "node:timers";
import { VERSION } from "../../version.ts";
import type { NetwallEvent } from "../event.ts";
import { QueuedSink } from "./queued_sink.ts";
import {
  type Batch,
  type Carrier,
  type Delivery,
  type EventSink,
  SinkAddressError,
  type SinkHooks,
  type SinkTuning,
} from "./sink.ts";

/** Events of one request, its bytes, and how long the first one waits for more. */
export const WEBHOOK_EVENTS_MAX = 100;
export const WEBHOOK_BODY_BYTES_MAX = 256 << 10;
export const WEBHOOK_WAIT_MS = 1_000;
/** For dial, handshake, request and answer together. */
export const WEBHOOK_TIMEOUT_MS = 10_000;
/** A batch is given up after so long: one that its receiver cannot digest must not hold up all others for ever. */
export const WEBHOOK_RETRY_MS = 10 * 60_000;
/** The longest wait that a receiver can ask for. */
export const RETRY_AFTER_MS_MAX = 5 * 60_000;
/** What is read of an answer, so that its connection ends in an orderly way; nothing in it matters. */
export const ANSWER_BYTES_MAX = 64 << 10;
/** The longest address. */
const URL_CHARS_MAX = 2_048;

const HEAD = Buffer.from('{"events":[');
const COMMA = Buffer.from(",");
const TAIL = Buffer.from("]}");

export interface WebhookOptions extends SinkHooks {
  readonly url: URL;
  /** Known to the receiver. Without it nothing is signed. */
  readonly secret?: string;
  /** Authorities to trust instead of the runtime's own list, PEM. */
  readonly ca?: string;
  /** @default WEBHOOK_TIMEOUT_MS */
  readonly timeoutMs?: number;
  /** @default WEBHOOK_WAIT_MS */
  readonly waitMs?: number;
  /** @default WEBHOOK_RETRY_MS */
  readonly retryForMs?: number;
  readonly tuning?: SinkTuning;
}

/**
 * Reads the address of a webhook.
 *
 * @throws {SinkAddressError} No URL, another scheme, a user name or a fragment. The text is not repeated.
 */
export function parseWebhookUrl(text: string): URL {
  const url = text.length <= URL_CHARS_MAX ? URL.parse(text) : null;
  const example = "write one such as https://siem.example.com/netwall";
  if (url === null || (url.protocol !== "https:" && url.protocol !== "http:") || url.hostname === "") {
    throw new SinkAddressError(`the webhook is no http or https address: ${example}`);
  }
  if (url.username !== "" || url.password !== "") {
    throw new SinkAddressError("the webhook's address has a user name: sign with a secret instead");
  }
  if (url.hash !== "") throw new SinkAddressError("the webhook's address has a #: leave it out");
  return url;
}

/** Makes the sink. Nothing is dialled before the first event. */
export function webhookSink(options: WebhookOptions): EventSink {
  return new QueuedSink({
    name: "webhook",
    carrier: new Webhook(options),
    batchEventsMax: WEBHOOK_EVENTS_MAX,
    batchBytesMax: WEBHOOK_BODY_BYTES_MAX - HEAD.length - TAIL.length,
    waitMs: options.waitMs ?? WEBHOOK_WAIT_MS,
    retryForMs: options.retryForMs ?? WEBHOOK_RETRY_MS,
    onFault: options.onFault,
    onHealed: options.onHealed,
    ...(options.tuning === undefined ? {} : { tuning: options.tuning }),
  });
}

/** The value of `Netwall-Signature`. @param seconds Since 1970, whole. */
export function signatureOf(secret: string, seconds: number, body: Uint8Array): string {
  const mac = createHmac("sha256", secret).update(`${seconds}.`).update(body).digest("hex");
  return `t=${seconds},v1=${mac}`;
}

class Webhook implements Carrier {
  readonly #options: WebhookOptions;

  constructor(options: WebhookOptions) {
    this.#options = options;
  }

  encode(event: NetwallEvent): Uint8Array {
    return Buffer.from(JSON.stringify(event));
  }

  async deliver(batch: Batch, signal: AbortSignal): Promise<Delivery> {
    const body = bodyOf(batch.items);
    const answer = await this.#post(body, batch.id, signal);
    const { status } = answer;
    if (status >= 200 && status < 300) return { kind: "delivered" };
    const { origin } = this.#options.url;
    if (status === 408 || status === 429 || status >= 500) {
      const retryAfterMs = retryAfterMsOf(answer.retryAfter, Date.now());
      return { kind: "failed", message: `The webhook ${origin} answers ${status}`, retryAfterMs };
    }
    const cure = status >= 300 && status < 400
      ? "redirects are not followed, give the final address"
      : "these events are dropped, check its address and the secret";
    return { kind: "refused", message: `The webhook ${origin} answers ${status}: ${cure}` };
  }

  end(): void {
    // The signal has ended what was under way, and no connection is kept.
  }

  /** One request on a connection of its own: at most about one a second, so none is kept that could be stale. */
  #post(body: Buffer, id: string, signal: AbortSignal): Promise<{ status: number; retryAfter: string }> {
    const { url, secret, ca, timeoutMs = WEBHOOK_TIMEOUT_MS } = this.#options;
    return new Promise((resolve, reject) => {
      let head: { status: number; retryAfter: string } | undefined;
      const settle = (fault: string): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", onAbort);
        request.destroy();
        // Once there is a status it holds, whatever becomes of the body.
        if (head !== undefined) resolve(head);
        else reject(new Error(`Cannot reach the webhook ${url.origin}: ${fault}`));
      };
      const onAbort = (): void => settle("the gateway stops");
      const timer = setTimeout(() => settle(`no answer within ${timeoutMs} ms`), timeoutMs);
      const seconds = Math.floor(Date.now() / 1_000);
      const request = (url.protocol === "https:" ? https : http).request({
        host: url.hostname.replace(/^\[|\]$/g, ""),
        port: url.port === "" ? undefined : Number(url.port),
        path: `${url.pathname}${url.search}`,
        method: "POST",
        agent: false,
        ...(ca === undefined ? {} : { ca }),
        headers: {
          host: url.host,
          "content-type": "application/json",
          "content-length": String(body.length),
          "user-agent": `netwall-gateway/${VERSION}`,
          "netwall-delivery": id,
          ...(secret === undefined ? {} : { "netwall-signature": signatureOf(secret, seconds, body) }),
        },
      });
      request.on("error", (error: Error) => settle(reasonOf(error)));
      request.on("close", () => settle("the connection was closed"));
      request.on("upgrade", () => settle("it changes the protocol"));
      request.on("response", (response) => {
        head = { status: response.statusCode ?? 0, retryAfter: response.headers["retry-after"] ?? "" };
        let bytes = 0;
        response.on("data", (chunk: Uint8Array) => {
          bytes += chunk.length;
          if (bytes > ANSWER_BYTES_MAX) settle("");
        });
        response.on("error", () => settle(""));
        response.on("end", () => settle(""));
      });
      signal.addEventListener("abort", onAbort, { once: true });
      if (signal.aborted) onAbort();
      else request.end(body);
    });
  }
}

function bodyOf(items: readonly Uint8Array[]): Buffer {
  const parts: Uint8Array[] = [HEAD];
  for (const item of items) parts.push(item, COMMA);
  parts[parts.length - 1] = TAIL;
  return Buffer.concat(parts);
}

/** Seconds or a date; 0 for anything else. */
function retryAfterMsOf(value: string, nowMs: number): number {
  const ms = /^\d{1,9}$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - nowMs;
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), RETRY_AFTER_MS_MAX) : 0;
}

/** What the runtime says, without an address that might hold more than the origin. */
function reasonOf(error: Error): string {
  const code = (error as { code?: unknown }).code;
  return typeof code === "string" && code !== "" ? code : error.message.slice(0, 200);
}
