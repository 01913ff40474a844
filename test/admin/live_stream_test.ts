/**
 * Tests of the live stream: no gap and no event twice, bounds for clients that do not read, and real sockets.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import type { AttemptsLike } from "../../lib/admin/access.ts";
import { LiveStream, type LiveStreamOptions, STREAM_CLIENTS_MAX } from "../../lib/admin/live_stream.ts";
import { EDGES_WAITING_MAX, QUEUE_MAX } from "../../lib/admin/stream_client.ts";
import { listenAdmin } from "../../lib/gateway/admin_listener.ts";
import { StoreError } from "../../lib/store/store.ts";
import { RawVisitor, within } from "../support/raw_http.ts";
import { type ApiRig, apiRig } from "./api_rig.ts";
import { edgeOf, eventOf, FakeFirewall } from "./fake_firewall.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Message {
  readonly kind: string;
  readonly id: string | undefined;
  // deno-lint-ignore no-explicit-any -- messages of every kind are looked into
  readonly data: any;
}

/** A client that reads when it is told to. */
class Reader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #text = "";
  readonly messages: Message[] = [];
  comments = 0;
  ended = false;

  constructor(body: ReadableStream<Uint8Array>) {
    this.#reader = body.getReader();
  }

  /** Reads until the messages are as wanted, or the stream ends. */
  async until(isTrue: (messages: Message[]) => boolean): Promise<Message[]> {
    while (!isTrue(this.messages) && !this.ended) {
      const { done, value } = await within(
        this.#reader.read(),
        () => JSON.stringify(this.messages.slice(-3)),
      );
      if (done) this.ended = true;
      else this.#take(this.#decoder.decode(value, { stream: true }));
    }
    return this.messages;
  }

  async untilKind(kind: string): Promise<Message[]> {
    return await this.until((messages) => messages.some((message) => message.kind === kind));
  }

  seqs(): number[] {
    return this.messages.filter(({ kind }) => kind === "event").map(({ id }) => Number(id));
  }

  cancel(): Promise<void> {
    return this.#reader.cancel();
  }

  #take(text: string): void {
    this.#text += text;
    const blocks = this.#text.split("\n\n");
    this.#text = blocks.pop()!;
    for (const block of blocks) {
      if (block.startsWith(":")) this.comments += 1;
      const fields = new Map(
        block.split("\n").map((line) => [line.split(": ")[0]!, line.slice(line.indexOf(": ") + 2)]),
      );
      const data = fields.get("data");
      if (data === undefined) continue;
      this.messages.push({ kind: fields.get("event")!, id: fields.get("id"), data: JSON.parse(data) });
    }
  }
}

interface Stage {
  readonly firewall: FakeFirewall;
  readonly live: LiveStream;
  open(after?: number, change?: { isGood?: () => boolean; cut?: () => void }): Reader;
}

function newStage(options: LiveStreamOptions = {}): Stage {
  const firewall = new FakeFirewall();
  const live = new LiveStream(firewall, options);
  closers.push(() => live.close());
  return {
    firewall,
    live,
    open(after, change = {}): Reader {
      const rest = { isGood: () => true, cut: () => undefined, ...change };
      return new Reader(live.open({ ...rest, ...(after === undefined ? {} : { after }) })!);
    },
  };
}

