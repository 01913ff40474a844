/**
 * Tests of replaying to a function: what it gets, how its answer leaves, and that what it ignores is not kept.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import { type FetchHandler, replayToApp } from "../../lib/http/replay_app.ts";
import { memoryLinkPair } from "../../lib/link/memory.ts";
import type { ReplayFacts } from "../../lib/http/replay.ts";
import { MemoryBudget } from "../../lib/mux/budget.ts";
import { Session } from "../../lib/mux/session.ts";
import { FrameType } from "../../lib/wire/frame.ts";
import { decodeRequestHead, decodeResponseHead, type ResponseHead } from "../../lib/wire/head.ts";
import { decodeHead } from "../../lib/wire/open.ts";
import { requestHead, ScriptedPeer } from "../support/scripted_peer.ts";

const SESSION_WINDOW_BYTES = 1 << 20;

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Rig {
  gateway: ScriptedPeer;
  session: Session;
  budget: MemoryBudget;
  facts: ReplayFacts[];
}

function rig(handler: FetchHandler): Rig {
  const budget = new MemoryBudget(64 << 20, true);
  const facts: ReplayFacts[] = [];
  const [near, far] = memoryLinkPair();
  const session = new Session(near, {
    ...{ role: "agent", helloFields: [], streamsMax: 100, sessionWindowBytes: SESSION_WINDOW_BYTES, budget },
    onReady: () => {},
    onOpen: (stream, open) => {
      const request = decodeRequestHead(open.head);
      const onDone = (fact: ReplayFacts): void => void facts.push(fact);
      void replayToApp({
        stream,
        handler,
        request,
        body: open.body,
        upgrade: open.kind === "upgrade",
        onDone,
      });
    },
    onGoAway: () => {},
    onClose: () => {},
  });
  session.start();
  const gateway = new ScriptedPeer(far);
  closers.push(() => session.close("none", "over"), () => gateway.close());
  return { gateway, session, budget, facts };
}

/** The whole answer of a stream. */
async function answerOf(gateway: ScriptedPeer, id: number): Promise<{ head: ResponseHead; body: string }> {
  const first = await gateway.frameOf(FrameType.head, id);
  const frames = (): typeof gateway.seen => gateway.seen.filter((frame) => frame.id === id);
  const isOver = (): boolean =>
    frames().some(({ type, flags }) =>
      type === FrameType.end || type === FrameType.reset || (flags & 1) === 1
    );
  await gateway.until(isOver, () => "the end of the answer");
  const { head, body } = decodeHead(first.payload);
  const data = frames().filter((frame) => frame.type === FrameType.data);
  const text = [body, ...data.map((frame) => frame.payload)].map((part) => new TextDecoder().decode(part))
    .join("");
  return { head: decodeResponseHead(head), body: text };
}

function credit(gateway: ScriptedPeer): number {
  return gateway.seen.reduce(
    (sum, { type, id, payload }) =>
      type === FrameType.credit && id === 0 ? sum + new DataView(payload.buffer).getUint32(0) : sum,
    SESSION_WINDOW_BYTES,
  );
}

