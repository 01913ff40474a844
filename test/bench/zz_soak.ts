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
import { loadavg } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { ensureBuilt } from "../e2e/wall.ts";
import { buildPage, PAGE_RUNTIMES, type PageGateway, startPageGateway } from "../e2e/page_rig.ts";
import { CHROMIUM, openBrowser } from "../support/browser.ts";
import { ProcessGroup, type Runtime } from "../support/processes.ts";
import { type Call, Crowd, DOMAIN, NAMESPACE_SIZE, OUTSIDE_RULE } from "./page_crowd.ts";
import { firstLineMs, TabMeter, takeSeen, watch } from "./page_watch.ts";

const WORKLOADS = 200;
const EDGES = 1_000;
const SMALL_WORKLOADS = NAMESPACE_SIZE;
const SMALL_EDGES = 30;
const LOADS = 10;
/** Events of a minute. */
const EVENTS_PER_MINUTE = 10_000;
/** Visitors that they come from: an event is of one visitor, and grows when the same one comes again. */
const VISITORS = 3_000;
/** Edges that move each second while the map is looked at; the stream tells of them four times a second. */
const MOVES_PER_SECOND = Number(process.env.MOVES ?? 40);
const GESTURE_MS = 5_000;
const MIB = 1 << 20;
/** Work of the browser, and where its scripts spend their time. */
const TRACED = ["-*", "devtools.timeline", "v8.execute", "disabled-by-default-v8.cpu_profiler"];

/** Every line, none merged. */
const OPEN_MAP = "/?show=map&fold=none";

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

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** A line of the table. `wanted` is the most that it may be. */
function row(name: string, value: string, wanted = ""): void {
  const load = loadavg()[0]!.toFixed(1);
  say(`| ${name.padEnd(58)} | ${value.padEnd(34)} | ${wanted.padEnd(14)} | ${load.padStart(5)} |`);
}

function head(title: string): void {
  say(`\n${title}\n`);
  say(`| ${"".padEnd(58)} | ${"measured".padEnd(34)} | ${"wanted".padEnd(14)} |  load |`);
  say(`| ${"-".repeat(58)} | ${"-".repeat(34)} | ${"-".repeat(14)} | ----: |`);
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN;
}

const ms = (value: number): string => `${value.toFixed(value < 10 ? 1 : 0)} ms`;
const mib = (bytes: number): string => `${(bytes / MIB).toFixed(0)} MiB`;

function spreadText(values: readonly number[]): string {
  const [p50, p95, most] = [quantile(values, 0.5), quantile(values, 0.95), Math.max(...values)];
  return `p50 ${ms(p50)}, p95 ${ms(p95)}, max ${ms(most)}`;
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
function keepDoing(perSecond: number, act: (index: number) => Promise<void>): () => Promise<number> {
  const startMs = performance.now();
  let done = 0;
  const timer = setInterval(() => {
    const due = (performance.now() - startMs) / 1_000 * perSecond;
    for (; done < due; done++) void act(done);
  }, 20);
  return () => {
    clearInterval(timer);
    return Promise.resolve(done);
  };
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

const VARIANTS: Record<string, string> = {
  base: "",
  never: ".map-drawing{will-change:auto !important}",
  always: ".map-drawing{will-change:transform !important}",
  hide: ".is-moving .line-flash{visibility:hidden}",
  noflash: ".line-flash{display:none}",
};
async function measureLarge(stage: Stage, calls: readonly Call[]): Promise<void> {
  for (const variant of (process.env.VARIANTS ?? "base").split(",")) {
    const { context, page } = await openTab(stage);
    await page.goto(stage.gateway.origin + OPEN_MAP);
    await firstLineMs(page);
    await page.evaluate((css) => {
      const s = new CSSStyleSheet();
      s.replaceSync(css);
      document.adoptedStyleSheets = [s];
    }, VARIANTS[variant]!);
    const meter = await TabMeter.of(stage.browser, page);
    const stop = keepDoing(MOVES_PER_SECOND, (index) => stage.crowd.run([calls[index * 7 % calls.length]!]));
    for (const [name, gesture] of [["rest", rest], ["pan", pan], ["zoom", zoom]] as const) {
      await page.waitForTimeout(1_500);
      await takeSeen(page);
      const before = await meter.processorMs();
      const t = performance.now();
      await gesture(page);
      const span = performance.now() - t;
      const { main, all } = await meter.processorMs();
      const { framesMs } = await takeSeen(page);
      const mem = await meter.sample();
      row(
        `${variant} ${name}`,
        `${framesMs.length} frames, ` + spreadText(framesMs),
        `cpu ${((main - before.main) / span * 100).toFixed(0)} ${
          ((all - before.all) / span * 100).toFixed(0)
        } own ${mib(mem.own)} ` + await page.evaluate(() =>
          document.querySelector<SVGElement>(".map-drawing")!.style.transform
        ),
      );
    }
    await stop();
    await context.close();
  }
}

const rest = (page: Page): Promise<void> => page.waitForTimeout(GESTURE_MS);

/** Drags the map in circles. */
async function pan(page: Page): Promise<void> {
  // Beside the drawing, so that nothing is taken hold of but the map.
  await page.mouse.move(700, 500);
  await page.mouse.down();
  await forAWhile((turn) => page.mouse.move(700 + 300 * Math.sin(turn), 500 + 200 * Math.cos(turn)));
  await page.mouse.up();
}

/** In and out with the wheel. */
async function zoom(page: Page): Promise<void> {
  await page.mouse.move(700, 500);
  await forAWhile((turn) => page.mouse.wheel(0, -60 * Math.sign(Math.sin(turn))));
}

/** @param act Sixty times a second at most; a whole turn takes some two seconds. */
async function forAWhile(act: (turn: number) => Promise<void>): Promise<void> {
  const startMs = performance.now();
  for (let nowMs = startMs; nowMs < startMs + GESTURE_MS; nowMs = performance.now()) {
    await act((nowMs - startMs) / 320);
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, nowMs + 16 - performance.now())));
  }
}

