/**
 * Tests of the agent's local proxy over real sockets: what leaves by it, what does not, and what a program is told.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import { openProxyDoor } from "../../lib/doors/proxy_door.ts";
import type { DoorOptions } from "../../lib/doors/reach_door.ts";
import type { Session } from "../../lib/mux/session.ts";
import type { ErrorName } from "../../lib/wire/errors.ts";
import { pattern, TcpEnd } from "../e2e/tcp_wall.ts";
import { settle, until } from "../support/session_pair.ts";
import { Gateway, keptLog } from "./gateway_end.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

interface Rig {
  readonly gateway: Gateway;
  readonly lines: Record<string, unknown>[];
  connect(): Promise<TcpEnd>;
}

async function open(options: Partial<DoorOptions> = {}, streamsMax?: number): Promise<Rig> {
  const gateway = await Gateway.start(streamsMax);
  const { log, lines } = keptLog();
  const listener = await openProxyDoor({
    ...{ at: { host: "127.0.0.1", port: 0 }, sessions: (): Iterable<Session> => [gateway.session] },
    ...{ connectionsMax: 100, idleTimeoutMs: 0, log, logAccess: true },
    ...options,
  });
  cleanups.push(() => gateway.pair.gateway.end === undefined ? gateway.close() : undefined);
  cleanups.push(() => listener.close());
  return {
    ...{ gateway, lines },
    connect: async () => {
      const end = await TcpEnd.connect(listener.port);
      cleanups.push(() => end.destroy());
      return end;
    },
  };
}

const ESTABLISHED = "HTTP/1.1 200 Connection established\r\n\r\n";

/** The status of an answer, and its fields and text. */
async function answerTo(program: TcpEnd): Promise<{ status: number; head: string; text: string }> {
  const all = String(await program.rest());
  const [head = "", text = ""] = [
    all.slice(0, all.indexOf("\r\n\r\n")),
    all.slice(all.indexOf("\r\n\r\n") + 4),
  ];
  return { status: Number(head.split(" ")[1]), head, text };
}

