/**
 * Everything that the page can show, as places to go to: each view with its panels and dialogs; and a shop that fills
 * all of it.
 *
 * @module
 */
import type { Shop } from "../../examples/shop/shop.ts";
import { eachOperation, type Visit } from "../../examples/shop/traffic.ts";
import type { NetwallEvent } from "../../lib/events/event.ts";
import { type PolicyDocument, policySchema } from "../../lib/policy/document.ts";
import type { EdgeRecord } from "../../lib/policy/record.ts";
import type { Page } from "../support/browser.ts";
import { eventually } from "./wall.ts";

/** Something to look at. */
export interface Scene {
  readonly name: string;
  /** Path and query. */
  readonly at: string;
  /** What is still to be done there. */
  readonly open?: (page: Page) => Promise<void>;
}

/** Goes there, and waits until nothing is on its way any more. */
export async function show(page: Page, origin: string, { at, open }: Scene): Promise<void> {
  await page.goto(origin + at);
  await untilStill(page);
  if (open === undefined) return;
  await open(page);
  await untilStill(page);
}

async function untilStill(page: Page): Promise<void> {
  await page.locator("main").waitFor();
  await eventually(() => page.locator('[aria-busy="true"]').count(), (busy) => busy === 0);
}

/** Clicks a button by its name. */
const press = (...names: readonly (string | RegExp)[]) => async (page: Page): Promise<void> => {
  for (const name of names) await page.getByRole("button", { name }).first().click();
};

/** Opens a detail that is folded, by its words. */
const unfold = (words: string) => async (page: Page): Promise<void> => {
  await page.locator("summary", { hasText: words }).first().click();
};

const TABS = ["rules", "modes", "networks", "limits", "yaml", "versions", "audit", "bans"] as const;

/** What there is in any gateway, an empty one too. */
export const VIEW_SCENES: readonly Scene[] = [
  { name: "map", at: "/?show=map" },
  { name: "map as a list", at: "/?show=list" },
  { name: "filters of the map", at: "/?show=map", open: unfold("Filters") },
  { name: "events", at: "/events" },
  { name: "more filters of events", at: "/events", open: press("More filters") },
  { name: "traffic", at: "/traffic" },
  ...TABS.map((tab): Scene => ({ name: `policy, ${tab}`, at: `/policy?tab=${tab}` })),
  { name: "new rule", at: "/policy", open: press("New rule") },
  { name: "new mode", at: "/policy?tab=modes", open: press(/^New mode/) },
  { name: "new network", at: "/policy?tab=networks", open: press(/^New network/) },
  { name: "new rate limit", at: "/policy?tab=limits", open: press(/^New rate limit/) },
  { name: "version", at: "/policy?tab=versions&version=1" },
  { name: "links", at: "/links" },
  { name: "add an agent", at: "/links?add=agent" },
  { name: "tokens", at: "/links?tab=tokens" },
  { name: "new token", at: "/links?tab=tokens", open: press("Make a token") },
];

/** What has to be looked for in a shop that was filled. */
export interface Filled {
  readonly edge: EdgeRecord;
  readonly event: NetwallEvent;
  readonly request: string;
}

/** What there is in a shop that was filled, besides. */
export function filledScenes({ edge, event, request }: Filled): readonly Scene[] {
  const ofEdge = `/?show=map&edge=${encodeURIComponent(edge.id)}`;
  const ofGroup = `/?show=map&group=${encodeURIComponent(edge.destination)}`;
  const ofEvent = `/events?event=${encodeURIComponent(event.id)}`;
  const ofRequest = `/traffic?request=${encodeURIComponent(request)}`;
  return [
    { name: "legend", at: "/?show=map", open: unfold("What is this?") },
    { name: "one namespace folded", at: "/?show=map", open: press("Collapse all") },
    { name: "edge", at: ofEdge },
    { name: "block an edge", at: ofEdge, open: press("Block…") },
    { name: "workload", at: ofGroup },
    { name: "isolate a workload", at: ofGroup, open: press("Isolate…") },
    { name: "set a mode", at: ofGroup, open: press("Set the mode…") },
    { name: "learn anew", at: ofGroup, open: press("Learn anew…") },
    { name: "event", at: ofEvent, open: unfold("As JSON") },
    { name: "allow an event", at: ofEvent, open: press("Allow…") },
    { name: "rule of an event", at: ofEvent, open: press("Make a rule of this…") },
    { name: "nothing matches", at: "/events?q=xyzzy" },
    { name: "traffic of one service", at: "/traffic?window=1h&service=front-end" },
    { name: "record bodies", at: "/traffic", open: press("Record bodies…") },
    { name: "request", at: ofRequest },
    { name: "replay", at: ofRequest, open: press(/^Replay/) },
    { name: "edit a rule", at: "/policy", open: press(/^Edit /) },
    { name: "move a rule", at: "/policy", open: press(/^Place 1: move/) },
    { name: "draft", at: "/policy", open: press(/^Move .* down$/) },
    { name: "review a draft", at: "/policy", open: press(/^Move .* down$/, "Review…") },
    { name: "lift a ban", at: "/policy?tab=bans", open: press(/^Let in again: /) },
    { name: "revoke a token", at: "/links?tab=tokens", open: press(/^Revoke the token of payment/) },
  ];
}

