/**
 * How fast the page is, and what it needs: the first map, a map of 200 workloads and 1,000 edges, and a flood of events.
 *
 *     bun test/bench/page_soak.ts [--runtime bun|deno|executable] [--seconds N] [--only first,large,soak] [--trace DIR]
 *
 * A real gateway, real traffic over real links, and Chromium without a screen, which draws with the processor alone: all
 * on one machine, so that each takes time from the others. The load of the machine stands beside each figure.
 *
 * @module
 */
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { ensureBuilt } from "../e2e/wall.ts";
import { buildPage, PAGE_RUNTIMES, type PageGateway, startPageGateway } from "../e2e/page_rig.ts";
import { CHROMIUM, openBrowser } from "../support/browser.ts";
import { ProcessGroup, type Runtime } from "../support/processes.ts";
import { type Call, Crowd, DOMAIN, NAMESPACE_SIZE, OUTSIDE_RULE } from "./page_crowd.ts";
import { GESTURE_MS, OPEN_MAP, pan, rest, VIEWS, zoom } from "./page_hands.ts";
import { head, mib, ms, quantile, row, say, spreadText } from "./page_table.ts";
import { firstLineMs, type ProcessorMs, TabMeter, takeSeen, watch } from "./page_watch.ts";

const WORKLOADS = 200;
const EDGES = 1_000;
const SMALL_WORKLOADS = NAMESPACE_SIZE;
const SMALL_EDGES = 30;
const LOADS = 10;
/** Each is told when it begins or grows, and most once more when the status of the answer is known. */
const EVENTS_PER_MINUTE = 10_000;
/** Visitors that they come from: an event is of one visitor, and grows when the same one comes again. */
const VISITORS = 3_000;
/** Edges that move each second while the map is looked at; the stream tells of them four times a second. */
const MOVES_PER_SECOND = 40;
/** Work of the browser, and where its scripts spend their time. */
const TRACED = ["-*", "devtools.timeline", "v8.execute", "disabled-by-default-v8.cpu_profiler"];

interface Settings {
  readonly runtime: Runtime;
  readonly seconds: number;
  readonly only: ReadonlySet<string>;
  /** Folder for traces. */
  readonly trace: string | undefined;
}

/** A gateway, its crowd, and a browser that is logged in. */
interface Stage {
  readonly settings: Settings;
  readonly gateway: PageGateway;
  readonly crowd: Crowd;
  readonly browser: Browser;
}

/** A tab of its own with nothing in its caches, logged in. */
async function openTab({ browser, gateway }: Stage): Promise<{ context: BrowserContext; page: Page }> {
  const context = await browser.newContext({ viewport: { width: 1400, height: 900 } });
  context.setDefaultTimeout(60_000);
  const answer = await context.request.post(`${gateway.origin}/api/v1/session`, {
    headers: { "X-Netwall-Page": "1" },
    data: { token: gateway.token },
  });
  if (!answer.ok()) throw new Error(`Cannot log in: ${answer.status()} ${await answer.text()}`);
  const page = await context.newPage();
  await watch(page);
  return { context, page };
}

/** Does something again and again, so often a second, until the returned is called. */
function keepDoing(perSecond: number, act: (index: number) => Promise<void>): () => void {
  const startMs = performance.now();
  let done = 0;
  const timer = setInterval(() => {
    const due = (performance.now() - startMs) / 1_000 * perSecond;
    for (; done < due; done++) void act(done);
  }, 20);
  return () => clearInterval(timer);
}

/** (a) and the same of a large wall: from the navigation until the first line is drawn. */
async function measureFirstMap(stage: Stage, name: string, path: string, wanted = ""): Promise<void> {
  const loads: number[] = [];
  const processor: number[] = [];
  for (let load = 0; load < LOADS; load++) {
    const { context, page } = await openTab(stage);
    const meter = await TabMeter.of(stage.browser, page);
    await page.goto(stage.gateway.origin + path, { waitUntil: "commit" });
    loads.push(await firstLineMs(page));
    processor.push((await meter.processorMs()).main);
    await meter.close();
    await context.close();
  }
  row(name, `median ${ms(quantile(loads, 0.5))}, max ${ms(Math.max(...loads))}`, wanted);
  row("  processor time of the page until then", `median ${ms(quantile(processor, 0.5))}`);
}

