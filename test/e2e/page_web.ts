/**
 * A gateway with one service behind it, and events that a test makes one by one, for tests of the page.
 *
 * @module
 */
import { expect } from "bun:test";
import type { Page } from "../support/browser.ts";
import { Operator, policyOf, startWorkload } from "../support/firewall_wall.ts";
import type { ProcessGroup, Runtime } from "../support/processes.ts";
import { type PageGateway, startPageGateway } from "./page_rig.ts";
import { get, type RawTarget, request } from "./raw.ts";
import { eventually, type GatewaySetup } from "./wall.ts";

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
export async function startWeb(
  processes: ProcessGroup,
  target: RawTarget,
  setup: GatewaySetup & { readonly admin?: string; readonly runtime?: Runtime } = {},
): Promise<{ gateway: PageGateway; operator: Operator }> {
  const { runtime = "bun", ...rest } = setup;
  const gateway = await startPageGateway(processes, runtime, rest);
  const operator = new Operator(gateway);
  await startWorkload(processes, "bun", gateway, { name: "web", args: ["--serve", `web=${target.url}`] });
  expect((await operator.ask("PUT", "policy", POLICY)).status).toBe(200);
  return { gateway, operator };
}

/** A visitor asks for what is not known. */
export async function intrude({ port }: PageGateway, name: string): Promise<void> {
  expect((await request(port, get(`/${name}`, ["Host: web", "Connection: close"]))).status).toBe(200);
}

/** How many rows of the table of events tell of each name. */
export async function rowsOf(page: Page, names: readonly string[]): Promise<number[]> {
  const labels = await page.locator("main#view").getByRole("button", { name: /^Event / })
    .evaluateAll((buttons) => buttons.map((button) => button.getAttribute("aria-label") ?? ""));
  return names.map((name) => labels.filter((label) => label.includes(`/${name}`)).length);
}

/** Waits until there is one row of each. */
export async function untilRows(page: Page, names: readonly string[]): Promise<void> {
  const once = names.map(() => 1);
  await eventually(() => rowsOf(page, names), (counts) => `${counts}` === `${once}`);
}
