/**
 * The page over time: the gateway goes and comes back, the stream is cut, sessions end, other tabs change things, and
 * addresses are sent to colleagues.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { openPage, type Page } from "../support/browser.ts";
import { Operator, policyOf, runCommand, startWorkload } from "../support/firewall_wall.ts";
import { freePort, useProcesses } from "../support/processes.ts";
import {
  IN_BROWSER,
  IS_WITHOUT_BROWSER,
  logIn,
  openLoggedIn,
  openView,
  PAGE_TEST_MS_MAX,
  type PageGateway,
  pageLink,
  startPageGateway,
  untilLive,
  useBrowser,
} from "./page_rig.ts";
import { get, RawTarget, request } from "./raw.ts";
import { eventually } from "./wall.ts";

const processes = useProcesses();
const browser = useBrowser();
let target: RawTarget;

beforeAll(async () => {
  target = await RawTarget.start();
});
afterAll(() => target.close());

/** A policy that knows one route of `web`, so that each other path is an event of its own. */
const POLICY = {
  ...policyOf({ defaultMode: "alert" }),
  model: {
    edges: [{
      ...{ direction: "north-south", source: "internet", destination: "shop/web", service: "web" },
      ...{ protocol: "http", operations: ["GET /known"] },
    }],
  },
};

/** A gateway with a service behind it, and the policy above. */
async function startWeb(
  runtime: "bun" | "deno" = "bun",
): Promise<{ gateway: PageGateway; operator: Operator }> {
  const gateway = await startPageGateway(processes, runtime);
  const operator = new Operator(gateway);
  await startWorkload(processes, "bun", gateway, { name: "web", args: ["--serve", `web=${target.url}`] });
  expect((await operator.ask("PUT", "policy", POLICY)).status).toBe(200);
  return { gateway, operator };
}

/** A visitor asks for what is not known. */
async function intrude({ port }: PageGateway, name: string): Promise<void> {
  expect((await request(port, get(`/${name}`, ["Host: web", "Connection: close"]))).status).toBe(200);
}

/** How many rows of the table of events tell of each name. */
async function rowsOf(page: Page, names: readonly string[]): Promise<number[]> {
  const labels = await page.locator("main#view").getByRole("button", { name: /^Event / })
    .evaluateAll((buttons) => buttons.map((button) => button.getAttribute("aria-label") ?? ""));
  return names.map((name) => labels.filter((label) => label.includes(`/${name}`)).length);
}

async function untilRows(page: Page, names: readonly string[]): Promise<void> {
  const once = names.map(() => 1);
  await eventually(() => rowsOf(page, names), (counts) => `${counts}` === `${once}`);
}

const banner = (page: Page) => page.getByRole("alert").getByText(/^Not live for/);
const form = (page: Page) => page.getByLabel("Admin token");

/** Passes connections on, until it is told to cut them. */
class Cutter {
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  isShut = false;

