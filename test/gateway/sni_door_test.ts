/**
 * The door of server names: what is read, what goes on unchanged, and what happens to those who say nothing or nonsense.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import net, { type AddressInfo } from "node:net";
import { join } from "node:path";
import { type SniDecision, SniDoor } from "../../lib/gateway/sni_door.ts";
import { CLIENT_HELLO_BYTES_MAX, tlsAlert } from "../../lib/tcp/client_hello.ts";
import type { ClientHello } from "../../lib/tcp/client_hello_message.ts";
import type { ByteSocket } from "../../lib/runtime/byte_socket.ts";
import { TcpEnd, TcpTarget } from "../e2e/tcp_wall.ts";
import { parseHex } from "../support/hex_frames.ts";
import { Changing } from "../support/raw_http.ts";

const FIXTURES = join(import.meta.dirname!, "../fixtures/client_hello");
const fixture = (name: string): Buffer =>
  Buffer.from(parseHex(readFileSync(join(FIXTURES, `${name}.hex`), "utf8")));

/** A door that remembers what it was told. */
class Rig extends Changing {
  door!: SniDoor;
  readonly hellos: ClientHello[] = [];
  readonly passed: { socket: ByteSocket; service: string; hello: ClientHello; first: Buffer }[] = [];
  readonly refused: string[] = [];
  readonly unreadable: string[] = [];
  decide: (hello: ClientHello) => SniDecision = () => ({ kind: "pass", service: "web" });
  readonly #visitors: TcpEnd[] = [];

  async listen(
    change: { ownPort?: number; connectionsMax?: number; helloTimeoutMs?: number } = {},
  ): Promise<this> {
    this.door = await SniDoor.listen({
      ...{
        host: "127.0.0.1",
        port: 0,
        connectionsMax: 100,
        helloTimeoutMs: 5_000,
        ownPort: undefined,
        ...change,
      },
      decide: (hello) => {
        this.hellos.push(hello);
        return this.decide(hello);
      },
      onPass: (socket, service, hello, first) => {
        this.passed.push({ socket, service, hello, first: Buffer.from(first) });
        this.changed();
      },
      onRefused: (queue) => {
        this.refused.push(queue);
        this.changed();
      },
      onUnreadable: (_address, message) => this.unreadable.push(message),
    });
    return this;
  }

  async visit(data?: Uint8Array | string): Promise<TcpEnd> {
    const visitor = await TcpEnd.connect(this.door.port);
    this.#visitors.push(visitor);
    if (data !== undefined) visitor.write(data);
    return visitor;
  }

  /** Waits for the connection of this number that was passed on. */
  async pass(index = 0): Promise<Rig["passed"][number]> {
    await this.until(() => this.passed.length > index, () => `connection ${index} to be passed on`);
    return this.passed[index]!;
  }

