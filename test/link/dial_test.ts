/**
 * The agent's handshake against gateways that are away, wrong, broken or hostile.
 *
 * @module
 */

import { afterEach, describe, expect, test } from "bun:test";
import { createServer as createHttpsServer } from "node:https";
import { connect, createServer, type Socket } from "node:net";
import { LinkAcceptor } from "../../lib/link/acceptor.ts";
import { dialLink, type DialOptions, formatGateway, type GatewayAddress } from "../../lib/link/dial.ts";
import { LinkError } from "../../lib/link/link.ts";
import { LinkRefusedError } from "../../lib/link/refusal.ts";
import { Recorder } from "../contract/link.ts";
import { listen, makeCertificates, startGateway } from "./link_pairs.ts";

const certificates = makeCertificates();
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function failure(options: Partial<DialOptions> & { gateway: GatewayAddress }): Promise<LinkError> {
  const error = await dialLink({ token: "good", ...options }).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(LinkError);
  expect((error as LinkError).message).not.toContain("Bearer");
  return error as LinkError;
}

/** A server that answers the first bytes of each connection as it likes. */
async function hostile(behave: (socket: Socket) => unknown): Promise<GatewayAddress> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    cleanups.push(() => socket.destroy());
    socket.once("data", () => behave(socket));
  });
  cleanups.push(() => server.close());
  return {
    kind: "tcp",
    secure: false,
    host: "127.0.0.1",
    port: await listen(server),
    path: "/.netwall/link",
  };
}

/** An answer with a body. */
function answer(status: string, body: string, ...headers: string[]): string {
  const lines = [`HTTP/1.1 ${status}`, `Content-Length: ${body.length}`, "Connection: close", ...headers];
  return `${lines.join("\r\n")}\r\n\r\n${body}`;
}

function problem(status: string, code: string, detail: string, ...headers: string[]): string {
  return answer(
    status,
    JSON.stringify({ code, detail }),
    "Content-Type: application/problem+json",
    ...headers,
  );
}

