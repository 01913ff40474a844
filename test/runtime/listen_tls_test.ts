/**
 * The TLS listener: certificates by name, renewal, and handshakes by people who mean no good.
 *
 * @module
 */
import net from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import type { CertificatePair } from "../../lib/runtime/certificate_pair.ts";
import {
  ListenError,
  listenTls,
  type TlsConnection,
  type TlsListener,
  type TlsListenOptions,
} from "../../lib/runtime/listen_tls.ts";
import { TestAuthority } from "../support/certificates.ts";
import { dialTls, shakeHands, until } from "../support/tls_client.ts";

let authority: TestAuthority;
let pairs: Record<"a" | "b" | "renewed", CertificatePair>;
const listeners: TlsListener[] = [];
const sockets: net.Socket[] = [];

beforeAll(() => {
  authority = new TestAuthority();
  pairs = {
    a: authority.leaf({ commonName: "a", san: ["DNS:a.test"] }),
    b: authority.leaf({ commonName: "b", san: ["DNS:b.test"] }),
    renewed: authority.leaf({ commonName: "renewed", san: ["DNS:a.test", "DNS:b.test"] }),
  };
});

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const listener of listeners.splice(0)) {
    listener.close();
    listener.destroyConnections();
  }
});

afterAll(() => authority.dispose());

async function listen(options: Partial<TlsListenOptions> = {}): Promise<TlsListener> {
  const listener = await listenTls({
    host: "127.0.0.1",
    port: 0,
    certificateFor: (name) => name === "b.test" ? pairs.b : pairs.a,
    onConnection: ({ stream }) => {
      stream.on("error", () => {});
      stream.on("end", () => stream.end());
      stream.resume();
    },
    ...options,
  });
  listeners.push(listener);
  return listener;
}

function dialPlain(port: number): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: "127.0.0.1", port }, () => resolve(socket));
    sockets.push(socket);
    socket.on("error", reject);
    socket.resume();
  });
}

