/**
 * What the other end of a WebSocket can do wrong or on purpose, frame by frame over a plain socket.
 *
 * @module
 */

import { afterEach, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { connect, createServer, type Socket } from "node:net";
import { dialLink, type GatewayAddress } from "../../lib/link/dial.ts";
import {
  LINK_BUFFERED_BYTES_MAX,
  LINK_CLOSE_TIMEOUT_MS,
  LINK_EARLY_BYTES_MAX,
  LINK_MESSAGE_BYTES_MAX,
} from "../../lib/link/link.ts";
import { pattern, Recorder, sameBytes } from "../contract/link.ts";
import { listen, startGateway } from "./link_pairs.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

/** One frame as a client sends it, RFC 6455 §5.2, with a mask of zeros. */
function frame(opcode: number, payload: Uint8Array, fin = true): Uint8Array {
  const head = Buffer.alloc(14);
  head[0] = (fin ? 0x80 : 0) | opcode;
  head[1] = 0x80 | 127;
  head.writeBigUInt64BE(BigInt(payload.byteLength), 2);
  // RFC 6455 §5.2: the shortest form of the length is the only one allowed.
  if (payload.byteLength > 0xffff) return Buffer.concat([head, payload]);
  const short = Buffer.alloc(payload.byteLength > 125 ? 8 : 6);
  short[0] = head[0]!;
  short[1] = 0x80 | (payload.byteLength > 125 ? 126 : payload.byteLength);
  if (payload.byteLength > 125) short.writeUInt16BE(payload.byteLength, 2);
  return Buffer.concat([short, payload]);
}

/** A stranger with the right token and its own idea of WebSocket, and the link the gateway made of it. */
async function rawAgent(): Promise<{ socket: Socket; heard: Recorder }> {
  const gateway = await startGateway("ws");
  if (gateway.address.kind !== "tcp") throw new Error("unreachable");
  const { host, port } = gateway.address;
  // Half open: the gateway's end of the socket must not end this one by itself.
  const socket = connect({ host, port, allowHalfOpen: true });
  socket.on("error", () => {});
  cleanups.push(() => socket.destroy(), () => gateway.dispose());
  const upgrade = [
    "GET /.netwall/link HTTP/1.1",
    "Host: x",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol: netwall.1",
    "Authorization: Bearer good",
  ];
  socket.write(`${upgrade.join("\r\n")}\r\n\r\n`);
  await new Promise<void>((resolve) => socket.once("data", () => resolve()));
  return { socket, heard: new Recorder(await gateway.nextLink()) };
}

/** Settles when the gateway has let go of the socket, whichever way this end learns of it. */
function over(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    for (const event of ["end", "error", "close"]) socket.on(event, () => resolve());
  });
}

