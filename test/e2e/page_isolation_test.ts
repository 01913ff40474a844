/**
 * The one who is woken at night: isolates a workload on the page, lets it back in, and finds the agent of an event.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Page } from "../support/browser.ts";
import { Operator, policyOf, startWorkload } from "../support/firewall_wall.ts";
import { useProcesses } from "../support/processes.ts";
import {
  IN_BROWSER,
  IS_WITHOUT_BROWSER,
  openLoggedIn,
  openView,
  PAGE_TEST_MS_MAX,
  startPageGateway,
  useBrowser,
  withoutFaults,
} from "./page_rig.ts";
import { intrude } from "./page_web.ts";
import { get, RawTarget, request } from "./raw.ts";

const processes = useProcesses();
const browser = useBrowser();
let target: RawTarget;

beforeAll(async () => {
  target = await RawTarget.start();
});
afterAll(() => target.close());

async function statusOf(port: number): Promise<number> {
  return (await request(port, get("/", ["Host: web", "Connection: close"]))).status;
}

/** Presses a button of the panel, reads the dialog, and applies it. */
async function applyBy(page: Page, name: string, words: RegExp): Promise<void> {
  await page.getByRole("button", { name }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText(words).waitFor();
  await dialog.getByRole("button", { name: "Apply" }).click();
  await dialog.waitFor({ state: "detached" });
}

describe(`isolation, ${IN_BROWSER}`, () => {
  test.skipIf(IS_WITHOUT_BROWSER)("holds from the press on, is lifted and taken back", async () => {
    const gateway = await startPageGateway(processes, "bun");
    const operator = new Operator(gateway);
    expect((await operator.ask("PUT", "policy", policyOf({ defaultMode: "alert" }))).status).toBe(200);
    const workload = { name: "web", args: ["--serve", `web=${target.url}`] };
    const agent = await startWorkload(processes, "bun", gateway, workload);
    await intrude(gateway, "first");
    const tab = await openLoggedIn(browser(), gateway, { at: "/?group=shop%2Fweb" });
    const { page, context } = tab;
    await withoutFaults([tab], async () => {
      await applyBy(page, "Isolate…", /^Everything of shop\/web is refused, of every replica/);
      expect(await statusOf(gateway.port)).toBe(403);
      await page.getByText("Whatever it calls, and whatever calls it, is refused.").waitFor();
      await applyBy(page, "Lift isolation…", /^From the next connection on, shop\/web is judged/);
      expect(await statusOf(gateway.port)).toBe(200);
      await page.getByText("Lift the isolation of shop/web: done").locator("..").getByRole("button", {
        name: "Undo",
      }).click();
      await page.getByText("Undone: Lift the isolation of shop/web").waitFor();
      expect(await statusOf(gateway.port)).toBe(403);
      const { rules } = (await operator.get("policy")).document.spec;
      expect(rules.map(({ id }: { id: string }) => id)).toEqual(["isolate-web-from", "isolate-web-to"]);

      const refused = await operator.event("the refusal", ({ effect }) => effect === "prevent");
      await page.goto(`${gateway.origin}/events?event=${encodeURIComponent(refused.id)}`);
      await page.getByRole("complementary").getByRole("link", { name: "web-1" }).click();
      await page.getByRole("button", { name: /web-1/, expanded: true }).waitFor();
      await page.getByRole("link", { name: "Token of web-1" }).click();
      await page.getByRole("rowheader", { name: "web-1" }).waitFor();
      await openView(page, "Links");
      agent.kill();
      await page.getByRole("row", { name: /web-1.*gone since \d\d:\d\d:\d\d/ }).waitFor();
    });
    await context.close();
  }, PAGE_TEST_MS_MAX);
});
