/**
 * Tests of the accepting side of a raw stream: what it dials, what the opener is told, and what goes first.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import net from "node:net";
import type { Stream } from "../../lib/mux/stream.ts";
import type { Connect } from "../../lib/runtime/byte_socket.ts";
import { connectTcp } from "../../lib/runtime/connect_tcp.ts";
import { ConnectError, type ConnectErrorCode } from "../../lib/runtime/connect_tls.ts";
import {
  acceptTcp,
  type AcceptTcpOptions,
  type ConnectionFacts,
  StreamRefusal,
} from "../../lib/tcp/connect.ts";
import { prefaceOf } from "../../lib/tcp/preface.ts";
import type { ErrorName } from "../../lib/wire/errors.ts";
import { FLAG_END, FrameType } from "../../lib/wire/frame.ts";
import { decodeFields, encodeFields } from "../../lib/wire/head.ts";
import { decodeFarewell, encodeOpen } from "../../lib/wire/open.ts";
import { TcpTarget } from "../e2e/tcp_wall.ts";
import {
  endPair,
  pattern,
  readyPair,
  type SessionPair,
  settle,
  startAgainstRaw,
  TestSink,
  until,
} from "../support/session_pair.ts";

const NO_FIELDS = encodeFields([]);
const WINDOW_BYTES = 256 * 1024;

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

async function target(onConnection?: Parameters<typeof TcpTarget.start>[0]): Promise<TcpTarget> {
  const started = await TcpTarget.start(onConnection);
  cleanups.push(() => started.close());
  return started;
}

function to({ port }: { readonly port: number }): Connect {
  return (onRead) => connectTcp({ host: "127.0.0.1", port }, onRead);
}

interface Call {
  readonly pair: SessionPair;
  readonly stream: Stream;
  readonly sink: TestSink;
  readonly facts: ConnectionFacts[];
  /** Bytes that came to the opener. */
  readonly text: () => string;
}

async function call(connect: Connect, options: Partial<AcceptTcpOptions> = {}): Promise<Call> {
  const facts: ConnectionFacts[] = [];
  const pair = await readyPair({
    agent: {
      onOpen: (stream, open) =>
        acceptTcp({
          ...{ stream, open, connect, address: "db:5432", connectTimeoutMs: 10_000, idleTimeoutMs: 0 },
          onDone: (each) => facts.push(each),
          ...options,
        }),
    },
  });
  const sink = new TestSink();
  const seen: Uint8Array[] = [];
  sink.onChunk = (chunk) => seen.push(Uint8Array.from(chunk));
  const stream = pair.gateway.session.openStream("tcp", "db", NO_FIELDS, false, sink)!;
  sink.stream = stream;
  return { pair, stream, sink, facts, text: () => Buffer.concat(seen).toString("latin1") };
}

async function finish({ pair, facts }: Call): Promise<void> {
  await until(() => facts.length > 0, "the connection to be over");
  await settle();
  expect(facts).toHaveLength(1);
  for (const { session, end } of [pair.gateway, pair.agent]) {
    expect([end, session.streamsOpen, session.heldBytes, session.budget.heldBytes])
      .toEqual([undefined, 0, 0, 0]);
  }
  await endPair(pair);
}

