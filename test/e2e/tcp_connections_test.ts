/**
 * Raw TCP through the wall, where it hurts: ends and resets in each direction, refusals, silence, a reader that takes
 * nothing, two thousand connections at once.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { existsSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import tls from "node:tls";
import { TestAuthority } from "../support/certificates.ts";
import { freePort, type RunningProcess, useProcesses } from "../support/processes.ts";
import { ensurePackage } from "../support/services.ts";
import { admin, pattern, sumOf, TcpEnd, tcpPorts, TcpTarget, untilStalled } from "./tcp_wall.ts";
import {
  CROSS,
  eventually,
  residentBytes,
  type RunningGateway,
  startAgent,
  startGateway,
  TEST_MS_MAX,
} from "./wall.ts";

const MIB = 1 << 20;
const CONNECTIONS = 2_000;
const SCRIPTED = 200;
/** A stream's window may grow to 4 MiB, and the kernel holds some more in the sockets of each hop. */
const STALLED_BYTES_MAX = 32 * MIB;
const STALLED_RESIDENT_BYTES_MAX = 48 * MIB;

const processes = useProcesses();
const nginx = ensurePackage("nginx-light", "nginx");

/** Services in the order of their ports. */
const SERVICES = ["echo", "script", "socket", "tls", "refused", "away", "proxied1", "proxied2"] as const;

let echo: TcpTarget;
/** What it does with a connection is set by each test. */
let script: TcpTarget;
let socket: TcpTarget;
/** Speaks TLS, and echoes. */
let secure: tls.Server;
let authority: TestAuthority;
let refusedPort: number;
let nginxPort: number;
const folder = processes.folder("tcp");

/** One server that tells the address it was told of, whichever version it was told in. */
async function startNginx(): Promise<number> {
  if (nginx.path === undefined) return await freePort();
  const port = await freePort();
  const root = processes.folder("nginx");
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) =>
    `${name}_temp_path ${root};`
  );
  writeFileSync(
    join(root, "nginx.conf"),
    `daemon off; worker_processes 1; pid ${root}/pid; error_log ${root}/error.log;
     events { worker_connections 64; }
     http { access_log off; ${paths.join(" ")}
       server { listen 127.0.0.1:${port} proxy_protocol; default_type text/plain;
         return 200 "$proxy_protocol_addr $proxy_protocol_port $remote_addr"; } }`,
  );
  processes.start([nginx.path, "-c", join(root, "nginx.conf"), "-e", join(root, "error.log")]);
  await eventually(async () => {
    const end = await TcpEnd.connect(port);
    end.destroy();
    return end.error;
  }, (error) => error === undefined);
  return port;
}

beforeAll(async () => {
  echo = await TcpTarget.echo();
  script = await TcpTarget.start();
  socket = await TcpTarget.start((end) => void end.socket.pipe(end.socket), join(folder, "echo.sock"));
  authority = new TestAuthority();
  const { cert, key } = authority.leaf({ san: ["DNS:localhost"] });
  secure = tls.createServer({ cert, key }, (end) => void end.on("error", () => {}).pipe(end));
  await new Promise<void>((resolve) => secure.listen(0, "127.0.0.1", resolve));
  refusedPort = await freePort();
  nginxPort = await startNginx();
});
afterAll(() => {
  for (const target of [echo, script, socket]) target?.close();
  secure?.close();
  authority?.dispose();
});

