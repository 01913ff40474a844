/**
 * Tests of the agent against a gateway that was taken over: it names services that are not served, writes requests
 * that hold two, and lies about lengths. The target must see one sound request or none.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { Duplex } from "node:stream";
import { replay } from "../../lib/http/replay.ts";
import { TargetClient } from "../../lib/http/target_client.ts";
import { memoryLinkPair } from "../../lib/link/memory.ts";
import { MemoryBudget } from "../../lib/mux/budget.ts";
import { Session } from "../../lib/mux/session.ts";
import { FLAG_END, FrameType } from "../../lib/wire/frame.ts";
import { decodeRequestHead, decodeResponseHead } from "../../lib/wire/head.ts";
import { decodeHead, encodeOpen } from "../../lib/wire/open.ts";
import { HostileGatewayRig } from "../support/hostile_gateway.ts";
import { RecordingTarget } from "../support/raw_http.ts";
import { requestHead, ScriptedPeer } from "../support/scripted_peer.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function rig(): Promise<{ made: HostileGatewayRig; gateway: ScriptedPeer; target: RecordingTarget }> {
  const target = new RecordingTarget();
  await target.listen();
  closers.push(() => target.close());
  const made = new HostileGatewayRig();
  closers.push(() => made.close());
  await made.start({ serve: [`web=http://127.0.0.1:${target.port}`] });
  return { made, gateway: made.gateway, target };
}

/** Status and first body bytes of the answer of a stream. */
async function answerOf(gateway: ScriptedPeer, id: number): Promise<{ status: number; body: string }> {
  const { head, body } = decodeHead((await gateway.frameOf(FrameType.head, id)).payload);
  const more = gateway.seen.filter((frame) => frame.type === FrameType.data && frame.id === id)
    .map((frame) => String.fromCharCode(...frame.payload)).join("");
  return { status: decodeResponseHead(head).status, body: String.fromCharCode(...body) + more };
}

const GET = requestHead("GET", "/a", ["Host", "x", "X-Tag", "1"]);

describe("services", () => {
  test("a name that is not served is refused, and nothing is dialled", async () => {
    const { gateway, target, made } = await rig();
    const names = [
      "db",
      "WEB",
      "web ",
      "web\0",
      "127.0.0.1",
      "../web",
      "http://127.0.0.1:1",
      "__proto__",
      "x".repeat(63),
    ];
    for (const [i, name] of names.entries()) gateway.open(1 + 2 * i, "http", name, GET, true);
    for (const i of names.keys()) expect(await gateway.resetOf(1 + 2 * i)).toBe("unknownService");
    expect(names).toHaveLength(9);
    expect(target.sockets).toHaveLength(0);
    // The log is of one line each, whatever the name holds.
    const lines = made.log.filter((line) => line.includes("not served here"));
    expect(lines).toHaveLength(9);
    for (const line of lines) expect(line).toMatch(/^[\x20-\x7e]+\n$/);
  });

  test("the service that is served, is", async () => {
    const { gateway } = await rig();
    gateway.open(1, "http", "web", GET, true);
    expect(await answerOf(gateway, 1)).toEqual({ status: 200, body: "GET /a 1" });
  });

  test("an OPEN that names nothing ends the session, and the agent links again", async () => {
    const { gateway, target, made } = await rig();
    gateway.frame(FrameType.open, 0, 1, Uint8Array.of(1, 0, 0, 0, 9, 0, 0, 0));
    await gateway.until(() => gateway.ended, () => "the end of the session");
    await made.until(() => made.gateways.length === 2, () => "a second link");
    expect(target.sockets).toHaveLength(0);
  });

  test("a kind that does not exist is refused alone", async () => {
    const { gateway, target } = await rig();
    const payload = encodeOpen({
      kind: "http",
      service: "web",
      windowBytes: 99,
      head: GET,
      body: new Uint8Array(0),
    });
    payload[0] = 0x33;
    gateway.frame(FrameType.open, FLAG_END, 1, payload).open(3, "http", "web", GET, true);
    expect(await gateway.resetOf(1)).toBe("refused");
    expect((await answerOf(gateway, 3)).status).toBe(200);
    expect(target.requests).toHaveLength(1);
  });
});

type Bad = [name: string, method: string, target: string, fields: string[], end: boolean, body: string];

