/**
 * Attacks on a browser that is signed in to the page, by pages of other origins: of another port of the same host, to
 * which the browser sends the same cookies, and of another host.
 *
 * Nothing may change by them and nothing may be read; and what they would like to steal is nowhere to be found.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { openPage, type Page } from "../support/browser.ts";
import { Operator } from "../support/firewall_wall.ts";
import { RUNTIMES, useProcesses } from "../support/processes.ts";
import {
  IN_BROWSER,
  IS_WITHOUT_BROWSER,
  openLoggedIn,
  openView,
  PAGE_TEST_MS_MAX,
  type PageGateway,
  pageLink,
  startPageGateway,
  untilLive,
  useBrowser,
} from "./page_rig.ts";

const browserTest = test.skipIf(IS_WITHOUT_BROWSER);
const processes = useProcesses();
const browser = useBrowser();

/** A web server of somebody else: an empty page, which the tests fill with scripts. */
let foreign: Server;
let foreignPort = 0;
const referers: string[] = [];

beforeAll(async () => {
  foreign = createServer((incoming, outgoing) => {
    referers.push(incoming.headers.referer ?? "");
    outgoing.setHeader("content-type", "text/html");
    outgoing.end("<!doctype html><title>A page of somebody else</title>");
  });
  await new Promise<void>((resolve) => foreign.listen(0, "127.0.0.1", resolve));
  foreignPort = (foreign.address() as AddressInfo).port;
});
afterAll(() => {
  foreign.close();
  foreign.closeAllConnections();
});

/** All that a page of another origin can try. @returns What it could read, which must be nothing. */
async function attack(origin: string): Promise<string[]> {
  const read: string[] = [];
  const api = `${origin}/api/v1`;
  const page = { "X-Netwall-Page": "1" };
  const json = { "Content-Type": "application/json", ...page };
  const mode = JSON.stringify({ group: "default/web", mode: "prevent" });
  const attempts: [string, RequestInit][] = [
    [`${api}/status`, {}],
    [`${api}/status`, { headers: page }],
    [`${api}/status`, { mode: "no-cors", headers: page }],
    [`${api}/events.csv`, { mode: "no-cors" }],
    [`${api}/session`, { method: "DELETE", headers: page }],
    [`${api}/session`, { method: "POST", body: JSON.stringify({ code: "x" }), headers: json }],
    [`${api}/session`, { method: "POST", body: JSON.stringify({ code: "x" }), mode: "no-cors" }],
    [`${api}/session/codes`, { method: "POST", headers: page }],
    [`${api}/session/codes`, { method: "POST", mode: "no-cors" }],
    [`${api}/groups/mode`, { method: "PUT", body: mode, headers: json }],
    [`${api}/groups/mode`, { method: "POST", body: mode, mode: "no-cors" }],
    [`${api}/policy/versions/1/rollback`, { method: "POST", mode: "no-cors" }],
    [`${api}/policy/versions/1/rollback`, { method: "POST", headers: page }],
    [`${api}/policy/staged`, { method: "DELETE", headers: page }],
    [`${api}/tokens`, { method: "POST", body: '{"name":"evil"}', mode: "no-cors" }],
    [`${api}/tokens`, { method: "POST", body: '{"name":"evil"}', headers: json }],
    [`${origin}/`, {}],
    [`${origin}/metrics`, {}],
  ];
  for (const [url, init] of attempts) {
    try {
      const answer = await fetch(url, { ...init, credentials: "include" });
      // An opaque answer has the status 0 and no text.
      const text = await answer.text();
      if (answer.status !== 0 || text !== "") read.push(`${url}: ${answer.status} ${text.slice(0, 80)}`);
    } catch {
      // Refused, as it must be.
    }
  }
  const loaded = (element: HTMLElement & { src?: string }, url: string): Promise<boolean> =>
    new Promise((resolve) => {
      element.onload = (): void => resolve(true);
      element.onerror = (): void => resolve(false);
      element.src = url;
      document.body.append(element);
    });
  for (const url of [`${api}/status`, `${api}/events.csv`, `${origin}/assets/icon.svg`]) {
    if (await loaded(document.createElement("img"), url)) read.push(`image: ${url}`);
  }
  for (const url of [`${api}/status`, `${api}/openapi.json`]) {
    if (await loaded(document.createElement("script"), url)) read.push(`script: ${url}`);
  }
  const source = new EventSource(`${api}/stream`, { withCredentials: true });
  await new Promise<void>((resolve) => {
    source.onerror = (): void => resolve();
    source.onopen = (): void => {
      read.push("stream");
      resolve();
    };
  });
  source.close();
  const frame = document.createElement("iframe");
  await loaded(frame, `${origin}/`);
  try {
    read.push(`frame: ${frame.contentWindow!.document.body.textContent}`);
  } catch {
    // Not of this origin: at best the error page of the browser.
  }
  if (frame.contentWindow!.length !== 0) read.push("frames in the frame");
  return [...read, `${attempts.length} tries`];
}

/** Sends a form, which takes the tab along. */
async function sendForm(page: Page, action: string, type: string, body: string): Promise<void> {
  const answered = page.waitForResponse((response) => response.url() === action);
  await page.evaluate(([target, encoding, text]) => {
    const form = document.createElement("form");
    Object.assign(form, { method: "POST", action: target, enctype: encoding });
    const field = document.createElement("input");
    // With text/plain a field can spell JSON: its name begins it, its value ends it.
    const at = text!.indexOf(":") + 1;
    [field.name, field.value] = [text!.slice(0, at), text!.slice(at)];
    form.append(field);
    document.body.append(form);
    form.submit();
  }, [action, type, body]);
  expect((await answered).status()).toBeGreaterThanOrEqual(400);
  await page.waitForURL(action);
}

