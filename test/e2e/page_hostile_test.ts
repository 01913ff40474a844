/**
 * Attacks on who looks at the page, by everything that strangers can name: paths, fields, methods, hosts, images,
 * claims of agents, comments, and addresses of the page itself. All of it must stay text.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Browser } from "playwright-core";
import type { Page, WatchedPage } from "../support/browser.ts";
import { useProcesses } from "../support/processes.ts";
import { HOSTILE, type HostileWall, MARKUP, startHostileWall } from "./page_hostile_rig.ts";
import { IN_BROWSER, IS_WITHOUT_BROWSER, openLoggedIn, PAGE_TEST_MS_MAX, useBrowser } from "./page_rig.ts";

/** Each shows every other address: which of them does not matter, but all of them take their time. */
const SIZES = [
  { name: "1400 px", viewport: { width: 1400, height: 900 }, rest: 0 },
  { name: "390 px", viewport: { width: 390, height: 844 }, rest: 1 },
] as const;

const POLICY_TABS = ["rules", "modes", "networks", "limits", "yaml", "versions", "audit", "bans"];

/** Dialogs of one place: those of further rows are no others. */
const DIALOGS_MAX = 4;

const browserTest = test.skipIf(IS_WITHOUT_BROWSER);
const processes = useProcesses();
const browser = useBrowser();
let wall: HostileWall;
let places: Places;

beforeAll(async () => {
  if (IS_WITHOUT_BROWSER) return;
  wall = await startHostileWall(processes, "deno");
  places = await placesOf(wall);
}, PAGE_TEST_MS_MAX);
afterAll(() => wall?.close());

interface Places {
  readonly views: readonly string[];
  readonly details: readonly string[];
}

/** Every view and every detail of what there is. */
async function placesOf({ operator }: HostileWall): Promise<Places> {
  const told = await operator.event(
    "an unknown host",
    ({ destination }) => destination?.host === "constructor",
  );
  expect(told.verdict).toBe("audited");
  const events = await operator.events();
  const ids = async (path: string): Promise<string[]> =>
    (await operator.get(path)).items.map(({ id }: { id: string }) => id);
  const links: { agent: string }[] = (await operator.get("links")).links;
  const at = (path: string, values: readonly (string | number)[]): string[] =>
    values.map((value) => `${path}=${encodeURIComponent(value)}`);
  const requests = (await ids("requests?limit=200")).filter((_, index) => index % 3 === 0);
  return {
    views: [
      ...["/", "/?show=list", "/?fold=all", "/?fold=none", "/events", "/traffic", "/links"],
      ...["/links?tab=tokens", "/links?add=agent"],
      ...at("/policy?tab", POLICY_TABS),
    ],
    details: [
      ...at("/?edge", await ids("edges")),
      ...at("/?group", await ids("groups")),
      ...at("/events?event", events.map(({ id }) => id)),
      ...at("/traffic?request", requests),
      ...at("/traffic?service", ["web", "constructor", ""]),
      ...at("/policy?tab=versions&version", [1, 2, 3, HOSTILE.length]),
      ...at("/links?open", links.map(({ agent }) => agent)),
    ],
  };
}

/** Addresses that somebody may send to an operator. */
const SENT = HOSTILE.flatMap((value) => {
  const text = encodeURIComponent(value);
  return [
    `/?q=${text}&edge=${text}&focus=${text}&open=${text}&directions=${text}&sort=${text}`,
    `/?group=${text}&show=${text}`,
    `/events?q=${text}&event=${text}&type=${text}&host=${text}&since=${text}`,
    `/traffic?service=${text}&window=${text}&request=${text}&status=${text}`,
    `/policy?tab=${text}&rule=${text}&q=${text}`,
    `/policy?tab=versions&version=${text}&${text}=${text}`,
    `/links?q=${text}&open=${text}&wall=${text}`,
    `/links?tab=tokens&q=${text}&state=${text}`,
  ];
});

/** Goes somewhere as the buttons of the browser do: the page is not loaded anew. */
async function goTo(page: Page, place: string): Promise<void> {
  await page.evaluate(async (address) => {
    history.pushState(null, "", address);
    dispatchEvent(new PopStateEvent("popstate"));
    const frame = (): Promise<number> => new Promise((resolve) => requestAnimationFrame(resolve));
    await frame();
    const deadlineMs = performance.now() + 10_000;
    while (document.querySelector("[aria-busy=true]") !== null && performance.now() < deadlineMs) {
      await frame();
    }
    await frame();
  }, place);
}

