/**
 * Calls between containers: an agent's door, the gateway, another agent. Allowed only as far as the caller's token
 * says, by name, and without any public entry.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { createHash, randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type RunningProcess, useProcesses } from "../support/processes.ts";
import { fieldsOf, get, RawConnection, RawTarget, readResponse, request } from "./raw.ts";
import {
  admin,
  mintCaller,
  pattern,
  proxyDoor,
  reachDoor,
  sumOf,
  TcpEnd,
  TcpTarget,
  untilStalled,
} from "./tcp_wall.ts";
import {
  CROSS,
  eventually,
  portOf,
  residentBytes,
  type RunningGateway,
  startAgent,
  startGateway,
  TEST_MS_MAX,
} from "./wall.ts";

const MIB = 1 << 20;
/** Two streams' windows and the sockets of each hop. */
const STALLED_BYTES_MAX = 40 * MIB;
const STALLED_RESIDENT_BYTES_MAX = 64 * MIB;

const processes = useProcesses();
const folder = processes.folder("reach");
const targets: TcpTarget[] = [];
/** Two replicas of one service, each of which says who it is; and one that nobody here may call. */
let first: TcpTarget;
let second: TcpTarget;
let secret: TcpTarget;
/** Wants a PROXY header. */
let marked: TcpTarget;
let api: RawTarget;

beforeAll(async () => {
  const greeting = (name: string): Promise<TcpTarget> =>
    TcpTarget.start(({ socket }) => {
      socket.write(name);
      socket.pipe(socket);
    });
  first = await greeting("1");
  second = await greeting("2");
  secret = await greeting("s");
  marked = await TcpTarget.start();
  targets.push(first, second, secret, marked);
  api = await RawTarget.start();
  writeFileSync(join(folder, "upload"), randomBytes(3 * MIB));
});
afterAll(() => {
  for (const target of targets) target.close();
  api?.close();
});

