/**
 * How gateways and agents start, find each other again, move, and stop; by every kind of link and to every kind of
 * target.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { copyFileSync, readFileSync, statSync } from "node:fs";
import https from "node:https";
import net, { type AddressInfo } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { KEY_FILE } from "../../lib/auth/key_store.ts";
import { TestAuthority, type TestPair } from "../support/certificates.ts";
import { netwallCommand, type RunningProcess, RUNTIMES, useProcesses } from "../support/processes.ts";
import { findBinary } from "../support/services.ts";
import {
  chunk,
  fieldOf,
  get,
  RawConnection,
  RawTarget,
  readBody,
  readHead,
  readResponse,
  request,
} from "./raw.ts";
import {
  CROSS,
  eventually,
  linkCount,
  mintFor,
  portOf,
  spawnAgent,
  startAgent,
  startGateway,
  TEST_MS_MAX,
} from "./wall.ts";

const SERVED = { code: 0, signal: null };

const processes = useProcesses();
const curl = findBinary("curl");
const unshare = process.getuid?.() === 0 ? findBinary("unshare") : undefined;
let target: RawTarget;
let authority: TestAuthority;
let pair: TestPair;

beforeAll(async () => {
  target = await RawTarget.start();
  authority = new TestAuthority();
  pair = authority.leaf({ san: ["DNS:localhost", "DNS:gateway.test", "IP:127.0.0.1"] });
});

afterAll(() => {
  target?.close();
  authority?.dispose();
});

function serveWeb(): string[] {
  return ["--serve", `web=${target.url}`];
}

function isOk({ status }: { status: number }): boolean {
  return status === 200;
}

/** Asks over and over from several visitors until told to stop; gives every status that was seen. */
function load(port: number, visitors: number): { count(): number; stop(): Promise<Map<string, number>> } {
  const seen = new Map<string, number>();
  let asked = 0;
  let stopping = false;
  const visit = async (): Promise<void> => {
    while (!stopping) {
      const outcome = await request(port, get("/load")).then(({ status }) => String(status), String);
      seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
      asked++;
    }
  };
  const all = Promise.all(Array.from({ length: visitors }, visit));
  return {
    count: () => asked,
    stop: async () => {
      stopping = true;
      await all;
      return seen;
    },
  };
}