describe("acceptTcp()", () => {
  test("says with an empty head that the target stands, then carries both ways", async () => {
    const server = await target(({ socket }) => void socket.pipe(socket));
    const made = await call(to(server));
    await until(() => made.sink.heads.length > 0, "the head");
    expect(decodeFields(made.sink.heads[0]!)).toEqual([]);
    made.stream.write(Buffer.from("ping"));
    await until(() => made.text() === "ping", "the echo");
    made.stream.end();
    await until(() => made.sink.ended, "the end");
    await finish(made);
    expect(made.facts[0]).toMatchObject({ by: "closed", error: undefined, readBytes: 4, writtenBytes: 4 });
  });

  test("a target that speaks first and leaves is heard to its end", async () => {
    const server = await target((end) => void end.write("220 ready").end());
    const made = await call(to(server));
    await until(() => made.sink.ended, "the end");
    expect(made.text()).toBe("220 ready");
    made.stream.end();
    await finish(made);
    expect(made.facts[0]!.by).toBe("closed");
  });

  test("bytes that came before the target stood go behind the preface", async () => {
    const server = await target();
    const gate = Promise.withResolvers<void>();
    const connect: Connect = async (onRead) => {
      await gate.promise;
      const socket = connectTcp({ host: "127.0.0.1", port: server.port }, onRead) as net.Socket;
      await new Promise<void>((resolve) => socket.once("connect", () => resolve()));
      return socket;
    };
    const made = await call(connect, { preface: Buffer.from("PROXY UNKNOWN\r\n") });
    made.stream.write(Buffer.from("first,"));
    made.stream.write(Buffer.from("second"));
    made.stream.end();
    await settle();
    expect(made.pair.agent.session.heldBytes).toBe(12);
    expect(made.sink.heads).toHaveLength(0);
    gate.resolve();
    const end = await server.connection(0);
    expect(String(await end.rest())).toBe("PROXY UNKNOWN\r\nfirst,second");
    end.end();
    await finish(made);
    // The preface is no byte of the caller.
    expect(made.facts[0]).toMatchObject({ by: "closed", writtenBytes: 12 });
  });

  const EARLY: readonly (readonly [string, string, boolean])[] = [
    ["a body", "hello", false],
    ["a body and its end", "hello", true],
    ["its end alone", "", true],
  ];
  test.each(EARLY.map((row) => [...row]))("OPEN with %s", async (_name, body, ends) => {
    const server = await target();
    const facts: ConnectionFacts[] = [];
    const { peer, side } = await startAgainstRaw("agent", {
      onOpen: (stream, open) =>
        acceptTcp({
          ...{ stream, open, connect: to(server), address: "db:5432" },
          ...{ connectTimeoutMs: 10_000, idleTimeoutMs: 0, onDone: (each) => facts.push(each) },
        }),
    });
    const open = { kind: "tcp" as const, service: "db", windowBytes: WINDOW_BYTES, head: NO_FIELDS };
    peer.add(FrameType.open, ends ? FLAG_END : 0, 1, encodeOpen({ ...open, body: Buffer.from(body) })).send();
    const end = await server.connection(0);
    if (ends) expect(String(await end.rest())).toBe(body);
    else expect(String(await end.take(body.length))).toBe(body);
    expect(end.ended).toBe(ends);
    end.write("bye").end();
    await until(() => peer.seen(FrameType.end).length > 0, "the end of the target");
    const data = peer.seen(FrameType.data).map(({ payload }) => Buffer.from(payload).toString());
    expect(data.join("")).toBe("bye");
    if (!ends) peer.add(FrameType.end, 0, 1).send();
    await until(() => facts.length > 0, "the connection to be over");
    expect([facts[0]!.by, side.session.heldBytes]).toEqual(["closed", 0]);
    side.session.close("none", "over");
  });

  const FAILURES: readonly (readonly [ConnectErrorCode, ErrorName])[] = [
    ["refused", "targetRefused"],
    ["timeout", "targetTimeout"],
    ["dns", "targetDns"],
    ["tls", "targetTls"],
    ["reset", "targetReset"],
    ["unreachable", "targetUnreachable"],
  ];
  test.each(FAILURES.map((row) => [...row]))(
    "a dial that fails with %s is told as %s, and no more",
    async (code, told) => {
      const secret = "Cannot connect to 10.1.2.3:5432";
      const made = await call(() => Promise.reject(new ConnectError(code, secret)));
      await until(() => made.sink.resets > 0, "the reset");
      expect([made.sink.error?.code, made.sink.error?.message]).toEqual([told, ""]);
      await finish(made);
      expect(made.facts[0]).toMatchObject({ by: "stopped", code: told });
      expect(made.facts[0]!.error?.message).toBe(secret);
    },
  );

  test("what the system says of a dial is put into a code", async () => {
    const codes: string[] = [];
    for (
      const code of ["ECONNREFUSED", "ENOTFOUND", "EHOSTUNREACH", "ECONNRESET", "ETIMEDOUT", "EWHATEVER"]
    ) {
      const made = await call(() => Promise.reject(Object.assign(new Error("no"), { code })));
      await until(() => made.sink.resets > 0, "the reset");
      codes.push(made.sink.error!.code);
      expect(made.facts[0]!.error).toBeInstanceOf(ConnectError);
      await finish(made);
    }
    expect(codes).toEqual([
      ...["targetRefused", "targetDns", "targetUnreachable", "targetReset", "targetTimeout"],
      "targetUnreachable",
    ]);
  });

  test("a refusal of this side tells what it is to tell, and keeps its own reason", async () => {
    const refusal = new StreamRefusal("denied", "rule 7 says no to 10.0.0.1", "not allowed here");
    const made = await call(() => Promise.reject(refusal));
    await until(() => made.sink.resets > 0, "the reset");
    expect([made.sink.error?.code, made.sink.error?.message]).toEqual(["denied", "not allowed here"]);
    await finish(made);
    expect(made.facts[0]!.error).toBe(refusal);
  });

  test("a connect that throws at once is a failure like any other", async () => {
    const made = await call(() => {
      throw new ConnectError("dns", "no such name");
    });
    await until(() => made.sink.resets > 0, "the reset");
    expect(made.sink.error?.code).toBe("targetDns");
    await finish(made);
  });

  test("a target that never answers is given up, and what waited is released", async () => {
    const made = await call(() => new net.Socket(), { connectTimeoutMs: 40 });
    made.stream.write(pattern(100_000));
    await until(() => made.sink.resets > 0, "the reset");
    expect(made.sink.error?.code).toBe("targetTimeout");
    await finish(made);
  });

  test("an opener that leaves aborts the dial, and a late success is closed", async () => {
    const server = await target();
    const late = Promise.withResolvers<net.Socket>();
    const made = await call(() => late.promise);
    await settle();
    made.stream.reset("cancelled", "left");
    await until(() => made.facts.length > 0, "the end");
    expect(made.facts[0]).toMatchObject({ by: "stream", code: "cancelled", error: undefined });
    const socket = net.connect({ port: server.port, host: "127.0.0.1" });
    await new Promise<void>((resolve) => socket.once("connect", () => resolve()));
    late.resolve(socket);
    await (await server.connection(0)).gone();
    expect(socket.destroyed).toBe(true);
    await finish(made);
  });

  test("a session that is lost while dialling aborts the dial", async () => {
    const socket = new net.Socket();
    const made = await call(() => socket);
    await settle();
    made.pair.gateway.session.close("none", "gone");
    await until(() => made.facts.length > 0, "the end");
    expect([socket.destroyed, made.facts[0]!.by]).toEqual([true, "stream"]);
  });

  test("a reset of the target is one of the stream, and a reset of the stream one of the target", async () => {
    const server = await target();
    const first = await call(to(server));
    await until(() => first.sink.heads.length > 0, "the head");
    (await server.connection(0)).reset();
    await until(() => first.sink.resets > 0, "the reset");
    expect([first.sink.error?.code, first.sink.ended]).toEqual(["targetReset", false]);
    await finish(first);
    expect(first.facts[0]).toMatchObject({ by: "socket", detail: "ECONNRESET" });
    const second = await call(to(server));
    await until(() => second.sink.heads.length > 0, "the head");
    second.stream.reset("cancelled");
    expect(await (await server.connection(1)).gone()).toBe("ECONNRESET");
    await finish(second);
  });

  test("a slow target holds back the opener, byte for byte", async () => {
    const server = await target(({ socket }) => void socket.pause());
    const made = await call(to(server));
    await until(() => made.sink.heads.length > 0, "the head");
    let sent = 0;
    while (made.stream.queuedBytes === 0 && sent < 64 << 20) {
      made.stream.write(pattern(65_536, sent));
      sent += 65_536;
      await settle(1);
    }
    expect(made.stream.queuedBytes).toBeGreaterThan(0);
    expect(made.pair.agent.session.heldBytes).toBeGreaterThan(0);
    expect(made.pair.agent.session.heldBytes).toBeLessThanOrEqual(4 << 20);
    made.stream.end();
    const end = await server.connection(0);
    end.socket.resume();
    const got = await end.rest();
    expect(got.length).toBe(sent);
    expect(got.equals(pattern(sent))).toBe(true);
    end.end();
    await finish(made);
    expect(made.facts[0]).toMatchObject({ by: "closed", writtenBytes: sent });
  });
});

