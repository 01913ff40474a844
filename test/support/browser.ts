/**
 * A real browser for tests of the page: Debian's Chromium, driven by Playwright.
 *
 * @module
 */
import process from "node:process";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";

export type { BrowserContext, Page };
import { ensurePackage } from "./services.ts";

/** The browser, or why there is none; a reason fits into the name of a skipped test. */
export const CHROMIUM = ensurePackage("chromium", "chromium");

/** Long enough for a machine that is busy with other tests. */
const STEP_MS_MAX = 20_000;

/** Starts it. As root it has no sandbox of its own: it opens nothing but pages of these tests. */
export function openBrowser(): Promise<Browser> {
  const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  return chromium.launch({ ...(CHROMIUM.path && { executablePath: CHROMIUM.path }), args });
}

/** What a page said that it should not have said. */
export interface WatchedPage {
  readonly page: Page;
  readonly context: BrowserContext;
  /** Errors, refused by the policy of the page or thrown; what was asked of other hosts; and dialogs. */
  readonly faults: string[];
}

/** Opens a tab of its own, and watches it: whatever it fails at, asks of others or pops up is written down. */
export async function openPage(
  browser: Browser,
  origin: string,
  options: Parameters<Browser["newContext"]>[0] = {},
): Promise<WatchedPage> {
  const context = await browser.newContext({ viewport: { width: 1400, height: 900 }, ...options });
  context.setDefaultTimeout(STEP_MS_MAX);
  const page = await context.newPage();
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
  page.on("console", (message) => {
    // Answers that are no success are told here as well: tests look at what the page makes of them.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) {
      faults.push(`console: ${message.text()}`);
    }
  });
  page.on("dialog", (dialog) => {
    // Whoever leaves a draft behind is asked once more: a test that goes on means it.
    if (dialog.type() === "beforeunload") return void dialog.accept();
    faults.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("request", (request) => {
    const { protocol, origin: asked } = new URL(request.url());
    if (asked !== origin && protocol !== "blob:" && protocol !== "data:") {
      faults.push(`asked: ${request.url()}`);
    }
  });
  return { page, context, faults };
}
