/**
 * A refused handshake on the wire: what the gateway writes, and how the dialer reads it.
 *
 * The answer is plain HTTP with a problem document, so that `curl` shows it too. What the dialer reads may come from
 * anyone: a proxy, a login page, an attacker. It is bounded, and only our own codes end an agent for good.
 *
 * Source: RFC 9457; RFC 9110 §10.2.3 (Retry-After), §11.6.1 (WWW-Authenticate), §15.5.22 (426).
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { type IncomingMessage, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { clearTimeout, setTimeout } from "node:timers";
import { LinkError } from "./link.ts";
import { printable } from "./websocket.ts";

/** Why an agent is turned away. */
export interface LinkRefusal {
  /** 401 or 403 with one of the codes of `PERMANENT_CODES` ends the agent; everything else it tries again. */
  readonly status: number;
  /** For programs: `expired`, `revoked`, `malformed`, `signature`, `not_allowed`, `version`, … */
  readonly code: string;
  /** For people. Reaches the agent's log, so no secrets. */
  readonly message: string;
  readonly retryAfterSeconds?: number;
}

/** How long a refused socket may take to read its answer. */
const REFUSAL_TIMEOUT_MS = 2_000;

/** With status 401 or 403 these say that trying again is of no use. */
export const PERMANENT_CODES: readonly string[] = [
  "expired",
  "revoked",
  "malformed",
  "signature",
  "not_allowed",
];

/** A gateway that says "in an hour" is asked again after this: it may have been replaced. */
export const RETRY_AFTER_MS_MAX = 60_000;

/** A refusal is one short JSON object. */
const REFUSAL_BYTES_MAX = 4 << 10;

/** Of foreign text in a message. */
const DETAIL_CHARS_MAX = 300;

/** The gateway, or what answers in its place, said no in HTTP. */
export class LinkRefusedError extends LinkError {
  override name = "LinkRefusedError";
  /**
   * @param code Of the gateway's answer; undefined when it is not netwall that answered.
   * @param retryAfterMs How long to stay away, if the answer says so; at most `RETRY_AFTER_MS_MAX`.
   */
  constructor(
    message: string,
    permanent: boolean,
    readonly status: number,
    readonly code: string | undefined,
    readonly retryAfterMs: number | undefined,
  ) {
    super(message, permanent);
  }
}

/** Answers in HTTP and ends the socket, at the latest after `REFUSAL_TIMEOUT_MS`. */
export function refuse(socket: Duplex, refusal: LinkRefusal): void {
  const title = STATUS_CODES[refusal.status] ?? "Refused";
  const { status, code, message: detail, retryAfterSeconds } = refusal;
  const body = JSON.stringify({ type: "about:blank", title, status, detail, code });
  const lines = [
    `HTTP/1.1 ${status} ${title}`,
    "Content-Type: application/problem+json",
    `Content-Length: ${Buffer.byteLength(body)}`,
    "Cache-Control: no-store",
    "Connection: close",
  ];
  if (retryAfterSeconds !== undefined) lines.push(`Retry-After: ${Math.ceil(retryAfterSeconds)}`);
  if (status === 401) lines.push("WWW-Authenticate: Bearer");
  if (status === 426) lines.push("Upgrade: websocket", "Sec-WebSocket-Version: 13");
  const timer = setTimeout(() => socket.destroy(), REFUSAL_TIMEOUT_MS);
  socket.once("close", () => clearTimeout(timer));
  socket.end(`${lines.join("\r\n")}\r\n\r\n${body}`);
  // Unread input would turn the end into a reset, which can swallow the answer.
  socket.resume();
}

/** The body up to a bound; never rejects. */
function readBody(response: IncomingMessage): Promise<string> {
  return new Promise((resolve) => {
    let body = "";
    response.setEncoding("utf8");
    response.on("data", (text: string | Buffer) => {
      body += text;
      if (body.length > REFUSAL_BYTES_MAX) resolve("");
    });
    for (const event of ["end", "error", "aborted", "close"]) response.on(event, () => resolve(body));
  });
}

/**
 * Reads an answer that is no upgrade. Never rejects, but a body without end is for the caller to cut off.
 *
 * @param where The gateway, for the message.
 */
export async function readRefusal(response: IncomingMessage, where: string): Promise<LinkRefusedError> {
  const body = await readBody(response);
  const status = response.statusCode ?? 0;
  const { code, detail } = parseProblem(response, body);
  const retryAfterMs = parseRetryAfter(response.headers["retry-after"]);
  const isPermanent = status === 426 || ([401, 403].includes(status) && PERMANENT_CODES.includes(code ?? ""));
  let message =
    `No netwall gateway answers at ${where}: it answers with status ${status}; check host, port and path`;
  if (code !== undefined) {
    message = `The gateway at ${where} refused the link: ${detail ?? "no reason"} (${status}, ${code})`;
  } else if (status === 426) {
    message = `The gateway at ${where} refused the link: it speaks another version (426)`;
  } else if (status >= 300 && status < 400) {
    message =
      `No netwall gateway answers at ${where}: it redirects (${status}), which is not followed as the token ` +
      "would travel along; give the final address";
  } else if (status >= 500) message = `The gateway at ${where} is not available: status ${status}`;
  return new LinkRefusedError(message, isPermanent, status, code, retryAfterMs);
}

/** What of the body is ours. Foreign text: cut short, without control characters. */
function parseProblem(response: IncomingMessage, body: string): { code?: string; detail?: string } {
  if (!/^application\/problem\+json\b/i.test(response.headers["content-type"] ?? "")) return {};
  try {
    const problem: unknown = JSON.parse(body);
    if (typeof problem !== "object" || problem === null) return {};
    const { code, detail } = problem as { code?: unknown; detail?: unknown };
    if (typeof code !== "string" || !/^[a-z_]{1,40}$/.test(code)) return {};
    if (typeof detail !== "string") return { code };
    return { code, detail: printable(detail).slice(0, DETAIL_CHARS_MAX) };
  } catch {
    return {};
  }
}

/** RFC 9110 §10.2.3, the form in seconds only: a date would need the clocks to agree. */
function parseRetryAfter(value: string | undefined): number | undefined {
  if (value === undefined || !/^\d{1,9}$/.test(value)) return undefined;
  return Math.min(Number(value) * 1_000, RETRY_AFTER_MS_MAX);
}
