/**
 * Events to syslog: addresses, messages to the letter of RFC 5424, and receivers that come, go and stall.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import dgram from "node:dgram";
import net from "node:net";
import tls from "node:tls";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { EventSink } from "../../lib/events/sinks/sink.ts";
import {
  parseSyslogAddress,
  type SyslogAddress,
  type SyslogOptions,
  syslogSink,
} from "../../lib/events/sinks/syslog.ts";
import {
  DATAGRAM_BYTES_MAX,
  MESSAGE_BYTES_MAX,
  syslogMessage,
} from "../../lib/events/sinks/syslog_message.ts";
import { TestAuthority } from "../support/certificates.ts";
import { sampleEvent, ToldFaults, until } from "./event_samples.ts";

const authority = new TestAuthority();
const ORIGIN = { hostname: "edge-1", processId: 42 };
let faults = new ToldFaults();
let sinks: EventSink[] = [];
let servers: net.Server[] = [];
const sockets = new Set<net.Socket>();

beforeEach(() => {
  faults = new ToldFaults();
});
afterEach(async () => {
  for (const sink of sinks.splice(0)) await sink.close(0);
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  for (const server of servers.splice(0)) server.close();
});
afterAll(() => {
  sinks = [];
  servers = [];
  authority.dispose();
});

function listen(server: net.Server, port = 0): Promise<number> {
  servers.push(server);
  server.on("connection", (socket: net.Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
  });
  return new Promise((resolve) => {
    server.listen(port, "127.0.0.1", () => resolve((server.address() as net.AddressInfo).port));
  });
}

function sinkOf(address: SyslogAddress, options: Partial<SyslogOptions> = {}): EventSink {
  const { onFault, onHealed } = faults;
  const tuning = { backoffMsMin: 5, backoffMsMax: 20 };
  const sink = syslogSink({ address, hostname: "edge-1", onFault, onHealed, tuning, ...options });
  sinks.push(sink);
  return sink;
}

function at(transport: SyslogAddress["transport"], port: number): SyslogAddress {
  return { transport, host: "127.0.0.1", port };
}

/** Reads octet-counted messages from a connection. What is no whole frame stays. */
class FrameReader {
  #bytes = Buffer.alloc(0);
  readonly messages: string[] = [];
  readonly read = (chunk: Uint8Array): void => {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    for (;;) {
      const match = /^(\d+) /.exec(this.#bytes.subarray(0, 12).toString("latin1"));
      if (match === null) return;
      const start = match[0].length;
      const end = start + Number(match[1]);
      if (this.#bytes.length < end) return;
      this.messages.push(this.#bytes.subarray(start, end).toString());
      this.#bytes = this.#bytes.subarray(end);
    }
  };
  numbers(): number[] {
    return this.messages.map((message) => Number(/ seq="(\d+)"/.exec(message)![1]));
  }
}

const MESSAGE =
  /^<(\d+)>1 (\S+) (\S+) netwall-gateway (\d+) (\S+) \[netwall@32473((?: [a-zA-Z]+="(?:[^"\\\]]|\\["\\\]])*")*)\](?: ([^]*))?$/;

/** Reads a message as RFC 5424 has it. */
function parsed(bytes: Uint8Array): { head: string[]; fields: Record<string, string>; text: string } {
  const match = MESSAGE.exec(Buffer.from(bytes).toString());
  if (match === null) throw new Error(`no message: ${Buffer.from(bytes).toString()}`);
  const fields: Record<string, string> = {};
  for (const [, name, value] of match[6]!.matchAll(/ ([a-zA-Z]+)="((?:[^"\\\]]|\\["\\\]])*)"/g)) {
    fields[name!] = value!.replace(/\\(["\\\]])/g, "$1");
  }
  return { head: match.slice(1, 6) as string[], fields, text: match[7] ?? "" };
}

describe("syslogMessage()", () => {
  test("is this for this event", () => {
    const event = sampleEvent(1, { severity: "critical", rule: { kind: "rule", id: "no-db", index: 3 } });
    const { head, fields, text } = parsed(syslogMessage(event, ORIGIN, MESSAGE_BYTES_MAX));
    expect(head).toEqual(["130", "2026-09-21T14:13:20.001Z", "edge-1", "42", "unexpectedConnection"]);
    expect(fields).toMatchObject({
      id: "00000001",
      effect: "alert",
      ruleKind: "rule",
      ruleId: "no-db",
      ruleIndex: "3",
      source: "shop/front-end",
      sourceClaimedHostname: "front-end-1",
      destination: "shop/user-db",
      destinationPort: "6379",
    });
    expect(text).toBe("front-end connected to user-db");
  });

  test.each([["info", "134"], ["warning", "132"], ["critical", "130"]] as const)(
    "%s is <%s>",
    (severity, priority) => {
      expect(parsed(syslogMessage(sampleEvent(1, { severity }), ORIGIN, 2_048)).head[0]).toBe(priority);
    },
  );

  test("marks text beyond ASCII, and no other", () => {
    const textOf = (message: string): string =>
      parsed(syslogMessage(sampleEvent(1, { message }), ORIGIN, 2_048)).text;
    expect(textOf("plain")).toBe("plain");
    // Decoding takes one mark away, and this is not the first character of a text.
    expect(textOf("Zürich")).toBe("\ufeffZürich");
    expect(textOf("")).toBe("");
  });

  test("escapes what would end a value, and shows no control character", () => {
    const name = 'a"b\\c]d[e\n<134>1 forged';
    const message = "one\ntwo\u0000\u202e";
    const bytes = syslogMessage(
      sampleEvent(1, { source: { kind: "host", name }, message }),
      { hostname: "bad host\n]", processId: 1 },
      8_192,
    );
    const { head, fields, text } = parsed(bytes);
    expect(fields["source"]).toBe('a"b\\c]d[e\\n<134>1 forged');
    expect(text).toBe("one\\ntwo\\u0000\\u202e");
    expect(head[2]).toBe("badhost]");
    expect(Buffer.from(bytes).includes(0x0a)).toBe(false);
  });

  test("is whole and within its bound for any texts", () => {
    const long = fc.string({ unit: "binary", maxLength: 1_024, size: "max" });
    let cases = 0;
    fc.assert(
      fc.property(
        long,
        long,
        long,
        fc.constantFrom(512, DATAGRAM_BYTES_MAX, MESSAGE_BYTES_MAX),
        (a, b, c, bytesMax) => {
          const event = sampleEvent(1);
          const end = { kind: "workload", name: a, image: b, agent: c, claimedHostname: a } as const;
          const bytes = syslogMessage(
            { ...event, source: end, destination: end, message: b },
            ORIGIN,
            bytesMax,
          );
          expect(bytes.length).toBeLessThanOrEqual(bytesMax);
          // Throws when a character was cut in two.
          new TextDecoder("utf-8", { fatal: true }).decode(bytes);
          expect(parsed(bytes).fields["id"]).toBe(event.id);
          cases++;
        },
      ),
      { numRuns: 30 },
    );
    expect(cases).toBe(30);
  });

  test("cuts the sentence first, at a whole character", () => {
    const event = sampleEvent(1, { message: "é".repeat(1_024) });
    const { fields, text } = parsed(syslogMessage(event, ORIGIN, DATAGRAM_BYTES_MAX));
    expect(fields["expected"]).toBe("user");
    expect(text).toMatch(/^\ufeffé{100,1000}$/);
  });
});

describe("syslogSink()", () => {
  test("sends counted messages over TCP, in order, on one connection", async () => {
    const reader = new FrameReader();
    let connections = 0;
    const port = await listen(net.createServer((socket) => {
      connections++;
      socket.on("data", reader.read);
    }));
    const sink = sinkOf(at("tcp", port));
    for (let number = 1; number <= 300; number++) sink.put(sampleEvent(number, { message: "grüße" }));
    await until(() => reader.messages.length === 300);
    sink.put(sampleEvent(301));
    await until(() => reader.messages.length === 301);
    expect(reader.numbers()).toEqual(Array.from({ length: 301 }, (_, index) => index + 1));
    expect(connections).toBe(1);
    expect(parsed(Buffer.from(reader.messages[0]!)).text).toBe("\ufeffgrüße");
    await sink.close(5_000);
    expect([sink.dropped, faults.told.length]).toEqual([0, 0]);
  });

  test("over TLS checks the certificate", async () => {
    const reader = new FrameReader();
    const right = authority.leaf({ san: ["IP:127.0.0.1"] });
    const wrong = authority.leaf({ san: ["DNS:other.test"] });
    const ports: number[] = [];
    for (const { cert, key } of [right, wrong]) {
      const server = tls.createServer({ cert, key }, (socket) => {
        socket.on("error", () => {});
        socket.on("data", reader.read);
      });
      server.on("tlsClientError", () => {});
      ports.push(await listen(server));
    }
    const trusted = sinkOf(at("tls", ports[0]!), { ca: authority.cert });
    for (let number = 1; number <= 200; number++) trusted.put(sampleEvent(number));
    await until(() => reader.messages.length === 200);
    expect(faults.told).toEqual([]);
    const unknown = sinkOf(at("tls", ports[0]!));
    const misnamed = sinkOf(at("tls", ports[1]!), { ca: authority.cert });
    unknown.put(sampleEvent(201));
    misnamed.put(sampleEvent(202));
    await until(() => faults.told.length === 2);
    for (const message of faults.told) {
      expect(message).toMatch(/^syslog: Cannot send events to tls:\/\/127\.0\.0\.1:\d+: ./);
    }
    await Promise.all([unknown.close(0), misnamed.close(0), trusted.close(1_000)]);
    expect(reader.messages).toHaveLength(200);
    expect([unknown.dropped, misnamed.dropped, trusted.dropped]).toEqual([1, 1, 0]);
  });

  test("sends datagrams, each a whole message of a bounded size", async () => {
    const server = dgram.createSocket("udp4");
    const got: Uint8Array[] = [];
    server.on("message", (message) => got.push(message));
    await new Promise<void>((resolve) => server.bind(0, "127.0.0.1", () => resolve()));
    try {
      const sink = sinkOf(at("udp", server.address().port));
      const long = "ß".repeat(1_024);
      sink.put(sampleEvent(1));
      sink.put(sampleEvent(2, { source: { kind: "workload", name: long, image: long }, message: long }));
      await until(() => got.length === 2);
      expect(got.map((message) => parsed(message).fields["id"])).toEqual(["00000001", "00000002"]);
      expect(got[1]!.length).toBeLessThanOrEqual(DATAGRAM_BYTES_MAX);
      await sink.close(1_000);
      expect(sink.dropped).toBe(0);
    } finally {
      server.close();
    }
  });

  test("connects again after the receiver left, and loses nothing that came while it was away", async () => {
    const first = new FrameReader();
    const server = net.createServer((socket) => socket.on("data", first.read));
    const port = await listen(server);
    const sink = sinkOf(at("tcp", port));
    sink.put(sampleEvent(1));
    await until(() => first.messages.length === 1);
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
    });
    // The end arrives before the next event: give the connection its turn to notice.
    await until(() => {
      if (faults.told.length === 0) sink.put(sampleEvent(2));
      return faults.told.length > 0;
    });
    sink.put(sampleEvent(3));
    const second = new FrameReader();
    await listen(net.createServer((socket) => socket.on("data", second.read)), port);
    await until(() => second.numbers().at(-1) === 3);
    expect(faults.told).toHaveLength(2);
    expect(faults.told[0]!).toContain(`Cannot send events to tcp://127.0.0.1:${port}: `);
    expect(faults.told[1]).toBe("syslog healed");
    expect(sink.dropped).toBe(0);
  });

  test("survives a receiver that resets, one after the other", async () => {
    let turn = 0;
    const reader = new FrameReader();
    const port = await listen(net.createServer((socket) => {
      if (turn++ < 5) return void socket.resetAndDestroy();
      socket.on("data", reader.read);
    }));
    const sink = sinkOf(at("tcp", port));
    let number = 0;
    await until(() => {
      sink.put(sampleEvent(++number));
      return reader.messages.length > 0;
    });
    const last = number;
    await until(() => reader.numbers().includes(last));
    expect(turn).toBe(6);
    expect(sink.dropped).toBe(0);
  });

  test("leaves a receiver that takes nothing, and bounds what waits for it", async () => {
    const port = await listen(net.createServer((socket) => void socket.pause()));
    const sink = sinkOf(at("tcp", port), {
      writeTimeoutMs: 200,
      tuning: { queueEventsMax: 500, backoffMsMin: 5, backoffMsMax: 5 },
    });
    const feed = setInterval(() => {
      for (let number = 1; number <= 500; number++) {
        sink.put(
          sampleEvent(number, {
            message: "x".repeat(1_000),
            source: { kind: "host", name: "y".repeat(1_000) },
          }),
        );
      }
    }, 1);
    try {
      await until(() => faults.told.length > 0);
    } finally {
      clearInterval(feed);
    }
    expect(faults.told[0]!).toContain("takes nothing for 200 ms");
    expect(sink.waiting).toBeLessThanOrEqual(500);
    expect(sink.dropped).toBeGreaterThan(0);
    await sink.close(0);
  });

  test("throws away what a receiver says", async () => {
    const reader = new FrameReader();
    const port = await listen(net.createServer((socket) => {
      socket.write("hello\r\n".repeat(1_000));
      socket.on("data", reader.read);
    }));
    const sink = sinkOf(at("tcp", port));
    sink.put(sampleEvent(1));
    sink.put(sampleEvent(2));
    await until(() => reader.messages.length === 2);
    expect(faults.told).toEqual([]);
  });

  test("close() gives up on a receiver that cannot be reached", async () => {
    const silent = await listen(net.createServer(() => {}));
    for (
      const address of [at("tcp", 1), at("tls", silent), { ...at("udp", 1), host: "no-such-host.invalid" }]
    ) {
      const sink = sinkOf(address);
      sink.put(sampleEvent(1));
      await sink.close(50);
      expect([sink.dropped, sink.waiting]).toEqual([1, 0]);
    }
  });
});

describe("parseSyslogAddress()", () => {
  const good: [text: string, address: SyslogAddress][] = [
    ["tcp://syslog.example.com:601", { transport: "tcp", host: "syslog.example.com", port: 601 }],
    ["TLS://Syslog.example.com", { transport: "tls", host: "syslog.example.com", port: 6514 }],
    ["udp://127.0.0.1", { transport: "udp", host: "127.0.0.1", port: 514 }],
    ["udp://[::1]:5514/", { transport: "udp", host: "::1", port: 5514 }],
    ["tls://[2001:db8::1]", { transport: "tls", host: "2001:db8::1", port: 6514 }],
  ];
  test.each(good)("reads %s", (text, address) => expect(parseSyslogAddress(text)).toEqual(address));

  const bad = [
    "",
    "syslog.example.com:514",
    "tcp://syslog.example.com",
    "http://syslog.example.com:514",
    "tcp://",
    "tcp://:514",
    "tcp://host:0",
    "tcp://host:65536",
    "tcp://host:5x",
    "tcp://host:514/path",
    "tcp://host:514?x=1",
    "tcp://user:hunter2@host:514",
    "tcp://::1:514",
    "tcp://[127.0.0.1]:514",
    "tcp://ho st:514",
    "tcp://host:514\ntcp://other:514",
    `tcp://${"a".repeat(400)}:514`,
  ];
  test("refuses what is none, and repeats no secret", () => {
    let count = 0;
    for (const text of bad) {
      let message = "";
      try {
        parseSyslogAddress(text);
      } catch (error) {
        message = String(error);
        count++;
      }
      expect(message).toMatch(/^SinkAddressError: (?:the )?syslog address .*: write /);
      expect(/hunter2|\n/.test(message)).toBe(false);
    }
    expect([good.length, count]).toEqual([5, 17]);
  });
});