describe("the proxy door, CONNECT", () => {
  test("tunnels to a host outside, with what was sent behind the head", async () => {
    const { gateway, lines, connect } = await open();
    const program = await connect();
    program.write("CONNECT Example.test:443 HTTP/1.1\r\nHost: Example.test:443\r\n\r\nhello ");
    expect(String(await program.take(ESTABLISHED.length))).toBe(ESTABLISHED);
    const call = await gateway.call(0);
    expect([call.open.kind, call.fields]).toEqual(["egress", ["host", "example.test", "port", "443"]]);
    program.write("again").end();
    await until(() => call.sink.ended, "the end of the program");
    expect(call.text).toBe("hello again");
    call.write("answer").end();
    expect(String(await program.rest())).toBe("answer");
    expect(await program.gone()).toBe("end");
    await until(() => gateway.isClean && lines.length > 0, "the end of all");
    expect(lines[0]).toMatchObject({ message: "called", host: "example.test", port: 443, by: "closed" });
  });

  test("a name below netwall.internal is the service of another agent", async () => {
    const { gateway, connect } = await open();
    const program = await connect();
    program.write("CONNECT DB.netwall.internal.:5432 HTTP/1.1\r\n\r\n");
    await program.take(ESTABLISHED.length);
    const call = await gateway.call(0);
    expect([call.open.kind, call.open.service, call.fields]).toEqual(["tcp", "db", []]);
  });

  const NO_SERVICE = [
    "netwall.internal",
    "a.b.netwall.internal",
    "x_y.netwall.internal",
    "-a.netwall.internal",
  ];
  test.each([...NO_SERVICE])("%s names no service, and nothing leaves", async (host) => {
    const { gateway, connect } = await open();
    const program = await connect();
    program.write(`CONNECT ${host}:80 HTTP/1.1\r\n\r\n`);
    const { status, head, text } = await answerTo(program);
    expect(status).toBe(502);
    expect(head).toContain("destination_not_found");
    expect(text).toContain(host);
    expect(gateway.calls).toHaveLength(0);
  });

  const NO_SUFFIX = ["xnetwall.internal", "db.netwall.internal.example.test", "netwall.internal.evil"];
  test.each([...NO_SUFFIX])("%s is a host like any other", async (host) => {
    const { gateway, connect } = await open();
    const program = await connect();
    program.write(`CONNECT ${host}:80 HTTP/1.1\r\n\r\n`);
    await program.take(ESTABLISHED.length);
    expect((await gateway.call(0)).open.kind).toBe("egress");
  });

  test("bytes that come while the other side is dialled wait, and so does an end", async () => {
    const { gateway, connect } = await open();
    gateway.answer = () => {};
    const program = await connect();
    program.write("CONNECT example.test:443 HTTP/1.1\r\n\r\n");
    const call = await gateway.call(0);
    program.write("while it is dialled").end();
    await new Promise((resolve) => setTimeout(resolve, 40));
    expect([call.sink.bytes, program.readBytes]).toEqual([0, 0]);
    call.stand("banner");
    await until(() => call.sink.ended, "the end of the program");
    expect(call.text).toBe("while it is dialled");
    call.end();
    expect(String(await program.rest())).toBe(`${ESTABLISHED}banner`);
  });

  test("an end alone that came while the other side was dialled is passed on", async () => {
    const { gateway, connect } = await open();
    gateway.answer = () => {};
    const program = await connect();
    program.write("CONNECT example.test:443 HTTP/1.1\r\n\r\n").end();
    const call = await gateway.call(0);
    await new Promise((resolve) => setTimeout(resolve, 40));
    call.stand();
    await until(() => call.sink.ended, "the end of the program");
    call.write("bye").end();
    expect(String(await program.rest())).toBe(`${ESTABLISHED}bye`);
  });

  test("a program that breaks off while the other side is dialled leaves nothing behind", async () => {
    const { gateway, connect } = await open();
    gateway.answer = () => {};
    const program = await connect();
    program.write("CONNECT example.test:443 HTTP/1.1\r\n\r\n");
    const call = await gateway.call(0);
    program.reset();
    await new Promise((resolve) => setTimeout(resolve, 40));
    call.stand();
    await until(() => call.sink.resets > 0, "the reset");
    await until(() => gateway.isClean, "nothing to be left");
  });

  test("carries much both ways, held back by whoever is slow, and loses nothing", async () => {
    const { gateway, connect } = await open();
    const program = await connect();
    program.write("CONNECT example.test:443 HTTP/1.1\r\n\r\n");
    await program.take(ESTABLISHED.length);
    const call = await gateway.call(0);
    const sent = pattern(12 << 20);
    call.sink.stalled = true;
    program.write(sent).end();
    await until(() => call.sink.bytes >= 256 * 1024, "the window to be full");
    await settle();
    expect(program.socket.writableLength).toBeGreaterThan(0);
    call.sink.resume();
    await until(() => call.sink.ended, "the end of the program");
    expect(call.bytes.equals(sent)).toBe(true);
    program.socket.pause();
    for (let at = 0; at < sent.length; at += 1 << 16) call.stream.write(sent.subarray(at, at + (1 << 16)));
    call.end();
    await new Promise((resolve) => setTimeout(resolve, 80));
    expect(call.stream.queuedBytes).toBeGreaterThan(0);
    program.socket.resume();
    expect((await program.rest()).equals(sent)).toBe(true);
    await until(() => gateway.isClean, "nothing to be left");
  });

  test("a reset of either side is one of the other", async () => {
    const { gateway, connect } = await open();
    for (const who of ["program", "gateway"]) {
      const program = await connect();
      program.write("CONNECT example.test:443 HTTP/1.1\r\n\r\n");
      await program.take(ESTABLISHED.length);
      const call = gateway.calls.at(-1)!;
      if (who === "program") {
        program.reset();
        await until(() => call.sink.resets > 0, "the reset");
        expect(call.sink.ended).toBe(false);
      } else {
        call.stream.reset("targetReset");
        expect(await program.gone()).toBe("ECONNRESET");
      }
    }
    await until(() => gateway.isClean, "nothing to be left");
  });
});

const GET = "GET http://example.test/a HTTP/1.1\r\nHost: example.test\r\n\r\n";
const GET_SENT = "GET /a HTTP/1.1\r\nHost: example.test\r\nConnection: close\r\n\r\n";

