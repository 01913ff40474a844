/**
 * Who is logged in, in all tabs of a browser, and what an address shows: sessions that end, viewers, other tabs, the
 * buttons of the browser, and links that are sent to colleagues.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Locator } from "playwright-core";
import { openPage, type Page } from "../support/browser.ts";
import { netwallCommand, useProcesses } from "../support/processes.ts";
import {
  IN_BROWSER,
  IS_WITHOUT_BROWSER,
  logIn,
  openLoggedIn,
  openView,
  PAGE_TEST_MS_MAX,
  pageLink,
  untilLive,
  useBrowser,
} from "./page_rig.ts";
import { intrude, rowsOf, startWeb, untilRows } from "./page_web.ts";
import { RawTarget } from "./raw.ts";
import { eventually } from "./wall.ts";

const browserTest = test.skipIf(IS_WITHOUT_BROWSER);
const processes = useProcesses();
const browser = useBrowser();
let target: RawTarget;

beforeAll(async () => {
  target = await RawTarget.start();
});
afterAll(() => target.close());

const form = (page: Page): Locator => page.getByLabel("Admin token");

describe(`sessions and addresses of the page, ${IN_BROWSER}`, () => {
  browserTest("ends with its token, and says why", async () => {
    const { gateway } = await startWeb(processes, target);
    const command = (args: readonly string[]): Promise<string> =>
      processes.run([...netwallCommand("bun", "gateway"), "token", ...args, "--data", gateway.data]);
    const token = (await command(["admin", "--name", "otto", "--role", "operator"])).trim();
    const { page, context, faults } = await openLoggedIn(browser(), { ...gateway, token });
    await page.getByText("otto (operator)").waitFor();
    await command(["revoke", token]);
    await page.getByText("Your session has ended: log in again").waitFor();
    await form(page).waitFor();
    // Nothing of what was shown is left.
    expect(await page.getByText("shop").count()).toBe(0);
    await logIn(page, token);
    await page.getByRole("alert").getByText("Send the admin token").waitFor();
    await logIn(page, gateway.token);
    await untilLive(page);
    expect(faults).toEqual([]);
    await context.close();
  }, PAGE_TEST_MS_MAX);

  browserTest("shows a viewer everything, and lets it change nothing", async () => {
    const { gateway, operator } = await startWeb(processes, target);
    await intrude(gateway, "seen");
    const event = await operator.event("it", ({ message }) => message.includes("/seen"));
    const link = await pageLink(processes, "bun", gateway, "viewer");
    const { page, context, faults } = await openPage(browser(), gateway.origin);
    await page.goto(link);
    await page.getByText("admin (viewer)").waitFor();
    await untilLive(page);
    const changing = [
      [`/events?event=${event.id}`, ["Allow…", "Make a rule of this…"]],
      ["/?group=shop%2Fweb", ["Set the mode…", "Learn anew…"]],
      ["/links", ["Add an agent"]],
    ] as const;
    for (const [path, names] of changing) {
      await page.goto(gateway.origin + path);
      for (const name of names) {
        const button = page.getByRole("button", { name, exact: true }).first();
        await button.waitFor();
        expect([path, name, await button.isDisabled()]).toEqual([path, name, true]);
        expect(await button.getAttribute("title")).toMatch(/operator/);
      }
    }
    for (const tab of ["rules", "modes", "networks", "limits", "yaml", "versions"]) {
      await page.goto(`${gateway.origin}/policy?tab=${tab}`);
      await page.getByText("You are a viewer").waitFor();
      const able = page.locator("main#view button:not([disabled])").filter({ hasText: /apply|add|…$/i });
      expect([tab, (await able.allTextContents()).filter((text) => !/^(Look…|\s*)$/.test(text))]).toEqual([
        tab,
        [],
      ]);
    }
    // And buttons are not what holds it back.
    const asked = await page.evaluate(async () => {
      const headers = { "X-Netwall-Page": "1", "Content-Type": "application/json" };
      const ask = async (method: string, path: string, body: unknown): Promise<number> =>
        (await fetch(`/api/v1/${path}`, { method, headers, body: JSON.stringify(body) })).status;
      return [
        await ask("PUT", "groups/mode", { group: "shop/web", mode: "prevent" }),
        await ask("POST", "tokens", { name: "evil" }),
        await ask("POST", "session/codes", { role: "operator" }),
        await ask("POST", "session/codes", {}),
      ];
    });
    expect(asked).toEqual([403, 403, 403, 201]);
    await page.goto(`${gateway.origin}/`);
    await page.getByRole("button", { name: "Log out" }).click();
    await form(page).waitFor();
    expect(await context.cookies(`${gateway.origin}/api/v1/`)).toEqual([]);
    await page.goto(link);
    await page.getByText("This link was used before, or is too old").waitFor();
    expect(page.url()).toBe(`${gateway.origin}/`);
    // One that holds logs in, in a tab that is open as well.
    await page.goto(await pageLink(processes, "bun", gateway, "viewer"));
    await page.getByText("admin (viewer)").waitFor();
    expect(page.url()).toBe(`${gateway.origin}/`);
    expect(faults).toEqual([]);
    await context.close();
  }, PAGE_TEST_MS_MAX);

  browserTest("shows in a second tab what the first one changes, and who is logged in", async () => {
    const { gateway, operator } = await startWeb(processes, target);
    const { page, context, faults } = await openLoggedIn(browser(), gateway, { at: "/?group=shop%2Fweb" });
    const second = await context.newPage();
    await second.goto(`${gateway.origin}/policy?tab=modes`);
    await untilLive(second);
    await second.getByText("Version 2 is in force").waitFor();
    await page.getByRole("combobox", { name: /^Mode/ }).selectOption("prevent");
    await page.getByRole("button", { name: "Set the mode…" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Apply" }).click();
    await page.getByText("Set prevent: shop/web: done.").waitFor();
    await second.getByText("Version 3 is in force").waitFor();
    expect((await operator.get("groups")).items[0].modes["north-south"].mode).toBe("prevent");
    // A tab that logs in as somebody else does so for all of them: they share one cookie.
    await second.goto(await pageLink(processes, "bun", gateway, "viewer"));
    await second.getByText("admin (viewer)").waitFor();
    await page.getByText("admin (viewer)").waitFor();
    await second.getByRole("button", { name: "Log out" }).click();
    await form(page).waitFor();
    await page.getByText("Your session has ended: log in again").waitFor();
    expect(faults).toEqual([]);
    await context.close();
  }, PAGE_TEST_MS_MAX);

  browserTest(
    "keeps what is shown in the address: for the buttons of the browser, and for colleagues",
    async () => {
      const { gateway, operator } = await startWeb(processes, target);
      await intrude(gateway, "wanted");
      await intrude(gateway, "other");
      const event = await operator.event("it", ({ message }) => message.includes("/wanted"));
      const { page, context, faults } = await openLoggedIn(browser(), gateway);
      await openView(page, "Events");
      await untilRows(page, ["wanted", "other"]);
      await page.getByRole("searchbox").first().fill("/wanted");
      await untilRows(page, ["wanted"]);
      await eventually(() => rowsOf(page, ["wanted", "other"]), (counts) => `${counts}` === "1,0");
      await page.getByRole("button", { name: /^Event .*\/wanted/ }).click();
      await eventually(() => page.url(), (url) => url.includes(event.id));
      const address = page.url();
      expect(new URL(address).searchParams.get("q")).toBe("/wanted");
      await openView(page, "Links");
      await page.goBack();
      expect(page.url()).toBe(address);
      await eventually(() => rowsOf(page, ["wanted", "other"]), (counts) => `${counts}` === "1,0");
      await page.goBack();
      await eventually(() => page.url(), (url) => !url.includes(event.id));
      await page.goForward();
      await page.goForward();
      await page.getByRole("heading", { level: 1, name: "Links", includeHidden: true }).waitFor({
        state: "attached",
      });
      const colleague = await openLoggedIn(browser(), gateway, { at: address.slice(gateway.origin.length) });
      expect(colleague.page.url()).toBe(address);
      await eventually(() => rowsOf(colleague.page, ["wanted", "other"]), (counts) => `${counts}` === "1,0");
      expect(await colleague.page.getByRole("searchbox").first().inputValue()).toBe("/wanted");
      await colleague.page.getByRole("complementary").getByText("/wanted").first().waitFor();
      expect([...faults, ...colleague.faults]).toEqual([]);
      await Promise.all([context.close(), colleague.context.close()]);
    },
    PAGE_TEST_MS_MAX,
  );
});
