/**
 * Raw connections of visitors: which agent gets them, what the visitor sees when that fails, and what is written down.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import { addressFields, failureOf, resetFailure } from "../../lib/gateway/connections.ts";
import type { ByteSocket } from "../../lib/runtime/byte_socket.ts";
import type { Stream } from "../../lib/mux/stream.ts";
import type { SpliceFacts } from "../../lib/tcp/splice.ts";
import { ErrorCode, type ErrorName } from "../../lib/wire/errors.ts";
import { FrameType } from "../../lib/wire/frame.ts";
import { encodeFields } from "../../lib/wire/head.ts";
import { TcpEnd } from "../e2e/tcp_wall.ts";
import { claims, GatewayRig, type GatewayRigOptions, type ScriptedAgent } from "../support/gateway_rig.ts";
import { TestSink } from "../support/session_pair.ts";

let rig: GatewayRig;
const visitors: TcpEnd[] = [];
afterEach(async () => {
  for (const visitor of visitors.splice(0)) visitor.destroy();
  await rig.close();
});

async function start(agents: number, options: GatewayRigOptions = {}): Promise<ScriptedAgent[]> {
  rig = new GatewayRig(options);
  await rig.listen("db");
  const made: ScriptedAgent[] = [];
  for (let i = 0; i < agents; i++) made.push(await rig.agent({ tcp: ["db"] }));
  return made;
}

async function visit(): Promise<TcpEnd> {
  const visitor = await TcpEnd.connect(rig.port);
  visitors.push(visitor);
  return visitor;
}

/** The agent that got the first OPEN, and the other. */
async function firstAsked(agents: ScriptedAgent[]): Promise<[ScriptedAgent, ScriptedAgent]> {
  await Promise.race(agents.map((agent) => agent.opened()));
  const asked = agents.filter((agent) => agent.opens.length > 0);
  expect(asked).toHaveLength(1);
  return [asked[0]!, agents.find((agent) => agent !== asked[0])!];
}

const TOTAL = "netwall_connections_total";
const result = (failure: string): string =>
  `${TOTAL}{service="db",direction="north-south",result="${failure}"} 1`;

describe("a connection", () => {
  test("reaches the one agent at once, with who calls, and both ends and byte counts are told", async () => {
    const [agent] = await start(1, { logAccess: true });
    const visitor = await visit();
    visitor.write("hello");
    const id = await agent!.opened();
    // With one agent nothing is waited for: the target may stand later.
    await agent!.untilText(id, "hello");
    const local = `127.0.0.1:${visitor.socket.localPort}`;
    expect(agent!.opens[0]).toMatchObject({ kind: "tcp", service: "db" });
    expect(agent!.opens[0]!.fields).toEqual(["source", local, "destination", `127.0.0.1:${rig.port}`]);
    agent!.connected(id, "ab").peer.data(id, "cde", true);
    expect(String(await visitor.rest())).toBe("abcde");
    visitor.end();
    const line = await rig.line({ message: "connection" });
    expect(line).toMatchObject({
      ...{ level: "info", direction: "north-south", service: "db", agent: "box", source: "127.0.0.1" },
      ...{ inBytes: 5, outBytes: 5 },
    });
    expect(await rig.series(TOTAL)).toEqual([result("closed")]);
    const inOut = await rig.series("netwall_connection_bytes_total");
    expect(inOut.map((each) => /way="(\w+)"} (\d+)/.exec(each)!.slice(1, 3))).toEqual([["in", "5"], [
      "out",
      "5",
    ]]);
  });

  test("that ended in order leaves no line unless access is logged", async () => {
    const [agent] = await start(1);
    const visitor = await visit();
    visitor.end();
    const id = await agent!.opened();
    agent!.connected(id, "", true);
    expect(await visitor.gone()).toBe("end");
    await rig.connections.finish(5_000);
    await waitFor(async () => (await rig.series(TOTAL)).length === 1);
    expect(rig.lines).toEqual([]);
  });

  test("for a service that nobody serves is reset at once", async () => {
    await start(0);
    expect(await (await visit()).gone()).toBe("ECONNRESET");
    const line = await rig.line({ failure: "unavailable" });
    expect(line).toMatchObject({ level: "warn", message: "connection failed", service: "db" });
    expect(line["detail"]).toBe("No agent serves this right now");
    expect(await rig.series(TOTAL)).toEqual([result("unavailable")]);
  });

  test("for a service that is HTTP is reset, and the log says what to do", async () => {
    await start(0);
    const agent = await rig.agent({ services: ["db"] });
    expect(await (await visit()).gone()).toBe("ECONNRESET");
    expect((await rig.line({ failure: "unavailable" }))["detail"]).toMatch(/is HTTP: give it a route/);
    expect(agent.opens).toEqual([]);
  });

  test("that the visitor cuts off is a reset for the agent, and no warning", async () => {
    const [agent] = await start(1);
    const visitor = await visit();
    const id = await agent!.opened();
    agent!.connected(id, "x");
    await visitor.take(1);
    visitor.reset();
    expect((await agent!.resetOf(id)).code).toBe("cancelled");
    expect(await rig.line({ failure: "caller_reset" })).toMatchObject({ level: "debug", outBytes: 1 });
  });

  test("on which nothing moves for too long ends, for both", async () => {
    const [agent] = await start(1, { idleTimeoutMs: 100 });
    const visitor = await visit();
    const id = await agent!.opened();
    agent!.connected(id);
    expect(await visitor.gone()).toBe("ECONNRESET");
    expect((await agent!.resetOf(id)).code).toBe("cancelled");
    expect(await rig.line({ failure: "idle" })).toMatchObject({ level: "warn" });
    expect(await rig.series(TOTAL)).toEqual([result("idle")]);
  });

  test("whose link is lost is reset, never ended", async () => {
    const [agent] = await start(1);
    const visitor = await visit();
    const id = await agent!.opened();
    agent!.connected(id, "half");
    await visitor.take(4);
    agent!.peer.close();
    expect(await visitor.gone()).toBe("ECONNRESET");
    expect(await rig.line({ failure: "link_lost" })).toMatchObject({ level: "warn" });
  });
});

