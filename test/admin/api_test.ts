/**
 * Tests of the admin API, as an app and on its listener: nothing but health without the token.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { adminApp } from "../../lib/admin/api.ts";
import { listenAdmin } from "../../lib/gateway/admin_listener.ts";
import { type Attachment, Registry } from "../../lib/routing/registry.ts";
import { bunBinary } from "../support/processes.ts";
import { exchangeRaw, RawVisitor } from "../support/raw_http.ts";
import { attachmentOf, metricsOf, TOKEN } from "./api_rig.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function app(isReady = true, change: Partial<Attachment> = {}): ReturnType<typeof adminApp> {
  const registry = new Registry();
  registry.add(attachmentOf(change));
  return adminApp({ token: TOKEN, metrics: metricsOf(), registry, ready: () => isReady });
}

const PATHS = [
  "/metrics",
  "/api/v1/links",
  "/",
  "/api/v1/nothing",
  "/metrics/",
  "//metrics",
  "/healthz/../metrics",
];

describe("without the token", () => {
  test("probes get one word", async () => {
    expect(await (await app().request("/healthz")).text()).toBe("ok\n");
    expect(await (await app().request("/readyz")).text()).toBe("ready\n");
    const stopping = await app(false).request("/readyz");
    expect([stopping.status, await stopping.text()]).toEqual([503, "stopping\n"]);
    expect((await app(false).request("/healthz")).status).toBe(200);
  });

  test("all else is 401, whether it is there or not, and tells nothing", async () => {
    const bodies = new Set<string>();
    for (const path of PATHS) {
      const answer = await app().request(path);
      expect([path, answer.status]).toEqual([path, 401]);
      expect(answer.headers.get("www-authenticate")).toBe('Bearer realm="netwall"');
      bodies.add(await answer.text());
    }
    expect(bodies.size).toBe(1);
    expect([...bodies][0]).not.toContain(TOKEN);
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"]) {
      expect((await app().request("/metrics", { method })).status).toBe(401);
    }
  });

  test("what is nearly the token is not the token", async () => {
    const wrong = [
      ...["Bearer", "Bearer ", `Bearer ${TOKEN}x`, `Bearer ${TOKEN.slice(1)}`, `Basic ${TOKEN}`, TOKEN],
      ...[
        `Bearer ${TOKEN} x`,
        `Bearer ${TOKEN.toUpperCase()}`,
        `Bearer ${"x".repeat(600)}`,
        `Bearer  ${TOKEN}`,
      ],
      ...[`Bearer ${TOKEN}, Bearer ${TOKEN}`, "Bearer undefined", "Bearer null"],
    ];
    for (const authorization of wrong) {
      const answer = await app().request("/metrics", { headers: { authorization } });
      expect([authorization, answer.status]).toEqual([authorization, 401]);
    }
    expect(wrong).toHaveLength(13);
    expect((await app().request(`/metrics?token=${TOKEN}`)).status).toBe(401);
    expect((await app().request("/metrics", { headers: { cookie: `token=${TOKEN}` } })).status).toBe(401);
  });
});

describe("with the token", () => {
  const headers = { authorization: `Bearer ${TOKEN}` };

  test("metrics and links", async () => {
    const metrics = await app().request("/metrics", { headers });
    expect(metrics.headers.get("content-type")).toContain("text/plain");
    expect(await metrics.text()).toContain("netwall_links 1");
    const text = await (await app().request("/api/v1/links", { headers })).text();
    expect(JSON.parse(text)).toEqual({
      links: [{
        ...{ agent: "box", peer: "192.0.2.1:4711", services: ["web"], since: "1970-01-01T00:00:00.000Z" },
        ...{ streams: 3, roundTripMs: 1.235, leaving: false, claimed: { hostname: "h" } },
        ...{ namespace: "shop", image: "", tcp: [], reach: [], egress: false, group: "shop/~box" },
        wall: { state: "unknown", listeners: 0, exposed: [], faults: ["No report has come"] },
      }],
    });
    expect(text).not.toContain("secret-token-id");
  });

  test("a link shows what of it is raw, its image, and what its agent claims of its wall", async () => {
    const claim = {
      state: "broken" as const,
      listeners: 3,
      exposed: ["tcp 0.0.0.0:80 <b>x</b>"],
      faults: [],
    };
    const changed = app(true, {
      ...{ services: ["web", "db"], tcp: new Set(["db"]), image: "ghcr.io/acme/web:1" },
      wall: { claim, atMs: 1000 },
    });
    const { links } = await (await changed.request("/api/v1/links", { headers })).json();
    expect(links).toHaveLength(1);
    expect(links[0]).toMatchObject({ services: ["web", "db"], tcp: ["db"], image: "ghcr.io/acme/web:1" });
    expect(links[0].wall).toEqual({ ...claim, reportedAt: "1970-01-01T00:00:01.000Z" });
  });

  test("the scheme is of any case, what is not there is 404", async () => {
    expect((await app().request("/metrics", { headers: { authorization: `bEARER ${TOKEN}` } })).status).toBe(
      200,
    );
    const missing = await app().request("/api/v1/nothing", { headers });
    expect([missing.status, missing.headers.get("content-type")]).toEqual([404, "application/problem+json"]);
    expect((await app().request("/metrics", { method: "POST", headers })).status).toBe(405);
  });
});

describe("the listener", () => {
  test("serves the app on a port, and survives what is no request", async () => {
    const listener = await listenAdmin(app(), { host: "127.0.0.1", port: 0 });
    closers.push(() => listener.close());
    const port = Number(listener.address.slice(listener.address.lastIndexOf(":") + 1));
    const end = "Connection: close\r\n\r\n";
    expect(await exchangeRaw(port, `GET /healthz HTTP/1.1\r\nHost: x\r\n${end}`)).toMatch(
      /^HTTP\/1.1 200 [^]*ok\n$/,
    );
    expect(await exchangeRaw(port, `GET /metrics HTTP/1.1\r\nHost: x\r\n${end}`)).toMatch(/^HTTP\/1.1 401 /);
    expect(await exchangeRaw(port, `GET http://x/healthz/../metrics HTTP/1.1\r\nHost: x\r\n${end}`)).toMatch(
      /^HTTP\/1.1 40[01] /,
    );
    expect(await exchangeRaw(port, "\0\0\0\r\n\r\n")).not.toContain("200 OK");
    expect(await exchangeRaw(port, `GET /healthz HTTP/1.1\r\nHost: x\r\n${end}`)).toMatch(/^HTTP\/1.1 200 /);
  });

  test("a socket file is for its owner alone, and goes at the end", async () => {
    const dir = mkdtempSync(join(tmpdir(), "netwall-admin-"));
    closers.push(() => rmSync(dir, { recursive: true }));
    const path = join(dir, "admin.sock");
    const listener = await listenAdmin(app(), { path });
    expect(listener.address).toBe(`unix:${path}`);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const visitor = new RawVisitor(0, path);
    await visitor.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").untilText("ok");
    visitor.close();
    listener.close();
    for (let i = 0; i < 100 && existsSync(path); i++) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(existsSync(path)).toBe(false);
  });

  test("a socket file that a killed process left behind is replaced, one in use is not", async () => {
    const dir = mkdtempSync(join(tmpdir(), "netwall-admin-"));
    closers.push(() => rmSync(dir, { recursive: true }));
    const path = join(dir, "admin.sock");
    const script = `require("net").createServer().listen(${
      JSON.stringify(path)
    }, () => process.kill(process.pid, "SIGKILL"))`;
    spawnSync(bunBinary(), ["-e", script]);
    const isLeft = existsSync(path);
    const listener = await listenAdmin(app(), { path });
    closers.push(() => listener.close());
    await expect(listenAdmin(app(), { path })).rejects.toThrow(/another process/);
    expect(isLeft).toBe(true);
  });

  test("a port that is taken rejects", async () => {
    const first = await listenAdmin(app(), { host: "127.0.0.1", port: 0 });
    closers.push(() => first.close());
    const port = Number(first.address.slice(first.address.lastIndexOf(":") + 1));
    await expect(listenAdmin(app(), { host: "127.0.0.1", port })).rejects.toThrow();
  });
});
