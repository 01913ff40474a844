/**
 * Tests of the listener for raw connections: its limit, its unix sockets, and what becomes of connections at its close.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import { runtimeName } from "../../lib/runtime/runtime.ts";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ByteSocket } from "../../lib/runtime/byte_socket.ts";
import { listenTcp, type TcpListenAddress, type TcpListener } from "../../lib/runtime/listen_tcp.ts";
import { TcpEnd } from "../e2e/tcp_wall.ts";
import { until } from "../support/session_pair.ts";
import { Recorder } from "./socket_ends.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

interface Door {
  readonly listener: TcpListener;
  readonly sockets: ByteSocket[];
  readonly refused: () => number;
}

async function open(at: TcpListenAddress, connectionsMax = 100): Promise<Door> {
  const sockets: ByteSocket[] = [];
  let refused = 0;
  const listener = await listenTcp(at, {
    connectionsMax,
    onConnection: (socket) => void sockets.push(socket),
    onRefused: () => void refused++,
  });
  cleanups.push(() => {
    for (const socket of sockets) socket.reset();
    listener.close();
  });
  return { listener, sockets, refused: () => refused };
}

async function connect(at: number | string): Promise<TcpEnd> {
  const end = await TcpEnd.connect(at);
  cleanups.push(() => end.destroy());
  return end;
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "netwall-listen-"));
  cleanups.push(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const LOOPBACK = { host: "127.0.0.1", port: 0 };

describe("listenTcp()", () => {
  test("tells the address that it got, and never reads by itself", async () => {
    const { listener, sockets } = await open(LOOPBACK);
    expect(listener.address).toBe(`127.0.0.1:${listener.port}`);
    expect(listener.port).toBeGreaterThan(0);
    const far = await connect(listener.port);
    far.write("x".repeat(100));
    await until(() => sockets.length === 1, "the connection");
    const sink = new Recorder();
    sockets[0]!.start(sink);
    await sink.see(() => sink.readBytes === 100, "the bytes");
  });

  test("writes an IPv6 address in brackets", async () => {
    let door: Door;
    try {
      door = await open({ host: "::1", port: 0 });
    } catch (error) {
      // No IPv6 on this machine: then that is all there is to say.
      expect(["EADDRNOTAVAIL", "EAFNOSUPPORT"]).toContain((error as NodeJS.ErrnoException).code!);
      return;
    }
    expect(door.listener.address).toBe(`[::1]:${door.listener.port}`);
  });

  test("resets what is over its limit, and takes again when one has gone", async () => {
    const { listener, sockets, refused } = await open(LOOPBACK, 2);
    const first = await connect(listener.port);
    await connect(listener.port);
    await until(() => sockets.length === 2, "two connections");
    const third = await connect(listener.port);
    expect(await third.gone()).not.toBe("end");
    expect([sockets.length, refused()]).toEqual([2, 1]);
    const sink = new Recorder();
    sockets[0]!.start(sink);
    first.reset();
    await sink.see(() => sink.closes === 1, "the close");
    const fourth = await connect(listener.port);
    await until(() => sockets.length === 3, "the connection that fits again");
    expect([fourth.closed, refused()]).toEqual([false, 1]);
  });

  test("counts a connection until both sides are over", async () => {
    const { listener, sockets, refused } = await open(LOOPBACK, 1);
    const first = await connect(listener.port);
    await until(() => sockets.length === 1, "the connection");
    const sink = new Recorder();
    sockets[0]!.start(sink);
    first.end();
    await sink.see(() => sink.ends === 1, "the end");
    const second = await connect(listener.port);
    expect(await second.gone()).not.toBe("end");
    expect(refused()).toBe(1);
    sockets[0]!.end();
    await sink.see(() => sink.closes === 1, "the close");
    await connect(listener.port);
    await until(() => sockets.length === 2, "the connection that fits again");
  });

  test("a port that is taken is a rejection with its code", async () => {
    const { listener } = await open(LOOPBACK);
    const failed = await open({ host: "127.0.0.1", port: listener.port }).catch((error) => error);
    expect((failed as NodeJS.ErrnoException).code).toBe("EADDRINUSE");
  });

  test("after close nobody gets in, and those who are in stay", async () => {
    const { listener, sockets } = await open(LOOPBACK);
    const far = await connect(listener.port);
    await until(() => sockets.length === 1, "the connection");
    listener.close();
    listener.close();
    const late = await connect(listener.port);
    expect(late.error).toBeDefined();
    const sink = new Recorder();
    sockets[0]!.start(sink);
    far.write("still here");
    await sink.see(() => sink.text === "still here", "the bytes");
    expect(sockets).toHaveLength(1);
  });

  test("a unix socket is for its user and group alone, whatever the umask, and goes with the listener", async () => {
    const path = join(folder(), "door.sock");
    const before = process.umask(0);
    let door: Door;
    try {
      door = await open({ path });
    } finally {
      process.umask(before);
    }
    const { listener, sockets } = door;
    expect([listener.address, listener.port]).toEqual([`unix:${path}`, 0]);
    expect(statSync(path).isSocket()).toBe(true);
    expect(statSync(path).mode & 0o777).toBe(0o660);
    const far = await connect(path);
    await until(() => sockets.length === 1, "the connection");
    expect([sockets[0]!.remoteAddress, sockets[0]!.remotePort, sockets[0]!.localPort]).toEqual(["", 0, 0]);
    const sink = new Recorder();
    sockets[0]!.start(sink);
    far.write("hi").end();
    await sink.see(() => sink.ends === 1, "the end");
    expect(sink.text).toBe("hi");
    listener.close();
    expect(existsSync(path)).toBe(false);
    sockets[0]!.write(Buffer.from("bye"));
    sockets[0]!.end();
    expect(String(await far.rest())).toBe("bye");
  });

  const PATHS: readonly (readonly [string, (folder: string) => string, readonly string[]])[] = [
    ["a folder that is not there", (at) => join(at, "none", "door.sock"), ["ENOENT", "EACCES"]],
    ["a path that is a folder", (at) => {
      mkdirSync(join(at, "taken"));
      return join(at, "taken");
    }, ["EADDRINUSE"]],
  ];
  test.each(PATHS.map((row) => [...row]))("%s is a rejection with its code", async (_name, pathIn, codes) => {
    const failed = await open({ path: pathIn(folder()) }).catch((error: unknown) => error);
    expect(codes).toContain((failed as NodeJS.ErrnoException).code!);
  });

  test("a unix socket that is gone before its mode is set is a rejection", async () => {
    const at = folder();
    const listening = open({ path: join(at, "door.sock") });
    rmSync(at, { recursive: true, force: true });
    const outcome = await listening.catch((error: unknown) => error) as { code?: string };
    // On Bun the mode is set before anybody else has a turn.
    expect(outcome.code).toBe(runtimeName === "bun" ? undefined : "ENOENT");
  });
});
