/**
 * One container that takes whatever its token gives: calls that never end, and calls to names that never resolve. It
 * comes to its own limit, and those with another token are served all the while.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import dns from "node:dns";
import { LOOKUPS_PER_TOKEN_MAX } from "../../lib/gateway/calls.ts";
import { FrameType } from "../../lib/wire/frame.ts";
import { TcpTarget } from "../e2e/tcp_wall.ts";
import { claims, GatewayRig, type GatewayRigOptions, type ScriptedAgent } from "../support/gateway_rig.ts";

let rig: GatewayRig;
const targets: TcpTarget[] = [];
const resolver = dns.promises.lookup;
afterEach(async () => {
  await rig.close();
  for (const target of targets.splice(0)) target.close();
  dns.promises.lookup = resolver;
});

async function start(options: GatewayRigOptions): Promise<void> {
  rig = new GatewayRig(options);
  await rig.listen();
}

/** An agent whose token may call anything. */
function caller(name: string, id = `token-of-${name}`): Promise<ScriptedAgent> {
  return rig.agent({
    token: claims({ id, name, serve: [], reach: ["*"], egress: true }),
    streamsMax: 10_000,
  });
}

/** The ids of `count` streams from one on. */
function ids(count: number, first = 2): number[] {
  return Array.from({ length: count }, (_, i) => first + 2 * i);
}

/** Ids of the streams that were reset, in the order of the resets. */
function resets(agent: ScriptedAgent): number[] {
  return agent.peer.seen.filter(({ type }) => type === FrameType.reset).map(({ id }) => id);
}

/** Settles when the gateway has read all that an agent sent before. */
async function read({ peer }: ScriptedAgent, mark: number): Promise<void> {
  peer.frame(FrameType.ping, 0, 0, new Uint8Array(8).fill(mark));
  await peer.until(
    () => peer.seen.some(({ type, payload }) => type === FrameType.pong && payload[0] === mark),
    () => "PONG",
  );
}

describe("calls that never end", () => {
  test("are a quarter of all for one token, over all its links, and another token calls on", async () => {
    await start({ callsMax: 40 });
    const db = await rig.agent({ tcp: ["db"] });
    const [hog, twin] = [await caller("hog"), await caller("hog")];
    for (const id of ids(6)) hog.call(id, "tcp", "db");
    await read(hog, 1);
    for (const id of ids(6)) twin.call(id, "tcp", "db");
    await read(twin, 1);
    expect([resets(hog), resets(twin)]).toEqual([[], [10, 12]]);
    expect(await twin.resetOf(10)).toEqual({
      ...{ code: "overloaded", detail: "Too many calls are open at the gateway" },
    });
    for (const id of ids(500, 100)) hog.call(id, "tcp", "db");
    await read(hog, 2);
    expect(resets(hog)).toHaveLength(500);
    expect([db.opens.length, rig.connections.callsOpen]).toEqual([10, 10]);

    const honest = await caller("honest");
    honest.call(2, "tcp", "db", [], "hello");
    const id = await db.opened(10);
    db.connected(id, "welcome");
    await honest.untilText(2, "welcome");
    expect(resets(honest)).toEqual([]);

    // One that ends makes room for one.
    db.reset(db.opens[0]!.id, "targetReset");
    await hog.resetOf(2);
    hog.call(2_000, "tcp", "db").call(2_002, "tcp", "db");
    expect((await hog.resetOf(2_002)).code).toBe("overloaded");
    expect(resets(hog).includes(2_000)).toBe(false);
  });

  test("and are refused take no share, nor do those that are over", async () => {
    await start({ callsMax: 8 });
    const db = await rig.agent({ tcp: ["db"] });
    const shop = await rig.agent({
      token: claims({ id: "shop", name: "shop", serve: [], reach: ["db", "nobody"] }),
    });
    const turnsOf = [["secret", "denied"], ["nobody", "unknownService"], ["db", "targetRefused"]] as const;
    let turns = 0;
    for (const id of ids(60)) {
      const [service, failure] = turnsOf[turns % 3]!;
      shop.call(id, "tcp", service);
      if (service === "db") db.reset(await db.opened(Math.floor(turns / 3)), "targetRefused");
      expect((await shop.resetOf(id)).code).toBe(failure);
      turns++;
    }
    expect([turns, rig.connections.callsOpen]).toEqual([60, 0]);
  });

  test("leave the limit of all as it was, and a limit below four gives one to each", async () => {
    await start({ callsMax: 3 });
    await rig.agent({ tcp: ["db"] });
    const agents: ScriptedAgent[] = [];
    for (let i = 0; i < 4; i++) agents.push(await caller(`agent-${i}`));
    for (const agent of agents) {
      agent.call(2, "tcp", "db").call(4, "tcp", "db");
      await read(agent, 1);
    }
    expect(agents.map(resets)).toEqual([[4], [4], [4], [2, 4]]);
  });

  test("to services of HTTP and to the outside count together", async () => {
    const silent = await TcpTarget.start();
    targets.push(silent);
    await start({ callsMax: 16, allowEgress: [`127.0.0.1/32:${silent.port}`] });
    await rig.agent({ tcp: ["db"], services: ["web"] });
    const hog = await caller("hog");
    hog.call(2, "tcp", "db").call(4, "tcp", "web");
    for (const id of [6, 8, 10]) hog.call(id, "egress", "", ["host", "127.0.0.1", "port", `${silent.port}`]);
    hog.call(12, "tcp", "db");
    await read(hog, 1);
    expect(resets(hog)).toEqual([10, 12]);
  });
});

