/**
 * Keepalive: who is dead, who is only busy, and that nothing goes on after the end.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { Keepalive } from "../../lib/mux/keepalive.ts";
import { until } from "../support/session_pair.ts";

interface Seen {
  pings: Uint8Array[];
  deaths: number;
}

function make(intervalMs: number, timeoutMs: number): { keepalive: Keepalive; seen: Seen } {
  const seen: Seen = { pings: [], deaths: 0 };
  const keepalive = new Keepalive({
    intervalMs,
    timeoutMs,
    sendPing: (payload) => seen.pings.push(payload),
    onDead: () => seen.deaths++,
  });
  return { keepalive, seen };
}

describe("Keepalive", () => {
  test("pings at once, and again after each answer", async () => {
    const { keepalive, seen } = make(1, 10_000);
    keepalive.start();
    for (let i = 0; i < 3; i++) {
      await until(() => seen.pings.length === i + 1, "a ping");
      keepalive.pong(seen.pings[i]!);
    }
    keepalive.stop();
    expect(keepalive.rttMs).toBeGreaterThan(0);
    expect(new Set(seen.pings.map(String)).size).toBe(seen.pings.length);
    expect(seen.deaths).toBe(0);
  });

  test("takes a peer that says nothing for dead, once", async () => {
    const { keepalive, seen } = make(5, 20);
    keepalive.start();
    await until(() => seen.deaths > 0, "the death");
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(seen.deaths).toBe(1);
    keepalive.stop();
  });

  test("lets a peer live for as long as bytes come, and no longer", async () => {
    const { keepalive, seen } = make(5, 30);
    keepalive.start();
    const busy = setInterval(() => keepalive.received(), 1);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(seen.deaths).toBe(0);
    clearInterval(busy);
    await until(() => seen.deaths > 0, "the death");
    keepalive.stop();
    expect(seen.deaths).toBe(1);
  });

  test("ignores an answer to nothing", async () => {
    const { keepalive, seen } = make(1, 10_000);
    keepalive.start();
    for (const payload of [new Uint8Array(8), new Uint8Array(3), new Uint8Array(8).fill(0xff)]) {
      keepalive.pong(payload);
    }
    expect(keepalive.rttMs).toBe(0);
    keepalive.pong(seen.pings[0]!);
    const rttMs = keepalive.rttMs;
    keepalive.pong(seen.pings[0]!);
    expect(keepalive.rttMs).toBe(rttMs);
    keepalive.stop();
    await Promise.resolve();
  });

  test("does nothing after stop(), whatever comes", async () => {
    const { keepalive, seen } = make(1, 5);
    keepalive.start();
    keepalive.stop();
    keepalive.pong(seen.pings[0]!);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(seen.pings).toHaveLength(1);
    expect(seen.deaths).toBe(0);
  });
});
