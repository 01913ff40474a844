/**
 * How sessions begin and end: HELLO, GOAWAY, drain, a dead peer, and sinks that break.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { MemoryBudget } from "../../lib/mux/budget.ts";
import { FrameType } from "../../lib/wire/frame.ts";
import { encodeFarewell } from "../../lib/wire/open.ts";
import {
  endPair,
  pattern,
  RawPeer,
  readyPair,
  RESPONSE,
  settle,
  startAgainstRaw,
  TestSink,
  until,
} from "../support/session_pair.ts";

const DRAIN_PING = new Uint8Array(8).fill(0xff);

describe("a session begins", () => {
  test("with HELLO from both, whichever comes first", async () => {
    const pair = await readyPair();
    expect(pair.gateway.hello!.fields).toEqual(["services", "web"]);
    expect(pair.agent.hello!.fields).toEqual(["version", "0.1.0"]);
    expect([pair.gateway.hello!.streamsMax, pair.agent.hello!.streamsMax]).toEqual([1000, 0]);
    await endPair(pair);
  });

  test("or ends, when HELLO does not come in time", async () => {
    const { side, peer } = await startAgainstRaw("gateway", { helloTimeoutMs: 20 }, null);
    expect(await peer.goAwayCode()).toBe("protocol");
    expect([side.ends, side.end!.message, side.hello]).toEqual([1, "No HELLO in time", undefined]);
  });

  test("or ends, when something else comes first", async () => {
    let cases = 0;
    for (const type of [FrameType.open, FrameType.ping, FrameType.data, FrameType.credit, 0x41, 0xff]) {
      const { side, peer } = await startAgainstRaw("gateway", {}, null);
      peer.add(type, 0, 0, new Uint8Array(8)).hello().send();
      expect(await peer.goAwayCode()).toBe("protocol");
      expect([side.ends, side.hello]).toEqual([1, undefined]);
      cases++;
    }
    expect(cases).toBe(6);
  });

  test("or ends with the peer's reason, when that is GOAWAY", async () => {
    const { side, peer } = await startAgainstRaw("agent", {}, null);
    peer.add(FrameType.goAway, 0, 0, encodeFarewell("identity", "mint a new token")).send();
    await until(() => side.end !== undefined, "the end");
    expect(side.end).toMatchObject({ code: "identity", message: "mint a new token", remote: true });
  });

  test("or ends with version, when the peers have none in common", async () => {
    const { side, peer } = await startAgainstRaw("gateway", {}, { versionMin: 2, versionMax: 9 });
    expect(await peer.goAwayCode()).toBe("version");
    expect(side.end!.code).toBe("version");
    expect(side.hello).toBeUndefined();
  });

  test("with a newer peer that still speaks our version", async () => {
    const { side } = await startAgainstRaw("gateway", {}, { versionMin: 1, versionMax: 9 });
    expect(side.session.open).toBe(true);
    side.session.close("none", "");
  });
});

describe("GOAWAY", () => {
  test("stops new streams; what is open goes on", async () => {
    const pair = await readyPair();
    const { stream, sink } = pair.gateway.open(false);
    await until(() => pair.agent.streams.length === 1, "the stream");
    pair.agent.session.goAway("bye");
    pair.agent.session.goAway("bye again");
    await until(() => pair.gateway.goAways.length > 0, "GOAWAY");
    expect([pair.gateway.session.open, pair.gateway.session.leaving]).toEqual([false, true]);
    pair.agent.streams[0]!.sendHead(RESPONSE, pattern(5), true);
    stream.end();
    await until(() => sink.ended, "the answer");
    await settle();
    expect([pair.gateway.goAways, sink.bytes]).toEqual([["bye"], 5]);
    expect(pair.gateway.end).toBeUndefined();
    await endPair(pair);
  });

  test("with any other code ends the session and its streams", async () => {
    const { side, peer } = await startAgainstRaw("gateway");
    const { sink } = side.open();
    peer.add(FrameType.goAway, 0, 0, encodeFarewell("keepalive", "gone")).send();
    await until(() => side.end !== undefined, "the end");
    expect(side.end).toMatchObject({ code: "keepalive", message: "gone", remote: true });
    expect([sink.resets, sink.error!.code]).toEqual([1, "none"]);
  });
});

describe("drain()", () => {
  test("waits for the streams that are open, then closes", async () => {
    const pair = await readyPair();
    const { sink } = pair.gateway.open();
    await until(() => pair.agent.streams.length === 1, "the stream");
    let drained = false;
    const drain = pair.agent.session.drain(60_000, "stopping").then(() => drained = true);
    await until(() => pair.gateway.session.leaving, "GOAWAY");
    await settle();
    expect([drained, pair.agent.end]).toEqual([false, undefined]);
    pair.agent.streams[0]!.sendHead(RESPONSE, undefined, true);
    await drain;
    await until(() => pair.gateway.end !== undefined, "the gateway's end");
    expect([sink.ended, sink.resets]).toEqual([true, 0]);
    expect([pair.agent.end!.code, pair.agent.ends, pair.gateway.ends]).toEqual(["draining", 1, 1]);
  });

  test("serves a stream whose OPEN crossed GOAWAY", async () => {
    const { side, peer } = await startAgainstRaw("agent");
    side.serve = (stream) => void stream.sendHead(RESPONSE, undefined, true);
    const drain = side.session.drain(60_000, "stopping");
    await until(() => peer.seen(FrameType.ping).length === 2, "the ping behind GOAWAY");
    expect([...peer.seen(FrameType.ping)[1]!.payload]).toEqual([...DRAIN_PING]);
    peer.open(1).add(FrameType.pong, 0, 0, DRAIN_PING).send();
    await drain;
    await settle();
    expect(peer.seen(FrameType.head)).toHaveLength(1);
    expect(side.opens).toHaveLength(1);
  });

  test("does not take a keepalive's answer for the one behind GOAWAY", async () => {
    const { side, peer } = await startAgainstRaw("agent");
    let drained = false;
    const drain = side.session.drain(60_000, "stopping").then(() => drained = true);
    peer.add(FrameType.pong, 0, 0, Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 1)).send();
    await settle();
    expect(drained).toBe(false);
    peer.add(FrameType.pong, 0, 0, DRAIN_PING).send();
    await drain;
  });

  test("cuts off what is left after the grace, also of a peer that answers nothing", async () => {
    const { side, peer } = await startAgainstRaw("gateway");
    const { sink } = side.open();
    await side.session.drain(10, "stopping");
    expect([side.ends, sink.resets]).toEqual([1, 1]);
    expect(await peer.goAwayCode()).toBe("draining");
  });

  test("called again can only end earlier, and both calls settle with the session", async () => {
    const { side } = await startAgainstRaw("gateway");
    side.open();
    const settled: string[] = [];
    const long = side.session.drain(3_600_000, "one").then(() => settled.push("long"));
    const short = side.session.drain(10, "two").then(() => settled.push("short"));
    const longest = side.session.drain(7_200_000, "three").then(() => settled.push("longest"));
    expect(side.end).toBeUndefined();
    await Promise.all([long, short, longest]);
    expect([settled.length, side.ends]).toEqual([3, 1]);
    await side.session.drain(3_600_000, "after the end");
  });

  test("settles when the link is lost or the session is closed", async () => {
    const lost = await startAgainstRaw("gateway");
    lost.side.open();
    const drain = lost.side.session.drain(3_600_000, "stopping");
    lost.links[1].terminate("cut");
    await drain;
    expect(lost.side.ends).toBe(1);
    const closed = await startAgainstRaw("gateway");
    closed.side.open();
    const other = closed.side.session.drain(3_600_000, "stopping");
    closed.side.session.close("internal", "now");
    await other;
    expect(closed.side.end!.code).toBe("internal");
  });
});

describe("keepalive", () => {
  test("ends a session whose peer went silent, and its streams", async () => {
    const { side, links } = await startAgainstRaw("gateway", { keepalive: { intervalMs: 5, timeoutMs: 30 } });
    const { sink } = side.open();
    links[1].stall();
    await until(() => side.end !== undefined, "the end");
    expect([side.end!.code, side.end!.remote, sink.resets]).toEqual(["keepalive", false, 1]);
  });

  test("keeps a quiet session of two for as long as both answer", async () => {
    const keepalive = { intervalMs: 2, timeoutMs: 5_000 };
    const pair = await readyPair({ gateway: { keepalive }, agent: { keepalive } });
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect([pair.gateway.end, pair.agent.end]).toEqual([undefined, undefined]);
    await endPair(pair);
  });

  test("answers any eight bytes with the same", async () => {
    const { side, peer } = await startAgainstRaw("agent");
    const payload = pattern(8, 77);
    peer.add(FrameType.ping, 0, 0, payload).send();
    await until(() => peer.seen(FrameType.pong).length > 0, "PONG");
    expect([...peer.seen(FrameType.pong)[0]!.payload]).toEqual([...payload]);
    side.session.close("none", "");
  });
});

describe("a sink that throws", () => {
  const broken = (call: "onHead" | "onData" | "onReset"): TestSink => {
    const sink = new TestSink();
    sink[call] = () => {
      throw new Error("a fault");
    };
    return sink;
  };

  test.each(["onHead", "onData"] as const)(
    "in %s ends its session with the fault, and no other",
    async (call) => {
      const budget = new MemoryBudget(64 << 20, true);
      const [pair, other] = [
        await readyPair({ gateway: { budget } }),
        await readyPair({ gateway: { budget } }),
      ];
      pair.agent.serve = (stream) => {
        stream.sendHead(RESPONSE);
        stream.write(pattern(10));
      };
      pair.gateway.open(true, broken(call));
      const innocent = pair.gateway.open();
      await until(() => pair.gateway.end !== undefined && pair.agent.end !== undefined, "the end");
      expect(pair.gateway.end).toMatchObject({ code: "internal", remote: false });
      expect(String(pair.gateway.end!.fault)).toBe("Error: a fault");
      expect(innocent.sink.resets).toBe(1);
      expect(budget.heldBytes).toBe(0);
      expect(other.gateway.end).toBeUndefined();
      await endPair(other);
    },
  );

  test("in onDrain ends its session with the fault", async () => {
    const { side, peer } = await startAgainstRaw("gateway", {}, { streamWindowBytes: 10 });
    const sink = new TestSink();
    sink.onDrained = () => {
      throw new Error("a fault");
    };
    const { stream } = side.open(false, sink);
    stream.write(pattern(20));
    await settle();
    peer.credit(stream.id, 100).send();
    await until(() => side.end !== undefined, "the end");
    expect(String(side.end!.fault)).toBe("Error: a fault");
  });

  test("in onReset keeps nobody else from being told that the session is over", async () => {
    const pair = await readyPair();
    const first = pair.gateway.open(true, broken("onReset"));
    const second = pair.gateway.open();
    pair.gateway.session.close("none", "over");
    expect([second.sink.resets, pair.gateway.ends]).toEqual([1, 1]);
    expect(String(pair.gateway.end!.fault)).toBe("Error: a fault");
    expect(first.stream.writable).toBe(false);
    await until(() => pair.agent.end !== undefined, "the other end");
  });
});

describe("close()", () => {
  test("inside a callback of a stream ends everything, and nothing is told after it", async () => {
    for (const moment of ["open", "data"] as const) {
      const { side, peer } = await startAgainstRaw("agent");
      side.serve = (_stream, _open, sink) => {
        if (moment === "open") side.session.close("internal", "now");
        else sink.onChunk = () => side.session.close("internal", "now");
      };
      peer.open(1, false).open(3, false);
      for (const id of [1, 3, 1]) peer.add(FrameType.data, 0, id, pattern(50));
      peer.send();
      expect(await peer.goAwayCode()).toBe("internal");
      await settle();
      expect(side.ends).toBe(1);
      expect(side.sinks).toHaveLength(moment === "open" ? 1 : 2);
      for (const sink of side.sinks) expect([sink.resets, sink.late]).toEqual([1, 0]);
      expect([side.session.heldBytes, side.session.streamsOpen]).toEqual([0, 0]);
    }
  });

  test("leaves nothing that keeps the process from ending", async () => {
    const child = join(import.meta.dirname!, "session_child.ts");
    const args = "Deno" in globalThis ? ["run", "-A", "--no-check", child] : [child];
    const output = await new Promise<string>((resolve, reject) => {
      execFile(process.execPath, args, { timeout: 15_000 }, (error, stdout) => {
        if (error) reject(error);
        else resolve(stdout);
      });
    });
    expect(output).toBe("over\n");
  });
});

// What a peer sees of a link that this side closed.
describe("the peer", () => {
  test("gets GOAWAY with the reason before the link closes", async () => {
    const { side, peer } = await startAgainstRaw("gateway");
    side.session.close("identity", "The token has expired");
    expect(await peer.goAwayCode()).toBe("identity");
    await until(() => peer.closed !== undefined, "the close");
    expect(peer).toBeInstanceOf(RawPeer);
    expect(peer.closed!.clean).toBe(true);
  });
});
