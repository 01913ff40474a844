/**
 * Tests of the target client against raw TCP targets, most of them hostile, and one real server.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Exchange, ExchangeError, ExchangeOptions, ExchangeSink } from "../../lib/http/exchange.ts";
import { TargetClient, type TargetClientOptions } from "../../lib/http/target_client.ts";
import type { ResponseHead } from "../../lib/wire/head.ts";
import { HAS_NGINX, startNginx } from "../support/nginx.ts";

const WAIT_MS = 4500;
const OK = "HTTP/1.1 200 OK\r\n";
const HELLO = OK + "Content-Length: 5\r\n\r\nhello";

const opened: { close(): unknown }[] = [];
afterEach(() => {
  for (const one of opened.splice(0)) one.close();
});

/** A target made of a socket listener; it counts connections and gathers what each one sent. */
class RawTarget {
  readonly sockets: Socket[] = [];
  readonly received: string[] = [];
  readonly #server: Server;
  readonly #waiting: (() => void)[] = [];

  constructor(
    onData: (socket: Socket, text: string, index: number) => void,
    onSocket?: (socket: Socket) => void,
  ) {
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      const index = this.sockets.push(socket) - 1;
      this.received.push("");
      socket.on("error", () => {});
      socket.on("end", () => this.changed());
      socket.on("data", (chunk) => {
        this.received[index] += chunk.toString("latin1");
        onData(socket, this.received[index] as string, index);
        this.changed();
      });
      onSocket?.(socket);
      this.changed();
    });
    opened.push(this);
  }

  listen(): Promise<number> {
    return new Promise((resolve) => {
      this.#server.listen(0, "127.0.0.1", () => resolve((this.#server.address() as AddressInfo).port));
    });
  }

  /** Wakes those who wait for something that the target sees. */
  changed(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) await within(new Promise<void>((resolve) => this.#waiting.push(resolve)), "the target");
  }

  close(): void {
    for (const socket of this.sockets) socket.destroy();
    this.#server.close();
  }
}

