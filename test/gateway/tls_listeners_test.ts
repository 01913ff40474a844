/**
 * Where a TLS connection goes by its name and protocols, and the own HTTPS, in front of the door or behind it.
 *
 * @module
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import tls from "node:tls";
import type { Incoming } from "../../lib/gateway/connections.ts";
import type { PublicListenersOptions } from "../../lib/gateway/listener_options.ts";
import { openListeners, type PublicListeners } from "../../lib/gateway/public_listeners.ts";
import { routeTls } from "../../lib/gateway/tls_listeners.ts";
import type { SniDecision } from "../../lib/gateway/sni_door.ts";
import type { Arrival } from "../../lib/http/visitor_server.ts";
import { Registry } from "../../lib/routing/registry.ts";
import { parseRoute, Router } from "../../lib/routing/router.ts";
import { TlsRouter } from "../../lib/routing/tls_router.ts";
import { tlsAlert } from "../../lib/tcp/client_hello.ts";
import type { ClientHello } from "../../lib/tcp/client_hello_message.ts";
import { madeAttachment } from "../support/attachment.ts";
import { TestAuthority, type TestPair } from "../support/certificates.ts";
import { ownLoopbackPorts, portsSince } from "../support/own_ports.ts";
import { RawVisitor } from "../support/raw_http.ts";
import { dialTls, shakeHands } from "../support/tls_client.ts";

describe("routeTls()", () => {
  const registry = new Registry();
  const serve = (services: string[], tcp: string[]): void => {
    registry.add(madeAttachment({ open: true, streamsOpen: 0 }, { services, tcp: new Set(tcp) }));
  };
  serve(["db", "web", "grpc"], ["db", "grpc"]);
  const routes = [
    "pinned.test@h2=grpc",
    "away.test@*=away",
    "db.test=db",
    "web.test=web",
    "nobody.test=nobody",
    "path.test/x=db",
    "*.wild.test=db",
  ].map(parseRoute);
  const plane = { tlsRouter: new TlsRouter(routes), router: new Router(routes, "apps.test"), registry };
  const pass = (service: string): SniDecision => ({ kind: "pass", service });
  const cases: [ClientHello, SniDecision | "own"][] = [
    [{ serverName: "pinned.test", alpn: ["h2"] }, pass("grpc")],
    [{ serverName: "pinned.test", alpn: ["http/1.1"] }, "own"],
    // Pinned: also while no agent is there, the gateway never ends TLS for it.
    [{ serverName: "away.test", alpn: [] }, pass("away")],
    [{ serverName: "db.test", alpn: [] }, pass("db")],
    [{ serverName: "x.wild.test", alpn: ["h2"] }, pass("db")],
    [{ serverName: "web.test", alpn: ["h2"] }, "own"],
    [{ serverName: "nobody.test", alpn: [] }, "own"],
    // A path is not known before TLS ends: such a route is none of all of its host.
    [{ serverName: "path.test", alpn: [] }, "own"],
    [{ serverName: "unknown.test", alpn: [] }, "own"],
    [{ serverName: undefined, alpn: ["h2"] }, "own"],
    [{ serverName: "db.apps.test", alpn: [] }, pass("db")],
    [{ serverName: "web.apps.test", alpn: [] }, "own"],
    [{ serverName: "nobody.apps.test", alpn: [] }, "own"],
    [{ serverName: "constructor", alpn: ["__proto__"] }, "own"],
  ];
  test.each(cases)("%j", (hello, decision) => {
    for (const hasOwn of [true, false]) {
      const expected = decision === "own" ? { kind: hasOwn ? "own" : "refuse" } : decision;
      expect(routeTls(plane, hello, hasOwn)).toEqual(expected as SniDecision);
    }
  });
  test("was asked for every kind of name", () => {
    expect(cases).toHaveLength(14);
  });

  test("takes whoever names no server only by a route for all with a protocol", () => {
    const all = [parseRoute("*=db"), parseRoute("*@h2=grpc")];
    const open = { tlsRouter: new TlsRouter(all), router: new Router(all), registry };
    expect(routeTls(open, { serverName: undefined, alpn: ["h2"] }, true)).toEqual(pass("grpc"));
    expect(routeTls(open, { serverName: undefined, alpn: [] }, true)).toEqual({ kind: "own" });
    expect(routeTls(open, { serverName: "any.test", alpn: [] }, true)).toEqual(pass("db"));
  });
});

let authority: TestAuthority;
let pair: TestPair;
beforeAll(() => {
  authority = new TestAuthority();
  pair = authority.leaf({ san: ["DNS:own.test"], commonName: "gateway" });
});
afterAll(() => authority.dispose());

interface Opened {
  listeners: PublicListeners;
  visits: { peer: string; secure: boolean; url: string }[];
  connections: Incoming[];
}

let opened: PublicListeners | undefined;
afterEach(async () => {
  await opened?.close(0);
  opened = undefined;
});

async function open(change: Partial<PublicListenersOptions>): Promise<Opened> {
  const visits: Opened["visits"] = [];
  const connections: Incoming[] = [];
  const answer = ({ incoming, outgoing }: Arrival, peer: string, secure: boolean): void => {
    visits.push({ peer, secure, url: incoming.url! });
    outgoing!.end("own\n");
  };
  opened = await openListeners({
    ...{ http: undefined, https: undefined, sni: undefined, tcp: [], links: [] },
    certificates: [{ certPath: pair.certPath, keyPath: pair.keyPath }],
    limits: {
      ...{ headBytesMax: 32_768, headTimeoutMs: 2_000, keepAliveTimeoutMs: 5_000, connectionsMax: 100 },
    },
    onVisitor: answer,
    onLink: () => {},
    decideTls: ({ serverName }, hasOwn) =>
      serverName === "pass.test" ? { kind: "pass", service: "db" } : { kind: hasOwn ? "own" : "refuse" },
    onConnection: (incoming) => connections.push(incoming),
    ...{ onUnreadable: () => {}, onRefused: () => {}, finishConnections: () => Promise.resolve() },
    onCertificate: () => {},
    ...change,
  });
  return { listeners: opened, visits, connections };
}

const AT = { host: "127.0.0.1", port: 0 };
const portOf = (address: unknown): number => Number(String(address).split(":").at(-1));

/** One request over TLS, and the whole answer. */
async function ask(socket: tls.TLSSocket, path: string): Promise<string> {
  let text = "";
  socket.on("data", (chunk: Buffer) => text += chunk.toString("latin1"));
  socket.write(`GET ${path} HTTP/1.1\r\nHost: own.test\r\nConnection: close\r\n\r\n`);
  await new Promise((resolve) => socket.once("close", resolve));
  return text;
}

