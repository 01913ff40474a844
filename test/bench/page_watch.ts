/**
 * Measures a page from within: when its map was drawn, how long frames take, and how long after a click something new
 * is to be seen. And from without: what memory its process has.
 *
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";
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

/** Of the only page that is open in a browser. */
export class TabMeter {
  readonly #session: CDPSession;
  readonly #pid: number;
  #peakResident = 0;
  #peakOwn = 0;

  private constructor(session: CDPSession, pid: number) {
    this.#session = session;
    this.#pid = pid;
  }

  static async of(browser: Browser, page: Page): Promise<TabMeter> {
    const root = await browser.newBrowserCDPSession();
    const { processInfo } = await root.send("SystemInfo.getProcessInfo");
    await root.detach();
    const renderers = processInfo.filter(({ type }) => type === "renderer");
    // One more may wait for the next tab: it has done nothing yet.
    const busiest = renderers.toSorted((a, b) => b.cpuTime - a.cpuTime)[0];
    if (busiest === undefined) throw new Error("Cannot find the process of the page: no renderer runs");
    const session = await page.context().newCDPSession(page);
    await session.send("Performance.enable");
    return new TabMeter(session, busiest.id);
  }

  /** Looks whether it is more than ever. */
  sample(): void {
    this.#peakResident = Math.max(this.#peakResident, residentOf(this.#pid, "VmRSS"));
    this.#peakOwn = Math.max(this.#peakOwn, residentOf(this.#pid, "RssAnon"));
  }

  /** Since the last time, and forgets it. */
  takePeak(): { readonly resident: number; readonly own: number } {
    this.sample();
    const peak = { resident: this.#peakResident, own: this.#peakOwn };
    [this.#peakResident, this.#peakOwn] = [0, 0];
    return peak;
  }

  async read(): Promise<TabMemory> {
    this.sample();
    const heapWithGarbage = await this.#metric("JSHeapUsedSize");
    await this.#session.send("HeapProfiler.collectGarbage");
    return {
      heap: await this.#metric("JSHeapUsedSize"),
      heapWithGarbage,
      resident: residentOf(this.#pid, "VmRSS"),
      own: residentOf(this.#pid, "RssAnon"),
      elements: await this.#metric("Nodes"),
    };
  }

  /** Writes down what scripts do from now on, until the returned is called. @param file For the tools of a browser. */
  async profile(file: string): Promise<() => Promise<void>> {
    await this.#session.send("Profiler.enable");
    await this.#session.send("Profiler.start");
    return async () => {
      const { profile } = await this.#session.send("Profiler.stop");
      writeFileSync(file, JSON.stringify(profile));
    };
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
