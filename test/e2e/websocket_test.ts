/**
 * WebSockets and other upgrades through the wall.
 *
 * Both ends are the `ws` package as it is published, not what a runtime puts in its place; where single bytes matter
 * they are raw sockets.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { WebSocket as Socket } from "ws";
import { ROOT, useProcesses } from "../support/processes.ts";
import { answer, fieldOf, get, RawConnection, RawTarget, readHead, readResponse, request } from "./raw.ts";
import {
  ensureBuilt,
  eventually,
  type Pairing,
  PAIRINGS,
  type RunningGateway,
  startAgent,
  startGateway,
  TEST_MS_MAX,
} from "./wall.ts";

// By its path: the bare name is Bun's own.
const { WebSocket, WebSocketServer } = await import(
  join(ROOT, "node_modules/ws/wrapper.mjs")
) as typeof import("ws");

const UPGRADE = [
  "Connection: Upgrade",
  "Upgrade: websocket",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

const BUILT: readonly Pairing[] = [["bundle-bun", "bundle-deno"], ["bundle-deno", "bundle-bun"], [
  "executable",
  "executable",
]];

const processes = useProcesses();
let echo: Server;
let raw: RawTarget;
/** How the visitor closed, by path. */
const closed = new Map<string, { code: number; reason: string }>();

/** Echoes; closes on request, and offers the second of the subprotocols. */
function startEcho(): Promise<Server> {
  const server = createServer((_request, response) => response.writeHead(404).end());
  const sockets = new WebSocketServer({
    noServer: true,
    handleProtocols: (protocols) => [...protocols][1] ?? false,
  });
  server.on("upgrade", (incoming, socket, head) => {
    if (incoming.url === "/forbidden") {
      const body = "not for you";
      const lines = [
        "HTTP/1.1 403 Forbidden",
        "X-Reason: closed",
        `Content-Length: ${body.length}`,
        "",
        body,
      ];
      return void socket.end(lines.join("\r\n"));
    }
    sockets.handleUpgrade(incoming, socket, head, (ws) => {
      const path = incoming.url ?? "";
      ws.on("message", (data, isBinary) => {
        if (String(data) === "close me") return ws.close(4321, "as you wish");
        if (String(data) === "kill me") return ws.terminate();
        ws.send(data, { binary: isBinary });
      });
      ws.on("close", (code, reason) => closed.set(path, { code, reason: String(reason) }));
    });
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

beforeAll(async () => {
  echo = await startEcho();
  raw = await RawTarget.start();
});
afterAll(() => {
  echo?.closeAllConnections();
  echo?.close();
  raw?.close();
});

/** Settles with the first event of this name; rejects on an error and after a while. */
function once(socket: Socket, event: string): Promise<unknown[]> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`No ${event} of the WebSocket`)), 15_000);
    const settle = (then: () => void): void => {
      clearTimeout(timer);
      then();
    };
    socket.once(event, (...args: unknown[]) => settle(() => resolve(args)));
    if (event !== "error") socket.once("error", (error) => settle(() => reject(error)));
  });
}

let count = 0;