describe("a failure of the target", () => {
  test("resets the visitor and is counted and logged under its own code, whatever the code", async () => {
    const [agent] = await start(1);
    const codes = Object.keys(ErrorCode) as ErrorName[];
    for (const [index, code] of codes.entries()) {
      const visitor = await visit();
      agent!.reset(await agent!.opened(index), code, `why ${code}`);
      expect([code, await visitor.gone()]).toEqual([code, "ECONNRESET"]);
      const line = await rig.line({ failure: code === "none" ? "link_lost" : code });
      expect(line).toMatchObject({ detail: `why ${code}`, agent: "box" });
    }
    expect(codes).toHaveLength(22);
    const seen = await rig.series(TOTAL);
    expect(seen).toHaveLength(22);
    expect(seen).toContain(result("targetRefused"));
    expect(seen).toContain(result("targetDns"));
    expect(seen.every((series) => series.endsWith(" 1"))).toBe(true);
  });

  test("with a code that nobody knows is internal: an agent cannot make up labels", async () => {
    const [agent] = await start(1);
    const visitor = await visit();
    const id = await agent!.opened();
    agent!.peer.frame(FrameType.reset, 0, id, Uint8Array.of(0xde, 0xad, 0xbe, 0xef, 0x0a, 0x22));
    expect(await visitor.gone()).toBe("ECONNRESET");
    expect(await rig.line({ failure: "internal" })).toMatchObject({ detail: '\n"' });
    expect(await rig.series(TOTAL)).toEqual([result("internal")]);
  });
});