/** Notices an event, in the store or not yet. */
function notice({ firewall }: Stage, seq: number, isStored: boolean): void {
  if (isStored) firewall.store.putEvents([eventOf(seq)]);
  firewall.emit({ kind: "event", event: eventOf(seq) });
}

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe("from where it goes on", () => {
  test("without a place, from now on", async () => {
    const stage = newStage();
    for (const seq of range(1, 3)) notice(stage, seq, true);
    const reader = stage.open();
    const [ready] = await reader.untilKind("ready");
    expect(ready).toMatchObject({ id: "3", data: { seq: 3, version: 1 } });
    notice(stage, 4, false);
    await reader.until(() => reader.seqs().length > 0);
    expect(reader.seqs()).toEqual([4]);
    expect(reader.messages.at(-1)!.data).toEqual(eventOf(4));
  });

  test("with one, from the store, then from what is not stored yet, then live", async () => {
    const stage = newStage();
    for (const seq of range(1, 250)) notice(stage, seq, true);
    for (const seq of range(251, 260)) notice(stage, seq, false);
    const reader = stage.open(10);
    await reader.untilKind("ready");
    expect(reader.seqs()).toEqual(range(11, 260));
    notice(stage, 261, true);
    await reader.until(() => reader.seqs().length === 251);
    expect(reader.seqs().at(-1)).toBe(261);
  });

  test("nothing is missed or doubled, however the store lags and whenever events come", async () => {
    let cases = 0;
    for (const lag of [0, 1, 5, 50]) {
      for (const every of [1, 3, 7]) {
        const stage = newStage();
        let seq = 0;
        const step = (): void => {
          seq += 1;
          stage.firewall.emit({ kind: "event", event: eventOf(seq) });
          if (seq > lag) stage.firewall.store.putEvents([eventOf(seq - lag)]);
        };
        for (let i = 0; i < 230; i++) step();
        const reader = stage.open(0);
        // Events come in between the reads of what is stored.
        for (let reads = 0; reader.seqs().length < 260; reads++) {
          if (reads % every === 0 && seq < 260) step();
          if (reader.seqs().length === seq && seq < 260) step();
          const have = reader.seqs().length;
          await reader.until(() => reader.seqs().length > have);
        }
        expect([lag, every, reader.seqs()]).toEqual([lag, every, range(1, 260)]);
        cases += 1;
      }
    }
    expect(cases).toBe(12);
  });

  test("what was read from the store does not come again when it is told late", async () => {
    const stage = newStage();
    stage.firewall.store.putEvents([eventOf(1), eventOf(2)]);
    const reader = stage.open(0);
    await reader.untilKind("ready");
    for (const seq of [1, 2, 3]) stage.firewall.emit({ kind: "event", event: eventOf(seq) });
    await reader.until(() => reader.seqs().includes(3));
    expect(reader.seqs()).toEqual([1, 2, 3]);
  });

  test("a place of another store is told, and it goes on from now", async () => {
    const stage = newStage();
    notice(stage, 1, true);
    const reader = stage.open(500);
    const messages = await reader.untilKind("ready");
    expect(messages.map(({ kind }) => kind)).toEqual(["lost", "ready"]);
    expect(messages[1]!.id).toBe("1");
    notice(stage, 2, true);
    await reader.until(() => reader.seqs().length > 0);
    expect(reader.seqs()).toEqual([2]);
  });

  test("a store that fails is told, and live events come all the same", async () => {
    const stage = newStage();
    stage.firewall.store.eventsAfter = () => {
      throw new StoreError("gone", "io");
    };
    const reader = stage.open(0);
    expect((await reader.untilKind("ready"))[0]).toMatchObject({ kind: "lost", data: { reason: "store" } });
    notice(stage, 1, false);
    await reader.until(() => reader.seqs().length > 0);
    expect(reader.seqs()).toEqual([1]);
  });

  test("events that neither the store nor the memory has are told to be lost", async () => {
    const stage = newStage();
    for (const seq of range(1, 9_000)) stage.firewall.emit({ kind: "event", event: eventOf(seq) });
    const reader = stage.open(5);
    const messages = await reader.untilKind("ready");
    expect(messages[0]).toMatchObject({ kind: "lost", data: { reason: "not stored" } });
    expect(reader.seqs().at(-1)).toBe(9_000);
    expect(reader.seqs().length).toBeLessThanOrEqual(4_096);
  });
});

describe("what is told", () => {
  test("edges are told once in a while, each in its newest state", async () => {
    const stage = newStage({ edgesMs: 20 });
    const reader = stage.open();
    await reader.untilKind("ready");
    for (const seq of range(1, 500)) {
      stage.firewall.emit({ kind: "edge", edge: edgeOf("a", seq) });
      stage.firewall.emit({ kind: "edge", edge: edgeOf("b", seq) });
    }
    const messages = await reader.until((all) => all.filter(({ kind }) => kind === "edge").length === 2);
    const edges = messages.filter(({ kind }) => kind === "edge");
    expect(edges.map(({ data, id }) => [data.id, data.count, id])).toEqual([["a", 500, undefined], [
      "b",
      500,
      undefined,
    ]]);
  });

  test("a new policy is told by its version", async () => {
    const stage = newStage();
    const reader = stage.open();
    await reader.untilKind("ready");
    stage.firewall.relearn("shop/ghcr.io/acme/web", { name: "otto", role: "operator" });
    expect((await reader.untilKind("policy")).at(-1)).toEqual({
      kind: "policy",
      id: undefined,
      data: { version: 2 },
    });
  });

  test("a text with line breaks stays one message", async () => {
    const stage = newStage();
    const reader = stage.open();
    await reader.untilKind("ready");
    const message = "a\n\nevent: policy\ndata: {}\r\n\r\u2028x";
    stage.firewall.emit({ kind: "event", event: eventOf(1, { message }) });
    await reader.until(() => reader.seqs().length > 0);
    expect(reader.messages.map(({ kind }) => kind)).toEqual(["ready", "event"]);
    expect(reader.messages[1]!.data.message).toBe(message);
  });

  test("silence is broken by comments", async () => {
    const reader = newStage({ heartbeatMs: 5 }).open();
    await reader.until(() => reader.comments >= 3);
    expect(reader.comments).toBeGreaterThanOrEqual(3);
  });
});

