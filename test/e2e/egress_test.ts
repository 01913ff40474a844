/**
 * Calls to the outside: a program's proxy is its agent, and the traffic leaves at the gateway, if a rule allows it.
 *
 * The outside is servers on loopback here. So a rule for their network must allow them, which is one of the cases.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { join, normalize } from "node:path";
import tls from "node:tls";
import { TestAuthority } from "../support/certificates.ts";
import { freePort, type RunningProcess, useProcesses } from "../support/processes.ts";
import { findBinary } from "../support/services.ts";
import { fieldsOf, RawConnection, RawTarget, readResponse, request } from "./raw.ts";
import { admin, mintCaller, proxyDoor, sumOf, TcpEnd, TcpTarget } from "./tcp_wall.ts";
import { CROSS, portOf, type RunningGateway, startAgent, startGateway, TEST_MS_MAX } from "./wall.ts";

const MIB = 1 << 20;

const processes = useProcesses();
const folder = processes.folder("egress");
const git = findBinary("git");
/** Serves files of `folder`, as an HTTP server anywhere would. */
let files: Server;
let web: RawTarget;
/** Nobody may get here, by whatever name or spelling. */
let forbidden: TcpTarget;
/** Only its name is allowed, not the address that it has. */
let named: TcpTarget;
let secure: tls.Server;
let authority: TestAuthority;
let refusedPort: number;

const portOfServer = (server: { address(): AddressInfo | string | null }): number =>
  (server.address() as AddressInfo).port;

beforeAll(async () => {
  writeFileSync(join(folder, "large"), randomBytes(20 * MIB));
  authority = new TestAuthority();
  const pair = authority.leaf({ san: ["IP:127.0.0.1", "DNS:localhost"] });
  files = createServer((incoming, response) => {
    const path = normalize(join(folder, new URL(incoming.url ?? "/", "http://x").pathname));
    incoming.resume();
    if (!path.startsWith(folder) || !existsSync(path)) return void response.writeHead(404).end();
    response.end(readFileSync(path));
  });
  secure = tls.createServer({ cert: pair.cert, key: pair.key }, (socket) => {
    socket.on("error", () => {});
    socket.once(
      "data",
      () => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecure"),
    );
  });
  for (const server of [files, secure]) {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  }
  web = await RawTarget.start();
  forbidden = await TcpTarget.echo();
  named = await TcpTarget.echo();
  refusedPort = await freePort();
});
afterAll(() => {
  files?.closeAllConnections();
  files?.close();
  secure?.close();
  web?.close();
  forbidden?.close();
  named?.close();
  authority?.dispose();
});

