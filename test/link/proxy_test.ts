/**
 * Which proxy the environment names, and a CONNECT through honest and lying ones.
 *
 * @module
 */

import { afterEach, describe, expect, test } from "bun:test";
import { createServer, type Socket } from "node:net";
import { LinkError } from "../../lib/link/link.ts";
import {
  connectThroughProxy,
  type Environment,
  isLoopback,
  PROXY_HEAD_BYTES_MAX,
  proxyFor,
} from "../../lib/link/proxy.ts";
import { listen } from "./link_pairs.ts";

const cleanups: (() => unknown)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

async function failure(promise: Promise<unknown>): Promise<LinkError> {
  const error = await promise.then(() => undefined, (thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(LinkError);
  return error as LinkError;
}

describe("proxyFor()", () => {
  test("takes the right variable, lower case first, and none when it is empty", () => {
    const cases: [boolean, Environment, string | undefined][] = [
      [true, { https_proxy: "http://a:1", HTTPS_PROXY: "http://b:2" }, "a:1"],
      [true, { HTTPS_PROXY: "http://b:2" }, "b:2"],
      [true, { http_proxy: "http://c:3" }, undefined],
      [false, { http_proxy: "http://c:3", https_proxy: "http://a:1" }, "c:3"],
      [false, { HTTP_PROXY: "http://c" }, "c:80"],
      [true, { ALL_PROXY: "http://d:4" }, "d:4"],
      [false, { all_proxy: "d:4" }, "d:4"],
      [true, { https_proxy: "", all_proxy: "http://d:4" }, undefined],
      [true, { https_proxy: "http://[::1]:8080/" }, "::1:8080"],
      [true, {}, undefined],
    ];
    for (const [secure, env, expected] of cases) {
      const proxy = proxyFor(secure, { host: "gateway.example", port: 443 }, env);
      expect(proxy && `${proxy.host}:${proxy.port}`).toBe(expected as string);
    }
    expect(cases.length).toBe(10);
  });

  test("honours NO_PROXY by name, suffix, address, range and port", () => {
    const cases: [string, number, string, boolean][] = [
      ["gateway.example.com", 443, "*", true],
      ["gateway.example.com", 443, "gateway.example.com", true],
      ["gateway.example.com", 443, "Example.COM", true],
      ["gateway.example.com", 443, ".example.com", true],
      ["gateway.example.com", 443, "*.example.com", true],
      ["gateway.example.com.", 443, "example.com", true],
      ["notexample.com", 443, "example.com", false],
      ["example.com.evil.net", 443, "example.com", false],
      ["gateway.example.com", 443, "other.net, example.com:443", true],
      ["gateway.example.com", 443, "example.com:8443", false],
      ["10.1.2.3", 80, "10.0.0.0/8", true],
      ["11.1.2.3", 80, "10.0.0.0/8", false],
      ["10.1.2.3", 80, "10.1.2.3:80", true],
      ["10.1.2.3", 80, "2.3", false],
      ["2001:db8::1", 80, "2001:DB8:0::1", true],
      ["2001:db8::1", 80, "[2001:db8::1]:80", true],
      ["2001:db8::1", 80, "2001:db8::/32", true],
      ["10.1.2.3", 80, "2001:db8::/32", false],
      ["gateway.example.com", 443, " , ,,.", false],
      ["localhost", 80, "", true],
      ["127.3.2.1", 80, "", true],
      ["::1", 80, "", true],
    ];
    for (const [host, port, list, direct] of cases) {
      const proxy = proxyFor(false, { host, port }, { http_proxy: "http://p:1", NO_PROXY: list });
      expect([host, list, proxy === undefined]).toEqual([host, list, direct]);
    }
    expect(cases.length).toBe(22);
  });

  test("refuses what is no HTTP proxy for good, without its password", () => {
    const bad = [
      "socks5://u:hunter2@p:1",
      "https://u:hunter2@p:1",
      "http://",
      "http://u:hunter2@p:99999",
      "file:///x",
    ];
    for (const value of bad) {
      let error: unknown;
      try {
        proxyFor(true, { host: "g.example", port: 443 }, { https_proxy: value });
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toBeInstanceOf(LinkError);
      expect((error as LinkError).permanent).toBe(true);
      expect((error as LinkError).message).not.toContain("hunter2");
    }
    expect(bad.length).toBe(5);
    const env = { "https_proxy": "http://p:1", "no_proxy": "a ".repeat(5_000) };
    expect(() => proxyFor(true, { host: "g.example", port: 443 }, env)).toThrow("entries");
  });

  test("isLoopback() is true for nothing that leaves the machine", () => {
    const inside = [
      "localhost",
      "LOCALHOST",
      "a.localhost",
      "127.0.0.1",
      "127.255.0.9",
      "::1",
      "::ffff:127.0.0.1",
    ];
    const outside = [
      "localhost.example.com",
      "128.0.0.1",
      "0.0.0.0",
      "::",
      "10.0.0.1",
      "127.0.0.1.nip.io",
      "",
    ];
    for (const host of inside) expect([host, isLoopback(host)]).toEqual([host, true]);
    for (const host of outside) expect([host, isLoopback(host)]).toEqual([host, false]);
    expect(inside.length + outside.length).toBe(14);
  });
});

/** A proxy that does what `behave` says with each connection and its first request. */
async function startProxy(
  behave: (socket: Socket, head: string) => void,
): Promise<{ port: number; heads: string[] }> {
  const heads: string[] = [];
  const server = createServer((socket) => {
    socket.on("error", () => {});
    cleanups.push(() => socket.destroy());
    socket.once("data", (chunk) => {
      heads.push(`${chunk}`);
      behave(socket, `${chunk}`);
    });
  });
  cleanups.push(() => server.close());
  return { port: await listen(server), heads };
}

const TARGET = { host: "gateway.example", port: 443 };

describe("connectThroughProxy()", () => {
  test("asks for the target with the user name and password of the proxy, and hands the socket over", async () => {
    const { port, heads } = await startProxy((socket) => {
      socket.write("HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n");
      socket.on("data", (chunk) => socket.write(`echo ${chunk}`));
    });
    const env = { "https_proxy": `http://us%65r:p%40ss@127.0.0.1:${port}` };
    const proxy = proxyFor(true, TARGET, env)!;
    const socket = await connectThroughProxy(proxy, TARGET, new AbortController().signal);
    cleanups.push(() => socket.destroy());
    expect(heads).toEqual([
      "CONNECT gateway.example:443 HTTP/1.1\r\nHost: gateway.example:443\r\n" +
      `Proxy-Authorization: Basic ${btoa("user:p@ss")}\r\n\r\n`,
    ]);
    const answer = new Promise<string>((resolve) => socket.on("data", (chunk) => resolve(`${chunk}`)));
    socket.write("hi");
    expect(await answer).toBe("echo hi");
  });

  test("fails, to be tried again, with every answer that is no yes", async () => {
    const cases: [string, (socket: Socket) => void][] = [
      [
        "refused to connect to gateway.example:443 (status 403)",
        (s) => s.write("HTTP/1.1 403 Forbidden\r\n\r\n"),
      ],
      [
        "user name or password (status 407)",
        (s) => s.write("HTTP/1.0 407 No\r\nProxy-Authenticate: Basic\r\n\r\n"),
      ],
      ["does not answer as an HTTP proxy", (s) => s.write("SSH-2.0-OpenSSH_9.2\r\n\r\n")],
      ["does not answer as an HTTP proxy", (s) => s.write("HTTP/1.1 2000 OK\r\n\r\n")],
      [
        "sent more than an answer",
        (s) => s.write("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n\r\n"),
      ],
      ["too long", (s) => s.write("HTTP/1.1 200 OK\r\n" + "x: y\r\n".repeat(PROXY_HEAD_BYTES_MAX))],
      ["too long", (s) => s.write("z".repeat(PROXY_HEAD_BYTES_MAX + 1))],
      ["closed the connection", (s) => s.end("HTTP/1.1 200 OK\r\n")],
      ["", (s) => s.resetAndDestroy()],
    ];
    for (const [words, behave] of cases) {
      const { port } = await startProxy(behave);
      const proxy = { host: "127.0.0.1", port, authorization: "Basic secret" };
      const error = await failure(connectThroughProxy(proxy, TARGET, new AbortController().signal));
      expect(error.permanent).toBe(false);
      expect(error.message).toContain(`Cannot connect through the proxy at 127.0.0.1:${port}: `);
      expect(error.message).toContain(words);
      expect(error.message).not.toContain("secret");
    }
    expect(cases.length).toBe(9);
  });

  test("fails when nothing listens", async () => {
    const server = createServer();
    const port = await listen(server);
    await new Promise((resolve) => server.close(resolve));
    const error = await failure(
      connectThroughProxy({ host: "127.0.0.1", port }, TARGET, new AbortController().signal),
    );
    expect(error.message).toContain("ECONNREFUSED");
  });

  test("ends with the reason of the signal when the proxy never answers", async () => {
    const limit = new AbortController();
    const { port } = await startProxy(() => limit.abort(new LinkError("too slow", false)));
    expect((await failure(connectThroughProxy({ host: "127.0.0.1", port }, TARGET, limit.signal))).message)
      .toBe("too slow");
  });
});