describe("a client", () => {
  test("that does not read is bounded, told, and let go; it comes back for the rest", async () => {
    const stage = newStage();
    const reader = stage.open();
    await reader.untilKind("ready");
    for (const seq of range(1, QUEUE_MAX + 500)) notice(stage, seq, true);
    await reader.until(() => false);
    expect(reader.ended).toBe(true);
    expect(reader.messages.at(-1)).toMatchObject({
      kind: "lost",
      id: undefined,
      data: { reason: "too slow" },
    });
    expect(stage.live.clients).toBe(0);
    const known = reader.seqs().at(-1) ?? 0;
    const again = stage.open(known);
    await again.untilKind("ready");
    expect([...reader.seqs(), ...again.seqs()]).toEqual(range(1, QUEUE_MAX + 500));
  });

  test("that lets more edges wait than there may be is let go too", async () => {
    const stage = newStage({ edgesMs: 1 });
    const reader = stage.open();
    await reader.untilKind("ready");
    for (let i = 0; i <= EDGES_WAITING_MAX; i++) {
      stage.firewall.emit({ kind: "edge", edge: edgeOf(`edge-${i}`, i) });
    }
    await reader.untilKind("lost");
    expect(reader.messages.filter(({ kind }) => kind === "edge").length).toBeLessThan(EDGES_WAITING_MAX);
  });

  test("that reads nothing at all is cut after some heartbeats", async () => {
    const stage = newStage({ heartbeatMs: 5 });
    const { promise, resolve } = Promise.withResolvers<void>();
    stage.live.open({ isGood: () => true, cut: resolve });
    expect(stage.live.clients).toBe(1);
    await within(promise, () => "the cut");
    expect(stage.live.clients).toBe(0);
  });

  test("whose token no longer holds is let go with the next heartbeat", async () => {
    let isGood = true;
    const stage = newStage({ heartbeatMs: 5 });
    const reader = stage.open(undefined, { isGood: () => isGood });
    await reader.untilKind("ready");
    isGood = false;
    await reader.until(() => false);
    expect([reader.ended, stage.live.clients]).toEqual([true, 0]);
  });

  test("that leaves is forgotten, and so are all at the end", async () => {
    const stage = newStage();
    const readers = range(1, 3).map(() => stage.open());
    for (const reader of readers) await reader.untilKind("ready");
    await readers[0]!.cancel();
    expect(stage.live.clients).toBe(2);
    stage.live.close();
    for (const reader of readers.slice(1)) await reader.until(() => false);
    expect([stage.live.clients, stage.firewall.listeners.size]).toEqual([0, 0]);
    expect(stage.live.open({ isGood: () => true, cut: () => undefined })).toBeUndefined();
  });

  test("too many are refused", () => {
    const stage = newStage();
    for (let i = 0; i < STREAM_CLIENTS_MAX; i++) stage.open();
    expect(stage.live.open({ isGood: () => true, cut: () => undefined })).toBeUndefined();
  });
});

