/**
 * What every link does, whatever it runs over: one suite, run for each kind and each direction.
 *
 * @module
 */

import { afterEach, describe, expect, test } from "bun:test";
import { setImmediate } from "node:timers/promises";
import {
  type Link,
  LINK_BUFFERED_BYTES_HIGH,
  LINK_BUFFERED_BYTES_MAX,
  LINK_EARLY_BYTES_MAX,
  LINK_MESSAGE_BYTES_MAX,
  type LinkCloseReason,
} from "../../lib/link/link.ts";

/** Two ends, not started, and a way to make the path between them go silent. */
export interface LinkPair {
  readonly sender: Link;
  readonly receiver: Link;
  /** Bytes of the sender no longer arrive; those of the receiver do. */
  stall(): void;
  resume(): void;
  /** Frees sockets and servers. */
  dispose(): Promise<void> | void;
}

/** An owner that remembers all it is told. */
export class Recorder {
  readonly chunks: Uint8Array[] = [];
  readonly closes: LinkCloseReason[] = [];
  /** Calls that came after `onClose`. */
  late = 0;
  drains = 0;
  bytes = 0;
  #waiting: { condition: () => boolean; resolve: () => void }[] = [];

  constructor(readonly link: Link) {}

  start(): this {
    this.link.start({
      onMessage: (chunk) =>
        this.#heard(() => {
          this.chunks.push(chunk);
          this.bytes += chunk.byteLength;
        }),
      onDrain: () => this.#heard(() => this.drains++),
      onClose: (reason) => this.#heard(() => this.closes.push(reason)),
    });
    return this;
  }

  /** Settles once `condition` holds; it is looked at after each event. The test's own timeout ends a wait in vain. */
  until(condition: (recorder: this) => boolean): Promise<void> {
    if (condition(this)) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ condition: () => condition(this), resolve }));
  }

  async closed(): Promise<LinkCloseReason> {
    await this.until(() => this.closes.length > 0);
    return this.closes[0]!;
  }

  /** All that came, in one piece. */
  content(): Uint8Array {
    const whole = new Uint8Array(this.bytes);
    let offset = 0;
    for (const chunk of this.chunks) {
      whole.set(chunk, offset);
      offset += chunk.byteLength;
    }
    return whole;
  }

  #heard(note: () => void): void {
    if (this.closes.length > 0) this.late++;
    note();
    const ready = this.#waiting.filter(({ condition }) => condition());
    this.#waiting = this.#waiting.filter((waiter) => !ready.includes(waiter));
    for (const { resolve } of ready) resolve();
  }
}

/** Bytes that show a loss, a repetition and a wrong order: each depends on its place and the seed. */
export function pattern(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index++) {
    bytes[index] = (index * 31 + (index >> 8) * 17 + seed * 101) & 0xff;
  }
  return bytes;
}

/** Equal, without the cost of a deep comparison of a megabyte. */
export function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.byteLength === right.byteLength && left.every((byte, index) => byte === right[index]);
}

/** Lets the event loop turn `turns` times: for what must not happen. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await setImmediate();
}

/** Registers the suite for one kind of link. */
export function runLinkContract(name: string, make: () => Promise<LinkPair>): void {
  const pairs: LinkPair[] = [];
  const open = async (): Promise<LinkPair> => {
    const pair = await make();
    pairs.push(pair);
    return pair;
  };

  describe(`link contract, ${name}`, () => {
    afterEach(async () => {
      for (const pair of pairs.splice(0)) {
        pair.sender.terminate("the test is over");
        pair.receiver.terminate("the test is over");
        await pair.dispose();
      }
    });
    dataTests(open);
    backpressureTests(open);
    endTests(open);
  });
}

