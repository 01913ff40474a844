/**
 * Tests of the last requests: what is kept, for how many, and that nothing that is kept is a secret.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { HEAD_BYTES_KEPT_MAX } from "../../lib/traffic/kept_request.ts";
import { RecordedBody, RecordedBytes } from "../../lib/traffic/recorded_body.ts";
import { Recordings, RECORDINGS_MAX } from "../../lib/traffic/recordings.ts";
import {
  REQUEST_LOG_BYTES_MAX,
  RequestLog,
  REQUESTS_KEPT_MAX,
  REQUESTS_PER_SERVICE_MAX,
} from "../../lib/traffic/request_log.ts";
import { bodiesOf, requestFacts } from "../support/traffic_rig.ts";

const S = "hunter2SECRETvalue";

/** Adds so many requests of a service. */
function fill(log: RequestLog, service: string, count: number): void {
  for (let i = 0; i < count; i++) log.add(requestFacts({ id: `${service}-${i}`, service }));
}

function countOf(log: RequestLog, service: string): number {
  return log.list({ service, limit: 10_000 }).items.length;
}

describe("what is kept", () => {
  test("is as many of a service as it may have, the newest", () => {
    const log = new RequestLog();
    fill(log, "web", REQUESTS_PER_SERVICE_MAX + 50);
    const { items } = log.list({ limit: 1_000 });
    expect(items).toHaveLength(REQUESTS_PER_SERVICE_MAX);
    expect([items[0]!.id, items.at(-1)!.id]).toEqual(["web-249", "web-50"]);
    expect(log.find("web-49")).toBeUndefined();
    expect(log.find("web-50")).toBeDefined();
    log.close();
  });

  test("of a quiet service stays, however busy the others are", () => {
    const log = new RequestLog();
    fill(log, "quiet", 3);
    for (let round = 0; round < 20; round++) for (let i = 0; i < 40; i++) fill(log, `busy-${i}`, 30);
    expect(log.count).toBe(REQUESTS_KEPT_MAX);
    expect(countOf(log, "quiet")).toBe(3);
    const counts = Array.from({ length: 40 }, (_, i) => countOf(log, `busy-${i}`));
    // Those that have as many as anybody share what is left.
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(35);
    expect(counts.reduce((a, b) => a + b, 0)).toBe(REQUESTS_KEPT_MAX - 3);
    log.close();
  });

  test("of more services than there are places is one of each at most", () => {
    const log = new RequestLog({ requestsMax: 50, perServiceMax: 10 });
    for (let i = 0; i < 500; i++) fill(log, `s-${i}`, 1);
    expect(log.count).toBe(50);
    expect(log.list({ limit: 100 }).items).toHaveLength(50);
    log.close();
  });

  test("is bounded in bytes, settled or not, however long the heads are", () => {
    const log = new RequestLog();
    const requestFields = ["X-Long", "v".repeat(30_000), "X-Short", "s"];
    for (let i = 0; i < 3_000; i++) {
      const target = `/${"t".repeat(i % 2 ? 12_000 : 3_000)}`;
      const fields = i % 3 ? ["X-Some", "v".repeat(7_000)] : requestFields;
      log.add(
        requestFacts({
          id: `${i}`,
          service: `s${i % 40}`,
          target,
          requestFields: fields,
          responseFields: fields,
        }),
      );
      expect(log.bytes <= REQUEST_LOG_BYTES_MAX).toBe(true);
    }
    log.settle();
    expect(log.bytes).toBeLessThanOrEqual(REQUEST_LOG_BYTES_MAX);
    expect(log.bytes).toBeGreaterThan(0);
    fill(log, "web", 1);
    expect(countOf(log, "web")).toBe(1);
    log.close();
  });

  test("of a long head is whole fields, and it says that there were more", () => {
    const log = new RequestLog();
    const requestFields = ["A", "1", "X-Long", "v".repeat(HEAD_BYTES_KEPT_MAX), "B", "2"];
    log.add(requestFacts({ requestFields, target: `/?a=${"x".repeat(20_000)}` }));
    const heads = log.find("req-1")!.heads();
    expect([heads.isCut, heads.requestFields, heads.target.length]).toEqual([
      true,
      ["A", "1"],
      HEAD_BYTES_KEPT_MAX,
    ]);
    log.add(requestFacts({ id: "short" }));
    expect(log.find("short")!.heads().isCut).toBe(false);
    log.close();
  });

  test("forgets what there was of its bytes when it is all gone", () => {
    const log = new RequestLog({ perServiceMax: 1 });
    for (let i = 0; i < 100; i++) {
      fill(log, "web", 1);
      if (i % 3 === 0) log.settle();
    }
    log.settle();
    const { bytes } = log;
    for (let i = 0; i < 100; i++) fill(log, "web", 1);
    log.settle();
    expect([log.count, log.bytes]).toEqual([1, bytes]);
    log.close();
  });
});

