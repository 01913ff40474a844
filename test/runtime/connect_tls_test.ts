/**
 * The TLS client: whom it trusts, how it says that something failed, and that it stops reading when told to.
 *
 * @module
 */
import { createHash } from "node:crypto";
import net from "node:net";
import { join } from "node:path";
import tls from "node:tls";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import {
  ConnectError,
  connectError,
  connectTls,
  type TlsConnectOptions,
} from "../../lib/runtime/connect_tls.ts";
import { listenTls, type TlsListener } from "../../lib/runtime/listen_tls.ts";
import { TestAuthority, type TestPair } from "../support/certificates.ts";
import { until } from "../support/tls_client.ts";

let authority: TestAuthority;
let leaf: TestPair;
const toClose: (net.Server | net.Socket | TlsListener)[] = [];

beforeAll(() => {
  authority = new TestAuthority();
  leaf = authority.leaf({ san: ["DNS:localhost", "DNS:a.test", "IP:127.0.0.1"] });
});

afterEach(() => {
  for (const item of toClose.splice(0)) item instanceof net.Socket ? item.destroy() : item.close();
});

afterAll(() => authority.dispose());

function listenOn<S extends net.Server>(server: S, path?: string): Promise<number> {
  toClose.push(server);
  server.on("connection", (socket) => {
    toClose.push(socket);
    socket.on("error", () => {});
  });
  return new Promise((resolve) => {
    if (path === undefined) {
      server.listen(0, "127.0.0.1", () => resolve((server.address() as net.AddressInfo).port));
    } else server.listen(path, () => resolve(0));
  });
}

function serve(options: tls.TlsOptions = {}, onSocket?: (socket: tls.TLSSocket) => void): tls.Server {
  return tls.createServer({ cert: leaf.cert, key: leaf.key, ...options }, (socket) => {
    toClose.push(socket);
    socket.on("error", () => {});
    if (onSocket === undefined) socket.pipe(socket);
    else onSocket(socket);
  });
}

/** Unlike `node:tls` on Deno, this server takes no more than is read from it. */
async function listenGated(onSocket: (socket: tls.TLSSocket) => void): Promise<number> {
  const listener = await listenTls({
    host: "127.0.0.1",
    port: 0,
    certificateFor: () => leaf,
    onConnection: ({ stream }) => {
      toClose.push(stream);
      stream.on("error", () => {});
      onSocket(stream);
    },
  });
  toClose.push(listener);
  return listener.port;
}

async function dial(options: Partial<TlsConnectOptions> & { port: number }): Promise<tls.TLSSocket> {
  const socket = await connectTls({ host: "127.0.0.1", ca: authority.cert, timeoutMs: 5_000, ...options });
  toClose.push(socket);
  socket.on("error", () => {});
  return socket;
}

async function failure(options: Partial<TlsConnectOptions> & { port: number }): Promise<ConnectError> {
  const error = await dial(options).then(() => undefined, (error: unknown) => error);
  expect(error).toBeInstanceOf(ConnectError);
  return error as ConnectError;
}

async function echo(socket: tls.TLSSocket, text: string): Promise<string> {
  let answer = "";
  socket.on("data", (chunk) => void (answer += chunk));
  socket.write(text);
  await until("the echo is back", () => answer.length >= text.length);
  return answer;
}

