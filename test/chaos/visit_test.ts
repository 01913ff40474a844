/**
 * That the visits of the chaos runs see what is wrong: servers that lie, cut, refuse and say nothing.
 *
 * @module
 */
import { afterAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import http, { type RequestListener } from "node:http";
import net, { type AddressInfo, type Server, type Socket } from "node:net";
import { type RawData, type WebSocket, WebSocketServer } from "ws";
import { isPayload, payload } from "./payload.ts";
import { type Doors, download, echo, IdleConnection, type Outcome, talk, upload } from "./visit.ts";

/** A hang is told after this long here. */
const HUNG_MS = 300;

const BYTES = 200_000;

const servers = new Set<Server>();
const sockets = new Set<Socket>();
afterAll(() => {
  for (const server of servers) server.close();
  for (const socket of sockets) socket.destroy();
});

/** Opens a port of loopback and gives doors that lead to it, whatever is asked for. */
async function doorsOf(server: Server): Promise<Doors> {
  servers.add(server);
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { host: "127.0.0.1", httpPort: port, tcpPort: port, hungMs: HUNG_MS };
}

/** The bytes of transfer 1 with one of them changed. */
function wrong(at: number): Uint8Array {
  const bytes = payload(1, 0, BYTES);
  bytes[at]! ^= 1;
  return bytes;
}

const right = payload(1, 0, BYTES);
const amount = { seed: 1, bytes: BYTES };

describe("payload()", () => {
  test("differs by transfer and by position", () => {
    expect(isPayload(1, 0, right)).toBe(true);
    expect(isPayload(1, 1000, right.subarray(1000))).toBe(true);
    expect(isPayload(2, 0, right)).toBe(false);
    for (const shift of [1, 1024, 65_536, 131_072]) expect(isPayload(1, shift, right)).toBe(false);
    expect(isPayload(1, 0, wrong(BYTES - 1))).toBe(false);
  });

  test("goes on where the table begins again", () => {
    const long = payload(3, 0, 3 << 20);
    for (const offset of [0, 1_048_000, 1_048_573, 2_097_000]) {
      expect(isPayload(3, offset, long.subarray(offset, offset + 2000))).toBe(true);
    }
  });
});

const downloads: readonly (readonly [what: string, listener: RequestListener, outcome: Outcome])[] = [
  ["the right bytes", (_q, r) => r.end(right), "ok"],
  ["one wrong byte", (_q, r) => r.end(wrong(150_000)), "wrong"],
  ["too few bytes in an answer that looks complete", (_q, r) => r.end(right.subarray(1)), "wrong"],
  ["an answer that is cut off", (_q, r) => {
    r.writeHead(200, { "content-length": BYTES });
    r.write(right.subarray(0, 1000), () => r.destroy());
  }, "cut"],
  ["a connection that ends before the head", (q) => q.socket.destroy(), "cut"],
  ["no answer", () => {}, "hung"],
  ["an answer that stands still", (_q, r) => {
    r.writeHead(200, { "content-length": BYTES });
    r.write(right.subarray(0, 1000));
  }, "hung"],
  ["a status of the gateway's", (_q, r) => r.writeHead(503).end(), "503"],
  ["a status of nobody's", (_q, r) => r.writeHead(418).end(), "status 418"],
];

describe("download()", () => {
  for (const [what, listener, outcome] of downloads) {
    test(`tells ${what}`, async () => {
      const doors = await doorsOf(http.createServer(listener));
      expect(await download(doors, amount).outcome).toBe(outcome);
    });
  }

  test("tells a port that nobody listens on", async () => {
    const server = http.createServer();
    const doors = await doorsOf(server);
    await new Promise((resolve) => server.close(resolve));
    expect(await download(doors, amount).outcome).toBe("refused");
  });
});

describe("upload()", () => {
  const digesting = (alter: (digest: string) => string): RequestListener => (request, response) => {
    const hash = createHash("sha256");
    request.on("data", (chunk: Uint8Array) => hash.update(chunk));
    request.on("end", () => response.end(alter(hash.digest("hex"))));
  };

  test("tells the right digest, a wrong one, an early answer and none", async () => {
    const outcome = async (listener: RequestListener): Promise<string> =>
      await upload(await doorsOf(http.createServer(listener)), amount).outcome;
    expect(await outcome(digesting((digest) => digest))).toBe("ok");
    expect(await outcome(digesting((digest) => digest.replace(/.$/, "-")))).toBe("wrong");
    expect(await outcome((_q, response) => response.writeHead(502).end())).toBe("502");
    expect(await outcome((request) => request.resume())).toBe("hung");
  });
});

describe("talk()", () => {
  /** A WebSocket server that answers a message with what it is told to. */
  const talking = (answer: (socket: WebSocket, data: Uint8Array, count: number) => void): Promise<Doors> => {
    const server = http.createServer();
    const webSockets = new WebSocketServer({ server });
    webSockets.on("connection", (socket: WebSocket) => {
      let count = 0;
      socket.on("error", () => {});
      socket.on("message", (data: RawData) => answer(socket, data as Uint8Array, count++));
    });
    return doorsOf(server);
  };
  const outcome = async (doors: Promise<Doors>): Promise<string> =>
    await talk(await doors, { seed: 1, bytes: 100 }, 5, 0).outcome;

  test("tells echoes that are right, wrong, doubled, cut off and missing", async () => {
    expect(await outcome(talking((socket, data) => socket.send(data)))).toBe("ok");
    const first = payload(1, 0, 100);
    expect(await outcome(talking((socket) => socket.send(first)))).toBe("wrong");
    expect(
      await outcome(talking((socket, data) => {
        socket.send(data);
        socket.send(data);
      })),
    ).toBe("wrong");
    expect(
      await outcome(talking((socket, data, count) => count < 3 ? socket.send(data) : socket.close(1011))),
    )
      .toBe("cut");
    expect(await outcome(talking((socket, data, count) => count < 3 ? socket.send(data) : undefined))).toBe(
      "hung",
    );
  });

  test("tells the status of an upgrade that is refused", async () => {
    const server = http.createServer();
    server.on("upgrade", (_request, socket) => {
      socket.end("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    });
    expect(await outcome(doorsOf(server))).toBe("503");
  });
});

describe("echo()", () => {
  const echoing = (serve: (socket: Socket) => void): Promise<Doors> =>
    doorsOf(net.createServer({ allowHalfOpen: true }, serve));
  const outcome = async (doors: Promise<Doors>): Promise<string> =>
    await echo(await doors, { ...amount, perSecond: 4 << 20 }).outcome;

  test("tells bytes that are right, wrong, cut off and missing", async () => {
    expect(await outcome(echoing((socket) => void socket.pipe(socket)))).toBe("ok");
    expect(await outcome(echoing((socket) => socket.on("data", () => socket.write("?"))))).toBe("wrong");
    expect(
      await outcome(echoing((socket) =>
        socket.once("data", (chunk) => {
          socket.end(chunk);
        })
      )),
    ).toBe("cut");
    expect(await outcome(echoing((socket) => socket.once("data", () => socket.destroy())))).toBe("cut");
    expect(await outcome(echoing((socket) => socket.resume()))).toBe("hung");
  });

  test("an idle connection works, was closed, or hangs", async () => {
    const idle = async (serve: (socket: Socket) => void): Promise<string> => {
      const connection = new IdleConnection(await echoing(serve));
      return await connection.ask(HUNG_MS);
    };
    expect(await idle((socket) => void socket.pipe(socket))).toBe("ok");
    expect(await idle((socket) => socket.destroy())).toBe("cut");
    expect(await idle((socket) => socket.resume())).toBe("hung");
  });
});
