/**
 * The TLS front before a real HTTP server: who the visitor is, how each side's end reaches the other, renewal,
 * closing, and what a visitor that is not read can make it hold.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { join } from "node:path";
import process from "node:process";
import type tls from "node:tls";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { runtimeName } from "../../lib/runtime/runtime.ts";
import { CertificateStore } from "../../lib/tls/certificates.ts";
import { TlsFront, type TlsFrontOptions, type Visitor } from "../../lib/tls/front.ts";
import { TestAuthority, type TestPair } from "../support/certificates.ts";
import { dialTls, shakeHands, until } from "../support/tls_client.ts";

let authority: TestAuthority;
let leaf: TestPair;
const cleanups: (() => unknown)[] = [];

beforeAll(() => {
  authority = new TestAuthority();
  leaf = authority.leaf({ commonName: "first", san: ["DNS:a.test"] });
});

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

afterAll(() => authority.dispose());

async function frontOf(inner: net.Server, options: Partial<TlsFrontOptions> = {}): Promise<TlsFront> {
  await new Promise<void>((resolve) => inner.listen(0, "127.0.0.1", resolve));
  const front = await TlsFront.listen({
    host: "127.0.0.1",
    port: 0,
    innerPort: (inner.address() as net.AddressInfo).port,
    certificateFor: () => leaf,
    ...options,
  });
  cleanups.push(() => inner.close(), () => front.close(0));
  return front;
}

/** An inner server that takes plain sockets, kept so that a test can hold both ends. */
async function plainFront(options: net.ServerOpts = {}): Promise<{ front: TlsFront; taken: net.Socket[] }> {
  const taken: net.Socket[] = [];
  const front = await frontOf(net.createServer({ allowHalfOpen: true, ...options }, (socket) => {
    socket.on("error", () => {});
    taken.push(socket);
    cleanups.push(() => socket.destroy());
  }));
  return { front, taken };
}

async function visit(port: number, options: tls.ConnectionOptions = {}): Promise<tls.TLSSocket> {
  const socket = await dialTls(port, options);
  socket.removeAllListeners("error");
  socket.on("error", () => {});
  cleanups.push(() => socket.destroy());
  return socket;
}

function collect(socket: net.Socket): { text: string; isEnded: boolean; isClosed: boolean } {
  const seen = { text: "", isEnded: false, isClosed: false };
  socket.on("data", (chunk) => void (seen.text += chunk));
  socket.on("end", () => seen.isEnded = true);
  socket.on("close", () => seen.isClosed = true);
  return seen;
}