const BAD: Bad[] = [
  ["CR LF in a value", "GET", "/", ["Host", "x", "A", "1\r\nB: 2"], true, ""],
  [
    "a request in a value",
    "GET",
    "/",
    ["Host", "x", "A", "1\r\n\r\nGET /evil HTTP/1.1\r\nHost: x"],
    true,
    "",
  ],
  ["CR LF in a name", "GET", "/", ["Host", "x", "A: 1\r\nB", "2"], true, ""],
  ["a name with a space", "GET", "/", ["Host", "x", "A ", "2"], true, ""],
  ["an empty name", "GET", "/", ["Host", "x", "", "2"], true, ""],
  ["CR LF in the target", "GET", "/ HTTP/1.1\r\nX: y\r\n\r\nGET /evil", ["Host", "x"], true, ""],
  ["a space in the target", "GET", "/a b", ["Host", "x"], true, ""],
  ["an empty target", "GET", "", ["Host", "x"], true, ""],
  ["CR LF in the method", "GET / HTTP/1.1\r\n\r\nGET", "/", ["Host", "x"], true, ""],
  ["no method", "", "/", ["Host", "x"], true, ""],
  ["CONNECT", "CONNECT", "evil:80", ["Host", "x"], true, ""],
  [
    "length and chunks",
    "POST",
    "/",
    ["Host", "x", "Content-Length", "3", "Transfer-Encoding", "chunked"],
    false,
    "abc",
  ],
  ["two lengths", "POST", "/", ["Host", "x", "Content-Length", "3", "Content-Length", "4"], false, "abc"],
  ["a length that is none", "POST", "/", ["Host", "x", "Content-Length", "3x"], false, "abc"],
  ["another transfer coding", "POST", "/", ["Host", "x", "Transfer-Encoding", "gzip"], false, "abc"],
  ["a body that is not declared", "POST", "/", ["Host", "x"], false, "abc"],
  ["a body that is declared and not there", "POST", "/", ["Host", "x", "Content-Length", "3"], true, ""],
  ["NUL in a value", "GET", "/", ["Host", "x", "A", "\0"], true, ""],
];

describe("requests that hold more than one, or less", () => {
  for (const [name, method, target, fields, end, body] of BAD) {
    test(`${name}: nothing reaches the target`, async () => {
      const { gateway, target: raw } = await rig();
      gateway.open(1, "http", "web", requestHead(method, target, fields), end, body);
      expect(await gateway.resetOf(1)).toBe("badRequest");
      gateway.open(3, "http", "web", GET, true);
      expect((await answerOf(gateway, 3)).body).toBe("GET /a 1");
      expect(raw.requests).toHaveLength(1);
      expect(raw.unread.join("")).toBe("");
    });
  }

  test("there were as many as thought of", () => expect(BAD).toHaveLength(18));

  test("a body longer than declared: the connection is cut and never used again", async () => {
    const { gateway, target } = await rig();
    const fields = ["Host", "x", "Content-Length", "3"];
    gateway.open(
      1,
      "http",
      "web",
      requestHead("POST", "/p", fields),
      false,
      "abcGET /evil HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    expect(await gateway.resetOf(1)).toBe("badRequest");
    gateway.open(3, "http", "web", requestHead("POST", "/p", fields), false, "abc");
    gateway.data(3, "GET /evil HTTP/1.1\r\nHost: x\r\n\r\n", true);
    gateway.open(5, "http", "web", GET, true);
    expect((await answerOf(gateway, 5)).body).toBe("GET /a 1");
    expect(target.targets.includes("/evil")).toBe(false);
    expect(target.unread.join("")).not.toContain("evil");
  });

  test("a body shorter than declared: the target never takes it for whole", async () => {
    const { gateway, target } = await rig();
    gateway.open(
      1,
      "http",
      "web",
      requestHead("POST", "/p", ["Host", "x", "Content-Length", "9"]),
      false,
      "abc",
    ).end(1);
    expect(await gateway.resetOf(1)).toBe("badRequest");
    gateway.open(3, "http", "web", GET, true);
    expect((await answerOf(gateway, 3)).body).toBe("GET /a 1");
    expect(target.targets).toEqual(["/a"]);
  });

  test("chunks in a chunked body are data", async () => {
    const { gateway, target } = await rig();
    const request = requestHead("POST", "/p", ["Host", "x", "Transfer-Encoding", "chunked"]);
    gateway.open(1, "http", "web", request, false, "0\r\n\r\nGET /evil HTTP/1.1\r\nHost: x\r\n\r\n").end(1);
    gateway.open(3, "http", "web", GET, true);
    expect((await answerOf(gateway, 3)).body).toBe("GET /a 1");
    expect(target.targets).toEqual(["/p", "/a"]);
    expect(target.requests[0]!.raw).toContain("\r\n\r\n24\r\n0\r\n\r\nGET /evil");
  });

  test("a trailer with CR LF resets", async () => {
    const { gateway, target } = await rig();
    const request = requestHead("POST", "/p", ["Host", "x", "Transfer-Encoding", "chunked"]);
    gateway.open(1, "http", "web", request, false, "abc").end(1, ["A", "1\r\n\r\nGET /evil HTTP/1.1\r\n"]);
    expect(await gateway.resetOf(1)).toBe("badRequest");
    expect(target.unread.join("")).not.toContain("evil");
  });
});

describe("upgrades", () => {
  const fields = ["Host", "x", "Connection", "Upgrade", "Upgrade", "chat"];

  test("an upgrade with a declared body is not sent", async () => {
    const { gateway, target } = await rig();
    gateway.open(
      1,
      "upgrade",
      "web",
      requestHead("GET", "/u", [...fields, "Content-Length", "4"]),
      false,
      "evil",
    );
    expect(await gateway.resetOf(1)).toBe("badRequest");
    expect(target.requests).toHaveLength(0);
  });

  test("bytes for after the upgrade wait for it, and are dropped when it does not come", async () => {
    const { gateway, target } = await rig();
    const smuggled = "GET /evil HTTP/1.1\r\nHost: x\r\n\r\n";
    gateway.open(1, "upgrade", "web", requestHead("GET", "/u", fields), false, smuggled).data(1, smuggled)
      .end(1);
    expect((await answerOf(gateway, 1)).body).toBe("GET /u ");
    gateway.open(3, "http", "web", GET, true);
    expect((await answerOf(gateway, 3)).body).toBe("GET /a 1");
    expect(target.targets).toEqual(["/u", "/a"]);
    expect(target.unread.join("")).toBe("");
  });

  test("a target that switches carries both ways, and the exchange ends once both have", async () => {
    const { gateway, target, made } = await rig();
    target.onRequest = (_request, socket) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\nhi");
    };
    gateway.open(1, "upgrade", "web", requestHead("GET", "/u", fields), false, "early");
    expect(await answerOf(gateway, 1)).toMatchObject({ status: 101 });
    await target.until(() => target.unread[0] === "early", () => "the early bytes");
    gateway.data(1, "late").end(1);
    await target.until(() => target.unread[0] === "earlylate", () => "the late bytes");
    await gateway.frameOf(FrameType.end, 1);
    expect(made.gateways).toHaveLength(1);
  });

  test("a switch that nobody asked for is a bad answer", async () => {
    const { gateway, target } = await rig();
    target.onRequest = (_request, socket) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: chat\r\n\r\nevil");
    };
    gateway.open(1, "http", "web", GET, true);
    expect(await gateway.resetOf(1)).toBe("badResponse");
  });
});