for (const pairing of [...PAIRINGS, ...BUILT]) {
  const [gatewayRuntime, agentRuntime] = pairing;
  describe(`gateway on ${gatewayRuntime}, agent on ${agentRuntime}`, () => {
    let gateway: RunningGateway;
    let port = 0;
    const it = (name: string, body: () => Promise<void>): void => test(name, body, TEST_MS_MAX);
    const dial = async (path: string, protocols: string[] = []): Promise<Socket> => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols, { perMessageDeflate: false });
      await once(socket, "open");
      return socket;
    };

    beforeAll(async () => {
      ensureBuilt(gatewayRuntime);
      ensureBuilt(agentRuntime);
      gateway = await startGateway(processes, gatewayRuntime, {
        args: ["--route", "*=echo", "--route", "raw.test=raw"],
      });
      port = gateway.port;
      const echoUrl = `http://127.0.0.1:${(echo.address() as AddressInfo).port}`;
      await startAgent(processes, agentRuntime, gateway, {
        args: ["--serve", `echo=${echoUrl}`, "--serve", `raw=${raw.url}`],
      });
    });
    afterAll(async () => {
      await gateway?.process.stop();
    });

    it("text, and 1 MiB of binary, come back as they were", async () => {
      const socket = await dial("/");
      for (const data of ["hello", "", "grüße \u{1f600}", randomBytes(1 << 20), randomBytes(70_000)]) {
        socket.send(data);
        const [message, isBinary] = await once(socket, "message") as [Buffer, boolean];
        expect(isBinary).toBe(typeof data !== "string");
        expect(message.equals(Buffer.from(data as Buffer))).toBe(true);
      }
      socket.close();
      await once(socket, "close");
    });

    it("many messages keep their order", async () => {
      const socket = await dial("/");
      const got: string[] = [];
      const all = new Promise<void>((resolve) =>
        socket.on("message", (data) => {
          got.push(String(data));
          if (got.length === 2_000) resolve();
        })
      );
      for (let i = 0; i < 2_000; i++) socket.send(String(i));
      await all;
      expect(got).toEqual(Array.from({ length: 2_000 }, (_, i) => String(i)));
      socket.terminate();
    });

    it("the target picks the subprotocol", async () => {
      const socket = await dial("/", ["first", "second", "third"]);
      expect(socket.protocol).toBe("second");
      socket.close();
      await once(socket, "close");
    });

    it("close codes and reasons pass, both ways", async () => {
      const path = `/close-${++count}`;
      const visitor = await dial(path);
      visitor.close(4001, "bye");
      const [code] = await once(visitor, "close");
      expect(code).toBe(4001);
      const atTarget = await eventually(() => closed.get(path), (value) => value !== undefined);
      expect(atTarget).toEqual({ code: 4001, reason: "bye" });
      const other = await dial("/");
      other.send("close me");
      const [otherCode, reason] = await once(other, "close");
      expect([otherCode, String(reason)]).toEqual([4321, "as you wish"]);
    });

    it("a visitor who vanishes is gone at the target, and the other way round", async () => {
      const path = `/vanish-${++count}`;
      const visitor = await dial(path);
      visitor.terminate();
      const atTarget = await eventually(() => closed.get(path), (value) => value !== undefined);
      expect(atTarget?.code).toBe(1006);
      const other = await dial("/");
      other.send("kill me");
      const [code] = await once(other, "close");
      expect(code).toBe(1006);
    });

    it("ping and pong pass", async () => {
      const socket = await dial("/");
      socket.ping("are you there");
      const [data] = await once(socket, "pong");
      expect(String(data)).toBe("are you there");
      socket.close();
      await once(socket, "close");
    });

    it("a target that refuses is heard, with its body, and the connection closes", async () => {
      const connection = await RawConnection.open(port);
      connection.write(get("/forbidden", UPGRADE));
      const response = await readResponse(connection);
      expect([response.status, response.text(), response.field("x-reason")]).toEqual([
        403,
        "not for you",
        "closed",
      ]);
      expect((await connection.rest()).length).toBe(0);
      connection.destroy();
    });

    it("the handshake reaches the target whole", async () => {
      const path = `/handshake-${++count}`;
      raw.on(path, (connection) => connection.write(answer(400, "enough")));
      const fields = [
        ...UPGRADE,
        "Sec-WebSocket-Protocol: a, b",
        "Origin: https://a.test",
        "Sec-WebSocket-Extensions: x",
      ];
      await request(port, get(path, ["Host: raw.test", ...fields]));
      const seen = await raw.request(path);
      for (const field of fields) {
        const [name = "", value] = field.split(": ");
        expect([name, fieldOf(seen, name)]).toEqual([name, value]);
      }
      expect(fieldOf(seen, "x-forwarded-for")).toBe("127.0.0.1");
    });

    it("bytes behind the handshake wait for the 101", async () => {
      const path = `/early-${++count}`;
      let early: Buffer | undefined;
      let release: (() => void) | undefined;
      raw.on(path, async (connection) => {
        await new Promise<void>((resolve) => release = resolve);
        early = Buffer.from(connection.pending);
        connection.write(
          "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        );
        connection.write(`got ${await connection.until("second")}`);
        await connection.rest();
      });
      const visitor = await RawConnection.open(port);
      visitor.write(`${get(path, ["Host: raw.test", ...UPGRADE])}first `);
      await raw.request(path);
      visitor.write("second");
      // A round trip through the same link: what was sent before would have come by now.
      await request(port, get("/round-trip", ["Host: raw.test"]));
      release?.();
      expect((await readHead(visitor)).line).toMatch(/^HTTP\/1\.1 101 /);
      await visitor.until("got first second");
      expect(early?.toString()).toBe("");
      visitor.destroy();
    });

    it("a request hidden behind a refused upgrade is not served", async () => {
      const path = `/refused-${++count}`;
      raw.on(path, (connection) => connection.write(answer(404, "no")));
      const visitor = await RawConnection.open(port);
      const hidden = get(`/hidden-${count}`, ["Host: raw.test"]);
      visitor.write(get(path, ["Host: raw.test", ...UPGRADE]) + hidden);
      const all = (await visitor.rest()).toString("latin1");
      expect(all.match(/HTTP\/1\.1/g)).toHaveLength(1);
      expect(raw.count(`/hidden-${count}`)).toBe(0);
      visitor.destroy();
    });

    it("any other protocol is spliced, and each side may end alone", async () => {
      const path = `/other-${++count}`;
      raw.on(path, async (connection, seen) => {
        expect(fieldOf(seen, "upgrade")).toBe("Chat/1.0");
        connection.write(
          "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: Chat/1.0\r\n\r\nwelcome\n",
        );
        // The visitor says its last word, and still hears the answer.
        const said = (await connection.rest()).toString();
        connection.write(said.toUpperCase());
        connection.end();
      });
      const visitor = await RawConnection.open(port);
      visitor.write(get(path, ["Host: raw.test", "Connection: Upgrade", "Upgrade: Chat/1.0"]));
      const head = await readHead(visitor);
      expect(head.line).toMatch(/^HTTP\/1\.1 101 /);
      expect([fieldOf(head, "upgrade"), fieldOf(head, "connection")]).toEqual(["Chat/1.0", "Upgrade"]);
      await visitor.until("welcome\n");
      visitor.write("some words");
      visitor.end();
      expect((await visitor.rest()).toString()).toBe("SOME WORDS");
    });

    it("an upgrade to h2c is answered over HTTP/1.1, and the target hears nothing of it", async () => {
      const path = `/h2c-${++count}`;
      const fields = [
        "Host: raw.test",
        "Connection: Upgrade, HTTP2-Settings",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABk",
      ];
      const response = await request(port, get(path, fields));
      expect([response.status, response.text()]).toEqual([200, "ok"]);
      const seen = await raw.request(path);
      for (const name of ["upgrade", "http2-settings", "connection"]) {
        expect([name, fieldOf(seen, name)]).toEqual([name, undefined]);
      }
    });

    it("a 101 that nobody asked for is a broken answer", async () => {
      const path = `/unasked-${++count}`;
      raw.on(path, (connection) => {
        connection.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
      });
      expect((await request(port, get(path, ["Host: raw.test"]))).status).toBe(502);
    });

    it("no route, no upgrade", async () => {
      const response = await request(port, get("/", ["Host: a", "Host: b", ...UPGRADE]));
      expect(response.status).toBe(400);
    });
  });
}