for (const [gatewayRuntime, agentRuntime] of CROSS) {
  describe(`gateway on ${gatewayRuntime}, agent on ${agentRuntime}`, () => {
    let gateway: RunningGateway;
    let agent: RunningProcess;
    let proxy: string;
    let port: number;

    beforeAll(async () => {
      const open = [portOfServer(files), portOfServer(secure), web.port, refusedPort];
      const rules = [
        ...open.map((each) => `127.0.0.0/8:${each}`),
        `localhost:${web.port}`,
        // Names that are allowed by themselves, but not the addresses that they turn out to have.
        `localhost:${named.port}`,
        "*:80",
        "0.0.0.0/0:80",
      ];
      gateway = await startGateway(processes, gatewayRuntime, {
        args: [
          ...["--admin", "127.0.0.1:0", "--route", "*=web"],
          ...rules.flatMap((rule) => ["--allow-egress", rule]),
        ],
      });
      agent = await startAgent(processes, agentRuntime, gateway, {
        token: await mintCaller(gateway.data, { name: "caller", serve: [], egress: true }),
        args: ["--egress", "127.0.0.1:0"],
      });
      proxy = `http://${await proxyDoor(agent)}`;
      port = portOf(await proxyDoor(agent));
    });
    afterAll(async () => {
      expect(await agent?.stop()).toMatchObject({ code: 0 });
      expect(await gateway?.process.stop()).toMatchObject({ code: 0 });
    });

    const curl = (...args: string[]): Promise<string> =>
      processes.run(["curl", "-sS", "--max-time", "20", ...args], {
        cwd: folder,
        env: { http_proxy: proxy, https_proxy: proxy, no_proxy: "", NO_PROXY: "" },
      });
    const connectTo = (at: string): string => `CONNECT ${at} HTTP/1.1\r\nHost: ${at}\r\n\r\n`;

    test("a request reaches a server that a rule allows, by address and by name", async () => {
      for (const host of ["127.0.0.1", "localhost", "LOCALHOST."]) {
        const path = `/${gatewayRuntime}-${host}`;
        expect(await curl("-U", "user:top-secret", `http://${host}:${web.port}${path}`)).toBe("ok");
        const seen = await web.request(path);
        expect(fieldsOf(seen, "host").join().toLowerCase()).toMatch(/^(127\.0\.0\.1|localhost):\d+$/);
        expect(seen.raw.toLowerCase()).not.toContain("proxy");
      }
      expect(gateway.process.stderr() + agent.stderr()).not.toContain("top-secret");
    }, TEST_MS_MAX);

    test("20 MB down and up arrive as they left", async () => {
      const hash = createHash("sha256").update(readFileSync(join(folder, "large"))).digest("hex");
      const url = `http://127.0.0.1:${portOfServer(files)}/large`;
      const down = await processes.run(["sh", "-c", `curl -sS -x ${proxy} ${url} | sha256sum`]);
      expect(down).toContain(hash);
      let up = "";
      web.on("/up", async (connection, seen) => {
        const sum = createHash("sha256");
        sum.update(await connection.take(Number(fieldsOf(seen, "content-length")[0])));
        up = sum.digest("hex");
        connection.write("HTTP/1.1 204 No Content\r\n\r\n");
      });
      await curl("-T", "large", "-H", "Expect:", `http://127.0.0.1:${web.port}/up`);
      expect(up).toBe(hash);
    }, TEST_MS_MAX);

    test("https goes end to end by CONNECT: the certificate is the server's own", async () => {
      const ca = join(authority.folder, "ca.pem");
      expect(await curl("--cacert", ca, `https://127.0.0.1:${portOfServer(secure)}/`)).toBe("secure");
      const metrics = await admin(gateway);
      expect(sumOf(metrics, "netwall_connections_total", 'direction="egress"', 'result="closed"'))
        .toBeGreaterThan(0);
    }, TEST_MS_MAX);

    test("what no rule allows is 403 with the reason, and is never dialled", async () => {
      const { port: inner } = forbidden;
      const spellings = [
        ...[`127.0.0.1:${inner}`, `localhost:${inner}`, `127.1:${inner}`, `0x7f000001:${inner}`],
        ...[`2130706433:${inner}`, `017700000001:${inner}`, `[::1]:${inner}`, `[::ffff:127.0.0.1]:${inner}`],
        ...[`0.0.0.0:${inner}`, `[::]:${inner}`, `localhost.:${inner}`, `[::ffff:7f00:1]:${inner}`],
        ...[`[64:ff9b::7f00:1]:${inner}`, `127.0.0.1.:${inner}`],
        // A rule for any name or any address on port 80 opens nothing inside.
        ...["127.0.0.1:80", "10.0.0.1:80", "192.168.1.1:80", "172.16.0.1:80", "169.254.169.254:80"],
        ...[
          "100.64.0.1:80",
          "[fd00:ec2::254]:80",
          "[fe80::1]:80",
          "localhost:80",
          "0.0.0.0:80",
          "224.0.0.1:80",
        ],
      ];
      for (const at of spellings) {
        const answer = await request(port, connectTo(at));
        expect([at, answer.status]).toEqual([at, 403]);
        expect(answer.text().length).toBeGreaterThan(20);
        const forward = await request(port, `GET http://${at}/ HTTP/1.1\r\nHost: ${at}\r\n\r\n`);
        expect([at, forward.status]).toEqual([at, 403]);
      }
      expect(forbidden.ends).toHaveLength(0);
      const metrics = await admin(gateway);
      const denied = sumOf(metrics, "netwall_connections_total", 'direction="egress"', 'result="denied"');
      expect(denied).toBe(2 * spellings.length);
      const [line] = await gateway.process.waitFor("stderr", /^.*"denied".*$/m);
      expect([line.includes("caller"), line.includes(`127.0.0.1:${inner}`)]).toEqual([true, true]);
    }, TEST_MS_MAX);

    test("a name that is allowed but leads inside is refused after it was resolved", async () => {
      const answer = await request(port, connectTo(`localhost:${named.port}`));
      expect(answer.status).toBe(403);
      expect(named.ends).toHaveLength(0);
    }, TEST_MS_MAX);

    test("a server that refuses is 502, with the word for it", async () => {
      const answer = await request(port, connectTo(`127.0.0.1:${refusedPort}`));
      expect([answer.status, fieldsOf(answer, "proxy-status").join()]).toEqual([
        502,
        "netwall; error=connection_refused",
      ]);
    }, TEST_MS_MAX);

    test("half-close and reset pass through a tunnel", async () => {
      const end = await TcpEnd.connect(port);
      end.write(connectTo(`127.0.0.1:${web.port}`));
      await end.take(1);
      end.write("GET /half HTTP/1.1\r\nHost: x\r\n\r\n").end();
      expect((await end.rest()).toString()).toMatch(/\r\n\r\nok$/);
      let cut: RawConnection | undefined;
      web.on("/cut", (connection) => {
        cut = connection;
        connection.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
      });
      const visitor = await TcpEnd.connect(port);
      visitor.write(`GET http://127.0.0.1:${web.port}/cut HTTP/1.1\r\nHost: x\r\n\r\n`);
      await visitor.until(() => visitor.readBytes > 40, () => "the head");
      (cut!.socket as Socket).resetAndDestroy();
      expect(await visitor.gone()).toBe("ECONNRESET");
    }, TEST_MS_MAX);

    test("what is pipelined behind a request never reaches its host", async () => {
      const connection = await RawConnection.open(port);
      const at = `127.0.0.1:${web.port}`;
      const first = `/first-${gatewayRuntime}`;
      connection.write(
        `POST http://${at}${first} HTTP/1.1\r\nHost: ${at}\r\nContent-Length: 2\r\n\r\nab` +
          `GET http://other.test/stolen HTTP/1.1\r\nHost: other.test\r\nCookie: secret\r\n\r\n`,
      );
      expect((await readResponse(connection)).text()).toBe("ok");
      connection.write(`GET http://${at}/stolen-later HTTP/1.1\r\nHost: ${at}\r\n\r\n`);
      // One more round trip, by which what was sent before would have arrived.
      await request(port, `GET http://${at}/after HTTP/1.1\r\nHost: ${at}\r\n\r\n`);
      const seen = await web.request(first);
      expect(fieldsOf(seen, "connection")).toEqual(["close"]);
      expect(web.seen.filter(({ raw }) => raw.includes("secret") || raw.includes("stolen"))).toEqual([]);
      connection.destroy();
    }, TEST_MS_MAX);

    test("a server that does not close as it was told holds up no program that asks again", async () => {
      const host = `http://127.0.0.1:${web.port}`;
      expect(await curl(`${host}/again-1`, `${host}/again-2`)).toBe("okok");
    }, TEST_MS_MAX);

    test("an upgrade through the proxy is the program's own connection from then on", async () => {
      web.on("/up-grade", (connection) => {
        connection.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
        connection.socket.pipe(connection.socket);
      });
      const connection = await RawConnection.open(port);
      const at = `127.0.0.1:${web.port}`;
      connection.write(
        `GET http://${at}/up-grade HTTP/1.1\r\nHost: ${at}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n`,
      );
      expect((await readResponse(connection)).status).toBe(101);
      connection.write("free text");
      expect((await connection.take(9)).toString()).toBe("free text");
      connection.destroy();
    }, TEST_MS_MAX);

    test("a body whose chunks are none costs the connection, at both ends", async () => {
      let target: RawConnection | undefined;
      web.on("/chunks", (connection) => void (target = connection));
      const at = `127.0.0.1:${web.port}`;
      const head = `POST http://${at}/chunks HTTP/1.1\r\nHost: ${at}\r\nTransfer-Encoding: chunked\r\n\r\n`;
      const end = await TcpEnd.connect(port);
      end.write(`${head}3\r\nabc\r\n`);
      await web.request("/chunks");
      await target!.until("abc\r\n");
      end.write("zz\r\nGET /smuggled HTTP/1.1\r\n\r\n");
      await end.gone(5_000);
      expect((await target!.rest()).toString()).toBe("");
      web.seen.pop();
      const whole = await TcpEnd.connect(port);
      whole.write(`${head}zz\r\n`);
      expect((await whole.rest(5_000)).toString()).toMatch(/^HTTP\/1\.1 400 /);
      whole.destroy();
    }, TEST_MS_MAX);

    test("a request that is none gets an answer that helps", async () => {
      const answer = await request(port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
      expect([answer.status, answer.text().includes("http_proxy")]).toEqual([400, true]);
      expect((await request(port, "TRACE http://x.test/ HTTP/1.1\r\nHost: x.test\r\n\r\n")).status).toBe(405);
    }, TEST_MS_MAX);

    test.skipIf(git === undefined)("git clones over the proxy", async () => {
      const work = processes.folder("git");
      const env = {
        ...{
          HOME: work,
          GIT_CONFIG_NOSYSTEM: "1",
          GIT_TERMINAL_PROMPT: "0",
          http_proxy: proxy,
          no_proxy: "",
        },
        ...{ GIT_AUTHOR_NAME: "a", GIT_AUTHOR_EMAIL: "a@a.test" },
        ...{ GIT_COMMITTER_NAME: "a", GIT_COMMITTER_EMAIL: "a@a.test" },
      };
      const run = (...args: string[]): Promise<string> => processes.run([git!, ...args], { cwd: work, env });
      const source = join(work, "source");
      await run("init", "-q", "-b", "main", source);
      writeFileSync(join(source, "blob"), randomBytes(MIB));
      await run("-C", source, "add", ".");
      await run("-C", source, "commit", "-q", "-m", "first");
      const name = `${gatewayRuntime}.git`;
      await run("clone", "-q", "--bare", source, join(folder, name));
      // Files alone, no program behind them.
      await run("-C", join(folder, name), "update-server-info");
      const clone = join(work, "clone");
      await run("clone", "-q", `http://127.0.0.1:${portOfServer(files)}/${name}`, clone);
      expect(readFileSync(join(clone, "blob")).equals(readFileSync(join(source, "blob")))).toBe(true);
    }, TEST_MS_MAX);

    test("a token without egress gets nowhere, and the log says who", async () => {
      const other = await startAgent(processes, agentRuntime, gateway, {
        token: await mintCaller(gateway.data, { name: "inmate", serve: [], reach: ["*"] }),
        args: ["--egress", `unix:${join(folder, `${gatewayRuntime}.sock`)}`],
      });
      const at = await proxyDoor(other);
      expect(at).toBe(`unix:${join(folder, `${gatewayRuntime}.sock`)}`);
      const before = web.seen.length;
      const answer = await request(at.slice(5), connectTo(`127.0.0.1:${web.port}`));
      expect([answer.status, answer.text().includes("--egress")]).toEqual([403, true]);
      expect(web.seen.length).toBe(before);
      await gateway.process.waitFor("stderr", /"denied".*inmate|inmate.*"denied"/);
      expect(await other.stop()).toMatchObject({ code: 0 });
      expect(existsSync(at.slice(5))).toBe(false);
    }, TEST_MS_MAX);
  });
}