function dataTests(open: () => Promise<LinkPair>): void {
  test("delivers messages of 0 bytes to 1 MiB whole and in order, both ways at once", async () => {
    const sizes = [
      0,
      1,
      2,
      125,
      126,
      127,
      4_095,
      65_535,
      65_536,
      65_537,
      300_000,
      LINK_MESSAGE_BYTES_MAX,
      1,
      0,
      77,
    ];
    const { sender, receiver } = await open();
    const [left, right] = [new Recorder(sender).start(), new Recorder(receiver).start()];
    const total = sizes.reduce((sum, size) => sum + size, 0);
    sizes.forEach((size, index) => sender.send(pattern(size, index)));
    sizes.forEach((size, index) => receiver.send(pattern(size, index + 100)));
    await Promise.all([
      left.until(({ bytes }) => bytes >= total),
      right.until(({ bytes }) => bytes >= total),
    ]);
    const expected = (seed: number): Uint8Array =>
      Buffer.concat(sizes.map((size, index) => pattern(size, index + seed)));
    expect(sameBytes(right.content(), expected(0))).toBe(true);
    expect(sameBytes(left.content(), expected(100))).toBe(true);
    expect(left.closes.length + right.closes.length).toBe(0);
  });

  test("never writes again to a chunk it has delivered", async () => {
    const { sender, receiver } = await open();
    const right = new Recorder(receiver).start();
    new Recorder(sender).start();
    const copies: Uint8Array[] = [];
    for (let index = 0; index < 400; index++) sender.send(pattern(1 + (index * 997) % 9_000, index));
    const total = Array.from({ length: 400 }, (_, index) => 1 + (index * 997) % 9_000).reduce((sum, n) =>
      sum + n
    );
    await right.until(({ bytes }) => {
      while (copies.length < right.chunks.length) copies.push(right.chunks[copies.length]!.slice());
      return bytes >= total;
    });
    expect(right.chunks.every((chunk, index) => sameBytes(chunk, copies[index]!))).toBe(true);
    expect(copies.length).toBeGreaterThan(0);
  });

  test("leaves the bytes of the sender as they were", async () => {
    const { sender, receiver } = await open();
    const right = new Recorder(receiver).start();
    new Recorder(sender).start();
    const chunk = pattern(70_000, 5);
    sender.send(chunk);
    await right.until(({ bytes }) => bytes >= chunk.byteLength);
    expect(sameBytes(chunk, pattern(70_000, 5))).toBe(true);
  });

  test("keeps what came before start and delivers it first, but not inside start", async () => {
    const { sender, receiver } = await open();
    const left = new Recorder(sender).start();
    for (let index = 0; index < 16; index++) sender.send(pattern(65_536, index));
    // An answer on the other direction would prove arrival only for a started end: so let the path empty itself.
    await turns(50);
    const right = new Recorder(receiver);
    right.start();
    expect(right.chunks.length).toBe(0);
    sender.send(pattern(10, 99));
    await right.until(({ bytes }) => bytes >= 16 * 65_536 + 10);
    const sent = [...Array.from({ length: 16 }, (_, index) => pattern(65_536, index)), pattern(10, 99)];
    expect(sameBytes(right.content(), Buffer.concat(sent))).toBe(true);
    expect(left.closes.length).toBe(0);
  });

  test("closes when too much comes before start", async () => {
    const { sender, receiver } = await open();
    const left = new Recorder(sender).start();
    for (let sent = 0; sent <= LINK_EARLY_BYTES_MAX; sent += 65_536) sender.send(new Uint8Array(65_536));
    expect((await left.closed()).clean).toBe(false);
    const right = new Recorder(receiver).start();
    expect((await right.closed()).clean).toBe(false);
    expect(right.bytes).toBeLessThanOrEqual(LINK_EARLY_BYTES_MAX);
  });

  test("closes instead of sending a message over the limit", async () => {
    const { sender, receiver } = await open();
    const [left, right] = [new Recorder(sender).start(), new Recorder(receiver).start()];
    sender.send(new Uint8Array(LINK_MESSAGE_BYTES_MAX + 1));
    const reason = await left.closed();
    expect(reason.clean).toBe(false);
    expect(reason.message).toContain(`${LINK_MESSAGE_BYTES_MAX + 1} bytes`);
    expect((await right.closed()).clean).toBe(false);
    expect(right.bytes).toBe(0);
  });

  test("start() throws when called twice", async () => {
    const { sender } = await open();
    new Recorder(sender).start();
    expect(() => new Recorder(sender).start()).toThrow("started already");
  });
}

function backpressureTests(open: () => Promise<LinkPair>): void {
  test("shows what waits while the path is stalled, and tells when it has drained", async () => {
    const pair = await open();
    const [left, right] = [new Recorder(pair.sender).start(), new Recorder(pair.receiver).start()];
    pair.stall();
    let sent = 0;
    // Kernels take some megabytes before anything waits.
    while (pair.sender.bufferedBytes <= 2 * LINK_BUFFERED_BYTES_HIGH && sent < 64 << 20) {
      pair.sender.send(pattern(65_536, sent >> 16));
      sent += 65_536;
      await turns(1);
    }
    expect(pair.sender.bufferedBytes).toBeGreaterThan(LINK_BUFFERED_BYTES_HIGH);
    expect(left.drains).toBe(0);
    pair.resume();
    await left.until(({ drains }) => drains > 0);
    expect(pair.sender.bufferedBytes).toBeLessThanOrEqual(LINK_BUFFERED_BYTES_HIGH);
    await right.until(({ bytes }) => bytes >= sent);
    expect(right.bytes).toBe(sent);
    expect(left.drains).toBe(1);
    const expected = Buffer.concat(Array.from({ length: sent >> 16 }, (_, index) => pattern(65_536, index)));
    expect(sameBytes(right.content(), expected)).toBe(true);
  });

  test("never tells of a drain when little was sent", async () => {
    const { sender, receiver } = await open();
    const [left, right] = [new Recorder(sender).start(), new Recorder(receiver).start()];
    for (let index = 0; index < 50; index++) {
      sender.send(pattern(10_000, index));
      await right.until(({ bytes }) => bytes >= (index + 1) * 10_000);
    }
    expect(left.drains).toBe(0);
  });

  test("closes when more waits than any honest owner sends", async () => {
    const pair = await open();
    const left = new Recorder(pair.sender).start();
    new Recorder(pair.receiver).start();
    pair.stall();
    let peakBytes = 0;
    for (let sent = 0; left.closes.length === 0 && sent < 4 * LINK_BUFFERED_BYTES_MAX; sent += 262_144) {
      pair.sender.send(new Uint8Array(262_144));
      peakBytes = Math.max(peakBytes, pair.sender.bufferedBytes);
      await turns(1);
    }
    const reason = await left.closed();
    expect(reason.clean).toBe(false);
    expect(reason.message).toContain("does not read");
    expect(peakBytes).toBeLessThanOrEqual(LINK_BUFFERED_BYTES_MAX);
    expect(pair.sender.bufferedBytes).toBe(0);
  });
}