describe("wrapWebSocket() under attack", () => {
  const bad: [string, Uint8Array][] = [
    ["a text message", frame(1, Buffer.from("hello"))],
    ["an empty text message", frame(1, Buffer.alloc(0))],
    ["a message over the limit", frame(2, Buffer.alloc(LINK_MESSAGE_BYTES_MAX + 1))],
    ["a length that is a lie", frame(2, Buffer.alloc(70_000)).fill(0xff, 2, 10)],
    [
      "fragments over the limit",
      Buffer.concat([frame(2, Buffer.alloc(900_000), false), frame(0, Buffer.alloc(900_000))]),
    ],
    ["a continuation of nothing", frame(0, Buffer.from("x"))],
    ["an opcode that does not exist", frame(5, Buffer.from("x"))],
    ["a reserved bit", frame(0x42, Buffer.from("x"))],
    ["a frame without a mask", Buffer.from([0x82, 1, 65])],
    ["a close code that is not allowed", frame(8, Buffer.from([0x03, 0xed]))],
    ["a ping over 125 bytes", frame(9, Buffer.alloc(126))],
  ];
  test("ends, not clean, on every broken or forbidden frame", async () => {
    // All at once: an end can take as long as the peer may take to answer a goodbye.
    const outcomes = await Promise.all(bad.map(async ([name, bytes]) => {
      const { socket, heard } = await rawAgent();
      heard.start();
      socket.write(bytes);
      const { clean } = await heard.closed();
      return { name, clean, bytes: heard.bytes, closes: heard.closes.length, late: heard.late };
    }));
    // Messages are passed on as they come: of the fragments the first was within the limit.
    const bytesOf = (name: string): number => name === "fragments over the limit" ? 900_000 : 0;
    expect(outcomes).toEqual(
      bad.map(([name]) => ({ name, clean: false, bytes: bytesOf(name), closes: 1, late: 0 })),
    );
    expect(bad.length).toBe(11);
  });

  test("delivers a message in fragments with a ping between them", async () => {
    const { socket, heard } = await rawAgent();
    heard.start();
    socket.resume();
    const whole = pattern(100_000, 4);
    socket.write(frame(2, whole.subarray(0, 10), false));
    socket.write(frame(9, Buffer.from("ping")));
    socket.write(frame(0, whole.subarray(10)));
    await heard.until(({ bytes }) => bytes === whole.byteLength);
    expect(sameBytes(heard.content(), whole)).toBe(true);
  });

  test("delivers what came of a message that is cut, and ends", async () => {
    const { socket, heard } = await rawAgent();
    heard.start();
    socket.write(frame(2, pattern(100, 1)));
    socket.write(frame(2, pattern(50_000, 1)).subarray(0, 20_000));
    await heard.until(({ bytes }) => bytes >= 100 + 19_000);
    socket.destroy();
    expect((await heard.closed()).clean).toBe(false);
    const sent = Buffer.concat([pattern(100, 1), pattern(50_000, 1)]);
    expect(sameBytes(heard.content(), sent.subarray(0, heard.bytes))).toBe(true);
    // The head of the long frame took eight of the 20,000 bytes.
    expect(heard.bytes).toBeLessThanOrEqual(100 + 19_992);
  });

  test("tells a goodbye with code 1001 from a lost connection", async () => {
    const { socket, heard } = await rawAgent();
    heard.start();
    socket.write(frame(8, Buffer.concat([Buffer.from([0x03, 0xe9]), Buffer.from("moving\u001b[31m\nout")])));
    const { clean, message } = await heard.closed();
    expect(clean).toBe(true);
    expect(message).toBe("Closed by the other side: moving [31m out");
  });

  test("ends in time when the peer says goodbye and keeps the socket open", async () => {
    const { socket, heard } = await rawAgent();
    heard.start();
    socket.write(frame(8, Buffer.from([0x03, 0xe8])));
    const startedAtMs = performance.now();
    await heard.closed();
    expect(performance.now() - startedAtMs).toBeLessThan(LINK_CLOSE_TIMEOUT_MS + 3_000);
  });

  test("keeps nothing of empty messages before start", async () => {
    const { socket, heard } = await rawAgent();
    const many = Buffer.concat(Array.from({ length: 10_000 }, () => frame(2, Buffer.alloc(0))));
    for (let round = 0; round < 50; round++) {
      if (!socket.write(many)) await new Promise((resolve) => socket.once("drain", resolve));
    }
    socket.write(frame(2, pattern(1_000, 3)));
    heard.start();
    await heard.until(({ bytes }) => bytes === 1_000);
    expect(heard.chunks.every(({ length }) => length > 0)).toBe(true);
    expect(heard.closes.length).toBe(0);
  });

  test("bounds single bytes before start", async () => {
    const { socket, heard } = await rawAgent();
    const many = Buffer.concat(Array.from({ length: 10_000 }, () => frame(2, Buffer.alloc(1))));
    const closed = over(socket);
    socket.resume();
    for (let sent = 0; sent <= LINK_EARLY_BYTES_MAX / 2 && socket.writable; sent += 10_000) {
      if (!socket.write(many)) {
        await Promise.race([new Promise((resolve) => socket.once("drain", resolve)), closed]);
      }
    }
    await closed;
    expect((await heard.start().closed()).message).toContain("too much");
    expect(heard.bytes).toBeLessThanOrEqual(LINK_EARLY_BYTES_MAX / 2);
  }, 60_000);

  test("bounds the pongs for a peer that pings and never reads", async () => {
    const { socket, heard } = await rawAgent();
    heard.start();
    socket.pause();
    const many = Buffer.concat(Array.from({ length: 8_000 }, () => frame(9, Buffer.alloc(125))));
    let peakBytes = 0;
    const closed = over(socket);
    for (let round = 0; round < 60 && heard.closes.length === 0; round++) {
      if (!socket.write(many)) {
        await Promise.race([new Promise((resolve) => socket.once("drain", resolve)), closed]);
      }
      peakBytes = Math.max(peakBytes, heard.link.bufferedBytes);
    }
    expect(peakBytes).toBeLessThanOrEqual(LINK_BUFFERED_BYTES_MAX);
  }, 60_000);
});

/** Answers one handshake as a gateway does, and gives what the dialer sends behind it. */
async function rawGateway(): Promise<
  { port: number; received: () => Buffer; until: (bytes: number) => Promise<void> }
> {
  let received = Buffer.alloc(0);
  let wake = (): void => {};
  const server = createServer((socket) => {
    socket.on("error", () => {});
    cleanups.push(() => socket.destroy());
    let head = "";
    socket.on("data", (chunk: Buffer) => {
      if (head.includes("\r\n\r\n")) {
        received = Buffer.concat([received, chunk]);
        return wake();
      }
      head += chunk.toString("latin1");
      const key = /sec-websocket-key: (\S+)/i.exec(head)?.[1];
      if (!head.includes("\r\n\r\n")) return;
      const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
      socket.write(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
          `Sec-WebSocket-Protocol: netwall.1\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
      );
    });
  });
  const port = await listen(server);
  cleanups.push(() => server.close());
  return {
    port,
    received: () => received,
    until: (bytes) =>
      new Promise((resolve) => {
        wake = () => void (received.byteLength >= bytes && resolve());
        wake();
      }),
  };
}

describe("dialLink() masks", () => {
  test("frames it sends are masked, and unmask to what was sent", async () => {
    const { port, received, until } = await rawGateway();
    const gateway: GatewayAddress = { kind: "tcp", secure: false, host: "127.0.0.1", port, path: "/" };
    const link = await dialLink({ gateway, token: "good" });
    new Recorder(link).start();
    link.send(pattern(100, 9));
    await until(106);
    const bytes = received();
    expect([bytes[0], bytes[1]]).toEqual([0x82, 0x80 | 100]);
    const payload = bytes.subarray(6, 106).map((byte, index) => byte ^ bytes[2 + index % 4]!);
    expect(sameBytes(payload, pattern(100, 9))).toBe(true);
    link.terminate("done");
  });
});
