/**
 * What tests of the page in a real browser share: a browser, a gateway with its page, the way in, and the map.
 *
 * Elements are found by their roles and names, as a screen reader finds them.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { afterAll, beforeAll, expect } from "bun:test";
import type { Browser, Locator } from "playwright-core";
import { CHROMIUM, openBrowser, openPage, type Page, type WatchedPage } from "../support/browser.ts";
import { netwallCommand, type ProcessGroup, ROOT, type Runtime } from "../support/processes.ts";
import { type GatewaySetup, type RunningGateway, startGateway } from "./wall.ts";

/** A story in a browser, on a machine that is busy with others. */
export const PAGE_TEST_MS_MAX = 120_000;

/** What the gateway runs on. The browser does not care, the gateway's server might. */
export const PAGE_RUNTIMES: readonly Runtime[] = ["bun", "deno", "executable"];

/** For `test.skipIf`. */
export const IS_WITHOUT_BROWSER = CHROMIUM.path === undefined;

/** For the name of a `describe`. */
export const IN_BROWSER = CHROMIUM.path === undefined ? `in a browser (${CHROMIUM.reason})` : "in a browser";

/** Gives the browser of this test file: it is started before the first test, on a page that is built from its source. */
export function useBrowser(): () => Browser {
  let browser: Browser | undefined;
  beforeAll(async () => {
    if (IS_WITHOUT_BROWSER) return;
    buildPage();
    browser = await openBrowser();
  }, PAGE_TEST_MS_MAX);
  afterAll(() => browser?.close());
  return () => browser!;
}

/** As `npm run setup` does. @throws {Error} With what the bundler said. */
export function buildPage(): void {
  const script = join(ROOT, "test", "support", "setup.mjs");
  const { status, stderr } = spawnSync(process.execPath, [script], { cwd: ROOT, encoding: "utf8" });
  if (status !== 0) throw new Error(`Cannot build the page: ${stderr}`);
}

/** A gateway with its page. */
export interface PageGateway extends RunningGateway {
  /** `HOST:PORT` of the admin listener. */
  readonly admin: string;
  /** Of the page, such as `http://127.0.0.1:4711`. */
  readonly origin: string;
  /** Of the operator who owns the data directory. */
  readonly token: string;
}

/** Starts one. @param setup `args` are added to the listeners; by default the route `*` to `web`. */
export async function startPageGateway(
  processes: ProcessGroup,
  runtime: Runtime,
  setup: GatewaySetup & { readonly admin?: string } = {},
): Promise<PageGateway> {
  const { args = ["--route", "*=web"], admin: at = "127.0.0.1:0" } = setup;
  const gateway = await startGateway(processes, runtime, { ...setup, args: ["--admin", at, ...args] });
  const admin = String(gateway.addresses["admin"]);
  return { ...gateway, admin, origin: `http://${admin}`, token: adminToken(gateway.data) };
}

/** The token in a data directory. */
export function adminToken(data: string): string {
  return readFileSync(join(data, "admin-token"), "utf8").trim();
}

/** Where a page is, and who may come in. */
type Door = Pick<PageGateway, "admin" | "data">;

/** Asks for a link that works once, as `netwall-gateway page` does. */
export async function pageLink(
  processes: ProcessGroup,
  runtime: Runtime,
  { admin, data }: Door,
  role: "operator" | "viewer" = "operator",
): Promise<string> {
  const command = [...netwallCommand(runtime, "gateway"), "page", "--admin", admin, "--data", data];
  return (await processes.run([...command, "--role", role])).trim();
}

/** Opens the page at the login, with the token in the form, and waits until it is live. */
export async function openLoggedIn(
  browser: Browser,
  { origin, token }: Pick<PageGateway, "origin" | "token">,
  options: Parameters<Browser["newContext"]>[0] & { readonly at?: string } = {},
): Promise<WatchedPage> {
  const { at = "/", ...rest } = options;
  const watched = await openPage(browser, origin, rest);
  await watched.page.goto(origin + at);
  await logIn(watched.page, token);
  await untilLive(watched.page);
  return watched;
}

/**
 * Does something in some tabs, none of which may complain meanwhile. When it fails, their complaints are told too: they
 * are often why.
 */
export async function withoutFaults(tabs: readonly WatchedPage[], work: () => Promise<void>): Promise<void> {
  const faults = (): string[] => tabs.flatMap((tab) => tab.faults);
  try {
    await work();
  } catch (error) {
    if (faults().length === 0) throw error;
    const { message } = error as Error;
    throw new Error(`${message}\nThe page said:\n${faults().join("\n")}`, { cause: error });
  }
  expect(faults()).toEqual([]);
}

/** Fills in the form of the login. */
export async function logIn(page: Page, token: string): Promise<void> {
  await page.getByLabel("Admin token").fill(token);
  await page.getByRole("button", { name: "Log in" }).click();
}

/** Waits until the page is logged in, and follows the gateway. */
export async function untilLive(page: Page): Promise<void> {
  await page.getByText("● live", { exact: true }).waitFor({ state: "attached" });
}

/** Goes to a view by its tab. */
export async function openView(
  page: Page,
  name: "Map" | "Events" | "Traffic" | "Policy" | "Links",
): Promise<void> {
  await page.getByRole("navigation", { name: "Views" }).getByRole("link", { name }).click();
  await page.getByRole("heading", { level: 1, name, includeHidden: true }).waitFor({ state: "attached" });
}

/** A line of the map, by what screen readers are told of it, such as `a to b: b, learned, east-west`. */
export function mapLine(page: Page, name: RegExp | string): Locator {
  return page.getByRole("application", { name: "Map of the wall" }).locator("[data-line]").and(
    page.getByRole("button", { name }),
  );
}

/** A workload, a namespace or something outside on the map, by what stands on its card. */
export function mapNode(page: Page, name: RegExp | string): Locator {
  return page.getByRole("application", { name: "Map of the wall" }).locator("[data-node]").and(
    page.getByRole("button", { name }),
  );
}

/** The workloads of an image on the map. @param image Any when it is left out. */
export function workloadNode(page: Page, image = "\\S+"): Locator {
  return mapNode(page, new RegExp(`^${image} (?:learn|alert|prevent|mode)\\b`));
}

/** What one sees of a line. */
export interface Stroke {
  readonly colour: "green" | "amber" | "red" | "blue" | "grey";
  readonly isDashed: boolean;
}

/** How a line is drawn, as the browser computed it. */
export async function strokeOf(line: Locator): Promise<Stroke> {
  const { stroke, dash } = await line.locator(".line-way").evaluate((path) => {
    const style = getComputedStyle(path);
    return { stroke: style.stroke, dash: style.strokeDasharray };
  });
  return { colour: colourOf(stroke), isDashed: dash !== "none" };
}

/** The name that people have for `rgb(R, G, B)`. */
export function colourOf(rgb: string): Stroke["colour"] {
  const [red = 0, green = 0, blue = 0] = (rgb.match(/[\d.]+/g) ?? []).map((part) => Number(part) / 255);
  const [most, least] = [Math.max(red, green, blue), Math.min(red, green, blue)];
  const span = most - least;
  if (span < 0.12) return "grey";
  const third = most === red
    ? ((green - blue) / span + 6) % 6
    : most === green
    ? (blue - red) / span + 2
    : (red - green) / span + 4;
  const degrees = third * 60;
  if (degrees < 20 || degrees > 330) return "red";
  if (degrees < 70) return "amber";
  return degrees < 175 ? "green" : "blue";
}