/** (b): frames while somebody moves the map and a thousand edges are told of anew. */
async function measureLarge(stage: Stage, calls: readonly Call[]): Promise<void> {
  const { context, page } = await openTab(stage);
  await page.goto(stage.gateway.origin + OPEN_MAP);
  await firstLineMs(page);
  const lines = await page.evaluate(() => document.querySelectorAll("[data-line]").length);
  const meter = await TabMeter.of(stage.browser, page);
  const stop = keepDoing(MOVES_PER_SECOND, (index) => stage.crowd.run([calls[index * 7 % calls.length]!]));
  const gestures = [["at rest", rest], ["while it is moved", pan], ["while it is zoomed", zoom]] as const;
  for (const [name, gesture] of gestures) {
    await page.waitForTimeout(1_000);
    await takeSeen(page);
    const done = await traced(stage, page, `large ${name}`);
    const before = await meter.processorMs();
    await gesture(page);
    const after = await meter.processorMs();
    await done();
    await meter.sample();
    const { framesMs, tasksMs } = await takeSeen(page);
    row(`${lines} lines, 4 updates a second, ${name}: frames`, spreadText(framesMs), "p95 ≤ 50 ms");
    row("  pieces of work over 50 ms", `${tasksMs.length}, the longest ${ms(Math.max(0, ...tasksMs))}`);
    reportProcessor(before, after, GESTURE_MS);
  }
  stop();
  await reportMemory(meter, `${lines} lines`);
  await context.close();
}

async function measureSoak(stage: Stage, calls: readonly Call[]): Promise<void> {
  const { seconds } = stage.settings;
  const { context, page } = await openTab(stage);
  for (const { name, path, acts } of VIEWS) {
    await page.goto(stage.gateway.origin + path);
    await page.waitForTimeout(2_000);
    const meter = await TabMeter.of(stage.browser, page);
    await takeSeen(page);
    const before = await newestSeq(page);
    const done = await traced(stage, page, `soak ${name}`);
    const processor = await meter.processorMs();
    const visits = keepDoing(EVENTS_PER_MINUTE / 60, (index) => visit(stage.crowd, index));
    const moves = keepDoing(MOVES_PER_SECOND, (index) => stage.crowd.run([calls[index * 7 % calls.length]!]));
    const endMs = performance.now() + seconds * 1_000;
    for (let act = 0; performance.now() < endMs; act++) {
      await acts[act % acts.length]!(page);
      await meter.sample();
      await page.waitForTimeout(400);
    }
    const after = await meter.processorMs();
    await done();
    visits();
    moves();
    const { reactionsMs, framesMs, tasksMs } = await takeSeen(page);
    const events = await newestSeq(page) - before;
    row(`${name}: messages of events in ${seconds} s`, String(events));
    row(
      `${name}: from click or key to picture, ${reactionsMs.length} times`,
      spreadText(reactionsMs),
      "max ≤ 200 ms",
    );
    row(`${name}: frames`, spreadText(framesMs));
    row("  pieces of work over 50 ms", `${tasksMs.length}, the longest ${ms(Math.max(0, ...tasksMs))}`);
    reportProcessor(processor, after, seconds * 1_000);
    await reportMemory(meter, name);
  }
  await context.close();
}

/** A request that nobody knows: an event of its own for each visitor, and each workload has some. */
function visit(crowd: Crowd, index: number): Promise<void> {
  const visitor = index % VISITORS;
  const address = `198.18.${visitor >> 8}.${visitor & 255}`;
  return crowd.visit(visitor % crowd.size, `/hidden/${visitor % 7}/file-${index}.php?try=${index}`, address);
}

/** Grows with every event that is told. */
async function newestSeq(page: Page): Promise<number> {
  const answer = await page.request.get(new URL("/api/v1/events?limit=1", page.url()).href, {
    headers: { "X-Netwall-Page": "1" },
  });
  return (await answer.json() as { seq: number }).seq;
}

/** Time of processors is what the load of the machine changes least. */
function reportProcessor(before: ProcessorMs, after: ProcessorMs, spanMs: number): void {
  const share = (from: number, to: number): string => `${((to - from) / spanMs * 100).toFixed(0)} %`;
  const [main, all] = [share(before.main, after.main), share(before.all, after.all)];
  row("  of a processor: the main thread, the whole tab", `${main}, ${all}`);
}

async function reportMemory(meter: TabMeter, name: string): Promise<void> {
  await meter.sample();
  const { peak } = meter;
  const { heap, heapWithGarbage, resident, own, elements } = await meter.read();
  await meter.close();
  row(`${name}: memory of scripts`, `${mib(heap)}, with garbage ${mib(heapWithGarbage)}; ${elements} nodes`);
  row(`${name}: the tab alone`, `${mib(own)}, peak ${mib(peak.own)}`, "< 300 MiB");
  row(`${name}: the process, with code of the browser`, `${mib(resident)}, peak ${mib(peak.resident)}`);
}