describe("TlsFront.visitorOf()", () => {
  test("knows each visitor's address, port and server name when its request comes, and forgets it after", async () => {
    const seen: (Visitor | undefined)[] = [];
    const ports: number[] = [];
    const front = await frontOf(http.createServer((request, response) => {
      ports.push(request.socket.remotePort!);
      seen.push(front.visitorOf(request.socket.remoteAddress, request.socket.remotePort));
      response.setHeader("Connection", "close").end("ok");
    }));
    const clients = await Promise.all(
      Array.from({ length: 40 }, (_, at) => visit(front.port, at % 2 === 0 ? { servername: "A.test" } : {})),
    );
    const localPorts = clients.map(({ localPort }) => localPort!);
    const answers = clients.map(collect);
    for (const client of clients) client.write("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    await until("all are answered", () => answers.every(({ text }) => text.includes("ok")));
    expect(seen).toHaveLength(40);
    const expected = localPorts.map((port, at) =>
      at % 2 === 0 ? { address: "127.0.0.1", port, serverName: "a.test" } : { address: "127.0.0.1", port }
    );
    const byPort = (a: Visitor | undefined, b: Visitor | undefined): number => a!.port - b!.port;
    expect(seen.sort(byPort)).toEqual(expected.sort(byPort));
    for (const client of clients) client.destroy();
    await until("all have left", () => front.connectionCount === 0);
    await until(
      "all are forgotten",
      () => ports.every((port) => front.visitorOf("127.0.0.1", port) === undefined),
    );
  });

  test("knows nobody who dialled the inner port past the front", async () => {
    const inner = http.createServer((request, response) => {
      const { remoteAddress, remotePort } = request.socket;
      response.statusCode = front.visitorOf(remoteAddress, remotePort) === undefined ? 403 : 200;
      response.setHeader("Connection", "close").end();
    });
    const front = await frontOf(inner);
    const { port } = inner.address() as net.AddressInfo;
    for (let i = 0; i < 5; i++) {
      const intruder = net.connect(port, "127.0.0.1");
      const seen = collect(intruder);
      intruder.write("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
      await until("it is answered", () => seen.isClosed);
      expect(seen.text).toMatch(/^HTTP\/1\.1 403 /);
    }
    expect(front.visitorOf(undefined, undefined)).toBeUndefined();
    expect(front.visitorOf("127.0.0.1", undefined)).toBeUndefined();
    expect(front.visitorOf("127.0.0.1", port)).toBeUndefined();
  });

  test("knows nobody at the port of a visitor's connection but at another address", async () => {
    const { front, taken } = await plainFront();
    await visit(front.port);
    await until("the inner side is connected", () => taken.length === 1);
    const port = taken[0]!.remotePort!;
    expect(front.visitorOf("127.0.0.1", port)).toMatchObject({ address: "127.0.0.1" });
    const others = [
      "127.0.0.2",
      "127.0.1.1",
      "::ffff:127.0.0.1",
      "::1",
      "0.0.0.0",
      "localhost",
      "",
      undefined,
    ];
    for (const other of others) expect([other, front.visitorOf(other, port)]).toEqual([other, undefined]);
    expect(others).toHaveLength(8);
  });
});

describe("TlsFront", () => {
  test("passes the end of each direction on by itself", async () => {
    const { front, taken } = await plainFront();
    const client = await visit(front.port, { allowHalfOpen: true } as tls.ConnectionOptions);
    const atClient = collect(client);
    await until("the inner side is connected", () => taken.length === 1);
    const atServer = collect(taken[0]!);
    client.end("question");
    await until("the question has ended", () => atServer.isEnded);
    expect(atServer.text).toBe("question");
    expect(atClient.isEnded).toBe(false);
    taken[0]!.write("first part, ");
    await until("the answer begins", () => atClient.text !== "");
    taken[0]!.end("second part");
    await until("the answer has ended", () => atClient.isEnded);
    expect(atClient.text).toBe("first part, second part");
    await until("nothing is left", () => front.connectionCount === 0);
  });

  test("brings down the inner connection when the visitor dies, in the middle of either direction", async () => {
    for (const write of ["visitor", "server"]) {
      const { front, taken } = await plainFront();
      const client = await visit(front.port);
      await until("the inner side is connected", () => taken.length === 1);
      const atServer = collect(taken[0]!);
      if (write === "visitor") {
        client.write("half a requ");
        await until("it has begun", () => atServer.text !== "");
      } else {
        collect(client);
        // Too much to be in the kernel's buffers: the front is in the middle of writing when it happens.
        taken[0]!.write(new Uint8Array(32 << 20));
      }
      client.destroy();
      await until("the inner side is down", () => atServer.isClosed || atServer.isEnded);
      taken[0]!.destroy();
      await until("nothing is left", () => front.connectionCount === 0);
    }
  });

  test("cuts TLS off when the inner server resets, and never ends it as if complete", async () => {
    const { front, taken } = await plainFront();
    // Only the TCP side of a client tells a goodbye of TLS from a cut: openssl says so.
    const client = spawn("openssl", ["s_client", "-quiet", "-connect", `127.0.0.1:${front.port}`], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    cleanups.push(() => client.kill());
    let output = "";
    let errors = "";
    let isOver = false;
    client.stdout.on("data", (chunk) => void (output += chunk));
    client.stderr.on("data", (chunk) => void (errors += chunk));
    client.on("close", () => isOver = true);
    await until("the inner side is connected", () => taken.length === 1);
    taken[0]!.write("half an answ");
    await until("half of it is there", () => output === "half an answ");
    taken[0]!.resetAndDestroy();
    await until("the client is done", () => isOver);
    expect(errors).toMatch(/unexpected eof|Connection reset|errno=104/i);
    await until("nothing is left", () => front.connectionCount === 0);
  });

  test("an answer to half an upload still arrives, though the server leaves the rest unread", async () => {
    const { front, taken } = await plainFront();
    const client = await visit(front.port);
    const atClient = collect(client);
    client.write(new Uint8Array(16 << 20));
    await until("the inner side is connected", () => taken.length === 1);
    taken[0]!.once("data", () => {
      taken[0]!.pause();
      taken[0]!.end("HTTP/1.1 413 Content Too Large\r\n\r\n");
    });
    await until("the answer is there", () => atClient.text.includes("413"));
    taken[0]!.destroy();
    await until("nothing is left", () => front.connectionCount === 0);
  });

  test("closes the visitor when nothing listens at the inner port", async () => {
    const inner = net.createServer();
    const front = await frontOf(inner);
    await new Promise((resolve) => inner.close(resolve));
    // Whether the client sees its handshake done before it is closed is a matter of luck.
    const client = await dialTls(front.port).catch(() => undefined);
    client?.on("error", () => {});
    client?.resume();
    await until("it is closed", () => client === undefined || client.destroyed || client.readableEnded);
    await until("nothing is left", () => front.connectionCount === 0);
  });

  test("serves a renewed certificate without a restart, also to clients that name no server", async () => {
    const files = authority.leaf({ commonName: "before", san: ["DNS:a.test"] });
    const store = CertificateStore.load([files]);
    const front = await frontOf(http.createServer((_, response) => response.end()), {
      certificateFor: (name) => store.choose(name),
    });
    const names = async (): Promise<unknown[]> => [
      (await shakeHands(front.port, { servername: "a.test" })).commonName,
      (await shakeHands(front.port)).commonName,
    ];
    expect(await names()).toEqual(["before", "before"]);
    const next = authority.leaf({ commonName: "after", san: ["DNS:a.test"] });
    writeFileSync(files.certPath, next.cert);
    writeFileSync(files.keyPath, next.key);
    expect(store.reload().adopted).toHaveLength(1);
    front.refresh();
    expect(await names()).toEqual(["after", "after"]);
  });

  test("close() lets a running request finish, takes no new one, and cuts off who stays too long", async () => {
    const { front, taken } = await plainFront();
    const polite = await visit(front.port);
    const atPolite = collect(polite);
    polite.write("request");
    const stubborn = await visit(front.port);
    const atStubborn = collect(stubborn);
    stubborn.write("request");
    await until("both inner sides are connected", () => taken.length === 2);
    const closed = front.close(600);
    expect((await shakeHands(front.port)).error).toBeDefined();
    const innerOf = taken.find(({ remoteAddress, remotePort }) =>
      front.visitorOf(remoteAddress, remotePort)!.port === polite.localPort
    )!;
    innerOf.end("answer");
    await until("the answer is there", () => atPolite.isEnded);
    expect(atPolite.text).toBe("answer");
    expect(atStubborn.isClosed).toBe(false);
    await closed;
    await until("the other is cut off", () => atStubborn.isClosed);
    await until("nothing is left", () => front.connectionCount === 0);
  });

  test("carries a WebSocket-like upgrade, and a body that is unchanged", async () => {
    const inner = http.createServer((request, response) => request.pipe(response));
    inner.on("upgrade", (_request, socket) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
      socket.pipe(socket);
    });
    const front = await frontOf(inner);
    const client = await visit(front.port);
    const seen = collect(client);
    client.write("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    await until("it has switched", () => seen.text.includes("101 Switching"));
    client.write("hello");
    await until("the echo is back", () => seen.text.endsWith("hello"));
    client.destroy();
  });
});

describe("a front in a process of its own", () => {
  interface Child {
    readonly port: number;
    rssBytes(): Promise<number>;
  }

  async function startChild(): Promise<Child> {
    const script = join(import.meta.dirname!, "front_child.ts");
    const args = [...(runtimeName === "deno" ? ["run", "-A"] : []), script, leaf.certPath, leaf.keyPath];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    cleanups.push(() => child.kill("SIGKILL"));
    let line = "";
    child.stdout.on("data", (chunk) => void (line += chunk));
    await until("the front is ready", () => line.includes("\n"));
    const { port } = JSON.parse(line) as { port: number };
    const rssBytes = async (): Promise<number> => {
      const client = await visit(port);
      const seen = collect(client);
      client.write("GET /rss HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
      await until("the memory is told", () => seen.isEnded);
      return Number(seen.text.split("\r\n\r\n")[1]!.split("\r\n").find((part) => /^\d{6,}$/.test(part)));
    };
    return { port, rssBytes };
  }

  /** Resolves when `value` has not moved for 60 looks, a turn of the loop and 5 ms apart. */
  async function untilStill(value: () => number): Promise<void> {
    let [before, quietLooks] = [-1, 0];
    await until("nothing moves any more", () => {
      quietLooks = value() === before ? quietLooks + 1 : 0;
      before = value();
      return quietLooks >= 60;
    });
  }

  test("stops an upload that nobody reads near the kernel's buffers, without growing", async () => {
    const child = await startChild();
    await child.rssBytes();
    const before = await child.rssBytes();
    const client = await visit(child.port);
    const totalBytes = 256 << 20;
    client.write(`POST /stall HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${totalBytes}\r\n\r\n`);
    const chunk = new Uint8Array(64 << 10);
    let sentBytes = 0;
    const send = (): void => {
      while (sentBytes < totalBytes) {
        sentBytes += chunk.length;
        if (!client.write(chunk)) {
          client.once("drain", send);
          return;
        }
      }
    };
    send();
    await untilStill(() => sentBytes);
    const grown = await child.rssBytes() - before;
    // Two pairs of sockets, up to about 6 MiB each way in the kernel, when it is generous.
    expect(sentBytes).toBeLessThan(48 << 20);
    expect(sentBytes).toBeGreaterThan(64 << 10);
    expect(grown).toBeLessThan(24 << 20);
  }, 30_000);

  test("stops a download that the visitor does not read, without growing", async () => {
    const child = await startChild();
    await child.rssBytes();
    const before = await child.rssBytes();
    // A client whose pause is true on both runtimes: a process that is stopped.
    const slow = spawn("openssl", ["s_client", "-quiet", "-connect", `127.0.0.1:${child.port}`], {
      stdio: ["pipe", "pipe", "ignore"],
    });
    cleanups.push(() => slow.kill("SIGKILL"));
    slow.stdin.write(`GET /bytes/${256 << 20} HTTP/1.1\r\nHost: a.test\r\n\r\n`);
    await new Promise((resolve) => slow.stdout.once("data", resolve));
    slow.kill("SIGSTOP");
    let grown = 0;
    for (let look = 0; look < 10; look++) grown = Math.max(grown, await child.rssBytes() - before);
    expect(grown).toBeLessThan(24 << 20);
  }, 30_000);
});