describe("with two agents", () => {
  test("the visitor is not read before a target stands, and then goes to that agent alone", async () => {
    const agents = await start(2);
    const visitor = await visit();
    visitor.write("secret");
    const [first, other] = await firstAsked(agents);
    const id = first.opens[0]!.id;
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(first.text(id)).toBe("");
    first.connected(id);
    await first.untilText(id, "secret");
    expect(other.opens).toEqual([]);
  });

  test("the second is asked when the target of the first is down, and the visitor notices nothing", async () => {
    const agents = await start(2, { logAccess: true });
    const visitor = await visit();
    visitor.write("hello");
    const [first, second] = await firstAsked(agents);
    first.reset(first.opens[0]!.id, "targetRefused", "down");
    const id = await second.opened();
    second.connected(id, "world", true);
    await second.untilText(id, "hello");
    expect(String(await visitor.rest())).toBe("world");
    visitor.end();
    await rig.line({ message: "connection" });
    expect(first.text(first.opens[0]!.id)).toBe("");
    expect(second.opens[0]!.fields).toEqual(first.opens[0]!.fields);
    // One connection is one in the total, however often it was tried.
    expect(await rig.series(TOTAL)).toEqual([result("closed")]);
    expect(await rig.series("netwall_retries_total")).toEqual(['netwall_retries_total{service="db"} 1']);
    const retry = await rig.line({ message: "connection tried on another link" });
    expect(retry).toMatchObject({ level: "warn", failure: "targetRefused", agent: "box", detail: "down" });
  });

  test("the second is asked when the link of the first is lost before its target stood", async () => {
    const agents = await start(2);
    const visitor = await visit();
    visitor.write("hello");
    const [first, second] = await firstAsked(agents);
    first.peer.close();
    const id = await second.opened();
    second.connected(id, "x");
    await second.untilText(id, "hello");
    expect(String(await visitor.take(1))).toBe("x");
  });

  test("both are asked once, and then the visitor is reset with what the last one said", async () => {
    const agents = await start(2);
    const visitor = await visit();
    const [first, second] = await firstAsked(agents);
    first.reset(first.opens[0]!.id, "targetRefused");
    second.reset(await second.opened(), "targetTimeout");
    expect(await visitor.gone()).toBe("ECONNRESET");
    await rig.line({ message: "connection failed" });
    expect(await rig.series(TOTAL)).toEqual([result("targetTimeout")]);
    expect([first.opens.length, second.opens.length]).toEqual([1, 1]);
  });

  test("an end that came while nobody read reaches the second one too, behind the bytes", async () => {
    const agents = await start(2);
    const visitor = await visit();
    visitor.write("hello").end();
    const [first, second] = await firstAsked(agents);
    await new Promise((resolve) => setTimeout(resolve, 30));
    first.reset(first.opens[0]!.id, "targetRefused");
    const id = await second.opened();
    second.connected(id, "answer", true);
    expect(String(await visitor.rest())).toBe("answer");
    expect(await visitor.gone()).toBe("end");
    const ends = (): boolean =>
      second.seen(id).some(({ type, flags }) => type === FrameType.end || flags === 1);
    await second.peer.until(ends, () => "the end");
    expect(second.text(id)).toBe("hello");
  });

  test("what was connected is never tried again: its bytes are gone", async () => {
    const agents = await start(2);
    const visitor = await visit();
    const [first, second] = await firstAsked(agents);
    const id = first.opens[0]!.id;
    first.connected(id);
    visitor.write("hello");
    await first.untilText(id, "hello");
    first.reset(id, "targetReset");
    expect(await visitor.gone()).toBe("ECONNRESET");
    await rig.line({ failure: "targetReset" });
    expect(second.opens).toEqual([]);
  });

  test("a visitor who left meanwhile is carried nowhere", async () => {
    const agents = await start(2);
    const visitor = await visit();
    const [first, second] = await firstAsked(agents);
    visitor.reset();
    await new Promise((resolve) => setTimeout(resolve, 30));
    first.reset(first.opens[0]!.id, "targetRefused");
    const id = await second.opened();
    second.connected(id);
    expect((await second.resetOf(id)).code).toBe("cancelled");
    await rig.line({ failure: "caller_reset" });
    expect(second.text(id)).toBe("");
  });
});

