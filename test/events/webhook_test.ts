/**
 * Events to a webhook: batches, signatures, what is sent again, and servers that misbehave. The server is a real one.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createHmac } from "node:crypto";
import http from "node:http";
import https from "node:https";
import net from "node:net";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { EventSink, SinkTimers } from "../../lib/events/sinks/sink.ts";
import {
  parseWebhookUrl,
  RETRY_AFTER_MS_MAX,
  signatureOf,
  WEBHOOK_BODY_BYTES_MAX,
  WEBHOOK_EVENTS_MAX,
  type WebhookOptions,
  webhookSink,
} from "../../lib/events/sinks/webhook.ts";
import { TestAuthority } from "../support/certificates.ts";
import { sampleEvent, ToldFaults, until } from "./event_samples.ts";

interface Delivered {
  readonly headers: http.IncomingHttpHeaders;
  readonly method: string;
  readonly url: string;
  readonly body: string;
  readonly numbers: number[];
}

type Answer = (outgoing: http.ServerResponse, delivered: Delivered, index: number) => void;

const SECRET = "a secret that both know";
const authority = new TestAuthority();
let faults = new ToldFaults();
let received: Delivered[] = [];
const sinks: EventSink[] = [];
const servers: net.Server[] = [];
const sockets = new Set<net.Socket>();

beforeEach(() => {
  faults = new ToldFaults();
  received = [];
});
afterEach(async () => {
  for (const sink of sinks.splice(0)) await sink.close(0);
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  for (const server of servers.splice(0)) server.close();
});
afterAll(() => authority.dispose());

function listen(server: net.Server): Promise<number> {
  servers.push(server);
  server.on("connection", (socket: net.Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve((server.address() as net.AddressInfo).port));
  });
}

/** A receiver that keeps what came, and answers. */
function receiver(answer: Answer): http.RequestListener {
  return (incoming, outgoing) => {
    const chunks: Uint8Array[] = [];
    incoming.on("error", () => {});
    incoming.on("data", (chunk: Uint8Array) => chunks.push(chunk));
    incoming.on("end", () => {
      const body = Buffer.concat(chunks).toString();
      const { events } = JSON.parse(body) as { events: { seq: number }[] };
      const numbers = events.map(({ seq }) => seq);
      const { headers, method = "", url = "" } = incoming;
      received.push({ headers, method, url, body, numbers });
      answer(outgoing, received.at(-1)!, received.length - 1);
    });
  };
}

async function serve(answer: Answer): Promise<URL> {
  return new URL(`http://127.0.0.1:${await listen(http.createServer(receiver(answer)))}/hook?token=hidden`);
}

function status(code: number, headers: http.OutgoingHttpHeaders = {}): Answer {
  return (outgoing) => void outgoing.writeHead(code, headers).end();
}

function sinkOf(url: URL, options: Partial<WebhookOptions> = {}): EventSink {
  const { onFault, onHealed } = faults;
  const tuning = { backoffMsMin: 5, backoffMsMax: 20 };
  const sink = webhookSink({ url, secret: SECRET, waitMs: 20, onFault, onHealed, tuning, ...options });
  sinks.push(sink);
  return sink;
}

/** Timers that keep what was asked for and never wait longer than a moment. */
class HastyTimers implements SinkTimers {
  readonly asked: number[] = [];
  readonly nowMs = (): number => performance.now();
  readonly setTimeout = (callback: () => void, ms: number): unknown => {
    this.asked.push(ms);
    return setTimeout(callback, Math.min(ms, 10));
  };
  readonly clearTimeout = (timer: unknown): void => clearTimeout(timer as ReturnType<typeof setTimeout>);
}