/** A socket whose other side never reads, and which answers at once. */
function deafTarget(answer: string): Duplex {
  const socket: Duplex = new Duplex({
    read: () => {},
    write: (_chunk, _encoding, _taken) => void socket.push(Buffer.from(answer, "latin1")),
  });
  return socket;
}

describe("memory", () => {
  test("what a target never takes of its requests is given back when they are over", async () => {
    const sessionWindowBytes = 1 << 20;
    const budget = new MemoryBudget(64 << 20, true);
    const answer = "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno";
    const client = new TargetClient({ connect: () => Promise.resolve(deafTarget(answer)) });
    const [near, far] = memoryLinkPair();
    let done = 0;
    const session = new Session(near, {
      ...{ role: "agent", helloFields: [], streamsMax: 100, sessionWindowBytes, budget },
      onReady: () => {},
      onOpen: (stream, open) => {
        const request = decodeRequestHead(open.head);
        replay({ stream, client, request, body: open.body, upgrade: false, onDone: () => done++ });
      },
      onGoAway: () => {},
      onClose: () => {},
    });
    session.start();
    const gateway = new ScriptedPeer(far);
    closers.push(() => session.close("none", "over"), () => client.close(), () => gateway.close());
    const credit = (): number =>
      gateway.seen.reduce(
        (sum, { type, id, payload }) =>
          type === FrameType.credit && id === 0 ? sum + new DataView(payload.buffer).getUint32(0) : sum,
        sessionWindowBytes,
      );
    let sent = 0;
    // Four windows in all: what is not given back stops the last ones.
    const rounds = 20;
    for (let round = 0; round < rounds; round++) {
      const id = 1 + 2 * round;
      await gateway.until(() => credit() - sent >= 200_000, () => `credit in round ${round}`);
      gateway.open(
        id,
        "http",
        "web",
        requestHead("POST", "/", ["Host", "x", "Content-Length", "200000"]),
        false,
      );
      for (let i = 0; i < 4; i++) gateway.data(id, "x".repeat(50_000), i === 3);
      sent += 200_000;
      expect((await answerOf(gateway, id)).status).toBe(413);
    }
    expect(done).toBe(rounds);
    expect(budget.heldBytes).toBe(0);
    expect(session.streamsOpen).toBe(0);
  });
});