/** (c): what a user does in each view while events pour in. */
const VIEWS: readonly { name: string; path: string; acts: readonly ((page: Page) => Promise<void>)[] }[] = [
  {
    name: "map",
    path: OPEN_MAP,
    acts: [
      (page) => tap(page, '[data-node^="group:"]'),
      (page) => page.keyboard.press("Escape"),
      (page) => tap(page, 'nav a[href^="/events"]'),
      (page) => tap(page, 'nav a[href="/"]'),
    ],
  },
  {
    name: "events",
    path: "/events",
    acts: [
      (page) => tap(page, ".event-open", 3),
      (page) => tap(page, ".event-open", 5),
      (page) => page.keyboard.press("Escape"),
      (page) => type(page, "team-00"),
      (page) => type(page, ""),
      (page) => tap(page, 'nav a[href="/"]'),
      (page) => tap(page, 'nav a[href^="/events"]'),
    ],
  },
  {
    name: "traffic",
    path: "/traffic?window=5m",
    acts: [
      (page) => tap(page, "table .opener", 2),
      (page) => tap(page, "table .opener", 2),
      (page) => tap(page, 'nav a[href^="/events"]'),
      (page) => tap(page, 'nav a[href^="/traffic"]'),
    ],
  },
];

/** Clicks with the mouse on what is there, if it is: rows come and go. */
async function tap(page: Page, selector: string, index = 0): Promise<void> {
  const at = await page.evaluate(([wanted, from]) => {
    const found = [...document.querySelectorAll(wanted)].slice(from).map((one) =>
      one.getBoundingClientRect()
    );
    const seen = found.find(({ x, y, width }) =>
      width > 0 && x > 0 && y > 60 && x < innerWidth && y < innerHeight
    ) ??
      found[0];
    return seen && { x: seen.x + seen.width / 2, y: seen.y + seen.height / 2 };
  }, [selector, index] as const);
  if (at !== undefined) await page.mouse.click(at.x, at.y);
}

/** Types into the search field, letter by letter, over what stands there. */
async function type(page: Page, text: string): Promise<void> {
  await page.evaluate(() => document.querySelector<HTMLInputElement>('input[type="search"]')?.select());
  if (text === "") await page.keyboard.press("Delete");
  else await page.keyboard.type(text, { delay: 60 });
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
    await done();
    await Promise.all([visits(), moves()]);
    const { reactionsMs, framesMs, tasksMs } = await takeSeen(page);
    const events = await newestSeq(page) - before;
    row(`${name}: events in ${seconds} s`, String(events));
    row(
      `${name}: from click or key to picture, ${reactionsMs.length} times`,
      spreadText(reactionsMs),
      "max ≤ 200 ms",
    );
    row(`${name}: frames`, spreadText(framesMs));
    row("  pieces of work over 50 ms", `${tasksMs.length}, the longest ${ms(Math.max(0, ...tasksMs))}`);
    await reportProcessor(meter, processor, seconds * 1_000);
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

/** Time of processors is what a load of the machine changes least. */
async function reportProcessor(
  meter: TabMeter,
  before: { readonly main: number; readonly all: number },
  spanMs: number,
): Promise<void> {
  const { main, all } = await meter.processorMs();
  const share = (value: number): string => `${(value / spanMs * 100).toFixed(0)} %`;
  row(
    "  of a processor: the main thread, the whole tab",
    `${share(main - before.main)}, ${share(all - before.all)}`,
  );
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
      `${EVENTS_PER_MINUTE} events a minute for ${stage.settings.seconds} s, and ${MOVES_PER_SECOND} calls a second`,
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
