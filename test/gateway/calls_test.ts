/**
 * Calls of agents: who may call what comes from the token alone; what is refused says why, and nothing more.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import { FrameType } from "../../lib/wire/frame.ts";
import { encodeFarewell } from "../../lib/wire/open.ts";
import { requestHead } from "../support/scripted_peer.ts";
import { TcpTarget } from "../e2e/tcp_wall.ts";
import { claims, GatewayRig, type GatewayRigOptions, type ScriptedAgent } from "../support/gateway_rig.ts";

let rig: GatewayRig;
const targets: TcpTarget[] = [];
afterEach(async () => {
  for (const target of targets.splice(0)) target.close();
  await rig.close();
});

const TOTAL = "netwall_connections_total";

async function start(options: GatewayRigOptions = {}): Promise<GatewayRig> {
  rig = new GatewayRig(options);
  await rig.listen();
  return rig;
}

/** An agent that calls, and serves nothing. */
function caller(change: Parameters<typeof claims>[0]): Promise<ScriptedAgent> {
  return rig.agent({ token: claims({ name: "shop-1", serve: [], ...change }) });
}

/** Lets an agent say that it leaves; settles when the gateway has heard. */
async function leave({ peer }: ScriptedAgent): Promise<void> {
  peer.frame(FrameType.goAway, 0, 0, encodeFarewell("draining", "bye"));
  // The same link, in order: who answers this has read what was before it.
  peer.frame(FrameType.ping, 0, 0, new Uint8Array(8).fill(7));
  const isAnswer = ({ type, payload }: { type: number; payload: Uint8Array }): boolean =>
    type === FrameType.pong && payload[0] === 7;
  await peer.until(() => peer.seen.some(isAnswer), () => "PONG");
}