function within<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Timed out waiting for ${what}`)), WAIT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Records an exchange and lets a test wait for a call by name. */
class Recorder implements ExchangeSink {
  calls: string[] = [];
  informational: number[] = [];
  head: ResponseHead | undefined;
  body = "";
  bodyBytes = 0;
  trailers: string[] = [];
  error: ExchangeError | undefined;
  #isCountingOnly: boolean;
  #waiting: (() => void)[] = [];

  constructor(isCountingOnly = false) {
    this.#isCountingOnly = isCountingOnly;
  }
  onInformational(head: ResponseHead): void {
    this.informational.push(head.status);
    this.#call("informational");
  }
  onHead(head: ResponseHead, body: Uint8Array | undefined, _complete: boolean): void {
    this.head = head;
    this.#add(body);
    this.#call("head");
  }
  onUpgrade(head: ResponseHead, rest: Uint8Array | undefined): void {
    this.head = head;
    this.#add(rest);
    this.#call("upgrade");
  }
  onBody(chunk: Uint8Array): void {
    this.#add(chunk);
    this.#call("body");
  }
  onEnd(trailers: string[]): void {
    this.trailers = trailers;
    this.#call("end");
  }
  onDrain(): void {
    this.#call("drain");
  }
  onError(error: ExchangeError): void {
    this.error = error;
    this.#call("error");
  }
  /** Resolves once the answer has ended, well or not. */
  async done(): Promise<this> {
    await this.until(() => this.calls.includes("end") || this.calls.includes("error"), "the end");
    return this;
  }
  async until(isTrue: () => boolean, what: string): Promise<void> {
    while (!isTrue()) {
      await within(
        new Promise<void>((resolve) => this.#waiting.push(resolve)),
        `${what} after ${this.calls.slice(-9)}`,
      );
    }
  }
  #add(chunk: Uint8Array | undefined): void {
    if (chunk === undefined) return;
    this.bodyBytes += chunk.length;
    if (!this.#isCountingOnly) this.body += Buffer.from(chunk).toString("latin1");
  }
  #call(name: string): void {
    const isOver = this.calls.includes("error") ||
      this.calls.includes("end") && !this.calls.includes("upgrade");
    if (isOver) throw new Error(`The sink heard ${name} after ${this.calls}`);
    this.calls.push(name);
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

function clientOf(port: number, options: Partial<TargetClientOptions> = {}): TargetClient {
  const client = new TargetClient({
    connect: () => connect({ port, host: "127.0.0.1", allowHalfOpen: true }),
    ...options,
  });
  opened.push(client);
  return client;
}

const HOST = ["Host", "x"];

function get(client: TargetClient, sink: Recorder = new Recorder(), method = "GET"): Recorder {
  client.exchange({ method, target: "/", fields: HOST }, { hasBody: false }, sink);
  return sink;
}

function send(
  client: TargetClient,
  fields: string[],
  options: ExchangeOptions = { hasBody: true },
  method = "POST",
): { sink: Recorder; exchange: Exchange } {
  const sink = new Recorder();
  return {
    sink,
    exchange: client.exchange({ method, target: "/", fields: [...HOST, ...fields] }, options, sink),
  };
}

/** A target that answers every whole head without a body with the same bytes. */
function answering(answer: string): RawTarget {
  const answered: number[] = [];
  return new RawTarget((socket, text, index) => {
    const heads = text.split("\r\n\r\n").length - 1;
    for (let seen = answered[index] ?? 0; seen < heads; seen++) socket.write(answer, "latin1");
    answered[index] = heads;
  });
}

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "latin1"));

describe("TargetClient requests", () => {
  test("leave byte for byte", async () => {
    const target = answering(HELLO);
    const client = clientOf(await target.listen());
    const fields = ["hOST", "x", "X-A", "1", "x-a", "2", "X-A", "", "Cookie", "a=\xe9", "X-Tab", "a\tb"];
    const sink = new Recorder();
    client.exchange({ method: "FOO-bar", target: "//a/../b?%2e%2e#\xff", fields }, { hasBody: false }, sink);
    await sink.done();
    expect(target.received[0]).toBe(
      "FOO-bar //a/../b?%2e%2e#\xff HTTP/1.1\r\nhOST: x\r\nX-A: 1\r\nx-a: 2\r\nX-A: \r\nCookie: a=\xe9\r\nX-Tab: a\tb\r\n\r\n",
    );
    expect(sink.body).toBe("hello");
    expect(sink.calls).toEqual(["head", "end"]);
  });

  test("are refused when they cannot be written safely", async () => {
    const target = answering(HELLO);
    const client = clientOf(await target.listen());
    const none = { hasBody: false };
    const cases: [string, string, string[], ExchangeOptions][] = [
      ["GET /", "/", HOST, none],
      ["", "/", HOST, none],
      ["GET\r\n", "/", HOST, none],
      ["GET", "", HOST, none],
      ["GET", "/ HTTP/1.1\r\nX: y", HOST, none],
      ["GET", "/a b", HOST, none],
      ["GET", "/\0", HOST, none],
      ["GET", "/\u010d\u010a", HOST, none],
      ["GET", "/", ["X-A", "b\r\nX-B: c"], none],
      ["GET", "/", ["X-A", "b\nX-B: c"], none],
      ["GET", "/", ["X-A", "b\0"], none],
      ["GET", "/", ["X-A", "b\u010d\u010aX-B: c"], none],
      ["GET", "/", ["X-A: b\r\nX-B", "c"], none],
      ["GET", "/", ["X A", "b"], none],
      ["GET", "/", ["", "b"], none],
      ["GET", "/", ["\u212aey", "b"], none],
      ["GET", "/", ["X-A"], none],
      ["POST", "/", ["Content-Length", "5", "Transfer-Encoding", "chunked"], { hasBody: true }],
      ["POST", "/", ["Content-Length", "5", "Content-Length", "6"], { hasBody: true }],
      ["POST", "/", ["Content-Length", "-5"], { hasBody: true }],
      ["POST", "/", ["Transfer-Encoding", "gzip, chunked"], { hasBody: true }],
      ["POST", "/", [], { hasBody: true }],
      ["POST", "/", ["Content-Length", "5"], none],
      ["CONNECT", "a:1", HOST, none],
      ["GET", "/", ["Content-Length", "5"], { hasBody: true, upgrade: true }],
    ];
    let count = 0;
    for (const [method, path, fields, options] of cases) {
      const sink = new Recorder();
      const exchange = client.exchange({ method, target: path, fields }, options, sink);
      expect(sink.calls).toEqual([]);
      expect(exchange.write(bytes("x"))).toBe(true);
      exchange.end();
      await sink.done();
      expect(sink.error).toMatchObject({ code: "bad_request", beforeHead: true });
      count++;
    }
    expect(count).toBe(25);
    expect(client.connections).toBe(0);
    expect(target.sockets.length).toBe(0);
  });

  test("carry a body of a declared length, in one write with the head", async () => {
    const chunks: string[] = [];
    const target = new RawTarget(
      (socket, text) => text.endsWith("hello") && socket.write(HELLO),
      (socket) => socket.on("data", (chunk) => chunks.push(chunk.toString("latin1"))),
    );
    const client = clientOf(await target.listen());
    for (let round = 0; round < 2; round++) {
      const { sink, exchange } = send(client, ["Content-Length", "5"]);
      exchange.write(bytes("he"));
      exchange.write(bytes(""));
      exchange.write(bytes("llo"));
      exchange.end();
      await sink.done();
      expect(sink.body).toBe("hello");
    }
    expect(target.sockets.length).toBe(1);
    expect(chunks).toEqual(Array(2).fill("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"));
  });

  test("carry a chunked body with trailers", async () => {
    const target = new RawTarget((socket, text) =>
      text.endsWith("\r\n\r\n") && text.includes("0\r\nX-T") && socket.write(HELLO)
    );
    const client = clientOf(await target.listen());
    const { sink, exchange } = send(client, ["Transfer-Encoding", "chunked", "Trailer", "X-T"]);
    exchange.write(bytes("hello"));
    await target.until(() => target.received[0]?.endsWith("5\r\nhello\r\n") === true);
    exchange.write(bytes("")); // Must not become the last chunk.
    exchange.write(bytes("x".repeat(26)));
    exchange.end(["X-T", "v", "x-t", "w"]);
    await sink.done();
    const body = `5\r\nhello\r\n1a\r\n${"x".repeat(26)}\r\n0\r\nX-T: v\r\nx-t: w\r\n\r\n`;
    expect(target.received[0]?.endsWith("\r\n\r\n" + body)).toBe(true);
    expect(client.idleConnections).toBe(1);
    const bad = send(client, ["Transfer-Encoding", "chunked"]);
    bad.exchange.end(["X-T", "v\r\nX: y"]);
    expect((await bad.sink.done()).error?.code).toBe("bad_request");
    expect(client.connections).toBe(0);
  });

  test("that are chunked and have no body get their last chunk", async () => {
    const target = new RawTarget((socket, text) => text.endsWith("0\r\n\r\n") && socket.write(HELLO));
    const client = clientOf(await target.listen());
    const without = send(client, ["Transfer-Encoding", "chunked"], { hasBody: false });
    await without.sink.done();
    const empty = send(client, ["Transfer-Encoding", "chunked"]);
    empty.exchange.end();
    expect((await empty.sink.done()).body).toBe("hello");
    expect(target.sockets.length).toBe(1);
    expect(target.received[0]?.split("\r\n\r\n0\r\n\r\n").length).toBe(3);
  });

  test("with too many or too few body bytes fail and spoil the connection", async () => {
    const target = new RawTarget(() => {});
    const client = clientOf(await target.listen());
    const long = send(client, ["Content-Length", "5"]);
    expect(long.exchange.write(bytes("hello!"))).toBe(true);
    expect(long.sink.calls).toEqual([]);
    expect((await long.sink.done()).error).toMatchObject({ code: "request_body_too_long", beforeHead: true });
    const short = send(client, ["Content-Length", "5"]);
    short.exchange.write(bytes("hell"));
    short.exchange.end();
    expect((await short.sink.done()).error).toMatchObject({
      code: "request_body_too_short",
      beforeHead: true,
    });
    expect(client.connections).toBe(0);
    // An abort after the failure, in the same turn, silences it.
    const both = send(client, ["Content-Length", "1"]);
    both.exchange.write(bytes("xy"));
    both.exchange.abort();
    await new Promise((resolve) => setImmediate(resolve));
    expect(both.sink.calls).toEqual([]);
  });

  test("that expect a 100 send their head alone and their body after it", async () => {
    const target = new RawTarget((socket, text) => {
      if (text.endsWith("\r\n\r\n")) socket.write("HTTP/1.1 100 Continue\r\n\r\n");
      else if (text.endsWith("hello")) socket.write(HELLO);
    });
    const client = clientOf(await target.listen());
    const { sink, exchange } = send(client, ["Expect", "100-continue", "Content-Length", "5"]);
    await sink.until(() => sink.informational.length === 1, "the 100");
    expect(target.received[0]?.endsWith("\r\n\r\n")).toBe(true);
    exchange.write(bytes("hello"));
    exchange.end();
    await sink.done();
    expect(sink.calls).toEqual(["informational", "head", "end"]);
    expect(client.idleConnections).toBe(1);
  });

  test("feel the target's pressure: a target that does not read stops the upload", async () => {
    const target = new RawTarget(() => {}, (socket) => socket.pause());
    const client = clientOf(await target.listen());
    const total = 64 << 20;
    const { sink, exchange } = send(client, ["Content-Length", String(total)]);
    const chunk = new Uint8Array(65_536);
    let written = 0;
    const pump = (): void => {
      while (written < total) {
        written += chunk.length;
        if (!exchange.write(chunk)) return;
      }
      exchange.end();
    };
    let stalled = 0;
    const drains = (): number => sink.calls.filter((call) => call === "drain").length;
    const base = sink.onDrain.bind(sink);
    sink.onDrain = () => (base(), pump());
    pump();
    await sink.until(() => drains() > 0, "a first drain");
    // The kernel's buffers are full when no drain comes any more between two looks.
    for (let last = -1; last !== written; await new Promise((resolve) => setTimeout(resolve, 100))) {
      last = written;
    }
    stalled = written;
    expect(stalled).toBeLessThan(32 << 20);
    let received = 0;
    const socket = target.sockets[0] as Socket;
    socket.removeAllListeners("data");
    socket.on("data", (part) => {
      received += part.length;
      if (received >= total) socket.write(HELLO);
    });
    socket.resume();
    await sink.done();
    expect(sink.error).toBeUndefined();
    expect(written).toBe(total);
    expect(received).toBeGreaterThan(total);
  });
});

describe("TargetClient answers", () => {
  test("come back with order, case and repetition of their fields", async () => {
    const client = clientOf(
      await answering(
        "HTTP/1.1 299 Fine\r\nset-COOKIE: a\r\nSet-Cookie: b\r\nX:\r\nContent-Length: 0\r\n\r\n",
      ).listen(),
    );
    const sink = await get(client).done();
    expect(sink.head).toEqual({
      status: 299,
      reason: "Fine",
      fields: ["set-COOKIE", "a", "Set-Cookie", "b", "X", "", "Content-Length", "0"],
    });
  });

  const whole: [string, string, string, string, number][] = [
    ["HEAD", OK + "Content-Length: 5\r\n\r\n", "HEAD", "", 1],
    ["204", "HTTP/1.1 204 No Content\r\n\r\n", "GET", "", 1],
    ["304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "GET", "", 1],
    ["103", "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + HELLO, "GET", "hello", 1],
    ["chunked", OK + "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", "GET", "hello", 1],
    ["close", OK + "Connection: close\r\nContent-Length: 5\r\n\r\nhello", "GET", "hello", 0],
    ["HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "GET", "hello", 0],
    ["garbage after the answer", HELLO + "garbage", "GET", "hello", 0],
    ["two answers to one request", HELLO + HELLO, "GET", "hello", 0],
  ];
  test.each(whole)("%s", async (_name, answer, method, body, idle) => {
    const client = clientOf(await answering(answer).listen());
    const sink = await get(client, new Recorder(), method).done();
    expect(sink.error).toBeUndefined();
    expect(sink.body).toBe(body);
    expect(client.idleConnections).toBe(idle);
    expect(client.connections).toBe(idle);
  });
  test("of every kind were tried", () => expect(whole.length).toBe(9));

  test("carry trailers", async () => {
    const client = clientOf(
      await answering(OK + "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-T: v\r\n\r\n").listen(),
    );
    expect((await get(client).done()).trailers).toEqual(["X-T", "v"]);
    expect(client.idleConnections).toBe(1);
  });

  test("last until the close when nothing frames them", async () => {
    const target = new RawTarget((socket) => socket.end(OK + "\r\nall of it"));
    const client = clientOf(await target.listen());
    const sink = await get(client).done();
    expect(sink.body).toBe("all of it");
    expect(sink.calls.at(-1)).toBe("end");
    expect(client.connections).toBe(0);
  });

  const bad: [string, string][] = [
    ["both framings", OK + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ["no HTTP", "SSH-2.0-OpenSSH_9.2\r\n"],
    ["lines that end with LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"],
    ["an endless head", OK + "X-A: " + "a".repeat(100_000)],
    ["endless interim answers", "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000)],
    ["a 101 unasked", "HTTP/1.1 101 Switching Protocols\r\n\r\n"],
  ];
  test.each(bad)("are refused: %s", async (_name, answer) => {
    const client = clientOf(await answering(answer).listen());
    const sink = await get(client).done();
    expect(sink.error).toMatchObject({ code: "bad_response", beforeHead: true });
    expect(client.connections).toBe(0);
  });

  const badBody: [string, string][] = [
    ["a negative chunk size", "-5\r\nhello\r\n"],
    ["a huge chunk size", "ffffffffffffffffffff\r\nhello\r\n"],
    ["a chunk that is too long", "5\r\nhello!\r\n"],
  ];
  test.each(badBody)("are cut off: %s", async (_name, body) => {
    const client = clientOf(await answering(OK + "Transfer-Encoding: chunked\r\n\r\n" + body).listen());
    const sink = await get(client).done();
    expect(sink.error).toMatchObject({ code: "bad_response", beforeHead: false });
    expect(sink.calls).not.toContain("end");
  });
  test("of every bad kind were tried", () => expect(bad.length + badBody.length).toBe(9));

  test("cut at every byte never end as if whole", async () => {
    const answers = [HELLO, OK + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n"];
    let cuts = 0;
    for (const answer of answers) {
      let cut = 0;
      const target = new RawTarget((socket) => socket.end(answer.slice(0, cut), "latin1"));
      const client = clientOf(await target.listen());
      const headBytes = answer.indexOf("\r\n\r\n") + 4;
      for (; cut < answer.length; cut++, cuts++) {
        const sink = await get(client).done();
        expect(sink.error?.code).toBe(cut < headBytes ? "reset" : "truncated");
        expect(sink.error?.beforeHead).toBe(cut < headBytes);
        expect("hello".startsWith(sink.body)).toBe(true);
      }
      expect(client.connections).toBe(0);
    }
    expect(cuts).toBe(answers.join("").length);
  });

  test("cut by a reset fail too", async () => {
    const target = new RawTarget((socket) => socket.write(OK + "\r\nhalf", () => socket.resetAndDestroy()));
    const client = clientOf(await target.listen());
    expect((await get(client).done()).error).toBeDefined();
  });

  test("that come byte by byte are read", async () => {
    const target = new RawTarget((socket) => {
      const next = (at: number): void => {
        if (at < HELLO.length) socket.write(HELLO.charAt(at), () => setImmediate(next, at + 1));
      };
      next(0);
    });
    expect((await get(clientOf(await target.listen())).done()).body).toBe("hello");
  });

  test("that come before the request is whole are given, and the connection is not kept", async () => {
    const target = new RawTarget((socket) =>
      socket.write("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
    );
    const client = clientOf(await target.listen());
    const { sink, exchange } = send(client, ["Content-Length", "100"]);
    exchange.write(bytes("x"));
    await sink.done();
    expect(sink.head?.status).toBe(413);
    expect(sink.body).toBe("no");
    expect(client.connections).toBe(0);
    expect(exchange.write(bytes("y"))).toBe(true);
    exchange.end();
    expect(sink.calls).toEqual(["head", "end"]);
  });

  test("wait while they are paused, in bounded memory, and then come whole", async () => {
    const total = 64 << 20;
    const chunk = Buffer.alloc(65_536, "x");
    let sent = 0;
    const target = new RawTarget((socket) => {
      socket.write(OK + `Content-Length: ${total}\r\n\r\n`);
      const pump = (): void => {
        while (sent < total) {
          sent += chunk.length;
          if (!socket.write(chunk)) return;
        }
      };
      socket.on("drain", pump);
      pump();
    });
    const client = clientOf(await target.listen());
    const sink = new Recorder(true);
    const exchange = client.exchange({ method: "GET", target: "/", fields: HOST }, { hasBody: false }, sink);
    await sink.until(() => sink.calls.includes("head"), "the head");
    exchange.pause();
    const atPause = sink.bodyBytes;
    for (let last = -1; last !== sent; await new Promise((resolve) => setTimeout(resolve, 100))) last = sent;
    expect(sink.bodyBytes - atPause).toBeLessThan(1 << 20);
    expect(sent).toBeLessThan(32 << 20);
    exchange.resume();
    await sink.done();
    expect(sink.bodyBytes).toBe(total);
    expect(client.idleConnections).toBe(1);
  });

  test("paused at their end leave a connection that reads again", async () => {
    const client = clientOf(await answering(HELLO).listen());
    const sink = new Recorder();
    sink.onHead = () => exchange.pause();
    const exchange: Exchange = client.exchange({ method: "GET", target: "/", fields: HOST }, {
      hasBody: false,
    }, sink);
    await sink.done();
    expect((await get(client).done()).body).toBe("hello");
  });
});

describe("TargetClient connections", () => {
  test("are used again, the newest first, also from inside onEnd", async () => {
    const target = answering(HELLO);
    const client = clientOf(await target.listen());
    await get(client).done();
    const second = new Recorder();
    const first = new Recorder();
    const base = first.onEnd.bind(first);
    first.onEnd = (trailers) => (get(client, second), base(trailers));
    get(client, first);
    await second.done();
    expect(second.body).toBe("hello");
    expect(target.sockets.length).toBe(1);
    expect(client.connections).toBe(1);
  });

  test("are not used again after a request that asks to close", async () => {
    const client = clientOf(await answering(HELLO).listen());
    const { sink } = send(client, ["Connection", "close"], { hasBody: false }, "GET");
    await sink.done();
    expect(client.connections).toBe(0);
  });

  test("that went stale are replaced once for an idempotent request, and only for that", async () => {
    for (
      const [method, sockets] of [["GET", 2], ["DELETE", 2], ["POST", 1], ["PATCH", 1], ["get", 1]] as const
    ) {
      // The first connection answers once and dies at the second request without a byte.
      const target = new RawTarget((socket, text, index) => {
        if (index === 0 && text.split("\r\n\r\n").length > 2) socket.destroy();
        else socket.write(HELLO);
      });
      const client = clientOf(await target.listen());
      await get(client).done();
      const sink = await get(client, new Recorder(), method).done();
      expect(target.sockets.length).toBe(sockets);
      if (sockets === 2) expect(sink.body).toBe("hello");
      else expect(sink.error).toMatchObject({ code: "reset", beforeHead: true });
    }
  });

  test("are not tried a third time", async () => {
    const target = new RawTarget((socket, text, index) => {
      if (index === 0 && text.split("\r\n\r\n").length === 2) socket.write(HELLO);
      else socket.destroy();
    });
    const client = clientOf(await target.listen());
    await get(client).done();
    expect((await get(client).done()).error?.code).toBe("reset");
    expect(target.sockets.length).toBe(2);
  });

  test("that die after body bytes left are not replaced", async () => {
    const target = new RawTarget((socket, text, index) => {
      if (index === 0 && text.includes("body")) socket.destroy();
      else socket.write(HELLO);
    });
    const client = clientOf(await target.listen());
    await get(client).done();
    const { sink, exchange } = send(client, ["Content-Length", "4"], { hasBody: true }, "PUT");
    exchange.write(bytes("body"));
    exchange.end();
    expect((await sink.done()).error?.code).toBe("reset");
    expect(target.sockets.length).toBe(1);
  });

  test("that die inside an answer are not replaced", async () => {
    const target = new RawTarget((socket, text) => {
      if (text.split("\r\n\r\n").length === 2) socket.write(HELLO);
      else socket.end("H");
    });
    const client = clientOf(await target.listen());
    await get(client).done();
    expect((await get(client).done()).error?.code).toBe("reset");
    expect(target.sockets.length).toBe(1);
  });

  test("that speak or end while idle are dropped", async () => {
    for (const act of [(socket: Socket) => socket.write("unasked"), (socket: Socket) => socket.end()]) {
      const target = answering(HELLO);
      let gone = (): void => {};
      const isGone = new Promise<void>((resolve) => gone = resolve);
      const port = await target.listen();
      const client = clientOf(port, {
        connect: () => connect({ port, host: "127.0.0.1", allowHalfOpen: true }).on("close", gone),
      });
      await get(client).done();
      expect(client.idleConnections).toBe(1);
      act(target.sockets[0] as Socket);
      await within(isGone, "the close");
      expect(client.connections).toBe(0);
      expect(client.idleConnections).toBe(0);
    }
  });

  test("that are idle too long are closed", async () => {
    const target = answering(HELLO);
    const client = clientOf(await target.listen(), { idleMs: 30 });
    await Promise.all([get(client).done(), get(client).done(), get(client).done()]);
    let closed = 0;
    for (const socket of target.sockets) socket.on("end", () => (closed++, target.changed()));
    await target.until(() => closed === 3);
    expect(client.connections).toBe(0);
  });

  test("stay under their limits", async () => {
    const target = new RawTarget(() => {});
    const client = clientOf(await target.listen(), { connectionsMax: 2 });
    const first = send(client, [], { hasBody: false }, "GET");
    get(client);
    const third = await get(client).done();
    expect(third.error).toMatchObject({ code: "too_many", beforeHead: true });
    first.exchange.abort();
    expect(client.connections).toBe(1);
    expect(first.sink.calls).toEqual([]);
    const kept = clientOf(await answering(HELLO).listen(), { idleConnectionsMax: 1 });
    await Promise.all([get(kept).done(), get(kept).done(), get(kept).done()]);
    expect(kept.idleConnections).toBe(1);
    expect(kept.connections).toBe(1);
  });

  test("that cannot be made fail with their reason", async () => {
    const port = await new RawTarget(() => {}).listen();
    opened.splice(0).forEach((one) => one.close());
    const failing = (cause: unknown): () => Promise<Duplex> => () => Promise.reject(cause);
    const coded = (code: string): Error => Object.assign(new Error("no"), { code });
    const cases: [string, () => Duplex | Promise<Duplex>][] = [
      ["refused", () => connect({ port, host: "127.0.0.1" })],
      ["refused", () => connect({ path: "/nonexistent/socket" })],
      ["dns", () => connect({ port: 1, host: "no-such-name.invalid" })],
      ["timeout", () => new Promise<Duplex>(() => {})],
      ["tls", failing(coded("tls"))],
      ["tls", failing(coded("UNABLE_TO_VERIFY_LEAF_SIGNATURE"))],
      ["tls", failing(coded("ERR_TLS_CERT_ALTNAME_INVALID"))],
      ["refused", failing(new AggregateError([coded("ECONNREFUSED")]))],
      ["unreachable", failing(coded("EHOSTUNREACH"))],
      ["unreachable", failing("not an error")],
      ["reset", failing(Object.assign(new Error("Cannot connect to x: it hung up"), { code: "reset" }))],
      ["unreachable", () => {
        throw new Error("At once");
      }],
    ];
    let count = 0;
    for (const [code, dial] of cases) {
      const client = clientOf(0, { connect: dial, connectTimeoutMs: code === "timeout" ? 20 : WAIT_MS });
      const sink = new Recorder();
      client.exchange({ method: "GET", target: "/", fields: HOST }, { hasBody: false }, sink);
      expect(sink.calls).toEqual([]);
      await sink.done();
      expect(sink.error).toMatchObject({ code, beforeHead: true });
      expect(sink.error?.message).toMatch(/^Cannot connect to [^:]+: ./);
      expect(client.connections).toBe(0);
      count++;
    }
    expect(count).toBe(12);
  });

  test("may come as a promise, and hold the body until they are there", async () => {
    const target = new RawTarget((socket, text) => text.endsWith("hello") && socket.write(HELLO));
    const port = await target.listen();
    const client = clientOf(port, {
      connect: () =>
        new Promise((resolve) => {
          const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true }, () =>
            resolve(socket.pause()));
        }),
    });
    const { sink, exchange } = send(client, ["Content-Length", String(70_005)]);
    expect(exchange.write(new Uint8Array(70_000))).toBe(false);
    exchange.write(bytes("hello"));
    exchange.end();
    await sink.done();
    expect(sink.calls).toEqual(["drain", "head", "end"]);
    expect(target.received[0]?.length).toBe(51 + 70_005);
  });

  test("are destroyed by close, and their exchanges fail", async () => {
    const target = new RawTarget(() => {});
    const client = clientOf(await target.listen());
    const connecting = get(client);
    const running = get(client);
    await target.until(() => target.received.filter((text) => text !== "").length === 2);
    client.close();
    expect((await connecting.done()).error?.code).toBe("aborted");
    expect((await running.done()).error?.code).toBe("aborted");
    expect((await get(client).done()).error?.code).toBe("aborted");
    expect(client.connections).toBe(0);
  });

  test("end when their exchange is aborted, inside any call", async () => {
    for (const call of ["onInformational", "onHead", "onBody"] as const) {
      const target = answering("HTTP/1.1 103 Hints\r\n\r\n" + OK + "Content-Length: 9\r\n\r\nhello");
      const client = clientOf(await target.listen());
      const sink = new Recorder();
      const abort = (): void => (exchange.abort(), target.changed());
      sink[call] = abort;
      const exchange: Exchange = client.exchange({ method: "GET", target: "/", fields: HOST }, {
        hasBody: false,
      }, sink);
      if (call === "onBody") {
        await sink.until(() => sink.calls.includes("head"), "the head");
        target.sockets[0]?.write("more");
      }
      await target.until(() => target.sockets.length > 0 && client.connections === 0);
      expect(sink.calls).not.toContain("error");
      expect(sink.calls).not.toContain("end");
    }
  });
});

describe("TargetClient upgrades", () => {
  const UPGRADE = ["Connection", "Upgrade", "Upgrade", "echo"];
  const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n\r\n";

  test("pass raw bytes both ways and half-close from this side", async () => {
    const target = new RawTarget((socket, text) => {
      if (text.endsWith("\r\n\r\n")) socket.write(SWITCH + "hi\0");
      else if (text.endsWith("ping")) socket.write("pong");
    }, (socket) => socket.on("end", () => socket.end("bye")));
    const client = clientOf(await target.listen());
    const { sink, exchange } = send(client, UPGRADE, { hasBody: false, upgrade: true }, "GET");
    await sink.until(() => sink.calls.includes("upgrade"), "the upgrade");
    exchange.write(bytes("ping"));
    await sink.until(() => sink.body.endsWith("pong"), "the pong");
    exchange.end();
    await sink.done();
    expect(sink.body).toBe("hi\0pongbye");
    expect(sink.error).toBeUndefined();
  });

  test("half-close from the target's side and go on in the other direction", async () => {
    let ended = false;
    const target = new RawTarget(
      (socket, text) => text.endsWith("\r\n\r\n") && socket.end(SWITCH + "last words"),
      (socket) => socket.on("end", () => ended = true),
    );
    const port = await target.listen();
    let gone = (): void => {};
    const isGone = new Promise<void>((resolve) => gone = resolve);
    const client = clientOf(port, {
      connect: () =>
        connect({ port, host: "127.0.0.1", allowHalfOpen: true }).on("close", () => setImmediate(gone)),
    });
    const { sink, exchange } = send(client, UPGRADE, { hasBody: false, upgrade: true }, "GET");
    await sink.done();
    expect(sink.body).toBe("last words");
    expect(client.connections).toBe(1);
    exchange.write(bytes("still here"));
    await target.until(() => target.received[0]?.endsWith("still here") === true);
    exchange.end();
    await target.until(() => ended);
    await within(isGone, "the close");
    expect(sink.error).toBeUndefined();
    expect(client.connections).toBe(0);
  });

  test("hold early bytes until the 101, and drop them at any other answer", async () => {
    for (const [answer, isUpgraded] of [[SWITCH, true], [HELLO, false]] as const) {
      const target = new RawTarget((socket, text) => {
        if (text.endsWith("\r\n\r\n")) setImmediate(() => socket.write(answer));
      });
      const client = clientOf(await target.listen());
      const { sink, exchange } = send(client, UPGRADE, { hasBody: false, upgrade: true }, "GET");
      exchange.write(bytes("ear"));
      exchange.write(bytes("ly"));
      if (isUpgraded) await target.until(() => target.received[0]?.endsWith("\r\n\r\nearly") === true);
      else {
        await sink.done();
        expect(target.received[0]?.endsWith("\r\n\r\n")).toBe(true);
        expect(client.idleConnections).toBe(1);
        expect(sink.body).toBe("hello");
      }
    }
  });

  test("that die fail, and do not end", async () => {
    const target = new RawTarget((socket, text) => {
      if (text.endsWith("\r\n\r\n")) socket.write(SWITCH);
      else socket.resetAndDestroy();
    });
    const client = clientOf(await target.listen());
    const { sink, exchange } = send(client, UPGRADE, { hasBody: false, upgrade: true }, "GET");
    await sink.until(() => sink.calls.includes("upgrade"), "the upgrade");
    exchange.write(bytes("x"));
    await sink.done();
    expect(sink.error).toMatchObject({ code: "truncated", beforeHead: false });
    expect(client.connections).toBe(0);
  });
});

describe("TargetClient with nginx", () => {
  test.skipIf(!HAS_NGINX)(
    "reads files, answers without a body, and large answers (skipped where nginx is missing)",
    async () => {
      const large = "0123456789abcdef".repeat(65_536);
      const nginx = await startNginx({ small: "hello", large });
      try {
        const client = clientOf(nginx.port);
        const cases: [string, string, number, number][] = [
          ["GET", "/small", 200, 5],
          ["HEAD", "/small", 200, 0],
          ["GET", "/large", 200, large.length],
          ["GET", "/empty", 204, 0],
          ["GET", "/missing", 404, 0],
        ];
        for (const [method, target, status, length] of cases) {
          const sink = new Recorder(true);
          client.exchange({ method, target, fields: ["Host", "localhost"] }, { hasBody: false }, sink);
          await sink.done();
          expect(sink.head?.status).toBe(status);
          if (status !== 404) expect(sink.bodyBytes).toBe(length);
          expect(client.connections).toBe(1);
        }
        expect(cases.length).toBe(5);
        client.close();
      } finally {
        await nginx.stop();
      }
    },
  );
});
