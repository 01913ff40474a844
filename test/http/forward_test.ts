/**
 * Tests of forwarding against an agent that breaks every rule: no visitor may take a broken answer for a whole one,
 * and no visitor may get the answer of another.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import type { ForwardOptions } from "../../lib/http/forward_options.ts";
import { FrameType } from "../../lib/wire/frame.ts";
import { encodeResponseHead } from "../../lib/wire/head.ts";
import { encodeHead } from "../../lib/wire/open.ts";
import { HostileAgentRig } from "../support/hostile_agent.ts";
import { fieldOf, parseAnswers, RawVisitor } from "../support/raw_http.ts";

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

const GET = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

describe("an answer that is whole", () => {
  test("head and body in one frame, and the connection serves the next request", async () => {
    const made = await rig();
    const visitor = visit(made, GET);
    await made.agent.frameOf(FrameType.open, 1);
    made.agent.head(
      1,
      200,
      ["Content-Length", "5", "X-Case", "Kept", "set-cookie", "a", "Set-Cookie", "b"],
      "hello",
      true,
    );
    const [first] = await visitor.answers(1);
    expect(first).toMatchObject({ status: 200, body: "hello" });
    expect(first!.head).toContain("\r\nX-Case: Kept\r\n");
    expect(first!.head).toMatch(/\r\nset-cookie: a\r\n(?:.*\r\n)*Set-Cookie: b\r\n/i);
    visitor.send(GET);
    await made.agent.frameOf(FrameType.open, 3);
    made.agent.head(3, 204, [], "", true, "No Content");
    expect((await visitor.answers(2))[1]).toMatchObject({ status: 204, body: "" });
    expect(await made.fact(2)).toMatchObject({ status: 204, failure: undefined, responseBytes: 0 });
    expect(made.budget.heldBytes).toBe(0);
  });

  test("a body without a length is chunked, with its trailers", async () => {
    const made = await rig();
    const visitor = visit(made, GET);
    await made.agent.frameOf(FrameType.open, 1);
    made.agent.head(1, 200, ["Trailer", "X-Sum"]).data(1, "one").data(1, "two");
    made.agent.end(1, ["X-Sum", "6", "Content-Length", "1", "Set-Cookie", "no"]);
    await visitor.untilText("\r\n0\r\n");
    await visitor.untilText("X-Sum: 6\r\n\r\n");
    expect(parseAnswers(visitor.text)).toHaveLength(1);
    expect(visitor.text).not.toContain("Set-Cookie");
    expect(visitor.text).not.toContain("Content-Length");
  });

  test("HEAD and 304 keep their length and have no body", async () => {
    const made = await rig();
    const visitor = visit(made, "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
    await made.agent.frameOf(FrameType.open, 1);
    made.agent.head(1, 200, ["Content-Length", "5"], "", true);
    await visitor.untilText("Content-Length: 5\r\n");
    visitor.send(GET);
    await made.agent.frameOf(FrameType.open, 3);
    made.agent.head(3, 304, ["Content-Length", "5"], "", true, "Not Modified");
    await visitor.untilText("HTTP/1.1 304");
    expect((await made.fact(2)).failure).toBeUndefined();
  });

  test("interim answers pass, without a length that would make somebody wait", async () => {
    const made = await rig();
    const visitor = visit(made, GET);
    await made.agent.frameOf(FrameType.open, 1);
    made.agent.head(1, 103, ["Link", "</a>", "Content-Length", "5"], "", false, "Early Hints");
    made.agent.head(1, 200, ["Content-Length", "2"], "ok", true);
    await visitor.untilText("ok");
    expect(visitor.text).toMatch(/^HTTP\/1.1 103 Early Hints\r\nLink: <\/a>\r\n\r\nHTTP\/1.1 200 OK\r\n/);
  });

  test("an interim answer behind a pipelined request never lands in the answer before", async () => {
    const made = await rig();
    const visitor = visit(made, GET + GET.replace("/a", "/b"));
    await made.agent.frameOf(FrameType.open, 3);
    made.agent.head(1, 200, ["Content-Length", "4"], "ab");
    await visitor.untilText("ab");
    made.agent.head(3, 103, ["Link", "</b>"], "", false, "Early Hints").head(
      3,
      200,
      ["Content-Length", "2"],
      "xy",
      true,
    );
    made.agent.data(1, "cd", true);
    await visitor.untilText("xy");
    const answers = parseAnswers(visitor.text).filter((answer) => answer.status === 200);
    expect(answers.map((answer) => answer.body)).toEqual(["abcd", "xy"]);
  });

  test("HTTP/1.0 gets no interim answers and no chunks", async () => {
    const made = await rig();
    const visitor = visit(made, "GET / HTTP/1.0\r\nHost: x\r\n\r\n");
    await made.agent.frameOf(FrameType.open, 1);
    made.agent.head(1, 103, ["Link", "</a>"], "", false, "Early Hints").head(1, 200, []).data(
      1,
      "plain",
      true,
    );
    expect(await visitor.untilClosed()).toMatch(/^HTTP\/1.1 200 OK\r\n[^]*\r\n\r\nplain$/);
  });
});

/** What a hostile agent sends, and that the visitor gets 502 with nothing of it. */
const REFUSED: [string, (made: HostileAgentRig) => void][] = [
  ["CR LF in a value", (made) => made.agent.head(1, 200, ["X", "a\r\nSet-Cookie: evil=1"], "evil", true)],
  ["CR LF in a name", (made) => made.agent.head(1, 200, ["X: evil\r\nY", "a"], "evil", true)],
  ["CR LF in the reason", (made) => made.agent.head(1, 200, [], "evil", true, "OK\r\nevil: 1")],
  ["NUL in a value", (made) => made.agent.head(1, 200, ["X", "\x00evil"], "", true)],
  [
    "two lengths",
    (made) => made.agent.head(1, 200, ["Content-Length", "4", "Content-Length", "5"], "evil", true),
  ],
  [
    "length and chunks",
    (made) => made.agent.head(1, 200, ["Content-Length", "4", "Transfer-Encoding", "chunked"], "evil", true),
  ],
  ["END without a head", (made) => made.agent.end(1)],
  [
    "status 101 to a plain request",
    (made) => made.agent.head(1, 101, ["Upgrade", "evil"], "", false, "Switching"),
  ],
  ["RESET before a head", (made) => made.agent.frame(FrameType.reset, 0, 1, Uint8Array.of(0, 0, 0, 0x0d))],
  ["endless interim answers", (made) => {
    for (let i = 0; i < 40; i++) made.agent.head(1, 102, [], "", false, "Processing");
  }],
];

