/**
 * Keeping a link alive: waits, resets, moves and ends, on a clock the test holds.
 *
 * @module
 */

import { describe, expect, test } from "bun:test";
import { setImmediate } from "node:timers/promises";
import { Dialer, DIALER_LINKS_MAX, type DialerOptions, type DialerState } from "../../lib/link/dialer.ts";
import { type Link, LinkError } from "../../lib/link/link.ts";
import { memoryLinkPair } from "../../lib/link/memory.ts";
import { LinkRefusedError } from "../../lib/link/refusal.ts";

/** A session the test ends. */
interface Session {
  readonly link: Link;
  end(error?: unknown): void;
}

class Bench {
  readonly states: DialerState[] = [];
  readonly waits: number[] = [];
  readonly sessions: Session[] = [];
  dials = 0;
  nowMs = 0;
  /** What a dial does; the default gives a link. */
  next: (signal: AbortSignal) => Promise<Link> = () => Promise.resolve(memoryLinkPair()[0]);
  #timer: (() => void) | undefined;
  readonly dialer: Dialer;

  constructor(options: Partial<DialerOptions> = {}) {
    this.dialer = new Dialer({
      dial: (signal) => {
        this.dials++;
        return this.next(signal);
      },
      onLink: (link) =>
        new Promise((resolve, reject) => {
          this.sessions.push({ link, end: (error) => error === undefined ? resolve() : reject(error) });
        }),
      onState: (state) => this.states.push(state),
      random: () => 1,
      timers: {
        nowMs: () => this.nowMs,
        setTimeout: (callback, ms) => {
          this.waits.push(ms);
          this.#timer = callback;
          return 1;
        },
        clearTimeout: () => this.#timer = undefined,
      },
      ...options,
    });
  }

  /** Lets promises settle. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 5; turn++) await setImmediate();
  }

  /** Ends the present wait. */
  async wake(): Promise<void> {
    const timer = this.#timer;
    expect(timer).toBeDefined();
    timer?.();
    await this.settle();
  }

  get kinds(): string[] {
    return this.states.map(({ kind }) => kind);
  }
}

async function started(options: Partial<DialerOptions> = {}, next?: Bench["next"]): Promise<Bench> {
  const bench = new Bench(options);
  if (next !== undefined) bench.next = next;
  bench.dialer.start();
  await bench.settle();
  return bench;
}

const away = (): Promise<Link> => Promise.reject(new LinkError("away", false));