describe("requests", () => {
  test("method, address, fields and body arrive", async () => {
    const { gateway } = rig(async (request) => {
      const { method, url, headers } = request;
      return Response.json({
        method,
        url,
        x: headers.get("x-a"),
        cookie: headers.get("cookie"),
        body: await request.text(),
      });
    });
    const fields = [
      "Host",
      "app.example:8080",
      "X-A",
      "1",
      "x-a",
      "2",
      "Cookie",
      "c=d",
      "X-Forwarded-Proto",
      "https",
    ];
    gateway.open(
      1,
      "http",
      "web",
      requestHead("PUT", "/p?q=%20", [...fields, "Transfer-Encoding", "chunked"]),
      false,
      "one ",
    );
    gateway.data(1, "two", true);
    const { head, body } = await answerOf(gateway, 1);
    expect(head.status).toBe(200);
    expect(JSON.parse(body)).toEqual({
      ...{
        method: "PUT",
        url: "https://app.example:8080/p?q=%20",
        x: "1, 2",
        cookie: "c=d",
        body: "one two",
      },
    });
  });

  test("what cannot be a Request is 500, and the next is served", async () => {
    const { gateway, facts } = rig(() => new Response("ok"));
    gateway.open(1, "http", "web", requestHead("GET", "/", ["Host", "x:port"]), true);
    gateway.open(3, "http", "web", requestHead("GET", "/", ["Host", "a b"]), true);
    gateway.open(5, "http", "web", requestHead("GET", "/", ["Host", "x"]), true);
    expect((await answerOf(gateway, 1)).head.status).toBe(500);
    expect((await answerOf(gateway, 3)).head.status).toBe(500);
    expect((await answerOf(gateway, 5)).body).toBe("ok");
    expect(facts).toHaveLength(3);
  });

  test("an upgrade is 501, whatever came with it", async () => {
    const { gateway, session, budget } = rig(() => new Response("never"));
    gateway.open(
      1,
      "upgrade",
      "web",
      requestHead("GET", "/", ["Host", "x", "Upgrade", "chat"]),
      false,
      "early",
    ).end(1);
    expect((await answerOf(gateway, 1)).head.status).toBe(501);
    expect(session.streamsOpen).toBe(0);
    expect(budget.heldBytes).toBe(0);
  });
});

describe("answers", () => {
  test("status, fields and repeated cookies leave; HEAD and 204 have no body", async () => {
    const { gateway } = rig((request) => {
      if (request.url.endsWith("/204")) return new Response(null, { status: 204 });
      const headers = new Headers({ "X-A": "1" });
      headers.append("set-cookie", "a=1");
      headers.append("set-cookie", "b=2");
      return new Response("body", { status: 418, headers });
    });
    gateway.open(1, "http", "web", requestHead("GET", "/", ["Host", "x"]), true);
    gateway.open(3, "http", "web", requestHead("HEAD", "/", ["Host", "x"]), true);
    gateway.open(5, "http", "web", requestHead("GET", "/204", ["Host", "x"]), true);
    const { head, body } = await answerOf(gateway, 1);
    expect([head.status, head.reason, body]).toEqual([418, "I'm a Teapot", "body"]);
    expect(head.fields.filter((_, i) => head.fields[i - 1] === "set-cookie")).toEqual(["a=1", "b=2"]);
    expect(await answerOf(gateway, 3)).toMatchObject({ body: "", head: { status: 418 } });
    expect(await answerOf(gateway, 5)).toMatchObject({ body: "", head: { status: 204 } });
  });

  test("a handler that throws is 500, and says nothing of why", async () => {
    const { gateway, facts } = rig(() => {
      throw new Error("secret of the app");
    });
    gateway.open(1, "http", "web", requestHead("GET", "/", ["Host", "x"]), true);
    expect(await answerOf(gateway, 1)).toMatchObject({
      head: { status: 500 },
      body: "Internal Server Error\n",
    });
    expect(facts[0]?.error?.message).toBe("secret of the app");
  });

  test("a body that fails is a reset, never an end", async () => {
    const { gateway } = rig(() => {
      let pulls = 0;
      return new Response(
        new ReadableStream<Uint8Array>({
          pull(controller): void {
            if (++pulls === 1) controller.enqueue(new TextEncoder().encode("part"));
            else controller.error(new Error("broken"));
          },
        }),
      );
    });
    gateway.open(1, "http", "web", requestHead("GET", "/", ["Host", "x"]), true);
    expect(await gateway.resetOf(1)).toBe("targetReset");
    expect(gateway.seen.some(({ id, type }) => id === 1 && type === FrameType.end)).toBe(false);
  });

  test("an endless answer waits for credit", async () => {
    let made = 0;
    const { gateway } = rig(() =>
      new Response(
        new ReadableStream<Uint8Array>({
          pull(controller): void {
            made += 65_536;
            controller.enqueue(new Uint8Array(65_536));
          },
        }),
      )
    );
    gateway.open(1, "http", "web", requestHead("GET", "/", ["Host", "x"]), true);
    const taken = (): number =>
      gateway.seen.reduce(
        (sum, { type, payload }) => sum + (type === FrameType.data ? payload.length : 0),
        0,
      );
    await gateway.until(() => taken() >= 1 << 18, () => "a window");
    gateway.frame(FrameType.ping, 0, 0, new Uint8Array(8));
    await gateway.frameOf(FrameType.pong);
    expect(taken()).toBe(1 << 18);
    expect(made).toBeLessThanOrEqual((1 << 18) + 4 * 65_536);
  });

  test("a visitor who leaves aborts the handler", async () => {
    let aborted = false;
    const { gateway, facts } = rig((request) =>
      new Promise((_resolve, reject) => {
        request.signal.addEventListener("abort", () => {
          aborted = true;
          reject(new Error("aborted"));
        });
      })
    );
    gateway.open(1, "http", "web", requestHead("GET", "/", ["Host", "x"]), true);
    gateway.frame(FrameType.reset, 0, 1, Uint8Array.of(0, 0, 0, 6));
    gateway.frame(FrameType.ping, 0, 0, new Uint8Array(8));
    await gateway.frameOf(FrameType.pong);
    for (let i = 0; i < 100 && facts.length === 0; i++) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    expect(aborted).toBe(true);
    expect(facts).toEqual([{ status: 0, error: undefined }]);
  });
});

