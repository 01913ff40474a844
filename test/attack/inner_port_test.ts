/**
 * A local user dials the ports that the gateway opens for itself alone, from the very port of somebody's connection at
 * another loopback address: there is no answer, and no request reaches a service in another's name.
 *
 * A listener on loopback is told apart by nothing but who connects to it. All of 127.0.0.0/8 is loopback, so that the
 * port that an honest connection comes from can be had once more, by anybody.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import net from "node:net";
import process from "node:process";
import type { Duplex } from "node:stream";
import tls from "node:tls";
import { mintCaller, reachDoor } from "../e2e/tcp_wall.ts";
import { RawConnection, readResponse } from "../e2e/raw.ts";
import {
  eventually,
  portOf,
  type RunningGateway,
  startAgent,
  startGateway,
  TEST_MS_MAX,
} from "../e2e/wall.ts";
import { TestAuthority } from "../support/certificates.ts";
import { useProcesses } from "../support/processes.ts";
import { RecordingTarget } from "../support/raw_http.ts";
import { dialTls } from "../support/tls_client.ts";

/** States of /proc/net/tcp. Source: Linux, include/net/tcp_states.h. */
const ESTABLISHED = "01";
const LISTEN = "0A";

/** How long an attacker waits for an answer that must not come, when the connection is not closed before. */
const SILENCE_MS = 3_000;

/** A socket of IPv4 in another process, as the kernel says. */
interface SocketRow {
  readonly state: string;
  readonly local: string;
  readonly remote: string;
}

/** The IPv4 sockets of a process; its address and port are `127.0.0.1:80`. */
function socketsOf(pid: number): SocketRow[] {
  const inodes = new Set<string>();
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
      if (inode !== undefined) inodes.add(inode);
    } catch {
      // Closed meanwhile.
    }
  }
  const rows = readFileSync(`/proc/${pid}/net/tcp`, "utf8").trim().split("\n").slice(1)
    .map((row) => row.trim().split(/\s+/));
  return rows.filter((cells) => inodes.has(cells[9]!))
    .map((cells) => ({ state: cells[3]!, local: endpoint(cells[1]!), remote: endpoint(cells[2]!) }));
}

/** `0100007F:0050` is 127.0.0.1:80: the address is in the byte order of the machine, which is little-endian. */
function endpoint(hex: string): string {
  const [address, port] = hex.split(":") as [string, string];
  return `${[...Buffer.from(address, "hex")].reverse().join(".")}:${parseInt(port, 16)}`;
}

/** A connection of a gateway to itself: the port that is dialled, and the port that it comes from. */
interface InnerConnection {
  readonly to: number;
  readonly from: number;
}

/** The connections of a gateway to ports of its own that its ready line does not name. */
function innerConnections(gateway: RunningGateway): InnerConnection[] {
  const rows = socketsOf(gateway.process.pid);
  const told = Object.values(gateway.addresses).map(portOf);
  const hidden = new Set(
    rows.filter(({ state }) => state === LISTEN).map(({ local }) => portOf(local))
      .filter((port) => !told.includes(port)),
  );
  return rows
    .filter(({ state, remote }) =>
      state === ESTABLISHED && remote.startsWith("127.0.0.1:") && hidden.has(portOf(remote))
    )
    .map(({ local, remote }) => ({ to: portOf(remote), from: portOf(local) }));
}

/** Connects from an address and port of one's own choice. */
function dialFrom(localAddress: string, { to, from }: InnerConnection): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: "127.0.0.1", port: to, localAddress, localPort: from });
    socket.once("error", reject);
    socket.once("connect", () => {
      // A runtime that does not take the port would attack nothing.
      if (socket.localPort !== from || socket.localAddress !== localAddress) {
        reject(new Error(`Cannot attack from ${localAddress}:${from}: got port ${socket.localPort}`));
      }
      socket.off("error", reject).on("error", () => {});
      resolve(socket);
    });
  });
}

/** Sends a request and gives all that comes back until the end, or nothing when nothing comes for long. */
async function answerTo(socket: Duplex, request: string): Promise<string> {
  const connection = new RawConnection(socket);
  connection.write(request);
  const rest = await connection.rest(SILENCE_MS).catch(() => connection.pending);
  connection.destroy();
  return rest.toString("latin1");
}

/** TLS over a connection; `undefined` when the other side does not do it. */
function overTls(socket: net.Socket): Promise<tls.TLSSocket | undefined> {
  return new Promise((resolve) => {
    const secure = tls.connect({ socket, servername: "own.test", rejectUnauthorized: false });
    const timer = setTimeout(() => resolve(undefined), SILENCE_MS);
    secure.once("secureConnect", () => {
      clearTimeout(timer);
      resolve(secure);
    });
    secure.on("error", () => resolve(undefined)).on("close", () => resolve(undefined));
  });
}

