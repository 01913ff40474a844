/**
 * The story of the demo, on the page: an operator watches a shop learn, sees an intruder, and forbids it; then allows
 * one host for one image, and takes it back.
 *
 * One tab shows the map, opened with the token; another one the events, opened by a link that works once.
 *
 * @module
 */
import type { Socket } from "node:net";
import { describe, expect, test } from "bun:test";
import type { Locator } from "playwright-core";
import { redis, type RedisClient } from "../../examples/shop/redis.ts";
import { Shop } from "../../examples/shop/shop.ts";
import { DEMO_SETTINGS } from "../../examples/shop/story.ts";
import { until } from "../../examples/shop/teller.ts";
import { type Part, visits } from "../../examples/shop/traffic.ts";
import { openPage, type Page, type WatchedPage } from "../support/browser.ts";
import { ProcessGroup, type Runtime } from "../support/processes.ts";
import {
  adminToken,
  IN_BROWSER,
  IS_WITHOUT_BROWSER,
  mapLine,
  openLoggedIn,
  openView,
  PAGE_RUNTIMES,
  pageLink,
  type Stroke,
  strokeOf,
  untilLive,
  useBrowser,
  withoutFaults,
  workloadNode,
} from "./page_rig.ts";
import { ensureBuilt } from "./wall.ts";

/** It takes half a minute on an idle machine. */
const STORY_MS_MAX = 180_000;
/** Of learning. */
const LEARN_MS_MAX = 60_000;
/** What is to be seen within a second on an idle machine. */
const SOON_MS = 8_000;
/** Who talks to what in the shop. */
const EDGES = 5;

const LEARNED: Stroke = { colour: "green", isDashed: false };
const BY_HAND: Stroke = { colour: "green", isDashed: true };
const UNKNOWN: Stroke = { colour: "amber", isDashed: true };
const BLOCKED: Stroke = { colour: "red", isDashed: false };

interface Stage {
  readonly shop: Shop;
  readonly map: Page;
  readonly events: Page;
}

const browser = useBrowser();

describe(`the story of the shop, ${IN_BROWSER}`, () => {
  for (const runtime of PAGE_RUNTIMES) {
    test.skipIf(IS_WITHOUT_BROWSER)(`with a gateway on ${runtime}`, () => withShop(runtime), STORY_MS_MAX);
  }
});

async function withShop(runtime: Runtime): Promise<void> {
  ensureBuilt(runtime);
  const processes = new ProcessGroup();
  let shop: Shop | undefined;
  const tabs: WatchedPage[] = [];
  try {
    shop = await Shop.start({ processes, runtime, gatewayArgs: DEMO_SETTINGS });
    const { admin, data } = shop.gateway;
    const origin = `http://${admin}`;
    tabs.push(await openLoggedIn(browser(), { origin, token: adminToken(data) }));
    tabs.push(await openPage(browser(), origin));
    const [map, events] = tabs.map(({ page }) => page) as [Page, Page];
    const stage = { shop, map, events };
    const link = await pageLink(processes, runtime, { admin, data });
    await withoutFaults(tabs, async () => {
      await events.goto(link);
      await untilLive(events);
      expect(events.url()).toBe(`${origin}/`);
      await openView(events, "Events");
      await learn(stage);
      await prevent(stage, await alert(stage));
      await allowOneHost(stage);
    });
  } finally {
    shop?.stop();
    await Promise.all(tabs.map(({ context }) => context.close()));
    await processes.dispose();
  }
}

/** What is normal is drawn as it comes, and turns into a model. */
async function learn({ shop, map }: Stage): Promise<void> {
  await map.getByText("No traffic yet.").waitFor();
  expect(await map.locator("[data-line]").count()).toBe(0);
  const traffic = visits(2026);
  await shop.traffic(traffic, 1);
  await mapLine(map, /^internet to shop\/front-end/).waitFor({ state: "attached", timeout: SOON_MS });

  const workloads = workloadNode(map);
  await until(
    "The models are stable",
    async () => {
      await shop.traffic(traffic, 50);
      return await workloads.evaluateAll((nodes) => nodes.map(({ textContent }) => textContent));
    },
    (found) => found.length === 4 && found.every((words) => /\balert\b.*model active/.test(words ?? "")),
    LEARN_MS_MAX,
  );
  const lines = await mapLine(map, /, learned, /).all();
  expect([lines.length, await map.locator("[data-line]").count()]).toEqual([EDGES, EDGES]);
  for (const line of lines) expect(await strokeOf(line)).toEqual(LEARNED);
}

/** Somebody has a shell in front-end. @returns The connection that the intruder keeps. */
async function alert({ shop, map, events }: Stage): Promise<RedisClient> {
  const live = redis(await opened(shop, "front-end", "user-db"));
  await Promise.all([
    rowOf(events, "alert", "shop/front-end", "shop/user-db").waitFor({ timeout: SOON_MS }),
    intruderLine(map, "unknown").waitFor({ state: "attached", timeout: SOON_MS }),
  ]);
  expect(await strokeOf(intruderLine(map, "unknown"))).toEqual(UNKNOWN);
  expect(Number(await live.ask("DBSIZE"))).toBeGreaterThan(0);
  return live;
}

