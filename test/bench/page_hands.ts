/**
 * What hands do with the page: move its map, and click and type in its views, by mouse and keys as the browser has them.
 *
 * @module
 */
import type { Page } from "playwright-core";

/** Every line, none merged. */
export const OPEN_MAP = "/?show=map&fold=none";
export const GESTURE_MS = 5_000;

export const rest = (page: Page): Promise<void> => page.waitForTimeout(GESTURE_MS);

/** Drags the map in circles. */
export async function pan(page: Page): Promise<void> {
  // Beside the drawing, so that nothing is taken hold of but the map.
  await page.mouse.move(700, 500);
  await page.mouse.down();
  await forAWhile((turn) => page.mouse.move(700 + 300 * Math.sin(turn), 500 + 200 * Math.cos(turn)));
  await page.mouse.up();
}

/** In and out with the wheel. */
export async function zoom(page: Page): Promise<void> {
  await page.mouse.move(700, 500);
  await forAWhile((turn) => page.mouse.wheel(0, -60 * Math.sign(Math.sin(turn))));
}

/** @param act Sixty times a second at most; a whole turn takes some two seconds. */
async function forAWhile(act: (turn: number) => Promise<void>): Promise<void> {
  const startMs = performance.now();
  for (let nowMs = startMs; nowMs < startMs + GESTURE_MS; nowMs = performance.now()) {
    await act((nowMs - startMs) / 320);
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, nowMs + 16 - performance.now())));
  }
}

/** What a user does in each view while events pour in. */
export const VIEWS: readonly {
  name: string;
  path: string;
  acts: readonly ((page: Page) => Promise<void>)[];
}[] = [
  {
    name: "map",
    path: OPEN_MAP,
    acts: [
      (page) => tap(page, '[data-node^="group:"]'),
      (page) => page.keyboard.press("Escape"),
      (page) => tap(page, 'nav a[href^="/events"]'),
      (page) => tap(page, 'nav a[href="/"]'),
    ],
  },
  {
    name: "events",
    path: "/events",
    acts: [
      (page) => tap(page, ".event-open", 3),
      (page) => tap(page, ".event-open", 5),
      (page) => page.keyboard.press("Escape"),
      (page) => type(page, "team-00"),
      (page) => type(page, ""),
      (page) => tap(page, 'nav a[href="/"]'),
      (page) => tap(page, 'nav a[href^="/events"]'),
    ],
  },
  {
    name: "traffic",
    path: "/traffic?window=5m",
    acts: [
      (page) => tap(page, "table .opener", 2),
      (page) => tap(page, "table .opener", 2),
      (page) => tap(page, 'nav a[href^="/events"]'),
      (page) => tap(page, 'nav a[href^="/traffic"]'),
    ],
  },
];

/** Clicks with the mouse on what is there, if it is: rows come and go. */
async function tap(page: Page, selector: string, index = 0): Promise<void> {
  const at = await page.evaluate(([wanted, from]) => {
    const found = [...document.querySelectorAll(wanted)].slice(from).map((one) =>
      one.getBoundingClientRect()
    );
    const seen = found.find(({ x, y, width }) =>
      width > 0 && x > 0 && y > 60 && x < innerWidth && y < innerHeight
    ) ??
      found[0];
    return seen && { x: seen.x + seen.width / 2, y: seen.y + seen.height / 2 };
  }, [selector, index] as const);
  if (at !== undefined) await page.mouse.click(at.x, at.y);
}

/** Types into the search field, letter by letter, over what stands there. */
async function type(page: Page, text: string): Promise<void> {
  await page.evaluate(() => document.querySelector<HTMLInputElement>('input[type="search"]')?.select());
  if (text === "") await page.keyboard.press("Delete");
  else await page.keyboard.type(text, { delay: 60 });
}
