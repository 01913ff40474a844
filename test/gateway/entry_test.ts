/**
 * What leads where, as the gateway reads its settings and tells them.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { entrySchema } from "../../lib/admin/schemas.ts";
import { gatewayConfig } from "../../lib/config/gateway_config.ts";
import { loadConfig } from "../../lib/config/load.ts";
import { entryOf, type GatewaySettings, routerOf } from "../../lib/gateway/entry.ts";
import type { FlagValues } from "../../lib/settings.ts";

function settingsOf(flags: FlagValues): GatewaySettings {
  return loadConfig({ schema: gatewayConfig, flags, env: {} });
}

describe("entryOf()", () => {
  test("has the real addresses, and the routes as they are written", () => {
    const route = ["*=web", "Example.com/api/=api", "*.example.com=web", "g.example.com@h2=grpc"];
    const settings = settingsOf({ route, domain: "apps.example.com", sni: "127.0.0.1:8443" });
    const addresses = {
      http: "0.0.0.0:8080",
      link: ["unix:/run/l.sock", "127.0.0.1:7000"],
      sni: "0.0.0.0:443",
    };
    const entry = entryOf(settings, { ...addresses, admin: "127.0.0.1:9090" });
    expect(entry).toEqual({
      http: ["0.0.0.0:8080"],
      // Without a certificate nothing ends here.
      https: [],
      domain: "apps.example.com",
      routes: [
        { route: "*", service: "web" },
        { route: "example.com/api", service: "api" },
        { route: "*.example.com", service: "web" },
        { route: "g.example.com@h2", service: "grpc" },
      ],
      links: ["unix:/run/l.sock", "127.0.0.1:7000"],
    });
    expect(entrySchema.parse(entry)).toEqual(entry);
  });

  test("takes the door of server names for HTTPS when there is a certificate", () => {
    const bare = { domain: undefined, route: [], cert: ["a.pem"] };
    expect(entryOf(bare, { https: "[::]:443", sni: "[::]:8443" })).toEqual({
      ...{ http: [], https: ["[::]:443", "[::]:8443"], routes: [], links: [] },
    });
    expect(entryOf(bare, { sni: "[::]:443" }).https).toEqual(["[::]:443"]);
  });
});

describe("routerOf()", () => {
  const settings = settingsOf({ route: ["*=rest"], domain: "localhost" });
  const registry = { knows: (name: string): boolean => name === "shop" };

  test("gives every name below the domain to its service, known or not", () => {
    const router = routerOf(settings, registry);
    expect(router.match("shop.localhost", "/")?.service).toBe("shop");
    expect(router.match("other.localhost", "/")?.service).toBe("other");
  });

  test("in a trial, gives what no agent ever served to all else", () => {
    const router = routerOf({ ...settings, sharesUnknown: true }, registry);
    expect(router.match("shop.localhost", "/")?.service).toBe("shop");
    expect(router.match("other.localhost", "/")?.service).toBe("rest");
    expect(router.match("localhost", "/")?.service).toBe("rest");
  });
});
