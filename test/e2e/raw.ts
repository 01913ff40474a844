/**
 * HTTP/1.1 by hand over a socket, for both ends of a test: a visitor that may send anything, and a target that shows
 * exactly which bytes reached it.
 *
 * Every wait has a deadline. Everything read is kept in memory: for bodies of a few MiB, not for more.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import net, { type AddressInfo } from "node:net";
import type { Duplex } from "node:stream";

/** Longer than any honest wait on a busy machine. */
export const WAIT_MS_MAX = 15_000;

/** How long a target waits for the next request on a connection that is kept. */
const NEXT_REQUEST_MS_MAX = 600_000;

/** A message head as it stood on the wire. */
export interface RawHead {
  /** The request line or status line. */
  readonly line: string;
  /** Names and values in order, names as sent. */
  readonly fields: readonly (readonly [string, string])[];
}

/** A whole message. */
export interface RawMessage extends RawHead {
  readonly body: Buffer;
  readonly trailers: readonly (readonly [string, string])[];
  /** False when the connection ended before the framing did. */
  readonly complete: boolean;
}

/** An answer as a visitor got it. */
export interface RawResponse extends RawMessage {
  readonly status: number;
  /** Interim answers that came before it. */
  readonly interim: readonly RawHead[];
  text(): string;
  /** The first value of a name, whatever its case. */
  field(name: string): string | undefined;
}

/** The first value of a name, whatever its case. */
export function fieldOf(head: RawHead, name: string): string | undefined {
  return fieldsOf(head, name)[0];
}

/** Every value of a name, whatever its case. */
export function fieldsOf(head: RawHead, name: string): string[] {
  return head.fields.filter(([key]) => key.toLowerCase() === name.toLowerCase()).map(([, value]) => value);
}

/** The connection ended, and no more can come. */
export class EndedError extends Error {
  override name = "EndedError";
}

/** One connection, read in the pieces that a test asks for. */
export class RawConnection {
  readonly socket: Duplex;
  #buffer: Buffer = Buffer.alloc(0);
  #over = false;
  #waiting: (() => void) | undefined;

  constructor(socket: Duplex) {
    this.socket = socket;
    const end = (): void => {
      this.#over = true;
      this.#waiting?.();
    };
    socket.on("end", end).on("close", end).on("error", end);
    socket.on("data", (chunk: Buffer) => {
      this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
      this.#waiting?.();
    });
  }

  /** Connects to a port of 127.0.0.1, or to a unix socket. */
  static open(at: number | string): Promise<RawConnection> {
    return new Promise((resolve, reject) => {
      const to = typeof at === "string" ? { path: at } : { port: at, host: "127.0.0.1" };
      const socket = net.connect({ ...to, allowHalfOpen: true });
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new RawConnection(socket));
      });
    });
  }

  /** What has come and was not taken. */
  get pending(): Buffer {
    return this.#buffer;
  }

  /** True when nothing more can come. */
  get isOver(): boolean {
    return this.#over;
  }

  /** Text is written as latin1: one byte per character. */
  write(data: string | Uint8Array): void {
    this.socket.write(typeof data === "string" ? Buffer.from(data, "latin1") : data);
  }

  end(): void {
    this.socket.end();
  }

  destroy(): void {
    this.socket.destroy();
  }

  /**
   * Everything up to a marker and the marker itself.
   *
   * @throws {EndedError} When the connection ends first. @throws {Error} When it takes too long.
   */
  async until(marker: string, timeoutMs = WAIT_MS_MAX): Promise<string> {
    const deadlineMs = Date.now() + timeoutMs;
    for (;;) {
      const at = this.#buffer.indexOf(marker);
      if (at >= 0) return (await this.take(at + marker.length)).toString("latin1");
      await this.#more(deadlineMs, `waiting for ${JSON.stringify(marker)}`);
    }
  }

  /** As many bytes. */
  async take(bytes: number, timeoutMs = WAIT_MS_MAX): Promise<Buffer> {
    const deadlineMs = Date.now() + timeoutMs;
    while (this.#buffer.length < bytes) await this.#more(deadlineMs, `waiting for ${bytes} bytes`);
    const taken = this.#buffer.subarray(0, bytes);
    this.#buffer = this.#buffer.subarray(bytes);
    return taken;
  }

  /** Everything until the other side ends. */
  async rest(timeoutMs = WAIT_MS_MAX): Promise<Buffer> {
    const deadlineMs = Date.now() + timeoutMs;
    while (!this.#over) {
      await this.#more(deadlineMs, "waiting for the end").catch((error) => {
        if (!(error instanceof EndedError)) throw error;
      });
    }
    return this.take(this.#buffer.length);
  }

  #more(deadlineMs: number, doing: string): Promise<void> {
    const seen = JSON.stringify(this.#buffer.subarray(0, 400).toString("latin1"));
    if (this.#over) {
      return Promise.reject(new EndedError(`The connection ended while ${doing}; it holds ${seen}`));
    }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting = undefined;
        reject(new Error(`It took too long, ${doing}; the connection holds ${seen}`));
      }, Math.max(1, deadlineMs - Date.now()));
      this.#waiting = () => {
        clearTimeout(timer);
        this.#waiting = undefined;
        resolve();
      };
    });
  }
}

