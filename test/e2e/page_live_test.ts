/**
 * The page over time: the gateway goes and comes back, and the stream is cut. Nothing is missed and nothing comes twice.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { Locator } from "playwright-core";
import type { Page } from "../support/browser.ts";
import { Operator } from "../support/firewall_wall.ts";
import { freePort, useProcesses } from "../support/processes.ts";
import {
  IN_BROWSER,
  IS_WITHOUT_BROWSER,
  logIn,
  openLoggedIn,
  PAGE_RUNTIMES,
  PAGE_TEST_MS_MAX,
  startPageGateway,
  untilLive,
  useBrowser,
} from "./page_rig.ts";
import { intrude, rowsOf, startWeb, untilRows } from "./page_web.ts";
import { RawTarget } from "./raw.ts";
import { ensureBuilt, eventually } from "./wall.ts";

const browserTest = test.skipIf(IS_WITHOUT_BROWSER);
const processes = useProcesses();
const browser = useBrowser();
let target: RawTarget;

beforeAll(async () => {
  target = await RawTarget.start();
  for (const runtime of IS_WITHOUT_BROWSER ? [] : PAGE_RUNTIMES) ensureBuilt(runtime);
}, PAGE_TEST_MS_MAX);
afterAll(() => target.close());

const banner = (page: Page): Locator => page.getByRole("alert").getByText(/^Not live for/);

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

describe(`the live page, ${IN_BROWSER}`, () => {
  for (const runtime of PAGE_RUNTIMES) {
    browserTest(`survives that its gateway on ${runtime} is killed and started again`, async () => {
      const [adminPort, port] = [await freePort(), await freePort()];
      const setup = { port, admin: `127.0.0.1:${adminPort}` };
      const { gateway, operator } = await startWeb(processes, target, { ...setup, runtime });
      const at = "/events?severity=warning";
      const { page, context, faults } = await openLoggedIn(browser(), gateway, { at });
      await intrude(gateway, "before");
      await untilRows(page, ["before"]);
      await operator.event("it", ({ message }) => message.includes("/before"));
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
      // The table holds still under the mouse, which is where the button was.
      await page.mouse.move(0, 0);
      await untilRows(page, ["before", "meantime"]);
      await intrude(again, "after");
      await untilRows(page, ["before", "meantime", "after"]);
      expect(page.url()).toBe(gateway.origin + at);
      expect(await banner(page).count()).toBe(0);
      expect(faults).toEqual([]);
      await context.close();
    }, PAGE_TEST_MS_MAX);
  }

  browserTest("comes back without a gap when the stream is cut", async () => {
    const { gateway } = await startWeb(processes, target, { runtime: "deno" });
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
    await page.getByLabel("Admin token").waitFor();
    expect(faults).toEqual([]);
    await context.close();
    cutter.close();
  }, PAGE_TEST_MS_MAX);
});