/** Numbers from 0 to 1 that are the same for the same seed. Source: mulberry32, public domain. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b_79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

for (const [gatewayRuntime, agentRuntime] of CROSS) {
  describe(`gateway on ${gatewayRuntime}, agent on ${agentRuntime}`, () => {
    let gateway: RunningGateway;
    let agent: RunningProcess;
    const ports = {} as Record<(typeof SERVICES)[number], number>;

    beforeAll(async () => {
      gateway = await startGateway(processes, gatewayRuntime, {
        args: ["--admin", "127.0.0.1:0", ...SERVICES.flatMap((name) => ["--tcp", `127.0.0.1:0=${name}`])],
      });
      tcpPorts(gateway).forEach((port, index) => ports[SERVICES[index]!] = port);
      const targets = {
        echo: `tcp://127.0.0.1:${echo.port}`,
        script: `tcp://127.0.0.1:${script.port}`,
        socket: `unix+tcp:${join(folder, "echo.sock")}`,
        tls: `tls://localhost:${(secure.address() as AddressInfo).port}`,
        refused: `tcp://127.0.0.1:${refusedPort}`,
        proxied1: `tcp://127.0.0.1:${nginxPort}`,
        proxied2: `tcp://127.0.0.1:${nginxPort}`,
      };
      agent = await startAgent(processes, agentRuntime, gateway, {
        args: [
          ...Object.entries(targets).flatMap(([name, target]) => ["--serve", `${name}=${target}`]),
          ...["--target-ca", join(authority.folder, "ca.pem")],
          ...["--proxy-protocol", "proxied1=v1", "--proxy-protocol", "proxied2=v2"],
        ],
      });
    });
    afterAll(async () => {
      // Whatever a test left open must not keep either end from leaving.
      for (const target of [echo, script, socket]) for (const end of target.ends) end.destroy();
      expect(await agent?.stop()).toMatchObject({ code: 0 });
      expect(await gateway?.process.stop()).toMatchObject({ code: 0 });
    });

    /** A visitor and the target's end of its connection. */
    async function connectScript(): Promise<[visitor: TcpEnd, target: TcpEnd]> {
      const before = script.ends.length;
      const visitor = await TcpEnd.connect(ports.script);
      return [visitor, await script.connection(before)];
    }

    test("bytes come back as they went, over a port and over a unix socket", async () => {
      for (const port of [ports.echo, ports.socket]) {
        const visitor = await TcpEnd.connect(port);
        const sent = pattern(5 * MIB + 7);
        visitor.write(sent);
        expect((await visitor.take(sent.length)).equals(sent)).toBe(true);
        visitor.write("x");
        expect((await visitor.take(1)).toString()).toBe("x");
        visitor.end();
        expect(await visitor.gone()).toBe("end");
      }
    }, TEST_MS_MAX);

    test("a target that speaks TLS is spoken to in TLS", async () => {
      const visitor = await TcpEnd.connect(ports.tls);
      const sent = pattern(2 * MIB + 1);
      visitor.write(sent);
      expect((await visitor.take(sent.length)).equals(sent)).toBe(true);
      visitor.end();
      expect(await visitor.gone()).toBe("end");
    }, TEST_MS_MAX);

    test("a server that speaks first is heard before the visitor says anything", async () => {
      const [visitor, target] = await connectScript();
      target.write("220 ready\r\n");
      expect((await visitor.take(11)).toString()).toBe("220 ready\r\n");
      visitor.end();
      target.end();
      expect([await visitor.gone(), await target.gone()]).toEqual(["end", "end"]);
    }, TEST_MS_MAX);

    test("the visitor ends, and the target goes on for a MiB", async () => {
      const [visitor, target] = await connectScript();
      visitor.write("question").end();
      expect((await target.rest()).toString()).toBe("question");
      expect([target.ended, target.closed]).toEqual([true, false]);
      const sent = pattern(MIB, 1);
      target.write(sent).end();
      const got = await visitor.rest();
      expect([got.length, got.equals(sent), visitor.error]).toEqual([MIB, true, undefined]);
      expect([await visitor.gone(), await target.gone()]).toEqual(["end", "end"]);
    }, TEST_MS_MAX);

    test("the target ends, and the visitor goes on for a MiB", async () => {
      const [visitor, target] = await connectScript();
      target.write("bye").end();
      expect((await visitor.rest()).toString()).toBe("bye");
      const sent = pattern(MIB, 2);
      visitor.write(sent).end();
      const got = await target.rest();
      expect([got.length, got.equals(sent), target.error]).toEqual([MIB, true, undefined]);
      expect([await visitor.gone(), await target.gone()]).toEqual(["end", "end"]);
    }, TEST_MS_MAX);

    test("an end without a byte passes each way", async () => {
      const [visitor, target] = await connectScript();
      visitor.end();
      expect((await target.rest()).length).toBe(0);
      target.end();
      expect((await visitor.rest()).length).toBe(0);
      expect([await visitor.gone(), await target.gone()]).toEqual(["end", "end"]);
    }, TEST_MS_MAX);

    test("a reset by the target is a reset for the visitor", async () => {
      const [visitor, target] = await connectScript();
      visitor.write("hello");
      await target.take(5);
      target.reset();
      expect(await visitor.gone()).toBe("ECONNRESET");
    }, TEST_MS_MAX);

    test("a reset by the visitor is a reset for the target", async () => {
      const [visitor, target] = await connectScript();
      visitor.write("hello");
      await target.take(5);
      visitor.reset();
      expect(await target.gone()).toBe("ECONNRESET");
    }, TEST_MS_MAX);

    test("a reset after the other side's end is still a reset", async () => {
      const [visitor, target] = await connectScript();
      visitor.write("hello").end();
      await target.rest();
      target.write("half an ans");
      await visitor.take(11);
      target.reset();
      await visitor.until(() => visitor.closed, () => "the visitor's socket to be gone", 5_000);
      expect(visitor.error).toBe("ECONNRESET");
    }, TEST_MS_MAX);

    test("a connection that is silent for seconds still works", async () => {
      const [visitor, target] = await connectScript();
      visitor.write("a");
      await target.take(1);
      await new Promise((resolve) => setTimeout(resolve, 4_000));
      target.write("b");
      expect((await visitor.take(1)).toString()).toBe("b");
      visitor.write("c");
      expect((await target.take(1)).toString()).toBe("c");
      visitor.end();
      target.end();
      await visitor.gone();
    }, TEST_MS_MAX);

    test("a target that refuses: the visitor knows within a second, log and metrics say why", async () => {
      const startMs = performance.now();
      const visitor = await TcpEnd.connect(ports.refused);
      const how = await visitor.gone(5_000);
      expect(performance.now() - startMs).toBeLessThan(1_000);
      expect(visitor.readBytes).toBe(0);
      expect(how).toMatch(/ECONNRESET|end|cut/);
      await gateway.process.waitFor("stderr", /targetRefused/);
      await agent.waitFor("stderr", /refused/);
      const metrics = await eventually(() => admin(gateway), (text) => text.includes("targetRefused"));
      const lines = metrics.split("\n").filter((line) => line.includes("targetRefused"));
      expect(lines.some((line) => /refused"/.test(line) && / [1-9]/.test(line))).toBe(true);
      // The gateway is told a code; where the target is stays with the agent.
      expect(gateway.process.stderr()).not.toContain(String(refusedPort));
      visitor.destroy();
    }, TEST_MS_MAX);

    test("a service that no agent serves: the connection closes at once", async () => {
      const startMs = performance.now();
      const visitor = await TcpEnd.connect(ports.away);
      await visitor.gone(5_000);
      expect(performance.now() - startMs).toBeLessThan(1_000);
      await gateway.process.waitFor("stderr", /"away"/);
      visitor.destroy();
    }, TEST_MS_MAX);

    test("a reader that takes nothing holds its own window and nobody else", async () => {
      const [visitor, target] = await connectScript();
      const pids = [gateway.process.pid, agent.pid];
      const before = pids.map(residentBytes);
      visitor.socket.pause();
      const block = pattern(MIB, 3);
      const blocks = 96;
      const sent = createHash("sha256");
      let written = 0;
      const write = (): void => {
        while (written < blocks) {
          written++;
          sent.update(block);
          if (!target.socket.write(block)) return;
        }
        target.end();
      };
      target.socket.on("drain", write);
      write();
      await untilStalled(target.socket);
      expect(written).toBeLessThan(STALLED_BYTES_MAX / MIB);
      const grown = pids.map((pid, index) => residentBytes(pid) - before[index]!);
      expect(Math.max(...grown)).toBeLessThan(STALLED_RESIDENT_BYTES_MAX);
      // Somebody else is served meanwhile.
      const other = await TcpEnd.connect(ports.echo);
      const text = pattern(300_000, 4);
      other.write(text);
      expect((await other.take(text.length)).equals(text)).toBe(true);
      other.end();
      await other.gone();
      // And the reader gets everything once it reads.
      visitor.socket.resume();
      const got = await visitor.rest(40_000);
      expect(got.length).toBe(blocks * MIB);
      expect(createHash("sha256").update(got).digest("hex")).toBe(sent.digest("hex"));
      visitor.end();
      await visitor.gone();
    }, TEST_MS_MAX);

    test(`${SCRIPTED} connections at once, each with sizes, pieces and an end of its own`, async () => {
      const seed = Date.now() & 0xffff_ffff;
      const random = randomFrom(seed);
      const runs: Promise<string>[] = [];
      for (let index = 0; index < SCRIPTED; index++) {
        const [visitor, target] = await connectScript();
        const ways = [visitor, target].map((from, way) => ({
          from,
          to: way === 0 ? target : visitor,
          // Never nothing: when an end is the first thing that a socket of Deno's server reads, a write at that moment
          // fails with EPIPE, without any wall between.
          sent: pattern(1 + Math.floor(random() ** 4 * 600_000), index + way),
          pieces: Array.from({ length: 12 }, () => Math.floor(random() ** 3 * 100_000) + 1),
          waits: random() < 0.2,
        }));
        // One in five begins only when the other way is over.
        const over = ways.map(() => Promise.withResolvers<void>());
        runs.push(
          Promise.all(ways.map(async ({ from, to, sent, pieces, waits }, way) => {
            if (waits && !ways[1 - way]!.waits) await over[1 - way]!.promise;
            let at = 0;
            for (let turn = 0; at < sent.length; turn++) {
              const bytes = pieces[turn % pieces.length]!;
              from.write(sent.subarray(at, at + bytes));
              at += bytes;
              await new Promise((resolve) => setImmediate(resolve));
            }
            from.end();
            const got = await to.rest(40_000);
            over[way]!.resolve();
            return got.equals(sent)
              ? "right"
              : `${got.length} of ${sent.length} bytes, ${to.error ?? "ended"}`;
          })).then((results) => results.join(", ")),
        );
      }
      const results = await Promise.all(runs);
      expect([seed, results.filter((result) => result !== "right, right")]).toEqual([seed, []]);
      expect(results).toHaveLength(SCRIPTED);
    }, TEST_MS_MAX);

    test(`${CONNECTIONS} connections at once, each with its own bytes`, async () => {
      const visitors = await Promise.all(
        Array.from({ length: CONNECTIONS }, () => TcpEnd.connect(ports.echo)),
      );
      expect(visitors.filter((visitor) => visitor.error !== undefined)).toHaveLength(0);
      const textOf = (index: number): Buffer => Buffer.from(`${gatewayRuntime} ${index};`.repeat(64));
      visitors.forEach((visitor, index) => visitor.write(textOf(index)));
      let right = 0;
      for (const [index, visitor] of visitors.entries()) {
        const text = textOf(index);
        if ((await visitor.take(text.length)).equals(text)) right++;
      }
      expect(right).toBe(CONNECTIONS);
      const open = sumOf(await admin(gateway), "netwall_streams");
      expect(open).toBeGreaterThanOrEqual(CONNECTIONS);
      for (const visitor of visitors) visitor.end();
      for (const visitor of visitors) expect(await visitor.gone()).toBe("end");
      await eventually(
        async () => sumOf(await admin(gateway), "netwall_streams"),
        (streams) => streams === 0,
      );
    }, TEST_MS_MAX);

    test.skipIf(nginx.path === undefined)("nginx reads the visitor's address in v1 and in v2", async () => {
      for (const port of [ports.proxied1, ports.proxied2]) {
        const visitor = await TcpEnd.connect(port, "127.0.0.77");
        const own = visitor.socket.localPort;
        visitor.write("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        const text = (await visitor.rest()).toString();
        expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
        expect(text).toContain(`\r\n\r\n127.0.0.77 ${own} 127.0.0.1`);
        visitor.end();
      }
    }, TEST_MS_MAX);

    test("when the agent leaves, its connections end and nothing is left", async () => {
      const [visitor, target] = await connectScript();
      visitor.write("x");
      await target.take(1);
      const leaving = agent.stop("SIGKILL");
      expect(await visitor.gone()).not.toBe("end");
      await leaving;
      expect(existsSync(`/proc/${agent.pid}`)).toBe(false);
      await eventually(
        async () => sumOf(await admin(gateway), "netwall_streams"),
        (streams) => streams === 0,
      );
      agent = await startAgent(processes, agentRuntime, gateway, {
        args: ["--serve", `echo=tcp://127.0.0.1:${echo.port}`],
      });
      const again = await TcpEnd.connect(ports.echo);
      again.write("y");
      expect((await again.take(1)).toString()).toBe("y");
      again.end();
      await again.gone();
    }, TEST_MS_MAX);
  });

  test(`a gateway on ${gatewayRuntime} keeps its bounds, and what it cuts off looks cut off`, async () => {
    const gateway = await startGateway(processes, gatewayRuntime, {
      args: [
        ...["--admin", "127.0.0.1:0", "--tcp", "127.0.0.1:0=script", "--tcp", "[::1]:0=script"],
        ...["--connections-max", "8", "--idle-timeout", "1s", "--grace", "500ms"],
      ],
    });
    const agent = await startAgent(processes, agentRuntime, gateway, {
      args: ["--serve", `script=tcp://127.0.0.1:${script.port}`],
    });
    const [port = 0] = tcpPorts(gateway);
    expect(gateway.addresses["tcp"]).toHaveLength(2);
    expect(gateway.addresses["tcp"]![1]).toMatch(/^\[::1\]:[1-9]/);

    // Too many at once: the rest is turned away before anything is opened for it.
    const before = script.ends.length;
    const visitors = await Promise.all(Array.from({ length: 12 }, () => TcpEnd.connect(port)));
    const over = (): TcpEnd[] => visitors.filter(({ closed, ended }) => closed || ended);
    await eventually(() => over().length, (count) => count === 4);
    await script.connection(before + 7);
    expect(script.ends.length).toBe(before + 8);
    expect(sumOf(await admin(gateway), "netwall_dropped_total", 'queue="connections"')).toBe(4);

    // Silent ones are cut off, those that move are not.
    const busy = visitors.find((visitor) => !over().includes(visitor))!;
    const beat = setInterval(() => busy.write("x"), 200);
    await eventually(() => over().length, (count) => count === 11);
    for (const visitor of visitors) if (visitor !== busy) expect(visitor.error).toBe("ECONNRESET");
    expect([busy.closed, busy.ended]).toEqual([false, false]);
    const open = script.ends.slice(before).filter(({ closed }) => !closed);
    expect(open).toHaveLength(1);
    clearInterval(beat);

    // One that is open when the grace is over is cut off at both ends.
    const target = open[0]!;
    busy.write("still here");
    target.write("half an ans");
    await busy.take(11);
    expect(await gateway.process.stop()).toMatchObject({ code: 0 });
    expect([await busy.gone(), await target.gone()]).toEqual(["ECONNRESET", "ECONNRESET"]);
    expect(await agent.stop()).toMatchObject({ code: 0 });
  }, TEST_MS_MAX);

  test(`a gateway on ${gatewayRuntime} that dies takes no connection for ended`, async () => {
    const gateway = await startGateway(processes, gatewayRuntime, { args: ["--tcp", "127.0.0.1:0=script"] });
    const agent = await startAgent(processes, agentRuntime, gateway, {
      args: ["--serve", `script=tcp://127.0.0.1:${script.port}`],
    });
    const before = script.ends.length;
    const visitor = await TcpEnd.connect(tcpPorts(gateway)[0]!);
    const target = await script.connection(before);
    visitor.write("half a quest");
    await target.take(12);
    gateway.process.kill();
    expect(await target.gone()).toBe("ECONNRESET");
    await visitor.gone();
    visitor.destroy();
    await agent.stop();
  }, TEST_MS_MAX);
}