  constructor(to: number) {
    this.#server = createServer((socket) => {
      if (this.isShut) return void socket.destroy();
      const onward = connect(to, "127.0.0.1");
      for (const [one, other] of [[socket, onward], [onward, socket]] as const) {
        this.#sockets.add(one);
        one.on("error", () => {}).on("close", () => {
          this.#sockets.delete(one);
          other.destroy();
        });
        one.pipe(other);
      }
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  close(): void {
    this.#server.close();
    this.cut();
  }
}

describe.skipIf(IS_WITHOUT_BROWSER)(`the live page, ${IN_BROWSER}`, () => {
  for (const runtime of ["bun", "deno"] as const) {
    test(`survives that its gateway on ${runtime} is killed and started again`, async () => {
      const [adminPort, port] = [await freePort(), await freePort()];
      const setup = { port, admin: `127.0.0.1:${adminPort}` };
      const gateway = await startPageGateway(processes, runtime, setup);
      await startWorkload(processes, "bun", gateway, { name: "web", args: ["--serve", `web=${target.url}`] });
      expect((await new Operator(gateway).ask("PUT", "policy", POLICY)).status).toBe(200);
      const at = "/events?severity=warning";
      const { page, context, faults } = await openLoggedIn(browser(), gateway, { at });
      await intrude(gateway, "before");
      await untilRows(page, ["before"]);
      await new Operator(gateway).event("it", ({ message }) => message.includes("/before"));
      gateway.process.kill();
      await banner(page).waitFor();
      // What was there is still there to be read.
      expect(await rowsOf(page, ["before"])).toEqual([1]);
      await gateway.process.exit;
      const again = await startPageGateway(processes, runtime, { ...setup, data: gateway.data });
      // Sessions are in memory alone.
      await page.getByText("Your session has ended: log in again").waitFor();
      await eventually(
        async () => (await new Operator(again).get("links")).links.length,
        (count) => count === 1,
      );
      await intrude(again, "meantime");
      await logIn(page, again.token);
      await untilLive(page);
      await untilRows(page, ["before", "meantime"]);
      await intrude(again, "after");
      await untilRows(page, ["before", "meantime", "after"]);
      expect(page.url()).toBe(gateway.origin + at);
      expect(await banner(page).count()).toBe(0);
      expect(faults).toEqual([]);
      await context.close();
    }, PAGE_TEST_MS_MAX);
  }

  test("comes back without a gap when the stream is cut", async () => {
    const { gateway } = await startWeb("deno");
    const cutter = new Cutter(Number(gateway.admin.split(":").at(-1)));
    const origin = await cutter.listen();
    const { page, context, faults } = await openLoggedIn(browser(), { ...gateway, origin }, {
      at: "/events",
    });
    await intrude(gateway, "first");
    await untilRows(page, ["first"]);
    const names = ["first"];
    for (const round of ["one", "two"]) {
      cutter.isShut = true;
      cutter.cut();
      await banner(page).waitFor();
      names.push(`lost-${round}`);
      await intrude(gateway, `lost-${round}`);
      expect(await rowsOf(page, [`lost-${round}`])).toEqual([0]);
      cutter.isShut = false;
      await banner(page).waitFor({ state: "detached" });
      await untilLive(page);
      await untilRows(page, names);
    }
    // A cut that is over at once.
    cutter.cut();
    await intrude(gateway, "quick");
    await untilRows(page, [...names, "quick"]);
    // Whoever cannot reach the gateway is not told that the session is over.
    cutter.isShut = true;
    cutter.cut();
    await page.getByRole("button", { name: "Log out" }).click();
    await page.getByText(/^Cannot log out: The gateway cannot be reached/).waitFor();
    cutter.isShut = false;
    await page.getByRole("button", { name: "Log out" }).click();
    await form(page).waitFor();
    expect(faults).toEqual([]);
    await context.close();
    cutter.close();
  }, PAGE_TEST_MS_MAX);

  test("ends with its token, and says why", async () => {
    const { gateway } = await startWeb();
    const mint = await runCommand(processes, "bun", gateway, ["token", "admin", "--name", "otto"]);
    const { page, context, faults } = await openLoggedIn(browser(), {
      ...gateway,
      token: mint.stdout.trim(),
    });
    await page.getByText("otto (operator)").waitFor();
    const revoked = await runCommand(processes, "bun", gateway, ["token", "revoke", "otto"]);
    expect([revoked.code, revoked.stderr]).toEqual([0, ""]);
    await page.getByText("Your session has ended: log in again").waitFor();
    await form(page).waitFor();
    // Nothing of what was shown is left.
    expect(await page.getByText("shop").count()).toBe(0);
    await logIn(page, mint.stdout.trim());
    await page.getByRole("alert").getByText("Send the admin token").waitFor();
    await logIn(page, gateway.token);
    await untilLive(page);
    expect(faults).toEqual([]);
    await context.close();
  }, PAGE_TEST_MS_MAX);

  test("shows a viewer everything, and lets it change nothing", async () => {
    const { gateway, operator } = await startWeb();
    await intrude(gateway, "seen");
    const [event] = await operator.events("&type=unexpectedRequest");
    const link = await pageLink(processes, "bun", gateway, "viewer");
    const { page, context, faults } = await openPage(browser(), gateway.origin);
    await page.goto(link);
    await page.getByText("admin (viewer)").waitFor();
    await untilLive(page);
    const changing = [
      [`/events?event=${event!.id}`, ["Allow…", "Make a rule of this…"]],
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
    expect(faults).toEqual([]);
    await context.close();
  }, PAGE_TEST_MS_MAX);

  test("shows in a second tab what the first one changes, and who is logged in", async () => {
    const { gateway, operator } = await startWeb();
    const { page, context, faults } = await openLoggedIn(browser(), gateway, { at: "/?group=shop%2Fweb" });
    const second = await context.newPage();
    await second.goto(`${gateway.origin}/policy?tab=modes`);
    await untilLive(second);
    await second.getByText("Version 2 is in force").waitFor();
    await page.getByRole("button", { name: "Set the mode…" }).first().click();
    const apply = page.getByRole("button", { name: "Apply", exact: true });
    if (await apply.count() === 0) await page.getByRole("dialog").waitFor();
    await page.getByRole("dialog").getByLabel("prevent").first().check().catch(() => {});
    console.log(await page.getByRole("dialog").innerText());
    await operator.setMode("web", "prevent");
    await second.getByText("Version 3 is in force").waitFor();
    await page.keyboard.press("Escape");
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

  test("keeps what is shown in the address: for the buttons of the browser, and for colleagues", async () => {
    const { gateway, operator } = await startWeb();
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
  }, PAGE_TEST_MS_MAX);
});
