/**
 * The gateway's side of the handshake, as strangers see it: every refusal, and every bound.
 *
 * @module
 */

import { afterEach, describe, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import type { LinkAcceptorOptions, LinkAuthentication } from "../../lib/link/acceptor.ts";
import { dialLink } from "../../lib/link/dial.ts";
import { pattern, Recorder } from "../contract/link.ts";
import { startGateway, type TestGateway } from "./link_pairs.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

const HANDSHAKE: Readonly<Record<string, string>> = {
  Host: "x",
  Connection: "Upgrade",
  Upgrade: "websocket",
  "Sec-WebSocket-Version": "13",
  "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
  "Sec-WebSocket-Protocol": "netwall.1",
  Authorization: "Bearer good",
};

async function start(options: Partial<LinkAcceptorOptions<string>> = {}): Promise<TestGateway> {
  const gateway = await startGateway("ws", undefined, options);
  cleanups.push(() => gateway.dispose());
  return gateway;
}

/** Sends a request and gives the socket. A header that is undefined is left out. */
function request(gateway: TestGateway, headers: Record<string, string | undefined>, method = "GET"): Socket {
  if (gateway.address.kind !== "tcp") throw new Error("unreachable");
  const socket = connect({ host: gateway.address.host, port: gateway.address.port });
  socket.on("error", () => {});
  cleanups.push(() => socket.destroy());
  const lines = Object.entries({ ...HANDSHAKE, ...headers }).filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}: ${value}`);
  socket.write(`${method} /.netwall/link HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
  return socket;
}

/** All that a socket says until it ends. */
function answerOf(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk) => text += chunk);
    socket.on("close", () => resolve(text));
  });
}

function problemOf(answer: string): Record<string, unknown> {
  expect(answer).toContain("Content-Type: application/problem+json\r\n");
  return JSON.parse(answer.slice(answer.indexOf("\r\n\r\n") + 4));
}

