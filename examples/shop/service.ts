/**
 * What every part of the shop needs: to take requests on loopback, and to call another part by a door of its agent.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createServer, type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";
import process from "node:process";

/** What a part reads of a request or of an answer; more is not of this shop. */
const BODY_BYTES_MAX = 64 << 10;
const CALL_MS_MAX = 10_000;

export interface Asked {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** Without parameters; empty when there is none. */
  readonly contentType: string;
  readonly body: string;
}

export interface Answer {
  readonly status: number;
  /** @default application/json */
  readonly contentType?: string;
  readonly body: string;
}

export const json = (status: number, value: unknown): Answer => ({ status, body: JSON.stringify(value) });

export const NOT_FOUND: Answer = json(404, { error: "There is no such thing" });
/** For a method or a content type that a path does not take. */
export const NOT_SO: Answer = json(405, { error: "Not in this way" });

/**
 * Serves on 127.0.0.1, at a port that the system picks, and prints it as `ready {"http":"127.0.0.1:PORT"}`.
 *
 * A fault of `answer` is a 502: something behind it failed.
 */
export function serve(answer: (asked: Asked) => Promise<Answer> | Answer): void {
  const server = createServer(async (incoming, response) => {
    let given: Answer;
    try {
      given = await answer({
        method: incoming.method ?? "",
        path: (incoming.url ?? "/").split("?")[0]!,
        contentType: (incoming.headers["content-type"] ?? "").split(";")[0]!,
        body: await bodyOf(incoming),
      });
    } catch (error) {
      given = json(502, { error: (error as Error).message });
    }
    response.writeHead(given.status, {
      "Content-Type": given.contentType ?? "application/json",
      "Content-Length": Buffer.byteLength(given.body),
    });
    response.end(incoming.method === "HEAD" ? "" : given.body);
  });
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address() as AddressInfo;
    process.stdout.write(`ready ${JSON.stringify({ http: `127.0.0.1:${port}` })}\n`);
  });
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => process.exit(0));
}

/** A request that is sent by a unix socket: the door to a service, or the proxy to everything else. */
export interface CallOptions {
  readonly socketPath: string;
  readonly method: string;
  /** A path, or for the proxy a whole address. */
  readonly path: string;
  readonly host: string;
  readonly contentType?: string;
  readonly body?: string;
  readonly fields?: Readonly<Record<string, string>>;
}

/** Sends it and gives the answer whatever its status is. Rejects when there is none. */
export function call(options: CallOptions): Promise<Answer> {
  const { socketPath, method, path, host, contentType, body, fields } = options;
  return new Promise((resolve, reject) => {
    const headers: Record<string, string> = { Host: host, Connection: "close", ...fields };
    if (contentType !== undefined) headers["Content-Type"] = contentType;
    if (body !== undefined) headers["Content-Length"] = String(Buffer.byteLength(body));
    const signal = AbortSignal.timeout(CALL_MS_MAX);
    const outgoing = request(
      { socketPath, method, path, headers, agent: false, signal },
      (incoming) => {
        bodyOf(incoming).then((text) => resolve({ status: incoming.statusCode ?? 0, body: text }), reject);
      },
    );
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

async function bodyOf(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw new Error("The body is too large");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** Where a door is, from the environment. @throws {Error} When it is not said. */
export function door(name: string): string {
  const path = process.env[name];
  if (path === undefined) throw new Error(`Cannot start: ${name} does not say where the door is`);
  return path;
}
