/**
 * Tests of how loud the failures of a door are told.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { FailureLog, NO_LINK_LOG_MS } from "../../lib/doors/failure_log.ts";
import type { OutgoingFailure } from "../../lib/doors/outgoing.ts";
import { keptLog } from "./gateway_end.ts";

test("a lost link is a warning once in its time, a program that left is none, and every fault is one", () => {
  const { log, lines } = keptLog();
  let nowMs = 0;
  const failures = new FailureLog(log, () => nowMs);
  const cases: [atMs: number, OutgoingFailure, level: string][] = [
    [0, "no_link", "warn"],
    [1, "no_link", "debug"],
    [2, "left", "debug"],
    [3, "denied", "warn"],
    [3, "denied", "warn"],
    [NO_LINK_LOG_MS - 1, "no_link", "debug"],
    [NO_LINK_LOG_MS, "no_link", "warn"],
    [NO_LINK_LOG_MS + 1, "no_link", "debug"],
    // What was only a debug line does not put the next warning off.
    [2 * NO_LINK_LOG_MS, "no_link", "warn"],
    [2 * NO_LINK_LOG_MS, "cancelled", "warn"],
  ];
  for (const [atMs, failure] of cases) {
    nowMs = atMs;
    failures.tell("cannot reach a service", { failure, service: "db" });
  }
  expect(lines.map(({ level, failure }) => [failure, level])).toEqual(
    cases.map(([, failure, level]) => [failure, level]),
  );
  expect(cases).toHaveLength(10);
});
