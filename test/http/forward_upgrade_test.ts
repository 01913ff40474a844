/**
 * Tests of upgrades against a scripted agent: no byte goes on before 101, and nothing broken looks whole.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import type { ForwardOptions } from "../../lib/http/forward_options.ts";
import { FrameType } from "../../lib/wire/frame.ts";
import { HostileAgentRig } from "../support/hostile_agent.ts";
import { RawVisitor } from "../support/raw_http.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function rig(limits: Partial<ForwardOptions> = {}): Promise<HostileAgentRig> {
  const made = new HostileAgentRig(limits);
  closers.push(() => made.close());
  await made.listen();
  return made;
}

function visit(made: HostileAgentRig, text: string): RawVisitor {
  const visitor = new RawVisitor(made.port);
  closers.push(() => visitor.close());
  return visitor.send(text);
}

const UPGRADE = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n";

function dataText(made: HostileAgentRig, id = 1): string {
  return made.agent.seen.filter((frame) => frame.type === FrameType.data && frame.id === id)
    .map((frame) => String.fromCharCode(...frame.payload)).join("");
}

async function pong(made: HostileAgentRig): Promise<void> {
  made.agent.frame(FrameType.ping, 0, 0, new Uint8Array(8));
  await made.agent.frameOf(FrameType.pong);
}

describe("an upgrade that succeeds", () => {
  test("bytes go both ways, and each side may end", async () => {
    const made = await rig();
    const visitor = visit(made, `${UPGRADE}early`);
    await made.agent.frameOf(FrameType.open, 1);
    made.agent.head(
      1,
      101,
      ["Upgrade", "chat", "Content-Length", "9"],
      "first",
      false,
      "Switching Protocols",
    );
    await visitor.untilText("first");
    expect(visitor.text).toMatch(
      /^HTTP\/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\nfirst$/,
    );
    visitor.send(" and more");
    await made.agent.until(() => dataText(made).endsWith("more"), () => "what the visitor sent");
    expect(dataText(made)).toBe("early and more");
    made.agent.data(1, "last", true);
    await visitor.untilText("last");
    visitor.socket.end();
    await visitor.untilClosed();
    expect(await made.fact()).toMatchObject({
      status: 101,
      failure: undefined,
      requestBytes: 14,
      responseBytes: 9,
    });
    expect(made.budget.heldBytes).toBe(0);
    expect(made.session.streamsOpen).toBe(0);
  });

  test("the head of 101 brings the protocol that the target chose, once", async () => {
    const made = await rig();
    const visitor = visit(made, UPGRADE);
    await made.agent.frameOf(FrameType.open, 1);
    made.agent.head(1, 101, [
      "Connection",
      "Upgrade, X",
      "X",
      "1",
      "UPGRADE",
      "chat",
      "Sec-WebSocket-Accept",
      "abc",
    ], "");
    await visitor.untilText("\r\n\r\n");
    expect(visitor.text.match(/upgrade: /gi)).toHaveLength(1);
    expect(visitor.text).toContain("Sec-WebSocket-Accept: abc\r\n");
    expect(visitor.text).not.toContain("X: 1");
  });
});

describe("before 101", () => {
  test("not one byte goes on, and an answer that is no 101 drops them", async () => {
    const made = await rig();
    const visitor = visit(made, `${UPGRADE}GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n`);
    await made.agent.frameOf(FrameType.open, 1);
    visitor.send("GET /smuggled2 HTTP/1.1\r\nHost: x\r\n\r\n");
    await pong(made);
    expect(dataText(made)).toBe("");
    made.agent.head(1, 200, ["Content-Length", "2"], "no", true);
    const text = await visitor.untilClosed();
    expect(text).toMatch(/^HTTP\/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno$/);
    expect(dataText(made)).toBe("");
    expect(made.agent.seen.filter((frame) => frame.type === FrameType.open)).toHaveLength(1);
  });

  test("interim answers pass, a body with one does not", async () => {
    const made = await rig();
    const visitor = visit(made, UPGRADE);
    await made.agent.frameOf(FrameType.open, 1);
    made.agent.head(1, 103, ["Link", "</a>"], "", false, "Early Hints").head(1, 103, [], "evil");
    const text = await visitor.untilClosed();
    expect(text).toContain("HTTP/1.1 103 Early Hints\r\n");
    expect(text).toContain("HTTP/1.1 502 ");
    expect(text).not.toContain("evil");
  });

  test("a pipelined upgrade cannot splice into the answer before it", async () => {
    const made = await rig();
    const visitor = visit(made, `GET /slow HTTP/1.1\r\nHost: x\r\n\r\n${UPGRADE}`);
    await made.agent.frameOf(FrameType.open, 1);
    made.agent.head(1, 200, ["Content-Length", "6"], "abc");
    await pong(made);
    // One runtime cuts the connection, the other reads the second as a plain request: it must not get a 101.
    if (made.agent.seen.some((frame) => frame.type === FrameType.open && frame.id === 3)) {
      made.agent.head(3, 101, ["Upgrade", "chat"], "SPLICED");
    }
    made.agent.data(1, "def", true);
    await visitor.until(() => visitor.closed || visitor.text.includes(" 502 "), () => "an end");
    expect(visitor.text).not.toContain("SPLICED");
    expect(visitor.text).not.toContain("HTTP/1.1 101");
  });

  test("HTTP/1.0 cannot upgrade, and h2c never goes on", async () => {
    const made = await rig();
    visit(made, UPGRADE.replace("1.1", "1.0"));
    visit(made, UPGRADE.replace("chat", "h2c, HTTP/2.0, h2"));
    await made.agent.frameOf(FrameType.open, 1);
    const { payload } = await made.agent.frameOf(FrameType.open, 3);
    const opens = made.agent.seen.filter((frame) => frame.type === FrameType.open);
    expect(opens.map((frame) => frame.payload[0])).toEqual([1, 1]);
    expect(String.fromCharCode(...payload)).not.toMatch(/h2c|connection/i);
  });
});

/** What a hostile agent answers, before anything went out. */
const REFUSED: [string, (made: HostileAgentRig) => void][] = [
  ["101 without a protocol", (made) => made.agent.head(1, 101, [], "evil")],
  ["CR LF in a value", (made) => made.agent.head(1, 101, ["Upgrade", "a\r\nevil: 1"])],
  ["CR LF in the reason", (made) => made.agent.head(1, 101, ["Upgrade", "a"], "", false, "x\r\nevil")],
  [
    "two lengths",
    (made) => made.agent.head(1, 200, ["Content-Length", "4", "Content-Length", "5"], "evil", true),
  ],
  ["data before the head", (made) => made.agent.data(1, "evil")],
  ["END before the head", (made) => made.agent.end(1)],
  ["data that ends before the head", (made) => made.agent.data(1, "evil", true)],
  ["an interim answer that ends", (made) => made.agent.head(1, 103, [], "", true)],
  ["endless interim answers", (made) => {
    for (let i = 0; i < 40; i++) made.agent.head(1, 102, [], "", false, "Processing");
  }],
  ["RESET", (made) => made.agent.frame(FrameType.reset, 0, 1, Uint8Array.of(0, 0, 0, 0x0d))],
];