describe("Dialer", () => {
  test("waits twice as long after each failure, up to the maximum", async () => {
    const bench = await started({}, away);
    for (let round = 0; round < 9; round++) await bench.wake();
    expect(bench.waits).toEqual([200, 400, 800, 1_600, 3_200, 6_400, 12_800, 15_000, 15_000, 15_000]);
    bench.dialer.stop();
    await bench.dialer.done;
    expect(bench.states.at(-1)).toEqual({ kind: "ended", held: 0 });
  });

  test("never overflows its wait, and takes all of the range by chance", async () => {
    const draws = [0, 0.5, 0.999];
    let drawn = 0;
    const bench = await started({ random: () => draws[drawn++ % 3]! }, away);
    for (let round = 0; round < 1_199; round++) await bench.wake();
    expect(bench.waits.length).toBe(1_200);
    expect(bench.waits.every((ms) => Number.isFinite(ms) && ms >= 0 && ms <= 15_000)).toBe(true);
    expect(bench.waits.slice(-3).toSorted((left, right) => left - right)).toEqual([0, 7_500, 14_985]);
    bench.dialer.stop();
  });

  test("starts over after a link that was good, goes on after one that was not", async () => {
    const bench = await started();
    bench.sessions[0]!.end();
    await bench.settle();
    await bench.wake();
    bench.sessions[1]!.end(new LinkError("broke", false));
    await bench.settle();
    await bench.wake();
    bench.nowMs += 30_000;
    bench.sessions[2]!.end();
    await bench.settle();
    expect(bench.waits).toEqual([200, 400, 200]);
    bench.dialer.stop();
    await bench.dialer.done;
  });

  test("stays away as long as the gateway asks, and a little more", async () => {
    const bench = await started(
      {},
      () => Promise.reject(new LinkRefusedError("busy", false, 503, "busy", 7_000)),
    );
    expect(bench.waits).toEqual([7_200]);
    bench.dialer.stop();
    await bench.dialer.done;
  });

  test("ends for good on a permanent refusal, of the dial or of the session", async () => {
    const refusal = new LinkError("The token has expired", true);
    const dialed = await started({}, () => Promise.reject(refusal));
    expect(await dialed.dialer.done.then(() => undefined, (error: unknown) => error)).toBe(refusal);
    expect(dialed.states.at(-1)).toEqual({ kind: "ended", error: refusal, held: 0 });
    expect([dialed.dials, dialed.waits.length]).toEqual([1, 0]);
    const linked = await started();
    linked.sessions[0]!.end(refusal);
    expect(await linked.dialer.done.then(() => undefined, (error: unknown) => error)).toBe(refusal);
    expect(linked.dials).toBe(1);
  });

  test("rejects done with a bug, of the dial or of the session, thrown at once or later", async () => {
    const bug = new TypeError("a bug");
    const benches = [
      await started({}, () => Promise.reject(bug)),
      await started({ onLink: () => Promise.reject(bug) }),
      await started({
        onLink: () => {
          throw bug;
        },
      }),
    ];
    for (const bench of benches) {
      expect(await bench.dialer.done.then(() => undefined, (error: unknown) => error)).toBe(bug);
      expect(bench.dials).toBe(1);
    }
    expect(benches.length).toBe(3);
  });

  test("moveNow() dials at once, and the old link finishes", async () => {
    const bench = await started();
    bench.dialer.moveNow();
    await bench.settle();
    expect([bench.dials, bench.sessions.length, bench.waits.length]).toEqual([2, 2, 0]);
    expect(bench.states.at(-1)).toMatchObject({ kind: "linked", held: 1 });
    bench.sessions[0]!.end(new LinkError("gone as announced", false));
    await bench.settle();
    expect([bench.dials, bench.waits.length]).toEqual([2, 0]);
    bench.dialer.stop();
    bench.sessions[1]!.end();
    await bench.dialer.done;
  });

  test("moveNow() never makes a third link", async () => {
    const bench = await started();
    for (let round = 0; round < 5; round++) {
      bench.nowMs += 30_000;
      bench.dialer.moveNow();
      bench.dialer.moveNow();
      await bench.settle();
    }
    expect(bench.dials).toBe(DIALER_LINKS_MAX);
    bench.sessions[0]!.end();
    await bench.settle();
    expect([bench.dials, bench.waits.length]).toEqual([3, 0]);
    bench.dialer.stop();
    for (const session of bench.sessions) session.end();
    await bench.dialer.done;
  });

  test("moveNow() waits when a gateway sends every link away young", async () => {
    const bench = await started();
    bench.dialer.moveNow();
    await bench.settle();
    bench.sessions[0]!.end();
    bench.dialer.moveNow();
    await bench.settle();
    expect([bench.dials, bench.waits]).toEqual([2, [400]]);
    await bench.wake();
    expect(bench.dials).toBe(3);
    bench.dialer.stop();
    for (const session of bench.sessions) session.end();
    await bench.dialer.done;
  });

  test("moveNow() without a link does nothing", async () => {
    const bench = await started({}, away);
    bench.dialer.moveNow();
    await bench.settle();
    expect([bench.dials, bench.waits.length]).toEqual([1, 1]);
    bench.dialer.stop();
    await bench.dialer.done;
  });

  test("stop() ends a wait and a dial, and lets sessions finish", async () => {
    const waiting = await started({}, away);
    waiting.dialer.stop();
    await waiting.dialer.done;
    const dialing = await started({}, (signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => reject(new LinkError("given up", false)));
      }));
    dialing.dialer.stop();
    await dialing.dialer.done;
    const linked = await started();
    let isDone = false;
    void linked.dialer.done.then(() => isDone = true);
    linked.dialer.stop();
    await linked.settle();
    expect(isDone).toBe(false);
    linked.sessions[0]!.end();
    await linked.dialer.done;
    expect([waiting.dials, dialing.dials, linked.dials]).toEqual([1, 1, 1]);
  });

  test("stop() before start settles done, and closes a link that comes late", async () => {
    const idle = new Bench();
    idle.dialer.stop();
    await idle.dialer.done;
    let arrive = (_link: Link): void => {};
    const late = await started({}, () => new Promise((resolve) => arrive = resolve));
    late.dialer.stop();
    const [link, other] = memoryLinkPair();
    const closed = new Promise((resolve) =>
      other.start({ onMessage: () => {}, onDrain: () => {}, onClose: resolve })
    );
    link.start({ onMessage: () => {}, onDrain: () => {}, onClose: () => {} });
    arrive(link);
    await late.dialer.done;
    await closed;
    expect(late.sessions.length).toBe(0);
  });

  test("start() throws when called twice", () => {
    const { dialer } = new Bench({ dial: away });
    dialer.start();
    expect(() => dialer.start()).toThrow("started already");
    dialer.stop();
  });
});