  close(): void {
    for (const visitor of this.#visitors) visitor.destroy();
    for (const { socket } of this.passed) socket.reset();
    this.door.close();
  }
}

let rig: Rig;
const targets: TcpTarget[] = [];
afterEach(() => {
  rig.close();
  for (const target of targets.splice(0)) target.close();
});

/** All that a passed connection still sends, byte for byte. */
function read(socket: ByteSocket): { text: () => string; ended: () => boolean } {
  const chunks: Buffer[] = [];
  let ended = false;
  socket.start({
    onData: (chunk) => {
      chunks.push(Buffer.from(chunk));
      rig.changed();
    },
    onEnd: () => {
      ended = true;
      rig.changed();
    },
    onDrain: () => {},
    onClose: () => rig.changed(),
  });
  return { text: () => Buffer.concat(chunks).toString("latin1"), ended: () => ended };
}

describe("a ClientHello", () => {
  test("is read from every client, and goes on byte for byte", async () => {
    rig = await new Rig().listen();
    const clients: [string, string | undefined, string[]][] = [
      ["curl", "curl.example.com", ["h2", "http/1.1"]],
      ["bun", "bun.example.com", ["h2", "http/1.1"]],
      ["openssl-no-name", undefined, []],
    ];
    for (const [index, [name, serverName, alpn]] of clients.entries()) {
      const bytes = fixture(name);
      await rig.visit(bytes);
      const { service, hello, first } = await rig.pass(index);
      expect(service).toBe("web");
      expect([name, hello.serverName, [...hello.alpn]]).toEqual([name, serverName, alpn]);
      expect(first.equals(bytes)).toBe(true);
    }
    expect(clients).toHaveLength(3);
    expect([rig.refused, rig.unreadable]).toEqual([[], []]);
  });

  test("that comes byte by byte is the same, and decided once", async () => {
    rig = await new Rig().listen();
    const bytes = fixture("curl");
    const visitor = await rig.visit();
    visitor.socket.setNoDelay(true);
    for (const byte of bytes.subarray(0, 100)) {
      await new Promise<void>((resolve) => visitor.socket.write(Uint8Array.of(byte), () => resolve()));
    }
    expect(rig.hellos).toEqual([]);
    visitor.write(bytes.subarray(100));
    const { first } = await rig.pass();
    expect(first.equals(bytes)).toBe(true);
    expect(rig.hellos).toHaveLength(1);
  });

  test("with bytes behind it goes on with all of them, and what comes later is held back until it is read", async () => {
    rig = await new Rig().listen();
    const bytes = fixture("curl");
    const behind = Buffer.alloc(300_000, "0123456789");
    const visitor = await rig.visit(Buffer.concat([bytes, behind]));
    const { socket, first } = await rig.pass();
    expect(first.subarray(0, bytes.length).equals(bytes)).toBe(true);
    visitor.write("end").end();
    await new Promise((resolve) => setTimeout(resolve, 30));
    const rest = read(socket);
    await rig.until(() => rest.ended(), () => "the end");
    const all = first.subarray(bytes.length).toString("latin1") + rest.text();
    expect(all.length).toBe(behind.length + 3);
    expect(all === `${behind.toString("latin1")}end`).toBe(true);
    expect(rig.hellos).toHaveLength(1);
  });
});

describe("an end right behind the hello", () => {
  test("reaches whoever takes the connection, however much later", async () => {
    rig = await new Rig().listen();
    const visitor = await rig.visit();
    visitor.write(fixture("curl")).end();
    const { socket } = await rig.pass();
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect([visitor.closed, visitor.error]).toEqual([false, undefined]);
    const rest = read(socket);
    await rig.until(() => rest.ended(), () => "the end");
    socket.write(Buffer.from("answer"));
    socket.end();
    expect(String(await visitor.rest())).toBe("answer");
    expect(await visitor.gone()).toBe("end");
  });

  test("reaches the own HTTPS, which still answers", async () => {
    const own = await TcpTarget.echo();
    targets.push(own);
    rig = await new Rig().listen({ ownPort: own.port });
    rig.decide = () => ({ kind: "own" });
    for (let i = 0; i < 20; i++) {
      const visitor = await rig.visit();
      visitor.write(fixture("curl")).end();
      expect((await visitor.rest()).equals(fixture("curl"))).toBe(true);
      expect(await visitor.gone()).toBe("end");
    }
  });
});

describe("who is turned away", () => {
  test("for a name that leads nowhere is told in TLS, and the connection ends", async () => {
    rig = await new Rig().listen();
    rig.decide = () => ({ kind: "refuse" });
    const visitor = await rig.visit(fixture("curl"));
    expect([...await visitor.rest()]).toEqual([...tlsAlert("unrecognized_name")]);
    visitor.end();
    expect(await visitor.gone()).toBe("end");
    expect([rig.refused, rig.passed.length]).toEqual([[], 0]);
  });

  test("and goes on sending is cut off soon, and what it sends is kept nowhere", async () => {
    rig = await new Rig().listen();
    rig.decide = () => ({ kind: "refuse" });
    const visitor = await rig.visit(fixture("curl"));
    await visitor.rest();
    const started = performance.now();
    const timer = setInterval(() => visitor.write(Buffer.alloc(10_000)), 10);
    await visitor.until(() => visitor.closed, () => "the connection to be cut off");
    clearInterval(timer);
    expect(performance.now() - started).toBeLessThan(8_000);
    expect(rig.hellos).toHaveLength(1);
  });

  test("for saying nothing in time is reset, and counted", async () => {
    rig = await new Rig().listen({ helloTimeoutMs: 100 });
    const bytes = fixture("curl");
    const silent = await rig.visit();
    const slow = await rig.visit(bytes.subarray(0, bytes.length - 1));
    expect([await silent.gone(), await slow.gone()]).toEqual(["ECONNRESET", "ECONNRESET"]);
    expect([rig.refused, rig.hellos]).toEqual([["hellos", "hellos"], []]);
    // Sending on and on does not help.
    const trickle = await rig.visit(bytes.subarray(0, 5));
    const timer = setInterval(() => trickle.write(Uint8Array.of(1)), 20);
    await trickle.until(() => trickle.closed, () => "the connection to be cut off");
    clearInterval(timer);
    expect(rig.refused).toHaveLength(3);
  });

  test("in time is not cut off later", async () => {
    rig = await new Rig().listen({ helloTimeoutMs: 100 });
    const visitor = await rig.visit(fixture("curl"));
    const { socket } = await rig.pass();
    await new Promise((resolve) => setTimeout(resolve, 250));
    expect([visitor.closed, rig.refused]).toEqual([false, []]);
    socket.write(Buffer.from("x"));
    expect(String(await visitor.take(1))).toBe("x");
  });

  test("for speaking no TLS is reset without a word", async () => {
    rig = await new Rig().listen();
    const texts = [
      "GET / HTTP/1.1\r\n\r\n",
      "\0",
      "SSH-2.0-x\r\n",
      "\x80\x2e\x01\x03\x01",
      "\x16\x02\x00\x00\x01\x01",
    ];
    for (const text of texts) {
      const visitor = await rig.visit(Buffer.from(text, "latin1"));
      expect([text, await visitor.gone(), visitor.readBytes]).toEqual([text, "ECONNRESET", 0]);
    }
    expect(texts).toHaveLength(5);
    expect(rig.refused).toEqual(texts.map(() => "hellos"));
    expect(rig.unreadable.every((message) => message.includes("does not begin with a TLS handshake"))).toBe(
      true,
    );
  });

  test("for a hello that can be read in two ways, or never ends, is told so in TLS", async () => {
    rig = await new Rig().listen();
    const curl = fixture("curl");
    const broken = Buffer.from(curl);
    broken[9 + 2 + 32] = 33;
    const endless = Buffer.concat([Buffer.from("1603014000" + "01003ff0", "hex"), Buffer.alloc(20_000)]);
    for (const bytes of [broken, endless, Buffer.from("16030100050200000100", "hex")]) {
      const visitor = await rig.visit(bytes);
      const got = await visitor.rest();
      // A reset may overtake the alert when more was sent than was read.
      if (bytes !== endless || got.length > 0) expect([...got]).toEqual([...tlsAlert("decode_error")]);
    }
    expect(rig.unreadable).toHaveLength(3);
    expect(endless.length).toBeGreaterThan(CLIENT_HELLO_BYTES_MAX);
    expect([rig.refused.length, rig.hellos.length]).toEqual([3, 0]);
  });

  test("for being one too many is reset, and one that leaves makes room", async () => {
    rig = await new Rig().listen({ connectionsMax: 2 });
    const [one] = [await rig.visit(), await rig.visit()];
    const third = await rig.visit();
    expect(await third.gone()).toBe("ECONNRESET");
    expect(rig.refused).toEqual(["connections"]);
    one!.reset();
    for (let tries = 0; rig.passed.length === 0; tries++) {
      if (tries > 200) throw new Error("Nobody made room");
      await rig.visit(fixture("curl"));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(rig.passed.length).toBe(1);
  });

  test("who ends or breaks off before the hello is gone without a count", async () => {
    rig = await new Rig().listen({ helloTimeoutMs: 200 });
    const ended = await rig.visit(fixture("curl").subarray(0, 20));
    ended.end();
    expect(await ended.gone()).toMatch(/^ECONNRESET|end$/);
    (await rig.visit(fixture("curl").subarray(0, 20))).reset();
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect([rig.refused, rig.hellos]).toEqual([[], []]);
  });
});

describe("the own HTTPS behind the door", () => {
  test("gets the whole connection, and knows who is behind it", async () => {
    let visitorAt: string | undefined;
    const own = await TcpTarget.start((end) => {
      visitorAt = rig.door.visitorOf(end.socket.remoteAddress!, end.socket.remotePort!);
      end.socket.pipe(end.socket);
    });
    targets.push(own);
    rig = await new Rig().listen({ ownPort: own.port });
    rig.decide = () => ({ kind: "own" });
    const bytes = fixture("curl");
    const visitor = await rig.visit(bytes);
    expect((await visitor.take(bytes.length)).equals(bytes)).toBe(true);
    expect(visitorAt === undefined || visitorAt === "127.0.0.1").toBe(true);
    const port = own.ends[0]!.socket.remotePort!;
    expect(rig.door.visitorOf("127.0.0.1", port)).toBe("127.0.0.1");
    // The same port of another address of loopback is somebody else's.
    const others = ["127.0.0.2", "127.0.1.1", "::ffff:127.0.0.1", "::1", ""];
    for (const other of others) expect([other, rig.door.visitorOf(other, port)]).toEqual([other, undefined]);
    expect(others).toHaveLength(5);
    const more = Buffer.alloc(500_000, "abcdefg");
    visitor.write(more).end();
    const back = await visitor.rest();
    expect(back.length).toBe(more.length);
    expect(back.equals(more)).toBe(true);
    await visitor.gone();
    for (let tries = 0; rig.door.visitorOf("127.0.0.1", port) !== undefined; tries++) {
      if (tries > 500) throw new Error("The visitor is still known");
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(rig.passed).toEqual([]);
  });

  test("knows nobody for a connection that was not made by the door", async () => {
    const own = await TcpTarget.start();
    targets.push(own);
    rig = await new Rig().listen({ ownPort: own.port });
    const stranger = await TcpEnd.connect(own.port);
    expect(rig.door.visitorOf("127.0.0.1", stranger.socket.localPort!)).toBeUndefined();
    expect(rig.door.visitorOf("127.0.0.1", 0)).toBeUndefined();
    stranger.destroy();
  });

  test("that is gone resets the visitor", async () => {
    const probe = net.createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => probe.once("listening", resolve));
    const ownPort = (probe.address() as AddressInfo).port;
    await new Promise((resolve) => probe.close(resolve));
    rig = await new Rig().listen({ ownPort });
    rig.decide = () => ({ kind: "own" });
    expect(await (await rig.visit(fixture("curl"))).gone()).toBe("ECONNRESET");
  });

  test("that breaks off is a reset for the visitor, and the other way round", async () => {
    const own = await TcpTarget.start();
    targets.push(own);
    rig = await new Rig().listen({ ownPort: own.port });
    rig.decide = () => ({ kind: "own" });
    const [one, two] = [await rig.visit(fixture("curl")), await rig.visit(fixture("curl"))];
    const ends = [await own.connection(0), await own.connection(1)];
    for (const end of ends) await end.take(1);
    expect(rig.hellos).toHaveLength(2);
    ends[0]!.reset();
    const broken = await Promise.race([one, two].map(async (each) => ({ each, how: await each.gone() })));
    expect(broken.how).toBe("ECONNRESET");
    const other = broken.each === one ? two : one;
    other.reset();
    expect(await ends[1]!.gone()).toBe("ECONNRESET");
  });
});

test("a port that is taken rejects", async () => {
  rig = await new Rig().listen();
  const failed = await SniDoor.listen({
    ...{ host: "127.0.0.1", port: rig.door.port, connectionsMax: 1, helloTimeoutMs: 1, ownPort: undefined },
    ...{ decide: rig.decide, onPass: () => {}, onRefused: () => {}, onUnreadable: () => {} },
  }).catch((error) => error);
  expect(failed.code).toBe("EADDRINUSE");
});