describe("memory", () => {
  // Four session windows in all: what is not given back stops the last ones.
  const ROUNDS = 20;
  const BODY_BYTES = 200_000;

  for (const method of ["POST", "GET"]) {
    test(`a body that the app does not read is given back (${method})`, async () => {
      const { gateway, session, budget } = rig(() => new Response("unread"));
      let sent = 0;
      for (let round = 0; round < ROUNDS; round++) {
        const id = 1 + 2 * round;
        await gateway.until(() => credit(gateway) - sent >= BODY_BYTES, () => `credit in round ${round}`);
        const fields = ["Host", "x", "Content-Length", String(BODY_BYTES)];
        gateway.open(id, "http", "web", requestHead(method, "/", fields), false);
        for (let i = 0; i < 4; i++) gateway.data(id, "x".repeat(BODY_BYTES / 4), i === 3);
        sent += BODY_BYTES;
        expect((await answerOf(gateway, id)).body).toBe("unread");
      }
      gateway.frame(FrameType.ping, 0, 0, new Uint8Array(8));
      await gateway.frameOf(FrameType.pong);
      expect(budget.heldBytes).toBe(0);
      expect(session.streamsOpen).toBe(0);
    });
  }

  test("a body is handed on as the app reads it, and no faster than it does", async () => {
    let read = (): void => {};
    const reads = new Promise<void>((resolve) => read = resolve);
    const { gateway, budget } = rig(async (request) => {
      await reads;
      return new Response(String((await request.arrayBuffer()).byteLength));
    });
    gateway.open(
      1,
      "http",
      "web",
      requestHead("POST", "/", ["Host", "x", "Transfer-Encoding", "chunked"]),
      false,
    );
    for (let i = 0; i < 4; i++) gateway.data(1, "x".repeat(60_000), i === 3);
    gateway.frame(FrameType.ping, 0, 0, new Uint8Array(8));
    await gateway.frameOf(FrameType.pong);
    expect(budget.heldBytes).toBeGreaterThanOrEqual(180_000);
    read();
    expect((await answerOf(gateway, 1)).body).toBe("240000");
    expect(budget.heldBytes).toBe(0);
  });
});
