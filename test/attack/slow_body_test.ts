/**
 * Visitors who send bodies drop by drop, and visitors who do not read their answers: what is held for them is
 * bounded, and the others are served.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { AttackRig } from "../support/attack_rig.ts";
import { echo } from "../support/raw_http.ts";

const MEMORY_BYTES = 4 << 20;
const BIG_BYTES = 8 << 20;

const rig = new AttackRig();
beforeAll(async () => {
  await rig.start({ gateway: { memory: "4MiB" } });
  rig.target.onRequest = (request, socket) => {
    if (request.target !== "/big") return echo(request, socket);
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${BIG_BYTES}\r\n\r\n`);
    const piece = Buffer.alloc(1 << 16, 120);
    let left = BIG_BYTES / piece.length;
    const more = (): void => {
      while (left > 0 && !socket.destroyed) {
        left--;
        if (!socket.write(piece)) return void socket.once("drain", more);
      }
    };
    more();
  };
});
afterAll(() => rig.close());

/** The most that was held while something went on. */
async function heldWhile(work: Promise<unknown>): Promise<number> {
  let isOver = false;
  let most = 0;
  const watch = (async (): Promise<void> => {
    while (!isOver) {
      most = Math.max(most, await rig.wall.metric("netwall_held_bytes"));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
  await work.finally(() => isOver = true);
  await watch;
  return most;
}

describe("slow readers", () => {
  test("a hundred who read nothing of a big answer hold no more than the limit", async () => {
    const slow = Array.from({ length: 100 }, () => {
      const visitor = rig.visit("GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
      visitor.socket.pause();
      return visitor;
    });
    const others = async (): Promise<void> => {
      for (let i = 0; i < 10; i++) {
        const visitor = rig.visit(`GET /other-${i} HTTP/1.1\r\nHost: x\r\n\r\n`);
        const [answer] = await visitor.answers(1);
        // Under pressure a newcomer may be told to come again; it is answered at once in either case.
        expect([200, 503].includes(answer!.status)).toBe(true);
        visitor.close();
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    };
    const most = await heldWhile(others());
    // One link message of overshoot: what came in one turn of the event loop is counted before anybody is shed.
    expect(most).toBeLessThanOrEqual(MEMORY_BYTES + (1 << 20));
    for (const visitor of slow) visitor.close();
    for (;;) {
      if (await rig.wall.metric("netwall_held_bytes") === 0) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await rig.checkNextVisitors();
    expect(await rig.wall.metric("netwall_streams")).toBe(0);
  });

  test("one who reads slowly gets all of it", async () => {
    const visitor = rig.visit("GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
    let bytes = 0;
    visitor.socket.removeAllListeners("data");
    visitor.socket.on("data", (chunk) => {
      bytes += chunk.length;
      visitor.changed();
      visitor.socket.pause();
      setTimeout(() => visitor.socket.resume(), 2);
    });
    await visitor.until(() => bytes > BIG_BYTES || visitor.closed, () => `all of it after ${bytes} bytes`);
    expect(bytes).toBeGreaterThan(BIG_BYTES);
    visitor.close();
  });
});

describe("slow writers", () => {
  test("a hundred bodies that stand still keep nobody out", async () => {
    const slow = Array.from(
      { length: 100 },
      (_, i) => rig.visit(`POST /slow-${i} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nsome`),
    );
    await rig.checkNextVisitors();
    expect(await rig.wall.metric("netwall_held_bytes")).toBeLessThanOrEqual(100 * 4);
    for (const visitor of slow) visitor.close();
    for (let i = 0; await rig.wall.metric("netwall_streams") > 0; i++) {
      if (i > 200) throw new Error("Streams of visitors who left stay open");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(rig.target.targets.some((target) => target.startsWith("/slow-"))).toBe(false);
  });

  test("a body of single bytes arrives whole", async () => {
    const visitor = rig.visit(
      "POST /drops HTTP/1.1\r\nHost: x\r\nX-Tag: drops\r\nContent-Length: 50\r\n\r\n",
    );
    for (let i = 0; i < 50; i++) {
      visitor.send("d");
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    expect((await visitor.answers(1))[0]?.body).toBe("POST /drops drops");
    expect(rig.target.requests.at(-1)?.raw.endsWith("d".repeat(50))).toBe(true);
  });

  test("a target that reads nothing stops the visitor, not the others", async () => {
    const flood = rig.visit("POST /flood HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n");
    await rig.target.until(
      () => rig.target.unread.some((text) => text.includes("/flood")),
      () => "the flood",
    );
    const index = rig.target.unread.findIndex((text) => text.includes("/flood"));
    rig.target.sockets[index]!.pause();
    let sent = 0;
    const chunk = Buffer.alloc(1 << 20, 120);
    const pump = (): void => {
      while (sent < 60 && !flood.closed) {
        sent++;
        if (!flood.socket.write(chunk)) return void flood.socket.once("drain", pump);
      }
    };
    pump();
    const most = await heldWhile(rig.checkNextVisitors());
    expect(most).toBeLessThanOrEqual(MEMORY_BYTES);
    await rig.checkNextVisitors();
    expect(sent).toBeLessThan(60);
    flood.close();
  });
});