/** Reads the head of the next message. */
export async function readHead(connection: RawConnection, timeoutMs?: number): Promise<RawHead> {
  return parseHead(await connection.until("\r\n\r\n", timeoutMs));
}

function parseHead(text: string): RawHead {
  const [line = "", ...lines] = text.slice(0, -4).split("\r\n");
  return { line, fields: lines.map(splitField) };
}

function splitField(line: string): [string, string] {
  const colon = line.indexOf(":");
  return [line.slice(0, colon), line.slice(colon + 1).trim()];
}

/** How a body ends, besides what its head says. */
export interface BodyRules {
  /** There is none, whatever the head declares: HEAD, 204, 304. */
  readonly none?: boolean;
  /** Without framing it lasts until the end, as in an answer; else there is none, as in a request. */
  readonly untilEnd?: boolean;
}

/** Reads a body by the framing of its head. A connection that ends early gives what came, marked incomplete. */
export async function readBody(
  connection: RawConnection,
  head: RawHead,
  rules: BodyRules = {},
): Promise<RawMessage> {
  const parts: Buffer[] = [];
  const trailers: [string, string][] = [];
  let complete = true;
  try {
    const length = fieldOf(head, "content-length");
    if (rules.none) {
      // Nothing follows.
    } else if (fieldOf(head, "transfer-encoding")?.toLowerCase() === "chunked") {
      for (;;) {
        const size = parseInt(await connection.until("\r\n"), 16);
        if (size === 0) break;
        parts.push(await connection.take(size));
        if ((await connection.take(2)).toString() !== "\r\n") throw new Error("A chunk has no end");
      }
      for (;;) {
        const line = (await connection.until("\r\n")).slice(0, -2);
        if (line === "") break;
        trailers.push(splitField(line));
      }
    } else if (length !== undefined) {
      parts.push(await connection.take(Number(length)));
    } else if (rules.untilEnd) {
      parts.push(await connection.rest());
    }
  } catch (error) {
    if (!(error instanceof EndedError)) throw error;
    complete = false;
    parts.push(await connection.rest());
  }
  return { ...head, body: Buffer.concat(parts), trailers, complete };
}

/** Reads the next answer, past the interim ones. */
export async function readResponse(
  connection: RawConnection,
  method = "GET",
  timeoutMs?: number,
): Promise<RawResponse> {
  const interim: RawHead[] = [];
  for (;;) {
    const head = await readHead(connection, timeoutMs);
    const status = Number(/^HTTP\/1\.1 (\d{3})(?: |$)/.exec(head.line)?.[1]);
    if (status < 200 && status !== 101) {
      interim.push(head);
      continue;
    }
    const none = method === "HEAD" || status === 101 || status === 204 || status === 304;
    const message = await readBody(connection, head, { none, untilEnd: true });
    return {
      ...message,
      ...{ status, interim },
      text: () => message.body.toString("latin1"),
      field: (name) => fieldOf(message, name),
    };
  }
}

/** Sends bytes on a connection of their own and reads the answer. The method is read off the first bytes. */
export async function request(
  at: number | string,
  ...parts: readonly (string | Uint8Array)[]
): Promise<RawResponse> {
  const connection = await RawConnection.open(at);
  try {
    for (const part of parts) connection.write(part);
    return await readResponse(connection, /^\S*/.exec(String(parts[0]))?.[0]);
  } finally {
    connection.destroy();
  }
}