describe("an answer that cannot be used", () => {
  for (const [name, send] of REFUSED) {
    test(`${name}: 502, and the connection serves on`, async () => {
      const made = await rig();
      const visitor = visit(made, GET);
      await made.agent.frameOf(FrameType.open, 1);
      send(made);
      await visitor.untilText("HTTP/1.1 502 ");
      expect(visitor.text).not.toContain("evil");
      expect(await made.fact()).toMatchObject({ status: 0, failure: "http_protocol_error" });
      visitor.send(GET.replace("/a", "/next"));
      await made.agent.frameOf(FrameType.open, 3);
      made.agent.head(1, 200, ["Content-Length", "4"], "late", true);
      made.agent.head(3, 200, ["Content-Length", "4"], "next", true);
      await visitor.untilText("next");
      expect(visitor.text).not.toContain("late");
      expect(made.end).toBeUndefined();
      expect(made.budget.heldBytes).toBe(0);
    });
  }

  test("there were as many as thought of", () => expect(REFUSED).toHaveLength(10));
});

/** What breaks the protocol: the session ends, the visitor gets 502, the process lives. */
const BROKEN: [string, (made: HostileAgentRig) => void][] = [
  ["data before the head", (made) => made.agent.data(1, "evil")],
  ["a status of 99", (made) => made.agent.head(1, 99, [], "", true)],
  ["a status of 1000", (made) => made.agent.head(1, 1000, [], "", true)],
  ["a status of 0", (made) => made.agent.head(1, 0, [], "", true)],
  ["an interim answer that ends", (made) => made.agent.head(1, 103, [], "", true)],
  ["an interim answer with a body", (made) => made.agent.head(1, 103, [], "evil")],
  ["a head of garbage", (made) => made.agent.frame(FrameType.head, 0, 1, Uint8Array.of(0, 3, 1, 2, 3))],
  [
    "a head longer than its frame",
    (made) => made.agent.frame(FrameType.head, 0, 1, Uint8Array.of(255, 255, 0)),
  ],
  ["an answer to a stream that never was", (made) => made.agent.head(9, 200, [], "evil", true)],
  ["more data than there is credit for", (made) => {
    made.agent.head(1, 103, [], "", false);
    const much = "e".repeat(120_000);
    const head = encodeResponseHead({ status: 200, reason: "", fields: ["Content-Length", "9", "X", "\n"] });
    for (let i = 0; i < 200; i++) {
      made.agent.frame(FrameType.head, 0, 1, encodeHead(head, new Uint8Array(much.length)));
    }
  }],
];