/** Names that nobody answers for; the rest resolves to 127.0.0.1. */
function silence(): { asked: string[]; answer: () => void } {
  const asked: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const lookup = async (host: string): Promise<{ address: string; family: number }[]> => {
    asked.push(host);
    if (host.startsWith("silent-")) await promise;
    return [{ address: "127.0.0.1", family: 4 }];
  };
  dns.promises.lookup = lookup as unknown as typeof dns.promises.lookup;
  return { asked, answer: resolve };
}

const to = (host: string, port: number): string[] => ["host", host, "port", `${port}`];

describe("calls to names that never resolve", () => {
  test("take few slots of the resolver for one token, over all its links, and others are looked up", async () => {
    const { asked, answer } = silence();
    const echo = await TcpTarget.echo();
    targets.push(echo);
    await start({ allowEgress: [`*:${echo.port}`, `127.0.0.1/32:${echo.port}`] });
    const [hog, twin] = [await caller("hog"), await caller("hog")];
    for (const id of ids(40)) hog.call(id, "egress", "", to(`silent-${id}.test`, echo.port));
    await read(hog, 1);
    for (const id of ids(500)) twin.call(id, "egress", "", to(`silent-twin-${id}.test`, echo.port));
    await read(twin, 1);
    expect(asked).toHaveLength(LOOKUPS_PER_TOKEN_MAX);
    // Those that wait are bounded too.
    await twin.peer.until(() => resets(twin).length >= 200, () => `${resets(twin).length} resets`);
    expect((await twin.resetOf(resets(twin)[0]!)).code).toBe("overloaded");
    expect(resets(hog)).toEqual([]);

    const honest = await caller("honest");
    honest.call(2, "egress", "", to("honest.test", echo.port), "by name");
    await honest.untilText(2, "by name");
    expect(asked).toHaveLength(LOOKUPS_PER_TOKEN_MAX + 1);

    // What waited gets its turn, and the token may call again.
    answer();
    const stood = (): number => hog.peer.seen.filter(({ type }) => type === FrameType.head).length;
    await hog.peer.until(() => stood() === 40, () => `${stood()} calls that stand`);
    hog.call(2_000, "egress", "", to("again.test", echo.port), "again");
    await hog.untilText(2_000, "again");
  });

  test("and are given up at once keep their slots: a thread of the resolver cannot be taken back", async () => {
    const { asked, answer } = silence();
    const echo = await TcpTarget.echo();
    targets.push(echo);
    await start({ allowEgress: [`*:${echo.port}`, `127.0.0.1/32:${echo.port}`] });
    const hog = await caller("hog");
    for (let round = 0; round < 4; round++) {
      for (const id of ids(40, 2 + 80 * round)) {
        hog.call(id, "egress", "", to(`silent-${id}.test`, echo.port)).reset(id, "cancelled");
      }
      await read(hog, 1 + round);
    }
    expect(asked).toHaveLength(LOOKUPS_PER_TOKEN_MAX);
    expect(rig.connections.callsOpen).toBe(0);
    const honest = await caller("honest");
    honest.call(2, "egress", "", to("honest.test", echo.port), "by name");
    await honest.untilText(2, "by name");
    answer();
    hog.call(2_000, "egress", "", to("again.test", echo.port), "again");
    await hog.untilText(2_000, "again");
  });
});
