/**
 * Where visitors and agents come in: what leads where, and how the API tells it.
 *
 * @module
 */
import type { Entry } from "../admin/backend.ts";
import type { GatewayConfig } from "../config/gateway_config.ts";
import type { Registry } from "../routing/registry.ts";
import { Router } from "../routing/router.ts";

/** The settings of a gateway, and what no setting says. */
export interface GatewaySettings extends Readonly<GatewayConfig> {
  /**
   * Whether a name below the domain that no agent ever served belongs to `*`. For the gateway of a trial alone:
   * elsewhere what is meant for a service that has yet to come would reach another.
   */
  readonly sharesUnknown?: boolean;
}

/** The routing table of the settings. */
export function routerOf(
  { route, domain, sharesUnknown }: Pick<GatewaySettings, "route" | "domain" | "sharesUnknown">,
  registry: Pick<Registry, "knows">,
): Router {
  return new Router(route, domain, sharesUnknown ? (name) => registry.knows(name) : undefined);
}

/**
 * What the listeners and the routes of a gateway come to.
 *
 * @param addresses The real ones, as the ready line prints them.
 */
export function entryOf(
  { domain, route, cert }: Pick<GatewayConfig, "domain" | "route" | "cert">,
  addresses: Readonly<Record<string, string | string[]>>,
): Entry {
  const at = (name: string): string[] => [addresses[name] ?? []].flat();
  return {
    http: at("http"),
    // With a certificate, names that are not passed through end in the gateway's own HTTPS.
    https: [...at("https"), ...(cert.length === 0 ? [] : at("sni"))],
    ...(domain === undefined ? {} : { domain }),
    routes: route.map(({ host, path, alpn, service }) => ({
      ...{ route: `${host}${path}${alpn === undefined ? "" : `@${alpn}`}`, service },
    })),
    links: at("link"),
  };
}