describe("raw connections on a link that serves HTTP too", () => {
  test("cannot take the last quarter of its streams, by doors or by calls, and requests can", async () => {
    rig = new GatewayRig();
    await rig.listen("db");
    // Its HELLO says 100.
    const agent = await rig.agent({ tcp: ["db"], services: ["web"] });
    const shop = await rig.agent({ token: claims({ name: "shop", serve: [], reach: ["db"] }) });
    for (let i = 0; i < 40; i++) shop.call(2 + 2 * i, "tcp", "db");
    await agent.opened(39);
    for (let i = 0; i < 35; i++) await visit();
    await agent.opened(74);
    for (let i = 0; i < 5; i++) expect(await (await visit()).gone()).toBe("ECONNRESET");
    shop.call(200, "tcp", "db");
    expect((await shop.resetOf(200)).code).toBe("targetUnreachable");
    expect([agent.opens.length, agent.session.ownStreams, agent.session.ownStreamsMax]).toEqual([
      75,
      75,
      100,
    ]);

    const requests: Stream[] = [];
    for (let i = 0; i < 25; i++) {
      const { session } = rig.registry.select("web")!;
      requests.push(session.openStream("http", "web", encodeFields([]), true, new TestSink())!);
    }
    await agent.opened(99);
    expect(rig.registry.select("web")).toBeUndefined();
    // A request that ends makes room for a request alone; a raw connection, for either.
    requests[0]!.reset("cancelled");
    expect(rig.registry.select("web")).toBeDefined();
    expect(rig.registry.select("db", undefined, "tcp")).toBeUndefined();
    for (const request of requests) request.reset("cancelled");
    expect(rig.registry.select("db", undefined, "tcp")).toBeUndefined();
    shop.reset(2, "cancelled");
    await rig.until(() => rig.registry.select("db", undefined, "tcp") !== undefined, () => "room");
    const last = await visit();
    await agent.opened(100);
    expect(last.closed).toBe(false);
  });
});

describe("finish()", () => {
  test("waits for what is open, and cuts it off after the grace", async () => {
    const [agent] = await start(1);
    const visitor = await visit();
    const id = await agent!.opened();
    agent!.connected(id);
    let finished = false;
    const done = rig.connections.finish(300).then(() => finished = true);
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect([finished, visitor.closed]).toEqual([false, false]);
    await done;
    expect(await visitor.gone()).toBe("ECONNRESET");
    expect(await agent!.resetOf(id)).toEqual({ code: "cancelled", detail: "The gateway is stopping" });
    expect(await rig.line({ failure: "stopped" })).toMatchObject({ level: "debug" });
  });

  test("settles as soon as the last one is over", async () => {
    const [agent] = await start(1);
    const visitor = await visit();
    const id = await agent!.opened();
    const done = rig.connections.finish(60_000);
    agent!.connected(id, "", true);
    visitor.end();
    await done;
    expect(await visitor.gone()).toBe("end");
  });

  test("counts calls, which others carry", async () => {
    await start(0);
    rig.connections.beginCall();
    let finished = false;
    const done = rig.connections.finish(60_000).then(() => finished = true);
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(finished).toBe(false);
    rig.connections.record({
      ...{ direction: "egress", service: "", source: "box", failure: undefined, detail: "", startMs: 0 },
      ...{ inBytes: 0, outBytes: 0 },
    });
    await done;
  });
});

test("addressFields() brackets IPv6, and has nothing to say of a unix socket", () => {
  const socket = (remoteAddress: string, localAddress: string): ByteSocket =>
    ({ remoteAddress, remotePort: 5, localAddress, localPort: 1 }) as unknown as ByteSocket;
  expect(addressFields(socket("2001:db8::1", "2001:db8::2"))).toEqual([
    ...["source", "[2001:db8::1]:5", "destination"],
    "[2001:db8::2]:1",
  ]);
  expect(addressFields(socket("192.0.2.1", "192.0.2.2"))[3]).toBe("192.0.2.2:1");
  expect(addressFields(socket("", ""))).toEqual([]);
});

test("failureOf() and resetFailure() give one of a bounded set", () => {
  const facts = (by: SpliceFacts["by"], code?: ErrorName): SpliceFacts => ({
    ...{ by, code, readBytes: 0, writtenBytes: 0, connected: true, detail: "" },
  });
  const cases: [SpliceFacts, string | undefined][] = [
    [facts("closed"), undefined],
    [facts("socket", "cancelled"), "caller_reset"],
    [facts("stream", "targetRefused"), "targetRefused"],
    [facts("stream", "none"), "link_lost"],
    [facts("stream"), "link_lost"],
    [facts("idle", "cancelled"), "idle"],
    [facts("stopped", "cancelled"), "stopped"],
  ];
  for (const [given, failure] of cases) expect(failureOf(given)).toBe(failure as never);
  expect(cases).toHaveLength(7);
  expect([resetFailure("denied"), resetFailure("none"), resetFailure(undefined)]).toEqual([
    ...["denied", "link_lost"],
    "link_lost",
  ]);
});

async function waitFor(isTrue: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 8_000;
  while (!await isTrue()) {
    if (performance.now() > endMs) throw new Error("Timed out waiting for a metric");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
