/**
 * Raw sockets for tests of HTTP: a visitor that sends any bytes, and a target that records what reached it.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import net, { type AddressInfo, type Socket } from "node:net";

/** Longer than any honest wait on a busy machine. */
const WAIT_MS_MAX = 8_000;

/** A promise that fails when it takes too long, with what it was waiting for. */
export function within<T>(promise: Promise<T>, what: () => string, ms = WAIT_MS_MAX): Promise<T> {
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Timed out waiting for ${what()}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Something whose changes can be waited for. */
export class Changing {
  #waiting: (() => void)[] = [];

  changed(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async until(isTrue: () => boolean, what: () => string, ms?: number): Promise<void> {
    while (!isTrue()) await within(new Promise<void>((resolve) => this.#waiting.push(resolve)), what, ms);
  }
}

/** A visitor's connection. Text is latin1: one character per byte. */
export class RawVisitor extends Changing {
  readonly socket: Socket;
  text = "";
  /** The other side has ended or cut the connection. */
  closed = false;

  constructor(port: number, path?: string) {
    super();
    this.socket = path === undefined ? net.connect(port, "127.0.0.1") : net.connect(path);
    this.socket.on("data", (chunk) => {
      this.text += chunk.toString("latin1");
      this.changed();
    });
    this.socket.on("error", () => {});
    const over = (): void => {
      this.closed = true;
      this.changed();
    };
    this.socket.on("end", over);
    this.socket.on("close", over);
  }

  send(text: string): this {
    this.socket.write(Buffer.from(text, "latin1"));
    return this;
  }

  /** Waits until what came holds `text`. */
  async untilText(text: string): Promise<void> {
    await this.until(() => this.text.includes(text) || this.closed, () => `${text} in ${this.text}`);
    if (!this.text.includes(text)) throw new Error(`The connection ended without ${text}: ${this.text}`);
  }

  async untilClosed(): Promise<string> {
    await this.until(() => this.closed, () => `the end of the connection after ${this.text.slice(0, 2000)}`);
    return this.text;
  }

  /** Waits for whole answers with Content-Length, that many, or for the end; returns the bodies. */
  async answers(count: number): Promise<RawAnswer[]> {
    await this.until(
      () => this.closed || parseAnswers(this.text).length >= count,
      () => `${count} answers in ${JSON.stringify(this.text.slice(0, 2000))}`,
    );
    return parseAnswers(this.text);
  }

  close(): void {
    this.socket.destroy();
  }
}

export interface RawAnswer {
  status: number;
  head: string;
  body: string;
}

/** The whole answers at the start of a text; those without Content-Length and chunks run to the end. */
export function parseAnswers(text: string): RawAnswer[] {
  const answers: RawAnswer[] = [];
  while (text.startsWith("HTTP/1.1 ")) {
    const end = text.indexOf("\r\n\r\n");
    if (end < 0) break;
    const head = text.slice(0, end + 4);
    const status = Number(head.slice(9, 12));
    let rest = text.slice(end + 4);
    let body = "";
    const length = /\r\ncontent-length: *(\d+)\r\n/i.exec(head)?.[1];
    if (status < 200 || status === 204 || status === 304) {
      // No body, whatever the head says.
    } else if (/\r\ntransfer-encoding: *chunked\r\n/i.test(head)) {
      const chunks = /^((?:[0-9a-f]+\r\n[^]*?\r\n)*?)0\r\n(?:[^\r\n]+\r\n)*\r\n/i.exec(rest);
      if (!chunks) break;
      body = chunks[1]!;
      rest = rest.slice(chunks[0].length);
    } else if (length !== undefined) {
      if (rest.length < Number(length)) break;
      body = rest.slice(0, Number(length));
      rest = rest.slice(Number(length));
    } else {
      body = rest;
      rest = "";
    }
    answers.push({ status, head, body });
    text = rest;
  }
  return answers;
}

/** Sends bytes on a new connection and returns all that comes until it closes. */
export async function exchangeRaw(port: number, text: string): Promise<string> {
  const visitor = new RawVisitor(port);
  try {
    return await visitor.send(text).untilClosed();
  } finally {
    visitor.close();
  }
}

/** One request as the target got it. */
export interface RecordedRequest {
  connection: number;
  /** Head and body, byte for byte. */
  raw: string;
  method: string;
  target: string;
}

/**
 * A target that reads requests the plain way (Content-Length, or chunks) and keeps them.
 *
 * Unless told otherwise it answers each with its own method, target and the `x-tag` field, so that an answer can be
 * matched to its request.
 */
export class RecordingTarget extends Changing {
  readonly requests: RecordedRequest[] = [];
  readonly sockets: Socket[] = [];
  /** What came that was not yet a whole request, by connection. */
  readonly unread: string[] = [];
  port = 0;
  readonly #server: net.Server;
  /** Answers a request; the default echoes. May write anything to the socket. */
  onRequest: (request: RecordedRequest, socket: Socket) => void = echo;

  constructor() {
    super();
    this.#server = net.createServer({ allowHalfOpen: true }, (socket) => {
      const connection = this.sockets.push(socket) - 1;
      this.unread.push("");
      socket.on("error", () => {});
      socket.on("end", () => socket.end());
      socket.on("data", (chunk) => {
        this.unread[connection] += chunk.toString("latin1");
        this.#read(connection, socket);
        this.changed();
      });
      this.changed();
    });
  }

  listen(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.listen(0, "127.0.0.1", () => {
        this.port = (this.#server.address() as AddressInfo).port;
        resolve();
      });
    });
  }

  get targets(): string[] {
    return this.requests.map((request) => request.target);
  }

  close(): void {
    for (const socket of this.sockets) socket.destroy();
    this.#server.close();
  }

  #read(connection: number, socket: Socket): void {
    for (;;) {
      const text = this.unread[connection]!;
      const end = text.indexOf("\r\n\r\n");
      if (end < 0) return;
      const head = text.slice(0, end + 4);
      const length = /\r\ncontent-length: *(\d+)\r\n/i.exec(head)?.[1];
      let total = head.length + Number(length ?? 0);
      if (/\r\ntransfer-encoding: *chunked\r\n/i.test(head)) {
        total = endOfChunks(text, head.length);
        if (total < 0) return;
      }
      if (text.length < total) return;
      this.unread[connection] = text.slice(total);
      const [method = "", target = ""] = head.split(" ", 2);
      const request = { connection, raw: text.slice(0, total), method, target };
      this.requests.push(request);
      this.onRequest(request, socket);
    }
  }
}

/** Where the last chunk and its trailers end, or -1 while that has not come. */
function endOfChunks(text: string, from: number): number {
  for (let at = from;;) {
    const lineEnd = text.indexOf("\r\n", at);
    if (lineEnd < 0) return -1;
    const size = parseInt(text.slice(at, lineEnd), 16);
    if (size > 0) {
      at = lineEnd + 2 + size + 2;
      continue;
    }
    const trailers = /^(?:[^\r\n]+\r\n)*\r\n/.exec(text.slice(lineEnd + 2));
    return trailers ? lineEnd + 2 + trailers[0].length : -1;
  }
}

/** The default answer: method, target and tag of the request. */
export function echo(request: RecordedRequest, socket: Socket): void {
  const tag = /\r\nx-tag: ([^\r\n]*)/i.exec(request.raw)?.[1] ?? "";
  const body = `${request.method} ${request.target} ${tag}`;
  const shown = request.method === "HEAD" ? "" : body;
  socket.write(Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${shown}`, "latin1"));
}

/** The value of a field in a recorded request or an answer, or undefined. */
export function fieldOf(raw: string, name: string): string | undefined {
  return new RegExp(`\\r\\n${name}: ?([^\\r\\n]*)`, "i").exec(raw)?.[1];
}
