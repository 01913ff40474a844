/**
 * What the learned model is worth, and what it costs: taught by the first half of traffic, judged on the second.
 *
 *   bun test/bench/model.ts [--shop bun|deno] [--seed N] [--flows N] [--visits N]
 *   deno run -A test/bench/model.ts …
 *
 * The traffic of two shops is made in the process. With `--shop` the shop of the examples also runs, in real processes
 * on that runtime: its gateway learns the first half, is set to alert, and judges the second half itself.
 *
 * @module
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { EdgeBook } from "../../lib/policy/edge_book.ts";
import { FlowBook } from "../../lib/policy/flow_book.ts";
import { runtimeName, runtimeVersion } from "../../lib/runtime/runtime.ts";
import { LARGE_SHOP } from "../support/large_shop_flows.ts";
import {
  alarmsOf,
  caughtOf,
  edgeLines,
  emptyModel,
  judgeAlert,
  learningCurve,
  modelBytes,
  precisionOf,
  teach,
} from "../support/model_figures.ts";
import type { RecordedFlow, World } from "../support/recorded_flow.ts";
import { SHOP } from "../support/shop_flows.ts";
import { recordShop, type ShopRecord } from "./shop_record.ts";

const START_MS = 1_700_000_000_000;
const TWO_DAYS_MS = 2 * 86_400_000;
const HOSTILE_FLOWS = 4_000;
const CURVE = [0, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000];

const say = (line: string): void => void process.stdout.write(`${line}\n`);

const { values } = parseArgs({
  options: {
    shop: { type: "string" },
    seed: { type: "string", default: "1" },
    flows: { type: "string", default: "20000" },
    visits: { type: "string", default: "1000" },
  },
});
const [seed, flowsHalf, visitsHalf] = [values.seed, values.flows, values.visits].map(Number) as [
  number,
  number,
  number,
];

/** Microseconds for one call: the median of some rounds over all flows, after two to warm up. */
function costUs(flows: readonly RecordedFlow[], call: (flow: RecordedFlow, index: number) => void): string {
  const rounds: number[] = [];
  for (let round = 0; round < 9; round += 1) {
    const startMs = performance.now();
    flows.forEach(call);
    rounds.push((performance.now() - startMs) / flows.length * 1_000);
  }
  const sorted = rounds.slice(2).sort((a, b) => a - b);
  return `${sorted[sorted.length >> 1]!.toFixed(2)} µs`;
}

function costs(first: readonly RecordedFlow[], second: readonly RecordedFlow[]): void {
  const learner = teach(first);
  const judged = second.map(({ flow }) => judgeAlert(learner, flow));
  const routes = second.map(({ flow }) => learner.routeOf(flow));
  const outcome = { ok: true, inBytes: 100, outBytes: 1_000 };
  const [edges, flows] = [new EdgeBook({ model: learner }), new FlowBook()];
  say("\nPer request of the second half, median of 7 rounds:");
  say(`  judge, all of it      ${costUs(second, ({ flow }) => void judgeAlert(learner, flow))}`);
  say(
    `  Learner.check         ${
      costUs(second, ({ flow }, at) => void learner.check(flow, judged[at]!.sourceName))
    }`,
  );
  say(`  Learner.routeOf       ${costUs(second, ({ flow }) => void learner.routeOf(flow))}`);
  const teaching = emptyModel();
  const observe = ({ flow, quotaKey, ok, atMs }: RecordedFlow, at: number): void => {
    teaching.clock.nowMs = atMs;
    teaching.learner.observe(flow, judged[at]!.sourceName, quotaKey, ok);
  };
  say(`  Learner.observe       ${costUs(second, observe)}`);
  say(
    `  EdgeBook.note         ${
      costUs(second, ({ flow }, at) => edges.note(flow, judged[at]!, outcome, START_MS))
    }`,
  );
  say(
    `  FlowBook.note         ${
      costUs(
        second,
        ({ flow }, at) => flows.note(flow, judged[at]!, judged[at]!.sourceName, routes[at]!, START_MS),
      )
    }`,
  );
}

function curve(first: readonly RecordedFlow[], legal: readonly RecordedFlow[]): void {
  say("Learning curve: flows taught, false alarms, bytes of the model written down");
  for (const { taught, alarmShare, modelBytes: bytes } of learningCurve(first, legal, CURVE)) {
    say(`  ${String(taught).padStart(6)}  ${(alarmShare * 100).toFixed(3).padStart(7)} %  ${bytes}`);
  }
  say(`  all ${first.length}: ${modelBytes(teach(first))} bytes`);
}

function alarmLine(alarms: number, judged: number): string {
  return `False alarms: ${alarms} of ${judged} legal requests, ${(alarms / judged * 100).toFixed(3)} %`;
}

function edgeFigures(learned: readonly string[], truth: readonly string[]): string {
  const { precision, recall } = precisionOf(learned, truth);
  return `Edges: precision ${precision.toFixed(3)}, recall ${recall.toFixed(3)}, of ${truth.length}`;
}

/** A world that is made in the process. */
function made(world: World): void {
  const all = [...world.traffic(seed, 2 * flowsHalf, START_MS, TWO_DAYS_MS / flowsHalf)];
  const [first, second] = [all.slice(0, flowsHalf), all.slice(flowsHalf)];
  const legal = second.filter(({ isNoise }) => !isNoise);
  const learner = teach(first);
  say(
    `\n## The ${world.name}, made with seed ${seed}: ${first.length} flows taught, ${second.length} judged`,
  );
  say(edgeFigures(edgeLines(learner), world.edges));
  const { alarms, judged, examples } = alarmsOf(learner, legal);
  say(alarmLine(alarms, judged));
  for (const example of examples) say(`  ${example}`);
  say("Unknown flows that were caught, and as what they are:");
  for (const [kind, of] of Object.entries(caughtOf(learner, world.hostile(seed + 1, HOSTILE_FLOWS)))) {
    say(`  ${kind.padEnd(12)} ${of.caught} and ${of.asItsKind} of ${of.came}`);
  }
  curve(first, legal);
  costs(first, second);
}

/** What a real gateway made of the shop, by its own verdicts. */
function recorded({ truth, learned, first, second, hostile, faults }: ShopRecord): void {
  say(
    `\n## The shop in real processes on ${values.shop}: ${first.length} flows taught, ${second.length} judged`,
  );
  say(edgeFigures(learned, truth));
  say(alarmLine(second.filter(({ verdict }) => verdict !== "forwarded").length, second.length));
  say(`Legal requests that were answered with an error: ${faults}`);
  say("Unknown flows, and of what they were those that were an alarm:");
  for (const [kind, { sent, flows }] of Object.entries(hostile)) {
    const caught = flows.filter(({ verdict }) => verdict === "audited").length;
    say(`  ${kind.padEnd(12)} ${caught} of ${sent}`);
  }
  say("The same flows, taught to a model in this process:");
  const again = teach(first);
  say(`  ${edgeFigures(edgeLines(again), truth)}`);
  say(`  ${alarmLine(alarmsOf(again, second).alarms, second.length)}`);
  curve(first, second);
}

say(`${runtimeName} ${runtimeVersion}`);
made(SHOP);
made(LARGE_SHOP);
if (values.shop === "bun" || values.shop === "deno") {
  recorded(await recordShop(values.shop, seed, visitsHalf));
} else if (values.shop !== undefined) {
  throw new TypeError(`Cannot run the shop on "${values.shop}": use bun or deno`);
}
