/**
 * The doors of a gateway together: which a configuration asks for, all or none of them, and how they close.
 *
 * @module
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gatewayConfig } from "../../lib/config/gateway_config.ts";
import { loadConfig } from "../../lib/config/load.ts";
import type { Incoming } from "../../lib/gateway/connections.ts";
import type { PublicListenersOptions } from "../../lib/gateway/listener_options.ts";
import {
  doorsOf,
  listenAt,
  openListeners,
  type PublicListeners,
} from "../../lib/gateway/public_listeners.ts";
import type { FlagValues } from "../../lib/settings.ts";
import { TcpEnd } from "../e2e/tcp_wall.ts";
import { ownLoopbackPorts, portsSince } from "../support/own_ports.ts";
import { exchangeRaw } from "../support/raw_http.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "netwall-doors-"));
});
const AT = { host: "127.0.0.1", port: 0 };
const opened: PublicListeners[] = [];
afterEach(async () => {
  for (const listeners of opened.splice(0)) await listeners.close(0);
  rmSync(folder, { recursive: true, force: true });
});

const portOf = (address: unknown): number => Number(String(address).split(":").at(-1));

async function open(
  change: Partial<PublicListenersOptions>,
): Promise<{ listeners: PublicListeners; connections: Incoming[]; refused: string[] }> {
  const connections: Incoming[] = [];
  const refused: string[] = [];
  const listeners = await openListeners({
    ...{ http: undefined, https: undefined, sni: undefined, certificates: [], tcp: [], links: [] },
    limits: { headBytesMax: 32_768, headTimeoutMs: 2_000, keepAliveTimeoutMs: 5_000, connectionsMax: 100 },
    onVisitor: ({ outgoing }, peer, secure) => void outgoing!.end(`visitor ${peer} ${secure}`),
    onLink: ({ outgoing }) => void outgoing!.end("link"),
    decideTls: () => ({ kind: "refuse" }),
    onConnection: (incoming) => connections.push(incoming),
    onUnreadable: () => {},
    onRefused: (queue) => refused.push(queue),
    finishConnections: () => {
      for (const { socket } of connections) socket.reset();
      return Promise.resolve();
    },
    onCertificate: () => {},
    ...change,
  });
  opened.push(listeners);
  return { listeners, connections, refused };
}

describe("doorsOf()", () => {
  const doors = (flags: FlagValues): ReturnType<typeof doorsOf> =>
    doorsOf(loadConfig({ schema: gatewayConfig, flags, env: {} }));

  test("opens HTTP alone by default", () => {
    expect(doors({})).toEqual({
      ...{ http: { host: "0.0.0.0", port: 8080 }, https: undefined, sni: undefined },
      ...{ certificates: [], tcp: [], links: [] },
      limits: {
        ...{
          headBytesMax: 32_768,
          headTimeoutMs: 10_000,
          keepAliveTimeoutMs: 65_000,
          connectionsMax: 10_000,
        },
      },
    });
  });

  test("puts the door of names in front where both have one port, and leaves them apart elsewhere", () => {
    const files = { cert: ["c"], key: ["k"], http: "off" };
    const both = (https: string, sni: string): unknown => {
      const { https: own, sni: names } = doors({ ...files, https, sni });
      return [own, names];
    };
    const at = (port: number, host = "0.0.0.0"): unknown => ({ kind: "tcp", host, port });
    expect(both(":443", "0.0.0.0:443")).toEqual([undefined, at(443)]);
    expect(both(":443", ":8443")).toEqual([at(443), at(8443)]);
    expect(both("127.0.0.1:443", ":443")).toEqual([at(443, "127.0.0.1"), at(443)]);
    // Port 0 is a free one for each.
    expect(both(":0", ":0")).toEqual([at(0), at(0)]);
    expect(both("off", ":443")).toEqual([undefined, at(443)]);
    expect(both(":443", "off")).toEqual([at(443), undefined]);
    expect(doors({ ...files, https: ":443" }).certificates).toEqual([{ certPath: "c", keyPath: "k" }]);
  });

  test("keeps raw doors in order, each with its service", () => {
    const { tcp, links, http } = doors({
      ...{ tcp: [":2=b", "unix:/run/a.sock=a", "[::1]:1=b"], link: ["unix:/run/l.sock"], http: "off" },
    });
    expect(tcp).toEqual([
      { at: { host: "0.0.0.0", port: 2 }, service: "b" },
      { at: { path: "/run/a.sock" }, service: "a" },
      { at: { host: "::1", port: 1 }, service: "b" },
    ]);
    expect([links, http]).toEqual([[{ path: "/run/l.sock" }], undefined]);
    expect(listenAt({ kind: "off" })).toBeUndefined();
  });
});

describe("raw doors", () => {
  test("are opened in order, on ports and on unix sockets, and each leads to its service", async () => {
    const path = join(folder, "db.sock");
    const { listeners, connections } = await open({
      tcp: [{ at: AT, service: "one" }, { at: { path }, service: "two" }, { at: AT, service: "one" }],
    });
    const addresses = listeners.addresses["tcp"] as string[];
    expect(addresses).toHaveLength(3);
    expect(addresses[1]).toBe(`unix:${path}`);
    expect(statSync(path).mode & 0o777).toBe(0o660);
    for (const at of [portOf(addresses[0]), path, portOf(addresses[2])]) await TcpEnd.connect(at);
    for (let i = 0; connections.length < 3; i++) {
      if (i > 1000) throw new Error("The connections do not come");
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    expect(connections.map(({ service }) => service).sort()).toEqual(["one", "one", "two"]);
    const two = connections.find(({ service }) => service === "two")!;
    expect(two.fields).toEqual([]);
    const [, source, , destination] = connections.find(({ service }) => service === "one")!.fields;
    expect(source).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(addresses).toContain(destination!);
    await listeners.close(0);
    expect(existsSync(path)).toBe(false);
  });

  test("take no more connections than the limit, each door by itself", async () => {
    const limits = {
      headBytesMax: 32_768,
      headTimeoutMs: 2_000,
      keepAliveTimeoutMs: 5_000,
      connectionsMax: 1,
    };
    const { listeners, refused, connections } = await open({
      ...{ limits, tcp: [{ at: AT, service: "a" }, { at: AT, service: "b" }] },
    });
    const [a, b] = (listeners.addresses["tcp"] as string[]).map(portOf);
    const first = await TcpEnd.connect(a!);
    const second = await TcpEnd.connect(a!);
    expect(await second.gone()).toBe("ECONNRESET");
    expect(refused).toEqual(["connections"]);
    const other = await TcpEnd.connect(b!);
    expect([first.closed, other.closed]).toEqual([false, false]);
    for (let i = 0; connections.length < 2; i++) {
      if (i > 1000) throw new Error("The connections do not come");
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    for (const end of [first, other]) end.destroy();
  });

  test("take the place of a socket that was left over, and of no file that is something else", async () => {
    const path = join(folder, "stale.sock");
    const server = net.createServer().listen(path);
    await new Promise((resolve) => server.once("listening", resolve));
    await expect(open({ tcp: [{ at: { path }, service: "a" }] })).rejects.toThrow(/another process does/);
    await new Promise((resolve) => server.close(resolve));
    const file = join(folder, "file");
    writeFileSync(file, "mine");
    await expect(open({ tcp: [{ at: { path: file }, service: "a" }] })).rejects.toThrow(`unix:${file}`);
    expect(existsSync(file)).toBe(true);
    const again = await open({ tcp: [{ at: { path }, service: "a" }] });
    expect(again.listeners.addresses["tcp"]).toEqual([`unix:${path}`]);
  });
});

describe("openListeners()", () => {
  test("opens HTTP, links and raw doors together, and says where", async () => {
    const path = join(folder, "link.sock");
    const { listeners } = await open({
      ...{ http: AT, links: [{ path }, AT], tcp: [{ at: AT, service: "db" }] },
    });
    const { http, tcp, link } = listeners.addresses;
    expect(Object.keys(listeners.addresses).sort()).toEqual(["http", "link", "tcp"]);
    expect([tcp!.length, link!.length, listeners.httpsPort]).toEqual([1, 2, undefined]);
    const request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    expect(await exchangeRaw(portOf(http), request)).toContain("visitor 127.0.0.1 false");
    expect(await exchangeRaw(portOf(link![1]), request)).toMatch(/\r\nlink$|link\r\n0\r\n\r\n$/);
  });

  test("opens all or none: one that fails closes those that were open before", async () => {
    const path = join(folder, "first.sock");
    const busy = net.createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => busy.once("listening", resolve));
    const port = portOf((busy.address() as net.AddressInfo).port);
    const before = ownLoopbackPorts();
    const failing: Partial<PublicListenersOptions>[] = [
      { http: AT, tcp: [{ at: { path }, service: "a" }, { at: { host: "127.0.0.1", port }, service: "b" }] },
      { http: AT, tcp: [{ at: { path }, service: "a" }], links: [{ host: "127.0.0.1", port }] },
      { http: { host: "127.0.0.1", port }, sni: AT },
      { http: AT, sni: { host: "127.0.0.1", port } },
    ];
    for (const options of failing) {
      await expect(open(options)).rejects.toThrow(`127.0.0.1:${port}: the port is taken`);
      expect([portsSince(before), existsSync(path)]).toEqual([[], false]);
    }
    expect(failing).toHaveLength(4);
    await new Promise((resolve) => busy.close(resolve));
  });

  test("names what is wrong with an address that is not there", async () => {
    const cases: [PublicListenersOptions["tcp"][number]["at"], RegExp][] = [
      [{ host: "192.0.2.1", port: 0 }, /^Cannot listen on 192\.0\.2\.1:0: /],
      [{ path: join(folder, "no/such/folder.sock") }, /the directory does not exist, create it/],
    ];
    for (const [at, message] of cases) {
      await expect(open({ tcp: [{ at, service: "a" }] })).rejects.toThrow(message);
    }
    expect(cases).toHaveLength(2);
  });

  test("close() takes nothing new, waits for the raw connections, and ends the links behind them", async () => {
    const order: string[] = [];
    let finish = (): void => {};
    const { listeners } = await open({
      ...{ http: AT, tcp: [{ at: AT, service: "db" }] },
      finishConnections: (graceMs) => {
        order.push(`finish ${graceMs}`);
        return new Promise((resolve) => finish = resolve);
      },
    });
    const port = portOf((listeners.addresses["tcp"] as string[])[0]);
    const closed = listeners.close(1234, () => {
      order.push("links");
      return Promise.resolve();
    }).then(() => order.push("closed"));
    const late = await TcpEnd.connect(port);
    expect(late.error).toBe("ECONNREFUSED");
    await new Promise((resolve) => setTimeout(resolve, 120));
    expect(order).toEqual(["finish 1234"]);
    finish();
    await closed;
    expect(order).toEqual(["finish 1234", "links", "closed"]);
    opened.splice(0);
  });
});
