/**
 * Tests of the watch on the wall: what it tells when, and whether anything may be served.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import {
  AUDIT_BROKEN_INTERVAL_MS,
  AUDIT_INTERVAL_MS,
  WallWatch,
  type WallWatchOptions,
} from "../../lib/agent/wall_watch.ts";
import type { WallReport } from "../../lib/seal/wall.ts";
import { parseWallFields } from "../../lib/seal/wall_report.ts";
import { keptLog } from "../doors/gateway_end.ts";

type State = WallReport["state"];

function report(state: State): WallReport {
  const exposed = {
    ...{ protocol: "tcp" as const, address: "0.0.0.0", port: 8080, inode: 7, uid: 0 },
    ...{ reach: "outside" as const, owner: { kind: "process" as const, pid: 12, name: "nginx" } },
  };
  return {
    state,
    listeners: state === "broken" ? [exposed as unknown as WallReport["listeners"][number]] : [],
    listenersTotal: state === "broken" ? 1 : 0,
    exposedTotal: state === "broken" ? 1 : 0,
    faults: state === "unknown" ? ["Cannot read /proc/net/tcp: EACCES"] : [],
  };
}

/** Timers of the watch, held: the test lets them go. */
interface Held {
  readonly waits: number[];
  fire(): Promise<void>;
}

const real = { setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout };
afterEach(() => void Object.assign(globalThis, real));

function holdTimers(): Held {
  let pending: (() => void) | undefined;
  const waits: number[] = [];
  const held = (callback: () => void, ms = 0): unknown => {
    waits.push(ms);
    pending = callback;
    return { unref: () => {} };
  };
  Object.assign(globalThis, { setTimeout: held, clearTimeout: () => pending = undefined });
  return {
    waits,
    async fire(): Promise<void> {
      const callback = pending;
      pending = undefined;
      callback?.();
      for (let turn = 0; turn < 10; turn++) await Promise.resolve();
    },
  };
}

interface Rig {
  readonly watch: WallWatch;
  readonly lines: Record<string, unknown>[];
  readonly reports: string[][];
  readonly timers: Held;
}

/** A watch that sees these states, one at each look, and the last for ever. */
function watching(
  states: readonly State[],
  options: Partial<WallWatchOptions> = {},
): Rig & { looks: () => number } {
  const timers = holdTimers();
  const { log, lines } = keptLog();
  const reports: string[][] = [];
  let looks = 0;
  const watch = new WallWatch({
    ...{ log, required: false, onReport: (fields) => void reports.push(fields) },
    audit: () => Promise.resolve(report(states[Math.min(looks++, states.length - 1)]!)),
    ...options,
  });
  return { watch, lines, reports, timers, looks: () => looks };
}