describe("what is listed", () => {
  test("comes in pages that miss none and repeat none, while others come", () => {
    const log = new RequestLog();
    fill(log, "web", 95);
    const seen: string[] = [];
    let before: number | undefined;
    for (let pages = 0; pages < 20; pages++) {
      const page = log.list({ limit: 10, before });
      seen.push(...page.items.map(({ id }) => id));
      if (page.next === undefined) break;
      before = Number(page.next);
      log.add(requestFacts({ id: `late-${pages}` }));
    }
    expect(seen).toEqual(Array.from({ length: 95 }, (_, i) => `web-${94 - i}`));
    log.close();
  });

  test("is filtered by service and by status, one of them, a class, or none", () => {
    const log = new RequestLog();
    for (const [i, status] of [200, 204, 404, 500, 0, 799].entries()) {
      log.add(requestFacts({ id: `${i}`, status, service: i % 2 ? "a" : "" }));
    }
    const ids = (status?: string, service?: string): string[] =>
      log.list({ status, service, limit: 10 }).items.map(({ id }) => id);
    expect([ids("2xx"), ids("404"), ids("none"), ids("7xx"), ids("3xx")]).toEqual([["1", "0"], ["2"], ["4"], [
      "5",
    ], []]);
    expect([ids(undefined, ""), ids("2xx", "a"), ids("200", "a"), ids(undefined, "b")])
      .toEqual([["4", "2", "0"], ["1"], [], []]);
    log.close();
  });
});