describe("an answer that cannot be used", () => {
  for (const [name, send] of REFUSED) {
    test(`${name}: 502 and the end`, async () => {
      const made = await rig();
      const visitor = visit(made, UPGRADE);
      await made.agent.frameOf(FrameType.open, 1);
      send(made);
      const text = await visitor.untilClosed();
      expect(text).toContain("HTTP/1.1 502 ");
      expect(text).not.toContain("evil");
      expect(await made.fact()).toMatchObject({ status: 0, failure: "http_protocol_error" });
      expect(made.session.streamsOpen).toBe(0);
      expect(made.budget.heldBytes).toBe(0);
    });
  }

  test("there were as many as thought of", () => expect(REFUSED).toHaveLength(10));

  test("a plain request on an upgraded connection gets no 101", async () => {
    const made = await rig();
    const visitor = visit(made, UPGRADE.replace("chat", "h2c"));
    await made.agent.frameOf(FrameType.open, 1);
    made.agent.head(1, 101, ["Upgrade", "h2c"], "evil");
    const text = await visitor.untilClosed();
    expect(text).toContain("HTTP/1.1 502 ");
    expect(text).not.toContain("evil");
  });

  test("a second head, or a length that lies, cuts the connection", async () => {
    const sends: ((made: HostileAgentRig) => void)[] = [
      (made) => made.agent.head(1, 200, ["Content-Length", "50"], "part").head(1, 200, [], "evil"),
      (made) => made.agent.head(1, 200, ["Content-Length", "50"], "part").end(1),
      (made) => made.agent.head(1, 200, ["Content-Length", "4"], "part").data(1, "evil"),
    ];
    for (const send of sends) {
      const made = await rig();
      const visitor = visit(made, UPGRADE);
      await made.agent.frameOf(FrameType.open, 1);
      send(made);
      expect(await visitor.untilClosed()).not.toContain("evil");
      expect(await made.fact()).toMatchObject({ failure: "http_response_incomplete" });
    }
    expect(sends).toHaveLength(3);
  });

  test("a body that only the end of the connection ends is cut with a reset", async () => {
    const made = await rig();
    const visitor = visit(made, UPGRADE);
    let code = "";
    let ended = false;
    visitor.socket.on("error", (error: NodeJS.ErrnoException) => code = error.code ?? "");
    visitor.socket.on("end", () => ended = true);
    await made.agent.frameOf(FrameType.open, 1);
    made.agent.head(1, 200, []).data(1, "part");
    await visitor.untilText("part");
    made.agent.frame(FrameType.reset, 0, 1, Uint8Array.of(0, 0, 0, 0x0c));
    await visitor.untilClosed();
    expect([code, ended]).toEqual(["ECONNRESET", false]);
  });
});

