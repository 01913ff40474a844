/**
 * The page without a mouse: in, through every view, to an edge and a workload on the map, a mode set and taken back, and
 * out again. The focus is always to be seen, and comes back from every panel and dialog to where it was.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import type { Locator } from "playwright-core";
import { Shop } from "../../examples/shop/shop.ts";
import { eachOperation } from "../../examples/shop/traffic.ts";
import { openPage, type Page } from "../support/browser.ts";
import { useProcesses } from "../support/processes.ts";
import {
  adminToken,
  IN_BROWSER,
  IS_WITHOUT_BROWSER,
  mapLine,
  PAGE_TEST_MS_MAX,
  untilLive,
  useBrowser,
  withoutFaults,
  workloadNode,
} from "./page_rig.ts";
import { eventually } from "./wall.ts";

/** Nothing is farther away than this. */
const PRESSES_MAX = 80;

const browser = useBrowser();
const processes = useProcesses();

describe(`the page without a mouse, ${IN_BROWSER}`, () => {
  test.skipIf(IS_WITHOUT_BROWSER)("does all that it does with one", async () => {
    const shop = await Shop.start({ processes, runtime: "deno" });
    try {
      for (const visit of eachOperation(5)) await shop.visit(visit);
      const { admin, data } = shop.gateway;
      const tab = await openPage(browser(), `http://${admin}`);
      await withoutFaults([tab], () => wholeWay(tab.page, `http://${admin}/`, adminToken(data)));
      await tab.context.close();
    } finally {
      shop.stop();
    }
  }, PAGE_TEST_MS_MAX);
});

async function wholeWay(page: Page, address: string, token: string): Promise<void> {
  await page.goto(address);
  await focused(page.getByLabel("Admin token"));
  await page.keyboard.type(token);
  await page.keyboard.press("Enter");
  await untilLive(page);
  await views(page);
  await workload(page);
  await edge(page);
  await events(page);
  await policy(page);
  await reach(page, page.getByRole("button", { name: "Log out" }));
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Log in" }).waitFor();
  await reach(page, page.getByLabel("Admin token"));
}

/** Every view by its tab; and past the tabs by the first thing that Tab leads to. */
async function views(page: Page): Promise<void> {
  await reach(page, page.getByRole("link", { name: "Skip to the view" }), 1);
  await page.keyboard.press("Enter");
  await focused(page.getByRole("main"));
  for (const name of ["Events", "Traffic", "Policy", "Links", "Map"]) {
    const tab = page.getByRole("navigation", { name: "Views" }).getByRole("link", { name });
    await reach(page, tab);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name }).waitFor({ state: "attached" });
    await focused(tab);
  }
}

/** Sets the mode of a workload that arrows lead to, and takes it back. */
async function workload(page: Page): Promise<void> {
  await reach(page, page.getByRole("application", { name: "Map of the wall" }));
  await reach(page, page.locator("[data-node][tabindex='0']"));
  const node = workloadNode(page, "user-db");
  await reach(page, node, 6, "ArrowRight");
  await page.keyboard.press("Enter");
  const panel = page.getByRole("complementary", { name: "user-db" });
  await within(panel);
  await reach(page, panel.getByRole("combobox", { name: "Mode", exact: true }));
  await page.keyboard.type("prevent");
  const set = panel.getByRole("button", { name: "Set the mode…" });
  await reach(page, set);
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog", { name: "Set prevent: shop/user-db" });
  await within(dialog);
  await dialog.getByText(/would be refused/).waitFor();
  await reach(page, dialog.getByRole("button", { name: "Apply" }));
  await page.keyboard.press("Enter");
  await dialog.waitFor({ state: "detached" });
  await focused(set);
  await panel.getByText("set by hand").first().waitFor();
  await reach(page, page.getByRole("button", { name: "Undo" }));
  await page.keyboard.press("Enter");
  await page.getByText("Undone: Set prevent: shop/user-db").waitFor();
  await panel.getByText("set by hand").first().waitFor({ state: "detached" });
  expect(await isLost(page)).toBe(false);
  await page.keyboard.press("Escape");
  await panel.waitFor({ state: "detached" });
  await focused(node);
}

