/**
 * Tests of a connection as raw TCP is spliced, over real loopback sockets: accepted ones and dialled ones, which the
 * runtimes read in different ways.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import net from "node:net";
import { type ByteSocket, type Connect, dialSocket } from "../../lib/runtime/byte_socket.ts";
import { ConnectError } from "../../lib/runtime/connect_tls.ts";
import { connectTcp } from "../../lib/runtime/connect_tcp.ts";
import { pattern, TcpTarget } from "../e2e/tcp_wall.ts";
import { type Line, Lines, Recorder } from "./socket_ends.ts";

const lines = new Lines();
afterEach(() => lines.close());

/** More than the buffers of the kernel and of a runtime hold on loopback. */
const LARGE_BYTES = 24 << 20;

/** Long enough that bytes on loopback have arrived; nothing depends on that they have. */
async function pause(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 50));
}

for (const way of ["accepted", "dialled"] as const) {
  const make = (): Promise<Line> => lines[way]();

  describe(`ByteSocket, ${way}`, () => {
    test("carries bytes both ways and each end by itself, and closes without an error", async () => {
      const { near, far } = await make();
      const sink = new Recorder();
      near.start(sink);
      far.write("hello");
      await sink.see(() => sink.text === "hello", "the bytes");
      far.end();
      await sink.see(() => sink.ends === 1, "the end");
      expect(sink.closes).toBe(0);
      near.write(Buffer.from("still here"));
      near.end();
      expect(String(await far.rest())).toBe("still here");
      await sink.see(() => sink.closes === 1, "the close");
      expect([sink.error, sink.ends, sink.late, far.error]).toEqual([undefined, 1, 0, undefined]);
    });

    test("an end of this side leaves the other open", async () => {
      const { near, far } = await make();
      const sink = new Recorder();
      near.start(sink);
      near.end();
      await far.rest();
      far.write(pattern(100_000));
      await sink.see(() => sink.readBytes === 100_000, "the bytes");
      expect(sink.bytes.equals(pattern(100_000))).toBe(true);
      expect(sink.closes).toBe(0);
      far.end();
      await sink.see(() => sink.closes === 1, "the close");
      expect(sink.error).toBeUndefined();
    });

    test("bytes and an end that came before it was started are told then, in order", async () => {
      const { near, far } = await make();
      far.write("early").end();
      await pause();
      const sink = new Recorder();
      near.start(sink);
      await sink.see(() => sink.ends === 1, "the end");
      expect([sink.text, sink.closes]).toEqual(["early", 0]);
      near.end();
      await sink.see(() => sink.closes === 1, "the close");
      expect(sink.error).toBeUndefined();
    });

    test("an end alone that came before it was started is told then", async () => {
      const { near, far } = await make();
      far.end();
      await pause();
      const sink = new Recorder();
      near.start(sink);
      await sink.see(() => sink.ends === 1, "the end");
      near.end();
      await sink.see(() => sink.closes === 1, "the close");
    });

    test("nothing is read while it is paused, whatever the peer sends", async () => {
      const { near, far } = await make();
      const sink = new Recorder();
      let isPaused = false;
      let afterPause = 0;
      sink.onChunk = () => {
        if (isPaused) afterPause++;
        isPaused = true;
        near.pause();
      };
      near.start(sink);
      const sent = pattern(LARGE_BYTES);
      far.write(sent);
      far.end();
      await sink.see(() => sink.readBytes > 0, "the first piece");
      await pause();
      expect(afterPause).toBe(0);
      expect(far.socket.writableLength).toBeGreaterThan(0);
      // Piece by piece to the end: none is lost at a pause.
      while (sink.readBytes < LARGE_BYTES) {
        const before = sink.readBytes;
        isPaused = false;
        near.resume();
        await sink.see(() => sink.readBytes > before, "the next piece");
      }
      isPaused = false;
      near.resume();
      await sink.see(() => sink.ends === 1, "the end");
      expect(sink.readBytes).toBe(LARGE_BYTES);
      expect(sink.bytes.equals(sent)).toBe(true);
      expect(afterPause).toBe(0);
    });

    test("another sink takes over, also out of a call of the first, and no byte is lost", async () => {
      const { near, far } = await make();
      const [first, second] = [new Recorder(), new Recorder()];
      const sent = pattern(2 << 20);
      first.onChunk = () => {
        near.pause();
        setTimeout(() => near.start(second), 20);
      };
      near.start(first);
      far.write(sent).end();
      await second.see(() => second.ends === 1, "the end");
      expect(Buffer.concat([first.bytes, second.bytes]).equals(sent)).toBe(true);
      expect(second.readBytes).toBeGreaterThan(0);
    });

    test("a sink that is replaced at once, without a pause, hands on in the same turn", async () => {
      const { near, far } = await make();
      const [first, second] = [new Recorder(), new Recorder()];
      first.onChunk = () => near.start(second);
      near.start(first);
      const sent = pattern(1 << 20);
      far.write(sent).end();
      await second.see(() => second.ends === 1, "the end");
      expect(Buffer.concat([first.bytes, second.bytes]).equals(sent)).toBe(true);
    });

    test("an end that comes while it is paused is told to the sink that takes over", async () => {
      const { near, far } = await make();
      const [first, second] = [new Recorder(), new Recorder()];
      near.start(first);
      near.pause();
      far.end();
      await pause();
      near.start(second);
      // Its caller may have bytes that go before an end.
      expect(second.ends).toBe(0);
      await second.see(() => second.ends === 1, "the end");
      await pause();
      expect([second.ends, second.closes]).toEqual([1, 0]);
    });

    test("a write that waits says so, and drains when the peer reads", async () => {
      const { near, far } = await make();
      const sink = new Recorder();
      near.start(sink);
      far.socket.pause();
      const sent = pattern(LARGE_BYTES);
      let waited = 0;
      for (let at = 0; at < sent.length; at += 1 << 18) {
        if (!near.write(sent.subarray(at, at + (1 << 18)))) waited++;
      }
      expect(waited).toBeGreaterThan(0);
      await pause();
      expect(sink.drains).toBe(0);
      near.end();
      far.socket.resume();
      const got = await far.rest();
      expect(got.equals(sent)).toBe(true);
    });

    test("drain is told once all has left, and writing goes on", async () => {
      const { near, far } = await make();
      const sink = new Recorder();
      near.start(sink);
      const sent = pattern(LARGE_BYTES);
      const half = LARGE_BYTES / 2;
      expect(near.write(sent.subarray(0, half))).toBe(false);
      await sink.see(() => sink.drains === 1, "the drain");
      near.write(sent.subarray(half));
      near.end();
      expect((await far.rest()).equals(sent)).toBe(true);
    });

    test("a reset of the peer is an error, and no end", async () => {
      const { near, far } = await make();
      const sink = new Recorder();
      near.start(sink);
      far.reset();
      await sink.see(() => sink.closes === 1, "the close");
      expect([sink.error?.code, sink.ends]).toEqual(["ECONNRESET", 0]);
      // Nothing of this may throw, or tell more.
      near.reset();
      near.write(Buffer.from("late"));
      near.end();
      near.pause();
      near.resume();
      await pause();
      expect([sink.closes, sink.late]).toEqual([1, 0]);
    });

    test("a reset of the peer before there was a sink is told to the first one", async () => {
      const { near, far } = await make();
      far.reset();
      await pause();
      const sink = new Recorder();
      near.start(sink);
      await sink.see(() => sink.closes === 1, "the close");
      expect(sink.error?.code).toBe("ECONNRESET");
      expect(sink.late).toBe(0);
    });

    test("a sink that takes over when all is over is told so", async () => {
      const { near, far } = await make();
      const [first, second] = [new Recorder(), new Recorder()];
      near.start(first);
      far.reset();
      await first.see(() => first.closes === 1, "the close");
      near.start(second);
      await second.see(() => second.closes === 1, "the close");
      expect([second.error?.code, first.closes]).toEqual(["ECONNRESET", 1]);
    });

    test("reset breaks it off so that the peer can tell", async () => {
      const { near, far } = await make();
      const sink = new Recorder();
      near.start(sink);
      near.write(Buffer.from("part"));
      await far.take(4);
      near.reset();
      near.reset();
      await sink.see(() => sink.closes === 1, "the close");
      expect(await far.gone()).toBe("ECONNRESET");
      expect(far.ended).toBe(false);
      await pause();
      expect([sink.closes, sink.late]).toEqual([1, 0]);
    });

    test("reset before it was started reaches the peer", async () => {
      const { near, far } = await make();
      near.reset();
      expect(await far.gone()).toBe("ECONNRESET");
    });

    test("knows its addresses", async () => {
      const { near, far } = await make();
      expect(near.remoteAddress).toBe("127.0.0.1");
      expect(near.remotePort).toBe(far.socket.localPort!);
      expect(near.localPort).toBe(far.socket.remotePort!);
    });
  });
}

