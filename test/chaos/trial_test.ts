/**
 * That a trial calls every fault a fault, and that the table shows it.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { table } from "./report.ts";
import type { Quiet } from "./rig.ts";
import { type Scenario, SCENARIOS } from "./scenarios.ts";
import { leaks, type Result, visitFaults } from "./trial.ts";
import type { Outcome } from "./visit.ts";
import type { Kind, VisitRecord } from "./visitor.ts";

const WINDOW_BYTES = 32 << 20;

const quiet: Quiet = {
  ...{ links: 1, streams: 0, heldBytes: 0, creditBytes: WINDOW_BYTES },
  gateway: { fds: 20, rssBytes: 80 << 20 },
  agent: { fds: 15, rssBytes: 60 << 20 },
};

function record(kind: Kind, outcome: Outcome): VisitRecord {
  return { kind, outcome, startMs: 0, endMs: 10 };
}

function scenario(name: string): Scenario {
  return SCENARIOS.find((each) => each.name === name)!;
}

const LEAKS: readonly (readonly [change: Partial<Quiet>, word: RegExp])[] = [
  [{ links: 0 }, /0 links/],
  [{ links: 2 }, /2 links/],
  [{ streams: 1 }, /1 streams/],
  [{ heldBytes: 1 }, /1 bytes are held/],
  [{ creditBytes: WINDOW_BYTES * 3 / 4 }, /bytes of credit/],
  [{ creditBytes: WINDOW_BYTES + 1 }, /bytes of credit/],
  [{ gateway: { ...quiet.gateway, fds: 40 } }, /20 file descriptors of the gateway/],
  [{ agent: { ...quiet.agent, fds: 35 } }, /20 file descriptors of the agent/],
  [{ agent: { ...quiet.agent, rssBytes: 500 << 20 } }, /440 MiB of the agent/],
];

describe("leaks()", () => {
  test("finds none where all is as before, or credit waits for its quarter", () => {
    expect(leaks(WINDOW_BYTES, quiet, quiet, true)).toEqual([]);
    const waiting = { ...quiet, creditBytes: WINDOW_BYTES * 3 / 4 + 1 };
    expect(leaks(WINDOW_BYTES, quiet, waiting, true)).toEqual([]);
  });

  for (const [change, word] of LEAKS) {
    test(`finds ${word.source}`, () => {
      const found = leaks(WINDOW_BYTES, quiet, { ...quiet, ...change }, true);
      expect(found).toHaveLength(1);
      expect(found[0]).toMatch(word);
    });
  }
});

describe("visitFaults()", () => {
  test("excuses failures only where the link ends, and hangs and wrong bytes never", () => {
    const cut = [
      record("idle", "ok"),
      record("short", "ok"),
      record("download", "cut"),
      record("short", "502"),
    ];
    expect(visitFaults(scenario("cut"), cut)).toEqual([]);
    expect(visitFaults(scenario("blip"), cut)).toHaveLength(1);
    for (const outcome of ["hung", "wrong", "refused", "status 500"] as const) {
      expect(visitFaults(scenario("cut"), [record("idle", "ok"), record("short", outcome)])).toHaveLength(1);
    }
    expect(visitFaults(scenario("cut"), [record("short", "ok")])).toHaveLength(1);
  });

  test("wants every kind to come through a line that is only bad", () => {
    const kinds = ["short", "download", "upload", "websocket", "tcp", "idle"] as const;
    expect(visitFaults(scenario("delay"), kinds.map((kind) => record(kind, "ok")))).toEqual([]);
    expect(visitFaults(scenario("delay"), kinds.slice(1).map((kind) => record(kind, "ok")))).toHaveLength(1);
  });
});

describe("table()", () => {
  const result: Result = {
    ...{ scenario: scenario("reset"), noticedMs: { gateway: 12, agent: 34 }, servingMs: 250 },
    outcomes: new Map<Outcome, number>([["ok", 200], ["503", 18]]),
    ...{ longestFailureMs: 2500, before: quiet, after: quiet, faults: [] },
  };

  test("is aligned, and says what is wrong", () => {
    const lines = table([result, { ...result, faults: ["3 visits hung"] }]).split("\n");
    expect(lines).toHaveLength(3);
    const at = lines[0]!.indexOf("verdict");
    expect(lines[1]!.slice(at)).toBe("ok");
    expect(lines[2]!.slice(at)).toBe("FAULT: 3 visits hung");
    expect(lines[1]).toMatch(/sockets reset at both ends\s+0\.0 s\s+0\.0 s\s+0\.3 s\s+200\s+0\s+18\s/);
  });
});