describe("a call to a service", () => {
  test("that the token does not name is denied, whether it is there or not", async () => {
    await start();
    const db = await rig.agent({ tcp: ["db", "mail"] });
    const shop = await caller({ reach: ["mail"] });
    const names = ["db", "nobody", "x".repeat(63), "no name", "*", "a=b", "mail\0", "__proto__"];
    for (const [index, name] of names.entries()) {
      const id = 2 + 2 * index;
      shop.call(id, "tcp", name);
      const { code, detail } = await shop.resetOf(id);
      expect([name, code]).toEqual([name, "denied"]);
      // The two that are valid names get the same words, so nobody learns what there is.
      const quoted = JSON.stringify(name);
      expect(detail).toBe(`The token of shop-1 does not let it reach ${quoted}: mint one with --reach`);
    }
    expect(names).toHaveLength(8);
    expect(db.opens).toEqual([]);
    expect(await rig.line({ failure: "denied" })).toMatchObject({
      ...{ level: "warn", direction: "east-west", source: "shop-1", inBytes: 0, outBytes: 0 },
    });
    // Only what is served is a label.
    expect((await rig.series(TOTAL)).sort()).toEqual([
      `${TOTAL}{service="",direction="east-west",result="denied"} 7`,
      `${TOTAL}{service="db",direction="east-west",result="denied"} 1`,
    ]);
  });

  test("that nobody serves is unknown, and with a token for any the name must be one", async () => {
    await start();
    const shop = await caller({ reach: ["*"] });
    shop.call(2, "tcp", "nobody").call(4, "tcp", "no\nname").call(6, "tcp", "NOBODY");
    expect(await shop.resetOf(2)).toEqual({ code: "unknownService", detail: "No agent serves nobody" });
    expect((await shop.resetOf(4)).code).toBe("denied");
    expect((await shop.resetOf(6)).code).toBe("denied");
    expect(await rig.line({ failure: "unknownService" })).toMatchObject({ service: "", source: "shop-1" });
  });

  test("goes to an agent that serves it, with who calls by its token and not by its own words", async () => {
    await start({ logAccess: true });
    const db = await rig.agent({ tcp: ["db"], token: claims({ name: "db-1" }) });
    const shop = await caller({ reach: ["db"], namespace: "front" });
    const lies = ["source", "10.0.0.1:1", "caller", "root", "namespace", "admin", "server-name", "x"];
    shop.call(2, "tcp", "db", lies, "hello");
    const id = await db.opened();
    expect(db.opens[0]).toMatchObject({ kind: "tcp", service: "db" });
    expect(db.opens[0]!.fields).toEqual(["caller", "shop-1", "namespace", "front"]);
    await db.untilText(id, "hello");
    db.connected(id, "wor");
    const head = await shop.peer.frameOf(FrameType.head, 2);
    expect([...head.payload.subarray(0, 4)]).toEqual([0, 2, 0, 0]);
    db.peer.data(id, "ld", true);
    await shop.untilText(2, "world");
    shop.peer.data(2, "!", true);
    await db.untilText(id, "hello!");
    expect(await rig.line({ message: "connection" })).toMatchObject({
      ...{ direction: "east-west", service: "db", source: "shop-1", agent: "db-1", inBytes: 6, outBytes: 5 },
    });
    expect(await rig.series(TOTAL)).toEqual([
      `${TOTAL}{service="db",direction="east-west",result="closed"} 1`,
    ]);
  });

  test("with an end that came with OPEN is passed on with its end", async () => {
    await start();
    const db = await rig.agent({ tcp: ["db"] });
    const shop = await caller({ reach: ["db"] });
    shop.call(2, "tcp", "db", [], "", true).call(4, "tcp", "db", [], "all", true);
    const [first, second] = [await db.opened(0), await db.opened(1)];
    await db.untilText(second, "all");
    const ends = (id: number): number =>
      db.seen(id).filter(({ flags, type }) => flags === 1 || type === 4).length;
    await db.peer.until(() => ends(second) === 1 && ends(first) === 1, () => "both ends");
    expect(db.text(first)).toBe("");
  });

  test("is balanced over the links that are open, and refused when there is none", async () => {
    await start();
    const one = await rig.agent({ tcp: ["db"] });
    const two = await rig.agent({ tcp: ["db"] });
    const shop = await caller({ reach: ["db"] });
    for (let i = 0; i < 20; i++) shop.call(2 + 2 * i, "tcp", "db");
    for (const agent of [one, two]) await agent.opened(9);
    expect([one.opens.length, two.opens.length]).toEqual([10, 10]);
    // One that leaves takes nothing more.
    await leave(one);
    for (let i = 20; i < 25; i++) shop.call(2 + 2 * i, "tcp", "db");
    await two.opened(14);
    expect(one.opens).toHaveLength(10);
    await leave(two);
    shop.call(100, "tcp", "db");
    expect(await shop.resetOf(100)).toEqual({
      ...{ code: "targetUnreachable", detail: "No agent serves db right now" },
    });
    expect(await rig.line({ failure: "targetUnreachable" })).toMatchObject({ service: "db" });
  });

  test("a failure of the target reaches the caller under its code, and the log", async () => {
    await start();
    const db = await rig.agent({ tcp: ["db"] });
    const shop = await caller({ reach: ["db"] });
    const codes = [
      "targetRefused",
      "targetTimeout",
      "targetDns",
      "targetTls",
      "overloaded",
      "refused",
    ] as const;
    for (const [index, code] of codes.entries()) {
      shop.call(2 + 2 * index, "tcp", "db");
      db.reset(await db.opened(index), code, "no");
      expect((await shop.resetOf(2 + 2 * index)).code).toBe(code);
      expect(await rig.line({ failure: code })).toMatchObject({ direction: "east-west", agent: "box" });
    }
    expect(codes).toHaveLength(6);
  });

  test("who breaks off is told apart: the caller, the target, either link", async () => {
    await start();
    const db = await rig.agent({ tcp: ["db"] });
    const shop = await caller({ reach: ["db"] });
    shop.call(2, "tcp", "db").call(4, "tcp", "db").call(6, "tcp", "db");
    const ids = [await db.opened(0), await db.opened(1), await db.opened(2)];
    shop.reset(2, "cancelled", "enough");
    expect((await db.resetOf(ids[0]!)).code).toBe("cancelled");
    expect((await rig.line({ failure: "caller_reset" }))["service"]).toBe("db");
    db.connected(ids[1]!).reset(ids[1]!, "targetReset");
    expect((await shop.resetOf(4)).code).toBe("targetReset");
    await rig.line({ failure: "targetReset" });
    db.peer.close();
    expect((await shop.resetOf(6)).code).toBe("targetReset");
    await rig.line({ failure: "link_lost" });
    const again = await rig.agent({ tcp: ["db"] });
    shop.call(8, "tcp", "db");
    const id = await again.opened();
    shop.peer.close();
    await again.resetOf(id);
    await rig.until(
      () => rig.lines.filter((line) => line["failure"] === "caller_reset").length === 2,
      () => JSON.stringify(rig.lines),
    );
  });

  test("of HTTP goes through the inner door as requests, with who calls", async () => {
    await start({ logAccess: true });
    await rig.agent({ services: ["web"] });
    const shop = await caller({ reach: ["web"] });
    const seen: unknown[] = [];
    rig.onRequest = ({ incoming, outgoing }, { caller, service }) => {
      seen.push([incoming.method, incoming.url, caller.name, service]);
      outgoing!.end(`for ${incoming.url}`);
    };
    const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
    shop.call(2, "tcp", "web", [], get("/one"));
    await shop.untilText(2, "for /one");
    shop.peer.data(2, get("/two"));
    await shop.untilText(2, "for /two");
    shop.peer.data(2, "nonsense\r\n\r\n");
    await shop.untilText(2, "HTTP/1.1 400 ");
    expect(seen).toEqual([["GET", "/one", "shop-1", "web"], ["GET", "/two", "shop-1", "web"]]);
    shop.peer.end(2);
    const line = await rig.line({ message: "connection" });
    expect(line).toMatchObject({ direction: "east-west", service: "web", source: "shop-1" });
    expect(line["inBytes"]).toBe(2 * get("/one").length + 12);
  });
});

