/**
 * `npm run screenshots`: the pictures of the README, taken from the sample wall of `npm start` in a real browser.
 *
 * It waits until the sample has learned what is normal and the first strangers came, which takes about a minute.
 *
 * @module
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { EdgeRecord } from "../../lib/policy/record.ts";
import { type BrowserContext, CHROMIUM, openBrowser, openPage, type Page } from "./browser.ts";
import { netwallCommand, ProcessGroup, ROOT } from "./processes.ts";

const FOLDER = join(ROOT, "examples", "page");
/** Learning takes half a minute; then strangers come now and then. */
const STRANGERS_MS_MAX = 120_000;
/** For plots to have something to show, and for what moved to come to rest. */
const REST_MS = 2_500;

const SHOTS = [
  { name: "map", address: "/" },
  { name: "events", address: "/events" },
  { name: "traffic", address: "/traffic" },
] as const;

const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** Asks the API as the page does. */
function ask<T>(page: Page, path: string): Promise<T> {
  return page.evaluate(async (asked) => {
    const response = await fetch(`/api/v1${asked}`, { headers: { "X-Netwall-Page": "1" } });
    return await response.json();
  }, path) as Promise<T>;
}

async function untilStrangers(page: Page): Promise<void> {
  const deadlineMs = Date.now() + STRANGERS_MS_MAX;
  for (;;) {
    const { items } = await ask<{ items: EdgeRecord[] }>(page, "/edges");
    const strange = items.filter(({ state }) => state === "unknown");
    if (strange.length >= 2) return;
    if (Date.now() > deadlineMs) throw new Error(`No strangers came, only ${items.length} edges`);
    await page.waitForTimeout(1_000);
  }
}

async function shoot(context: BrowserContext, origin: string, scheme: "light" | "dark"): Promise<void> {
  const page = await context.newPage();
  await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
  for (const { name, address } of SHOTS) {
    await page.goto(origin + address);
    await page.waitForTimeout(REST_MS);
    const path = join(FOLDER, `${name}-${scheme}.png`);
    await page.screenshot({ path });
    say(path);
  }
  await page.close();
}

async function main(): Promise<void> {
  if (CHROMIUM.path === undefined) throw new Error(`Cannot take pictures: ${CHROMIUM.reason}`);
  mkdirSync(FOLDER, { recursive: true });
  const processes = new ProcessGroup();
  const browser = await openBrowser();
  try {
    const listen = ["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    const gateway = processes.start([...netwallCommand("bun", "gateway"), "quickstart", ...listen]);
    const [link] = await gateway.waitFor("stdout", /http:\S+#code=\S+/);
    const { origin } = new URL(link!);
    const { page, context, faults } = await openPage(browser, origin, {
      viewport: { width: 1280, height: 760 },
    });
    await page.goto(link!);
    say("waiting for the sample to learn, and for strangers …");
    await untilStrangers(page);
    for (const scheme of ["light", "dark"] as const) await shoot(context, origin, scheme);
    if (faults.length > 0) throw new Error(faults.join("\n"));
  } finally {
    await browser.close();
    await processes.dispose();
  }
}

await main();
