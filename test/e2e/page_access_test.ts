/**
 * Whether everybody can use the page: axe finds nothing on any view, panel or dialog, in light and dark, on a screen
 * and on a phone, full and empty.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { AxeResults, RunOptions } from "axe-core";
import { Shop } from "../../examples/shop/shop.ts";
import { openPage, type Page, type WatchedPage } from "../support/browser.ts";
import { useProcesses } from "../support/processes.ts";
import {
  adminToken,
  IN_BROWSER,
  IS_WITHOUT_BROWSER,
  logIn,
  openLoggedIn,
  PAGE_TEST_MS_MAX,
  startPageGateway,
  useBrowser,
} from "./page_rig.ts";
import { fill, type Filled, filledScenes, type Scene, show, VIEW_SCENES } from "./page_scenes.ts";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
/** Of what depends on the colours alone. */
const COLOURS: RunOptions = {
  resultTypes: ["violations"],
  runOnly: { type: "rule", values: ["color-contrast", "link-in-text-block"] },
};
const EVERYTHING: RunOptions = { runOnly: { type: "tag", values: TAGS }, resultTypes: ["violations"] };

/** On a machine that is busy; an idle one takes a third of a minute. */
const WALK_MS_MAX = 240_000;

/** A screen, and a phone. */
const WIDTHS = [1400, 390] as const;

const browser = useBrowser();
const processes = useProcesses();

/** What axe finds on what is shown, in light and dark: a line for each. */
async function look(page: Page, where: string): Promise<string[]> {
  const found: string[] = [];
  for (const [colorScheme, options] of [["dark", COLOURS], ["light", EVERYTHING]] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.locator(`html[data-theme="${colorScheme}"]`).waitFor({ state: "attached" });
    const { violations } = await page.evaluate(
      (wanted) => (globalThis as unknown as { axe: Axe }).axe.run(wanted),
      options,
    );
    found.push(
      ...violations.flatMap(({ id, nodes }) =>
        nodes.slice(0, 4).map(({ target, any, all, none }) => {
          const why = [...any, ...all, ...none][0]?.message ?? "";
          return `${where}, ${colorScheme}: ${id} at ${target.join(" ")}: ${why}`;
        })
      ),
    );
  }
  const isTooWide = await page.evaluate(() =>
    document.documentElement.scrollWidth > document.documentElement.clientWidth
  );
  if (isTooWide) found.push(`${where}: the page scrolls sideways`);
  return found;
}

interface Axe {
  run(options: RunOptions): Promise<AxeResults>;
}

/** Walks through scenes at one width. */
async function walk(
  tab: WatchedPage,
  origin: string,
  scenes: readonly Scene[],
  width: number,
): Promise<string[]> {
  const found: string[] = [];
  for (const scene of scenes) {
    const where = `${scene.name}, ${width}`;
    try {
      await show(tab.page, origin, scene);
      // By the protocol of the debugger: the page itself lets no script in.
      await tab.page.evaluate(AXE);
      found.push(...await look(tab.page, where));
    } catch (error) {
      throw new Error(`Cannot look at ${where}: ${(error as Error).message}`, { cause: error });
    }
  }
  return [...found, ...tab.faults];
}

describe(`axe finds nothing, ${IN_BROWSER}`, () => {
  let shop: Shop | undefined;
  let filled: Filled;
  beforeAll(async () => {
    if (IS_WITHOUT_BROWSER) return;
    shop = await Shop.start({ processes, runtime: "bun" });
    filled = await fill(shop);
  }, PAGE_TEST_MS_MAX);
  afterAll(() => shop?.stop());

  for (const width of WIDTHS) {
    test.skipIf(IS_WITHOUT_BROWSER)(`with a shop, ${width} pixels wide`, async () => {
      const { admin, data } = shop!.gateway;
      const origin = `http://${admin}`;
      const tab = await openLoggedIn(browser(), { origin, token: adminToken(data) }, {
        viewport: { width, height: 900 },
      });
      const scenes = [...VIEW_SCENES, ...filledScenes(filled)];
      expect(scenes.length).toBeGreaterThan(40);
      expect(await walk(tab, origin, scenes, width)).toEqual([]);
      await tab.context.close();
    }, WALK_MS_MAX);
  }

  test.skipIf(IS_WITHOUT_BROWSER)("with nothing but the gateway, and at its door", async () => {
    const { origin, token } = await startPageGateway(processes, "bun");
    const found: string[] = [];
    for (const width of WIDTHS) {
      const tab = await openPage(browser(), origin, { viewport: { width, height: 900 } });
      found.push(
        ...await walk(tab, origin, [
          { name: "login", at: "/" },
          { name: "a link that is too old", at: "/#code=used" },
          { name: "a wrong token", at: "/events", open: (page) => logIn(page, "wrong") },
        ], width),
      );
      await logIn(tab.page, token);
      await tab.page.getByRole("heading", { name: "Events" }).waitFor({ state: "attached" });
      found.push(...await walk(tab, origin, VIEW_SCENES.filter(({ open }) => open === undefined), width));
      await tab.context.close();
    }
    expect(found).toEqual([]);
  }, WALK_MS_MAX);
});
