/**
 * One visit: a request that came in, what the gateway read of it, and the way to answer it.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { formatHead, linger } from "./answer_text.ts";
import type { RequestReading } from "./reading.ts";
import type { VisitorAddress } from "./request_fields.ts";
import type { Arrival } from "./visitor_server.ts";

export interface Visit {
  readonly arrival: Arrival;
  readonly reading: RequestReading;
  /** In the answer, the log and the event: what ties them together. */
  readonly id: string;
  readonly visitor: VisitorAddress;
  /** The visitor's own address, past trusted proxies. */
  readonly address: string;
  readonly startMs: number;
  /** The service, once a route was found. */
  service: string;
  /** The agent that was asked last. */
  agent?: string;
}

/** The little of a Request that Hono looks at. Everything else is in the visit, which handlers get beside it. */
export class VisitRequest {
  readonly method: string;
  readonly url: string;
  readonly #visit: Visit;

  constructor(visit: Visit) {
    this.#visit = visit;
    this.method = visit.reading.method;
    this.url = `${visit.visitor.scheme}://${visit.reading.authority}${visit.reading.paths[0]}`;
  }

  get headers(): Headers {
    const headers = new Headers();
    const { fields } = this.#visit.reading;
    for (let i = 0; i < fields.length; i += 2) headers.append(fields[i]!, fields[i + 1]!);
    return headers;
  }
}

/** Ids of requests: unique over processes by a random half, in one process by a count. */
export class RequestIds {
  readonly #prefix = randomBytes(5).toString("hex");
  #count = 0;

  next(): string {
    return `${this.#prefix}-${(++this.#count).toString(36)}`;
  }
}

/**
 * The protocols of an upgrade that go on to the target, or `undefined` when none does.
 *
 * Never h2c, or HTTP of any version: behind it the visitor would speak to the target past every rule of the gateway.
 *
 * @param upgrade The value of Upgrade, if the request has one that counts.
 */
export function upgradeProtocols(upgrade: string | undefined): string | undefined {
  const names = (upgrade ?? "").split(",").map((name) => name.trim()).filter((name) =>
    !/^((h2c?|http)(\/.*)?)?$/i.test(name)
  );
  return names.length > 0 ? names.join(", ") : undefined;
}

/** An answer that the gateway makes itself. */
export interface OwnAnswer {
  status: number;
  reason: string;
  /** Flat names and values, with Content-Length. */
  fields: string[];
  body: string;
}

/**
 * Writes an answer of the gateway's own, if the visitor is still there and has not got another.
 *
 * @param close Ends the connection after it, as where the request ends is not sure.
 */
export function writeAnswer(arrival: Arrival, answer: OwnAnswer, close = false): void {
  const { incoming, outgoing, upgrade } = arrival;
  if (upgrade) {
    const fields = [...answer.fields, "Connection", "close"];
    const body = incoming.method === "HEAD" ? "" : answer.body;
    upgrade.socket.end(
      Buffer.concat([Buffer.from(formatHead({ ...answer, fields }), "latin1"), Buffer.from(body)]),
    );
    // The rest of what the visitor sends is thrown away; a socket that is not read never closes.
    upgrade.socket.resume();
    return;
  }
  if (outgoing!.headersSent || outgoing!.destroyed) return;
  const { "content-length": length = "0", "transfer-encoding": coding } = incoming.headers;
  // A request without a body is not complete yet either, but nothing of it is left to read.
  const unread = close || !incoming.complete && (coding !== undefined || length !== "0");
  if (unread) arrival.isLast = true;
  outgoing!.writeHead(
    answer.status,
    answer.reason,
    unread ? [...answer.fields, "Connection", "close"] : answer.fields,
  );
  outgoing!.end(answer.body);
  if (unread) linger(incoming);
}