/** What an attacker would change. */
async function stateOf(operator: Operator): Promise<unknown> {
  const audit = (await operator.get("audit?limit=1000")).items.map(({ action }: { action: string }) =>
    action
  );
  const { items } = await operator.get("tokens");
  return { audit, tokens: items.length, version: (await operator.get("policy")).version };
}

for (const runtime of RUNTIMES) {
  describe(`the page of a gateway on ${runtime}, ${IN_BROWSER}`, () => {
    let gateway: PageGateway;
    let operator: Operator;
    beforeAll(async () => {
      if (IS_WITHOUT_BROWSER) return;
      gateway = await startPageGateway(processes, runtime);
      operator = new Operator(gateway);
    }, PAGE_TEST_MS_MAX);

    for (const host of ["127.0.0.1", "localhost"]) {
      browserTest(`gives nothing to a page of another port of ${host}`, async () => {
        const { page, context } = await openLoggedIn(browser(), gateway);
        const before = await stateOf(operator);
        const evil = await context.newPage();
        await evil.goto(`http://${host}:${foreignPort}/`);
        expect(await evil.evaluate(attack, gateway.origin)).toEqual(["18 tries"]);
        const forms: [string, string, string][] = [
          ["/api/v1/session", "text/plain", '{"code":"x"}'],
          ["/api/v1/session/codes", "application/x-www-form-urlencoded", "role:operator"],
          ["/api/v1/policy/versions/1/rollback", "multipart/form-data", "a:b"],
          ["/api/v1/tokens", "text/plain", '{"name":"evil"}'],
        ];
        for (const [path, type, body] of forms) {
          await evil.goto(`http://${host}:${foreignPort}/`);
          await sendForm(evil, gateway.origin + path, type, body);
        }
        expect(await stateOf(operator)).toEqual(before);
        // And the session is as good as before.
        await openView(page, "Policy");
        await untilLive(page);
        await page.getByText("Version 1 is in force").waitFor();
        await context.close();
      }, PAGE_TEST_MS_MAX);
    }

    browserTest("has no window that another page can hold on to, and sends it to no one", async () => {
      const { context } = await openLoggedIn(browser(), gateway);
      const evil = await context.newPage();
      await evil.goto(`http://127.0.0.1:${foreignPort}/`);
      const opened = context.waitForEvent("page");
      await evil.evaluate((url) => {
        Object.assign(globalThis, { held: open(url) });
      }, gateway.origin);
      const victim = await opened;
      await untilLive(victim);
      expect(await victim.evaluate(() => opener === null)).toBe(true);
      expect(await evil.evaluate(() => (globalThis as unknown as { held: Window }).held.closed)).toBe(true);
      referers.length = 0;
      await victim.evaluate((port) => {
        location.href = `http://127.0.0.1:${port}/`;
      }, foreignPort);
      await victim.waitForURL(`http://127.0.0.1:${foreignPort}/`);
      expect(referers.length).toBeGreaterThan(0);
      expect(referers.filter((referer) => referer.includes(gateway.admin))).toEqual([]);
      await context.close();
    }, PAGE_TEST_MS_MAX);

    browserTest(
      "holds no secret: not in its files, its address, its scripts' reach or its store",
      async () => {
        const from = browser();
        const link = await pageLink(processes, runtime, gateway);
        const code = new URL(link).hash.slice("#code=".length);
        expect(code).toHaveLength(32);
        const { page, context, faults } = await openPage(from, gateway.origin);
        const seen: string[] = [];
        page.on("framenavigated", () => seen.push(page.url()));
        const bodies: Promise<string>[] = [];
        page.on("response", (response) => {
          if (!response.url().includes("/stream")) bodies.push(response.text().catch(() => ""));
        });
        await page.goto(link);
        await untilLive(page);
        expect([page.url(), seen.at(-1)]).toEqual([`${gateway.origin}/`, `${gateway.origin}/`]);
        // The button goes back to where nothing of the code is left.
        await openView(page, "Events");
        await page.goBack();
        expect(page.url()).toBe(`${gateway.origin}/`);
        for (const name of ["Events", "Traffic", "Policy", "Links"] as const) await openView(page, name);
        const [cookie] = await context.cookies(`${gateway.origin}/api/v1/status`);
        expect(cookie).toMatchObject({
          name: "netwall_session",
          httpOnly: true,
          sameSite: "Strict",
          path: "/api/v1",
        });
        const kept = await page.evaluate(async () => ({
          cookie: document.cookie,
          local: Object.keys(localStorage),
          session: Object.keys(sessionStorage),
          databases: (await indexedDB.databases()).length,
          caches: (await caches.keys()).length,
          workers: (await navigator.serviceWorker.getRegistrations()).length,
          html: document.documentElement.outerHTML,
        }));
        expect({ ...kept, html: "" }).toEqual(
          { cookie: "", local: [], session: [], databases: 0, caches: 0, workers: 0, html: "" },
        );
        const secrets = [gateway.token, code, cookie!.value];
        const texts = [kept.html, ...await Promise.all(bodies)];
        expect(texts.length).toBeGreaterThan(8);
        for (const secret of secrets) {
          expect(texts.filter((text) => text.includes(secret)).map((text) => text.slice(0, 200))).toEqual([]);
          expect(seen.slice(1).filter((url) => url.includes(secret))).toEqual([]);
        }
        await page.getByRole("button", { name: /colours$/ }).click();
        expect(await page.evaluate(() => Object.keys(localStorage))).toEqual(["netwall-theme"]);
        expect(faults).toEqual([]);
        await context.close();
      },
      PAGE_TEST_MS_MAX,
    );
  });
}