describe("a call to the outside", () => {
  const NO_TOKEN = "The token of shop-1 allows no calls to the outside: mint one with --egress";
  const NO_RULE = "The gateway does not allow this destination: its log says why";

  test("without a word in the token is denied, whatever the rules say", async () => {
    await start({ allowEgress: ["*:*"] });
    const shop = await caller({ reach: ["*"] });
    shop.call(2, "egress", "", ["host", "example.com", "port", "443"], "hello");
    expect(await shop.resetOf(2)).toEqual({ code: "denied", detail: NO_TOKEN });
    expect(await rig.line({ failure: "denied" })).toMatchObject({
      ...{ direction: "egress", service: "", source: "shop-1", destination: "example.com:443" },
    });
  });

  test("without a rule is denied: the agent is not told why, the log is", async () => {
    await start({ allowEgress: ["api.example.com:443", "127.0.0.1/32:1"] });
    const shop = await caller({ egress: true });
    const places: [string, string][] = [
      ["example.com", "443"],
      ["api.example.com", "80"],
      ["127.0.0.1", "2"],
      ["127.1", "1"],
      ["0x7f000001", "1"],
      ["localhost", "1"],
      ["[::ffff:127.0.0.1]", "2"],
      ["169.254.169.254", "80"],
      ["api.example.com.", "443"],
      ["api.example.com\0.evil", "443"],
      ["", "443"],
      ["a".repeat(5000), "443"],
    ];
    for (const [index, [host, port]] of places.entries()) {
      const id = 2 + 2 * index;
      shop.call(id, "egress", "", ["host", host, "port", port]);
      expect([host, await shop.resetOf(id)]).toEqual([host, { code: "denied", detail: NO_RULE }]);
    }
    expect(places).toHaveLength(12);
    const lines = rig.lines.filter((line) => line["failure"] === "denied");
    expect(lines).toHaveLength(12);
    expect(String(lines[7]!["detail"])).toContain("metadata address");
    for (const line of lines) expect(String(line["destination"]).length).toBeLessThanOrEqual(253 + 6);
    expect(await rig.series(TOTAL)).toEqual([`${TOTAL}{service="",direction="egress",result="denied"} 12`]);
  });

  test("to a port that is none is denied", async () => {
    await start({ allowEgress: ["*:*", "127.0.0.1/32:*"] });
    const shop = await caller({ egress: true });
    const heads: string[][] = [
      ["host", "127.0.0.1"],
      ["host", "127.0.0.1", "port", "0"],
      ["host", "127.0.0.1", "port", ""],
      ["host", "127.0.0.1", "port", "65536"],
      ["host", "127.0.0.1", "port", "080"],
      ["host", "127.0.0.1", "port", "80x"],
      ["host", "127.0.0.1", "port", " 80"],
      ["host", "127.0.0.1", "port", "1e2"],
      ["host", "127.0.0.1", "port", "-1"],
      ["host", "127.0.0.1", "Port", "80"],
      ["port", "80"],
      [],
      // The value of one field is no name of another.
      ["x", "host", "y", "port"],
    ];
    for (const [index, head] of heads.entries()) {
      shop.call(2 + 2 * index, "egress", "", head);
      expect([head, (await shop.resetOf(2 + 2 * index)).code]).toEqual([head, "denied"]);
    }
    expect(heads).toHaveLength(13);
  });

  test("that a rule allows is dialled from here, and spliced", async () => {
    const echo = await TcpTarget.echo();
    targets.push(echo);
    await start({ allowEgress: [`127.0.0.1/32:${echo.port}`], logAccess: true });
    const shop = await caller({ egress: true });
    shop.call(2, "egress", "", ["host", "127.0.0.1", "port", String(echo.port)], "hello");
    const head = await shop.peer.frameOf(FrameType.head, 2);
    expect([...head.payload]).toEqual([0, 2, 0, 0]);
    await shop.untilText(2, "hello");
    shop.peer.end(2);
    expect(await rig.line({ message: "connection" })).toMatchObject({
      ...{ direction: "egress", destination: `127.0.0.1:${echo.port}`, inBytes: 5, outBytes: 5 },
    });
  });

  test("that fails says how: refused, no such name", async () => {
    const gone = await TcpTarget.start();
    const { port } = gone;
    gone.close();
    await start({ allowEgress: [`127.0.0.1/32:${port}`, "*.invalid:443"] });
    const shop = await caller({ egress: true });
    shop.call(2, "egress", "", ["host", "127.0.0.1", "port", String(port)]);
    expect(await shop.resetOf(2)).toEqual({ code: "targetRefused", detail: "" });
    expect(String((await rig.line({ failure: "targetRefused" }))["detail"])).toContain("ECONNREFUSED");
    shop.call(4, "egress", "", ["host", "nothing.invalid", "port", "443"]);
    expect(await shop.resetOf(4)).toEqual({ code: "targetDns", detail: "" });
    await rig.line({ failure: "targetDns", destination: "nothing.invalid:443" });
  });

  test("on which nothing moves for too long is told as idle, and not as anybody's reset", async () => {
    const silent = await TcpTarget.start();
    targets.push(silent);
    await start({ allowEgress: [`127.0.0.1/32:${silent.port}`], idleTimeoutMs: 100 });
    const shop = await caller({ egress: true });
    shop.call(2, "egress", "", ["host", "127.0.0.1", "port", String(silent.port)]);
    expect((await shop.resetOf(2)).code).toBe("cancelled");
    await rig.until(() => rig.lines.some((line) => line["direction"] === "egress"), () => "a line");
    expect(rig.lines.map((line) => line["failure"])).toEqual(["idle"]);
  });

  test("that the caller breaks off during the dial ends the dial, and is nobody's fault", async () => {
    const silent = await TcpTarget.start();
    targets.push(silent);
    await start({ allowEgress: [`127.0.0.1/32:${silent.port}`] });
    const shop = await caller({ egress: true });
    shop.call(2, "egress", "", ["host", "127.0.0.1", "port", String(silent.port)]).reset(2, "cancelled");
    expect(await rig.line({ failure: "caller_reset" })).toMatchObject({
      level: "debug",
      direction: "egress",
    });
    await rig.connections.finish(5_000);
    await silent.until(() => silent.ends.every((end) => end.closed || end.ended), () => "the target's end");
  });
});