/** Writes down all that the browser does with the page, for its own tools, until the returned is called. */
async function traced({ browser, settings }: Stage, page: Page, name: string): Promise<() => Promise<void>> {
  if (settings.trace === undefined) return () => Promise.resolve();
  const path = join(settings.trace, `${name.replaceAll(" ", "-")}.json`);
  await browser.startTracing(page, { path, categories: TRACED });
  return async () => void await browser.stopTracing();
}

/** Half of the edges are learned; the rest is unknown, and what one namespace calls is allowed by hand, another's blocked. */
async function makeEdges({ gateway, crowd }: Stage, calls: readonly Call[]): Promise<void> {
  await crowd.run(calls.filter((_, index) => index % 2 === 0));
  const rules = [
    { id: "by-hand", effect: "allow", source: { namespace: "team-001" } },
    { id: "no-calls", effect: "prevent", source: { namespace: "team-002" } },
  ];
  const policy = { apiVersion: "netwall/v1", kind: "Policy", spec: { defaultMode: "alert", rules } };
  const answer = await fetch(`${gateway.origin}/api/v1/policy`, {
    method: "PUT",
    headers: { Authorization: `Bearer ${gateway.token}`, "Content-Type": "application/json" },
    body: JSON.stringify(policy),
  });
  if (!answer.ok) throw new Error(`Cannot set the policy: ${await answer.text()}`);
  await crowd.run(calls);
}

async function run(stage: Stage): Promise<void> {
  const { crowd, settings: { only } } = stage;
  head(`The first map, ${LOADS} loads with empty caches`);
  await crowd.grow(SMALL_WORKLOADS);
  await crowd.run(crowd.calls(SMALL_EDGES));
  if (only.has("first")) {
    await measureFirstMap(stage, `${SMALL_WORKLOADS} workloads, ${SMALL_EDGES} edges`, "/", "≤ 1 s");
  }
  await crowd.grow(WORKLOADS);
  const calls = crowd.calls(EDGES);
  await makeEdges(stage, calls);
  if (only.has("first")) {
    const wall = `${WORKLOADS} workloads, ${EDGES} edges`;
    await measureFirstMap(stage, `${wall}, namespaces folded`, "/", "≤ 1 s");
    await measureFirstMap(stage, `${wall}, all open`, OPEN_MAP);
  }
  if (only.has("large")) {
    head(`The map of ${WORKLOADS} workloads and ${EDGES} edges`);
    await measureLarge(stage, calls);
  }
  if (only.has("soak")) {
    head(
      `${EVENTS_PER_MINUTE} requests a minute that are events, for ${stage.settings.seconds} s, and ${MOVES_PER_SECOND} calls a second`,
    );
    await measureSoak(stage, calls);
  }
}

function settingsOf(argv: readonly string[]): Settings {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      runtime: { type: "string", default: "bun" },
      seconds: { type: "string", default: "60" },
      only: { type: "string", default: "first,large,soak" },
      trace: { type: "string" },
    },
  });
  const runtime = PAGE_RUNTIMES.find((name) => name === values.runtime);
  if (runtime === undefined) {
    throw new Error(`Cannot measure on ${values.runtime}: use ${PAGE_RUNTIMES.join(", ")}`);
  }
  const only = new Set(values.only.split(","));
  return { runtime, seconds: Number(values.seconds), only, trace: values.trace };
}

async function main(): Promise<void> {
  const settings = settingsOf(process.argv.slice(2));
  if (CHROMIUM.path === undefined) throw new Error(`Cannot measure: ${CHROMIUM.reason}`);
  buildPage();
  ensureBuilt(settings.runtime);
  const processes = new ProcessGroup();
  const browser = await openBrowser();
  let crowd: Crowd | undefined;
  try {
    const gateway = await startPageGateway(processes, settings.runtime, {
      args: [
        ...["--domain", DOMAIN, "--trusted-proxy", "127.0.0.1/32", "--allow-egress", OUTSIDE_RULE],
        "--learning-promote=false",
      ],
    });
    crowd = new Crowd({ data: gateway.data, port: gateway.port });
    say(`Gateway on ${settings.runtime}, Chromium ${browser.version()}`);
    await run({ settings, gateway, crowd, browser });
  } finally {
    crowd?.close();
    await browser.close();
    await processes.dispose();
  }
}

await main();
