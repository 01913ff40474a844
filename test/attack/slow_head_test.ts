/**
 * Visitors who never finish their heads. They lose their connections; the others do not notice them.
 *
 * @module
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { AttackRig } from "../support/attack_rig.ts";
import type { RawVisitor } from "../support/raw_http.ts";

const rig = new AttackRig();
const timers: ReturnType<typeof setInterval>[] = [];
beforeAll(() => rig.start({ gateway: { "head-timeout": "500ms", "connections-max": "250" } }));
afterAll(async () => {
  for (const timer of timers) clearInterval(timer);
  await rig.close();
});

/** Sends one more piece again and again, for as long as the connection stands. */
function trickle(visitor: RawVisitor, piece: string): RawVisitor {
  timers.push(setInterval(() => {
    if (!visitor.closed) visitor.send(piece);
  }, 100));
  return visitor;
}

const STARTS: [string, string, string][] = [
  ["a request line", "G", "E"],
  ["a target", "GET /", "a"],
  ["a field name", "GET / HTTP/1.1\r\nHost: x\r\nA", "a"],
  ["a field value", "GET / HTTP/1.1\r\nHost: x\r\nA: ", "b"],
  ["field after field", "GET / HTTP/1.1\r\nHost: x\r\n", "A: b\r\n"],
  ["the head of an upgrade", "GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: x\r\n", "A: b\r\n"],
  ["the head of a link", "GET /.netwall/link HTTP/1.1\r\nUpgrade: websocket\r\n", "A: b\r\n"],
];

for (const [name, start, piece] of STARTS) {
  test(`${name} that does not end is cut off in time`, async () => {
    const before = rig.target.requests.length;
    const visitor = trickle(rig.visit(start), piece);
    const text = await visitor.untilClosed();
    expect(text).toMatch(/^(?:HTTP\/1.1 (?:400|408) |$)/);
    expect(rig.target.requests).toHaveLength(before);
  });
}

test("there were as many as thought of", () => expect(STARTS).toHaveLength(7));

test("a head that does not end behind a good request is cut off too", async () => {
  const visitor = rig.visit("GET /good HTTP/1.1\r\nHost: x\r\n\r\n");
  expect((await visitor.answers(1))[0]?.body).toBe("GET /good ");
  trickle(visitor.send("GET / HTTP/1.1\r\nA: "), "b");
  await visitor.untilClosed();
});

test("two hundred at once do not keep others out", async () => {
  const slow = Array.from({ length: 200 }, () => trickle(rig.visit("GET / HTTP/1.1\r\nHost: x\r\nA: "), "b"));
  await rig.checkNextVisitors();
  for (const visitor of slow) await visitor.untilClosed();
  await rig.checkNextVisitors();
});