/** Opens one of the lines of a workload. */
async function edge(page: Page): Promise<void> {
  await reach(page, workloadNode(page, "front-end"), 6, "ArrowLeft");
  await page.keyboard.press("Shift+Tab");
  const line = mapLine(page, /^shop\/front-end to shop\/payment/);
  await reach(page, line, 6, "ArrowDown");
  await page.keyboard.press("Enter");
  const panel = page.getByRole("complementary", { name: /^shop\/front-end → / });
  await within(panel);
  await reach(page, panel.getByRole("button", { name: "Block…" }));
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog", { name: /^Block / });
  await within(dialog);
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  await focused(panel.getByRole("button", { name: "Block…" }));
  await page.keyboard.press("Escape");
  await panel.waitFor({ state: "detached" });
  await focused(line);
}

/** Goes through the rows, and opens one. */
async function events(page: Page): Promise<void> {
  await reach(page, page.getByRole("link", { name: "Events" }), PRESSES_MAX, "Shift+Tab");
  await page.keyboard.press("Enter");
  const row = page.getByRole("row").getByRole("button", { name: /^Event / }).first();
  await row.waitFor();
  await page.keyboard.press("j");
  await focused(row);
  await page.keyboard.press("Enter");
  const panel = page.getByRole("complementary");
  await within(panel);
  await page.keyboard.press("Escape");
  await panel.waitFor({ state: "detached" });
  await focused(row);
}

/** A form in a dialog, and back. */
async function policy(page: Page): Promise<void> {
  await reach(page, page.getByRole("link", { name: "Policy" }), PRESSES_MAX, "Shift+Tab");
  await page.keyboard.press("Enter");
  const make = page.getByRole("button", { name: "New rule" });
  await make.waitFor();
  await reach(page, make);
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog", { name: "New rule" });
  await within(dialog);
  for (let stops = 0; stops < 30; stops++) {
    await page.keyboard.press("Tab");
    expect(await seen(page)).toBe("");
  }
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  await focused(make);
}

const isFocused = (target: Locator): Promise<boolean> =>
  target.evaluate((element) => element === document.activeElement);

/** Presses a key until the focus is there; at each stop on the way it is to be seen. */
async function reach(page: Page, target: Locator, pressesMax = PRESSES_MAX, key = "Tab"): Promise<void> {
  await target.waitFor({ state: "attached" });
  for (let presses = 0; presses < pressesMax; presses++) {
    if (await isFocused(target)) return;
    await page.keyboard.press(key);
    expect(await seen(page)).toBe("");
  }
  await focused(target);
}

/** The focus has come there, or does within a moment. */
async function focused(target: Locator): Promise<void> {
  await eventually(
    () =>
      target.evaluate((
        element,
      ) => [element === document.activeElement, document.activeElement?.outerHTML.slice(0, 300)]),
    ([is]) => is === true,
    10_000,
  );
}

async function within(target: Locator): Promise<void> {
  await target.waitFor();
  await eventually(
    () => target.evaluate((element) => element.contains(document.activeElement)),
    (is) => is,
    10_000,
  );
}

const isLost = (page: Page): Promise<boolean> =>
  page.evaluate(() => document.activeElement === document.body);

/** What is wrong with how the focus is shown; empty when one sees where it is. */
function seen(page: Page): Promise<string> {
  return page.evaluate(() => {
    const focus = document.activeElement;
    // Between the last thing of the page and the first one is the frame of the browser.
    if (focus === null || focus === document.body) return "";
    // A part of a field that the browser itself has made, and marks: the button of a calendar.
    if (!focus.matches(":focus")) return "";
    const shown = focus.outerHTML.slice(0, 200);
    const { top, left, bottom, right, width, height } = focus.getBoundingClientRect();
    if (bottom < 0 || right < 0 || top > innerHeight || left > innerWidth || width * height === 0) {
      return `out of sight: ${shown}`;
    }
    const probe = document.createElement("i");
    probe.hidden = true;
    probe.style.color = "var(--focus)";
    document.body.append(probe);
    const colour = getComputedStyle(probe).color;
    probe.remove();
    const isOutlined = (element: Element): boolean => {
      const { outlineStyle, outlineWidth, stroke } = getComputedStyle(element);
      return (outlineStyle !== "none" && parseFloat(outlineWidth) >= 1) || stroke === colour;
    };
    const around = [
      focus,
      ...focus.parentElement === null ? [] : [focus.parentElement],
      ...focus.querySelectorAll("*"),
    ];
    return around.some(isOutlined) ? "" : `not to be seen: ${shown}`;
  });
}
