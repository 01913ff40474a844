/**
 * TLS passed through by server name: the keys stay in the containers, and what is not passed through ends at the
 * gateway, on the same port.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import net, { type AddressInfo } from "node:net";
import { join } from "node:path";
import tls from "node:tls";
import { TestAuthority, type TestPair } from "../support/certificates.ts";
import { freePort, type RunningProcess, useProcesses } from "../support/processes.ts";
import { dialTls, shakeHands } from "../support/tls_client.ts";
import { RawTarget } from "./raw.ts";
import { pattern, TcpEnd, TcpTarget } from "./tcp_wall.ts";
import {
  CROSS,
  eventually,
  portOf,
  type RunningGateway,
  startAgent,
  startGateway,
  TEST_MS_MAX,
} from "./wall.ts";

const MIB = 1 << 20;
/** A TLS record with the alert unrecognized_name, fatal. Source: RFC 6066 §3, RFC 8446 §6. */
const UNRECOGNIZED_NAME = /^15030[0-4]0002 ?0270$/;

const processes = useProcesses();
let authority: TestAuthority;
let own: TestPair;
/** By the name in their certificates, which say who ended TLS. */
const servers: Record<string, tls.Server> = {};
/** Of the servers. Whatever a test left open must not keep an agent from leaving. */
const sockets = new Set<net.Socket>();
let web: RawTarget;
/** Speaks no TLS, and so shows the bytes. */
let echo: TcpTarget;