describe("secrets", () => {
  const secret = {
    target: `/a?token=${S}`,
    requestFields: ["Authorization", `Bearer ${S}`, "COOKIE", `a=${S}`, "cookie", S, "Accept", "x"],
    responseFields: ["Set-Cookie", `a=${S}; Path=/`, "set-cookie", `b=${S}`, "X-Api-Key", S],
  };

  test("are not in what is kept once it is settled, nor ever in what is shown", () => {
    const log = new RequestLog();
    log.add(requestFacts({ ...secret, id: "plain" }));
    log.add(requestFacts({ ...secret, id: "recorded", bodies: bodiesOf(log, { request: S }) }));
    expect(JSON.stringify(log.list({ limit: 10 }))).not.toContain(S);
    const plain = log.find("plain")!;
    expect([plain.isRaw, JSON.stringify(plain.heads()).includes(S)]).toEqual([false, false]);
    const recorded = log.find("recorded")!;
    // A replay needs them.
    expect([recorded.isRaw, recorded.heads().requestFields]).toEqual([true, secret.requestFields]);
    expect(JSON.stringify(recorded.shown(log.masks))).not.toContain(S);
    recorded.dropBodies();
    recorded.settle(log.masks);
    expect([recorded.isRaw, JSON.stringify(recorded.heads()).includes(S)]).toEqual([false, false]);
    expect(recorded.heads().requestFields.at(-1)).toBe("x");
    log.close();
  });

  test("of what was recorded go when its bodies do, as soon as there is time", () => {
    const log = new RequestLog({ recordedBytesMax: 1_000 });
    log.add(requestFacts({ ...secret, id: "first", bodies: bodiesOf(log, { request: "r".repeat(900) }) }));
    log.settle();
    const second = bodiesOf(log, { request: "r".repeat(900) });
    expect(log.unsettled).toBe(1);
    expect(JSON.stringify(log.list({ limit: 10 }))).not.toContain(S);
    const first = log.find("first")!;
    expect([first.isRaw, JSON.stringify(first.heads()).includes(S), log.unsettled]).toEqual([
      false,
      false,
      0,
    ]);
    second.release();
    log.close();
  });

  test("of a flood are masked bit by bit: nobody waits for all, and what is not masked yet is not listed", () => {
    const log = new RequestLog();
    for (let i = 0; i < 10; i++) log.add(requestFacts({ ...secret, id: `${i}` }));
    expect([log.settle(0), log.settle(0), log.unsettled]).toEqual([1, 1, 8]);
    const { items } = log.list({ limit: 100 }, 0);
    expect(items.map(({ id }) => id)).toEqual(["2", "1", "0"]);
    expect(JSON.stringify(items)).not.toContain(S);
    // Who asks for one gets it at once.
    expect(log.find("9")!.isRaw).toBe(false);
    expect(log.list({ limit: 100 }).items).toHaveLength(10);
    expect([log.unsettled, log.settle()]).toEqual([0, 0]);
    log.close();
  });

  test("are gone by themselves, without anybody looking", async () => {
    const log = new RequestLog();
    const facts = requestFacts(secret);
    log.add(facts);
    const started = Date.now();
    // The clock of the log is not one that a test can set: it is waited for, up to a limit.
    while (log.bytes === 0 || log.unsettled > 0) {
      expect(Date.now() - started).toBeLessThan(20_000);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(JSON.stringify(log.find("req-1")!.heads())).not.toContain(S);
    log.close();
  });
});

describe("recorded bodies", () => {
  test("share one bound, and the oldest goes first, with its secrets", () => {
    const log = new RequestLog({ recordedBytesMax: 10_000 });
    const fields = ["Authorization", `Bearer ${S}`];
    for (let i = 0; i < 10; i++) {
      const bodies = bodiesOf(log, { request: "r".repeat(1_000), response: "a".repeat(1_000) });
      log.add(requestFacts({ id: `${i}`, requestFields: fields, bodies }));
      expect(log.memory.held).toBeLessThanOrEqual(10_000);
    }
    const states = log.list({ limit: 100 }).items.map(({ recorded }) => recorded);
    expect(states).toHaveLength(10);
    expect(states.slice(0, 4)).toEqual(["bodies", "bodies", "bodies", "bodies"]);
    expect(states.slice(-5)).toEqual(["head", "head", "head", "head", "head"]);
    expect(JSON.stringify(log.find("0")!.heads())).not.toContain(S);
    for (let i = 0; i < 200; i++) log.add(requestFacts({ id: `n${i}` }));
    expect(log.memory.held).toBe(0);
    log.close();
  });

  test("are cut at their bound, and the rest is counted", () => {
    const memory = new RecordedBytes(1 << 20, () => false);
    const body = new RecordedBody(memory, 10);
    for (const chunk of ["abcd", "", "efgh", "ijkl", "mnop"]) body.push(new TextEncoder().encode(chunk));
    expect([new TextDecoder().decode(body.bytes), body.totalBytes, body.isCut]).toEqual([
      "abcdefghij",
      16,
      true,
    ]);
    body.finish();
    expect(memory.held).toBe(10);
    body.release();
    expect([memory.held, body.bytes.length, body.isCut]).toEqual([0, 0, true]);
  });

  test("of many small pieces take no more memory than one piece", () => {
    const memory = new RecordedBytes(1 << 20, () => false);
    const body = new RecordedBody(memory, 1 << 16);
    const byte = new Uint8Array([1]);
    for (let i = 0; i < 200_000; i++) body.push(byte);
    expect([body.bytes.length, body.totalBytes, memory.held]).toEqual([1 << 16, 200_000, 1 << 16]);
  });

  test("have no holes when memory was short for a while", () => {
    let isShort = false;
    const memory = new RecordedBytes(1 << 20, () => false);
    const other = new RecordedBody(memory, 1 << 20);
    const body = new RecordedBody(memory, 1 << 20);
    body.push(new Uint8Array(1_024).fill(1));
    other.push(new Uint8Array((1 << 20) - 1_024));
    isShort = memory.held === 1 << 20;
    body.push(new Uint8Array(100).fill(2));
    other.release();
    body.push(new Uint8Array(100).fill(3));
    expect([isShort, body.bytes.length, body.isCut, body.bytes.includes(3)]).toEqual([
      true,
      1_024,
      true,
      false,
    ]);
  });
});

describe("recordings", () => {
  const one = { service: "web", untilMs: 0, bodyBytesMax: 100, by: "otto" };

  test("are on until their time is over, for their service alone", () => {
    let nowMs = 1_000;
    const recordings = new Recordings(() => nowMs);
    const memory = new RecordedBytes(1_000, () => false);
    expect(recordings.tap("web", memory)).toBeUndefined();
    recordings.start({ ...one, untilMs: 61_000 }, () => {});
    const tap = recordings.tap("web", memory)!;
    tap.onRequestBytes(new Uint8Array(10));
    expect([recordings.tap("api", memory), recordings.list().length]).toEqual([undefined, 1]);
    nowMs = 61_000;
    tap.onRequestBytes(new Uint8Array(10));
    // What is still under way is recorded no further.
    expect([tap.request.bytes.length, tap.request.totalBytes, tap.request.isCut]).toEqual([10, 20, true]);
    expect([recordings.of("web"), recordings.tap("web", memory)]).toEqual([undefined, undefined]);
    expect([recordings.stop("web"), recordings.stop("web")]).toEqual([true, false]);
  });

  test("end by themselves, and are told so once", async () => {
    const recordings = new Recordings();
    await new Promise<void>((resolve) => recordings.start({ ...one, untilMs: Date.now() + 10 }, resolve));
    expect(recordings.list()).toEqual([]);
  });

  test("are so many at most; one that is on may have other bounds", () => {
    const recordings = new Recordings(() => 0);
    const told = (): void => {
      throw new Error("none of them ends by itself");
    };
    for (let i = 0; i < RECORDINGS_MAX; i++) {
      recordings.start({ ...one, service: `s${i}`, untilMs: 60_000 }, told);
    }
    expect([recordings.hasRoomFor("more"), recordings.hasRoomFor("s3")]).toEqual([false, true]);
    recordings.start({ ...one, service: "s3", untilMs: 120_000, bodyBytesMax: 5 }, told);
    expect(recordings.of("s3")).toMatchObject({ untilMs: 120_000, bodyBytesMax: 5 });
    expect(recordings.list()).toHaveLength(RECORDINGS_MAX);
    recordings.close();
    expect(recordings.list()).toEqual([]);
  });
});