function endTests(open: () => Promise<LinkPair>): void {
  test("close() delivers what was sent before, then ends both sides as clean", async () => {
    const { sender, receiver } = await open();
    const [left, right] = [new Recorder(sender).start(), new Recorder(receiver).start()];
    for (let index = 0; index < 32; index++) sender.send(pattern(65_536, index));
    sender.close("all is said");
    sender.send(pattern(10, 0));
    sender.close("again");
    const reasons = await Promise.all([left.closed(), right.closed()]);
    expect(reasons[0]).toEqual({ clean: true, message: "all is said" });
    expect(reasons[1]).toEqual({ clean: true, message: "Closed by the other side: all is said" });
    const sent = Array.from({ length: 32 }, (_, index) => pattern(65_536, index));
    expect(sameBytes(right.content(), Buffer.concat(sent))).toBe(true);
  });

  test("close() with a long reason in many scripts keeps whole characters", async () => {
    const { sender, receiver } = await open();
    const right = new Recorder(receiver).start();
    new Recorder(sender).start();
    sender.close("привет 世界 ".repeat(40));
    const { clean, message } = await right.closed();
    expect(clean).toBe(true);
    expect(message).toContain("привет 世界");
    expect(message).not.toContain("\ufffd");
  });

  test("close() from both sides at once is clean on both", async () => {
    const { sender, receiver } = await open();
    const [left, right] = [new Recorder(sender).start(), new Recorder(receiver).start()];
    sender.close("one");
    receiver.close("two");
    expect((await left.closed()).clean).toBe(true);
    expect((await right.closed()).clean).toBe(true);
  });

  test("close() on a stalled path ends this side in time", async () => {
    const pair = await open();
    const left = new Recorder(pair.sender).start();
    new Recorder(pair.receiver).start();
    pair.stall();
    pair.sender.close("nobody listens");
    expect(await left.closed()).toEqual({ clean: true, message: "nobody listens" });
  });

  test("terminate() is abrupt, and nothing comes after onClose", async () => {
    const { sender, receiver } = await open();
    const [left, right] = [new Recorder(sender).start(), new Recorder(receiver).start()];
    await turns(2);
    for (let index = 0; index < 8; index++) receiver.send(pattern(65_536, index));
    sender.send(pattern(1_000, 1));
    sender.terminate("a broken frame");
    sender.terminate("again");
    sender.close("and again");
    const bytesAtEnd = left.bytes;
    expect(await left.closed()).toEqual({ clean: false, message: "a broken frame" });
    expect((await right.closed()).clean).toBe(false);
    sender.send(pattern(1, 1));
    receiver.send(pattern(1, 1));
    await turns(50);
    expect(left.bytes).toBe(bytesAtEnd);
    expect([left.closes.length, right.closes.length]).toEqual([1, 1]);
    expect([left.late, right.late]).toEqual([0, 0]);
    expect(sender.bufferedBytes).toBe(0);
  });

  test("terminate() inside onMessage stops the messages behind it", async () => {
    const { sender, receiver } = await open();
    new Recorder(sender).start();
    let heard = 0;
    const over = new Promise<LinkCloseReason>((resolve) =>
      receiver.start({
        onMessage: () => {
          heard++;
          receiver.terminate("enough");
        },
        onDrain: () => {},
        onClose: resolve,
      })
    );
    for (let index = 0; index < 20; index++) sender.send(pattern(10, index));
    expect(await over).toEqual({ clean: false, message: "enough" });
    await turns(20);
    expect(heard).toBe(1);
  });

  test("an end before start is told after it, behind the bytes", async () => {
    const { sender, receiver } = await open();
    const left = new Recorder(sender).start();
    sender.send(pattern(5_000, 3));
    sender.close("short visit");
    await left.closed();
    await turns(20);
    const right = new Recorder(receiver).start();
    expect((await right.closed()).clean).toBe(true);
    expect(sameBytes(right.content(), pattern(5_000, 3))).toBe(true);
    expect(right.late).toBe(0);
  });
}