describe("on a listener", () => {
  async function listening(
    change: Parameters<typeof apiRig>[0] = {},
  ): Promise<{ rig: ApiRig; port: number }> {
    const rig = await apiRig(change);
    closers.push(() => rig.close());
    const listener = await listenAdmin(rig.app, { host: "127.0.0.1", port: 0 });
    closers.push(() => listener.close());
    return { rig, port: Number(listener.address.split(":").at(-1)) };
  }

  function visit(port: number, token: string, more = "", query = ""): RawVisitor {
    const visitor = new RawVisitor(port);
    closers.push(() => visitor.close());
    const head =
      `GET /api/v1/stream${query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n${more}\r\n`;
    return visitor.send(head);
  }

  async function untilClients(rig: ApiRig, count: number): Promise<void> {
    for (let i = 0; i < 400 && rig.live.clients !== count; i++) {
      await new Promise((done) => setTimeout(done, 10));
    }
    expect(rig.live.clients).toBe(count);
  }

  test("each event is there as soon as it is noticed, and nothing is left when clients leave", async () => {
    const { rig, port } = await listening();
    const visitors = range(1, 5).map(() => visit(port, rig.viewer));
    for (const visitor of visitors) await visitor.untilText("event: ready");
    expect(visitors[0]!.text).toMatch(/^HTTP\/1\.1 200 /);
    expect(visitors[0]!.text.toLowerCase()).toContain("content-type: text/event-stream; charset=utf-8\r\n");
    for (const seq of range(1, 3)) {
      rig.firewall.emit({ kind: "event", event: eventOf(seq) });
      for (const visitor of visitors) await visitor.untilText(`\nid: ${seq}\ndata: {`);
    }
    expect(rig.live.clients).toBe(5);
    for (const visitor of visitors) visitor.close();
    await untilClients(rig, 0);
  });

  test("Last-Event-ID goes before what the address says, and what is no place is not taken for one", async () => {
    const { rig, port } = await listening();
    rig.firewall.store.putEvents(range(1, 20).map((seq) => eventOf(seq)));
    const one = visit(port, rig.viewer, "Last-Event-ID: 18\r\n", "?after=2");
    await one.untilText("event: ready");
    expect([...one.text.matchAll(/event: event\nid: (\d+)/g)].map(([, id]) => Number(id))).toEqual([19, 20]);
    const two = visit(port, rig.viewer, "Last-Event-ID: x\r\n", "?after=19");
    await two.untilText("event: ready");
    expect([...two.text.matchAll(/event: event\nid: (\d+)/g)].map(([, id]) => Number(id))).toEqual([20]);
    expect((await rig.ask("/api/v1/stream?after=-1")).status).toBe(400);
  });

  test("a visitor who stops reading holds no more than its bound, and another is not slowed", async () => {
    const { rig, port } = await listening();
    const slow = visit(port, rig.viewer);
    await slow.untilText("event: ready");
    slow.socket.pause();
    const quick = visit(port, rig.viewer);
    await quick.untilText("event: ready");
    const message = "x".repeat(16_000);
    let seq = 0;
    // More than the sockets of the machine take, in parts that the quick one can follow.
    for (let part = 0; part < 40; part++) {
      for (let i = 0; i < 50; i++) {
        seq += 1;
        rig.firewall.emit({ kind: "event", event: eventOf(seq, { message }) });
      }
      await quick.untilText(`\nid: ${seq}\n`);
      // It would be searched from its beginning each time.
      quick.text = "";
    }
    slow.socket.resume();
    await slow.untilText('event: lost\ndata: {"reason":"too slow"}');
    await untilClients(rig, 1);
  });

  test("too many streams are 503, and room is there again when one leaves", async () => {
    const { rig, port } = await listening();
    const visitors: RawVisitor[] = [];
    for (let i = 0; i < STREAM_CLIENTS_MAX; i++) visitors.push(visit(port, rig.viewer));
    for (const visitor of visitors) await visitor.untilText("event: ready");
    const refused = visit(port, rig.viewer, "Connection: close\r\n");
    expect(await refused.untilClosed()).toMatch(/^HTTP\/1\.1 503 [^]*retry-after: 10/i);
    visitors[0]!.close();
    await untilClients(rig, STREAM_CLIENTS_MAX - 1);
    await visit(port, rig.viewer).untilText("event: ready");
  });

  test("a body without end is refused with 413 and does not hold the listener", async () => {
    const { rig, port } = await listening();
    const visitor = new RawVisitor(port);
    closers.push(() => visitor.close());
    visitor.send(
      `PUT /api/v1/groups/mode HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${rig.operator}\r\n` +
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    const chunk = `8000\r\n${" ".repeat(0x8000)}\r\n`;
    for (let i = 0; i < 8; i++) visitor.send(chunk);
    await visitor.untilText("HTTP/1.1 413 ");
    const big = new RawVisitor(port);
    closers.push(() => big.close());
    big.send(
      `PUT /api/v1/policy HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${rig.operator}\r\n` +
        "Content-Type: application/yaml\r\nContent-Length: 99999999999\r\n\r\nx",
    );
    await big.untilText("HTTP/1.1 413 ");
    await visit(port, rig.viewer).untilText("event: ready");
    expect(rig.firewall.policy().version).toBe(1);
  });

  test("a policy goes in over a socket, and the caller's address is counted when a token is wrong", async () => {
    const failures: string[] = [];
    const attempts: AttemptsLike = {
      check: () => ({ ok: true }),
      failed: (peer) => ({ count: failures.push(peer), isNewlySlowed: false }),
      held: () => undefined,
    };
    const { rig, port } = await listening({ attempts });
    const body = "apiVersion: netwall/v1\nkind: Policy\n";
    const answer = await fetch(`http://127.0.0.1:${port}/api/v1/policy`, {
      method: "PUT",
      headers: { authorization: `Bearer ${rig.operator}`, "content-type": "application/yaml" },
      body,
    });
    expect([answer.status, await answer.json()]).toEqual([200, { version: 2, cut: 1, warnings: [] }]);
    const wrong = visit(port, "wrong", "Connection: close\r\n");
    expect(await wrong.untilClosed()).toMatch(/^HTTP\/1\.1 401 /);
    expect(failures).toEqual(["127.0.0.1"]);
  });
});