describe("webhookSink()", () => {
  test("posts events that come together as one signed batch", async () => {
    const sink = sinkOf(await serve(status(200)));
    for (const number of [1, 2, 3]) sink.put(sampleEvent(number, { message: "ünïcode 💥 \u2028" }));
    await until(() => sink.waiting === 0);
    expect(received).toHaveLength(1);
    const { headers, method, url, body, numbers } = received[0]!;
    expect([method, url, numbers]).toEqual(["POST", "/hook?token=hidden", [1, 2, 3]]);
    expect(headers["content-type"]).toBe("application/json");
    expect(headers["netwall-delivery"]).toMatch(/^[0-9a-f-]{36}$/);
    expect(headers["user-agent"]).toMatch(/^netwall-gateway\//);
    // As a receiver checks it.
    const match = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(headers["netwall-signature"]));
    const [, seconds = "", mac = ""] = match ?? [];
    expect(createHmac("sha256", SECRET).update(`${seconds}.${body}`).digest("hex")).toBe(mac);
    expect(Math.abs(Number(seconds) - Date.now() / 1_000)).toBeLessThan(60);
    expect((JSON.parse(body) as { events: unknown[] }).events[0]).toEqual(
      sampleEvent(1, { message: "ünïcode 💥 \u2028" }),
    );
    expect(faults.told).toEqual([]);
  });

  test("signs nothing without a secret", async () => {
    const { onFault, onHealed } = faults;
    const sink = webhookSink({ url: await serve(status(204)), waitMs: 0, onFault, onHealed });
    sinks.push(sink);
    sink.put(sampleEvent(1));
    await until(() => sink.waiting === 0);
    expect(received[0]!.headers["netwall-signature"]).toBeUndefined();
  });

  test("signatureOf() is what other programs compute", () => {
    // printf '1700000000.{"events":[]}' | openssl dgst -sha256 -hmac whisper
    const value = signatureOf("whisper", 1_700_000_000, Buffer.from('{"events":[]}'));
    expect(value).toBe("t=1700000000,v1=2d28df138cb8ce1d12982b6fae516015e56ac8c5e53ebf7eaee394dec93c7bb2");
  });

  test("keeps batches within their bounds, in order", async () => {
    const sink = sinkOf(await serve(status(200)));
    const long = "x".repeat(1_024);
    const end = { kind: "workload", name: long, image: long, agent: long, claimedHostname: long } as const;
    for (let number = 1; number <= 350; number++) {
      sink.put(sampleEvent(number, number > 250 ? { source: end, destination: end, message: long } : {}));
    }
    await until(() => sink.waiting === 0);
    expect(received.flatMap(({ numbers }) => numbers)).toEqual(
      Array.from({ length: 350 }, (_, at) => at + 1),
    );
    expect(Math.max(...received.map(({ numbers }) => numbers.length))).toBe(WEBHOOK_EVENTS_MAX);
    expect(Math.max(...received.map(({ body }) => body.length))).toBeLessThanOrEqual(WEBHOOK_BODY_BYTES_MAX);
    expect(received.length).toBeGreaterThan(4);
    expect(new Set(received.map(({ headers }) => headers["netwall-delivery"])).size).toBe(received.length);
  });

  const retried = [408, 429, 500, 502, 503, 599];
  test.each(retried)("sends the same batch again after %d", async (code) => {
    const sink = sinkOf(
      await serve((outgoing, delivered, index) => status(index < 2 ? code : 200)(outgoing, delivered, index)),
    );
    sink.put(sampleEvent(1));
    await until(() => received.length >= 1);
    sink.put(sampleEvent(2));
    await until(() => sink.waiting === 0);
    expect(received.map(({ numbers }) => numbers)).toEqual([[1], [1], [1], [2]]);
    const ids = received.map(({ headers }) => headers["netwall-delivery"]);
    expect(new Set(ids.slice(0, 3)).size).toBe(1);
    expect(ids[3] === ids[0]).toBe(false);
    expect(faults.told).toHaveLength(2);
    expect(faults.told[0]!).toMatch(
      new RegExp(`^webhook: The webhook http://127\\.0\\.0\\.1:\\d+ answers ${code}$`),
    );
    expect(sink.dropped).toBe(0);
  });

  const refused = [300, 302, 307, 400, 401, 403, 404, 410, 413, 422];
  test.each(refused)("drops a batch at once after %d, and goes on with the next", async (code) => {
    const url = await serve((outgoing, delivered, index) =>
      status(index === 0 ? code : 200, { location: "/elsewhere" })(outgoing, delivered, index)
    );
    const sink = sinkOf(url);
    sink.put(sampleEvent(1));
    await until(() => received.length >= 1);
    sink.put(sampleEvent(2));
    await until(() => sink.waiting === 0);
    expect(received.map(({ numbers }) => numbers)).toEqual([[1], [2]]);
    expect(received.every(({ url }) => url === "/hook?token=hidden")).toBe(true);
    expect(sink.dropped).toBe(1);
    expect(faults.told).toHaveLength(2);
    expect(faults.told.join().includes("hidden")).toBe(false);
  });

  test("all statuses were tried", () => expect([retried.length, refused.length]).toEqual([6, 10]));

  test("waits as long as Retry-After says, within a bound", async () => {
    const timers = new HastyTimers();
    const answers = ["7", "999999", new Date(Date.now() + 60_000).toUTCString(), "soon", "-5"];
    const sink = sinkOf(
      await serve((outgoing, delivered, index) =>
        status(index < answers.length ? 503 : 200, { "retry-after": answers[index] ?? "0" })(
          outgoing,
          delivered,
          index,
        )
      ),
      { tuning: { timers, random: () => 0 }, waitMs: 1 },
    );
    sink.put(sampleEvent(1));
    await until(() => sink.waiting === 0);
    const [wait, seven, capped, date, ...others] = timers.asked;
    expect([wait, seven, capped]).toEqual([1, 7_000, RETRY_AFTER_MS_MAX]);
    expect(date).toBeGreaterThan(30_000);
    expect(date).toBeLessThanOrEqual(60_000);
    expect(others).toEqual([0, 0]);
  });

  test("waits longer after each failure, with jitter, up to a bound", async () => {
    const timers = new HastyTimers();
    const sink = sinkOf(
      await serve((outgoing, delivered, index) => status(index < 9 ? 500 : 200)(outgoing, delivered, index)),
      { tuning: { timers, random: () => 0.5 }, waitMs: 1 },
    );
    sink.put(sampleEvent(1));
    await until(() => sink.waiting === 0);
    expect(timers.asked.slice(1)).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  });

  test("gives a batch up after its time, counts it, and goes on", async () => {
    const sink = sinkOf(
      await serve((outgoing, delivered, index) =>
        status(delivered.numbers[0] === 1 ? 500 : 200)(outgoing, delivered, index)
      ),
      { retryForMs: 50 },
    );
    sink.put(sampleEvent(1));
    await until(() => received.length >= 1);
    sink.put(sampleEvent(2));
    await until(() => sink.waiting === 0);
    expect(sink.dropped).toBe(1);
    expect(received.at(-1)!.numbers).toEqual([2]);
    expect(faults.told).toHaveLength(2);
  });

  test("survives a server that refuses, resets, is silent or talks nonsense", async () => {
    let turn = 0;
    const port = await listen(net.createServer((socket) => {
      const at = turn++;
      if (at === 0) return void socket.resetAndDestroy();
      if (at === 1) return void socket.resume();
      if (at === 2) return void socket.end("SSH-2.0-OpenSSH\r\n");
      if (at === 3) return void socket.end();
      if (at === 4) {
        return void socket.end(
          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        );
      }
      socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    }));
    const sink = sinkOf(new URL(`http://127.0.0.1:${port}/`), { timeoutMs: 200 });
    sink.put(sampleEvent(1));
    await until(() => sink.waiting === 0);
    expect(turn).toBeGreaterThanOrEqual(6);
    expect(sink.dropped).toBe(0);
    expect(faults.told).toHaveLength(2);
    const closed = sinkOf(new URL("http://127.0.0.1:1/"));
    closed.put(sampleEvent(1));
    await until(() => faults.told.length === 3);
    expect(faults.told[2]!).toMatch(/^webhook: Cannot reach the webhook http:\/\/127\.0\.0\.1:1: /);
  });

  test("reads little of an answer that pours", async () => {
    let written = 0;
    const sink = sinkOf(
      await serve((outgoing) => {
        outgoing.writeHead(200);
        outgoing.on("error", () => {});
        const pour = (): void => {
          let isTaken = true;
          while (isTaken && !outgoing.destroyed && written < 64 << 20) {
            isTaken = outgoing.write(Buffer.alloc(65_536));
            written += 65_536;
          }
        };
        outgoing.on("drain", pour);
        pour();
      }),
      { timeoutMs: 8_000 },
    );
    sink.put(sampleEvent(1));
    await until(() => sink.waiting === 0);
    expect(written).toBeLessThan(32 << 20);
    expect([received.length, sink.dropped, faults.told.length]).toEqual([1, 0, 0]);
  }, 20_000);

  test("takes the status of an answer whose body never ends", async () => {
    const sink = sinkOf(await serve((outgoing) => void outgoing.writeHead(200).write("slow")), {
      timeoutMs: 200,
    });
    sink.put(sampleEvent(1));
    await until(() => sink.waiting === 0);
    expect([received.length, sink.dropped, faults.told.length]).toEqual([1, 0, 0]);
  });

  test("checks the certificate of an https address", async () => {
    const right = authority.leaf({ san: ["IP:127.0.0.1"] });
    const wrong = authority.leaf({ san: ["DNS:other.test"] });
    const ports: number[] = [];
    for (const { cert, key } of [right, wrong]) {
      ports.push(await listen(https.createServer({ cert, key }, receiver(status(200)))));
    }
    const trusted = sinkOf(new URL(`https://127.0.0.1:${ports[0]}/`), { ca: authority.cert });
    trusted.put(sampleEvent(1));
    await until(() => trusted.waiting === 0);
    expect(received).toHaveLength(1);
    expect(faults.told).toEqual([]);
    const unknown = sinkOf(new URL(`https://127.0.0.1:${ports[0]}/`));
    const misnamed = sinkOf(new URL(`https://127.0.0.1:${ports[1]}/`), { ca: authority.cert });
    unknown.put(sampleEvent(2));
    misnamed.put(sampleEvent(3));
    await until(() => faults.told.length === 2);
    expect(received).toHaveLength(1);
  });

  test("close() sends what waits, without waiting for more or for the end of an outage", async () => {
    const timers = { backoffMsMin: 60_000, backoffMsMax: 60_000, random: () => 0.9 };
    const sink = sinkOf(
      await serve((outgoing, delivered, index) =>
        status(index === 0 ? 503 : 200)(outgoing, delivered, index)
      ),
      { waitMs: 0, tuning: timers },
    );
    sink.put(sampleEvent(1));
    await until(() => faults.told.length === 1);
    sink.put(sampleEvent(2));
    await sink.close(10_000);
    expect(received.map(({ numbers }) => numbers)).toEqual([[1], [1], [2]]);
    expect(sink.dropped).toBe(0);
    const gathering = sinkOf(await serve(status(200)), { waitMs: 60_000 });
    gathering.put(sampleEvent(3));
    await gathering.close(10_000);
    expect(received.at(-1)!.numbers).toEqual([3]);
  });

  test("close() leaves a server that does not answer after its grace", async () => {
    const sink = sinkOf(await serve(() => {}), { waitMs: 0 });
    sink.put(sampleEvent(1));
    await until(() => received.length >= 1);
    await sink.close(30);
    expect([sink.dropped, sink.waiting]).toEqual([1, 0]);
  });
});

describe("parseWebhookUrl()", () => {
  const good = ["https://siem.example.com/x?key=1", "http://127.0.0.1:9000", "https://[::1]:1/"];
  test.each(good)("takes %s", (text) => expect(parseWebhookUrl(text)).toBeInstanceOf(URL));

  const bad = [
    "",
    "siem.example.com",
    "ftp://siem.example.com",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "https://",
    "https://user:hunter2@siem.example.com/",
    "https://siem.example.com/#part",
    `https://siem.example.com/${"x".repeat(3_000)}`,
  ];
  test("refuses what is none, and repeats no secret", () => {
    let count = 0;
    for (const text of bad) {
      let message = "";
      try {
        parseWebhookUrl(text);
      } catch (error) {
        message = String(error);
        count++;
      }
      expect(message).toMatch(/^SinkAddressError: the webhook/);
      expect(message.includes("hunter2")).toBe(false);
    }
    expect([good.length, count]).toEqual([3, 9]);
  });
});