describe("backpressure and ends", () => {
  test("a visitor who floods is read no further than the credit", async () => {
    const made = await rig();
    const visitor = visit(made, UPGRADE);
    await made.agent.frameOf(FrameType.open, 1);
    made.agent.head(1, 101, ["Upgrade", "chat"]);
    await visitor.untilText("101");
    const chunk = "x".repeat(1 << 20);
    for (let i = 0; i < 20; i++) visitor.send(chunk);
    const taken = (): number =>
      made.agent.seen.reduce(
        (sum, { type, payload }) => sum + (type === FrameType.data ? payload.length : 0),
        0,
      );
    await made.agent.until(() => taken() >= 1 << 18, () => "a window");
    await pong(made);
    expect(taken()).toBe(1 << 18);
  });

  test("a visitor who does not read holds no more than a window", async () => {
    const made = await rig();
    const visitor = visit(made, UPGRADE);
    await made.agent.frameOf(FrameType.open, 1);
    made.agent.head(1, 101, ["Upgrade", "chat"]);
    await visitor.untilText("101");
    visitor.socket.pause();
    const piece = "x".repeat(60_000);
    const granted = (): number =>
      made.agent.seen.reduce(
        (sum, { type, id, payload }) =>
          type === FrameType.credit && id === 1 ? sum + new DataView(payload.buffer).getUint32(0) : sum,
        1 << 18,
      );
    let sent = 0;
    for (let round = 0; round < 2000 && made.budget.heldBytes < 100_000; round++) {
      if (sent + piece.length <= granted()) {
        made.agent.data(1, piece);
        sent += piece.length;
      }
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    expect(made.budget.heldBytes).toBeGreaterThanOrEqual(60_000);
    expect(made.budget.heldBytes).toBeLessThanOrEqual(5 << 20);
    visitor.close();
    expect(await made.fact()).toMatchObject({ status: 101 });
    expect(made.budget.heldBytes).toBe(0);
  });

  test("a visitor who hangs up resets the stream", async () => {
    const made = await rig();
    const visitor = visit(made, UPGRADE);
    await made.agent.frameOf(FrameType.open, 1);
    made.agent.head(1, 101, ["Upgrade", "chat"]);
    await visitor.untilText("101");
    visitor.socket.resetAndDestroy();
    expect(await made.agent.resetOf(1)).toBe("cancelled");
    expect(await made.fact()).toMatchObject({ status: 101, failure: undefined });
  });

  test("no answer in time is 504", async () => {
    const made = await rig({ answerTimeoutMs: 50 });
    const visitor = visit(made, UPGRADE);
    expect(await visitor.untilClosed()).toContain("HTTP/1.1 504 ");
    expect(await made.agent.resetOf(1)).toBe("cancelled");
  });
});