describe("a frame that breaks the protocol", () => {
  for (const [name, send] of BROKEN) {
    test(`${name}: the session ends, the visitor gets 502`, async () => {
      const made = await rig();
      const visitor = visit(made, GET);
      await made.agent.frameOf(FrameType.open, 1);
      send(made);
      await visitor.untilText("HTTP/1.1 502 ");
      expect(visitor.text).not.toContain("evil");
      await made.until(() => made.end !== undefined, () => "the end of the session");
      expect(made.end!.fault).toBeUndefined();
      expect(made.budget.heldBytes).toBe(0);
    });
  }

  test("there were as many as thought of", () => expect(BROKEN).toHaveLength(10));
});

/** What goes wrong after the head: the connection is cut, so that nothing looks whole. */
const CUT: [string, (made: HostileAgentRig) => void][] = [
  [
    "more bytes than declared",
    (made) => made.agent.head(1, 200, ["Content-Length", "5"]).data(1, "helloHTTP/1.1 200 evil"),
  ],
  [
    "more bytes than declared, with the head",
    (made) => made.agent.head(1, 200, ["Content-Length", "2"], "helloevil", true),
  ],
  ["fewer bytes than declared", (made) => made.agent.head(1, 200, ["Content-Length", "50"], "hello").end(1)],
  [
    "fewer bytes than declared, at once",
    (made) => made.agent.head(1, 200, ["Content-Length", "50"], "hello", true),
  ],
  ["no byte at all", (made) => made.agent.head(1, 200, ["Content-Length", "50"], "", true)],
  [
    "RESET in the body",
    (made) => made.agent.head(1, 200, [], "hello").frame(FrameType.reset, 0, 1, Uint8Array.of(0, 0, 0, 0x0c)),
  ],
  [
    "a second head",
    (made) => made.agent.head(1, 200, ["Content-Length", "50"], "hello").head(1, 200, [], "evil"),
  ],
  ["HEAD with a body", (made) => made.agent.head(1, 200, ["Content-Length", "4"], "evil", true)],
  ["304 with a body", (made) => made.agent.head(1, 304, [], "evil", true)],
  ["204 with a body", (made) => made.agent.head(1, 204, []).data(1, "evil", true)],
  [
    "a trailer with CR LF",
    (made) => made.agent.head(1, 200, [], "hello").end(1, ["X", "1\r\n\r\nHTTP/1.1 200 evil"]),
  ],
  ["a trailer with a bad name", (made) => made.agent.head(1, 200, [], "hello").end(1, ["X Y", "1"])],
  ["a trailer without a name", (made) => made.agent.head(1, 200, [], "hello").end(1, ["", "1"])],
];

describe("an answer that breaks after its head", () => {
  for (const [name, send] of CUT) {
    test(`${name}: the connection is cut and serves nothing more`, async () => {
      const made = await rig();
      const method = name.startsWith("HEAD") ? "HEAD" : "GET";
      const visitor = visit(made, GET.replace("GET", method));
      await made.agent.frameOf(FrameType.open, 1);
      send(made);
      const text = await visitor.untilClosed();
      expect(text).not.toContain("evil");
      const [answer] = parseAnswers(text);
      const hasLength = answer !== undefined && /content-length|chunked/i.test(answer.head) &&
        method === "GET";
      if (hasLength && answer.status === 200) throw new Error(`The answer looks whole: ${text}`);
      expect(await made.fact()).toMatchObject({ failure: "http_response_incomplete" });
      expect(made.budget.heldBytes).toBe(0);
    });
  }

  test("there were as many as thought of", () => expect(CUT).toHaveLength(13));

  test("HTTP/1.0 sees a reset where the end of the connection would mean the end of the body", async () => {
    const made = await rig();
    const visitor = new RawVisitor(made.port);
    closers.push(() => visitor.close());
    let code = "";
    let ended = false;
    visitor.socket.on("error", (error: NodeJS.ErrnoException) => code = error.code ?? "");
    visitor.socket.on("end", () => ended = true);
    visitor.send("GET / HTTP/1.0\r\nHost: x\r\n\r\n");
    await made.agent.frameOf(FrameType.open, 1);
    made.agent.head(1, 200, []).data(1, "part");
    await visitor.untilText("part");
    made.agent.frame(FrameType.reset, 0, 1, Uint8Array.of(0, 0, 0, 0x0c));
    await visitor.untilClosed();
    expect([code, ended]).toEqual(["ECONNRESET", false]);
  });
});