for (const [gatewayRuntime, agentRuntime] of CROSS) {
  describe(`gateway on ${gatewayRuntime}, agents on ${agentRuntime}`, () => {
    let gateway: RunningGateway;
    let caller: RunningProcess;
    const replicas: RunningProcess[] = [];
    let door: number;
    const socket = join(folder, `${gatewayRuntime}.sock`);

    /** Starts a replica of `db` before a target, beside whatever else it serves. */
    const serveDb = (name: string, target: TcpTarget, more: string[] = []): Promise<RunningProcess> =>
      startAgent(processes, agentRuntime, gateway, {
        name,
        args: ["--serve", `db=tcp://127.0.0.1:${target.port}`, ...more],
      });

    beforeAll(async () => {
      gateway = await startGateway(processes, gatewayRuntime, {
        args: ["--admin", "127.0.0.1:0", "--route", "public.test=web"],
      });
      const rest = [`api=${api.url}`, `secret=tcp://127.0.0.1:${secret.port}`, "closed=tcp://127.0.0.1:1"];
      rest.push(`marked=tcp://127.0.0.1:${marked.port}`);
      const more = [...rest.flatMap((serve) => ["--serve", serve]), "--proxy-protocol", "marked=v1"];
      replicas.push(await serveDb("b1", first, more));
      replicas.push(await serveDb("b2", second));
      caller = await startAgent(processes, agentRuntime, gateway, {
        token: await mintCaller(gateway.data, {
          name: "caller-a",
          serve: [],
          reach: ["db", "api", "closed", "nobody", "marked"],
        }),
        args: [
          ...["db", "secret", "closed", "nobody", "marked"].flatMap((
            name,
          ) => ["--reach", `${name}=127.0.0.1:0`]),
          ...["--reach", `api=unix:${socket}`, "--egress", "127.0.0.1:0"],
        ],
      });
      door = await reachDoor(caller, "db") as number;
    });
    afterAll(async () => {
      for (const target of targets) for (const end of target.ends) end.destroy();
      expect(await caller?.stop()).toMatchObject({ code: 0 });
      for (const replica of replicas) await replica.stop();
      expect(await gateway?.process.stop()).toMatchObject({ code: 0 });
    });

    test("bytes go by the caller's door to another agent's target and back", async () => {
      const end = await TcpEnd.connect(door);
      expect((await end.take(1)).toString()).toMatch(/[12]/);
      const sent = pattern(5 * MIB + 3);
      end.write(sent).end();
      const got = await end.rest();
      expect([got.length, got.equals(sent)]).toEqual([sent.length, true]);
      expect(await end.gone()).toBe("end");
    }, TEST_MS_MAX);

    test("a reset passes in both directions", async () => {
      const count = (): number => first.ends.length + second.ends.length;
      const before = count();
      const end = await TcpEnd.connect(door);
      await end.take(1);
      expect(count()).toBe(before + 1);
      const target = [...first.ends, ...second.ends].filter(({ closed }) => !closed).at(-1)!;
      target.reset();
      expect(await end.gone()).toBe("ECONNRESET");

      const again = await TcpEnd.connect(door);
      await again.take(1);
      const other = [...first.ends, ...second.ends].filter(({ closed }) => !closed).at(-1)!;
      again.reset();
      expect(await other.gone()).toBe("ECONNRESET");
    }, TEST_MS_MAX);

    test("several agents of one service are balanced", async () => {
      const ends = await Promise.all(Array.from({ length: 20 }, () => TcpEnd.connect(door)));
      const names: string[] = [];
      for (const end of ends) names.push((await end.take(1)).toString());
      expect(names.filter((name) => name === "1").length).toBeGreaterThanOrEqual(7);
      expect(names.filter((name) => name === "2").length).toBeGreaterThanOrEqual(7);
      for (const end of ends) end.destroy();
    }, TEST_MS_MAX);

    test(
      "what the token does not name is denied: the connection closes, the log says who and what",
      async () => {
        const end = await TcpEnd.connect(await reachDoor(caller, "secret"));
        await end.gone(5_000);
        expect(end.readBytes).toBe(0);
        const [line] = await gateway.process.waitFor("stderr", /^.*"denied".*$/m);
        expect([line.includes("caller-a"), line.includes("secret")]).toEqual([true, true]);
        await caller.waitFor("stderr", /denied/);
        expect(secret.ends).toHaveLength(0);
        const metrics = await admin(gateway);
        expect(sumOf(metrics, "netwall_connections_total", 'direction="east-west"', 'result="denied"')).toBe(
          1,
        );
      },
      TEST_MS_MAX,
    );

    test("a target that refuses and a service without an agent close the connection at once", async () => {
      for (const [service, code] of [["closed", "targetRefused"], ["nobody", "unknownService"]] as const) {
        const startMs = performance.now();
        const end = await TcpEnd.connect(await reachDoor(caller, service));
        await end.gone(5_000);
        expect(performance.now() - startMs).toBeLessThan(1_000);
        await gateway.process.waitFor("stderr", new RegExp(code));
      }
    }, TEST_MS_MAX);

    test("a service that is reached from inside needs no public entry, and has none", async () => {
      for (const host of ["db", "api", "api.netwall.internal", "db.public.test"]) {
        expect((await request(gateway.port, get("/", [`Host: ${host}`]))).status).toBe(404);
      }
    }, TEST_MS_MAX);

    test("an HTTP service by a raw door keeps its Host and learns who calls", async () => {
      const output = await processes.run([
        ...[
          "curl",
          "-s",
          "--unix-socket",
          socket,
          "-H",
          "Forwarded: for=1.2.3.4",
          "-H",
          "X-Forwarded-For: 1.2.3.4",
        ],
        ...[
          "--data-binary",
          `@${join(folder, "upload")}`,
          `http://api.example:81/path-${gatewayRuntime}?q=1`,
        ],
      ]);
      expect(output).toBe("ok");
      const seen = await api.request(`/path-${gatewayRuntime}?q=1`);
      expect(fieldsOf(seen, "host")).toEqual(["api.example:81"]);
      expect(fieldsOf(seen, "forwarded")).toEqual(['for=_caller-a;host="api.example:81";proto=http']);
      expect(fieldsOf(seen, "x-forwarded-for")).toEqual([]);
      expect(seen.method).toBe("POST");
    }, TEST_MS_MAX);

    test(
      "one connection to an HTTP service carries request after request, each read on its own",
      async () => {
        const connection = await RawConnection.open(socket);
        for (const path of ["/a", "/b"]) {
          connection.write(get(`${path}-${gatewayRuntime}`, ["Host: api"]));
          expect((await readResponse(connection)).text()).toBe("ok");
        }
        connection.write(get("/c", ["Host: api", "Host: other"]));
        expect((await readResponse(connection)).status).toBe(400);
        connection.destroy();
        expect([api.count(`/a-${gatewayRuntime}`), api.count("/c")]).toEqual([1, 0]);
      },
      TEST_MS_MAX,
    );

    test("an upgrade by a raw door to an HTTP service becomes the caller's own connection", async () => {
      api.on("/upgrade", (connection) => {
        connection.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
        connection.socket.pipe(connection.socket);
      });
      const connection = await RawConnection.open(socket);
      connection.write(get("/upgrade", ["Host: api", "Connection: Upgrade", "Upgrade: echo"]));
      expect((await readResponse(connection)).status).toBe(101);
      const sent = pattern(300_000, 8);
      connection.write(sent);
      expect((await connection.take(sent.length)).equals(sent)).toBe(true);
      connection.destroy();
    }, TEST_MS_MAX);

    test("NAME.netwall.internal at the proxy is the service of that name", async () => {
      const proxy = await proxyDoor(caller);
      const end = await TcpEnd.connect(portOf(proxy));
      const established = "HTTP/1.1 200 Connection established\r\n\r\n";
      end.write("CONNECT db.netwall.internal:5432 HTTP/1.1\r\nHost: db.netwall.internal:5432\r\n\r\n");
      expect((await end.take(established.length + 1)).toString()).toMatch(
        /^HTTP\/1\.1 200 [^\r]*\r\n\r\n[12]$/,
      );
      const sent = pattern(MIB, 5);
      end.write(sent).end();
      expect((await end.rest()).equals(sent)).toBe(true);

      const path = `/by-proxy-${gatewayRuntime}`;
      const url = `http://api.netwall.internal${path}`;
      expect(await processes.run(["curl", "-s", "-x", `http://${proxy}`, url])).toBe("ok");
      const seen = await api.request(path);
      expect(fieldsOf(seen, "host")).toEqual(["api.netwall.internal"]);
      expect(fieldsOf(seen, "forwarded")).toEqual(["for=_caller-a;host=api.netwall.internal;proto=http"]);
      expect(fieldsOf(seen, "proxy-connection")).toEqual([]);
    }, TEST_MS_MAX);

    test("what is sent right behind CONNECT is the tunnel's, and nothing of it is lost", async () => {
      const end = await TcpEnd.connect(portOf(await proxyDoor(caller)));
      const sent = pattern(MIB, 6);
      const head = Buffer.from("CONNECT db.netwall.internal:1 HTTP/1.1\r\nHost: x\r\n\r\n");
      end.write(Buffer.concat([head, sent])).end();
      const got = await end.rest();
      const begin = got.indexOf("\r\n\r\n") + 5;
      expect([got.length - begin, got.subarray(begin).equals(sent)]).toEqual([sent.length, true]);
    }, TEST_MS_MAX);

    test(
      "a target that wants a PROXY header is told that a caller has no address",
      async () => {
        const before = marked.ends.length;
        const end = await TcpEnd.connect(await reachDoor(caller, "marked"));
        const forged = "PROXY TCP4 6.6.6.6 127.0.0.1 6 6\r\nhello";
        end.write(forged).end();
        const target = await marked.connection(before);
        expect((await target.rest()).toString()).toBe(`PROXY UNKNOWN\r\n${forged}`);
        target.end();
        expect(await end.gone()).toBe("end");
      },
      TEST_MS_MAX,
    );

    test("the proxy says why not", async () => {
      const proxy = portOf(await proxyDoor(caller));
      const connect = (host: string): string => `CONNECT ${host}:1 HTTP/1.1\r\nHost: ${host}:1\r\n\r\n`;
      const denied = await request(proxy, connect("secret.netwall.internal"));
      expect([denied.status, fieldsOf(denied, "connection")]).toEqual([403, ["close"]]);
      expect(denied.text()).toMatch(/reach/);
      const refused = await request(proxy, connect("closed.netwall.internal"));
      expect([refused.status, fieldsOf(refused, "proxy-status").join()]).toEqual([
        502,
        "netwall; error=connection_refused",
      ]);
      expect((await request(proxy, connect("not_a_service.netwall.internal"))).status)
        .toBeGreaterThanOrEqual(400);
      expect((await request(proxy, connect("a.b.netwall.internal"))).status).toBeGreaterThanOrEqual(400);
      expect((await request(proxy, get("/", ["Host: x"]))).status).toBe(400);
      expect(secret.ends).toHaveLength(0);
    }, TEST_MS_MAX);

    test("the doors listen on loopback alone", async () => {
      const sockets = await processes.run(["ss", "-Hltnp"]);
      const own = sockets.split("\n").filter((line) => line.includes(`pid=${caller.pid},`));
      expect(own.length).toBe(6);
      expect(own.filter((line) => !/\s127\.0\.0\.1:\d+\s/.test(line))).toEqual([]);
    }, TEST_MS_MAX);

    test("500 calls at once get their own bytes", async () => {
      const ends = await Promise.all(Array.from({ length: 500 }, () => TcpEnd.connect(door)));
      const textOf = (index: number): string => `${index};`.repeat(100);
      ends.forEach((end, index) => end.write(textOf(index)).end());
      let right = 0;
      for (const [index, end] of ends.entries()) {
        if ((await end.rest()).toString().slice(1) === textOf(index)) right++;
      }
      expect(right).toBe(500);
      await eventually(
        async () => sumOf(await admin(gateway), "netwall_streams"),
        (streams) => streams === 0,
      );
    }, TEST_MS_MAX);

    test("a caller that takes nothing holds its window, at the gateway and at both agents", async () => {
      const pids = [gateway.process.pid, caller.pid, replicas[0]!.pid];
      const before = pids.map(residentBytes);
      const count = marked.ends.length;
      const end = await TcpEnd.connect(await reachDoor(caller, "marked"));
      const target = await marked.connection(count);
      end.socket.pause();
      const block = pattern(MIB, 7);
      const blocks = 64;
      let written = 0;
      const write = (): void => {
        while (written < blocks && target.socket.write(block)) written++;
      };
      target.socket.on("drain", () => {
        written++;
        write();
      });
      write();
      await untilStalled(target.socket);
      expect(written).toBeLessThan(STALLED_BYTES_MAX / MIB);
      const grown = pids.map((pid, index) => residentBytes(pid) - before[index]!);
      expect(Math.max(...grown)).toBeLessThan(STALLED_RESIDENT_BYTES_MAX);
      // Another call goes on meanwhile.
      const other = await TcpEnd.connect(door);
      expect((await other.take(1)).toString()).toMatch(/[12]/);
      other.end();
      expect(await other.gone()).toBe("end");
      end.socket.resume();
      await end.until(() => end.readBytes >= blocks * MIB, () => `all, ${end.readBytes} came`, 40_000);
      target.end();
      end.end();
      const got = await end.rest();
      expect(got.equals(Buffer.concat(Array.from({ length: blocks }, () => block)))).toBe(true);
      expect(await end.gone()).toBe("end");
    }, TEST_MS_MAX);

    test("a replica that dies takes its calls along, and the next go to the other", async () => {
      const held = await Promise.all([TcpEnd.connect(door), TcpEnd.connect(door)]);
      const names: string[] = [];
      for (const end of held) names.push((await end.take(1)).toString());
      expect(names.sort()).toEqual(["1", "2"]);
      replicas[1]!.kill();
      await replicas[1]!.exit;
      await eventually(
        () => held.filter(({ closed, ended }) => closed || ended).length,
        (over) => over === 1,
      );
      const broken = held.find(({ closed, ended }) => closed || ended)!;
      expect(await broken.gone()).not.toBe("end");
      for (let i = 0; i < 3; i++) {
        const end = await TcpEnd.connect(door);
        expect((await end.take(1)).toString()).toBe("1");
        end.destroy();
      }
      for (const end of held) end.destroy();
    }, TEST_MS_MAX);

    test("a caller that dies is a reset for the target, never an end", async () => {
      const other = await startAgent(processes, agentRuntime, gateway, {
        token: await mintCaller(gateway.data, { name: "mortal", serve: [], reach: ["marked"] }),
        args: ["--reach", "marked=127.0.0.1:0"],
      });
      const before = marked.ends.length;
      const end = await TcpEnd.connect(await reachDoor(other, "marked"));
      const target = await marked.connection(before);
      end.write("half a quest");
      await target.take("PROXY UNKNOWN\r\n".length + 12);
      other.kill();
      expect(await target.gone()).toBe("ECONNRESET");
      end.destroy();
    }, TEST_MS_MAX);

    test("without its gateway the door closes what comes, and works again with it", async () => {
      const { port, data } = gateway;
      gateway.process.kill();
      await gateway.process.exit;
      await eventually(async () => {
        const end = await TcpEnd.connect(door);
        await end.gone(5_000);
        return end.readBytes;
      }, (bytes) => bytes === 0);
      gateway = await startGateway(processes, gatewayRuntime, {
        ...{ port, data },
        args: ["--admin", "127.0.0.1:0", "--route", "public.test=web"],
      });
      const hash = await eventually(async () => {
        const end = await TcpEnd.connect(door);
        end.write("again").end();
        return createHash("sha256").update((await end.rest()).subarray(1)).digest("hex");
      }, (got) => got === createHash("sha256").update("again").digest("hex"));
      expect(hash).toHaveLength(64);
    }, TEST_MS_MAX);
  });
}
