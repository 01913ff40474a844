/**
 * Measures a page from within: when its map was drawn, how long frames take, and how long after a click something new
 * is to be seen. And from without: what memory its process has.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import type { Browser, CDPSession, Page } from "playwright-core";

/** What is kept in the page, for `watchPage` alone. */
interface Watch {
  /** From the navigation until the first line of the map was on the screen; 0 until then. */
  firstLineMs: number;
  /** From each click or key until the next picture. */
  readonly reactionsMs: number[];
  /** Between two pictures. */
  readonly framesMs: number[];
  /** Pieces of work that kept the page from everything else, of 50 ms and more. */
  readonly tasksMs: number[];
}

declare global {
  var pageWatch: Watch;
}

/** Begins to watch, in every page that is opened from now on. */
export async function watch(page: Page): Promise<void> {
  await page.addInitScript(watchPage);
}

/** Runs in the page, and so can use nothing from without. */
function watchPage(): void {
  const watch: Watch = { firstLineMs: 0, reactionsMs: [], framesMs: [], tasksMs: [] };
  globalThis.pageWatch = watch;
  // What is posted in the last moment before a picture runs when it has been handed over.
  const afterPicture = (then: () => void): void => {
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = then;
      port2.postMessage(undefined);
    });
  };
  const look = (): void => {
    if (document.querySelector("[data-line]") === null) return void requestAnimationFrame(look);
    afterPicture(() => watch.firstLineMs = performance.now());
  };
  requestAnimationFrame(look);
  for (const type of ["click", "input", "keydown"]) {
    addEventListener(type, ({ timeStamp, isTrusted }) => {
      if (isTrusted) afterPicture(() => watch.reactionsMs.push(performance.now() - timeStamp));
    }, { capture: true });
  }
  let lastMs = performance.now();
  const frame = (): void => {
    const nowMs = performance.now();
    watch.framesMs.push(nowMs - lastMs);
    lastMs = nowMs;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) watch.tasksMs.push(duration);
  }).observe({ type: "longtask" });
}

/** What was seen since the last time it was asked for. */
export type Seen = Pick<Watch, "reactionsMs" | "framesMs" | "tasksMs">;

export async function takeSeen(page: Page): Promise<Seen> {
  return await page.evaluate(() => {
    const { reactionsMs, framesMs, tasksMs } = globalThis.pageWatch;
    return {
      reactionsMs: reactionsMs.splice(0),
      framesMs: framesMs.splice(0),
      tasksMs: tasksMs.splice(0),
    };
  });
}

/** Waits for the first line of the map. @returns From the navigation on, in ms. */
export async function firstLineMs(page: Page): Promise<number> {
  await page.waitForFunction(() => globalThis.pageWatch?.firstLineMs > 0);
  return await page.evaluate(() => globalThis.pageWatch.firstLineMs);
}

/** What the process of a page holds, in bytes. */
export interface TabMemory {
  /** Of scripts, without what is garbage. */
  readonly heap: number;
  /** The same as it was found. */
  readonly heapWithGarbage: number;
  /** All that is resident, with the browser's own code, which all tabs share. */
  readonly resident: number;
  /** What is the tab's alone, as the task manager of the browser shows it. */
  readonly own: number;
  readonly elements: number;
}

/** Of the main thread of a page, and of its process in all. */
export interface ProcessorMs {
  readonly main: number;
  readonly all: number;
}

/** Of the only page that is open in a browser: it is the largest of its renderers, as the next tab has one already. */
export class TabMeter {
  readonly #root: CDPSession;
  readonly #session: CDPSession;
  #peakResident = 0;
  #peakOwn = 0;

  private constructor(root: CDPSession, session: CDPSession) {
    this.#root = root;
    this.#session = session;
  }

  static async of(browser: Browser, page: Page): Promise<TabMeter> {
    const session = await page.context().newCDPSession(page);
    await session.send("Performance.enable");
    return new TabMeter(await browser.newBrowserCDPSession(), session);
  }

  /** Looks how large it is, and whether that is more than ever. */
  async sample(): Promise<{ readonly resident: number; readonly own: number }> {
    const { processInfo } = await this.#root.send("SystemInfo.getProcessInfo");
    const pids = processInfo.filter(({ type }) => type === "renderer").map(({ id }) => id);
    const resident = Math.max(...pids.map((pid) => residentOf(pid, "VmRSS")));
    const own = Math.max(...pids.map((pid) => residentOf(pid, "RssAnon")));
    this.#peakResident = Math.max(this.#peakResident, resident);
    this.#peakOwn = Math.max(this.#peakOwn, own);
    return { resident, own };
  }

  /** Since it was made. */
  get peak(): { readonly resident: number; readonly own: number } {
    return { resident: this.#peakResident, own: this.#peakOwn };
  }

  async read(): Promise<TabMemory> {
    const heapWithGarbage = await this.#metric("JSHeapUsedSize");
    await this.#session.send("HeapProfiler.collectGarbage");
    const heap = await this.#metric("JSHeapUsedSize");
    return { heap, heapWithGarbage, ...await this.sample(), elements: await this.#metric("Nodes") };
  }

  /** What the page has had of the processors so far. */
  async processorMs(): Promise<ProcessorMs> {
    const [main, all] = [await this.#metric("ThreadTime"), await this.#metric("ProcessTime")];
    return { main: main * 1_000, all: all * 1_000 };
  }

  async close(): Promise<void> {
    await this.#root.detach();
    await this.#session.detach();
  }

  async #metric(wanted: string): Promise<number> {
    const { metrics } = await this.#session.send("Performance.getMetrics");
    return metrics.find(({ name }) => name === wanted)?.value ?? NaN;
  }
}

/** Source: proc(5), /proc/pid/status. */
function residentOf(pid: number, field: "VmRSS" | "RssAnon"): number {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(match?.[1] ?? NaN) * 1024;
}