describe("connectTls()", () => {
  test("trusts the authority it was given, for a name and for an address", async () => {
    const port = await listenOn(serve());
    expect(await echo(await dial({ port }), "by address")).toBe("by address");
    expect(await echo(await dial({ port, host: "localhost" }), "by name")).toBe("by name");
    expect(await echo(await dial({ port, servername: "a.test" }), "by other name")).toBe("by other name");
  });

  test("refuses another authority, another name and, with `tls`, says what to do", async () => {
    const port = await listenOn(serve());
    const other = new TestAuthority();
    const untrusted = await failure({ port, ca: other.cert });
    other.dispose();
    expect(untrusted.code).toBe("tls");
    expect(untrusted.message).toMatch(
      /^Cannot connect to 127\.0\.0\.1:\d+: TLS failed: .*give the authority/,
    );
    expect((await failure({ port, servername: "b.test" })).code).toBe("tls");
    expect((await failure({ port, host: "127.0.0.1", servername: "127.0.0.2" })).code).toBe("tls");
  });

  test("refuses an expired certificate", async () => {
    const expired = authority.leaf({ san: ["IP:127.0.0.1"], isExpired: true });
    const port = await listenOn(serve({ cert: expired.cert, key: expired.key }));
    expect((await failure({ port })).code).toBe("tls");
    expect(await echo(await dial({ port, insecure: true }), "known risk")).toBe("known risk");
  });

  test("takes a self-signed certificate only when insecure", async () => {
    const pair = authority.selfSigned("localhost");
    const port = await listenOn(serve({ cert: pair.cert, key: pair.key }));
    expect((await failure({ port, servername: "localhost" })).code).toBe("tls");
    expect(await echo(await dial({ port, insecure: true }), "anyone")).toBe("anyone");
    expect(await echo(await dial({ port, insecure: true, servername: "wrong.test" }), "any name")).toBe(
      "any name",
    );
  });

  test("shows its certificate to a server that asks", async () => {
    const client = authority.leaf({ commonName: "client" });
    let seen = "";
    const port = await listenOn(
      serve({ requestCert: true, rejectUnauthorized: true, ca: authority.cert }, (socket) => {
        seen = String(socket.getPeerCertificate().subject.CN);
        socket.end("hello");
      }),
    );
    const socket = await dial({ port, cert: client.cert, key: client.key });
    let isEnded = false;
    socket.on("end", () => isEnded = true).resume();
    await until("it has ended", () => isEnded);
    expect(seen).toBe("client");
  });

  test("offers its protocols and tells which was taken", async () => {
    const port = await listenOn(serve({ ALPNProtocols: ["http/1.1"] }));
    expect((await dial({ port, alpn: ["h2", "http/1.1"] })).alpnProtocol).toBe("http/1.1");
    expect((await failure({ port, alpn: ["h2"] })).code).toBe("tls");
  });

  test("works over a unix socket, and names its path when there is none", async () => {
    const path = join(authority.folder, "tls.sock");
    await listenOn(serve(), path);
    const socket = await dial({ port: 0, host: "a.test", socketPath: path });
    expect(await echo(socket, "through a file")).toBe("through a file");
    const error = await failure({ port: 0, socketPath: `${path}.none` });
    expect(error.code).toBe("unreachable");
    expect(error.message).toContain(`${path}.none`);
  });

  test("says refused, timeout, reset and dns", async () => {
    const gone = net.createServer();
    const gonePort = await listenOn(gone);
    await new Promise((resolve) => gone.close(resolve));
    expect((await failure({ port: gonePort })).code).toBe("refused");

    const silentPort = await listenOn(net.createServer(() => {}));
    const timeout = await failure({ port: silentPort, timeoutMs: 200 });
    expect(timeout.code).toBe("timeout");
    expect(timeout.message).toContain("no TLS handshake within 200 ms");

    const closingPort = await listenOn(net.createServer((socket) => socket.end()));
    expect((await failure({ port: closingPort })).code).toBe("reset");

    const plainPort = await listenOn(
      net.createServer((socket) => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n")),
    );
    expect((await failure({ port: plainPort })).code).toBe("tls");

    expect((await failure({ port: 1, host: "no-such-host.invalid" })).code).toBe("dns");
  });

  test("a bad client certificate is an error, not a crash", async () => {
    const port = await listenOn(serve());
    expect((await failure({ port, cert: "not a certificate", key: "not a key" })).code).toBe("tls");
  });

  test("carries 8 MiB each way unchanged, and the end after it", async () => {
    const port = await listenGated((socket) => socket.pipe(socket));
    const socket = await dial({ port });
    const sent = createHash("sha256");
    const got = createHash("sha256");
    let bytes = 0;
    let isEnded = false;
    socket.on("data", (chunk: Uint8Array) => {
      bytes += chunk.length;
      got.update(chunk);
    });
    socket.on("end", () => isEnded = true);
    for (let i = 0; i < 128; i++) {
      const chunk = new Uint8Array(65_536).map((_, at) => (at * 31 + i) & 255);
      sent.update(chunk);
      if (!socket.write(chunk)) await new Promise((resolve) => socket.once("drain", resolve));
    }
    socket.end();
    await until("the echo has ended", () => isEnded);
    expect(bytes).toBe(8 << 20);
    expect(got.digest("hex")).toBe(sent.digest("hex"));
  });

  test("stops the sender while it is not read, and takes up again without a gap", async () => {
    let sentBytes = 0;
    const totalBytes = 64 << 20;
    const port = await listenGated((socket) => {
      const chunk = new Uint8Array(65_536);
      const send = (): void => {
        while (sentBytes < totalBytes) {
          sentBytes += chunk.length;
          if (!socket.write(chunk)) {
            socket.once("drain", send);
            return;
          }
        }
        socket.end();
      };
      send();
    });
    const socket = await dial({ port });
    let gotBytes = 0;
    socket.once("data", () => socket.pause());
    socket.on("data", (chunk: Uint8Array) => void (gotBytes += chunk.length));
    // It has stopped when nothing moved for 40 looks, 5 ms and a turn of the loop apart.
    let [before, quietLooks] = [-1, 0];
    await until("the sender has stopped", () => {
      quietLooks = sentBytes === before ? quietLooks + 1 : 0;
      before = sentBytes;
      return quietLooks >= 40;
    });
    // The kernel's two buffers hold some MiB; all of it would be 64.
    expect(sentBytes).toBeLessThan(24 << 20);
    expect(gotBytes).toBeGreaterThan(0);
    expect(gotBytes).toBeLessThan(1 << 20);
    socket.resume();
    await until("all is here", () => gotBytes === totalBytes);
  });
});

describe("connectError()", () => {
  test("looks into an error of several addresses", () => {
    const refused = Object.assign(new Error("connect ECONNREFUSED ::1:1"), { code: "ECONNREFUSED" });
    const error = connectError(new AggregateError([refused, new Error("other")]), "localhost:1", false);
    expect(error.code).toBe("refused");
    expect(error.cause).toBeInstanceOf(AggregateError);
  });

  test("takes what it does not know for TLS after TCP stood, and for unreachable before", () => {
    expect(connectError(new Error("odd"), "a:1", true).code).toBe("tls");
    expect(connectError(new Error("odd"), "a:1", false).code).toBe("unreachable");
    expect(connectError(new AggregateError([]), "a:1", false).code).toBe("unreachable");
    expect(connectError("not even an error", "a:1", false).code).toBe("unreachable");
  });
});
