/**
 * Tests of `netwall-gateway page`, and of the link that a gateway makes for itself.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AdminClient, type AdminPlace } from "../../lib/admin/client.ts";
import { makePageLink, pageLink } from "../../lib/admin/page_command.ts";
import { loadOrCreateKey } from "../../lib/auth/key_store.ts";
import { Revocations } from "../../lib/auth/token_list.ts";
import { parseAdminAddress } from "../../lib/config/admin_address.ts";
import { openAdmin } from "../../lib/gateway/admin_listener.ts";
import { createLogger } from "../../lib/log.ts";
import { Registry } from "../../lib/routing/registry.ts";
import { ADMIN_TOKEN, type FakeAdmin, startFakeAdmin } from "../support/fake_admin.ts";
import { metricsOf } from "./api_rig.ts";

const CODE = "0123456789abcdefABCDEF_-01234567";

const open: FakeAdmin[] = [];
afterEach(async () => {
  for (const admin of open.splice(0)) await admin.close();
});

async function fakeAdmin(
  isUnix = false,
): Promise<{ admin: FakeAdmin; place: AdminPlace; client: AdminClient }> {
  const admin = await startFakeAdmin(isUnix);
  open.push(admin);
  const place = parseAdminAddress(admin.address);
  return { admin, place, client: new AdminClient({ place, token: ADMIN_TOKEN }) };
}

test("a link is the address of the page with the code in its fragment", () => {
  const places: [string, string][] = [
    ["127.0.0.1:9090", "http://127.0.0.1:9090/#code=X"],
    ["0.0.0.0:9090", "http://127.0.0.1:9090/#code=X"],
    ["[::]:9090", "http://[::1]:9090/#code=X"],
    ["https://wall.example", "https://wall.example:443/#code=X"],
    ["https://wall.example:8443/netwall/", "https://wall.example:8443/netwall/#code=X"],
  ];
  for (const [address, link] of places) {
    const place = parseAdminAddress(address);
    if (place.kind === "unix") throw new Error("no place for a browser");
    expect(pageLink(place, "X")).toBe(link);
  }
  expect(places).toHaveLength(5);
});

describe("page", () => {
  test("asks for a code of the role that was given, or of the own one", async () => {
    const { admin, place, client } = await fakeAdmin();
    admin.answers.set("POST session/codes", { status: 201, body: { code: CODE, expiresAtMs: 1 } });
    for (const role of [undefined, "viewer", "operator"] as const) {
      const answer = await makePageLink(client, place, role);
      expect(answer).toEqual({ text: `http://127.0.0.1:${admin.port}/#code=${CODE}\n`, warnings: [] });
      expect(admin.asked.at(-1)!.body).toBe(role === undefined ? "{}" : `{"role":"${role}"}`);
    }
  });

  test("says that a browser needs a port, and makes no code", async () => {
    const { admin, place, client } = await fakeAdmin(true);
    await expect(makePageLink(client, place, undefined)).rejects.toThrow(
      /no browser can open unix:.*--admin 127/,
    );
    expect(admin.asked).toHaveLength(0);
  });

  test("prints no code that would be more than a fragment, nor what is none", async () => {
    const { admin, place, client } = await fakeAdmin();
    admin.answers.set("POST session/codes", {
      status: 201,
      body: { code: "a b\u001b[2J\n&x=#", expiresAtMs: 1 },
    });
    expect((await makePageLink(client, place, undefined)).text).toMatch(
      /#code=a%20b%1B%5B2J%0A%26x%3D%23\n$/,
    );
    admin.answers.set("POST session/codes", { status: 201, body: { link: "x" } });
    await expect(makePageLink(client, place, undefined)).rejects.toThrow(/code is not as expected/);
  });
});

describe("oneTimeLink", () => {
  test("opens the page of the gateway itself once; on a unix socket there is none", async () => {
    const dataDir = mkdtempSync(join(tmpdir(), "netwall-page-"));
    const revocations = new Revocations({
      ...{ dataDir, intervalMs: 60_000, onChange: () => undefined },
      onError: (error) => {
        throw error;
      },
    });
    const options = {
      ...{ dataDir, key: await loadOrCreateKey(dataDir), revocations, firewall: undefined },
      ...{ registry: new Registry(), metrics: metricsOf(), ready: () => true },
      log: createLogger({ level: "error", format: "json", isTerminal: false }),
    };
    const admin = await openAdmin({ host: "127.0.0.1", port: 0 }, options);
    const links = [admin.oneTimeLink("operator"), admin.oneTimeLink("viewer")];
    const roles: unknown[] = [];
    for (const link of links) {
      const [base, code] = link!.split("/#code=");
      expect(base).toBe(`http://${admin.address}`);
      for (let count = 0; count < 2; count++) {
        const answer = await fetch(`${base}/api/v1/session`, {
          method: "POST",
          headers: { "content-type": "application/json", "x-netwall-page": "1" },
          body: JSON.stringify({ code }),
        });
        const { role, status } = await answer.json();
        roles.push(role ?? status);
      }
    }
    expect(roles).toEqual(["operator", 401, "viewer", 401]);
    admin.close();
    const socket = await openAdmin({ path: join(dataDir, "admin.sock") }, options);
    expect(socket.oneTimeLink("operator")).toBeUndefined();
    socket.close();
    revocations.stop();
    rmSync(dataDir, { recursive: true });
  });
});