/** A request's head as text. */
export function get(path: string, fields: readonly string[] = [], method = "GET"): string {
  const host = fields.some((field) => /^host:/i.test(field)) ? [] : ["Host: web.test"];
  return [`${method} ${path} HTTP/1.1`, ...host, ...fields, "", ""].join("\r\n");
}

/** A request that reached a target. */
export interface SeenRequest extends RawHead {
  readonly method: string;
  readonly target: string;
  /** The head, byte for byte (latin1). */
  readonly raw: string;
  readonly connection: RawConnection;
}

/** Answers one request. The next one on the connection is read when it returns. */
export type RawAnswer = (connection: RawConnection, seen: SeenRequest) => Promise<void> | void;

/** A target that records every head, and answers what the test says. */
export class RawTarget {
  /** Heads in the order they came. */
  readonly seen: SeenRequest[] = [];
  readonly #server: net.Server;
  readonly #connections = new Set<RawConnection>();
  readonly #answers = new Map<string, RawAnswer>();
  readonly #waiting = new Set<() => void>();

  constructor() {
    this.#server = net.createServer({ allowHalfOpen: true }, (socket) => void this.#serve(socket));
  }

  /** Listens on a free port of 127.0.0.1, or on a unix socket. */
  static start(path?: string): Promise<RawTarget> {
    const target = new RawTarget();
    return new Promise((resolve, reject) => {
      target.#server.once("error", reject);
      if (path === undefined) target.#server.listen(0, "127.0.0.1", () => resolve(target));
      else target.#server.listen(path, () => resolve(target));
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Sets the answer for a path. Without one it is 200 with the text "ok". */
  on(path: string, answer: RawAnswer): this {
    this.#answers.set(path, answer);
    return this;
  }

  /** How many requests came for a target. */
  count(target: string): number {
    return this.seen.filter((seen) => seen.target === target).length;
  }

  /** Waits for a request whose target is this, past or to come. */
  async request(target: string, timeoutMs = WAIT_MS_MAX): Promise<SeenRequest> {
    const deadlineMs = Date.now() + timeoutMs;
    for (;;) {
      const found = this.seen.find((seen) => seen.target === target);
      if (found) return found;
      if (Date.now() >= deadlineMs) throw new Error(`The target saw no request for ${target}`);
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          clearTimeout(timer);
          this.#waiting.delete(wake);
          resolve();
        };
        const timer = setTimeout(wake, deadlineMs - Date.now());
        this.#waiting.add(wake);
      });
    }
  }

  /** Takes no more connections and cuts all there are. */
  close(): void {
    this.#server.close();
    for (const connection of this.#connections) connection.destroy();
  }

  async #serve(socket: net.Socket): Promise<void> {
    const connection = new RawConnection(socket);
    this.#connections.add(connection);
    socket.on("close", () => this.#connections.delete(connection));
    try {
      for (;;) await this.#answer(connection, await connection.until("\r\n\r\n", NEXT_REQUEST_MS_MAX));
    } catch (error) {
      // The agent hung up, or the test did: the visitor's side shows what that means.
      if (error instanceof EndedError) socket.end();
      else socket.destroy();
    }
  }

  async #answer(connection: RawConnection, raw: string): Promise<void> {
    const head = parseHead(raw);
    const [method = "", target = ""] = head.line.split(" ");
    const seen: SeenRequest = { ...head, method, target, raw, connection };
    this.seen.push(seen);
    for (const wake of [...this.#waiting]) wake();
    const path = target.split("?", 1)[0]!;
    await (this.#answers.get(path) ?? answerOk)(connection, seen);
  }
}

const answerOk: RawAnswer = async (connection, seen) => {
  await readBody(connection, seen);
  connection.write(
    seen.method === "HEAD" ? answer(200, undefined, ["Content-Length: 2"]) : answer(200, "ok"),
  );
};

/** An answer as text. With a body it gets a Content-Length. */
export function answer(status: number, body?: string, fields: readonly string[] = []): string {
  const length = body === undefined ? [] : [`Content-Length: ${body.length}`];
  return [`HTTP/1.1 ${status} Reason`, ...fields, ...length, "", body ?? ""].join("\r\n");
}

/** A body as one chunk of the chunked coding. */
export function chunk(data: string): string {
  return `${data.length.toString(16)}\r\n${data}\r\n`;
}
