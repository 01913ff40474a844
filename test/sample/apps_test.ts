/**
 * The programs of the sample, with the doors to the others made by hand: what they answer, and what to nonsense.
 *
 * @module
 */
import { createServer, type Server } from "node:http";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { catalogueApp, CENTS_MAX, frontEndApp, paymentApp, userApp } from "../../lib/sample/apps.ts";
import { Client } from "../../lib/sample/client.ts";
import { type Database, startDatabase } from "../../lib/sample/database.ts";
import type { FetchHandler } from "../../lib/http/replay_app.ts";

const folder = mkdtempSync(join(tmpdir(), "netwall-apps-"));
const path = (name: string): string => join(folder, `${name}.sock`);
const client = new Client();
// The catalogue fails now and then, which other tests are about: not with these numbers.
const tools = { random: (): number => 0.5, client };
const doors = { catalogue: path("catalogue"), user: path("user"), payment: path("payment") };
const apps = {
  catalogue: catalogueApp(tools),
  user: userApp(path("db"), tools),
  payment: paymentApp(path("proxy"), "verifier.example:443", tools),
  "front-end": frontEndApp(doors, tools),
};
const servers: Server[] = [];
let database: Database;
/** What the proxy was asked for, and what it answers. */
const proxied: { urls: string[]; status: number } = { urls: [], status: 200 };

/** Serves an app on a socket, as an agent's door to it would. */
function serve(name: string, handler: FetchHandler): Promise<void> {
  const server = createServer(async (incoming, response) => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of incoming as AsyncIterable<Uint8Array>) chunks.push(chunk);
    if (incoming.url!.startsWith("http://")) {
      proxied.urls.push(`${incoming.method} ${incoming.url}`);
      response.writeHead(proxied.status, { Connection: "close" });
      return void response.end("{}");
    }
    const method = incoming.method ?? "GET";
    const body = method === "GET" ? null : new TextDecoder().decode(chunks[0] ?? new Uint8Array());
    const answer = await handler(new Request(`http://it${incoming.url}`, { method, body }));
    response.writeHead(answer.status, { "Content-Type": "application/json" });
    response.end(await answer.text());
  });
  servers.push(server);
  return new Promise((resolve) => server.listen(path(name), resolve));
}

beforeAll(async () => {
  database = await startDatabase(path("db"));
  await serve("catalogue", apps.catalogue);
  await serve("user", apps.user);
  await serve("payment", apps.payment);
  await serve("proxy", apps.payment);
});
afterAll(async () => {
  await client.close(0);
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
  database.close();
  rmSync(folder, { recursive: true, force: true });
});

async function ask(
  app: keyof typeof apps,
  method: string,
  path: string,
  body?: string,
): Promise<[number, string]> {
  const answer = await apps[app](
    new Request(`http://shop${path}`, { method, ...(body === undefined ? {} : { body }) }),
  );
  return [answer.status, await answer.text()];
}

const order = (fields: unknown): Promise<[number, string]> =>
  ask("front-end", "POST", "/orders", JSON.stringify(fields));

test("the front end answers what it can by itself, and the rest by asking the others", async () => {
  expect((await ask("front-end", "GET", "/"))[1]).toContain("You are behind the wall");
  expect(await ask("front-end", "POST", "/echo", "hello")).toEqual([200, "hello"]);
  expect((await ask("front-end", "GET", "/favicon.ico"))[0]).toBe(204);
  expect((await ask("front-end", "GET", "/catalogue"))[1]).toContain("Socks no. 3");
  expect((await ask("front-end", "GET", "/catalogue/7"))[1]).toContain("Socks no. 7");
  expect((await ask("front-end", "GET", "/customers/5"))[1]).toContain("Customer 5");
  expect((await ask("front-end", "POST", "/login", "customer=5&password=x"))[0]).toBe(201);
  expect((await ask("front-end", "GET", `/orders/${crypto.randomUUID()}`))[0]).toBe(200);
});

test("what is not there is 404, also where another part says so", async () => {
  const paths = [
    "/admin/.env",
    "/catalogue/9001",
    "/catalogue/x",
    "/customers/999",
    "/customers/1/x",
    "/orders/1",
  ];
  for (const each of paths) expect([each, (await ask("front-end", "GET", each))[0]]).toEqual([each, 404]);
  expect((await ask("front-end", "DELETE", "/catalogue/1"))[0]).toBe(404);
});

test("an order passes all parts and the host outside, and only what is verified is paid", async () => {
  proxied.urls.length = 0;
  expect((await order({ customer: 1, product: 2, cents: 100 }))[0]).toBe(201);
  expect(proxied.urls).toEqual(["POST http://verifier.example:443/verify"]);
  expect((await order({ customer: 1, product: 2, cents: CENTS_MAX + 1 }))[0]).toBe(402);
  proxied.status = 403;
  expect((await order({ customer: 1, product: 2, cents: 100 }))[0]).toBe(402);
  proxied.status = 200;
  const asked = proxied.urls.length;
  expect((await order({ customer: 999, product: 2, cents: 100 }))[0]).toBe(404);
  expect((await order({ customer: 1, product: 9_001, cents: 100 }))[0]).toBe(404);
  expect(proxied.urls).toHaveLength(asked);
});

test("nonsense is refused and reaches nobody", async () => {
  const asked = proxied.urls.length;
  const bodies = ["", "{", "null", "[]", '{"customer":"1/../../x","product":1,"cents":1}', '{"customer":1}'];
  for (const body of bodies) {
    expect([body, (await ask("front-end", "POST", "/orders", body))[0]]).toEqual([body, 400]);
  }
  for (const body of ["", "customer=", "customer=x", "customer=1.5", "password=1"]) {
    expect([body, (await ask("front-end", "POST", "/login", body))[0]]).toEqual([body, 400]);
  }
  expect((await ask("front-end", "POST", "/orders", "x".repeat(100_000)))[0]).toBe(502);
  expect(proxied.urls).toHaveLength(asked);
});

test("the catalogue fails now and then, and the front end says so", async () => {
  const stuck = catalogueApp({ random: () => 0 });
  expect((await stuck(new Request("http://it/products"))).status).toBe(500);
  const shop = frontEndApp({ ...doors, catalogue: path("stuck") }, tools);
  await serve("stuck", stuck);
  expect((await shop(new Request("http://shop/catalogue/1"))).status).toBe(500);
});

test("a part that cannot be reached is 502, at once", async () => {
  const alone = frontEndApp({ ...doors, catalogue: path("nobody") }, tools);
  expect((await alone(new Request("http://shop/catalogue/1"))).status).toBe(502);
  const noDatabase = userApp(path("nobody"), tools);
  expect((await noDatabase(new Request("http://it/users/1"))).status).toBe(502);
});