for (const [gatewayRuntime, agentRuntime] of CROSS) {
  describe(`gateway on ${gatewayRuntime}, agent on ${agentRuntime}`, () => {
    const it = (name: string, body: () => Promise<void>): void => test(name, body, TEST_MS_MAX);

    it("an agent comes back to a gateway that restarts, also after it was killed", async () => {
      let gateway = await startGateway(processes, gatewayRuntime);
      const { data, port } = gateway;
      const agent = await startAgent(processes, agentRuntime, gateway, { args: serveWeb() });
      expect(await request(port, get("/")).then(isOk)).toBe(true);
      expect(await gateway.process.stop()).toEqual(SERVED);
      gateway = await startGateway(processes, gatewayRuntime, { data, port });
      await eventually(() => request(port, get("/")), isOk);
      gateway.process.kill();
      await gateway.process.exit;
      gateway = await startGateway(processes, gatewayRuntime, { data, port });
      await eventually(() => request(port, get("/")), isOk);
      expect(await agent.stop()).toEqual(SERVED);
      expect(await gateway.process.stop("SIGINT")).toEqual(SERVED);
      // One ready line in its life, however often it links.
      expect(agent.stdout().match(/^ready /gm)).toHaveLength(1);
    });

    it("an agent may start before its gateway", async () => {
      const first = await startGateway(processes, gatewayRuntime);
      await first.process.stop();
      const agent = await spawnAgent(processes, agentRuntime, first, { args: serveWeb() });
      await agent.waitFor("stderr", /cannot link.*nothing listens there/);
      expect(agent.stdout()).toBe("");
      const gateway = await startGateway(processes, gatewayRuntime, { data: first.data, port: first.port });
      await agent.ready;
      expect((await request(gateway.port, get("/"))).status).toBe(200);
      await agent.stop();
      await gateway.process.stop();
    });

    it("an agent that stops under load fails no request", async () => {
      const gateway = await startGateway(processes, gatewayRuntime);
      const agents = [
        await startAgent(processes, agentRuntime, gateway, { args: serveWeb(), name: "a" }),
        await startAgent(processes, agentRuntime, gateway, { args: serveWeb(), name: "b" }),
      ];
      expect(linkCount(gateway)).toBe(2);
      const visitors = load(gateway.port, 8);
      await eventually(visitors.count, (count) => count >= 100);
      const stopped = agents[0]!.stop();
      const before = visitors.count();
      await eventually(visitors.count, (count) => count >= before + 200);
      expect(await stopped).toEqual(SERVED);
      const seen = await visitors.stop();
      expect([...seen.keys()]).toEqual(["200"]);
      await agents[1]!.stop();
      await gateway.process.stop();
    });

    it("an agent that stops finishes what it serves", async () => {
      const gateway = await startGateway(processes, gatewayRuntime);
      const agent = await startAgent(processes, agentRuntime, gateway, { args: serveWeb() });
      await expectFinished(gateway.port, agent, 300);
      // Now nobody serves it.
      expect((await request(gateway.port, get("/"))).status).toBe(503);
      await gateway.process.stop();
    });

    it("a gateway that stops finishes what is under way and sends its agents on", async () => {
      const first = await startGateway(processes, gatewayRuntime);
      // Of one key, so that a token holds at both; each has a store of its own.
      const data = processes.folder();
      copyFileSync(join(first.data, KEY_FILE), join(data, KEY_FILE));
      const second = await startGateway(processes, gatewayRuntime, { data });
      const agent = await startAgent(processes, agentRuntime, first, {
        args: ["--gateway", `ws://127.0.0.1:${second.port}`, ...serveWeb()],
      });
      for (const { port } of [first, second]) await eventually(() => request(port, get("/")), isOk);
      const visitors = load(second.port, 2);
      await expectFinished(first.port, first.process, 2_000);
      await agent.waitFor("stderr", /the gateway is leaving/);
      const before = visitors.count();
      await eventually(visitors.count, (count) => count >= before + 20);
      expect([...(await visitors.stop()).keys()]).toEqual(["200"]);
      await agent.stop();
      await second.process.stop();
    });

    it("a gateway that stops under load answers what it takes, and asks kept connections to go", async () => {
      const gateway = await startGateway(processes, gatewayRuntime);
      const agent = await startAgent(processes, agentRuntime, gateway, { args: serveWeb() });
      const seen = new Map<string, number>();
      let asked = 0;
      const visit = async (): Promise<void> => {
        const visitor = await RawConnection.open(gateway.port);
        for (;;) {
          visitor.write(get("/kept"));
          const response = await readResponse(visitor).catch(() => undefined);
          asked++;
          // A kept connection may end just as a request leaves: a visitor asks again elsewhere.
          if (response === undefined) return;
          const outcome = `${response.status} ${response.complete}`;
          seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
          if (response.field("connection") === "close") return visitor.destroy();
        }
      };
      const visitors = Promise.all(Array.from({ length: 6 }, visit));
      await eventually(() => asked, (count) => count > 100);
      expect(await gateway.process.stop()).toEqual(SERVED);
      await visitors;
      expect([...seen.keys()]).toEqual(["200 true"]);
      expect(agent.stderr()).not.toMatch(/1006/);
      await agent.stop();
    });

    it("what is not finished in the grace is cut off, and the exit is still clean", async () => {
      const gateway = await startGateway(processes, gatewayRuntime, {
        args: ["--route", "*=web", "--grace", "300ms"],
      });
      await startAgent(processes, agentRuntime, gateway, { args: serveWeb() });
      target.on("/endless", async (connection) => {
        connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        connection.write(chunk("part"));
        await connection.rest();
      });
      const visitor = await RawConnection.open(gateway.port);
      visitor.write(get("/endless"));
      const head = await readHead(visitor);
      expect(await gateway.process.stop()).toEqual(SERVED);
      expect((await readBody(visitor, head)).complete).toBe(false);
    });

    it("several links of one agent are all used", async () => {
      const gateway = await startGateway(processes, gatewayRuntime, {
        args: ["--route", "*=web", "--streams-max", "1"],
      });
      await startAgent(processes, agentRuntime, gateway, { args: ["--links", "3", ...serveWeb()] });
      await eventually(() => linkCount(gateway), (count) => count === 3);
      // One stream for each link: three at once need all of them.
      target.on("/hold", async (connection) => {
        connection.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
        await connection.rest();
      });
      const visitors: RawConnection[] = [];
      for (let i = 0; i < 3; i++) {
        const visitor = await RawConnection.open(gateway.port);
        visitor.write(get("/hold"));
        expect((await readHead(visitor)).line).toMatch(/ 200 /);
        visitors.push(visitor);
      }
      expect((await request(gateway.port, get("/"))).status).toBe(503);
      for (const visitor of visitors) visitor.destroy();
      await gateway.process.stop();
    });

    it("links and targets may be unix sockets", async () => {
      const folder = processes.folder("socket");
      const [link, service] = [join(folder, "gateway.sock"), join(folder, "service.sock")];
      const unixTarget = await RawTarget.start(service);
      try {
        const args = ["--route", "*=web", "--link", `unix:${link}`];
        let gateway = await startGateway(processes, gatewayRuntime, { args });
        expect(gateway.addresses["link"]).toEqual([`unix:${link}`]);
        expect(statSync(link).mode & 0o777).toBe(0o660);
        const agent = await startAgent(processes, agentRuntime, gateway, {
          at: `unix:${link}`,
          args: ["--serve", `web=unix:${service}`],
        });
        expect((await request(gateway.port, get("/by-socket"))).status).toBe(200);
        expect(fieldOf(await unixTarget.request("/by-socket"), "host")).toBe("web.test");
        // Visitors have no business there.
        expect((await request(link, get("/by-socket"))).status).toBe(404);
        // A socket file that a killed gateway left behind is taken over.
        gateway.process.kill();
        await gateway.process.exit;
        gateway = await startGateway(processes, gatewayRuntime, { args, data: gateway.data });
        await eventually(() => request(gateway.port, get("/")), isOk);
        await agent.stop();
        await gateway.process.stop();
        expect(() => statSync(link)).toThrow("ENOENT");
      } finally {
        unixTarget.close();
      }
    });

    it("an https target is checked against --target-ca, or not at all with --target-insecure", async () => {
      const server = https.createServer({ cert: pair.cert, key: pair.key }, (_request, response) => {
        response.end("over TLS");
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const gateway = await startGateway(processes, gatewayRuntime);
      const serve = ["--serve", `web=https://localhost:${(server.address() as AddressInfo).port}`];
      try {
        const untrusting = await startAgent(processes, agentRuntime, gateway, { args: serve });
        const refused = await request(gateway.port, get("/"));
        expect([refused.status, refused.field("proxy-status")]).toEqual([
          502,
          "netwall; error=tls_protocol_error",
        ]);
        await untrusting.waitFor("stderr", /the target failed.*"tls"/);
        await untrusting.stop();
        for (const trust of [["--target-ca", join(authority.folder, "ca.pem")], ["--target-insecure"]]) {
          const agent = await startAgent(processes, agentRuntime, gateway, { args: [...serve, ...trust] });
          expect([trust, (await request(gateway.port, get("/"))).text()]).toEqual([trust, "over TLS"]);
          await agent.stop();
        }
      } finally {
        server.closeAllConnections();
        server.close();
        await gateway.process.stop();
      }
    });

    it("wss with an authority of one's own, through a proxy, and HTTPS for visitors", async () => {
      const gateway = await startGateway(processes, gatewayRuntime, {
        args: [
          ...["--https", "127.0.0.1:0", "--cert", pair.certPath, "--key", pair.keyPath],
          ...["--redirect-https", "--route", "*=web"],
        ],
      });
      const port = portOf(gateway.addresses["https"]);
      const ca = join(authority.folder, "ca.pem");
      const at = `wss://localhost:${port}`;
      const untrusting = await spawnAgent(processes, agentRuntime, gateway, { at, args: serveWeb() });
      await untrusting.waitFor("stderr", /cannot link.*certificate is not trusted/);
      expect(untrusting.stdout()).toBe("");
      untrusting.kill();
      const trusting = ["--gateway-ca", ca, ...serveWeb()];
      const direct = await startAgent(processes, agentRuntime, gateway, { at, args: trusting });
      if (curl !== undefined) {
        const body = await processes.run([
          curl,
          "-sS",
          "-m",
          "20",
          "--cacert",
          ca,
          `https://localhost:${port}/tls`,
        ]);
        expect(body).toBe("ok");
        expect(fieldOf(await target.request("/tls"), "x-forwarded-proto")).toBe("https");
      }
      const moved = await request(gateway.port, get("/a?b", ["Host: localhost"]));
      expect([moved.status, moved.field("location")]).toEqual([308, `https://localhost:${port}/a?b`]);
      await direct.stop();

      // The name resolves nowhere: only the proxy knows the way.
      const proxy = await startConnectProxy(port);
      const proxied = await startAgent(processes, agentRuntime, gateway, {
        at: "wss://gateway.test",
        args: trusting,
        options: { env: { HTTPS_PROXY: `http://user:secret@127.0.0.1:${proxy.port}`, NO_PROXY: undefined } },
      });
      expect(proxy.heads).toHaveLength(1);
      expect(proxy.heads[0]).toMatch(/^CONNECT gateway\.test:443 HTTP\/1\.1\r\n/);
      expect(proxy.heads[0]).toContain(`Proxy-Authorization: Basic ${btoa("user:secret")}\r\n`);
      expect(linkCount(gateway)).toBe(2);
      expect(proxied.stderr()).not.toContain("secret");
      expect(await proxied.stop()).toEqual(SERVED);
      proxy.close();
      expect(await gateway.process.stop()).toEqual(SERVED);
    });
  });
}

/** A response that is half sent when the process is told to stop arrives whole, and the process ends well. */
async function expectFinished(port: number, stopping: RunningProcess, takesMs: number): Promise<void> {
  let release: (() => void) | undefined;
  target.on("/slow", async (connection) => {
    connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    connection.write(chunk("first"));
    await new Promise<void>((resolve) => release = resolve);
    connection.write(`${chunk(" last")}0\r\n\r\n`);
  });
  const visitor = await RawConnection.open(port);
  visitor.write(get("/slow"));
  const head = await readHead(visitor);
  await eventually(() => visitor.pending.includes("first"), (came) => came);
  const exit = stopping.stop();
  await stopping.waitFor("stderr", /"stopping"/);
  // It goes on serving for as long as this takes.
  await new Promise((resolve) => setTimeout(resolve, takesMs));
  release?.();
  const { body, complete } = await readBody(visitor, head);
  expect([body.toString(), complete]).toEqual(["first last", true]);
  visitor.destroy();
  expect(await exit).toEqual(SERVED);
}

/** A proxy that takes every CONNECT to one port. */
async function startConnectProxy(to: number): Promise<{ port: number; heads: string[]; close(): void }> {
  const heads: string[] = [];
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.once("data", (head: Buffer) => {
      heads.push(head.toString());
      const upstream = net.connect(to, "127.0.0.1");
      sockets.add(upstream);
      upstream.on("error", () => socket.destroy());
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      socket.pipe(upstream).pipe(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    heads,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

for (const runtime of RUNTIMES) {
  describe(`the command line on ${runtime}`, () => {
    const it = (name: string, body: () => Promise<void>): void => test(name, body, TEST_MS_MAX);

    /** Runs to the end; gives code and output. */
    const run = async (
      script: "gateway" | "agent",
      args: readonly string[],
      env: Record<string, string> = {},
    ): Promise<{ code: number | null; stdout: string; stderr: string }> => {
      const child = processes.start([...netwallCommand(runtime, script), ...args], { env });
      const { code } = await child.exit;
      return { code, stdout: child.stdout(), stderr: child.stderr() };
    };
    /** One or two lines for people, never a stack. */
    const expectSentence = (stderr: string, pattern: RegExp): void => {
      expect(stderr).toMatch(pattern);
      expect(stderr).not.toMatch(/\n\s+at /);
      expect(stderr.trimEnd().split("\n").length).toBeLessThanOrEqual(3);
    };

    it("--help and --version print and end well", async () => {
      for (const script of ["gateway", "agent"] as const) {
        const help = await run(script, ["--help"]);
        expect([help.code, help.stderr]).toEqual([0, ""]);
        expect(help.stdout).toContain(`Usage: netwall-${script}`);
        const version = await run(script, ["--version"]);
        expect([version.code, version.stderr]).toEqual([0, ""]);
        expect(version.stdout).toMatch(
          new RegExp(`^netwall-${script} \\d+\\.\\d+\\.\\d+ \\(${runtime} \\d`, "i"),
        );
      }
    });

    it("a port that is taken: exit 1 and what to do", async () => {
      const holder = net.createServer().listen(0, "127.0.0.1");
      await new Promise<void>((resolve) => holder.once("listening", resolve));
      const address = `127.0.0.1:${(holder.address() as AddressInfo).port}`;
      const data = processes.folder();
      for (
        const args of [["--http", address, "--admin", "off"], ["--http", "127.0.0.1:0", "--admin", address]]
      ) {
        const { code, stdout, stderr } = await run("gateway", [...args, "--data", data]);
        expect([code, stdout]).toEqual([1, ""]);
        expectSentence(stderr, new RegExp(`Cannot listen on ${address}: the port is taken`));
      }
      holder.close();
    });

    it("files that are missing: exit 2 and which", async () => {
      const data = processes.folder();
      const tls = ["--https", "127.0.0.1:0", "--http", "off", "--admin", "off", "--data", data];
      const cert = await run("gateway", [...tls, "--cert", "/nonexistent.pem", "--key", pair.keyPath]);
      expect(cert.code).toBe(2);
      expectSentence(cert.stderr, /\/nonexistent\.pem/);
      const agentArgs = ["--gateway", "ws://127.0.0.1:1", "--serve", "web=http://127.0.0.1:1"];
      const token = await run("agent", [...agentArgs, "--token-file", "/nonexistent"]);
      expect(token.code).toBe(2);
      expectSentence(token.stderr, /\/nonexistent/);
      const app = await run("agent", [
        "--gateway",
        "ws://127.0.0.1:1",
        "--app",
        "/nonexistent.ts",
        "--as",
        "web",
      ], {
        NETWALL_TOKEN: "t",
      });
      expect(app.code).toBe(2);
      expectSentence(app.stderr, /Cannot load the app \/nonexistent\.ts/);
    });

    it("a wrong flag or key: exit 2 and the nearest right one", async () => {
      const flag = await run("gateway", ["--htpt", "127.0.0.1:0"]);
      expect(flag.code).toBe(2);
      expectSentence(flag.stderr, /--htpt.*--http/);
      const file = join(processes.folder(), "netwall.yaml");
      const fixture = join(import.meta.dirname ?? ".", "../fixtures/config/invalid/gateway_unknown_key.yaml");
      const key = await run("gateway", ["--config", fixture]);
      expect(key.code).toBe(2);
      expect(key.stderr).toMatch(/did you mean/);
      expect((await run("gateway", ["--config", file])).code).toBe(2);
      expect((await run("agent", [])).code).toBe(2);
    });

    it("a token is printed alone, and kept nowhere", async () => {
      const data = processes.folder();
      const { code, stdout, stderr } = await run("gateway", [
        "token",
        "--name",
        "web-1",
        "--serve",
        "web",
        "--data",
        data,
      ]);
      // What has no image is a group of its own, which an operator should know before there is a policy.
      expect([code, stderr]).toEqual([
        0,
        "netwall-gateway: no --image: policies know this agent as default/~web-1\n",
      ]);
      expect(stdout).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
      const image = ["--image", "web:1", "--data", processes.folder()];
      expect((await run("gateway", ["token", "--name", "web-1", ...image])).stderr).toBe("");
      const list = await run("gateway", ["token", "list", "--data", data]);
      expect(list.stdout).toMatch(/web-1 .*valid/);
      expect(list.stdout).not.toContain(stdout.trim().split(".")[2]!);
    });

    it("quickstart serves its sample until it is told to stop", async () => {
      const args = ["quickstart", "--http", "127.0.0.1:0", "--admin", "off"];
      const child = processes.start([...netwallCommand(runtime, "gateway"), ...args]);
      const { http } = await child.ready;
      expect((await request(portOf(http), get("/"))).text()).toContain("behind the wall");
      expect(await child.stop("SIGINT")).toEqual(SERVED);
    });

    test.skipIf(unshare === undefined)("as PID 1 it stops on SIGTERM", async () => {
      const gateway = await startGateway(processes, runtime);
      const token = await mintFor(gateway.data);
      const commands = {
        gateway: ["--http", "127.0.0.1:0", "--admin", "off", "--data", processes.folder()],
        agent: ["--gateway", `ws://127.0.0.1:${gateway.port}`, ...serveWeb()],
      };
      for (const script of ["gateway", "agent"] as const) {
        const command = [...netwallCommand(runtime, script), ...commands[script]];
        const outer = processes.start([unshare!, "--pid", "--fork", "--kill-child", ...command], {
          env: { NETWALL_TOKEN: token },
        });
        await outer.ready;
        const children = readFileSync(`/proc/${outer.pid}/task/${outer.pid}/children`, "utf8").trim().split(
          " ",
        );
        expect(children).toHaveLength(1);
        process.kill(Number(children[0]), "SIGTERM");
        const late = setTimeout(() => outer.kill(), 10_000);
        expect([script, await outer.exit]).toEqual([script, SERVED]);
        clearTimeout(late);
      }
      await gateway.process.stop();
    }, TEST_MS_MAX);
  });
}

test("a second signal ends a gateway at once", async () => {
  const gateway = await startGateway(processes, "bun");
  await startAgent(processes, "bun", gateway, { args: serveWeb() });
  target.on("/never", async (connection) => void await connection.rest());
  const visitor = await RawConnection.open(gateway.port);
  visitor.write(get("/never"));
  await target.request("/never");
  const exit = gateway.process.stop();
  await gateway.process.waitFor("stderr", /"stopping"/);
  void gateway.process.stop();
  expect(await exit).toEqual({ code: 1, signal: null });
  visitor.destroy();
}, TEST_MS_MAX);