describe("LinkAcceptor.handleUpgrade()", () => {
  test("refuses what is no agent's handshake, each with status and code", async () => {
    const cases: [number, string, Record<string, string | undefined>, string?][] = [
      [403, "origin", { Origin: "https://evil.example" }],
      [403, "origin", { Origin: "null" }],
      [400, "subprotocol", { "Sec-WebSocket-Protocol": undefined }],
      [400, "subprotocol", { "Sec-WebSocket-Protocol": "chat, superchat" }],
      [426, "version", { "Sec-WebSocket-Protocol": "netwall.9" }],
      [400, "handshake", { "Sec-WebSocket-Key": undefined }],
      [400, "handshake", { "Sec-WebSocket-Key": "c2hvcnQ=" }],
      [426, "version", { "Sec-WebSocket-Version": "8" }],
      [400, "handshake", { Upgrade: "h2c" }],
      [400, "handshake", {}, "POST"],
      [401, "signature", { Authorization: undefined }],
      [401, "signature", { Authorization: "Bearer bad" }],
    ];
    const gateway = await start();
    for (const [status, code, headers, method] of cases) {
      const answer = await answerOf(request(gateway, headers, method));
      expect(answer).toContain(`HTTP/1.1 ${status} `);
      const problem = problemOf(answer);
      expect(problem).toMatchObject({ type: "about:blank", status, code });
      expect(typeof problem["detail"]).toBe("string");
      if (status === 401) expect(answer).toContain("WWW-Authenticate: Bearer");
    }
    expect(cases.length).toBe(12);
    expect(gateway.acceptor.pending).toBe(0);
  });

  test("accepts the subprotocol among others and in any case of Upgrade", async () => {
    const gateway = await start();
    const socket = request(gateway, {
      Upgrade: "WebSocket",
      "Sec-WebSocket-Protocol": "netwall.2, netwall.1",
    });
    const head = await new Promise<string>((resolve) => socket.once("data", (chunk) => resolve(`${chunk}`)));
    expect(head).toContain("HTTP/1.1 101 ");
    expect(head).toMatch(/sec-websocket-protocol: netwall\.1\r\n/i);
    expect((await gateway.nextLink()).peer).toMatch(/^127\.0\.0\.1:\d+$/);
  });

  test("keeps what an agent sends while its token is being checked", async () => {
    let allow = (_outcome: LinkAuthentication<string>): void => {};
    const gateway = await start({ authenticate: () => new Promise((resolve) => allow = resolve) });
    const socket = request(gateway, {});
    while (gateway.acceptor.pending === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    socket.write(Buffer.concat([Buffer.from([0x82, 0x80 | 100, 0, 0, 0, 0]), pattern(100, 1)]));
    await new Promise((resolve) => setTimeout(resolve, 20));
    allow({ ok: true, identity: "slow" });
    const heard = new Recorder(await gateway.nextLink()).start();
    await heard.until(({ bytes }) => bytes === 100);
    expect(heard.content()).toEqual(new Uint8Array(pattern(100, 1)));
  });

  test("hands identity and request to onLink", async () => {
    const seen: unknown[] = [];
    const gateway = await start({ onLink: (_link, identity, { url }) => void seen.push(identity, url) });
    const link = await dialLink({ gateway: gateway.address, token: "good" });
    expect(seen).toEqual(["the agent", "/.netwall/link"]);
    link.terminate("done");
  });

  test("bounds the handshakes under way, and frees a place when one leaves", async () => {
    const gateway = await start({
      authenticate: () => new Promise(() => {}),
      pendingMax: 3,
      handshakeTimeoutMs: 1_500,
    });
    const sockets = [1, 2, 3].map(() => request(gateway, {}));
    while (gateway.acceptor.pending < 3) await new Promise((resolve) => setTimeout(resolve, 5));
    const answer = await answerOf(request(gateway, {}));
    expect(answer).toContain("HTTP/1.1 503 ");
    expect(answer).toMatch(/\r\nRetry-After: \d+\r\n/);
    expect(problemOf(answer)["code"]).toBe("busy");
    expect(gateway.acceptor.pending).toBe(3);
    for (const socket of sockets) socket.destroy();
    while (gateway.acceptor.pending > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  });

  test("gives up on a check that takes too long", async () => {
    const gateway = await start({ authenticate: () => new Promise(() => {}), handshakeTimeoutMs: 50 });
    const answer = await answerOf(request(gateway, {}));
    expect(problemOf(answer)).toMatchObject({ status: 503, code: "timeout" });
    expect(gateway.acceptor.pending).toBe(0);
  });

  test("answers 500 without the cause when the check throws, and reports it", async () => {
    const failures: unknown[] = [];
    const gateway = await start({
      authenticate: () => Promise.reject(new Error("the database password is hunter2")),
      onFailure: (error) => void failures.push(error),
    });
    const answer = await answerOf(request(gateway, {}));
    expect(problemOf(answer)).toMatchObject({ status: 500, code: "internal" });
    expect(answer).not.toContain("hunter2");
    expect(failures.length).toBe(1);
  });

  test("stop() refuses new handshakes and those under way, and leaves links alone", async () => {
    let allow = (_outcome: LinkAuthentication<string>): void => {};
    let first = true;
    const gateway = await start({
      authenticate: () => {
        if (!first) return new Promise((resolve) => allow = resolve);
        first = false;
        return Promise.resolve({ ok: true, identity: "early" });
      },
    });
    const link = new Recorder(await dialLink({ gateway: gateway.address, token: "good" })).start();
    const waiting = answerOf(request(gateway, {}));
    while (gateway.acceptor.pending === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    gateway.acceptor.stop();
    allow({ ok: true, identity: "late" });
    expect(problemOf(await waiting)["code"]).toBe("stopping");
    expect(problemOf(await answerOf(request(gateway, {})))["code"]).toBe("stopping");
    expect(link.closes.length).toBe(0);
    link.link.terminate("done");
  });
});