describe("listenTls()", () => {
  test("serves the certificate of the name, in any case, and the default to a client that names none", async () => {
    const asked: (string | undefined)[] = [];
    const { port } = await listen({
      certificateFor: (name) => (asked.push(name), name === "b.test" ? pairs.b : pairs.a),
    });
    expect((await shakeHands(port, { servername: "a.test" })).commonName).toBe("a");
    expect((await shakeHands(port, { servername: "b.test" })).commonName).toBe("b");
    expect((await shakeHands(port, { servername: "B.Test" })).commonName).toBe("b");
    expect((await shakeHands(port, { servername: "other.test" })).commonName).toBe("a");
    expect((await shakeHands(port)).commonName).toBe("a");
    expect(asked).toContain("b.test");
    expect(asked.includes("B.Test")).toBe(false);
    expect(asked.includes("")).toBe(false);
  });

  test("serves a renewed certificate to the next handshake, for names at once and for none after refresh()", async () => {
    let isRenewed = false;
    const listener = await listen({ certificateFor: () => isRenewed ? pairs.renewed : pairs.a });
    expect((await shakeHands(listener.port, { servername: "a.test" })).commonName).toBe("a");
    expect((await shakeHands(listener.port)).commonName).toBe("a");
    isRenewed = true;
    listener.refresh();
    expect((await shakeHands(listener.port, { servername: "a.test" })).commonName).toBe("renewed");
    expect((await shakeHands(listener.port)).commonName).toBe("renewed");
    isRenewed = false;
    expect((await shakeHands(listener.port, { servername: "a.test" })).commonName).toBe("a");
  });

  test("refresh() with a pair that cannot be used throws and keeps the old one", async () => {
    let isBroken = false;
    const broken = { cert: "not a certificate", key: "not a key" };
    const listener = await listen({
      certificateFor: (name) => isBroken && name === undefined ? broken : pairs.a,
    });
    isBroken = true;
    expect(() => listener.refresh()).toThrow();
    expect((await shakeHands(listener.port, { servername: "a.test" })).commonName).toBe("a");
  });

  test("agrees on the protocol it was given and refuses a client that offers only others", async () => {
    const listener = await listen();
    const { port } = listener;
    expect((await shakeHands(port, { ALPNProtocols: ["h2", "http/1.1"] })).alpn).toBe("http/1.1");
    expect((await shakeHands(port, { ALPNProtocols: ["h2"] })).error).toBeDefined();
    expect((await shakeHands(port)).commonName).toBe("a");
    await until("the refused one is counted", () => listener.failedHandshakeCount === 1);
  });

  test("tells the address, the port and the name of the client", async () => {
    const seen: TlsConnection[] = [];
    const { port } = await listen({ onConnection: (connection) => void seen.push(connection) });
    const named = await dialTls(port, { servername: "B.test" });
    const nameless = await dialTls(port);
    sockets.push(named, nameless);
    await until("both have arrived", () => seen.length === 2);
    expect(seen.map(({ remoteAddress }) => remoteAddress)).toEqual(["127.0.0.1", "127.0.0.1"]);
    expect(seen.map(({ remotePort }) => remotePort)).toEqual([named.localPort!, nameless.localPort!]);
    expect(seen.map(({ serverName }) => serverName)).toEqual(["b.test", undefined]);
  });

  test("a certificate that cannot be chosen ends that handshake and no other", async () => {
    const listener = await listen({
      certificateFor: (name) => {
        if (name === "bad.test") throw new Error("no certificate");
        return pairs.a;
      },
    });
    expect((await shakeHands(listener.port, { servername: "bad.test" })).error).toBeDefined();
    expect((await shakeHands(listener.port, { servername: "a.test" })).commonName).toBe("a");
    expect(listener.failedHandshakeCount).toBe(1);
    await until("both have left", () => listener.connectionCount === 0);
  });

  test("a silent, a babbling and a half-spoken handshake are cut off while others pass", async () => {
    const listener = await listen({ handshakeTimeoutMs: 400 });
    const { port } = listener;
    let closedCount = 0;
    const openings = [
      new Uint8Array(),
      new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"),
      new Uint8Array(70_000).fill(0x16),
      // A client hello that says it has 512 bytes and sends one.
      Uint8Array.of(0x16, 3, 1, 2, 0, 1),
    ];
    for (const opening of openings) {
      const socket = await dialPlain(port);
      socket.removeAllListeners("error");
      socket.on("error", () => {});
      socket.on("close", () => void closedCount++);
      if (opening.length > 0) socket.write(opening);
    }
    expect((await shakeHands(port, { servername: "a.test" })).commonName).toBe("a");
    await until("all four are closed", () => closedCount === openings.length);
    await until("all have left", () => listener.connectionCount === 0);
    expect(listener.failedHandshakeCount).toBe(openings.length);
    expect((await shakeHands(port, { servername: "a.test" })).commonName).toBe("a");
  });

  test("closes what comes over connectionsMax, and takes new ones once there is room", async () => {
    const listener = await listen({ connectionsMax: 2 });
    const first = await dialTls(listener.port);
    // A handshake that has not begun holds a place as well.
    const second = await dialPlain(listener.port);
    sockets.push(first);
    await until("both are in", () => listener.connectionCount === 2);
    expect((await shakeHands(listener.port)).error).toBeDefined();
    expect(listener.refusedCount).toBe(1);
    second.destroy();
    await until("one has left", () => listener.connectionCount === 1);
    expect((await shakeHands(listener.port)).commonName).toBe("a");
  });

  test("a client may end its side and still read the answer", async () => {
    const { port } = await listen({
      onConnection: ({ stream }) => {
        let text = "";
        stream.on("error", () => {});
        stream.on("data", (chunk) => void (text += chunk));
        stream.on("end", () => stream.end(`got ${text}`));
      },
    });
    const client = await dialTls(port, { allowHalfOpen: true } as object);
    sockets.push(client);
    let answer = "";
    let isEnded = false;
    client.on("data", (chunk) => void (answer += chunk));
    client.on("end", () => isEnded = true);
    client.end("question");
    await until("the answer has ended", () => isEnded);
    expect(answer).toBe("got question");
  });

  test("close() refuses new connections and lets the old one go on", async () => {
    const listener = await listen({
      onConnection: ({ stream }) => {
        stream.on("error", () => {});
        stream.pipe(stream);
      },
    });
    const client = await dialTls(listener.port);
    sockets.push(client);
    listener.close();
    expect((await shakeHands(listener.port)).error).toBeDefined();
    let echo = "";
    client.on("data", (chunk) => void (echo += chunk));
    client.write("still here");
    await until("the echo is back", () => echo === "still here");
    listener.destroyConnections();
    await until("it is cut off", () => client.destroyed || client.readableEnded);
  });

  test("says why an address cannot be had", async () => {
    const { port } = await listen();
    for (const [options, code] of [[{ port }, "in_use"], [{ host: "192.0.2.1" }, "unavailable"]] as const) {
      const error = await listen(options).then(() => undefined, (error: unknown) => error);
      expect(error).toBeInstanceOf(ListenError);
      expect((error as ListenError).code).toBe(code);
      expect((error as ListenError).message).toMatch(/^Cannot listen on /);
    }
  });

  test("does not start without a certificate for clients that name no server", async () => {
    await expect(listen({ certificateFor: () => ({ cert: "", key: "x" }) })).rejects.toThrow();
  });
});