describe("the own HTTPS", () => {
  test("behind the door of names sees the visitor, and is HTTPS for redirects", async () => {
    const { listeners, visits } = await open({ sni: AT });
    const port = portOf(listeners.addresses["sni"]);
    expect(Object.keys(listeners.addresses)).toEqual(["sni"]);
    expect(listeners.httpsPort).toBe(port);
    expect(await shakeHands(port, { servername: "own.test", ALPNProtocols: ["h2", "http/1.1"] }))
      .toMatchObject({
        ...{ commonName: "gateway", alpn: "http/1.1" },
      });
    const socket = await dialTls(port, { servername: "own.test" });
    expect(await ask(socket, "/a")).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*own\n/);
    expect(visits).toEqual([{ peer: "127.0.0.1", secure: true, url: "/a" }]);
  });

  test("on a port of its own and behind the door is one and the same", async () => {
    const { listeners, visits } = await open({ sni: AT, https: AT });
    const [https, sni] = [portOf(listeners.addresses["https"]), portOf(listeners.addresses["sni"])];
    expect(https).not.toBe(sni);
    expect(listeners.httpsPort).toBe(https);
    for (const port of [https, sni]) {
      const socket = await dialTls(port, { servername: "own.test" });
      expect(await ask(socket, `/${port}`)).toMatch(/^HTTP\/1\.1 200 /);
    }
    expect(visits).toEqual(
      [https, sni].map((port) => ({ peer: "127.0.0.1", secure: true, url: `/${port}` })),
    );
  });

  test("answers no stranger on the ports behind the door, in plain or over TLS", async () => {
    const before = ownLoopbackPorts();
    const { listeners, visits } = await open({ sni: AT });
    const inner = portsSince(before).filter((port) => port !== portOf(listeners.addresses["sni"]));
    // The TLS front, and the HTTP behind it.
    expect(inner).toHaveLength(2);
    let overTls = 0;
    for (const port of inner) {
      const plain = new RawVisitor(port).send("GET /x HTTP/1.1\r\nHost: own.test\r\n\r\n");
      expect(await plain.untilClosed()).not.toContain("own\n");
      plain.close();
      const socket = await dialTls(port, { servername: "own.test" }).catch(() => undefined);
      if (socket === undefined) continue;
      overTls++;
      expect(await ask(socket, "/y")).toBe("");
    }
    expect(overTls).toBe(1);
    expect(visits).toEqual([]);
  });
});