/** Says its name, the name that was asked for and the protocol, then echoes. */
async function startServer(name: string, options: tls.TlsOptions = {}): Promise<void> {
  const { cert, key } = authority.leaf({ san: [`DNS:${name}.test`], commonName: name });
  const server = tls.createServer({ cert, key, allowHalfOpen: true, ...options }, (socket) => {
    keep(socket);
    socket.pipe(socket);
  });
  server.on("connection", keep).on("tlsClientError", (_error, socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  servers[name] = server;
}

function keep(socket: net.Socket): void {
  sockets.add(socket);
  socket.on("error", () => {}).on("close", () => sockets.delete(socket));
}

const targetOf = (name: string): string =>
  `tcp://127.0.0.1:${(servers[name]!.address() as AddressInfo).port}`;

beforeAll(async () => {
  authority = new TestAuthority();
  own = authority.leaf({ san: ["DNS:own.test", "DNS:mixed.test"], commonName: "gateway" });
  await startServer("a");
  await startServer("b", { requestCert: true, rejectUnauthorized: true, ca: authority.cert });
  await startServer("h2", { ALPNProtocols: ["h2"] });
  web = await RawTarget.start();
  echo = await TcpTarget.echo();
});
afterAll(() => {
  for (const server of Object.values(servers)) server.close();
  web?.close();
  echo?.close();
  authority?.dispose();
});

for (const [gatewayRuntime, agentRuntime] of CROSS) {
  describe(`gateway on ${gatewayRuntime}, agents on ${agentRuntime}`, () => {
    let gateway: RunningGateway;
    let port: number;
    const agents: RunningProcess[] = [];

    beforeAll(async () => {
      const routes = [
        "a.test@*=a",
        "b.test=b",
        "mixed.test@h2=h2",
        "away.test@*=away",
        "own.test=web",
        "*.a.test=a",
        "raw.test@*=raw",
      ];
      gateway = await startGateway(processes, gatewayRuntime, {
        args: [
          ...["--sni", "127.0.0.1:0", "--cert", own.certPath, "--key", own.keyPath, "--head-timeout", "2s"],
          ...routes.flatMap((route) => ["--route", route]),
        ],
      });
      port = portOf(gateway.addresses["sni"]);
      const serve = (...names: string[]): string[] =>
        names.flatMap((name) => ["--serve", `${name}=${targetOf(name)}`]);
      agents.push(
        await startAgent(processes, agentRuntime, gateway, {
          name: "one",
          args: [...serve("a", "h2"), "--serve", `raw=tcp://127.0.0.1:${echo.port}`],
        }),
      );
      agents.push(
        await startAgent(processes, agentRuntime, gateway, {
          name: "two",
          args: [...serve("b"), "--serve", `web=${web.url}`],
        }),
      );
    });
    afterAll(async () => {
      for (const socket of sockets) socket.destroy();
      for (const agent of agents) expect(await agent.stop()).toMatchObject({ code: 0 });
      expect(await gateway?.process.stop()).toMatchObject({ code: 0 });
    });

    test("each name ends in its own container, and the key with it", async () => {
      expect(await shakeHands(port, { servername: "a.test" })).toMatchObject({ commonName: "a" });
      expect(await shakeHands(port, { servername: "A.Test" })).toMatchObject({ commonName: "a" });
      expect(await shakeHands(port, { servername: "deep.a.test" })).toMatchObject({ commonName: "a" });
      const client = authority.leaf({ commonName: "visitor" });
      const certificate = { cert: client.cert, key: client.key };
      expect(await shakeHands(port, { servername: "b.test", ...certificate })).toMatchObject({
        commonName: "b",
      });
    }, TEST_MS_MAX);

    test("a client certificate is asked for by the container, and checked there", async () => {
      const client = authority.leaf({ commonName: "visitor" });
      const socket = await dialTls(port, { servername: "b.test", cert: client.cert, key: client.key });
      socket.write("hello");
      expect(String(await new Promise((resolve) => socket.once("data", resolve)))).toBe("hello");
      socket.destroy();
      const without = tls.connect({
        host: "127.0.0.1",
        port,
        servername: "b.test",
        rejectUnauthorized: false,
      });
      const how = await new Promise((resolve) => {
        without.on("error", () => resolve("refused")).on("close", () => resolve("refused"));
        without.on("data", () => resolve("served")).write("hello");
      });
      expect(how).toBe("refused");
      without.destroy();
    }, TEST_MS_MAX);

    test("openssl and curl see the container's certificate and get their bytes", async () => {
      const ca = join(authority.folder, "ca.pem");
      const openssl = processes.start([
        ...["openssl", "s_client", "-connect", `127.0.0.1:${port}`, "-servername", "a.test", "-CAfile", ca],
        ...["-verify_return_error", "-verify_hostname", "a.test", "-brief"],
      ]);
      await openssl.waitFor("stderr", /Peer certificate: CN = a\n/);
      await openssl.waitFor("stderr", /Verification: OK\n/);
      openssl.kill();
      const verbose = processes.start([
        ...[
          "curl",
          "-sv",
          "--http0.9",
          "--max-time",
          "5",
          "--cacert",
          ca,
          "--resolve",
          `a.test:${port}:127.0.0.1`,
        ],
        `https://a.test:${port}/`,
      ]);
      await verbose.waitFor("stderr", /subject: CN=a\b/);
      verbose.kill();
    }, TEST_MS_MAX);

    test("5 MB come back through the container's TLS, and an end is an end", async () => {
      const socket = await dialTls(port, { servername: "a.test" });
      const sent = pattern(5 * MIB);
      const chunks: Buffer[] = [];
      let bytes = 0;
      socket.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        bytes += chunk.length;
        if (bytes >= sent.length) socket.end();
      });
      socket.write(sent);
      await new Promise((resolve) => socket.once("close", resolve));
      expect(Buffer.concat(chunks).equals(sent)).toBe(true);
    }, TEST_MS_MAX);

    test("not a byte is changed, also of what comes right behind the hello", async () => {
      const hello = await clientHello("raw.test");
      // By one agent, and by one of two, where the first bytes wait until a target stands.
      for (const more of [[], ["--serve", `raw=tcp://127.0.0.1:${echo.port}`]]) {
        if (more.length > 0) {
          agents.push(await startAgent(processes, agentRuntime, gateway, { name: "more", args: more }));
        }
        for (const behind of [0, 10, 2 * MIB]) {
          const sent = Buffer.concat([hello, pattern(behind)]);
          for (const cut of [0, 1, 100, sent.length - 1]) {
            const end = await TcpEnd.connect(port);
            end.write(sent.subarray(0, cut));
            await new Promise((resolve) => setImmediate(resolve));
            // The end as well comes right behind.
            end.write(sent.subarray(cut)).end();
            const got = await end.rest();
            expect([more.length, cut, got.length, got.equals(sent), end.error]).toEqual([
              ...[more.length, cut, sent.length, true, undefined],
            ]);
          }
        }
      }
    }, TEST_MS_MAX);

    test("a hello that comes byte by byte is read like any other", async () => {
      const commonName = await new Promise((resolve, reject) => {
        const raw = net.connect({ host: "127.0.0.1", port, noDelay: true });
        // A pipe between the two that lets one byte pass in each turn, for the first kilobytes.
        const front = net.createServer((socket) => {
          front.close();
          let slow = Promise.resolve();
          let passed = 0;
          socket.on("error", () => raw.destroy()).on("close", () => raw.destroy());
          socket.on("data", (chunk: Buffer) => {
            slow = slow.then(async () => {
              for (let at = 0; at < chunk.length; at++) {
                if (passed++ > 2_000) return void raw.write(chunk.subarray(at));
                raw.write(chunk.subarray(at, at + 1));
                await new Promise((next) => setImmediate(next));
              }
            });
          });
          raw.on("error", () => socket.destroy()).on("close", () => socket.destroy());
          raw.on("data", (chunk) => socket.write(chunk));
        });
        front.listen(0, "127.0.0.1", () => {
          shakeHands((front.address() as AddressInfo).port, { servername: "a.test" }).then(resolve, reject);
        });
      });
      expect(commonName).toMatchObject({ commonName: "a" });
    }, TEST_MS_MAX);

    test("names that are not passed through end at the gateway, which serves HTTP there", async () => {
      for (const servername of ["own.test", "unknown.test"]) {
        expect(await shakeHands(port, { servername })).toMatchObject({ commonName: "gateway" });
      }
      expect(await shakeHands(port)).toMatchObject({ commonName: "gateway" });
      const body = await processes.run([
        ...[
          "curl",
          "-s",
          "--cacert",
          join(authority.folder, "ca.pem"),
          "--resolve",
          `own.test:${port}:127.0.0.1`,
        ],
        `https://own.test:${port}/path-${gatewayRuntime}`,
      ]);
      expect(body).toBe("ok");
      const seen = await web.request(`/path-${gatewayRuntime}`);
      expect(seen.raw).toContain("X-Forwarded-For: 127.0.0.1\r\n");
      expect(seen.raw).toContain("X-Forwarded-Proto: https\r\n");
    }, TEST_MS_MAX);

    test("a route for one protocol takes only those who offer it", async () => {
      const mixed = { servername: "mixed.test" };
      expect(await shakeHands(port, { ...mixed, ALPNProtocols: ["h2", "http/1.1"] }))
        .toMatchObject({ commonName: "h2", alpn: "h2" });
      expect(await shakeHands(port, { ...mixed, ALPNProtocols: ["http/1.1"] }))
        .toMatchObject({ commonName: "gateway" });
      expect(await shakeHands(port, mixed)).toMatchObject({ commonName: "gateway" });
    }, TEST_MS_MAX);

    test("a name whose agent is away is closed, and never ends at the gateway", async () => {
      const startMs = performance.now();
      const { commonName, error } = await shakeHands(port, { servername: "away.test" });
      expect([commonName, error === undefined]).toEqual([undefined, false]);
      expect(performance.now() - startMs).toBeLessThan(1_500);
      await gateway.process.waitFor("stderr", /"away"/);
    }, TEST_MS_MAX);

    test("what is no TLS, and a hello that never ends, are closed", async () => {
      const plain = await TcpEnd.connect(port);
      plain.write("GET / HTTP/1.1\r\nHost: own.test\r\n\r\n");
      await plain.gone(1_500);
      const slow = await TcpEnd.connect(port);
      slow.write(Buffer.from("160301", "hex"));
      const startMs = performance.now();
      await slow.gone(6_000);
      expect(performance.now() - startMs).toBeGreaterThan(1_000);
      const large = await TcpEnd.connect(port);
      // Records of a handshake whose message is far longer than any hello.
      large.write(Buffer.concat([Buffer.from("1603014000010fffff0303", "hex"), Buffer.alloc(20_000)]));
      await large.gone(1_500);
      expect([plain.readBytes, slow.readBytes]).toEqual([0, 0]);
    }, TEST_MS_MAX);
  });

  test(
    `a gateway on ${gatewayRuntime} without a certificate refuses names that it does not know`,
    async () => {
      const gateway = await startGateway(processes, gatewayRuntime, {
        args: ["--sni", "127.0.0.1:0", "--route", "a.test@*=a", "--route", "c.test=c"],
      });
      const agent = await startAgent(processes, agentRuntime, gateway, {
        args: ["--serve", `a=${targetOf("a")}`, "--serve", `c=tcp://127.0.0.1:${await freePort()}`],
      });
      const port = portOf(gateway.addresses["sni"]);
      expect(await shakeHands(port, { servername: "a.test" })).toMatchObject({ commonName: "a" });
      const hello = await clientHello("unknown.test");
      const end = await TcpEnd.connect(port);
      end.write(hello);
      expect((await end.rest(5_000)).toString("hex")).toMatch(UNRECOGNIZED_NAME);
      end.destroy();
      expect((await shakeHands(port)).error).toBeDefined();
      expect((await shakeHands(port, { servername: "c.test" })).error).toBeDefined();
      await gateway.process.waitFor("stderr", /targetRefused/);
      await agent.stop();
      // It serves TLS no more, and nobody else may take its place.
      const after = await eventually(
        () => shakeHands(port, { servername: "a.test" }),
        ({ error }) => Boolean(error),
      );
      expect(after.commonName).toBeUndefined();
      expect(await gateway.process.stop()).toMatchObject({ code: 0 });
    },
    TEST_MS_MAX,
  );
}

/** The first bytes that a client of TLS sends for a name. */
async function clientHello(servername: string): Promise<Buffer> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const hello = await new Promise<Buffer>((resolve) => {
    server.once("connection", (socket) => {
      socket.on("error", () => {});
      socket.once("data", (chunk) => {
        resolve(Buffer.from(chunk));
        socket.destroy();
      });
    });
    tls.connect({ host: "127.0.0.1", port: (server.address() as AddressInfo).port, servername })
      .on("error", () => {});
  });
  server.close();
  return hello;
}