describe("a hostile agent", () => {
  test("that opens what only gateways open is refused", async () => {
    await start({ allowEgress: ["*:*"] });
    const web = await rig.agent({ services: ["web"] });
    const shop = await caller({ reach: ["*"], egress: true });
    shop.peer.open(2, "http", "web", requestHead("GET", "/", ["Host", "x"]), true);
    shop.peer.open(4, "upgrade", "web", requestHead("GET", "/", ["Host", "x"]), false, "x");
    for (const id of [2, 4]) expect((await shop.resetOf(id)).code).toBe("refused");
    expect(web.opens).toEqual([]);
    expect(await rig.series(TOTAL)).toEqual([]);
    // Nothing was counted as under way: a stop need not wait.
    await rig.connections.finish(60_000);
  });

  test("whose head is no list of fields loses its session, and nobody else does", async () => {
    await start({ allowEgress: ["*:*"] });
    const db = await rig.agent({ tcp: ["db"] });
    const shop = await caller({ egress: true, reach: ["db"] });
    shop.peer.open(2, "egress", "", Uint8Array.of(0, 1, 0, 200, 1), false);
    await rig.until(() => shop.end !== undefined, () => "the end of the session");
    expect(shop.end!.code).toBe("protocol");
    expect(db.end).toBeUndefined();
    await rig.connections.finish(60_000);
  });

  test("that makes up names leaves no series behind, and its calls are all over", async () => {
    await start({ allowEgress: ["*.example.com:1"] });
    await rig.agent({ tcp: ["db"] });
    const shop = await caller({ reach: ["db"], egress: true });
    const every = await caller({ name: "any", reach: ["*"], egress: false });
    const flood = (from: number, count: number): void => {
      for (let i = from; i < from + count; i++) {
        shop.call(2 + 4 * i, "tcp", `made-up-${i}`);
        shop.call(4 + 4 * i, "egress", "", ["host", `made-up-${i}.test`, "port", String(1 + i)]);
        every.call(2 + 4 * i, "tcp", `made-up-${i}`);
        every.call(4 + 4 * i, "egress", `made-up-${i}`, ["host", "x.test", "port", "1"]);
      }
    };
    flood(0, 5);
    const counted = async (): Promise<number> =>
      (await rig.series(TOTAL)).reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
    const wait = async (total: number): Promise<void> => {
      for (let tries = 0; await counted() < total; tries++) {
        if (tries > 500) throw new Error(`${await counted()} calls were counted, not ${total}`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    };
    await wait(20);
    const before = await rig.series(TOTAL);
    flood(5, 200);
    await wait(820);
    // What can be caused at will is counted, and written down in bounds.
    expect(rig.lines.length).toBeLessThan(200);
    const after = await rig.series(TOTAL);
    expect(after.length).toBe(before.length);
    expect(after.join()).not.toContain("made-up");
    await rig.connections.finish(60_000);
    expect([shop.session.streamsOpen, every.session.streamsOpen]).toEqual([0, 0]);
  });
});