describe("dialLink()", () => {
  test("sends the token, the subprotocol, the host and its own headers, and no Origin", async () => {
    const gateway = await startGateway("ws");
    cleanups.push(() => gateway.dispose());
    const link = await dialLink({
      gateway: gateway.address,
      token: "good",
      headers: { "X-Netwall-Agent": "a/1" },
    });
    const { headers, url } = gateway.requests[0]!;
    expect(url).toBe("/.netwall/link");
    expect(headers.authorization).toBe("Bearer good");
    expect(headers["sec-websocket-protocol"]).toBe("netwall.1");
    expect(headers["sec-websocket-extensions"]).toBeUndefined();
    expect(headers["x-netwall-agent"]).toBe("a/1");
    expect(headers.origin).toBeUndefined();
    expect(headers.host).toBe(formatGateway(gateway.address).slice("ws://".length, -"/.netwall/link".length));
    expect(link.peer).toBe(formatGateway(gateway.address));
    link.terminate("done");
  });

  test("tells for good what the gateway refuses for good", async () => {
    const cases: [string, string, boolean][] = [
      ["401 Unauthorized", "expired", true],
      ["401 Unauthorized", "signature", true],
      ["401 Unauthorized", "malformed", true],
      ["403 Forbidden", "revoked", true],
      ["403 Forbidden", "not_allowed", true],
      ["403 Forbidden", "origin", false],
      ["426 Upgrade Required", "version", true],
      ["503 Service Unavailable", "expired", false],
      ["404 Not Found", "expired", false],
    ];
    for (const [status, code, permanent] of cases) {
      const gateway = await hostile((socket) =>
        socket.end(problem(status, code, "The token\u001b[31m ran out"))
      );
      const error = await failure({ gateway });
      expect(error).toBeInstanceOf(LinkRefusedError);
      expect([status, code, error.permanent]).toEqual([status, code, permanent]);
      expect(error.message).toContain(`The token [31m ran out (${status.slice(0, 3)}, ${code})`);
    }
    expect(cases.length).toBe(9);
  });

  test("tries again after what is no answer of netwall", async () => {
    const cases: [string, string][] = [
      [answer("401 Unauthorized", "log in"), "No netwall gateway answers"],
      [answer("401 Unauthorized", '{"code":"expired"}', "Content-Type: application/json"), "status 401"],
      [answer("403 Forbidden", '{"code":{}}', "Content-Type: application/problem+json"), "status 403"],
      [answer("403 Forbidden", "{", "Content-Type: application/problem+json"), "status 403"],
      [answer("404 Not Found", "nothing"), "No netwall gateway answers"],
      [answer("200 OK", "<html>"), "status 200"],
      [answer("302 Found", "", "Location: ws://127.0.0.1:1/"), "it redirects (302)"],
      [answer("502 Bad Gateway", ""), "not available: status 502"],
      ["SSH-2.0-OpenSSH_9.2\r\n", "No netwall gateway answers"],
      [
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "No netwall gateway answers",
      ],
      ["HTTP/1.1 101 Switching Protocols\r\n\r\n\x82\x05hello", "No netwall gateway answers"],
    ];
    for (const [bytes, words] of cases) {
      const gateway = await hostile((socket) => socket.end(bytes));
      const error = await failure({ gateway, handshakeTimeoutMs: 3_000 });
      expect([bytes, error.permanent]).toEqual([bytes, false]);
      expect(error.message).toContain(words);
    }
    expect(cases.length).toBe(11);
  });

  test("a 426 of anyone ends it", async () => {
    const gateway = await hostile((socket) => socket.end(answer("426 Upgrade Required", "")));
    expect((await failure({ gateway })).permanent).toBe(true);
  });

  test("reads Retry-After up to a minute", async () => {
    const cases: [string, number | undefined][] = [["7", 7_000], ["3600", 60_000], ["-1", undefined], [
      "soon",
      undefined,
    ]];
    for (const [value, expected] of cases) {
      const text = problem("503 Service Unavailable", "busy", "later", `Retry-After: ${value}`);
      const error = await failure({ gateway: await hostile((socket) => socket.end(text)) });
      expect((error as LinkRefusedError).retryAfterMs).toBe(expected as number);
    }
    expect(cases.length).toBe(4);
  });

  test("gives up in time on gateways that never finish", async () => {
    const cases: ((socket: Socket) => unknown)[] = [
      () => {},
      (socket) => socket.write("HTTP/1.1 101 Switching"),
      (socket) => socket.write("HTTP/1.1 401 Unauthorized\r\nContent-Length: 100\r\n\r\nabc"),
      (socket) => drip(socket, "HTTP/1.1 101 Switching Protocols\r\n", "X: y\r\n"),
      (socket) => drip(socket, "HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n"),
    ];
    for (const behave of cases) {
      const error = await failure({ gateway: await hostile(behave), handshakeTimeoutMs: 300 });
      expect(error.permanent).toBe(false);
      expect(error.message.length).toBeLessThan(600);
    }
    expect(cases.length).toBe(5);
  });

  test("bounds a header without end and a body without end", async () => {
    let sentBytes = 0;
    const pour = (start: string, part: string) => (socket: Socket): void => {
      sentBytes = 0;
      socket.write(start);
      const more = (): void => {
        while (!socket.destroyed && socket.write(part)) sentBytes += part.length;
      };
      socket.on("drain", more);
      more();
    };
    const chunk = `4000\r\n${"z".repeat(0x4000)}\r\n`;
    const cases = [
      pour("HTTP/1.1 101 Switching Protocols\r\n", `X: ${"y".repeat(1_000)}\r\n`),
      pour("HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n", chunk),
    ];
    for (const behave of cases) {
      expect((await failure({ gateway: await hostile(behave), handshakeTimeoutMs: 3_000 })).permanent).toBe(
        false,
      );
      expect(sentBytes).toBeLessThan(64 << 20);
    }
    expect(cases.length).toBe(2);
  });

  test("says what is wrong when nobody is there", async () => {
    const server = createServer();
    const port = await listen(server);
    await new Promise((resolve) => server.close(resolve));
    const refused = await failure({
      gateway: { kind: "tcp", secure: false, host: "127.0.0.1", port, path: "/" },
    });
    expect(refused.message).toContain("ECONNREFUSED");
    const missing = await failure({
      gateway: { kind: "unix", path: "/nonexistent/gateway.sock", route: "/" },
    });
    expect(missing.message).toContain("unix:/nonexistent/gateway.sock");
    expect(missing.message).toContain("ENOENT");
    expect([refused.permanent, missing.permanent]).toEqual([false, false]);
  });

  test("refuses a certificate it does not know, and a plain server behind wss", async () => {
    const gateway = await startGateway("wss", certificates);
    cleanups.push(() => gateway.dispose());
    const unknown = await failure({ gateway: gateway.address });
    expect(unknown.message).toContain("certificate is not trusted");
    expect(unknown.permanent).toBe(false);
    const plain = await hostile((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    await failure({ gateway: { ...plain, secure: true } as GatewayAddress, handshakeTimeoutMs: 3_000 });
    expect(gateway.requests.length).toBe(0);
  });

  test("says that a port speaks no TLS, and that ws:// is for such", async () => {
    for (const words of ["HTTP/1.1 400 Bad Request\r\n\r\n", "220 mail.example\r\n"]) {
      const plain = await hostile((socket) => socket.end(words));
      const { message, permanent } = await failure({ gateway: { ...plain, secure: true } as GatewayAddress });
      expect(message).toMatch(/: it speaks no TLS: use ws:\/\/, or the port that serves TLS$/);
      expect(permanent).toBe(false);
    }
  });

  test("says which variable named a proxy that fails, and how to go around it", async () => {
    const gateway = { kind: "tcp", host: "edge.test", port: 443, path: "/" } as const;
    const proxy = await hostile((socket) => socket.end("HTTP/1.1 403 Forbidden\r\n\r\n"));
    const url = `http://user:word@127.0.0.1:${(proxy as { port: number }).port}`;
    const cases: [boolean, string][] = [
      [true, "https_proxy"],
      [true, "HTTPS_PROXY"],
      [false, "http_proxy"],
      [true, "ALL_PROXY"],
    ];
    for (const [secure, name] of cases) {
      const { message } = await failure({ gateway: { ...gateway, secure }, env: { [name]: url } });
      expect(message).toMatch(/^Cannot connect through the proxy at 127\.0\.0\.1:\d+: .*status 403/);
      expect(message.endsWith(`; the proxy comes from ${name}, and no_proxy=edge.test excepts this host`))
        .toBe(true);
      expect(message).not.toContain("word");
    }
    expect(cases).toHaveLength(4);
  });

  test("links over TLS by name and by address when the authority is known", async () => {
    const gateway = await startGateway("wss", certificates);
    cleanups.push(() => gateway.dispose());
    const hosts = ["localhost", "127.0.0.1"];
    for (const host of hosts) {
      const options = { token: "good", tls: { ca: certificates.ca } };
      const link = await dialLink({ gateway: { ...gateway.address, host } as GatewayAddress, ...options });
      expect(link.peer).toContain(`wss://${host}:`);
      link.terminate("done");
    }
    expect(gateway.requests.length).toBe(hosts.length);
  });

  test("shows its client certificate, and says so when the gateway wants another", async () => {
    const { ca, cert, key } = certificates;
    const server = createHttpsServer({ ca, cert, key, requestCert: true, rejectUnauthorized: true });
    const acceptor = new LinkAcceptor<string>({
      authenticate: () => Promise.resolve({ ok: true, identity: "any" }),
      onLink: (link) => void new Recorder(link).start(),
    });
    server.on("upgrade", (request, socket, head) => acceptor.handleUpgrade(request, socket, head));
    cleanups.push(() => server.close());
    const port = await listen(server);
    const gateway: GatewayAddress = { kind: "tcp", secure: true, host: "localhost", port, path: "/" };
    const link = await dialLink({ gateway, token: "good", tls: { ca, cert, key } });
    link.terminate("done");
    const none = await failure({ gateway, tls: { ca }, handshakeTimeoutMs: 3_000 });
    expect(none.message).toMatch(/client certificate|ECONNRESET|closed/);
    expect(none.permanent).toBe(false);
  });

  test("goes through a proxy, and the token only inside of it", async () => {
    const gateway = await startGateway("wss", certificates);
    cleanups.push(() => gateway.dispose());
    const seen: string[] = [];
    const proxy = createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", (head) => {
        seen.push(`${head}`);
        if (gateway.address.kind !== "tcp") return;
        const upstream = connect({ host: "127.0.0.1", port: gateway.address.port });
        cleanups.push(() => socket.destroy(), () => upstream.destroy());
        upstream.on("error", () => {});
        socket.write("HTTP/1.1 200 OK\r\n\r\n");
        socket.pipe(upstream);
        upstream.pipe(socket);
      });
    });
    cleanups.push(() => proxy.close());
    const port = await listen(proxy);
    const env = { HTTPS_PROXY: `http://u:hunter2@127.0.0.1:${port}` };
    // Loopback is never proxied, so the name must be another; the proxy takes it where the gateway is.
    const address = {
      kind: "tcp",
      secure: true,
      host: "gateway.example",
      port: 443,
      path: "/.netwall/link",
    } as const;
    const error = await failure({ gateway: address, env, tls: { ca: certificates.ca } });
    expect(error.message).toMatch(/ALTNAME|another name|not trusted|Hostname/);
    expect(error.message).not.toContain("hunter2");
    expect(seen[0]).toMatch(/^CONNECT gateway\.example:443 HTTP\/1\.1\r\n/);
    expect(seen[0]).not.toContain("good");
    expect(gateway.requests.length).toBe(0);
  });

  test("carries a plain link through a proxy, with everything that is sent", async () => {
    const gateway = await startGateway("ws");
    cleanups.push(() => gateway.dispose());
    const proxy = createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => {
        if (gateway.address.kind !== "tcp") return;
        const upstream = connect({ host: "127.0.0.1", port: gateway.address.port });
        cleanups.push(() => socket.destroy(), () => upstream.destroy());
        upstream.on("error", () => {});
        socket.write("HTTP/1.1 200 OK\r\n\r\n");
        socket.pipe(upstream);
        upstream.pipe(socket);
      });
    });
    cleanups.push(() => proxy.close());
    const env = { "http_proxy": `127.0.0.1:${await listen(proxy)}` };
    const address = { kind: "tcp", secure: false, host: "gateway.example", port: 80, path: "/x" } as const;
    const link = new Recorder(await dialLink({ gateway: address, token: "good", env })).start();
    const other = new Recorder(await gateway.nextLink()).start();
    link.link.send(new Uint8Array(100_000));
    await other.until(({ bytes }) => bytes === 100_000);
    expect(gateway.requests[0]!.headers.host).toBe("gateway.example");
    link.link.terminate("done");
  });

  test("refuses tokens that would break the header", async () => {
    const gateway: GatewayAddress = { kind: "tcp", secure: false, host: "127.0.0.1", port: 1, path: "/" };
    const bad = ["", "a b", "a\r\nX: y", "тoken", "a\0"];
    for (const token of bad) expect((await failure({ gateway, token })).permanent).toBe(true);
    expect(bad.length).toBe(5);
  });

  test("ends when its signal is aborted, before and during", async () => {
    const early = new AbortController();
    early.abort();
    const gateway = await hostile(() => late.abort());
    const late = new AbortController();
    expect((await failure({ gateway, signal: early.signal })).permanent).toBe(false);
    expect((await failure({ gateway, signal: late.signal })).message).toContain("given up");
  });

  test("formatGateway() leaves default ports out and brackets in", () => {
    const tcp = (secure: boolean, host: string, port: number): string =>
      formatGateway({ kind: "tcp", secure, host, port, path: "/p" });
    expect(tcp(true, "a.example", 443)).toBe("wss://a.example/p");
    expect(tcp(false, "a.example", 80)).toBe("ws://a.example/p");
    expect(tcp(false, "a.example", 443)).toBe("ws://a.example:443/p");
    expect(tcp(true, "::1", 443)).toBe("wss://[::1]/p");
    expect(tcp(true, "::1", 8443)).toBe("wss://[::1]:8443/p");
  });
});

/** Writes a little for ever. */
function drip(socket: Socket, start: string, part: string): void {
  socket.write(start);
  const timer = setInterval(() => socket.write(part), 20);
  cleanups.push(() => clearInterval(timer));
}