describe("the door of names", () => {
  test("without certificates passes through and refuses the rest, and there is no HTTPS", async () => {
    const { listeners, connections } = await open({ sni: AT, certificates: [] });
    const port = portOf(listeners.addresses["sni"]);
    expect(listeners.httpsPort).toBeUndefined();
    const socket = new RawVisitor(port);
    const hello = await helloFor("own.test");
    socket.send(hello);
    await socket.until(() => socket.text.length >= 7 || socket.closed, () => "an alert");
    expect([...Buffer.from(socket.text, "latin1")]).toEqual([...tlsAlert("unrecognized_name")]);
    socket.close();
    expect(connections).toEqual([]);
  });

  test("gives the agent who calls, where it came in, the name, and the hello", async () => {
    const { listeners, connections } = await open({ sni: AT });
    const address = String(listeners.addresses["sni"]);
    const hello = await helloFor("pass.test");
    const visitor = new RawVisitor(portOf(address)).send(hello);
    await waitUntil(() => connections.length === 1);
    const { service, fields, first, socket } = connections[0]!;
    const source = `127.0.0.1:${visitor.socket.localPort}`;
    expect(service).toBe("db");
    expect(fields).toEqual(["source", source, "destination", address, "server-name", "pass.test"]);
    expect(Buffer.from(first!).toString("latin1") === hello).toBe(true);
    socket.reset();
    await visitor.untilClosed();
  });

  test("on a port that is taken fails with what to do, and leaves nothing open", async () => {
    const first = await open({ sni: AT });
    const port = portOf(first.listeners.addresses["sni"]);
    const before = ownLoopbackPorts();
    const { opened: kept } = { opened };
    await expect(open({ sni: { host: "127.0.0.1", port } })).rejects.toThrow(
      `Cannot listen on 127.0.0.1:${port}: the port is taken, stop the process that has it`,
    );
    opened = kept;
    expect(portsSince(before)).toEqual([]);
  });

  test("with a certificate that cannot be read fails, and leaves nothing open", async () => {
    const before = ownLoopbackPorts();
    const broken = [{ certPath: "/nowhere/c.pem", keyPath: pair.keyPath }];
    await expect(open({ sni: AT, certificates: broken })).rejects.toThrow(/\/nowhere\/c\.pem/);
    expect(portsSince(before)).toEqual([]);
  });
});

/** The ClientHello that a real client sends for a name. */
async function helloFor(servername: string): Promise<string> {
  const { createServer } = await import("node:net");
  return await new Promise<string>((resolve) => {
    const server = createServer((socket) => {
      socket.once("data", (chunk) => {
        resolve(chunk.toString("latin1"));
        socket.destroy();
        server.close();
      });
    });
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      tls.connect({ host: "127.0.0.1", port, servername, rejectUnauthorized: false }).on("error", () => {});
    });
  });
}

async function waitUntil(isTrue: () => boolean): Promise<void> {
  const endMs = performance.now() + 8_000;
  while (!isTrue()) {
    if (performance.now() > endMs) throw new Error("Timed out");
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