/** What is not as it should be in the document, as it stands. */
function look(): { faults: string[]; isMarkupSeen: boolean } {
  const faults: string[] = [];
  const made = "img,iframe,frame,object,embed,base,video,audio,foreignObject,animate,set,svg a,svg use,style";
  for (const element of document.querySelectorAll(made)) {
    faults.push(`made: ${element.outerHTML.slice(0, 200)}`);
  }
  const scripts = document.scripts.length;
  if (scripts !== 1) faults.push(`${scripts} scripts`);
  const unseen = /[\u0080-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/;
  for (const element of document.querySelectorAll("*")) {
    for (const { name, value } of element.attributes) {
      if (/^on/i.test(name)) faults.push(`attribute: ${name}=${value.slice(0, 100)}`);
      const isLink = /^(?:xlink:)?(?:href|src|srcset|action|formaction|data|ping|poster|background)$/i.test(
        name,
      );
      if (isLink && !/^(?:\/(?![/\\])|#|blob:)/.test(value)) {
        faults.push(`link: ${name}=${value.slice(0, 100)}`);
      }
      // What is edited or chosen is the text itself, whatever is in it; it is not what one sees.
      const isEdited = /^(?:INPUT|OPTION)$/.test(element.tagName) && name === "value";
      if (unseen.test(value) && !isEdited) {
        faults.push(`unseen: ${element.tagName} ${name}=${value.slice(0, 100)}`);
      }
    }
  }
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const { data, parentElement } = texts.currentNode as Text;
    if (unseen.test(data) && parentElement?.tagName !== "TEXTAREA") {
      faults.push(`unseen: ${parentElement?.tagName} ${parentElement?.className} "${data.slice(0, 100)}"`);
    }
  }
  const frames = document.querySelectorAll("html, body, header.top, main#view, aside, dialog");
  for (const { scrollWidth, clientWidth, tagName } of frames) {
    if (scrollWidth > clientWidth) faults.push(`width: ${tagName} has ${scrollWidth} of ${clientWidth} px`);
  }
  if (document.querySelector("main#view")?.childElementCount === 1) faults.push("the view is empty");
  const polluted = [...Object.keys(Object.prototype), ...Object.keys(Array.prototype)];
  if (polluted.length > 0) faults.push(`polluted: ${polluted}`);
  const isMarkupSeen = /<img[ /+]src=x[ /+]onerror=alert\(1\)>/.test(document.body.textContent ?? "");
  return { faults, isMarkupSeen };
}

/** @returns What is wrong, once each, with the first place that has it; and how many places show the markup as text. */
async function walk(page: Page, addresses: readonly string[]): Promise<{ faults: string[]; shown: number }> {
  const faults = new Map<string, string>();
  let shown = 0;
  for (const address of addresses) {
    await goTo(page, address);
    const seen = await page.evaluate(look);
    if (seen.isMarkupSeen) shown++;
    for (const fault of seen.faults) {
      if (!faults.has(fault)) faults.set(fault, address.slice(0, 120));
    }
  }
  return { faults: [...faults].map(([fault, address]) => `${fault} at ${address}`), shown };
}

/** Presses every button that opens a dialog, and looks at it. @returns As `walk`, and how many there were. */
async function openDialogs(page: Page, place: string): Promise<{ faults: string[]; opened: string[] }> {
  await goTo(page, place);
  // Some places are a dialog themselves, with buttons that open another one.
  const before = await page.locator("dialog[open]").count();
  const within = before === 0 ? "main#view, aside" : "dialog[open]";
  const buttons = page.locator(within).locator("button:not([disabled])")
    .filter({ hasText: /^.{0,60}…\s*$/ });
  const found = new Set<string>();
  const opened: string[] = [];
  const count = Math.min(await buttons.count(), DIALOGS_MAX);
  for (let index = 0; index < count; index++) {
    const button = buttons.nth(index);
    const name = (await button.textContent() ?? "").trim();
    await button.click();
    const dialog = page.locator("dialog[open]").nth(before);
    await dialog.waitFor();
    await dialog.locator("[aria-busy=true]").waitFor({ state: "detached" });
    opened.push(name);
    for (const fault of (await page.evaluate(look)).faults) found.add(`${fault} in ${name} at ${place}`);
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
  }
  return { faults: [...found], opened };
}

async function open(from: Browser, viewport: (typeof SIZES)[number]["viewport"]): Promise<WatchedPage> {
  const watched = await openLoggedIn(from, wall.gateway, { viewport });
  await watched.page.evaluate(() => {
    document.addEventListener("securitypolicyviolation", ({ effectiveDirective, blockedURI }) => {
      // deno-lint-ignore no-console -- of the page: it is how the watcher is told
      console.error(`policy: ${effectiveDirective} ${blockedURI}`);
    });
  });
  return watched;
}

describe(`what strangers name, ${IN_BROWSER}`, () => {
  browserTest("reaches the page in every place that it can", () => {
    const [passed = 0, refused = 0] = [wall.statuses.get(200), wall.statuses.get(400)];
    expect(passed).toBeGreaterThan(4 * HOSTILE.length);
    // One goes to the service of an agent that refuses whatever comes.
    expect([passed + refused, wall.statuses.get(502)]).toEqual([7 * HOSTILE.length - 1, 1]);
    expect(places.details.length).toBeGreaterThan(150);
  });

  for (const { name, viewport, rest } of SIZES) {
    browserTest(`stays text in every view and detail, at ${name}`, async () => {
      const { page, context, faults } = await open(browser(), viewport);
      const chosen = [...places.views, ...places.details.filter((_, index) => index % 2 === rest)];
      const walked = await walk(page, chosen);
      expect(walked.faults).toEqual([]);
      expect(walked.shown).toBeGreaterThan(chosen.length / 4);
      expect(faults).toEqual([]);
      await context.close();
    }, PAGE_TEST_MS_MAX);

    browserTest(`stays text in addresses of the page, at ${name}`, async () => {
      const { page, context, faults } = await open(browser(), viewport);
      const walked = await walk(page, SENT.filter((_, index) => (index + (index >> 3)) % 2 === rest));
      expect(walked.faults).toEqual([]);
      expect(faults).toEqual([]);
      expect(SENT).toHaveLength(8 * HOSTILE.length);
      await context.close();
    }, PAGE_TEST_MS_MAX);
  }

  browserTest("stays text in the dialogs that it opens", async () => {
    const { page, context, faults } = await open(browser(), SIZES[0].viewport);
    const of = (start: string): string[] => places.details.filter((place) => place.startsWith(start));
    const some = [
      ...of("/events?event").filter((_, index) => index % 20 === 0),
      ...[...of("/?edge"), ...of("/?group")].filter((_, index) => index % 10 === 0),
      ...of("/traffic?request").slice(0, 2),
      ...["/policy", "/policy?tab=modes", "/policy?tab=limits", "/policy?tab=networks", "/policy?tab=bans"],
      ...["/links?tab=tokens", "/traffic"],
    ];
    const opened = new Set<string>();
    for (const place of some) {
      const dialogs = await openDialogs(page, place);
      expect(dialogs.faults).toEqual([]);
      for (const name of dialogs.opened) opened.add(name);
    }
    expect(faults).toEqual([]);
    // Of events, edges, groups, requests, rules, and tokens.
    expect(opened.size).toBeGreaterThanOrEqual(8);
    await context.close();
  }, PAGE_TEST_MS_MAX);
});

browserTest("such a page would be noticed", async () => {
  const { page, context } = await open(browser(), SIZES[0].viewport);
  await page.evaluate((markup) => {
    const wide = document.createElement("p");
    wide.textContent = "wide";
    wide.style.width = "5000px";
    const link = document.createElement("a");
    link.setAttribute("href", "javascript:alert(1)");
    document.querySelector("main#view")!.append(
      wide,
      link,
      document.createElement("img"),
      "a\u202eb",
      markup,
    );
  }, MARKUP);
  const { faults, isMarkupSeen } = await page.evaluate(look);
  expect([faults.map((fault) => fault.split(":")[0]).toSorted(), isMarkupSeen]).toEqual([
    ["link", "made", "unseen", "width"],
    true,
  ]);
  await context.close();
}, PAGE_TEST_MS_MAX);