describe("the visitor's side", () => {
  test("a body goes on with its trailers, but not those that lie", async () => {
    const made = await rig();
    const visitor = visit(made, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    await made.agent.frameOf(FrameType.open, 1);
    visitor.send("3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-Forwarded-For: 6.6.6.6\r\nAuthorization: evil\r\n\r\n");
    expect((await made.agent.frameOf(FrameType.data, 1)).payload).toEqual(Uint8Array.of(97, 98, 99));
    const { payload } = await made.agent.frameOf(FrameType.end, 1);
    const text = String.fromCharCode(...payload);
    expect(text).toContain("X-Sum");
    expect(text).not.toContain("6.6.6.6");
    expect(text).not.toContain("evil");
  });

  test("a body over the limit gets 413, and the agent is told", async () => {
    const made = await rig({ bodyBytesMax: 10 });
    const visitor = visit(
      made,
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n",
    );
    await visitor.untilText("HTTP/1.1 413 ");
    expect(await made.agent.resetOf(1)).toBe("cancelled");
    expect(fieldOf(visitor.text, "Connection")).toBe("close");
    await visitor.untilClosed();
  });

  test("no more of a body is read than there is credit for", async () => {
    const made = await rig();
    const visitor = visit(made, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n");
    const sent = made.agent.frameOf(FrameType.open, 1);
    await sent;
    const chunk = "x".repeat(1 << 20);
    for (let i = 0; i < 40; i++) visitor.send(chunk);
    const taken = (): number =>
      made.agent.seen.reduce(
        (sum, { type, payload }) => sum + (type === FrameType.data ? payload.length : 0),
        0,
      );
    await made.agent.until(() => taken() >= 1 << 18, () => "a window of the body");
    // The session answers a ping behind everything that it had to send.
    made.agent.frame(FrameType.ping, 0, 0, new Uint8Array(8));
    await made.agent.frameOf(FrameType.pong);
    expect(taken()).toBe(1 << 18);
    made.agent.credit(1, 1000);
    await made.agent.until(() => taken() > 1 << 18, () => "what the credit allows");
    expect(taken()).toBe((1 << 18) + 1000);
  });

  test("a visitor who leaves cancels the stream", async () => {
    const made = await rig();
    const visitor = visit(made, GET);
    await made.agent.frameOf(FrameType.open, 1);
    visitor.close();
    expect(await made.agent.resetOf(1)).toBe("cancelled");
    expect(await made.fact()).toMatchObject({ status: 0, failure: "visitor_left" });
  });

  test("a visitor who leaves in the body gives back all that was held for it", async () => {
    const made = await rig();
    const visitor = visit(made, GET);
    visitor.socket.pause();
    await made.agent.frameOf(FrameType.open, 1);
    made.agent.head(1, 200, []);
    const piece = "x".repeat(60_000);
    for (let i = 0; i < 4; i++) made.agent.data(1, piece);
    // The answer to a ping proves that all of it has been handled.
    made.agent.frame(FrameType.ping, 0, 0, new Uint8Array(8));
    await made.agent.frameOf(FrameType.pong);
    visitor.close();
    await made.fact();
    expect(made.budget.heldBytes).toBe(0);
    expect(made.session.heldBytes).toBe(0);
  });

  test("no answer in time is 504", async () => {
    const made = await rig({ answerTimeoutMs: 50 });
    const visitor = visit(made, GET);
    await visitor.untilText("HTTP/1.1 504 ");
    expect(await made.agent.resetOf(1)).toBe("cancelled");
  });

  test("an early answer ends an upload that nobody reads", async () => {
    const made = await rig();
    const visitor = visit(made, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nsome");
    await made.agent.frameOf(FrameType.open, 1);
    made.agent.head(1, 401, ["Content-Length", "2"], "no", true, "Unauthorized");
    await visitor.untilText("no");
    expect(await made.agent.resetOf(1)).toBe("cancelled");
    await visitor.untilClosed();
    expect(await made.fact()).toMatchObject({ status: 401, failure: undefined });
  });

  test("a lost link is 502 before the head, and may be sent again", async () => {
    const made = await rig();
    const visitor = visit(made, GET);
    await made.agent.frameOf(FrameType.open, 1);
    made.agent.close();
    await visitor.untilText("HTTP/1.1 502 ");
    expect(await made.fact()).toMatchObject({ failure: "connection_terminated", retryable: true });
  });

  test("a session without room is 503 and retryable", async () => {
    const made = await rig();
    made.session.close("none", "gone");
    const visitor = visit(made, GET);
    await visitor.untilText("HTTP/1.1 503 ");
    expect(await made.fact()).toMatchObject({ failure: "connection_limit_reached", retryable: true });
  });

  test("a flood of streams that were reset holds nothing", async () => {
    const made = await rig();
    for (let i = 0; i < 20; i++) {
      const visitor = visit(made, GET);
      await made.agent.frameOf(FrameType.open, 1 + 2 * i);
      made.agent.head(1 + 2 * i, 200, ["Content-Length", "9"], "12345");
      await visitor.untilText("12345");
      visitor.close();
      await made.fact(i + 1);
      made.agent.data(1 + 2 * i, "6789", true);
    }
    expect(made.session.streamsOpen).toBe(0);
    expect(made.budget.heldBytes).toBe(0);
    expect(made.end).toBeUndefined();
  });
});