/**
 * Sends traffic of every kind through a shop and gives it a policy, so that every list of the page has something in it,
 * and every state of an edge is there.
 */
export async function fill(shop: Shop): Promise<Filled> {
  const legal = eachOperation(7);
  await ask(shop, "PUT", "recording", { service: "front-end", minutes: 10 });
  for (const visit of legal) await shop.visit(visit);
  await apply(shop);
  await shop.visit(legal[0]!);
  const unknown = shop.outside.unknown as `${string}:${number}`;
  const tries = [
    ...[["payment", "user-db"], ["front-end", "user-db"]] as const,
    ...[["payment", unknown], ["front-end", unknown]] as const,
  ];
  for (const [from, to] of tries) {
    const tunnel = await shop.tunnel(from, to);
    if (tunnel.kind === "open") tunnel.socket.destroy();
  }
  const flood: Visit = { address: "203.0.113.9", method: "GET", path: "/.env" };
  for (let sent = 0; sent < 30; sent++) await shop.visit(flood);
  const edges = await untilItems<EdgeRecord>(shop, "edges", (items) => {
    const states = new Set(items.map(({ state }) => state));
    return states.size === 4;
  });
  const events = await untilItems<NetwallEvent>(
    shop,
    "events?limit=500",
    (items) => items.some(({ destination }) => destination?.service === "user-db"),
  );
  const requests = await untilItems<{ id: string; target: string }>(
    shop,
    "requests?service=front-end",
    (items) => items.some(({ target }) => target === "/orders"),
  );
  await untilItems(shop, "bans", (items) => items.length > 0);
  return {
    edge: edges.find(({ state }) => state === "blocked")!,
    event: events.find(({ destination }) => destination?.service === "user-db")!,
    request: requests.find(({ target }) => target === "/orders")!.id,
  };
}

/** Some of everything that a policy can say. */
async function apply(shop: Shop): Promise<void> {
  const group = (image: string): Record<string, string> => ({ namespace: "shop", image });
  const [host, port] = shop.outside.unknown.split(":") as [string, string];
  const { document } = await ask<{ document: PolicyDocument }>(shop, "GET", "policy");
  const spec = {
    defaultMode: "alert",
    networks: { office: ["192.0.2.0/24", "2001:db8::/32"] },
    modes: [{ ...group("user-db"), mode: "prevent" }, {
      ...group("user"),
      direction: "egress",
      mode: "learn",
    }],
    rules: [
      {
        ...{ id: "payment-host", comment: "For this image alone", direction: "egress", effect: "allow" },
        ...{ source: group("payment"), destination: { host, ports: [Number(port)] } },
        expires: new Date(Date.now() + 86_400_000).toISOString(),
      },
      {
        ...{ id: "no-env", effect: "prevent", source: { network: "internet" } },
        http: { methods: ["GET"], paths: ["/.env"], contentTypes: [""] },
      },
      { id: "office", effect: "allow", enabled: false, source: { network: "office" } },
    ],
    rateLimits: [{
      id: "visitors",
      service: "front-end",
      requests: 5,
      seconds: 60,
      burst: 20,
      banSeconds: 600,
    }],
  };
  const wanted = policySchema.parse({ ...document, spec });
  await ask(shop, "PUT", "policy?comment=Everything%20once", wanted);
  const staged = { ...wanted, spec: { ...wanted.spec, rules: wanted.spec.rules.slice(1) } };
  await ask(shop, "PUT", "policy/staged", staged);
}

async function untilItems<T>(
  shop: Shop,
  path: string,
  wanted: (items: readonly T[]) => boolean,
): Promise<readonly T[]> {
  return (await eventually(() => ask<{ items: T[] }>(shop, "GET", path), ({ items }) => wanted(items))).items;
}

async function ask<T>(shop: Shop, method: string, path: string, body?: unknown): Promise<T> {
  const { status, body: text } = await shop.api(method, path, body);
  if (status >= 300) throw new Error(`Cannot fill the shop: ${method} ${path}: ${status} ${text}`);
  return (text === "" ? undefined : JSON.parse(text)) as T;
}