/** What became of a dial. */
interface Dialled {
  socket?: ByteSocket;
  failure?: unknown;
  outcomes: number;
  abort: () => void;
}

function dial(connect: Connect, timeoutMs = 10_000): Dialled {
  const dialled: Dialled = { outcomes: 0, abort: () => {} };
  dialled.abort = dialSocket(connect, "db:5432", timeoutMs, {
    onConnect: (socket) => {
      dialled.outcomes++;
      dialled.socket = socket;
    },
    onFailure: (cause) => {
      dialled.outcomes++;
      dialled.failure = cause;
    },
  });
  return dialled;
}

async function outcome(dialled: Dialled): Promise<Dialled> {
  const deadlineMs = performance.now() + 10_000;
  while (dialled.outcomes === 0) {
    if (performance.now() > deadlineMs) throw new Error("Timed out waiting for the dial");
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return dialled;
}

/** A port of loopback where nothing listens. */
async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe("dialSocket()", () => {
  test("a target that speaks first and ends at once is heard, also late", async () => {
    const target = await TcpTarget.start((end) => void end.write("220 hello").end());
    for (const waitMs of [0, 40]) {
      const dialled = await outcome(dial((onRead) => {
        const socket = connectTcp({ host: "127.0.0.1", port: target.port }, onRead);
        if (waitMs === 0) return socket;
        // As a dial that looks at the address first, and hands the socket on when it stands.
        return new Promise((resolve) =>
          socket.once("connect", () => setTimeout(() => resolve(socket), waitMs))
        );
      }));
      await pause();
      const sink = new Recorder();
      dialled.socket!.start(sink);
      await sink.see(() => sink.ends === 1, "the end");
      expect(sink.text).toBe("220 hello");
      dialled.socket!.end();
      await sink.see(() => sink.closes === 1, "the close");
      expect(sink.error).toBeUndefined();
    }
    target.close();
  });

  test("refused is told with what the system said", async () => {
    const port = await freePort();
    const { failure, outcomes } = await outcome(
      dial((onRead) => connectTcp({ host: "127.0.0.1", port }, onRead)),
    );
    expect((failure as NodeJS.ErrnoException).code).toBe("ECONNREFUSED");
    expect(outcomes).toBe(1);
  });

  test("a target that never answers is given up in time, and its socket destroyed", async () => {
    const socket = new net.Socket();
    const { failure } = await outcome(dial(() => socket, 30));
    expect(failure).toBeInstanceOf(ConnectError);
    expect((failure as ConnectError).code).toBe("timeout");
    expect((failure as ConnectError).message).toContain("db:5432");
    expect(socket.destroyed).toBe(true);
    // What it says later is nobody's.
    socket.emit("error", new Error("late"));
    socket.emit("connect");
  });

  test("a dial that never settles is given up in time, and its socket destroyed when it comes after all", async () => {
    const target = await TcpTarget.start();
    const late = Promise.withResolvers<net.Socket>();
    const dialled = await outcome(dial(() => late.promise, 30));
    expect((dialled.failure as ConnectError).code).toBe("timeout");
    const socket = net.connect({ port: target.port, host: "127.0.0.1" });
    await new Promise<void>((resolve) => socket.once("connect", () => resolve()));
    late.resolve(socket);
    await target.connection(0);
    await target.ends[0]!.gone();
    expect([socket.destroyed, dialled.outcomes]).toEqual([true, 1]);
    target.close();
  });

  test("after an abort nothing is told: not a success, not a failure, not a throw", async () => {
    const target = await TcpTarget.start();
    const port = await freePort();
    const attempts = [
      dial((onRead) => connectTcp({ host: "127.0.0.1", port: target.port }, onRead)),
      dial((onRead) => connectTcp({ host: "127.0.0.1", port }, onRead)),
      dial(() => Promise.reject(new Error("late"))),
      dial(() => {
        throw new Error("at once");
      }),
      dial(() => new net.Socket(), 20),
    ];
    for (const { abort } of attempts) abort();
    for (const { abort } of attempts) abort();
    await pause();
    expect(attempts.map(({ outcomes }) => outcomes)).toEqual([0, 0, 0, 0, 0]);
    target.close();
  });

  test("an abort after the connection stands leaves it alone", async () => {
    const target = await TcpTarget.echo();
    const dialled = await outcome(
      dial((onRead) => connectTcp({ host: "127.0.0.1", port: target.port }, onRead)),
    );
    dialled.abort();
    const sink = new Recorder();
    dialled.socket!.start(sink);
    dialled.socket!.write(Buffer.from("ping"));
    await sink.see(() => sink.text === "ping", "the echo");
    dialled.socket!.reset();
    target.close();
  });

  test("what connect throws or rejects with is the failure, and never inside the call", async () => {
    const thrown = new RangeError("no such thing");
    const attempts: Connect[] = [
      () => {
        throw thrown;
      },
      () => Promise.reject(thrown),
    ];
    for (const connect of attempts) {
      const dialled = dial(connect);
      expect(dialled.outcomes).toBe(0);
      expect((await outcome(dialled)).failure).toBe(thrown);
    }
  });

  test("a connection that closes before it stands is a failure", async () => {
    const socket = new net.Socket();
    const dialled = dial(() => socket);
    socket.destroy();
    expect(((await outcome(dialled)).failure as ConnectError).code).toBe("reset");
  });

  test("a socket that is gone when its dial settles is a failure and no connection", async () => {
    const target = await TcpTarget.start();
    const socket = net.connect({ port: target.port, host: "127.0.0.1" });
    await new Promise<void>((resolve) => socket.once("connect", () => resolve()));
    const gone = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    socket.destroy();
    await gone;
    const dialled = await outcome(dial(() => Promise.resolve(socket)));
    expect(dialled.socket).toBeUndefined();
    expect((dialled.failure as ConnectError).code).toBe("reset");
    target.close();
  });
});
