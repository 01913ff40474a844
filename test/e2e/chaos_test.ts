/**
 * The short form of `npm run chaos`: the network between agent and gateway fails in five ways, side by side.
 *
 * @module
 */
import { afterAll, describe, expect, test } from "bun:test";
import process from "node:process";
import { Lab, labSkip } from "../chaos/lab.ts";
import { quickResults } from "../chaos/quick.ts";
import { table } from "../chaos/report.ts";
import { SCENARIOS } from "../chaos/scenarios.ts";
import { NOTICE_MS_MAX, type Result } from "../chaos/trial.ts";
import { HUNG_MS } from "../chaos/visit.ts";
import { useProcesses } from "../support/processes.ts";
import { CROSS } from "./wall.ts";

/** 25 s until a dead link is noticed, and traffic before and after, on a machine that does five of them at once. */
const RUN_MS_MAX = 170_000;

const reason = labSkip();
const skip = reason !== undefined;
const why = skip ? ` (${reason})` : "";
const quick = SCENARIOS.filter((scenario) => scenario.quick);
const processes = useProcesses();

describe("a network that fails", () => {
  let running: Promise<Result[]> | undefined;

  /** All of them run once, for the first test that asks. */
  const run = (): Promise<Result[]> =>
    running ??= quickResults(processes, quick, CROSS).then((results) => {
      process.stderr.write(`${table(results)}\n`);
      return results;
    });

  const resultOf = async (name: string): Promise<Result> => {
    const result = (await run()).find(({ scenario }) => scenario.name === name);
    if (result === undefined) throw new Error(`Cannot judge ${name}: it did not run`);
    return result;
  };

  test.skipIf(skip)(`every scenario of the short form was run${why}`, async () => {
    const results = await run();
    expect(quick.map(({ name }) => name)).toEqual(["blip", "cut", "hole-up", "reset", "nat-strict"]);
    expect(results.map(({ scenario }) => scenario.name)).toEqual(quick.map(({ name }) => name));
    expect(results.filter(({ skipped }) => skipped !== undefined)).toEqual([]);
  }, RUN_MS_MAX);

  for (const { name, title, endsLink } of quick) {
    test.skipIf(skip)(`${title}: nothing hangs, nothing is wrong, nothing is left behind${why}`, async () => {
      const { faults, outcomes, servingMs, noticedMs, longestFailureMs } = await resultOf(name);
      expect(faults).toEqual([]);
      expect(outcomes.get("ok")).toBeGreaterThan(50);
      expect(servingMs).toBeDefined();
      expect(longestFailureMs).toBeLessThan(HUNG_MS);
      for (const ms of [noticedMs.gateway, noticedMs.agent]) {
        if (endsLink) expect(ms).toBeLessThan(NOTICE_MS_MAX);
        else expect(ms).toBeUndefined();
      }
    }, RUN_MS_MAX);
  }
});

describe("a lab", () => {
  const labs = new Set<Lab>();
  const build = (number: number): Lab => {
    const lab = new Lab(number);
    labs.add(lab);
    return lab;
  };
  afterAll(() => {
    for (const lab of labs) lab.close();
  });

  test.skipIf(skip)(`stands beside another one, and leaves nothing behind${why}`, () => {
    const [lab, other] = [build(98), build(99)];
    const names = (): string => lab.run("router", ["ip", "netns", "list"]);
    expect(names()).toContain(other.namespace("router"));
    other.close();
    expect(names().includes(other.namespace("router"))).toBe(false);
    expect(names()).toContain(lab.namespace("router"));
  });

  test.skipIf(skip)(`lets the gateway be reached, and the container by nobody${why}`, () => {
    const lab = build(97);
    const reaches = (from: "client" | "container" | "gateway", to: string): boolean => {
      // A connection that is refused did get there; one that is dropped says nothing until the deadline.
      const script = `exec 3<>/dev/tcp/${to}`;
      try {
        lab.run(from, ["timeout", "1", "bash", "-c", script]);
        return true;
      } catch (error) {
        return String(error).includes("refused");
      }
    };
    expect(reaches("client", "10.71.1.2/8080")).toBe(true);
    expect(reaches("container", "10.71.1.2/8080")).toBe(true);
    expect(reaches("container", "10.71.1.2/8081")).toBe(false);
    expect(reaches("container", "10.71.3.2/8080")).toBe(false);
    expect(reaches("client", "10.71.2.2/8080")).toBe(false);
    expect(reaches("gateway", "10.71.2.2/8080")).toBe(false);
  });
});