describe("the proxy door, requests", () => {
  test("forwards one request in the form that its host wants, and the answer as it is", async () => {
    const { gateway, connect } = await open();
    const program = await connect();
    program.write(GET);
    const call = await gateway.call(0);
    await until(() => call.text === GET_SENT, "the request");
    expect(call.fields).toEqual(["host", "example.test", "port", "80"]);
    call.write("HTTP/1.1 204 No Content\r\n\r\n").end();
    expect(String(await program.rest())).toBe("HTTP/1.1 204 No Content\r\n\r\n");
    program.end();
    await until(() => gateway.isClean, "nothing to be left");
  });

  /** Each with what its host gets of it; the rest must never leave. */
  const SECRET = "GET http://victim.test/secret HTTP/1.1\r\nHost: victim.test\r\n\r\n";
  const POST = "POST http://example.test/ HTTP/1.1\r\nHost: example.test\r\n";
  const POST_SENT = "POST / HTTP/1.1\r\nHost: example.test\r\n";
  const PIPELINES: readonly (readonly [string, string, string])[] = [
    ["a request without a body", GET, GET_SENT],
    [
      "a request with a length",
      `${POST}Content-Length: 5\r\n\r\nhello`,
      `${POST_SENT}Content-Length: 5\r\nConnection: close\r\n\r\nhello`,
    ],
    [
      "a chunked request",
      `${POST}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT: v\r\n\r\n`,
      `${POST_SENT}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\nT: v\r\n\r\n`,
    ],
  ];
  for (const pieces of ["at once", "in three pieces"]) {
    test.each(PIPELINES.map((row) => [...row]))(
      `behind %s a second one never leaves, sent ${pieces}`,
      async (_name, first, sent) => {
        const { gateway, connect } = await open();
        const program = await connect();
        const all = `${first}${SECRET}`;
        if (pieces === "at once") program.write(all);
        else {
          program.write(all.slice(0, first.length - 3));
          await new Promise((resolve) => setTimeout(resolve, 20));
          program.write(all.slice(first.length - 3, first.length + 4));
          await new Promise((resolve) => setTimeout(resolve, 20));
          program.write(all.slice(first.length + 4));
        }
        const call = await gateway.call(0);
        program.end();
        await until(() => call.sink.ended, "the end of the program");
        expect(call.text).toBe(sent);
        expect(gateway.calls).toHaveLength(1);
      },
    );
  }

  test("a body whose chunks do not fit together is refused, and no part of the bad piece leaves", async () => {
    const { gateway, connect } = await open();
    const head = `${POST}Transfer-Encoding: chunked\r\n\r\n`;
    const early = await connect();
    early.write(`${head}zz\r\nhello`);
    const { status } = await answerTo(early);
    expect([status, gateway.calls.length]).toEqual([400, 0]);
    const late = await connect();
    late.write(`${head}5\r\nhello\r\n`);
    const call = await gateway.call(0);
    await until(() => call.text.endsWith("hello\r\n"), "the first chunk");
    late.write(`-1\r\n${SECRET}`);
    await until(() => call.sink.resets > 0, "the reset");
    expect(await late.gone()).toBe("ECONNRESET");
    expect([call.sink.error?.code, call.sink.ended]).toEqual(["badRequest", false]);
    expect(call.text).not.toContain("secret");
    await until(() => gateway.isClean, "nothing to be left");
  });

  test("a body is streamed, and its size is no matter", async () => {
    const { gateway, connect } = await open();
    const program = await connect();
    const body = pattern(6 << 20);
    program.write(`${POST}Content-Length: ${body.length}\r\n\r\n`);
    const call = await gateway.call(0);
    program.write(body);
    await until(() => call.bytes.length > body.length, "the body");
    expect(call.bytes.subarray(call.bytes.indexOf("\r\n\r\n") + 4).equals(body)).toBe(true);
    call.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").end();
    expect((await answerTo(program)).status).toBe(200);
  });

  test("a head may come byte by byte", async () => {
    const { gateway, connect } = await open();
    const program = await connect();
    for (const byte of GET) {
      program.write(byte);
      await settle(1);
    }
    const call = await gateway.call(0);
    await until(() => call.text === GET_SENT, "the request");
  });

  const FAULTS: readonly (readonly [string, string, number])[] = [
    ["no HTTP", "\x16\x03\x01", 400],
    ["SOCKS", "\x05\x01\x00", 400],
    ["a request to itself", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 400],
    ["a user in the address", "GET http://a:b@example.test/ HTTP/1.1\r\nHost: example.test\r\n\r\n", 400],
    ["https in the clear", "GET https://example.test/ HTTP/1.1\r\nHost: example.test\r\n\r\n", 400],
    ["a line too long", `GET http://example.test/${"a".repeat(40_000)} HTTP/1.1\r\n`, 414],
    ["a head too long", `${GET.slice(0, -2)}${`X: ${"a".repeat(8_000)}\r\n`.repeat(9)}\r\n`, 431],
    ["TRACE", "TRACE http://example.test/ HTTP/1.1\r\nHost: example.test\r\n\r\n", 405],
    ["HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505],
  ];
  test.each(FAULTS.map((row) => [...row]))(
    "%s is answered here and nothing leaves",
    async (_name, sent, status) => {
      const { gateway, connect } = await open();
      const program = await connect();
      program.write(Buffer.from(sent as string, "latin1"));
      const answer = await answerTo(program);
      expect(answer.status).toBe(status);
      expect(answer.head).toContain("Connection: close");
      expect(answer.text).toMatch(/^netwall: /);
      program.end();
      expect(await program.gone()).toBe("end");
      expect(gateway.calls).toHaveLength(0);
    },
  );

  test("a program that leaves within the head is let go, and nothing leaves", async () => {
    const { gateway, connect } = await open();
    for (const sent of ["", GET.slice(0, 20)]) {
      const program = await connect();
      program.write(sent).end();
      await program.gone();
    }
    expect(gateway.calls).toHaveLength(0);
  });

  test("a program that goes on to send is not answered twice, and is let go", async () => {
    const { connect } = await open();
    const program = await connect();
    program.write(`GET / HTTP/1.1\r\nHost: a\r\n\r\n${GET}`);
    const { text } = await answerTo(program);
    expect(text.split("netwall:")).toHaveLength(2);
    // It never ends its side, and the proxy does not wait for ever. Whoever has read an end sees a reset as it writes.
    await until(() => {
      program.write("more");
      return program.closed;
    }, "the connection to be closed");
    expect(program.error).toBeDefined();
  });
});

describe("the proxy door, failures", () => {
  const ANSWERS: readonly (readonly [ErrorName, number, string])[] = [
    ["denied", 403, "http_request_denied"],
    ["unknownService", 502, "destination_not_found"],
    ["targetDns", 502, "dns_error"],
    ["targetRefused", 502, "connection_refused"],
    ["targetReset", 502, "connection_terminated"],
    ["targetTimeout", 504, "connection_timeout"],
    ["targetTls", 502, "tls_protocol_error"],
    ["targetUnreachable", 502, "destination_ip_unroutable"],
    ["refused", 503, "connection_limit_reached"],
    ["overloaded", 503, "connection_limit_reached"],
    ["none", 503, "destination_unavailable"],
    ["internal", 502, "proxy_internal_error"],
    ["draining", 502, "proxy_internal_error"],
  ];
  test.each(ANSWERS.map((row) => [...row]))("%s is answered with %d and %s", async (code, status, word) => {
    const { gateway, lines, connect } = await open();
    for (const [at, request] of [GET, "CONNECT example.test:443 HTTP/1.1\r\n\r\n"].entries()) {
      gateway.answer = ({ stream }) => stream.reset(code as ErrorName, at === 0 ? "" : "says the gateway");
      const program = await connect();
      program.write(request);
      const answer = await answerTo(program);
      expect(answer.status).toBe(status);
      expect(answer.head).toContain(`Proxy-Status: netwall; error=${word}`);
      if (at === 1) expect(answer.text).toContain("says the gateway");
      else expect(answer.text.length).toBeGreaterThan("netwall: \n".length);
    }
    expect(lines.filter(({ message }) => message === "cannot call")).toHaveLength(2);
    await until(() => gateway.isClean, "nothing to be left");
  });

  test("without a link, without the right, and with links that are full", async () => {
    const away = await open({ sessions: () => [] });
    const program = await away.connect();
    program.write(GET);
    const answer = await answerTo(program);
    expect([answer.status, answer.text]).toEqual([503, "netwall: No gateway is linked right now\n"]);
    const barred = await open({}, 0);
    const second = await barred.connect();
    second.write(GET);
    expect((await answerTo(second)).status).toBe(403);
    const full = await open({}, 1);
    (await full.connect()).write(GET);
    await full.gateway.call(0);
    const third = await full.connect();
    third.write(GET);
    expect((await answerTo(third)).status).toBe(503);
  });

  test("what a gateway says cannot forge a second line of the answer", async () => {
    const { gateway, connect } = await open();
    gateway.answer = ({ stream }) => stream.reset("denied", "no\r\nX-Evil: 1\r\n\r\n\x1b[2J<script>");
    const program = await connect();
    program.write(GET);
    const { head, text } = await answerTo(program);
    expect(head).not.toContain("X-Evil");
    expect(text.trimEnd().includes("\n") || text.includes("\x1b")).toBe(false);
  });

  test("over its limit a connection is reset, and the log says so", async () => {
    const { lines, connect } = await open({ connectionsMax: 1 });
    await connect();
    const second = await connect();
    expect(await second.gone()).not.toBe("end");
    await until(() => lines.length > 0, "the log");
    expect(lines[0]).toMatchObject({ level: "warn", message: "too many connections at the proxy" });
  });
});