describe("WallWatch", () => {
  const MAY: readonly (readonly [State, boolean, boolean])[] = [
    ["whole", false, true],
    ["broken", false, true],
    ["unknown", false, true],
    ["whole", true, true],
    ["broken", true, false],
    ["unknown", true, false],
  ];
  test.each(MAY.map((row) => [...row]))(
    "a wall that is %s, required: %s, may serve: %s",
    async (state, required, may) => {
      const { watch } = watching([state as State], { required: required as boolean });
      // Before the first look nothing is known, so what needs the wall is not served.
      expect(watch.mayServe).toBe(!required);
      expect(watch.fields).toBeUndefined();
      await watch.start();
      expect(watch.mayServe).toBe(may);
      watch.stop();
    },
  );

  test("serving settles with the first look that lets it serve, and not before", async () => {
    const { watch, timers } = watching(["broken", "unknown", "whole"], { required: true });
    let serving = false;
    void watch.serving.then(() => serving = true);
    await watch.start();
    await timers.fire();
    expect(serving).toBe(false);
    await timers.fire();
    await watch.serving;
    watch.stop();
    const free = watching(["broken"]);
    await free.watch.start();
    await free.watch.serving;
    free.watch.stop();
  });

  test("a wall that is not looked at is told as unknown once, and is no news for the log", async () => {
    const { watch, reports, timers, looks, lines } = watching(["broken"], { looks: false });
    expect(watch.mayServe).toBe(true);
    await watch.start();
    await watch.serving;
    expect(reports.map((fields) => parseWallFields(fields))).toEqual([
      { state: "unknown", listeners: 0, exposed: [], faults: ["not looked at: --audit-wall=false"] },
    ]);
    expect(watch.fields).toEqual(reports[0]!);
    expect([looks(), timers.waits, lines]).toEqual([0, [], []]);
    watch.stop();
  });

  test("tells each look to the gateways, in fields that they take", async () => {
    const { watch, reports, timers } = watching(["broken", "whole", "unknown"]);
    await watch.start();
    await timers.fire();
    await timers.fire();
    expect(reports.map((fields) => parseWallFields(fields)?.state)).toEqual(["broken", "whole", "unknown"]);
    expect(parseWallFields(reports[0]!)?.exposed).toEqual(["tcp 0.0.0.0:8080 nginx(12)"]);
    expect(watch.fields).toEqual(reports[2]!);
    watch.stop();
  });

  test("logs a change and not a state that lasts; a wall that was whole from the start is no news", async () => {
    const { watch, lines, timers } = watching([
      ...["whole", "whole", "broken", "broken", "unknown", "unknown", "whole", "whole"] as const,
    ]);
    await watch.start();
    for (let look = 1; look < 8; look++) await timers.fire();
    expect(lines.map(({ level, message }) => [level, String(message).split(",")[0]])).toEqual([
      ["warn", "the wall is broken"],
      ["warn", "the wall cannot be looked at"],
      ["info", "the wall is whole again"],
    ]);
    expect(lines[0]).toMatchObject({ exposed: "tcp 0.0.0.0:8080 nginx(12)" });
    expect(lines[1]).toMatchObject({ faults: "Cannot read /proc/net/tcp: EACCES" });
    watch.stop();
  });

  test("a broken wall at the start is told, and as an error when it is required", async () => {
    const free = watching(["broken"]);
    await free.watch.start();
    expect(free.lines).toMatchObject([{ level: "warn" }]);
    expect(String(free.lines[0]!["message"])).toContain("served all the same");
    free.watch.stop();
    const bound = watching(["broken"], { required: true });
    await bound.watch.start();
    expect(bound.lines).toMatchObject([{ level: "error" }]);
    expect(String(bound.lines[0]!["message"])).toContain("nothing is served");
    bound.watch.stop();
  });

  test("looks sooner while nothing is served because of the wall", async () => {
    const { watch, timers } = watching(["broken", "unknown", "whole", "broken"], { required: true });
    await watch.start();
    for (let look = 1; look < 4; look++) await timers.fire();
    expect(timers.waits).toEqual([
      AUDIT_BROKEN_INTERVAL_MS,
      AUDIT_BROKEN_INTERVAL_MS,
      AUDIT_INTERVAL_MS,
      AUDIT_BROKEN_INTERVAL_MS,
    ]);
    watch.stop();
    const free = watching(["broken"]);
    await free.watch.start();
    expect(free.timers.waits).toEqual([AUDIT_INTERVAL_MS]);
    free.watch.stop();
  });

  test("after stop it looks no more, and a look that was under way tells nothing", async () => {
    const gate = Promise.withResolvers<WallReport>();
    const { watch, lines, reports, timers } = watching([], { audit: () => gate.promise });
    const started = watch.start();
    watch.stop();
    gate.resolve(report("broken"));
    await started;
    expect([lines.length, reports.length, timers.waits.length]).toEqual([0, 0, 0]);
    const other = watching(["whole"]);
    await other.watch.start();
    other.watch.stop();
    await other.timers.fire();
    expect(other.looks()).toBe(1);
  });
});