const request = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: own.test\r\n\r\n`;

/** What an attack is over: the port dialled as it is, or in TLS. */
const ATTACKERS = { plain: "127.0.0.2", upgrade: "127.0.0.3", tls: "127.0.0.4" };

/** Attacks a hidden port in every way, and gives what came back for each. */
async function attack(inner: InnerConnection): Promise<Record<string, string | undefined>> {
  const upgrade =
    "GET /stolen-upgrade HTTP/1.1\r\nHost: own.test\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";
  const secure = await overTls(await dialFrom(ATTACKERS.tls, inner));
  return {
    plain: await answerTo(await dialFrom(ATTACKERS.plain, inner), request("/stolen")),
    upgrade: await answerTo(await dialFrom(ATTACKERS.upgrade, inner), upgrade),
    tls: secure && await answerTo(secure, request("/stolen-tls")),
  };
}

/** Asks on a connection that stays open, and checks that its own answer comes. */
async function ask(connection: RawConnection, path: string): Promise<void> {
  connection.write(request(path));
  const answer = await readResponse(connection, "GET");
  expect([answer.status, answer.text()]).toEqual([200, `GET ${path} `]);
}

const processes = useProcesses();
const target = new RecordingTarget();
let authority: TestAuthority;
let certificate: string[];

beforeAll(async () => {
  await target.listen();
  authority = new TestAuthority();
  const { certPath, keyPath } = authority.leaf({ san: ["DNS:own.test"], commonName: "gateway" });
  certificate = ["--cert", certPath, "--key", keyPath];
});
afterAll(() => {
  target.close();
  authority?.dispose();
});

// The sockets of another process are read from /proc, and other systems have one loopback address alone.
const isLinux = process.platform === "linux";

for (const runtime of ["bun", "deno"] as const) {
  describe(`the inner ports of a gateway on ${runtime}`, () => {
    /** Starts a gateway and an agent that serves `web`, and calls it. */
    const start = async (args: string[]): Promise<{ gateway: RunningGateway; door: number }> => {
      const gateway = await startGateway(processes, runtime, { args: ["--route", "own.test=web", ...args] });
      const agent = await startAgent(processes, runtime, gateway, {
        token: await mintCaller(gateway.data, { name: "honest", serve: ["web"], reach: ["web"] }),
        args: ["--serve", `web=http://127.0.0.1:${target.port}`, "--reach", "web=127.0.0.1:0"],
      });
      return { gateway, door: await reachDoor(agent, "web") as number };
    };

    /**
     * Attacks every inner port from the port of every connection to it, while the honest visitor is there.
     *
     * @param expected How many connections of the gateway to itself carry the honest one.
     * @param inTls On how many of them TLS is spoken.
     */
    const check = async (
      gateway: RunningGateway,
      honest: RawConnection,
      expected: number,
      inTls: number,
    ): Promise<void> => {
      await ask(honest, "/before");
      const inner = await eventually(() => innerConnections(gateway), ({ length }) => length === expected);
      const seenBefore = target.requests.length;
      let tlsCount = 0;
      for (const [index, connection] of inner.entries()) {
        const { plain, upgrade, tls: secure } = await attack(connection);
        // A port where TLS is spoken may say in TLS that it was spoken to without.
        expect([/HTTP|GET/.test(plain!), /HTTP|GET/.test(upgrade!)]).toEqual([false, false]);
        if (secure !== undefined) {
          tlsCount++;
          expect(secure).toBe("");
        } else {
          expect([plain, upgrade]).toEqual(["", ""]);
        }
        await ask(honest, `/during-${index}`);
      }
      expect([inner.length, tlsCount]).toEqual([expected, inTls]);
      const seen = target.targets.slice(seenBefore);
      expect(seen.filter((path) => path.includes("stolen"))).toEqual([]);
      expect(seen).toHaveLength(expected);
      expect(gateway.process.stderr().includes('"fault"')).toBe(false);
      honest.destroy();
    };

    test.skipIf(!isLinux)("the door of calls answers the caller alone", async () => {
      const { gateway, door } = await start([]);
      await check(gateway, await RawConnection.open(door), 1, 0);
    }, TEST_MS_MAX);

    test.skipIf(!isLinux)("the own HTTPS answers its visitor alone", async () => {
      const { gateway } = await start(["--https", "127.0.0.1:0", ...certificate]);
      const socket = await dialTls(portOf(gateway.addresses["https"]), { servername: "own.test" });
      await check(gateway, new RawConnection(socket), 1, 0);
    }, TEST_MS_MAX);

    test.skipIf(!isLinux)("the own HTTPS behind server names answers its visitor alone", async () => {
      const { gateway } = await start(["--sni", "127.0.0.1:0", ...certificate]);
      const socket = await dialTls(portOf(gateway.addresses["sni"]), { servername: "own.test" });
      // From the door to TLS, and from TLS to HTTP.
      await check(gateway, new RawConnection(socket), 2, 1);
    }, TEST_MS_MAX);
  });
}