/** The operator forbids it, where the intruder wanted to go. */
async function prevent({ shop, map, events }: Stage, live: RedisClient): Promise<void> {
  await setMode(map, "user-db", "prevent", "all");
  await live.closed;
  expect(await shop.tunnel("front-end", "user-db")).toMatchObject({ kind: "refused", status: 403 });
  await intruderLine(map, "blocked").waitFor({ state: "attached", timeout: SOON_MS });
  expect(await strokeOf(intruderLine(map, "blocked"))).toEqual(BLOCKED);
  await rowOf(events, "prevent", "shop/front-end", "shop/user-db").waitFor({ timeout: SOON_MS });
  expect([...await shop.traffic(visits(2027), 20)]).toEqual([]);
}

/** payment calls a host that nobody knows; it is forbidden, then allowed for this image alone, then forbidden again. */
async function allowOneHost({ shop, map, events }: Stage): Promise<void> {
  const unknown = shop.outside.unknown as `${string}:${number}`;
  const host = unknown.split(":")[0]!;
  const line = (state: string): Locator =>
    mapLine(map, new RegExp(`^shop/payment to ${host.replaceAll(".", "\\.")}\\b.*, ${state}, egress`));
  const turned = async (state: string, stroke: Stroke): Promise<void> => {
    await line(state).waitFor({ state: "attached", timeout: SOON_MS });
    expect(await strokeOf(line(state))).toEqual(stroke);
  };
  (await opened(shop, "payment", unknown)).destroy();
  await rowOf(events, "alert", "shop/payment", host).waitFor({ timeout: SOON_MS });
  await turned("unknown", UNKNOWN);

  await setMode(map, "payment", "prevent", "egress");
  await setMode(map, "front-end", "prevent", "egress");
  expect(await shop.tunnel("payment", unknown)).toMatchObject({ kind: "refused", status: 403 });
  await turned("blocked", BLOCKED);

  await rowOf(events, "prevent", "shop/payment", host).getByRole("button", { name: /^Event / }).click();
  await events.getByRole("complementary").getByRole("button", { name: "Allow…" }).click();
  const dialog = events.getByRole("dialog", { name: `Allow shop/payment → ${host}` });
  await dialog.getByText(/would be refused/).waitFor();
  const words = await dialog.innerText();
  for (const part of ["shop", "payment", host]) expect(words).toContain(part);
  await dialog.getByRole("button", { name: "Apply" }).click();
  await dialog.waitFor({ state: "detached" });
  (await opened(shop, "payment", unknown)).destroy();
  await turned("allowed by hand", BY_HAND);
  expect(await shop.tunnel("front-end", unknown)).toMatchObject({ kind: "refused", status: 403 });

  await events.getByRole("status").getByRole("button", { name: "Undo" }).click();
  await events.getByText(/^Undone: Allow shop\/payment/).waitFor();
  expect(await shop.tunnel("payment", unknown)).toMatchObject({ kind: "refused", status: 403 });
  await turned("blocked", BLOCKED);
}

/** Sets a mode as an operator does: on the map, in the panel of the workload, after a look at what it would do. */
async function setMode(page: Page, part: Part, mode: string, direction: string): Promise<void> {
  await workloadNode(page, part).click();
  const panel = page.getByRole("complementary", { name: part, exact: true });
  await panel.getByRole("combobox", { name: "Mode", exact: true }).selectOption(mode);
  await panel.getByRole("combobox", { name: "Direction", exact: true }).selectOption(direction);
  await panel.getByRole("button", { name: "Set the mode…" }).click();
  const dialog = page.getByRole("dialog", { name: `Set ${mode}: shop/${part}` });
  await dialog.getByText(/Of [\d,.k ]+ requests and connections, .* would be refused/).waitFor();
  await dialog.getByRole("button", { name: "Apply" }).click();
  await dialog.waitFor({ state: "detached" });
  await panel.getByText("set by hand").first().waitFor();
  await panel.getByRole("button", { name: "Close the panel" }).click();
  await panel.waitFor({ state: "detached" });
}

function intruderLine(page: Page, state: string): Locator {
  return mapLine(page, `shop/front-end to shop/user-db: user-db, ${state}, east-west`);
}

/** Of the table of events. */
function rowOf(page: Page, effect: string, source: string, destination: string): Locator {
  return page.getByRole("row").filter({ has: page.getByRole("cell", { name: effect }) })
    .filter({ has: page.getByRole("cell", { name: source }) })
    .filter({ has: page.getByRole("cell", { name: destination }) }).first();
}

/** A connection that is let through. */
async function opened(shop: Shop, from: Part, target: Part | `${string}:${number}`): Promise<Socket> {
  const tunnel = await shop.tunnel(from, target);
  if (tunnel.kind === "open") return tunnel.socket;
  throw new Error(`A connection that should work is refused with ${tunnel.status}: ${tunnel.reason}`);
}