describe("prefaceOf()", () => {
  const head = encodeFields([
    "source",
    "192.0.2.7:5000",
    "destination",
    "[2001:db8::1]:443",
    "caller",
    "box",
  ]);

  test("is nothing when no header is wanted", () => {
    expect(prefaceOf(undefined, head)).toBeUndefined();
  });

  test("a head that is no list of fields is refused, whatever is wanted", () => {
    for (const version of [undefined, 1, 2] as const) {
      expect(() => prefaceOf(version, new Uint8Array([0, 9, 1]))).toThrow("Cannot take a head");
    }
  });

  test("tells who calls, and says unknown when that is not known or no address", () => {
    const v4 = encodeFields(["source", "192.0.2.7:5000", "destination", "192.0.2.9:443"]);
    expect(Buffer.from(prefaceOf(1, v4)!).toString()).toBe("PROXY TCP4 192.0.2.7 192.0.2.9 5000 443\r\n");
    const unknown = [
      [],
      ["caller", "box"],
      ["source", "evil\r\nPROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n", "destination", "192.0.2.9:443"],
      // The value of another field is no name.
      ["caller", "source", "192.0.2.7:5000", "x", "destination", "192.0.2.9:443"],
    ];
    for (const fields of unknown) {
      expect(Buffer.from(prefaceOf(1, encodeFields(fields))!).toString()).toBe("PROXY UNKNOWN\r\n");
    }
  });
});

test("the farewell of a failed dial names no address", async () => {
  const { peer, side } = await startAgainstRaw("agent", {
    onOpen: (stream, open) =>
      acceptTcp({
        ...{ stream, open, address: "10.9.8.7:22", connectTimeoutMs: 1_000, idleTimeoutMs: 0 },
        connect: () =>
          Promise.reject(Object.assign(new Error("connect 10.9.8.7:22"), { code: "ECONNREFUSED" })),
        onDone: () => {},
      }),
  });
  peer.open(1, false, { kind: "tcp", head: NO_FIELDS }).send();
  await until(() => peer.seen(FrameType.reset).length > 0, "the reset");
  const { code, detail } = decodeFarewell(peer.seen(FrameType.reset)[0]!.payload);
  expect([code, detail]).toEqual(["targetRefused", ""]);
  side.session.close("none", "over");
});
