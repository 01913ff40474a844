/**
 * Tests of the listener for visitors: every way in leads to one function, and its limits hold.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeAnswer } from "../../lib/http/visit.ts";
import {
  type Arrival,
  type ListenAt,
  ListenFault,
  listenFault,
  VisitorServer,
  type VisitorServerOptions,
} from "../../lib/http/visitor_server.ts";
import { parseAnswers, RawVisitor } from "../support/raw_http.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Served {
  server: VisitorServer;
  port: number;
  arrivals: Arrival[];
}

function answerOk(arrival: Arrival): void {
  const body = arrival.incoming.url ?? "";
  writeAnswer(arrival, { status: 200, reason: "OK", fields: ["Content-Length", String(body.length)], body });
}

async function serve(options: Partial<VisitorServerOptions> = {}): Promise<Served> {
  const arrivals: Arrival[] = [];
  const { onArrival = answerOk } = options;
  const server = new VisitorServer({
    ...{ headBytesMax: 8192, headTimeoutMs: 5_000, keepAliveTimeoutMs: 5_000, connectionsMax: 100 },
    ...options,
    onArrival: (arrival) => {
      arrivals.push(arrival);
      onArrival(arrival);
    },
  });
  closers.push(() => server.close(0));
  const address = await server.listen({ host: "127.0.0.1", port: 0 });
  return { server, port: Number(address.slice(address.lastIndexOf(":") + 1)), arrivals };
}

function visit(port: number, text: string): RawVisitor {
  const visitor = new RawVisitor(port);
  closers.push(() => visitor.close());
  return visitor.send(text);
}

describe("ways in", () => {
  test("plain requests, those that wait for 100 and upgrades all arrive", async () => {
    const { port, arrivals } = await serve();
    await visit(port, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n").untilText("/a");
    const waits = visit(
      port,
      "PUT /b HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
    );
    await waits.untilText("/b");
    await visit(port, "GET /c HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: y\r\n\r\n").untilText(
      "/c",
    );
    expect(arrivals.map(({ outgoing, upgrade }) => [outgoing !== undefined, upgrade !== undefined]))
      .toEqual([[true, false], [true, false], [false, true]]);
    expect(waits.text).not.toContain("100 Continue");
    expect(parseAnswers(waits.text)[0]?.head).toMatch(/connection: close/i);
  });

  test("an expectation that nobody knows arrives like any other request", async () => {
    const { port, arrivals } = await serve();
    await visit(port, "GET /e HTTP/1.1\r\nHost: x\r\nExpect: the-unexpected\r\n\r\n").untilText("/e");
    expect(arrivals).toHaveLength(1);
  });

  test("CONNECT is 405 and never arrives", async () => {
    const { port, arrivals } = await serve();
    const text = await visit(port, "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nevil").untilClosed();
    expect(text).toMatch(/^HTTP\/1.1 405 /);
    expect(arrivals).toHaveLength(0);
  });
});

describe("what the parser refuses", () => {
  test("bytes that are no request get 400 and the end", async () => {
    const { port, arrivals } = await serve();
    const cases = [
      "\x16\x03\x01\x02\x00\x01",
      "GET / HTTP/9.9\r\n\r\n",
      "GET\r\n\r\n",
      "\0\0\0\0\r\n\r\n",
      "GET / HTTP/1.1\r\nA\r\n\r\n",
    ];
    for (const text of cases) {
      expect(await visit(port, text).untilClosed()).toMatch(/^HTTP\/1.1 400 [^]*close/);
    }
    expect(cases).toHaveLength(5);
    expect(arrivals).toHaveLength(0);
  });

  test("a head over the limit gets 431", async () => {
    const { port } = await serve();
    const text = await visit(port, `GET / HTTP/1.1\r\nHost: x\r\nA: ${"b".repeat(20_000)}\r\n\r\n`)
      .untilClosed();
    expect(text).toMatch(/^HTTP\/1.1 431 /);
  });

  test("a head that does not end in time gets 408 or the end, and others are served meanwhile", async () => {
    const { port } = await serve({ headTimeoutMs: 300 });
    const slow = visit(port, "GET / HTTP/1.1\r\nHost: x\r\nA: ");
    const timer = setInterval(() => slow.send("b"), 50);
    closers.push(() => clearInterval(timer));
    await visit(port, "GET /ok HTTP/1.1\r\nHost: x\r\n\r\n").untilText("/ok");
    const text = await slow.untilClosed();
    expect(text === "" || text.startsWith("HTTP/1.1 408 ")).toBe(true);
  });

  test("garbage behind a request whose answer is under way is never written into that answer", async () => {
    const { port } = await serve({
      onArrival: ({ outgoing }) => {
        outgoing!.writeHead(200, { "content-length": "100" });
        outgoing!.write("part");
      },
    });
    const visitor = visit(port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    await visitor.untilText("part");
    visitor.send("\0garbage\r\n\r\n");
    const text = await visitor.untilClosed();
    expect(text.endsWith("part")).toBe(true);
    expect(text.match(/HTTP\/1.1/g)).toHaveLength(1);
  });

  test("garbage behind an answered request gets its own 400", async () => {
    const { port } = await serve();
    const visitor = visit(port, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    await visitor.untilText("/a");
    visitor.send("garbage\r\n\r\n");
    const answers = parseAnswers(await visitor.untilClosed());
    expect(answers.map((answer) => answer.status)).toEqual([200, 400]);
  });

  test("a broken chunk of a request that was not answered gets 400", async () => {
    const { port } = await serve({ onArrival: ({ incoming }) => void incoming.resume() });
    const text = await visit(port, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
      .untilClosed();
    expect(text).toMatch(/^HTTP\/1.1 400 /);
  });

  test("a CONNECT or an upgrade behind an answer that is due gets no answer of its own", async () => {
    const { port, arrivals } = await serve({
      onArrival: (arrival) => arrival.incoming.url === "/probe" && answerOk(arrival),
    });
    const get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    const connect = visit(port, `${get}CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n`);
    const upgrade = visit(
      port,
      `${get}GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: y\r\n\r\n`,
    );
    // One runtime keeps the second request back, the other cuts the connection.
    for (let i = 0; i < 3; i++) {
      await visit(port, "GET /probe HTTP/1.1\r\nHost: x\r\n\r\n").untilText("/probe");
    }
    expect(connect.text + upgrade.text).toBe("");
    expect(arrivals.every((arrival) => arrival.upgrade === undefined)).toBe(true);
  });
});

describe("limits and ends", () => {
  test("connections over the limit are closed at once", async () => {
    const { port } = await serve({ connectionsMax: 3 });
    const held = [1, 2, 3].map(() => visit(port, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"));
    for (const visitor of held) await visitor.untilText("/a");
    const fourth = visit(port, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(await fourth.untilClosed()).toBe("");
    held[0]!.close();
    for (;;) {
      const again = visit(port, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
      await again.until(() => again.closed || again.text.includes("/a"), () => "an answer or the end");
      if (again.text.includes("/a")) break;
    }
  });

  test("a reset of a stranger right after an upgrade does no harm", async () => {
    const { port, server } = await serve({ onArrival: () => {} });
    for (let i = 0; i < 10; i++) {
      const visitor = visit(port, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: y\r\n\r\n");
      await new Promise((resolve) => visitor.socket.once("connect", resolve));
      visitor.socket.resetAndDestroy();
    }
    await server.close(0);
    expect(server.upgradedCount).toBeGreaterThanOrEqual(0);
  });

  test("closing waits for what is under way and not for who is idle", async () => {
    let finish = (): void => {};
    const { server, port, arrivals } = await serve({
      onArrival: (arrival) => {
        if (arrival.incoming.url === "/slow") finish = () => answerOk(arrival);
        else answerOk(arrival);
      },
    });
    const idle = visit(port, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    await idle.untilText("/a");
    const slow = visit(port, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    while (arrivals.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    const closed = server.close(10_000);
    await idle.untilClosed();
    finish();
    await slow.untilText("/slow");
    slow.close();
    await closed;
  });

  test("what is left after the grace is cut", async () => {
    const { server, port, arrivals } = await serve({ onArrival: () => {} });
    const slow = visit(port, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    const upgraded = visit(port, "GET /up HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: y\r\n\r\n");
    while (arrivals.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    await server.close(50);
    await slow.untilClosed();
    await upgraded.untilClosed();
  });
});

describe("addresses", () => {
  test("a socket file is made for group and owner, replaces a stale one, and goes at the end", async () => {
    const dir = mkdtempSync(join(tmpdir(), "netwall-vs-"));
    closers.push(() => rmSync(dir, { recursive: true }));
    const path = join(dir, "s.sock");
    const options = {
      headBytesMax: 8192,
      headTimeoutMs: 5_000,
      keepAliveTimeoutMs: 5_000,
      connectionsMax: 10,
    };
    const first = new VisitorServer({ ...options, onArrival: answerOk });
    expect(await first.listen({ path })).toBe(`unix:${path}`);
    expect(statSync(path).mode & 0o777).toBe(0o660);
    const second = new VisitorServer({ ...options, onArrival: answerOk });
    await expect(second.listen({ path })).rejects.toThrow(/another process/);
    const visitor = new RawVisitor(0, path);
    await visitor.send("GET /unix HTTP/1.1\r\nHost: x\r\n\r\n").untilText("/unix");
    visitor.close();
    await first.close(0);
    expect(existsSync(path)).toBe(false);
  });

  test("a file that is no socket is never removed", async () => {
    const dir = mkdtempSync(join(tmpdir(), "netwall-vs-"));
    closers.push(() => rmSync(dir, { recursive: true }));
    const path = join(dir, "precious");
    writeFileSync(path, "data");
    const options = {
      headBytesMax: 8192,
      headTimeoutMs: 5_000,
      keepAliveTimeoutMs: 5_000,
      connectionsMax: 10,
    };
    const server = new VisitorServer({ ...options, onArrival: answerOk });
    await expect(server.listen({ path })).rejects.toThrow(ListenFault);
    for (const at of [path, dir]) {
      const message = `Cannot listen on unix:${at}: it is there and is no socket, choose another path`;
      await expect(server.listen({ path: at })).rejects.toThrow(message);
    }
    expect(existsSync(path)).toBe(true);
  });

  test("a port that is taken is told with what to do", async () => {
    const other = net.createServer();
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    closers.push(() => other.close());
    const port = (other.address() as net.AddressInfo).port;
    const options = {
      headBytesMax: 8192,
      headTimeoutMs: 5_000,
      keepAliveTimeoutMs: 5_000,
      connectionsMax: 10,
    };
    const server = new VisitorServer({ ...options, onArrival: answerOk });
    const message =
      `Cannot listen on 127.0.0.1:${port}: the port is taken, stop the process that has it or choose another port`;
    await expect(server.listen({ host: "127.0.0.1", port })).rejects.toThrow(message);
  });

  test("every reason is put into words", () => {
    const at = { host: "10.0.0.1", port: 80 };
    const codes = ["EADDRINUSE", "EACCES", "EADDRNOTAVAIL", "ENOTFOUND", "ENOENT", "EODD"];
    for (const code of codes) {
      const fault = listenFault(at, Object.assign(new Error("odd"), { code }));
      expect(fault.message).toMatch(/^Cannot listen on 10\.0\.0\.1:80: [^.]+(\.0[^.]*)*$/);
    }
    expect(codes).toHaveLength(6);
  });

  test("what is forbidden is told as that, and of a path no port is spoken", () => {
    const port = { host: "127.0.0.1", port: 5432 };
    const low = { host: "127.0.0.1", port: 80 };
    const unix = { path: "/run/door.sock" };
    const forbidden =
      /: it is forbidden here( \(E[A-Z]+\))?, allow it in the seccomp profile, the sandbox or the seal/;
    const cases: [ListenAt, string | undefined, RegExp][] = [
      [port, "EACCES", forbidden],
      [port, "EPERM", forbidden],
      // So Bun tells it when the kernel gives it no socket.
      [port, undefined, forbidden],
      [low, "EACCES", /choose a port over 1023/],
      [low, "EPERM", forbidden],
      [unix, "EACCES", /: it is forbidden here \(EACCES\), let this user write to the folder/],
      [unix, "EPERM", forbidden],
      [unix, undefined, forbidden],
      [unix, "EADDRINUSE", /: something else is there, stop the process that has it or choose another path$/],
      [unix, "EINVAL", /: the path is too long for a socket/],
      [unix, "ENOTDIR", /: a part of the path is no directory/],
      [unix, "ENOENT", /: the directory does not exist/],
    ];
    for (const [at, code, reason] of cases) {
      const { message } = listenFault(at, Object.assign(new Error("Failed to listen"), code ? { code } : {}));
      expect(message).toMatch(reason);
      if (at === unix) expect(message).not.toMatch(/\bport\b/);
    }
    expect(cases).toHaveLength(12);
  });
});
